//! DB parameter groups: to make, modify, reset, describe and delete them.

use std::collections::BTreeMap;

use aws::query::{Members, Reply};
use types::{ConfigurationEdit, ConfigurationView};

use super::common;
use crate::arn::Kind;
use crate::catalogue::{self, Row};
use crate::error::{DatabasesError, Refusal};
use crate::events::{self, Telling};
use crate::input::names;
use crate::limits::{MAX_PARAMETER_GROUPS, MAX_PARAMETERS};
use crate::model::{Applied, Instance, ParameterGroup, ResourceId, Tags};
use crate::parameters::{self, Apply, Parameter};
use crate::request::{DatabasesRequest, Filters, Paging, list_of_structures, required, shown};
use crate::service::Service;
use crate::{keys, shapes, tags};

/// `CreateDBParameterGroup`.
pub(crate) async fn create(
    service: &Service,
    request: &DatabasesRequest<'_>,
) -> Result<Reply, DatabasesError> {
    let name = request.required("DBParameterGroupName")?;
    let name = names::long("DBParameterGroupName", name)?;
    let family = request.required("DBParameterGroupFamily")?;
    let engine = common::engine(service)?;
    if family != engine.family() {
        let text = format!(
            "ParameterGroupFamily {} is not a valid parameter group family here: installed is {}",
            shown(family),
            engine.family()
        );
        return Err(DatabasesError::value(text));
    }
    let description = names::description("Description", request.required("Description")?)?;
    let group = ParameterGroup {
        arn: request.group_arn(Kind::ParameterGroup, &name),
        family: engine.family(),
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
        let held: Vec<Row<ParameterGroup>> = catalogue::groups_of(view, request.account())?;
        if held.len() >= MAX_PARAMETER_GROUPS {
            let text = format!("Cannot create more than {MAX_PARAMETER_GROUPS} parameter groups");
            let refusal = Refusal::DbParameterGroupQuotaExceeded;
            return Err(DatabasesError::refused(refusal, text));
        }
        Ok((vec![catalogue::create(key, &group)], ()))
    });
    made.await?;
    let mut reply = request.reply();
    let writer = reply.writer();
    writer.open("DBParameterGroup");
    shapes::parameter_group(writer, &group);
    writer.close();
    Ok(reply)
}

/// The default group of the installed engine, if that is its name.
pub(super) fn default_named(
    service: &Service,
    request: &DatabasesRequest<'_>,
    name: &str,
) -> Option<ParameterGroup> {
    let engine = service.config.engine.as_ref().ok()?;
    let arn = request.group_arn(Kind::ParameterGroup, name);
    (arn.name == engine.default_parameter_group()).then(|| ParameterGroup {
        arn,
        family: engine.family(),
        description: format!("Default parameter group for {}", engine.family()),
        parameters: BTreeMap::new(),
        tags: Tags::new(),
    })
}

/// The group that a request names, if it is kept; what refuses the default one.
fn named(
    service: &Service,
    view: &dyn ConfigurationView,
    request: &DatabasesRequest<'_>,
) -> Result<Row<ParameterGroup>, DatabasesError> {
    let name = request.required("DBParameterGroupName")?;
    let arn = request.group_arn(Kind::ParameterGroup, name);
    if let Some(row) = catalogue::group(view, &arn)? {
        return Ok(row);
    }
    if default_named(service, request, name).is_some() {
        let text = format!(
            "Default DBParameterGroup cannot be modified or deleted: {}",
            arn.name
        );
        let refusal = Refusal::InvalidDbParameterGroupState;
        return Err(DatabasesError::refused(refusal, text));
    }
    Err(common::no_parameter_group(name))
}

/// The instances that use a group.
fn users_of(
    view: &dyn ConfigurationView,
    group: &ParameterGroup,
) -> Result<Vec<Instance>, DatabasesError> {
    let all = catalogue::instances_of(view, group.arn.account)?;
    let all = all.into_iter().map(|(_, instance)| instance);
    Ok(all
        .filter(|instance| instance.parameter_group == group.arn.name)
        .collect())
}

