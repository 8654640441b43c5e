//! Listing current objects: `ListObjects` and `ListObjectsV2`. Keys whose current version is a
//! delete marker aren't there.

use store::Snapshot;

use super::ListQuery;
use super::range::{After, Last, Walk, collect};
use crate::keys::kind;
use crate::row::is_delete_marker;
use crate::{BucketId, ObjectError, ObjectKey, ObjectVersion};

/// A page of current objects.
#[derive(Clone, PartialEq, Debug)]
pub struct ObjectListing {
    /// The objects, in order of keys.
    pub objects: Vec<(ObjectKey, ObjectVersion)>,
    /// The common prefixes, in order.
    pub prefixes: Vec<String>,
    /// Where the next page begins; none: this was the last one.
    pub next: Option<After>,
}

/// A page of a bucket's current objects.
///
/// # Errors
/// The rows can't be read.
pub async fn list_current<S: Snapshot>(
    snapshot: &S,
    bucket: BucketId,
    query: &ListQuery<'_>,
    after: &After,
) -> Result<ObjectListing, ObjectError> {
    let start = after.start(kind::CURRENT, bucket);
    let walk = Walk::new(snapshot, kind::CURRENT, bucket, query.prefix, start);
    let page = collect(walk, query, |row| {
        if is_delete_marker(&row.value) {
            return Ok(None);
        }
        let version = ObjectVersion::decode(&row.value)?;
        Ok(Some((row.key.clone(), version)))
    });
    let page = page.await?;
    Ok(ObjectListing {
        objects: page.items,
        prefixes: page.prefixes,
        next: page.last.map(|last| match last {
            Last::Row(key) => After::Key(key.as_str().to_owned()),
            Last::Prefix(prefix) => After::Prefix(prefix),
        }),
    })
}
