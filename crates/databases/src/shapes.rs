//! The shapes of instances, snapshots and groups in answers, as the API's model has them.

mod clusters;

use std::collections::BTreeSet;

use aws::xml::XmlWriter;
use types::calendar::{LAST_SECOND, SECONDS_PER_DAY, date_of};
use types::{AvailabilityZone, Timestamp, network};

use crate::engine::{AURORA, POSTGRES};
use crate::model::{
    Instance, OptionGroup, ParameterGroup, Power, Snapshot, SnapshotState, SubnetGroup,
};
use crate::parameters::InstanceParameters;
use crate::plan::{Duty, Wanted};
use crate::status::{self, Status};
use crate::tags;
use crate::view::Standing;

pub(crate) use clusters::{cluster, global_arn, global_cluster, moving_word};

/// RDS's licence of PostgreSQL.
pub(crate) const LICENCE: &str = "postgresql-license";

/// All that an instance's shape is made of.
pub(crate) struct Shown<'a> {
    /// The instance.
    pub(crate) instance: &'a Instance,
    /// Its subnet group.
    pub(crate) subnet_group: &'a SubnetGroup,
    /// Its settings.
    pub(crate) parameters: &'a InstanceParameters,
    /// How it stands.
    pub(crate) standing: Option<&'a Standing>,
    /// Its status.
    pub(crate) status: Status,
    /// The latest moment that it can be restored to.
    pub(crate) latest_restorable: Option<Timestamp>,
}

/// Writes a list of texts.
pub(crate) fn texts(
    writer: &mut XmlWriter,
    list: &'static str,
    member: &'static str,
    of: impl IntoIterator<Item: std::fmt::Display>,
) {
    writer.open(list);
    for text in of {
        writer.value(member, text);
    }
    writer.close();
}

/// Writes a `DBInstance`'s members.
pub(crate) fn instance(writer: &mut XmlWriter, shown: &Shown<'_>) {
    let instance = shown.instance;
    writer
        .value("DBInstanceIdentifier", &instance.arn.identifier)
        .value("DBInstanceClass", &instance.class)
        .value("Engine", engine(instance))
        .value("DBInstanceStatus", shown.status)
        .value("MasterUsername", &instance.master.username)
        .optional("DBName", instance.database.as_ref());
    // Nobody is told where it will be before it has been there.
    if instance.was_available() {
        writer
            .open("Endpoint")
            .value("Address", instance.address)
            .value("Port", instance.port)
            .close();
        writer.value("InstanceCreateTime", time(instance.created));
    }
    writer
        .value("AllocatedStorage", instance.allocated_storage)
        .value("PreferredBackupWindow", &instance.backup_window)
        .value("BackupRetentionPeriod", instance.backup_retention);
    groups(writer, shown);
    let standby = instance.standby.as_ref().filter(|it| it.is_ready);
    writer
        .value("AvailabilityZone", instance.zone)
        .optional("SecondaryAvailabilityZone", standby.map(|it| it.zone))
        .open("DBSubnetGroup");
    subnet_group(writer, shown.subnet_group);
    writer
        .close()
        .value("PreferredMaintenanceWindow", &instance.maintenance_window);
    pending(writer, instance);
    writer.optional("LatestRestorableTime", shown.latest_restorable.map(time));
    writer
        .value("MultiAZ", standby.is_some())
        .value("EngineVersion", &instance.engine_version)
        .value(
            "AutoMinorVersionUpgrade",
            instance.auto_minor_version_upgrade,
        );
    replication(writer, instance, shown.standing);
    writer
        .value("LicenseModel", LICENCE)
        .value("PubliclyAccessible", instance.publicly_accessible)
        .value("StorageType", instance.storage_type)
        .value("DbInstancePort", 0)
        .value("StorageEncrypted", false)
        .value("DbiResourceId", &instance.resource_id);
    if let Some(headship) = &instance.headship {
        writer
            .value("DBClusterIdentifier", &headship.cluster_arn.identifier)
            .value("PromotionTier", headship.promotion_tier);
    }
    writer
        .value("CopyTagsToSnapshot", instance.copy_tags_to_snapshot)
        .value("MonitoringInterval", 0)
        .value("DBInstanceArn", &instance.arn)
        .value("IAMDatabaseAuthenticationEnabled", false)
        .value("PerformanceInsightsEnabled", false)
        .value("DeletionProtection", instance.deletion_protection)
        .value("CustomerOwnedIpEnabled", false)
        .value("NetworkType", "IPV4")
        .value("BackupTarget", "region")
        .value("MultiTenant", false)
        .value("DedicatedLogVolume", false);
    tags::write(writer, &instance.tags);
}

