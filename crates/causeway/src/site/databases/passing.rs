//! Until when what a server answers may be passed on without asking again who may be reached: one
//! word that each session of an endpoint reads at each answer, that who has asked extends, and that
//! an end of sessions takes back. It judges nobody: what it is extended by was judged elsewhere,
//! before it is told.
//!
//! Always so: what was judged before an end extends nothing after it.

use std::sync::atomic::{AtomicU64, Ordering};

use types::Monotonic;

/// A time that never runs out.
pub(super) const FOREVER: Monotonic = Monotonic(ENDED - 1);

/// What marks a word that is no time but the number of an end: each end has its own, so that who
/// judged before it can't take it for an earlier one.
const ENDED: u64 = 1 << 63;

/// Until when answers pass.
pub(super) struct Passing {
    /// Microseconds of the monotonic clock, or the number of the end that took the time back.
    word: AtomicU64,
    /// Ends so far.
    ends: AtomicU64,
}

/// What was there before it was judged anew.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Known(u64);

impl Known {
    /// Do answers pass at that time, without a new judgement?
    pub(super) fn lasts(self, now: Monotonic) -> bool {
        self.0 < ENDED && now.0 < self.0
    }
}

impl Passing {
    /// Nothing passes yet.
    pub(super) fn new() -> Passing {
        Passing {
            word: AtomicU64::new(ENDED),
            ends: AtomicU64::new(0),
        }
    }

    /// To be asked for before it is judged anew.
    pub(super) fn known(&self) -> Known {
        Known(self.word.load(Ordering::Acquire))
    }

    /// Nothing passes from now on that isn't judged after this.
    pub(super) fn end(&self) {
        let number = self.ends.fetch_add(1, Ordering::AcqRel) + 1;
        self.word.store(ENDED | number, Ordering::Release);
    }

    /// Answers pass until that time, as was judged after `known` was asked for. False: an end came
    /// between, and nothing may pass by that judgement. Another's that was extended meanwhile
    /// stays, and is no reason against it.
    pub(super) fn extend(&self, known: Known, until: Monotonic) -> bool {
        let until = until.0.min(FOREVER.0);
        let (success, failure) = (Ordering::AcqRel, Ordering::Acquire);
        match (self.word).compare_exchange(known.0, until, success, failure) {
            Ok(_) => true,
            Err(found) => found < ENDED,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Monotonic = Monotonic(1000);

    #[test]
    fn answers_pass_until_the_time_that_was_judged_and_no_longer() {
        let passing = Passing::new();
        assert!(!passing.known().lasts(NOW), "nothing was judged yet");
        assert!(passing.extend(passing.known(), Monotonic(1001)));
        assert!(passing.known().lasts(NOW));
        assert!(!passing.known().lasts(Monotonic(1001)), "it has run out");
        assert!(passing.extend(passing.known(), FOREVER));
        assert!(passing.known().lasts(Monotonic(u64::MAX / 4)));
        passing.end();
        assert!(!passing.known().lasts(NOW));
        // What a clock can't say is as far as a time goes, and no end.
        assert!(passing.extend(passing.known(), Monotonic(u64::MAX)));
        assert!(passing.known().lasts(NOW));
    }

    #[test]
    fn what_was_judged_before_an_end_extends_nothing_after_it() {
        // From the very first on, when nothing had passed before, and over two ends in a row.
        for ends_before in 0..3 {
            for ends_between in 1..3 {
                let passing = Passing::new();
                (0..ends_before).for_each(|_| passing.end());
                let known = passing.known();
                (0..ends_between).for_each(|_| passing.end());
                assert!(!passing.extend(known, FOREVER));
                assert!(!passing.known().lasts(NOW));
            }
        }
        // Nor where it had run out, and somebody else judged anew before the end, or after it.
        let passing = Passing::new();
        assert!(passing.extend(passing.known(), NOW));
        let known = passing.known();
        assert!(passing.extend(passing.known(), Monotonic(1500)));
        passing.end();
        assert!(!passing.extend(known, FOREVER));
        let anew = passing.known();
        assert!(passing.extend(anew, Monotonic(2000)));
        passing.end();
        assert!(!passing.extend(anew, FOREVER), "it is of the end before");
        assert!(!passing.known().lasts(NOW));
    }

    #[test]
    fn of_two_who_judge_at_once_one_extends_and_both_may_pass() {
        let passing = Passing::new();
        let (one, other) = (passing.known(), passing.known());
        assert!(passing.extend(one, Monotonic(1500)));
        assert!(passing.extend(other, Monotonic(1400)));
        assert!(passing.known().lasts(Monotonic(1450)), "the first stays");
        assert!(!passing.known().lasts(Monotonic(1500)));
    }

    #[test]
    fn threads_that_judge_and_one_that_ends_agree_that_nothing_passes_after_the_last_end() {
        use std::sync::atomic::AtomicBool;

        // A judge sees the door open, may be held up, and extends; the door is shut for good
        // before the last end.
        for _ in 0..200 {
            let (passing, open) = (Passing::new(), AtomicBool::new(true));
            std::thread::scope(|scope| {
                for _ in 0..2 {
                    scope.spawn(|| {
                        for _ in 0..50 {
                            let known = passing.known();
                            let is_open = open.load(Ordering::SeqCst);
                            if is_open {
                                passing.extend(known, FOREVER);
                            }
                        }
                    });
                }
                scope.spawn(|| {
                    passing.end();
                    open.store(false, Ordering::SeqCst);
                    passing.end();
                });
            });
            assert!(!passing.known().lasts(NOW));
        }
    }
}
