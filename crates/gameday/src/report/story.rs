//! What happened, in sentences: what broke, who noticed when, what clients went through, what was
//! lost. For someone who has seen neither the project nor the scenario.

use types::{FaultTarget, Region, SiteName};

use super::{Report, counted, grouped, share, spoken, writers};
use crate::expectation::Measured;
use crate::figures::{Fate, Stream, allowed_minutes, seconds};
use crate::metric::{Metric, MetricName};
use crate::scenario::{Client, ClientKind, Fault, Repeat};

pub(super) fn tell(report: &Report<'_>) -> Vec<String> {
    let mut story = Vec::new();
    for failed in report.failed_steps() {
        story.push(format!("A step could not be carried out: {failed}."));
    }
    story.extend(before(report));
    story.extend(fault(report));
    story.extend(detection(report));
    story.extend(clients(report));
    story.extend(writers::takeovers(report));
    story.push(requests(report));
    story.extend(missing(report));
    story.extend(apart(report));
    story.extend(writers::missing(report));
    story.extend(lost(report));
    story.extend(writers::split_brain(report));
    story.extend(stale(report));
    story.extend(discards(report));
    story.extend(convergence(report));
    story.extend(notes(report));
    story.push(verdict(report));
    story
}

fn value(report: &Report<'_>, name: MetricName) -> Measured {
    report.figures.value(report.plan, &Metric::bare(name))
}

/// What the runner had to say beside.
fn notes(report: &Report<'_>) -> Vec<String> {
    let events = report.seen.events.iter();
    let notes = events.filter_map(|event| match &event.kind {
        crate::EventKind::Note(text) => Some(format!("{}.", capital(text))),
        _ => None,
    });
    notes.collect()
}

/// A sentence's beginning.
fn capital(text: &str) -> String {
    let mut chars = text.chars();
    let first = chars.next().map(|c| c.to_uppercase().collect::<String>());
    first.unwrap_or_default() + chars.as_str()
}

/// What had gone wrong already, which the fault is not to be blamed for.
fn before(report: &Report<'_>) -> Option<String> {
    let baseline = report
        .figures
        .baseline
        .filter(|baseline| baseline.failed > 0)?;
    let doubt = match baseline.is_unwell() {
        true => {
            ": the lab or the machine was not well, so nothing is said of detection and recovery"
        }
        false => "",
    };
    Some(format!(
        "Before the fault {} of {} had failed already{doubt}.",
        grouped(baseline.failed),
        counted(baseline.requests, "request", "requests"),
    ))
}

fn fault(report: &Report<'_>) -> Option<String> {
    let scenario = &report.plan.scenario;
    let moments = &report.figures.moments;
    let step = &scenario.steps[scenario.measure.fault?];
    let crate::scenario::Act::Fault { fault, repeat, .. } = &step.act else {
        return None;
    };
    let struck = spoken(seconds(moments.struck.at()?));
    let (what, end) = match fault {
        Fault::Kill(target) if target.is_app() => (
            format!("{} was killed", named(target)),
            "it was started again",
        ),
        Fault::Kill(target) => (
            format!("{} was killed, as by a power cut,", named(target)),
            "it was started again",
        ),
        Fault::Pause(target) => (format!("{} stood still", named(target)), "it went on"),
        Fault::Errors {
            region,
            path: None,
            checkers,
        } if checkers.is_empty() => (
            format!("the application of {region} began to answer with errors"),
            "that ended",
        ),
        Fault::Cut { pair, .. } if pair.one_way => (
            format!("the link from {} to {} was cut", pair.from, pair.to),
            "it was healed",
        ),
        Fault::Cut { pair, .. } => (
            format!("the link between {} and {} was cut", pair.from, pair.to),
            "it was healed",
        ),
        other => (format!("a fault was made ({other})"), "it ended"),
    };
    let (what, end) = match repeat {
        None => (what, end),
        Some(Repeat { every, times }) => {
            let every = spoken(seconds(*every));
            let again = format!("{what} {times} times, every {every}, the first time");
            (again, "the last of it ended")
        }
    };
    let end = match moments.ended.at() {
        Some(ended) => {
            let lasted = ended.0.saturating_sub(moments.struck.at()?.0);
            format!("; {end} {} later", spoken(seconds(types::Span(lasted))))
        }
        None => String::new(),
    };
    Some(format!("{} {struck} into the run{end}.", capital(&what)))
}

