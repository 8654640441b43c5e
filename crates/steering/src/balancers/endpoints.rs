//! How load balancers are: their Region's word, and what all sites find when they connect to the
//! nodes. Whoever steers reads both from the boards. It probes nothing itself.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};
use std::sync::Mutex;

use accelerator::HealthState;
use accelerator::checks::{balancer_id, node_id};
use health::{Basis, Monitor};
use store::Engine;
use types::{
    BalancerDirectory, BalancerEntry, BalancerPort, HealthCheck, HealthCheckId, Now, Probe, Region,
    Span,
};

use crate::checking::lock;
use crate::steering::Steering;

/// What the ids of nodes' checks begin with; those of Route 53 and of accelerators never do.
const PREFIX: &str = "balancer/";

/// Nodes that are checked. The deployment's checkers carry out 2,000 checks, of which accelerators
/// may have 1,500 and Route 53's are to have room too; a node beyond it counts as well.
pub(crate) const MAX_CHECKED_NODES: usize = 300;

/// How often each site connects to each node, and how many times in a row change its mind: the
/// shorter interval of accelerators, and fewer times, since a node answers for all behind it.
const INTERVAL: Span = Span::seconds(10);
const THRESHOLD: u8 = 2;

/// Is that check a load balancer's node's?
pub(crate) fn is_balancers(check: &HealthCheckId) -> bool {
    check.0.starts_with(PREFIX)
}

/// What is known of the nodes.
#[derive(Default)]
pub(crate) struct Endpoints {
    /// By their checks; a node that isn't there isn't checked, and counts as well.
    nodes: Mutex<BTreeMap<HealthCheckId, HealthState>>,
    /// Checks of which nobody has said anything yet.
    unheard: Mutex<BTreeSet<HealthCheckId>>,
}

impl Endpoints {
    /// Nodes have these checks from now on: of others nothing is known any more.
    pub(crate) fn retain(&self, checks: &[HealthCheck]) {
        let ids: BTreeSet<&HealthCheckId> = checks.iter().map(|check| &check.id).collect();
        let mut nodes = lock(&self.nodes);
        nodes.retain(|check, _| ids.contains(check));
        for id in ids {
            nodes.entry(id.clone()).or_insert(HealthState::Initial);
        }
        let nodes: &BTreeMap<_, _> = &nodes;
        lock(&self.unheard).retain(|check| nodes.contains_key(check));
    }

    /// What checkers have found of a node. True if that is news.
    pub(crate) fn found(
        &self,
        now: Now,
        monitor: &Monitor,
        check: HealthCheckId,
        healthy: bool,
    ) -> bool {
        let tally = monitor.tally(now.monotonic, &check);
        let is_known = tally.is_some_and(|tally| tally.basis != Basis::NoData);
        let state = match (is_known, healthy) {
            (false, _) => HealthState::Initial,
            (true, true) => HealthState::Healthy,
            (true, false) => HealthState::Unhealthy,
        };
        if !is_known {
            lock(&self.unheard).insert(check.clone());
        }
        let before = lock(&self.nodes).insert(check.clone(), state);
        let is_news = before != Some(state);
        if is_news {
            tracing::info!(%check, state = state.name(), "a load balancer's node");
        }
        is_news
    }

    /// Has anyone said anything since of a node that nothing was known of? Its status may be what
    /// it was taken for, so that nobody says that it changed. True if one is another now.
    pub(crate) fn look_at_unheard(&self, now: Now, monitor: &Monitor) -> bool {
        let mut news = Vec::new();
        lock(&self.unheard).retain(|check| match monitor.tally(now.monotonic, check) {
            Some(tally) if tally.basis == Basis::NoData => true,
            Some(tally) => {
                news.push((check.clone(), tally.status));
                false
            }
            None => false,
        });
        let mut any = false;
        for (check, healthy) in news {
            any |= self.found(now, monitor, check, healthy);
        }
        any
    }

    /// How that load balancer's node at that address is.
    fn node(&self, entry: &BalancerEntry, address: IpAddr) -> HealthState {
        let Some(port) = checked_port(entry) else {
            return HealthState::Healthy;
        };
        let known = lock(&self.nodes);
        let state = known.get(&check_id(SocketAddr::new(address, port)));
        state.copied().unwrap_or(HealthState::Healthy)
    }

    /// How that load balancer is, to an accelerator: by its Region's word, and whether any of its
    /// nodes can be connected to.
    pub(crate) fn state(&self, entry: &BalancerEntry) -> HealthState {
        let nodes = entry.nodes.values();
        let mut states: Vec<HealthState> = nodes.map(|node| self.node(entry, *node)).collect();
        states.sort_by_key(|state| match state {
            HealthState::Healthy => 0,
            HealthState::Initial => 1,
            HealthState::Unhealthy => 2,
        });
        match states.first() {
            Some(best) if entry.is_healthy => *best,
            _ => HealthState::Unhealthy,
        }
    }
}

