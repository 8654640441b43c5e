//! Event notifications: which events of a bucket are told to whom, the records that tell them,
//! and their delivery (S3 User Guide, "Amazon S3 Event Notifications"). An event is kept in the
//! batch of what it tells of, so none is lost between the two, and is told at least once, in
//! order. A target is a webhook that the operator allowed; topics, queues and functions of AWS
//! are not here, only their names.

mod announce;
mod event;
mod queue;
mod record;
mod target;
mod teller;

use serde::{Deserialize, Serialize};
use types::Region;

use crate::{ObjectError, ObjectKey};

pub(crate) use announce::announce;
pub use event::{EventKind, EventPattern};
pub use queue::put_event;
pub use record::{Happened, Origin, ReplicationFacts};
pub use target::{NoWebhooks, PostError, Posting, TargetArn, TargetKind, Webhooks};
pub use teller::{EventFigures, EventTeller};

/// Rules of a bucket at most (S3 User Guide, "Quotas": 100 event notification configurations).
pub const MOST_RULES: usize = 100;

/// The longest text that a filter compares with, in bytes (API reference, "FilterRule").
const LONGEST_FILTER: usize = 1024;

/// Characters of a rule's ID at most. The API reference has no limit; its like have this one.
const LONGEST_ID: usize = 255;

/// Where a bucket's events go.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct NotificationConfiguration {
    /// At most [`MOST_RULES`].
    pub rules: Vec<NotificationRule>,
}

/// Which events go to one target.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct NotificationRule {
    /// Its name, which its records carry.
    pub id: String,
    /// To whom.
    pub target: TargetArn,
    /// Of what kinds.
    pub events: Vec<EventPattern>,
    /// Of keys that begin so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prefix: Option<String>,
    /// Of keys that end so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub suffix: Option<String>,
}

impl NotificationConfiguration {
    /// May a bucket of that Region have these rules? Whether the operator allows the targets is
    /// asked apart ([`NotificationConfiguration::check_targets`]).
    ///
    /// # Errors
    ///
    /// `MalformedXML` or `InvalidArgument`, in S3's words.
    pub fn check(&self, region: Region) -> Result<(), ObjectError> {
        if self.rules.len() > MOST_RULES || self.rules.iter().any(|rule| rule.events.is_empty()) {
            return Err(ObjectError::malformed_xml());
        }
        for (at, rule) in self.rules.iter().enumerate() {
            rule.check(region)?;
            let before = &self.rules[..at];
            if before.iter().any(|other| other.id == rule.id) {
                return Err(invalid(
                    "Same ID used for multiple configurations. IDs must be unique",
                ));
            }
            if before.iter().any(|other| other.overlaps(rule)) {
                return Err(invalid(
                    "Configuration is ambiguously defined. Cannot have overlapping suffixes in \
                     two rules if the prefixes are overlapping for the same event type.",
                ));
            }
        }
        Ok(())
    }

    /// Does the operator allow every target?
    ///
    /// # Errors
    ///
    /// `InvalidArgument`, in S3's words.
    pub fn check_targets(&self, webhooks: &dyn Webhooks) -> Result<(), ObjectError> {
        match self.rules.iter().all(|rule| webhooks.allows(&rule.target)) {
            true => Ok(()),
            false => Err(invalid(
                "Unable to validate the following destination configurations",
            )),
        }
    }

    /// The rules that such an event of that key goes by.
    pub fn concerned(
        &self,
        kind: EventKind,
        key: &ObjectKey,
    ) -> impl Iterator<Item = &NotificationRule> {
        let rules = self.rules.iter();
        rules.filter(move |rule| rule.concerns(kind, key.as_str()))
    }
}

impl NotificationRule {
    fn check(&self, region: Region) -> Result<(), ObjectError> {
        if self.id.chars().count() > LONGEST_ID {
            return Err(invalid("ID length should not exceed allowed limit of 255"));
        }
        if self.target.region() != region.name() {
            return Err(invalid(
                "The notification destination service region is not valid for the bucket \
                 location constraint",
            ));
        }
        let filters = [&self.prefix, &self.suffix];
        let mut filters = filters.into_iter().flatten();
        match filters.any(|value| value.len() > LONGEST_FILTER) {
            true => Err(invalid(
                "Size of filter rule value cannot exceed 1024 bytes in UTF-8 representation",
            )),
            false => Ok(()),
        }
    }

    fn concerns(&self, kind: EventKind, key: &str) -> bool {
        let prefix = self.prefix.as_deref().unwrap_or_default();
        let suffix = self.suffix.as_deref().unwrap_or_default();
        key.starts_with(prefix)
            && key.ends_with(suffix)
            && self.events.iter().any(|pattern| pattern.matches(kind))
    }

