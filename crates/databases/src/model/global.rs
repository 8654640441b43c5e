//! A global cluster: its members, which of them writes, and the move of that role from one to
//! another. It is one row of the council's configuration, so every change of it is one decision of
//! a majority of sites; every phase of a move is one conditional edit.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use serde::{Deserialize, Serialize};
use types::{AccountId, Timestamp};

use super::{Cluster, ClusterId, ForkPoint, GlobalClusterId, Lsn, ResourceId, Tags};
use crate::arn::{ClusterArn, InstanceArn};

/// How many forks a row remembers. What a member wrote that was away for longer can't be told from
/// what it shares with the others: all that its log still holds is kept.
pub(crate) const MAX_FORKS: usize = 64;

/// What the names of global writer endpoints end with.
pub const GLOBAL_DOMAIN: &str = "global.rds.amazonaws.com";

/// A member's head, as the others must know it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Head {
    /// Its name.
    pub arn: InstanceArn,
    /// Its resource id: what its stream is asked for by.
    pub resource_id: ResourceId,
    /// Its class: `db.t3.micro`.
    pub class: String,
    /// The least values of settings that a standby of it may have.
    pub floors: BTreeMap<String, u64>,
    /// The epoch of whose history its data were last seen to be a part, 0 before they first were.
    /// Less than the row's: it is still to be brought there.
    pub epoch: u64,
    /// The address of its cluster's writer endpoint: what the global writer endpoint's name stands
    /// for while it writes. Rows of format 1 have none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub writer_address: Option<Ipv4Addr>,
}

/// A cluster that is a member.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Member {
    /// The cluster's name.
    pub arn: ClusterArn,
    /// The cluster's resource id.
    pub resource_id: ClusterId,
    /// Its head, once it has one.
    pub head: Option<Head>,
    /// May its Region have its sessions' writes carried out by the cluster that writes?
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub write_forwarding: bool,
}

/// Where the history of an epoch begins.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Fork {
    /// The epoch.
    pub epoch: u64,
    /// Whose head wrote it.
    pub writer: ClusterArn,
    /// Its timeline, and where that left the epoch's before.
    pub point: ForkPoint,
    /// Has the writer completed a checkpoint on it? Nobody is rewound to it before.
    pub is_checkpointed: bool,
    /// The number of the move that made it: one that came to nothing may have been for the same
    /// epoch. Rows of format 2 don't say it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub number: Option<u64>,
}

/// What asked for a move.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum MoveKind {
    /// A switchover: nothing is lost.
    Switchover,
    /// A failover, by leave to lose what hadn't crossed.
    Failover,
}

/// How far a move is.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Phase {
    /// Switchover: the old writer closes and stops in order.
    Draining,
    /// Switchover: it has, and this is where its log ends.
    Drained {
        /// The end.
        lsn: Lsn,
    },
    /// Failover: the old writer closes and stops, or its lease runs out.
    Fencing,
    /// Failover: the old writer has stopped.
    Fenced,
    /// The old writer serves nobody; the new one is promoted.
    Promoting,
}

/// The writer's role on its way.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Move {
    /// The how manieth move it is: tells it from any other of this global cluster.
    pub number: u64,
    /// What asked for it.
    pub kind: MoveKind,
    /// The writer that it is taken from.
    pub from: ClusterArn,
    /// The member that it goes to.
    pub to: ClusterArn,
    /// When it was asked for.
    pub asked: Timestamp,
    /// How far it is.
    pub phase: Phase,
}

