//! Removes bytes that nothing needs: those that a batch let go of (rows of `keys::kind::GARBAGE`),
//! and orphans, blobs that no row names because their writer was cut off before its commit. It
//! never removes what is being read, what is being written, or what it can't make sense of.
//!
//! A blob counts as named by every row of `Space::Objects` in whose value its number stands as a
//! string of 32 hexadecimal digits, whatever the row is of: a kind of row that comes later keeps
//! its blobs without a word here.

use std::collections::BTreeMap;
use std::ops::Bound;

use bytes::Bytes;
use store::{Batch, CommitError, Direction, Engine, Entry, KeyRange, Page, Snapshot, Space};
use types::{Monotonic, Span, Timestamp};

use super::garbage::{Garbage, since};
use super::{content_key, decode_extents};
use crate::blob::BlobId;
use crate::keys::{self, kind};
use crate::{BucketId, Extent, ObjectError, Objects};

/// How long what was let go of stays for readers that found the version just before, in
/// milliseconds. From then on a reader holds what it reads.
const GARBAGE_GRACE_MILLIS: u64 = 60_000;

/// How long a blob must have been unnamed before it counts as an orphan: longer than any commit
/// takes after its bytes were written.
const ORPHAN_GRACE: Span = Span::seconds(3_600);

/// How often garbage is looked for.
const GARBAGE_EVERY: Span = Span::seconds(20);

/// How often orphans are looked for; the first time when the Region starts.
const ORPHANS_EVERY: Span = Span::seconds(2 * 3_600);

/// How many rows are read at once.
const PAGE: usize = 256;

/// The pause between two pages, so that a pass over everything leaves the processor to requests.
const PAUSE: Span = Span::milliseconds(1);

/// How many blobs one pass over the rows judges: 2 MiB of numbers.
const SLICE: usize = 1 << 17;

/// How many orphans are remembered; further ones wait until those are gone.
const MOST_ORPHANS: usize = 1 << 16;

/// What a collection came to.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Collected {
    /// Pieces removed.
    pub removed: u64,
    /// Pieces that stay for now: they are being read, or couldn't be removed.
    pub left: u64,
}

/// Blobs that no row named, and since when that has been seen. Kept from pass to pass; lost with
/// the process, which only makes them wait longer.
#[derive(Debug, Default)]
pub struct Orphans(BTreeMap<BlobId, Monotonic>);

impl<E: Engine> Objects<E> {
    /// Collects garbage and orphans from time to time, and what deletions of buckets left. Never
    /// ends.
    pub async fn sweep(&self) {
        let environment = &self.config.environment;
        let mut orphans = Orphans::default();
        let mut next_orphans = environment.now().monotonic;
        loop {
            match self.collect_garbage().await {
                Ok(collected) if collected.removed > 0 => {
                    tracing::debug!(removed = collected.removed, "garbage was collected");
                }
                Ok(_) => {}
                Err(error) => tracing::warn!(%error, "garbage can't be collected"),
            }
            if let Err(error) = self.tend_buckets().await {
                tracing::warn!(%error, "deletions of buckets are left half done");
            }
            if environment.now().monotonic >= next_orphans {
                match self.collect_orphans(&mut orphans).await {
                    Ok(collected) if collected.removed > 0 => {
                        tracing::info!(removed = collected.removed, "orphans were collected");
                    }
                    Ok(_) => {}
                    Err(error) => tracing::warn!(%error, "orphans can't be collected"),
                }
                next_orphans = environment.now().monotonic + ORPHANS_EVERY;
            }
            let next = environment.now().monotonic + GARBAGE_EVERY;
            environment.sleep_until(next).await;
        }
    }

