//! Game days: the language of scenarios, the plan made of one, what was observed, what it amounts
//! to, and the report. It runs nothing itself: a runner carries the plan out and fills
//! [`Observations`].
//!
//! `Scenario::parse` → `Plan::of` → a runner → [`Observations`] → `Figures::of` → `Report::of`.

mod expectation;
mod figures;
mod language;
pub mod limits;
mod metric;
mod observations;
mod plan;
mod report;
pub mod scenario;

pub use expectation::{Bound, Comparison, Expectation, Measured, Outcome as ExpectationOutcome};
pub use figures::{
    Fate, Figures, Latency, LostOrder, Moments, Orders, StaleRead, Staleness, Stream, Takeover,
    Traffic, When, Writers,
};
pub use language::{Position, Problem, Problems, Setting};
pub use metric::{LANES, LEVELS, Metric, MetricName, Vocabulary};
pub use observations::{
    Answer, Conflict, Crossing, Event, EventKind, Observations, Outcome, Request, Scan, Verb,
};
pub use plan::{Deed, Look, Moment, Order, Plan, Task};
pub use report::{JSON_FORMAT, Report};
pub use scenario::Scenario;
