//! Content that no version needs any more: rows, written in the batch that lets go of it, from
//! which the sweep removes it. Never removed in that batch itself: a reader that found the version
//! a moment before must find its bytes.

use bytes::{BufMut, Bytes, BytesMut};
use serde::{Deserialize, Serialize};
use store::{Batch, Space};
use types::Timestamp;

use crate::blob::BlobId;
use crate::keys::{self, kind};
use crate::{BucketId, Content, Extent, ObjectKey, ObjectVersion};

/// What isn't needed any more.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Garbage {
    /// A piece.
    Extent {
        /// Its number.
        blob: BlobId,
        /// Is it a row?
        inline: bool,
    },
    /// All pieces of a version that was made of parts, and the row that lists them.
    Parts {
        /// The key of that row.
        #[serde(with = "crate::version::base64_bytes")]
        row: Bytes,
    },
}

/// In a batch that removes a version (or replaces it), at `now`: lets go of its content.
pub fn discard_version(
    batch: &mut Batch,
    now: Timestamp,
    bucket: BucketId,
    key: &ObjectKey,
    version: &ObjectVersion,
) {
    let Some(data) = version.object() else {
        return;
    };
    match &data.content {
        Content::Whole(extent) => discard_extent(batch, now, extent),
        Content::Parts(_) => {
            let row = keys::of_version(kind::EXTENTS, bucket, key, version.stamp);
            let unique = version.stamp.to_bytes();
            put(batch, now, &unique, &Garbage::Parts { row });
        }
    }
}

/// In a batch that removes a part of an upload, or a transfer, at `now`: lets go of its bytes.
pub fn discard_extent(batch: &mut Batch, now: Timestamp, extent: &Extent) {
    let garbage = Garbage::Extent {
        blob: BlobId(extent.blob),
        inline: extent.inline,
    };
    put(batch, now, &extent.blob.to_be_bytes(), &garbage);
}

/// The rows stand in the order of their times, so that what is young enough is never looked at.
fn put(batch: &mut Batch, now: Timestamp, unique: &[u8], garbage: &Garbage) {
    let mut row = BytesMut::with_capacity(40);
    row.put_u8(kind::GARBAGE);
    row.put_u64(now.0);
    row.put_slice(unique);
    let value = serde_json::to_vec(garbage).expect("garbage is plain values");
    batch.put(Space::Objects, row.freeze(), value);
}

/// When that row's content was let go of; none if it is no such row.
pub(crate) fn since(row: &[u8]) -> Option<Timestamp> {
    let (&kind::GARBAGE, rest) = row.split_first()? else {
        return None;
    };
    let millis = rest.first_chunk::<8>()?;
    Some(Timestamp(u64::from_be_bytes(*millis)))
}
