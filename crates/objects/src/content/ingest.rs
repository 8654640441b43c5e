//! Bytes that arrive: summed up, encrypted in blocks, and written as they come, at most a few
//! hundred KiB of them in memory. Nothing can be read of them before a row names them, and none
//! is named whose digests or length aren't what was promised.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::{Buf, BufMut, Bytes, BytesMut};
use md5::{Digest, Md5};
use serde::{Deserialize, Serialize};
use store::{Batch, Space};
use zeroize::Zeroizing;

use super::block::{BLOCK, DataKey, HEADER, OVERHEAD, block_offset};
use super::combine::hex;
use super::{Contents, CustomerKey, Damage, Hold, INLINE, RunningChecksum, key};
use crate::blob::{BlobId, BlobWriter};
use crate::{Checksum, ChecksumAlgorithm, ChecksumKind, Encryption, Extent, ObjectError};

/// How many stored bytes are gathered for one write.
const WRITE: usize = 4 * (BLOCK + OVERHEAD);

/// What is known of bytes before they come.
#[derive(Debug, Clone)]
pub struct IngestOptions {
    /// How many there will be, if that was said.
    pub length: Option<u64>,
    /// How many there may be.
    pub limit: u64,
    /// What they were promised to come to.
    pub expected: Expected,
    /// The customer's key to encrypt them with; none: with a key of the site.
    pub customer_key: Option<CustomerKey>,
}

/// What bytes were promised to come to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Expected {
    /// Their MD5 (`Content-MD5`).
    pub md5: Option<[u8; 16]>,
    /// Their checksums, as bytes.
    pub checksums: Vec<(ChecksumAlgorithm, Vec<u8>)>,
    /// The algorithm to sum them up by, be its value known beforehand, in a trailer, or not at
    /// all. None: that of the first of `checksums`, else CRC-64/NVME.
    pub computed: Option<ChecksumAlgorithm>,
    /// The algorithm of a checksum that will come in a trailer, if another one is kept.
    pub announced: Option<ChecksumAlgorithm>,
}

/// Bytes that are arriving. Dropped before [`Ingest::finish`], nothing of them stays.
pub struct Ingest {
    options: IngestOptions,
    key: DataKey,
    sealed_key: Bytes,
    encryption: Encryption,
    size: u64,
    md5: Md5,
    /// The first is the one that is kept.
    sums: Vec<RunningChecksum>,
    /// Bytes of the block that isn't full yet.
    partial: BytesMut,
    sink: Sink,
}

/// Where stored bytes go: gathered, then written.
pub(super) struct Sink {
    contents: Contents,
    pub(super) blob: BlobId,
    gathered: BytesMut,
    /// Blocks sealed, gathered or written.
    blocks: u64,
    writer: Option<Box<dyn BlobWriter>>,
    pub(super) hold: Hold,
}

/// Bytes that arrived whole and as promised, synced (or to be a row). Dropped before
/// [`Ingested::enter`], nothing of them stays.
pub struct Ingested {
    /// What they are.
    pub extent: Extent,
    /// Their MD5.
    pub md5: [u8; 16],
    /// How they are encrypted.
    pub encryption: Encryption,
    pub(super) inline: Option<Bytes>,
    pub(super) hold: Hold,
}

/// What is on disk of bytes that are still arriving: kept in a row, it lets a transfer go on after
/// a crash (and keeps the blob from the collection of orphans).
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Staged {
    /// The blob.
    pub blob: BlobId,
    /// How many bytes are on disk; the transfer goes on at that offset. Of [`Ingest`] a multiple
    /// of 64 KiB of the reader's bytes, of `RawIngest` of stored ones.
    pub length: u64,
    /// Its key, as an extent has it.
    #[serde(with = "crate::version::base64_bytes")]
    pub sealed_key: Bytes,
}

