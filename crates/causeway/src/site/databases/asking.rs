//! When a standby that receives nothing asks its source for leave again: soon at first, since a
//! writer that has just taken over needs a moment until it keeps what others follow it by, then
//! ever more rarely. It asks nobody itself.

use types::{Monotonic, Span};

use super::pair;

/// The first wait after a question.
const SOONEST: Span = Span::milliseconds(100);

/// The longest: for a source that is dead.
const LATEST: Span = Span::seconds(2);

/// What a keeper remembers of its questions.
pub(super) struct Asking {
    not_before: Monotonic,
    wait: Span,
}

impl Asking {
    /// It has asked nothing yet.
    pub(super) fn new() -> Asking {
        Asking {
            not_before: Monotonic::default(),
            wait: SOONEST,
        }
    }

    /// May it ask now? If so it does, and the next time is later; `is_near`: its source is the
    /// other home of the same instance, which costs nobody anything.
    pub(super) fn asks(&mut self, now: Monotonic, is_near: bool) -> bool {
        if now < self.not_before {
            return false;
        }
        self.not_before = now + if is_near { pair::LOOK } else { self.wait };
        self.wait = Span(self.wait.0 * 2).min(LATEST);
        true
    }

    /// It receives: what it asks once it doesn't, it asks soon.
    pub(super) fn receives(&mut self) {
        self.wait = SOONEST;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_source_is_asked_soon_at_first_and_then_ever_more_rarely() {
        let mut asking = Asking::new();
        let asked = |asking: &mut Asking| -> Vec<u64> {
            let times = (0..10_000).map(|at| at * 1000);
            let asked = times.filter(|at| asking.asks(Monotonic(*at), false));
            asked.map(|at| at / 1000).collect()
        };
        let rare = [0, 100, 300, 700, 1500, 3100, 5100, 7100, 9100];
        assert_eq!(asked(&mut asking), rare);
        asking.receives();
        let last = Monotonic(11_100_000);
        assert!(
            !asking.asks(Monotonic(last.0 - 1), false),
            "it asked lately"
        );
        assert!(asking.asks(last, false) && asking.asks(last + SOONEST, false));
        let (one, other) = (last + LATEST, last + LATEST + pair::LOOK);
        assert!(asking.asks(one, true) && asking.asks(other, true));
    }
}
