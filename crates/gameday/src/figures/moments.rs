//! When the fault struck, who noticed when, and when everything was as before.

use std::collections::BTreeMap;

use types::{Region, Span};

use crate::expectation::Measured;
use crate::figures::seconds;
use crate::observations::{Answer, EventKind, Observations};
use crate::plan::{Plan, healing_step};
use crate::scenario::{Act, Fault, Load};

/// A time that may never have come, or could not be seen.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum When {
    /// It came, so long after the start of the load.
    At(Span),
    /// It did not come.
    Never,
    /// There was nothing to see, and why.
    Unknown(&'static str),
}

/// The times of a game day, from the start of the load.
#[derive(Clone, PartialEq, Debug)]
pub struct Moments {
    /// What was broken, in words; `None`: nothing that is measured.
    pub fault: Option<String>,
    /// The Region that could not be reached, if the fault is of that kind.
    pub outage: Option<Region>,
    /// The Region whose application served nobody, be the Region itself there or not.
    pub unserved: Option<Region>,
    /// When the fault was ordered.
    pub struck: When,
    /// When its end was ordered or its lease was over.
    pub ended: When,
    /// When the first health check of what broke turned unhealthy.
    pub detected: When,
    /// When no place was answered with the Region that serves nobody any more.
    pub answers_changed: When,
    /// When the load ended and every fault was healed.
    pub load_ended: When,
    /// When nothing waited on a link after the fault had ended.
    pub drained: When,
    /// When all replicas agreed.
    pub converged: When,
}

impl When {
    /// The time, if it came.
    pub fn at(self) -> Option<Span> {
        match self {
            When::At(at) => Some(at),
            _ => None,
        }
    }
}

impl Moments {
    /// Finds them.
    pub fn of(plan: &Plan, seen: &Observations) -> Moments {
        let fault = plan.scenario.measure.fault;
        let broken = fault.and_then(|index| match &plan.scenario.steps[index].act {
            Act::Fault { fault, .. } => Some(fault),
            _ => None,
        });
        let unserved = plan.unserved();
        let struck = match fault {
            None => When::Unknown("nothing was broken"),
            Some(index) => match event(seen, |kind| *kind == EventKind::Step(index)) {
                Some(at) => When::At(at),
                None => When::Unknown("the fault could not be made"),
            },
        };
        let load_ended = event(seen, |kind| *kind == EventKind::LoadEnded);
        let load_ended = load_ended.map_or(When::Never, When::At);
        let ended = match (fault, struck) {
            (Some(index), When::At(struck)) => end_of(plan, seen, index, struck, load_ended),
            _ => struck,
        };
        Moments {
            fault: broken.map(Fault::to_string),
            outage: plan.outage(),
            unserved,
            struck,
            ended,
            detected: detected(plan, seen, unserved, struck),
            answers_changed: answers_changed(seen, unserved, struck, ended),
            load_ended,
            drained: drained(seen, ended),
            converged: converged(seen),
        }
    }

    /// Seconds from the fault to then.
    pub(crate) fn since_struck(&self, when: &When) -> Measured {
        since(&self.struck, when)
    }

    /// Seconds from the end of the fault until nothing waited.
    pub(crate) fn drained(&self) -> Measured {
        match self.ended {
            When::At(_) => since(&self.ended, &self.drained),
            _ => since(&When::At(Span::ZERO), &self.drained),
        }
    }

    /// Seconds from the end of the load until the replicas agreed.
    pub(crate) fn converged(&self) -> Measured {
        since(&self.load_ended, &self.converged)
    }
}

fn since(from: &When, when: &When) -> Measured {
    match (from, when) {
        (When::At(from), When::At(when)) => {
            Measured::Number(seconds(Span(when.0.saturating_sub(from.0))))
        }
        (When::At(_), When::Never) => Measured::Never,
        (When::Unknown(why), _) | (_, When::Unknown(why)) => Measured::Unknown(why),
        (When::Never, _) => Measured::Unknown("the load did not end"),
    }
}

fn event(seen: &Observations, is_it: impl Fn(&EventKind) -> bool) -> Option<Span> {
    let found = seen.events.iter().filter(|event| is_it(&event.kind));
    found.map(|event| event.at).min()
}

/// When the fault ended: what came first of its lease, the step that heals it and the end.
fn end_of(plan: &Plan, seen: &Observations, fault: usize, struck: Span, load_ended: When) -> When {
    let steps = &plan.scenario.steps;
    let lease = steps[fault].act.lasts();
    let lease = lease.map(|lasts| Span(struck.0.saturating_add(lasts.0)));
    let healed = healing_step(steps, fault);
    let healed = healed.and_then(|step| event(seen, |kind| *kind == EventKind::Step(step)));
    let last = match load_ended {
        When::At(at) => Some(at),
        _ => None,
    };
    let first = [lease, healed, last].into_iter().flatten().min();
    first.map_or(When::Never, When::At)
}