    /// Removes what was let go of a while ago.
    ///
    /// # Errors
    /// The rows can't be read, or their removal can't be committed.
    pub async fn collect_garbage(&self) -> Result<Collected, ObjectError> {
        let until = Timestamp(self.wall().0.saturating_sub(GARBAGE_GRACE_MILLIS));
        let mut collected = Collected::default();
        let mut range = KeyRange::prefix(&[kind::GARBAGE]);
        loop {
            let snapshot = self.engine.snapshot();
            let page = snapshot
                .scan(Space::Objects, range.clone(), Direction::Forward, PAGE)
                .await?;
            let mut batch = Batch::new();
            for entry in &page.entries {
                if since(&entry.key).is_none_or(|since| since > until) {
                    self.commit_removal(batch).await?;
                    return Ok(collected);
                }
                let removed = self.collect(&snapshot, entry, &mut batch).await?;
                collected.removed += removed.removed;
                collected.left += removed.left;
            }
            self.commit_removal(batch).await?;
            match next_range(&range, &page) {
                Some(next) => range = next,
                None => return Ok(collected),
            }
        }
    }

    /// Removes what one row lets go of.
    async fn collect(
        &self,
        snapshot: &E::Snapshot,
        entry: &Entry,
        batch: &mut Batch,
    ) -> Result<Collected, ObjectError> {
        match serde_json::from_slice(&entry.value) {
            Ok(Garbage::Extent { blob, inline }) => {
                let removed = self.remove_piece(blob, inline, batch).await;
                if removed {
                    batch.delete(Space::Objects, entry.key.clone());
                }
                Ok(Collected {
                    removed: u64::from(removed),
                    left: u64::from(!removed),
                })
            }
            Ok(Garbage::Parts { row }) => self.collect_parts(snapshot, entry, row).await,
            Err(error) => {
                tracing::error!(%error, "a row of garbage makes no sense and is left alone");
                Ok(Collected {
                    removed: 0,
                    left: 1,
                })
            }
        }
    }

    /// Removes the parts that a row lists, and the row, unless the version has come back since (by
    /// replication): its row lists other pieces then.
    async fn collect_parts(
        &self,
        snapshot: &E::Snapshot,
        entry: &Entry,
        row: Bytes,
    ) -> Result<Collected, ObjectError> {
        let mut batch = Batch::new();
        batch.delete(Space::Objects, entry.key.clone());
        let listed = snapshot.get(Space::Objects, &row).await?;
        let version = version_row(&row);
        let (Some(listed), Some(version)) = (listed, version) else {
            self.commit_removal(batch).await?;
            return Ok(Collected::default());
        };
        if snapshot.get(Space::Objects, &version).await?.is_some() {
            self.commit_removal(batch).await?;
            return Ok(Collected::default());
        }
        let Some(extents) = decode_extents(&listed) else {
            tracing::error!("a row of parts makes no sense and is left alone");
            return Ok(Collected {
                removed: 0,
                left: 1,
            });
        };
        let pieces = extents.len() as u64;
        let left = Collected {
            removed: 0,
            left: pieces,
        };
        let read = |extent: &Extent| self.contents.is_being_read(BlobId(extent.blob));
        if extents.iter().any(read) {
            return Ok(left);
        }
        for extent in &extents {
            let blob = BlobId(extent.blob);
            if !self.remove_piece(blob, extent.inline, &mut batch).await {
                return Ok(left);
            }
        }
        batch.require(Space::Objects, row.clone(), Some(listed));
        batch.require(Space::Objects, version, None);
        batch.delete(Space::Objects, row);
        self.commit_removal(batch).await?;
        Ok(Collected {
            removed: pieces,
            left: 0,
        })
    }

    /// Removes a blob, or has the batch remove its row. False: it stays for now.
    async fn remove_piece(&self, blob: BlobId, inline: bool, batch: &mut Batch) -> bool {
        if self.contents.is_being_read(blob) {
            return false;
        }
        if inline {
            batch.delete(Space::Content, content_key(blob.0));
        } else if let Err(error) = self.contents.blobs().remove(blob).await {
            tracing::warn!(%blob, %error, "a blob can't be removed");
            return false;
        }
        self.contents.forget_damage(blob);
        true
    }

