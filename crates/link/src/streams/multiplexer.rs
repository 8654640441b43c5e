//! All streams with one peer at one end: a step for each thing that can happen, the time always
//! passed in. The same calls at the same times give the same outputs.

use std::collections::{BTreeMap, VecDeque};
use std::ops::Bound;

use bytes::Bytes;
use types::{Monotonic, Span};

use super::message::{Said, StreamId, StreamMessageError, StreamReset, decode, encode, is_target};
use super::standing::{LinkStanding, OpenStreamError, StreamCounts};
use super::stream::{Stream, StreamRead, WINDOW_BUDGET};

/// Streams that each end may have opened at once: 64.
pub const MAXIMUM_STREAMS: usize = 64;

/// A stream of which nothing was said for so long is said to live: 2 s.
pub const KEEP_ALIVE: Span = Span::seconds(2);

/// A stream of which nothing was heard for so long, and four round trips, is reset: 10 s.
pub const STREAM_SILENCE: Span = Span::seconds(10);

/// Resets that wait to be told, at most. One that isn't told shows when the peer goes on.
const MAXIMUM_OWED: usize = 256;

/// Streams that came to both their ends and are remembered: what is still said of them is no
/// stranger's.
const REMEMBERED_COMPLETE: usize = 2 * MAXIMUM_STREAMS;

/// Earlier incarnations of the peer that are remembered: what they opened is not opened again.
const REMEMBERED: usize = 8;

/// A message for the peer: the payload of an envelope of lane `stream`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct StreamMessage {
    /// The stream's target: the envelope's resource. Empty if the stream isn't known here.
    pub target: String,
    /// The payload.
    pub payload: Bytes,
    pub(crate) stream: StreamId,
}

/// One end of all streams with one peer.
#[derive(Debug)]
pub struct Multiplexer {
    /// Drawn with the first stream that is opened here.
    incarnation: Option<u64>,
    next_number: u64,
    peer: Option<Incarnation>,
    retired: VecDeque<u64>,
    standing: Option<LinkStanding>,
    streams: BTreeMap<StreamId, Stream>,
    complete: VecDeque<StreamId>,
    /// Whose turn it was.
    turn: Option<StreamId>,
    owed: VecDeque<(StreamId, String, StreamReset)>,
    offers: VecDeque<(StreamId, String)>,
    /// Streams that somebody who waits for them should look at again.
    touched: Vec<StreamId>,
    budget: u64,
    counts: StreamCounts,
}

impl Default for Multiplexer {
    fn default() -> Self {
        Multiplexer::new()
    }
}

/// The peer's present run.
#[derive(Clone, Copy, Debug)]
struct Incarnation {
    incarnation: u64,
    /// The last stream that it opened.
    last: u64,
}

impl Multiplexer {
    /// Without streams.
    pub fn new() -> Multiplexer {
        Multiplexer {
            incarnation: None,
            next_number: 1,
            peer: None,
            retired: VecDeque::new(),
            standing: None,
            streams: BTreeMap::new(),
            complete: VecDeque::new(),
            turn: None,
            owed: VecDeque::new(),
            offers: VecDeque::new(),
            touched: Vec::new(),
            budget: WINDOW_BUDGET,
            counts: StreamCounts::default(),
        }
    }

    /// Opens a stream to what the peer calls so. Its first bytes may follow at once: whether the
    /// peer takes it shows by what comes back. `draw` gives 64 random bits: it is called for the
    /// first stream, and tells this run of the site from others.
    ///
    /// # Errors
    /// It isn't opened: no connection, too many, or no valid target.
    pub fn open(
        &mut self,
        now: Monotonic,
        target: &str,
        draw: impl FnOnce() -> u64,
    ) -> Result<StreamId, OpenStreamError> {
        if !is_target(target) {
            return Err(OpenStreamError::Target);
        }
        if !self.standing.is_some_and(|standing| standing.is_connected) {
            return Err(OpenStreamError::NotConnected);
        }
        if self.opened(true) >= MAXIMUM_STREAMS {
            return Err(OpenStreamError::TooMany);
        }
        let id = StreamId {
            is_ours: true,
            incarnation: *self.incarnation.get_or_insert_with(draw),
            number: self.next_number,
        };
        self.next_number += 1;
        self.counts.opened += 1;
        let stream = Stream::new(now, target.to_owned(), false);
        self.streams.insert(id, stream);
        Ok(id)
    }

