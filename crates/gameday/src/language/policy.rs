//! Routing policies of records, and what records of one name and type must agree on, as Route 53
//! has it: what it would refuse when the lab is up is refused here.

use std::collections::BTreeMap;

use super::codes;
use super::lab;
use super::names::Placed;
use super::problem::listed;
use super::reading::{Place, Reader, Section};
use super::value::Value;
use crate::scenario::{Content, Location, Policy, Record};

/// The words that make a policy.
const POLICIES: [&str; 5] = ["failover", "latency", "geolocation", "weight", "multivalue"];

/// Reads the policy of a record.
pub(super) fn read(section: &Section<'_, '_>) -> Option<Policy> {
    let given: Vec<&str> = POLICIES
        .into_iter()
        .filter(|word| section.has(word))
        .collect();
    let failover = section.get("failover");
    let latency = section.get("latency");
    let geolocation = section.get("geolocation");
    let weight = section.get("weight");
    let multivalue = section.get("multivalue");
    if given.len() > 1 {
        let message = format!(
            "a record has one policy, not {}",
            listed(given.iter().copied())
        );
        section.reader.problem(&section.place_of(given[1]), message);
        return None;
    }
    if let Some(value) = failover {
        let roles = [
            ("primary", Policy::Primary),
            ("secondary", Policy::Secondary),
        ];
        return value.choice(&roles);
    }
    if let Some(value) = latency {
        // Any Region may be named: Route 53 doesn't ask whether something runs there.
        return lab::region(&value).map(Policy::Latency);
    }
    if let Some(value) = geolocation {
        return location(&value).map(Policy::Geolocation);
    }
    if let Some(value) = weight {
        let weight = value.whole((0, 255))?;
        return u8::try_from(weight).ok().map(Policy::Weighted);
    }
    if let Some(value) = multivalue {
        let flag = value.flag()?;
        if flag && section.has("alias") {
            value.problem(
                "a multivalue record can't be an alias",
                "write values = […]",
            );
        }
        return Some(if flag {
            Policy::Multivalue
        } else {
            Policy::Simple
        });
    }
    // A word whose value could not be read was noted; without any the record is simple.
    given.is_empty().then_some(Policy::Simple)
}

fn location(value: &Value<'_, '_>) -> Option<Location> {
    let help = "write \"default\", { continent = \"EU\" }, { country = \"DE\" } or \
                { state = \"CA\" }";
    if !value.is_table() {
        if value.text()? == "default" {
            return Some(Location::Default);
        }
        value.problem("this is no geolocation", help);
        return None;
    }
    let section = value.section("a geolocation")?;
    let continent = section.get("continent");
    let country = section.get("country");
    let state = section.get("state");
    section.check_unknown();
    let given = [&continent, &country, &state].into_iter().flatten().count();
    if given != 1 {
        value.problem("a geolocation is one part of the world", help);
        return None;
    }
    if let Some(value) = continent {
        let choices = codes::CONTINENTS.map(|code| (code, code));
        return value
            .choice(&choices)
            .map(|code| Location::Continent(code.to_owned()));
    }
    if let Some(value) = country {
        return code(
            &value,
            codes::is_country,
            "country",
            "ISO 3166-1: \"DE\", \"US\", \"GB\"",
        )
        .map(Location::Country);
    }
    code(
        &state?,
        codes::is_state,
        "state of the United States",
        "such as \"CA\" or \"NY\"",
    )
    .map(Location::State)
}

fn code(
    value: &Value<'_, '_>,
    is_known: fn(&str) -> bool,
    what: &str,
    help: &str,
) -> Option<String> {
    let text = value.text()?;
    if is_known(text) {
        return Some(text.to_owned());
    }
    let upper = text.to_ascii_uppercase();
    let help = match (text, is_known(&upper)) {
        ("UK", _) => "the United Kingdom is GB".to_owned(),
        (_, true) => format!("did you mean `{upper}`?"),
        _ => format!("two letters, {help}"),
    };
    value.problem(format!("there is no {what} `{text}`"), help);
    None
}

/// The identifier of a record that names none: made of its policy, unlike those beside it.
pub(super) fn identifier(
    policy: &Policy,
    content: &Content,
    section: &Section<'_, '_>,
) -> Option<String> {
    let answers = match content {
        Content::Region { region, .. } => region.to_string(),
        Content::Alias { target, .. } => target.clone(),
        Content::Accelerator { accelerator, .. } => format!("accelerator-{}", accelerator + 1),
        Content::Values { .. } => format!("line-{}", section.reader.line(section.place())),
    };
    match policy {
        Policy::Simple => None,
        Policy::Primary => Some("primary".to_owned()),
        Policy::Secondary => Some("secondary".to_owned()),
        Policy::Latency(region) => Some(region.to_string()),
        Policy::Geolocation(location) => Some(location.to_string()),
        Policy::Weighted(_) | Policy::Multivalue => Some(answers),
    }
}

