//! Beginning, finding, listing and aborting uploads, and putting their parts.

use store::{Batch, CommitError, Engine, Snapshot, Space};

use super::rows::{PartRow, ended_row, part_row, read_parts, read_upload, upload_row};
use super::{Ended, MOST_PARTS, Part, Upload, UploadId};
use crate::content::{Ingested, discard_extent};
use crate::list::PAGE;
use crate::{Bucket, BucketId, ChecksumAlgorithm, ChecksumKind, ObjectError, ObjectKey, Objects};

/// Parts that are removed in one batch when an upload is aborted.
const REMOVED_AT_ONCE: usize = 1000;

/// A page of an upload's parts.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PartListing {
    /// The upload.
    pub upload: Upload,
    /// Its parts, by number.
    pub parts: Vec<Part>,
    /// Are there more?
    pub more: bool,
}

/// The checksum of an upload that a request asks for.
///
/// # Errors
/// `InvalidRequest`: the kind goes with no algorithm, or not with this one.
pub fn checksum_of(
    algorithm: Option<ChecksumAlgorithm>,
    kind: Option<ChecksumKind>,
) -> Result<Option<(ChecksumAlgorithm, ChecksumKind)>, ObjectError> {
    let Some(algorithm) = algorithm else {
        return match kind {
            Some(_) => Err(ObjectError::refused(
                "InvalidRequest",
                "The x-amz-checksum-type header can only be used with the \
                 x-amz-checksum-algorithm header.",
            )),
            None => Ok(None),
        };
    };
    let kind = kind.unwrap_or(match algorithm {
        ChecksumAlgorithm::Crc64nvme => ChecksumKind::FullObject,
        _ => ChecksumKind::Composite,
    });
    // Of no parts: refuses exactly what of no parts could be combined.
    crate::content::combine_checksums(algorithm, kind, &[])?;
    Ok(Some((algorithm, kind)))
}

impl Upload {
    /// The checksum that its object gets: the one that was asked for, else the one that S3 keeps
    /// of every object.
    pub fn checksum_of_object(&self) -> (ChecksumAlgorithm, ChecksumKind) {
        let default = (ChecksumAlgorithm::Crc64nvme, ChecksumKind::FullObject);
        self.checksum.unwrap_or(default)
    }

    /// Is a part that comes with these checksums one of this upload?
    ///
    /// # Errors
    /// `InvalidRequest`: the upload was begun with another algorithm.
    pub fn admit_checksums(&self, given: &[ChecksumAlgorithm]) -> Result<(), ObjectError> {
        let Some((expected, _)) = self.checksum else {
            return Ok(());
        };
        if given.contains(&expected) {
            return Ok(());
        }
        let given = given.first().map(|given| given.name().to_ascii_lowercase());
        Err(ObjectError::refused(
            "InvalidRequest",
            format!(
                "Checksum Type mismatch occurred, expected checksum Type: {}, actual checksum \
                 Type: {}",
                expected.name().to_ascii_lowercase(),
                given.as_deref().unwrap_or("null")
            ),
        ))
    }
}

/// Is that a number of a part?
///
/// # Errors
/// `InvalidArgument`.
pub fn check_part_number(number: i64) -> Result<u32, ObjectError> {
    let number = u32::try_from(number).ok();
    let number = number.filter(|number| (1..=MOST_PARTS).contains(number));
    number.ok_or_else(|| {
        ObjectError::refused(
            "InvalidArgument",
            "Part number must be an integer between 1 and 10000, inclusive",
        )
    })
}

impl<E: Engine> Objects<E> {
    /// Begins an upload.
    ///
    /// # Errors
    /// The batch can't be committed.
    pub async fn create_upload(
        &self,
        bucket: &Bucket,
        key: &ObjectKey,
        upload: &Upload,
    ) -> Result<UploadId, ObjectError> {
        let id = UploadId(self.issue(None));
        loop {
            let mut batch = Batch::new();
            self.demand_settings(bucket, &mut batch)?;
            let row = upload_row(bucket.entry.id, key, id);
            batch.put(Space::Objects, row, upload.encode());
            match self.engine.commit(batch).await {
                Err(CommitError::Precondition(_)) => self.refresh_settings(bucket).await?,
                committed => return committed.map(|_| id).map_err(ObjectError::from),
            }
        }
    }

    /// An upload under way.
    ///
    /// # Errors
    /// `NoSuchUpload`.
    pub async fn upload(
        &self,
        bucket: &Bucket,
        key: &ObjectKey,
        id: UploadId,
    ) -> Result<Upload, ObjectError> {
        let snapshot = self.engine.snapshot();
        let (_, upload) = read_upload(&snapshot, bucket.entry.id, key, id).await?;
        Ok(upload)
    }

