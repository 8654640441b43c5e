//! All accelerators as of one revision, ready to choose by. Immutable: a change makes another
//! snapshot, which takes over the accelerators that are as they were.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;

use types::{BalancerDirectory, ConfigurationView, HealthCheckId};

use crate::board::Board;
use crate::checks::{MAX_CHECKS, is_accelerators};
use crate::compiled::{Around, CompiledAccelerator, compile};
use crate::flow_log::FlowLogPlace;
use crate::model::{
    Accelerator, AcceleratorId, EndpointGroupId, EndpointTarget, HealthState, ListenerId,
    PortRange, Protocol,
};
use crate::{codec, keys};

/// Accelerators to choose by.
#[derive(Clone, Debug, Default)]
pub struct Snapshot {
    revision: u64,
    /// The accelerators that aren't served as this revision has them, by their keys; each with
    /// the last revision that is served of it.
    behind: BTreeMap<String, u64>,
    /// By their keys.
    accelerators: BTreeMap<String, Arc<CompiledAccelerator>>,
    /// Ascending; no address twice.
    addresses: Vec<(IpAddr, Arc<CompiledAccelerator>)>,
    faults: Vec<String>,
    /// Accelerators that were compiled for it; the others were taken over.
    compiled: usize,
}

/// What an edge listens on: all ports of a range at an address.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct ListensOn {
    /// The static address.
    pub address: IpAddr,
    /// TCP or UDP.
    pub protocol: Protocol,
    /// The ports.
    pub ports: PortRange,
}

/// An accelerator's DNS name.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct DnsEntry<'a> {
    /// Whose it is.
    pub accelerator: &'a AcceleratorId,
    /// What the name begins with: `a` and 16 hexadecimal digits.
    pub label: &'a str,
    /// The static addresses that it stands for. A disabled accelerator keeps them.
    pub addresses: &'a [IpAddr],
    /// Does the accelerator take traffic?
    pub enabled: bool,
}

impl Snapshot {
    /// Compiles the accelerators of the configuration, whose load balancers are where `directory`
    /// has them. Those that `previous` has as they are now are taken over from it. What can't be
    /// read or served is left out, or kept as it was; `faults` says so. Whoever serves the
    /// snapshot has `board` let go of the checks that it doesn't have, afterwards: [`crate::Node`]
    /// does.
    pub fn compile(
        view: &dyn ConfigurationView,
        previous: Option<&Snapshot>,
        board: &Board,
        directory: &BalancerDirectory,
    ) -> Snapshot {
        let around = Around { board, directory };
        if let Some(previous) = previous
            && is_unchanged(view, previous.revision)
            && previous.stands_with(directory)
        {
            return Snapshot {
                revision: view.revision(),
                compiled: 0,
                ..previous.clone()
            };
        }
        let mut snapshot = Snapshot {
            revision: view.revision(),
            ..Snapshot::default()
        };
        view.visit(keys::ACCELERATORS, &mut |key, revision, value| {
            let before = previous.and_then(|previous| previous.accelerators.get(key));
            if let Some(before) = before
                && before.revision == revision
                && before.stands_with(directory)
            {
                snapshot.accelerators.insert(key.to_owned(), before.clone());
                return;
            }
            match read(key, value).and_then(|accelerator| {
                let before = before.map(Arc::as_ref);
                compile(accelerator, revision, before, around).map_err(|error| error.to_string())
            }) {
                Ok(compiled) => {
                    snapshot.compiled += 1;
                    snapshot
                        .accelerators
                        .insert(key.to_owned(), Arc::new(compiled));
                }
                Err(what) => snapshot.fall_behind(key, revision, previous, &what),
            }
        });
        snapshot.finish();
        snapshot
    }

    /// Compiles accelerators that stand in no configuration: for tests and measurements.
    pub fn of_accelerators(
        accelerators: impl IntoIterator<Item = Accelerator>,
        board: &Board,
    ) -> Snapshot {
        Snapshot::with_balancers(accelerators, board, &BalancerDirectory::default())
    }

