//! Target groups made ready to choose from: their targets, each with how it is, and which of them
//! come into question for a node of a load balancer. Nothing is chosen or probed here.

mod choose;
mod live;
mod tried;

pub(crate) use choose::{Choosing, by_hash};
pub use choose::{NoTarget, WhyTarget};
pub use live::{LiveTarget, UnderWay};
pub(crate) use live::{because, initial};
pub use tried::{MAX_TRIED, Tried};

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use types::{AvailabilityZone, Span, Timestamp};

use crate::algorithm::name;
use crate::arn::TargetGroupArn;
use crate::attributes::{Algorithm, MinimumHealthy, Stickiness};
use crate::model::{HealthCheckSettings, Protocol, ProtocolVersion, TargetGroup, TargetKey};

/// A target group.
#[derive(Debug)]
pub struct TargetSet {
    /// Its name.
    pub arn: TargetGroupArn,
    /// What targets are spoken to by.
    pub protocol: Protocol,
    /// Which HTTP, of groups of HTTP and HTTPS.
    pub version: Option<ProtocolVersion>,
    /// How targets are checked.
    pub health_check: HealthCheckSettings,
    /// Are targets told who connected, by PROXY protocol version 2? Of network load balancers.
    pub sends_proxy_protocol: bool,
    /// Are connections broken at the end of the deregistration delay?
    pub terminates_drained: bool,
    /// Are connections to a target broken when it becomes unhealthy? Of network load balancers.
    pub terminates_unhealthy: bool,
    /// For how long a deregistered target keeps what it has.
    pub deregistration_delay: Span,
    /// What keeps a client with a target.
    pub stickiness: Option<Stickiness>,
    /// The time in which a new target's share grows to its whole; zero: at once.
    pub slow_start: Span,
    /// How many must be healthy; with fewer, all get traffic.
    pub(crate) for_routing: MinimumHealthy,
    /// How many must be healthy for a node to stay in DNS.
    pub(crate) for_dns: MinimumHealthy,
    /// How a target is chosen.
    pub(crate) algorithm: Algorithm,
    /// Are targets of all zones used? None: as the load balancer has it.
    pub(crate) cross_zone: Option<bool>,
    /// The revision that set it.
    pub(crate) revision: u64,
    /// What it is known by in cookies.
    pub(crate) number: u64,
    /// Its targets, in the order of their keys.
    pub(crate) members: Vec<Member>,
    turns: Arc<Turns>,
}

/// A target of a group.
#[derive(Debug)]
pub struct Member {
    /// What it is named by.
    pub key: TargetKey,
    /// Where it takes traffic.
    pub address: SocketAddr,
    /// The zone that it is in; none: all.
    pub zone: Option<AvailabilityZone>,
    /// When it was registered.
    pub registered: Timestamp,
    /// Since when it drains.
    pub draining_since: Option<Timestamp>,
    /// What it is known by in cookies and where it is drawn.
    pub(crate) number: u64,
    /// How it is.
    pub live: Arc<LiveTarget>,
}

/// How often a target was chosen, by the zone of the node that chose.
type Turns = [AtomicU64; 3];

impl TargetSet {
    /// The group as that revision set it. How its targets are is taken over from `before`, but
    /// for those that were registered anew since, or whose instance is elsewhere now.
    pub(crate) fn compile(
        group: &TargetGroup,
        revision: u64,
        before: Option<&TargetSet>,
    ) -> TargetSet {
        let members = group.targets.values().map(|target| {
            let address = SocketAddr::new(target.address.to_canonical(), target.key.port);
            let known = before.and_then(|before| before.member(&target.key));
            let known = known
                .filter(|known| known.registered == target.registered && known.address == address);
            let live = known.map(|known| known.live.clone());
            Member {
                number: name(&format!("{} {}", target.key.id, target.key.port)),
                key: target.key.clone(),
                address,
                zone: target.zone,
                registered: target.registered,
                draining_since: target.draining_since,
                live: live.unwrap_or_default(),
            }
        });
        TargetSet {
            number: name(&group.arn.to_string()),
            members: members.collect(),
            arn: group.arn.clone(),
            protocol: group.protocol,
            version: group.version,
            health_check: group.health_check.clone(),
            sends_proxy_protocol: group.sends_proxy_protocol(),
            terminates_drained: group.terminates_drained(),
            terminates_unhealthy: group.terminates_unhealthy(),
            deregistration_delay: Span::seconds(u64::from(group.deregistration_delay())),
            stickiness: group.stickiness(),
            slow_start: Span::seconds(u64::from(group.slow_start().unwrap_or(0))),
            for_routing: group.minimum_for_routing(),
            for_dns: group.minimum_for_dns(),
            algorithm: group.algorithm(),
            cross_zone: group.cross_zone(),
            revision,
            turns: before.map_or_else(Arc::default, |before| before.turns.clone()),
        }
    }

    /// The target of that key.
    pub fn member(&self, key: &TargetKey) -> Option<&Member> {
        let place = self.members.binary_search_by(|member| member.key.cmp(key));
        Some(&self.members[place.ok()?])
    }

    /// All of its targets, in the order of their keys.
    pub fn members(&self) -> impl Iterator<Item = &Member> {
        self.members.iter()
    }

    /// A number that grows with every choice of a node in that zone.
    fn turn(&self, node: AvailabilityZone) -> u64 {
        let zone = usize::from(node.letter.index());
        self.turns[zone].fetch_add(1, Ordering::Relaxed)
    }
}

/// The targets of a group that come into question for a node of a load balancer: none that drains,
/// that is in a zone which the load balancer isn't enabled in, or (without cross-zone load
/// balancing) in another zone than the node.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pool<'a> {
    pub(crate) set: &'a TargetSet,
    /// The zone that the node is in.
    pub(crate) node: AvailabilityZone,
    /// Places of its targets among the group's, ascending.
    pub(crate) places: &'a [u32],
}

impl TargetSet {
    /// The places of the targets that come into question for a node in that zone of a load balancer
    /// that is enabled in these.
    pub(crate) fn places(
        &self,
        node: AvailabilityZone,
        zones: &BTreeMap<AvailabilityZone, Ipv4Addr>,
        cross_zone: bool,
    ) -> Box<[u32]> {
        let cross_zone = self.cross_zone.unwrap_or(cross_zone);
        let reaches = |zone| zones.contains_key(&zone) && (cross_zone || zone == node);
        let members = (0..).zip(&self.members);
        let asked = members.filter(|(_, member)| {
            member.draining_since.is_none() && member.zone.is_none_or(reaches)
        });
        asked.map(|(place, _)| place).collect()
    }
}

impl<'a> Pool<'a> {
    /// The targets, whatever their health.
    pub(crate) fn members(self) -> impl Iterator<Item = &'a Member> + Clone {
        let Pool { set, places, .. } = self;
        places
            .iter()
            .map(move |place| &set.members[*place as usize])
    }

    /// How many of them are healthy, and how many there are.
    pub(crate) fn counts(self) -> (usize, usize) {
        self.members().fold((0, 0), |(healthy, all), member| {
            (healthy + usize::from(member.live.is_healthy()), all + 1)
        })
    }

    /// Are so few healthy that all are sent requests?
    pub(crate) fn fails_open(self) -> bool {
        let (healthy, all) = self.counts();
        !self.set.for_routing.is_met(healthy, all)
    }

    /// Are enough healthy for the node to stay in DNS? Where there are none at all, there aren't.
    pub(crate) fn is_enough_for_dns(self) -> bool {
        let (healthy, all) = self.counts();
        all > 0 && self.set.for_dns.is_met(healthy, all)
    }
}
