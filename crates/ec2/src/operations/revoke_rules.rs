//! RevokeSecurityGroupIngress and RevokeSecurityGroupEgress: rules are removed, all or none.

use super::authorize_rules::{group_of, is_wanted};
use super::permissions;
use crate::described::{Members, Node, text};
use crate::error::Ec2Error;
use crate::filter::shown;
use crate::model::{Peer, Rule};
use crate::request::Ec2Request;
use crate::settings::Settings;

/// Removes rules of what arrives.
pub(crate) async fn ingress(request: &Ec2Request<'_>) -> Result<Members, Ec2Error> {
    revoke(request, false).await
}

/// Removes rules of what leaves.
pub(crate) async fn egress(request: &Ec2Request<'_>) -> Result<Members, Ec2Error> {
    revoke(request, true).await
}

async fn revoke(request: &Ec2Request<'_>, is_egress: bool) -> Result<Members, Ec2Error> {
    let id = group_of(request)?;
    request.authorize(&[request.arn(&format!("security-group/{id}"))])?;
    let ids = request.members.numbered("SecurityGroupRuleId")?;
    let wanted = match ids.is_empty() {
        true => permissions::read(request)?,
        false => Vec::new(),
    };
    let (caller, service) = (request.caller, request.service);
    let region = service.config.region;
    let revoked = service
        .change(|view| {
            let settings = Settings::of(view, caller, region);
            let (expected, mut group) = settings.group(&id)?;
            for rule in &ids {
                let is_it = |other: &Rule| other.id == *rule && other.is_egress == is_egress;
                if !group.rules.iter().any(is_it) {
                    return Err(Ec2Error::NotFound {
                        code: "InvalidSecurityGroupRuleId.NotFound",
                        kind: "security group rule ID",
                        id: shown(rule),
                    });
                }
            }
            for one in &wanted {
                if !group
                    .rules
                    .iter()
                    .any(|rule| is_wanted(rule, is_egress, one))
                {
                    return Err(Ec2Error::NoSuchRule);
                }
            }
            let goes = |rule: &Rule| {
                ids.contains(&rule.id.as_str())
                    || wanted.iter().any(|one| is_wanted(rule, is_egress, one))
            };
            let (gone, left) = group.rules.drain(..).partition(goes);
            group.rules = left;
            Ok((vec![settings.put(expected, &group)], gone))
        })
        .await?;
    let revoked: Vec<Rule> = revoked;
    let rules = revoked.iter().map(|rule| described(rule, &id));
    Ok(vec![
        ("return", text(true)),
        ("unknownIpPermissionSet", Node::Items(Vec::new())),
        ("revokedSecurityGroupRuleSet", Node::Items(rules.collect())),
    ])
}

fn described(rule: &Rule, group: &str) -> Node {
    let mut members = vec![
        ("securityGroupRuleId", text(&rule.id)),
        ("groupId", text(group)),
        ("isEgress", text(rule.is_egress)),
        ("ipProtocol", text(&rule.what.protocol)),
        ("fromPort", text(rule.what.from.unwrap_or(-1))),
        ("toPort", text(rule.what.to.unwrap_or(-1))),
    ];
    members.push(match &rule.what.peer {
        Peer::V4(block) => ("cidrIpv4", text(block)),
        Peer::V6(block) => ("cidrIpv6", text(block)),
        Peer::Group(id) => ("referencedGroupId", text(id)),
    });
    let description = rule.description.as_ref();
    members.extend(description.map(|words| ("description", text(words))));
    Node::Members(members)
}
