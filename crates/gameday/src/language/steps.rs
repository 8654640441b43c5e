//! `[[step]]`: what happens when. Whether the steps make sense one after another is `timeline`'s.

use types::{FaultTarget, SiteName, Span};

use super::accelerators;
use super::global;
use super::lab;
use super::load;
use super::names::{self, Context};
use super::reading::{Part, Place, Section};
use super::timeline;
use crate::limits;
use crate::scenario::{Act, ChangeAction, Fault, Pair, Record, RecordChange, Repeat, Step};

/// A step and where it stands.
pub(super) type Placed = (Step, Place);

/// The words of `do`.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Verb {
    Kill,
    Start,
    Pause,
    Resume,
    Errors,
    Cut,
    Delay,
    Rate,
    Clock,
    Heal,
    Dial,
    Failover,
    Switchover,
    ChangeRecords,
    Scan,
}

const VERBS: [(&str, Verb); 15] = [
    ("kill", Verb::Kill),
    ("start", Verb::Start),
    ("pause", Verb::Pause),
    ("resume", Verb::Resume),
    ("errors", Verb::Errors),
    ("cut", Verb::Cut),
    ("delay", Verb::Delay),
    ("rate", Verb::Rate),
    ("clock", Verb::Clock),
    ("heal", Verb::Heal),
    ("dial", Verb::Dial),
    ("failover_global_cluster", Verb::Failover),
    ("switchover_global_cluster", Verb::Switchover),
    ("change_records", Verb::ChangeRecords),
    ("scan", Verb::Scan),
];

/// Reads `[[step]]`, in the order of time.
pub(super) fn read(
    root: &Section<'_, '_>,
    context: &Context<'_>,
    records: &[names::Placed],
    length: Option<Span>,
) -> Vec<Placed> {
    let mut steps: Vec<Placed> = Vec::new();
    let mut working: Vec<names::Placed> = records.to_vec();
    for section in root.sections("step", "a step", limits::STEPS) {
        let before = root.reader.count();
        let step = step(&section, context, &steps, &mut working);
        // Which words a step has depends on what it does.
        if step.is_some() || root.reader.count() == before {
            section.check_unknown();
        }
        if step.is_none() {
            root.reader.spoil(Part::Steps);
        }
        steps.extend(step.map(|step| (step, section.place().clone())));
    }
    timeline::check(root.reader, &steps, length);
    if !root.reader.is_spoilt(Part::Steps) {
        global::check_moves(root, &steps, context.tables);
    }
    steps
}

fn step(
    section: &Section<'_, '_>,
    context: &Context<'_>,
    earlier: &[Placed],
    working: &mut Vec<names::Placed>,
) -> Option<Step> {
    let at = section.required("at", "at = \"20s\" (from the start of the load)");
    let at = at.and_then(|value| value.span((Span::ZERO, limits::LENGTH.1)));
    let name = section.get("name").and_then(|value| load::word(&value));
    if let Some(name) = &name
        && earlier
            .iter()
            .any(|(step, _)| step.name.as_ref() == Some(name))
    {
        let message = format!("there are two steps `{name}`");
        section.reader.problem(&section.place_of("name"), message);
    }
    let verb = section.required("do", "do = \"kill\"");
    let verb = verb.and_then(|value| value.choice(&VERBS))?;
    let act = match verb {
        Verb::Start => Act::Start(target(section, context)?),
        Verb::Resume => Act::Resume(target(section, context)?),
        Verb::Heal => Act::Heal {
            step: healed(section, earlier)?,
        },
        Verb::Scan => Act::Scan,
        Verb::Dial => dial(section, context)?,
        Verb::Failover => global::failover(section, context)?,
        Verb::Switchover => global::switchover(section, context)?,
        Verb::ChangeRecords => changes(section, context, working)?,
        _ => broken(verb, section, context)?,
    };
    let line = section.reader.line(section.place());
    Some(Step {
        at: at?,
        name,
        act,
        line,
    })
}

/// A fault with its lease and how often it comes.
fn broken(verb: Verb, section: &Section<'_, '_>, context: &Context<'_>) -> Option<Act> {
    let lease = section.get("for");
    let lease = lease.map(|value| value.span(limits::LEASE));
    let every = section.get("every");
    let span = every.as_ref().map(|value| value.span(limits::EVERY));
    let times = section.get("times");
    let count = times.as_ref().map(|value| value.whole(limits::TIMES));
    let fault = fault(verb, section, context)?;
    let lease = match lease {
        None => None,
        Some(lease) => Some(lease?),
    };
    let repeat = match (&every, &times, lease) {
        (None, None, _) => None,
        (Some(value), _, None) | (None, Some(value), _) => {
            let help = "write for = \"500ms\", every = \"1s\" and times = 5";
            value.problem(
                "a fault that comes again says how long, how often and when",
                help,
            );
            return None;
        }
        (Some(value), _, Some(lease)) => {
            let every = span??;
            if every <= lease {
                let help = "make `every` longer than `for`";
                value.problem("the fault would come again before it has ended", help);
                return None;
            }
            let Some(count) = count else {
                value.problem("how often does it come?", "write times = 5");
                return None;
            };
            let times = u32::try_from(count?).ok()?;
            Some(Repeat { every, times })
        }
    };
    Some(Act::Fault {
        fault,
        lease,
        repeat,
    })
}

