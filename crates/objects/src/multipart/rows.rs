//! The rows of uploads, of their parts, and of those that ended.

use bytes::{BufMut, Bytes};
use store::{Direction, KeyRange, Snapshot, Space};

use super::{Ended, MOST_PARTS, Part, Upload, UploadId};
use crate::keys::{kind, of_bucket, of_version};
use crate::{BucketId, ObjectError, ObjectKey, row};

/// Parts read in a step; a part's row has about 300 bytes.
const STEP: usize = 1000;

/// Bytes of a part's number at the end of its row's key.
const NUMBER_BYTES: usize = 4;

pub(super) fn upload_row(bucket: BucketId, key: &ObjectKey, id: UploadId) -> Bytes {
    of_version(kind::UPLOAD, bucket, key, id.0)
}

pub(super) fn part_row(bucket: BucketId, id: UploadId, number: u32) -> Bytes {
    let mut row = of_bucket(kind::PART, bucket);
    row.put_slice(&id.0.to_bytes());
    row.put_u32(number);
    row.freeze()
}

pub(super) fn ended_row(bucket: BucketId, id: UploadId) -> Bytes {
    let mut row = of_bucket(kind::ENDED, bucket);
    row.put_slice(&id.0.to_bytes());
    row.freeze()
}

impl Upload {
    /// Its row.
    pub(crate) fn encode(&self) -> Bytes {
        row::encode(self)
    }

    /// The upload of that row.
    pub(crate) fn decode(row: &[u8]) -> Result<Upload, ObjectError> {
        row::decode("an upload", row)
    }
}

impl Part {
    /// Its row.
    pub(crate) fn encode(&self) -> Bytes {
        row::encode(self)
    }

    /// The part of that row (`keys::kind::PART`).
    ///
    /// # Errors
    /// `Internal`: it is no part's.
    pub(crate) fn decode(row: &[u8]) -> Result<Part, ObjectError> {
        row::decode("a part", row)
    }
}

impl Ended {
    pub(super) fn encode(&self) -> Bytes {
        row::encode(self)
    }

    pub(crate) fn decode(row: &[u8]) -> Result<Ended, ObjectError> {
        row::decode("an upload that ended", row)
    }
}

/// A part with its row as it is.
pub(super) struct PartRow {
    pub(super) number: u32,
    pub(super) row: Bytes,
    pub(super) value: Bytes,
    pub(super) part: Part,
}

/// The upload, and its row as it is.
pub(super) async fn read_upload<S: Snapshot>(
    snapshot: &S,
    bucket: BucketId,
    key: &ObjectKey,
    id: UploadId,
) -> Result<(Bytes, Upload), ObjectError> {
    let row = upload_row(bucket, key, id);
    let value = snapshot.get(Space::Objects, &row).await?;
    let value = value.ok_or(ObjectError::NoSuchUpload)?;
    let upload = Upload::decode(&value)?;
    Ok((value, upload))
}

/// The parts whose numbers follow `after`, at most `limit`, and whether there are more.
pub(super) async fn read_parts<S: Snapshot>(
    snapshot: &S,
    bucket: BucketId,
    id: UploadId,
    after: u32,
    limit: usize,
) -> Result<(Vec<PartRow>, bool), ObjectError> {
    let mut prefix = of_bucket(kind::PART, bucket);
    prefix.put_slice(&id.0.to_bytes());
    let mut range = KeyRange {
        start: std::ops::Bound::Excluded(part_row(bucket, id, after)),
        ..KeyRange::prefix(&prefix)
    };
    let mut parts = Vec::new();
    loop {
        let step = STEP.min(limit - parts.len());
        let page = snapshot
            .scan(Space::Objects, range.clone(), Direction::Forward, step)
            .await?;
        if let Some(last) = page.entries.last() {
            range.start = std::ops::Bound::Excluded(last.key.clone());
        }
        for entry in page.entries {
            parts.push(read_part(entry)?);
        }
        if !page.more || parts.len() >= limit {
            return Ok((parts, page.more));
        }
    }
}

fn read_part(entry: store::Entry) -> Result<PartRow, ObjectError> {
    let number = entry.key.last_chunk::<NUMBER_BYTES>();
    let number = number.map(|bytes| u32::from_be_bytes(*bytes));
    let number = number.filter(|number| (1..=MOST_PARTS).contains(number));
    Ok(PartRow {
        number: number.ok_or_else(|| ObjectError::Internal("a part's row is malformed".into()))?,
        part: Part::decode(&entry.value)?,
        row: entry.key,
        value: entry.value,
    })
}
