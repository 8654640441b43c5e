//! Who wrote to a global cluster when: how long each takeover took, and whether two ever wrote at
//! once. An epoch is a timeline of PostgreSQL's: each promotion begins a new one, and the server
//! that acknowledged a row has said which it was on.

use std::collections::BTreeMap;

use types::{Region, Span};

use super::{UNKNOWN, seconds};
use crate::expectation::Measured;
use crate::observations::{EventKind, Observations, Request, Verb};
use crate::plan::Plan;
use crate::scenario::{Act, WriterMove};

/// What is known of a global cluster's writers.
#[derive(Clone, PartialEq, Debug)]
pub struct Writers {
    /// The steps that moved the writer, in order.
    pub takeovers: Vec<Takeover>,
    /// Rows that were acknowledged by a writer whose successor had acknowledged some before they
    /// were begun, or by another Region in the same epoch; `None`: no row was acknowledged.
    pub split_brain: Option<u64>,
}

/// A step that moved the writer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Takeover {
    /// The step's index.
    pub step: usize,
    /// What was to be.
    pub moved: WriterMove,
    /// When it was asked for.
    pub asked: Span,
    /// When the last row was acknowledged by another Region before its first; `None`: none was.
    pub last: Option<Span>,
    /// When it acknowledged its first row after that; `None`: it did not.
    pub first: Option<Span>,
}

impl Writers {
    pub(super) fn of(plan: &Plan, seen: &Observations) -> Writers {
        let is_row = |request: &&Request| {
            let load = plan.scenario.loads.get(usize::from(request.load));
            request.verb == Verb::Place
                && request.outcome.is_ok()
                && load.is_some_and(|load| load.global_cluster.is_some())
        };
        let rows: Vec<&Request> = seen.requests.iter().filter(is_row).collect();
        let steps = plan.scenario.steps.iter().enumerate();
        let takeovers = steps.filter_map(|(step, of)| match &of.act {
            Act::MoveWriter(moved) => takeover(seen, &rows, step, *moved),
            _ => None,
        });
        Writers {
            takeovers: takeovers.collect(),
            split_brain: (!rows.is_empty()).then(|| split_brain(&rows)),
        }
    }

    /// Seconds from when the step of that name asked until its Region acknowledged a row.
    pub(super) fn takeover_s(&self, plan: &Plan, of: &[String]) -> Measured {
        let Some(name) = of.first() else {
            return UNKNOWN;
        };
        let named = |step: usize| plan.scenario.steps[step].name.as_ref() == Some(name);
        let mut all = self.takeovers.iter();
        match all.find(|takeover| named(takeover.step)) {
            None => Measured::Unknown("the step was not carried out"),
            Some(Takeover { first: None, .. }) => Measured::Never,
            Some(Takeover {
                first: Some(first),
                asked,
                ..
            }) => Measured::Number(seconds(Span(first.0 - asked.0))),
        }
    }

    pub(super) fn split_brain_rows(&self) -> Measured {
        let none = Measured::Unknown("no row was acknowledged");
        let counted = self.split_brain;
        counted.map_or(none, |count| Measured::Number(count as f64))
    }
}

fn takeover(
    seen: &Observations,
    rows: &[&Request],
    step: usize,
    moved: WriterMove,
) -> Option<Takeover> {
    let mut events = seen.events.iter();
    let event = events.find(|event| event.kind == EventKind::Step(step))?;
    let asked = event.at;
    let its = rows.iter().filter(|row| row.region == Some(moved.to));
    let after = its.filter(|row| row.ended >= asked).map(|row| row.ended);
    let first = after.min();
    let others = rows.iter().filter(|row| row.region != Some(moved.to));
    let before = others.filter(|row| first.is_none_or(|first| row.ended < first));
    Some(Takeover {
        step,
        moved,
        asked,
        last: before.map(|row| row.ended).max(),
        first,
    })
}

/// Of what epochs a row can't be, if there is one writer at a time.
fn split_brain(rows: &[&Request]) -> u64 {
    // Of each epoch when it acknowledged its first row, and which Region did.
    let mut firsts: BTreeMap<u32, (Span, Option<Region>)> = BTreeMap::new();
    for row in rows {
        let first = firsts.entry(row.version);
        let first = first.or_insert((row.ended, row.region));
        if row.ended < first.0 {
            *first = (row.ended, row.region);
        }
    }
    let is_of_two = |row: &&&Request| {
        let later = firsts.range(row.version + 1..);
        let succeeded = later.map(|(_, (at, _))| *at).min();
        let of_another = firsts
            .get(&row.version)
            .is_some_and(|it| it.1 != row.region);
        of_another || succeeded.is_some_and(|at| at <= row.began)
    };
    rows.iter().filter(is_of_two).count() as u64
}
