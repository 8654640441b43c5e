//! The timeline: what was done, what was noticed and what clients went through, in the order of
//! time.

use types::Span;

use super::Report;
use crate::expectation::Measured;
use crate::figures::seconds;
use crate::observations::EventKind;
use crate::scenario::Act;

/// A line of the timeline.
#[derive(Clone, PartialEq, Debug)]
pub(super) struct Entry {
    /// Seconds from the start of the load.
    pub(super) at: f64,
    /// What kind of thing it is.
    pub(super) kind: Kind,
    /// What happened.
    pub(super) text: String,
}

/// What kind of thing happened.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) enum Kind {
    /// Something was broken.
    Fault,
    /// The game day did something else.
    Done,
    /// The lab reacted.
    System,
    /// A client felt it.
    Client,
    /// Something went wrong with the game day itself.
    Trouble,
}

impl Kind {
    pub(super) fn word(self) -> &'static str {
        match self {
            Kind::Fault => "fault",
            Kind::Done => "step",
            Kind::System => "system",
            Kind::Client => "client",
            Kind::Trouble => "trouble",
        }
    }
}

/// Every line.
pub(super) fn of(report: &Report<'_>) -> Vec<Entry> {
    let mut entries = events(report);
    entries.extend(answers(report));
    entries.extend(clients(report));
    entries.extend(takeovers(report));
    entries.sort_by(|one, other| one.at.total_cmp(&other.at).then(one.kind.cmp(&other.kind)));
    entries
}

fn events(report: &Report<'_>) -> Vec<Entry> {
    let steps = &report.plan.scenario.steps;
    let describe = |index: &usize| {
        let step = steps.get(*index);
        step.map(|step| step.act.describe(steps))
            .unwrap_or_default()
    };
    let read = |kind: &EventKind| match kind {
        EventKind::Step(index) => {
            let is_fault = steps
                .get(*index)
                .map(|step| matches!(step.act, Act::Fault { .. }));
            let kind = if is_fault == Some(true) {
                Kind::Fault
            } else {
                Kind::Done
            };
            (kind, describe(index))
        }
        EventKind::StepFailed(index, why) => (
            Kind::Trouble,
            format!("could not {}: {why}", describe(index)),
        ),
        EventKind::Verdict {
            check,
            healthy: true,
        } => (Kind::System, format!("health check {check}: healthy")),
        EventKind::Verdict {
            check,
            healthy: false,
        } => (Kind::System, format!("health check {check}: unhealthy")),
        EventKind::Scanned => {
            let (_, things) = report.things();
            (Kind::Done, format!("the {things} are read in every Region"))
        }
        EventKind::LoadEnded => (
            Kind::Done,
            "the load ends; every fault is healed".to_owned(),
        ),
        EventKind::Drained => (Kind::System, "nothing waits on a link".to_owned()),
        EventKind::Converged => (Kind::System, "all replicas agree".to_owned()),
        EventKind::NotConverged(why) => (Kind::Trouble, format!("the replicas don't agree: {why}")),
        EventKind::Note(text) => (Kind::System, text.clone()),
    };
    let entries = report.seen.events.iter().map(|event| {
        let (kind, text) = read(&event.kind);
        Entry {
            at: seconds(event.at),
            kind,
            text,
        }
    });
    entries.collect()
}

/// The first row that each new writer of a global cluster acknowledged.
fn takeovers(report: &Report<'_>) -> Vec<Entry> {
    let takeovers = report.figures.writers.takeovers.iter();
    let entries = takeovers.filter_map(|one| {
        Some(Entry {
            at: seconds(one.first?),
            kind: Kind::System,
            text: format!("{} acknowledges its first row as the writer", one.moved.to),
        })
    });
    entries.collect()
}

/// Changes of the DNS's answers: places whose answer changed alike within a moment are one line.
fn answers(report: &Report<'_>) -> Vec<Entry> {
    const MOMENT: Span = Span::milliseconds(250);
    let mut groups: Vec<(Span, Vec<String>, Vec<String>)> = Vec::new();
    let mut seen_looks = Vec::new();
    for answer in &report.seen.answers {
        // The first answer of a look is no change.
        if !seen_looks.contains(&&answer.look) {
            seen_looks.push(&answer.look);
            continue;
        }
        let regions: Vec<String> = answer.regions.iter().map(ToString::to_string).collect();
        let place = answer.look.place.to_string();
        let alike = groups.iter_mut().find(|(at, named, _)| {
            *named == regions && answer.at.0.saturating_sub(at.0) <= MOMENT.0
        });
        match alike {
            Some((_, _, places)) => {
                if !places.contains(&place) {
                    places.push(place);
                }
            }
            None => groups.push((answer.at, regions, vec![place])),
        }
    }
    let entries = groups.into_iter().map(|(at, regions, places)| {
        let named = match regions.is_empty() {
            true => "no Region".to_owned(),
            false => regions.join(", "),
        };
        let text = format!("the DNS begins to answer {named} to {}", places.join(", "));
        Entry {
            at: seconds(at),
            kind: Kind::System,
            text,
        }
    });
    entries.collect()
}

/// First and last failed request of each client, and when it was served again. Clients that went
/// through the same at the same time, as it is printed, are one line.
fn clients(report: &Report<'_>) -> Vec<Entry> {
    // Times are printed in tenths of a second.
    const PRINTED: f64 = 0.05;
    let Some(struck) = report.figures.moments.struck.at().map(seconds) else {
        return Vec::new();
    };
    let mut grouped: Vec<(f64, &'static str, Vec<&str>)> = Vec::new();
    let mut add = |at: f64, what: &'static str, name| {
        let alike = |(time, known, _): &&mut (f64, &'static str, Vec<&str>)| {
            *known == what && (*time - at).abs() < PRINTED
        };
        match grouped.iter_mut().find(alike) {
            Some((_, _, names)) => names.push(name),
            None => grouped.push((at, what, vec![name])),
        }
    };
    for stream in &report.figures.clients {
        let name = stream.name.as_str();
        // What was under way when the fault struck failed by the fault.
        let failure = |at: Option<Span>| at.map(|at| seconds(at).max(struck));
        let (first, last) = (failure(stream.first_failure), failure(stream.last_failure));
        if let Some(at) = first {
            add(at, "first failed request", name);
        }
        if let Some(at) = last.filter(|_| first != last) {
            add(at, "last failed request", name);
        }
        if let Measured::Number(after) = stream.rto
            && after > 0.0
        {
            add(struck + after, "served again", name);
        }
    }
    let entries = grouped.into_iter().map(|(at, what, names)| {
        let text = format!("{what}: {}", names.join(", "));
        Entry {
            at,
            kind: Kind::Client,
            text,
        }
    });
    entries.collect()
}
