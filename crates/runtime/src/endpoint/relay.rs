//! Bytes between a client and its server, both ways at once, none looked at.

use std::io;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::time::timeout;

use super::EndpointDirectory;
use super::counters::{Counter, Counters};
use crate::http::tls::Connection;

/// What is read at once, in each direction: a result of PostgreSQL's is sent in pieces of 8 KiB.
const BUFFER: usize = 16 * 1024;

/// How long a client that was told the last is listened to before its connection is closed: a
/// close over unread bytes is a reset, which would overtake what it was told ...
const LINGER: Duration = Duration::from_secs(1);

/// ... and how much it may still send.
const LINGERED: usize = 64 * 1024;

/// How long the last words of a server that takes no more may take.
const LAST_WORDS: Duration = Duration::from_secs(5);

/// Which side of a copy failed.
enum Broken {
    From(io::Error),
    To(io::Error),
}

/// Moves bytes until either end is done. A client that has ended its half still gets what the
/// server has to say; a server that has ended its own has nothing left to hear. One that may not
/// be heard any more is not, from the next piece on.
pub(super) async fn relay(
    client: Connection,
    server: UnixStream,
    directory: &dyn EndpointDirectory,
    counters: &Counters,
) {
    let (mut from_client, mut to_client) = tokio::io::split(client);
    let (mut from_server, mut to_server) = server.into_split();
    let up = async {
        let always = || true;
        match copy(
            &mut from_client,
            &mut to_server,
            always,
            &counters.to_server,
        )
        .await
        {
            // What the server says of it comes the other way.
            Ok(()) => std::future::pending().await,
            // It is gone, but may have said why before.
            Err(Broken::To(cause)) => {
                tokio::time::sleep(LAST_WORDS).await;
                Err(Broken::To(cause))
            }
            from => from,
        }
    };
    let may_answer = || directory.may_answer();
    let down = copy(
        &mut from_server,
        &mut to_client,
        may_answer,
        &counters.to_clients,
    );
    let ended = tokio::select! {
        ended = up => ended,
        ended = down => ended,
    };
    match ended {
        Ok(()) => drain(&mut from_client.unsplit(to_client)).await,
        Err(Broken::From(cause) | Broken::To(cause)) => {
            tracing::debug!(%cause, "a database's session broke off");
        }
    }
}

/// Copies to the end, and passes the end on; no further than it may.
async fn copy(
    from: &mut (impl AsyncRead + Unpin),
    to: &mut (impl AsyncWrite + Unpin),
    may_pass: impl Fn() -> bool,
    counter: &Counter,
) -> Result<(), Broken> {
    let mut buffer = vec![0; BUFFER];
    loop {
        let count = from.read(&mut buffer).await.map_err(Broken::From)?;
        if count == 0 {
            return to.shutdown().await.map_err(Broken::To);
        }
        if !may_pass() {
            return Err(Broken::From(io::ErrorKind::PermissionDenied.into()));
        }
        let written = to.write_all(&buffer[..count]).await;
        written.map_err(Broken::To)?;
        to.flush().await.map_err(Broken::To)?;
        counter.add(count as u64);
    }
}

/// Reads what a client still sends for a moment, and throws it away.
pub(super) async fn drain(client: &mut (impl AsyncRead + Unpin)) {
    let mut left = [0; 1024];
    let drained = timeout(LINGER, async {
        let mut taken = 0;
        while taken < LINGERED {
            match client.read(&mut left).await {
                Ok(0) | Err(_) => return,
                Ok(count) => taken += count,
            }
        }
    });
    // Either way the connection is closed now.
    drained.await.ok();
}
