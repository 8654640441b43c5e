//! DescribeSecurityGroups.

use types::network::default_vpc;

use super::permissions::permissions;
use crate::described::{Described, Members};
use crate::error::Ec2Error;
use crate::filter::shown;
use crate::model::{Group, Peer, Rule};
use crate::request::{Ec2Request, Kind};
use crate::settings::Settings;

const GROUPS: Kind = Kind {
    ids: "GroupId",
    prefix: "sg",
    codes: ["InvalidGroupId.Malformed", "InvalidGroup.NotFound"],
    name: "security group",
    filters: &[
        "description",
        "egress.ip-permission.cidr",
        "egress.ip-permission.group-id",
        "egress.ip-permission.protocol",
        "group-id",
        "group-name",
        "ip-permission.cidr",
        "ip-permission.from-port",
        "ip-permission.group-id",
        "ip-permission.ipv6-cidr",
        "ip-permission.protocol",
        "ip-permission.to-port",
        "owner-id",
        "vpc-id",
    ],
    list: "securityGroupInfo",
};

/// The security groups.
pub(crate) async fn describe(request: &Ec2Request<'_>) -> Result<Members, Ec2Error> {
    request.authorize(&["*".to_owned()])?;
    let settings = request.settings();
    let mut groups = settings.groups()?;
    let names = request.members.numbered("GroupName")?;
    for name in &names {
        if !groups.iter().any(|group| group.name == *name) {
            return Err(Ec2Error::NotFound {
                code: GROUPS.codes[1],
                kind: GROUPS.name,
                id: shown(name),
            });
        }
    }
    groups.retain(|group| names.is_empty() || names.contains(&group.name.as_str()));
    let described = groups.iter().map(|group| describe_one(group, &settings));
    request.choose(&GROUPS, described.collect())
}

fn describe_one(group: &Group, settings: &Settings<'_>) -> Described {
    let (region, account) = (settings.region, settings.account);
    let arn = format!("arn:aws:ec2:{region}:{account}:security-group/{}", group.id);
    let listed = |is_egress| {
        let rules = group
            .rules
            .iter()
            .filter(move |rule| rule.is_egress == is_egress);
        permissions(
            rules.map(|rule| (&rule.what, rule.description.as_deref())),
            settings,
        )
    };
    let rules = |is_egress: bool, of: fn(&Rule) -> Option<String>| -> Vec<String> {
        let rules = group
            .rules
            .iter()
            .filter(|rule| rule.is_egress == is_egress);
        rules.filter_map(of).collect()
    };
    let block = |rule: &Rule| match &rule.what.peer {
        Peer::V4(block) => Some(block.clone()),
        _ => None,
    };
    let block_v6 = |rule: &Rule| match &rule.what.peer {
        Peer::V6(block) => Some(block.clone()),
        _ => None,
    };
    let peer = |rule: &Rule| match &rule.what.peer {
        Peer::Group(id) => Some(id.clone()),
        _ => None,
    };
    let protocol = |rule: &Rule| Some(rule.what.protocol.clone());
    Described::new(&group.id, group.tags.clone())
        .filtered("ownerId", "owner-id", account)
        .filtered("groupId", "group-id", &group.id)
        .filtered("groupName", "group-name", &group.name)
        .filtered("groupDescription", "description", &group.description)
        .filtered("vpcId", "vpc-id", default_vpc(region))
        .with("securityGroupArn", arn)
        .with("ipPermissions", listed(false))
        .with("ipPermissionsEgress", listed(true))
        .attribute("ip-permission.cidr", rules(false, block))
        .attribute("ip-permission.ipv6-cidr", rules(false, block_v6))
        .attribute("ip-permission.group-id", rules(false, peer))
        .attribute("ip-permission.protocol", rules(false, protocol))
        .attribute(
            "ip-permission.from-port",
            rules(false, |rule| rule.what.from.map(|port| port.to_string())),
        )
        .attribute(
            "ip-permission.to-port",
            rules(false, |rule| rule.what.to.map(|port| port.to_string())),
        )
        .attribute("egress.ip-permission.cidr", rules(true, block))
        .attribute("egress.ip-permission.group-id", rules(true, peer))
        .attribute("egress.ip-permission.protocol", rules(true, protocol))
        .tagged()
}
