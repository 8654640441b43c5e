//! A DB cluster: what is asked of it. Its data are its head's, which one of its instances is; the
//! others are copies of that.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;

use serde::{Deserialize, Serialize};
use types::Timestamp;

use super::{ClusterId, Forced, ForkPoint, GlobalClusterId, Lsn, Master, ResourceId, Tags};
use crate::arn::ClusterArn;

/// That a cluster was made a member of a global cluster.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Joined {
    /// The global cluster, whatever its name is by now.
    pub id: GlobalClusterId,
    /// The revision of the council's configuration that made it a member: what an older one says
    /// of its membership says nothing.
    pub revision: u64,
}

/// A DB cluster: one row of its Region's configuration.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Cluster {
    /// What it is known by for good.
    pub resource_id: ClusterId,
    /// Its name, Region and account.
    pub arn: ClusterArn,
    /// The version of PostgreSQL: `15.14`.
    pub engine_version: String,
    /// When it was asked for.
    pub created: Timestamp,
    /// Its first user. The password's verifier is here until its head has it.
    pub master: Master,
    /// The database that its head is made with, beside `postgres`.
    pub database: Option<String>,
    /// The port of its endpoints: 1,150 to 65,535.
    pub port: u16,
    /// The address of its writer endpoint.
    pub writer_address: Ipv4Addr,
    /// The address of its reader endpoint.
    pub reader_address: Ipv4Addr,
    /// The name of its subnet group.
    pub subnet_group: String,
    /// The ids of its security groups, which describe and filter nothing.
    pub security_groups: Vec<String>,
    /// For how many days backups are kept: 1 to 35; described only.
    pub backup_retention: u8,
    /// `hh:mm-hh:mm`, in UTC.
    pub backup_window: String,
    /// `ddd:hh:mm-ddd:hh:mm`, in UTC.
    pub maintenance_window: String,
    /// Do its snapshots get its tags? Described only.
    pub copy_tags_to_snapshot: bool,
    /// Is it safe from `DeleteDBCluster`?
    pub deletion_protection: bool,
    /// Its tags.
    pub tags: Tags,
    /// The global cluster that it was made a member of, if any. Whether it still is one, the
    /// council's configuration says.
    pub joined: Option<Joined>,
    /// The name of its parameter group, if it was given one; none: the default one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parameter_group: Option<String>,
    /// Are its sessions' writes to be carried out by the writer of its global cluster, while that
    /// is another cluster?
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub write_forwarding: bool,
    /// Its first instance, once there is one: the one that writes, or that follows the writer of
    /// its global cluster.
    pub head: Option<ResourceId>,
    /// Its other instances, which follow its head; rows of format 1 have none.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub readers: BTreeSet<ResourceId>,
    /// How often its head's role was to go to another of its instances.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub handovers: u64,
    /// Its head's role on its way to one of its readers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub handover: Option<Handover>,
    /// Who was its head before, if it handed the role over.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub handed: Option<Handed>,
    /// How often it was made a writer by force; rows before format 3 never were.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub forcings: u64,
    /// It was made a writer by force, and that isn't settled yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub forced: Option<Forced>,
    /// Heads from which another took over while they were dead; rows before format 4 have none.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub deposed: BTreeMap<ResourceId, Deposed>,
}

fn is_zero(count: &u64) -> bool {
    *count == 0
}

/// The role of a cluster's head on its way to a reader, in a cluster that is in no global cluster.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Handover {
    /// The how manieth it is: tells it from any other of this cluster.
    pub number: u64,
    /// The reader that takes over.
    pub to: ResourceId,
    /// When it was asked for.
    pub asked: Timestamp,
    /// Where the head's log ends, once it has stopped in order.
    pub drained: Option<Lsn>,
    /// Did the reader ask for it, since the head was dead? Then nobody waits for the head's log.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_claimed: bool,
    /// Was it claimed since the head's server couldn't be started? Then the head isn't back before
    /// its server runs, whatever is remembered of its failures.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_unstartable: bool,
}

/// That a head has handed its role over.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Handed {
    /// Who was the head.
    pub from: ResourceId,
    /// Where its log ended, which is wholly a part of its successor's; `None`: it was dead, and
    /// its log may go on beyond where the successor's history began.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lsn: Option<Lsn>,
    /// Where the history of the successor of a dead head began, once that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fork: Option<ForkPoint>,
}

/// A head from which another took over while it was dead: its log may go on beyond where the
/// other's history began.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Deposed {
    /// The epoch that it led: what it holds as long as its row says so.
    pub epoch: u64,
    /// Where its successor's history began, once that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fork: Option<ForkPoint>,
}

impl Cluster {
    /// Did its head take over from a dead one, and isn't it known yet where its history begins?
    pub fn has_new_head(&self) -> bool {
        let handed = self.handed.as_ref();
        handed.is_some_and(|handed| handed.lsn.is_none() && handed.fork.is_none())
    }

    /// Is that one of its instances, and not its head?
    pub fn has_reader(&self, id: &ResourceId) -> bool {
        self.readers.contains(id)
    }

    /// All its instances, its head first.
    pub fn instances(&self) -> impl Iterator<Item = &ResourceId> {
        self.head.iter().chain(&self.readers)
    }
}

/// For what a head was, or was to be, promoted.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Leading {
    /// The epoch.
    pub epoch: u64,
    /// The number of the move, or of the forced failover ([`Forced::is_number`]); 0: it was made as
    /// the first writer.
    pub number: u64,
}

impl Leading {
    /// For nothing: it followed a writer further than its successor did, or, of a reader that was
    /// its member's head, may have. What it holds that others don't is that writer's, whose disk
    /// may be gone: it is kept like a writer's own.
    pub const NOTHING: Leading = Leading {
        epoch: 0,
        number: 0,
    };

    /// As [`Leading::NOTHING`], of a reader: it holds what no other may have kept.
    pub const BEYOND: Leading = Leading {
        epoch: 0,
        number: 1,
    };

    /// Is it for no epoch?
    pub fn is_for_nothing(self) -> bool {
        self.epoch == 0
    }
}

/// What an instance has that is a cluster's: its head, or one of its readers.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Headship {
    /// The cluster's resource id.
    pub cluster: ClusterId,
    /// The cluster's name.
    pub cluster_arn: ClusterArn,
    /// Its `PromotionTier`, 0 to 15: who takes over first.
    pub promotion_tier: u8,
    /// The epoch of the global cluster of whose history its data are a part; 0: of none yet. What
    /// it wrote itself since it was to lead comes on top.
    pub epoch: u64,
    /// For what it was, or was to be, promoted: its data may hold what no other's do. Written down
    /// before the promotion; gone once its data were made a part of another's history again. Of a
    /// reader: for what its head was, while it followed it.
    pub leads: Option<Leading>,
    /// Where the history begins that it was promoted to by force: written down before anyone was
    /// served on it. Unless the council made that an epoch ([`leads`](Self::leads)), what is there
    /// was acknowledged and is nowhere else.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub forced: Option<ForkPoint>,
}
