//! What a seed draws: accelerators, load balancers, flows. It keeps to what the APIs let pass.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};

use accelerator::Flow;
use accelerator::model::{
    Accelerator, AcceleratorId, CheckProtocol, CheckSettings, ClientAffinity, Endpoint,
    EndpointGroup, EndpointGroupId, EndpointTarget, FlowLogs, IpAddressType, Listener, ListenerId,
    MadeBy, PortRange, Protocol, TrafficDial,
};
use types::{
    AccountId, AvailabilityZone, BalancerEntry, BalancerKind, BalancerPort, Region,
    RegionBalancers, Timestamp, balancer_zone,
};

use crate::deployment::REGIONS;
use crate::random::Random;

/// Accelerators of a world.
pub(crate) const ACCELERATORS: u8 = 2;

/// The port of every listener.
const PORT: u16 = 80;

/// Regions that groups are of beside the deployment's own: an accelerator's may be of any.
const FURTHER: [&str; 2] = ["us-west-2", "sa-east-1"];

/// Load balancers of a Region, at most.
const BALANCERS: u8 = 2;

/// Addresses that are endpoints in each Region.
const ADDRESSES: u8 = 4;

pub(crate) fn region(name: &str) -> Region {
    name.parse().expect("a known Region")
}

fn pick<T: Copy>(random: &mut Random, among: &[T]) -> T {
    among[random.below(among.len() as u64) as usize]
}

fn made_by() -> MadeBy {
    MadeBy {
        token: "token".to_owned(),
        digest: String::new(),
    }
}

/// The accelerator of that number.
pub(crate) fn accelerator(random: &mut Random, number: u8) -> Accelerator {
    let addresses = [80, 81].map(|network| IpAddr::from([127, network, 0, number]));
    Accelerator {
        id: AcceleratorId(format!("00000000-0000-4000-8000-00000000000{number}")),
        account: AccountId::LAB,
        name: format!("accelerator-{number}"),
        ip_address_type: IpAddressType::Ipv4,
        enabled: true,
        addresses: addresses.into(),
        dns_label: format!("a{number:016x}"),
        created: Timestamp(0),
        modified: Timestamp(0),
        made_by: made_by(),
        tags: BTreeMap::new(),
        flow_logs: FlowLogs::default(),
        listeners: vec![Listener {
            id: ListenerId(format!("0000000{number}")),
            protocol: Protocol::Tcp,
            ports: vec![PortRange {
                from: PORT,
                to: PORT,
            }],
            affinity: pick(random, &[ClientAffinity::None, ClientAffinity::SourceIp]),
            made_by: made_by(),
            tags: BTreeMap::new(),
            groups: groups(random),
        }],
    }
}

fn groups(random: &mut Random) -> Vec<EndpointGroup> {
    let all = REGIONS.iter().chain(&FURTHER).zip(1u8..);
    let mut groups = Vec::new();
    for (name, number) in all {
        if random.one_in(3) {
            continue;
        }
        groups.push(EndpointGroup {
            id: EndpointGroupId(format!("{number:012x}")),
            region: region(name),
            made_by: made_by(),
            tags: BTreeMap::new(),
            dial: TrafficDial(pick(random, &[0, 10, 50, 50, 100, 100]) * 1_000),
            check: CheckSettings {
                protocol: CheckProtocol::Tcp,
                port: None,
                path: None,
                interval: 10,
                threshold: pick(random, &[1, 2]),
            },
            overrides: BTreeMap::new(),
            endpoints: endpoints(random, name, number),
        });
    }
    groups
}

fn endpoints(random: &mut Random, region: &str, number: u8) -> Vec<Endpoint> {
    let mut targets: Vec<EndpointTarget> = Vec::new();
    for address in addresses(number) {
        if random.one_in(3) {
            targets.push(EndpointTarget::Address(address));
        }
    }
    if REGIONS.contains(&region) && !random.one_in(3) {
        let balancer = random.below(u64::from(BALANCERS)) as u8;
        targets.push(EndpointTarget::Balancer(arn(region, balancer)));
    }
    let endpoint = |target| Endpoint {
        target,
        weight: pick(random, &[0, 1, 64, 128, 128, 255]),
        preserves_client: false,
    };
    targets.into_iter().map(endpoint).collect()
}

/// The addresses that may be endpoints in the Region of that number.
fn addresses(number: u8) -> impl Iterator<Item = IpAddr> {
    (1..=ADDRESSES).map(move |last| IpAddr::from([127, 1, number, last]))
}

fn arn(region: &str, number: u8) -> String {
    format!(
        "arn:aws:elasticloadbalancing:{region}:111122223333:loadbalancer/app/it/000000000000000{number}"
    )
}

/// Where the load balancer of that number of a Region may have a node in that zone.
fn node(site: u16, zone: u8, number: u8) -> IpAddr {
    IpAddr::from([127, 32 + zone, site as u8, number + 1])
}

/// The load balancers of the Region at that site, some of them without a zone or without healthy
/// targets.
pub(crate) fn balancers(random: &mut Random, site: u16) -> RegionBalancers {
    let name = REGIONS[usize::from(site) - 1];
    let region = region(name);
    let mut balancers = BTreeMap::new();
    for number in 0..BALANCERS {
        if random.one_in(8) {
            continue;
        }
        let zones = AvailabilityZone::of(region);
        let living = zones.filter(|_| !random.one_in(4)).collect::<Vec<_>>();
        let nodes = living.into_iter().map(|zone| {
            let index = zone.letter.index();
            (zone, node(site, index, number))
        });
        let entry = BalancerEntry {
            arn: arn(name, number),
            dns_name: format!("it-{number}.{name}.elb.amazonaws.com"),
            hosted_zone: balancer_zone(region, BalancerKind::Application).to_owned(),
            nodes: nodes.collect(),
            ports: [(PORT, BalancerPort::Tcp)].into(),
            is_healthy: !random.one_in(4),
        };
        balancers.insert(entry.arn.clone(), entry);
    }
    RegionBalancers {
        region,
        revision: 0,
        balancers,
        certificates: BTreeMap::new(),
    }
}

/// All that may ever be connected to.
pub(crate) fn everything() -> Vec<IpAddr> {
    let groups = (REGIONS.len() + FURTHER.len()) as u8;
    let mut all: Vec<IpAddr> = (1..=groups).flat_map(addresses).collect();
    for site in 1..=REGIONS.len() as u16 {
        for zone in 0..3 {
            all.extend((0..BALANCERS).map(|number| node(site, zone, number)));
        }
    }
    all
}

/// A flow to the accelerator of that number.
pub(crate) fn flow(random: &mut Random, number: u8) -> Flow {
    let client = (random.bits() as u32).to_be_bytes();
    Flow {
        to: SocketAddr::from(([127, 80, 0, number], PORT)),
        protocol: Protocol::Tcp,
        from: SocketAddr::new(IpAddr::from(client), random.between(1, 65_535) as u16),
    }
}
