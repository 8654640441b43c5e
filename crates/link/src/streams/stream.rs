//! One stream at one end: what it has yet to send, what came and was not read yet, and the credit
//! that bounds both. It knows no other streams and no time but what its window grows by.

use std::collections::VecDeque;

use bytes::{Bytes, BytesMut};
use types::Monotonic;

use super::message::{MAXIMUM_CHUNK, Said, StreamReset};

/// What each end may send of a stream unasked, and the smallest window: 256 KiB.
pub const FIRST_WINDOW: u64 = 256 << 10;

/// The largest window: 8 MiB carry 300 Mbit/s over a round trip of 220 ms, which is as much as
/// the class has.
pub const MAXIMUM_WINDOW: u64 = 8 << 20;

/// What the windows of all streams with one peer may have beyond `FIRST_WINDOW` each: 48 MiB. With
/// the first windows of `MAXIMUM_STREAMS` both ways it is what a peer can make a site hold.
pub const WINDOW_BUDGET: u64 = 48 << 20;

/// What a stream takes from its writer beyond what it may send: 256 KiB.
pub const SEND_BUFFER: usize = 256 << 10;

/// Pieces shorter than this are joined: memory follows the bytes, however they are cut.
const SMALL: usize = 4 << 10;

/// What there is to read of a stream.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum StreamRead {
    /// The bytes that come next: at least one.
    Bytes(Bytes),
    /// Nothing yet.
    Nothing,
    /// Nothing more: the peer has ended its direction, and all of it was read.
    End,
}

/// A stream at this end.
#[derive(Debug)]
pub(super) struct Stream {
    pub(super) target: String,
    pub(super) sending: Sending,
    pub(super) receiving: Receiving,
    /// When it was last heard of.
    pub(super) heard: Monotonic,
    /// When something was last said of it.
    pub(super) said: Monotonic,
    /// The peer was told that it begins.
    pub(super) is_announced: bool,
    /// Credit is to be told, or that it lives.
    pub(super) owes_credit: bool,
    /// Nobody holds this end any more: it only sends what it has.
    pub(super) is_detached: bool,
    /// Why it is over.
    pub(super) reset: Option<StreamReset>,
}

/// This end's direction.
#[derive(Debug)]
pub(super) struct Sending {
    buffer: BytesMut,
    /// Bytes that were sent.
    sent: u64,
    /// Bytes that may be sent.
    credit: u64,
    /// Its writer has ended it.
    is_ending: bool,
    /// Its end was sent.
    pub(super) is_finished: bool,
}

/// The peer's direction.
#[derive(Debug)]
pub(super) struct Receiving {
    pieces: VecDeque<Bytes>,
    /// What came in small pieces since.
    tail: BytesMut,
    received: u64,
    read: u64,
    granted: u64,
    pub(super) window: u64,
    /// What came last used its sender's credit up.
    is_held: bool,
    /// Its end came.
    pub(super) is_finished: bool,
}

impl Stream {
    pub(super) fn new(now: Monotonic, target: String, is_announced: bool) -> Stream {
        Stream {
            target,
            sending: Sending {
                buffer: BytesMut::new(),
                sent: 0,
                credit: FIRST_WINDOW,
                is_ending: false,
                is_finished: false,
            },
            receiving: Receiving {
                pieces: VecDeque::new(),
                tail: BytesMut::new(),
                received: 0,
                read: 0,
                granted: FIRST_WINDOW,
                window: FIRST_WINDOW,
                is_held: false,
                is_finished: false,
            },
            heard: now,
            said: now,
            is_announced,
            owes_credit: false,
            is_detached: false,
            reset: None,
        }
    }

    /// Both directions have ended: nothing more crosses, and nothing that comes can matter.
    pub(super) fn is_complete(&self) -> bool {
        self.sending.is_finished && self.receiving.is_finished
    }

    /// Something may still cross.
    pub(super) fn is_live(&self) -> bool {
        self.reset.is_none() && !self.is_complete()
    }

    /// It is over. What came in order can still be read; what was to be sent is gone.
    pub(super) fn end(&mut self, reason: StreamReset) {
        self.reset.get_or_insert(reason);
        self.sending.buffer = BytesMut::new();
        self.owes_credit = false;
    }

    /// What is to be said of it next.
    pub(super) fn next(&mut self, now: Monotonic) -> Option<Said> {
        if self.reset.is_some() {
            return None;
        }
        let said = if !self.is_announced {
            self.is_announced = true;
            let target = self.target.clone();
            Some(Said::Open { target })
        } else if self.owes_credit && !self.is_complete() {
            self.owes_credit = false;
            Some(Said::Credit {
                total: self.receiving.granted,
                sent: self.sending.sent,
                finished: self.sending.is_finished,
            })
        } else {
            self.sending.next()
        };
        if said.is_some() {
            self.said = now;
        }
        said
    }

    /// Whether `next` would give something.
    pub(super) fn has_next(&self) -> bool {
        let credit = self.owes_credit && !self.is_complete();
        self.reset.is_none() && (!self.is_announced || credit || self.sending.has_next())
    }

