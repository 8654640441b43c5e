//! Every operation of RDS's published model (API version 2014-10-31), built or not, in the order of
//! their names: what each is done to, and what carries it out. Not built are proxies, exports of
//! snapshots, snapshots of clusters, copies of their parameter groups, and all that is for other
//! engines.
//!
//! To build one more: its function under `operations/`, its row here, its test.

use std::pin::Pin;

use aws::Operation;
use aws::access::Access;
use aws::query::Reply;

use crate::access::{
    Resources, automated_backup, cluster, cluster_endpoint, cluster_parameter_group,
    copied_snapshot, everything, global_cluster, instance, option_group, parameter_group, replica,
    restored, snapshot, subnet_group, tagged,
};
use crate::error::DatabasesError;
use crate::operations::{
    automated_backups, cluster_deletion, cluster_endpoints, cluster_parameter_groups, clusters,
    copy, descriptions, events, failover, global_clusters, instances, modify, option_groups,
    parameter_groups, parameters, point_in_time, power, replicas, restore, snapshot_attributes,
    snapshots, subnet_groups, tags,
};
use crate::request::DatabasesRequest;
use crate::service::Service;

/// What an operation is on its way to.
type Answer<'a> = Pin<Box<dyn Future<Output = Result<Reply, DatabasesError>> + Send + 'a>>;

/// What carries an operation out.
pub(crate) type Handler = for<'a> fn(&'a Service, &'a DatabasesRequest<'a>) -> Answer<'a>;

/// One row of the table.
pub(crate) type Row = Operation<Handler, Resources>;

/// A row: the operation's name, the function of `access` that finds what it is done to, and the
/// function of `operations` that carries it out, if it is built.
macro_rules! row {
    ($name:literal, $find:ident) => {
        row!(@ $name, $find, None)
    };
    ($name:literal, $find:ident, $module:ident::$function:ident) => {
        row!(@ $name, $find, Some(|service, request| {
            Box::pin($module::$function(service, request))
        }))
    };
    (@ $name:literal, $find:ident, $handler:expr) => {
        Operation {
            name: $name,
            access: Access::Judged {
                action: concat!("rds:", $name),
                resources: $find,
            },
            handler: $handler,
        }
    };
}

