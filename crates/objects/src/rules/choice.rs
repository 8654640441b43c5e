//! Which rules choose a version, or a change of one: of the rules with one destination the one of
//! the highest priority. Pure.

use std::collections::BTreeMap;

use super::{ReplicationConfiguration, Rule, Status};
use crate::{BucketName, ObjectData, ObjectVersion};

/// What was done.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Operation {
    /// An object or, by a user's request, a delete marker was written.
    Write,
    /// A delete marker was written by the bucket's lifecycle: never replicated.
    LifecycleMarker,
    /// Tags, access control list or lock of a version were changed.
    Amend,
    /// A batch replication job wants the version copied.
    Batch,
}

/// What is to be chosen.
#[derive(Clone, Copy, Debug)]
pub struct Candidate<'a> {
    /// The version's key.
    pub key: &'a str,
    /// The version.
    pub version: &'a ObjectVersion,
    /// What was done.
    pub operation: Operation,
}

/// A rule that chose, and where to.
#[derive(Clone, PartialEq, Debug)]
pub struct Chosen<'a> {
    /// The rule.
    pub rule: &'a Rule,
    /// Its destination's bucket.
    pub destination: BucketName,
}

/// Storage classes whose objects aren't replicated before they are restored (S3 User Guide, "What
/// does Amazon S3 replicate?").
const ARCHIVED: [&str; 2] = ["GLACIER", "DEEP_ARCHIVE"];

/// The rules that choose a candidate, one for each destination, in the order of their names.
pub fn choose<'a>(
    configuration: &'a ReplicationConfiguration,
    candidate: Candidate<'_>,
) -> Vec<Chosen<'a>> {
    let second = configuration.is_second_version();
    let mut chosen: BTreeMap<BucketName, &Rule> = BTreeMap::new();
    let matching = configuration
        .rules
        .iter()
        .filter(|rule| matches(rule, candidate));
    for rule in matching {
        let Some(destination) = rule.destination.bucket_name() else {
            continue;
        };
        let best = chosen.entry(destination).or_insert(rule);
        if rule.priority > best.priority {
            *best = rule;
        }
    }
    // Priority first: the rule that wins decides of delete markers, also against the others.
    chosen.retain(|_, rule| takes(rule, second, candidate));
    chosen
        .into_iter()
        .map(|(destination, rule)| Chosen { rule, destination })
        .collect()
}

/// Is the rule about that key and, of an object, its tags? A delete marker has none, so that rules
/// with tags never choose one.
fn matches(rule: &Rule, candidate: Candidate<'_>) -> bool {
    let tagged = |object: &ObjectData| {
        let mut wanted = rule.tags().iter();
        wanted.all(|tag| object.tags.get(&tag.key) == Some(&tag.value))
    };
    let tags_match = match candidate.version.object() {
        Some(object) => tagged(object),
        None => rule.tags().is_empty(),
    };
    rule.is_enabled() && candidate.key.starts_with(rule.key_prefix()) && tags_match
}

/// Does the rule take such a thing?
fn takes(rule: &Rule, second: bool, candidate: Candidate<'_>) -> bool {
    let version = candidate.version;
    let eligible = match version.object() {
        Some(object) => !ARCHIVED.contains(&object.storage_class.as_str()),
        None => takes_markers(rule, second) && candidate.operation != Operation::Amend,
    };
    let wanted = match candidate.operation {
        Operation::LifecycleMarker => false,
        Operation::Write => !version.is_replica,
        Operation::Amend => version.is_replica && rule.syncs_replicas(),
        Operation::Batch => true,
    };
    eligible && wanted
}

/// The first version of the schema replicates users' delete markers, the second by its element.
fn takes_markers(rule: &Rule, second: bool) -> bool {
    let element = rule.delete_markers.as_ref().and_then(|on| on.status);
    !second || element == Some(Status::Enabled)
}

#[cfg(test)]
#[path = "choice_tests.rs"]
mod tests;
