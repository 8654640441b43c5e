//! Every operation of Elastic Load Balancing v2's published model (API version 2015-12-01), built
//! or not, in the order of their names: what each is done to, and what carries it out. Not built
//! are trust stores (mutual TLS), reserved capacity, IP pools and resource policies.
//!
//! To build one more: its function under `operations/`, its row here, its test.

use std::pin::Pin;

use aws::Operation;
use aws::access::Access;
use aws::query::Reply;

use crate::access::{
    Resources, balancer, everything, group, listener, new_balancer, new_group, new_listener,
    new_rule, rule, rules as rule_list, tagged,
};
use crate::error::BalancerError;
use crate::operations::{
    attributes, descriptions, listener_certificates, listeners, load_balancer_settings,
    load_balancers, rules, tags, target_groups, targets,
};
use crate::request::BalancerRequest;
use crate::service::Service;

/// What an operation is on its way to.
type Answer<'a> = Pin<Box<dyn Future<Output = Result<Reply, BalancerError>> + Send + 'a>>;

/// What carries an operation out.
pub(crate) type Handler = for<'a> fn(&'a Service, &'a BalancerRequest<'a>) -> Answer<'a>;

/// One row of the table.
pub(crate) type Row = Operation<Handler, Resources>;

/// A row: the operation's name, the function of `access` that finds what it is done to, and the
/// function of `operations` that carries it out, if it is built.
macro_rules! row {
    ($name:literal, $find:ident) => {
        row!(@ $name, $find, None)
    };
    ($name:literal, $find:ident, $module:ident::$function:ident) => {
        row!(@ $name, $find, Some(|service, request| {
            Box::pin($module::$function(service, request))
        }))
    };
    (@ $name:literal, $find:ident, $handler:expr) => {
        Operation {
            name: $name,
            access: Access::Judged {
                action: concat!("elasticloadbalancing:", $name),
                resources: $find,
            },
            handler: $handler,
        }
    };
}

pub(crate) const OPERATIONS: &[Row] = &[
    row!(
        "AddListenerCertificates",
        listener,
        listener_certificates::add
    ),
    row!("AddTags", tagged, tags::add),
    row!("AddTrustStoreRevocations", everything),
    row!("CreateListener", new_listener, listeners::create),
    row!("CreateLoadBalancer", new_balancer, load_balancers::create),
    row!("CreateRule", new_rule, rules::create),
    row!("CreateTargetGroup", new_group, target_groups::create),
    row!("CreateTrustStore", everything),
    row!("DeleteListener", listener, listeners::delete),
    row!("DeleteLoadBalancer", balancer, load_balancers::delete),
    row!("DeleteRule", rule, rules::delete),
    row!("DeleteSharedTrustStoreAssociation", everything),
    row!("DeleteTargetGroup", group, target_groups::delete),
    row!("DeleteTrustStore", everything),
    row!("DeregisterTargets", group, targets::deregister),
    row!(
        "DescribeAccountLimits",
        everything,
        descriptions::account_limits
    ),
    row!(
        "DescribeCapacityReservation",
        everything,
        load_balancer_settings::describe_capacity
    ),
    row!(
        "DescribeListenerAttributes",
        everything,
        attributes::describe_listener
    ),
    row!(
        "DescribeListenerCertificates",
        everything,
        listener_certificates::describe
    ),
    row!("DescribeListeners", everything, listeners::describe),
    row!(
        "DescribeLoadBalancerAttributes",
        everything,
        attributes::describe_balancer
    ),
    row!(
        "DescribeLoadBalancers",
        everything,
        load_balancers::describe
    ),
    row!("DescribeRules", everything, rules::describe),
    row!(
        "DescribeSSLPolicies",
        everything,
        descriptions::ssl_policies
    ),
    row!("DescribeTags", everything, tags::describe),
    row!(
        "DescribeTargetGroupAttributes",
        everything,
        attributes::describe_group
    ),
    row!("DescribeTargetGroups", everything, target_groups::describe),
    row!("DescribeTargetHealth", everything, targets::describe_health),
    row!("DescribeTrustStoreAssociations", everything),
    row!("DescribeTrustStoreRevocations", everything),
    row!("DescribeTrustStores", everything),
    row!("GetResourcePolicy", everything),
    row!("GetTrustStoreCaCertificatesBundle", everything),
    row!("GetTrustStoreRevocationContent", everything),
    row!("ModifyCapacityReservation", balancer),
    row!("ModifyIpPools", balancer),
    row!("ModifyListener", listener, listeners::modify),
    row!(
        "ModifyListenerAttributes",
        listener,
        attributes::modify_listener
    ),
    row!(
        "ModifyLoadBalancerAttributes",
        balancer,
        attributes::modify_balancer
    ),
    row!("ModifyRule", rule, rules::modify),
    row!("ModifyTargetGroup", group, target_groups::modify),
    row!(
        "ModifyTargetGroupAttributes",
        group,
        attributes::modify_group
    ),
    row!("ModifyTrustStore", everything),
    row!("RegisterTargets", group, targets::register),
    row!(
        "RemoveListenerCertificates",
        listener,
        listener_certificates::remove
    ),
    row!("RemoveTags", tagged, tags::remove),
    row!("RemoveTrustStoreRevocations", everything),
    row!(
        "SetIpAddressType",
        balancer,
        load_balancer_settings::set_ip_address_type
    ),
    row!("SetRulePriorities", rule_list, rules::set_priorities),
    row!(
        "SetSecurityGroups",
        balancer,
        load_balancer_settings::set_security_groups
    ),
    row!("SetSubnets", balancer, load_balancer_settings::set_subnets),
];
