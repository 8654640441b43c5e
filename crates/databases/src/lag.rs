//! How far those who follow a global cluster's writer are behind, in time, and whether commits are
//! to wait for them (`rds.global_db_rpo`). Pure; clocks are passed in.
//!
//! The writer commits a heartbeat every 100 ms and notes where its log stood then. A follower that
//! has the log up to there has that heartbeat, and every transaction before it. Its RPO lag is the
//! time between the writer's newest heartbeat and the newest that it has: what would be missing
//! there if the writer were lost now, in time. One clock measures it, the writer's monotonic one,
//! so a wall clock that jumps changes nothing. It is a multiple of the heartbeat's pause, and
//! counted anew when the writer's process begins: who was behind then is told at least that much.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use types::{Monotonic, Now, Span, Timestamp};

use crate::model::Lsn;

/// How many heartbeats are remembered; beyond that, every second one of the older half is
/// forgotten: what is long ago is known less exactly, and nothing grows.
const REMEMBERED: usize = 1024;

/// A heartbeat.
#[derive(Clone, Copy, Debug)]
struct Beat {
    at: Monotonic,
    written: Lsn,
}

/// Where a follower is, as the slot says that the writer keeps for it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Place {
    /// It has at least that on its disk.
    pub flushed: Lsn,
    /// The oldest transaction that it needs, with its epoch, if it says so.
    pub feedback: Option<(u64, u32)>,
}

/// How far a follower is behind.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Lag {
    /// Where it is; `None`: it has never said.
    pub place: Option<Place>,
    /// Its RPO lag.
    pub rpo: Span,
}

/// What a writer knows of its followers' lags.
#[derive(Clone, Debug, Default)]
pub struct Lags {
    /// Oldest first; of those that all followers have, the newest alone.
    beats: VecDeque<Beat>,
    places: BTreeMap<String, Place>,
    calculated: Timestamp,
}

impl Lags {
    /// A heartbeat was committed, and afterwards the log stood there and the followers, by their
    /// slots, stood here.
    pub fn beat(&mut self, now: Now, written: Lsn, places: BTreeMap<String, Place>) {
        // A log that goes back is another server's.
        if self.beats.back().is_some_and(|last| written < last.written) {
            self.beats.clear();
        }
        self.beats.push_back(Beat {
            at: now.monotonic,
            written,
        });
        self.places = places;
        self.calculated = now.wall;
    }

    /// The lag of those followers, by their slots; nothing before the first heartbeat.
    pub fn of(&mut self, slots: &BTreeSet<String>) -> BTreeMap<String, Lag> {
        let Some(last) = self.beats.back().copied() else {
            return BTreeMap::new();
        };
        self.forget(slots);
        let lag = |slot: &String| {
            let place = self.places.get(slot).copied();
            let flushed = place.map_or(Lsn(0), |place| place.flushed);
            let has = self.beats.partition_point(|beat| beat.written <= flushed);
            // Of one that has none it is known that it has none of these.
            let newest = self.beats[has.saturating_sub(1)];
            let rpo = last.at - newest.at;
            (slot.clone(), Lag { place, rpo })
        };
        slots.iter().map(lag).collect()
    }

    /// When they were measured last, by the wall clock; `None`: never.
    pub fn calculated(&self) -> Option<Timestamp> {
        (!self.beats.is_empty()).then_some(self.calculated)
    }

    /// Forgets the heartbeats that nobody's lag is measured by.
    fn forget(&mut self, slots: &BTreeSet<String>) {
        let place = |slot| self.places.get(slot).map_or(Lsn(0), |place| place.flushed);
        let least = slots.iter().map(place).min();
        // The newest that all have stays.
        while self.beats.len() > 1 && least.is_none_or(|least| self.beats[1].written <= least) {
            self.beats.pop_front();
        }
        if self.beats.len() > REMEMBERED {
            let mut number = 0;
            self.beats.retain(|_| {
                number += 1;
                // The oldest stays: the longest lag is measured by it.
                number % 2 == 1 || number > REMEMBERED / 2
            });
        }
    }
}

