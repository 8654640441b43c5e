//! What the writer says to a session that forwards: its answers go to the client as they are, and
//! what becomes of a unit whose answer never comes is told.

use std::io;

use tokio::time::{Duration, timeout};

use super::decide::{Block, Wrote};
use super::failure::Failure;
use super::frames::{Frame, HEADER, field, message};
use super::session::{Awaited, Session};
use super::unit::{End, Side};
use super::writer::{Writer, row};

/// How long the writer may take to be told that a statement is to be cancelled.
const CANCELLING: Duration = Duration::from_secs(5);

impl Session<'_> {
    /// Takes what came of the writer; `None`: it is no more, for that reason.
    pub(super) async fn hear(&mut self, said: Result<bytes::Bytes, String>) -> io::Result<()> {
        match said {
            // It was its endpoint's to pass on, but may have been on its way since.
            Ok(_) if !self.forwarding.is_writer(&self.wrote_at) => {
                self.lose_writer("another cluster writes by now").await
            }
            Ok(bytes) => {
                if let Some(writer) = &mut self.writer {
                    writer.frames.push(&bytes);
                }
                self.pass_writer().await
            }
            Err(why) => {
                let why = self.last_words.take().unwrap_or(why);
                self.lose_writer(&why).await
            }
        }
    }

    /// Passes on what the writer says to the unit that it was given.
    async fn pass_writer(&mut self) -> io::Result<()> {
        let mut out = Vec::new();
        while let Some(writer) = &mut self.writer {
            let frame = match writer.frames.next() {
                Ok(Some(frame)) => frame,
                Ok(None) => break,
                Err(_) => {
                    self.deliver(&std::mem::take(&mut out)).await?;
                    self.lose_writer("what it says can't be understood").await?;
                    break;
                }
            };
            let Frame::Whole(bytes) = &frame else {
                out.extend_from_slice(frame.bytes());
                continue;
            };
            let body = &bytes[HEADER..];
            match (bytes[0], self.awaited) {
                // The session is its own server's: what the writer's is set to is nobody's affair.
                (b'S' | b'A' | b'K', _) => {}
                (b'E', _) if field(body, b'V').is_some_and(|it| it != "ERROR") => {
                    self.last_words = field(body, b'M');
                }
                (b'D', Awaited::Place) => self.wrote = Wrote::read(row(body).pop().flatten()),
                (b'Z', Awaited::Place) => self.next_unit(),
                (_, Awaited::Place) => {}
                (b'1', _) if self.parses.pop() => {}
                (b'3', _) if self.closes.pop() => {}
                (b'Z', _) => {
                    let status = body.first().copied().unwrap_or(b'E');
                    let bytes = self.finish_writer(status).await?;
                    out.extend_from_slice(&bytes);
                }
                (kind, _) => {
                    match kind {
                        b'E' => {
                            self.names.doubt(Side::Writer);
                            // A COMMIT that fails gives no tag; what comes behind it does.
                            self.ended = End::Rollback;
                        }
                        b'C' if body.starts_with(b"COMMIT") => self.ended = End::Commit,
                        b'C' if body.starts_with(b"ROLLBACK") => self.ended = End::Rollback,
                        _ => {}
                    }
                    out.extend_from_slice(bytes);
                }
            }
        }
        self.deliver(&out).await
    }

    /// The writer has carried out the unit that it was given: what the client is told.
    async fn finish_writer(&mut self, status: u8) -> io::Result<Vec<u8>> {
        if self.block == Block::None && status != b'I' {
            // Its end would be told and be none. Nobody can tell what else was taken otherwise.
            self.drop_writer();
            self.wrote = Wrote::Unknown;
            self.next_unit();
            let failure = Failure::unknown("a transaction was begun there unseen");
            let ready = message(b'Z', &[&[self.status]]);
            return Ok([failure.response(), ready].concat());
        }
        let was_in_block = matches!(self.block, Block::Forwarded { .. });
        let told = self.settle_writer(status, self.ended).await?;
        if self.under_way == Some(Side::Writer) {
            match self.unit.shape.commits(was_in_block) {
                true => {
                    // Until it is known: what was committed may be anywhere.
                    self.wrote = Wrote::Unknown;
                    self.awaited = Awaited::Place;
                }
                false => self.next_unit(),
            }
        }
        Ok(message(b'Z', &[&[told]]))
    }

    /// The session at the writer is gone.
    async fn lose_writer(&mut self, why: &str) -> io::Result<()> {
        tracing::debug!(why, "a session at a global cluster's writer has ended");
        self.break_writer()?;
        let is_concerned = self.unit.side == Some(Side::Writer);
        if is_concerned && self.awaited == Awaited::Place {
            self.next_unit();
            return Ok(());
        }
        if !is_concerned {
            if let Block::Forwarded { .. } = self.block {
                self.block = Block::Lost(why.to_owned());
            }
            return Ok(());
        }
        let in_block = matches!(self.block, Block::Forwarded { .. });
        let failure = match self.unit.shape.commits(in_block) {
            true => {
                // A read that looks for it is to see it, if it is there.
                self.wrote = Wrote::Unknown;
                Failure::unknown(why)
            }
            false => Failure::lost(why),
        };
        self.refuse(&failure).await
    }

    /// Gives up a session at the writer that has nothing to do.
    pub(super) fn leave_writer(&mut self, why: &str) {
        self.drop_writer();
        if let Block::Forwarded { .. } = self.block {
            self.block = Block::Lost(why.to_owned());
        }
    }

    /// Gives up a session at the writer whose answer isn't whole yet.
    ///
    /// # Errors
    /// The client has the beginning of a message, behind which it would take nothing for another.
    pub(super) fn break_writer(&mut self) -> io::Result<()> {
        let is_amid = |writer: &Writer| writer.frames.is_amid();
        let is_amid = self.writer.as_ref().is_some_and(is_amid);
        self.drop_writer();
        match is_amid {
            true => Err(io::ErrorKind::ConnectionAborted.into()),
            false => Ok(()),
        }
    }

    pub(super) fn drop_writer(&mut self) {
        self.writer = None;
        self.last_words = None;
        self.names.lose_all(Side::Writer);
    }

    /// Has the writer cancel what is under way there, if anything is.
    pub(super) fn cancel_at_writer(&mut self) {
        let key = self.writer.as_ref().and_then(|writer| writer.key);
        let (Some(key), Some(Side::Writer)) = (key, self.unit.side) else {
            return;
        };
        let Ok(opened) = self.forwarding.open_to_cancel() else {
            return;
        };
        tokio::spawn(async move {
            let packet = [&[0, 0, 0, 16, 4, 210, 22, 46], &key[..]].concat();
            let told = timeout(CANCELLING, async {
                opened.end.write(&packet).await?;
                opened.end.finish();
                opened.end.read().await
            });
            if !matches!(told.await, Ok(Ok(_))) {
                tracing::debug!("a request to cancel may not have reached the writer");
            }
        });
    }
}

/// What comes of the writer next; for ever, if there is no session there.
pub(super) async fn said(writer: Option<&Writer>) -> Result<bytes::Bytes, String> {
    match writer {
        None => std::future::pending().await,
        Some(writer) => match writer.end.read().await {
            Ok(Some(bytes)) => Ok(bytes),
            Ok(None) => Err("it ended it".to_owned()),
            Err(cause) => Err(cause.to_string()),
        },
    }
}