    /// The same, of accelerators whose load balancers are where that directory has them.
    pub fn with_balancers(
        accelerators: impl IntoIterator<Item = Accelerator>,
        board: &Board,
        directory: &BalancerDirectory,
    ) -> Snapshot {
        let around = Around { board, directory };
        let mut snapshot = Snapshot::default();
        for accelerator in accelerators {
            let key = keys::accelerator(&accelerator.id);
            match compile(accelerator, 0, None, around) {
                Ok(compiled) => {
                    snapshot.compiled += 1;
                    snapshot.accelerators.insert(key, Arc::new(compiled));
                }
                Err(error) => snapshot.fall_behind(&key, 0, None, &error.to_string()),
            }
        }
        snapshot.finish();
        snapshot
    }

    /// The accelerator isn't served as `revision` set it: at best as it was before.
    fn fall_behind(&mut self, key: &str, revision: u64, previous: Option<&Snapshot>, what: &str) {
        self.faults.push(format!("{key}: {what}"));
        let through = revision.saturating_sub(1);
        let before = previous.and_then(|previous| previous.behind.get(key));
        let through = before.map_or(through, |before| through.min(*before));
        self.behind.insert(key.to_owned(), through);
        if let Some(kept) = previous.and_then(|previous| previous.accelerators.get(key)) {
            self.accelerators.insert(key.to_owned(), kept.clone());
        }
    }

    /// Of two accelerators with one address the first is served there.
    fn finish(&mut self) {
        for (key, accelerator) in &self.accelerators {
            for address in &accelerator.addresses {
                let place = self
                    .addresses
                    .binary_search_by_key(address, |(known, _)| *known);
                match place {
                    Ok(_) => {
                        let what = "another accelerator has it and is served there";
                        self.faults.push(format!("{key}: {address}: {what}"));
                    }
                    Err(place) => {
                        let entry = (*address, accelerator.clone());
                        self.addresses.insert(place, entry);
                    }
                }
            }
        }
        let own = self.checks().filter(|check| is_accelerators(check));
        let checks: BTreeSet<&HealthCheckId> = own.collect();
        if let Some(more) = checks.len().checked_sub(MAX_CHECKS + 1) {
            let what = "endpoints are more than can be checked and stay INITIAL";
            self.faults.push(format!("{} {what}", more + 1));
        }
    }

    /// The accelerator that has that address.
    pub(crate) fn at(&self, address: IpAddr) -> Option<&CompiledAccelerator> {
        let address = address.to_canonical();
        let place = self
            .addresses
            .binary_search_by_key(&address, |(known, _)| *known);
        Some(&self.addresses[place.ok()?].1)
    }

    /// The configuration's revision that it chooses by.
    pub fn revision(&self) -> u64 {
        self.revision
    }

    /// The last revision of which every accelerator is served: [`Snapshot::revision`], unless one
    /// couldn't be read and was left out or kept as it was.
    pub fn served_through(&self) -> u64 {
        let behind = self.behind.values().copied();
        behind.fold(self.revision, u64::min)
    }

    /// How many accelerators it has.
    pub fn accelerator_count(&self) -> usize {
        self.accelerators.len()
    }

    /// How many accelerators were compiled for it; the others were taken over from the snapshot
    /// before.
    pub fn compiled_accelerators(&self) -> usize {
        self.compiled
    }

    /// What of the configuration can't be served, a text each.
    pub fn faults(&self) -> &[String] {
        &self.faults
    }

    /// Bytes of the tables that flows are spread by.
    pub fn table_bytes(&self) -> usize {
        let accelerators = self.accelerators.values();
        let groups = accelerators.flat_map(|accelerator| accelerator.groups());
        groups.map(|group| group.table.bytes()).sum()
    }

