//! The rules of a single change, held against the zone as it is when the change's turn comes.
//! Texts are the service's where they are known from captures; the others, marked "ours", follow
//! their manner.

use super::copy::WorkingCopy;
use super::draft::{Action, Change};
use super::same_policy;
use crate::api_limits::{MAX_GROUP, MAX_VALUES};
use crate::{Content, FailoverRole, Policy, RecordKind, RecordSet, RoutingError, rdata};

/// What speaks against a change.
pub(super) fn faults(
    copy: &mut WorkingCopy<'_>,
    change: &Change,
) -> Result<Vec<String>, RoutingError> {
    let mut faults = Vec::new();
    if change.action == Action::Delete {
        faults.extend(deletion_fault(copy, change)?);
        return Ok(faults);
    }
    let set = &change.set;
    if !set.name.is_within(&copy.zone.name) {
        faults.push(format!(
            "RRSet with DNS name {} is not permitted in zone {}",
            set.name, copy.zone.name
        ));
        return Ok(faults);
    }
    faults.extend(value_faults(set));
    faults.extend(kind_fault(set, &copy.zone.name));
    faults.extend(policy_fault(set));
    if let Some(fault) = existence_fault(copy, change)? {
        faults.push(fault);
        return Ok(faults);
    }
    faults.extend(cname_fault(copy, set)?);
    faults.extend(group_fault(copy, set)?);
    Ok(faults)
}

/// `[name='x.', type='A']`, as the service writes it.
fn described(set: &RecordSet) -> String {
    let (name, kind) = (&set.name, set.kind);
    match set.identifier() {
        Some(identifier) => {
            format!("[name='{name}', type='{kind}', set-identifier='{identifier}']")
        }
        None => format!("[name='{name}', type='{kind}']"),
    }
}

/// A DELETE must name a set that is there, with the values that it has.
fn deletion_fault(
    copy: &mut WorkingCopy<'_>,
    change: &Change,
) -> Result<Option<String>, RoutingError> {
    let set = &change.set;
    let tried = format!("Tried to delete resource record set {}", described(set));
    let sets = copy.sets(&set.name, set.kind)?;
    let found = sets
        .iter()
        .find(|other| other.identifier() == set.identifier());
    Ok(match found {
        None => Some(format!("{tried} but it was not found")),
        Some(found) if !matches(found, change) => Some(format!(
            "{tried} but the values provided do not match the current values"
        )),
        Some(_) => None,
    })
}

/// The set is as the change says. Values may come in another order, and written otherwise if
/// they mean the same (a capital letter, a name's last dot).
fn matches(found: &RecordSet, change: &Change) -> bool {
    let set = &change.set;
    let policy = match (&found.selector, &set.selector) {
        (Some(one), Some(other)) => change.policy_left_out || one.policy == other.policy,
        (None, None) => true,
        _ => false,
    };
    let content = match (&found.content, &set.content) {
        (Content::Alias(one), Content::Alias(other)) => one == other,
        (
            Content::Values { ttl, values },
            Content::Values {
                ttl: other_ttl,
                values: other_values,
            },
        ) => ttl == other_ttl && meanings(set.kind, values) == meanings(set.kind, other_values),
        _ => false,
    };
    policy && content && found.health_check == set.health_check
}

fn meanings(kind: RecordKind, values: &[String]) -> Vec<Vec<u8>> {
    let meaning =
        |value: &String| rdata::parse(kind, value).unwrap_or_else(|_| value.as_bytes().to_vec());
    let mut meanings: Vec<Vec<u8>> = values.iter().map(meaning).collect();
    meanings.sort_unstable();
    meanings
}

fn value_faults(set: &RecordSet) -> Vec<String> {
    let Content::Values { values, .. } = &set.content else {
        return Vec::new();
    };
    let mut faults = Vec::new();
    if values.len() > MAX_VALUES {
        faults.push(format!(
            "RRSet with DNS name {}, type {} has more than {MAX_VALUES} values.",
            set.name, set.kind
        ));
        return faults;
    }
    let mut seen: Vec<Vec<u8>> = Vec::new();
    for value in values {
        match rdata::parse(set.kind, value) {
            Ok(meaning) if seen.contains(&meaning) => {
                faults.push(format!("Duplicate Resource Record: '{value}'"));
            }
            Ok(meaning) => seen.push(meaning),
            Err(error) => faults.push(error.to_string()),
        }
    }
    let single = matches!(set.kind, RecordKind::Cname | RecordKind::Soa);
    if single && values.len() > 1 {
        faults.push(format!(
            "The request contains an invalid set of changes for a resource record set '{} {}'",
            set.kind, set.name
        ));
    }
    faults
}

/// What not every type may have. All but the first text are ours.
fn kind_fault(set: &RecordSet, apex: &crate::Name) -> Option<String> {
    let (name, kind) = (&set.name, set.kind);
    let at_apex = name == apex;
    let alias = matches!(set.content, Content::Alias(_));
    let simple_only = matches!(kind, RecordKind::Ns | RecordKind::Soa);
    let reason = match kind {
        RecordKind::Cname if at_apex => {
            return Some(format!(
                "RRSet of type CNAME with DNS name {name} is not permitted at apex in zone {apex}"
            ));
        }
        RecordKind::Soa if !at_apex => "a zone has one SOA record, at its apex",
        RecordKind::Ns if name.is_wildcard() => "NS records can't be wildcards",
        _ if simple_only && alias => "it can't be an alias",
        _ if simple_only && set.selector.is_some() => "it can have simple routing only",
        _ => return None,
    };
    Some(format!(
        "RRSet of type {kind} with DNS name {name} is not permitted in zone {apex}, as {reason}."
    ))
}

