//! The part of EC2's API that a Region has: what it asks of the Region's load balancers, whose
//! nodes are network interfaces, and of its application, whose instances run in zones.

use std::sync::Arc;

use balancer::model::LoadBalancerKind;
use ec2::{Instance, Interface, Surroundings};
use types::network;

use crate::balancers::{Balancers, LocalFacts};

/// The service's signing name.
pub(crate) const SERVICE: &str = "ec2";

/// The Region, as EC2's part of it sees it.
pub(crate) struct Around {
    pub(crate) balancers: Arc<Balancers>,
    pub(crate) facts: Arc<dyn LocalFacts>,
}

impl Surroundings for Around {
    fn interfaces(&self) -> Vec<Interface> {
        let snapshot = self.balancers.snapshot();
        let nodes = snapshot.balancers().flat_map(|balancer| {
            let row = &balancer.row;
            row.zones.iter().map(|(zone, address)| Interface {
                id: network::interface(&format!("{} {zone}", row.arn)),
                description: format!("ELB {}/{}/{}", row.kind().path(), row.arn.name, row.arn.id),
                zone: *zone,
                address: (*address).into(),
                groups: row.security_groups.clone(),
                kind: match row.kind() {
                    LoadBalancerKind::Application => "interface",
                    LoadBalancerKind::Network => "network_load_balancer",
                },
            })
        });
        nodes.collect()
    }

    fn instances(&self) -> Vec<Instance> {
        let instances = self.facts.instances().into_iter();
        let instances = instances.map(|(id, address, zone)| Instance {
            id,
            zone,
            address,
            runs: self.balancers.is_up(zone.letter),
        });
        instances.collect()
    }
}
