//! Do the steps make sense one after another? What the lab would refuse while it runs, because a
//! site is down or a fault is over by then, is found here.

use std::collections::BTreeMap;

use types::{FaultTarget, Span};

use super::reading::{Part, Place, Reader, Section};
use super::span;
use super::steps::Placed;
use crate::scenario::{Act, Fault, Lab, Load, Step, Table, Work, Zone};

/// What holds a site, or a part of one, down, and until when by itself.
#[derive(Clone, Copy)]
struct Held {
    killed: bool,
    step: usize,
    until: Option<Span>,
}

/// Checks order, ends and states.
pub(super) fn check(reader: &Reader<'_>, steps: &[Placed], length: Option<Span>) {
    let mut latest = Span::ZERO;
    let mut held: BTreeMap<FaultTarget, Held> = BTreeMap::new();
    for (index, (step, place)) in steps.iter().enumerate() {
        if step.at < latest {
            let message = format!("this step is at {}", span::show(step.at));
            let help = format!("the one before is at {}: order by time", span::show(latest));
            reader.problem_help(place, message, help);
        }
        latest = latest.max(step.at);
        held.retain(|_, state| state.until.is_none_or(|until| until > step.at));
        if !reader.is_spoilt(Part::Steps) {
            check_state(reader, index, step, place, &mut held);
        }
        if let Some(length) = length {
            check_end(reader, step, place, length);
        }
    }
}

fn check_end(reader: &Reader<'_>, step: &Step, place: &Place, length: Span) {
    if step.at >= length {
        let message = format!(
            "this step is at {}, when the load has ended",
            span::show(step.at)
        );
        let help = format!("[measure] length is {}", span::show(length));
        reader.problem_help(place, message, help);
        return;
    }
    if let Some(lasts) = step.act.lasts()
        && Span(step.at.0.saturating_add(lasts.0)) > length
    {
        let rest = Span(length.0 - step.at.0);
        let message = format!(
            "the fault lasts {}, and the load ends {} after it",
            span::show(lasts),
            span::show(rest)
        );
        let help = "leave out `for`: every fault is healed when the load ends";
        reader.problem_help(place, message, help);
    }
}

fn check_state(
    reader: &Reader<'_>,
    index: usize,
    step: &Step,
    place: &Place,
    held: &mut BTreeMap<FaultTarget, Held>,
) {
    // What is held by itself, or as a part of what is.
    let state = |target: &FaultTarget| {
        let holders = held.iter().filter(|(holder, _)| holder.contains(*target));
        let killed: Vec<bool> = holders.map(|(_, state)| state.killed).collect();
        killed.iter().copied().reduce(|one, other| one || other)
    };
    let own = |target: &FaultTarget| held.get(target).map(|state| state.killed);
    let wrong = |message: String| reader.problem(place, message);
    match &step.act {
        Act::Fault {
            fault: Fault::Kill(target),
            ..
        } if state(target) == Some(true) => {
            wrong(format!("{target} is killed already"));
        }
        Act::Fault {
            fault: Fault::Pause(target),
            ..
        } if state(target).is_some() => {
            wrong(format!("{target} is killed or paused already"));
        }
        Act::Start(target) if own(target) != Some(true) => {
            wrong(format!("{target} is not killed at that time"));
        }
        Act::Resume(target) if own(target) != Some(false) => {
            wrong(format!("{target} is not paused at that time"));
        }
        Act::MoveWriter(moved) if state(&moved.asked()).is_some() => {
            wrong(format!("{} is down then, and can't be asked", moved.to));
        }
        _ => {}
    }
    match &step.act {
        Act::Fault {
            fault: fault @ (Fault::Kill(target) | Fault::Pause(target)),
            ..
        } => {
            let killed = matches!(fault, Fault::Kill(_));
            // A kill ends the pauses within.
            held.retain(|of, state| !killed || state.killed || !target.contains(*of));
            let lasts = step.act.lasts();
            let until = lasts.map(|lasts| Span(step.at.0.saturating_add(lasts.0)));
            held.insert(
                *target,
                Held {
                    killed,
                    step: index,
                    until,
                },
            );
        }
        Act::Start(target) | Act::Resume(target) => {
            held.remove(target);
        }
        Act::Heal { step: None } => held.clear(),
        Act::Heal { step: Some(healed) } => held.retain(|_, state| state.step != *healed),
        _ => {}
    }
}

/// Checks that what the loads need is there: an edge that answers, a table for the orders.
pub(super) fn check_needs(
    root: &Section<'_, '_>,
    lab: Option<&Lab>,
    zones: &[Zone],
    loads: &[Load],
    tables: &[Table],
) {
    let no_edge = lab.is_some_and(|lab| lab.edges == 0) && !root.reader.is_spoilt(Part::Lab);
    if no_edge && !zones.is_empty() {
        let message = "nobody answers the names of a zone: the lab has no edge";
        let help = "write edges = 1 in [lab]";
        root.reader
            .problem_help(&root.place_of("lab"), message, help);
    }
    let orders = loads
        .iter()
        .find(|load| !matches!(load.work, Work::Get { .. } | Work::InsertRows));
    let no_table =
        tables.iter().all(Table::is_global_cluster) && !root.reader.is_spoilt(Part::Tables);
    if let (Some(load), true) = (orders, no_table) {
        let message = format!(
            "the load `{}` works on orders, and there is no table or bucket",
            load.name
        );
        let help = "write [[table]] (or [[bucket]]) with name = \"Orders\" and its regions";
        root.reader
            .problem_help(&root.place_of("load"), message, help);
    }
}