    /// A stream that the peer opened, and what it wants: to be used, or reset.
    pub fn next_offer(&mut self) -> Option<(StreamId, String)> {
        self.offers.pop_front()
    }

    /// Takes as much of the bytes as there is room for; gives how much.
    ///
    /// # Errors
    /// The stream is over.
    pub fn write(&mut self, id: StreamId, bytes: &[u8]) -> Result<usize, StreamReset> {
        let stream = self.streams.get_mut(&id).ok_or(StreamReset::Unknown)?;
        match stream.reset {
            Some(reason) => Err(reason),
            None => Ok(stream.sending.write(bytes)),
        }
    }

    /// Ends this end's direction behind what was written.
    pub fn finish(&mut self, id: StreamId) {
        if let Some(stream) = self.streams.get_mut(&id) {
            stream.sending.end();
        }
    }

    /// The bytes that come next. What came in order is given also of a stream that was reset.
    ///
    /// # Errors
    /// The stream is over, and all that came of it was read.
    pub fn read(&mut self, id: StreamId) -> Result<StreamRead, StreamReset> {
        let stream = self.streams.get_mut(&id).ok_or(StreamReset::Unknown)?;
        let read = stream.receiving.pop();
        match (&read, stream.reset) {
            (StreamRead::Nothing, Some(reason)) => return Err(reason),
            (_, Some(_)) => return Ok(read),
            (_, None) => {}
        }
        let has_read = matches!(read, StreamRead::Bytes(_));
        if has_read && stream.receiving.grant(&mut self.budget) {
            stream.owes_credit = true;
        }
        Ok(read)
    }

    /// Why the stream is over, if it is.
    pub fn reset_of(&self, id: StreamId) -> Option<StreamReset> {
        match self.streams.get(&id) {
            Some(stream) => stream.reset,
            None => Some(StreamReset::Unknown),
        }
    }

    /// Gives a stream up, and tells the peer.
    pub fn reset(&mut self, id: StreamId, reason: StreamReset) {
        if let Some(stream) = self.streams.get_mut(&id)
            && stream.reset.is_none()
        {
            stream.end(reason);
            self.counts.resets += 1;
            self.touched.push(id);
            let target = stream.target.clone();
            self.owe(id, target, reason);
        }
    }

    /// Nobody holds this end any more. If both directions have ended, what is left to send still
    /// is; otherwise the stream is reset.
    pub fn release(&mut self, id: StreamId) {
        let Some(stream) = self.streams.get_mut(&id) else {
            return;
        };
        let is_done = stream.receiving.is_finished && stream.receiving.unread() == 0;
        let is_sending = stream.sending.is_ending() && !stream.sending.is_finished;
        if stream.reset.is_none() && is_done && is_sending {
            stream.is_detached = true;
            return;
        }
        if stream.is_live() {
            self.reset(id, StreamReset::Closed);
        }
        self.forget(id);
    }