/// A global cluster: one row of the council's configuration.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct GlobalCluster {
    /// What it is known by for good.
    pub resource_id: GlobalClusterId,
    /// Whose it is.
    pub account: AccountId,
    /// Its `GlobalClusterIdentifier`, in small letters.
    pub identifier: String,
    /// The version of PostgreSQL: `15.14`.
    pub engine_version: String,
    /// The database that its first head is made with, beside `postgres`.
    pub database: Option<String>,
    /// Is it safe from `DeleteGlobalCluster`?
    pub deletion_protection: bool,
    /// Its tags.
    pub tags: Tags,
    /// When it was asked for.
    pub created: Timestamp,
    /// The first user of all its members.
    pub master_username: Option<String>,
    /// Its members, by the text of their ARNs.
    pub members: BTreeMap<String, Member>,
    /// The member that writes, once there is one.
    pub writer: Option<ClusterArn>,
    /// Counted up with each change of the writer; 1 with the first.
    pub epoch: u64,
    /// How many moves there have been.
    pub moves: u64,
    /// The writer's role on its way.
    pub moving: Option<Move>,
    /// Where the histories of the last epochs begin, oldest first; of the first there is none.
    pub forks: Vec<Fork>,
}

impl GlobalCluster {
    /// The member of that name.
    pub fn member(&self, arn: &ClusterArn) -> Option<&Member> {
        self.members.get(&arn.to_string())
    }

    /// Takes a cluster in as a member, whose head is still to say what it has.
    pub(crate) fn add_member(&mut self, cluster: &Cluster) {
        let member = Member {
            arn: cluster.arn.clone(),
            resource_id: cluster.resource_id.clone(),
            head: None,
            write_forwarding: cluster.write_forwarding,
        };
        self.members.insert(cluster.arn.to_string(), member);
    }

    /// Has the writer's role be on its way from one member to another, in its first phase, whatever
    /// move was under way.
    pub(crate) fn begin_move(
        &mut self,
        kind: MoveKind,
        (from, to): (ClusterArn, ClusterArn),
        asked: Timestamp,
    ) {
        self.moves += 1;
        self.moving = Some(Move {
            number: self.moves,
            kind,
            from,
            to,
            asked,
            phase: match kind {
                MoveKind::Switchover => Phase::Draining,
                MoveKind::Failover => Phase::Fencing,
            },
        });
    }

    /// The writer's head, if it has one.
    pub fn writing_head(&self) -> Option<&Head> {
        self.member(self.writer.as_ref()?)?.head.as_ref()
    }

    /// Its `Endpoint`, the global writer endpoint: a name that leads to the cluster that writes, in
    /// the pattern of Aurora's. It stays the same for good.
    pub fn endpoint(&self) -> String {
        let id = self.resource_id.0.to_ascii_lowercase();
        let id = id.strip_prefix("cluster-").unwrap_or(&id);
        format!("{}.global-{id}.{GLOBAL_DOMAIN}", self.identifier)
    }

    /// The address that its global writer endpoint stands for: of the cluster that writes, also
    /// while the role is on its way from it. `None`: nobody writes yet.
    pub fn writer_address(&self) -> Option<Ipv4Addr> {
        self.writing_head()?.writer_address
    }

    /// Does the row name that cluster the writer, with no move that takes the role away? Only then
    /// may its writer endpoint serve, and only while the lease is held that is as new as this row.
    pub fn lets_write(&self, arn: &ClusterArn) -> bool {
        self.writer.as_ref() == Some(arn) && self.moving.is_none()
    }

    /// Is the instance of that resource id the head of a member of that account's or any other?
    pub fn has_head(&self, id: &ResourceId) -> bool {
        let mut heads = self.members.values().filter_map(|it| it.head.as_ref());
        heads.any(|head| head.resource_id == *id)
    }

    /// The forks after an epoch, oldest first; `None`: not all of them are remembered, so nobody
    /// can tell what of that epoch's history still stands.
    pub fn forks_after(&self, epoch: u64) -> Option<&[Fork]> {
        // The first epoch has none.
        let count = usize::try_from(self.epoch.checked_sub(epoch.max(1))?).ok()?;
        let first = self.forks.len().checked_sub(count)?;
        Some(&self.forks[first..])
    }

    /// How far the history of an epoch is a part of the latest one's; `None`: wholly, it is the
    /// latest. Nothing says so of an epoch that is forgotten.
    pub fn stands_until(&self, epoch: u64) -> Option<Lsn> {
        let after = self.forks_after(epoch)?;
        after.iter().map(|fork| fork.point.lsn).min()
    }
}