/// Are commits to wait? They are when there are followers and each is behind by more than `rpo`;
/// without one there is nothing to wait for.
pub fn commits_wait(rpo: Option<Span>, lags: &BTreeMap<String, Lag>) -> bool {
    let Some(rpo) = rpo else {
        return false;
    };
    !lags.is_empty() && lags.values().all(|lag| lag.rpo > rpo)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAUSE: Span = Span::milliseconds(100);

    fn slots(names: &[&str]) -> BTreeSet<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    fn at(count: u64) -> Now {
        Now {
            wall: Timestamp(count),
            monotonic: Monotonic(7_000_000 + count * PAUSE.0),
        }
    }

    fn places(given: &[(&str, u64)]) -> BTreeMap<String, Place> {
        let place = |(name, flushed): &(&str, u64)| {
            let place = Place {
                flushed: Lsn(*flushed),
                feedback: None,
            };
            ((*name).to_owned(), place)
        };
        given.iter().map(place).collect()
    }

    /// A second of the writer's: heartbeat `n` ends at 100 n.
    fn beats(lags: &mut Lags, counts: std::ops::Range<u64>, given: &[(&str, u64)]) {
        for count in counts {
            lags.beat(at(count), Lsn(100 * count), places(given));
        }
    }

    #[test]
    fn a_lag_is_the_time_between_two_heartbeats() {
        let mut lags = Lags::default();
        let two = slots(&["a", "b"]);
        assert!(lags.of(&two).is_empty() && lags.calculated().is_none());
        beats(&mut lags, 1..11, &[("a", 1000), ("b", 799)]);
        let seen = lags.of(&two);
        assert_eq!(seen["a"].rpo, Span(0), "it has all");
        assert_eq!(seen["b"].rpo, Span(3 * PAUSE.0), "it has the seventh");
        assert_eq!(lags.calculated(), Some(Timestamp(10)));
        // Of one that nobody heard of, and of one that is further back than anything is known.
        let seen = lags.of(&slots(&["a", "c"]));
        assert_eq!(seen["c"].place, None);
        assert_eq!(
            seen["c"].rpo,
            Span(3 * PAUSE.0),
            "since the oldest heartbeat that is known"
        );
        // It is cut off: its lag grows with each heartbeat.
        beats(&mut lags, 11..111, &[("a", 1000)]);
        assert_eq!(lags.of(&slots(&["a"]))["a"].rpo, Span(100 * PAUSE.0));
        // And it catches up.
        beats(&mut lags, 111..112, &[("a", 11_050)]);
        assert_eq!(lags.of(&slots(&["a"]))["a"].rpo, PAUSE);
    }

    #[test]
    fn what_is_remembered_is_bounded_and_the_longest_lag_exact() {
        let mut lags = Lags::default();
        let both = slots(&["late", "soon"]);
        for count in 1..100_000 {
            let given = [("late", 150), ("soon", 100 * count)];
            lags.beat(at(count), Lsn(100 * count), places(&given));
            let seen = lags.of(&both);
            assert_eq!(seen["late"].rpo, Span((count - 1) * PAUSE.0));
            assert_eq!(seen["soon"].rpo, Span(0));
            assert!(lags.beats.len() <= REMEMBERED);
        }
        // Once it is back nothing is remembered but what is needed.
        beats(
            &mut lags,
            100_000..100_001,
            &[("late", 10_000_000), ("soon", 10_000_000)],
        );
        lags.of(&both);
        assert_eq!(lags.beats.len(), 1);
    }

    #[test]
    fn a_log_that_goes_back_is_another_s() {
        let mut lags = Lags::default();
        beats(&mut lags, 100..110, &[("a", 0)]);
        beats(&mut lags, 50..51, &[("a", 0)]);
        assert_eq!(lags.of(&slots(&["a"]))["a"].rpo, Span(0), "counted anew");
    }

    #[test]
    fn commits_wait_when_every_follower_is_too_late_and_none_is_not() {
        let lag = |milliseconds| Lag {
            place: None,
            rpo: Span::milliseconds(milliseconds),
        };
        let of = |lags: &[u64]| {
            let lags = lags.iter().enumerate();
            lags.map(|(number, it)| (number.to_string(), lag(*it)))
                .collect::<BTreeMap<_, _>>()
        };
        let rpo = Some(Span::seconds(20));
        assert!(!commits_wait(rpo, &of(&[])));
        assert!(!commits_wait(rpo, &of(&[20_000])));
        assert!(commits_wait(rpo, &of(&[20_001])));
        assert!(!commits_wait(rpo, &of(&[20_001, 100])));
        assert!(commits_wait(rpo, &of(&[20_001, 99_000])));
        assert!(!commits_wait(None, &of(&[99_000_000])));
    }

    #[test]
    fn a_wall_clock_that_jumps_changes_nothing() {
        let mut lags = Lags::default();
        for (count, wall) in [(1, 5), (2, 9_000_000_000), (3, 1)] {
            let now = Now {
                wall: Timestamp(wall),
                monotonic: at(count).monotonic,
            };
            lags.beat(now, Lsn(100 * count), places(&[("a", 100)]));
        }
        assert_eq!(lags.of(&slots(&["a"]))["a"].rpo, Span(2 * PAUSE.0));
    }
}
