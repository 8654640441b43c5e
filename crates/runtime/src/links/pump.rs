//! Moving bytes between one connection and its link, both ways at once, until either gives up.

use std::io;
use std::time::Duration;

use link::{CloseReason, ConnectionId, ProtocolError};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;

use super::Shared;
use super::peer::{Connected, Peer};

/// What is read from a socket at once.
const READ: usize = 64 * 1024;

/// How long an orderly close may take.
const GOODBYE: Duration = Duration::from_secs(1);

/// Either kind of TLS stream over TCP.
pub(super) trait Stream: AsyncRead + AsyncWrite + Unpin {
    fn socket(&self) -> &TcpStream;
}

impl Stream for tokio_rustls::client::TlsStream<TcpStream> {
    fn socket(&self) -> &TcpStream {
        self.get_ref().0
    }
}

impl Stream for tokio_rustls::server::TlsStream<TcpStream> {
    fn socket(&self) -> &TcpStream {
        self.get_ref().0
    }
}

/// Why a connection is over at this end.
#[derive(Debug, thiserror::Error)]
enum End {
    #[error("the link gave it up: {0:?}")]
    Closed(CloseReason),
    #[error("the peer closed it")]
    Finished,
    #[error("{0}")]
    Io(#[from] io::Error),
    #[error("the peer broke the protocol: {0}")]
    Protocol(#[from] ProtocolError),
}

/// Serves the connection until it ends, and tells the link.
pub(super) async fn pump(shared: &Shared, peer: &Peer, connected: Connected, stream: impl Stream) {
    let Connected { id, closed } = connected;
    let (mut reader, mut writer) = tokio::io::split(stream);
    let end = tokio::select! {
        end = read(shared, peer, id, &mut reader) => end,
        end = write(shared, peer, id, &mut writer) => end,
        reason = closed => End::Closed(reason.unwrap_or(CloseReason::Superseded)),
    };
    match &end {
        End::Protocol(_) => tracing::warn!(peer = %peer.site(), %end, "a connection ended"),
        _ => tracing::debug!(peer = %peer.site(), %end, "a connection ended"),
    }
    peer.disconnected(&*shared.environment, id);
    let mut stream = reader.unsplit(writer);
    match end {
        End::Closed(CloseReason::Reset) => reset(stream.socket()),
        End::Closed(CloseReason::Replaced) => {
            // Nothing is under way any more: an error here loses nothing.
            tokio::time::timeout(GOODBYE, stream.shutdown()).await.ok();
        }
        _ => {}
    }
}

async fn read(
    shared: &Shared,
    peer: &Peer,
    id: ConnectionId,
    reader: &mut (impl AsyncRead + Unpin),
) -> End {
    let mut buffer = vec![0; READ];
    loop {
        let count = match reader.read(&mut buffer).await {
            Ok(0) => return End::Finished,
            Ok(count) => count,
            Err(cause) => return cause.into(),
        };
        let now = shared.environment.now().monotonic;
        if let Err(cause) = peer.port.received(now, id, &buffer[..count]) {
            return cause.into();
        }
    }
}

async fn write(
    shared: &Shared,
    peer: &Peer,
    id: ConnectionId,
    writer: &mut (impl AsyncWrite + Unpin),
) -> End {
    loop {
        let bell = peer.port.driver_bell();
        let due = peer.due.notified();
        tokio::pin!(due);
        due.as_mut().enable();
        let mut written = false;
        while let Some(bytes) = peer.port.transmit(shared.environment.now().monotonic, id) {
            written = true;
            if let Err(cause) = writer.write_all(&bytes).await {
                return cause.into();
            }
        }
        if written && let Err(cause) = writer.flush().await {
            return cause.into();
        }
        tokio::select! {
            () = bell => {}
            () = due => {}
        }
    }
}

/// The coming close of that socket is a reset (tcp(7), SO_LINGER of zero).
pub(super) fn reset(socket: &TcpStream) {
    if let Err(cause) = socket2::SockRef::from(socket).set_linger(Some(Duration::ZERO)) {
        tracing::debug!(%cause, "a connection is closed where it should be reset");
    }
}
