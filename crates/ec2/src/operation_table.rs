//! The operations of EC2's published model (API version 2016-11-15): their names, and a row for
//! each that is built, in the order of their names.
//!
//! To build one more: its own file under `operations/`, its row here, its test.

use std::pin::Pin;

use crate::described::Members;
use crate::error::Ec2Error;
use crate::operations::{
    authorize_rules, describe_groups, describe_network, describe_places, describe_rules,
    describe_running, groups, modify_rules, revoke_rules, tags,
};
use crate::request::Ec2Request;

/// What an operation is on its way to.
pub(crate) type Answer<'a> = Pin<Box<dyn Future<Output = Result<Members, Ec2Error>> + Send + 'a>>;

/// What carries an operation out. It asks the caller's judge before it does anything
/// ([`Ec2Request::authorize`]).
pub(crate) type Handler = for<'a> fn(&'a Ec2Request<'a>) -> Answer<'a>;

/// One operation that is built.
#[derive(Clone, Copy)]
pub(crate) struct Row {
    /// Its name: `DescribeVpcs`.
    pub(crate) name: &'static str,
    /// What carries it out.
    pub(crate) handler: Handler,
}

macro_rules! row {
    ($name:literal, $module:ident::$function:ident) => {
        Row {
            name: $name,
            handler: |request| Box::pin($module::$function(request)),
        }
    };
}

/// Those that are built.
const BUILT: &[Row] = &[
    row!("AuthorizeSecurityGroupEgress", authorize_rules::egress),
    row!("AuthorizeSecurityGroupIngress", authorize_rules::ingress),
    row!("CreateSecurityGroup", groups::create),
    row!("CreateTags", tags::create),
    row!("DeleteSecurityGroup", groups::delete),
    row!("DeleteTags", tags::delete),
    row!("DescribeAccountAttributes", describe_places::account),
    row!("DescribeAddresses", describe_running::addresses),
    row!("DescribeAvailabilityZones", describe_places::zones),
    row!("DescribeInstances", describe_running::instances),
    row!("DescribeInternetGateways", describe_network::gateways),
    row!("DescribeNetworkAcls", describe_network::acls),
    row!("DescribeNetworkInterfaces", describe_running::interfaces),
    row!("DescribeRegions", describe_places::regions),
    row!("DescribeRouteTables", describe_network::route_tables),
    row!("DescribeSecurityGroupRules", describe_rules::describe),
    row!("DescribeSecurityGroups", describe_groups::describe),
    row!("DescribeSubnets", describe_network::subnets),
    row!("DescribeTags", tags::describe),
    row!("DescribeVpcAttribute", describe_network::vpc_attribute),
    row!("DescribeVpcs", describe_network::vpcs),
    row!("ModifySecurityGroupRules", modify_rules::modify),
    row!("RevokeSecurityGroupEgress", revoke_rules::egress),
    row!("RevokeSecurityGroupIngress", revoke_rules::ingress),
];

/// The names of all operations of the model.
const NAMES: &str = include_str!("../../../data/ec2-operations-2016-11-15.txt");

/// Every operation of the model, in order.
pub(crate) fn names() -> impl Iterator<Item = &'static str> {
    NAMES.lines().filter(|line| !line.starts_with('#'))
}

/// The row of that operation, if it is built.
pub(crate) fn find(name: &str) -> Option<&'static Row> {
    BUILT.iter().find(|row| row.name == name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_built_is_of_the_model_and_in_order() {
        assert_eq!(names().count(), 765);
        assert!(names().is_sorted());
        assert!(BUILT.iter().map(|row| row.name).is_sorted());
        for row in BUILT {
            assert!(names().any(|name| name == row.name), "{}", row.name);
        }
    }
}
