//! What a Region tells the other sites of its load balancers: names, the addresses of nodes that
//! serve, ports, and whether the targets behind are well enough. It tells; it sends nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use types::{AvailabilityZone, BalancerEntry, BalancerPort, Region, RegionBalancers};

use crate::compiled::CompiledBalancer;
use crate::hosted_zones::hosted_zone;
use crate::snapshot::Snapshot;

/// How the ARNs of IAM's certificates begin.
const IAM: &str = "arn:aws:iam::";

impl Snapshot {
    /// What is told of the load balancers of that Region, where the nodes of `dead` zones don't
    /// serve. `revision` is the teller's.
    pub fn directory(
        &self,
        region: Region,
        dead: &BTreeSet<AvailabilityZone>,
        revision: u64,
    ) -> RegionBalancers {
        let entries = self.balancers().map(|balancer| {
            let entry = entry(balancer, dead);
            (entry.arn.clone(), entry)
        });
        RegionBalancers {
            region,
            revision,
            balancers: entries.collect(),
            certificates: self.iam_certificates().collect(),
        }
    }

    /// The ARN of a load balancer with a listener that uses the certificate of that ARN, which is
    /// one of IAM.
    pub fn certificate_user(&self, certificate: &str) -> Option<String> {
        let mut used = self.iam_certificates();
        used.find_map(|(used, user)| (used == certificate).then_some(user))
    }

    /// The certificates of IAM that listeners use, and by whom each is used. What of others can't
    /// be deleted by anybody but the operator, who has them in a directory.
    fn iam_certificates(&self) -> impl Iterator<Item = (String, String)> {
        self.balancers().flat_map(|balancer| {
            let row = &balancer.row;
            let listeners = row.listeners.iter();
            let used = listeners.flat_map(|listener| &listener.certificates);
            let used = used.filter(|arn| arn.starts_with(IAM));
            used.map(move |arn| (arn.clone(), row.arn.to_string()))
        })
    }
}

/// A zone in which a target group has too few healthy targets isn't told, as long as another one
/// has enough of all; if none has, all nodes that serve are told, and the load balancer is
/// unhealthy. One without listeners is, too.
fn entry(balancer: &CompiledBalancer, dead: &BTreeSet<AvailabilityZone>) -> BalancerEntry {
    let row = &balancer.row;
    let serving = row.zones.iter().filter(|(zone, _)| !dead.contains(zone));
    let all: BTreeMap<AvailabilityZone, IpAddr> = serving
        .map(|(zone, address)| (*zone, IpAddr::V4(*address)))
        .collect();
    let healthy: BTreeMap<AvailabilityZone, IpAddr> = all
        .iter()
        .filter(|(zone, _)| balancer.is_healthy_in(**zone))
        .map(|(zone, address)| (*zone, *address))
        .collect();
    let is_healthy = !healthy.is_empty();
    BalancerEntry {
        arn: row.arn.to_string(),
        dns_name: row.dns_name().to_ascii_lowercase(),
        hosted_zone: hosted_zone(row.arn.region, row.kind()).to_owned(),
        nodes: if is_healthy { healthy } else { all },
        ports: ports(balancer),
        is_healthy,
    }
}

fn ports(balancer: &CompiledBalancer) -> BTreeMap<u16, BalancerPort> {
    let mut ports = BTreeMap::new();
    for listener in &balancer.row.listeners {
        let (tcp, udp) = (listener.protocol.uses_tcp(), listener.protocol.uses_udp());
        let port = match (tcp, udp) {
            (true, true) => BalancerPort::TcpUdp,
            (_, true) => BalancerPort::Udp,
            _ => BalancerPort::Tcp,
        };
        // A listener of TCP and one of UDP can share a port.
        ports
            .entry(listener.port)
            .and_modify(|known| {
                if *known != port {
                    *known = BalancerPort::TcpUdp;
                }
            })
            .or_insert(port);
    }
    ports
}
