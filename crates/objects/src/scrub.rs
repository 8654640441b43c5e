//! Looks after bytes that nobody reads: goes through every version's pieces, and those of uploads
//! and transfers under way, checks each block as far as it can, and replaces what is damaged
//! by what a replica has. It never serves a byte, and never removes the only copy of one.

mod pieces;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;

use bytes::Bytes;
use futures_util::future::join;
use serde::Serialize;
use store::{Batch, CommitError, Direction, Engine, KeyRange, Snapshot, Space};
use types::{ByteSize, Environment, Span};

use crate::blob::BlobId;
use crate::content::{
    Flaw, Ingested, Reading, check_piece, decode_extents, discard_extent, encode_extents,
    next_range, numbers_in, version_row,
};
use crate::keys::{self, kind};
use crate::{
    BucketId, Content, Encryption, Extent, ObjectError, ObjectKey, ObjectVersion, Objects, Stamp,
    State,
};
use pieces::{content_row, pieces_of};

/// How many bytes a second are checked: a disk of 1 TB in a day and a half, and little of what a
/// disk can do.
const PACE: ByteSize = ByteSize::mib(8);

/// What a piece counts as at least, in bytes: small ones cost the processor what they spare the
/// disk, and so no more than 256 of them are checked a second.
const LEAST_PACED: u64 = 32 << 10;

/// How long it rests between two passes.
const REST: Span = Span::seconds(6 * 3_600);

/// How long it rests after a pass that was cut short.
const UNCHECKED_REST: Span = Span::seconds(600);

/// How long damage that readers find is gathered before it is looked after.
const GATHERING: Span = Span::seconds(5);

/// How many versions are read at once.
const PAGE: usize = 64;

/// How many damaged pieces a report names; further ones are counted.
const MOST_NAMED: usize = 1_000;

/// A piece of a version whose bytes aren't what was written.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct DamagedPiece {
    /// The bucket.
    pub bucket: BucketId,
    /// The key.
    pub key: ObjectKey,
    /// The version.
    pub stamp: Stamp,
    /// The part's number; 1 of a whole object.
    pub number: u32,
    /// The blob, also if it is a row.
    pub blob: BlobId,
    /// What is wrong.
    pub detail: String,
}

/// Bytes on their way from where they are whole; none: from nowhere.
pub type Repairing<'a> =
    Pin<Box<dyn Future<Output = Result<Option<Ingested>, ObjectError>> + Send + 'a>>;

/// Gets whole bytes for damaged ones: from a Region that has a replica.
pub trait Repair: Send + Sync {
    /// The bytes of that piece, taken in anew.
    fn repair<'a>(&'a self, piece: &'a DamagedPiece) -> Repairing<'a>;
}

/// Repairs nothing.
pub struct NoRepair;

impl Repair for NoRepair {
    fn repair<'a>(&'a self, _: &'a DamagedPiece) -> Repairing<'a> {
        Box::pin(std::future::ready(Ok(None)))
    }
}

/// What a pass came to.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize)]
pub struct Scrubbed {
    /// Versions looked at, delete markers not counted.
    pub versions: u64,
    /// Pieces checked.
    pub pieces: u64,
    /// Their bytes as they are stored.
    pub bytes: ByteSize,
    /// Pieces that were damaged and are whole again.
    pub repaired: u64,
    /// How many pieces are damaged.
    pub damaged: u64,
    /// The first of them.
    pub named: Vec<DamagedPiece>,
}

impl Scrubbed {
    fn name(&mut self, piece: DamagedPiece) {
        self.damaged += 1;
        if self.named.len() < MOST_NAMED {
            self.named.push(piece);
        }
    }
}

impl<E: Engine> Objects<E> {
    /// Stored bytes that were found not to be what was written, and what is wrong with them, since
    /// the start; those that are gone since, or whole again, aren't among them.
    pub fn damaged_blobs(&self) -> BTreeMap<BlobId, String> {
        self.contents.damaged()
    }

