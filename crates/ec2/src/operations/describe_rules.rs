//! DescribeSecurityGroupRules.

use super::permissions;
use crate::described::Members;
use crate::error::Ec2Error;
use crate::request::{Ec2Request, Kind};

const RULES: Kind = Kind {
    ids: "SecurityGroupRuleId",
    prefix: "sgr",
    codes: [
        "InvalidSecurityGroupRuleId.Malformed",
        "InvalidSecurityGroupRuleId.NotFound",
    ],
    name: "security group rule ID",
    filters: &["group-id", "security-group-rule-id"],
    list: "securityGroupRuleSet",
};

/// The rules of all security groups.
pub(crate) async fn describe(request: &Ec2Request<'_>) -> Result<Members, Ec2Error> {
    request.authorize(&["*".to_owned()])?;
    let settings = request.settings();
    let groups = settings.groups()?;
    let rules = groups.iter().flat_map(|group| {
        let rules = group.rules.iter();
        rules.map(|rule| permissions::describe(rule, &group.id, &settings))
    });
    request.choose(&RULES, rules.collect())
}
