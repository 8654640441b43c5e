//! Write forwarding of a Region's instances: by what it goes, over which stream, and what vouches
//! for a user. Rows decide whether there is any; the endpoint does it.

use std::sync::Arc;
use std::time::Duration;

use databases::model::{Instance, ResourceId};
use databases::{CodecError, Forwarding, catalogue};
use runtime::{
    Away, Consistency, ForwardedStream, ForwardingTerms, VerifierAnswer, WriteForwarding,
};
use tokio::sync::Semaphore;
use types::{ConfigurationView, Span};

use super::Around;
use super::peers::WRITES;
use super::servers::Seen;

/// Sessions of this process that are open at writers elsewhere: half of the streams that a peer can
/// have at once, since replicas follow by the others.
pub(super) const SESSIONS: usize = 32;

/// Connections by which servers are asked at one time what vouches for a user: a server keeps few
/// places back for them.
const ASKING: usize = 2;

static ASKED: Semaphore = Semaphore::const_new(ASKING);

/// PostgreSQL's `sqlclient_unable_to_establish_sqlconnection`.
const UNABLE: [u8; 5] = *b"08001";

/// PostgreSQL's `too_many_connections`.
const TOO_MANY: [u8; 5] = *b"53300";

/// What forwards the writes of an instance's sessions.
pub(super) struct Forwards {
    around: Arc<Around>,
    id: ResourceId,
    seen: Arc<Seen>,
}

impl Forwards {
    /// Of that instance, if its writes are forwarded now.
    pub(super) fn of(
        around: &Arc<Around>,
        id: &ResourceId,
        seen: &Arc<Seen>,
    ) -> Option<Arc<dyn WriteForwarding>> {
        let forwards = Forwards {
            around: around.clone(),
            id: id.clone(),
            seen: seen.clone(),
        };
        forwards.now()?;
        Some(Arc::new(forwards))
    }

    /// How they are forwarded now, if they are.
    fn now(&self) -> Option<Forwarding> {
        self.read(databases::forwarding)
    }

    /// What the rows say of the instance now.
    fn read<T>(
        &self,
        of: impl FnOnce(
            &dyn ConfigurationView,
            &dyn ConfigurationView,
            &Instance,
        ) -> Result<Option<T>, CodecError>,
    ) -> Option<T> {
        let (view, global) = self.around.views();
        let read = catalogue::instance(&*view, &self.id).and_then(|found| match found {
            Some((_, instance)) => of(&*view, &*global, &instance),
            None => Ok(None),
        });
        read.unwrap_or_else(|cause| {
            tracing::error!(instance = %self.id, %cause, "nobody can tell where writes go");
            None
        })
    }

    fn stream(&self) -> Result<ForwardedStream, String> {
        let forwarding = self.now().ok_or("nobody writes for this cluster now")?;
        let region = forwarding.region;
        let site = self.around.deployment.id_of(region);
        let site = site.ok_or_else(|| format!("{region} is not a Region of this deployment"))?;
        let target = format!("{WRITES}{}", forwarding.writer.0);
        let opened = self.around.streams.open(site, &target);
        let end = opened.map_err(|cause| format!("{region}: {cause}"))?;
        Ok(ForwardedStream { end, place: None })
    }
}

impl WriteForwarding for Forwards {
    fn terms(&self) -> Option<ForwardingTerms> {
        let forwarding = self.now()?;
        let wait = |span: Option<Span>| span.map(|span| Duration::from_micros(span.0));
        Some(ForwardingTerms {
            writer: forwarding.writer.0,
            consistency: Consistency::of_name(&forwarding.consistency)?,
            connect_timeout: wait(forwarding.connect_timeout),
            idle_session_timeout: wait(forwarding.idle_session_timeout),
            idle_in_transaction_session_timeout: wait(
                forwarding.idle_in_transaction_session_timeout,
            ),
        })
    }

    fn is_writer(&self, writer: &str) -> bool {
        self.read(databases::writer_of)
            .is_some_and(|head| head.0 == writer)
    }

    fn open(&self) -> Result<ForwardedStream, Away> {
        let places: &Arc<Semaphore> = &self.around.forwarded;
        let place = places.clone().try_acquire_owned().map_err(|_| Away {
            sqlstate: TOO_MANY,
            message: format!("sorry, {SESSIONS} sessions forward writes from this Region already"),
        })?;
        let opened = self.open_to_cancel()?;
        Ok(ForwardedStream {
            place: Some(place),
            ..opened
        })
    }

    fn open_to_cancel(&self) -> Result<ForwardedStream, Away> {
        self.stream().map_err(|why| Away {
            sqlstate: UNABLE,
            message: format!("the writer of the global cluster can't be reached: {why}"),
        })
    }

    fn verifier<'a>(&'a self, user: &'a str) -> VerifierAnswer<'a> {
        Box::pin(async move {
            let verifier = in_turn(self.seen.home.users_verifier(user)).await;
            verifier.map_err(|cause| cause.to_string())
        })
    }
}

/// Asks a server, by a connection of its own, when it is its turn.
async fn in_turn<T>(asking: impl Future<Output = T>) -> T {
    let turn = ASKED.acquire().await;
    let _turn = turn.expect("nobody closes it");
    asking.await
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    /// A pool of clients that warms up writes first at one time.
    #[tokio::test]
    async fn servers_are_asked_by_a_few_connections_at_a_time() {
        let (now, most) = (AtomicUsize::new(0), AtomicUsize::new(0));
        let ask = || async {
            let asking = now.fetch_add(1, Ordering::SeqCst) + 1;
            most.fetch_max(asking, Ordering::SeqCst);
            for _ in 0..3 {
                tokio::task::yield_now().await;
            }
            now.fetch_sub(1, Ordering::SeqCst);
        };
        let all = futures_util::future::join_all((0..50).map(|_| in_turn(ask())));
        assert_eq!(all.await.len(), 50);
        assert_eq!(most.into_inner(), ASKING);
    }
}
