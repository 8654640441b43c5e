//! Snapshots of a configuration: what is taken over, what can't be served, and what is told of it.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod common;

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::Arc;

use balancer::model::{LoadBalancer, Protocol, TargetGroup};
use balancer::{Snapshot, Transport, encode, keys};
use bytes::Bytes;
use common::{
    PORT, balancer, forward, group, group_arn, listening, network, node, set_health, target,
    target_key, with_targets, zone,
};
use types::{AvailabilityZone, BalancerPort, ConfigurationView};

/// A configuration in memory.
#[derive(Default)]
struct Rows {
    revision: u64,
    rows: BTreeMap<String, (u64, Bytes)>,
}

impl Rows {
    fn set(&mut self, key: String, value: Bytes) {
        self.revision += 1;
        self.rows.insert(key, (self.revision, value));
    }

    fn balancer(&mut self, row: &LoadBalancer) {
        self.set(keys::balancer(&row.arn), encode(row));
    }

    fn group(&mut self, row: &TargetGroup) {
        self.set(keys::group(&row.arn), encode(row));
    }
}

impl ConfigurationView for Rows {
    fn revision(&self) -> u64 {
        self.revision
    }

    fn get(&self, key: &str) -> Option<(u64, Bytes)> {
        self.rows.get(key).cloned()
    }

    fn visit(&self, prefix: &str, visitor: &mut dyn FnMut(&str, u64, &Bytes)) {
        for (key, (revision, value)) in &self.rows {
            if key.starts_with(prefix) {
                visitor(key, *revision, value);
            }
        }
    }
}

fn one() -> (LoadBalancer, TargetGroup) {
    let row = balancer("ab", forward(&[("g", 1)], None), Vec::new());
    let group = with_targets(group("g", &[]), &[target(1, 'a'), target(2, 'b')]);
    (row, group)
}

#[test]
fn what_did_not_change_is_taken_over() {
    let (row, group_1) = one();
    let mut rows = Rows::default();
    rows.group(&group_1);
    rows.group(&group("h", &[]));
    rows.balancer(&row);
    let first = Snapshot::compile(&rows, None);
    assert_eq!((first.revision(), first.served_through()), (3, 3));
    rows.group(&group("h", &[("stickiness.enabled", "true")]));
    let second = Snapshot::compile(&rows, Some(&first));
    let known = |snapshot: &Snapshot, name: &str| snapshot.group(&group_arn(name)).unwrap().clone();
    assert!(Arc::ptr_eq(&known(&first, "g"), &known(&second, "g")));
    assert!(!Arc::ptr_eq(&known(&first, "h"), &known(&second, "h")));
    let balancer = |snapshot: &Snapshot| snapshot.balancers().next().unwrap().clone();
    assert!(Arc::ptr_eq(&balancer(&first), &balancer(&second)));
    // A load balancer is another when a group of its is, and how targets are outlives both.
    rows.group(&with_targets(group_1, &[target(1, 'a'), target(3, 'b')]));
    let third = Snapshot::compile(&rows, Some(&second));
    assert!(!Arc::ptr_eq(&balancer(&second), &balancer(&third)));
    let live = |snapshot: &Snapshot| {
        let set = known(snapshot, "g");
        set.member(&target_key(1)).unwrap().live.clone()
    };
    assert!(Arc::ptr_eq(&live(&first), &live(&third)));
    assert!(known(&third, "g").member(&target_key(2)).is_none());
}

#[test]
fn what_cannot_be_read_is_served_as_it_was_and_said_so() {
    let (row, group_1) = one();
    let mut rows = Rows::default();
    rows.group(&group_1);
    rows.balancer(&row);
    let first = Snapshot::compile(&rows, None);
    rows.set(keys::group(&group_arn("g")), Bytes::from_static(b"no row"));
    rows.group(&group("h", &[]));
    let second = Snapshot::compile(&rows, Some(&first));
    assert_eq!((second.revision(), second.served_through()), (4, 2));
    assert_eq!(second.faults().len(), 1, "{:?}", second.faults());
    assert!(second.group(&group_arn("g")).is_some());
    rows.set(keys::balancer(&row.arn), Bytes::new());
    let third = Snapshot::compile(&rows, Some(&second));
    assert_eq!((third.served_through(), third.balancers().count()), (2, 1));
    // Without one before it is left out.
    let alone = Snapshot::compile(&rows, None);
    assert_eq!((alone.balancers().count(), alone.groups().count()), (0, 1));
    rows.group(&group_1);
    rows.balancer(&row);
    let mended = Snapshot::compile(&rows, Some(&third));
    assert_eq!(mended.served_through(), mended.revision());
    assert_eq!(mended.faults(), [""; 0]);
}

#[test]
fn a_group_that_is_not_there_takes_nothing_until_it_is() {
    let (row, group) = one();
    let mut rows = Rows::default();
    rows.balancer(&row);
    let first = Snapshot::compile(&rows, None);
    assert!(
        first.faults()[0].contains("targetgroup/g/"),
        "{:?}",
        first.faults()
    );
    assert!(
        listening(&first, 'a')
            .flow(SocketAddr::from((node('a'), 9)))
            .is_none()
    );
    rows.group(&group);
    let second = Snapshot::compile(&rows, Some(&first));
    assert_eq!(second.faults(), [""; 0]);
    assert!(
        listening(&second, 'a')
            .flow(SocketAddr::from((node('a'), 9)))
            .is_some()
    );
}

