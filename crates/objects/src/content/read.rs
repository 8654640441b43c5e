//! Which bytes a version has: its pieces found in their rows, and readers over them. It finds no
//! versions and judges no conditions.

use std::collections::BTreeMap;
use std::ops::Range;

use bytes::Bytes;
use store::{Engine, Snapshot, Space};

use super::{ContentReader, Contents, CustomerKey, RawReader, content_key, decode_extents};
use crate::blob::BlobId;
use crate::keys::{self, kind};
use crate::{
    BucketId, Content, Encryption, Extent, ObjectData, ObjectError, ObjectKey, ObjectVersion,
    Objects, Stamp,
};

impl<E: Engine> Objects<E> {
    /// Where content goes and comes from.
    pub fn contents(&self) -> &Contents {
        &self.contents
    }

    /// The pieces of a version, in order.
    ///
    /// # Errors
    /// `Damaged` if the row that lists them is missing or makes no sense, `Internal`.
    pub async fn extents(
        &self,
        bucket: BucketId,
        key: &ObjectKey,
        stamp: Stamp,
        data: &ObjectData,
    ) -> Result<Vec<Extent>, ObjectError> {
        let parts = match &data.content {
            Content::Whole(extent) => return Ok(vec![extent.clone()]),
            Content::Parts(parts) => *parts as usize,
        };
        let row = keys::of_version(kind::EXTENTS, bucket, key, stamp);
        let row = self.engine.snapshot().get(Space::Objects, &row).await?;
        let extents = row.and_then(|row| decode_extents(&row));
        extents
            .filter(|extents| extents.len() == parts)
            .ok_or_else(|| ObjectError::Damaged(format!("the parts of version {stamp}")))
    }

    /// Bytes of a version, by offsets from its beginning; `range` is within its size.
    ///
    /// # Errors
    /// Those of [`Encryption::admit`], `MethodNotAllowed` of a delete marker, `Damaged` if
    /// something is missing already; what is damaged further on the reader tells.
    pub async fn read(
        &self,
        bucket: BucketId,
        key: &ObjectKey,
        version: &ObjectVersion,
        range: Range<u64>,
        customer: Option<&CustomerKey>,
    ) -> Result<ContentReader, ObjectError> {
        let data = version
            .object()
            .ok_or_else(|| ObjectError::MethodNotAllowed {
                delete_marker: version.id().to_string(),
            })?;
        data.encryption.admit(customer)?;
        let extents = self.extents(bucket, key, version.stamp, data).await?;
        self.read_extents(&data.encryption, &extents, range, customer)
            .await
    }

    /// Bytes of pieces that follow one another, by offsets from the beginning of the first;
    /// `range` is within what they have together.
    ///
    /// # Errors
    /// As [`Objects::read`].
    pub async fn read_extents(
        &self,
        encryption: &Encryption,
        extents: &[Extent],
        range: Range<u64>,
        customer: Option<&CustomerKey>,
    ) -> Result<ContentReader, ObjectError> {
        encryption.admit(customer)?;
        let wanted = within(extents, range)?;
        let mut rows = BTreeMap::new();
        for (extent, _) in &wanted {
            if extent.inline {
                rows.insert(extent.blob, self.content_row(extent).await?);
            }
        }
        let row = |extent: &Extent| rows.get(&extent.blob).cloned();
        Ok(ContentReader::new(
            &self.contents,
            customer.cloned(),
            &wanted,
            row,
        ))
    }

    /// The stored bytes of a piece from that offset of them on, for a Region that keeps them as
    /// they are.
    ///
    /// # Errors
    /// `Damaged` if they are missing; what is damaged further on the reader tells.
    pub async fn read_stored(
        &self,
        extent: &Extent,
        offset: u64,
    ) -> Result<RawReader, ObjectError> {
        let row = match extent.inline {
            true => Some(self.content_row(extent).await?),
            false => None,
        };
        Ok(RawReader::new(&self.contents, extent, offset, row))
    }

    async fn content_row(&self, extent: &Extent) -> Result<Bytes, ObjectError> {
        let key = content_key(extent.blob);
        let row = self.engine.snapshot().get(Space::Content, &key).await?;
        row.ok_or_else(|| {
            self.contents
                .note_damage(BlobId(extent.blob), "its row is missing")
        })
    }
}

/// The pieces that a range touches, and which of their bytes.
fn within(extents: &[Extent], range: Range<u64>) -> Result<Vec<(Extent, Range<u64>)>, ObjectError> {
    let mut wanted = Vec::new();
    let mut start = 0_u64;
    for extent in extents {
        let end = start.saturating_add(extent.size);
        let from = range.start.clamp(start, end);
        let to = range.end.clamp(start, end);
        if from < to {
            wanted.push((extent.clone(), from - start..to - start));
        }
        start = end;
    }
    match range.end <= start {
        true => Ok(wanted),
        false => Err(ObjectError::InvalidRange),
    }
}
