//! What a Region's process knows of what is around its load balancers: the application's instances
//! and the zones of addresses, by its configuration, and certificates.

use std::collections::BTreeMap;
use std::net::IpAddr;

use balancer::{Cidr, NodePools};
use region::LocalFacts;
use types::{AvailabilityZone, Region, ZoneLetter, network};

use super::certificates::Certificates;
use crate::failure::Failure;
use crate::protocol::SiteConfig;

/// What is known.
pub(super) struct Facts {
    region: Region,
    /// Networks and addresses that are in a zone.
    zones: Vec<(Cidr, ZoneLetter)>,
    /// The application's instances.
    instances: BTreeMap<ZoneLetter, IpAddr>,
    certificates: Certificates,
}

impl Facts {
    /// Those of that site.
    pub(super) fn new(
        config: &SiteConfig,
        region: Region,
        certificates: Certificates,
    ) -> Result<Facts, Failure> {
        let mut zones = networks(config)?;
        let mut instances = BTreeMap::new();
        for (zone, instance) in config.app.iter().flat_map(|app| &app.instances) {
            let address = instance.ip();
            let alone = format!("{address}/32").parse();
            zones.push((alone.map_err(Failure::wrong_use)?, *zone));
            instances.insert(*zone, address);
        }
        Ok(Facts {
            region,
            zones,
            instances,
            certificates,
        })
    }

    fn zone(&self, letter: ZoneLetter) -> AvailabilityZone {
        AvailabilityZone {
            region: self.region,
            letter,
        }
    }
}

impl LocalFacts for Facts {
    fn instances(&self) -> Vec<(String, IpAddr, AvailabilityZone)> {
        let instances = self.instances.iter();
        let instances = instances.map(|(zone, address)| {
            let zone = self.zone(*zone);
            (network::instance(zone), *address, zone)
        });
        instances.collect()
    }

    fn zone_of(&self, address: IpAddr) -> Option<AvailabilityZone> {
        let mut zones = self.zones.iter();
        let (_, zone) = zones.find(|(network, _)| network.contains(address))?;
        Some(self.zone(*zone))
    }

    fn has_certificate(&self, arn: &str) -> bool {
        self.certificates.has(arn)
    }
}

/// The networks that the site's nodes have their addresses from.
fn networks(config: &SiteConfig) -> Result<Vec<(Cidr, ZoneLetter)>, Failure> {
    let pools = config.balancer_pools.iter().flatten();
    let pools = ZoneLetter::ALL.into_iter().zip(pools);
    let networks = pools.map(|(zone, network)| {
        let network = network
            .parse()
            .map_err(|cause| Failure::wrong_use(format!("balancer_pools: {network}: {cause}")))?;
        Ok((network, zone))
    });
    networks.collect()
}

/// What nodes' addresses are drawn from; or why there are none.
pub(super) fn pools(config: &SiteConfig) -> Result<Result<NodePools, String>, Failure> {
    if config.balancer_pools.is_none() {
        return Ok(Err("This Region has no addresses for load balancers: \
                       balancer_pools of its configuration names none"
            .to_owned()));
    }
    let networks = networks(config)?;
    let pools = networks.into_iter().map(|(network, zone)| (zone, network));
    Ok(Ok(
        NodePools::new(pools.collect()).map_err(Failure::wrong_use)?
    ))
}