fn named(target: &FaultTarget) -> String {
    match target {
        FaultTarget::Site(SiteName::Region(region)) => format!("the Region {region}"),
        FaultTarget::Site(edge) => format!("the edge {edge}"),
        FaultTarget::Zone(zone) => format!("the zone {zone}"),
        FaultTarget::App(region) => format!("the application of {region}"),
        FaultTarget::Instance(zone) => format!("the application's instance in {zone}"),
    }
}

fn detection(report: &Report<'_>) -> Option<String> {
    let unserved = report.figures.moments.unserved?;
    let scenario = &report.plan.scenario;
    let is_watched = !scenario.health_checks.is_empty() || !scenario.accelerators.is_empty();
    if !is_watched && report.plan.looks.is_empty() {
        return None;
    }
    if report
        .figures
        .baseline
        .is_some_and(|baseline| baseline.is_unwell())
    {
        return None;
    }
    let detected = match value(report, MetricName::DetectedS) {
        Measured::Number(after) => format!("Health checks noticed after {}", spoken(after)),
        Measured::Never => "No health check noticed".to_owned(),
        Measured::Unknown(_) => "No health check looks at it".to_owned(),
    };
    Some(match value(report, MetricName::AnswersChangedS) {
        Measured::Number(after) => {
            format!(
                "{detected}; after {} the DNS named {unserved} to nobody any more.",
                spoken(after)
            )
        }
        Measured::Never => {
            format!("{detected}; the DNS went on naming {unserved} to those it had named it to.")
        }
        Measured::Unknown(_) => format!("{detected}."),
    })
}

/// Who the clients of a word are.
pub(super) fn who(client: &Client) -> String {
    match client.kind {
        ClientKind::HonoursTtl => "clients that honour the DNS record's time to live".to_owned(),
        ClientKind::Holds(span) => {
            format!("clients that hold an answer for {}", spoken(seconds(span)))
        }
        ClientKind::NeverResolvesAgain => "clients that never resolve a name again".to_owned(),
        ClientKind::Pooled => "clients with pooled connections".to_owned(),
        ClientKind::Accelerator => "clients of the accelerator".to_owned(),
        ClientKind::AcceleratorPooled => {
            "clients of the accelerator with pooled connections".to_owned()
        }
        ClientKind::FollowsTheWriter => "clients that follow the writer".to_owned(),
    }
}

fn clients(report: &Report<'_>) -> Option<String> {
    report.figures.moments.struck.at()?;
    let loads = &report.plan.scenario.loads;
    let streams = &report.figures.clients;
    if !streams.is_empty() && streams.iter().all(|one| one.rto == Measured::Number(0.0)) {
        return Some("No client was without service.".to_owned());
    }
    let mut parts = Vec::new();
    for stream in &report.figures.clients {
        let client = loads.iter().find(|load| load.client.label == stream.name);
        let Some(client) = client.map(|load| &load.client) else {
            continue;
        };
        let who = who(client);
        let members = apart_by_place(report, stream);
        if members.is_empty() {
            parts.extend(fared(&stream.rto).map(|fared| format!("{who} {fared}")));
        } else {
            let each = members.iter().filter_map(|stream| {
                fared(&stream.rto).map(|fared| format!("{} {fared}", stream.name))
            });
            parts.push(format!(
                "of the {who}, {}",
                each.collect::<Vec<_>>().join(", ")
            ));
        }
    }
    (!parts.is_empty()).then(|| format!("{}.", capital(&parts.join("; "))))
}

