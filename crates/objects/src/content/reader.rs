//! Content read back: a range of an object's pieces, some 256 KiB at a time with one more on its
//! way, every block verified before a byte of it is given. What doesn't verify is an error, never
//! bytes.

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};

use super::block::{BLOCK, DataKey, HEADER, OVERHEAD, block_offset, block_size};
use super::{Contents, CustomerKey, Damage, Reading};
use crate::blob::{BlobError, BlobFuture, BlobId};
use crate::{Extent, ObjectError};

/// How many blocks are read at once.
const STEP: u64 = 4;

/// How many reads are on their way, the one that is awaited included.
const AHEAD: usize = 2;

/// Bytes of an object, in order. While it lives, what it reads isn't removed.
pub struct ContentReader {
    contents: Contents,
    customer: Option<CustomerKey>,
    pieces: VecDeque<Piece>,
    /// The key of the first of `pieces`, once it was opened.
    key: Option<Result<Arc<DataKey>, Damage>>,
    begun: VecDeque<Begun>,
    _reading: Reading,
}

/// A range of an extent.
struct Piece {
    blob: BlobId,
    size: u64,
    sealed_key: Bytes,
    /// Its row, if it is kept inline.
    row: Option<Bytes>,
    /// What is wanted of it and wasn't begun.
    wanted: Range<u64>,
}

/// A read on its way.
struct Begun {
    blob: BlobId,
    size: u64,
    key: Result<Arc<DataKey>, Damage>,
    /// The first block, or the header before it too if the row is read.
    first: u64,
    /// The block after the last.
    end: u64,
    /// What is wanted of those blocks' bytes.
    wanted: Range<usize>,
    read: BlobFuture<'static, Bytes>,
}

impl ContentReader {
    /// Over a range of extents that follow one another; `rows` are those of the inline ones that
    /// the range touches, in order.
    pub(super) fn new(
        contents: &Contents,
        customer: Option<CustomerKey>,
        extents: &[(Extent, Range<u64>)],
        mut rows: impl FnMut(&Extent) -> Option<Bytes>,
    ) -> ContentReader {
        let pieces: VecDeque<Piece> = extents
            .iter()
            .map(|(extent, wanted)| Piece {
                blob: BlobId(extent.blob),
                size: extent.size,
                sealed_key: extent.sealed_key.clone(),
                row: rows(extent),
                wanted: wanted.clone(),
            })
            .collect();
        let blobs = pieces.iter().map(|piece| piece.blob).collect();
        ContentReader {
            contents: contents.clone(),
            customer,
            pieces,
            key: None,
            begun: VecDeque::new(),
            _reading: Reading::new(contents, blobs),
        }
    }

    /// The next bytes; none at the end, and after an error. Dropping its future loses nothing.
    pub async fn next(&mut self) -> Option<Result<Bytes, ObjectError>> {
        while self.begun.len() < AHEAD {
            match self.begin() {
                Some(begun) => self.begun.push_back(begun),
                None => break,
            }
        }
        let read = (&mut self.begun.front_mut()?.read).await;
        let begun = self.begun.pop_front()?;
        let blob = begun.blob;
        let opened = match read {
            Ok(stored) => begun.open(stored).map_err(|damage| damage.to_string()),
            Err(cause @ BlobError::Missing(_)) => Err(cause.to_string()),
            Err(cause) => {
                self.stop();
                return Some(Err(cause.into()));
            }
        };
        Some(opened.map_err(|detail| {
            self.stop();
            self.contents.note_damage(blob, &detail)
        }))
    }

    fn stop(&mut self) {
        self.pieces.clear();
        self.begun.clear();
    }

    /// Begins the next read, if there is any more.
    fn begin(&mut self) -> Option<Begun> {
        while self.pieces.front()?.wanted.is_empty() {
            self.pieces.pop_front();
            self.key = None;
        }
        let piece = self.pieces.front_mut()?;
        let key = self.key.get_or_insert_with(|| {
            let key = match &self.customer {
                None => self.contents.site_key().open(piece.blob, &piece.sealed_key),
                Some(customer) => customer.data_key(&piece.sealed_key),
            };
            key.map(Arc::new).ok_or(Damage::Key)
        });
        let block = BLOCK as u64;
        let first = piece.wanted.start / block;
        let end = piece.wanted.end.div_ceil(block).min(first + STEP);
        let start = piece.wanted.start - first * block;
        let until = piece.wanted.end.min(end * block) - first * block;
        let stored = |number| block_size(piece.size, number) + OVERHEAD;
        let length: usize = (first..end).map(stored).sum();
        let read: BlobFuture<'static, Bytes> = match &piece.row {
            Some(row) => {
                let stored = row.strip_prefix(&HEADER[..]).unwrap_or_default();
                let from = stored
                    .len()
                    .min((block_offset(first) as usize) - HEADER.len());
                let to = stored.len().min(from + length);
                Box::pin(std::future::ready(Ok(row.slice_ref(&stored[from..to]))))
            }
            None => self
                .contents
                .blobs()
                .read(piece.blob, block_offset(first), length),
        };
        piece.wanted.start = piece.wanted.end.min(end * block);
        Some(Begun {
            blob: piece.blob,
            size: piece.size,
            key: key.clone(),
            first,
            end,
            wanted: start as usize..until as usize,
            read,
        })
    }
}

impl Begun {
    /// Verifies and opens what was read.
    fn open(self, stored: Bytes) -> Result<Bytes, Damage> {
        let key = self.key?;
        let mut stored = BytesMut::from(stored);
        let (mut from, mut to) = (0, 0);
        for number in self.first..self.end {
            let size = block_size(self.size, number);
            let block = stored.get_mut(from..from + size + OVERHEAD);
            let opened = key.open(number, block.ok_or(Damage::Length)?)?;
            debug_assert_eq!(opened, size, "a tag takes 16 bytes");
            stored.copy_within(from..from + size, to);
            from += size + OVERHEAD;
            to += size;
        }
        stored.truncate(to);
        let bytes = stored.freeze();
        match self.wanted.end <= bytes.len() {
            true => Ok(bytes.slice(self.wanted)),
            false => Err(Damage::Length),
        }
    }
}
