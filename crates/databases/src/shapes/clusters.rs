//! The shapes of clusters and global clusters in answers, as the API's model has them.

use std::collections::BTreeSet;

use aws::xml::XmlWriter;
use types::{AccountId, AvailabilityZone};

use super::{texts, time};
use crate::arn::ClusterArn;
use crate::catalogue::Row;
use crate::engine::AURORA;
use crate::model::{Cluster, ClusterEndpoint, Forced, GlobalCluster, Instance, Move, MoveKind};
use crate::tags;

/// A global cluster's ARN, which has no Region.
pub(crate) fn global_arn(account: AccountId, identifier: &str) -> String {
    format!("arn:aws:rds::{account}:global-cluster:{identifier}")
}

/// Writes a `DBCluster`'s members.
pub(crate) fn cluster(
    writer: &mut XmlWriter,
    cluster: &Cluster,
    global: Option<&GlobalCluster>,
    (head, readers): (Option<&Instance>, &[Instance]),
    custom: &[Row<ClusterEndpoint>],
) {
    let status = cluster_status(cluster, global, head);
    let major = cluster.engine_version.split('.').next().unwrap_or_default();
    let default = format!("default.{AURORA}{major}");
    let is_writer = global.is_none_or(|row| row.writer.as_ref() == Some(&cluster.arn));
    let is_writer = is_writer || cluster.forced.is_some();
    writer.value("AllocatedStorage", 1);
    let zones = AvailabilityZone::of(cluster.arn.region).take(3);
    texts(writer, "AvailabilityZones", "AvailabilityZone", zones);
    writer
        .value("BackupRetentionPeriod", cluster.backup_retention)
        .optional("DatabaseName", cluster.database.as_ref())
        .value("DBClusterIdentifier", &cluster.arn.identifier)
        .value(
            "DBClusterParameterGroup",
            cluster.parameter_group.as_ref().unwrap_or(&default),
        )
        .value("DBSubnetGroup", &cluster.subnet_group)
        .value("Status", status)
        .value("Endpoint", cluster.writer_address)
        .value("ReaderEndpoint", cluster.reader_address);
    let custom = custom.iter().map(|(_, endpoint)| endpoint.address);
    texts(writer, "CustomEndpoints", "member", custom);
    let zones: BTreeSet<_> = head.into_iter().chain(readers).map(|it| it.zone).collect();
    writer
        .value("MultiAZ", zones.len() > 1)
        .value("Engine", AURORA)
        .value("EngineVersion", &cluster.engine_version)
        .value("Port", cluster.port)
        .value("MasterUsername", &cluster.master.username)
        .value("PreferredBackupWindow", &cluster.backup_window)
        .value("PreferredMaintenanceWindow", &cluster.maintenance_window);
    members(writer, is_writer, (head, readers));
    writer.open("VpcSecurityGroups");
    for group in &cluster.security_groups {
        writer
            .open("VpcSecurityGroupMembership")
            .value("VpcSecurityGroupId", group)
            .value("Status", "active")
            .close();
    }
    writer
        .close()
        .value("StorageEncrypted", false)
        .value("DbClusterResourceId", &cluster.resource_id)
        .value("DBClusterArn", &cluster.arn)
        .value("IAMDatabaseAuthenticationEnabled", false)
        .value("ClusterCreateTime", time(cluster.created))
        .value("EngineMode", "provisioned")
        .value("DeletionProtection", cluster.deletion_protection)
        .value("HttpEndpointEnabled", false)
        .value("CopyTagsToSnapshot", cluster.copy_tags_to_snapshot)
        .value("CrossAccountClone", false)
        .optional("GlobalClusterIdentifier", global.map(|row| &row.identifier))
        .value("GlobalWriteForwardingRequested", cluster.write_forwarding)
        .optional(
            "GlobalWriteForwardingStatus",
            global.map(|row| forwarding_word(cluster, row)),
        )
        .value("NetworkType", "IPV4");
    tags::write(writer, &cluster.tags);
}

/// Writes a `DBCluster`'s `DBClusterMembers`.
fn members(
    writer: &mut XmlWriter,
    is_writer: bool,
    (head, readers): (Option<&Instance>, &[Instance]),
) {
    writer.open("DBClusterMembers");
    let head = head.map(|head| (head, is_writer));
    let readers = readers.iter().map(|reader| (reader, false));
    for (member, writes) in head.into_iter().chain(readers) {
        let tier = member.headship.as_ref().map_or(1, |it| it.promotion_tier);
        writer
            .open("DBClusterMember")
            .value("DBInstanceIdentifier", &member.arn.identifier)
            .value("IsClusterWriter", writes)
            .value("DBClusterParameterGroupStatus", "in-sync")
            .value("PromotionTier", tier)
            .close();
    }
    writer.close();
}