impl Ingest {
    /// Begins to take bytes.
    pub fn new(contents: &Contents, options: IngestOptions) -> Ingest {
        let blob = contents.draw_blob();
        let (key, sealed_key) = match &options.customer_key {
            None => {
                let bytes = Zeroizing::new(contents.draw::<32>());
                let sealed = contents.site_key().seal(blob, &bytes);
                (DataKey::new(&bytes), sealed)
            }
            Some(customer) => {
                let salt = key::salted(contents.draw());
                let key = customer.data_key(&salt);
                (key.expect("a salt that was just made is one"), salt)
            }
        };
        Ingest::with_key(options, key, sealed_key, Sink::new(contents, blob))
    }

    /// Goes on with bytes of which some are on disk, encrypted with a key of the site: reads those
    /// again, so that digests are of all.
    ///
    /// # Errors
    /// `Damaged` or `Internal` if what is on disk can't be gone on with: begin anew then.
    pub async fn resume(
        contents: &Contents,
        staged: &Staged,
        options: IngestOptions,
    ) -> Result<Ingest, ObjectError> {
        let blob = staged.blob;
        let damaged = |damage: Damage| ObjectError::Damaged(format!("blob {blob}: {damage}"));
        let key = contents.site_key().open(blob, &staged.sealed_key);
        let key = key.ok_or(damaged(Damage::Key))?;
        if !staged.length.is_multiple_of(BLOCK as u64) || options.customer_key.is_some() {
            return Err(damaged(Damage::Length));
        }
        let blocks = staged.length / BLOCK as u64;
        // Its row names it, so it isn't removed with what fails here.
        let mut sink = Sink::resumed(contents, blob, blocks);
        let blobs = contents.blobs();
        let header = blobs.read_unfinished(blob, 0, HEADER.len()).await?;
        if header[..] != HEADER {
            return Err(damaged(Damage::Header));
        }
        sink.writer = Some(blobs.resume(blob, block_offset(blocks)).await?);
        let sealed_key = staged.sealed_key.clone();
        let mut ingest = Ingest::with_key(options, key, sealed_key, sink);
        for number in 0..blocks {
            let read = blobs.read_unfinished(blob, block_offset(number), BLOCK + OVERHEAD);
            let mut stored = BytesMut::from(read.await?);
            let length = ingest.key.open(number, &mut stored).map_err(damaged)?;
            ingest.sum_up(&stored[..length]);
        }
        ingest.size = staged.length;
        Ok(ingest)
    }

    fn with_key(options: IngestOptions, key: DataKey, sealed_key: Bytes, sink: Sink) -> Ingest {
        let kept = options.expected.kept();
        let promised = options.expected.checksums.iter();
        let mut algorithms = vec![kept];
        algorithms.extend(promised.map(|(algorithm, _)| *algorithm));
        algorithms.extend(options.expected.announced);
        algorithms[1..].sort_unstable();
        algorithms.dedup();
        let encryption = match &options.customer_key {
            None => Encryption::Site,
            Some(customer) => customer.encryption(),
        };
        Ingest {
            key,
            sealed_key,
            encryption,
            size: 0,
            md5: Md5::new(),
            sums: algorithms.into_iter().map(RunningChecksum::new).collect(),
            partial: BytesMut::new(),
            sink,
            options,
        }
    }

    /// How many bytes have come.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Takes the next bytes. When it returns, there is room for more: a slow disk slows the sender.
    ///
    /// # Errors
    /// `EntityTooLarge`, `IncompleteBody` if there are more than was said, `Unavailable` on a full
    /// disk. Nothing more can be pushed then, and nothing finished.
    pub async fn push(&mut self, mut bytes: Bytes) -> Result<(), ObjectError> {
        self.size += bytes.len() as u64;
        let announced = self.options.length.unwrap_or(self.size);
        if self.size.max(announced) > self.options.limit {
            return Err(ObjectError::EntityTooLarge);
        }
        if self.size > announced {
            return Err(ObjectError::IncompleteBody);
        }
        while !bytes.is_empty() {
            if self.partial.is_empty() && bytes.len() > BLOCK {
                let block = bytes.split_to(BLOCK);
                self.sum_up(&block);
                self.sink.seal(&self.key, &block);
            } else {
                if self.partial.len() == BLOCK {
                    let block = std::mem::take(&mut self.partial);
                    self.sink.seal(&self.key, &block);
                    self.partial = block;
                    self.partial.clear();
                }
                let room = BLOCK - self.partial.len();
                let piece = bytes.split_to(room.min(bytes.len()));
                self.sum_up(&piece);
                self.partial.put_slice(&piece);
            }
            self.sink.write_if_much().await?;
        }
        Ok(())
    }

