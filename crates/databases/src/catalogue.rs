//! Databases as they stand in the configuration: found, visited, and written back. It judges no
//! change.

mod edits;
mod groups;

use types::{AccountId, ConfigurationView, Region};

use crate::arn::{ClusterArn, EndpointArn, GroupArn, InstanceArn, Kind, SnapshotArn};
use crate::codec::{CodecError, Stored, decode};
use crate::keys;
use crate::membership::membership;
use crate::model::{
    Cluster, ClusterEndpoint, ClusterId, Decision, Farewell, GlobalCluster, GlobalClusterId,
    Instance, ParameterGroup, ResourceId, Snapshot, SnapshotState,
};
use crate::parameters;
use crate::plan::{Duty, Wanted, WantedSnapshot, forced, reading};
use crate::silence::LeaseRow;

pub(crate) use edits::{
    changes, count_change, create, create_cluster, create_endpoint, create_instance, edit,
    global_key, remove, remove_cluster, remove_endpoint, remove_instance, replace, replace_cluster,
    replace_instance,
};
pub(crate) use groups::{Group, cluster_parameter_groups_of, group, groups_of};

/// A row, and the revision that wrote it.
pub type Row<T> = (u64, T);

pub(crate) fn row<T: Stored>(
    view: &dyn ConfigurationView,
    key: &str,
) -> Result<Option<Row<T>>, CodecError> {
    let Some((revision, bytes)) = view.get(key) else {
        return Ok(None);
    };
    Ok(Some((revision, decode(&bytes)?)))
}

pub(crate) fn rows<T: Stored>(
    view: &dyn ConfigurationView,
    prefix: &str,
) -> Result<Vec<Row<T>>, CodecError> {
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

/// The custom endpoint of that name, and the revision that wrote it.
///
/// # Errors
///
/// It can't be read.
pub fn endpoint_named(
    view: &dyn ConfigurationView,
    arn: &EndpointArn,
) -> Result<Option<Row<ClusterEndpoint>>, CodecError> {
    row(view, &keys::endpoint(arn))
}

/// The custom endpoints of a cluster.
///
/// # Errors
///
/// One, perhaps another cluster's, can't be read.
pub fn endpoints_of(
    view: &dyn ConfigurationView,
    cluster: &Cluster,
) -> Result<Vec<Row<ClusterEndpoint>>, CodecError> {
    let mut all: Vec<Row<ClusterEndpoint>> = rows(view, keys::ENDPOINTS)?;
    all.retain(|(_, endpoint)| endpoint.cluster == cluster.resource_id);
    Ok(all)
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

/// The last failover of a global cluster that was decided unasked.
///
/// # Errors
///
/// It can't be read.
pub fn decision(
    global: &dyn ConfigurationView,
    id: &GlobalClusterId,
) -> Result<Option<Row<Decision>>, CodecError> {
    row(global, &keys::decision(id))
}

/// Has a Region to have its lease renewed all the time? It has a member of a global cluster: the
/// writer needs the lease, and the others must know that what they see is no old configuration.
///
/// # Errors
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
    let found = instance(view, id)?;
    found.map_or(Ok(None), |(_, row)| {
        wanted_at(view, global, (id, row.home()))
    })
}

/// What is wanted of one home of an instance: its primary's, or its standby's; `None`: there is no
/// instance of that resource id, or it has no such home.
///
/// # Errors
/// As [`wanted`].
pub fn wanted_at(
    view: &dyn ConfigurationView,
    global: &dyn ConfigurationView,
    (id, home): (&ResourceId, &ResourceId),
) -> Result<Option<Wanted>, CodecError> {
    let found = instance(view, id)?;
    let found = found.filter(|(_, row)| row.zone_of(home).is_some());
    let Some((_, instance)) = found else {
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
    let head = found.head(view, id)?;
    if let Some((_, head)) = &head {
        let group = parameter_group_of(view, head)?;
        let values = parameters::of_instance(head, group.as_ref()).values;
        parameters::raise(&mut parameters.values, &parameters::floors(&values));
    }
    let known = (global.revision(), row);
    let duty = match &head {
        Some((cluster, head)) => reading::of(&instance, (cluster, head), known),
        None => {
            let duty = Duty::of(&instance, found.joined, known);
            let duty = forced::of(duty, (&instance, found.cluster.as_ref()), known);
            found.hands_over(view, duty, id)?
        }
    };
    let lease = LeaseRow::of_old_writer(global, &duty);
    let mut snapshots = snapshots_of(view, instance.arn.account)?;
    let is_wanted = |snapshot: &Snapshot| {
        snapshot.resource_id == *id && snapshot.state == SnapshotState::Creating
    };
    snapshots.retain(|(_, snapshot)| is_wanted(snapshot));
    snapshots.sort_by(|(_, one), (_, other)| (one.asked, &one.id).cmp(&(other.asked, &other.id)));
    let snapshots = snapshots.into_iter();
    Ok(Some(Wanted {
        instance,
        home: home.clone(),
        parameters: parameters.values,
        own_parameters,
        at_restart: parameters.at_restart,
        snapshots: snapshots
            .map(|(_, snapshot)| WantedSnapshot {
                id: snapshot.id,
                automated: snapshot.automated,
            })
            .collect(),
        duty,
        readers: found.slots_of_readers(id),
        is_new_head: found.is_new_head(id),
        writer_address: found.cluster.map(|cluster| cluster.writer_address),
        revision: global.revision(),
        lease,
    }))
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
