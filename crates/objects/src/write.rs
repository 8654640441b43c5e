//! Objects are put: a new version, or the `null` one of a bucket that keeps none.

use std::collections::BTreeMap;
use std::sync::Arc;

use store::{Batch, Engine};
use types::AccountId;

use crate::commit::{Insertion, MAX_ATTEMPTS, Plan, Step};
use crate::content::Ingested;
use crate::held::Held;
use crate::lock::retention_of_new;
use crate::{
    Acl, Amended, Bucket, Cause, Checksum, Content, Creation, Encryption, Extent, Metadata,
    ObjectData, ObjectError, ObjectKey, ObjectVersion, Objects, Retention, State, Versioning,
    WriteConditions,
};

/// Bytes of a new object, already written.
pub enum NewContent {
    /// One piece.
    Whole(Ingested),
    /// Parts of an upload.
    Parts(NewParts),
}

/// Parts of an upload that become an object; they are stored, and stay if it isn't put.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NewParts {
    /// In order, 10,000 at most.
    pub extents: Vec<Extent>,
    /// How many bytes they are, as their reader counts them.
    pub size: u64,
    /// The object's entity tag, without quotes.
    pub etag: String,
    /// Its checksum.
    pub checksum: Option<Checksum>,
    /// How its bytes are encrypted.
    pub encryption: Encryption,
}

/// An object to be put.
pub struct NewObject {
    /// Whose it will be.
    pub owner: AccountId,
    /// Its bytes.
    pub content: NewContent,
    /// The headers that it is served with.
    pub metadata: Metadata,
    /// Its storage class.
    pub storage_class: String,
    /// Its tags.
    pub tags: BTreeMap<String, String>,
    /// Its access control list; none: `private`.
    pub acl: Option<Acl>,
    /// The retention asked for; none: the bucket's default.
    pub retention: Option<Retention>,
    /// Is it to be under legal hold?
    pub legal_hold: bool,
    /// What must hold of the current version.
    pub conditions: WriteConditions,
    /// How it comes to be.
    pub how: Creation,
    /// By whom.
    pub cause: Cause,
}

impl<E: Engine> Objects<E> {
    /// Puts an object. When it returns `Ok`, the version and its bytes are on disk. If it is
    /// refused, a whole content's bytes are removed again. Poll it to its end.
    ///
    /// # Errors
    /// A condition doesn't hold; a lock is asked for and the bucket has none; the disk is full.
    pub async fn put(
        &self,
        bucket: &Bucket,
        key: &ObjectKey,
        new: NewObject,
    ) -> Result<Arc<ObjectVersion>, ObjectError> {
        self.put_with(bucket, key, new, Batch::new()).await
    }

    /// As [`Objects::put`], with writes that belong to it.
    ///
    /// # Errors
    /// As [`Objects::put`]; `OperationAborted` if a demand of `batch` never holds.
    pub(crate) async fn put_with(
        &self,
        bucket: &Bucket,
        key: &ObjectKey,
        new: NewObject,
        batch: Batch,
    ) -> Result<Arc<ObjectVersion>, ObjectError> {
        let mut own = Batch::new();
        let (content, whole) = match new.content {
            NewContent::Parts(parts) => (parts, None),
            NewContent::Whole(ingested) => {
                let encryption = ingested.encryption.clone();
                let extent = ingested.enter(&mut own);
                let content = NewParts {
                    size: extent.size,
                    etag: extent.etag.clone(),
                    checksum: extent.checksum.clone(),
                    extents: Vec::new(),
                    encryption,
                };
                (content, Some(extent))
            }
        };
        own.append(batch);
        let object = Prepared {
            owner: new.owner,
            how: new.how,
            cause: new.cause,
            conditions: new.conditions,
            object: ObjectData {
                size: content.size,
                etag: content.etag,
                checksum: content.checksum,
                content: match &whole {
                    Some(extent) => Content::Whole(extent.clone()),
                    None => Content::Parts(count(&content.extents)?),
                },
                encryption: content.encryption,
                metadata: new.metadata,
                storage_class: new.storage_class,
                tags: new.tags,
                acl: new.acl,
                retention: new.retention,
                legal_hold: new.legal_hold,
                amended: Amended::NEVER,
            },
            parts: content.extents,
            batch: own,
        };
        let put = self.try_put(bucket, key, &object).await;
        // What the disk holds after an engine's failure nobody knows: nothing is removed then.
        if let (Some(extent), Err(error)) = (&whole, &put)
            && !matches!(error, ObjectError::Internal(_))
        {
            self.contents.take_back(extent);
        }
        put
    }

    async fn try_put(
        &self,
        bucket: &Bucket,
        key: &ObjectKey,
        new: &Prepared,
    ) -> Result<Arc<ObjectVersion>, ObjectError> {
        let _alone = self.locks.lock(&Self::lock_key(bucket.entry.id, key)).await;
        for _ in 0..MAX_ATTEMPTS {
            let held = self.hold(bucket, key).await?;
            let current = held.current.as_ref().map(|row| &*row.version);
            new.conditions.check(current)?;
            let insertion = self.insertion(&held, new)?;
            let plan = Plan {
                batch: new.batch.clone(),
                ..Plan::new(new.cause.clone(), vec![Step::Insert(insertion)])
            };
            if let Some(made) = self.commit(key, &held, plan).await? {
                return one(made);
            }
        }
        Err(contended())
    }

    /// Do a write's conditions hold now? Asked before a body is read, so that what will be refused
    /// isn't stored first; the write asks again.
    ///
    /// # Errors
    /// As [`Objects::put`].
    pub async fn check_conditions(
        &self,
        bucket: &Bucket,
        key: &ObjectKey,
        conditions: &WriteConditions,
    ) -> Result<(), ObjectError> {
        if *conditions == WriteConditions::default() {
            return Ok(());
        }
        let current = self.find_any(bucket, key, None).await?;
        conditions.check(current.as_deref())
    }

    fn insertion(
        &self,
        held: &Held<E::Snapshot>,
        new: &Prepared,
    ) -> Result<Insertion, ObjectError> {
        let stamp = self.issue(held.latest());
        let made = stamp.last_modified();
        let settings = &held.bucket.settings;
        let mut object = new.object.clone();
        object.retention = retention_of_new(settings, object.retention, object.legal_hold, made)?;
        let version = ObjectVersion {
            stamp,
            is_null: settings.versioning != Versioning::Enabled,
            context: held.context(),
            owner: new.owner,
            state: State::Object(Box::new(object)),
            outcomes: Vec::new(),
            is_replica: false,
        };
        Ok(Insertion {
            version,
            parts: new.parts.clone(),
            how: new.how,
        })
    }
}

/// A new object as it will stand in its row, but for what its commit decides.
struct Prepared {
    owner: AccountId,
    how: Creation,
    cause: Cause,
    conditions: WriteConditions,
    object: ObjectData,
    parts: Vec<Extent>,
    batch: Batch,
}

fn count(parts: &[Extent]) -> Result<u32, ObjectError> {
    let count = u32::try_from(parts.len()).ok();
    count.ok_or(ObjectError::EntityTooLarge)
}

/// The one version that a change made.
pub(crate) fn one(made: Vec<Arc<ObjectVersion>>) -> Result<Arc<ObjectVersion>, ObjectError> {
    let mut made = made.into_iter();
    made.next()
        .ok_or_else(|| ObjectError::Internal("a change made no version".to_owned()))
}

/// Others changed the key each time.
pub(crate) fn contended() -> ObjectError {
    types::ConfigurationError::Conflict.into()
}
