//! Streams that a peer opens: connected to what the directory gives that peer, or refused.

use std::sync::Arc;
use std::time::Duration;

use link::{StreamExchange, StreamOffer, StreamReset};
use tokio::net::UnixStream;
use tokio::task::JoinSet;
use tokio::time::timeout;
use types::SiteId;

use super::relay::relay;
use super::{Directory, lock};

/// How long what a target stands for may take to take a connection.
const CONNECT_WAIT: Duration = Duration::from_secs(5);

/// Serves the peer's streams until the task is ended from outside.
pub(super) async fn run(peer: SiteId, exchange: Arc<StreamExchange>, directory: Directory) {
    // Ends its connections with itself.
    let mut connections = JoinSet::new();
    loop {
        let offer = exchange.next_offer().await;
        while connections.try_join_next().is_some() {}
        connections.spawn(serve(peer, offer, Arc::clone(&directory)));
    }
}

async fn serve(peer: SiteId, offer: StreamOffer, directory: Directory) {
    let StreamOffer { target, end } = offer;
    let directory = lock(&directory).clone();
    let path = directory.and_then(|directory| directory.target(peer, &target));
    let Some(path) = path else {
        tracing::warn!(peer = peer.0, target, "a stream was refused");
        end.reset(StreamReset::Refused);
        return;
    };
    let connected = timeout(CONNECT_WAIT, UnixStream::connect(&path)).await;
    match connected.unwrap_or(Err(std::io::ErrorKind::TimedOut.into())) {
        Ok(stream) => relay(stream, end).await,
        Err(cause) => {
            tracing::debug!(peer = peer.0, target, %cause, "a stream's target can't be reached");
            end.reset(StreamReset::Unreachable);
        }
    }
}
