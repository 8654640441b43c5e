//! The hosted zones that aliases to load balancers name, by the kinds of the API.

use types::{BalancerKind, Region, balancer_zone};

use crate::model::LoadBalancerKind;

/// The id of the hosted zone that load balancers of that kind have in that Region.
pub fn hosted_zone(region: Region, kind: LoadBalancerKind) -> &'static str {
    balancer_zone(
        region,
        match kind {
            LoadBalancerKind::Application => BalancerKind::Application,
            LoadBalancerKind::Network => BalancerKind::Network,
        },
    )
}
