//! A Region's load balancers and target groups as of one revision, ready to route by. Immutable: a
//! change makes another snapshot, which takes over what is as it was, and how targets are.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::Arc;

use types::{AvailabilityZone, ConfigurationView, Timestamp};

use crate::arn::TargetGroupArn;
use crate::codec::{CodecError, decode};
use crate::compiled::{CompiledBalancer, UsedGroup, compile};
use crate::keys;
use crate::listen::{Listening, Transport};
use crate::model::{LoadBalancer, TargetGroup, TargetKey};
use crate::node::{TargetHealth, TargetReason, TargetState};
use crate::targets::{Member, TargetSet, because};

/// Load balancers to route by.
#[derive(Clone, Debug, Default)]
pub struct Snapshot {
    revision: u64,
    /// Rows that aren't served as this revision has them, by their keys; each with the last
    /// revision that is served of it.
    behind: BTreeMap<String, u64>,
    /// By their keys.
    groups: BTreeMap<String, Arc<TargetSet>>,
    /// By their keys.
    balancers: BTreeMap<String, Arc<CompiledBalancer>>,
    /// Ascending; no address and transport twice.
    listening: Vec<Listening>,
    faults: Vec<String>,
}

impl Snapshot {
    /// Compiles what the configuration has. What `previous` has as it is now is taken over from
    /// it. What can't be read or served is left out, or kept as it was; `faults` says so.
    pub fn compile(view: &dyn ConfigurationView, previous: Option<&Snapshot>) -> Snapshot {
        let mut snapshot = Snapshot {
            revision: view.revision(),
            ..Snapshot::default()
        };
        view.visit(keys::GROUPS, &mut |key, revision, value| {
            snapshot.add_group(key, revision, previous, || decode(value));
        });
        view.visit(keys::BALANCERS, &mut |key, revision, value| {
            snapshot.add_balancer(key, revision, previous, || decode(value));
        });
        snapshot.finish();
        snapshot
    }

    /// Compiles rows that stand in no configuration: for tests and measurements. `previous` is
    /// what they are changes of.
    pub fn of_rows(
        balancers: Vec<LoadBalancer>,
        groups: Vec<TargetGroup>,
        previous: Option<&Snapshot>,
    ) -> Snapshot {
        let revision = previous.map_or(1, |previous| previous.revision + 1);
        let mut snapshot = Snapshot {
            revision,
            ..Snapshot::default()
        };
        for group in groups {
            let key = keys::group(&group.arn);
            snapshot.add_group(&key, revision, previous, || Ok(group));
        }
        for balancer in balancers {
            let key = keys::balancer(&balancer.arn);
            snapshot.add_balancer(&key, revision, previous, || Ok(balancer));
        }
        snapshot.finish();
        snapshot
    }

    fn add_group(
        &mut self,
        key: &str,
        revision: u64,
        previous: Option<&Snapshot>,
        read: impl FnOnce() -> Result<TargetGroup, CodecError>,
    ) {
        let before = previous.and_then(|previous| previous.groups.get(key));
        let set = match before {
            Some(before) if before.revision == revision => Some(before.clone()),
            _ => match read() {
                Ok(group) => {
                    let before = before.map(Arc::as_ref);
                    Some(Arc::new(TargetSet::compile(&group, revision, before)))
                }
                Err(error) => {
                    self.fall_behind(key, revision, previous, &error.to_string());
                    before.cloned()
                }
            },
        };
        if let Some(set) = set {
            self.groups.insert(key.to_owned(), set);
        }
    }

    fn add_balancer(
        &mut self,
        key: &str,
        revision: u64,
        previous: Option<&Snapshot>,
        read: impl FnOnce() -> Result<LoadBalancer, CodecError>,
    ) {
        let before = previous.and_then(|previous| previous.balancers.get(key));
        let row = match before {
            Some(before) if before.revision == revision => {
                if self.has_groups_of(before) {
                    self.balancers.insert(key.to_owned(), before.clone());
                    return;
                }
                Some((before.row.clone(), revision))
            }
            _ => match read() {
                Ok(row) => Some((row, revision)),
                Err(error) => {
                    self.fall_behind(key, revision, previous, &error.to_string());
                    before.map(|before| (before.row.clone(), before.revision))
                }
            },
        };
        if let Some((row, revision)) = row {
            let compiled = compile(row, revision, &|arn| self.group(arn).cloned());
            self.balancers.insert(key.to_owned(), Arc::new(compiled));
        }
    }

    /// Are the target groups that the load balancer was compiled with those of this snapshot?
    fn has_groups_of(&self, balancer: &CompiledBalancer) -> bool {
        let same = |used: &UsedGroup| {
            let known = self.group(&used.set.arn);
            known.is_some_and(|known| Arc::ptr_eq(known, &used.set))
        };
        let still_missing = |arn: &TargetGroupArn| self.group(arn).is_none();
        balancer.groups.iter().all(same) && balancer.missing.iter().all(still_missing)
    }

