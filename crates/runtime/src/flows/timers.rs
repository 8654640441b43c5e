//! What a thread does later: which flow is looked at again, and when. A timer isn't taken back:
//! who is woken looks whether there is anything to do.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::{Duration, Instant};

use super::slots::Id;

/// Which flows are looked at when.
pub(super) struct Timers(BinaryHeap<Reverse<(Instant, Id)>>);

impl Timers {
    pub(super) fn new() -> Timers {
        Timers(BinaryHeap::new())
    }

    /// Looks at the flow then.
    pub(super) fn set(&mut self, at: Instant, id: Id) {
        self.0.push(Reverse((at, id)));
    }

    /// How long it is until the next; none if there is none.
    pub(super) fn wait(&self, now: Instant) -> Option<Duration> {
        let Reverse((at, _)) = self.0.peek()?;
        Some(at.saturating_duration_since(now))
    }

    /// A flow whose time has come.
    pub(super) fn due(&mut self, now: Instant) -> Option<Id> {
        let Reverse((at, _)) = self.0.peek()?;
        if *at > now {
            return None;
        }
        self.0.pop().map(|Reverse((_, id))| id)
    }
}