    /// Takes a message that arrived.
    ///
    /// # Errors
    /// It can't be read. No stream is known to be concerned: which one was shows later.
    pub fn receive(&mut self, now: Monotonic, payload: Bytes) -> Result<(), StreamMessageError> {
        let (id, said) = decode(payload).inspect_err(|_| self.counts.unreadable += 1)?;
        if let Said::Open { target } = said {
            self.take_open(now, id, target);
            return Ok(());
        }
        let Some(stream) = self.streams.get_mut(&id) else {
            if !matches!(said, Said::Reset { .. }) && !self.complete.contains(&id) {
                self.owe(id, String::new(), StreamReset::Unknown);
            }
            return Ok(());
        };
        let is_reset = matches!(said, Said::Reset { .. });
        if stream.is_complete() {
            return Ok(());
        }
        if let Some(reason) = stream.reset {
            // It was told already, but by a message that may be lost.
            if !is_reset {
                let target = stream.target.clone();
                self.owe(id, target, reason);
            }
            return Ok(());
        }
        self.touched.push(id);
        match stream.take(now, said) {
            Ok(()) => {}
            Err(reason) if is_reset => self.end(id, reason),
            Err(reason) => self.reset(id, reason),
        }
        Ok(())
    }

    /// The next message for the peer, while there is a connection. Streams take turns.
    pub fn next_message(&mut self, now: Monotonic) -> Option<StreamMessage> {
        if !self.standing?.is_connected {
            return None;
        }
        if let Some((stream, target, reason)) = self.owed.pop_front() {
            let payload = encode(stream, &Said::Reset { reason });
            return Some(StreamMessage {
                target,
                payload,
                stream,
            });
        }
        let id = self.next_turn()?;
        self.turn = Some(id);
        let stream = self.streams.get_mut(&id)?;
        let said = stream.next(now)?;
        let message = StreamMessage {
            target: stream.target.clone(),
            payload: encode(id, &said),
            stream: id,
        };
        if stream.is_detached && stream.is_complete() {
            self.forget(id);
        } else if matches!(said, Said::Data { .. }) {
            // There is room for what its writer has.
            self.touched.push(id);
        }
        Some(message)
    }

    /// Whether `next_message` would give something.
    pub fn has_message(&self) -> bool {
        self.standing.is_some_and(|standing| standing.is_connected)
            && (!self.owed.is_empty() || self.next_turn().is_some())
    }

    /// A message that `next_message` gave was not taken by the link: its stream is over.
    pub fn not_sent(&mut self, message: &StreamMessage) {
        self.reset(message.stream, StreamReset::NotSent);
    }

    /// The link stands so now. If a connection was lost since, all streams are reset: which of
    /// them it had something of isn't known.
    pub fn follow(&mut self, standing: LinkStanding) {
        let before = self.standing.replace(standing);
        let is_lost = before.is_some_and(|before| before.generation != standing.generation);
        if is_lost {
            let live = self.streams.iter().filter(|(_, stream)| stream.is_live());
            let live: Vec<_> = live.map(|(id, _)| *id).collect();
            for id in live {
                self.reset(id, StreamReset::LinkLost);
            }
        }
    }

    /// Everything that time alone brings about.
    pub fn advance(&mut self, now: Monotonic) {
        let patience = self.patience();
        let mut silent = Vec::new();
        for (id, stream) in &mut self.streams {
            if !stream.is_live() {
                continue;
            }
            if stream.heard + patience <= now {
                silent.push(*id);
            } else if stream.said + KEEP_ALIVE <= now {
                stream.owes_credit = true;
            }
        }
        for id in silent {
            self.reset(id, StreamReset::Silent);
        }
    }

    /// When to call `advance` if nothing happens before.
    pub fn next_wake(&self) -> Option<Monotonic> {
        let patience = self.patience();
        let live = self.streams.values().filter(|stream| stream.is_live());
        let wakes = live.flat_map(|stream| {
            let keep_alive = (!stream.owes_credit).then_some(stream.said + KEEP_ALIVE);
            [Some(stream.heard + patience), keep_alive]
        });
        wakes.flatten().min()
    }

    /// Streams that somebody who waits for them should look at again, since the last call.
    pub fn take_touched(&mut self) -> Vec<StreamId> {
        std::mem::take(&mut self.touched)
    }

    /// What has happened.
    pub fn counts(&self) -> StreamCounts {
        StreamCounts {
            open: self.streams.len() as u64,
            ..self.counts
        }
    }