    /// Can there be an event that goes by both?
    fn overlaps(&self, other: &NotificationRule) -> bool {
        let texts = |one: &Option<String>, two: &Option<String>| {
            let owned = |text: &Option<String>| text.clone().unwrap_or_default();
            (owned(one), owned(two))
        };
        let (prefix, others_prefix) = texts(&self.prefix, &other.prefix);
        let (suffix, others_suffix) = texts(&self.suffix, &other.suffix);
        let events = self.events.iter();
        let mut events = events.flat_map(|one| other.events.iter().map(move |two| (one, two)));
        (prefix.starts_with(&others_prefix) || others_prefix.starts_with(&prefix))
            && (suffix.ends_with(&others_suffix) || others_suffix.ends_with(&suffix))
            && events.any(|(one, two)| one.overlaps(two))
    }
}

/// A refusal as S3 gives it of notifications.
fn invalid(message: &'static str) -> ObjectError {
    ObjectError::refused("InvalidArgument", message)
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn rule(id: &str, events: &[&str], filter: (&str, &str)) -> NotificationRule {
        let text = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        NotificationRule {
            id: id.to_owned(),
            target: "arn:aws:sqs:us-east-1:111122223333:orders".parse().unwrap(),
            events: events.iter().map(|name| name.parse().unwrap()).collect(),
            prefix: text(filter.0),
            suffix: text(filter.1),
        }
    }

    fn refusal(rules: Vec<NotificationRule>, region: &str) -> String {
        let configuration = NotificationConfiguration { rules };
        match configuration.check(region.parse().unwrap()) {
            Ok(()) => String::new(),
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn events_go_by_rules_of_their_kind_and_key() {
        let configuration = NotificationConfiguration {
            rules: vec![
                rule("images", &["s3:ObjectCreated:*"], ("in/", ".jpg")),
                rule("puts", &["s3:ObjectCreated:Put"], ("", ".txt")),
                rule("gone", &["s3:ObjectRemoved:Delete"], ("", "")),
            ],
        };
        let ids = |kind, key: &str| -> Vec<String> {
            let key = key.parse().unwrap();
            let rules = configuration.concerned(kind, &key);
            rules.map(|rule| rule.id.clone()).collect()
        };
        assert_eq!(ids(EventKind::CreatedPut, "in/a.jpg"), ["images"]);
        assert_eq!(ids(EventKind::CreatedCopy, "in/a.txt"), [""; 0]);
        assert_eq!(ids(EventKind::CreatedPut, "b.txt"), ["puts"]);
        assert_eq!(ids(EventKind::RemovedDelete, "b"), ["gone"]);
        assert_eq!(ids(EventKind::RemovedMarkerCreated, "b"), [""; 0]);
        assert_eq!(refusal(configuration.rules, "us-east-1"), "");
    }

    #[test]
    fn rules_that_share_an_event_are_refused() {
        let created = ["s3:ObjectCreated:*"];
        let first = rule("one", &created, ("images/", ".jpg"));
        let refused = |events: &[&str], filter| {
            let rules = vec![first.clone(), rule("two", events, filter)];
            refusal(rules, "us-east-1").starts_with("Configuration is ambiguously defined.")
        };
        assert!(refused(&["s3:ObjectCreated:Put"], ("images/", ".jpg")));
        assert!(refused(&created, ("", "")));
        assert!(refused(&created, ("images/cats/", "g")));
        assert!(!refused(&created, ("images/", ".png")));
        assert!(!refused(&created, ("logs/", ".jpg")));
        assert!(!refused(&["s3:ObjectRemoved:*"], ("images/", ".jpg")));
    }

    #[test]
    fn what_may_not_stand_in_rules_is_refused() {
        let good = rule("one", &["s3:ObjectCreated:*"], ("", ""));
        let text = refusal(vec![good.clone()], "eu-west-1");
        assert!(text.starts_with("The notification destination service region is not valid"));
        let other = rule("one", &["s3:ObjectRemoved:*"], ("", ""));
        let text = refusal(vec![good.clone(), other], "us-east-1");
        assert!(text.starts_with("Same ID used"));
        let text = refusal(vec![rule("one", &[], ("", ""))], "us-east-1");
        assert!(text.starts_with("The XML you provided"));
        let long = rule("l", &["s3:ObjectCreated:*"], (&"k".repeat(1025), ""));
        let text = refusal(vec![long], "us-east-1");
        assert!(text.starts_with("Size of filter rule value"));
        let configuration = NotificationConfiguration { rules: vec![good] };
        let refused = configuration.check_targets(&NoWebhooks).unwrap_err();
        assert_eq!(refused.code(), ("InvalidArgument", 400));
    }
}
