//! Accelerators at this site: compiled beside the zones and of the same revision, their endpoints
//! watched by the same checkers, their names given to DNS. Whoever carries flows is told where to
//! listen before anyone hears that the revision is served. It chooses nothing and carries nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, OnceLock};

use accelerator::model::{AcceleratorId, DOMAIN, EndpointGroupId, EndpointTarget};
use accelerator::{HealthState, Snapshot};
use health::{Basis, Monitor};
use routing::{
    Name, OutsideAddress, OutsideAnswer, OutsideName, OutsideNames, OutsideZone, ZoneId,
};
use store::Engine;
use types::{BalancerDirectory, ConfigurationView, HealthCheckId, Now};

use crate::checking::lock;
use crate::steering::{MAX_FAULTS, Steering};

/// The id by which aliases name the zone of accelerators (AWS General Reference, "AWS Global
/// Accelerator endpoints and quotas").
pub const ACCELERATOR_ZONE: &str = "Z2BJ6XQ5FK7U4H";

/// How long an accelerator's addresses may be kept, in seconds. They never change, so that a
/// shorter time would be of use to nobody; as the service's names are seen to have it.
const NAME_TTL: u32 = 300;

/// Carries flows: an edge's.
pub trait Carrier: Send + Sync + 'static {
    /// From when this returns, flows come in where that snapshot listens, and nowhere else. Says
    /// what can't be listened on, a text each.
    fn carry(&self, snapshot: &Snapshot) -> Vec<String>;
}

/// What a site has of accelerators.
#[derive(Default)]
pub(crate) struct Accelerators {
    pub(crate) node: accelerator::Node,
    carrier: OnceLock<Arc<dyn Carrier>>,
    /// What the carrier couldn't do.
    uncarried: Mutex<Vec<String>>,
    /// Endpoints' checks of which nobody has said anything yet: an endpoint must pass before it
    /// gets flows, where a record counts as healthy meanwhile.
    unheard: Mutex<BTreeSet<HealthCheckId>>,
}

/// How a site's accelerators are.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct AcceleratorsStatus {
    /// The revision of the configuration that flows are steered by.
    pub revision: u64,
    /// Accelerators, disabled ones included.
    pub accelerators: usize,
    /// Ranges of ports that are listened on, at each address.
    pub listeners: usize,
    /// Checks of endpoints that pass.
    pub healthy: usize,
    /// Checks that fail.
    pub unhealthy: usize,
    /// Checks of which nothing is known yet.
    pub initial: usize,
    /// What of the configuration can't be served, a text each; the first [`MAX_FAULTS`].
    pub faults: Vec<String>,
}

impl Accelerators {
    /// Steers flows by that configuration from now on.
    pub(crate) fn serve(
        &self,
        view: &dyn ConfigurationView,
        directory: &BalancerDirectory,
        prepare: &dyn Fn(&Snapshot),
    ) {
        if self.node.refresh_with(view, directory, prepare) {
            self.carry();
        }
    }

    fn carry(&self) {
        let Some(carrier) = self.carrier.get() else {
            return;
        };
        let uncarried = carrier.carry(&self.node.snapshot());
        let mut known = lock(&self.uncarried);
        for fault in uncarried.iter().filter(|fault| !known.contains(fault)) {
            tracing::warn!(fault, "an accelerator isn't listened for");
        }
        *known = uncarried;
    }

    /// What checkers have found of an endpoint.
    pub(crate) fn found(&self, now: Now, monitor: &Monitor, check: HealthCheckId, healthy: bool) {
        let tally = monitor.tally(now.monotonic, &check);
        let is_known = tally.is_some_and(|tally| tally.basis != Basis::NoData);
        let state = match (is_known, healthy) {
            (false, _) => HealthState::Initial,
            (true, true) => HealthState::Healthy,
            (true, false) => HealthState::Unhealthy,
        };
        if self.node.board().set(&check, state) {
            tracing::info!(%check, state = state.name(), "an endpoint's health");
        }
        if !is_known {
            lock(&self.unheard).insert(check);
        }
    }

    /// Has anyone said anything since of an endpoint that nothing was known of? Its status may
    /// be what it was taken for, so that nobody says that it changed. True if one is another now.
    pub(crate) fn look_at_unheard(&self, now: Now, monitor: &Monitor) -> bool {
        let mut unheard = lock(&self.unheard);
        let mut news = Vec::new();
        unheard.retain(|check| match monitor.tally(now.monotonic, check) {
            Some(tally) if tally.basis == Basis::NoData => true,
            Some(tally) => {
                news.push((check.clone(), tally.status));
                false
            }
            None => false,
        });
        drop(unheard);
        let any = !news.is_empty();
        for (check, healthy) in news {
            self.found(now, monitor, check, healthy);
        }
        any
    }
}

impl<E: Engine> Steering<E> {
    /// Has flows carried by that carrier, from this revision on: once, before the tasks run.
    pub fn carry(&self, carrier: Arc<dyn Carrier>) {
        if self.accelerators.carrier.set(carrier).is_ok() {
            self.accelerators.carry();
        }
    }

    /// What flows are steered by.
    pub fn accelerators(&self) -> &accelerator::Node {
        &self.accelerators.node
    }

