//! A connection to a client or a target, with TLS or without; the bytes that came by one and
//! weren't used yet; and a timer that costs nothing while it is put off.

use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Instant, Sleep};
use tokio_rustls::TlsStream;

use super::thread::Standing;
use crate::http::tls::Connection;

/// What is read at first ...
const SMALL: usize = 4 * 1024;

/// ... so many times as much each time that it was filled ...
const GROWTH: usize = 4;

/// ... and this at most.
const LARGE: usize = 64 * 1024;

/// A connection.
pub(super) struct Link {
    stream: Stream,
    /// Of a client's: whether it is to end by a reset.
    standing: Option<Rc<Standing>>,
}

enum Stream {
    Plain(TcpStream),
    Secure(Box<TlsStream<TcpStream>>),
}

impl Link {
    /// A client's connection.
    pub(super) fn of_client(connection: Connection, standing: Rc<Standing>) -> Link {
        let stream = match connection {
            Connection::Plain(stream) => Stream::Plain(stream),
            Connection::Secure(stream) => Stream::Secure(Box::new(TlsStream::Server(*stream))),
        };
        Link {
            stream,
            standing: Some(standing),
        }
    }

    /// A connection to a target, without TLS ...
    pub(super) fn plain(stream: TcpStream) -> Link {
        Link {
            stream: Stream::Plain(stream),
            standing: None,
        }
    }

    /// ... or with it.
    pub(super) fn secure(stream: TlsStream<TcpStream>) -> Link {
        Link {
            stream: Stream::Secure(Box::new(stream)),
            standing: None,
        }
    }

    /// Is there TLS, whose end is said before the connection's?
    pub(super) fn is_secure(&self) -> bool {
        matches!(self.stream, Stream::Secure(_))
    }

    fn socket(&self) -> &TcpStream {
        match &self.stream {
            Stream::Plain(stream) => stream,
            Stream::Secure(stream) => stream.get_ref().0,
        }
    }

    /// Is it idle and whole, as a connection is that is to be used again? Whatever came on it was
    /// not asked for.
    pub(super) fn is_idle(&self) -> bool {
        let mut byte = [0];
        let read = self.socket().try_read(&mut byte);
        matches!(read, Err(cause) if cause.kind() == io::ErrorKind::WouldBlock)
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        if self
            .standing
            .as_ref()
            .is_some_and(|standing| standing.reset.get())
        {
            // A linger of zero makes the coming close(2) send RST (tcp(7), SO_LINGER).
            let socket = socket2::SockRef::from(self.socket());
            if let Err(cause) = socket.set_linger(Some(Duration::ZERO)) {
                tracing::debug!(%cause, "a connection is closed where it should be reset");
            }
        }
    }
}

impl AsyncRead for Link {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match &mut self.get_mut().stream {
            Stream::Plain(stream) => Pin::new(stream).poll_read(context, buffer),
            Stream::Secure(stream) => Pin::new(stream).poll_read(context, buffer),
        }
    }
}

impl AsyncWrite for Link {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match &mut self.get_mut().stream {
            Stream::Plain(stream) => Pin::new(stream).poll_write(context, bytes),
            Stream::Secure(stream) => Pin::new(stream).poll_write(context, bytes),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.get_mut().stream {
            Stream::Plain(_) => Poll::Ready(Ok(())),
            Stream::Secure(stream) => Pin::new(stream).poll_flush(context),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.get_mut().stream {
            Stream::Plain(stream) => Pin::new(stream).poll_shutdown(context),
            Stream::Secure(stream) => Pin::new(stream).poll_shutdown(context),
        }
    }
}

/// Bytes that came and weren't used yet, 64 KiB at most.
#[derive(Default)]
pub(super) struct Buffer {
    bytes: Vec<u8>,
    start: usize,
    end: usize,
    /// The last read took all the room there was: there is more to come than was thought.
    was_filled: bool,
}

impl Buffer {
    /// What there is.
    pub(super) fn filled(&self) -> &[u8] {
        &self.bytes[self.start..self.end]
    }

    pub(super) fn is_empty(&self) -> bool {
        self.start == self.end
    }

    /// No more fits.
    pub(super) fn is_full(&self) -> bool {
        self.end - self.start == LARGE
    }

    /// The first so many were used.
    pub(super) fn consume(&mut self, count: usize) {
        self.start += count;
        debug_assert!(self.start <= self.end, "no more is used than there is");
        if self.is_empty() {
            (self.start, self.end) = (0, 0);
        }
    }