    /// Takes what the peer said.
    ///
    /// # Errors
    /// The stream is over, for that reason: the peer broke a rule, or the link its promise.
    pub(super) fn take(&mut self, now: Monotonic, said: Said) -> Result<(), StreamReset> {
        self.heard = now;
        let receiving = &mut self.receiving;
        match said {
            Said::Data {
                offset,
                is_held,
                bytes,
            } => receiving.push(offset, is_held, bytes),
            Said::Finish { offset } => {
                if receiving.is_finished || offset != receiving.received {
                    return Err(StreamReset::Sequence);
                }
                receiving.is_finished = true;
                Ok(())
            }
            Said::Credit {
                total,
                sent,
                finished,
            } => {
                if (sent, finished) != (receiving.received, receiving.is_finished) {
                    return Err(StreamReset::Sequence);
                }
                self.sending.credit = self.sending.credit.max(total);
                Ok(())
            }
            Said::Open { .. } => Err(StreamReset::Sequence),
            Said::Reset { reason } => Err(reason),
        }
    }
}

impl Sending {
    /// Takes as much of the bytes as there is room for.
    pub(super) fn write(&mut self, bytes: &[u8]) -> usize {
        if self.is_ending {
            return 0;
        }
        let count = bytes.len().min(SEND_BUFFER - self.buffer.len());
        self.buffer.extend_from_slice(&bytes[..count]);
        count
    }

    /// Nothing more will be written.
    pub(super) fn end(&mut self) {
        self.is_ending = true;
    }

    /// Its writer has ended it.
    pub(super) fn is_ending(&self) -> bool {
        self.is_ending
    }

    fn allowed(&self) -> usize {
        let credit = self.credit.saturating_sub(self.sent);
        let credit = usize::try_from(credit).unwrap_or(usize::MAX);
        credit.min(self.buffer.len()).min(MAXIMUM_CHUNK)
    }

    fn has_next(&self) -> bool {
        self.allowed() > 0 || (self.is_ending && !self.is_finished && self.buffer.is_empty())
    }

    fn next(&mut self) -> Option<Said> {
        let allowed = self.allowed();
        let offset = self.sent;
        if allowed > 0 {
            self.sent += allowed as u64;
            return Some(Said::Data {
                offset,
                is_held: self.sent == self.credit,
                bytes: self.buffer.split_to(allowed).freeze(),
            });
        }
        if !self.has_next() {
            return None;
        }
        self.is_finished = true;
        Some(Said::Finish { offset })
    }
}

impl Receiving {
    /// Bytes that came and were not read yet.
    pub(super) fn unread(&self) -> u64 {
        self.received - self.read
    }

    fn push(&mut self, offset: u64, is_held: bool, bytes: Bytes) -> Result<(), StreamReset> {
        if self.is_finished || offset != self.received {
            return Err(StreamReset::Sequence);
        }
        let received = self.received + bytes.len() as u64;
        if received > self.granted {
            return Err(StreamReset::Credit);
        }
        self.received = received;
        self.is_held = is_held;
        if bytes.len() < SMALL {
            self.tail.extend_from_slice(&bytes);
            return Ok(());
        }
        if !self.tail.is_empty() {
            self.pieces.push_back(self.tail.split().freeze());
        }
        self.pieces.push_back(bytes);
        Ok(())
    }

    /// The bytes that come next.
    pub(super) fn pop(&mut self) -> StreamRead {
        let piece = match self.pieces.pop_front() {
            Some(piece) => piece,
            None if !self.tail.is_empty() => std::mem::take(&mut self.tail).freeze(),
            None if self.is_finished => return StreamRead::End,
            None => return StreamRead::Nothing,
        };
        self.read += piece.len() as u64;
        StreamRead::Bytes(piece)
    }

    /// Grants what was read again, and twice the window if that is what bounds the stream: its
    /// sender has used its credit up and its reader has read all that came. What a window gains is
    /// taken from `budget`. Whether it is worth a message.
    pub(super) fn grant(&mut self, budget: &mut u64) -> bool {
        if self.is_finished {
            return false;
        }
        if self.unread() == 0
            && std::mem::take(&mut self.is_held)
            && self.window < MAXIMUM_WINDOW
            && *budget >= self.window
        {
            *budget -= self.window;
            self.window *= 2;
        }
        let target = self.read + self.window;
        let is_worth_it = target - self.granted >= self.window / 4;
        if is_worth_it {
            self.granted = target;
        }
        is_worth_it
    }

