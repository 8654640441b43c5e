//! When what is due, as S3 counts: days are added to the time, and the next midnight UTC is it
//! (S3 User Guide, "Lifecycle rules: based on an object's age"). Pure.

use types::Timestamp;
use types::calendar::SECONDS_PER_DAY;

use super::{LifecycleConfiguration, LifecycleRule};
use crate::{ObjectData, ObjectKey, ObjectVersion, ReplicationStatus};

/// Milliseconds in a day.
const DAY: u64 = SECONDS_PER_DAY * 1000;

/// When an object expires, and by which rule: what `x-amz-expiration` tells.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Expiry {
    /// Then.
    pub at: Timestamp,
    /// The rule's ID.
    pub rule: String,
}

/// A version among those of its key.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Due<'a> {
    pub(crate) key: &'a ObjectKey,
    pub(crate) version: &'a ObjectVersion,
    /// When the next newer version was made; none: it is the current one.
    pub(crate) superseded: Option<Timestamp>,
    /// Noncurrent versions of the key that are newer.
    pub(crate) newer_noncurrent: u64,
    /// Is it the only version of its key?
    pub(crate) alone: bool,
}

/// When a current object expires first; none: no rule expires it.
pub fn expiry(
    configuration: &LifecycleConfiguration,
    key: &ObjectKey,
    version: &ObjectVersion,
) -> Option<Expiry> {
    let object = version.object()?;
    let of_rule = |rule: &LifecycleRule| {
        let expiration = rule.expiration.as_ref()?;
        let at = expiration
            .days
            .map(|days| after(version.stamp.last_modified(), days))
            .or(expiration.date)?;
        matches(rule, key, object).then(|| Expiry {
            at,
            rule: rule.id.clone(),
        })
    };
    let all = configuration.enabled().filter_map(of_rule);
    all.min_by_key(|expiry| expiry.at)
}

/// When an upload is aborted that was begun then, and by which rule: what `x-amz-abort-date` and
/// `x-amz-abort-rule-id` tell.
pub fn abort_date(
    configuration: &LifecycleConfiguration,
    key: &ObjectKey,
    initiated: Timestamp,
) -> Option<Expiry> {
    let of_rule = |rule: &LifecycleRule| {
        let days = rule.abort_after_days?;
        let about = key.as_str().starts_with(rule.key_prefix());
        about.then(|| Expiry {
            at: after(initiated, days),
            rule: rule.id.clone(),
        })
    };
    let all = configuration.enabled().filter_map(of_rule);
    all.min_by_key(|expiry| expiry.at)
}

/// Is an upload to be aborted now?
pub(crate) fn is_abort_due(
    configuration: &LifecycleConfiguration,
    key: &ObjectKey,
    initiated: Timestamp,
    now: Timestamp,
) -> bool {
    abort_date(configuration, key, initiated).is_some_and(|abort| abort.at <= now)
}

/// Is that version to go now? Whatever replication has not brought to its destination stays.
pub(crate) fn due(configuration: &LifecycleConfiguration, this: Due<'_>, now: Timestamp) -> bool {
    let held = matches!(
        this.version.replication_status(),
        Some(ReplicationStatus::Pending | ReplicationStatus::Failed)
    );
    !held && configuration.enabled().any(|rule| is_due(rule, this, now))
}

fn is_due(rule: &LifecycleRule, this: Due<'_>, now: Timestamp) -> bool {
    let about = match this.version.object() {
        Some(object) => matches(rule, this.key, object),
        None => {
            !rule.asks_for_more_than_a_prefix() && this.key.as_str().starts_with(rule.key_prefix())
        }
    };
    about
        && match this.superseded {
            Some(since) => is_noncurrent_due(rule, since, this.newer_noncurrent, now),
            None => is_current_due(rule, this, now),
        }
}

/// A delete marker over versions stays; alone it goes at its age, or at once where it is asked.
fn is_current_due(rule: &LifecycleRule, this: Due<'_>, now: Timestamp) -> bool {
    let Some(expiration) = &rule.expiration else {
        return false;
    };
    let marker = this.version.is_delete_marker();
    if marker && !this.alone {
        return false;
    }
    if marker && expiration.expired_object_delete_marker == Some(true) {
        return true;
    }
    let made = this.version.stamp.last_modified();
    let at = expiration.days.map(|days| after(made, days));
    at.or(expiration.date).is_some_and(|at| at <= now)
}

fn is_noncurrent_due(rule: &LifecycleRule, since: Timestamp, newer: u64, now: Timestamp) -> bool {
    let Some(noncurrent) = &rule.noncurrent_expiration else {
        return false;
    };
    let kept = noncurrent.newer_versions.unwrap_or(0);
    let beyond = u64::try_from(kept).is_ok_and(|kept| newer >= kept);
    beyond
        && noncurrent
            .days
            .is_some_and(|days| after(since, days) <= now)
}

/// Is the rule about that object?
fn matches(rule: &LifecycleRule, key: &ObjectKey, object: &ObjectData) -> bool {
    let (greater, less) = rule.sizes();
    let size = i64::try_from(object.size).unwrap_or(i64::MAX);
    key.as_str().starts_with(rule.key_prefix())
        && greater.is_none_or(|bound| size > bound)
        && less.is_none_or(|bound| size < bound)
        && rule
            .tags()
            .all(|(key, value)| object.tags.get(key) == Some(value))
}

/// The midnight after that many days more. Never, if the days aren't positive: such a rule was
/// not accepted.
fn after(time: Timestamp, days: i64) -> Timestamp {
    let Ok(days @ 1..) = u64::try_from(days) else {
        return Timestamp(u64::MAX);
    };
    let day = (time.0 / DAY).saturating_add(days).saturating_add(1);
    Timestamp(day.saturating_mul(DAY))
}