/// The groups that an instance names.
fn groups(writer: &mut XmlWriter, shown: &Shown<'_>) {
    let instance = shown.instance;
    writer.open("VpcSecurityGroups");
    for group in &instance.security_groups {
        writer
            .open("VpcSecurityGroupMembership")
            .value("VpcSecurityGroupId", group)
            .value("Status", "active")
            .close();
    }
    writer.close().open("DBSecurityGroups").close();
    writer
        .open("DBParameterGroups")
        .open("DBParameterGroup")
        .value("DBParameterGroupName", &instance.parameter_group)
        .value("ParameterApplyStatus", apply_status(shown))
        .close()
        .close();
    writer
        .open("OptionGroupMemberships")
        .open("OptionGroupMembership")
        .value("OptionGroupName", &instance.option_group)
        .value("Status", "in-sync")
        .close()
        .close();
}

/// Has its server the settings that it is to have?
fn apply_status(shown: &Shown<'_>) -> &'static str {
    let observed = shown.standing.map(|standing| &standing.observed);
    let Some(server) = observed.and_then(|observed| observed.server.as_ref()) else {
        return "in-sync";
    };
    if !server.awaits_restart.is_empty() {
        return "pending-reboot";
    }
    let wanted = Wanted {
        instance: shown.instance.clone(),
        home: shown.instance.home().clone(),
        parameters: shown.parameters.values.clone(),
        at_restart: shown.parameters.at_restart.clone(),
        own_parameters: shown.parameters.values.clone(),
        snapshots: Vec::new(),
        duty: Duty::Alone,
        readers: BTreeSet::new(),
        is_new_head: false,
        writer_address: None,
        revision: 0,
        lease: None,
    };
    let differs = server.settings.parameters != wanted.parameters;
    match (wanted.reloaded(server).is_some(), differs) {
        (true, _) => "applying",
        (false, true) => "pending-reboot",
        (false, false) => "in-sync",
    }
}

fn pending(writer: &mut XmlWriter, instance: &Instance) {
    let pending = &instance.pending;
    writer
        .open("PendingModifiedValues")
        .optional("DBInstanceClass", pending.class.as_ref());
    if instance.master.applied < instance.master.asked {
        writer.value("MasterUserPassword", "****");
    }
    writer
        .optional("BackupRetentionPeriod", pending.backup_retention)
        .optional("MultiAZ", multi_az(instance))
        .close();
}

/// Is it to have a standby, or to have none any more, and hasn't come to that yet?
fn multi_az(instance: &Instance) -> Option<bool> {
    let standby = instance.standby.as_ref();
    match standby {
        Some(standby) if standby.is_leaving => Some(false),
        Some(standby) if !standby.is_ready => Some(true),
        _ => instance.pending.multi_az,
    }
}

fn replication(writer: &mut XmlWriter, instance: &Instance, standing: Option<&Standing>) {
    if let Some(source) = &instance.source {
        let name = match source.arn.region == instance.arn.region {
            true => source.arn.identifier.clone(),
            false => source.arn.to_string(),
        };
        writer.value("ReadReplicaSourceDBInstanceIdentifier", name);
    }
    let names = instance.replicas.values();
    let names = names.map(|replica| match replica.arn.region == instance.arn.region {
        true => replica.arn.identifier.clone(),
        false => replica.arn.to_string(),
    });
    let named: BTreeSet<String> = names.collect();
    texts(
        writer,
        "ReadReplicaDBInstanceIdentifiers",
        "ReadReplicaDBInstanceIdentifier",
        named,
    );
    let is_awake = instance.was_available() && instance.power == Power::Running;
    let Some(told) = status::replication(instance, standing).filter(|_| is_awake) else {
        return;
    };
    writer
        .open("StatusInfos")
        .open("DBInstanceStatusInfo")
        .value("StatusType", "read replication")
        .value("Normal", told.is_normal)
        .value("Status", told.word)
        .optional("Message", told.message)
        .close()
        .close();
}

/// RDS's name of an instance's engine.
pub(crate) fn engine(instance: &Instance) -> &'static str {
    match instance.headship {
        Some(_) => AURORA,
        None => POSTGRES,
    }
}

