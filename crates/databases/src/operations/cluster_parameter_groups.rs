//! DB cluster parameter groups: to make, modify, reset, describe and delete them. They hold the
//! parameters of a cluster as a whole; what its instances' servers are set to stands in DB
//! parameter groups, and is refused here by name.

use std::collections::BTreeMap;

use aws::query::{Members, Reply};
use aws::xml::XmlWriter;
use types::ConfigurationView;

use super::{common, parameter_groups, parameters as shared};
use crate::arn::Kind;
use crate::catalogue::{self, Row};
use crate::engine::Engine;
use crate::error::{DatabasesError, Refusal};
use crate::input::names;
use crate::limits::MAX_PARAMETER_GROUPS;
use crate::model::{Applied, Cluster, ParameterGroup, ResourceId, Tags};
use crate::parameters::{self, Parameter};
use crate::request::{DatabasesRequest, Filters, Paging, required, shown};
use crate::service::Service;
use crate::{keys, tags};

/// The parameter that names a group.
const NAME: &str = "DBClusterParameterGroupName";

/// `CreateDBClusterParameterGroup`.
pub(crate) async fn create(
    service: &Service,
    request: &DatabasesRequest<'_>,
) -> Result<Reply, DatabasesError> {
    let name = names::long(NAME, request.required(NAME)?)?;
    let family = request.required("DBParameterGroupFamily")?;
    let engine = common::engine(service)?;
    if family != engine.cluster_family() {
        let text = format!(
            "ParameterGroupFamily {} is not a valid cluster parameter group family here: \
             installed is {}",
            shown(family),
            engine.cluster_family()
        );
        return Err(DatabasesError::value(text));
    }
    let description = names::description("Description", request.required("Description")?)?;
    let group = ParameterGroup {
        arn: request.group_arn(Kind::ClusterParameterGroup, &name),
        family: engine.cluster_family(),
        description,
        parameters: BTreeMap::new(),
        tags: tags::read(&request.members())?,
    };
    let made = service.change(|view: &dyn ConfigurationView| {
        let key = keys::group(&group.arn);
        if view.get(&key).is_some() {
            let text = format!("Parameter group {name} already exists");
            let refusal = Refusal::DbParameterGroupAlreadyExists;
            return Err(DatabasesError::refused(refusal, text));
        }
        let held = catalogue::cluster_parameter_groups_of(view, request.account())?;
        if held.len() >= MAX_PARAMETER_GROUPS {
            let text =
                format!("Cannot create more than {MAX_PARAMETER_GROUPS} cluster parameter groups");
            let refusal = Refusal::DbParameterGroupQuotaExceeded;
            return Err(DatabasesError::refused(refusal, text));
        }
        Ok((vec![catalogue::create(key, &group)], ()))
    });
    made.await?;
    let mut reply = request.reply();
    let writer = reply.writer();
    writer.open("DBClusterParameterGroup");
    write(writer, &group);
    writer.close();
    Ok(reply)
}

fn write(writer: &mut XmlWriter, group: &ParameterGroup) {
    writer
        .value(NAME, &group.arn.name)
        .value("DBParameterGroupFamily", &group.family)
        .value("Description", &group.description)
        .value("DBClusterParameterGroupArn", &group.arn);
}

/// The group that a request wants a cluster to have; `None`: the default one.
pub(super) fn of_request(
    service: &Service,
    view: &dyn ConfigurationView,
    request: &DatabasesRequest<'_>,
) -> Result<Option<String>, DatabasesError> {
    let Some(name) = request.text(NAME) else {
        return Ok(None);
    };
    let arn = request.group_arn(Kind::ClusterParameterGroup, name);
    if catalogue::group::<ParameterGroup>(view, &arn)?.is_some() {
        return Ok(Some(arn.name));
    }
    match default(common::engine(service)?) == arn.name {
        true => Ok(None),
        false => Err(DatabasesError::refused(
            Refusal::DbClusterParameterGroupNotFound,
            format!("DBClusterParameterGroup not found: {}", shown(name)),
        )),
    }
}

/// The name of the group of those who name none: `default.aurora-postgresql15`.
fn default(engine: &Engine) -> String {
    format!("default.{}", engine.cluster_family())
}

