//! Write forwarding: where the writes of a secondary cluster's sessions are carried out, and for
//! whom a writer carries out any. It is read from the two configurations; nothing is forwarded
//! here.

use std::net::SocketAddr;

use types::{ConfigurationView, Region, Span};

use crate::arn::{GroupArn, Kind};
use crate::catalogue;
use crate::codec::CodecError;
use crate::model::{Cluster, GlobalCluster, Head, Instance, Member, ParameterGroup, ResourceId};
use crate::parameters::{self, Parameter};

/// Where writes of an instance's sessions go, and what bounds them.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Forwarding {
    /// The Region of the cluster that writes.
    pub region: Region,
    /// The head of the cluster that writes.
    pub writer: ResourceId,
    /// The consistency mode of sessions that set none: `SESSION`, `EVENTUAL`, `GLOBAL` or `OFF`.
    pub consistency: String,
    /// How long reaching the writer may take; `None`: for ever.
    pub connect_timeout: Option<Span>,
    /// How long a session at the writer may be without a statement; `None`: for ever.
    pub idle_session_timeout: Option<Span>,
    /// The same within a transaction.
    pub idle_in_transaction_session_timeout: Option<Span>,
}

/// How an instance's sessions have their writes carried out; `None`: they don't, since nobody asked
/// for it, or since its cluster is in no global cluster, or the one that writes.
///
/// # Errors
///
/// Something that belongs to it can't be read.
pub fn forwarding(
    view: &dyn ConfigurationView,
    global: &dyn ConfigurationView,
    instance: &Instance,
) -> Result<Option<Forwarding>, CodecError> {
    let found = away(view, global, instance)?;
    let Some((cluster, head)) = found.filter(|(cluster, _)| cluster.write_forwarding) else {
        return Ok(None);
    };
    let group = group_of(view, &cluster)?;
    let value = |parameter| value(group.as_ref(), parameter);
    let span = |parameter, unit: fn(u64) -> Span| {
        let number = value(parameter).parse::<u64>().unwrap_or(0);
        (number > 0).then(|| unit(number))
    };
    Ok(Some(Forwarding {
        region: head.arn.region,
        writer: head.resource_id,
        consistency: value(parameters::CONSISTENCY),
        connect_timeout: span(parameters::CONNECT_TIMEOUT, Span::seconds),
        idle_session_timeout: span(parameters::IDLE_TIMEOUT, Span::milliseconds),
        idle_in_transaction_session_timeout: span(
            parameters::IDLE_IN_TRANSACTION_TIMEOUT,
            Span::milliseconds,
        ),
    }))
}

/// The head that writes for an instance's cluster, whether writes are forwarded to it or not;
/// `None`: none does elsewhere, as for [`forwarding`].
///
/// # Errors
///
/// Something that belongs to it can't be read.
pub fn writer_of(
    view: &dyn ConfigurationView,
    global: &dyn ConfigurationView,
    instance: &Instance,
) -> Result<Option<ResourceId>, CodecError> {
    let found = away(view, global, instance)?;
    Ok(found.map(|(_, head)| head.resource_id))
}

/// An instance's cluster, and the head of another that writes for it.
fn away(
    view: &dyn ConfigurationView,
    global: &dyn ConfigurationView,
    instance: &Instance,
) -> Result<Option<(Cluster, Head)>, CodecError> {
    let Some(headship) = &instance.headship else {
        return Ok(None);
    };
    let found = catalogue::cluster(view, &headship.cluster)?;
    // For one that writes by force nobody else does.
    let Some((_, cluster)) = found.filter(|(_, cluster)| cluster.forced.is_none()) else {
        return Ok(None);
    };
    let found = catalogue::global_of(global, &cluster.arn, &cluster.resource_id)?;
    let found = found.filter(|(_, row)| row.writer.as_ref() != Some(&cluster.arn));
    let head = found.and_then(|(_, row)| row.writing_head().cloned());
    Ok(head.map(|head| (cluster, head)))
}

fn group_of(
    view: &dyn ConfigurationView,
    cluster: &Cluster,
) -> Result<Option<ParameterGroup>, CodecError> {
    let Some(name) = &cluster.parameter_group else {
        return Ok(None);
    };
    let arn = GroupArn {
        region: cluster.arn.region,
        account: cluster.arn.account,
        kind: Kind::ClusterParameterGroup,
        name: name.clone(),
    };
    Ok(catalogue::group::<ParameterGroup>(view, &arn)?.map(|(_, group)| group))
}

/// What a group says of a parameter, or else its default.
fn value(group: Option<&ParameterGroup>, name: &str) -> String {
    let set = group.and_then(|group| group.parameters.get(name));
    match set {
        Some((value, _)) => value.clone(),
        None => parameters::of_clusters()
            .find(|parameter| parameter.name == name)
            .and_then(Parameter::default)
            .unwrap_or_default()
            .to_owned(),
    }
}

/// Where a writer's head of this Region takes the statements that a secondary in that Region
/// forwards: at the cluster's writer endpoint, which judges whether it may. `None`: it takes none,
/// since that instance is no writer's head, or since there is no secondary that forwards.
///
/// # Errors
///
/// Something that belongs to it can't be read.
pub fn forwarded_to(
    view: &dyn ConfigurationView,
    global: &dyn ConfigurationView,
    writer: &ResourceId,
    from: Region,
) -> Result<Option<SocketAddr>, CodecError> {
    let lets = |row: &GlobalCluster| {
        let forwards = |member: &Member| {
            member.write_forwarding
                && member.arn.region == from
                && row.writer.as_ref() != Some(&member.arn)
        };
        let is_writing = row.writing_head().map(|head| &head.resource_id) == Some(writer);
        is_writing && row.members.values().any(forwards)
    };
    let rows = catalogue::global_clusters(global)?;
    if !rows.iter().any(|(_, row)| lets(row)) {
        return Ok(None);
    }
    let Some((_, instance)) = catalogue::instance(view, writer)? else {
        return Ok(None);
    };
    let Some(headship) = &instance.headship else {
        return Ok(None);
    };
    let found = catalogue::cluster(view, &headship.cluster)?;
    let own = found.filter(|(_, cluster)| cluster.head.as_ref() == Some(writer));
    Ok(own.map(|(_, cluster)| (cluster.writer_address, cluster.port).into()))
}
