//! Databases as they stand in the configuration: found, visited, and written back. It judges no
//! change.

use types::{AccountId, ConfigurationEdit, ConfigurationExpected, ConfigurationView, Region};

use crate::arn::{ClusterArn, GroupArn, InstanceArn, Kind, SnapshotArn};
use crate::codec::{CodecError, Stored, decode, encode};
use crate::keys;
use crate::model::{
    Cluster, ClusterId, Farewell, GlobalCluster, Instance, OptionGroup, ParameterGroup, ResourceId,
    Snapshot, SnapshotState, SubnetGroup,
};
use crate::parameters;
use crate::plan::{Duty, Wanted, WantedSnapshot};

/// A row, and the revision that wrote it.
pub type Row<T> = (u64, T);

fn row<T: Stored>(view: &dyn ConfigurationView, key: &str) -> Result<Option<Row<T>>, CodecError> {
    let Some((revision, bytes)) = view.get(key) else {
        return Ok(None);
    };
    Ok(Some((revision, decode(&bytes)?)))
}

fn rows<T: Stored>(view: &dyn ConfigurationView, prefix: &str) -> Result<Vec<Row<T>>, CodecError> {
    let mut found = Ok(Vec::new());
    view.visit(
        prefix,
        &mut |_, revision, bytes| match (found.as_mut(), decode(bytes)) {
            (Ok(rows), Ok(row)) => rows.push((revision, row)),
            (Ok(_), Err(error)) => found = Err(error),
            (Err(_), _) => {}
        },
    );
    found
}

/// The instance of that resource id, and the revision that wrote it.
///
/// # Errors
///
/// It can't be read.
pub fn instance(
    view: &dyn ConfigurationView,
    id: &ResourceId,
) -> Result<Option<Row<Instance>>, CodecError> {
    row(view, &keys::instance(id))
}

/// The instance of that name, and the revision that wrote it.
///
/// # Errors
///
/// It can't be read.
pub fn instance_named(
    view: &dyn ConfigurationView,
    arn: &InstanceArn,
) -> Result<Option<Row<Instance>>, CodecError> {
    let Some((_, bytes)) = view.get(&keys::instance_name(arn)) else {
        return Ok(None);
    };
    let id = String::from_utf8_lossy(&bytes).into_owned();
    let found = instance(view, &ResourceId(id))?;
    Ok(found.filter(|(_, instance)| instance.arn == *arn))
}

/// Visits every instance, whosever it is, in the order of their resource ids, with the revision
/// that wrote it; one that can't be read as its error.
pub fn visit_instances(
    view: &dyn ConfigurationView,
    visitor: &mut dyn FnMut(u64, Result<Instance, CodecError>),
) {
    view.visit(keys::INSTANCES, &mut |_, revision, bytes| {
        visitor(revision, decode(bytes));
    });
}

/// The instances of an account, with the revisions that wrote them.
///
/// # Errors
///
/// One, perhaps another account's, can't be read: then nobody can tell how many there are.
pub(crate) fn instances_of(
    view: &dyn ConfigurationView,
    account: AccountId,
) -> Result<Vec<Row<Instance>>, CodecError> {
    let mut all: Vec<Row<Instance>> = rows(view, keys::INSTANCES)?;
    all.retain(|(_, instance)| instance.arn.account == account);
    Ok(all)
}

/// The snapshot of that name, and the revision that wrote it.
///
/// # Errors
///
/// It can't be read.
pub fn snapshot(
    view: &dyn ConfigurationView,
    arn: &SnapshotArn,
) -> Result<Option<Row<Snapshot>>, CodecError> {
    row(view, &keys::snapshot(arn))
}

/// Every snapshot, whosever it is.
///
/// # Errors
///
/// One can't be read.
pub fn snapshots(view: &dyn ConfigurationView) -> Result<Vec<Row<Snapshot>>, CodecError> {
    rows(view, keys::SNAPSHOTS)
}

