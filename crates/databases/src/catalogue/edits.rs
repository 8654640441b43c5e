//! The edits that write rows back: what each expects to find, and all keys that a row takes. It
//! proposes none of them.

use types::{ConfigurationEdit, ConfigurationExpected, ConfigurationView};

use super::Row;
use crate::codec::{Stored, encode};
use crate::keys;
use crate::model::{Cluster, ClusterEndpoint, GlobalCluster, Instance};

/// An edit of a key.
pub(crate) fn edit(
    key: String,
    expected: ConfigurationExpected,
    value: Option<bytes::Bytes>,
) -> ConfigurationEdit {
    ConfigurationEdit {
        key,
        expected,
        value,
    }
}

/// The edit that makes a row.
pub(crate) fn create<T: Stored>(key: String, row: &T) -> ConfigurationEdit {
    edit(key, ConfigurationExpected::Absent, Some(encode(row)))
}

/// The edit that replaces a row which that revision wrote.
pub(crate) fn replace<T: Stored>(key: String, revision: u64, row: &T) -> ConfigurationEdit {
    let expected = ConfigurationExpected::Revision(revision);
    edit(key, expected, Some(encode(row)))
}

/// The edit that removes a row which that revision wrote.
pub(crate) fn remove(key: String, revision: u64) -> ConfigurationEdit {
    edit(key, ConfigurationExpected::Revision(revision), None)
}

/// How many changes there have been.
pub(crate) fn changes(view: &dyn ConfigurationView) -> u64 {
    let found = view.get(keys::CHANGES);
    let text = found.map(|(_, bytes)| String::from_utf8_lossy(&bytes).into_owned());
    text.and_then(|text| text.parse().ok()).unwrap_or_default()
}

/// The edit that makes every change wait for the others: see [`keys::CHANGES`].
pub(crate) fn count_change(view: &dyn ConfigurationView) -> ConfigurationEdit {
    let expected = match view.get(keys::CHANGES) {
        Some((revision, _)) => ConfigurationExpected::Revision(revision),
        None => ConfigurationExpected::Absent,
    };
    let next = changes(view).saturating_add(1).to_string();
    edit(keys::CHANGES.to_owned(), expected, Some(next.into()))
}

/// The edits that make an instance, and take its name and its address.
pub(crate) fn create_instance(instance: &Instance) -> Vec<ConfigurationEdit> {
    let owner = || Some(instance.resource_id.0.clone().into());
    let absent = ConfigurationExpected::Absent;
    vec![
        create(keys::instance(&instance.resource_id), instance),
        edit(keys::instance_name(&instance.arn), absent, owner()),
        edit(keys::address(instance.address), absent, owner()),
    ]
}

/// The edit that replaces an instance which that revision wrote.
pub(crate) fn replace_instance(revision: u64, instance: &Instance) -> ConfigurationEdit {
    replace(keys::instance(&instance.resource_id), revision, instance)
}

/// The edits that make a cluster, and take its name and its addresses.
pub(crate) fn create_cluster(cluster: &Cluster) -> Vec<ConfigurationEdit> {
    let owner = || Some(cluster.resource_id.0.clone().into());
    let absent = ConfigurationExpected::Absent;
    vec![
        create(keys::cluster(&cluster.resource_id), cluster),
        edit(keys::cluster_name(&cluster.arn), absent, owner()),
        edit(keys::address(cluster.writer_address), absent, owner()),
        edit(keys::address(cluster.reader_address), absent, owner()),
    ]
}

/// The edit that replaces a cluster which that revision wrote.
pub(crate) fn replace_cluster(revision: u64, cluster: &Cluster) -> ConfigurationEdit {
    replace(keys::cluster(&cluster.resource_id), revision, cluster)
}

/// The edits that remove a cluster which that revision wrote, and all that it took.
pub(crate) fn remove_cluster((revision, cluster): &Row<Cluster>) -> Vec<ConfigurationEdit> {
    let any = ConfigurationExpected::Any;
    vec![
        remove(keys::cluster(&cluster.resource_id), *revision),
        edit(keys::cluster_name(&cluster.arn), any, None),
        edit(keys::address(cluster.writer_address), any, None),
        edit(keys::address(cluster.reader_address), any, None),
    ]
}

/// The edits that make a custom endpoint, and take its address.
pub(crate) fn create_endpoint(endpoint: &ClusterEndpoint) -> Vec<ConfigurationEdit> {
    let owner = Some(endpoint.resource_id.0.clone().into());
    let absent = ConfigurationExpected::Absent;
    vec![
        create(keys::endpoint(&endpoint.arn), endpoint),
        edit(keys::address(endpoint.address), absent, owner),
    ]
}

/// The edits that remove a custom endpoint which that revision wrote, and its address.
pub(crate) fn remove_endpoint(
    (revision, endpoint): &Row<ClusterEndpoint>,
) -> Vec<ConfigurationEdit> {
    let any = ConfigurationExpected::Any;
    vec![
        remove(keys::endpoint(&endpoint.arn), *revision),
        edit(keys::address(endpoint.address), any, None),
    ]
}

/// The key of a global cluster's row.
pub(crate) fn global_key(row: &GlobalCluster) -> String {
    keys::global_cluster(row.account, &row.identifier)
}

/// The edits that remove an instance which that revision wrote, and all that it took.
pub(crate) fn remove_instance((revision, instance): &Row<Instance>) -> Vec<ConfigurationEdit> {
    let any = ConfigurationExpected::Any;
    vec![
        remove(keys::instance(&instance.resource_id), *revision),
        edit(keys::instance_name(&instance.arn), any, None),
        edit(keys::address(instance.address), any, None),
    ]
}
