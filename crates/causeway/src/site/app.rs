//! The Region's one address for the user's application, 127.1.n.1: each connection is carried to a
//! node of the load balancer that `up --app` made, or, while there is none, to an instance in a
//! zone that lives; to the next one where one refuses. It looks into nothing and checks no health;
//! that is the load balancer's.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use runtime::{
    FlowEvent, FlowKey, FlowLimits, FlowListener, FlowOptions, FlowProtocol, Flows, Steer, Target,
    Tried,
};
use types::{BalancerDirectory, Region, ZoneLetter};

use super::zones::Zones;
use crate::failure::{Cause, Failure};
use crate::protocol::AppConfig;

/// How flows are carried: a lab shares its machine with all of its sites and the application.
const OPTIONS: FlowOptions = FlowOptions {
    threads: 1,
    limits: FlowLimits::USUAL,
};

/// What the load balancer of the application is called, as its ARN has it.
const BALANCER: &str = ":loadbalancer/net/app/";

/// What is known of load balancers at the moment.
pub(super) type Directory = Arc<dyn Fn() -> Arc<BalancerDirectory> + Send + Sync>;

/// The address, as long as this is held.
pub(super) struct AppAddress(Flows);

impl AppAddress {
    /// Listens there, if the Region has an application.
    pub(super) fn open(
        config: Option<&AppConfig>,
        region: Region,
        zones: &Arc<Zones>,
        directory: Directory,
    ) -> Result<Option<AppAddress>, Failure> {
        let Some(config) = config else {
            return Ok(None);
        };
        let steer = Instances {
            region,
            port: config.address.port(),
            instances: config.instances.clone(),
            zones: Arc::clone(zones),
            directory,
            next: AtomicUsize::new(0),
        };
        let flows = Flows::start(OPTIONS, Arc::new(steer)).map_err(Failure::wrong_use)?;
        let listener = FlowListener {
            address: config.address,
            protocol: FlowProtocol::Tcp,
        };
        let failed = flows.listen(&[listener].into());
        match failed.first() {
            None => Ok(Some(AppAddress(flows))),
            Some(cause) => Err(Failure::wrong_use(cause).because(Cause::PortTaken)),
        }
    }

    /// Connections that are open.
    pub(super) fn open_connections(&self) -> u64 {
        let listeners = self.0.listeners();
        listeners.iter().map(|state| state.counts.live()).sum()
    }
}

/// The nodes or the instances, in turn.
struct Instances {
    region: Region,
    port: u16,
    instances: BTreeMap<ZoneLetter, SocketAddr>,
    zones: Arc<Zones>,
    directory: Directory,
    next: AtomicUsize,
}

impl Instances {
    /// Of those that live and weren't tried, the one whose turn it is: a node if there is one.
    fn choose(&self, tried: &Tried) -> Option<SocketAddr> {
        let turn = match tried.count() {
            0 => self.next.fetch_add(1, Ordering::Relaxed),
            _ => self.next.load(Ordering::Relaxed),
        };
        let in_turn = |of: BTreeMap<ZoneLetter, SocketAddr>| {
            let living = of.into_iter();
            let living =
                living.filter(|(zone, at)| self.zones.is_up(*zone) && !tried.contains(*at));
            let living: Vec<SocketAddr> = living.map(|(_, at)| at).collect();
            living.get(turn.checked_rem(living.len())?).copied()
        };
        in_turn(self.nodes()).or_else(|| in_turn(self.instances.clone()))
    }

    /// The nodes of the application's load balancer, if it listens on the application's port.
    fn nodes(&self) -> BTreeMap<ZoneLetter, SocketAddr> {
        let directory = (self.directory)();
        let known = directory.0.get(&self.region);
        let mut known = known.into_iter().flat_map(|of| of.balancers.values());
        let ours = known
            .find(|entry| entry.arn.contains(BALANCER) && entry.ports.contains_key(&self.port));
        let nodes = ours.into_iter().flat_map(|entry| &entry.nodes);
        nodes
            .map(|(zone, ip)| (zone.letter, SocketAddr::new(*ip, self.port)))
            .collect()
    }
}

impl Steer for Instances {
    fn steer(&self, _flow: &FlowKey, tried: &Tried) -> Option<Target> {
        Some(Target {
            endpoint: self.choose(tried)?,
            delay: None,
            proxy_header: false,
            token: 0,
            owner: 0,
        })
    }

    fn note(&self, _token: u32, _event: FlowEvent) {}
}

#[cfg(test)]
mod tests {
    use super::*;
    use types::{BalancerEntry, BalancerPort, RegionBalancers};

    fn at(last: u8) -> SocketAddr {
        SocketAddr::from(([127, 1, 1, last], 8080))
    }

    fn instances(directory: BalancerDirectory) -> Instances {
        let directory = Arc::new(directory);
        Instances {
            region: "us-east-1".parse().unwrap(),
            port: 8080,
            instances: [(ZoneLetter::A, at(11)), (ZoneLetter::B, at(12))].into(),
            zones: Arc::new(Zones::new([].into())),
            directory: Arc::new(move || Arc::clone(&directory)),
            next: AtomicUsize::new(0),
        }
    }

    #[test]
    fn instances_take_turns_and_those_in_dead_zones_are_left_out() {
        let instances = instances(BalancerDirectory::default());
        let none = Tried::default();
        let mut first = [instances.choose(&none), instances.choose(&none)];
        first.sort();
        assert_eq!(first, [Some(at(11)), Some(at(12))]);

        let mut tried = Tried::default();
        tried.add(at(11), 0);
        assert_eq!(instances.choose(&tried), Some(at(12)));
        tried.add(at(12), 0);
        assert_eq!(instances.choose(&tried), None);

        instances.zones.set_down(&[ZoneLetter::A].into());
        for _ in 0..4 {
            assert_eq!(instances.choose(&none), Some(at(12)));
        }
        instances
            .zones
            .set_down(&[ZoneLetter::A, ZoneLetter::B].into());
        assert_eq!(instances.choose(&none), None);
    }

    #[test]
    fn nodes_of_the_application_s_load_balancer_go_first() {
        let region: Region = "us-east-1".parse().unwrap();
        let entry = |name: &str, last: u8| {
            let zone = "us-east-1a".parse().unwrap();
            let entry = BalancerEntry {
                arn: format!(
                    "arn:aws:elasticloadbalancing:us-east-1:111122223333:loadbalancer/net/{name}/1"
                ),
                dns_name: String::new(),
                hosted_zone: String::new(),
                nodes: [(zone, at(last).ip())].into(),
                ports: [(8080, BalancerPort::Tcp)].into(),
                is_healthy: true,
            };
            (entry.arn.clone(), entry)
        };
        let directory = |entries: Vec<(String, BalancerEntry)>| {
            let balancers = RegionBalancers {
                region,
                revision: 1,
                balancers: entries.into_iter().collect(),
                certificates: BTreeMap::new(),
            };
            BalancerDirectory([(region, balancers)].into())
        };
        let ours = instances(directory(vec![entry("app", 77), entry("apple", 78)]));
        let mut tried = Tried::default();
        assert_eq!(ours.choose(&tried), Some(at(77)));
        // Where the node refuses there are still the instances.
        tried.add(at(77), 0);
        assert!(ours.choose(&tried).is_some_and(|chosen| chosen != at(77)));
        let others = instances(directory(vec![entry("orders", 78)]));
        assert!(
            others
                .choose(&Tried::default())
                .is_some_and(|chosen| chosen != at(78))
        );
    }
}
