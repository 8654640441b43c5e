//! A DB instance: what is asked of it, and how far it has come.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use serde::{Deserialize, Serialize};
use types::{AvailabilityZone, Timestamp};

use super::{Headship, PointInTime, ResourceId, SnapshotId, Standby, Tags, Verifier};
use crate::arn::InstanceArn;
use crate::words::words;

words! {
    /// What the storage is said to be. Nothing follows from it here.
    pub enum StorageType {
        /// General purpose, of the second generation.
        Gp2 = "gp2",
        /// General purpose, of the third generation.
        Gp3 = "gp3",
    }
}

words! {
    /// Shall its server run?
    pub enum Power {
        /// It shall.
        Running = "running",
        /// It shall not.
        Stopped = "stopped",
    }
}

words! {
    /// What asked for the latest generation of an instance's server: it decides what its status is
    /// called until that generation has settled.
    pub enum Cause {
        /// It is made.
        Create = "create",
        /// `StartDBInstance`.
        Start = "start",
        /// `StopDBInstance`.
        Stop = "stop",
        /// `RebootDBInstance`.
        Reboot = "reboot",
        /// A change of its class or port.
        Modify = "modify",
    }
}

/// How an instance's home comes to be.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Origin {
    /// Empty.
    New,
    /// As a copy of the instance that it replicates, or once replicated.
    Replica,
    /// From a snapshot.
    Snapshot(SnapshotId),
    /// As another instance was at a moment, from its automated backups.
    PointInTime(PointInTime),
}

/// The user that an instance is made with.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Master {
    /// Its name: a letter, then letters, digits and `_`; 63 at most.
    pub username: String,
    /// Its password's verifier until the server has it, and no longer.
    pub verifier: Option<Verifier>,
    /// How many passwords were asked for.
    pub asked: u64,
    /// How many of those the server has had: after a crash one may be set twice, but never an old
    /// one over what the user has set since.
    pub applied: u64,
}

/// The instance that a replica replicates.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Source {
    /// Its name.
    pub arn: InstanceArn,
    /// Its resource id, which tells it from one that has its name later.
    pub resource_id: ResourceId,
    /// The replication slot that it keeps for this replica.
    pub slot: String,
    /// The least values of settings that a standby of it may have, as they were when the replica
    /// was made: PostgreSQL refuses to follow with less.
    pub floors: BTreeMap<String, u64>,
}

/// `PromoteReadReplica` was asked for, and isn't done yet.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Promotion {
    /// When.
    pub asked: Timestamp,
}

/// A replica as its source knows it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Replica {
    /// Its name.
    pub arn: InstanceArn,
    /// Its resource id.
    pub resource_id: ResourceId,
    /// The slot that is kept for it.
    pub slot: String,
}

/// `DeleteDBInstance` was asked for.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Deletion {
    /// When.
    pub asked: Timestamp,
    /// The snapshot that is taken first.
    pub final_snapshot: Option<SnapshotId>,
    /// Do its automated backups stay as long as they would have?
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub keeps_backups: bool,
}

/// A source is to be told that a replica of it is gone, or stands alone: a row until the source's
/// Region has heard it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Farewell {
    /// The source.
    pub source: InstanceArn,
    /// The source's resource id, if it is known yet.
    pub source_id: Option<ResourceId>,
    /// The replica.
    pub replica: InstanceArn,
    /// The replica's resource id.
    pub replica_id: ResourceId,
    /// Not to be told before: until then the replica may still be in the making.
    pub after: Timestamp,
}

/// What was asked for and waits for the maintenance window, or for a reboot.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Pending {
    /// Another class.
    pub class: Option<String>,
    /// Another retention of backups, in days, where it begins or ends them.
    pub backup_retention: Option<u8>,
    /// To have a standby in another zone, or to have none any more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub multi_az: Option<bool>,
}

impl Pending {
    /// Does nothing wait?
    pub fn is_empty(&self) -> bool {
        *self == Pending::default()
    }
}