/// What a policy asks of its set. The first text is known; the others are ours.
fn policy_fault(set: &RecordSet) -> Option<String> {
    let selector = set.selector.as_ref()?;
    let place = format!(
        "RRSet with DNS name {}, type {}, SetIdentifier {}",
        set.name, set.kind, selector.identifier
    );
    match (&selector.policy, &set.content) {
        (Policy::Failover(FailoverRole::Primary), Content::Values { .. })
            if set.health_check.is_none() =>
        {
            Some(
                "A non-alias primary ResourceRecordSet must have an associated health check. No \
                 changes made."
                    .to_owned(),
            )
        }
        (Policy::Failover(_), Content::Alias(alias)) if !alias.evaluate_target_health => {
            Some(format!(
                "{place} cannot be created as a failover alias must have EvaluateTargetHealth set \
                 to true."
            ))
        }
        (Policy::Multivalue, Content::Alias(_)) => Some(format!(
            "{place} cannot be created as a multivalue answer rrset cannot be an alias."
        )),
        (Policy::Multivalue, _) if set.kind == RecordKind::Cname => Some(format!(
            "{place} cannot be created as a multivalue answer rrset cannot be of type CNAME."
        )),
        _ => None,
    }
}

/// A CREATE must name no set that is there.
fn existence_fault(
    copy: &mut WorkingCopy<'_>,
    change: &Change,
) -> Result<Option<String>, RoutingError> {
    let set = &change.set;
    let sets = copy.sets(&set.name, set.kind)?;
    let exists = sets
        .iter()
        .any(|other| other.identifier() == set.identifier());
    Ok((exists && change.action == Action::Create).then(|| {
        format!(
            "Tried to create resource record set {} but it already exists",
            described(set)
        )
    }))
}

/// Where a CNAME is, nothing else may be.
fn cname_fault(
    copy: &mut WorkingCopy<'_>,
    set: &RecordSet,
) -> Result<Option<String>, RoutingError> {
    let (name, kind) = (&set.name, set.kind);
    let zone = copy.zone;
    if kind != RecordKind::Cname {
        let conflict = !copy.sets(name, RecordKind::Cname)?.is_empty();
        return Ok(conflict.then(|| {
            format!(
                "RRSet of type {kind} with DNS name {name} is not permitted because a conflicting \
                 RRSet of type  CNAME with the same DNS name already exists in zone {}",
                zone.name
            )
        }));
    }
    for other in RecordKind::ALL {
        if other != RecordKind::Cname && !copy.sets(name, other)?.is_empty() {
            return Ok(Some(format!(
                "RRSet of type CNAME with DNS name {name} is not permitted as it conflicts with \
                 other records with the same DNS name in zone {}",
                zone.name
            )));
        }
    }
    Ok(None)
}

/// Sets of one name and type have one policy, and no two of them the same part in it.
fn group_fault(
    copy: &mut WorkingCopy<'_>,
    set: &RecordSet,
) -> Result<Option<String>, RoutingError> {
    let sets = copy.sets(&set.name, set.kind)?;
    let place = format!("RRSet with DNS name {}, type {}", set.name, set.kind);
    let Some(selector) = &set.selector else {
        let others = sets.iter().any(|other| other.selector.is_some());
        return Ok(others.then(|| {
            format!("{place} cannot be created as other RRSets exist with the same name and type.")
        }));
    };
    let place = format!("{place}, SetIdentifier {}", selector.identifier);
    let alike = |other: &RecordSet| {
        let other = other.selector.as_ref();
        other.is_some_and(|other| same_policy(&other.policy, &selector.policy))
    };
    if !sets.iter().all(alike) {
        return Ok(Some(match selector.policy {
            Policy::Multivalue => format!(
                "{place} cannot be created because a non multivalue answer rrset exists with the \
                 same name and type."
            ),
            other => format!(
                "{place} cannot be created as a non-{} set exists with the same name and type.",
                word(&other)
            ),
        }));
    }
    let mut others = sets
        .iter()
        .filter(|other| other.identifier() != set.identifier());
    if others.clone().count() >= MAX_GROUP {
        return Ok(Some(format!(
            "{place} cannot be created as {MAX_GROUP} RRSets exist with the same name and type."
        )));
    }
    let same_part = |other: &RecordSet| {
        let other = other.selector.as_ref();
        other.is_some_and(|other| other.policy == selector.policy)
    };
    Ok(if others.any(same_part) {
        taken(&place, &selector.policy)
    } else {
        None
    })
}

/// The fault that another set has this part. Of the texts, that of latency is known.
fn taken(place: &str, policy: &Policy) -> Option<String> {
    let (part, kind, words) = match policy {
        Policy::Weighted(_) | Policy::Multivalue => return None,
        Policy::Latency(region) => (format!("Region Name={region}"), "latency", "region"),
        Policy::Geolocation(location) => {
            (format!("GeoLocation={location}"), "geolocation", "location")
        }
        Policy::Failover(role) => (format!("Failover={role}"), "failover", "failover type"),
    };
    Some(format!(
        "{place}, and {part} cannot be created because a {kind} RRSet with the same name, type \
         and {words} already exists."
    ))
}

/// A policy's adjective. "weighted" is known from captures.
fn word(policy: &Policy) -> &'static str {
    match policy {
        Policy::Weighted(_) => "weighted",
        Policy::Latency(_) => "latency",
        Policy::Failover(_) => "failover",
        Policy::Geolocation(_) => "geolocation",
        Policy::Multivalue => "multivalue",
    }
}
