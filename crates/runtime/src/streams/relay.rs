//! Bytes between a local connection and its stream, both ways at once, until both have ended.

use std::io;
use std::time::Duration;

use link::{StreamEnd, StreamReset};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::time::timeout;

/// What is read of a local connection at once: as much as a message carries.
const BUFFER: usize = link::MAXIMUM_CHUNK;

/// How long a local connection may take what is left of a stream that is over.
const LEFTOVERS: Duration = Duration::from_secs(5);

/// Why a relay ended before its ends.
#[derive(Debug, thiserror::Error)]
enum RelayError {
    #[error("{0}")]
    Local(#[from] io::Error),
    #[error("{0}")]
    Stream(#[from] StreamReset),
}

/// Moves bytes both ways. A half that ends, ends its half over there; whatever else ends one of
/// them ends the other.
pub(super) async fn relay(
    (mut from_local, mut to_local): (impl AsyncRead + Unpin, impl AsyncWrite + Unpin),
    end: &StreamEnd,
) {
    let ended = both(&mut from_local, &mut to_local, end).await;
    if let Err(cause) = ended {
        tracing::debug!(?end, %cause, "a stream ended before its ends");
        end.reset(StreamReset::Closed);
    }
}

async fn both(
    from: &mut (impl AsyncRead + Unpin),
    to: &mut (impl AsyncWrite + Unpin),
    end: &StreamEnd,
) -> Result<(), RelayError> {
    let (up, down) = (up(from, end), down(end, to));
    tokio::pin!(up, down);
    tokio::select! {
        sent = &mut up => {
            sent?;
            down.await
        }
        got = &mut down => match got {
            Ok(()) => up.await,
            Err(cause) => {
                // Who takes no more may have said why before it left.
                timeout(LEFTOVERS, up).await.ok();
                Err(cause)
            }
        },
    }
}

/// What the local connection says. When the stream is over it ends in peace: it is `down` that
/// tells.
async fn up(from: &mut (impl AsyncRead + Unpin), end: &StreamEnd) -> Result<(), RelayError> {
    let over = end.until_reset();
    tokio::pin!(over);
    let mut buffer = vec![0; BUFFER];
    loop {
        let count = tokio::select! {
            count = from.read(&mut buffer) => count?,
            _ = &mut over => return Ok(()),
        };
        if count == 0 {
            end.finish();
            return Ok(());
        }
        if end.write(&buffer[..count]).await.is_err() {
            return Ok(());
        }
    }
}

/// What the other end says. What came of it in order is given also when it is over, unless that
/// takes too long.
async fn down(end: &StreamEnd, to: &mut (impl AsyncWrite + Unpin)) -> Result<(), RelayError> {
    let over = async {
        let reason = end.until_reset().await;
        tokio::time::sleep(LEFTOVERS).await;
        reason
    };
    tokio::pin!(over);
    while let Some(bytes) = end.read().await? {
        tokio::select! {
            written = to.write_all(&bytes) => written?,
            reason = &mut over => return Err(reason.into()),
        }
    }
    to.shutdown().await?;
    Ok(())
}