    /// Bytes that came and were not read yet, of all streams.
    pub fn unread(&self) -> u64 {
        let streams = self.streams.values();
        streams.map(|stream| stream.receiving.unread()).sum()
    }

    fn patience(&self) -> Span {
        let round_trip = self.standing.unwrap_or_default().round_trip;
        Span(
            STREAM_SILENCE
                .0
                .saturating_add(round_trip.0.saturating_mul(4)),
        )
    }

    fn opened(&self, is_ours: bool) -> usize {
        let ids = self.streams.keys();
        ids.filter(|id| id.is_ours == is_ours).count()
    }

    fn next_turn(&self) -> Option<StreamId> {
        let has_next = |(id, stream): (&StreamId, &Stream)| stream.has_next().then_some(*id);
        let after = match self.turn {
            Some(turn) => (Bound::Excluded(turn), Bound::Unbounded),
            None => (Bound::Unbounded, Bound::Unbounded),
        };
        let behind = self.streams.range(after).find_map(has_next);
        behind.or_else(|| self.streams.iter().find_map(has_next))
    }

    fn take_open(&mut self, now: Monotonic, id: StreamId, target: String) {
        if id.is_ours || self.retired.contains(&id.incarnation) {
            self.owe(id, target, StreamReset::Unknown);
            return;
        }
        match &mut self.peer {
            Some(peer) if peer.incarnation == id.incarnation => {
                if id.number <= peer.last {
                    match self.streams.contains_key(&id) {
                        true => self.reset(id, StreamReset::Sequence),
                        false => self.owe(id, target, StreamReset::Sequence),
                    }
                    return;
                }
                peer.last = id.number;
            }
            _ => self.take_incarnation(id),
        }
        if self.opened(false) >= MAXIMUM_STREAMS {
            self.owe(id, target, StreamReset::Busy);
            return;
        }
        self.counts.offered += 1;
        let stream = Stream::new(now, target.clone(), true);
        self.streams.insert(id, stream);
        self.offers.push_back((id, target));
    }

    /// The peer has started anew: what it had opened before is over.
    fn take_incarnation(&mut self, id: StreamId) {
        let now = Incarnation {
            incarnation: id.incarnation,
            last: id.number,
        };
        let Some(before) = self.peer.replace(now) else {
            return;
        };
        self.retired.push_back(before.incarnation);
        if self.retired.len() > REMEMBERED {
            self.retired.pop_front();
        }
        let theirs = self.streams.iter();
        let theirs = theirs.filter(|(id, stream)| !id.is_ours && stream.is_live());
        let theirs: Vec<_> = theirs.map(|(id, _)| *id).collect();
        for id in theirs {
            self.end(id, StreamReset::Restarted);
        }
    }

    /// A stream is over, as the peer knows.
    fn end(&mut self, id: StreamId, reason: StreamReset) {
        let Some(stream) = self.streams.get_mut(&id) else {
            return;
        };
        stream.end(reason);
        self.counts.resets += 1;
        self.touched.push(id);
        if stream.is_detached {
            self.forget(id);
        }
    }

    fn owe(&mut self, id: StreamId, target: String, reason: StreamReset) {
        if self.owed.len() >= MAXIMUM_OWED {
            self.owed.pop_front();
        }
        self.owed.push_back((id, target, reason));
        if self
            .streams
            .get(&id)
            .is_some_and(|stream| stream.is_detached)
        {
            self.forget(id);
        }
    }

    fn forget(&mut self, id: StreamId) {
        if let Some(gone) = self.streams.remove(&id) {
            self.budget += gone.receiving.borrowed();
            if gone.is_complete() {
                self.complete.push_back(id);
                if self.complete.len() > REMEMBERED_COMPLETE {
                    self.complete.pop_front();
                }
            }
            self.offers.retain(|(offered, _)| *offered != id);
        }
    }
}
