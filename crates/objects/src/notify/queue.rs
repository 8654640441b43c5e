//! Events as rows that wait to be told: one queue a target, in the order of their stamps. What is
//! written here is read by `teller`.

use bytes::{BufMut, Bytes, BytesMut};
use serde_json::Value;
use store::{Batch, Space};

use super::{Happened, TargetArn};
use crate::{Bucket, Stamp, keys::kind};

/// The form of a row: the first byte of its value.
const RECORD: u8 = 1;

/// A row that is a whole message and not a record among others.
const MESSAGE: u8 = 2;

/// Bytes of a stamp and a rule's place, which end a row's key.
const TAIL: usize = 24 + 2;

/// What a row holds.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Told {
    /// A record.
    Record(Bytes),
    /// A whole message.
    Message(Bytes),
}

/// Puts rows into the batch that makes it happen: one for each rule of the bucket that the event
/// goes by. Nothing if there is none, which is the common case and costs nothing.
pub fn put_event(batch: &mut Batch, bucket: &Bucket, happened: &Happened<'_>) {
    let Some(configuration) = &bucket.settings.notification else {
        return;
    };
    let concerned = configuration.concerned(happened.kind, happened.key);
    for (at, rule) in (0..).zip(concerned) {
        let record = happened.record(bucket, rule);
        let row = row(&rule.target, happened.stamp, at);
        batch.put(Space::Objects, row, value(RECORD, &record));
    }
}

/// Puts a message of its own into a target's queue.
pub(super) fn put_message(batch: &mut Batch, target: &TargetArn, at: Stamp, message: &Value) {
    batch.put(Space::Objects, row(target, at, 0), value(MESSAGE, message));
}

/// The prefix of all queues.
pub(super) fn all() -> [u8; 1] {
    [kind::EVENT]
}

/// The prefix of a target's queue. An ARN has no zero byte, so no queue is part of another.
pub(super) fn of_target(target: &TargetArn) -> BytesMut {
    let text = target.as_str();
    let mut key = BytesMut::with_capacity(1 + text.len() + 1 + TAIL);
    key.put_u8(kind::EVENT);
    key.put_slice(text.as_bytes());
    key.put_u8(0);
    key
}

/// The target whose queue a row is in, and when its event was; none if it is malformed.
pub(super) fn split(row: &[u8]) -> Option<(TargetArn, Stamp)> {
    let (head, tail) = row.split_at_checked(row.len().checked_sub(TAIL)?)?;
    let target = head.strip_prefix(&all())?.strip_suffix(&[0])?;
    let target = std::str::from_utf8(target).ok()?.parse().ok()?;
    Some((target, Stamp::from_bytes(&tail[..24])?))
}

/// What a row's value holds; none if it is of no form known here.
pub(super) fn told(value: &Bytes) -> Option<Told> {
    match value.first() {
        Some(&RECORD) => Some(Told::Record(value.slice(1..))),
        Some(&MESSAGE) => Some(Told::Message(value.slice(1..))),
        _ => None,
    }
}

fn row(target: &TargetArn, at: Stamp, rule: u16) -> Bytes {
    let mut key = of_target(target);
    key.put_slice(&at.to_bytes());
    key.put_u16(rule);
    key.freeze()
}

fn value(form: u8, json: &Value) -> Bytes {
    let mut value = BytesMut::with_capacity(1024);
    value.put_u8(form);
    value.put_slice(json.to_string().as_bytes());
    value.freeze()
}

#[cfg(test)]
pub(crate) mod tests {
    use std::sync::Arc;

    use store::Write;
    use types::{AccountId, Hlc, SiteId, Timestamp, Version};

    use super::*;
    use crate::notify::tests::rule;
    use crate::notify::{EventKind, NotificationConfiguration, NotificationRule};
    use crate::{BucketEntry, BucketId, BucketSettings, Versioning};

    pub(crate) fn stamp(time: u64) -> Stamp {
        Stamp {
            version: Version {
                time: Hlc(1_795_485_909_123 << 16 | time),
                site: SiteId(1),
            },
            random: 7,
        }
    }

    pub(crate) fn bucket(rules: Vec<NotificationRule>) -> Bucket {
        let mut settings = BucketSettings::new(false);
        settings.versioning = Versioning::Enabled;
        settings.notification = Some(NotificationConfiguration { rules });
        Bucket {
            name: "orders".parse().unwrap(),
            entry: BucketEntry {
                id: BucketId(1),
                owner: AccountId::LAB,
                region: "us-east-1".parse().unwrap(),
                created: Timestamp(0),
                object_lock: false,
            },
            settings: Arc::new(settings),
        }
    }

    #[test]
    fn an_event_is_a_row_for_each_rule_that_it_goes_by() {
        let mut other = rule("other", &["s3:ObjectRemoved:*"], ("", ".txt"));
        other.target = "arn:aws:sns:us-east-1:111122223333:t".parse().unwrap();
        let bucket = bucket(vec![
            rule("one", &["s3:ObjectCreated:*"], ("", "")),
            rule("two", &["s3:ObjectRemoved:*"], ("", ".jpg")),
            other.clone(),
        ]);
        let key = "a.txt".parse().unwrap();
        let mut happened = Happened {
            kind: EventKind::CreatedPut,
            key: &key,
            version: None,
            object: None,
            origin: None,
            stamp: stamp(1),
            replication: None,
        };
        let mut batch = Batch::new();
        put_event(&mut batch, &bucket, &happened);
        happened.kind = EventKind::RemovedDelete;
        happened.stamp = stamp(2);
        put_event(&mut batch, &bucket, &happened);
        happened.kind = EventKind::AclPut;
        put_event(&mut batch, &bucket, &happened);
        let rows: Vec<(TargetArn, Stamp)> = batch
            .writes
            .iter()
            .map(|write| match write {
                Write::Put { key, value, .. } => {
                    assert!(matches!(told(value), Some(Told::Record(_))));
                    split(key).unwrap()
                }
                Write::Delete { .. } => panic!("nothing is deleted"),
            })
            .collect();
        let first = bucket.settings.notification.as_ref().unwrap().rules[0].clone();
        assert_eq!(rows, [(first.target, stamp(1)), (other.target, stamp(2))]);
    }

    #[test]
    fn rows_of_other_forms_are_none() {
        assert_eq!(told(&Bytes::from_static(b"\x09{}")), None);
        assert_eq!(told(&Bytes::new()), None);
        for row in [&b""[..], b"\x0c", &[kind::EVENT; 40]] {
            assert!(split(row).is_none());
        }
    }
}
