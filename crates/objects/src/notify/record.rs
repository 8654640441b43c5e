//! The record that tells of an event, in JSON (S3 User Guide, "Event message structure"). What a
//! caller is called there is its ARN: unique ids are identity's alone.

use serde_json::{Value, json};
use types::Timestamp;

use super::{EventKind, NotificationRule};
use crate::{Bucket, ObjectData, ObjectKey, Stamp, VersionId};

/// Who made a request, as its events tell it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Origin {
    /// The caller: its ARN, or `Anonymous`.
    pub principal: String,
    /// The address that it called from.
    pub source_address: String,
    /// `x-amz-request-id`.
    pub request_id: String,
    /// `x-amz-id-2`.
    pub host_id: String,
}

/// What happened.
#[derive(Clone, Debug)]
pub struct Happened<'a> {
    /// Of what kind.
    pub kind: EventKind,
    /// To which key.
    pub key: &'a ObjectKey,
    /// To which version; told of buckets that keep versions.
    pub version: Option<VersionId>,
    /// What that version is, unless it is a delete marker or gone.
    pub object: Option<&'a ObjectData>,
    /// By whom; `None`: by this Region itself (lifecycle, replication).
    pub origin: Option<&'a Origin>,
    /// When: a stamp that was issued for it, greater than those of earlier events of the key.
    pub stamp: Stamp,
    /// More about an event of replication.
    pub replication: Option<ReplicationFacts>,
}

/// What an event of replication tells besides (S3 User Guide, "Receiving replication failure
/// events").
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ReplicationFacts {
    /// The rule's ID.
    pub rule: String,
    /// The destination bucket's ARN.
    pub destination: String,
    /// `OBJECT_PUT`, `OBJECT_PUT_TAGGING` and the like.
    pub operation: &'static str,
    /// When the operation came about.
    pub request_time: Timestamp,
    /// Why it failed; of `OperationFailedReplication`.
    pub failure_reason: Option<String>,
    /// The threshold in minutes; of the events of replication time control.
    pub threshold_minutes: Option<u32>,
    /// In how many seconds it came about; of `OperationReplicatedAfterThreshold`.
    pub seconds: Option<u64>,
}

/// Who is named where no caller is.
const THE_SERVICE: &str = "s3.amazonaws.com";

impl Happened<'_> {
    /// The record for the target of one rule.
    pub(super) fn record(&self, bucket: &Bucket, rule: &NotificationRule) -> Value {
        let origin = |field: fn(&Origin) -> &str| self.origin.map_or(THE_SERVICE, field);
        let identity = |id: &str| json!({ "principalId": id });
        let mut record = json!({
            "eventVersion": self.kind.record_version(),
            "eventSource": "aws:s3",
            "awsRegion": bucket.entry.region.name(),
            "eventTime": with_milliseconds(self.stamp.last_modified()),
            "eventName": self.kind.in_record(),
            "userIdentity": identity(origin(|origin| &origin.principal)),
            "requestParameters": {
                "sourceIPAddress": origin(|origin| &origin.source_address),
            },
            "responseElements": {
                "x-amz-request-id": self.origin.map_or("", |origin| &origin.request_id),
                "x-amz-id-2": self.origin.map_or("", |origin| &origin.host_id),
            },
            "s3": {
                "s3SchemaVersion": "1.0",
                "configurationId": rule.id,
                "bucket": {
                    "name": bucket.name.as_str(),
                    "ownerIdentity": identity(&bucket.entry.owner.to_string()),
                    "arn": bucket.name.arn(),
                },
                "object": self.object(bucket),
            },
        });
        if let Some(facts) = &self.replication {
            record["replicationEventData"] = facts.value();
        }
        record
    }

    fn object(&self, bucket: &Bucket) -> Value {
        let stamp = self.stamp.version;
        let mut object = json!({
            "key": form_encoded(self.key.as_str()),
            // Of one key the later event's is the greater as text.
            "sequencer": format!("{:016X}{:04X}", stamp.time.0, stamp.site.0),
        });
        if let Some(data) = self.object {
            object["size"] = data.size.into();
            object["eTag"] = data.etag.as_str().into();
        }
        let keeps = bucket.settings.versioning != crate::Versioning::Unversioned;
        if let Some(version) = self.version.filter(|_| keeps) {
            object["versionId"] = version.to_string().into();
        }
        object
    }
}

impl ReplicationFacts {
    fn value(&self) -> Value {
        let mut value = json!({
            "replicationRuleId": self.rule,
            "destinationBucket": self.destination,
            "s3Operation": self.operation,
            "requestTime": with_milliseconds(self.request_time),
        });
        if let Some(reason) = &self.failure_reason {
            value["failureReason"] = reason.as_str().into();
        }
        if let Some(minutes) = self.threshold_minutes {
            value["threshold"] = minutes.into();
        }
        if let Some(seconds) = self.seconds {
            value["replicationTime"] = seconds.into();
        }
        value
    }
}

