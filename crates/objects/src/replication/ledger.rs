//! The ledger of conflicts: versions that were current in one Region and lost to a concurrent one
//! of another. It lists; `import` writes. A version in it is still there, and read by its id.

use std::collections::BTreeMap;
use std::ops::Bound;

use store::{Direction, Engine, KeyRange, Snapshot, Space};
use types::Timestamp;

use crate::keys::{self, kind};
use crate::row::Conflict;
use crate::{BucketId, BucketName, ObjectError, ObjectKey, Objects, Stamp};

/// A version that lost.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LostVersion {
    /// The bucket, as long as there is one of that number.
    pub bucket: Option<BucketName>,
    /// Its number.
    pub id: BucketId,
    /// The key.
    pub key: ObjectKey,
    /// The version that lost; its text is its id.
    pub loser: Stamp,
    /// The version that is current instead.
    pub winner: Stamp,
    /// When this Region found it.
    pub found: Timestamp,
}

/// A part of the ledger.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct LedgerPage {
    /// By bucket, key and stamp.
    pub lost: Vec<LostVersion>,
    /// Where the next part begins; none: this was the last.
    pub next: Option<bytes::Bytes>,
}

impl<E: Engine> Objects<E> {
    /// The conflicts that this Region has found, `limit` of them (at least 1) after `after`.
    ///
    /// # Errors
    /// `Internal`: a row can't be read.
    pub async fn lost_versions(
        &self,
        after: Option<bytes::Bytes>,
        limit: usize,
    ) -> Result<LedgerPage, ObjectError> {
        let names = self.names_of_buckets();
        let mut range = KeyRange::prefix(&[kind::CONFLICT]);
        if let Some(after) = after.filter(|after| after.starts_with(&[kind::CONFLICT])) {
            range.start = Bound::Excluded(after);
        }
        let snapshot = self.engine.snapshot();
        let page = snapshot.scan(Space::Objects, range, Direction::Forward, limit.max(1));
        let page = page.await?;
        let mut lost = Vec::with_capacity(page.entries.len());
        for entry in &page.entries {
            let (id, key, loser) = split(&entry.key)?;
            let conflict = Conflict::decode(&entry.value)?;
            lost.push(LostVersion {
                bucket: names.get(&id).cloned(),
                id,
                key,
                loser,
                winner: conflict.winner,
                found: conflict.found,
            });
        }
        let last = page.entries.last().filter(|_| page.more);
        Ok(LedgerPage {
            lost,
            next: last.map(|entry| entry.key.clone()),
        })
    }

    /// The names of this Region's buckets.
    pub(super) fn names_of_buckets(&self) -> BTreeMap<BucketId, BucketName> {
        let mut names = BTreeMap::new();
        let view = self.config.configuration.view();
        view.visit(crate::buckets::BUCKET_PREFIX, &mut |key, _, value| {
            let name = key.strip_prefix(crate::buckets::BUCKET_PREFIX);
            let name = name.and_then(|name| name.parse::<BucketName>().ok());
            let entry = serde_json::from_slice::<crate::BucketEntry>(value).ok();
            if let (Some(name), Some(entry)) = (name, entry)
                && entry.region == self.config.region
            {
                names.insert(entry.id, name);
            }
        });
        names
    }
}

fn split(row: &[u8]) -> Result<(BucketId, ObjectKey, Stamp), ObjectError> {
    let read = || {
        let bucket = BucketId(u64::from_be_bytes(*row.get(1..)?.first_chunk::<8>()?));
        let (key, stamp) = keys::split(row)?;
        Some((bucket, key, Stamp::from_bytes(stamp)?))
    };
    read().ok_or_else(|| ObjectError::Internal("a row of the ledger can't be read".to_owned()))
}
