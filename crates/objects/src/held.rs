//! What a key holds, read under its lock: what a change of it is made from, and what the commit
//! demands to stand. It writes nothing.

use bytes::Bytes;
use store::{Direction, Engine, KeyRange, Snapshot, Space};
use types::{Context, Version};

use crate::find::{Row, find_row};
use crate::keys::{self, kind};
use crate::{Bucket, ObjectError, ObjectKey, Objects, Stamp, VersionId, Versioning};

/// Versions of a key deleted for good that a new one counts as seen: the newest.
const REMEMBERED: usize = 100;

/// What a key holds, read at one moment.
pub(crate) struct Held<S> {
    pub(crate) snapshot: S,
    /// The bucket with its settings of now, on which the change relies.
    pub(crate) bucket: Bucket,
    pub(crate) settings_row: Option<Bytes>,
    /// The current version.
    pub(crate) current: Option<Row>,
    /// What the key has seen that it doesn't hold any more.
    gone: Context,
}

impl<S> Held<S> {
    /// The greatest version that the key holds.
    pub(crate) fn latest(&self) -> Option<Version> {
        let current = self.current.as_ref();
        current.map(|row| row.version.stamp.version)
    }

    /// All that the key has seen.
    pub(crate) fn context(&self) -> Context {
        let mut context = self.gone.clone();
        if let Some(row) = &self.current {
            context.merge(&row.version.context);
            context.insert(row.version.stamp.version);
        }
        context
    }
}

impl<S: Snapshot> Held<S> {
    /// The key's `null` version.
    pub(crate) async fn null(&self, key: &ObjectKey) -> Result<Option<Row>, ObjectError> {
        match &self.current {
            Some(row) if row.version.is_null => Ok(Some(row.clone())),
            // A bucket that never kept versions has no others.
            None if self.bucket.settings.versioning == Versioning::Unversioned => Ok(None),
            _ => find_row(&self.snapshot, &self.bucket, key, Some(VersionId::Null)).await,
        }
    }
}

impl<E: Engine> Objects<E> {
    /// Reads what a key holds. The key's lock is held.
    ///
    /// # Errors
    /// `OperationAborted`: the bucket is being deleted; `NoSuchBucket`: it was.
    pub(crate) async fn hold(
        &self,
        bucket: &Bucket,
        key: &ObjectKey,
    ) -> Result<Held<E::Snapshot>, ObjectError> {
        let kept = self.open_settings(bucket)?;
        let snapshot = self.engine.snapshot();
        let current = find_row(&snapshot, bucket, key, None).await?;
        let gone = match &current {
            None if kept.settings.replication.is_some() => gone(&snapshot, bucket, key).await?,
            _ => Context::EMPTY,
        };
        Ok(Held {
            snapshot,
            bucket: Bucket {
                settings: kept.settings,
                ..bucket.clone()
            },
            settings_row: kept.row,
            current,
            gone,
        })
    }
}

/// What came to a key by replication and was deleted for good: the next version, which is to
/// travel, has seen it. What this Region made itself needs no such note: a Region's later version
/// has always seen its earlier ones.
async fn gone<S: Snapshot>(
    snapshot: &S,
    bucket: &Bucket,
    key: &ObjectKey,
) -> Result<Context, ObjectError> {
    let range = KeyRange::prefix(&keys::of_key(kind::GONE, bucket.entry.id, key));
    let page = snapshot.scan(Space::Objects, range, Direction::Backward, REMEMBERED);
    let mut context = Context::EMPTY;
    for entry in page.await?.entries {
        let stamp = keys::split(&entry.key).and_then(|(_, rest)| Stamp::from_bytes(rest));
        let stamp = stamp.ok_or_else(|| {
            ObjectError::Internal("a row of a deleted version is of none".to_owned())
        })?;
        context.insert(stamp.version);
    }
    Ok(context)
}