/// The default group of the installed engine, if that is its name.
fn default_named(
    service: &Service,
    request: &DatabasesRequest<'_>,
    name: &str,
) -> Option<ParameterGroup> {
    let engine = service.config.engine.as_ref().ok()?;
    let arn = request.group_arn(Kind::ClusterParameterGroup, name);
    (arn.name == default(engine)).then(|| ParameterGroup {
        arn,
        family: engine.cluster_family(),
        description: format!(
            "Default cluster parameter group for {}",
            engine.cluster_family()
        ),
        parameters: BTreeMap::new(),
        tags: Tags::new(),
    })
}

fn missing(name: &str) -> DatabasesError {
    let text = format!("DBClusterParameterGroup not found: {}", shown(name));
    DatabasesError::refused(Refusal::DbParameterGroupNotFound, text)
}

/// The group that a request names, if it is kept; what refuses the default one.
fn named(
    service: &Service,
    view: &dyn ConfigurationView,
    request: &DatabasesRequest<'_>,
) -> Result<Row<ParameterGroup>, DatabasesError> {
    let name = request.required(NAME)?;
    let arn = request.group_arn(Kind::ClusterParameterGroup, name);
    if let Some(row) = catalogue::group(view, &arn)? {
        return Ok(row);
    }
    if default_named(service, request, name).is_some() {
        let text = format!(
            "Default DBClusterParameterGroup cannot be modified or deleted: {}",
            arn.name
        );
        let refusal = Refusal::InvalidDbParameterGroupState;
        return Err(DatabasesError::refused(refusal, text));
    }
    Err(missing(name))
}

/// A group that is there, the default one too.
fn shown_group(
    service: &Service,
    view: &dyn ConfigurationView,
    request: &DatabasesRequest<'_>,
    name: &str,
) -> Result<ParameterGroup, DatabasesError> {
    let arn = request.group_arn(Kind::ClusterParameterGroup, name);
    let held = catalogue::group(view, &arn)?.map(|(_, group)| group);
    let found = held.or_else(|| default_named(service, request, name));
    found.ok_or_else(|| missing(name))
}

/// The clusters that use a group.
fn users_of(
    view: &dyn ConfigurationView,
    group: &ParameterGroup,
) -> Result<Vec<Cluster>, DatabasesError> {
    let all = catalogue::clusters(view)?.into_iter().map(|(_, row)| row);
    let uses = |cluster: &Cluster| {
        let is_its = cluster.parameter_group.as_ref() == Some(&group.arn.name);
        is_its && cluster.arn.account == group.arn.account
    };
    Ok(all.filter(uses).collect())
}

