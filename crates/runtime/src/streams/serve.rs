//! Streams that a peer opens: connected to what the directory gives that peer, or refused; and
//! ended when the directory, asked again, gives it no more.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use link::{StreamEnd, StreamExchange, StreamOffer, StreamReset};
use tokio::net::{TcpStream, UnixStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::timeout;
use types::SiteId;

use super::relay::relay;
use super::{Directory, TargetPlace, lock};

/// How long what a target stands for may take to take a connection.
const CONNECT_WAIT: Duration = Duration::from_secs(5);

/// Serves the peer's streams until the task is ended from outside.
pub(super) async fn run(
    peer: SiteId,
    exchange: Arc<StreamExchange>,
    directory: Directory,
    asked_again: watch::Receiver<u64>,
) {
    // Ends its connections with itself.
    let mut connections = JoinSet::new();
    loop {
        let offer = exchange.next_offer().await;
        while connections.try_join_next().is_some() {}
        let (directory, asked_again) = (Arc::clone(&directory), asked_again.clone());
        connections.spawn(serve(peer, offer, directory, asked_again));
    }
}

async fn serve(
    peer: SiteId,
    offer: StreamOffer,
    directory: Directory,
    mut asked_again: watch::Receiver<u64>,
) {
    let StreamOffer { target, end } = offer;
    // Whatever changes from here on is looked at again.
    asked_again.borrow_and_update();
    let ask = || {
        let directory = lock(&directory).clone();
        directory.and_then(|directory| directory.target(peer, &target))
    };
    let Some(to) = ask() else {
        tracing::warn!(peer = peer.0, target, "a stream was refused");
        end.reset(StreamReset::Refused);
        return;
    };
    tokio::select! {
        () = connect(peer, &target, &to, &end) => {}
        () = withdrawn(ask, &to, &mut asked_again) => {
            tracing::info!(peer = peer.0, target, "a stream is given no more");
            end.reset(StreamReset::Refused);
        }
    }
}

async fn connect(peer: SiteId, target: &str, to: &TargetPlace, end: &StreamEnd) {
    let late = || io::Error::from(io::ErrorKind::TimedOut);
    let connected = match to {
        TargetPlace::Socket(path) => {
            let connected = timeout(CONNECT_WAIT, UnixStream::connect(path)).await;
            match connected.unwrap_or_else(|_| Err(late())) {
                Ok(stream) => {
                    relay(stream.into_split(), end).await;
                    Ok(())
                }
                Err(cause) => Err(cause),
            }
        }
        TargetPlace::Address(address) => {
            let connected = timeout(CONNECT_WAIT, TcpStream::connect(address)).await;
            let connected = connected.unwrap_or_else(|_| Err(late()));
            match connected.and_then(|stream| stream.set_nodelay(true).map(|()| stream)) {
                Ok(stream) => {
                    relay(stream.into_split(), end).await;
                    Ok(())
                }
                Err(cause) => Err(cause),
            }
        }
    };
    match connected {
        Ok(()) => {}
        Err(cause) => {
            tracing::debug!(peer = peer.0, target, %cause, "a stream's target can't be reached");
            end.reset(StreamReset::Unreachable);
        }
    }
}

/// Ends when the directory is to be asked again and gives something else.
async fn withdrawn(
    ask: impl Fn() -> Option<TargetPlace>,
    to: &TargetPlace,
    asked_again: &mut watch::Receiver<u64>,
) {
    while asked_again.changed().await.is_ok() {
        if ask().as_ref() != Some(to) {
            return;
        }
    }
    std::future::pending().await
}