/// A DB instance: one row of its Region's configuration.
///
/// Every request that needs its server to start anew, or to stop, counts `generation` up. A running
/// server is of the generation that it was started for, so what is left to do is seen by comparing
/// the two, whatever died in between.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Instance {
    /// What it is known by for good.
    pub resource_id: ResourceId,
    /// Its name, Region and account.
    pub arn: InstanceArn,
    /// The version of PostgreSQL: `15.14`.
    pub engine_version: String,
    /// Its class: `db.t3.micro`.
    pub class: String,
    /// Its storage in GiB, as it is described; nothing bounds it but the disk.
    pub allocated_storage: u32,
    /// What its storage is said to be.
    pub storage_type: StorageType,
    /// When it was asked for.
    pub created: Timestamp,
    /// Where its primary is.
    pub zone: AvailabilityZone,
    /// The address of its endpoint.
    pub address: Ipv4Addr,
    /// The port of its endpoint: 1,150 to 65,535.
    pub port: u16,
    /// Its first user.
    pub master: Master,
    /// The database that it is made with, beside `postgres`.
    pub database: Option<String>,
    /// The name of its subnet group.
    pub subnet_group: String,
    /// The ids of its security groups, which describe and filter nothing.
    pub security_groups: Vec<String>,
    /// The name of its parameter group.
    pub parameter_group: String,
    /// The generation in which it was given that group: it is in force from the next one on.
    pub parameter_group_since: u64,
    /// The name of its option group.
    pub option_group: String,
    /// For how many days backups are kept: 0 to 35. 0 also means that nothing can replicate it, as
    /// at AWS.
    pub backup_retention: u8,
    /// `hh:mm-hh:mm`, in UTC.
    pub backup_window: String,
    /// `ddd:hh:mm-ddd:hh:mm`, in UTC.
    pub maintenance_window: String,
    /// Described only.
    pub auto_minor_version_upgrade: bool,
    /// Described only.
    pub publicly_accessible: bool,
    /// Do its snapshots get its tags?
    pub copy_tags_to_snapshot: bool,
    /// Is it safe from `DeleteDBInstance`?
    pub deletion_protection: bool,
    /// Its tags.
    pub tags: Tags,
    /// How its home comes to be.
    pub origin: Origin,
    /// The instance that it replicates, until it is promoted.
    pub source: Option<Source>,
    /// Its promotion, once asked for.
    pub promotion: Option<Promotion>,
    /// The replicas that it has, by their resource ids.
    pub replicas: BTreeMap<String, Replica>,
    /// Shall its server run?
    pub power: Power,
    /// How often its server was asked to start anew or to stop; 1 when it is made.
    pub generation: u64,
    /// What asked for the latest generation.
    pub cause: Cause,
    /// The latest generation that was reached; 0: it has never been available.
    pub settled: u64,
    /// What waits for the maintenance window.
    pub pending: Pending,
    /// Its deletion, once asked for.
    pub deletion: Option<Deletion>,
    /// Why it can't be, and only be deleted.
    pub failure: Option<String>,
    /// The cluster whose head it is; rows of format 1 have none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub headship: Option<Headship>,
    /// The home that its primary is in, once a standby took over; rows before format 3, and those
    /// whose primary is in the first home, have none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub home: Option<ResourceId>,
    /// Its standby in another zone; rows before format 3 have none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub standby: Option<Standby>,
}

impl Instance {
    /// Has it ever been available?
    pub fn was_available(&self) -> bool {
        self.settled > 0
    }

    /// Is it a replica, and not about to be one no more?
    pub fn follows(&self) -> Option<&Source> {
        self.source.as_ref().filter(|_| self.promotion.is_none())
    }

    /// What the home that its primary is in is known by: the first one by its own resource id.
    pub fn home(&self) -> &ResourceId {
        self.home.as_ref().unwrap_or(&self.resource_id)
    }

    /// Where a home of it is; `None`: it has no such home.
    pub fn zone_of(&self, home: &ResourceId) -> Option<AvailabilityZone> {
        let standby = self.standby.as_ref();
        let standby = standby.filter(|standby| standby.home == *home);
        match standby {
            Some(standby) => Some(standby.zone),
            None => (self.home() == home).then_some(self.zone),
        }
    }

    /// Asks for a new generation of its server.
    pub fn renew(&mut self, cause: Cause) {
        self.generation += 1;
        self.cause = cause;
    }
}
