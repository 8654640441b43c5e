//! AuthorizeSecurityGroupIngress and AuthorizeSecurityGroupEgress: rules are added, all or none.

use types::network::default_security_group;

use super::permissions::{self, Wanted};
use crate::described::{Members, Node, text};
use crate::error::Ec2Error;
use crate::filter::shown;
use crate::limits;
use crate::model::Rule;
use crate::request::Ec2Request;
use crate::settings::Settings;

/// Adds rules of what arrives.
pub(crate) async fn ingress(request: &Ec2Request<'_>) -> Result<Members, Ec2Error> {
    authorize(request, false).await
}

/// Adds rules of what leaves.
pub(crate) async fn egress(request: &Ec2Request<'_>) -> Result<Members, Ec2Error> {
    authorize(request, true).await
}

/// The id of the group that a request is about.
pub(super) fn group_of(request: &Ec2Request<'_>) -> Result<String, Ec2Error> {
    let members = &request.members;
    if let Some(id) = members.value("GroupId").filter(|id| !id.is_empty()) {
        return Ok(shown(id));
    }
    match members.value("GroupName") {
        Some("default") => Ok(default_security_group(request.service.config.region)),
        Some(name) => {
            let groups = request.settings().groups()?;
            let named = groups.into_iter().find(|group| group.name == name);
            let named = named.map(|group| group.id);
            named.ok_or_else(|| Ec2Error::NotFound {
                code: "InvalidGroup.NotFound",
                kind: "security group",
                id: shown(name),
            })
        }
        None => Err(Ec2Error::Missing("GroupId")),
    }
}

async fn authorize(request: &Ec2Request<'_>, is_egress: bool) -> Result<Members, Ec2Error> {
    let id = group_of(request)?;
    request.authorize(&[request.arn(&format!("security-group/{id}"))])?;
    let wanted = permissions::read(request)?;
    let tags = request.tag_specification("security-group-rule")?;
    let (caller, service) = (request.caller, request.service);
    let region = service.config.region;
    let added = service
        .change(|view| {
            let settings = Settings::of(view, caller, region);
            let (expected, mut group) = settings.group(&id)?;
            let mut added = Vec::new();
            for (what, description) in &wanted {
                let same = |rule: &Rule| rule.is_egress == is_egress && rule.what == *what;
                if group.rules.iter().any(same) {
                    return Err(Ec2Error::DuplicateRule(what.words()));
                }
                let rule = Rule {
                    id: service.new_id("sgr"),
                    is_egress,
                    what: what.clone(),
                    description: description.clone(),
                    tags: tags.clone(),
                };
                group.rules.push(rule.clone());
                added.push(rule);
            }
            let both = group.rules.iter();
            if both.filter(|rule| rule.is_egress == is_egress).count() > limits::RULES {
                return Err(permissions::too_many());
            }
            Ok((vec![settings.put(expected, &group)], added))
        })
        .await?;
    let settings = request.settings();
    let rules = added.iter().map(|rule| {
        let described = permissions::describe(rule, &id, &settings);
        Node::Members(described.members)
    });
    Ok(vec![
        ("return", text(true)),
        ("securityGroupRuleSet", Node::Items(rules.collect())),
    ])
}

/// Does that rule let through what is wanted?
pub(super) fn is_wanted(rule: &Rule, is_egress: bool, wanted: &Wanted) -> bool {
    rule.is_egress == is_egress && rule.what == wanted.0
}