    /// What it has of the windows' budget.
    pub(super) fn borrowed(&self) -> u64 {
        self.window - FIRST_WINDOW
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Monotonic = Monotonic(1_000_000);

    fn data(offset: u64, length: usize) -> Said {
        Said::Data {
            offset,
            is_held: false,
            bytes: Bytes::from(vec![7; length]),
        }
    }

    #[test]
    fn what_is_missing_repeated_or_too_much_ends_it() {
        let taken = |said: Vec<Said>| {
            let mut stream = Stream::new(NOW, "db".to_owned(), true);
            let mut taken = said.into_iter().map(|said| stream.take(NOW, said));
            taken.find_map(Result::err)
        };
        let credit = |sent, finished| Said::Credit {
            total: 0,
            sent,
            finished,
        };
        let finish = |offset| Said::Finish { offset };
        let sequence = Some(StreamReset::Sequence);
        assert_eq!(taken(vec![data(0, 9), credit(9, false), data(9, 1)]), None);
        assert_eq!(taken(vec![data(0, 9), data(0, 9)]), sequence);
        assert_eq!(taken(vec![data(0, 9), data(10, 9)]), sequence);
        assert_eq!(taken(vec![data(0, 9), finish(9), data(9, 1)]), sequence);
        assert_eq!(taken(vec![data(0, 9), finish(10)]), sequence);
        assert_eq!(taken(vec![finish(0), finish(0)]), sequence);
        // The last message was lost, and only its loss is to be seen.
        assert_eq!(taken(vec![data(0, 9), credit(10, false)]), sequence);
        assert_eq!(taken(vec![data(0, 9), credit(9, true)]), sequence);
        let window = usize::try_from(FIRST_WINDOW).unwrap();
        assert_eq!(taken(vec![data(0, window)]), None);
        assert_eq!(taken(vec![data(0, window + 1)]), Some(StreamReset::Credit));
    }

    #[test]
    fn it_sends_no_more_than_its_credit_and_takes_no_more_than_its_buffer() {
        let mut stream = Stream::new(NOW, "db".to_owned(), true);
        let bytes = vec![7; 2 * SEND_BUFFER];
        assert_eq!(stream.sending.write(&bytes), SEND_BUFFER);
        assert_eq!(stream.sending.write(&bytes), 0);
        let mut sent = 0;
        while let Some(said) = stream.next(NOW) {
            let Said::Data {
                offset,
                is_held,
                bytes,
            } = said
            else {
                panic!("there is nothing else to say");
            };
            assert_eq!(offset, sent);
            sent += bytes.len() as u64;
            assert_eq!(is_held, sent == FIRST_WINDOW);
        }
        assert_eq!(sent, FIRST_WINDOW);
        assert_eq!(stream.sending.write(&bytes[..10]), 10);
        assert_eq!(stream.next(NOW), None);
        let credit = Said::Credit {
            total: FIRST_WINDOW + 4,
            sent: 0,
            finished: false,
        };
        assert_eq!(stream.take(NOW, credit), Ok(()));
        let last = Said::Data {
            offset: FIRST_WINDOW,
            is_held: true,
            bytes: Bytes::from(vec![7; 4]),
        };
        assert_eq!(stream.next(NOW), Some(last));
        stream.sending.end();
        assert_eq!(stream.next(NOW), None, "its end comes behind its bytes");
    }

    #[test]
    fn single_bytes_take_no_more_room_than_their_number() {
        let mut stream = Stream::new(NOW, "db".to_owned(), true);
        for offset in 0..10_000 {
            assert_eq!(stream.take(NOW, data(offset, 1)), Ok(()));
        }
        assert!(stream.receiving.pieces.is_empty());
        assert_eq!(stream.take(NOW, data(10_000, SMALL)), Ok(()));
        let StreamRead::Bytes(first) = stream.receiving.pop() else {
            panic!("there is something");
        };
        assert_eq!(first.len(), 10_000);
        assert_eq!(stream.receiving.unread(), SMALL as u64);
    }

    #[test]
    fn a_window_grows_while_it_bounds_the_stream_and_the_budget_lasts() {
        let mut budget = FIRST_WINDOW * 3;
        let mut receiving = Stream::new(NOW, "db".to_owned(), true).receiving;
        let mut offset = 0;
        let mut use_window = |receiving: &mut Receiving, held: bool, left: usize| {
            let pieces = receiving.window / (64 << 10);
            for piece in 1..=pieces {
                let bytes = Bytes::from(vec![7; 64 << 10]);
                let is_held = held && piece == pieces;
                receiving.push(offset, is_held, bytes).unwrap();
                offset += 64 << 10;
            }
            while receiving.pieces.len() > left {
                receiving.pop();
                receiving.grant(&mut budget);
            }
            receiving.window / FIRST_WINDOW
        };
        assert_eq!(
            use_window(&mut receiving, false, 0),
            1,
            "its sender isn't held"
        );
        assert_eq!(use_window(&mut receiving, true, 1), 1, "its reader is late");
        receiving.pop();
        receiving.grant(&mut 0);
        assert_eq!(use_window(&mut receiving, true, 0), 2);
        assert_eq!(use_window(&mut receiving, true, 0), 4);
        assert_eq!(
            use_window(&mut receiving, true, 0),
            4,
            "the budget is used up"
        );
        assert_eq!(receiving.borrowed(), 3 * FIRST_WINDOW);
        assert_eq!(budget, 0);
    }
}