/// Writes a `DBSnapshot`'s members. `copied`: of one that is being copied, the bytes that are here.
pub(crate) fn snapshot(writer: &mut XmlWriter, snapshot: &Snapshot, copied: u64) {
    let region = snapshot.arn.region;
    let copy_of = snapshot.copy_of.as_ref();
    let percent = match (snapshot.state, copy_of) {
        (SnapshotState::Available | SnapshotState::Deleting, _) => 100,
        // All of it is only there once it was looked through.
        (SnapshotState::Copying, Some(of)) => (copied * 100 / of.bytes.max(1)).min(99),
        _ => 0,
    };
    // Told of a copy from another Region alone, as at RDS.
    let from_afar = copy_of.filter(|of| of.arn.region != region);
    let original = copy_of.map_or(snapshot.taken, |of| of.original.or(snapshot.taken));
    writer
        .value("DBSnapshotIdentifier", &snapshot.arn.identifier)
        .value("DBInstanceIdentifier", &snapshot.instance)
        .optional("SnapshotCreateTime", snapshot.taken.map(time))
        .value("Engine", POSTGRES)
        .value("AllocatedStorage", snapshot.allocated_storage)
        .value("Status", snapshot.state)
        .value("Port", snapshot.port)
        .value("AvailabilityZone", snapshot.zone)
        .value("VpcId", network::default_vpc(region))
        .value("InstanceCreateTime", time(snapshot.instance_created))
        .value("MasterUsername", &snapshot.master_username)
        .value("EngineVersion", &snapshot.engine_version)
        .value("LicenseModel", LICENCE)
        .value("SnapshotType", snapshot.kind())
        .value("OptionGroupName", &snapshot.option_group)
        .value("PercentProgress", percent)
        .optional("SourceRegion", from_afar.map(|of| of.arn.region))
        .optional(
            "SourceDBSnapshotIdentifier",
            from_afar.map(|of| of.arn.to_string()),
        )
        .value("StorageType", snapshot.storage_type)
        .value("Encrypted", false)
        .value("DBSnapshotArn", &snapshot.arn)
        .value("IAMDatabaseAuthenticationEnabled", false)
        .value("DbiResourceId", &snapshot.resource_id)
        .value("SnapshotTarget", "region")
        .optional("OriginalSnapshotCreateTime", original.map(time))
        .optional("SnapshotDatabaseTime", original.map(time))
        .value("MultiTenant", false)
        .value("DedicatedLogVolume", false);
    tags::write(writer, &snapshot.tags);
}

/// Writes a `DBSubnetGroup`'s members.
pub(crate) fn subnet_group(writer: &mut XmlWriter, group: &SubnetGroup) {
    writer
        .value("DBSubnetGroupName", &group.arn.name)
        .value("DBSubnetGroupDescription", &group.description)
        .value("VpcId", network::default_vpc(group.arn.region))
        .value("SubnetGroupStatus", "Complete")
        .open("Subnets");
    for zone in &group.zones {
        subnet(writer, *zone);
    }
    writer.close().value("DBSubnetGroupArn", &group.arn);
    texts(writer, "SupportedNetworkTypes", "member", ["IPV4"]);
}

fn subnet(writer: &mut XmlWriter, zone: AvailabilityZone) {
    writer
        .open("Subnet")
        .value("SubnetIdentifier", network::default_subnet(zone))
        .open("SubnetAvailabilityZone")
        .value("Name", zone)
        .close()
        .value("SubnetStatus", "Active")
        .close();
}

/// Writes a `DBParameterGroup`'s members.
pub(crate) fn parameter_group(writer: &mut XmlWriter, group: &ParameterGroup) {
    writer
        .value("DBParameterGroupName", &group.arn.name)
        .value("DBParameterGroupFamily", &group.family)
        .value("Description", &group.description)
        .value("DBParameterGroupArn", &group.arn);
}

/// Writes an `OptionGroup`'s members.
pub(crate) fn option_group(writer: &mut XmlWriter, group: &OptionGroup) {
    writer
        .value("OptionGroupName", &group.arn.name)
        .value("OptionGroupDescription", &group.description)
        .value("EngineName", POSTGRES)
        .value("MajorEngineVersion", &group.major_version)
        .open("Options")
        .close()
        .value("AllowsVpcAndNonVpcInstanceMemberships", true)
        .value("OptionGroupArn", &group.arn);
}

/// `2026-11-28T10:42:38.120Z`; what is later than the year 9999 is written as its last second.
pub(crate) fn time(at: Timestamp) -> String {
    let seconds = (at.0 / 1000).min(LAST_SECOND);
    let (year, month, day) = date_of(seconds / SECONDS_PER_DAY);
    let of_day = seconds % SECONDS_PER_DAY;
    let (hour, minute, second) = (of_day / 3600, of_day / 60 % 60, of_day % 60);
    let milliseconds = at.0 % 1000;
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{milliseconds:03}Z")
}
