//! A connection whose close waits for what its peer still sends: a close over unread bytes is a
//! reset (RFC 9112, 9.6), which can overtake an answer that the peer hasn't read yet. It waits only
//! where such bytes may come, and not for ever.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Sleep;

use super::stream::DISCARD_WAIT;

/// Bytes that are thrown away at once.
const LINGER_READ: usize = 8 * 1024;

/// Makes the close of its connection wait for the peer's.
#[derive(Clone, Default)]
pub(super) struct LingerSwitch(Arc<AtomicBool>);

impl LingerSwitch {
    /// From here on the peer may send what nobody reads.
    pub(super) fn throw(&self) {
        self.0.store(true, Ordering::Release);
    }

    fn is_thrown(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }
}

/// See the module.
pub(super) struct Lingering<S> {
    stream: S,
    switch: LingerSwitch,
    /// Runs from when the own half is closed.
    waiting: Option<Pin<Box<Sleep>>>,
}

impl<S> Lingering<S> {
    /// Wraps the stream; the switch is thrown from elsewhere.
    pub(super) fn new(stream: S, switch: LingerSwitch) -> Lingering<S> {
        Lingering {
            stream,
            switch,
            waiting: None,
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Lingering<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_read(context, buffer)
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Lingering<S> {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().stream).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().stream).poll_write_vectored(context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.waiting.is_none() {
            ready!(Pin::new(&mut this.stream).poll_shutdown(context))?;
            if !this.switch.is_thrown() {
                return Poll::Ready(Ok(()));
            }
        }
        let waiting = this
            .waiting
            .get_or_insert_with(|| Box::pin(tokio::time::sleep(DISCARD_WAIT)));
        if waiting.as_mut().poll(context).is_ready() {
            return Poll::Ready(Ok(()));
        }
        let mut thrown_away = [0; LINGER_READ];
        loop {
            let mut buffer = ReadBuf::new(&mut thrown_away);
            let read = ready!(Pin::new(&mut this.stream).poll_read(context, &mut buffer));
            if read.is_err() || buffer.filled().is_empty() {
                // Its end, or one that needs no more waiting for.
                return Poll::Ready(Ok(()));
            }
        }
    }
}
