//! A DB cluster: what is asked of it. Its data are its one instance's, its head's.

use std::net::Ipv4Addr;

use serde::{Deserialize, Serialize};
use types::Timestamp;

use super::{ClusterId, GlobalClusterId, Master, ResourceId, Tags};
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
    /// Its one instance, once there is one.
    pub head: Option<ResourceId>,
}

/// For what a head was, or was to be, promoted.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Leading {
    /// The epoch.
    pub epoch: u64,
    /// The number of the move; 0: it was made as the first writer.
    pub number: u64,
}

impl Leading {
    /// For nothing: it followed a writer further than its successor did. What it holds that others
    /// don't is that writer's, whose disk may be gone: it is kept like a writer's own.
    pub const NOTHING: Leading = Leading {
        epoch: 0,
        number: 0,
    };
}

/// What an instance has that is a cluster's head.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Headship {
    /// The cluster's resource id.
    pub cluster: ClusterId,
    /// The cluster's name.
    pub cluster_arn: ClusterArn,
    /// Its `PromotionTier`, 0 to 15; described only.
    pub promotion_tier: u8,
    /// The epoch of the global cluster of whose history its data are a part; 0: of none yet. What
    /// it wrote itself since it was to lead comes on top.
    pub epoch: u64,
    /// For what it was, or was to be, promoted: its data may hold what no other's do. Written down
    /// before the promotion; gone once its data were made a part of another's history again.
    pub leads: Option<Leading>,
}
