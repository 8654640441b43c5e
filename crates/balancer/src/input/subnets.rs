//! Subnets of load balancers: which zones they enable.

use std::collections::BTreeSet;

use types::{AvailabilityZone, Region, network};

use crate::error::{BalancerError, Refusal};
use crate::model::LoadBalancerKind;
use crate::request::{BalancerRequest, required, shown};

/// The zones of the subnets that a request gives.
///
/// # Errors
///
/// There are none, too few, two of one zone, or one that isn't there.
pub(crate) fn read(
    request: &BalancerRequest<'_>,
    kind: LoadBalancerKind,
) -> Result<BTreeSet<AvailabilityZone>, BalancerError> {
    let mappings = request.members().structures("SubnetMappings")?;
    let mut subnets = request.texts("Subnets")?;
    if !mappings.is_empty() && !subnets.is_empty() {
        let text = "You must specify either subnets or subnet mappings, but not both";
        return Err(BalancerError::invalid(text));
    }
    for mapping in &mappings {
        for part in [
            "AllocationId",
            "PrivateIPv4Address",
            "IPv6Address",
            "SourceNatIpv6Prefix",
        ] {
            if mapping.value(part).is_some_and(|value| !value.is_empty()) {
                return Err(BalancerError::not_built(format!(
                    "{part} of a subnet mapping"
                )));
            }
        }
        subnets.push(required(mapping, "SubnetId")?);
    }
    zones(request.region(), kind, &subnets)
}

fn zones(
    region: Region,
    kind: LoadBalancerKind,
    subnets: &[&str],
) -> Result<BTreeSet<AvailabilityZone>, BalancerError> {
    let mut zones = BTreeSet::new();
    for subnet in subnets {
        let zone = network::zone_of_subnet(region, subnet).ok_or_else(|| {
            let text = format!("The subnet ID '{}' does not exist", shown(subnet));
            BalancerError::refused(Refusal::SubnetNotFound, text)
        })?;
        if !zones.insert(zone) {
            let text = "A load balancer cannot be attached to multiple subnets in the same \
                        Availability Zone";
            return Err(BalancerError::configuration(text));
        }
    }
    if kind == LoadBalancerKind::Application && zones.len() < 2 {
        let text = "At least two subnets in two different Availability Zones must be specified";
        return Err(BalancerError::invalid(text));
    }
    if zones.is_empty() {
        return Err(BalancerError::invalid("A subnet must be specified"));
    }
    Ok(zones)
}
