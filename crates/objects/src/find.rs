//! Versions are found. What a reader may see of a delete marker is S3's affair of two answers: of
//! the current version "no such key", of one that is named "not allowed" (S3 User Guide, "Working
//! with delete markers").

use std::sync::Arc;

use bytes::Bytes;
use store::{Direction, Engine, KeyRange, Snapshot, Space};

use crate::keys::{self, kind};
use crate::{Bucket, ObjectError, ObjectKey, ObjectVersion, Objects, Stamp, VersionId};

/// A version's row as it was read.
#[derive(Clone, Debug)]
pub(crate) struct Row {
    pub(crate) bytes: Bytes,
    pub(crate) version: Arc<ObjectVersion>,
}

impl<E: Engine> Objects<E> {
    /// The object of that version, or the current one.
    ///
    /// # Errors
    /// `NoSuchKey`, `NoSuchVersion`, `MethodNotAllowed`.
    pub async fn find(
        &self,
        bucket: &Bucket,
        key: &ObjectKey,
        id: Option<VersionId>,
    ) -> Result<Arc<ObjectVersion>, ObjectError> {
        find_object(&self.engine.snapshot(), bucket, key, id).await
    }

    /// The version of that id, or the current one, delete markers too; none if there is none.
    ///
    /// # Errors
    /// `Internal`: it can't be read.
    pub async fn find_any(
        &self,
        bucket: &Bucket,
        key: &ObjectKey,
        id: Option<VersionId>,
    ) -> Result<Option<Arc<ObjectVersion>>, ObjectError> {
        let found = find_row(&self.engine.snapshot(), bucket, key, id).await?;
        Ok(found.map(|row| row.version))
    }
}

async fn find_object<S: Snapshot>(
    snapshot: &S,
    bucket: &Bucket,
    key: &ObjectKey,
    id: Option<VersionId>,
) -> Result<Arc<ObjectVersion>, ObjectError> {
    let found = find_row(snapshot, bucket, key, id).await?;
    seen(found.map(|row| row.version), id)
}

/// What a reader sees of what was found by that id.
///
/// # Errors
/// As [`Objects::find`].
pub(crate) fn seen(
    found: Option<Arc<ObjectVersion>>,
    id: Option<VersionId>,
) -> Result<Arc<ObjectVersion>, ObjectError> {
    match (found, id) {
        (None, None) => Err(ObjectError::NoSuchKey {
            delete_marker: None,
        }),
        (None, Some(_)) => Err(ObjectError::NoSuchVersion),
        (Some(version), None) if version.is_delete_marker() => Err(ObjectError::NoSuchKey {
            delete_marker: Some(version.id().to_string()),
        }),
        (Some(version), Some(_)) if version.is_delete_marker() => {
            Err(ObjectError::MethodNotAllowed {
                delete_marker: version.id().to_string(),
            })
        }
        (Some(version), _) => Ok(version),
    }
}

/// The version of that id, or the current one. Of the current one the context is all that the key
/// has seen, itself included.
pub(crate) async fn find_row<S: Snapshot>(
    snapshot: &S,
    bucket: &Bucket,
    key: &ObjectKey,
    id: Option<VersionId>,
) -> Result<Option<Row>, ObjectError> {
    let bucket = bucket.entry.id;
    let row = match id {
        None => keys::of_key(kind::CURRENT, bucket, key).freeze(),
        Some(VersionId::Stamp(stamp)) => keys::version(bucket, key, stamp),
        Some(VersionId::Null) => {
            let pointer = keys::of_key(kind::NULL, bucket, key);
            match snapshot.get(Space::Objects, &pointer).await? {
                Some(bytes) => keys::version(bucket, key, stamp(&bytes)?),
                None => return Ok(None),
            }
        }
    };
    let Some(bytes) = snapshot.get(Space::Objects, &row).await? else {
        return Ok(None);
    };
    let version = ObjectVersion::decode(&bytes)?;
    // A `null` version is found as such alone: its stamp is nobody's id.
    if matches!(id, Some(VersionId::Stamp(_))) && version.is_null {
        return Ok(None);
    }
    Ok(Some(Row {
        bytes,
        version: Arc::new(version),
    }))
}

/// The newest version of a key that isn't one of these.
pub(crate) async fn newest_but<S: Snapshot>(
    snapshot: &S,
    bucket: &Bucket,
    key: &ObjectKey,
    except: &[Stamp],
) -> Result<Option<Row>, ObjectError> {
    let range = KeyRange::prefix(&keys::of_key(kind::VERSION, bucket.entry.id, key));
    let limit = except.len() + 1;
    let page = snapshot.scan(Space::Objects, range, Direction::Forward, limit);
    for entry in page.await?.entries {
        let version = ObjectVersion::decode(&entry.value)?;
        if !except.contains(&version.stamp) {
            return Ok(Some(Row {
                bytes: entry.value,
                version: Arc::new(version),
            }));
        }
    }
    Ok(None)
}

/// The stamp that a pointer's row holds.
pub(crate) fn stamp(bytes: &[u8]) -> Result<Stamp, ObjectError> {
    let read = Stamp::from_bytes(bytes);
    read.ok_or_else(|| ObjectError::Internal("a key's null pointer can't be read".to_owned()))
}