type Groups<'p> = BTreeMap<(&'p str, &'p str), Vec<&'p Placed>>;

/// Checks what records of one name and type must agree on, and that aliases lead somewhere.
pub(super) fn check_groups(reader: &Reader<'_>, records: &[Placed]) {
    let mut groups = Groups::new();
    for placed in records {
        let (record, _) = placed;
        let key = (record.name.as_str(), record.kind.as_str());
        groups.entry(key).or_default().push(placed);
    }
    for ((name, kind), members) in &groups {
        check_group(reader, name, kind, members);
    }
    for (record, place) in records {
        check_alias(reader, record, place, &groups);
    }
}

fn check_group(reader: &Reader<'_>, name: &str, kind: &str, members: &[&Placed]) {
    let (first, _) = members[0];
    for (at, (record, place)) in members.iter().enumerate() {
        let mut earlier = members[..at].iter().map(|(record, _)| record);
        if record.policy.word() != first.policy.word() {
            let message = format!("the records {name} {kind} have different policies");
            let (one, other) = (first.policy.word(), record.policy.word());
            let help = format!("one is {one}, this is {other}: all need the same");
            reader.problem_help(place, message, help);
            continue;
        }
        if record.policy == Policy::Simple && at > 0 {
            let message = format!("there are two simple records {name} {kind}");
            reader.problem_help(
                place,
                message,
                "write all values in one, or give them a policy",
            );
            continue;
        }
        if earlier.any(|other| takes_same_part(&other.policy, &record.policy)) {
            let message = format!("another record {name} {kind} has this policy already");
            reader.problem_help(
                place,
                message,
                "each role, Region or location is there once",
            );
            continue;
        }
        let same = |other: &&Placed| other.0.identifier == record.identifier;
        if members[..at].iter().any(same) {
            let message = format!("two records {name} {kind} have one identifier");
            reader.problem_help(place, message, "give each an `identifier` of its own");
        }
    }
    let mixed = members
        .iter()
        .any(|(record, _)| record.policy.word() != first.policy.word());
    let has = |policy| members.iter().any(|(record, _)| record.policy == policy);
    if !mixed
        && first.policy.word() == "failover"
        && !(has(Policy::Primary) && has(Policy::Secondary))
    {
        let missing = if has(Policy::Primary) {
            "secondary"
        } else {
            "primary"
        };
        let message = format!("the failover records {name} {kind} have no {missing}");
        reader.problem(&members[0].1, message);
    }
}

/// Do both stand for the same role, Region or location?
fn takes_same_part(one: &Policy, other: &Policy) -> bool {
    one == other && !matches!(one, Policy::Weighted(_) | Policy::Multivalue)
}

fn check_alias(reader: &Reader<'_>, record: &Record, place: &Place, groups: &Groups<'_>) {
    if let Content::Accelerator {
        evaluate_target_health,
        ..
    } = &record.content
    {
        return check_failover_alias(reader, record, place, *evaluate_target_health);
    }
    let Content::Alias {
        target,
        evaluate_target_health,
    } = &record.content
    else {
        return;
    };
    let mut seen = vec![(record.name.as_str(), record.kind.as_str())];
    let mut open = vec![target.as_str()];
    while let Some(name) = open.pop() {
        let key = (name, record.kind.as_str());
        if key == seen[0] {
            return reader.problem(place, format!("the alias leads back to {}", record.name));
        }
        if seen.contains(&key) {
            continue;
        }
        seen.push(key);
        let Some(members) = groups.get(&key) else {
            if name == target {
                let message = format!("no record {name} {} is there for the alias", record.kind);
                reader.problem_help(place, message, "an alias leads to a record of its own type");
            }
            continue;
        };
        for (member, _) in members {
            if member.zone != record.zone {
                let message = format!("{name} is in another zone than the alias");
                return reader.problem(place, message);
            }
            if let Content::Alias { target, .. } = &member.content {
                open.push(target);
            }
        }
    }
    check_failover_alias(reader, record, place, *evaluate_target_health);
}

fn check_failover_alias(reader: &Reader<'_>, record: &Record, place: &Place, evaluates: bool) {
    let failover = matches!(record.policy, Policy::Primary | Policy::Secondary);
    if failover && !evaluates {
        let message = "a failover alias needs the health of its target";
        reader.problem_help(place, message, "write evaluate_target_health = true");
    }
}
