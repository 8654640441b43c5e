//! Datagrams that arrive later: a lab's geography. They wait in memory until their time has come;
//! with too many bytes under way more are dropped, as a full link drops them.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use super::super::slots::Id;

/// Where a datagram goes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Towards {
    /// To the endpoint; so many of its bytes are a header of ours.
    Endpoint(usize),
    /// To the client.
    Client,
}

/// Datagrams under way.
pub(super) struct Later {
    datagrams: BTreeMap<(Instant, u64), (Id, Towards, Vec<u8>)>,
    sequence: u64,
    under_way: usize,
    most: usize,
}

/// What an empty datagram counts for.
const LEAST: usize = 128;

impl Later {
    /// `most`: bytes that may be under way.
    pub(super) fn new(most: usize) -> Later {
        Later {
            datagrams: BTreeMap::new(),
            sequence: 0,
            under_way: 0,
            most,
        }
    }

    /// A datagram of that flow arrives then; false if it is dropped.
    pub(super) fn add(&mut self, due: Instant, id: Id, to: Towards, datagram: Vec<u8>) -> bool {
        let weight = datagram.len() + LEAST;
        if self.under_way + weight > self.most {
            return false;
        }
        self.under_way += weight;
        self.sequence += 1;
        let key = (due, self.sequence);
        self.datagrams.insert(key, (id, to, datagram));
        true
    }

    /// A datagram that has arrived.
    pub(super) fn due(&mut self, now: Instant) -> Option<(Id, Towards, Vec<u8>)> {
        let first = self.datagrams.first_entry()?;
        if first.key().0 > now {
            return None;
        }
        let arrived = first.remove();
        self.under_way -= arrived.2.len() + LEAST;
        Some(arrived)
    }

    /// How long it is until the next arrives.
    pub(super) fn wait(&self, now: Instant) -> Option<Duration> {
        let ((due, _), _) = self.datagrams.first_key_value()?;
        Some(due.saturating_duration_since(now))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::flows::slots::Slots;

    #[test]
    fn datagrams_arrive_in_order_of_their_times_and_too_many_are_dropped() {
        let mut later = Later::new(3 * (LEAST + 1));
        let id = Slots::new().insert(());
        let now = Instant::now();
        let after = |milliseconds| now + Duration::from_millis(milliseconds);
        assert!(later.add(after(20), id, Towards::Client, vec![2]));
        assert!(later.add(after(10), id, Towards::Client, vec![1]));
        assert!(later.add(after(20), id, Towards::Client, vec![3]));
        assert!(!later.add(after(1), id, Towards::Client, vec![4]));
        assert_eq!(later.wait(now), Some(Duration::from_millis(10)));
        assert_eq!(later.due(now), None);
        for expected in 1..=3 {
            let (_, _, datagram) = later.due(after(20)).unwrap();
            assert_eq!(datagram, [expected]);
        }
        assert_eq!((later.wait(now), later.under_way), (None, 0));
    }
}