/// Where a load balancer's nodes are checked: at its first port that takes TCP. One that listens by
/// UDP alone isn't checked: its Region's word counts.
fn checked_port(entry: &BalancerEntry) -> Option<u16> {
    let mut ports = entry.ports.iter();
    let tcp = ports.find(|(_, spoken)| !matches!(spoken, BalancerPort::Udp));
    tcp.map(|(port, _)| *port)
}

fn check_id(node: SocketAddr) -> HealthCheckId {
    HealthCheckId(format!("{PREFIX}{node}"))
}

/// The checks of that directory's nodes, each once, [`MAX_CHECKED_NODES`] at most.
pub(crate) fn checks(directory: &BalancerDirectory) -> Vec<HealthCheck> {
    let entries = directory.0.values().flat_map(|of| of.balancers.values());
    let nodes: BTreeSet<SocketAddr> = entries
        .filter_map(|entry| Some((entry, checked_port(entry)?)))
        .flat_map(|(entry, port)| {
            let nodes = entry.nodes.values();
            nodes.map(move |address| SocketAddr::new(*address, port))
        })
        .collect();
    if nodes.len() > MAX_CHECKED_NODES {
        let (nodes, limit) = (nodes.len(), MAX_CHECKED_NODES);
        tracing::error!(
            nodes,
            limit,
            "there are more nodes of load balancers than are checked"
        );
    }
    let check = |node: SocketAddr| HealthCheck {
        id: check_id(node),
        probe: Probe::Tcp,
        address: Some(node.ip()),
        name: None,
        port: node.port(),
        interval: INTERVAL,
        threshold: THRESHOLD,
        inverted: false,
        disabled: false,
    };
    nodes
        .into_iter()
        .take(MAX_CHECKED_NODES)
        .map(check)
        .collect()
}

/// What says on the board of DNS whether that node of a load balancer of that Region is to be
/// answered.
pub(crate) fn name_check(region: Region, address: IpAddr) -> HealthCheckId {
    HealthCheckId(format!("{PREFIX}{region}/{address}"))
}

impl<E: Engine> Steering<E> {
    /// Lets choices of flows know how the load balancers are that this snapshot has.
    pub(crate) fn tell_flows_of_balancers(
        &self,
        directory: &BalancerDirectory,
        snapshot: &accelerator::Snapshot,
    ) {
        let board = self.accelerators().board();
        let endpoints = &self.balancers.endpoints;
        for arn in snapshot.balancers() {
            let Some((_, entry)) = directory.find(arn) else {
                board.set(&balancer_id(arn), HealthState::Unhealthy);
                continue;
            };
            board.set(&balancer_id(arn), endpoints.state(entry));
            for address in entry.nodes.values() {
                let state = endpoints.node(entry, *address);
                board.set(&node_id(arn, *address), state);
            }
        }
    }

    /// Lets DNS know which nodes of load balancers are to be answered.
    pub(crate) fn tell_names_of_balancers(&self, directory: &BalancerDirectory) {
        for of in directory.0.values() {
            for entry in of.balancers.values() {
                for address in entry.nodes.values() {
                    let node = self.balancers.endpoints.node(entry, *address);
                    let is_well = entry.is_healthy && node != HealthState::Unhealthy;
                    self.node
                        .board()
                        .set(&name_check(of.region, *address), is_well);
                }
            }
        }
    }

    /// Of another load balancer's health or node something is new: who reads the boards is told.
    pub(crate) fn tell_of_balancers(&self) {
        let directory = lock(&self.balancers.served).clone();
        let snapshot = self.accelerators.node.snapshot();
        self.tell_flows_of_balancers(&directory, &snapshot);
        self.tell_names_of_balancers(&directory);
    }

    /// How the load balancer of that ARN is, and why it isn't well.
    pub(crate) fn balancer_health(&self, arn: &str) -> (HealthState, Option<String>) {
        let directory = self.balancers();
        let Some((_, entry)) = directory.find(arn) else {
            let reason = "The load balancer doesn't exist.";
            return (HealthState::Unhealthy, Some(reason.to_owned()));
        };
        let state = self.balancers.endpoints.state(entry);
        let reason = match state {
            HealthState::Healthy | HealthState::Initial => None,
            HealthState::Unhealthy if entry.nodes.is_empty() => {
                Some("The load balancer has no node that serves.".to_owned())
            }
            HealthState::Unhealthy if !entry.is_healthy => Some(
                "A target group of the load balancer has no or too few healthy targets.".to_owned(),
            ),
            HealthState::Unhealthy => self.failure_at(entry),
        };
        (state, reason)
    }

    /// What was seen last of a node that can't be connected to.
    fn failure_at(&self, entry: &BalancerEntry) -> Option<String> {
        let port = checked_port(entry)?;
        entry.nodes.values().find_map(|address| {
            let check = check_id(SocketAddr::new(*address, port));
            let seen = self.last_failures(&check).into_iter().next()?;
            Some(seen.observation.status)
        })
    }
}
