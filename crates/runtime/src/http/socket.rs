//! A client's connection that can be ended by a reset instead of an orderly close, so that a
//! request for a dead site looks to its client like one to a host that refuses it.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::tls::Connection;

/// A connection whose close is a reset if its [`ResetSwitch`] was thrown.
pub(super) struct ResettableStream {
    stream: Connection,
    switch: ResetSwitch,
}

/// Makes the close of its connection a reset.
#[derive(Clone, Default)]
pub(super) struct ResetSwitch(Arc<AtomicBool>);

impl ResetSwitch {
    /// From here on the connection ends by a reset.
    pub(super) fn throw(&self) {
        self.0.store(true, Ordering::Release);
    }

    fn is_thrown(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }
}

impl ResettableStream {
    /// Wraps the stream; the switch is thrown from elsewhere.
    pub(super) fn new(stream: Connection, switch: ResetSwitch) -> ResettableStream {
        ResettableStream { stream, switch }
    }
}

impl Drop for ResettableStream {
    fn drop(&mut self) {
        if self.switch.is_thrown() {
            // A linger of zero makes the coming close(2) send RST (tcp(7), SO_LINGER). Should it
            // fail, the client sees an orderly close without a response: also an error to it.
            let socket = socket2::SockRef::from(self.stream.socket());
            if let Err(cause) = socket.set_linger(Some(Duration::ZERO)) {
                tracing::debug!(%cause, "a connection is closed where it should be reset");
            }
        }
    }
}

impl AsyncRead for ResettableStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl AsyncWrite for ResettableStream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.switch.is_thrown() {
            // An orderly end now would overtake the reset.
            return Poll::Ready(Ok(()));
        }
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
