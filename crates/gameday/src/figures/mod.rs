//! What a game day amounts to: RTO, RPO, stale reads, availability and the rest, computed of the
//! plan and what was observed. Pure: the same observations give the same figures.

mod baseline;
mod link;
pub(crate) mod moments;
mod orders;
mod staleness;
mod streams;
mod writers;
mod writes;

use std::collections::BTreeMap;

use types::{Region, Span};

use crate::expectation::{Measured, Outcome};
use crate::metric::{LEVELS, Metric, MetricName};
use crate::observations::Observations;
use crate::plan::Plan;

pub use baseline::Baseline;
pub use link::Traffic;
pub use moments::{Moments, When};
pub use orders::{Fate, LostOrder, Orders};
pub use staleness::{StaleRead, Staleness};
pub use streams::{Latency, Stream};
pub use writers::{Takeover, Writers};

/// Every figure of a game day.
#[derive(Clone, PartialEq, Debug)]
pub struct Figures {
    /// When the fault struck, was noticed, and ended.
    pub moments: Moments,
    /// How requests fared before the fault, where it is the first.
    pub baseline: Option<Baseline>,
    /// All requests.
    pub all: Stream,
    /// The requests of each kind of client, by its word.
    pub clients: Vec<Stream>,
    /// The requests of each load, as the scenario lists them.
    pub loads: Vec<Stream>,
    /// What became of acknowledged orders.
    pub orders: Orders,
    /// Who wrote to a global cluster when.
    pub writers: Writers,
    /// Reads that saw less than had been acknowledged.
    pub staleness: Staleness,
    /// Per load and Region the share of the time in which the answer at the load's place named
    /// the Region, in percent.
    pub answered: Vec<BTreeMap<Region, f64>>,
    /// Writes that lost to a later one and are in the ledger.
    pub lww_discards: u64,
    /// Minutes of the load that failed: its length times the share of failed requests.
    pub bad_minutes: f64,
    /// What crossed between sites.
    pub traffic: Traffic,
}

/// Minutes of a month of 30 days, over which error budgets are counted.
pub(crate) const MONTH_MINUTES: f64 = 30.0 * 24.0 * 60.0;

impl Figures {
    /// Computes them.
    pub fn of(plan: &Plan, seen: &Observations) -> Figures {
        let moments = Moments::of(plan, seen);
        let (all, clients, loads) = streams::of(plan, seen, &moments);
        let orders = Orders::of(plan, seen, &moments);
        let failed = all.requests - all.ok;
        let share = failed as f64 / (all.requests.max(1)) as f64;
        let minutes = seconds(plan.scenario.measure.length) / 60.0;
        let mut figures = Figures {
            baseline: Baseline::of(plan, seen, &moments),
            answered: plan
                .scenario
                .loads
                .iter()
                .map(|load| moments::answered(plan, seen, load))
                .collect(),
            lww_discards: seen.conflicts.len() as u64,
            bad_minutes: share * minutes,
            writers: Writers::of(plan, seen),
            staleness: Staleness::of(plan, seen),
            traffic: Traffic::of(seen),
            moments,
            all,
            clients,
            loads,
            orders,
        };
        if figures
            .baseline
            .is_some_and(|baseline| baseline.is_unwell())
        {
            baseline::doubt(&mut figures);
        }
        figures
    }

    /// Judges every expectation of the scenario.
    pub fn judge(&self, plan: &Plan) -> Vec<Outcome> {
        let expectations = plan.scenario.expectations.iter();
        expectations
            .map(|expectation| expectation.judge(self.value(plan, &expectation.metric)))
            .collect()
    }

    /// The value of a metric.
    pub fn value(&self, plan: &Plan, metric: &Metric) -> Measured {
        let of = metric.of.as_slice();
        let count = |number: u64| Measured::Number(number as f64);
        match metric.name {
            MetricName::RtoS => self.rto(of),
            MetricName::DetectedS => self.moments.since_struck(&self.moments.detected),
            MetricName::AnswersChangedS => self.moments.since_struck(&self.moments.answers_changed),
            MetricName::RpoOrders => self.orders.rpo_orders(),
            MetricName::RpoS => self.orders.rpo_s(),
            MetricName::CameBack => self.orders.came_back(),
            MetricName::LostForGood => self.orders.lost_for_good(),
            MetricName::MissingRows => self.orders.missing_rows(),
            MetricName::KeptAside => self.orders.kept_aside(),
            MetricName::SplitBrainRows => self.writers.split_brain_rows(),
            MetricName::TakeoverS => self.writers.takeover_s(plan, of),
            MetricName::MissingAt => self.orders.missing_at(of),
            MetricName::NeverArrived => self.orders.never_arrived(of),
            MetricName::AppliedTwice => self.orders.applied_twice(),
            MetricName::OrdersAt => match index_of_load(plan, of) {
                Some(load) => self.orders.at(load, of),
                None => UNKNOWN,
            },
            MetricName::LwwDiscards => count(self.lww_discards),
            MetricName::StaleReads => self.stale(of, |read, _| read as f64),
            MetricName::StalePercent => self.stale(of, percent),
            MetricName::StaleAgeMs => self.staleness.age(of),
            MetricName::AvailabilityPercent => self.stream(of, Stream::availability),
            MetricName::Requests => self.stream(of, |stream| count(stream.requests)),
            MetricName::Failed => self.stream(of, |stream| count(stream.requests - stream.ok)),
            MetricName::LatencyMs => match of.split_last() {
                Some((quantile, whose)) => {
                    self.stream(whose, |stream| stream.latency.quantile(quantile))
                }
                None => UNKNOWN,
            },
            MetricName::BudgetPercent => self.budget(of),
            MetricName::ServedBy => match of {
                [_, region] => self.stream(&of[..1], |stream| {
                    let served = stream.served.iter();
                    let found = served.filter(|(served, _)| served.name() == region);
                    count(found.map(|(_, count)| *count).sum())
                }),
                _ => UNKNOWN,
            },
            MetricName::AnsweredPercent => self.answered_percent(plan, of),
            MetricName::DrainedS => self.moments.drained(),
            MetricName::ConvergedS => self.moments.converged(),
            MetricName::LinkBytes => count(self.traffic.of_lane(of.first())),
        }
    }

