//! Where a new flow goes, as Global Accelerator's developer guide has it ("Traffic dials", "How
//! failover works for unhealthy endpoints"). It is a plain function of the flow, the place it
//! comes from, the snapshot and the endpoints' states: no coin is tossed, so the same flow goes
//! the same way at every edge. Nothing is connected here.
//!
//! 1. The nearest group takes the share of flows that its traffic dial says; the rest is directed
//!    to the next nearest, and so on. What the last one with a dial above 0 is sent, it takes: of
//!    two groups at 50 %, each takes half of each coast. Where all dials are 0, nobody is served.
//! 2. The group's healthy endpoints with a weight share its flows by weight.
//! 3. If there are none, the three nearest other groups are asked in turn, whatever their dials.
//! 4. If none of these has any, any endpoint of the nearest group that has endpoints takes the
//!    flow, whatever its state and weight: it fails open.
//!
//! A load balancer is an endpoint at several nodes, one in each of its zones: the flow goes to one
//! that is healthy, and if that refuses it, to the load balancer's next.
//!
//! An endpoint that was tried for this flow, at all of its nodes, counts as none; where 4 finds all
//! tried, it goes on to the next nearest group. Where the guide is silent, these are this program's
//! decisions: what the last dial leaves, all dials at 0, and what comes after failing open.

mod choice;
pub(crate) mod hash;

pub use choice::{Choice, ChooseContext, NoChoice, Why};

use std::net::SocketAddr;

use self::hash::{below, draw, fraction};
use crate::board::Board;
use crate::compiled::{
    CompiledAccelerator, CompiledEndpoint, CompiledGroup, CompiledListener, CompiledNode,
};
use crate::flow::{Flow, Tried};
use crate::model::{HealthState, TrafficDial};
use crate::snapshot::Snapshot;

/// Other groups that are asked when a group has no healthy endpoint (developer guide: "the three
/// closest endpoint groups").
pub const FAILOVER_GROUPS: usize = 3;

/// Purposes of draws.
const DIAL: u64 = u64::from_be_bytes(*b"dial    ");
const TABLE: u64 = u64::from_be_bytes(*b"table   ");
const SPARE: u64 = u64::from_be_bytes(*b"spare   ");
const OPEN: u64 = u64::from_be_bytes(*b"open    ");
const NODE: u64 = u64::from_be_bytes(*b"node    ");

/// What happens on the way to a choice; groups and endpoints by their numbers.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Event {
    /// The flow drew that number of thousandths of a percent against the group's dial, and so
    /// stays (or goes on).
    Dialed(u8, u32, bool),
    /// It is the last with a dial above 0 and takes the flow, whatever was drawn.
    TakesTheRest(u8),
    /// The group has no healthy endpoint with a weight that wasn't tried.
    NothingHealthy(u8),
    /// That group is asked, its dial ignored.
    FailsOver(u8),
    /// No group that was asked has one: it fails open.
    FailsOpen,
}

/// Hears what happens on the way to a choice.
pub(crate) trait Observer<'a> {
    /// An accelerator was found.
    fn accelerator(&mut self, _: &'a CompiledAccelerator) {}
    /// A listener was found, and the order of its groups.
    fn listener(&mut self, _: &'a CompiledListener, _: &'a [u8]) {}
    /// The choice is under way.
    fn see(&mut self, _: Event) {}
}

/// Hears nothing.
pub(crate) struct Silent;

impl Observer<'_> for Silent {}

impl Snapshot {
    /// Chooses the endpoint of a new flow. `tried` are those that it was refused by already. The
    /// same flow is given the same endpoint while the configuration and the endpoints' states are
    /// the same. It allocates nothing and waits for nobody.
    ///
    /// # Errors
    /// Nobody listens there, or there is no endpoint (any more): the flow is to be refused.
    pub fn choose(
        &self,
        flow: &Flow,
        context: &ChooseContext<'_>,
        tried: &Tried,
    ) -> Result<Choice<'_>, NoChoice> {
        choose(self, flow, context, tried, &mut Silent)
    }
}

pub(crate) fn choose<'a>(
    snapshot: &'a Snapshot,
    flow: &Flow,
    context: &ChooseContext<'_>,
    tried: &Tried,
    observer: &mut impl Observer<'a>,
) -> Result<Choice<'a>, NoChoice> {
    let accelerator = snapshot.at(flow.to.ip()).ok_or(NoChoice::NoAccelerator)?;
    observer.accelerator(accelerator);
    if !accelerator.enabled {
        return Err(NoChoice::Disabled);
    }
    let listener = accelerator
        .listener(flow.protocol, flow.to.port())
        .ok_or(NoChoice::NoListener)?;
    let order = listener.order(context.place);
    observer.listener(listener, order);
    let mut choosing = Choosing {
        listener,
        order,
        hash: hash::of_flow(flow, listener.affinity),
        port: flow.to.port(),
        board: context.board,
        tried,
        observer,
    };
    let (group, endpoint, why) = choosing.choose()?;
    let node = choosing.node_of(group, endpoint, why == Why::FailOpen);
    Ok(Choice {
        accelerator: &accelerator.id,
        listener: &listener.id,
        group: &group.id,
        region: group.region,
        endpoint: &endpoint.target,
        // An endpoint is chosen for a node that wasn't tried.
        address: choosing.address(group, node.ok_or(NoChoice::NoEndpoint)?),
        preserves_client: endpoint.preserves_client,
        why,
    })
}

type Chosen<'a> = (&'a CompiledGroup, &'a CompiledEndpoint, Why);

