//! An accelerator made ready to choose by: what each choice would reckon anew is reckoned once. It
//! is as of one value of the configuration, knows nothing of health, and chooses nothing.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use types::{BalancerDirectory, HealthCheckId, Region};

use crate::board::{Board, Slot};
use crate::checks;
use crate::choose::hash;
use crate::flow_log::FlowLogPlace;
use crate::maglev::{FEW_ROWS, Member, ROWS, Table};
use crate::model::{
    Accelerator, AcceleratorId, ClientAffinity, Endpoint, EndpointGroup, EndpointGroupId,
    EndpointTarget, Listener, ListenerId, PortRange, Protocol, TrafficDial,
};
use crate::proximity;

/// Listeners of an accelerator, groups of a listener, and endpoints of a group that are served, at
/// most: more than the service's quotas allow.
pub(crate) const MAX_PARTS: usize = 64;

/// Tables of an accelerator that are large: a mebibyte. Where it needs more, all are small.
pub(crate) const MAX_LARGE_TABLES: usize = 64;

/// An accelerator that can't be served.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum CompileError {
    #[error("more than {MAX_PARTS} {0} in one place")]
    TooMany(&'static str),
    #[error("listener {}: the ports {} to {} aren't a range", .0.0, .1.from, .1.to)]
    BadRange(ListenerId, PortRange),
    #[error("listener {}: it takes ports that another takes", .0.0)]
    Overlapping(ListenerId),
    #[error("listener {}: two groups are of {}", .0.0, .1)]
    TwoGroups(ListenerId, Region),
}

/// An accelerator.
#[derive(Debug)]
pub(crate) struct CompiledAccelerator {
    pub(crate) id: AcceleratorId,
    /// The revision that set it.
    pub(crate) revision: u64,
    pub(crate) name: String,
    pub(crate) enabled: bool,
    pub(crate) addresses: Vec<IpAddr>,
    pub(crate) dns_label: String,
    /// Where its flows are logged; none: they aren't.
    pub(crate) flow_log: Option<Arc<FlowLogPlace>>,
    pub(crate) listeners: Vec<CompiledListener>,
    /// By protocol and first port: which listener takes these.
    ports: Vec<(Protocol, PortRange, usize)>,
    /// The load balancers that are endpoints of it, by their Amazon Resource Names, with the nodes
    /// that it was compiled with.
    balancers: BTreeMap<String, Vec<IpAddr>>,
}

/// A listener.
#[derive(Debug)]
pub(crate) struct CompiledListener {
    pub(crate) id: ListenerId,
    pub(crate) protocol: Protocol,
    pub(crate) ports: Vec<PortRange>,
    pub(crate) affinity: ClientAffinity,
    pub(crate) groups: Vec<CompiledGroup>,
    orders: Box<[u8]>,
}

/// An endpoint group.
#[derive(Debug)]
pub(crate) struct CompiledGroup {
    pub(crate) id: EndpointGroupId,
    pub(crate) region: Region,
    pub(crate) dial: TrafficDial,
    /// By what its dial is drawn: its Region, so that listeners that are alike choose alike.
    pub(crate) seed: u64,
    pub(crate) endpoints: Vec<CompiledEndpoint>,
    pub(crate) table: Arc<Table>,
    /// What its table was made of.
    members: Vec<Member>,
    rows: u32,
    /// Ascending.
    overrides: Vec<(u16, u16)>,
}

/// An endpoint.
#[derive(Debug)]
pub(crate) struct CompiledEndpoint {
    pub(crate) target: EndpointTarget,
    /// Where it is: an address is at itself, a load balancer at each of its nodes; one that nobody
    /// knows is nowhere.
    pub(crate) nodes: Vec<CompiledNode>,
    /// What it is known by where it is drawn.
    pub(crate) seed: u64,
    pub(crate) weight: u8,
    pub(crate) preserves_client: bool,
    pub(crate) check: HealthCheckId,
    pub(crate) slot: Slot,
}

/// One place of an endpoint.
#[derive(Debug)]
pub(crate) struct CompiledNode {
    pub(crate) address: IpAddr,
    /// What it is known by where it is drawn.
    pub(crate) seed: u64,
    /// What says how it is, where that isn't how the endpoint is.
    pub(crate) check: Option<HealthCheckId>,
    pub(crate) slot: Slot,
}

impl CompiledAccelerator {
    /// The listener that takes flows to that port.
    pub(crate) fn listener(&self, protocol: Protocol, port: u16) -> Option<&CompiledListener> {
        let after = self
            .ports
            .partition_point(|(kind, range, _)| (*kind, range.from) <= (protocol, port));
        let (kind, range, listener) = self.ports.get(after.checked_sub(1)?)?;
        (*kind == protocol && port <= range.to).then(|| &self.listeners[*listener])
    }

