//! The kinds of events that a bucket can tell, and the patterns of them that a rule names.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::ObjectError;

/// An event that happens here.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum EventKind {
    /// PutObject.
    CreatedPut,
    /// An upload by a form.
    CreatedPost,
    /// CopyObject.
    CreatedCopy,
    /// CompleteMultipartUpload.
    CreatedCompleteMultipartUpload,
    /// A version was deleted for good, or an object of a bucket that keeps no versions.
    RemovedDelete,
    /// A delete marker was made.
    RemovedMarkerCreated,
    /// An access control list was set.
    AclPut,
    /// Tags were set.
    TaggingPut,
    /// Tags were deleted.
    TaggingDelete,
    /// A lifecycle rule deleted for good.
    ExpirationDelete,
    /// A lifecycle rule made a delete marker.
    ExpirationMarkerCreated,
    /// Replication was given up.
    ReplicationFailed,
    /// Replication took longer than its rule's threshold.
    ReplicationMissedThreshold,
    /// Replication that missed the threshold came about.
    ReplicationAfterThreshold,
    /// Replication is no longer followed.
    ReplicationNotTracked,
}

impl EventKind {
    /// As rules name it: `s3:ObjectCreated:Put`.
    pub fn name(self) -> &'static str {
        match self {
            EventKind::CreatedPut => "s3:ObjectCreated:Put",
            EventKind::CreatedPost => "s3:ObjectCreated:Post",
            EventKind::CreatedCopy => "s3:ObjectCreated:Copy",
            EventKind::CreatedCompleteMultipartUpload => "s3:ObjectCreated:CompleteMultipartUpload",
            EventKind::RemovedDelete => "s3:ObjectRemoved:Delete",
            EventKind::RemovedMarkerCreated => "s3:ObjectRemoved:DeleteMarkerCreated",
            EventKind::AclPut => "s3:ObjectAcl:Put",
            EventKind::TaggingPut => "s3:ObjectTagging:Put",
            EventKind::TaggingDelete => "s3:ObjectTagging:Delete",
            EventKind::ExpirationDelete => "s3:LifecycleExpiration:Delete",
            EventKind::ExpirationMarkerCreated => "s3:LifecycleExpiration:DeleteMarkerCreated",
            EventKind::ReplicationFailed => "s3:Replication:OperationFailedReplication",
            EventKind::ReplicationMissedThreshold => "s3:Replication:OperationMissedThreshold",
            EventKind::ReplicationAfterThreshold => {
                "s3:Replication:OperationReplicatedAfterThreshold"
            }
            EventKind::ReplicationNotTracked => "s3:Replication:OperationNotTracked",
        }
    }

    /// As records name it: without `s3:`.
    pub fn in_record(self) -> &'static str {
        self.name().trim_start_matches("s3:")
    }

    /// Which version of the records' form it is told in: 2.2 brought replication, 2.3 lifecycle,
    /// tags and access control lists (S3 User Guide, "Event message structure").
    pub fn record_version(self) -> &'static str {
        match self.name().split(':').nth(1) {
            Some("ObjectCreated" | "ObjectRemoved") => "2.1",
            Some("Replication") => "2.2",
            _ => "2.3",
        }
    }
}

/// What a rule can name (the published model's `Event`). Those of storage classes and restores
/// can be named and never happen here.
const NAMES: [&str; 27] = [
    "s3:ReducedRedundancyLostObject",
    "s3:ObjectCreated:*",
    "s3:ObjectCreated:Put",
    "s3:ObjectCreated:Post",
    "s3:ObjectCreated:Copy",
    "s3:ObjectCreated:CompleteMultipartUpload",
    "s3:ObjectRemoved:*",
    "s3:ObjectRemoved:Delete",
    "s3:ObjectRemoved:DeleteMarkerCreated",
    "s3:ObjectRestore:*",
    "s3:ObjectRestore:Post",
    "s3:ObjectRestore:Completed",
    "s3:ObjectRestore:Delete",
    "s3:Replication:*",
    "s3:Replication:OperationFailedReplication",
    "s3:Replication:OperationNotTracked",
    "s3:Replication:OperationMissedThreshold",
    "s3:Replication:OperationReplicatedAfterThreshold",
    "s3:LifecycleTransition",
    "s3:IntelligentTiering",
    "s3:ObjectAcl:Put",
    "s3:LifecycleExpiration:*",
    "s3:LifecycleExpiration:Delete",
    "s3:LifecycleExpiration:DeleteMarkerCreated",
    "s3:ObjectTagging:*",
    "s3:ObjectTagging:Put",
    "s3:ObjectTagging:Delete",
];

