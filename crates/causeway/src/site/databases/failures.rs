//! The steps of a keeper that failed last, and how often in a row. A start counts as one that
//! succeeded only once its server has lived for a while: one that ends by itself before that has
//! failed once more.

use std::collections::BTreeMap;

use databases::plan::{FailureKind, Step, StepFailure, StepKind};
use types::{Monotonic, Span};

/// A server that ends by itself within this time counts as one that couldn't be started.
const SOON: Span = Span::seconds(60);

/// A step that failed before this and wasn't tried again isn't wanted any more: the plan waits for
/// half a minute at most.
const LONG_AGO: Span = Span::seconds(31);

/// The last failure of each kind of step.
#[derive(Default)]
pub(super) struct Failures {
    known: BTreeMap<StepKind, StepFailure>,
    /// How the start of the server that runs had failed before it succeeded.
    start: Option<StepFailure>,
}

impl Failures {
    /// All of them.
    pub(super) fn known(&self) -> &BTreeMap<StepKind, StepFailure> {
        &self.known
    }

    /// None counts any more.
    pub(super) fn clear(&mut self) {
        *self = Failures::default();
    }

    /// What was to be done and failed is not to be done any more. How the server that runs was
    /// started counts on.
    pub(super) fn settle(&mut self) {
        self.known.clear();
    }

    /// What failed long ago and would have been tried again by now isn't wanted any more, but for a
    /// start.
    pub(super) fn forget_old(&mut self, now: Monotonic) {
        self.known
            .retain(|kind, failure| *kind == StepKind::Start || now - failure.at < LONG_AGO);
    }

    /// A step of that kind has succeeded.
    pub(super) fn succeeded(&mut self, kind: StepKind) {
        let failure = self.known.remove(&kind);
        if kind == StepKind::Start {
            self.start = failure;
        }
    }

    /// A step has failed now: how often in a row.
    pub(super) fn failed(
        &mut self,
        step: Step,
        (kind, reason): (FailureKind, String),
        now: Monotonic,
    ) -> u32 {
        let before = self.known.remove(&step.kind());
        // A snapshot that waited for its turn has failed at nothing yet.
        let is_snapshot = matches!(step, Step::TakeSnapshot(_));
        let has_waited = |failure: &StepFailure| {
            is_snapshot && failure.kind == FailureKind::Source && kind != FailureKind::Source
        };
        let before = before.filter(|failure| failure.step == step && !has_waited(failure));
        let attempts = before.map_or(0, |failure| failure.attempts) + 1;
        let failure = StepFailure {
            step,
            attempts,
            at: now,
            kind,
            reason,
        };
        self.known.insert(failure.step.kind(), failure);
        attempts
    }

    /// A server has ended by itself now that lived since then and had been started by that step:
    /// how often in a row that has failed by now; `None`: it had lived for long enough.
    pub(super) fn ended(&mut self, start: Step, since: Monotonic, now: Monotonic) -> Option<u32> {
        let before = self.start.take();
        if now - since >= SOON {
            return None;
        }
        self.known
            .extend(before.map(|failure| (StepKind::Start, failure)));
        let reason = "the server ended by itself soon after its start".to_owned();
        Some(self.failed(start, (FailureKind::Other, reason), now))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn start() -> Step {
        Step::Start {
            generation: 1,
            settings: Default::default(),
        }
    }

    fn at(seconds: u64) -> Monotonic {
        Monotonic(seconds * 1_000_000)
    }

    #[test]
    fn a_server_that_ends_soon_after_each_start_fails_once_more_each_time() {
        let mut failures = Failures::default();
        for count in 1..5 {
            let begun = at(u64::from(count) * 100);
            failures.succeeded(StepKind::Start);
            failures.settle();
            assert!(failures.known().is_empty(), "it runs");
            let ended = failures.ended(start(), begun, begun + Span::seconds(59));
            assert_eq!(ended, Some(count));
            assert_eq!(failures.known()[&StepKind::Start].attempts, count);
        }
    }

    #[test]
    fn a_server_that_lived_for_a_minute_or_is_started_otherwise_has_failed_at_nothing_before() {
        let mut failures = Failures::default();
        assert_eq!(failures.ended(start(), at(0), at(1)), Some(1));
        failures.succeeded(StepKind::Start);
        assert_eq!(failures.ended(start(), at(2), at(62)), None);
        assert!(failures.known().is_empty());
        failures.succeeded(StepKind::Start);
        assert_eq!(failures.ended(start(), at(63), at(64)), Some(1));
        failures.succeeded(StepKind::Start);
        let other = Step::Start {
            generation: 2,
            settings: Default::default(),
        };
        assert_eq!(failures.ended(other, at(65), at(66)), Some(1));
    }
}