#[test]
fn of_two_listeners_at_one_place_the_first_is_served() {
    let (row, group) = one();
    let mut other = row.clone();
    other.arn.id.0 = "00000000000000ff".to_owned();
    let mut rows = Rows::default();
    rows.group(&group);
    rows.balancer(&other);
    rows.balancer(&row);
    let snapshot = Snapshot::compile(&rows, None);
    assert_eq!(snapshot.faults().len(), 2);
    assert_eq!(snapshot.listeners().count(), 2);
    assert_eq!(listening(&snapshot, 'a').balancer.row.arn, row.arn);
}

#[test]
fn a_listener_of_both_transports_listens_by_both() {
    let mut row = network("ab", forward(&[("g", 1)], None));
    row.listeners[0].protocol = Protocol::TcpUdp;
    let (_, group) = one();
    let snapshot = Snapshot::of_rows(vec![row], vec![group], None);
    let places: Vec<_> = snapshot
        .listeners()
        .map(|listening| (listening.zone, listening.transport))
        .collect();
    let (a, b) = (zone('a'), zone('b'));
    let expected = [
        (a, Transport::Tcp),
        (a, Transport::Udp),
        (b, Transport::Tcp),
        (b, Transport::Udp),
    ];
    assert_eq!(places, expected);
    let at = |address: &str, transport| snapshot.at(address.parse().unwrap(), transport).is_some();
    assert!(at("127.32.1.1:80", Transport::Tcp) && at("127.32.1.1:80", Transport::Udp));
    assert!(at("[::ffff:127.32.1.1]:80", Transport::Tcp));
    assert!(!at("127.32.1.1:81", Transport::Tcp) && !at("127.34.1.1:80", Transport::Tcp));
}

/// What is told where those zones are dead: nodes' zones, and whether it is healthy.
fn told(snapshot: &Snapshot, dead: &str) -> (Vec<AvailabilityZone>, bool) {
    let dead: BTreeSet<AvailabilityZone> = dead.chars().map(zone).collect();
    let told = snapshot.directory(zone('a').region, &dead, 7);
    assert_eq!((told.region, told.revision), (zone('a').region, 7));
    let entry = told.balancers.values().next().unwrap();
    (entry.nodes.keys().copied().collect(), entry.is_healthy)
}

#[test]
fn a_node_is_told_while_its_zone_lives_and_its_targets_are_enough() {
    let (row, group_1) = one();
    let (a, b) = (zone('a'), zone('b'));
    let snapshot = Snapshot::of_rows(vec![row], vec![group_1.clone()], None);
    let snapshot = Arc::new(snapshot);
    // Nothing is known to be healthy: all are told, so that there is something to try.
    assert_eq!(told(&snapshot, ""), (vec![a, b], false));
    set_health(&snapshot, "g", &[2]);
    assert_eq!(told(&snapshot, ""), (vec![a, b], true));
    assert_eq!(told(&snapshot, "a"), (vec![b], true));
    assert_eq!(told(&snapshot, "ab"), (vec![], false));
    // Without cross-zone load balancing a zone needs targets of its own.
    let mut row = network("ab", forward(&[("g", 1)], None));
    let own = Arc::new(Snapshot::of_rows(vec![row.clone()], vec![group_1], None));
    set_health(&own, "g", &[2]);
    assert_eq!(told(&own, ""), (vec![b], true));
    assert_eq!(told(&own, "b"), (vec![a], false));
    let empty = Snapshot::of_rows(vec![row.clone()], vec![group("g", &[])], None);
    assert_eq!(told(&empty, ""), (vec![a, b], false));
    row.listeners.clear();
    let silent = Snapshot::of_rows(vec![row], vec![], None);
    assert_eq!(told(&silent, ""), (vec![a, b], false));
}

#[test]
fn an_entry_has_what_names_and_endpoints_need() {
    let (mut row, group) = one();
    row.arn.name = "Shop".to_owned();
    let mut udp = row.listeners[0].clone();
    udp.protocol = Protocol::Udp;
    let mut both = udp.clone();
    (both.protocol, both.port) = (Protocol::TcpUdp, 81);
    row.listeners.extend([udp, both]);
    let arn = row.arn.to_string();
    let snapshot = Snapshot::of_rows(vec![row], vec![group], None);
    let told = snapshot.directory(zone('a').region, &BTreeSet::new(), 1);
    let entry = &told.balancers[&arn];
    assert_eq!(entry.arn, arn);
    assert_eq!(entry.dns_name, "shop-1234.us-east-1.elb.amazonaws.com");
    assert_eq!(entry.hosted_zone, "Z35SXDOTRQ7X7K");
    let ports = BTreeMap::from([(PORT, BalancerPort::TcpUdp), (81, BalancerPort::TcpUdp)]);
    assert_eq!(entry.ports, ports);
}

#[test]
fn the_certificates_of_iam_that_listeners_use_are_told_with_who_uses_them() {
    let (mut row, group) = one();
    let arn = |name: &str| format!("arn:aws:iam::111122223333:server-certificate/{name}");
    let in_a_directory = "arn:aws:acm:us-east-1:111122223333:certificate/shop".to_owned();
    row.listeners[0].certificates = vec![in_a_directory.clone(), arn("one"), arn("two")];
    let user = row.arn.to_string();
    let snapshot = Snapshot::of_rows(vec![row], vec![group], None);
    let told = snapshot.directory(zone('a').region, &BTreeSet::new(), 1);
    let expected = BTreeMap::from([(arn("one"), user.clone()), (arn("two"), user.clone())]);
    assert_eq!(told.certificates, expected);
    assert_eq!(snapshot.certificate_user(&arn("two")), Some(user));
    for unused in [in_a_directory, arn("three"), arn("on")] {
        assert_eq!(snapshot.certificate_user(&unused), None);
    }
}