/// A parameter that a request names, if a group can set it.
fn parameter(of: &Members<'_>) -> Result<&'static Parameter, DatabasesError> {
    let name = required(of, "ParameterName")?;
    let Some(parameter) = parameters::find(name) else {
        let text = format!("Could not find parameter with name: {}", shown(name));
        return Err(DatabasesError::value(text));
    };
    if !parameter.is_modifiable {
        let text = format!("The parameter {} cannot be modified.", parameter.name);
        return Err(DatabasesError::value(text));
    }
    Ok(parameter)
}

/// From when a request wants a parameter to be in force.
fn applied(of: &Members<'_>, parameter: &Parameter) -> Result<Applied, DatabasesError> {
    let text = required(of, "ApplyMethod")?;
    let applied = Applied::of_name(text).ok_or_else(|| {
        let text = format!("Invalid apply method: {}", shown(text));
        DatabasesError::value(text)
    })?;
    if applied == Applied::Immediate && parameter.apply == Apply::Static {
        let text = "cannot use immediate apply method for static parameter";
        return Err(DatabasesError::combination(text));
    }
    Ok(applied)
}

/// The parameters that a request lists: one at least.
pub(super) fn listed<'a>(
    request: &DatabasesRequest<'a>,
) -> Result<Vec<Members<'a>>, DatabasesError> {
    let given = list_of_structures(&request.members(), "Parameters", "Parameter")?;
    if given.is_empty() {
        request.required("Parameters")?;
    }
    if given.len() > MAX_PARAMETERS {
        let text = format!("At most {MAX_PARAMETERS} parameters can be changed in one request");
        return Err(DatabasesError::value(text));
    }
    Ok(given)
}

/// The value that a request gives a parameter, if that takes it.
pub(super) fn value<'a>(
    given: &Members<'a>,
    parameter: &Parameter,
) -> Result<&'a str, DatabasesError> {
    let value = given.value("ParameterValue").unwrap_or("");
    if !parameter.takes(value) {
        let text = format!(
            "Invalid parameter value: {} for: {} allowed values are: {}",
            shown(value),
            parameter.name,
            parameter.allowed().unwrap_or_default()
        );
        return Err(DatabasesError::value(text));
    }
    Ok(value)
}

/// Is a request to reset all parameters, and not those that it lists?
pub(super) fn resets_all(request: &DatabasesRequest<'_>) -> Result<bool, DatabasesError> {
    let members = request.members();
    let is_listed = !list_of_structures(&members, "Parameters", "Parameter")?.is_empty();
    let is_all = request.flag("ResetAllParameters")?.unwrap_or(!is_listed);
    if is_all && is_listed {
        let text = "Parameters can't be listed when ResetAllParameters is specified.";
        return Err(DatabasesError::combination(text));
    }
    Ok(is_all)
}

/// `ModifyDBParameterGroup`: what is dynamic reaches servers at once, unless it is to wait.
pub(crate) async fn modify(
    service: &Service,
    request: &DatabasesRequest<'_>,
) -> Result<Reply, DatabasesError> {
    request.required("DBParameterGroupName")?;
    let mut set = BTreeMap::new();
    for given in listed(request)? {
        let parameter = parameter(&given)?;
        let value = value(&given, parameter)?;
        let applied = applied(&given, parameter)?;
        if set
            .insert(parameter.name.clone(), (value.to_owned(), applied))
            .is_some()
        {
            let text = format!("The parameter {} is given more than once", parameter.name);
            return Err(DatabasesError::value(text));
        }
    }
    change(service, request, |group| {
        let told = set.iter().map(|(name, (value, applied))| {
            format!("Updated parameter {name} to {value} with apply method {applied}")
        });
        group.parameters.extend(set.clone());
        told.collect()
    })
    .await
}

/// `ResetDBParameterGroup`: all parameters, or those that are listed.
pub(crate) async fn reset(
    service: &Service,
    request: &DatabasesRequest<'_>,
) -> Result<Reply, DatabasesError> {
    request.required("DBParameterGroupName")?;
    let mut names = Vec::new();
    let is_all = resets_all(request)?;
    if !is_all {
        for given in listed(request)? {
            let parameter = parameter(&given)?;
            applied(&given, parameter)?;
            names.push(parameter.name.as_str());
        }
    }
    change(service, request, |group| {
        let is_reset = |name: &str| is_all || names.contains(&name);
        let held = group.parameters.keys().filter(|name| is_reset(name));
        let told = held
            .take(MAX_PARAMETERS)
            .map(|name| format!("Reset parameter {name}"));
        let told = told.collect();
        group.parameters.retain(|name, _| !is_reset(name));
        told
    })
    .await
}

