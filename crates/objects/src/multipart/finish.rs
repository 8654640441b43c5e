//! Completing an upload: its parts become a version, in one batch with everything that the upload
//! was; asked again, the answer is the same.

use store::{Batch, Engine, Snapshot, Space};

use super::complete::{Assembled, assemble, etag_of};
use super::rows::{PartRow, ended_row, read_parts, read_upload, upload_row};
use super::{Completed, Completion, Ended, MOST_PARTS, Upload, UploadId};
use crate::content::discard_extent;
use crate::{
    Bucket, Cause, Creation, NewContent, NewObject, NewParts, ObjectError, ObjectKey, Objects,
    WriteConditions,
};

/// How often a completion is made anew when parts are put in between.
const MAX_ATTEMPTS: usize = 8;

impl<E: Engine> Objects<E> {
    /// Completes an upload. Parts that the request doesn't name are let go. Whoever repeats a
    /// request that was carried out gets the answer again, for a day. Poll it to its end.
    ///
    /// # Errors
    /// `NoSuchUpload`, `InvalidPart`, `InvalidPartOrder`, `EntityTooSmall`, `BadDigest` and the
    /// like; a condition doesn't hold.
    pub async fn complete_upload(
        &self,
        bucket: &Bucket,
        key: &ObjectKey,
        id: UploadId,
        request: &Completion,
        conditions: &WriteConditions,
        cause: &Cause,
    ) -> Result<Completed, ObjectError> {
        for _ in 0..MAX_ATTEMPTS {
            let snapshot = self.engine.snapshot();
            let (value, upload) = match read_upload(&snapshot, bucket.entry.id, key, id).await {
                Err(ObjectError::NoSuchUpload) => {
                    return self.completed_before(bucket, key, id, request).await;
                }
                read => read?,
            };
            let most = MOST_PARTS as usize;
            let (parts, _) = read_parts(&snapshot, bucket.entry.id, id, 0, most).await?;
            let map = parts.iter().map(|row| (row.number, row.part.clone()));
            let assembled = assemble(&upload, &map.collect(), request)?;
            let mut batch = Batch::new();
            let row = upload_row(bucket.entry.id, key, id);
            batch.require(Space::Objects, row.clone(), Some(value));
            batch.delete(Space::Objects, row);
            self.end_parts(&mut batch, &parts, request);
            let completed = Completed {
                etag: assembled.etag.clone(),
                checksum: assembled.checksum.clone(),
                version: None,
                encryption: upload.encryption.clone(),
            };
            let ended = Ended {
                at: self.wall(),
                completed: Some(completed.clone()),
            };
            let row = ended_row(bucket.entry.id, id);
            batch.put(Space::Objects, row, ended.encode());
            let new = new_object(upload, assembled, conditions, cause);
            match self.put_with(bucket, key, new, batch).await {
                Ok(version) => {
                    // Parts that came while this was committed; else the pass finds them.
                    if let Err(error) = self.remove_parts(bucket.entry.id, id).await {
                        tracing::debug!(%error, "parts of a completed upload are left");
                    }
                    return Ok(Completed {
                        version: Some(version.id()),
                        ..completed
                    });
                }
                Err(error) if error.code().0 == "OperationAborted" => {}
                Err(error) => return self.refused(bucket, key, id, request, error).await,
            }
        }
        Err(types::ConfigurationError::Conflict.into())
    }

    /// In the batch of a completion: all parts go, and the bytes of those that it doesn't name.
    fn end_parts(&self, batch: &mut Batch, parts: &[PartRow], request: &Completion) {
        for PartRow {
            number,
            row,
            value,
            part,
        } in parts
        {
            batch.require(Space::Objects, row.clone(), Some(value.clone()));
            batch.delete(Space::Objects, row.clone());
            if request
                .parts
                .binary_search_by_key(number, |named| named.number)
                .is_err()
            {
                discard_extent(batch, self.wall(), &part.extent);
            }
        }
    }

    /// The answer where the object wasn't put. If that is for a condition, it may be the object of
    /// this very upload that doesn't fulfil it: the same request was carried out meanwhile.
    async fn refused(
        &self,
        bucket: &Bucket,
        key: &ObjectKey,
        id: UploadId,
        request: &Completion,
        error: ObjectError,
    ) -> Result<Completed, ObjectError> {
        let of_condition = matches!(
            error,
            ObjectError::PreconditionFailed(_) | ObjectError::NoSuchKey { .. }
        );
        if !of_condition {
            return Err(error);
        }
        let snapshot = self.engine.snapshot();
        match read_upload(&snapshot, bucket.entry.id, key, id).await {
            Err(ObjectError::NoSuchUpload) => self.completed_before(bucket, key, id, request).await,
            Ok(_) | Err(_) => Err(error),
        }
    }

    /// The answer that the same request had.
    async fn completed_before(
        &self,
        bucket: &Bucket,
        key: &ObjectKey,
        id: UploadId,
        request: &Completion,
    ) -> Result<Completed, ObjectError> {
        let snapshot = self.engine.snapshot();
        let row = ended_row(bucket.entry.id, id);
        let ended = snapshot.get(Space::Objects, &row).await?;
        let ended = ended.ok_or(ObjectError::NoSuchUpload)?;
        let completed = Ended::decode(&ended)?.completed;
        let mut completed = completed.ok_or(ObjectError::NoSuchUpload)?;
        if etag_of(request).ok().as_ref() != Some(&completed.etag) {
            return Err(ObjectError::NoSuchUpload);
        }
        let current = self.find_any(bucket, key, None).await?;
        let same = current.filter(|version| {
            let object = version.object();
            object.is_some_and(|object| object.etag == completed.etag)
        });
        completed.version = same.map(|version| version.id());
        Ok(completed)
    }
}

fn new_object(
    upload: Upload,
    assembled: Assembled,
    conditions: &WriteConditions,
    cause: &Cause,
) -> NewObject {
    NewObject {
        owner: upload.owner,
        content: NewContent::Parts(NewParts {
            extents: assembled.extents,
            size: assembled.size,
            etag: assembled.etag,
            checksum: assembled.checksum,
            encryption: upload.encryption,
        }),
        metadata: upload.metadata,
        storage_class: upload.storage_class,
        tags: upload.tags,
        acl: upload.acl,
        retention: upload.retention,
        legal_hold: upload.legal_hold,
        conditions: conditions.clone(),
        how: Creation::CompleteMultipartUpload,
        cause: cause.clone(),
    }
}