/// The loads of a client's kind, if they fared differently, by where they are; else none.
pub(super) fn apart_by_place<'r>(report: &'r Report<'_>, client: &Stream) -> Vec<&'r Stream> {
    let loads = report.plan.scenario.loads.iter();
    let members: Vec<&Stream> = (loads.zip(&report.figures.loads))
        .filter(|(load, _)| load.client.label == client.name)
        .map(|(_, stream)| stream)
        .collect();
    let mut pairs = members.windows(2);
    match pairs.all(|pair| is_alike(&pair[0].rto, &pair[1].rto)) {
        true => Vec::new(),
        false => members,
    }
}

/// Do both amount to the same story?
fn is_alike(one: &Measured, other: &Measured) -> bool {
    match (one, other) {
        (Measured::Number(one), Measured::Number(other)) => (*one == 0.0) == (*other == 0.0),
        (one, other) => std::mem::discriminant(one) == std::mem::discriminant(other),
    }
}

fn fared(rto: &Measured) -> Option<String> {
    match rto {
        Measured::Number(0.0) => Some("noticed nothing".to_owned()),
        Measured::Number(after) => Some(format!("were served again after {}", spoken(*after))),
        Measured::Never => Some("were not served again before the fault ended".to_owned()),
        Measured::Unknown(_) => None,
    }
}

fn requests(report: &Report<'_>) -> String {
    let all = &report.figures.all;
    let failed = all.requests - all.ok;
    if all.requests == 0 {
        return "No request was made.".to_owned();
    }
    if failed == 0 {
        return format!(
            "All {} succeeded.",
            counted(all.requests, "request", "requests")
        );
    }
    let minutes = report.figures.bad_minutes;
    let allowed = allowed_minutes(99.9);
    format!(
        "Of {}, {} failed ({} succeeded): as much as {} without any service, where a promise of \
         99.9 % allows {allowed:.0} minutes a month.",
        counted(all.requests, "request", "requests"),
        grouped(failed),
        share(all.ok, all.requests),
        spoken(minutes * 60.0),
    )
}

fn missing(report: &Report<'_>) -> Option<String> {
    let missing = report.figures.orders.missing.as_ref()?;
    let outage = report.figures.moments.outage?;
    if report.figures.orders.acknowledged == 0 {
        return None;
    }
    let (one, many) = report.things();
    if missing.is_empty() {
        return Some(format!(
            "Every {one} that {outage} had acknowledged was in another Region."
        ));
    }
    if is_kept_alone(report, outage) {
        return Some(format!(
            "While {outage} was gone, {} that it had acknowledged could not be read: its table \
             is replicated to no other Region.",
            counted(missing.len() as u64, "order", "orders")
        ));
    }
    let oldest = missing
        .iter()
        .map(|order| order.age)
        .max()
        .unwrap_or_default();
    let count = |fate| missing.iter().filter(|order| order.fate == fate).count() as u64;
    let fates = [
        (Fate::CameBack, "came back with the Region"),
        (Fate::Discarded, "lost to a later write"),
        (Fate::KeptAside, "missing in the end and kept aside"),
        (Fate::Lost, "lost for good"),
        (Fate::Unknown, "of unknown fate"),
    ];
    let fates = fates.into_iter().filter(|(fate, _)| count(*fate) > 0);
    let fates: Vec<String> = fates
        .map(|(fate, words)| match count(fate) == missing.len() as u64 {
            true => format!("all {words}"),
            false => format!("{} {words}", grouped(count(fate))),
        })
        .collect();
    Some(format!(
        "While {outage} was gone, {} that had been acknowledged {} in no other Region, the oldest \
         {} old: {}.",
        counted(missing.len() as u64, one, many),
        if missing.len() == 1 { "was" } else { "were" },
        spoken(seconds(oldest)),
        fates.join(", "),
    ))
}

/// Has the Region a table of orders of its own, that no other replicates?
pub(super) fn is_kept_alone(report: &Report<'_>, region: Region) -> bool {
    let scenario = &report.plan.scenario;
    let Some(table) = scenario.measure.table else {
        return false;
    };
    let name = &scenario.tables[table].name;
    let mut tables = scenario.tables.iter().filter(|table| table.name == *name);
    tables.any(|table| table.regions == [region])
}