    /// Checks all bytes again and again, slowly, and what readers found damaged at once. Never
    /// ends.
    pub async fn scrub(&self, repair: &dyn Repair) {
        join(self.scrub_slowly(repair), self.repair_found(repair)).await;
    }

    async fn repair_found(&self, repair: &dyn Repair) {
        let environment = &self.config.environment;
        loop {
            let found = self.contents.damage_found();
            if let Err(error) = self.scrub_damaged(repair).await {
                tracing::warn!(%error, "damaged bytes can't be looked after");
            }
            found.await;
            // Damage comes in company: what is found next waits for it.
            let next = environment.now().monotonic + GATHERING;
            environment.sleep_until(next).await;
        }
    }

    /// Looks after the versions whose pieces were found damaged so far.
    ///
    /// # Errors
    /// The rows can't be read.
    pub async fn scrub_damaged(&self, repair: &dyn Repair) -> Result<Scrubbed, ObjectError> {
        let mut scrubbed = Scrubbed::default();
        let damaged = self.contents.damaged();
        if damaged.is_empty() {
            return Ok(scrubbed);
        }
        for kind in [kind::VERSION, kind::EXTENTS] {
            let mut range = KeyRange::prefix(&[kind]);
            loop {
                let page = self
                    .engine
                    .snapshot()
                    .scan(Space::Objects, range.clone(), Direction::Forward, PAGE)
                    .await?;
                for entry in &page.entries {
                    let mut named = numbers_in(&entry.value);
                    if !named.any(|blob| damaged.contains_key(&blob)) {
                        continue;
                    }
                    let row = match kind {
                        kind::VERSION => Some(entry.key.clone()),
                        _ => version_row(&entry.key),
                    };
                    if let Some(row) = row {
                        self.scrub_row(&row, None, repair, &mut scrubbed).await?;
                    }
                }
                match next_range(&range, &page) {
                    Some(next) => range = next,
                    None => break,
                }
            }
        }
        Ok(scrubbed)
    }

    async fn scrub_slowly(&self, repair: &dyn Repair) {
        let environment = &self.config.environment;
        loop {
            let mut rest = REST;
            match self.scrub_once(Some(PACE), repair).await {
                Ok(scrubbed) if scrubbed.damaged > 0 => {
                    let (damaged, pieces) = (scrubbed.damaged, scrubbed.pieces);
                    tracing::error!(damaged, pieces, "stored bytes are damaged");
                }
                Ok(scrubbed) => {
                    let (repaired, pieces) = (scrubbed.repaired, scrubbed.pieces);
                    tracing::info!(repaired, pieces, "all stored bytes are whole");
                }
                Err(error) => {
                    tracing::warn!(%error, "stored bytes can't be checked");
                    rest = UNCHECKED_REST;
                }
            }
            let next = environment.now().monotonic + rest;
            environment.sleep_until(next).await;
        }
    }

    /// Checks all bytes once, at most `pace` of them a second.
    ///
    /// # Errors
    /// The rows can't be read, or the bytes' own store doesn't answer. What is damaged is no error.
    pub async fn scrub_once(
        &self,
        pace: Option<ByteSize>,
        repair: &dyn Repair,
    ) -> Result<Scrubbed, ObjectError> {
        let mut scrubbed = Scrubbed::default();
        for kind in [kind::VERSION, kind::PART, kind::STAGED] {
            let mut range = KeyRange::prefix(&[kind]);
            loop {
                let page = self
                    .engine
                    .snapshot()
                    .scan(Space::Objects, range.clone(), Direction::Forward, PAGE)
                    .await?;
                for entry in &page.entries {
                    self.scrub_row(&entry.key, pace, repair, &mut scrubbed)
                        .await?;
                }
                match next_range(&range, &page) {
                    Some(next) => range = next,
                    None => break,
                }
            }
        }
        Ok(scrubbed)
    }

