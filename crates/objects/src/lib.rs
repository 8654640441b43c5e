//! S3: buckets, versions of objects, their bytes, and Cross-Region Replication.
//!
//! It knows neither HTTP nor the link: `s3` speaks the protocol, `region` carries what is to be
//! replicated. It opens no socket and reads no clock (but for what a library needs that signs its
//! requests, in `blob::remote`); the only files that it opens are those of the bytes, in `blob`.

mod amend;
mod amended;
pub mod blob;
mod bucket;
mod buckets;
mod canonical;
mod cause;
mod commit;
mod conditions;
pub mod content;
pub mod cors;
mod delete;
mod error;
mod find;
mod held;
mod import;
pub mod keys;
pub mod lifecycle;
pub mod list;
mod lock;
pub mod multipart;
mod names;
pub mod notify;
mod open;
mod removal;
pub mod replication;
pub mod row;
pub mod rules;
pub mod scrub;
mod service;
mod settings;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
mod version;
mod write;

pub use amend::Amendment;
pub use amended::Amended;
pub use bucket::{
    Bucket, BucketEntry, BucketSettings, Grant, Grantee, LockDefault, ObjectOwnership, Permission,
    PublicAccessBlock, Versioning,
};
pub use buckets::{BucketPage, NewBucket};
pub use canonical::{canonical_account, canonical_id};
pub use cause::{Aspect, Cause, Creation};
pub use conditions::{EtagMatch, ReadConditions, WriteConditions};
pub use delete::{DeleteOptions, Deleted};
pub use error::ObjectError;
pub use import::{Import, Imported};
pub use lock::LONGEST_DEFAULT_RETENTION;
pub use names::{
    BucketId, BucketName, InvalidBucketName, InvalidKey, InvalidVersionId, LONGEST_KEY, ObjectKey,
    Stamp, VersionId,
};
pub use service::{BucketFacts, Objects, ObjectsConfig, Peers, RoleRefusal, Roles, Unreachable};
pub use version::{
    Acl, Checksum, ChecksumAlgorithm, ChecksumKind, Content, Encryption, Extent, LockMode,
    Metadata, ObjectData, ObjectVersion, ReplicationStatus, Retention, RuleOutcome, State,
};
pub use write::{NewContent, NewObject, NewParts};