/// Another traffic dial for a group.
fn dial(section: &Section<'_, '_>, context: &Context<'_>) -> Option<Act> {
    let accelerator = section.required("accelerator", "accelerator = \"orders\"");
    let accelerator = accelerator.and_then(|value| accelerators::named(&value, context));
    let region = section.required("region", "region = \"us-east-1\"");
    let place = section.place_of("region");
    let region = region.and_then(|value| lab::region_of(&value, context.lab?));
    let dial = section.required("to", "to = 50 (percent)");
    let dial = dial.and_then(|value| value.decimal((0.0, 100.0)));
    let (accelerator, region) = (accelerator?, region?);
    let mut groups = context.accelerators[accelerator].groups.iter();
    if !groups.any(|group| group.region == region) {
        let name = &context.accelerators[accelerator].name;
        let message = format!("the accelerator {name} has no group in {region}");
        section.reader.problem(&place, message);
    }
    Some(Act::Dial {
        accelerator,
        region,
        dial: dial?,
    })
}

fn fault(verb: Verb, section: &Section<'_, '_>, context: &Context<'_>) -> Option<Fault> {
    Some(match verb {
        Verb::Kill => Fault::Kill(target(section, context)?),
        Verb::Pause => Fault::Pause(pausable(section, context)?),
        Verb::Errors => errors(section, context)?,
        Verb::Cut => {
            let reset = section
                .get("reset")
                .map_or(Some(false), |value| value.flag());
            Fault::Cut {
                pair: pair(section, context)?,
                reset: reset?,
            }
        }
        Verb::Delay => {
            let by = section.required("by", "by = \"250ms\"");
            let by = by.and_then(|value| value.span(limits::DELAY));
            Fault::Delay {
                pair: pair(section, context)?,
                by: by?,
            }
        }
        Verb::Rate => {
            let rate = section.required("bytes_per_second", "bytes_per_second = 100000");
            let rate = rate.and_then(|value| value.whole(limits::LINK_RATE));
            let pair = pair(section, context)?;
            Fault::Rate {
                pair,
                bytes_per_second: u64::try_from(rate?).ok()?,
            }
        }
        _ => {
            let by = section.required("by", "by = \"-2s\"");
            let by = by.and_then(|value| value.offset(limits::CLOCK));
            Fault::Clock {
                site: site(section, context)?,
                milliseconds: by?,
            }
        }
    })
}

/// A Region's application that answers with errors: to whom, and for what.
fn errors(section: &Section<'_, '_>, context: &Context<'_>) -> Option<Fault> {
    let region = section.required("region", "region = \"us-east-1\"");
    let region = region.and_then(|value| lab::region_of(&value, context.lab?));
    let path = section.get("path").map(|value| names::path(&value));
    let checkers = section.get("checkers");
    let path = match path {
        None => None,
        Some(path) => Some(path?),
    };
    let mut sites = Vec::new();
    if let Some(value) = checkers {
        for item in value.list(limits::REGIONS + usize::from(limits::EDGES))? {
            sites.push(lab::site(&item, context.lab?)?);
        }
    }
    if context.lab.is_some_and(|lab| lab.app.is_none()) {
        let message = "the lab has no application to answer with errors";
        section
            .reader
            .problem_help(section.place(), message, "write app = \"orders\" in [lab]");
        return None;
    }
    Some(Fault::Errors {
        region: region?,
        path,
        checkers: sites,
    })
}

fn site(section: &Section<'_, '_>, context: &Context<'_>) -> Option<SiteName> {
    let value = section.required("site", "site = \"us-east-1\"")?;
    lab::site(&value, context.lab?)
}

fn target(section: &Section<'_, '_>, context: &Context<'_>) -> Option<FaultTarget> {
    let value = section.required("site", "site = \"us-east-1\"")?;
    lab::target(&value, context.lab?)
}

/// What can stand still: everything but a zone, whose Region's process serves the others too.
fn pausable(section: &Section<'_, '_>, context: &Context<'_>) -> Option<FaultTarget> {
    let target = target(section, context)?;
    if let FaultTarget::Zone(zone) = target {
        let message = format!("{zone} can't be paused: one process of the Region serves all zones");
        let help = format!("write site = \"{target}/app\" for the application there");
        let place = section.place_of("site");
        section.reader.problem_help(&place, message, help);
        return None;
    }
    Some(target)
}

fn pair(section: &Section<'_, '_>, context: &Context<'_>) -> Option<Pair> {
    let value = section.required("between", "between = [\"us-east-1\", \"eu-west-1\"]");
    let one_way = section
        .get("one_way")
        .map_or(Some(false), |value| value.flag());
    let value = value?;
    let items = value.list(2)?;
    let [from, to] = items.as_slice() else {
        value.problem(
            "a link has two ends",
            "write between = [\"us-east-1\", \"eu-west-1\"]",
        );
        return None;
    };
    let lab = context.lab?;
    let (from, end) = (lab::site(from, lab), lab::site(to, lab));
    let (from, to) = (from?, end?);
    if from == to {
        value.problem(format!("{from} has no link with itself"), "name two sites");
        return None;
    }
    Some(Pair {
        from,
        to,
        one_way: one_way?,
    })
}