    async fn scrub_row(
        &self,
        row: &[u8],
        pace: Option<ByteSize>,
        repair: &dyn Repair,
        scrubbed: &mut Scrubbed,
    ) -> Result<(), ObjectError> {
        // As it is now: what its page said may be long ago.
        let Some(found) = pieces_of(&self.engine.snapshot(), row).await? else {
            return Ok(());
        };
        scrubbed.versions += u64::from(found.is_version);
        let extents = match found.extents {
            Ok(extents) => extents,
            Err(piece) => {
                scrubbed.name(piece);
                return Ok(());
            }
        };
        for extent in extents {
            let blob = BlobId(extent.blob);
            let reading = Reading::new(&self.contents, vec![blob]);
            // A snapshot of its own: a large version takes hours, and one that is held keeps all
            // that is overwritten meanwhile.
            let content = content_row(&self.engine.snapshot(), &extent).await?;
            let environment = pace.map(|pace| (&*self.config.environment, pace));
            let checked = check_piece(&self.contents, &extent, content, |bytes| {
                paced(environment, bytes)
            });
            let checked = checked.await;
            drop(reading);
            scrubbed.pieces += 1;
            let detail = match checked {
                Ok(bytes) => {
                    scrubbed.bytes += ByteSize(bytes);
                    self.contents.forget_damage(blob);
                    continue;
                }
                Err(Flaw::Damaged(detail)) => detail,
                Err(Flaw::Unavailable(cause)) => return Err(cause.into()),
            };
            let piece = found.place.piece(&extent, detail);
            // It may have been removed meanwhile, and is missing rightly.
            if !self.still_has(row, blob).await? {
                continue;
            }
            self.contents.note_damage(blob, &piece.detail);
            match found.is_version && self.repair(repair, &piece).await {
                true => scrubbed.repaired += 1,
                false => scrubbed.name(piece),
            }
        }
        Ok(())
    }

    async fn still_has(&self, row: &[u8], blob: BlobId) -> Result<bool, ObjectError> {
        let found = pieces_of(&self.engine.snapshot(), row).await?;
        let extents = found.and_then(|found| found.extents.ok());
        let mut extents = extents.into_iter().flatten();
        Ok(extents.any(|extent| extent.blob == blob.0))
    }

    /// Gets whole bytes for a piece. False: it stays damaged.
    async fn repair(&self, repair: &dyn Repair, piece: &DamagedPiece) -> bool {
        let replaced = match repair.repair(piece).await {
            Ok(Some(whole)) => self.replace_piece(piece, whole).await,
            Ok(None) => Ok(false),
            Err(error) => Err(error),
        };
        match replaced {
            Ok(replaced) => replaced,
            Err(error) => {
                tracing::warn!(blob = %piece.blob, %error, "damaged bytes can't be replaced");
                false
            }
        }
    }