/// The snapshots of an account.
pub(crate) fn snapshots_of(
    view: &dyn ConfigurationView,
    account: AccountId,
) -> Result<Vec<Row<Snapshot>>, CodecError> {
    rows(view, &keys::snapshots(account))
}

/// A row that is a group.
pub(crate) trait Group: Stored + Clone + PartialEq {
    /// Its kind.
    const KIND: Kind;
}

impl Group for SubnetGroup {
    const KIND: Kind = Kind::SubnetGroup;
}

impl Group for ParameterGroup {
    const KIND: Kind = Kind::ParameterGroup;
}

impl Group for OptionGroup {
    const KIND: Kind = Kind::OptionGroup;
}

/// The group of that name that is kept, and the revision that wrote it. Default ones are not.
pub(crate) fn group<T: Group>(
    view: &dyn ConfigurationView,
    arn: &GroupArn,
) -> Result<Option<Row<T>>, CodecError> {
    row(view, &keys::group(arn))
}

/// An account's groups of a kind that are kept.
pub(crate) fn groups_of<T: Group>(
    view: &dyn ConfigurationView,
    account: AccountId,
) -> Result<Vec<Row<T>>, CodecError> {
    rows(view, &keys::groups(T::KIND, account))
}

/// What sources are still to be told, now or later.
///
/// # Errors
///
/// One can't be read.
pub fn farewells(view: &dyn ConfigurationView) -> Result<Vec<Row<Farewell>>, CodecError> {
    rows(view, keys::FAREWELLS)
}

/// The cluster of that resource id, and the revision that wrote it.
///
/// # Errors
///
/// It can't be read.
pub fn cluster(
    view: &dyn ConfigurationView,
    id: &ClusterId,
) -> Result<Option<Row<Cluster>>, CodecError> {
    row(view, &keys::cluster(id))
}

/// The cluster of that name, and the revision that wrote it.
///
/// # Errors
///
/// It can't be read.
pub fn cluster_named(
    view: &dyn ConfigurationView,
    arn: &ClusterArn,
) -> Result<Option<Row<Cluster>>, CodecError> {
    let Some((_, bytes)) = view.get(&keys::cluster_name(arn)) else {
        return Ok(None);
    };
    let found = cluster(
        view,
        &ClusterId(String::from_utf8_lossy(&bytes).into_owned()),
    )?;
    Ok(found.filter(|(_, cluster)| cluster.arn == *arn))
}

/// Every cluster of this Region, whosever it is, in the order of their resource ids.
///
/// # Errors
///
/// One can't be read.
pub fn clusters(view: &dyn ConfigurationView) -> Result<Vec<Row<Cluster>>, CodecError> {
    rows(view, keys::CLUSTERS)
}

/// The global cluster of that name in the council's configuration.
///
/// # Errors
///
/// It can't be read.
pub fn global_cluster(
    global: &dyn ConfigurationView,
    account: AccountId,
    identifier: &str,
) -> Result<Option<Row<GlobalCluster>>, CodecError> {
    row(global, &keys::global_cluster(account, identifier))
}

/// Every global cluster in the council's configuration, whosever it is.
///
/// # Errors
///
/// One can't be read.
pub fn global_clusters(
    global: &dyn ConfigurationView,
) -> Result<Vec<Row<GlobalCluster>>, CodecError> {
    rows(global, keys::GLOBAL_CLUSTERS)
}

/// The global cluster that a cluster is a member of: by its resource id too, for one that had its
/// name before is another.
///
/// # Errors
///
/// One can't be read.
pub fn global_of(
    global: &dyn ConfigurationView,
    arn: &ClusterArn,
    id: &ClusterId,
) -> Result<Option<Row<GlobalCluster>>, CodecError> {
    let mut all: Vec<Row<GlobalCluster>> = rows(global, keys::GLOBAL_CLUSTERS)?;
    all.retain(|(_, row)| {
        row.member(arn)
            .is_some_and(|member| member.resource_id == *id)
    });
    Ok(all.pop())
}

