//! The rules of a batch's result, once all its changes are made: aliases have targets, make no
//! loop and no long chain, the zone keeps its SOA and NS records, and isn't too large.

use std::collections::BTreeSet;

use super::chains::Chains;
use super::copy::WorkingCopy;
use super::draft::{Action, Change, target_not_found};
use crate::api_limits::{MAX_ALIAS_DEPTH, MAX_RECORD_SETS};
use crate::outside::KINDS;
use crate::{Alias, Content, Name, OutsideNames, RecordKind, RecordSet, RoutingError, keys};

/// What speaks against the result. `outside` are the names of other services.
pub(super) fn faults<'o>(
    copy: &mut WorkingCopy<'_>,
    changes: &[Change],
    outside: &dyn Fn() -> &'o OutsideNames,
) -> Result<Vec<String>, RoutingError> {
    let mut faults = Vec::new();
    for (kind, text) in [
        (
            RecordKind::Ns,
            "A HostedZone must contain at least one NS record for the zone itself.",
        ),
        (
            RecordKind::Soa,
            "A HostedZone must contain exactly one SOA record.",
        ),
    ] {
        let apex = copy.zone.name.clone();
        if copy.is_touched(&apex, kind) && copy.sets(&apex, kind)?.is_empty() {
            faults.push(text.to_owned());
        }
    }
    let written = changes
        .iter()
        .filter(|change| change.action != Action::Delete);
    let mut chains = None;
    for change in written {
        let Content::Alias(alias) = &change.set.content else {
            continue;
        };
        let found = match alias.zone == copy.zone.id {
            true => alias_faults(copy, &change.set, alias)?,
            false => outside_faults(outside(), copy, &change.set, alias),
        };
        if found.is_empty() {
            let chains = match &mut chains {
                Some(chains) => chains,
                none => none.insert(Chains::of(copy)?),
            };
            faults.extend(too_deep(chains, &change.set, alias));
        }
        faults.extend(found);
    }
    let grown = copy.grown();
    if grown > 0 && copy.count_before()? + grown.unsigned_abs() as usize > MAX_RECORD_SETS {
        faults.push(format!(
            "A HostedZone must not contain more than {MAX_RECORD_SETS} resource record sets."
        ));
    }
    Ok(faults)
}

fn alias_faults(
    copy: &mut WorkingCopy<'_>,
    set: &RecordSet,
    alias: &Alias,
) -> Result<Vec<String>, RoutingError> {
    let missing = target_not_found(&alias.target, set.kind.name(), alias.zone.as_str());
    let tried = format!(
        "Tried to create an alias that targets {}, type {} in zone {}",
        alias.target, set.kind, alias.zone
    );
    if !alias.target.is_within(&copy.zone.name) {
        return Ok(vec![
            missing,
            format!("{tried}, but the alias target name does not lie within the target zone"),
        ]);
    }
    if copy.sets(&alias.target, set.kind)?.is_empty() {
        return Ok(vec![missing]);
    }
    // The text is ours.
    if reaches(copy, &alias.target, set.kind, &set.name)? {
        return Ok(vec![format!(
            "{tried}, but that target leads back to {}",
            set.name
        )]);
    }
    Ok(Vec::new())
}

/// What speaks against an alias to what isn't of the zone: there must be such a name of another
/// service. It needn't have an address of the alias's kind: an alias of type AAAA to what has IPv4
/// addresses alone answers that there are none, until there are.
fn outside_faults(
    outside: &OutsideNames,
    copy: &WorkingCopy<'_>,
    set: &RecordSet,
    alias: &Alias,
) -> Vec<String> {
    let mut faults = vec![target_not_found(
        &alias.target,
        set.kind.name(),
        alias.zone.as_str(),
    )];
    if !outside.is_zone(&alias.zone) {
        faults.push(format!(
            "An alias to what isn't a record of zone {}, an accelerator or a load balancer is not \
             built yet in Causeway: {} targets zone {}",
            copy.zone.id, set.name, alias.zone
        ));
    } else if outside
        .find(&alias.zone, &alias.target)
        .is_some_and(|_| KINDS.contains(&set.kind))
    {
        faults.clear();
    }
    faults
}

/// An alias of so many that those beyond the limit would have no answer. The text is ours.
fn too_deep(chains: &Chains, set: &RecordSet, alias: &Alias) -> Option<String> {
    let key = |name: &Name| keys::records(&alias.zone, name, set.kind);
    let too_deep = chains.too_deep(&key(&set.name), &key(&alias.target));
    too_deep.then(|| {
        format!(
            "Tried to create an alias that targets {}, type {} in zone {}, but more than \
             {MAX_ALIAS_DEPTH} aliases would follow each other",
            alias.target, set.kind, alias.zone
        )
    })
}

/// Do aliases lead from that name, over names of the zone, to `goal`?
fn reaches(
    copy: &mut WorkingCopy<'_>,
    from: &Name,
    kind: RecordKind,
    goal: &Name,
) -> Result<bool, RoutingError> {
    // By wire form, which is compared faster than names are.
    let mut seen: BTreeSet<Vec<u8>> = BTreeSet::new();
    let mut ahead = vec![from.clone()];
    while let Some(name) = ahead.pop() {
        if name == *goal {
            return Ok(true);
        }
        if !seen.insert(name.wire().to_vec()) {
            continue;
        }
        let sets = copy.sets(&name, kind)?;
        let targets = sets.iter().filter_map(|set| match &set.content {
            Content::Alias(alias) => Some(alias.target.clone()),
            Content::Values { .. } => None,
        });
        ahead.extend(targets);
    }
    Ok(false)
}
