//! Where a Region's load balancers and target groups stand in its configuration: the keys. Each is
//! one row with everything below it, so that no change of it can be seen by halves.

use std::net::Ipv4Addr;

use types::AccountId;

use crate::arn::{LoadBalancerArn, TargetGroupArn};

/// Everything of this service stands under this prefix.
pub const ALL: &str = "balancer/";

/// Every load balancer stands under this prefix.
pub const BALANCERS: &str = "balancer/load-balancer/";

/// Every target group stands under this prefix.
pub const GROUPS: &str = "balancer/target-group/";

/// Every node address that is taken stands under this prefix; its value is the load balancer's
/// name.
pub const ADDRESSES: &str = "balancer/address/";

/// What every change of this Region's load balancers and target groups writes: two changes at
/// once, each judged without the other, can't both be made.
pub const CHANGES: &str = "balancer/changes";

/// The key of a load balancer: its id tells it from any other.
pub fn balancer(arn: &LoadBalancerArn) -> String {
    format!("{BALANCERS}{}", arn.id)
}

/// The key of a target group.
pub fn group(arn: &TargetGroupArn) -> String {
    format!("{GROUPS}{}", arn.id)
}

/// The key of a load balancer's name in an account.
pub fn balancer_name(account: AccountId, name: &str) -> String {
    format!("balancer/load-balancer-name/{account}/{name}")
}

/// The key of a target group's name in an account.
pub fn group_name(account: AccountId, name: &str) -> String {
    format!("balancer/target-group-name/{account}/{name}")
}

/// The key of a node's address.
pub fn address(address: Ipv4Addr) -> String {
    format!("{ADDRESSES}{address}")
}
