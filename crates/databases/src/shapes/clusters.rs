//! The shapes of clusters and global clusters in answers, as the API's model has them.

use aws::xml::XmlWriter;
use types::{AccountId, AvailabilityZone};

use super::{texts, time};
use crate::engine::AURORA;
use crate::model::{Cluster, GlobalCluster, Instance, Move, MoveKind};
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
    head: Option<&Instance>,
) {
    let status = cluster_status(cluster, global, head);
    let major = cluster.engine_version.split('.').next().unwrap_or_default();
    let is_writer = global.is_none_or(|row| row.writer.as_ref() == Some(&cluster.arn));
    writer.value("AllocatedStorage", 1);
    let zones = AvailabilityZone::of(cluster.arn.region).take(3);
    texts(writer, "AvailabilityZones", "AvailabilityZone", zones);
    writer
        .value("BackupRetentionPeriod", cluster.backup_retention)
        .optional("DatabaseName", cluster.database.as_ref())
        .value("DBClusterIdentifier", &cluster.arn.identifier)
        .value(
            "DBClusterParameterGroup",
            format_args!("default.{AURORA}{major}"),
        )
        .value("DBSubnetGroup", &cluster.subnet_group)
        .value("Status", status)
        .value("Endpoint", cluster.writer_address)
        .value("ReaderEndpoint", cluster.reader_address)
        .value("MultiAZ", false)
        .value("Engine", AURORA)
        .value("EngineVersion", &cluster.engine_version)
        .value("Port", cluster.port)
        .value("MasterUsername", &cluster.master.username)
        .value("PreferredBackupWindow", &cluster.backup_window)
        .value("PreferredMaintenanceWindow", &cluster.maintenance_window);
    writer.open("DBClusterMembers");
    if let Some(head) = head {
        let tier = head.headship.as_ref().map_or(1, |it| it.promotion_tier);
        writer
            .open("DBClusterMember")
            .value("DBInstanceIdentifier", &head.arn.identifier)
            .value("IsClusterWriter", is_writer)
            .value("DBClusterParameterGroupStatus", "in-sync")
            .value("PromotionTier", tier)
            .close();
    }
    writer.close().open("VpcSecurityGroups");
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
        .value("NetworkType", "IPV4");
    tags::write(writer, &cluster.tags);
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
        None if has_failed => "failed",
        None => "available",
    }
}

/// Writes a `GlobalCluster`'s members. Its global writer endpoint isn't built, so there is none.
pub(crate) fn global_cluster(writer: &mut XmlWriter, row: &GlobalCluster) {
    let moving = row.moving.as_ref();
    writer
        .value("GlobalClusterIdentifier", &row.identifier)
        .value("GlobalClusterResourceId", &row.resource_id)
        .value("GlobalClusterArn", global_arn(row.account, &row.identifier))
        .value(
            "Status",
            moving.map_or("available", |it| moving_word(it.kind)),
        )
        .value("Engine", AURORA)
        .value("EngineVersion", &row.engine_version)
        .optional("DatabaseName", row.database.as_ref())
        .value("StorageEncrypted", false)
        .value("DeletionProtection", row.deletion_protection)
        .open("GlobalClusterMembers");
    for member in row.members.values() {
        let is_writer = row.writer.as_ref() == Some(&member.arn);
        writer
            .open("GlobalClusterMember")
            .value("DBClusterArn", &member.arn);
        let others = row
            .members
            .values()
            .filter(|it| is_writer && it.arn != member.arn);
        texts(writer, "Readers", "member", others.map(|it| &it.arn));
        writer
            .value("IsWriter", is_writer)
            .value("GlobalWriteForwardingStatus", "disabled");
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
    if let Some(moving) = moving {
        writer
            .open("FailoverState")
            .value("Status", moving_word(moving.kind))
            .value("FromDbClusterArn", &moving.from)
            .value("ToDbClusterArn", &moving.to)
            .value("IsDataLossAllowed", moving.kind == MoveKind::Failover)
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
