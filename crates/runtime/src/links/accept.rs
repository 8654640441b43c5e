//! Accepting peers: a handshake says who it is; only sites this one has a link with are taken.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use link::{DIAL_TIMEOUT, Session, SessionError};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use super::peer::Peer;
use super::pump::{pump, reset};
use super::{Shared, handshake_delay};

/// Handshakes under way at once; further callers wait in the kernel's queue.
const HANDSHAKES: usize = 64;

/// How long accepting rests when the process has no file descriptor left.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Why a caller is sent away.
#[derive(Debug, thiserror::Error)]
enum AcceptError {
    #[error("no handshake in time")]
    TimedOut,
    #[error("{0}")]
    Io(#[from] io::Error),
    #[error("{0}")]
    Session(#[from] SessionError),
}

/// Accepts until the task is ended from outside.
pub(super) async fn run(shared: Arc<Shared>, listener: TcpListener) {
    let handshakes = Arc::new(Semaphore::new(HANDSHAKES));
    // Ends its connections with itself.
    let mut connections = JoinSet::new();
    loop {
        while connections.try_join_next().is_some() {}
        let permit = Arc::clone(&handshakes).acquire_owned().await;
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(cause) => {
                tracing::warn!(%cause, "a peer's connection could not be accepted");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        let shared = Arc::clone(&shared);
        connections.spawn(async move {
            let shaken = tokio::time::timeout(DIAL_TIMEOUT.into(), shake(&shared, stream)).await;
            drop(permit);
            match shaken.unwrap_or(Err(AcceptError::TimedOut)) {
                Ok((stream, session)) => serve(&shared, stream, session).await,
                Err(cause) => tracing::warn!(%cause, "a caller was sent away"),
            }
        });
    }
}

async fn shake(
    shared: &Shared,
    stream: TcpStream,
) -> Result<(TlsStream<TcpStream>, Session), AcceptError> {
    stream.set_nodelay(true)?;
    let stream = TlsAcceptor::from(shared.server()).accept(stream).await?;
    let session = Session::from_server(stream.get_ref().1)?;
    Ok((stream, session))
}

async fn serve(shared: &Shared, stream: TlsStream<TcpStream>, session: Session) {
    let Some(peer) = shared.peers.get(&session.peer()) else {
        tracing::warn!(site = %session.peer(), "a site without a link here was sent away");
        return;
    };
    handshake_delay(&peer.port).await;
    if tokio::time::timeout(DIAL_TIMEOUT.into(), until_uncut(peer))
        .await
        .is_err()
    {
        return;
    }
    match peer.connected(&*shared.environment, session) {
        Ok(connected) => pump(shared, peer, connected, stream).await,
        Err(cause) => {
            tracing::debug!(peer = %peer.site(), %cause, "an accepted connection is not taken");
            reset(stream.get_ref().0);
        }
    }
}

/// A cut that resets is told the caller by the link; one that swallows leaves it in the dark,
/// with its connection neither answered nor refused.
async fn until_uncut(peer: &Peer) {
    loop {
        let bell = peer.port.driver_bell();
        let swallowed = peer.port.shape().cut == Some(link::Cut::Blackhole);
        if !swallowed {
            return;
        }
        bell.await;
    }
}
