//! Which pieces a version's row names, read from the rows alone.

use bytes::Bytes;
use serde::Deserialize;
use store::{Snapshot, Space};

use super::DamagedPiece;
use crate::blob::BlobId;
use crate::content::{content_key, decode_extents};
use crate::keys::{self, kind};
use crate::{
    BucketId, Content, Extent, ObjectData, ObjectError, ObjectKey, ObjectVersion, Stamp, row,
};

/// Which version a row is of.
pub(super) struct Place {
    pub(super) bucket: BucketId,
    pub(super) key: ObjectKey,
    pub(super) stamp: Stamp,
}

/// A version's pieces.
pub(super) struct Found {
    pub(super) place: Place,
    /// Or of an upload or a transfer under way: which, its place doesn't tell.
    pub(super) is_version: bool,
    /// Or what is wrong with the row that lists them.
    pub(super) extents: Result<Vec<Extent>, DamagedPiece>,
}

impl Place {
    pub(super) fn piece(&self, extent: &Extent, detail: String) -> DamagedPiece {
        DamagedPiece {
            bucket: self.bucket,
            key: self.key.clone(),
            stamp: self.stamp,
            number: extent.number,
            blob: BlobId(extent.blob),
            detail,
        }
    }
}

/// A row that keeps a piece which no version has yet: a part of an upload, or of a transfer.
#[derive(Deserialize)]
struct Unfinished {
    extent: Extent,
}

/// The pieces that a row of a version, a part or a transfer names; none if there is no such row,
/// or it names none.
pub(super) async fn pieces_of<S: Snapshot>(
    snapshot: &S,
    row: &[u8],
) -> Result<Option<Found>, ObjectError> {
    let Some(bytes) = snapshot.get(Space::Objects, row).await? else {
        return Ok(None);
    };
    if row.first() != Some(&kind::VERSION) {
        return Ok(unfinished(row, &bytes));
    }
    let version = ObjectVersion::decode(&bytes)?;
    let bucket = row.get(1..).and_then(|rest| rest.first_chunk::<8>());
    let (Some(bucket), Some((key, _))) = (bucket, keys::split(row)) else {
        return Err(ObjectError::Internal(
            "the key of a version's row makes no sense".to_owned(),
        ));
    };
    let place = Place {
        bucket: BucketId(u64::from_be_bytes(*bucket)),
        key,
        stamp: version.stamp,
    };
    let Some(data) = version.object() else {
        return Ok(None);
    };
    let extents = listed(snapshot, &place, data).await?;
    Ok(Some(Found {
        place,
        is_version: true,
        extents,
    }))
}

/// What else a row of those kinds holds is its owner's affair.
fn unfinished(row: &[u8], bytes: &[u8]) -> Option<Found> {
    let Unfinished { extent } = row::decode("a piece", bytes).ok()?;
    let bucket = match row {
        [kind::PART, rest @ ..] => rest.first_chunk().copied().unwrap_or_default(),
        _ => [0; 8],
    };
    let place = Place {
        bucket: BucketId(u64::from_be_bytes(bucket)),
        key: "(under way)".parse().expect("it is a key"),
        stamp: Stamp::from_bytes(&[0; 24]).expect("zeros are a stamp"),
    };
    Some(Found {
        place,
        is_version: false,
        extents: Ok(vec![extent]),
    })
}

async fn listed<S: Snapshot>(
    snapshot: &S,
    place: &Place,
    data: &ObjectData,
) -> Result<Result<Vec<Extent>, DamagedPiece>, ObjectError> {
    let parts = match &data.content {
        Content::Whole(extent) => return Ok(Ok(vec![extent.clone()])),
        Content::Parts(parts) => *parts as usize,
    };
    let row = keys::of_version(kind::EXTENTS, place.bucket, &place.key, place.stamp);
    let row = snapshot.get(Space::Objects, &row).await?;
    let extents = row.and_then(|row| decode_extents(&row));
    let extents = extents.filter(|extents| extents.len() == parts);
    Ok(extents.ok_or_else(|| DamagedPiece {
        bucket: place.bucket,
        key: place.key.clone(),
        stamp: place.stamp,
        number: 0,
        blob: BlobId(0),
        detail: "the row that lists its parts is missing, or makes no sense".to_owned(),
    }))
}

pub(super) async fn content_row<S: Snapshot>(
    snapshot: &S,
    extent: &Extent,
) -> Result<Option<Bytes>, ObjectError> {
    match extent.inline {
        true => Ok(snapshot
            .get(Space::Content, &content_key(extent.blob))
            .await?),
        false => Ok(None),
    }
}
