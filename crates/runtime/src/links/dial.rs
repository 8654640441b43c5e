//! Dialling a peer, at the price in time that a handshake over the link's delay has.

use std::io;
use std::sync::Arc;

use link::certificate::server_name;
use link::{Class, DIAL_TIMEOUT, Session, SessionError};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::peer::Peer;
use super::pump::pump;
use super::{Shared, handshake_delay};

/// Why a dial came to nothing.
#[derive(Debug, thiserror::Error)]
enum DialError {
    #[error("the outgoing direction is cut")]
    Cut,
    #[error("no handshake within {} s", std::time::Duration::from(DIAL_TIMEOUT).as_secs())]
    TimedOut,
    #[error("{0}")]
    Io(#[from] io::Error),
    #[error("{0}")]
    Session(#[from] SessionError),
}

/// Dials once for that class and serves the connection until it ends.
pub(super) async fn run(shared: Arc<Shared>, peer: Arc<Peer>, class: Class) {
    let dialled = tokio::time::timeout(DIAL_TIMEOUT.into(), dial(&shared, &peer, class)).await;
    let (stream, session) = match dialled.unwrap_or(Err(DialError::TimedOut)) {
        Ok(dialled) => dialled,
        Err(cause) => {
            tracing::debug!(peer = %peer.site(), %class, %cause, "a dial failed");
            let now = shared.environment.now().monotonic;
            return peer.port.dial_failed(now, class);
        }
    };
    match peer.connected(&*shared.environment, session) {
        Ok(connected) => pump(&shared, &peer, connected, stream).await,
        Err(cause) => {
            tracing::debug!(peer = %peer.site(), %class, %cause, "a dialled connection is not taken");
            let now = shared.environment.now().monotonic;
            peer.port.dial_failed(now, class);
        }
    }
}

async fn dial(
    shared: &Shared,
    peer: &Peer,
    class: Class,
) -> Result<(TlsStream<TcpStream>, Session), DialError> {
    handshake_delay(&peer.port).await;
    if !peer.port.may_connect() {
        return Err(DialError::Cut);
    }
    let stream = TcpStream::connect(peer.address).await?;
    stream.set_nodelay(true)?;
    let connector = TlsConnector::from(shared.client(class));
    let stream = connector.connect(server_name(peer.site()), stream).await?;
    let session = Session::from_client(stream.get_ref().1, peer.site())?;
    Ok((stream, session))
}
