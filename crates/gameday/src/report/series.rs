//! Series over time for plots: outcomes and latency of a load in slices of the run.

use types::Span;

use crate::figures::quantile;
use crate::observations::{Observations, Outcome};
use crate::plan::Plan;

/// Slices of a plot, at most: each is a few pixels wide.
const SLICES: u64 = 240;

/// Widths of a slice in milliseconds. Round ones, so that as many requests of a load are due in
/// each; else its plot would have teeth.
const WIDTHS: [u64; 11] = [
    500, 1_000, 2_000, 5_000, 10_000, 15_000, 20_000, 30_000, 60_000, 120_000, 300_000,
];

/// How the run is cut into slices.
#[derive(Clone, Copy, Debug)]
pub(super) struct Slices {
    /// Microseconds of each.
    pub(super) width: u64,
    /// How many.
    pub(super) count: usize,
}

/// One load over time.
#[derive(Clone, Debug)]
pub(super) struct Series {
    /// Per slice, by when requests were due, how many there are of each class
    /// (`Outcome::CLASSES`).
    pub(super) outcomes: Vec<[u32; Outcome::CLASSES.len()]>,
    /// Per slice the median and the longest time of successful requests, in milliseconds.
    pub(super) latency: Vec<Option<(f64, f64)>>,
}

impl Slices {
    /// For a run of that length.
    pub(super) fn of(length: Span) -> Slices {
        let widths = WIDTHS.iter().map(|width| Span::milliseconds(*width).0);
        let fits = |width: &u64| length.0.div_ceil(*width) <= SLICES;
        let width = widths.into_iter().find(fits).unwrap_or(300_000_000);
        let count = length.0.div_ceil(width).max(1) as usize;
        Slices { width, count }
    }

    fn index(self, at: Span) -> usize {
        ((at.0 / self.width) as usize).min(self.count - 1)
    }
}

/// The series of every load.
pub(super) fn of(plan: &Plan, seen: &Observations, slices: Slices) -> Vec<Series> {
    let loads = plan.scenario.loads.len();
    let mut outcomes = vec![vec![[0; Outcome::CLASSES.len()]; slices.count]; loads];
    let mut took: Vec<Vec<Vec<u64>>> = vec![vec![Vec::new(); slices.count]; loads];
    for request in &seen.requests {
        let load = usize::from(request.load);
        if load >= loads {
            continue;
        }
        let slice = slices.index(request.due);
        let class = request.outcome.class();
        let class = Outcome::CLASSES.iter().position(|known| *known == class);
        outcomes[load][slice][class.expect("every class is listed")] += 1;
        if request.outcome.is_ok() {
            took[load][slice].push(request.ended.0.saturating_sub(request.due.0));
        }
    }
    let series = outcomes.into_iter().zip(took).map(|(outcomes, took)| {
        let latency = took.into_iter().map(|mut took| {
            took.sort_unstable();
            let at = |share| quantile(&took, share).map(|micros| micros as f64 / 1000.0);
            at(0.5).zip(at(1.0))
        });
        Series {
            outcomes,
            latency: latency.collect(),
        }
    });
    series.collect()
}
