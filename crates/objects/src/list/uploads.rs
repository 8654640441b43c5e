//! Listing uploads under way: `ListMultipartUploads`.

use std::ops::Bound;

use store::Snapshot;

use super::ListQuery;
use super::range::{After, Last, Walk, collect};
use crate::keys::{kind, of_version};
use crate::multipart::{Upload, UploadId};
use crate::{BucketId, ObjectError, ObjectKey, Stamp};

/// Where a listing of uploads goes on.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum UploadsAfter {
    /// After those keys.
    Keys(After),
    /// Within a key, with uploads begun after that one.
    Upload(ObjectKey, UploadId),
}

/// A page of uploads.
#[derive(Clone, PartialEq, Debug)]
pub struct UploadListing {
    /// The uploads: by key, the oldest first.
    pub uploads: Vec<ListedUpload>,
    /// The common prefixes, in order.
    pub prefixes: Vec<String>,
    /// Where the next page begins; none: this was the last one.
    pub next: Option<UploadsAfter>,
}

/// An upload of a listing.
#[derive(Clone, PartialEq, Debug)]
pub struct ListedUpload {
    /// What it is to become.
    pub key: ObjectKey,
    /// Its id.
    pub id: UploadId,
    /// The upload.
    pub upload: Upload,
}

/// A page of a bucket's uploads under way.
///
/// # Errors
/// The rows can't be read.
pub async fn list_uploads<S: Snapshot>(
    snapshot: &S,
    bucket: BucketId,
    query: &ListQuery<'_>,
    after: &UploadsAfter,
) -> Result<UploadListing, ObjectError> {
    let start = match after {
        UploadsAfter::Keys(after) => after.start(kind::UPLOAD, bucket),
        UploadsAfter::Upload(key, id) => {
            Bound::Excluded(of_version(kind::UPLOAD, bucket, key, id.0))
        }
    };
    let walk = Walk::new(snapshot, kind::UPLOAD, bucket, query.prefix, start);
    let page = collect(walk, query, |row| {
        let Some(stamp) = Stamp::from_bytes(&row.rest) else {
            return Err(ObjectError::Internal("an upload's row is malformed".into()));
        };
        Ok(Some(ListedUpload {
            key: row.key.clone(),
            id: UploadId(stamp),
            upload: Upload::decode(&row.value)?,
        }))
    });
    let page = page.await?;
    let next = page.last.map(|last| match (last, page.items.last()) {
        (Last::Row(key), Some(told)) => UploadsAfter::Upload(key, told.id),
        (Last::Row(key), None) => UploadsAfter::Keys(After::Key(key.as_str().to_owned())),
        (Last::Prefix(prefix), _) => UploadsAfter::Keys(After::Prefix(prefix)),
    });
    Ok(UploadListing {
        uploads: page.items,
        prefixes: page.prefixes,
        next,
    })
}
