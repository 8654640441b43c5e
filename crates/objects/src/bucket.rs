//! What is known of a bucket: its entry in the global configuration, which makes its name unique,
//! and its settings, which its Region alone keeps.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize};
use types::{AccountId, Region, Timestamp};

use crate::{Acl, BucketId, BucketName, LockMode};

/// A bucket's entry in the global configuration, `objects/bucket/NAME`, in JSON.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct BucketEntry {
    /// Which bucket of that name.
    pub id: BucketId,
    /// Whose it is.
    pub owner: AccountId,
    /// Where it is.
    pub region: Region,
    /// When it was made.
    pub created: Timestamp,
    /// Made with object lock?
    #[serde(default)]
    pub object_lock: bool,
}

/// A bucket of this Region as a request finds it.
#[derive(Clone, Debug)]
pub struct Bucket {
    /// Its name.
    pub name: BucketName,
    /// Its entry.
    pub entry: BucketEntry,
    /// Its settings as of now.
    pub settings: Arc<BucketSettings>,
}

/// A bucket's settings: one row of the Region's database, in JSON. What a field's configuration
/// can hold beyond what is typed here is refused when it is set.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct BucketSettings {
    /// Are versions kept?
    #[serde(default)]
    pub versioning: Versioning,
    /// Its policy: the document as `Authorizer::bind_policy` gave it.
    #[serde(default)]
    pub policy: Option<String>,
    /// What of public access is blocked; none: the configuration was deleted.
    #[serde(default)]
    pub public_access_block: Option<PublicAccessBlock>,
    /// Who owns what others put; none: the controls were deleted.
    #[serde(default)]
    pub ownership: Option<ObjectOwnership>,
    /// Its access control list; none: `private`.
    #[serde(default)]
    pub acl: Option<Acl>,
    /// Its tags.
    #[serde(default)]
    pub tags: BTreeMap<String, String>,
    /// Object lock's default, if object lock is enabled: `Some(None)` is enabled without one.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "present"
    )]
    pub object_lock: Option<Option<LockDefault>>,
    /// Its replication configuration.
    #[serde(default)]
    pub replication: Option<crate::rules::ReplicationConfiguration>,
    /// Its lifecycle rules.
    #[serde(default)]
    pub lifecycle: Option<crate::lifecycle::LifecycleConfiguration>,
    /// Its CORS rules.
    #[serde(default)]
    pub cors: Option<crate::cors::CorsConfiguration>,
    /// Where events go.
    #[serde(default)]
    pub notification: Option<crate::notify::NotificationConfiguration>,
    /// Does its requester pay? Kept and told; nobody is billed.
    #[serde(default)]
    pub requester_pays: bool,
}

/// Are versions kept?
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub enum Versioning {
    /// Never were.
    #[default]
    Unversioned,
    /// Yes.
    Enabled,
    /// Not of what is written now.
    Suspended,
}

/// What of public access is blocked (S3 User Guide, "Blocking public access").
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(default)]
#[derive(Default)]
pub struct PublicAccessBlock {
    /// Refuses public access control lists.
    pub block_public_acls: bool,
    /// Ignores public access control lists.
    pub ignore_public_acls: bool,
    /// Refuses public policies.
    pub block_public_policy: bool,
    /// Restricts access under a public policy to the owner's account and services.
    pub restrict_public_buckets: bool,
}

/// Who owns what others put into a bucket.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum ObjectOwnership {
    /// The bucket's owner; access control lists are disabled.
    BucketOwnerEnforced,
    /// The bucket's owner, of what is put with `bucket-owner-full-control`.
    BucketOwnerPreferred,
    /// Who put it.
    ObjectWriter,
}

/// A grant of an access control list.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Grant {
    /// To whom.
    pub grantee: Grantee,
    /// What.
    pub permission: Permission,
}

/// Whom a grant is to.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Grantee {
    /// An account, by its canonical user id ([`crate::canonical_id`]).
    Account(AccountId),
    /// Everyone.
    AllUsers,
    /// Everyone with an account.
    AuthenticatedUsers,
    /// Log delivery.
    LogDelivery,
}

/// What a grant allows.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Permission {
    /// All of them.
    FullControl,
    /// Put and delete objects.
    Write,
    /// Write the access control list.
    WriteAcp,
    /// List, or get the object.
    Read,
    /// Read the access control list.
    ReadAcp,
}

/// How long new versions are locked unless their writer says otherwise.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct LockDefault {
    /// How strictly.
    pub mode: LockMode,
    /// How many days; years are 365.
    pub days: u32,
    /// Was it given in years? It is told back so.
    pub in_years: bool,
}

impl BucketSettings {
    /// Those of a new bucket: not versioned, closed to the public, access control lists disabled
    /// (S3 User Guide, "Default settings for new buckets", since April 2023).
    pub fn new(object_lock: bool) -> BucketSettings {
        BucketSettings {
            versioning: match object_lock {
                true => Versioning::Enabled,
                false => Versioning::Unversioned,
            },
            policy: None,
            public_access_block: Some(PublicAccessBlock {
                block_public_acls: true,
                ignore_public_acls: true,
                block_public_policy: true,
                restrict_public_buckets: true,
            }),
            ownership: Some(ObjectOwnership::BucketOwnerEnforced),
            acl: None,
            tags: BTreeMap::new(),
            object_lock: object_lock.then_some(None),
            replication: None,
            lifecycle: None,
            cors: None,
            notification: None,
            requester_pays: false,
        }
    }
}

/// A member that is there: `null` is a value of it, other than its absence.
fn present<'de, D: Deserializer<'de>, T: Deserialize<'de>>(
    deserializer: D,
) -> Result<Option<T>, D::Error> {
    T::deserialize(deserializer).map(Some)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn object_lock_stays_enabled_with_and_without_a_default() {
        let default = LockDefault {
            mode: LockMode::Governance,
            days: 365,
            in_years: true,
        };
        for object_lock in [None, Some(None), Some(Some(default))] {
            let settings = BucketSettings {
                object_lock,
                ..BucketSettings::new(false)
            };
            let stored = serde_json::to_vec(&settings).unwrap();
            let read: BucketSettings = serde_json::from_slice(&stored).unwrap();
            assert_eq!(read, settings);
        }
    }
}