/// Which step's fault is healed; every one if none is named.
fn healed(section: &Section<'_, '_>, earlier: &[Placed]) -> Option<Option<usize>> {
    let Some(value) = section.get("fault") else {
        return Some(None);
    };
    let name = value.text()?;
    let is_it = |(step, _): &Placed| {
        step.name.as_deref() == Some(name) && matches!(step.act, Act::Fault { .. })
    };
    if let Some(index) = earlier.iter().position(is_it) {
        return Some(Some(index));
    }
    if section.reader.is_spoilt(Part::Steps) {
        return None;
    }
    let faults = earlier
        .iter()
        .filter(|(step, _)| matches!(step.act, Act::Fault { .. }));
    let names = faults.filter_map(|(step, _)| step.name.as_deref());
    let message = format!("no earlier step that breaks something is named `{name}`");
    section.reader.unknown(&value.place, message, name, names);
    None
}

/// Reads the changes of records, and makes them on the records as they are by then.
fn changes(
    section: &Section<'_, '_>,
    context: &Context<'_>,
    working: &mut Vec<names::Placed>,
) -> Option<Act> {
    let through = section.get("through");
    let through = match &through {
        None => None,
        Some(value) => Some(lab::region_of(value, context.lab?)?),
    };
    let mut changes = Vec::new();
    let mut whole = true;
    for (word, action) in [
        ("delete", ChangeAction::Delete),
        ("create", ChangeAction::Create),
        ("upsert", ChangeAction::Upsert),
    ] {
        for inner in section.sections(word, "a change of a record", limits::RECORDS) {
            let change = match action {
                ChangeAction::Delete => deletion(&inner, context, working),
                _ => names::record(&inner, context),
            };
            inner.check_unknown();
            let Some(record) = change else {
                whole = false;
                continue;
            };
            apply(&inner, action, &record, working);
            changes.push(RecordChange { action, record });
        }
    }
    if changes.is_empty() && whole {
        let message = "`change_records` needs a change";
        let help = "write [[step.upsert]], [[step.create]] or [[step.delete]] below the step";
        section.reader.problem_help(section.place(), message, help);
    }
    if whole && !section.reader.is_spoilt(Part::Records) {
        super::policy::check_groups(section.reader, working);
    }
    (whole && !changes.is_empty()).then_some(Act::ChangeRecords { through, changes })
}

/// A deletion names a record; what is deleted is that record as it is by then.
fn deletion(
    section: &Section<'_, '_>,
    context: &Context<'_>,
    working: &[names::Placed],
) -> Option<Record> {
    let name = section.required("name", "name = \"app.example.com\"");
    let name = name.and_then(|value| names::in_zone(&value, context));
    let kind = section.get("type").map_or(Some("A".to_owned()), |value| {
        value.text().map(str::to_owned)
    });
    let identifier = section.get("identifier");
    let identifier = match &identifier {
        None => None,
        Some(value) => Some(value.text()?.to_owned()),
    };
    let ((name, _), kind) = (name?, kind?);
    let records = working.iter().map(|(record, _)| record);
    let mut of_name = records.filter(|record| record.name == name && record.kind == kind);
    let candidates: Vec<&Record> = of_name.by_ref().collect();
    let found = candidates
        .iter()
        .find(|record| record.identifier == identifier);
    if found.is_none() && !section.reader.is_spoilt(Part::Records) {
        let identifiers = candidates
            .iter()
            .filter_map(|record| record.identifier.as_deref());
        let identifiers: Vec<&str> = identifiers.collect();
        let message = format!("there is no such record {name} {kind} to delete");
        let help = match identifiers.is_empty() {
            true => "`name`, `type` and `identifier` are those of a record".to_owned(),
            false => format!("its identifiers: {}", identifiers.join(", ")),
        };
        section.reader.problem_help(section.place(), message, help);
    }
    found.map(|record| (*record).clone())
}

fn apply(
    section: &Section<'_, '_>,
    action: ChangeAction,
    record: &Record,
    working: &mut Vec<names::Placed>,
) {
    let same = |other: &Record| {
        (&other.name, &other.kind, &other.identifier)
            == (&record.name, &record.kind, &record.identifier)
    };
    let there = working.iter().position(|(other, _)| same(other));
    if let (ChangeAction::Create, Some(_)) = (action, there) {
        let message = format!(
            "the record {} {} is there already",
            record.name, record.kind
        );
        section
            .reader
            .problem_help(section.place(), message, "write [[step.upsert]]");
    }
    if let Some(index) = there {
        working.remove(index);
    }
    if action != ChangeAction::Delete {
        working.push((record.clone(), section.place().clone()));
    }
}
