//! A body on its way from one connection to another: read, checked, written, never held whole.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::AsyncWrite;

use super::framing::{Body, Length, Piece};
use super::link::{Buffer, Link};

/// Why a body didn't come to its end.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum RelayError {
    /// Where it comes from ended or failed.
    Source,
    /// It isn't framed as it must be.
    Broken,
    /// Where it goes failed.
    Sink,
}

/// One direction of an exchange.
pub(super) struct Relay {
    body: Body,
    /// Bytes at the beginning of the buffer that were checked and may go.
    ready: usize,
    /// Framing isn't sent on.
    strip: bool,
    is_flushed: bool,
    /// Its sink was told of its end.
    is_shut: bool,
    /// Bytes that went.
    pub(super) moved: u64,
}

impl Relay {
    pub(super) fn new(length: Length, strip: bool) -> Relay {
        Relay {
            body: Body::new(length),
            ready: 0,
            strip,
            is_flushed: true,
            is_shut: false,
            moved: 0,
        }
    }

    /// All of it was read and has gone.
    pub(super) fn is_done(&self) -> bool {
        self.body.is_done() && self.ready == 0 && self.is_flushed
    }

    /// Nothing more is needed of where it comes from.
    pub(super) fn is_read(&self) -> bool {
        self.body.is_done()
    }

    /// Takes what has come already behind other bytes that are to be written, as far as there is
    /// room for it.
    pub(super) fn take(
        &mut self,
        buffer: &mut Buffer,
        out: &mut Vec<u8>,
        room: usize,
    ) -> Result<(), RelayError> {
        loop {
            self.check(buffer)?;
            let count = self.ready.min(room.saturating_sub(out.len()));
            if count == 0 {
                return Ok(());
            }
            out.extend_from_slice(&buffer.filled()[..count]);
            self.went(buffer, count);
        }
    }

    fn went(&mut self, buffer: &mut Buffer, count: usize) {
        buffer.consume(count);
        self.ready -= count;
        self.moved += count as u64;
    }

    /// Checks what is in the buffer, as far as it can be sent at once.
    fn check(&mut self, buffer: &mut Buffer) -> Result<(), RelayError> {
        loop {
            let unchecked = &buffer.filled()[self.ready..];
            // What is left out has to wait until what is before it has gone.
            if self.strip && self.ready > 0 {
                return Ok(());
            }
            match self.body.next(unchecked).map_err(|_| RelayError::Broken)? {
                Piece::Data(count) => self.ready += count,
                Piece::Framing(count) if self.strip => buffer.consume(count),
                Piece::Framing(count) => self.ready += count,
                Piece::More | Piece::End => return Ok(()),
            }
        }
    }

    /// Moves what can be moved; ready when all has gone. `moved` grows with every step.
    pub(super) fn poll(
        &mut self,
        from: &mut Link,
        buffer: &mut Buffer,
        to: &mut Link,
        context: &mut Context<'_>,
    ) -> Poll<Result<(), RelayError>> {
        loop {
            self.check(buffer)?;
            while self.ready > 0 {
                let bytes = &buffer.filled()[..self.ready];
                let written = ready!(Pin::new(&mut *to).poll_write(context, bytes));
                match written {
                    Ok(count) if count > 0 => self.went(buffer, count),
                    _ => return Poll::Ready(Err(RelayError::Sink)),
                }
                self.is_flushed = false;
            }
            if self.body.is_done() {
                return self.flush(to, context).map_err(|_| RelayError::Sink);
            }
            if !buffer.is_empty() {
                continue;
            }
            match buffer.poll_fill(from, context) {
                Poll::Ready(Ok(0)) if self.body.is_until_closed() => {
                    self.body = Body::new(Length::Of(0));
                }
                Poll::Ready(Ok(0) | Err(_)) => return Poll::Ready(Err(RelayError::Source)),
                Poll::Ready(Ok(_)) => {}
                Poll::Pending => {
                    ready!(self.flush(to, context)).map_err(|_| RelayError::Sink)?;
                    return Poll::Pending;
                }
            }
        }
    }

    /// As [`poll`](Self::poll), of what has no end of its own: when its source has ended, so is
    /// its sink told.
    pub(super) fn poll_to_end(
        &mut self,
        from: &mut Link,
        buffer: &mut Buffer,
        to: &mut Link,
        context: &mut Context<'_>,
    ) -> Poll<Result<(), RelayError>> {
        if self.is_shut {
            return Poll::Ready(Ok(()));
        }
        ready!(self.poll(from, buffer, to, context))?;
        let shut = ready!(Pin::new(to).poll_shutdown(context));
        self.is_shut = true;
        Poll::Ready(shut.map_err(|_| RelayError::Sink))
    }

    fn flush(&mut self, to: &mut Link, context: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        if !self.is_flushed {
            ready!(Pin::new(to).poll_flush(context))?;
            self.is_flushed = true;
        }
        Poll::Ready(Ok(()))
    }
}