/// What each side of a cut had not heard of the other.
fn apart(report: &Report<'_>) -> Option<String> {
    let moments = &report.figures.moments;
    moments.struck.at()?;
    if moments.outage.is_some() {
        return None;
    }
    let behind = report
        .figures
        .orders
        .missing_at
        .iter()
        .filter(|(_, count)| **count > 0);
    let behind: Vec<String> = behind
        .map(|(region, count)| {
            format!(
                "{region} had not heard of {}",
                counted(*count, "order", "orders")
            )
        })
        .collect();
    if behind.is_empty() {
        return None;
    }
    let behind = behind.join(", ");
    Some(format!(
        "Shortly before that ended, {behind} that had been acknowledged elsewhere."
    ))
}

fn lost(report: &Report<'_>) -> Option<String> {
    let orders = &report.figures.orders;
    let writes = grouped(orders.acknowledged);
    let is_aside = orders.aside.as_ref().is_some_and(|aside| !aside.is_empty());
    Some(match &orders.lost {
        _ if orders.acknowledged == 0 => return None,
        None => {
            "Not every Region could be read in the end, so it isn't known what is lost.".to_owned()
        }
        // What is kept aside was told of.
        Some(lost) if lost.is_empty() && is_aside => return None,
        Some(lost) if lost.is_empty() => {
            format!(
                "In the end nothing is lost: all {writes} acknowledged writes are accounted for."
            )
        }
        Some(lost) if report.plan.measures_global_cluster() => format!(
            "LOST FOR GOOD: {} of {writes} acknowledged rows, in no database and kept nowhere.",
            grouped(lost.len() as u64)
        ),
        Some(lost) => format!(
            "LOST FOR GOOD: {} of {writes} acknowledged writes, in no Region and in no ledger.",
            grouped(lost.len() as u64)
        ),
    })
}

fn stale(report: &Report<'_>) -> Option<String> {
    let (stale, judged) = report.figures.staleness.all;
    if judged == 0 {
        return None;
    }
    if stale == 1 {
        let age = report.figures.staleness.max_ms.unwrap_or_default() / 1000.0;
        return Some(format!(
            "1 of {} was stale: it saw something older than what had been acknowledged, out of \
             date for {}.",
            counted(judged, "read", "reads"),
            spoken(age)
        ));
    }
    if stale == 0 {
        return Some(format!(
            "None of {} was stale.",
            counted(judged, "read", "reads")
        ));
    }
    let oldest = report.figures.staleness.max_ms.unwrap_or_default() / 1000.0;
    let median = report.figures.staleness.p50_ms.unwrap_or_default() / 1000.0;
    Some(format!(
        "{} of {} were stale: they saw something older than what had been acknowledged. It had \
         been out of date for {} in the median, and {} at most.",
        grouped(stale),
        counted(judged, "read", "reads"),
        spoken(median),
        spoken(oldest)
    ))
}

fn discards(report: &Report<'_>) -> Option<String> {
    match report.figures.lww_discards {
        0 => None,
        count => Some(format!(
            "{} lost to one made elsewhere at the same time (the last writer wins); each is in \
             the ledger.",
            counted(count, "write", "writes")
        )),
    }
}

fn convergence(report: &Report<'_>) -> Option<String> {
    match value(report, MetricName::ConvergedS) {
        Measured::Number(after) => {
            let after = spoken(after);
            Some(format!(
                "All replicas agreed {after} after the end of the load."
            ))
        }
        Measured::Never => {
            let limit = report.plan.scenario.measure.converge_within;
            let limit = spoken(seconds(limit));
            Some(format!(
                "Replicas did not agree within {limit} after the load."
            ))
        }
        Measured::Unknown(_) => None,
    }
}

fn verdict(report: &Report<'_>) -> String {
    let all = report.outcomes.len();
    let broken = report
        .outcomes
        .iter()
        .filter(|outcome| !outcome.holds)
        .count();
    match (all, broken) {
        (0, _) => "Nothing was expected.".to_owned(),
        (1, 0) => "The expectation holds.".to_owned(),
        (all, 0) => format!("All {all} expectations hold."),
        (all, broken) => format!("{broken} of {all} expectations DON'T HOLD."),
    }
}
