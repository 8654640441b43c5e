//! Multipart uploads: begun, parts put one by one and listed, and completed into one version or
//! aborted. A part is a content of its own; completing moves no byte.

mod complete;

mod finish;
mod part;
#[cfg(test)]
mod races;
mod rows;
#[cfg(test)]
pub(crate) mod tests;
mod uploads;

pub use complete::{CompletedPart, Completion};
pub use part::copied_range;
pub use uploads::{PartListing, check_part_number, checksum_of};

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use types::{AccountId, Timestamp};

use crate::{
    Acl, Checksum, ChecksumAlgorithm, ChecksumKind, Encryption, Extent, Metadata, ObjectError,
    Retention, Stamp, VersionId,
};

/// The greatest number of a part (S3 User Guide, "Amazon S3 multipart upload limits").
pub const MOST_PARTS: u32 = 10_000;

/// The least size of a part that isn't the last, in bytes (the same).
pub const LEAST_PART: u64 = 5 * 1024 * 1024;

/// The greatest size of a part, in bytes (the same).
pub const GREATEST_PART: u64 = 5 * 1024 * 1024 * 1024;

/// The greatest size of an object, in bytes (the same: 50 TB since December 2025, 5 TB here).
pub const GREATEST_OBJECT: u64 = 5 * 1024 * 1024 * 1024 * 1024;

/// Which upload: the stamp of its beginning.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(transparent)]
pub struct UploadId(pub Stamp);

/// An upload under way: what its object will have.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Upload {
    /// The account that will own the object.
    pub owner: AccountId,
    /// Who began it: an ARN.
    pub initiator: String,
    /// The headers.
    pub metadata: Metadata,
    /// The storage class.
    pub storage_class: String,
    /// The tags.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub tags: BTreeMap<String, String>,
    /// The access control list.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub acl: Option<Acl>,
    /// The retention that was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retention: Option<Retention>,
    /// The legal hold that was asked for.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub legal_hold: bool,
    /// The checksum that parts and object have; none: CRC64NVME of the whole, which S3 keeps of
    /// every object and doesn't tell of parts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub checksum: Option<(ChecksumAlgorithm, ChecksumKind)>,
    /// How parts are encrypted.
    pub encryption: Encryption,
}

/// A part that has been put.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Part {
    /// Its bytes.
    pub extent: Extent,
    /// When it was put.
    pub last_modified: Timestamp,
}

/// An upload that ended: kept for a while. Whoever lost the answer to a completion and asks again
/// gets it; and what of its parts is left, if this Region was stopped half-way, is found by it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(crate) struct Ended {
    /// When.
    pub(crate) at: Timestamp,
    /// What it was completed to; none: it was aborted.
    pub(crate) completed: Option<Completed>,
}

/// What an upload was completed to.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Completed {
    /// The object's entity tag.
    pub etag: String,
    /// The object's checksum.
    pub checksum: Option<Checksum>,
    /// The version; none if another has taken its place since.
    #[serde(skip)]
    pub version: Option<VersionId>,
    /// How it is encrypted.
    pub encryption: Encryption,
}

impl UploadId {
    /// When it was begun.
    pub fn initiated(self) -> Timestamp {
        self.0.last_modified()
    }
}

impl FromStr for UploadId {
    type Err = ObjectError;

    fn from_str(text: &str) -> Result<UploadId, ObjectError> {
        match text.parse() {
            Ok(VersionId::Stamp(stamp)) => Ok(UploadId(stamp)),
            _ => Err(ObjectError::NoSuchUpload),
        }
    }
}

impl fmt::Display for UploadId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
