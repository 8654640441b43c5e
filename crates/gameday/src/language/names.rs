//! `[[zone]]`, `[[health_check]]` and `[[record]]`: names, and what they lead to.

use types::Span;

use super::accelerators;
use super::lab;
use super::policy;
use super::problem::listed;
use super::reading::{Part, Place, Section};
use super::value::Value;
use crate::limits;
use crate::scenario::{
    Accelerator, Content, HealthCheck, Lab, Policy, ProbeKind, Record, Table, Zone,
};

/// What a record, a load or a step may refer to.
#[derive(Clone, Copy)]
pub(super) struct Context<'c> {
    pub(super) lab: Option<&'c Lab>,
    pub(super) zones: &'c [Zone],
    pub(super) checks: &'c [HealthCheck],
    pub(super) accelerators: &'c [Accelerator],
    pub(super) tables: &'c [Table],
}

/// A record and where it stands.
pub(super) type Placed = (Record, Place);

/// Types of records that are built.
const KINDS: [&str; 9] = ["A", "AAAA", "CNAME", "TXT", "MX", "NS", "SRV", "CAA", "PTR"];

/// Reads `[[zone]]`.
pub(super) fn zones(root: &Section<'_, '_>) -> Vec<Zone> {
    let mut zones: Vec<Zone> = Vec::new();
    for section in root.sections("zone", "a zone", limits::ZONES) {
        if let Some(value) = section.required("name", "name = \"example.com\"")
            && let Some(name) = domain(&value, false)
        {
            if zones.iter().any(|zone| zone.name == name) {
                value.problem(
                    format!("there are two zones `{name}`"),
                    "name each zone once",
                );
            }
            zones.push(Zone { name });
        }
        section.check_unknown();
    }
    zones
}

/// Reads `[[health_check]]`.
pub(super) fn health_checks(root: &Section<'_, '_>, lab: Option<&Lab>) -> Vec<HealthCheck> {
    let mut checks: Vec<HealthCheck> = Vec::new();
    for section in root.sections("health_check", "a health check", limits::HEALTH_CHECKS) {
        let Some(check) = health_check(&section, lab) else {
            root.reader.spoil(Part::HealthChecks);
            continue;
        };
        if checks.iter().any(|other| other.name == check.name) {
            let place = section.place_of("name");
            let message = format!("there are two health checks `{}`", check.name);
            section.reader.problem(&place, message);
        }
        checks.push(check);
    }
    checks
}

fn health_check(section: &Section<'_, '_>, lab: Option<&Lab>) -> Option<HealthCheck> {
    let kinds = [
        ("http", ProbeKind::Http),
        ("https", ProbeKind::Https),
        ("tcp", ProbeKind::Tcp),
    ];
    let intervals = [("10s", Span::seconds(10)), ("30s", Span::seconds(30))];
    let name = section.required("name", "name = \"primary\"");
    let name = name.and_then(|value| value.line(64));
    let region = section.required("region", "region = \"us-east-1\"");
    let region = region
        .zip(lab)
        .and_then(|(value, lab)| lab::region_of(&value, lab));
    let kind = section.get("kind").and_then(|value| value.choice(&kinds));
    let path = section.get("path").and_then(|value| path(&value));
    let search = section.get("search").and_then(|value| value.line(255));
    let port = section
        .get("port")
        .and_then(|value| value.whole((1, 65_535)));
    let threshold = section
        .get("threshold")
        .and_then(|value| value.whole((1, 10)));
    let interval = section
        .get("interval")
        .and_then(|value| value.choice(&intervals));
    let inverted = section.get("inverted").and_then(|value| value.flag());
    let disabled = section.get("disabled").and_then(|value| value.flag());
    section.check_unknown();
    let kind = kind.unwrap_or(ProbeKind::Http);
    for word in ["path", "search"] {
        if kind == ProbeKind::Tcp && section.has(word) {
            let message = format!("a health check of kind `tcp` has no `{word}`");
            section.reader.problem(&section.place_of(word), message);
        }
    }
    Some(HealthCheck {
        name: name?,
        region: region?,
        kind,
        path: path.unwrap_or_else(|| "/health".to_owned()),
        search,
        port: port.and_then(|port| u16::try_from(port).ok()),
        threshold: threshold
            .and_then(|count| u8::try_from(count).ok())
            .unwrap_or(3),
        interval: interval.unwrap_or(Span::seconds(10)),
        inverted: inverted.unwrap_or(false),
        disabled: disabled.unwrap_or(false),
    })
}

