//! A snapshot of an instance: one that was asked for, one that was taken by itself, or a copy.

use serde::{Deserialize, Serialize};
use types::{AvailabilityZone, Timestamp};

use super::{ResourceId, SnapshotId, StorageType, Tags};
use crate::arn::SnapshotArn;
use crate::words::words;

words! {
    /// How far a snapshot has come.
    pub enum SnapshotState {
        /// It is to be taken.
        Creating = "creating",
        /// It is a copy of another, which is being fetched.
        Copying = "copying",
        /// It is whole.
        Available = "available",
        /// It could not be taken.
        Failed = "failed",
        /// It is to be removed.
        Deleting = "deleting",
    }
}

/// What a snapshot is a copy of.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct CopyOf {
    /// The other's name; its Region may be another.
    pub arn: SnapshotArn,
    /// What tells it from one that has its name later.
    pub id: SnapshotId,
    /// Its bytes.
    pub bytes: u64,
    /// When the first one was whole, of which all these are copies.
    pub original: Option<Timestamp>,
}

/// A snapshot: one row. It outlives its instance.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Snapshot {
    /// What it is known by for good.
    pub id: SnapshotId,
    /// Its name, Region and account.
    pub arn: SnapshotArn,
    /// Of which instance.
    pub resource_id: ResourceId,
    /// The instance's name.
    pub instance: String,
    /// When the instance was made.
    pub instance_created: Timestamp,
    /// When it was asked for.
    pub asked: Timestamp,
    /// When it was whole.
    pub taken: Option<Timestamp>,
    /// How far it has come.
    pub state: SnapshotState,
    /// Why it could not be taken.
    pub failure: Option<String>,
    /// Its bytes, once it is whole.
    pub bytes: u64,
    /// The version of PostgreSQL that wrote it.
    pub engine_version: String,
    /// The class of the instance.
    pub class: String,
    /// The instance's storage in GiB.
    pub allocated_storage: u32,
    /// What that storage was said to be.
    pub storage_type: StorageType,
    /// Where the instance was.
    pub zone: AvailabilityZone,
    /// The instance's port.
    pub port: u16,
    /// The instance's first user.
    pub master_username: String,
    /// The database that the instance was made with.
    pub database: Option<String>,
    /// The instance's option group.
    pub option_group: String,
    /// The instance's parameter group.
    pub parameter_group: String,
    /// Its tags.
    pub tags: Tags,
    /// What it is a copy of; rows of format 1 are none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub copy_of: Option<CopyOf>,
    /// Was it taken by itself, as a backup, and goes when its time is over? Rows of format 1 were
    /// asked for.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub automated: bool,
}

impl Snapshot {
    /// RDS's `SnapshotType`.
    pub fn kind(&self) -> &'static str {
        match self.automated {
            true => "automated",
            false => "manual",
        }
    }
}