    /// Puts the whole blocks that have come on disk; what came since counts as not there. From then
    /// on the blob stays when this is dropped: whoever keeps the row removes it, or the collection
    /// of orphans does.
    ///
    /// # Errors
    /// As [`Ingest::push`].
    pub async fn stage(&mut self) -> Result<Staged, ObjectError> {
        self.sink.hold.give();
        self.sink.sync().await?;
        Ok(Staged {
            blob: self.sink.blob,
            length: self.sink.blocks * BLOCK as u64,
            sealed_key: self.sealed_key.clone(),
        })
    }

    /// Ends the bytes: checks them against what was promised, and against the checksums that came
    /// in trailers, and syncs them.
    ///
    /// # Errors
    /// `EntityTooLarge`, `IncompleteBody`, `BadDigest`, `BadChecksum`: nothing stays then. Those
    /// of writing.
    pub async fn finish(
        mut self,
        trailing: Vec<(ChecksumAlgorithm, Vec<u8>)>,
    ) -> Result<Ingested, ObjectError> {
        let announced = self.options.length.unwrap_or(self.size);
        if self.size.max(announced) > self.options.limit {
            return Err(ObjectError::EntityTooLarge);
        }
        if self.size != announced {
            return Err(ObjectError::IncompleteBody);
        }
        let md5: [u8; 16] = self.md5.finalize_reset().into();
        if self
            .options
            .expected
            .md5
            .is_some_and(|promised| promised != md5)
        {
            return Err(ObjectError::BadDigest);
        }
        let checksum = self.settle_checksums(&trailing)?;
        if !self.partial.is_empty() {
            self.sink.seal(&self.key, &self.partial);
        }
        let inline = self.sink.finish(self.size).await?;
        Ok(Ingested {
            extent: Extent {
                number: 1,
                size: self.size,
                etag: hex(&md5),
                checksum: Some(checksum),
                blob: self.sink.blob.0,
                inline: inline.is_some(),
                sealed_key: self.sealed_key,
            },
            md5,
            encryption: self.encryption,
            inline,
            hold: self.sink.hold,
        })
    }

    fn sum_up(&mut self, bytes: &[u8]) {
        self.md5.update(bytes);
        for sum in &mut self.sums {
            sum.update(bytes);
        }
    }

    /// Checks all promised checksums; the one to keep.
    fn settle_checksums(
        &mut self,
        trailing: &[(ChecksumAlgorithm, Vec<u8>)],
    ) -> Result<Checksum, ObjectError> {
        let values: Vec<(ChecksumAlgorithm, Vec<u8>)> = self
            .sums
            .drain(..)
            .map(|sum| (sum.algorithm(), sum.finish()))
            .collect();
        let promised = self.options.expected.checksums.iter().chain(trailing);
        for (algorithm, promised) in promised {
            let value = values.iter().find(|(computed, _)| computed == algorithm);
            // One that nobody announced wasn't computed, and so isn't believed.
            if value.is_none_or(|(_, value)| value != promised) {
                return Err(ObjectError::BadChecksum(algorithm.name()));
            }
        }
        let (algorithm, value) = values.first().expect("one is always computed");
        Ok(Checksum {
            algorithm: *algorithm,
            kind: ChecksumKind::FullObject,
            value: STANDARD.encode(value),
        })
    }
}

impl Expected {
    /// The algorithm whose checksum is kept.
    fn kept(&self) -> ChecksumAlgorithm {
        let first = || self.checksums.first().map(|(algorithm, _)| *algorithm);
        self.computed
            .or_else(first)
            .unwrap_or(ChecksumAlgorithm::Crc64nvme)
    }
}