/// A path: `/`, and no spaces; at most 255 characters.
pub(super) fn path(value: &Value<'_, '_>) -> Option<String> {
    let path = value.line(255)?;
    if path.starts_with('/') && path.chars().all(|c| c.is_ascii_graphic()) {
        return Some(path);
    }
    value.problem(
        "this is no path",
        "a path begins with `/` and has no spaces",
    );
    None
}

/// Reads `[[record]]`.
pub(super) fn records(root: &Section<'_, '_>, context: &Context<'_>) -> Vec<Placed> {
    let reader = root.reader;
    let mut records = Vec::new();
    let before = reader.count();
    for section in root.sections("record", "a record", limits::RECORDS) {
        let record = record(&section, context);
        section.check_unknown();
        match record {
            Some(record) => records.push((record, section.place().clone())),
            None => reader.spoil(Part::Records),
        }
    }
    if reader.count() == before && !reader.is_spoilt(Part::Records) {
        policy::check_groups(reader, &records);
    }
    records
}

/// The records in an order in which they can be made: aliases last, and none before its target.
pub(super) fn in_order(records: Vec<Placed>) -> Vec<Record> {
    let mut rest: Vec<Record> = records.into_iter().map(|(record, _)| record).collect();
    let mut ordered: Vec<Record> = Vec::new();
    while !rest.is_empty() {
        let missing = |record: &Record, rest: &[Record]| match &record.content {
            Content::Alias { target, .. } => rest
                .iter()
                .any(|other| other.name == *target && other.kind == record.kind),
            _ => false,
        };
        let (later, now): (Vec<Record>, Vec<Record>) = rest
            .iter()
            .cloned()
            .partition(|record| missing(record, &rest));
        if now.is_empty() {
            // A ring of aliases: `check_groups` has said so.
            ordered.extend(later);
            return ordered;
        }
        ordered.extend(now);
        rest = later;
    }
    ordered
}

/// Reads one record.
pub(super) fn record(section: &Section<'_, '_>, context: &Context<'_>) -> Option<Record> {
    let name = section.required("name", "name = \"app.example.com\"");
    let named = name.as_ref().and_then(|value| in_zone(value, context));
    let kinds: Vec<(&str, &str)> = KINDS.iter().map(|kind| (*kind, *kind)).collect();
    let kind = section
        .get("type")
        .map_or(Some("A"), |value| value.choice(&kinds));
    let policy = policy::read(section);
    let content = content(section, context, kind.unwrap_or("A"));
    let health_check = health_check_of(section, context);
    let identifier = section.get("identifier");
    let given = identifier.as_ref().and_then(|value| value.line(128));
    let policy = policy?;
    if policy == Policy::Simple {
        if let Some(value) = &identifier {
            value.problem(
                "a simple record has no identifier",
                "give it a policy, or remove it",
            );
        }
        if section.has("health_check") && health_check.is_some() {
            let message = "a simple record is answered whatever its health check says";
            let help = "give it a policy, such as failover = \"primary\"";
            section
                .reader
                .problem_help(&section.place_of("health_check"), message, help);
        }
    }
    let content = content?;
    let (name, zone) = named?;
    let identifier = given.or_else(|| policy::identifier(&policy, &content, section));
    let kind = kind?.to_owned();
    Some(Record {
        zone,
        name,
        kind,
        policy,
        identifier,
        content,
        health_check,
    })
}

/// A name and the index of the zone it is in.
pub(super) fn in_zone(value: &Value<'_, '_>, context: &Context<'_>) -> Option<(String, usize)> {
    let name = domain(value, true)?;
    let inside = |zone: &Zone| {
        name == zone.name
            || name
                .strip_suffix(&zone.name)
                .is_some_and(|rest| rest.ends_with('.'))
    };
    let zones = context
        .zones
        .iter()
        .enumerate()
        .filter(|(_, zone)| inside(zone));
    let found = zones.max_by_key(|(_, zone)| zone.name.len());
    match found {
        Some((index, _)) => Some((name, index)),
        None if value.reader.is_spoilt(Part::Zones) => None,
        None => {
            let zones = listed(context.zones.iter().map(|zone| zone.name.as_str()));
            value.problem(format!("`{name}` is in no zone"), format!("zones: {zones}"));
            None
        }
    }
}

