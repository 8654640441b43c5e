//! Stored bytes as they are, for the copies of what a customer's key encrypts: a Region that hasn't
//! the key sends the ciphertext, and another keeps it. Damage is found by the blocks' checksums on
//! both ends; what the bytes come to can't be, without the key, and is believed of the sender.

use std::collections::VecDeque;

use bytes::Bytes;

use super::block::{
    BLOCK, HEADER, OVERHEAD, block_offset, block_size, blocks_of, check_block, stored_length,
};
use super::combine::from_hex;
use super::ingest::Sink;
use super::{Checker, Contents, Damage, Ingested, Reading, Staged};
use crate::blob::{BlobError, BlobFuture, BlobId};
use crate::{Encryption, Extent, ObjectError};

/// How many blocks are read at once.
const STEP: u64 = 4;

/// Stored bytes that are arriving. Dropped before [`RawIngest::finish`], nothing of them stays.
pub struct RawIngest {
    extent: Extent,
    encryption: Encryption,
    checker: Checker,
    /// How many stored bytes have come.
    length: u64,
    sink: Sink,
}

impl RawIngest {
    /// Begins to take the stored bytes of an extent, as it was told by who has it: size, tag,
    /// checksum and salt are kept, the blob is a new one.
    pub fn new(contents: &Contents, told: &Extent, encryption: Encryption) -> RawIngest {
        let blob = contents.draw_blob();
        let mut sink = Sink::new(contents, blob);
        sink.begin_empty();
        RawIngest::over(sink, told, encryption)
    }

    /// Goes on with stored bytes of which some are on disk: reads those again.
    ///
    /// # Errors
    /// `Damaged` or `Internal` if what is on disk can't be gone on with: begin anew then.
    pub async fn resume(
        contents: &Contents,
        staged: &Staged,
        told: &Extent,
        encryption: Encryption,
    ) -> Result<RawIngest, ObjectError> {
        let sink = Sink::resumed(contents, staged.blob, 0);
        let mut ingest = RawIngest::over(sink, told, encryption);
        let blobs = contents.blobs();
        let mut at = 0;
        while at < staged.length {
            let length = (staged.length - at).min(STEP * (BLOCK + OVERHEAD) as u64);
            let read = blobs.read_unfinished(staged.blob, at, length as usize);
            let stored = read.await?;
            let whole = stored.len() as u64 == length;
            let checked = match whole {
                true => ingest.checker.push(&stored),
                false => Err(Damage::Length),
            };
            checked.map_err(|damage| damaged(staged.blob, damage))?;
            at += length;
        }
        ingest.length = staged.length;
        let writer = blobs.resume(staged.blob, staged.length).await?;
        ingest.sink.go_on_with(writer);
        Ok(ingest)
    }

    fn over(sink: Sink, told: &Extent, encryption: Encryption) -> RawIngest {
        let extent = Extent {
            blob: sink.blob.0,
            inline: false,
            ..told.clone()
        };
        RawIngest {
            checker: Checker::new(extent.size),
            extent,
            encryption,
            length: 0,
            sink,
        }
    }

    /// How many stored bytes have come, of how many.
    pub fn progress(&self) -> (u64, u64) {
        (self.length, stored_length(self.extent.size))
    }

    /// Takes the next stored bytes.
    ///
    /// # Errors
    /// `Damaged` if they don't match their checksums or are too many; those of writing.
    pub async fn push(&mut self, bytes: Bytes) -> Result<(), ObjectError> {
        let checked = self.checker.push(&bytes);
        checked.map_err(|damage| damaged(self.sink.blob, damage))?;
        self.length += bytes.len() as u64;
        self.sink.put_stored(&bytes);
        self.sink.write_if_much().await
    }

    /// Puts what has come on disk; as [`super::Ingest::stage`].
    ///
    /// # Errors
    /// Those of writing.
    pub async fn stage(&mut self) -> Result<Staged, ObjectError> {
        self.sink.hold.give();
        self.sink.sync().await?;
        Ok(Staged {
            blob: self.sink.blob,
            length: self.length,
            sealed_key: self.extent.sealed_key.clone(),
        })
    }

