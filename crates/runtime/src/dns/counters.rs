//! What a server has done, counted so cheaply that every query can be: each thread adds up a batch
//! on its stack, then adds that to counters of its own.

use std::sync::atomic::{AtomicU64, Ordering};

/// The response codes that fit the header (RFC 1035 section 4.1.1).
const CODES: usize = 16;

/// What has been counted since a server started.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct DnsCounts {
    /// Messages that came, whatever they held.
    pub queries: u64,
    /// Replies made.
    pub answers: u64,
    /// Queries that the responder met with silence.
    pub silent: u64,
    /// Messages that never reached the responder: larger than [`MAX_QUERY`](super::MAX_QUERY),
    /// or at an address for relays without a relay's header.
    pub unreadable: u64,
    /// Of these, the ones that the network didn't take.
    pub unsent: u64,
    /// Panics of the responder, each of which cost a batch of UDP or a connection. None is
    /// expected.
    pub lost: u64,
    /// The replies made, by the response code in their header: NOERROR is 0, NXDOMAIN is 3.
    pub by_code: [u64; CODES],
}

impl DnsCounts {
    /// A reply was made.
    pub(super) fn reply(&mut self, reply: &[u8]) {
        if let Some(flags) = reply.get(3) {
            self.by_code[usize::from(flags & 0x0f)] += 1;
        }
    }

    /// Both together.
    pub fn plus(mut self, other: DnsCounts) -> DnsCounts {
        self.queries += other.queries;
        self.answers += other.answers;
        self.silent += other.silent;
        self.unreadable += other.unreadable;
        self.unsent += other.unsent;
        self.lost += other.lost;
        for (ours, theirs) in self.by_code.iter_mut().zip(other.by_code) {
            *ours += theirs;
        }
        self
    }
}

/// The counters of one thread, on cache lines that no other thread writes.
#[repr(align(128))]
#[derive(Default)]
pub(super) struct Counters {
    queries: AtomicU64,
    answers: AtomicU64,
    silent: AtomicU64,
    unreadable: AtomicU64,
    unsent: AtomicU64,
    lost: AtomicU64,
    by_code: [AtomicU64; CODES],
}

impl Counters {
    /// Adds what was counted on the stack.
    pub(super) fn add(&self, counts: &DnsCounts) {
        let pairs = [
            (&self.queries, counts.queries),
            (&self.answers, counts.answers),
            (&self.silent, counts.silent),
            (&self.unreadable, counts.unreadable),
            (&self.unsent, counts.unsent),
            (&self.lost, counts.lost),
        ];
        for (counter, count) in pairs
            .into_iter()
            .chain(self.by_code.iter().zip(counts.by_code))
        {
            if count > 0 {
                counter.fetch_add(count, Ordering::Relaxed);
            }
        }
    }

    /// What they stand at.
    pub(super) fn read(&self) -> DnsCounts {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        DnsCounts {
            queries: read(&self.queries),
            answers: read(&self.answers),
            silent: read(&self.silent),
            unreadable: read(&self.unreadable),
            unsent: read(&self.unsent),
            lost: read(&self.lost),
            by_code: std::array::from_fn(|code| read(&self.by_code[code])),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_added_is_read() {
        let counters = Counters::default();
        let mut counts = DnsCounts {
            queries: 3,
            answers: 2,
            silent: 1,
            ..DnsCounts::default()
        };
        counts.reply(&[0, 0, 0x84, 0x03]);
        counts.reply(&[0, 0, 0x84, 0x80]);
        counts.reply(&[0]);
        counters.add(&counts);
        counters.add(&counts);
        assert_eq!(counters.read(), counts.plus(counts));
        assert_eq!(counters.read().by_code[..4], [2, 0, 0, 2]);
    }
}