/// A domain name in lowercase without a dot at the end; with `wildcard`, its first label may be
/// `*`. Labels of letters, digits, `-` and `_`.
pub(super) fn domain(value: &Value<'_, '_>, wildcard: bool) -> Option<String> {
    let text = value.text()?;
    let name = text.strip_suffix('.').unwrap_or(text).to_ascii_lowercase();
    let is_part = |byte: u8| byte.is_ascii_alphanumeric() || b"-_".contains(&byte);
    let is_label = |(at, label): (usize, &str)| {
        (1..=63).contains(&label.len())
            && (label.bytes().all(is_part) || (wildcard && at == 0 && label == "*"))
    };
    if name.len() <= 253 && name.split('.').enumerate().all(is_label) {
        return Some(name);
    }
    let help = "labels of 1 to 63 letters, digits, `-` and `_`, with dots between, 253 in all";
    value.problem("this is no domain name", help);
    None
}

fn content(section: &Section<'_, '_>, context: &Context<'_>, kind: &str) -> Option<Content> {
    let words = ["region", "values", "alias"];
    let given: Vec<&str> = words.into_iter().filter(|word| section.has(word)).collect();
    let ttl = section.get("ttl");
    let seconds = ttl.as_ref().map(|value| (value, value.span(limits::TTL)));
    let seconds = match seconds {
        None => Some(60),
        Some((value, span)) => span.and_then(|span| whole_seconds(value, span)),
    };
    let region = section.get("region");
    let values = section.get("values");
    let alias = section.get("alias");
    if given.len() != 1 {
        let message = match given.as_slice() {
            [] => "a record needs what it answers".to_owned(),
            _ => format!(
                "a record has one of {}, not {}",
                listed(words),
                listed(given)
            ),
        };
        let help = "write region = \"us-east-1\" (the address of its application), \
                    values = [\"192.0.2.1\"], or alias = { target = \"other.example.com\" }";
        section.reader.problem_help(section.place(), message, help);
        return None;
    }
    if let Some(value) = region {
        let region = context.lab.and_then(|lab| lab::region_of(&value, lab));
        if kind != "A" {
            value.problem(
                format!("a record of type {kind} has no `region`"),
                "write values = […]",
            );
        }
        return Some(Content::Region {
            region: region?,
            ttl: seconds?,
        });
    }
    if let Some(value) = values {
        let list = value.list(limits::VALUES)?;
        let values: Vec<String> = list.iter().filter_map(|item| item.line(4_000)).collect();
        return (values.len() == list.len())
            .then_some(())
            .and(seconds)
            .map(|ttl| Content::Values { values, ttl });
    }
    if let Some(value) = ttl {
        value.problem(
            "an alias has the time to live of its target",
            "remove `ttl`",
        );
    }
    alias_of(&alias?, context, kind)
}

/// What an alias leads to: a record of the zone, or an accelerator.
fn alias_of(value: &Value<'_, '_>, context: &Context<'_>, kind: &str) -> Option<Content> {
    let inner = value.section("an alias")?;
    let accelerator = inner.get("accelerator");
    let target = match accelerator {
        Some(_) => inner.get("target"),
        None => inner.required("target", "target = \"other.example.com\""),
    };
    let evaluate = inner
        .get("evaluate_target_health")
        .map_or(Some(true), |value| value.flag());
    inner.check_unknown();
    let Some(accelerator) = accelerator else {
        let target = target.and_then(|value| in_zone(&value, context));
        return Some(Content::Alias {
            target: target?.0,
            evaluate_target_health: evaluate?,
        });
    };
    if target.is_some() {
        accelerator.problem("an alias leads to one thing", "remove `target`");
        return None;
    }
    if kind != "A" {
        let message = format!("an accelerator has no addresses of type {kind}");
        accelerator.problem(message, "the alias is of type A");
        return None;
    }
    Some(Content::Accelerator {
        accelerator: accelerators::named(&accelerator, context)?,
        evaluate_target_health: evaluate?,
    })
}

fn whole_seconds(value: &Value<'_, '_>, span: Span) -> Option<u32> {
    if span.0.is_multiple_of(1_000_000) {
        return u32::try_from(span.0 / 1_000_000).ok();
    }
    value.problem("a time to live has whole seconds", "write \"5s\"");
    None
}

fn health_check_of(section: &Section<'_, '_>, context: &Context<'_>) -> Option<usize> {
    let value = section.get("health_check")?;
    let name = value.text()?;
    let found = context.checks.iter().position(|check| check.name == name);
    if found.is_none() && !section.reader.is_spoilt(Part::HealthChecks) {
        let names = context.checks.iter().map(|check| check.name.as_str());
        let message = format!("there is no health check `{name}`");
        section.reader.unknown(&value.place, message, name, names);
    }
    found
}