/// Has a Region to have its lease renewed all the time? It has a member of a global cluster: the
/// writer needs the lease, and the others must know that what they see is no old configuration.
///
/// # Errors
///
/// A global cluster can't be read.
pub fn needs_lease(global: &dyn ConfigurationView, region: Region) -> Result<bool, CodecError> {
    let all = global_clusters(global)?;
    let mut members = all.iter().flat_map(|(_, row)| row.members.values());
    Ok(members.any(|member| member.arn.region == region))
}

/// What is wanted of an instance, by its Region's own configuration and the council's; `None`:
/// there is none of that resource id.
///
/// # Errors
///
/// Something that belongs to it can't be read: nothing is done with it.
pub fn wanted(
    view: &dyn ConfigurationView,
    global: &dyn ConfigurationView,
    id: &ResourceId,
) -> Result<Option<Wanted>, CodecError> {
    let Some((_, instance)) = instance(view, id)? else {
        return Ok(None);
    };
    let group = parameter_group_of(view, &instance)?;
    let mut parameters = parameters::of_instance(&instance, group.as_ref());
    let own_parameters = parameters.values.clone();
    let found = membership(view, global, &instance)?;
    let row = found.global.as_ref();
    let members = row.into_iter().flat_map(|row| row.members.values());
    for head in members.filter_map(|member| member.head.as_ref()) {
        // Whoever writes by then, nobody has less than it.
        parameters::raise(&mut parameters.values, &head.floors);
    }
    let duty = Duty::of(&instance, found.joined, (global.revision(), row));
    let mut snapshots = snapshots_of(view, instance.arn.account)?;
    let is_wanted = |snapshot: &Snapshot| {
        snapshot.resource_id == *id && snapshot.state == SnapshotState::Creating
    };
    snapshots.retain(|(_, snapshot)| is_wanted(snapshot));
    snapshots.sort_by(|(_, one), (_, other)| (one.asked, &one.id).cmp(&(other.asked, &other.id)));
    let snapshots = snapshots.into_iter();
    Ok(Some(Wanted {
        instance,
        parameters: parameters.values,
        own_parameters,
        at_restart: parameters.at_restart,
        snapshots: snapshots
            .map(|(_, snapshot)| WantedSnapshot { id: snapshot.id })
            .collect(),
        duty,
        revision: global.revision(),
    }))
}

/// What is known of an instance's membership in a global cluster.
pub(crate) struct Membership {
    /// The revision of the council's configuration that made its cluster a member.
    pub(crate) joined: Option<u64>,
    /// The global cluster that has its cluster as a member now.
    pub(crate) global: Option<GlobalCluster>,
}

/// The membership of an instance's cluster.
pub(crate) fn membership(
    view: &dyn ConfigurationView,
    global: &dyn ConfigurationView,
    instance: &Instance,
) -> Result<Membership, CodecError> {
    let Some(headship) = &instance.headship else {
        return Ok(Membership {
            joined: None,
            global: None,
        });
    };
    let row = cluster(view, &headship.cluster)?;
    let joined = row.and_then(|(_, cluster)| cluster.joined);
    let found = global_of(global, &headship.cluster_arn, &headship.cluster)?;
    Ok(Membership {
        joined: joined.map(|joined| joined.revision),
        global: found.map(|(_, row)| row),
    })
}

/// The parameter group of an instance; `None`: the default one.
pub(crate) fn parameter_group_of(
    view: &dyn ConfigurationView,
    instance: &Instance,
) -> Result<Option<ParameterGroup>, CodecError> {
    let arn = GroupArn {
        region: instance.arn.region,
        account: instance.arn.account,
        kind: Kind::ParameterGroup,
        name: instance.parameter_group.clone(),
    };
    Ok(group(view, &arn)?.map(|(_, group)| group))
}

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