/// A parameter that a request names, if such a group has it.
fn parameter(of: &Members<'_>) -> Result<&'static Parameter, DatabasesError> {
    let name = required(of, "ParameterName")?.to_ascii_lowercase();
    if let Some(parameter) = parameters::of_clusters().find(|it| it.name == name) {
        // At once is all there is: nothing of a server waits for its restart.
        let text = required(of, "ApplyMethod")?;
        return match Applied::of_name(text) {
            Some(Applied::Immediate) => Ok(parameter),
            Some(Applied::PendingReboot) => Err(DatabasesError::not_built(&format!(
                "ApplyMethod {text} of {name}"
            ))),
            None => {
                let text = format!("Invalid apply method: {}", shown(text));
                Err(DatabasesError::value(text))
            }
        };
    }
    match parameters::find(&name) {
        Some(parameter) => Err(DatabasesError::not_built(&format!(
            "The parameter {} in a DB cluster parameter group (set it in a DB parameter group)",
            parameter.name
        ))),
        None => {
            let text = format!("Could not find parameter with name: {}", shown(&name));
            Err(DatabasesError::value(text))
        }
    }
}

/// `ModifyDBClusterParameterGroup`: in force at once.
pub(crate) async fn modify(
    service: &Service,
    request: &DatabasesRequest<'_>,
) -> Result<Reply, DatabasesError> {
    request.required(NAME)?;
    let mut set = BTreeMap::new();
    for given in parameter_groups::listed(request)? {
        let parameter = parameter(&given)?;
        let value = parameter_groups::value(&given, parameter)?;
        let given = (value.to_owned(), Applied::Immediate);
        if set.insert(parameter.name.clone(), given).is_some() {
            let text = format!("The parameter {} is given more than once", parameter.name);
            return Err(DatabasesError::value(text));
        }
    }
    change(service, request, |group| {
        group.parameters.extend(set.clone());
    })
    .await
}

/// `ResetDBClusterParameterGroup`: all parameters, or those that are listed.
pub(crate) async fn reset(
    service: &Service,
    request: &DatabasesRequest<'_>,
) -> Result<Reply, DatabasesError> {
    request.required(NAME)?;
    let is_all = parameter_groups::resets_all(request)?;
    let mut names = Vec::new();
    if !is_all {
        for given in parameter_groups::listed(request)? {
            names.push(parameter(&given)?.name.as_str());
        }
    }
    change(service, request, |group| {
        group
            .parameters
            .retain(|name, _| !is_all && !names.contains(&name.as_str()));
    })
    .await
}

/// Changes a group, and has the servers of its users looked at.
async fn change(
    service: &Service,
    request: &DatabasesRequest<'_>,
    amend: impl Fn(&mut ParameterGroup),
) -> Result<Reply, DatabasesError> {
    let made = service.change(|view: &dyn ConfigurationView| {
        let (revision, before) = named(service, view, request)?;
        let mut group = before.clone();
        amend(&mut group);
        let users = users_of(view, &group)?.into_iter();
        let heads: Vec<ResourceId> = users.filter_map(|cluster| cluster.head).collect();
        let edits = match group == before {
            true => Vec::new(),
            false => vec![catalogue::replace(
                keys::group(&group.arn),
                revision,
                &group,
            )],
        };
        Ok((edits, (group, heads)))
    });
    let (group, heads) = made.await?;
    for head in &heads {
        service.look_at(head);
    }
    let mut reply = request.reply();
    reply.writer().value(NAME, &group.arn.name);
    Ok(reply)
}

/// `DescribeDBClusterParameterGroups`: all, the default one among them, or one.
pub(crate) async fn describe(
    service: &Service,
    request: &DatabasesRequest<'_>,
) -> Result<Reply, DatabasesError> {
    Filters::of(request, &[])?;
    let paging = Paging::of(request)?;
    let view = service.view();
    let found = match request.text(NAME) {
        Some(name) => vec![shown_group(service, &*view, request, name)?],
        None => {
            let held = catalogue::cluster_parameter_groups_of(&*view, request.account())?;
            let mut all: Vec<_> = held.into_iter().map(|(_, group)| group).collect();
            let engine = service.config.engine.as_ref().ok();
            all.extend(engine.and_then(|it| default_named(service, request, &default(it))));
            all
        }
    };
    let keyed = found
        .into_iter()
        .map(|group| (group.arn.name.clone(), group));
    let mut reply = request.reply();
    let list = ("DBClusterParameterGroups", "DBClusterParameterGroup");
    paging.write(reply.writer(), list, keyed.collect(), |writer, group| {
        write(writer, &group);
    });
    Ok(reply)
}

/// `DescribeDBClusterParameters`: every parameter of a group, or those that it sets.
pub(crate) async fn parameters(
    service: &Service,
    request: &DatabasesRequest<'_>,
) -> Result<Reply, DatabasesError> {
    shared::list(request, NAME, parameters::of_clusters(), |name| {
        shown_group(service, &*service.view(), request, name)
    })
}

/// `DeleteDBClusterParameterGroup`.
pub(crate) async fn delete(
    service: &Service,
    request: &DatabasesRequest<'_>,
) -> Result<Reply, DatabasesError> {
    let made = service.change(|view: &dyn ConfigurationView| {
        let (revision, group) = named(service, view, request)?;
        if !users_of(view, &group)?.is_empty() {
            let text = format!(
                "One or more DB clusters are still members of this parameter group {}, so the \
                 group cannot be deleted",
                group.arn.name
            );
            let refusal = Refusal::InvalidDbParameterGroupState;
            return Err(DatabasesError::refused(refusal, text));
        }
        let removed = catalogue::remove(keys::group(&group.arn), revision);
        Ok((vec![removed], ()))
    });
    made.await?;
    Ok(request.done())
}
