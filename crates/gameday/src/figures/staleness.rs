//! Reads that saw something older than what had been acknowledged before they began, and for how
//! long what they saw had been out of date. A write that lost to another (it is in the ledger)
//! makes no read stale.

use std::collections::BTreeMap;

use types::{Region, Span};

use super::{quantile, seconds};
use crate::expectation::Measured;
use crate::figures::writes::Writes;
use crate::observations::{Observations, Verb};
use crate::plan::{Order, Plan};

/// Stale reads.
#[derive(Clone, PartialEq, Debug)]
pub struct Staleness {
    /// How many were stale, of how many that could be judged: of orders acknowledged before.
    pub all: (u64, u64),
    /// The same per client's word and load's name.
    pub by_name: BTreeMap<String, (u64, u64)>,
    /// Half were out of date for no longer, in milliseconds.
    pub p50_ms: Option<f64>,
    /// 99 of 100 were out of date for no longer.
    pub p99_ms: Option<f64>,
    /// The longest.
    pub max_ms: Option<f64>,
    /// Each of them, by when it was begun.
    pub reads: Vec<StaleRead>,
}

/// A stale read.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct StaleRead {
    /// The load's index.
    pub load: u16,
    /// When it was begun.
    pub began: Span,
    /// The Region that served it.
    pub region: Option<Region>,
    /// For how long what it saw had been out of date.
    pub age: Span,
}

/// What was acknowledged of one order: when, and when the last of them by then had been begun.
type History = Vec<(Span, Span)>;

impl Staleness {
    pub(super) fn of(plan: &Plan, seen: &Observations) -> Staleness {
        let writes = Writes::of(seen);
        let histories = histories(&writes);
        let mut staleness = Staleness {
            all: (0, 0),
            by_name: BTreeMap::new(),
            p50_ms: None,
            p99_ms: None,
            max_ms: None,
            reads: Vec::new(),
        };
        for request in &seen.requests {
            if request.verb != Verb::Read || !request.outcome.is_ok() {
                continue;
            }
            let Some(order) = request.order else {
                continue;
            };
            let Some(history) = histories.get(&order) else {
                continue;
            };
            let known = history.partition_point(|(at, _)| *at <= request.began);
            if known == 0 {
                continue;
            }
            let saw = writes.over(order, request.version);
            let is_newer = |begun: Span| request.version == 0 || saw < begun;
            // The first that was acknowledged and is newer than what was seen: the times at which
            // the last was begun only grow.
            let known = &history[..known];
            let newer = known.get(known.partition_point(|(_, begun)| !is_newer(*begun)));
            staleness.count(plan, request.load, newer.is_some());
            if let Some((since, _)) = newer {
                staleness.reads.push(StaleRead {
                    load: request.load,
                    began: request.began,
                    region: request.region,
                    age: Span(request.began.0.saturating_sub(since.0)),
                });
            }
        }
        staleness.reads.sort_by_key(|read| (read.began, read.load));
        let mut ages: Vec<Span> = staleness.reads.iter().map(|read| read.age).collect();
        ages.sort_unstable();
        let at = |share| quantile(&ages, share).map(|age| seconds(age) * 1000.0);
        staleness.p50_ms = at(0.5);
        staleness.p99_ms = at(0.99);
        staleness.max_ms = at(1.0);
        staleness
    }

    fn count(&mut self, plan: &Plan, load: u16, is_stale: bool) {
        let stale = u64::from(is_stale);
        let add = |counts: &mut (u64, u64)| *counts = (counts.0 + stale, counts.1 + 1);
        add(&mut self.all);
        if let Some(load) = plan.scenario.loads.get(usize::from(load)) {
            for name in [&load.name, &load.client.label] {
                add(self.by_name.entry(name.clone()).or_default());
            }
        }
    }

    pub(super) fn counts(&self, name: &str) -> Option<(u64, u64)> {
        self.by_name.get(name).copied()
    }

    pub(super) fn age(&self, of: &[String]) -> Measured {
        let value = match of.first().map(String::as_str) {
            Some("p50") => self.p50_ms,
            Some("p99") => self.p99_ms,
            _ => self.max_ms,
        };
        match (value, self.all.1) {
            (Some(value), _) => Measured::Number(value),
            (None, 0) => Measured::Unknown("no read could be judged"),
            // Nothing was stale: for no time at all.
            (None, _) => Measured::Number(0.0),
        }
    }
}

fn histories(writes: &Writes) -> BTreeMap<Order, History> {
    let mut histories: BTreeMap<Order, History> = BTreeMap::new();
    for one in &writes.acknowledged {
        if writes.is_beaten(one) {
            continue;
        }
        let history = histories.entry(one.order).or_default();
        let last = history.last().map_or(Span::ZERO, |(_, begun)| *begun);
        history.push((one.at, last.max(one.began)));
    }
    histories
}