/// What a choice is made with.
struct Choosing<'a, 'b, O: Observer<'a>> {
    listener: &'a CompiledListener,
    order: &'a [u8],
    /// What of the flow counts.
    hash: u64,
    /// The listener's port.
    port: u16,
    board: &'b Board,
    tried: &'b Tried,
    observer: &'b mut O,
}

impl<'a, O: Observer<'a>> Choosing<'a, '_, O> {
    fn choose(&mut self) -> Result<Chosen<'a>, NoChoice> {
        let directed = self.directed()?;
        let group = self.group(directed);
        if let Some(endpoint) = self.healthy_of(group) {
            let why = match self.order.first() == Some(&directed) {
                true => Why::Nearest,
                false => Why::Dialed,
            };
            return Ok((group, endpoint, why));
        }
        self.observer.see(Event::NothingHealthy(directed));
        let others = self.order.iter().filter(|number| **number != directed);
        for number in others.take(FAILOVER_GROUPS) {
            self.observer.see(Event::FailsOver(*number));
            let group = self.group(*number);
            if let Some(endpoint) = self.healthy_of(group) {
                return Ok((group, endpoint, Why::Failover));
            }
            self.observer.see(Event::NothingHealthy(*number));
        }
        self.observer.see(Event::FailsOpen);
        for number in self.order {
            let group = self.group(*number);
            if let Some(endpoint) = self.any_of(group) {
                return Ok((group, endpoint, Why::FailOpen));
            }
        }
        match self.tried.is_empty() {
            true => Err(NoChoice::NoEndpoint),
            false => Err(NoChoice::AllTried),
        }
    }

    fn group(&self, number: u8) -> &'a CompiledGroup {
        &self.listener.groups[usize::from(number)]
    }

    /// The group that the flow is directed to, by nearness and dials.
    fn directed(&mut self) -> Result<u8, NoChoice> {
        let mut last = None;
        for number in self.order {
            let group = self.group(*number);
            if group.dial == TrafficDial(0) {
                continue;
            }
            let drawn = below(draw(self.hash ^ group.seed, DIAL), TrafficDial::ALL.0);
            let stays = drawn < group.dial.0;
            self.observer.see(Event::Dialed(*number, drawn, stays));
            if stays {
                return Ok(*number);
            }
            last = Some(*number);
        }
        let Some(last) = last else {
            return Err(match self.order.is_empty() {
                true => NoChoice::NoEndpoint,
                false => NoChoice::DialedDown,
            });
        };
        self.observer.see(Event::TakesTheRest(last));
        Ok(last)
    }

    /// The endpoint of the group that the flow belongs to: the one of its row in the table, if
    /// that is healthy. Otherwise the healthy ones share by weight what the others leave
    /// (weighted rendezvous hashing: Thaler and Ravishankar, 1998), so that no flow of an endpoint
    /// that goes on moves.
    fn healthy_of(&self, group: &'a CompiledGroup) -> Option<&'a CompiledEndpoint> {
        let first = group.table.at(draw(self.hash, TABLE))?;
        let first = &group.endpoints[first];
        if self.serves(group, first) {
            return Some(first);
        }
        let serving = group
            .endpoints
            .iter()
            .filter(|endpoint| self.serves(group, endpoint));
        let distance = |endpoint: &CompiledEndpoint| {
            let drawn = fraction(draw(self.hash ^ endpoint.seed, SPARE));
            -drawn.ln() / f64::from(endpoint.weight)
        };
        serving
            .map(|endpoint| (distance(endpoint), endpoint))
            .min_by(|(one, _), (other, _)| one.total_cmp(other))
            .map(|(_, endpoint)| endpoint)
    }

    /// Any endpoint of the group, each as likely.
    fn any_of(&self, group: &'a CompiledGroup) -> Option<&'a CompiledEndpoint> {
        let untried = group
            .endpoints
            .iter()
            .filter(|endpoint| self.node_of(group, endpoint, true).is_some());
        untried.max_by_key(|endpoint| draw(self.hash ^ endpoint.seed, OPEN))
    }

    fn serves(&self, group: &CompiledGroup, endpoint: &CompiledEndpoint) -> bool {
        endpoint.weight > 0
            && self.board.state(endpoint.slot) == HealthState::Healthy
            && self.node_of(group, endpoint, false).is_some()
    }

    /// The node of the endpoint that the flow belongs to, of those that are healthy and weren't
    /// tried (rendezvous hashing, so that no flow of another node moves when one goes). With
    /// `whatever_its_state`, of the others too, if there is none.
    fn node_of<'e>(
        &self,
        group: &CompiledGroup,
        endpoint: &'e CompiledEndpoint,
        whatever_its_state: bool,
    ) -> Option<&'e CompiledNode> {
        let is_healthy = |node: &CompiledNode| self.board.state(node.slot) == HealthState::Healthy;
        if let [only] = &endpoint.nodes[..] {
            let serves = whatever_its_state || is_healthy(only);
            return (serves && !self.was_tried(group, only)).then_some(only);
        }
        let untried = || {
            let nodes = endpoint.nodes.iter();
            nodes.filter(|node| !self.was_tried(group, node))
        };
        let drawn = |node: &&CompiledNode| draw(self.hash ^ node.seed, NODE);
        let healthy = untried().filter(|node| is_healthy(node)).max_by_key(drawn);
        match whatever_its_state {
            true => healthy.or_else(|| untried().max_by_key(drawn)),
            false => healthy,
        }
    }

    fn was_tried(&self, group: &CompiledGroup, node: &CompiledNode) -> bool {
        !self.tried.is_empty() && self.tried.contains(self.address(group, node))
    }

    /// Where the node is for this flow.
    fn address(&self, group: &CompiledGroup, node: &CompiledNode) -> SocketAddr {
        SocketAddr::new(node.address, group.port(self.port))
    }
}