    async fn commit_removal(&self, mut batch: Batch) -> Result<(), ObjectError> {
        if batch.is_empty() {
            return Ok(());
        }
        batch.frees = true;
        match self.engine.commit(batch).await {
            // What stood in between changed: the next time it is looked at anew.
            Ok(_) | Err(CommitError::Precondition(_)) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// Removes blobs that no row has named for a while, and remembers those that none names now.
    ///
    /// # Errors
    /// The blobs or the rows can't be read: nothing is removed on what wasn't read whole.
    pub async fn collect_orphans(&self, orphans: &mut Orphans) -> Result<Collected, ObjectError> {
        let mut collected = Collected::default();
        let mut found = BTreeMap::new();
        let mut after = None;
        loop {
            let listed = self.contents.blobs().list(after, SLICE).await?;
            let Some(last) = listed.last() else {
                break;
            };
            after = Some(*last);
            let now = self.config.environment.now().monotonic;
            for blob in self.unnamed(listed).await? {
                let first = *orphans.0.get(&blob).unwrap_or(&now);
                let removed = now >= first + ORPHAN_GRACE
                    && self.remove_piece(blob, false, &mut Batch::new()).await;
                if removed {
                    collected.removed += 1;
                } else {
                    collected.left += 1;
                    if found.len() < MOST_ORPHANS {
                        found.insert(blob, first);
                    }
                }
            }
        }
        orphans.0 = found;
        Ok(collected)
    }

    /// Which of those blobs, in order, no row names and nobody is writing. They were listed before
    /// the rows are read: what came since isn't among them.
    ///
    /// Each page is read from a state of its own, since a snapshot that lived for the whole walk
    /// would keep in memory and on disk all that was written meanwhile. So a blob can be missed
    /// whose row moves to where the walk has been: an upload's part, or staged bytes, that become a
    /// version's. That happens to a blob once; it is removed only if a second walk, at least
    /// `ORPHAN_GRACE` later, misses it as well.
    async fn unnamed(&self, mut blobs: Vec<BlobId>) -> Result<Vec<BlobId>, ObjectError> {
        blobs.retain(|blob| !self.contents.is_being_written(*blob));
        let mut named = vec![false; blobs.len()];
        let mut left = blobs.len();
        let mut range = KeyRange::all();
        while left > 0 {
            let page = self
                .engine
                .snapshot()
                .scan(Space::Objects, range.clone(), Direction::Forward, PAGE)
                .await?;
            for entry in &page.entries {
                for number in numbers_in(&entry.value) {
                    if let Ok(at) = blobs.binary_search(&number) {
                        left -= usize::from(!named[at]);
                        named[at] = true;
                    }
                }
            }
            match next_range(&range, &page) {
                Some(next) => range = next,
                None => break,
            }
            let environment = &self.config.environment;
            let next = environment.now().monotonic + PAUSE;
            environment.sleep_until(next).await;
        }
        let mut named = named.into_iter();
        blobs.retain(|_| !named.next().expect("one for each blob"));
        Ok(blobs)
    }
}

/// What follows a page in its range, if anything does.
pub(crate) fn next_range(range: &KeyRange, page: &Page) -> Option<KeyRange> {
    let last = page.entries.last().filter(|_| page.more)?;
    Some(KeyRange {
        start: Bound::Excluded(last.key.clone()),
        end: range.end.clone(),
    })
}

/// The row of the version whose parts that row lists.
pub(crate) fn version_row(row: &[u8]) -> Option<Bytes> {
    let (&kind::EXTENTS, rest) = row.split_first()? else {
        return None;
    };
    let bucket = BucketId(u64::from_be_bytes(*rest.first_chunk::<8>()?));
    let (key, stamp) = keys::split(row)?;
    Some(keys::version(
        bucket,
        &key,
        crate::Stamp::from_bytes(stamp)?,
    ))
}

/// Every string of 32 hexadecimal digits in JSON, as a number.
pub(crate) fn numbers_in(value: &[u8]) -> impl Iterator<Item = BlobId> {
    /// A number with its quotes.
    const QUOTED: usize = 34;
    let mut at = 0;
    std::iter::from_fn(move || {
        loop {
            let quote = value.get(at..)?.iter().position(|byte| *byte == b'"')?;
            at += quote;
            let quoted = value.get(at..at + QUOTED)?;
            at += 1;
            let digits = std::str::from_utf8(&quoted[1..QUOTED - 1]).ok();
            let number = digits.and_then(BlobId::from_hex);
            if let Some(number) = number.filter(|_| quoted[QUOTED - 1] == b'"') {
                return Some(number);
            }
        }
    })
}
