//! DB subnet groups: to make, modify, describe and delete them. Their subnets are the default
//! network's, one a zone.

use std::collections::BTreeSet;

use aws::query::Reply;
use types::{AvailabilityZone, ConfigurationView, network};

use crate::arn::Kind;
use crate::catalogue::{self, Row};
use crate::error::{DatabasesError, Refusal};
use crate::input::{names, place};
use crate::limits::{MAX_SUBNET_GROUPS, MAX_SUBNETS};
use crate::model::SubnetGroup;
use crate::request::{DatabasesRequest, Filters, Paging, list, shown};
use crate::service::Service;
use crate::{keys, shapes, tags};

/// The zones of the subnets that a request gives: two at least.
fn zones(request: &DatabasesRequest<'_>) -> Result<BTreeSet<AvailabilityZone>, DatabasesError> {
    let given = list(&request.members(), "SubnetIds", "SubnetIdentifier")?;
    if given.is_empty() {
        request.required("SubnetIds")?;
    }
    if given.len() > MAX_SUBNETS {
        let text = format!("A DB subnet group can have at most {MAX_SUBNETS} subnets");
        return Err(DatabasesError::value(text));
    }
    let mut zones = BTreeSet::new();
    for subnet in given {
        let zone = network::zone_of_subnet(request.region(), subnet);
        let zone = zone.ok_or_else(|| {
            let text = format!("Some input subnets in :[{}] are invalid.", shown(subnet));
            DatabasesError::value(text)
        })?;
        zones.insert(zone);
    }
    if zones.len() < 2 {
        let covered: Vec<String> = zones.iter().map(AvailabilityZone::to_string).collect();
        let text = format!(
            "The DB subnet group doesn't meet Availability Zone (AZ) coverage requirement. Current \
             AZ coverage: {}. Add subnets to cover at least 2 AZs.",
            covered.join(", ")
        );
        let refusal = Refusal::DbSubnetGroupDoesNotCoverEnoughAzs;
        return Err(DatabasesError::refused(refusal, text));
    }
    Ok(zones)
}

fn reply(request: &DatabasesRequest<'_>, group: &SubnetGroup) -> Result<Reply, DatabasesError> {
    let mut reply = request.reply();
    let writer = reply.writer();
    writer.open("DBSubnetGroup");
    shapes::subnet_group(writer, group);
    writer.close();
    Ok(reply)
}

/// `CreateDBSubnetGroup`.
pub(crate) async fn create(
    service: &Service,
    request: &DatabasesRequest<'_>,
) -> Result<Reply, DatabasesError> {
    let name = names::subnet_group(request.required("DBSubnetGroupName")?)?;
    let description = request.required("DBSubnetGroupDescription")?;
    let group = SubnetGroup {
        arn: request.group_arn(Kind::SubnetGroup, &name),
        description: names::description("DBSubnetGroupDescription", description)?,
        zones: zones(request)?,
        tags: tags::read(&request.members())?,
    };
    let made = service.change(|view: &dyn ConfigurationView| {
        let key = keys::group(&group.arn);
        if view.get(&key).is_some() {
            let text = format!("The DB subnet group '{name}' already exists.");
            let refusal = Refusal::DbSubnetGroupAlreadyExists;
            return Err(DatabasesError::refused(refusal, text));
        }
        let held: Vec<Row<SubnetGroup>> = catalogue::groups_of(view, request.account())?;
        if held.len() >= MAX_SUBNET_GROUPS {
            let text = format!("Cannot create more than {MAX_SUBNET_GROUPS} DB subnet groups");
            let refusal = Refusal::DbSubnetGroupQuotaExceeded;
            return Err(DatabasesError::refused(refusal, text));
        }
        Ok((vec![catalogue::create(key, &group)], ()))
    });
    made.await?;
    reply(request, &group)
}

/// The group that a request names, if it is kept; what refuses the default one.
fn named(
    view: &dyn ConfigurationView,
    request: &DatabasesRequest<'_>,
) -> Result<Row<SubnetGroup>, DatabasesError> {
    let name = request.required("DBSubnetGroupName")?;
    let arn = request.group_arn(Kind::SubnetGroup, name);
    if let Some(row) = catalogue::group(view, &arn)? {
        return Ok(row);
    }
    if arn.name == place::DEFAULT_SUBNET_GROUP {
        let text = "The default DB subnet group can't be changed or deleted here.";
        let refusal = Refusal::InvalidDbSubnetGroupState;
        return Err(DatabasesError::refused(refusal, text));
    }
    Err(place::no_subnet_group(name))
}

/// `ModifyDBSubnetGroup`.
pub(crate) async fn modify(
    service: &Service,
    request: &DatabasesRequest<'_>,
) -> Result<Reply, DatabasesError> {
    request.required("DBSubnetGroupName")?;
    let zones = zones(request)?;
    let description = request.text("DBSubnetGroupDescription");
    let description = description
        .map(|text| names::description("DBSubnetGroupDescription", text))
        .transpose()?;
    let made = service.change(|view: &dyn ConfigurationView| {
        let (revision, mut group) = named(view, request)?;
        for (_, user) in place::users_of(view, &group)? {
            if !zones.contains(&user.zone) {
                let text = format!(
                    "The DB subnet in {} is in use: the DB instance {} is there.",
                    user.zone, user.arn.identifier
                );
                return Err(DatabasesError::refused(Refusal::SubnetAlreadyInUse, text));
            }
        }
        group.zones = zones.clone();
        group.description = description.clone().unwrap_or(group.description);
        let edits = vec![catalogue::replace(
            keys::group(&group.arn),
            revision,
            &group,
        )];
        Ok((edits, group))
    });
    let group = made.await?;
    reply(request, &group)
}

/// `DescribeDBSubnetGroups`: all, the default one among them, or one.
pub(crate) async fn describe(
    service: &Service,
    request: &DatabasesRequest<'_>,
) -> Result<Reply, DatabasesError> {
    Filters::of(request, &[])?;
    let paging = Paging::of(request)?;
    let view = service.view();
    let found = match request.text("DBSubnetGroupName") {
        Some(name) => vec![place::subnet_group(&*view, request, name)?],
        None => {
            let held: Vec<Row<SubnetGroup>> = catalogue::groups_of(&*view, request.account())?;
            let mut all: Vec<SubnetGroup> = held.into_iter().map(|(_, group)| group).collect();
            let default = place::DEFAULT_SUBNET_GROUP;
            all.push(place::subnet_group(&*view, request, default)?);
            all
        }
    };
    let keyed = found
        .into_iter()
        .map(|group| (group.arn.name.clone(), group));
    let mut reply = request.reply();
    let list = ("DBSubnetGroups", "DBSubnetGroup");
    paging.write(reply.writer(), list, keyed.collect(), |writer, group| {
        shapes::subnet_group(writer, &group);
    });
    Ok(reply)
}

/// `DeleteDBSubnetGroup`.
pub(crate) async fn delete(
    service: &Service,
    request: &DatabasesRequest<'_>,
) -> Result<Reply, DatabasesError> {
    let made = service.change(|view: &dyn ConfigurationView| {
        let (revision, group) = named(view, request)?;
        if let Some((_, user)) = place::users_of(view, &group)?.first() {
            let text = format!(
                "Cannot delete the subnet group '{}' because at least one database instance: {} is \
                 still using it.",
                group.arn.name, user.arn.identifier
            );
            let refusal = Refusal::InvalidDbSubnetGroupState;
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
