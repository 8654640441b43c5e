//! Whether the lab was well before the fault: if it was not, what follows says nothing of the
//! fault, and nothing is said of detection and recovery.

use super::moments::When;
use super::{Figures, Moments};
use crate::expectation::Measured;
use crate::observations::Observations;
use crate::plan::Plan;
use crate::scenario::Act;

/// Of a hundred requests that had ended before the fault so many may have failed.
const TOLERATED_PERCENT: u64 = 20;

/// Why nothing is said of recovery.
const UNWELL: &str = "requests failed before the fault: the lab or the machine was not well";

/// How requests fared before the fault.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Baseline {
    /// How many had ended.
    pub requests: u64,
    /// How many of them had failed.
    pub failed: u64,
}

impl Baseline {
    /// `None` where another fault came before the one that is measured, or none is.
    pub(super) fn of(plan: &Plan, seen: &Observations, moments: &Moments) -> Option<Baseline> {
        let When::At(struck) = moments.struck else {
            return None;
        };
        let measured = plan.scenario.measure.fault?;
        let is_fault = |act: &Act| matches!(act, Act::Fault { .. });
        let first = plan
            .scenario
            .steps
            .iter()
            .position(|step| is_fault(&step.act));
        if first != Some(measured) {
            return None;
        }
        let ended = seen.requests.iter().filter(|one| one.ended < struck);
        let failed = ended.clone().filter(|one| !one.outcome.is_ok()).count();
        Some(Baseline {
            requests: ended.count() as u64,
            failed: failed as u64,
        })
    }

    /// Too many had failed.
    pub fn is_unwell(&self) -> bool {
        self.failed * 100 > self.requests * TOLERATED_PERCENT
    }
}

/// Takes back what can't be known of a lab that was not well.
pub(super) fn doubt(figures: &mut Figures) {
    figures.moments.detected = When::Unknown(UNWELL);
    figures.moments.answers_changed = When::Unknown(UNWELL);
    let streams = figures.clients.iter_mut().chain(&mut figures.loads);
    for stream in streams.chain([&mut figures.all]) {
        stream.rto = Measured::Unknown(UNWELL);
    }
}
