//! Multipart uploads: begun, parts put one by one and listed, and completed into one version or
//! aborted. A part is a content of its own; completing moves no byte.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use types::{AccountId, Timestamp};

use crate::{
    Acl, ChecksumAlgorithm, ChecksumKind, Encryption, Extent, Metadata, ObjectError, Retention,
    Stamp, VersionId,
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
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub legal_hold: Option<bool>,
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

/// What an upload was completed to: kept for a while, so that whoever lost the answer and asks
/// again gets it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(crate) struct Completed {
    /// The object's entity tag.
    pub(crate) etag: String,
    /// The version; none: the bucket wasn't versioned.
    pub(crate) version: VersionId,
    /// When.
    pub(crate) at: Timestamp,
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

impl Upload {
    /// An upload as its row has it.
    pub(crate) fn read(value: &[u8]) -> Result<Upload, ObjectError> {
        serde_json::from_slice(value).map_err(|error| {
            ObjectError::Internal(format!("an upload's row is malformed: {error}"))
        })
    }
}
