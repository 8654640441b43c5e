//! The connection to a server, by its Unix socket.
//!
//! The kernel tells of room to write each time that the other side has taken something, which is
//! once for each question: whoever waits for both, reading and writing, is woken by the server that
//! begins with a question and again by its answer. So this waits for what is to be read alone, and
//! for room only while there is none.

use std::io::{self, Read, Write};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::unix::AsyncFd;
use tokio::io::{AsyncRead, AsyncWrite, Interest, ReadBuf};

/// A connection to a server that bytes are moved to and from.
pub(super) struct ServerSocket {
    socket: AsyncFd<UnixStream>,
    /// What room is waited for with: the same socket by another descriptor, since the kernel has
    /// one wish for each.
    room: Option<AsyncFd<UnixStream>>,
}

impl ServerSocket {
    /// Must be called within a tokio runtime.
    ///
    /// # Errors
    /// It can't be waited for.
    pub(super) fn new(stream: tokio::net::UnixStream) -> io::Result<ServerSocket> {
        let socket = waited_for(stream.into_std()?, Interest::READABLE)?;
        Ok(ServerSocket { socket, room: None })
    }
}

#[allow(
    unsafe_code,
    reason = "waiting for one thing alone is not in tokio's own sockets"
)]
fn waited_for(socket: UnixStream, interest: Interest) -> io::Result<AsyncFd<UnixStream>> {
    // SAFETY: a `UnixStream` keeps its descriptor, open and the same, until it is dropped, and it
    // is owned by what is made of it here: nothing takes it out of there or replaces it.
    let registered = unsafe { AsyncFd::register_with_interest(socket, interest) };
    Ok(registered?)
}

impl AsyncRead for ServerSocket {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        loop {
            let mut ready = ready!(self.socket.poll_read_ready(cx))?;
            let room = buffer.initialize_unfilled();
            let asked = room.len();
            match self.socket.get_ref().read(room) {
                Ok(count) => {
                    // Less than was asked for was all there is; what comes now is told of anew.
                    if 0 < count && count < asked {
                        ready.clear_ready();
                    }
                    buffer.advance(count);
                    return Poll::Ready(Ok(()));
                }
                Err(cause) if cause.kind() == io::ErrorKind::WouldBlock => ready.clear_ready(),
                Err(cause) if cause.kind() == io::ErrorKind::Interrupted => {}
                Err(cause) => return Poll::Ready(Err(cause)),
            }
        }
    }
}

impl AsyncWrite for ServerSocket {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        loop {
            let mut ready = match &self.room {
                Some(room) => Some(ready!(room.poll_write_ready(cx))?),
                None => None,
            };
            match self.socket.get_ref().write(bytes) {
                Err(cause) if cause.kind() == io::ErrorKind::WouldBlock => match &mut ready {
                    Some(ready) => ready.clear_ready(),
                    None => {
                        let other = self.socket.get_ref().try_clone()?;
                        self.room = Some(waited_for(other, Interest::WRITABLE)?);
                    }
                },
                Err(cause) if cause.kind() == io::ErrorKind::Interrupted => {}
                written => {
                    self.room = None;
                    return Poll::Ready(written);
                }
            }
        }
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(self.socket.get_ref().shutdown(Shutdown::Write))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    const QUESTIONS: u64 = 30;

    /// How often this thread has gone to sleep.
    fn sleeps() -> u64 {
        let status = std::fs::read_to_string("/proc/thread-self/status").unwrap();
        let mut lines = status.lines();
        let count = lines.find_map(|line| line.strip_prefix("voluntary_ctxt_switches:"));
        count.unwrap().trim().parse().unwrap()
    }

    fn pair() -> (ServerSocket, UnixStream) {
        let (own, server) = UnixStream::pair().unwrap();
        own.set_nonblocking(true).unwrap();
        let own = tokio::net::UnixStream::from_std(own).unwrap();
        (ServerSocket::new(own).unwrap(), server)
    }

    #[tokio::test]
    async fn a_server_that_takes_a_question_wakes_nobody_until_it_answers() {
        let (mut socket, mut server) = pair();
        let answering = std::thread::spawn(move || {
            for _ in 0..QUESTIONS {
                server.read_exact(&mut [0; 8]).unwrap();
                // Long enough for whoever is woken by this to go to sleep again.
                std::thread::sleep(Duration::from_millis(3));
                server.write_all(b"answer").unwrap();
            }
        });
        let before = sleeps();
        for _ in 0..QUESTIONS {
            socket.write_all(b"question").await.unwrap();
            socket.read_exact(&mut [0; 6]).await.unwrap();
        }
        let slept = sleeps() - before;
        answering.join().unwrap();
        // Woken by both, it would be twice as often.
        assert!(slept < QUESTIONS * 3 / 2, "{slept} times");
    }

    #[tokio::test]
    async fn a_server_without_room_is_waited_for_again_and_again() {
        let (mut socket, mut server) = pair();
        let sent: Vec<u8> = (0..3_000_000_u32).map(|n| (n % 249) as u8).collect();
        let length = sent.len();
        let reading = std::thread::spawn(move || {
            let mut bytes = vec![0; length];
            for piece in bytes.chunks_mut(200_000) {
                std::thread::sleep(Duration::from_millis(2));
                server.read_exact(piece).unwrap();
            }
            server.write_all(b"thanks").unwrap();
            bytes
        });
        socket.write_all(&sent).await.unwrap();
        assert!(socket.room.is_none(), "what has room waits for none");
        socket.read_exact(&mut [0; 6]).await.unwrap();
        assert!(reading.join().unwrap() == sent);
        assert_eq!(socket.read(&mut [0; 6]).await.unwrap(), 0, "the end");
    }
}