    /// The load balancers that are endpoints of it.
    pub(crate) fn balancers(&self) -> impl Iterator<Item = &str> {
        self.balancers.keys().map(String::as_str)
    }

    /// Have its load balancers the nodes that it was compiled with?
    pub(crate) fn stands_with(&self, directory: &BalancerDirectory) -> bool {
        let mut balancers = self.balancers.iter();
        balancers.all(|(arn, nodes)| *nodes == nodes_of(directory, arn))
    }

    /// All groups of all listeners.
    pub(crate) fn groups(&self) -> impl Iterator<Item = &CompiledGroup> {
        self.listeners.iter().flat_map(|listener| &listener.groups)
    }
}

impl CompiledListener {
    /// The numbers of its groups, the nearest to that place first.
    pub(crate) fn order(&self, place: Region) -> &[u8] {
        let count = self.groups.len();
        &self.orders[proximity::row_of(place) * count..][..count]
    }
}

impl CompiledGroup {
    /// The port of its endpoints for flows to that port of the listener.
    pub(crate) fn port(&self, port: u16) -> u16 {
        let found = self
            .overrides
            .binary_search_by_key(&port, |(from, _)| *from);
        found.map_or(port, |found| self.overrides[found].1)
    }
}

/// The nodes of that load balancer; none if nobody knows it.
fn nodes_of(directory: &BalancerDirectory, arn: &str) -> Vec<IpAddr> {
    let found = directory.find(arn);
    let nodes = found.map(|(_, entry)| entry.nodes.values());
    nodes
        .into_iter()
        .flatten()
        .map(IpAddr::to_canonical)
        .collect()
}

/// What an accelerator is compiled with.
#[derive(Clone, Copy)]
pub(crate) struct Around<'a> {
    /// Where endpoints' states stand.
    pub(crate) board: &'a Board,
    /// Where load balancers are.
    pub(crate) directory: &'a BalancerDirectory,
}

/// Compiles an accelerator as that revision set it. What `before` has as it must be is taken over.
pub(crate) fn compile(
    accelerator: Accelerator,
    revision: u64,
    before: Option<&CompiledAccelerator>,
    around: Around<'_>,
) -> Result<CompiledAccelerator, CompileError> {
    bounded(&accelerator)?;
    let balancers = balancers(&accelerator, around.directory);
    let ports = ports(&accelerator.listeners)?;
    let several = |group: &&EndpointGroup| group.endpoints.len() > 1;
    let groups = accelerator
        .listeners
        .iter()
        .flat_map(|listener| &listener.groups);
    let rows = match groups.filter(several).count() <= MAX_LARGE_TABLES {
        true => ROWS,
        false => FEW_ROWS,
    };
    let mut listeners = Vec::new();
    for listener in accelerator.listeners {
        listeners.push(compile_listener(listener, rows, before, around)?);
    }
    let logs = &accelerator.flow_logs;
    let flow_log = FlowLogPlace::of(accelerator.account, &accelerator.id, logs);
    Ok(CompiledAccelerator {
        id: accelerator.id,
        revision,
        name: accelerator.name,
        enabled: accelerator.enabled,
        addresses: canonical(&accelerator.addresses),
        dns_label: accelerator.dns_label,
        flow_log: flow_log.map(Arc::new),
        listeners,
        ports,
        balancers,
    })
}

fn balancers(
    accelerator: &Accelerator,
    directory: &BalancerDirectory,
) -> BTreeMap<String, Vec<IpAddr>> {
    let listeners = accelerator.listeners.iter();
    let groups = listeners.flat_map(|listener| &listener.groups);
    let endpoints = groups.flat_map(|group| &group.endpoints);
    let balancers = endpoints.filter_map(|endpoint| match &endpoint.target {
        EndpointTarget::Balancer(arn) => Some((arn.clone(), nodes_of(directory, arn))),
        EndpointTarget::Address(_) => None,
    });
    balancers.collect()
}

/// An IPv4 address within IPv6's is the IPv4 address.
fn canonical(addresses: &[IpAddr]) -> Vec<IpAddr> {
    addresses.iter().map(IpAddr::to_canonical).collect()
}

