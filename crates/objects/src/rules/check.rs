//! What is refused of a replication configuration by itself, in S3's words: those recorded from the
//! service where they are known, else those of its published list of replication errors (S3 API
//! Reference, "List of Replication-related error codes"). It asks nobody; the destinations'
//! buckets are `destinations`' affair.

use std::collections::BTreeSet;

use types::AccountId;

use super::configuration::{ARN_PREFIX, Filter, Metrics, ReplicationTime};
use super::{Destination, ReplicationConfiguration, Rule, Status};
use crate::{BucketName, ObjectError};

/// Rules of a configuration, at most.
const MAX_RULES: usize = 1_000;

/// Characters of a rule's ID, at most.
const LONGEST_ID: usize = 255;

/// The one threshold of replication time control, in minutes.
const MINUTES: i32 = 15;

/// Tags of a filter, at most: as many as an object can have.
const MAX_TAGS: usize = 10;

/// The storage classes that replicas can have (service model, `StorageClass`); `FSX_OPENZFS` and
/// the other classes of file systems and backups aren't accepted for replication.
const STORAGE_CLASSES: [&str; 9] = [
    "STANDARD",
    "REDUCED_REDUNDANCY",
    "STANDARD_IA",
    "ONEZONE_IA",
    "INTELLIGENT_TIERING",
    "GLACIER",
    "DEEP_ARCHIVE",
    "GLACIER_IR",
    "OUTPOSTS",
];

/// What isn't of the schema's shape.
pub fn malformed() -> ObjectError {
    ObjectError::refused(
        "MalformedXML",
        "The XML you provided was not well-formed or did not validate against our published schema",
    )
}

/// Checks a configuration of that bucket by itself and gives rules without ID one, by numbers that
/// `random` draws.
///
/// # Errors
/// S3's, of what it finds first: the configuration's shape, then rule by rule.
pub fn check(
    source: &BucketName,
    mut configuration: ReplicationConfiguration,
    random: impl Fn() -> u64,
) -> Result<ReplicationConfiguration, ObjectError> {
    if configuration.rules.is_empty() || configuration.role.is_empty() {
        return Err(malformed());
    }
    if configuration.rules.len() > MAX_RULES {
        return Err(invalid_request(format!(
            "Number of defined replication rules cannot exceed {MAX_RULES}"
        )));
    }
    check_role(&configuration.role)?;
    check_ids(&mut configuration.rules, random)?;
    let second = configuration.is_second_version();
    for rule in &configuration.rules {
        check_selection(rule, second)?;
        check_destination(source, rule)?;
    }
    match second {
        true => check_priorities(&configuration.rules)?,
        false => check_first_version(&configuration.rules)?,
    }
    Ok(configuration)
}

fn check_role(role: &str) -> Result<(), ObjectError> {
    let fields: Vec<&str> = role.splitn(6, ':').collect();
    let [arn, partition, service, region, account, resource] = fields[..] else {
        return Err(invalid_role());
    };
    let holds = (arn, partition, service, region) == ("arn", "aws", "iam", "")
        && account.parse::<AccountId>().is_ok();
    if !holds {
        return Err(invalid_role());
    }
    let name = resource.strip_prefix("role/");
    match name.is_some_and(|name| !name.is_empty()) {
        true => Ok(()),
        false => Err(invalid_argument(
            "The relative id should start with role".to_owned(),
        )),
    }
}

fn invalid_role() -> ObjectError {
    invalid_argument("Invalid Role specified in replication configuration".to_owned())
}

fn check_ids(rules: &mut [Rule], random: impl Fn() -> u64) -> Result<(), ObjectError> {
    let mut seen = BTreeSet::new();
    for rule in rules {
        let id = match rule.id.take() {
            Some(id) if !id.is_empty() => id,
            _ => loop {
                let drawn = format!("{:016x}{:016x}", random(), random());
                if !seen.contains(&drawn) {
                    break drawn;
                }
            },
        };
        if id.chars().count() > LONGEST_ID {
            return Err(invalid_argument(format!(
                "Rule Id cannot be greater than {LONGEST_ID}"
            )));
        }
        if !id.is_ascii() {
            return Err(invalid_argument(
                "Rule ID must not contain non-ASCII characters.".to_owned(),
            ));
        }
        if !seen.insert(id.clone()) {
            return Err(invalid_request("Rule Id must be unique".to_owned()));
        }
        rule.id = Some(id);
    }
    Ok(())
}

