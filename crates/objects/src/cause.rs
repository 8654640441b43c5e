//! Why and by whom a key is changed: what events tell of it and replication asks. It decides
//! nothing.

use crate::notify::Origin;
use crate::{Bucket, ObjectKey, ObjectVersion};

/// Who or what makes a change.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Cause {
    /// A request.
    Request(Origin),
    /// The bucket's lifecycle rules: never replicated.
    Lifecycle,
    /// Replication, in either direction.
    Replication,
}

/// How an object came to be.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Creation {
    /// `PutObject`.
    Put,
    /// A form's POST.
    Post,
    /// `CopyObject`.
    Copy,
    /// `CompleteMultipartUpload`.
    CompleteMultipartUpload,
    /// Replication.
    Replica,
}

/// What of a version was changed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Aspect {
    /// Its tags; empty now if `removed`.
    Tags {
        /// Were they deleted?
        removed: bool,
    },
    /// Its access control list.
    Acl,
    /// Its retention.
    Retention,
    /// Its legal hold.
    LegalHold,
    /// All of these, as another Region has them.
    Everything,
    /// How its replication stands; nothing that a reader sees otherwise.
    Outcomes,
}

/// A change of a key that is about to be committed, for those who tell others.
pub(crate) struct Change<'a> {
    /// In this bucket, with the settings that the commit relies on.
    pub(crate) bucket: &'a Bucket,
    /// Of this key.
    pub(crate) key: &'a ObjectKey,
    /// Made by whom.
    pub(crate) cause: &'a Cause,
    /// What it is.
    pub(crate) what: What<'a>,
}

/// What is changed.
pub(crate) enum What<'a> {
    /// A new version, object or delete marker.
    Created {
        /// The version; its outcomes may still be set.
        version: &'a mut ObjectVersion,
        /// How it came to be; of a delete marker meaningless.
        how: Creation,
    },
    /// A version's tags, access control list, lock or outcomes.
    Amended {
        /// As it will be; its outcomes may still be set.
        version: &'a mut ObjectVersion,
        /// What of it.
        aspect: Aspect,
    },
    /// A version is gone for good: deleted by its id, or overwritten as `null`.
    Removed {
        /// As it was.
        version: &'a ObjectVersion,
        /// Did another `null` version take its place?
        replaced: bool,
    },
}
