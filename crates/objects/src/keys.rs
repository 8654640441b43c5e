//! The keys of rows in `Space::Objects` and `Space::Content`. The first byte says the kind of row;
//! what belongs to a bucket goes on with its id. A key of an object is escaped and ended, so that
//! byte order of rows is byte order of keys and no key is another's prefix.

use bytes::{BufMut, Bytes, BytesMut};

use crate::{BucketId, ObjectKey, Stamp};

/// Kinds of rows, the first byte of every key. Never reused.
pub mod kind {
    /// A bucket's regional settings: bucket.
    pub const SETTINGS: u8 = 1;
    /// The current version of a key, whole: bucket, key.
    pub const CURRENT: u8 = 2;
    /// A version: bucket, key, stamp in descending order.
    pub const VERSION: u8 = 3;
    /// The stamp of a key's `null` version: bucket, key.
    pub const NULL: u8 = 4;
    /// The parts of a version made of parts: bucket, key, stamp.
    pub const EXTENTS: u8 = 5;
    /// A multipart upload under way: bucket, key, upload's stamp.
    pub const UPLOAD: u8 = 6;
    /// A part of an upload: bucket, upload's stamp, number.
    pub const PART: u8 = 7;
    /// A replication task: destination site, sequence.
    pub const OUTBOX: u8 = 8;
    /// A transfer being received: source site, source's task.
    pub const STAGED: u8 = 10;
    /// Bytes that no version needs any more: when they were let go of, blob or version.
    pub const GARBAGE: u8 = 11;
    /// An event to be told: sequence.
    pub const EVENT: u8 = 12;
    /// A batch replication job: its id.
    pub const JOB: u8 = 13;
    /// A version deleted for good that replication must not make again: bucket, key, stamp. Its
    /// value: since when, and since when no Region is known to have it.
    pub const GONE: u8 = 14;
    /// A "current" that lost to a concurrent one: bucket, key, stamp of the loser.
    pub const CONFLICT: u8 = 15;
    /// Facts about the site: the sealed key of its contents, say.
    pub const SITE: u8 = 16;
    /// An upload that ended, completed or aborted: bucket, upload's stamp.
    pub const ENDED: u8 = 17;
    /// Figures of replication that outlive the process: bucket, rule, destination.
    pub const FIGURES: u8 = 18;
}

/// A key of that kind that begins with that bucket: the prefix of all such rows.
pub fn of_bucket(kind: u8, bucket: BucketId) -> BytesMut {
    let mut key = BytesMut::with_capacity(64);
    key.put_u8(kind);
    key.put_u64(bucket.0);
    key
}

/// A key of that kind, of a bucket's key: the prefix of rows that go on with a stamp.
pub fn of_key(kind: u8, bucket: BucketId, key: &ObjectKey) -> BytesMut {
    let mut row = of_bucket(kind, bucket);
    put_escaped(&mut row, key.as_str().as_bytes());
    row.put_slice(&[0, 0]);
    row
}

/// Appends what every row of keys that begin with `prefix` goes on with: no end, so that longer
/// keys match.
pub fn with_prefix(kind: u8, bucket: BucketId, prefix: &str) -> BytesMut {
    let mut row = of_bucket(kind, bucket);
    put_escaped(&mut row, prefix.as_bytes());
    row
}

/// The row of a version: newest first within its key.
pub fn version(bucket: BucketId, key: &ObjectKey, stamp: Stamp) -> Bytes {
    let mut row = of_key(kind::VERSION, bucket, key);
    row.put_slice(&stamp.to_bytes().map(|byte| !byte));
    row.freeze()
}

/// The row of that kind of a version, in ascending order.
pub fn of_version(kind: u8, bucket: BucketId, key: &ObjectKey, stamp: Stamp) -> Bytes {
    let mut row = of_key(kind, bucket, key);
    row.put_slice(&stamp.to_bytes());
    row.freeze()
}

/// The row of a fact about the site.
pub fn of_site(fact: &str) -> Bytes {
    let mut row = BytesMut::with_capacity(1 + fact.len());
    row.put_u8(kind::SITE);
    row.put_slice(fact.as_bytes());
    row.freeze()
}

/// The stamp that ends the row of a version (`VERSION`), which stands there inverted.
pub fn stamp_of_version(rest: &[u8]) -> Option<Stamp> {
    let bytes: Vec<u8> = rest.iter().map(|byte| !byte).collect();
    Stamp::from_bytes(&bytes)
}

/// The object's key that such a row is of, and what follows it; none if the row is malformed.
pub fn split(row: &[u8]) -> Option<(ObjectKey, &[u8])> {
    let rest = row.get(9..)?;
    let mut key = Vec::with_capacity(rest.len());
    let mut at = 0;
    loop {
        match (*rest.get(at)?, rest.get(at + 1)) {
            (0, Some(0)) => break,
            (0, Some(0xff)) => {
                key.push(0);
                at += 2;
            }
            (0, _) => return None,
            (byte, _) => {
                key.push(byte);
                at += 1;
            }
        }
    }
    let key = String::from_utf8(key).ok()?.parse().ok()?;
    Some((key, &rest[at + 2..]))
}

/// A zero byte becomes `00 ff`, so that `00 00` ends a key and sorts before every longer one.
fn put_escaped(row: &mut BytesMut, bytes: &[u8]) {
    for byte in bytes {
        row.put_u8(*byte);
        if *byte == 0 {
            row.put_u8(0xff);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_order_as_keys_do_and_give_them_back() {
        let keys = ["a", "a\0", "a\0b", "a\u{1}", "ab", "b", "ä"];
        let rows: Vec<Bytes> = keys
            .iter()
            .map(|key| of_key(kind::CURRENT, BucketId(1), &key.parse().unwrap()).freeze())
            .collect();
        assert!(rows.is_sorted());
        for (row, key) in rows.iter().zip(keys) {
            let (read, rest) = split(row).unwrap();
            assert_eq!((read.as_str(), rest), (key, &b""[..]));
        }
        let prefix = with_prefix(kind::CURRENT, BucketId(1), "a\0");
        let found = rows.iter().filter(|row| row.starts_with(&prefix)).count();
        assert_eq!(found, 2);
    }
}