/// What S3 sends to a target when a configuration names it.
pub(super) fn test_message(bucket: &Bucket, at: Timestamp, origin: &Origin) -> Value {
    json!({
        "Service": "Amazon S3",
        "Event": "s3:TestEvent",
        "Time": with_milliseconds(at),
        "Bucket": bucket.name.as_str(),
        "RequestId": origin.request_id,
        "HostId": origin.host_id,
    })
}

/// `2026-11-24T02:05:09.123Z`.
fn with_milliseconds(at: Timestamp) -> String {
    let text = at.to_string();
    format!("{}.{:03}Z", text.trim_end_matches('Z'), at.0 % 1000)
}

/// As forms encode it, but for the slash: what S3 does to keys in its records.
fn form_encoded(key: &str) -> String {
    let mut encoded = String::with_capacity(key.len());
    for byte in key.bytes() {
        match byte {
            b' ' => encoded.push('+'),
            b'-' | b'_' | b'.' | b'*' | b'/' => encoded.push(char::from(byte)),
            _ if byte.is_ascii_alphanumeric() => encoded.push(char::from(byte)),
            _ => encoded.push_str(&format!("%{byte:02X}")),
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::notify::queue::tests::{bucket, stamp};
    use crate::notify::tests::rule;

    #[test]
    fn keys_are_encoded_as_in_forms() {
        assert_eq!(form_encoded("a b/c+d.jpg"), "a+b/c%2Bd.jpg");
        assert_eq!(form_encoded("ä~"), "%C3%A4%7E");
    }

    #[test]
    fn a_record_has_the_documented_form() {
        let key = "red flower.jpg".parse().unwrap();
        let origin = Origin {
            principal: "arn:aws:iam::111122223333:user/alice".to_owned(),
            source_address: "127.0.0.1".to_owned(),
            request_id: "R".to_owned(),
            host_id: "H".to_owned(),
        };
        let happened = Happened {
            kind: EventKind::RemovedMarkerCreated,
            key: &key,
            version: Some(VersionId::Stamp(stamp(1))),
            object: None,
            origin: Some(&origin),
            stamp: stamp(1),
            replication: None,
        };
        let rule = rule("mine", &["s3:ObjectRemoved:*"], ("", ""));
        let record = happened.record(&bucket(vec![rule.clone()]), &rule);
        let expected = json!({
            "eventVersion": "2.1",
            "eventSource": "aws:s3",
            "awsRegion": "us-east-1",
            "eventTime": with_milliseconds(stamp(1).last_modified()),
            "eventName": "ObjectRemoved:DeleteMarkerCreated",
            "userIdentity": { "principalId": "arn:aws:iam::111122223333:user/alice" },
            "requestParameters": { "sourceIPAddress": "127.0.0.1" },
            "responseElements": { "x-amz-request-id": "R", "x-amz-id-2": "H" },
            "s3": {
                "s3SchemaVersion": "1.0",
                "configurationId": "mine",
                "bucket": {
                    "name": "orders",
                    "ownerIdentity": { "principalId": "111122223333" },
                    "arn": "arn:aws:s3:::orders",
                },
                "object": {
                    "key": "red+flower.jpg",
                    "versionId": stamp(1).to_string(),
                    "sequencer": format!("{:016X}0001", stamp(1).version.time.0),
                },
            },
        });
        assert_eq!(record, expected);
    }

    #[test]
    fn an_event_of_replication_says_what_failed() {
        let key = "k".parse().unwrap();
        let happened = Happened {
            kind: EventKind::ReplicationFailed,
            key: &key,
            version: None,
            object: None,
            origin: None,
            stamp: stamp(1),
            replication: Some(ReplicationFacts {
                rule: "to-eu".to_owned(),
                destination: "arn:aws:s3:::eu".to_owned(),
                operation: "OBJECT_PUT",
                request_time: Timestamp(1_795_485_909_123),
                failure_reason: Some("DstBucketNotFound".to_owned()),
                threshold_minutes: None,
                seconds: None,
            }),
        };
        let rule = rule("mine", &["s3:Replication:*"], ("", ""));
        let record = happened.record(&bucket(vec![rule.clone()]), &rule);
        assert_eq!(
            record["replicationEventData"],
            json!({
                "replicationRuleId": "to-eu",
                "destinationBucket": "arn:aws:s3:::eu",
                "s3Operation": "OBJECT_PUT",
                "requestTime": "2026-11-24T02:05:09.123Z",
                "failureReason": "DstBucketNotFound",
            })
        );
        assert_eq!(record["userIdentity"]["principalId"], "s3.amazonaws.com");
    }
}
