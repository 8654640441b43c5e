//! The content of a version arrives in parts and pieces: verified as its source promised, put on
//! disk as it comes, and gone on with where it was after a cut or a crash.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use store::{Batch, Direction, Engine, KeyRange, Snapshot, Space};
use types::SiteId;

use super::message::Offer;
use super::receive::{Refusal, Taken, Taking, malformed, place};
use super::task::{StagedBytes, StagedPart, decode_staged, staged, staged_row};
use super::transfer::{Arriving, ArrivingBytes, Progress};
use crate::blob::BlobId;
use crate::content::{
    Contents, Expected, Ingest, IngestOptions, Ingested, RawIngest, Staged, discard_extent,
};
use crate::{ChecksumKind, Encryption, Extent, ObjectError, Objects, keys, row};

/// Bytes that may have to be sent again after a crash of the receiver, of each transfer.
const STAGE_EVERY: u64 = 16 << 20;

/// Rows of parts that are read at a time.
const PAGE: usize = 1_000;

/// Begins to take a piece.
pub(super) fn begin(contents: &Contents, encryption: &Encryption, told: &Extent) -> Arriving {
    let bytes = match encryption {
        Encryption::Site => {
            let ingest = Ingest::new(contents, promised(told));
            ArrivingBytes::Plain(Box::new(ingest))
        }
        Encryption::Customer { .. } => {
            let ingest = RawIngest::new(contents, told, encryption.clone());
            ArrivingBytes::Stored(Box::new(ingest))
        }
    };
    Arriving {
        told: told.clone(),
        bytes,
        staged: 0,
    }
}

/// Goes on with a piece of which some is on disk; anew, if that can't be.
async fn go_on(
    contents: &Contents,
    encryption: &Encryption,
    told: &Extent,
    begun: &Staged,
) -> Arriving {
    let resumed = match encryption {
        Encryption::Site => Ingest::resume(contents, begun, promised(told))
            .await
            .map(|ingest| ArrivingBytes::Plain(Box::new(ingest))),
        Encryption::Customer { .. } => {
            let resumed = RawIngest::resume(contents, begun, told, encryption.clone());
            resumed
                .await
                .map(|ingest| ArrivingBytes::Stored(Box::new(ingest)))
        }
    };
    match resumed {
        Ok(bytes) => Arriving {
            told: told.clone(),
            bytes,
            staged: begun.length,
        },
        Err(error) => {
            tracing::warn!(%error, "a transfer begins anew");
            begin(contents, encryption, told)
        }
    }
}

/// What a source promises of a piece: its length, and its digests where they are of its bytes.
fn promised(told: &Extent) -> IngestOptions {
    let checksum = told.checksum.as_ref();
    let checksum = checksum.filter(|checksum| checksum.kind == ChecksumKind::FullObject);
    let promised = checksum.and_then(|checksum| {
        let value = STANDARD.decode(&checksum.value).ok()?;
        Some((checksum.algorithm, value))
    });
    IngestOptions {
        length: Some(told.size),
        limit: told.size,
        expected: Expected {
            md5: md5_of(&told.etag),
            checksums: promised.into_iter().collect(),
            computed: None,
            announced: None,
        },
        customer_key: None,
    }
}

/// The MD5 that an entity tag is.
fn md5_of(etag: &str) -> Option<[u8; 16]> {
    let etag: &[u8; 32] = etag.as_bytes().try_into().ok()?;
    let mut md5 = [0; 16];
    for (byte, digits) in md5.iter_mut().zip(etag.chunks_exact(2)) {
        let digits = std::str::from_utf8(digits).ok()?;
        *byte = u8::from_str_radix(digits, 16).ok()?;
    }
    Some(md5)
}

impl Arriving {
    /// Ends the piece: what was promised is checked, and its source's facts are kept.
    pub(super) async fn finish(self) -> Result<Ingested, ObjectError> {
        let mut ingested = match self.bytes {
            ArrivingBytes::Plain(ingest) => ingest.finish(Vec::new()).await?,
            ArrivingBytes::Stored(ingest) => ingest.finish().await?,
        };
        ingested.extent = Extent {
            number: self.told.number,
            etag: self.told.etag,
            checksum: self.told.checksum,
            ..ingested.extent
        };
        Ok(ingested)
    }
}