    /// Puts whole bytes in the place of a damaged piece: the version stays as it is. False: it has
    /// no such piece any more. Poll it to its end.
    ///
    /// # Errors
    /// `Damaged` if they aren't the bytes that the piece had (by size, MD5, checksum and how they
    /// are encrypted); those of the commit.
    pub async fn replace_piece(
        &self,
        piece: &DamagedPiece,
        whole: Ingested,
    ) -> Result<bool, ObjectError> {
        let (bucket, key, stamp) = (piece.bucket, &piece.key, piece.stamp);
        let _alone = self.locks.lock(&Self::lock_key(bucket, key)).await;
        let snapshot = self.engine.snapshot();
        let mut batch = Batch::new();
        let version_row = keys::version(bucket, key, stamp);
        let Some(bytes) = snapshot.get(Space::Objects, &version_row).await? else {
            return Ok(false);
        };
        let mut version = ObjectVersion::decode(&bytes)?;
        let State::Object(data) = &mut version.state else {
            return Ok(false);
        };
        batch.require(Space::Objects, version_row.clone(), Some(bytes));
        let encryption = whole.encryption.clone();
        let whole = whole.numbered(piece.number).enter(&mut batch);
        let replaced = match &mut data.content {
            Content::Whole(extent) if extent.blob == piece.blob.0 => {
                let old = std::mem::replace(extent, whole.clone());
                batch.put(Space::Objects, version_row, version.encode());
                let current = keys::of_key(kind::CURRENT, bucket, key).freeze();
                replace_current(&snapshot, &mut batch, current, stamp, &whole).await?;
                Some((old, encryption_of(&version)))
            }
            Content::Whole(_) => None,
            Content::Parts(_) => {
                let row = keys::of_version(kind::EXTENTS, bucket, key, stamp);
                let old = replace_part(&snapshot, &mut batch, row, piece.blob, &whole).await?;
                old.map(|old| (old, encryption_of(&version)))
            }
        };
        let Some((old, kept)) = replaced else {
            self.contents.take_back(&whole);
            return Ok(false);
        };
        if kept.as_ref() != Some(&encryption) || !same_bytes(&old, &whole) {
            self.contents.take_back(&whole);
            return Err(ObjectError::Damaged(format!(
                "what was got for blob {} isn't what it was",
                piece.blob
            )));
        }
        discard_extent(&mut batch, self.wall(), &old);
        match self.engine.commit(batch).await {
            Ok(_) => {
                self.contents.forget_damage(piece.blob);
                Ok(true)
            }
            Err(error @ CommitError::Failed(_)) => Err(error.into()),
            Err(error) => {
                self.contents.take_back(&whole);
                match error {
                    CommitError::Precondition(_) => Ok(false),
                    error => Err(error.into()),
                }
            }
        }
    }
}

fn encryption_of(version: &ObjectVersion) -> Option<Encryption> {
    version.object().map(|data| data.encryption.clone())
}

/// Are these the same bytes, by all that is known of them?
fn same_bytes(old: &Extent, new: &Extent) -> bool {
    let facts = |extent: &Extent| (extent.size, extent.etag.clone());
    let comparable = match (&old.checksum, &new.checksum) {
        (Some(old), Some(new)) if old.algorithm == new.algorithm => old == new,
        _ => true,
    };
    facts(old) == facts(new) && comparable
}

/// The current version's row has the piece too, if it is of this version.
async fn replace_current<S: Snapshot>(
    snapshot: &S,
    batch: &mut Batch,
    row: Bytes,
    stamp: Stamp,
    whole: &Extent,
) -> Result<(), ObjectError> {
    let bytes = snapshot.get(Space::Objects, &row).await?;
    batch.require(Space::Objects, row.clone(), bytes.clone());
    let Some(bytes) = bytes else {
        return Ok(());
    };
    let mut current = ObjectVersion::decode(&bytes)?;
    if let (true, State::Object(data)) = (current.stamp == stamp, &mut current.state) {
        data.content = Content::Whole(whole.clone());
        batch.put(Space::Objects, row, current.encode());
    }
    Ok(())
}

async fn replace_part<S: Snapshot>(
    snapshot: &S,
    batch: &mut Batch,
    row: Bytes,
    blob: BlobId,
    whole: &Extent,
) -> Result<Option<Extent>, ObjectError> {
    let Some(bytes) = snapshot.get(Space::Objects, &row).await? else {
        return Ok(None);
    };
    let mut extents = decode_extents(&bytes).unwrap_or_default();
    let Some(extent) = extents.iter_mut().find(|extent| extent.blob == blob.0) else {
        return Ok(None);
    };
    let old = std::mem::replace(extent, whole.clone());
    batch.require(Space::Objects, row.clone(), Some(bytes));
    batch.put(Space::Objects, row, encode_extents(&extents));
    Ok(Some(old))
}

/// Waits as long as that many bytes take at the pace.
async fn paced(pace: Option<(&dyn Environment, ByteSize)>, bytes: u64) {
    if let Some((environment, pace)) = pace {
        let bytes = bytes.max(LEAST_PACED);
        let micros = bytes.saturating_mul(1_000_000) / pace.0.max(1);
        let until = environment.now().monotonic + Span(micros);
        environment.sleep_until(until).await;
    }
}
