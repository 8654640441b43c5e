//! CreateSecurityGroup and DeleteSecurityGroup.

use types::ConfigurationExpected;
use types::network::{default_security_group, default_vpc};

use crate::described::{Members, tag_set, text};
use crate::error::Ec2Error;
use crate::filter::shown;
use crate::limits;
use crate::model::{Group, Peer, Rule, What};
use crate::request::Ec2Request;
use crate::settings::Settings;

/// Makes a security group, which lets everything out and nothing in.
pub(crate) async fn create(request: &Ec2Request<'_>) -> Result<Members, Ec2Error> {
    let region = request.service.config.region;
    let vpc = request.members.value("VpcId").filter(|id| !id.is_empty());
    let vpc = vpc.map_or_else(|| default_vpc(region), shown);
    request.authorize(&[
        request.arn("security-group/*"),
        request.arn(&format!("vpc/{vpc}")),
    ])?;
    let name = checked(request.required("GroupName")?, "GroupName")?;
    let description = checked(request.required("GroupDescription")?, "GroupDescription")?;
    if name.starts_with("sg-") {
        let words = "Group names may not be in the format sg-*.";
        return Err(Ec2Error::Invalid(words.to_owned()));
    }
    if vpc != default_vpc(region) {
        return Err(Ec2Error::NotFound {
            code: "InvalidVpcID.NotFound",
            kind: "vpc ID",
            id: vpc,
        });
    }
    let tags = request.tag_specification("security-group")?;
    let group = Group {
        id: request.service.new_id("sg"),
        name: name.to_owned(),
        description: description.to_owned(),
        rules: vec![Rule {
            id: request.service.new_id("sgr"),
            is_egress: true,
            what: What::all(Peer::V4("0.0.0.0/0".to_owned())),
            description: None,
            tags: Default::default(),
        }],
        tags,
    };
    let (caller, service) = (request.caller, request.service);
    service
        .change(|view| {
            let settings = Settings::of(view, caller, region);
            let there = settings.groups()?;
            if there.iter().any(|other| other.name == group.name) {
                return Err(Ec2Error::DuplicateGroup {
                    name: group.name.clone(),
                    vpc: vpc.clone(),
                });
            }
            if there.len() >= limits::GROUPS {
                return Err(Ec2Error::Limit {
                    code: "SecurityGroupLimitExceeded",
                    message: "You have reached the maximum number of security groups".to_owned(),
                });
            }
            let edit = settings.put(ConfigurationExpected::Absent, &group);
            Ok((vec![edit], ()))
        })
        .await?;
    Ok(vec![
        ("groupId", text(&group.id)),
        ("tagSet", tag_set(&group.tags)),
        (
            "securityGroupArn",
            text(request.arn(&format!("security-group/{}", group.id))),
        ),
    ])
}

/// A name or description of 1 to 255 characters of those that EC2 takes.
fn checked<'t>(given: &'t str, name: &str) -> Result<&'t str, Ec2Error> {
    let plain = given.chars().all(|character| {
        character.is_ascii_alphanumeric() || " ._-:/()#,@[]+=&;{}!$*".contains(character)
    });
    if !plain || given.chars().count() > limits::TEXT {
        return Err(Ec2Error::Invalid(format!(
            "Value ({}) for parameter {name} is invalid. Character sets beyond ASCII are not \
             supported, and 255 characters is the most.",
            shown(given)
        )));
    }
    Ok(given)
}

/// Removes a security group that nothing uses.
pub(crate) async fn delete(request: &Ec2Request<'_>) -> Result<Members, Ec2Error> {
    let settings = request.settings();
    let id = match (
        request.members.value("GroupId"),
        request.members.value("GroupName"),
    ) {
        (Some(id), _) => id.to_owned(),
        (None, Some(name)) => {
            let groups = settings.groups()?;
            let named = groups.into_iter().find(|group| group.name == name);
            let named = named.map(|group| group.id);
            named.ok_or_else(|| Ec2Error::NotFound {
                code: "InvalidGroup.NotFound",
                kind: "security group",
                id: shown(name),
            })?
        }
        (None, None) => return Err(Ec2Error::Missing("GroupId")),
    };
    request.authorize(&[request.arn(&format!("security-group/{}", shown(&id)))])?;
    let (caller, service) = (request.caller, request.service);
    let region = service.config.region;
    service
        .change(|view| {
            let settings = Settings::of(view, caller, region);
            let (expected, group) = settings.group(&id)?;
            if id == default_security_group(region) {
                return Err(Ec2Error::DefaultGroup(id.clone()));
            }
            let names_it = |rule: &Rule| rule.what.peer == Peer::Group(id.clone());
            let others = settings.groups()?;
            let is_named = others
                .iter()
                .any(|other| other.id != id && other.rules.iter().any(names_it));
            let interfaces = service.config.surroundings.interfaces();
            let is_used = interfaces
                .iter()
                .any(|interface| interface.groups.contains(&id));
            if is_named || is_used {
                return Err(Ec2Error::Dependency(id.clone()));
            }
            Ok((vec![settings.remove(expected, &group.id)], ()))
        })
        .await?;
    Ok(vec![("return", text(true)), ("groupId", text(id))])
}
