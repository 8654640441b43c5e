//! Tags of instances, snapshots, clusters and groups: to set, take away and list them. Those of
//! global clusters are in `global_tags`.

use aws::query::Reply;
use types::{ConfigurationEdit, ConfigurationView};

use super::{common, global_tags};
use crate::arn::{Arn, Kind};
use crate::catalogue::{self, Group};
use crate::error::{DatabasesError, Refusal};
use crate::input::place;
use crate::limits::MAX_TAGS;
use crate::model::{OptionGroup, ParameterGroup, SubnetGroup, Tags};
use crate::request::{DatabasesRequest, Filters, list, shown};
use crate::service::{Attempt, Service};
use crate::{keys, tags};

/// What a request names, of the caller's own and in this Region.
fn resource(request: &DatabasesRequest<'_>) -> Result<Arn, DatabasesError> {
    let text = request.required("ResourceName")?;
    let invalid = || {
        let text = format!("Invalid resource name: {}", shown(text));
        DatabasesError::value(text)
    };
    let arn: Arn = text.parse().map_err(|_| invalid())?;
    match arn.account == request.account() && arn.region == request.region() {
        true => Ok(arn),
        false => Err(missing(&arn)),
    }
}

/// What is said if there is nothing of that name.
fn missing(arn: &Arn) -> DatabasesError {
    let name = &arn.name;
    match arn.kind {
        Kind::Instance => common::no_instance(name),
        Kind::Cluster => common::no_cluster(name),
        Kind::ClusterEndpoint => super::cluster_endpoints::no_endpoint(name),
        Kind::SubnetGroup => place::no_subnet_group(name),
        Kind::ParameterGroup | Kind::ClusterParameterGroup => common::no_parameter_group(name),
        Kind::OptionGroup => common::no_option_group(name),
        Kind::Snapshot => {
            let text = format!("DBSnapshot not found: {name}");
            DatabasesError::refused(Refusal::DbSnapshotNotFound, text)
        }
    }
}

/// Changes the tags of what is named, as `amend` does to a copy; and what they are then.
fn amended(
    view: &dyn ConfigurationView,
    arn: &Arn,
    amend: &dyn Fn(&mut Tags) -> Result<(), DatabasesError>,
) -> Attempt<Tags> {
    let none = || missing(arn);
    match arn.kind {
        Kind::Instance => {
            let name = arn.clone().try_into().map_err(|_| none())?;
            let found = catalogue::instance_named(view, &name)?;
            let (revision, mut row) = found.ok_or_else(none)?;
            amend(&mut row.tags)?;
            Ok((vec![catalogue::replace_instance(revision, &row)], row.tags))
        }
        Kind::Cluster => {
            let name = arn.clone().try_into().map_err(|_| none())?;
            let found = catalogue::cluster_named(view, &name)?;
            let (revision, mut row) = found.ok_or_else(none)?;
            amend(&mut row.tags)?;
            Ok((vec![catalogue::replace_cluster(revision, &row)], row.tags))
        }
        Kind::ClusterEndpoint => {
            let name = arn.clone().try_into().map_err(|_| none())?;
            let found = catalogue::endpoint_named(view, &name)?;
            let (revision, mut row) = found.ok_or_else(none)?;
            amend(&mut row.tags)?;
            let key = keys::endpoint(&row.arn);
            Ok((vec![catalogue::replace(key, revision, &row)], row.tags))
        }
        Kind::Snapshot => {
            let name = arn.clone().try_into().map_err(|_| none())?;
            let (revision, mut row) = catalogue::snapshot(view, &name)?.ok_or_else(none)?;
            amend(&mut row.tags)?;
            let key = keys::snapshot(&row.arn);
            Ok((vec![catalogue::replace(key, revision, &row)], row.tags))
        }
        Kind::SubnetGroup => group(view, arn, |row: &mut SubnetGroup| {
            amend(&mut row.tags).map(|()| row.tags.clone())
        }),
        Kind::ParameterGroup | Kind::ClusterParameterGroup => {
            group(view, arn, |row: &mut ParameterGroup| {
                amend(&mut row.tags).map(|()| row.tags.clone())
            })
        }
        Kind::OptionGroup => group(view, arn, |row: &mut OptionGroup| {
            amend(&mut row.tags).map(|()| row.tags.clone())
        }),
    }
}