impl<E: Engine> Objects<E> {
    /// Begins a transfer, or goes on with what is on disk of it.
    pub(super) async fn begin(
        &self,
        from: SiteId,
        taking: Taking,
        offer: Offer,
    ) -> Result<Taken, Refusal> {
        let mut progress = Progress {
            bucket: taking.bucket,
            key: taking.key,
            version: taking.version,
            offer,
            parts: Vec::new(),
            arriving: None,
            begun: None,
            asked: None,
        };
        let stamp = progress.version.stamp;
        let rows = self.staged_parts(from, progress.offer.task).await?;
        let ours = rows.iter().all(|part| part.stamp == stamp);
        if !ours {
            // What was received under that number is of another version: its task is long over.
            self.discard_staged(from, progress.offer.task).await?;
        }
        for part in rows.into_iter().filter(|_| ours) {
            match part.bytes {
                StagedBytes::Whole(extent) => progress.parts.push(extent),
                StagedBytes::Begun(begun) => progress.begun = Some(begun),
            }
        }
        match progress.is_whole() {
            true => self.conclude(from, Box::new(progress), None).await,
            false => Ok(Taken::Wants(Box::new(progress))),
        }
    }

    /// The facts of the part that follows.
    pub(super) async fn take_part(
        &self,
        from: SiteId,
        progress: Option<Box<Progress>>,
        index: u32,
        facts: &Bytes,
    ) -> Result<Taken, Refusal> {
        // Of a transfer that isn't known nothing can be made; its source will offer it again.
        let Some(mut progress) = progress else {
            return Ok(Taken::Forgotten);
        };
        if index != progress.parts.len() as u32 || progress.is_whole() {
            return Ok(Taken::On(progress));
        }
        let told: Extent = serde_json::from_slice(facts).map_err(|_| malformed("a part"))?;
        let same = progress
            .arriving
            .as_ref()
            .is_some_and(|arriving| arriving.told == told);
        if !same {
            let Some(encryption) = progress.version.object().map(|object| &object.encryption)
            else {
                return Err(malformed("a part of what has none"));
            };
            let arriving = match &progress.begun {
                Some(begun) => go_on(&self.contents, encryption, &told, begun).await,
                None => begin(&self.contents, encryption, &told),
            };
            let wanted = progress.wanted();
            progress.begun = None;
            progress.arriving = Some(arriving);
            if progress.wanted() != wanted {
                return Ok(Taken::Wants(progress));
            }
        }
        self.end_part(from, progress).await
    }

    /// Bytes of the part that is coming.
    pub(super) async fn take_content(
        &self,
        from: SiteId,
        progress: Option<Box<Progress>>,
        index: u32,
        offset: u64,
        bytes: Bytes,
    ) -> Result<Taken, Refusal> {
        let Some(mut progress) = progress else {
            return Ok(Taken::Forgotten);
        };
        let wanted = progress.wanted();
        if (index, offset) != wanted || progress.arriving.is_none() {
            // Something is missing: it is asked for once. What is here already is let go.
            let missing = (index, offset) > wanted || progress.arriving.is_none();
            return match missing && progress.asked != Some(wanted) {
                true => Ok(Taken::Wants(progress)),
                false => Ok(Taken::On(progress)),
            };
        }
        progress.asked = None;
        let Some(arriving) = progress.arriving.as_mut() else {
            return Ok(Taken::On(progress));
        };
        arriving.push(bytes).await?;
        if !arriving.is_whole() && arriving.length() - arriving.staged >= STAGE_EVERY {
            let begun = arriving.stage().await?;
            let part = self.staged(&progress, StagedBytes::Begun(begun));
            let mut batch = Batch::new();
            let key = staged_row(from, progress.offer.task, index);
            batch.put(Space::Objects, key, row::encode(&part));
            self.engine.commit(batch).await.map_err(ObjectError::from)?;
        }
        self.end_part(from, progress).await
    }

    /// Ends the part if all of it has come, and the transfer if it was the last.
    async fn end_part(&self, from: SiteId, mut progress: Box<Progress>) -> Result<Taken, Refusal> {
        let whole = progress.arriving.as_ref().is_some_and(Arriving::is_whole);
        let Some(arriving) = progress.arriving.take_if(|_| whole) else {
            return Ok(Taken::On(progress));
        };
        let task = progress.offer.task;
        let index = progress.parts.len() as u32;
        let ingested = arriving.finish().await?;
        let mut batch = Batch::new();
        let extent = ingested.enter(&mut batch);
        progress.parts.push(extent.clone());
        if progress.is_whole() {
            return self.conclude(from, progress, Some((extent, batch))).await;
        }
        let part = self.staged(&progress, StagedBytes::Whole(extent));
        batch.put(
            Space::Objects,
            staged_row(from, task, index),
            row::encode(&part),
        );
        self.engine.commit(batch).await.map_err(ObjectError::from)?;
        Ok(Taken::On(progress))
    }