    /// A page of an upload's parts: those whose numbers follow `after`, at most `limit` and
    /// [`PAGE`].
    ///
    /// # Errors
    /// `NoSuchUpload`.
    pub async fn list_parts(
        &self,
        bucket: &Bucket,
        key: &ObjectKey,
        id: UploadId,
        after: u32,
        limit: usize,
    ) -> Result<PartListing, ObjectError> {
        let snapshot = self.engine.snapshot();
        let (_, upload) = read_upload(&snapshot, bucket.entry.id, key, id).await?;
        let limit = limit.min(PAGE);
        if limit == 0 {
            return Ok(PartListing {
                upload,
                parts: Vec::new(),
                more: false,
            });
        }
        let (parts, more) = read_parts(&snapshot, bucket.entry.id, id, after, limit).await?;
        Ok(PartListing {
            upload,
            parts: parts.into_iter().map(|row| row.part).collect(),
            more,
        })
    }

    /// Puts a part whose bytes have been taken in. One of that number that was there before is
    /// replaced; of two at once the later stands.
    ///
    /// # Errors
    /// `NoSuchUpload`, also if it was completed or aborted meanwhile: the bytes are let go then.
    pub async fn put_part(
        &self,
        bucket: &Bucket,
        key: &ObjectKey,
        id: UploadId,
        number: u32,
        ingested: Ingested,
    ) -> Result<Part, ObjectError> {
        let mut entered = Batch::new();
        let part = Part {
            extent: ingested.numbered(number).enter(&mut entered),
            last_modified: self.wall(),
        };
        let put = self.try_put_part(bucket, key, id, &part, entered).await;
        // What the disk holds after an engine's failure nobody knows: nothing is removed then.
        if matches!(&put, Err(error) if !matches!(error, ObjectError::Internal(_))) {
            self.contents().take_back(&part.extent);
        }
        put.map(|()| part)
    }

    async fn try_put_part(
        &self,
        bucket: &Bucket,
        key: &ObjectKey,
        id: UploadId,
        part: &Part,
        entered: Batch,
    ) -> Result<(), ObjectError> {
        let row = part_row(bucket.entry.id, id, part.extent.number);
        loop {
            let snapshot = self.engine.snapshot();
            let (upload, _) = read_upload(&snapshot, bucket.entry.id, key, id).await?;
            let before = snapshot.get(Space::Objects, &row).await?;
            let mut batch = entered.clone();
            // Neither a completion nor an abort, nor another part of this number, comes between.
            let upload_row = upload_row(bucket.entry.id, key, id);
            batch.require(Space::Objects, upload_row, Some(upload));
            batch.require(Space::Objects, row.clone(), before.clone());
            if let Some(before) = before {
                let replaced = Part::decode(&before)?;
                discard_extent(&mut batch, self.wall(), &replaced.extent);
            }
            batch.put(Space::Objects, row.clone(), part.encode());
            match self.engine.commit(batch).await {
                Err(CommitError::Precondition(_)) => {}
                committed => return committed.map(|_| ()).map_err(ObjectError::from),
            }
        }
    }

    /// Aborts an upload: its parts are let go.
    ///
    /// # Errors
    /// `NoSuchUpload`.
    pub async fn abort_upload(
        &self,
        bucket: &Bucket,
        key: &ObjectKey,
        id: UploadId,
    ) -> Result<(), ObjectError> {
        let row = upload_row(bucket.entry.id, key, id);
        let snapshot = self.engine.snapshot();
        let (upload, _) = read_upload(&snapshot, bucket.entry.id, key, id).await?;
        let mut batch = Batch::new();
        batch.require(Space::Objects, row.clone(), Some(upload));
        batch.delete(Space::Objects, row);
        let ended = Ended {
            at: self.wall(),
            completed: None,
        };
        batch.put(
            Space::Objects,
            ended_row(bucket.entry.id, id),
            ended.encode(),
        );
        // From here on no part can be put: what is there now is all that there will be.
        match self.engine.commit(batch).await {
            Err(CommitError::Precondition(_)) => return Err(ObjectError::NoSuchUpload),
            committed => committed?,
        };
        self.forget_upload(bucket.entry.id, id).await
    }

    /// Removes what is left of an upload that ended: parts that no version has, then the note that
    /// it ended.
    pub(crate) async fn forget_upload(
        &self,
        bucket: BucketId,
        id: UploadId,
    ) -> Result<(), ObjectError> {
        self.remove_parts(bucket, id).await?;
        let mut batch = Batch::new();
        batch.delete(Space::Objects, ended_row(bucket, id));
        self.engine.commit(batch).await?;
        Ok(())
    }

    /// Removes the parts that are left of an upload that ended. None can come any more.
    pub(super) async fn remove_parts(
        &self,
        bucket: BucketId,
        id: UploadId,
    ) -> Result<(), ObjectError> {
        loop {
            let snapshot = self.engine.snapshot();
            let (parts, more) = read_parts(&snapshot, bucket, id, 0, REMOVED_AT_ONCE).await?;
            let mut batch = Batch::new();
            for PartRow { row, part, .. } in parts {
                batch.delete(Space::Objects, row);
                discard_extent(&mut batch, self.wall(), &part.extent);
            }
            if !batch.is_empty() {
                self.engine.commit(batch).await?;
            }
            if !more {
                return Ok(());
            }
        }
    }
}
