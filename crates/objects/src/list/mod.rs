//! Listings: current objects, all versions, uploads under way. Each reads a range of rows of one
//! snapshot in the order of keys, groups by a delimiter, and seeks past a group once it has told
//! of it, so that a page costs what it holds and not what lies between. It changes nothing and
//! judges nobody.

mod current;
mod range;
#[cfg(test)]
pub(crate) mod tests;
mod uploads;
mod versions;

pub use current::{ObjectListing, list_current};
pub use range::After;
pub use uploads::{ListedUpload, UploadListing, UploadsAfter, list_uploads};
pub use versions::{ListedVersion, VersionListing, VersionsAfter, list_versions};

use store::Engine;

use crate::{Bucket, ObjectError, Objects};

/// Entries of a page at most, whatever the request asks for (S3 API Reference, `ListObjectsV2`,
/// `max-keys`; `ListMultipartUploads`, `max-uploads`; `ListParts`, `max-parts`).
pub const PAGE: usize = 1000;

/// What of a bucket is listed, and how much of it at once.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ListQuery<'a> {
    /// Only keys that begin with this; all if it is empty.
    pub prefix: &'a str,
    /// Keys that go on with the same characters up to this after the prefix are one entry, a
    /// common prefix; no grouping if it is empty.
    pub delimiter: &'a str,
    /// Entries at most, keys and common prefixes together; more than [`PAGE`] counts as that.
    pub limit: usize,
}

impl<'a> ListQuery<'a> {
    /// The common prefix that a key is told under; none if it is told itself.
    pub(crate) fn group<'k>(&self, key: &'k str) -> Option<&'k str> {
        if self.delimiter.is_empty() {
            return None;
        }
        let rest = key.strip_prefix(self.prefix)?;
        let at = rest.find(self.delimiter)?;
        Some(&key[..self.prefix.len() + at + self.delimiter.len()])
    }
}

impl<E: Engine> Objects<E> {
    /// A page of a bucket's current objects, in order of keys.
    ///
    /// # Errors
    /// The rows can't be read.
    pub async fn list_current(
        &self,
        bucket: &Bucket,
        query: &ListQuery<'_>,
        after: &After,
    ) -> Result<ObjectListing, ObjectError> {
        list_current(&self.engine.snapshot(), bucket.entry.id, query, after).await
    }

    /// A page of all of a bucket's versions and delete markers: by key, the newest first.
    ///
    /// # Errors
    /// The rows can't be read.
    pub async fn list_versions(
        &self,
        bucket: &Bucket,
        query: &ListQuery<'_>,
        after: &VersionsAfter,
    ) -> Result<VersionListing, ObjectError> {
        list_versions(&self.engine.snapshot(), bucket.entry.id, query, after).await
    }

    /// A page of a bucket's multipart uploads under way: by key, the oldest first.
    ///
    /// # Errors
    /// The rows can't be read.
    pub async fn list_uploads(
        &self,
        bucket: &Bucket,
        query: &ListQuery<'_>,
        after: &UploadsAfter,
    ) -> Result<UploadListing, ObjectError> {
        list_uploads(&self.engine.snapshot(), bucket.entry.id, query, after).await
    }
}