fn group<T: Group>(
    view: &dyn ConfigurationView,
    arn: &Arn,
    amend: impl FnOnce(&mut T) -> Result<Tags, DatabasesError>,
) -> Attempt<Tags> {
    let none = || missing(arn);
    let name = arn.clone().try_into().map_err(|_| none())?;
    let (revision, mut row) = catalogue::group::<T>(view, &name)?.ok_or_else(none)?;
    let tags = amend(&mut row)?;
    let edit: ConfigurationEdit = catalogue::replace(keys::group(&name), revision, &row);
    Ok((vec![edit], tags))
}

/// `AddTagsToResource`: those of a key that is there are replaced.
pub(crate) async fn add(
    service: &Service,
    request: &DatabasesRequest<'_>,
) -> Result<Reply, DatabasesError> {
    let global = global_tags::named(request)?;
    let added = tags::read(&request.members())?;
    if added.is_empty() {
        request.required("Tags")?;
    }
    let amend = |held: &mut Tags| tags::add(held, &added);
    if let Some(name) = global {
        global_tags::change(service, request, name, amend).await?;
        return Ok(request.done());
    }
    let arn = resource(request)?;
    service
        .change(|view: &dyn ConfigurationView| amended(view, &arn, &amend))
        .await?;
    Ok(request.done())
}

/// `RemoveTagsFromResource`: those that aren't there are taken away already.
pub(crate) async fn remove(
    service: &Service,
    request: &DatabasesRequest<'_>,
) -> Result<Reply, DatabasesError> {
    let global = global_tags::named(request)?;
    let taken = list(&request.members(), "TagKeys", "member")?;
    if taken.is_empty() {
        request.required("TagKeys")?;
    }
    if taken.len() > MAX_TAGS {
        let text = format!("At most {MAX_TAGS} tags can be taken away at once");
        return Err(DatabasesError::value(text));
    }
    let amend = |held: &mut Tags| {
        held.retain(|key, _| !taken.contains(&key.as_str()));
        Ok(())
    };
    if let Some(name) = global {
        global_tags::change(service, request, name, amend).await?;
        return Ok(request.done());
    }
    let arn = resource(request)?;
    service
        .change(|view: &dyn ConfigurationView| amended(view, &arn, &amend))
        .await?;
    Ok(request.done())
}

/// `ListTagsForResource`. A default group has none.
pub(crate) async fn list_tags(
    service: &Service,
    request: &DatabasesRequest<'_>,
) -> Result<Reply, DatabasesError> {
    Filters::of(request, &[])?;
    if let Some(name) = global_tags::named(request)? {
        let held = global_tags::held(service, request, name).await?;
        let mut reply = request.reply();
        tags::write(reply.writer(), &held);
        return Ok(reply);
    }
    let arn = resource(request)?;
    let is_default = match arn.kind {
        Kind::SubnetGroup => arn.name == place::DEFAULT_SUBNET_GROUP,
        Kind::ParameterGroup | Kind::ClusterParameterGroup => arn.name.starts_with("default."),
        Kind::OptionGroup => arn.name.starts_with("default:"),
        Kind::Instance | Kind::Cluster | Kind::ClusterEndpoint | Kind::Snapshot => false,
    };
    let held = match is_default {
        true => Tags::new(),
        false => amended(&*service.view(), &arn, &|_| Ok(()))?.1,
    };
    let mut reply = request.reply();
    tags::write(reply.writer(), &held);
    Ok(reply)
}