/// Changes a group, tells of it, and has the servers of its users looked at.
async fn change(
    service: &Service,
    request: &DatabasesRequest<'_>,
    amend: impl Fn(&mut ParameterGroup) -> Vec<String>,
) -> Result<Reply, DatabasesError> {
    let made = service.change(|view: &dyn ConfigurationView| {
        let (revision, before) = named(service, view, request)?;
        let mut group = before.clone();
        let told = amend(&mut group);
        let users = users_of(view, &group)?.into_iter();
        let users: Vec<ResourceId> = users.map(|instance| instance.resource_id).collect();
        if group == before {
            return Ok((Vec::new(), (group, users)));
        }
        let mut edits: Vec<ConfigurationEdit> = vec![catalogue::replace(
            keys::group(&group.arn),
            revision,
            &group,
        )];
        let told = told
            .into_iter()
            .map(|text| Telling::of_parameters(&group, text));
        edits.extend(events::edits(view, service.now(), told.collect()));
        Ok((edits, (group, users)))
    });
    let (group, users) = made.await?;
    for user in &users {
        service.look_at(user);
    }
    let mut reply = request.reply();
    reply
        .writer()
        .value("DBParameterGroupName", &group.arn.name);
    Ok(reply)
}

/// `DescribeDBParameterGroups`: all, the default one among them, or one.
pub(crate) async fn describe(
    service: &Service,
    request: &DatabasesRequest<'_>,
) -> Result<Reply, DatabasesError> {
    Filters::of(request, &[])?;
    let paging = Paging::of(request)?;
    let view = service.view();
    let found = match request.text("DBParameterGroupName") {
        Some(name) => vec![shown_group(service, &*view, request, name)?],
        None => {
            let held: Vec<Row<ParameterGroup>> = catalogue::groups_of(&*view, request.account())?;
            let mut all: Vec<_> = held.into_iter().map(|(_, group)| group).collect();
            let engine = service.config.engine.as_ref().ok();
            let default = engine.map(|engine| engine.default_parameter_group());
            all.extend(default.and_then(|name| default_named(service, request, &name)));
            all
        }
    };
    let keyed = found
        .into_iter()
        .map(|group| (group.arn.name.clone(), group));
    let mut reply = request.reply();
    let list = ("DBParameterGroups", "DBParameterGroup");
    paging.write(reply.writer(), list, keyed.collect(), |writer, group| {
        shapes::parameter_group(writer, &group);
    });
    Ok(reply)
}

/// A group that is there, the default one too.
pub(super) fn shown_group(
    service: &Service,
    view: &dyn ConfigurationView,
    request: &DatabasesRequest<'_>,
    name: &str,
) -> Result<ParameterGroup, DatabasesError> {
    let arn = request.group_arn(Kind::ParameterGroup, name);
    let held = catalogue::group(view, &arn)?.map(|(_, group)| group);
    let found = held.or_else(|| default_named(service, request, name));
    found.ok_or_else(|| common::no_parameter_group(name))
}

/// `DeleteDBParameterGroup`.
pub(crate) async fn delete(
    service: &Service,
    request: &DatabasesRequest<'_>,
) -> Result<Reply, DatabasesError> {
    let made = service.change(|view: &dyn ConfigurationView| {
        let (revision, group) = named(service, view, request)?;
        if !users_of(view, &group)?.is_empty() {
            let text = format!(
                "One or more database instances are still members of this parameter group {}, so \
                 the group cannot be deleted",
                group.arn.name
            );
            let refusal = Refusal::InvalidDbParameterGroupState;
            return Err(DatabasesError::refused(refusal, text));
        }
        Ok((
            vec![catalogue::remove(keys::group(&group.arn), revision)],
            (),
        ))
    });
    made.await?;
    Ok(request.done())
}