/// What it chooses by.
fn check_selection(rule: &Rule, second: bool) -> Result<(), ObjectError> {
    if rule.filter.is_some() && rule.prefix.is_some() {
        return Err(malformed());
    }
    if second {
        if rule.filter.is_none() {
            return Err(schema("Filter", "must be specified"));
        }
        if rule.priority.is_none() {
            return Err(schema("Priority", "must be specified"));
        }
        if rule.delete_markers.is_none() {
            return Err(schema("DeleteMarkerReplication", "must be specified"));
        }
    } else {
        if rule.prefix.is_none() {
            return Err(malformed());
        }
        if rule.priority.is_some() {
            return Err(schema("Priority", "cannot be used"));
        }
        if rule.delete_markers.is_some() {
            return Err(schema("DeleteMarkerReplication", "cannot be used"));
        }
    }
    if rule.priority.is_some_and(|priority| priority < 0) {
        return Err(invalid_request(format!(
            "Priority must be between 0 and {}.",
            i32::MAX
        )));
    }
    if rule.key_prefix().len() > crate::names::LONGEST_KEY {
        return Err(invalid_argument(
            "Rule prefix cannot be longer than maximum allowed key length of 1024".to_owned(),
        ));
    }
    check_tags(rule)?;
    if let Some(selection) = &rule.source_selection
        && selection.kms_objects.is_none()
        && selection.replica_modifications.is_none()
    {
        return Err(invalid_request(
            "SourceSelectionCriteria cannot be empty.".to_owned(),
        ));
    }
    Ok(())
}

fn check_tags(rule: &Rule) -> Result<(), ObjectError> {
    let tags = rule.tags();
    if let Some(Filter::And { prefix, tags }) = &rule.filter
        && tags.len() + usize::from(prefix.is_some()) < 2
    {
        return Err(malformed());
    }
    let keys: BTreeSet<&str> = tags.iter().map(|tag| tag.key.as_str()).collect();
    if keys.len() < tags.len() {
        return Err(invalid_request(
            "Duplicate Tag Keys are not allowed.".to_owned(),
        ));
    }
    // Lengths as tags of objects have them (S3 API Reference, "Tag").
    let holds = |key: &str, value: &str| {
        (1..=128).contains(&key.chars().count()) && value.chars().count() <= 256
    };
    if tags.len() > MAX_TAGS || !tags.iter().all(|tag| holds(&tag.key, &tag.value)) {
        return Err(ObjectError::refused(
            "InvalidTag",
            "The TagKey you have provided is invalid",
        ));
    }
    let markers = rule.delete_markers.as_ref().and_then(|on| on.status);
    if !tags.is_empty() && markers == Some(Status::Enabled) {
        return Err(invalid_request(
            "Delete marker replication is not supported if any Tag filter is specified. Please \
             refer to S3 Developer Guide for more information."
                .to_owned(),
        ));
    }
    Ok(())
}

fn check_destination(source: &BucketName, rule: &Rule) -> Result<(), ObjectError> {
    let destination = &rule.destination;
    let Some(name) = destination.bucket.strip_prefix(ARN_PREFIX) else {
        return Err(invalid_argument("Invalid bucket ARN".to_owned()));
    };
    let name = name
        .parse::<BucketName>()
        .map_err(|error| invalid_argument(error.to_string()))?;
    if name == *source {
        return Err(invalid_request(
            "Destination bucket cannot be the same as the source bucket.".to_owned(),
        ));
    }
    let class = destination.storage_class.as_deref();
    if class.is_some_and(|class| !STORAGE_CLASSES.contains(&class)) {
        return Err(malformed());
    }
    if destination.account.as_deref() == Some("") {
        return Err(invalid_request(
            "The <Account> element is empty. It must contain a valid account ID.".to_owned(),
        ));
    }
    if destination.owner_override && destination.account.is_none() {
        return Err(invalid_request(
            "The <Owner> in <AccessControlTranslation> has a value, so the <Account> element \
             must be specified."
                .to_owned(),
        ));
    }
    check_encryption(rule)?;
    check_time(destination)
}

