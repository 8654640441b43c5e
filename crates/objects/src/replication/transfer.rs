//! Versions that are being received from one Region, and the order of their messages: those of one
//! task are taken in one after the other, those of different tasks beside each other.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use event_listener::Event;
use types::{Monotonic, Span};

use super::message::Offer;
use crate::content::{Ingest, RawIngest, Staged};
use crate::{Bucket, Extent, ObjectError, ObjectKey, ObjectVersion};

/// A transfer of which nothing is heard for so long is forgotten; what is staged of it stays.
const FORGOTTEN: Span = Span::seconds(3600);

/// Transfers from one Region.
#[derive(Default)]
pub(super) struct Transfers(BTreeMap<u64, Arc<Transfer>>);

/// One task's transfer.
#[derive(Default)]
pub(super) struct Transfer {
    turns: Mutex<Turns>,
    bell: Event,
    /// What has come; taken out by whose turn it is.
    progress: Mutex<Option<Box<Progress>>>,
    heard: Mutex<Monotonic>,
}

#[derive(Default)]
struct Turns {
    next: u64,
    now: u64,
    /// Turns that were given up or are over before those ahead of them.
    over: BTreeSet<u64>,
}

/// A place in the line of a transfer's messages. Dropped, it lets the next one on.
pub(super) struct Turn {
    transfer: Arc<Transfer>,
    number: u64,
}

/// What has come of a version whose content comes in pieces.
pub(super) struct Progress {
    pub offer: Offer,
    pub bucket: Bucket,
    pub key: ObjectKey,
    /// The version as it is to be here, but for its content's place.
    pub version: ObjectVersion,
    /// The parts that are whole.
    pub parts: Vec<Extent>,
    /// The part that is coming.
    pub arriving: Option<Arriving>,
    /// What is on disk of the part that isn't told yet.
    pub begun: Option<Staged>,
    /// What was asked for and hasn't come: it isn't asked for again.
    pub asked: Option<(u32, u64)>,
}

/// A part that is coming.
pub(super) struct Arriving {
    /// Its facts, as its source has them.
    pub told: Extent,
    pub bytes: ArrivingBytes,
    /// How many bytes were on disk when it was last staged.
    pub staged: u64,
}

pub(super) enum ArrivingBytes {
    Plain(Box<Ingest>),
    Stored(Box<RawIngest>),
}

impl Transfers {
    /// A place in the line of a task's messages; a task that isn't known begins with it.
    pub fn turn(&mut self, task: u64, now: Monotonic) -> Turn {
        let transfer = self.0.entry(task).or_default().clone();
        *transfer.heard.lock().expect("nothing panics inside") = now;
        let number = {
            let mut turns = transfer.turns.lock().expect("nothing panics inside");
            turns.next += 1;
            turns.next - 1
        };
        Turn { transfer, number }
    }

    /// The first place in the line of a task that isn't known: messages that come wait behind it.
    /// None: it is known.
    pub fn turn_of_unknown(&mut self, task: u64, now: Monotonic) -> Option<Turn> {
        (!self.knows(task)).then(|| self.turn(task, now))
    }

    /// Forgets a transfer that has ended, if nobody is in its line but that one.
    pub fn ended(&mut self, task: u64, turn: &Turn) {
        let last = |transfer: &Arc<Transfer>| {
            let turns = transfer.turns.lock().expect("nothing panics inside");
            Arc::ptr_eq(transfer, &turn.transfer) && turns.next == turn.number + 1
        };
        if self.0.get(&task).is_some_and(last) {
            self.0.remove(&task);
        }
    }

    /// Is that task being received now?
    fn knows(&self, task: u64) -> bool {
        self.0.contains_key(&task)
    }

    /// Forgets those that nothing is heard of.
    pub fn forget_silent(&mut self, now: Monotonic) {
        self.0.retain(|_, transfer| {
            let heard = *transfer.heard.lock().expect("nothing panics inside");
            now - heard < FORGOTTEN
        });
    }
}