pub(crate) const OPERATIONS: &[Row] = &[
    row!("AddRoleToDBCluster", everything),
    row!("AddRoleToDBInstance", everything),
    row!("AddSourceIdentifierToSubscription", everything),
    row!("AddTagsToResource", tagged, tags::add),
    row!("ApplyPendingMaintenanceAction", everything),
    row!("AuthorizeDBSecurityGroupIngress", everything),
    row!("BacktrackDBCluster", everything),
    row!("CancelExportTask", everything),
    row!("CopyDBClusterParameterGroup", everything),
    row!("CopyDBClusterSnapshot", everything),
    row!("CopyDBParameterGroup", everything),
    row!("CopyDBSnapshot", copied_snapshot, copy::copy),
    row!("CopyOptionGroup", everything),
    row!("CreateBlueGreenDeployment", everything),
    row!("CreateCustomDBEngineVersion", everything),
    row!("CreateDBCluster", cluster, clusters::create),
    row!(
        "CreateDBClusterEndpoint",
        cluster_endpoint,
        cluster_endpoints::create
    ),
    row!(
        "CreateDBClusterParameterGroup",
        cluster_parameter_group,
        cluster_parameter_groups::create
    ),
    row!("CreateDBClusterSnapshot", everything),
    row!("CreateDBInstance", instance, instances::create),
    row!("CreateDBInstanceReadReplica", replica, replicas::create),
    row!(
        "CreateDBParameterGroup",
        parameter_group,
        parameter_groups::create
    ),
    row!("CreateDBProxy", everything),
    row!("CreateDBProxyEndpoint", everything),
    row!("CreateDBSecurityGroup", everything),
    row!("CreateDBShardGroup", everything),
    row!("CreateDBSnapshot", snapshot, snapshots::create),
    row!("CreateDBSubnetGroup", subnet_group, subnet_groups::create),
    row!("CreateEventSubscription", everything),
    row!(
        "CreateGlobalCluster",
        global_cluster,
        global_clusters::create
    ),
    row!("CreateIntegration", everything),
    row!("CreateOptionGroup", option_group, option_groups::create),
    row!("CreateTenantDatabase", everything),
    row!("DeleteBlueGreenDeployment", everything),
    row!("DeleteCustomDBEngineVersion", everything),
    row!("DeleteDBCluster", cluster, cluster_deletion::delete),
    row!("DeleteDBClusterAutomatedBackup", everything),
    row!(
        "DeleteDBClusterEndpoint",
        cluster_endpoint,
        cluster_endpoints::delete
    ),
    row!(
        "DeleteDBClusterParameterGroup",
        cluster_parameter_group,
        cluster_parameter_groups::delete
    ),
    row!("DeleteDBClusterSnapshot", everything),
    row!("DeleteDBInstance", instance, instances::delete),
    row!(
        "DeleteDBInstanceAutomatedBackup",
        automated_backup,
        automated_backups::delete
    ),
    row!(
        "DeleteDBParameterGroup",
        parameter_group,
        parameter_groups::delete
    ),
    row!("DeleteDBProxy", everything),
    row!("DeleteDBProxyEndpoint", everything),
    row!("DeleteDBSecurityGroup", everything),
    row!("DeleteDBShardGroup", everything),
    row!("DeleteDBSnapshot", snapshot, snapshots::delete),
    row!("DeleteDBSubnetGroup", subnet_group, subnet_groups::delete),
    row!("DeleteEventSubscription", everything),
    row!(
        "DeleteGlobalCluster",
        global_cluster,
        global_clusters::delete
    ),
    row!("DeleteIntegration", everything),
    row!("DeleteOptionGroup", option_group, option_groups::delete),
    row!("DeleteTenantDatabase", everything),
    row!("DeregisterDBProxyTargets", everything),
    row!(
        "DescribeAccountAttributes",
        everything,
        descriptions::account_attributes
    ),
    row!("DescribeBlueGreenDeployments", everything),
    row!(
        "DescribeCertificates",
        everything,
        descriptions::certificates
    ),
    row!("DescribeDBClusterAutomatedBackups", everything),
    row!("DescribeDBClusterBacktracks", everything),
    row!(
        "DescribeDBClusterEndpoints",
        cluster_endpoint,
        cluster_endpoints::describe
    ),
    row!(
        "DescribeDBClusterParameterGroups",
        cluster_parameter_group,
        cluster_parameter_groups::describe
    ),
    row!(
        "DescribeDBClusterParameters",
        cluster_parameter_group,
        cluster_parameter_groups::parameters
    ),
    row!("DescribeDBClusterSnapshotAttributes", everything),
    row!("DescribeDBClusterSnapshots", everything),
    row!("DescribeDBClusters", cluster, clusters::describe),
    row!(
        "DescribeDBEngineVersions",
        everything,
        descriptions::engine_versions
    ),
    row!(
        "DescribeDBInstanceAutomatedBackups",
        everything,
        automated_backups::describe
    ),
    row!("DescribeDBInstances", instance, instances::describe),
    row!("DescribeDBLogFiles", everything),
    row!("DescribeDBMajorEngineVersions", everything),
    row!(
        "DescribeDBParameterGroups",
        parameter_group,
        parameter_groups::describe
    ),
    row!(
        "DescribeDBParameters",
        parameter_group,
        parameters::describe
    ),
    row!("DescribeDBProxies", everything),
    row!("DescribeDBProxyEndpoints", everything),
    row!("DescribeDBProxyTargetGroups", everything),
    row!("DescribeDBProxyTargets", everything),
    row!("DescribeDBRecommendations", everything),
    row!("DescribeDBSecurityGroups", everything),
    row!("DescribeDBShardGroups", everything),
    row!(
        "DescribeDBSnapshotAttributes",
        snapshot,
        snapshot_attributes::describe
    ),
    row!("DescribeDBSnapshotTenantDatabases", everything),
    row!("DescribeDBSnapshots", snapshot, snapshots::describe),
    row!(
        "DescribeDBSubnetGroups",
        subnet_group,
        subnet_groups::describe
    ),
    row!("DescribeEngineDefaultClusterParameters", everything),
    row!("DescribeEngineDefaultParameters", everything),
    row!(
        "DescribeEventCategories",
        everything,
        events::describe_categories
    ),
    row!("DescribeEventSubscriptions", everything),
    row!("DescribeEvents", everything, events::describe),
    row!("DescribeExportTasks", everything),
    row!(
        "DescribeGlobalClusters",
        global_cluster,
        global_clusters::describe
    ),
    row!("DescribeIntegrations", everything),
    row!("DescribeOptionGroupOptions", everything),
    row!(
        "DescribeOptionGroups",
        option_group,
        option_groups::describe
    ),
    row!(
        "DescribeOrderableDBInstanceOptions",
        everything,
        descriptions::orderable
    ),
    row!(
        "DescribePendingMaintenanceActions",
        everything,
        descriptions::pending_maintenance
    ),
    row!("DescribeReservedDBInstances", everything),
    row!("DescribeReservedDBInstancesOfferings", everything),
    row!("DescribeServerlessV2PlatformVersions", everything),
    row!("DescribeSourceRegions", everything),
    row!("DescribeTenantDatabases", everything),
    row!("DescribeValidDBInstanceModifications", everything),
    row!("DisableHttpEndpoint", everything),
    row!("DownloadDBLogFilePortion", everything),
    row!("EnableHttpEndpoint", everything),
    row!("FailoverDBCluster", cluster, failover::fail_over),
    row!(
        "FailoverGlobalCluster",
        global_cluster,
        global_clusters::fail_over
    ),
    row!("ListTagsForResource", tagged, tags::list_tags),
    row!("ModifyActivityStream", everything),
    row!("ModifyCertificates", everything),
    row!("ModifyCurrentDBClusterCapacity", everything),
    row!("ModifyCustomDBEngineVersion", everything),
    row!("ModifyDBCluster", cluster, clusters::modify),
    row!(
        "ModifyDBClusterEndpoint",
        cluster_endpoint,
        cluster_endpoints::modify
    ),
    row!(
        "ModifyDBClusterParameterGroup",
        cluster_parameter_group,
        cluster_parameter_groups::modify
    ),
    row!("ModifyDBClusterSnapshotAttribute", everything),
    row!("ModifyDBInstance", instance, modify::modify),
    row!(
        "ModifyDBParameterGroup",
        parameter_group,
        parameter_groups::modify
    ),
    row!("ModifyDBProxy", everything),
    row!("ModifyDBProxyEndpoint", everything),
    row!("ModifyDBProxyTargetGroup", everything),
    row!("ModifyDBRecommendation", everything),
    row!("ModifyDBShardGroup", everything),
    row!("ModifyDBSnapshot", everything),
    row!("ModifyDBSnapshotAttribute", everything),
    row!("ModifyDBSubnetGroup", subnet_group, subnet_groups::modify),
    row!("ModifyEventSubscription", everything),
    row!(
        "ModifyGlobalCluster",
        global_cluster,
        global_clusters::modify
    ),
    row!("ModifyIntegration", everything),
    row!("ModifyOptionGroup", everything),
    row!("ModifyTenantDatabase", everything),
    row!("PromoteReadReplica", instance, replicas::promote),
    row!("PromoteReadReplicaDBCluster", everything),
    row!("PurchaseReservedDBInstancesOffering", everything),
    row!("RebootDBCluster", everything),
    row!("RebootDBInstance", instance, power::reboot),
    row!("RebootDBShardGroup", everything),
    row!("RegisterDBProxyTargets", everything),
    row!(
        "RemoveFromGlobalCluster",
        global_cluster,
        global_clusters::remove
    ),
    row!("RemoveRoleFromDBCluster", everything),
    row!("RemoveRoleFromDBInstance", everything),
    row!("RemoveSourceIdentifierFromSubscription", everything),
    row!("RemoveTagsFromResource", tagged, tags::remove),
    row!(
        "ResetDBClusterParameterGroup",
        cluster_parameter_group,
        cluster_parameter_groups::reset
    ),
    row!(
        "ResetDBParameterGroup",
        parameter_group,
        parameter_groups::reset
    ),
    row!("RestoreDBClusterFromS3", everything),
    row!("RestoreDBClusterFromSnapshot", everything),
    row!("RestoreDBClusterToPointInTime", everything),
    row!(
        "RestoreDBInstanceFromDBSnapshot",
        instance,
        restore::restore
    ),
    row!("RestoreDBInstanceFromS3", everything),
    row!(
        "RestoreDBInstanceToPointInTime",
        restored,
        point_in_time::restore
    ),
    row!("RevokeDBSecurityGroupIngress", everything),
    row!("StartActivityStream", everything),
    row!("StartDBCluster", everything),
    row!("StartDBInstance", instance, power::start),
    row!("StartDBInstanceAutomatedBackupsReplication", everything),
    row!("StartExportTask", everything),
    row!("StopActivityStream", everything),
    row!("StopDBCluster", everything),
    row!("StopDBInstance", instance, power::stop),
    row!("StopDBInstanceAutomatedBackupsReplication", everything),
    row!("SwitchoverBlueGreenDeployment", everything),
    row!(
        "SwitchoverGlobalCluster",
        global_cluster,
        global_clusters::switch_over
    ),
    row!("SwitchoverReadReplica", instance, replicas::switch_over),
];
