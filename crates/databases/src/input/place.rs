//! Where an instance is and who may reach it: its zone, its subnet group and its security groups.
//! Security groups are described and filter nothing.

use std::collections::BTreeSet;

use types::{AvailabilityZone, ConfigurationView, network};

use crate::arn::Kind;
use crate::catalogue::{self, Row};
use crate::error::{DatabasesError, Refusal};
use crate::limits::MAX_SECURITY_GROUPS;
use crate::model::SubnetGroup;
use crate::request::{DatabasesRequest, list, shown};
use crate::service::Service;

/// The subnet group of those who name none: all zones of the default network.
pub(crate) const DEFAULT_SUBNET_GROUP: &str = "default";

/// The subnet group that a request names, or the default one.
pub(crate) fn subnet_group(
    view: &dyn ConfigurationView,
    request: &DatabasesRequest<'_>,
    name: &str,
) -> Result<SubnetGroup, DatabasesError> {
    let arn = request.group_arn(Kind::SubnetGroup, name);
    if let Some((_, group)) = catalogue::group(view, &arn)? {
        return Ok(group);
    }
    if arn.name == DEFAULT_SUBNET_GROUP {
        return Ok(SubnetGroup {
            arn,
            description: DEFAULT_SUBNET_GROUP.to_owned(),
            zones: AvailabilityZone::of(request.region()).collect(),
            tags: Default::default(),
        });
    }
    Err(no_subnet_group(name))
}

/// What is said if there is no such subnet group.
pub(crate) fn no_subnet_group(name: &str) -> DatabasesError {
    let text = format!("DB subnet group '{}' does not exist.", shown(name));
    DatabasesError::refused(Refusal::DbSubnetGroupNotFound, text)
}

/// The zone that a request asks for, or one of the group's.
pub(crate) fn zone(
    request: &DatabasesRequest<'_>,
    group: &SubnetGroup,
    random: u64,
) -> Result<AvailabilityZone, DatabasesError> {
    let Some(text) = request.text("AvailabilityZone") else {
        let count = u64::try_from(group.zones.len()).unwrap_or(1).max(1);
        let place = usize::try_from(random % count).unwrap_or_default();
        let zone = group.zones.iter().nth(place).copied();
        let none = || DatabasesError::value("The DB subnet group has no subnets.");
        return zone.ok_or_else(none);
    };
    let zone: Option<AvailabilityZone> = text.parse().ok();
    let zone = zone.filter(|zone| zone.region == request.region());
    let zone = zone.ok_or_else(|| {
        let text = format!("{} is not a valid availability zone", shown(text));
        DatabasesError::value(text)
    })?;
    match group.zones.contains(&zone) {
        true => Ok(zone),
        false => Err(DatabasesError::combination(format!(
            "The DB subnet group {} has no subnet in {zone}.",
            group.arn.name
        ))),
    }
}

/// The security groups that a request gives; the network's default one, if none.
pub(crate) fn security_groups(
    service: &Service,
    request: &DatabasesRequest<'_>,
) -> Result<Option<Vec<String>>, DatabasesError> {
    let members = request.members();
    let given = list(&members, "VpcSecurityGroupIds", "VpcSecurityGroupId")?;
    let given: BTreeSet<&str> = given.into_iter().collect();
    if given.is_empty() {
        return Ok(None);
    }
    if given.len() > MAX_SECURITY_GROUPS {
        let text = format!("A DB instance can have at most {MAX_SECURITY_GROUPS} security groups");
        return Err(DatabasesError::value(text));
    }
    let default = network::default_security_group(request.region());
    for group in &given {
        if *group != default && !service.config.surroundings.has_security_group(group) {
            let text = format!(
                "Invalid security group , groupId= {}, groupName=.",
                shown(group)
            );
            return Err(DatabasesError::value(text));
        }
    }
    Ok(Some(given.into_iter().map(str::to_owned).collect()))
}

/// The names of the instances that use a subnet group.
pub(crate) fn users_of(
    view: &dyn ConfigurationView,
    group: &SubnetGroup,
) -> Result<Vec<Row<crate::model::Instance>>, DatabasesError> {
    let mut users = catalogue::instances_of(view, group.arn.account)?;
    users.retain(|(_, instance)| instance.subnet_group == group.arn.name);
    Ok(users)
}