    /// How an endpoint is at this site, and what was seen of it last where it failed.
    pub fn endpoint_health(
        &self,
        accelerator: &AcceleratorId,
        group: &EndpointGroupId,
        target: &EndpointTarget,
    ) -> (HealthState, Option<String>) {
        if let EndpointTarget::Balancer(arn) = target {
            return self.balancer_health(arn);
        }
        let snapshot = self.accelerators.node.snapshot();
        let Some(check) = snapshot.check_of(accelerator, group, target) else {
            return (HealthState::Initial, None);
        };
        let state = self.accelerators.node.board().state_of(check);
        let failure = || {
            let mut seen = self.last_failures(check).into_iter();
            seen.next().map(|seen| seen.observation.status)
        };
        match state {
            HealthState::Unhealthy => (state, failure()),
            HealthState::Initial | HealthState::Healthy => (state, None),
        }
    }

    /// How its accelerators are.
    pub fn accelerators_status(&self) -> AcceleratorsStatus {
        let snapshot = self.accelerators.node.snapshot();
        let checks: BTreeSet<&HealthCheckId> = snapshot.checks().collect();
        let board = self.accelerators.node.board();
        let count = |state| {
            let alike = checks.iter().filter(|check| board.state_of(check) == state);
            alike.count()
        };
        let uncarried = lock(&self.accelerators.uncarried);
        let faults = snapshot.faults().iter().chain(uncarried.iter());
        AcceleratorsStatus {
            revision: snapshot.revision(),
            accelerators: snapshot.accelerator_count(),
            listeners: snapshot.listeners().count(),
            healthy: count(HealthState::Healthy),
            unhealthy: count(HealthState::Unhealthy),
            initial: count(HealthState::Initial),
            faults: faults.take(MAX_FAULTS).cloned().collect(),
        }
    }

    /// Lets DNS know whether anything is healthy behind each accelerator's name, and each load
    /// balancer's.
    pub(crate) fn tell_names(&self) {
        self.tell_of_balancers();
        let snapshot = self.accelerators.node.snapshot();
        let board = self.accelerators.node.board();
        for entry in snapshot.dns() {
            let healthy = snapshot.is_healthy(entry.accelerator, board);
            self.node.board().set(&check_of(entry.accelerator), healthy);
        }
    }

    /// The last revision of which all zones and all accelerators are served.
    pub(crate) fn served_through(&self) -> u64 {
        let flows = self.accelerators.node.snapshot().served_through();
        self.node.snapshot().served_through().min(flows)
    }
}

/// The names that accelerators have by that configuration, for a service that judges aliases to
/// them. What can't be read has none.
pub(crate) fn accelerator_names(view: &dyn ConfigurationView) -> OutsideNames {
    let mut names = BTreeMap::new();
    view.visit(accelerator::keys::ACCELERATORS, &mut |_, _, value| {
        if let Ok(known) = accelerator::codec::decode(value) {
            add(&mut names, &known.id, &known.dns_label, &known.addresses);
        }
    });
    zone_of(names)
}

/// The names of a snapshot's accelerators.
pub(crate) fn names_of(snapshot: &Snapshot) -> OutsideNames {
    let mut names = BTreeMap::new();
    for entry in snapshot.dns() {
        add(&mut names, entry.accelerator, entry.label, entry.addresses);
    }
    zone_of(names)
}

/// An accelerator's two names: of its IPv4 addresses, and of all where it has both kinds.
fn add(
    names: &mut BTreeMap<Name, OutsideName>,
    id: &AcceleratorId,
    label: &str,
    addresses: &[std::net::IpAddr],
) {
    let (v4, v6): (Vec<_>, Vec<_>) = addresses.iter().partition(|address| address.is_ipv4());
    let mut give = |name: String, addresses: Vec<std::net::IpAddr>| {
        // A label is of letters and digits: it makes a name.
        if let Ok(name) = Name::parse(&name) {
            let stands = addresses.into_iter().map(|address| OutsideAddress {
                address,
                check: check_of(id),
            });
            let stands = OutsideName {
                addresses: stands.collect(),
                answer: OutsideAnswer::One,
            };
            names.insert(name, stands);
        }
    };
    if !v6.is_empty() {
        let all = v4.iter().chain(&v6).copied().collect();
        give(format!("{label}.dualstack.{DOMAIN}"), all);
    }
    give(format!("{label}.{DOMAIN}"), v4);
}

fn zone_of(names: BTreeMap<Name, OutsideName>) -> OutsideNames {
    let zone = OutsideZone {
        name: Name::parse(DOMAIN).expect("the domain is a name"),
        ttl: NAME_TTL,
        names,
    };
    let id = ZoneId::new(ACCELERATOR_ZONE).expect("it is a zone's id");
    OutsideNames([(id, zone)].into())
}

/// What says on the board of DNS whether anything is healthy behind an accelerator.
fn check_of(id: &AcceleratorId) -> HealthCheckId {
    HealthCheckId(format!("accelerator/{}", id.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_accelerator_of_both_kinds_of_addresses_has_two_names() {
        let mut names = BTreeMap::new();
        let id = AcceleratorId("1".to_owned());
        let addresses = ["127.80.0.1", "127.81.0.1", "fd00::1"].map(|it| it.parse().unwrap());
        add(&mut names, &id, "a1", &addresses[..2]);
        assert_eq!(names.len(), 1);
        add(&mut names, &id, "a1", &addresses);
        let of = |name: &str| -> Vec<std::net::IpAddr> {
            let stands = &names[&Name::parse(name).unwrap()].addresses;
            stands.iter().map(|it| it.address).collect()
        };
        assert_eq!(of("a1.awsglobalaccelerator.com"), addresses[..2]);
        assert_eq!(of("a1.dualstack.awsglobalaccelerator.com"), addresses);
    }
}
