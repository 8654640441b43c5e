//! What stands in an instance's way, in words for whoever operates it. It judges nothing.

use databases::plan::{FailureKind, Home, Observed, StepFailure, StepKind};

/// What was seen that somebody should look at.
pub(super) fn of(observed: &Observed) -> Option<&'static str> {
    if observed.home == Home::Unreadable {
        return Some(
            "its data directory can't be read, is of a newer version, or isn't where databases \
             are: is its disk mounted?",
        );
    }
    if observed.is_full {
        return Some("its disk is full: less than 16 MiB are left");
    }
    let behind = observed.behind.as_ref();
    behind.map(|_| "its source has no more of the log that it needs")
}

/// The last step that failed, if one did. A snapshot that waits for others' to be taken has not.
pub(super) fn of_steps<'a>(failures: impl Iterator<Item = &'a StepFailure>) -> Option<String> {
    let waits = |failure: &&StepFailure| {
        let kind = failure.step.kind();
        kind == StepKind::TakeSnapshot && failure.kind == FailureKind::Source
    };
    let failed = failures.filter(|failure| !waits(failure));
    let failure = failed.max_by_key(|failure| failure.at)?;
    let (kind, attempts) = (failure.step.kind(), failure.attempts);
    let reason = &failure.reason;
    Some(format!("{kind:?} failed {attempts} times: {reason}"))
}

#[cfg(test)]
mod tests {
    use databases::model::SnapshotId;
    use databases::plan::Step;
    use types::Monotonic;

    use super::*;

    #[test]
    fn a_snapshot_that_waits_its_turn_is_no_trouble() {
        let failure = |step, at, kind| StepFailure {
            step,
            attempts: 2,
            at: Monotonic(at),
            kind,
            reason: "why".to_owned(),
        };
        let snapshot = |kind| failure(Step::TakeSnapshot(SnapshotId("s".to_owned())), 9, kind);
        let waits = snapshot(FailureKind::Source);
        assert_eq!(of_steps([&waits].into_iter()), None);
        let other = failure(Step::Checkpoint, 5, FailureKind::Other);
        let told = of_steps([&waits, &other].into_iter());
        assert_eq!(told.as_deref(), Some("Checkpoint failed 2 times: why"));
        let failed = snapshot(FailureKind::Other);
        let told = of_steps([&failed, &other].into_iter());
        assert_eq!(told.as_deref(), Some("TakeSnapshot failed 2 times: why"));
    }
}