    /// All parts are here: the version comes to be, and their rows go, in one batch with the bytes
    /// of the `last` part if it was just entered. Where that can't be now, the last part is put
    /// beside the others, so that it needn't be sent again.
    async fn conclude(
        &self,
        from: SiteId,
        progress: Box<Progress>,
        last: Option<(Extent, Batch)>,
    ) -> Result<Taken, Refusal> {
        let entered = last.as_ref().map(|(_, entered)| entered.clone());
        let mut batch = entered.unwrap_or_default();
        for index in 0..progress.offer.parts {
            batch.delete(Space::Objects, staged_row(from, progress.offer.task, index));
        }
        let mut version = progress.version.clone();
        let mut parts = progress.parts.clone();
        if super::offer::only_extent(&version).is_some() {
            let only = parts.pop().ok_or_else(|| malformed("its parts"))?;
            place(&mut version, only);
            parts.clear();
        }
        let taking = Taking {
            bucket: progress.bucket.clone(),
            key: progress.key.clone(),
            version,
        };
        match (
            self.import(taking, &progress.offer, batch, parts).await,
            last,
        ) {
            (Err(Refusal::Trouble(error)), Some((extent, entered))) => {
                if let Err(error) = self.keep_last(from, progress, extent, entered).await {
                    tracing::warn!(%error, "the last part of a transfer isn't kept");
                }
                Err(Refusal::Trouble(error))
            }
            (taken, _) => taken,
        }
    }

    /// Puts the last part beside the others, unless the version is here after all: then the part
    /// is its.
    async fn keep_last(
        &self,
        from: SiteId,
        progress: Box<Progress>,
        extent: Extent,
        mut batch: Batch,
    ) -> Result<(), ObjectError> {
        let stamp = progress.version.stamp;
        let row = keys::version(progress.bucket.entry.id, &progress.key, stamp);
        batch.require(Space::Objects, row, None);
        // A row of some hundred bytes saves a blob: so it passes also while the disk is nearly
        // full, as it may be just then.
        batch.frees = !extent.inline;
        let index = progress.parts.len() as u32 - 1;
        let part = self.staged(&progress, StagedBytes::Whole(extent));
        let row = staged_row(from, progress.offer.task, index);
        batch.put(Space::Objects, row, row::encode(&part));
        self.engine.commit(batch).await?;
        Ok(())
    }

    fn staged(&self, progress: &Progress, bytes: StagedBytes) -> StagedPart {
        StagedPart {
            stamp: progress.version.stamp,
            since: self.wall(),
            bytes,
        }
    }

    /// What is on disk of a task, in the order of its parts.
    async fn staged_parts(&self, from: SiteId, task: u64) -> Result<Vec<StagedPart>, ObjectError> {
        let mut parts = Vec::new();
        let mut range = KeyRange::prefix(&staged(from, task));
        let snapshot = self.engine.snapshot();
        loop {
            let forward = Direction::Forward;
            let page = snapshot.scan(Space::Objects, range.clone(), forward, PAGE);
            let page = page.await?;
            for entry in &page.entries {
                parts.push(decode_staged(&entry.value)?);
            }
            match page.entries.last() {
                Some(last) if page.more => {
                    range.start = std::ops::Bound::Excluded(last.key.clone());
                }
                _ => return Ok(parts),
            }
        }
    }

    /// Lets go of what is on disk of a task.
    pub(super) async fn discard_staged(&self, from: SiteId, task: u64) -> Result<(), ObjectError> {
        let now = self.wall();
        let mut batch = Batch::new();
        for (index, part) in (0..).zip(self.staged_parts(from, task).await?) {
            batch.delete(Space::Objects, staged_row(from, task, index));
            match part.bytes {
                StagedBytes::Whole(extent) => discard_extent(&mut batch, now, &extent),
                // No row names it any more: it is an orphan.
                StagedBytes::Begun(Staged {
                    blob: BlobId(_), ..
                }) => {}
            }
        }
        if !batch.is_empty() {
            self.engine.commit(batch).await?;
        }
        Ok(())
    }
}