    /// What an edge listens on: every port range of every listener of every accelerator that is
    /// enabled, at each of its addresses. No port of an address comes twice.
    pub fn listeners(&self) -> impl Iterator<Item = ListensOn> + '_ {
        let served = self.addresses.iter();
        let enabled = served.filter(|(_, accelerator)| accelerator.enabled);
        enabled.flat_map(|(address, accelerator)| {
            accelerator.listeners.iter().flat_map(move |listener| {
                listener.ports.iter().map(move |ports| ListensOn {
                    address: *address,
                    protocol: listener.protocol,
                    ports: *ports,
                })
            })
        })
    }

    /// The static addresses to which flows come that are logged. Those of a disabled accelerator
    /// are among them: it may have flows yet.
    pub fn logged_addresses(&self) -> impl Iterator<Item = IpAddr> + '_ {
        let served = self.addresses.iter();
        let logged = served.filter(|(_, accelerator)| accelerator.flow_log.is_some());
        logged.map(|(address, _)| *address)
    }

    /// Where flows to that static address are logged; none: they aren't.
    pub fn flow_log_at(&self, address: IpAddr) -> Option<&Arc<FlowLogPlace>> {
        self.at(address)?.flow_log.as_ref()
    }

    /// The DNS names of all accelerators.
    pub fn dns(&self) -> impl Iterator<Item = DnsEntry<'_>> {
        self.accelerators.values().map(|accelerator| DnsEntry {
            accelerator: &accelerator.id,
            label: &accelerator.dns_label,
            addresses: &accelerator.addresses,
            enabled: accelerator.enabled,
        })
    }

    /// Has the accelerator an endpoint that is healthy and has a weight? What a DNS alias with
    /// `EvaluateTargetHealth` asks. A disabled accelerator has none.
    pub fn is_healthy(&self, accelerator: &AcceleratorId, board: &Board) -> bool {
        let Some(known) = self.accelerators.get(&keys::accelerator(accelerator)) else {
            return false;
        };
        let mut endpoints = known.groups().flat_map(|group| &group.endpoints);
        known.enabled
            && endpoints.any(|endpoint| {
                endpoint.weight > 0 && board.state(endpoint.slot) == HealthState::Healthy
            })
    }

    /// The health check of an endpoint, if the accelerator has it in that group.
    pub fn check_of(
        &self,
        accelerator: &AcceleratorId,
        group: &EndpointGroupId,
        target: &EndpointTarget,
    ) -> Option<&HealthCheckId> {
        let known = self.accelerators.get(&keys::accelerator(accelerator))?;
        let group = known.groups().find(|known| known.id == *group)?;
        let mut endpoints = group.endpoints.iter();
        let endpoint = endpoints.find(|endpoint| endpoint.target == *target)?;
        Some(&endpoint.check)
    }

    /// The listener of an accelerator that takes flows to a port.
    pub fn listener_of(
        &self,
        address: IpAddr,
        protocol: Protocol,
        port: u16,
    ) -> Option<(&AcceleratorId, &ListenerId)> {
        let accelerator = self.at(address)?;
        let listener = accelerator.listener(protocol, port)?;
        Some((&accelerator.id, &listener.id))
    }

    /// The checks that its endpoints depend on; some more than once. Of a load balancer these are
    /// [`crate::checks::balancer_id`] and, for each node, [`crate::checks::node_id`].
    pub fn checks(&self) -> impl Iterator<Item = &HealthCheckId> {
        let accelerators = self.accelerators.values();
        let groups = accelerators.flat_map(|accelerator| accelerator.groups());
        let endpoints = groups.flat_map(|group| &group.endpoints);
        endpoints.flat_map(|endpoint| {
            let nodes = endpoint.nodes.iter().filter_map(|node| node.check.as_ref());
            nodes.chain([&endpoint.check])
        })
    }

    /// The load balancers that are endpoints of accelerators, by their Amazon Resource Names; some
    /// more than once.
    pub fn balancers(&self) -> impl Iterator<Item = &str> {
        let accelerators = self.accelerators.values();
        accelerators.flat_map(|accelerator| accelerator.balancers())
    }

    /// Have all load balancers the nodes that it was compiled with?
    fn stands_with(&self, directory: &BalancerDirectory) -> bool {
        let mut accelerators = self.accelerators.values();
        accelerators.all(|accelerator| accelerator.stands_with(directory))
    }
}

/// Did no accelerator change since that revision, for all the view can tell?
fn is_unchanged(view: &dyn ConfigurationView, since: u64) -> bool {
    let mut changed = false;
    let known = view.visit_changes(keys::ACCELERATORS, since, &mut |_, _| changed = true);
    known && !changed
}

fn read(key: &str, value: &[u8]) -> Result<Accelerator, String> {
    let accelerator = codec::decode(value).map_err(|error| error.to_string())?;
    match keys::accelerator(&accelerator.id) == key {
        true => Ok(accelerator),
        false => Err("another accelerator's value".to_owned()),
    }
}
