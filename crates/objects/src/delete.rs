//! Objects are deleted: by a delete marker, or a version for good (S3 User Guide, "Deleting object
//! versions").

use store::{Batch, Engine};
use types::AccountId;

use crate::commit::{Insertion, MAX_ATTEMPTS, Plan, Step};
use crate::conditions::check_deletion;
use crate::find::{Row, find_row};
use crate::held::Held;
use crate::write::contended;
use crate::{
    Bucket, Cause, Creation, EtagMatch, ObjectError, ObjectKey, ObjectVersion, Objects, State,
    VersionId, Versioning,
};

/// How an object is to be deleted.
#[derive(Clone, Debug)]
pub struct DeleteOptions {
    /// Who will own a delete marker.
    pub owner: AccountId,
    /// May the caller, and does it ask to, bypass governance?
    pub bypass_governance: bool,
    /// `If-Match`, of the current version.
    pub if_match: Option<EtagMatch>,
    /// By whom.
    pub cause: Cause,
}

/// What a deletion did.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Deleted {
    /// `x-amz-delete-marker`: one was made, or what is gone was one.
    pub delete_marker: bool,
    /// `x-amz-version-id`: the marker that was made, or the version that was named; none in a
    /// bucket that never kept versions.
    pub version_id: Option<VersionId>,
}

impl<E: Engine> Objects<E> {
    /// Deletes the object of that key: puts a delete marker, or in a bucket that never kept
    /// versions deletes it for good. With an id deletes that version for good, and is content if
    /// there is none. Poll it to its end.
    ///
    /// # Errors
    /// `Locked`; a condition doesn't hold.
    pub async fn delete(
        &self,
        bucket: &Bucket,
        key: &ObjectKey,
        id: Option<VersionId>,
        options: &DeleteOptions,
    ) -> Result<Deleted, ObjectError> {
        self.delete_with(bucket, key, id, options, Batch::new())
            .await
    }

    /// As [`Objects::delete`], if `admit` lets it: it is called with the object of that version, or
    /// the current one, none if there is none, while nobody else changes the key, perhaps several
    /// times.
    ///
    /// # Errors
    /// As [`Objects::delete`], and before all of these what `admit` says.
    pub async fn delete_if(
        &self,
        bucket: &Bucket,
        key: &ObjectKey,
        id: Option<VersionId>,
        options: &DeleteOptions,
        admit: impl FnMut(Option<&ObjectVersion>) -> Result<(), ObjectError>,
    ) -> Result<Deleted, ObjectError> {
        self.delete_admitted(bucket, key, id, options, Batch::new(), admit)
            .await
    }

    /// As [`Objects::delete`], with writes that belong to it; demands of theirs that don't hold
    /// leave everything as it is.
    ///
    /// # Errors
    /// As [`Objects::delete`]; `OperationAborted` if a demand of `batch` never holds.
    pub(crate) async fn delete_with(
        &self,
        bucket: &Bucket,
        key: &ObjectKey,
        id: Option<VersionId>,
        options: &DeleteOptions,
        batch: Batch,
    ) -> Result<Deleted, ObjectError> {
        self.delete_admitted(bucket, key, id, options, batch, |_| Ok(()))
            .await
    }

    async fn delete_admitted(
        &self,
        bucket: &Bucket,
        key: &ObjectKey,
        id: Option<VersionId>,
        options: &DeleteOptions,
        batch: Batch,
        mut admit: impl FnMut(Option<&ObjectVersion>) -> Result<(), ObjectError>,
    ) -> Result<Deleted, ObjectError> {
        let _alone = self.locks.lock(&Self::lock_key(bucket.entry.id, key)).await;
        for _ in 0..MAX_ATTEMPTS {
            let held = self.hold(bucket, key).await?;
            let found = match id {
                Some(id) => find_row(&held.snapshot, &held.bucket, key, Some(id)).await?,
                None => held.current.clone(),
            };
            let version = found.as_ref().map(|row| &*row.version);
            admit(version.filter(|version| !version.is_delete_marker()))?;
            if let Some(tags) = &options.if_match {
                check_deletion(tags, held.current.as_ref().map(|row| &*row.version))?;
            }
            let (step, deleted) = match id {
                Some(id) => self.removal(found, id, options)?,
                None => self.marking(&held, key, options).await?,
            };
            let plan = Plan {
                steps: step.into_iter().collect(),
                cause: options.cause.clone(),
                batch: batch.clone(),
            };
            if plan.steps.is_empty() && plan.batch.is_empty() {
                return Ok(deleted);
            }
            if self.commit(key, &held, plan).await?.is_some() {
                return Ok(deleted);
            }
        }
        Err(contended())
    }

    /// A version is to go for good.
    fn removal(
        &self,
        found: Option<Row>,
        id: VersionId,
        options: &DeleteOptions,
    ) -> Result<(Option<Step>, Deleted), ObjectError> {
        if let Some(object) = found.as_ref().and_then(|row| row.version.object()) {
            object.check_unlocked(self.wall(), options.bypass_governance)?;
        }
        let marker = found
            .as_ref()
            .is_some_and(|row| row.version.is_delete_marker());
        let deleted = Deleted {
            delete_marker: marker,
            version_id: Some(id),
        };
        Ok((found.map(Step::Remove), deleted))
    }

    /// A key is to be deleted.
    async fn marking(
        &self,
        held: &Held<E::Snapshot>,
        key: &ObjectKey,
        options: &DeleteOptions,
    ) -> Result<(Option<Step>, Deleted), ObjectError> {
        let versioning = held.bucket.settings.versioning;
        if versioning == Versioning::Unversioned {
            let null = held.null(key).await?;
            return Ok((null.map(Step::Remove), Deleted::default()));
        }
        let marker = ObjectVersion {
            stamp: self.issue(held.latest()),
            is_null: versioning == Versioning::Suspended,
            context: held.context(),
            owner: options.owner,
            state: State::DeleteMarker,
            outcomes: Vec::new(),
            is_replica: false,
        };
        let deleted = Deleted {
            delete_marker: true,
            version_id: Some(marker.id()),
        };
        let insertion = Insertion {
            version: marker,
            parts: Vec::new(),
            how: Creation::Put,
        };
        Ok((Some(Step::Insert(insertion)), deleted))
    }
}
