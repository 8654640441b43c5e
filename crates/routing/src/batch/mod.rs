//! A batch of changes to a zone's records: read from the request (`draft`), made on a working
//! copy in order (`copy`), each held against the rules (`rules`), the result once more as a whole
//! (`result`). Every fault of a batch is found, not only the first; a batch with one changes
//! nothing.
//!
//! In order: a record can be deleted and created again, not the other way round, and a CREATE
//! is judged against what stands when its turn comes. Judged of the result alone: that aliases
//! have targets and make no loop, and that the zone keeps its SOA and NS records.

mod chains;
mod copy;
mod draft;
mod result;
mod rules;

pub(crate) use copy::WorkingCopy;
pub(crate) use draft::{Action, Change, Draft, read_drafts};

use types::{ConfigurationView, HealthCheckId};

use crate::api_limits::{MAX_BATCH_CHARACTERS, MAX_BATCH_RECORDS};
use crate::{Content, OutsideNames, RoutingError, Zone};

/// The changes that drafts describe.
///
/// # Errors
///
/// `InvalidInput` if one isn't of the form that every record set must have (all such faults),
/// `InvalidChangeBatch` if the batch is too large, or names can't be read.
pub(crate) fn settle(drafts: Vec<Draft>) -> Result<Vec<Change>, RoutingError> {
    let mut faults = Vec::new();
    for draft in &drafts {
        faults.extend(draft.shape_faults());
    }
    if !faults.is_empty() {
        return Err(RoutingError::Invalid(format!(
            "Invalid request: {}",
            faults.join(", and ")
        )));
    }
    if let Some(kind) = drafts.iter().find_map(|draft| draft.not_built.clone()) {
        return Err(RoutingError::NotBuilt(kind));
    }
    let oversized = size_faults(&drafts);
    if !oversized.is_empty() {
        return Err(RoutingError::ChangeBatch(oversized));
    }
    let mut changes = Vec::with_capacity(drafts.len());
    for draft in drafts {
        match draft.settle() {
            Ok(change) => changes.push(change),
            Err(fault) => faults.push(fault),
        }
    }
    if faults.is_empty() {
        Ok(changes)
    } else {
        Err(RoutingError::ChangeBatch(faults))
    }
}

/// Is the batch larger than one may be?
fn size_faults(drafts: &[Draft]) -> Vec<String> {
    let (mut records, mut characters) = (0, 0);
    for draft in drafts {
        let times = if draft.action == Action::Upsert { 2 } else { 1 };
        let values = draft.values.as_deref().unwrap_or_default();
        records += times * values.len().max(1);
        characters += times
            * values
                .iter()
                .map(|value| value.chars().count())
                .sum::<usize>();
    }
    let mut faults = Vec::new();
    if records > MAX_BATCH_RECORDS {
        faults.push(format!(
            "Number of records limit of {MAX_BATCH_RECORDS} exceeded."
        ));
    }
    if characters > MAX_BATCH_CHARACTERS {
        faults.push(format!(
            "Number of characters limit of {MAX_BATCH_CHARACTERS} exceeded."
        ));
    }
    faults
}

/// Makes the changes on a copy of the zone's records as the view has them. `outside` reads the
/// names that other services have by it, if an alias asks for them.
///
/// # Errors
///
/// `InvalidChangeBatch` with every fault; `NoSuchHealthCheck` if that is all that is wrong.
pub(crate) fn apply<'v>(
    view: &'v dyn ConfigurationView,
    zone: &'v Zone,
    changes: &[Change],
    outside: &dyn Fn(&dyn ConfigurationView) -> OutsideNames,
) -> Result<WorkingCopy<'v>, RoutingError> {
    let mut copy = WorkingCopy::new(view, zone);
    let (mut faults, mut missing) = (Vec::new(), Vec::new());
    for change in changes {
        if change.action != Action::Delete
            && let Some(check) = &change.set.health_check
            && !is_there(view, zone, check)?
        {
            missing.push(check.clone());
            faults.push(RoutingError::NoSuchHealthCheck(check.to_string()).to_string());
        }
        let found = rules::faults(&mut copy, change)?;
        if found.is_empty() {
            copy.make(change)?;
        } else {
            faults.extend(found);
        }
    }
    let outside = std::cell::LazyCell::new(|| outside(view));
    faults.extend(result::faults(&mut copy, changes, &|| &outside)?);
    match missing.first() {
        Some(check) if missing.len() == faults.len() => {
            Err(RoutingError::NoSuchHealthCheck(check.to_string()))
        }
        _ if faults.is_empty() => Ok(copy),
        _ => Err(RoutingError::ChangeBatch(faults)),
    }
}

/// Has the zone's account such a health check?
fn is_there(
    view: &dyn ConfigurationView,
    zone: &Zone,
    check: &HealthCheckId,
) -> Result<bool, RoutingError> {
    match crate::check::find(view, zone.account, check) {
        Ok(_) => Ok(true),
        Err(RoutingError::NoSuchHealthCheck(_)) => Ok(false),
        Err(error) => Err(error),
    }
}

/// Both hold the same policy, whatever its parameters.
pub(crate) fn same_policy(one: &crate::Policy, other: &crate::Policy) -> bool {
    std::mem::discriminant(one) == std::mem::discriminant(other)
}

/// The set's TTL, unless it is an alias.
pub(crate) fn ttl_mut(content: &mut Content) -> Option<&mut u32> {
    match content {
        Content::Values { ttl, .. } => Some(ttl),
        Content::Alias(_) => None,
    }
}