impl Turn {
    /// Waits until those ahead are done.
    pub async fn come(&self) {
        loop {
            let bell = self.transfer.bell.listen();
            let now = self
                .transfer
                .turns
                .lock()
                .expect("nothing panics inside")
                .now;
            if now == self.number {
                return;
            }
            bell.await;
        }
    }

    /// What has come, taken out.
    pub fn take(&self) -> Option<Box<Progress>> {
        let mut progress = self.transfer.progress.lock();
        progress.as_mut().expect("nothing panics inside").take()
    }

    /// Puts back what has come.
    pub fn put(&self, progress: Box<Progress>) {
        let mut slot = self
            .transfer
            .progress
            .lock()
            .expect("nothing panics inside");
        *slot = Some(progress);
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        let mut turns = self.transfer.turns.lock().expect("nothing panics inside");
        turns.over.insert(self.number);
        loop {
            let now = turns.now;
            if !turns.over.remove(&now) {
                break;
            }
            turns.now += 1;
        }
        drop(turns);
        self.transfer.bell.notify(usize::MAX);
    }
}

impl Progress {
    /// What is wanted next.
    pub fn wanted(&self) -> (u32, u64) {
        let offset = match (&self.arriving, &self.begun) {
            (Some(arriving), _) => arriving.length(),
            (None, Some(begun)) => begun.length,
            (None, None) => 0,
        };
        (self.parts.len() as u32, offset)
    }

    /// Are all parts whole?
    pub fn is_whole(&self) -> bool {
        self.parts.len() as u32 >= self.offer.parts
    }
}

impl Arriving {
    /// How many bytes have come, as its source counts them.
    pub fn length(&self) -> u64 {
        match &self.bytes {
            ArrivingBytes::Plain(ingest) => ingest.size(),
            ArrivingBytes::Stored(ingest) => ingest.progress().0,
        }
    }

    /// Has all of it come?
    pub fn is_whole(&self) -> bool {
        match &self.bytes {
            ArrivingBytes::Plain(ingest) => ingest.size() >= self.told.size,
            ArrivingBytes::Stored(ingest) => {
                let (length, of) = ingest.progress();
                length >= of
            }
        }
    }

    pub async fn push(&mut self, bytes: Bytes) -> Result<(), ObjectError> {
        match &mut self.bytes {
            ArrivingBytes::Plain(ingest) => ingest.push(bytes).await,
            ArrivingBytes::Stored(ingest) => ingest.push(bytes).await,
        }
    }

    pub async fn stage(&mut self) -> Result<Staged, ObjectError> {
        let staged = match &mut self.bytes {
            ArrivingBytes::Plain(ingest) => ingest.stage().await?,
            ArrivingBytes::Stored(ingest) => ingest.stage().await?,
        };
        self.staged = self.length();
        Ok(staged)
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    #[test]
    fn messages_of_a_task_go_in_line_also_past_those_given_up() {
        let mut transfers = Transfers::default();
        let [first, second, third] = [0; 3].map(|_| transfers.turn(1, Monotonic(0)));
        let other = transfers.turn(2, Monotonic(0));
        assert!(first.come().now_or_never().is_some());
        assert!(other.come().now_or_never().is_some());
        assert!(second.come().now_or_never().is_none());
        drop(second);
        assert!(third.come().now_or_never().is_none());
        transfers.ended(1, &first);
        assert!(transfers.knows(1));
        drop(first);
        assert!(third.come().now_or_never().is_some());
        transfers.ended(1, &third);
        assert!(!transfers.knows(1));
        let silent = transfers.turn_of_unknown(1, Monotonic(0)).unwrap();
        assert!(transfers.turn_of_unknown(1, Monotonic(0)).is_none());
        let offered = transfers.turn(1, Monotonic(0));
        assert!(offered.come().now_or_never().is_none());
        transfers.ended(1, &silent);
        drop(silent);
        assert!(offered.come().now_or_never().is_some());
        transfers.forget_silent(Monotonic(0) + FORGOTTEN);
        assert!(!transfers.knows(2));
    }
}
