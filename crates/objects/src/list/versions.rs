//! Listing all versions and delete markers: `ListObjectVersions`.

use std::ops::Bound;

use bytes::Bytes;
use store::{Snapshot, Space};

use super::ListQuery;
use super::range::{After, Last, Row, Walk, collect};
use crate::keys::{kind, of_key, version};
use crate::{BucketId, ObjectError, ObjectKey, ObjectVersion, Stamp, VersionId};

/// Where a listing of versions goes on.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum VersionsAfter {
    /// After those keys.
    Keys(After),
    /// Within a key, with what is older than that version of it.
    Version(ObjectKey, VersionId),
}

/// A page of versions.
#[derive(Clone, PartialEq, Debug)]
pub struct VersionListing {
    /// Versions and delete markers: by key, the newest first.
    pub versions: Vec<ListedVersion>,
    /// The common prefixes, in order.
    pub prefixes: Vec<String>,
    /// Where the next page begins; none: this was the last one.
    pub next: Option<VersionsAfter>,
}

/// A version of a listing.
#[derive(Clone, PartialEq, Debug)]
pub struct ListedVersion {
    /// Its key.
    pub key: ObjectKey,
    /// The version.
    pub version: ObjectVersion,
    /// Is it the current one of its key?
    pub is_latest: bool,
}

/// A page of a bucket's versions.
///
/// # Errors
/// The rows can't be read.
pub async fn list_versions<S: Snapshot>(
    snapshot: &S,
    bucket: BucketId,
    query: &ListQuery<'_>,
    after: &VersionsAfter,
) -> Result<VersionListing, ObjectError> {
    let (start, mut key_of_latest) = match after {
        VersionsAfter::Keys(after) => (after.start(kind::VERSION, bucket), None),
        VersionsAfter::Version(key, id) => within(snapshot, bucket, key, *id).await?,
    };
    let walk = Walk::new(snapshot, kind::VERSION, bucket, query.prefix, start);
    let page = collect(walk, query, |row: &Row| {
        let version = ObjectVersion::decode(&row.value)?;
        let is_latest = key_of_latest.as_ref() != Some(&row.key);
        if is_latest {
            key_of_latest = Some(row.key.clone());
        }
        Ok(Some(ListedVersion {
            key: row.key.clone(),
            version,
            is_latest,
        }))
    });
    let page = page.await?;
    let next = page.last.map(|last| match (last, page.items.last()) {
        (Last::Row(key), Some(told)) => VersionsAfter::Version(key, told.version.id()),
        (Last::Row(key), None) => VersionsAfter::Keys(After::Key(key.as_str().to_owned())),
        (Last::Prefix(prefix), _) => VersionsAfter::Keys(After::Prefix(prefix)),
    });
    Ok(VersionListing {
        versions: page.items,
        prefixes: page.prefixes,
        next,
    })
}

/// Where what is older than that version of the key begins, and the key if its latest version is
/// among what stands before. A `null` version that is gone leaves no trace of its age: the key is
/// told anew, so that nothing of it is left out.
async fn within<S: Snapshot>(
    snapshot: &S,
    bucket: BucketId,
    key: &ObjectKey,
    id: VersionId,
) -> Result<(Bound<Bytes>, Option<ObjectKey>), ObjectError> {
    let stamp = match id {
        VersionId::Stamp(stamp) => Some(stamp),
        VersionId::Null => {
            let row = of_key(kind::NULL, bucket, key);
            let pointer = snapshot.get(Space::Objects, &row).await?;
            pointer.as_deref().and_then(Stamp::from_bytes)
        }
    };
    let Some(stamp) = stamp else {
        let start = of_key(kind::VERSION, bucket, key).freeze();
        return Ok((Bound::Included(start), None));
    };
    let start = Bound::Excluded(version(bucket, key, stamp));
    let row = of_key(kind::CURRENT, bucket, key);
    let current = snapshot.get(Space::Objects, &row).await?;
    let latest = current.as_deref().map(ObjectVersion::decode).transpose()?;
    let told = latest.is_some_and(|latest| latest.stamp >= stamp);
    Ok((start, told.then(|| key.clone())))
}
