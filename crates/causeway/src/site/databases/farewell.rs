//! How a keeper ends with its process: its server is stopped in order, if that can be done in time.

use std::sync::Arc;
use std::time::Duration;

use runtime::postgres::Stop;

use super::keeper::Keeper;

/// How long a server may take to stop in order when its process ends: the supervisor gives a site
/// 10 s in all.
const FAREWELL_WAIT: Duration = Duration::from_secs(7);

impl Keeper {
    /// Stops the server in order, if it can be done in time.
    pub(super) async fn close(mut self) {
        self.seen.state().standing.observed.server = None;
        let server = self.running.take().map(|running| running.server);
        if let Some(server) = server.and_then(Arc::into_inner) {
            let stopped = server.stop(Stop::Fast);
            match runtime::within(FAREWELL_WAIT, stopped).await {
                Some(Ok(())) => {}
                Some(Err(cause)) => {
                    tracing::warn!(instance = %self.id, %cause, "a server didn't stop in order");
                }
                None => tracing::warn!(instance = %self.id, "a server didn't stop in time"),
            }
        }
        self.doors.close();
    }
}