    /// Ends the bytes, and syncs them.
    ///
    /// # Errors
    /// `Damaged` if some are missing; those of writing.
    pub async fn finish(mut self) -> Result<Ingested, ObjectError> {
        let checked = self.checker.finish();
        checked.map_err(|damage| damaged(self.sink.blob, damage))?;
        let inline = self.sink.finish(self.extent.size).await?;
        self.extent.inline = inline.is_some();
        Ok(Ingested {
            md5: from_hex(&self.extent.etag).unwrap_or_default(),
            extent: self.extent,
            encryption: self.encryption,
            inline,
            hold: self.sink.hold,
        })
    }
}

/// Not noted: nothing names these bytes yet.
fn damaged(blob: BlobId, damage: Damage) -> ObjectError {
    ObjectError::Damaged(format!("blob {blob}: {damage}"))
}

/// The stored bytes of an extent, in order.
pub struct RawReader {
    contents: Contents,
    blob: BlobId,
    size: u64,
    /// The block that is read next; none: the header is.
    next: Option<u64>,
    /// How many bytes of what is read next aren't wanted.
    skip: usize,
    inline: Option<Bytes>,
    begun: VecDeque<(Option<u64>, BlobFuture<'static, Bytes>)>,
    failed: bool,
    _reading: Reading,
}

impl RawReader {
    /// From that offset of what is stored; `inline` is the row, if it is one.
    pub(super) fn new(
        contents: &Contents,
        extent: &Extent,
        offset: u64,
        inline: Option<Bytes>,
    ) -> RawReader {
        let blob = BlobId(extent.blob);
        let header = HEADER.len() as u64;
        let (next, skip) = match offset.checked_sub(header) {
            None => (None, offset),
            Some(offset) => {
                let block = (BLOCK + OVERHEAD) as u64;
                (Some(offset / block), offset % block)
            }
        };
        RawReader {
            contents: contents.clone(),
            blob,
            size: extent.size,
            next,
            skip: skip as usize,
            inline,
            begun: VecDeque::new(),
            failed: false,
            _reading: Reading::new(contents, vec![blob]),
        }
    }

    /// The next stored bytes, some 256 KiB; none at the end, and after an error.
    pub async fn next(&mut self) -> Option<Result<Bytes, ObjectError>> {
        while !self.failed && self.begun.len() < 2 && self.begin() {}
        let (first, read) = self.begun.front_mut()?;
        let first = *first;
        let read = read.await;
        self.begun.pop_front();
        let checked = match read {
            Ok(stored) => self
                .check(first, stored)
                .map_err(|damage| damage.to_string()),
            Err(cause @ BlobError::Unavailable(_)) => {
                self.failed = true;
                self.begun.clear();
                return Some(Err(cause.into()));
            }
            Err(cause) => Err(cause.to_string()),
        };
        match checked {
            Ok(stored) if stored.is_empty() => None,
            Ok(stored) => Some(Ok(stored)),
            Err(detail) => {
                self.failed = true;
                self.begun.clear();
                Some(Err(self.contents.note_damage(self.blob, &detail)))
            }
        }
    }

    /// Begins to read what is next; false: there is nothing more.
    fn begin(&mut self) -> bool {
        let (offset, length, next) = match self.next {
            None => (0, HEADER.len(), 0),
            Some(first) if first >= blocks_of(self.size) => return false,
            Some(first) => {
                let end = blocks_of(self.size).min(first + STEP);
                let stored = |number| block_size(self.size, number) + OVERHEAD;
                let length = (first..end).map(stored).sum();
                (block_offset(first), length, end)
            }
        };
        let read: BlobFuture<'static, Bytes> = match &self.inline {
            Some(row) => {
                let start = row.len().min(offset as usize);
                let end = row.len().min(start + length);
                Box::pin(std::future::ready(Ok(row.slice(start..end))))
            }
            None => self.contents.blobs().read(self.blob, offset, length),
        };
        self.begun.push_back((self.next, read));
        self.next = Some(next);
        true
    }

    fn check(&mut self, first: Option<u64>, mut stored: Bytes) -> Result<Bytes, Damage> {
        match first {
            None if stored[..] != HEADER => return Err(Damage::Header),
            None => {}
            Some(first) => {
                let mut rest = &stored[..];
                for number in first..blocks_of(self.size).min(first + STEP) {
                    let length = block_size(self.size, number) + OVERHEAD;
                    let (block, following) = rest.split_at_checked(length).ok_or(Damage::Length)?;
                    check_block(number, block)?;
                    rest = following;
                }
            }
        }
        let skip = std::mem::take(&mut self.skip).min(stored.len());
        Ok(stored.split_off(skip))
    }
}