/// A `DBCluster`'s `GlobalWriteForwardingStatus`: on its way as long as its own Region and the
/// global cluster don't say the same of it.
fn forwarding_word(cluster: &Cluster, global: &GlobalCluster) -> &'static str {
    let member = global.member(&cluster.arn);
    let is_let = member.is_some_and(|member| member.write_forwarding);
    match (cluster.write_forwarding, is_let) {
        (true, true) => "enabled",
        (true, false) => "enabling",
        (false, true) => "disabling",
        (false, false) => "disabled",
    }
}

/// A `DBCluster`'s `Status`.
fn cluster_status(
    cluster: &Cluster,
    global: Option<&GlobalCluster>,
    head: Option<&Instance>,
) -> &'static str {
    let moving = global.and_then(|row| row.moving.as_ref());
    let is_moving = |moving: &&Move| moving.from == cluster.arn || moving.to == cluster.arn;
    let has_failed = head.is_some_and(|head| head.failure.is_some());
    // As at AWS one whose instance is being made, or that has none, is available.
    match moving.filter(is_moving) {
        Some(moving) => moving_word(moving.kind),
        None if cluster.handover.is_some() || cluster.forced.is_some() => "failing-over",
        None if has_failed => "failed",
        None => "available",
    }
}

/// Writes a `GlobalCluster`'s members. `forced`: the member of this Region that takes over by
/// force, or has, if one does.
pub(crate) fn global_cluster(
    writer: &mut XmlWriter,
    row: &GlobalCluster,
    forced: Option<&(ClusterArn, Forced)>,
) {
    let moving = row.moving.as_ref();
    let moved = moving.map(|it| (it.kind, &it.from, &it.to));
    let moved = moved.or(forced.map(|(to, it)| (MoveKind::Failover, &it.from, to)));
    writer
        .value("GlobalClusterIdentifier", &row.identifier)
        .value("GlobalClusterResourceId", &row.resource_id)
        .value("GlobalClusterArn", global_arn(row.account, &row.identifier))
        .value(
            "Status",
            moved.map_or("available", |(kind, ..)| moving_word(kind)),
        )
        .value("Engine", AURORA)
        .value("EngineVersion", &row.engine_version)
        .optional("DatabaseName", row.database.as_ref())
        .value("StorageEncrypted", false)
        .value("DeletionProtection", row.deletion_protection)
        .value("Endpoint", row.endpoint())
        .open("GlobalClusterMembers");
    for member in row.members.values() {
        // As long as it isn't settled, both of them may write.
        let is_forced = forced.is_some_and(|(own, _)| *own == member.arn);
        let is_writer = row.writer.as_ref() == Some(&member.arn);
        writer
            .open("GlobalClusterMember")
            .value("DBClusterArn", &member.arn);
        let others = row
            .members
            .values()
            .filter(|it| is_writer && it.arn != member.arn);
        texts(writer, "Readers", "member", others.map(|it| &it.arn));
        let forwards = match member.write_forwarding {
            true => "enabled",
            false => "disabled",
        };
        writer
            .value("IsWriter", is_writer || is_forced)
            .value("GlobalWriteForwardingStatus", forwards);
        // As its own Region said last: the others can't see more.
        let is_there = member
            .head
            .as_ref()
            .is_some_and(|head| head.epoch == row.epoch);
        let word = if is_there {
            "connected"
        } else {
            "pending-resync"
        };
        writer.value("SynchronizationStatus", word).close();
    }
    writer.close();
    if let Some((kind, from, to)) = moved {
        writer
            .open("FailoverState")
            .value("Status", moving_word(kind))
            .value("FromDbClusterArn", from)
            .value("ToDbClusterArn", to)
            .value("IsDataLossAllowed", kind == MoveKind::Failover)
            .close();
    }
    tags::write(writer, &row.tags);
}

/// What a cluster's role on its way is called, if it is.
pub(crate) fn moving_word(kind: MoveKind) -> &'static str {
    match kind {
        MoveKind::Switchover => "switching-over",
        MoveKind::Failover => "failing-over",
    }
}