fn bounded(accelerator: &Accelerator) -> Result<(), CompileError> {
    let within = |count: usize, what| match count <= MAX_PARTS {
        true => Ok(()),
        false => Err(CompileError::TooMany(what)),
    };
    within(accelerator.addresses.len(), "addresses")?;
    within(accelerator.listeners.len(), "listeners")?;
    for listener in &accelerator.listeners {
        within(listener.ports.len(), "port ranges")?;
        within(listener.groups.len(), "endpoint groups")?;
        for group in &listener.groups {
            within(group.overrides.len(), "port overrides")?;
            within(group.endpoints.len(), "endpoints")?;
        }
    }
    Ok(())
}

type Ports = Vec<(Protocol, PortRange, usize)>;

fn ports(listeners: &[Listener]) -> Result<Ports, CompileError> {
    let mut ports = Ports::new();
    for (number, listener) in listeners.iter().enumerate() {
        for range in &listener.ports {
            if range.from == 0 || range.from > range.to {
                return Err(CompileError::BadRange(listener.id.clone(), *range));
            }
            ports.push((listener.protocol, *range, number));
        }
    }
    ports.sort();
    for pair in ports.windows(2) {
        let [(protocol, range, _), (next_protocol, next, number)] = pair else {
            continue;
        };
        if protocol == next_protocol && next.from <= range.to {
            return Err(CompileError::Overlapping(listeners[*number].id.clone()));
        }
    }
    Ok(ports)
}

fn compile_listener(
    listener: Listener,
    rows: u32,
    before: Option<&CompiledAccelerator>,
    around: Around<'_>,
) -> Result<CompiledListener, CompileError> {
    let regions: Vec<Region> = listener.groups.iter().map(|group| group.region).collect();
    for (number, region) in regions.iter().enumerate() {
        if regions[..number].contains(region) {
            return Err(CompileError::TwoGroups(listener.id, *region));
        }
    }
    let compiled = |group: &EndpointGroup| {
        let mut known = before.into_iter().flat_map(CompiledAccelerator::groups);
        let known = known.find(|known| known.id == group.id);
        compile_group(&listener, group, (rows, known), around)
    };
    let groups = listener.groups.iter().map(compiled).collect();
    Ok(CompiledListener {
        orders: proximity::orders(&regions),
        groups,
        id: listener.id,
        protocol: listener.protocol,
        ports: listener.ports,
        affinity: listener.affinity,
    })
}

fn compile_group(
    listener: &Listener,
    group: &EndpointGroup,
    (rows, before): (u32, Option<&CompiledGroup>),
    around: Around<'_>,
) -> CompiledGroup {
    let compiled = |endpoint: &Endpoint| {
        let check = checks::check_id(listener, group, &endpoint.target);
        CompiledEndpoint {
            target: endpoint.target.clone(),
            nodes: nodes(&endpoint.target, around),
            seed: seed(&endpoint.target, endpoint.preserves_client),
            weight: endpoint.weight,
            preserves_client: endpoint.preserves_client,
            slot: around.board.slot(&check),
            check,
        }
    };
    let endpoints: Vec<CompiledEndpoint> = group.endpoints.iter().map(compiled).collect();
    let member = |endpoint: &CompiledEndpoint| Member {
        seed: endpoint.seed,
        weight: endpoint.weight,
    };
    let members: Vec<Member> = endpoints.iter().map(member).collect();
    let table = match before {
        Some(before) if before.members == members && before.rows == rows => before.table.clone(),
        _ => Arc::new(Table::new(&members, rows)),
    };
    CompiledGroup {
        id: group.id.clone(),
        region: group.region,
        dial: group.dial,
        seed: hash::name(group.region.name()),
        overrides: group
            .overrides
            .iter()
            .map(|(from, to)| (*from, *to))
            .collect(),
        endpoints,
        table,
        members,
        rows,
    }
}

/// Where an endpoint is.
fn nodes(target: &EndpointTarget, around: Around<'_>) -> Vec<CompiledNode> {
    let node = |address: IpAddr, check: Option<HealthCheckId>| CompiledNode {
        address,
        seed: hash::address(address),
        slot: check
            .as_ref()
            .map_or(Slot::UNCHECKED, |check| around.board.slot(check)),
        check,
    };
    match target {
        EndpointTarget::Address(address) => vec![node(address.to_canonical(), None)],
        EndpointTarget::Balancer(arn) => nodes_of(around.directory, arn)
            .into_iter()
            .map(|address| node(address, Some(checks::node_id(arn, address))))
            .collect(),
    }
}

/// What an endpoint is known by. One may stand in a group twice: once told the client's address,
/// once not.
fn seed(target: &EndpointTarget, preserves_client: bool) -> u64 {
    let known_by = match target {
        EndpointTarget::Address(address) => hash::address(address.to_canonical()),
        EndpointTarget::Balancer(arn) => hash::name(arn),
    };
    hash::draw(known_by, u64::from(preserves_client))
}
