//! Where databases stand in their Region's configuration: the keys. Each thing is one row with all
//! that belongs to it, so that no change of it can be seen by halves.

use std::net::Ipv4Addr;

use types::{AccountId, Region};

use crate::arn::{ClusterArn, EndpointArn, GroupArn, InstanceArn, Kind, SnapshotArn};
use crate::model::{ClusterId, GlobalClusterId, ResourceId};

/// Everything of this service stands under this prefix.
pub const ALL: &str = "databases/";

/// Every instance stands under this prefix, by its resource id.
pub const INSTANCES: &str = "databases/instance/";

/// Every snapshot stands under this prefix, by account and name.
pub const SNAPSHOTS: &str = "databases/snapshot/";

/// Every endpoint's address that is taken stands under this prefix; its value is the resource id.
pub const ADDRESSES: &str = "databases/address/";

/// Every event stands under this prefix, in the order in which they happened.
pub const EVENTS: &str = "databases/event/";

/// Every source that is still to be told of a replica that is gone stands under this prefix.
pub const FAREWELLS: &str = "databases/farewell/";

/// The automated backups of every instance that is deleted stand under this prefix, by its resource
/// id.
pub const RETAINED_BACKUPS: &str = "databases/retained-backup/";

/// Every cluster stands under this prefix, by its resource id.
pub const CLUSTERS: &str = "databases/cluster/";

/// Every custom endpoint of a cluster stands under this prefix, by account and name.
pub const ENDPOINTS: &str = "databases/cluster-endpoint/";

/// Every global cluster stands under this prefix, by account and name: in the council's
/// configuration, not in a Region's.
pub const GLOBAL_CLUSTERS: &str = "databases/global-cluster/";

/// Every Region's lease stands under this prefix: in the council's configuration.
pub const LEASES: &str = "databases/lease/";

/// The last failover of each global cluster that was decided unasked stands under this prefix, by
/// the global cluster's resource id: in the council's configuration.
pub const DECISIONS: &str = "databases/decision/";

/// What every change of this Region's databases writes: two changes at once, each judged without
/// the other, can't both be made. Its value counts them.
pub const CHANGES: &str = "databases/changes";

/// The key of an instance.
pub fn instance(id: &ResourceId) -> String {
    format!("{INSTANCES}{id}")
}

/// The key of an instance's name; its value is the resource id.
pub fn instance_name(arn: &InstanceArn) -> String {
    format!("{}{}", instance_names(arn.account), arn.identifier)
}

/// The names of an account's instances stand under this prefix.
pub fn instance_names(account: AccountId) -> String {
    format!("databases/instance-name/{account}/")
}

/// The key of the automated backups of an instance that is deleted.
pub fn retained_backup(id: &ResourceId) -> String {
    format!("{RETAINED_BACKUPS}{id}")
}

/// The key of a cluster.
pub fn cluster(id: &ClusterId) -> String {
    format!("{CLUSTERS}{id}")
}

/// The key of a cluster's name; its value is the resource id.
pub fn cluster_name(arn: &ClusterArn) -> String {
    format!("databases/cluster-name/{}/{}", arn.account, arn.identifier)
}

/// The key of a cluster's custom endpoint.
pub fn endpoint(arn: &EndpointArn) -> String {
    format!("{ENDPOINTS}{}/{}", arn.account, arn.identifier)
}

/// The key of a global cluster.
pub fn global_cluster(account: AccountId, identifier: &str) -> String {
    format!("{GLOBAL_CLUSTERS}{account}/{identifier}")
}

/// The key of the last failover of a global cluster that was decided unasked.
pub fn decision(id: &GlobalClusterId) -> String {
    format!("{DECISIONS}{id}")
}

/// The key of what this Region's events have told of such decisions; its value is the number of the
/// move.
pub fn decision_told(id: &GlobalClusterId) -> String {
    format!("databases/decision-told/{id}")
}

/// The key of a Region's lease.
pub fn lease(region: Region) -> String {
    format!("{LEASES}{region}")
}

/// The key of a snapshot.
pub fn snapshot(arn: &SnapshotArn) -> String {
    format!("{}{}", snapshots(arn.account), arn.identifier)
}

/// An account's snapshots stand under this prefix.
pub fn snapshots(account: AccountId) -> String {
    format!("{SNAPSHOTS}{account}/")
}

/// The key of a group.
pub fn group(arn: &GroupArn) -> String {
    format!("{}{}", groups(arn.kind, arn.account), arn.name)
}

/// An account's groups of a kind stand under this prefix.
pub fn groups(kind: Kind, account: AccountId) -> String {
    let kind = match kind {
        Kind::SubnetGroup => "subnet-group",
        Kind::ParameterGroup => "parameter-group",
        Kind::ClusterParameterGroup => "cluster-parameter-group",
        Kind::OptionGroup => "option-group",
        Kind::Instance | Kind::Snapshot | Kind::Cluster | Kind::ClusterEndpoint => "no-group",
    };
    format!("databases/{kind}/{account}/")
}

/// The key of an endpoint's address.
pub fn address(address: Ipv4Addr) -> String {
    format!("{ADDRESSES}{address}")
}

/// The key of an event: the `number`th since this Region began.
pub fn event(number: u64) -> String {
    format!("{EVENTS}{number:016x}")
}

/// The key of what a source is to be told of that replica.
pub fn farewell(replica: &ResourceId) -> String {
    format!("{FAREWELLS}{replica}")
}