    /// RTO of a client or load; of nothing in particular, the worst of all clients.
    fn rto(&self, of: &[String]) -> Measured {
        if !of.is_empty() {
            return self.stream(of, |stream| stream.rto.clone());
        }
        let mut worst = UNKNOWN;
        for stream in &self.clients {
            worst = match (worst, &stream.rto) {
                (Measured::Never, _) | (_, Measured::Never) => Measured::Never,
                (Measured::Number(one), Measured::Number(other)) => {
                    Measured::Number(one.max(*other))
                }
                (Measured::Unknown(_), other) => other.clone(),
                (number, Measured::Unknown(_)) => number,
            };
        }
        worst
    }

    fn stream(&self, of: &[String], value: impl Fn(&Stream) -> Measured) -> Measured {
        let Some(name) = of.first() else {
            return value(&self.all);
        };
        let streams = self.clients.iter().chain(&self.loads);
        let found = streams.into_iter().find(|stream| stream.name == *name);
        found.map_or(UNKNOWN, value)
    }

    fn stale(&self, of: &[String], value: impl Fn(u64, u64) -> f64) -> Measured {
        let counts = match of.first() {
            None => Some(self.staleness.all),
            Some(name) => self.staleness.counts(name),
        };
        match counts {
            None | Some((_, 0)) => Measured::Unknown("no read could be judged"),
            Some((stale, judged)) => Measured::Number(value(stale, judged)),
        }
    }

    fn budget(&self, of: &[String]) -> Measured {
        let level = of.first().and_then(|level| level.parse::<f64>().ok());
        level.map_or(UNKNOWN, |level| {
            Measured::Number(self.budget_percent(level))
        })
    }

    /// The share of a month's error budget at that level that was burnt, in percent.
    pub fn budget_percent(&self, level: f64) -> f64 {
        self.bad_minutes / allowed_minutes(level) * 100.0
    }

    fn answered_percent(&self, plan: &Plan, of: &[String]) -> Measured {
        let load = index_of_load(plan, of);
        let (Some(shares), [_, region]) = (load.and_then(|load| self.answered.get(load)), of)
        else {
            return UNKNOWN;
        };
        if shares.is_empty() {
            return Measured::Unknown("no answer was seen");
        }
        let found = shares
            .iter()
            .find(|(answered, _)| answered.name() == region);
        Measured::Number(found.map_or(0.0, |(_, share)| *share))
    }
}

const UNKNOWN: Measured = Measured::Unknown("nothing of the kind was seen");

/// Minutes a month that a service level allows to fail.
pub(crate) fn allowed_minutes(level: f64) -> f64 {
    MONTH_MINUTES * (1.0 - level / 100.0)
}

/// The service levels, in percent, with their names.
pub(crate) fn levels() -> impl Iterator<Item = (&'static str, f64)> {
    LEVELS
        .into_iter()
        .filter_map(|level| Some((level, level.parse().ok()?)))
}

fn index_of_load(plan: &Plan, of: &[String]) -> Option<usize> {
    let name = of.first()?;
    plan.scenario
        .loads
        .iter()
        .position(|load| load.name == *name)
}

fn percent(part: u64, whole: u64) -> f64 {
    part as f64 / whole.max(1) as f64 * 100.0
}

pub(crate) fn seconds(span: Span) -> f64 {
    span.0 as f64 / 1_000_000.0
}

/// The value below which that share of the sorted values lies (nearest rank).
pub(crate) fn quantile<T: Copy>(sorted: &[T], share: f64) -> Option<T> {
    let rank = (share * sorted.len() as f64).ceil() as usize;
    sorted.get(rank.max(1) - 1).copied()
}
