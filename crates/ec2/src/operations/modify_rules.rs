//! ModifySecurityGroupRules: rules by their ids become others, all or none.

use super::authorize_rules::group_of;
use super::permissions;
use crate::described::Members;
use crate::error::Ec2Error;
use crate::filter::shown;
use crate::limits;
use crate::model::{Peer, Rule};
use crate::request::{Ec2Request, done};
use crate::settings::Settings;

/// Changes rules of a group.
pub(crate) async fn modify(request: &Ec2Request<'_>) -> Result<Members, Ec2Error> {
    let id = group_of(request)?;
    request.authorize(&[request.arn(&format!("security-group/{id}"))])?;
    let groups = request.settings().groups()?;
    let mut changes = Vec::new();
    for update in request.members.numbered_structures("SecurityGroupRule")? {
        let rule = update
            .value("SecurityGroupRuleId")
            .ok_or(Ec2Error::Missing("SecurityGroupRuleId"))?;
        let wanted = update.structure("SecurityGroupRule");
        let wanted = wanted.ok_or(Ec2Error::Missing("SecurityGroupRule"))?;
        let named = wanted
            .value("IpProtocol")
            .ok_or(Ec2Error::Missing("IpProtocol"))?;
        let port = |name: &str| wanted.value(name).and_then(|port| port.parse().ok());
        let peer = match (
            wanted.value("CidrIpv4"),
            wanted.value("CidrIpv6"),
            wanted.value("ReferencedGroupId"),
        ) {
            (Some(block), None, None) => permissions::v4(block)?,
            (None, Some(block), None) => permissions::v6(block)?,
            (None, None, Some(id)) => Peer::Group(permissions::by_id(id, &groups)?),
            _ => {
                let words = "Exactly one of CidrIpv4, CidrIpv6 and ReferencedGroupId may be given";
                return Err(Ec2Error::Combination(words.to_owned()));
            }
        };
        let what = permissions::what(named, (port("FromPort"), port("ToPort")), peer)?;
        let description = wanted.value("Description").map(str::to_owned);
        let is_long = |words: &String| words.chars().count() > limits::TEXT;
        if description.as_ref().is_some_and(is_long) {
            let words = "Invalid rule description. Up to 255 characters are allowed.";
            return Err(Ec2Error::Invalid(words.to_owned()));
        }
        changes.push((rule.to_owned(), what, description));
    }
    if changes.is_empty() {
        return Err(Ec2Error::Missing("SecurityGroupRule"));
    }
    let (caller, service) = (request.caller, request.service);
    let region = service.config.region;
    service
        .change(|view| {
            let settings = Settings::of(view, caller, region);
            let (expected, mut group) = settings.group(&id)?;
            for (rule, what, description) in &changes {
                let found = group.rules.iter_mut().find(|other| other.id == *rule);
                let found = found.ok_or_else(|| Ec2Error::NotFound {
                    code: "InvalidSecurityGroupRuleId.NotFound",
                    kind: "security group rule ID",
                    id: shown(rule),
                })?;
                found.what = what.clone();
                found.description = description.clone();
            }
            let same = |one: &Rule, other: &Rule| {
                one.id != other.id && one.is_egress == other.is_egress && one.what == other.what
            };
            for one in &group.rules {
                if group.rules.iter().any(|other| same(one, other)) {
                    return Err(Ec2Error::DuplicateRule(one.what.words()));
                }
            }
            Ok((vec![settings.put(expected, &group)], ()))
        })
        .await?;
    Ok(done())
}
