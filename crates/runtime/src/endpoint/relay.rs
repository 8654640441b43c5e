//! Bytes between a client and its server, both ways at once, none looked at.
//!
//! One task moves both ways, and what is read is written straight away: from the buffer that all
//! sessions of a thread share. Only what the other side doesn't take at once is kept by the
//! session, and nothing more is read that way until it is gone.

use std::cell::RefCell;
use std::future::{Future, poll_fn};
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, ReadBuf};
use tokio::time::{Sleep, sleep, timeout};

use super::EndpointDirectory;
use super::counters::{Counter, Counters};
use super::gate::Held;
use super::server::ServerSocket;
use crate::http::tls::Connection;

/// What is read at once, in each direction: a result of PostgreSQL's is sent in pieces of 8 KiB.
const BUFFER: usize = 16 * 1024;

/// So many pieces are moved in one direction before other sessions get their turn.
const PIECES: usize = 16;

/// How long a client that was told the last is listened to before its connection is closed: a
/// close over unread bytes is a reset, which would overtake what it was told ...
const LINGER: Duration = Duration::from_secs(1);

/// ... and how much it may still send.
const LINGERED: usize = 64 * 1024;

/// How long the last words of a server that takes no more may take.
const LAST_WORDS: Duration = Duration::from_secs(5);

thread_local! {
    /// What all sessions of a thread read into. It holds nothing between two of their turns.
    static SHARED: RefCell<Vec<u8>> = RefCell::new(vec![0; BUFFER]);
}

/// Which side of a direction failed.
enum Broken {
    From(io::Error),
    To(io::Error),
}

/// How a direction stands.
enum Way {
    /// All that was read is written.
    Reading,
    /// The other side hasn't taken these yet, from that one on.
    Holding(Vec<u8>, usize),
    /// It has taken all, but may not have sent it on (TLS).
    Flushing,
    /// There is no more, which the other side is told.
    Ending,
    /// It has been told.
    Ended,
}

/// Moves bytes until either end is done. A client that has ended its half still gets what the
/// server has to say; a server that has ended its own has nothing left to hear. One that may not
/// be heard any more is not, from the next piece on; what is held back waits.
pub(super) async fn relay(
    mut client: Connection,
    mut server: ServerSocket,
    directory: &dyn EndpointDirectory,
    counters: &Counters,
) {
    let (mut up, mut down) = (Way::Reading, Way::Reading);
    let may_answer = || directory.may_answer();
    let mut held = Held::new(directory.gate());
    // Why the server takes no more, and until when its last words are waited for.
    let mut deaf: Option<(io::Error, Pin<Box<Sleep>>)> = None;
    let ended = poll_fn(|cx| {
        SHARED.with_borrow_mut(|buffer| {
            let (from, to, counter) = (&mut server, &mut client, &counters.to_clients);
            let is_held = held.poll(cx);
            if !is_held
                && let Poll::Ready(told) = down.turn(cx, from, to, buffer, &may_answer, counter)
            {
                return Poll::Ready(told);
            }
            if deaf.is_none() {
                let (from, to, counter) = (&mut client, &mut server, &counters.to_server);
                match up.turn(cx, from, to, buffer, &|| true, counter) {
                    Poll::Ready(Err(Broken::From(cause))) => {
                        return Poll::Ready(Err(Broken::From(cause)));
                    }
                    // It is gone, but may have said why before.
                    Poll::Ready(Err(Broken::To(cause))) => {
                        deaf = Some((cause, Box::pin(sleep(LAST_WORDS))));
                    }
                    // Nobody waits for what is held back: it would keep a session's place.
                    Poll::Ready(Ok(())) if is_held => return Poll::Ready(Ok(())),
                    // What the server says of its client's end comes the other way.
                    Poll::Ready(Ok(())) | Poll::Pending => {}
                }
            }
            if let Some((_, wait)) = &mut deaf {
                ready!(wait.as_mut().poll(cx));
                let (cause, _) = deaf.take().expect("it has just been waited for");
                return Poll::Ready(Err(Broken::To(cause)));
            }
            Poll::Pending
        })
    });
    match ended.await {
        Ok(()) => drain(&mut client).await,
        Err(Broken::From(cause) | Broken::To(cause)) => {
            tracing::debug!(%cause, "a database's session broke off");
        }
    }
}

impl Way {
    /// Moves what can be moved now; ready once the end has been passed on. `may_pass` is asked
    /// before anything is written: neither what was read just now nor what waited goes by it.
    fn turn(
        &mut self,
        cx: &mut Context<'_>,
        from: &mut (impl AsyncRead + Unpin),
        to: &mut (impl AsyncWrite + Unpin),
        buffer: &mut [u8],
        may_pass: &impl Fn() -> bool,
        counter: &Counter,
    ) -> Poll<Result<(), Broken>> {
        let refused = || Broken::From(io::ErrorKind::PermissionDenied.into());
        if matches!(self, Way::Holding(..) | Way::Flushing) && !may_pass() {
            return Poll::Ready(Err(refused()));
        }
        for _ in 0..PIECES {
            match self {
                Way::Reading => {
                    let mut read = ReadBuf::new(buffer);
                    ready!(Pin::new(&mut *from).poll_read(cx, &mut read)).map_err(Broken::From)?;
                    let piece = read.filled();
                    if piece.is_empty() {
                        *self = Way::Ending;
                        continue;
                    }
                    if !may_pass() {
                        return Poll::Ready(Err(refused()));
                    }
                    let written = written(Pin::new(&mut *to).poll_write(cx, piece))?;
                    counter.add(written as u64);
                    *self = match written < piece.len() {
                        true => Way::Holding(piece[written..].to_vec(), 0),
                        false => Way::Flushing,
                    };
                    if written == 0 {
                        return Poll::Pending;
                    }
                }
                Way::Holding(piece, begin) => {
                    let written = written(Pin::new(&mut *to).poll_write(cx, &piece[*begin..]))?;
                    if written == 0 {
                        return Poll::Pending;
                    }
                    counter.add(written as u64);
                    *begin += written;
                    if *begin == piece.len() {
                        *self = Way::Flushing;
                    }
                }
                Way::Flushing => {
                    ready!(Pin::new(&mut *to).poll_flush(cx)).map_err(Broken::To)?;
                    *self = Way::Reading;
                }
                Way::Ending => {
                    ready!(Pin::new(&mut *to).poll_shutdown(cx)).map_err(Broken::To)?;
                    *self = Way::Ended;
                }
                Way::Ended => return Poll::Ready(Ok(())),
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}

/// How many bytes were written; none: it must be waited for.
fn written(written: Poll<io::Result<usize>>) -> Result<usize, Broken> {
    match written {
        Poll::Ready(Ok(0)) => Err(Broken::To(io::ErrorKind::WriteZero.into())),
        Poll::Ready(written) => written.map_err(Broken::To),
        Poll::Pending => Ok(0),
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