    /// The row isn't served as `revision` set it: at best as it was before.
    fn fall_behind(&mut self, key: &str, revision: u64, previous: Option<&Snapshot>, what: &str) {
        self.faults.push(format!("{key}: {what}"));
        let through = revision.saturating_sub(1);
        let before = previous.and_then(|previous| previous.behind.get(key));
        let through = before.map_or(through, |before| through.min(*before));
        self.behind.insert(key.to_owned(), through);
    }

    /// Of two listeners at one place the first is served there.
    fn finish(&mut self) {
        for (key, balancer) in &self.balancers {
            for arn in &balancer.missing {
                self.faults.push(format!("{key}: there is no {arn}"));
            }
            for listening in Listening::of(balancer) {
                match self
                    .listening
                    .binary_search_by(|known| known.cmp(&listening))
                {
                    Ok(_) => {
                        let what = "another load balancer listens there";
                        let at = listening.address;
                        self.faults.push(format!("{key}: {at}: {what}"));
                    }
                    Err(place) => self.listening.insert(place, listening),
                }
            }
        }
    }

    /// The configuration's revision that it routes by.
    pub fn revision(&self) -> u64 {
        self.revision
    }

    /// The last revision of which every row is served: [`Snapshot::revision`], unless one couldn't
    /// be read and was left out or kept as it was.
    pub fn served_through(&self) -> u64 {
        let behind = self.behind.values().copied();
        behind.fold(self.revision, u64::min)
    }

    /// What of the configuration can't be served, a text each.
    pub fn faults(&self) -> &[String] {
        &self.faults
    }

    /// All load balancers, in the order of their ids.
    pub fn balancers(&self) -> impl Iterator<Item = &Arc<CompiledBalancer>> {
        self.balancers.values()
    }

    /// All target groups, in the order of their ids.
    pub fn groups(&self) -> impl Iterator<Item = &Arc<TargetSet>> {
        self.groups.values()
    }

    /// The target group of that name.
    pub fn group(&self, arn: &TargetGroupArn) -> Option<&Arc<TargetSet>> {
        let known = self.groups.get(&keys::group(arn))?;
        (known.arn == *arn).then_some(known)
    }

    /// What is listened on: every listener of every load balancer, at the address of each of its
    /// nodes. No address and transport comes twice.
    pub fn listeners(&self) -> impl Iterator<Item = &Listening> {
        self.listening.iter()
    }

    /// The listener of a load balancer's node at that address.
    pub fn at(&self, address: SocketAddr, transport: Transport) -> Option<&Listening> {
        let address = SocketAddr::new(address.ip().to_canonical(), address.port());
        let place = self
            .listening
            .binary_search_by(|known| known.place().cmp(&(address, transport)));
        Some(&self.listening[place.ok()?])
    }

    /// How a target is, as `DescribeTargetHealth` says it. `now` is the wall clock's.
    pub fn target_health(
        &self,
        group: &TargetGroupArn,
        target: &TargetKey,
        now: Timestamp,
    ) -> TargetHealth {
        let unregistered = || because(TargetState::Unused, TargetReason::NotRegistered);
        let Some(set) = self.group(group) else {
            return because(TargetState::Initial, TargetReason::RegistrationInProgress);
        };
        let Some(member) = set.member(target) else {
            return unregistered();
        };
        if let Some(since) = member.draining_since {
            let lasts = set.deregistration_delay.0 / 1000;
            return match now.0.saturating_sub(since.0) < lasts {
                true => because(
                    TargetState::Draining,
                    TargetReason::DeregistrationInProgress,
                ),
                false => unregistered(),
            };
        }
        match why_unused(self.zones_of(set).as_ref(), member) {
            Some(unused) => unused,
            None => member.live.health(),
        }
    }

    /// The zones that the load balancers which use that target group are enabled in; none: no
    /// load balancer uses it.
    pub(crate) fn zones_of(&self, set: &Arc<TargetSet>) -> Option<BTreeSet<AvailabilityZone>> {
        let users = self.balancers.values().filter(|balancer| {
            let mut groups = balancer.groups.iter();
            groups.any(|used| Arc::ptr_eq(&used.set, set))
        });
        let mut zones = None;
        for balancer in users {
            let zones = zones.get_or_insert_with(BTreeSet::new);
            zones.extend(balancer.row.zones.keys());
        }
        zones
    }
}

/// Why nothing would be sent to a target of a group that is used in these zones; none: it could
/// be. Whether it drains isn't asked.
pub(crate) fn why_unused(
    zones: Option<&BTreeSet<AvailabilityZone>>,
    member: &Member,
) -> Option<TargetHealth> {
    let mut unused = because(TargetState::Unused, TargetReason::NotInUse);
    let Some(zones) = zones else {
        return Some(unused);
    };
    let is_reached = member.zone.is_none_or(|zone| zones.contains(&zone));
    unused.description = Some(
        "Target is in an Availability Zone that is not enabled for the load balancer".to_owned(),
    );
    (!is_reached).then_some(unused)
}