    /// Lets go of room that little needs.
    pub(super) fn shrink(&mut self) {
        if self.is_empty() && self.bytes.len() > SMALL {
            self.bytes = Vec::new();
        }
    }

    /// Reads what has come, behind what there is: 0 at the connection's end. Nothing is read into
    /// a buffer that is full, which must not be.
    pub(super) fn poll_fill(
        &mut self,
        link: &mut Link,
        context: &mut Context<'_>,
    ) -> Poll<io::Result<usize>> {
        self.make_room();
        let mut room = ReadBuf::new(&mut self.bytes[self.end..]);
        ready!(Pin::new(link).poll_read(context, &mut room))?;
        let count = room.filled().len();
        self.end += count;
        self.was_filled = self.end == self.bytes.len();
        Poll::Ready(Ok(count))
    }

    fn make_room(&mut self) {
        if self.was_filled && self.is_empty() && self.bytes.len() < LARGE {
            self.bytes = vec![0; (self.bytes.len() * GROWTH).min(LARGE)];
        }
        if self.end < self.bytes.len() {
            return;
        }
        if self.start > 0 {
            self.bytes.copy_within(self.start..self.end, 0);
            (self.start, self.end) = (0, self.end - self.start);
        }
        if self.end == self.bytes.len() {
            let size = if self.bytes.is_empty() { SMALL } else { LARGE };
            self.bytes.resize(size, 0);
        }
        assert!(self.end < self.bytes.len(), "a full buffer isn't read into");
    }
}

/// Writes all of it from that place on, and sends it off.
pub(super) fn poll_write_all(
    link: &mut Link,
    bytes: &[u8],
    at: &mut usize,
    context: &mut Context<'_>,
) -> Poll<io::Result<()>> {
    while *at < bytes.len() {
        let count = ready!(Pin::new(&mut *link).poll_write(context, &bytes[*at..]))?;
        if count == 0 {
            return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
        }
        *at += count;
    }
    Pin::new(link).poll_flush(context)
}

/// A timer whose end is put off again and again: the runtime's timer is touched only when it has
/// run out, or is to end earlier.
pub(super) struct Timer {
    sleep: Pin<Box<Sleep>>,
    set: Instant,
}

impl Timer {
    pub(super) fn new() -> Timer {
        let set = Instant::now() + Duration::from_secs(3600);
        Timer {
            sleep: Box::pin(tokio::time::sleep_until(set)),
            set,
        }
    }

    /// Ready at that time.
    pub(super) fn poll(&mut self, end: Instant, context: &mut Context<'_>) -> Poll<()> {
        if end < self.set {
            self.reset(end);
        }
        loop {
            ready!(self.sleep.as_mut().poll(context));
            if self.set >= end {
                // It is used again after this.
                self.reset(Instant::now() + Duration::from_secs(3600));
                return Poll::Ready(());
            }
            self.reset(end);
        }
    }

    fn reset(&mut self, end: Instant) {
        self.set = end;
        self.sleep.as_mut().reset(end);
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use tokio::io::AsyncWriteExt;
    use tokio::net::TcpListener;

    use super::*;

    #[tokio::test]
    async fn much_is_read_in_large_pieces_and_little_in_little_room() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let connected = TcpStream::connect(listener.local_addr().unwrap())
            .await
            .unwrap();
        let (mut peer, _) = listener.accept().await.unwrap();
        let mut link = Link::plain(connected);
        let mut buffer = Buffer::default();
        peer.write_all(b"little").await.unwrap();
        assert_eq!(
            poll_fn(|context| buffer.poll_fill(&mut link, context))
                .await
                .unwrap(),
            6
        );
        assert_eq!(
            (buffer.filled(), buffer.bytes.len()),
            (&b"little"[..], SMALL)
        );
        buffer.consume(6);
        let writing = tokio::spawn(async move { peer.write_all(&[7; 4_000_000]).await });
        let (mut total, mut largest) = (0, 0);
        while total < 4_000_000 {
            let count = poll_fn(|context| buffer.poll_fill(&mut link, context))
                .await
                .unwrap();
            assert!(count > 0 && buffer.filled().iter().all(|byte| *byte == 7));
            buffer.consume(count);
            (total, largest) = (total + count, largest.max(count));
        }
        writing.await.unwrap().unwrap();
        assert_eq!(largest, LARGE);
        buffer.shrink();
        assert!(buffer.bytes.is_empty());
    }
}
