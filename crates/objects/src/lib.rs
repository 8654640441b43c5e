//! S3: buckets, versions of objects, their bytes, and Cross-Region Replication.
//!
//! It knows neither HTTP nor the link: `s3` speaks the protocol, `region` carries what is to be
//! replicated. It opens no socket and reads no clock; the only files that it opens are those of
//! the bytes, in `blob`.

pub mod blob;
mod bucket;
pub mod content;
pub mod cors;
mod error;
pub mod keys;
pub mod lifecycle;
pub mod list;
pub mod multipart;
mod names;
pub mod notify;
pub mod rules;
mod service;
mod version;

pub use bucket::{
    Bucket, BucketEntry, BucketSettings, Grant, Grantee, LockDefault, ObjectOwnership, Permission,
    PublicAccessBlock, Versioning,
};
pub use error::ObjectError;
pub use names::{
    BucketId, BucketName, InvalidBucketName, InvalidKey, InvalidVersionId, LONGEST_KEY, ObjectKey,
    Stamp, VersionId,
};
pub use service::{BucketFacts, Objects, ObjectsConfig, Peers, RoleRefusal, Roles, Unreachable};
pub use version::{
    Acl, Checksum, ChecksumAlgorithm, ChecksumKind, Content, Encryption, Extent, LockMode,
    Metadata, ObjectData, ObjectVersion, ReplicationStatus, Retention, RuleOutcome, State,
};