/// Events as a rule names them: one kind, or all of a family (`s3:ObjectCreated:*`).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct EventPattern(&'static str);

impl EventPattern {
    /// As it was given.
    pub fn as_str(self) -> &'static str {
        self.0
    }

    /// Is an event of that kind one of them?
    pub fn matches(self, kind: EventKind) -> bool {
        covers(self.0, kind.name())
    }

    /// Is there an event that is one of both?
    pub fn overlaps(self, other: &EventPattern) -> bool {
        covers(self.0, other.0) || covers(other.0, self.0)
    }
}

fn covers(pattern: &str, name: &str) -> bool {
    match pattern.strip_suffix('*') {
        Some(family) => name.starts_with(family),
        None => pattern == name,
    }
}

impl FromStr for EventPattern {
    type Err = ObjectError;

    fn from_str(text: &str) -> Result<EventPattern, ObjectError> {
        let known = NAMES.into_iter().find(|name| *name == text);
        known.map(EventPattern).ok_or_else(|| {
            ObjectError::refused(
                "InvalidArgument",
                "The event is not supported for notifications",
            )
        })
    }
}

impl fmt::Display for EventPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

impl Serialize for EventPattern {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.0)
    }
}

impl<'de> Deserialize<'de> for EventPattern {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<EventPattern, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_can_be_named_and_has_a_form() {
        for kind in [
            EventKind::CreatedPut,
            EventKind::CreatedPost,
            EventKind::CreatedCopy,
            EventKind::CreatedCompleteMultipartUpload,
            EventKind::RemovedDelete,
            EventKind::RemovedMarkerCreated,
            EventKind::AclPut,
            EventKind::TaggingPut,
            EventKind::TaggingDelete,
            EventKind::ExpirationDelete,
            EventKind::ExpirationMarkerCreated,
            EventKind::ReplicationFailed,
            EventKind::ReplicationMissedThreshold,
            EventKind::ReplicationAfterThreshold,
            EventKind::ReplicationNotTracked,
        ] {
            let pattern: EventPattern = kind.name().parse().unwrap();
            assert!(pattern.matches(kind));
        }
        assert_eq!(EventKind::CreatedPut.in_record(), "ObjectCreated:Put");
        assert_eq!(EventKind::CreatedPut.record_version(), "2.1");
        assert_eq!(EventKind::ReplicationFailed.record_version(), "2.2");
        assert_eq!(EventKind::ExpirationDelete.record_version(), "2.3");
    }

    #[test]
    fn families_cover_their_kinds_and_strangers_are_refused() {
        let pattern = |text: &str| text.parse::<EventPattern>();
        let family = pattern("s3:ObjectRemoved:*").unwrap();
        assert!(family.matches(EventKind::RemovedMarkerCreated));
        assert!(!family.matches(EventKind::ExpirationMarkerCreated));
        assert!(family.overlaps(&pattern("s3:ObjectRemoved:Delete").unwrap()));
        assert!(!family.overlaps(&pattern("s3:ObjectCreated:*").unwrap()));
        for text in ["", "s3:*", "s3:ObjectCreated", "s3:objectcreated:*"] {
            let refused = pattern(text).unwrap_err();
            assert_eq!(refused.code().0, "InvalidArgument", "{text}");
        }
    }
}