impl Ingested {
    /// Names it in a batch that is about to be committed, with its bytes if they are few. From now
    /// on it isn't removed by itself: if the batch is refused, give it to [`Contents::take_back`].
    pub fn enter(mut self, batch: &mut Batch) -> Extent {
        self.hold.give();
        if let Some(inline) = self.inline.take() {
            batch.put(Space::Content, content_key(self.extent.blob), inline);
        }
        self.extent.clone()
    }

    /// The same as part `number` of an object.
    pub fn numbered(mut self, number: u32) -> Ingested {
        self.extent.number = number;
        self
    }
}

impl Contents {
    /// Removes what was to be named by a batch that was refused. Never after one that may have
    /// been committed.
    pub fn take_back(&self, extent: &Extent) {
        if !extent.inline {
            drop(self.blobs().remove(BlobId(extent.blob)));
        }
    }
}

/// The key of inline content in `Space::Content`.
pub(crate) fn content_key(blob: u128) -> Bytes {
    Bytes::copy_from_slice(&blob.to_be_bytes())
}

impl Sink {
    /// A sink of a blob that there is nothing of.
    pub(super) fn new(contents: &Contents, blob: BlobId) -> Sink {
        Sink {
            contents: contents.clone(),
            blob,
            gathered: BytesMut::from(&HEADER[..]),
            blocks: 0,
            writer: None,
            hold: Hold::new(contents, blob),
        }
    }

    /// A sink of a blob that is named by a row and has that many blocks.
    pub(super) fn resumed(contents: &Contents, blob: BlobId, blocks: u64) -> Sink {
        let mut hold = Hold::new(contents, blob);
        hold.give();
        Sink {
            contents: contents.clone(),
            blob,
            gathered: BytesMut::new(),
            blocks,
            writer: None,
            hold,
        }
    }

    /// The header comes with the bytes.
    pub(super) fn begin_empty(&mut self) {
        self.gathered.clear();
    }

    /// Goes on with a writer that stands where what was taken ends.
    pub(super) fn go_on_with(&mut self, writer: Box<dyn BlobWriter>) {
        self.writer = Some(writer);
    }

    fn seal(&mut self, key: &DataKey, block: &[u8]) {
        self.gathered.reserve(block.len() + OVERHEAD);
        key.seal(self.blocks, block, &mut self.gathered);
        self.blocks += 1;
    }

    /// Takes stored bytes as they are.
    pub(super) fn put_stored(&mut self, bytes: &[u8]) {
        self.gathered.extend_from_slice(bytes);
    }

    /// Writes what has gathered, if it is enough for a write.
    pub(super) async fn write_if_much(&mut self) -> Result<(), ObjectError> {
        if self.gathered.len() >= WRITE {
            self.write().await?;
            self.gathered.reserve(WRITE + BLOCK + OVERHEAD);
        }
        Ok(())
    }

    async fn write(&mut self) -> Result<(), ObjectError> {
        let gathered = self.gathered.split().freeze();
        if self.writer.is_none() {
            self.hold.made();
            self.writer = Some(self.contents.blobs().create(self.blob).await?);
        }
        let writer = self.writer.as_mut().expect("it was just made");
        if gathered.has_remaining() {
            writer.write(gathered).await?;
        }
        Ok(())
    }

    /// Puts all that was taken on disk.
    pub(super) async fn sync(&mut self) -> Result<(), ObjectError> {
        self.write().await?;
        let writer = self.writer.as_mut().expect("a write makes one");
        Ok(writer.sync().await?)
    }

    /// Ends content of that size: the bytes, if they are to be a row; else they are synced.
    pub(super) async fn finish(&mut self, size: u64) -> Result<Option<Bytes>, ObjectError> {
        if self.writer.is_none() && size <= INLINE {
            return Ok(Some(self.gathered.split().freeze()));
        }
        self.write().await?;
        let writer = self.writer.take().expect("a write makes one");
        writer.finish().await?;
        Ok(None)
    }
}