/// A key of KMS is demanded where the rule takes objects encrypted with one, and only there.
fn check_encryption(rule: &Rule) -> Result<(), ObjectError> {
    let selection = rule.source_selection.as_ref();
    let selects = selection.and_then(|selection| selection.kms_objects);
    let encryption = rule.destination.encryption.as_ref();
    if encryption.is_some() && selects.is_none() {
        return Err(invalid_request(
            "SseKmsEncryptedObjects must be specified if EncryptionConfiguration is present."
                .to_owned(),
        ));
    }
    let key = encryption.and_then(|encryption| encryption.kms_key.as_deref());
    if selects.is_some() && key.is_none_or(str::is_empty) {
        return Err(invalid_request(
            "ReplicaKmsKeyID must be specified if SseKmsEncryptedObjects tag is present."
                .to_owned(),
        ));
    }
    Ok(())
}

/// Replication time control comes with metrics; metrics may come alone, and then without a
/// threshold (S3 User Guide, "Using S3 Replication metrics").
fn check_time(destination: &Destination) -> Result<(), ObjectError> {
    let time = destination.replication_time.as_ref();
    let metrics = destination.metrics.as_ref();
    if let Some(ReplicationTime { status, minutes }) = time {
        let missing = match (status, minutes) {
            (None, _) => Some("ReplicationTime-Status must contain a value."),
            (_, None) => Some("ReplicationTime-ReplicationTimeValue must contain a value."),
            (_, Some(MINUTES)) => None,
            (_, Some(_)) => Some("Replication-ReplicationTimeValue-Minutes value must be 15."),
        };
        if let Some(message) = missing {
            return Err(invalid_argument(message.to_owned()));
        }
    }
    if let Some(Metrics { status, minutes }) = metrics {
        let missing = match (status, minutes) {
            (None, _) => Some("ReplicationMetrics must contain a Status."),
            (_, None) if time.is_some() => {
                Some("ReplicationMetrics must contain an EventThreshold.")
            }
            (_, None | Some(MINUTES)) => None,
            (_, Some(_)) => Some("EventThreshold-ReplicationTimeValue-Minutes value must be 15."),
        };
        if let Some(message) = missing {
            return Err(invalid_argument(message.to_owned()));
        }
    }
    match (time, metrics) {
        (Some(_), None) => Err(invalid_request(
            "Replication destination must contain both ReplicationTime and Metrics or neither."
                .to_owned(),
        )),
        (Some(time), Some(metrics)) if time.status != metrics.status => Err(invalid_request(
            "ReplicationTime and ReplicationMetrics must have the same status.".to_owned(),
        )),
        _ => Ok(()),
    }
}

fn check_priorities(rules: &[Rule]) -> Result<(), ObjectError> {
    let priorities: BTreeSet<Option<i32>> = rules.iter().map(|rule| rule.priority).collect();
    match priorities.len() == rules.len() {
        true => Ok(()),
        false => Err(invalid_request(
            "Replication configuration has duplicate priority".to_owned(),
        )),
    }
}

/// The first version has one destination, and prefixes of which none begins another.
fn check_first_version(rules: &[Rule]) -> Result<(), ObjectError> {
    let mut prefixes: Vec<&str> = rules.iter().map(Rule::key_prefix).collect();
    prefixes.sort_unstable();
    let overlap = prefixes
        .windows(2)
        .find(|pair| pair[1].starts_with(pair[0]));
    if let Some([shorter, longer]) = overlap {
        return Err(invalid_request(format!(
            "Found overlapping prefixes '{shorter}' and '{longer}'"
        )));
    }
    let destinations: BTreeSet<&str> = rules
        .iter()
        .map(|rule| rule.destination.bucket.as_str())
        .collect();
    match destinations.len() {
        1 => Ok(()),
        _ => Err(invalid_request(
            "Number of distinct destination bucket ARNs cannot exceed 1".to_owned(),
        )),
    }
}

fn schema(element: &str, what: &str) -> ObjectError {
    invalid_request(format!(
        "{element} {what} for this version of Cross Region Replication configuration schema. \
         Please refer to S3 Developer Guide for more information."
    ))
}

fn invalid_request(message: String) -> ObjectError {
    ObjectError::refused("InvalidRequest", message)
}

pub(super) fn invalid_argument(message: String) -> ObjectError {
    ObjectError::refused("InvalidArgument", message)
}

#[cfg(test)]
#[path = "check_tests.rs"]
mod tests;
