//! The trait behind which a Region's storage stands: reads at a snapshot, one conditional atomic
//! commit, ordered scans, the change log. Asynchronous, but of no runtime: its futures may be
//! polled by any executor.

use std::future::Future;
use std::ops::Bound;

use bytes::Bytes;

use crate::{Batch, CommitError, LogPosition, ReadError, Space};

/// A Region's database. Cheap to clone; all clones are the same database.
pub trait Engine: Clone + Send + Sync + 'static {
    /// What it reads through.
    type Snapshot: Snapshot;

    /// The state as of now: every commit that has returned, and no part of one that hasn't.
    fn snapshot(&self) -> Self::Snapshot;

    /// Commits a batch. When it returns `Ok`, the batch is on disk, synced and checksummed, and
    /// visible to snapshots taken from then on; the position is that of its last announcement
    /// (or the log's head if it made none). The batch is on its way once this is *called*, in
    /// the order of the calls: dropping the future does not undo it.
    fn commit(
        &self,
        batch: Batch,
    ) -> impl Future<Output = Result<LogPosition, CommitError>> + Send + 'static;

    /// The position of the newest announcement on disk.
    fn log_head(&self) -> LogPosition;

    /// Waits until the log's head is past `position`, and returns it.
    fn log_grown(
        &self,
        position: LogPosition,
    ) -> impl Future<Output = LogPosition> + Send + 'static;
}

/// A consistent view of one moment. It may be held for long; it sees no later commit.
pub trait Snapshot: Send + Sync + 'static {
    /// The value of a key.
    fn get(
        &self,
        space: Space,
        key: &[u8],
    ) -> impl Future<Output = Result<Option<Bytes>, ReadError>> + Send;

    /// Entries of a range in key order (or reversed), at most `limit` of them (at least 1).
    /// `more` says whether the range holds entries beyond the last one returned.
    fn scan(
        &self,
        space: Space,
        range: KeyRange,
        direction: Direction,
        limit: usize,
    ) -> impl Future<Output = Result<Page, ReadError>> + Send;
}

/// A range of keys in unsigned byte order.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct KeyRange {
    /// Where it begins.
    pub start: Bound<Bytes>,
    /// Where it ends.
    pub end: Bound<Bytes>,
}

/// The order of a scan.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Direction {
    /// From the least key up.
    Forward,
    /// From the greatest key down.
    Backward,
}

/// A key and its value.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Entry {
    /// The key.
    pub key: Bytes,
    /// The value.
    pub value: Bytes,
}

/// A part of a scan.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Page {
    /// The entries, in the scan's order.
    pub entries: Vec<Entry>,
    /// Does the range hold more?
    pub more: bool,
}

impl KeyRange {
    /// Every key.
    pub fn all() -> KeyRange {
        KeyRange {
            start: Bound::Unbounded,
            end: Bound::Unbounded,
        }
    }

    /// Every key that begins with `prefix`.
    pub fn prefix(prefix: &[u8]) -> KeyRange {
        let start = Bound::Included(Bytes::copy_from_slice(prefix));
        let end = match successor(prefix) {
            Some(end) => Bound::Excluded(end),
            None => Bound::Unbounded,
        };
        KeyRange { start, end }
    }
}

/// The least key greater than every key that begins with `prefix`; none if there is no such.
fn successor(prefix: &[u8]) -> Option<Bytes> {
    let last = prefix.iter().rposition(|byte| *byte != u8::MAX)?;
    let mut end = prefix[..=last].to_vec();
    end[last] += 1;
    Some(Bytes::from(end))
}

/// Is that range empty by its bounds alone? (`BTreeMap::range` panics at some such bounds.)
pub(crate) fn is_empty_range(range: &KeyRange) -> bool {
    match (&range.start, &range.end) {
        (Bound::Unbounded, _) | (_, Bound::Unbounded) => false,
        (Bound::Included(start), Bound::Included(end)) => start > end,
        (
            Bound::Included(start) | Bound::Excluded(start),
            Bound::Included(end) | Bound::Excluded(end),
        ) => start >= end,
    }
}