fn detected(plan: &Plan, seen: &Observations, unserved: Option<Region>, struck: When) -> When {
    let When::At(struck) = struck else {
        return struck;
    };
    let Some(unserved) = unserved else {
        return When::Unknown("every Region serves");
    };
    let checks = plan.scenario.health_checks.iter();
    let checks = checks.filter(|check| check.region == unserved && !check.disabled);
    let mut names: Vec<String> = checks.map(|check| check.name.clone()).collect();
    let accelerators = plan.scenario.accelerators.iter();
    let of_endpoints = accelerators.flat_map(|accelerator| {
        let groups = accelerator.groups.iter();
        let groups = groups.filter(|group| group.region == unserved);
        groups.map(|group| accelerator.check_name(group.region))
    });
    names.extend(of_endpoints);
    if names.is_empty() {
        return When::Unknown("no health check looks at it");
    }
    let turned = seen.events.iter().filter(|event| {
        event.at >= struck
            && matches!(&event.kind, EventKind::Verdict { check, healthy: false }
                if names.contains(check))
    });
    turned
        .map(|event| event.at)
        .min()
        .map_or(When::Never, When::At)
}

/// Of every look that was answered with the Region when it broke: when that ended, before the
/// Region was back. The last of them.
fn answers_changed(
    seen: &Observations,
    unserved: Option<Region>,
    struck: When,
    ended: When,
) -> When {
    let When::At(struck) = struck else {
        return struck;
    };
    let Some(unserved) = unserved else {
        return When::Unknown("every Region serves");
    };
    let mut by_look: BTreeMap<_, Vec<&Answer>> = BTreeMap::new();
    for answer in &seen.answers {
        by_look.entry(&answer.look).or_default().push(answer);
    }
    let mut last = When::Unknown("no answer named it");
    for answers in by_look.values() {
        let before = answers.iter().rev().find(|answer| answer.at <= struck);
        if !before.is_some_and(|answer| answer.regions.contains(&unserved)) {
            continue;
        }
        let is_end = |answer: &&&Answer| answer.at > struck && !answer.regions.contains(&unserved);
        let changed = answers.iter().find(is_end).map(|answer| answer.at);
        last = match (changed, last, ended) {
            (_, When::Never, _) | (None, _, _) => When::Never,
            (Some(at), _, When::At(ended)) if at > ended => When::Never,
            (Some(at), When::At(latest), _) => When::At(at.max(latest)),
            (Some(at), When::Unknown(_), _) => When::At(at),
        };
    }
    last
}

fn drained(seen: &Observations, ended: When) -> When {
    let from = match ended {
        When::At(at) => at,
        _ => Span::ZERO,
    };
    let events = seen.events.iter().filter(|event| event.at >= from);
    let found = events.filter(|event| event.kind == EventKind::Drained);
    found
        .map(|event| event.at)
        .min()
        .map_or(When::Never, When::At)
}

fn converged(seen: &Observations) -> When {
    if let Some(at) = event(seen, |kind| *kind == EventKind::Converged) {
        return When::At(at);
    }
    match event(seen, |kind| matches!(kind, EventKind::NotConverged(_))) {
        Some(_) => When::Never,
        None => When::Unknown("no replicas were compared"),
    }
}

/// Per Region the share of the load's time in which the answer at its place named the Region.
pub(super) fn answered(plan: &Plan, seen: &Observations, load: &Load) -> BTreeMap<Region, f64> {
    let is_its = |answer: &&Answer| {
        load.asks_the_dns() && answer.look.place == load.place && answer.look.name == load.target
    };
    let answers: Vec<&Answer> = seen.answers.iter().filter(is_its).collect();
    let end = plan.scenario.measure.length;
    let Some(first) = answers.first().map(|answer| answer.at.min(end)) else {
        return BTreeMap::new();
    };
    let whole = end.0.saturating_sub(first.0).max(1) as f64;
    let mut shares = BTreeMap::new();
    for (at, answer) in answers.iter().enumerate() {
        let until = answers.get(at + 1).map_or(end, |next| next.at.min(end));
        let share = until.0.saturating_sub(answer.at.0) as f64 / whole * 100.0;
        for region in &answer.regions {
            *shares.entry(*region).or_insert(0.0) += share;
        }
    }
    // What a sum of shares lost to rounding is no part of the time.
    for share in shares.values_mut() {
        if *share > 100.0 - 1e-9 {
            *share = 100.0;
        }
    }
    if shares.is_empty() {
        // Answers were seen, and none named a Region.
        shares.extend(
            plan.scenario
                .lab
                .regions
                .iter()
                .map(|region| (*region, 0.0)),
        );
    }
    shares
}
