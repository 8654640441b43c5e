//! The directory of load balancers: every site comes to know what a Region says of its own, keeps
//! it on its disk, and steers names and flows by it.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod lab;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::{BufMut, Bytes, BytesMut};
use edge::{Edge, EdgeConfig};
use lab::{Clock, Lab, World, lab, now, options, ports, two_regions_and_an_edge};
use link::Service;
use routing::{Inquiry, Name, RecordKind};
use steering::Steering;
use store::{Engine, MemoryEngine, Snapshot, Space};
use types::{
    AvailabilityZone, BalancerDirectory, BalancerEntry, BalancerPort, Region, RegionBalancers,
    SiteId, Span,
};

/// The tag of what is told of load balancers.
const BALANCERS: Service = Service(4);

/// What the edge has on its disk of the first Region, as of another revision: what that would say.
fn kept(lab: &Lab, revision: u64) -> Bytes {
    let snapshot = lab.engine.snapshot();
    let key = format!("balancers/{}", region());
    let kept = now(snapshot.get(Space::Meta, key.as_bytes())).unwrap();
    let kept = kept.expect("it was heard of");
    let mut told = BytesMut::from(&kept[..2]);
    told.put_u64(revision);
    told.put_slice(&kept[10..]);
    told.freeze()
}

/// The first Region of the deployment.
fn region() -> Region {
    two_regions_and_an_edge().region_of(SiteId(1)).unwrap()
}

fn other() -> Region {
    two_regions_and_an_edge().region_of(SiteId(2)).unwrap()
}

/// A load balancer of that Region with a node in each of its first zones.
fn balancer(region: Region, name: &str, nodes: u8) -> BalancerEntry {
    let zones = AvailabilityZone::of(region).zip(0..nodes);
    BalancerEntry {
        arn: format!(
            "arn:aws:elasticloadbalancing:{region}:111122223333:loadbalancer/app/{name}/1"
        ),
        dns_name: format!("{name}-1.{region}.elb.amazonaws.com"),
        hosted_zone: "Z35SXDOTRQ7X7K".to_owned(),
        nodes: zones
            .map(|(zone, number)| (zone, [127, 32 + number, 1, 1].into()))
            .collect(),
        ports: [(80, BalancerPort::Tcp)].into(),
        is_healthy: true,
    }
}

fn state(region: Region, entries: Vec<BalancerEntry>) -> RegionBalancers {
    RegionBalancers {
        region,
        revision: 0,
        balancers: entries.into_iter().map(|it| (it.arn.clone(), it)).collect(),
        certificates: Default::default(),
    }
}

/// What that site would be answered for a name, sorted.
fn addresses(steering: &Steering<MemoryEngine>, name: &str) -> Vec<String> {
    let explanation = steering.explain(&Inquiry {
        name: Name::parse(name).unwrap(),
        kind: RecordKind::A,
        source: [127, 0, 0, 1].into(),
        subnet: None,
    });
    let mut values: Vec<String> = explanation.answer.into_iter().map(|it| it.value).collect();
    values.sort();
    values
}

fn names_of(directory: &BalancerDirectory, region: Region) -> Vec<String> {
    let known = directory.0.get(&region);
    let entries = known.into_iter().flat_map(|of| of.balancers.values());
    entries.map(|entry| entry.dns_name.clone()).collect()
}

/// The edge, opened anew on what is on its disk, alone.
fn alone(lab: &Lab) -> Arc<Edge<MemoryEngine>> {
    let deployment = two_regions_and_an_edge();
    let (_, mut ports) = ports(&deployment);
    let config = EdgeConfig {
        deployment,
        site: SiteId(3),
        largest_round_trip: Span::ZERO,
        steering: options(&lab.prober),
    };
    let environment = Arc::new(World(Arc::new(Clock(AtomicU64::new(600_000_000)))));
    let ports = ports.pop().expect("the edge's");
    now(Edge::open(lab.engine.clone(), config, environment, ports)).expect("an edge")
}

#[test]
fn every_site_knows_what_a_region_says_and_after_a_restart_what_it_said_last() {
    let mut lab = lab();
    lab.prober.answer.store(true, Ordering::Relaxed);
    lab.run(Span::seconds(2));
    let one = lab.steerings[0].clone();
    assert!(one.balancers_are_told(), "there is nothing to tell");
    one.publish_balancers(state(region(), vec![balancer(region(), "one", 2)]));
    assert!(!one.balancers_are_told());
    lab.run(Span::milliseconds(200));
    assert!(one.balancers_are_told());
    for steering in [&lab.steerings[1], lab.edge.steering()] {
        assert_eq!(steering.balancers(), one.balancers());
    }

    // What is published again as it is is nothing new; a change is.
    let before = one.balancers();
    one.publish_balancers(state(region(), vec![balancer(region(), "one", 2)]));
    assert!(Arc::ptr_eq(&one.balancers(), &before));
    one.publish_balancers(state(region(), vec![balancer(region(), "one", 1)]));
    lab.steerings[1].publish_balancers(state(other(), vec![balancer(other(), "two", 1)]));
    lab.run(Span::milliseconds(200));
    let known = lab.edge.steering().balancers();
    assert_eq!(known.0.len(), 2);
    let changed = known.0[&region()].balancers.values().next().unwrap();
    assert_eq!(changed.nodes.len(), 1);

    let restarted = alone(&lab);
    assert_eq!(restarted.steering().balancers(), known);
    let name = "one-1.".to_owned() + region().name() + ".elb.amazonaws.com";
    assert_eq!(addresses(restarted.steering(), &name), ["127.32.1.1"]);
}

#[test]
fn a_region_is_believed_of_its_own_alone() {
    let mut lab = lab();
    lab.run(Span::seconds(2));
    let foreign = state(region(), vec![balancer(region(), "one", 1)]);
    lab.steerings[1].publish_balancers(foreign.clone());
    lab.edge.steering().publish_balancers(foreign);
    // Named as no Region's load balancer is.
    let mut odd = balancer(region(), "odd", 1);
    odd.dns_name = "bank.example".to_owned();
    lab.steerings[0].publish_balancers(state(region(), vec![odd, balancer(region(), "a", 1)]));
    lab.run(Span::seconds(2));
    for steering in lab.steerings.iter().chain([lab.edge.steering()]) {
        let names = names_of(&steering.balancers(), region());
        assert_eq!(names, [format!("a-1.{}.elb.amazonaws.com", region())]);
    }
}

#[test]
fn a_region_whose_disk_was_wiped_is_believed_again() {
    let mut lab = lab();
    lab.run(Span::seconds(2));
    let one = lab.steerings[0].clone();
    one.publish_balancers(state(region(), vec![balancer(region(), "before", 1)]));
    lab.run(Span::milliseconds(200));
    // Another site has heard a word of it that is of a later time than its clock shows now.
    let later = one.balancers().0[&region()].revision + 3_600_000;
    lab.steerings[1].receive(SiteId(1), BALANCERS, kept(&lab, later));
    assert_eq!(
        names_of(&lab.steerings[1].balancers(), region()),
        [format!("before-1.{}.elb.amazonaws.com", region())]
    );
    one.publish_balancers(state(region(), vec![balancer(region(), "after", 1)]));
    lab.run(Span::seconds(3));
    for steering in lab.steerings.iter().chain([lab.edge.steering()]) {
        let directory = steering.balancers();
        let names = names_of(&directory, region());
        assert_eq!(names, [format!("after-1.{}.elb.amazonaws.com", region())]);
        assert_eq!(directory.0[&region()].revision, later + 1);
    }
    // A time that no clock shows is not believed.
    let absurd = kept(&lab, u64::MAX);
    lab.steerings[1].receive(SiteId(1), BALANCERS, absurd);
    assert_eq!(
        lab.steerings[1].balancers().0[&region()].revision,
        later + 1
    );
    let kept = names_of(&lab.steerings[1].balancers(), region());
    assert_eq!(kept, [format!("after-1.{}.elb.amazonaws.com", region())]);
}

#[test]
fn names_have_the_nodes_that_serve() {
    let mut lab = lab();
    lab.prober.answer.store(true, Ordering::Relaxed);
    lab.run(Span::seconds(2));
    let one = lab.steerings[0].clone();
    let name = format!("one-1.{}.elb.amazonaws.com", region());
    let dual = format!("dualstack.{name}");
    let edge = lab.edge.clone();
    let ask = |name: &str| addresses(edge.steering(), name);
    assert_eq!(ask(&name), [""; 0]);
    one.publish_balancers(state(region(), vec![balancer(region(), "one", 3)]));
    lab.run(Span::seconds(3));
    let all = ["127.32.1.1", "127.33.1.1", "127.34.1.1"];
    assert_eq!(ask(&name), all);
    assert_eq!(ask(&dual), all);
    // A zone dies: its node isn't answered any more, from the moment that the Region says so.
    one.publish_balancers(state(region(), vec![balancer(region(), "one", 2)]));
    lab.run(Span::milliseconds(100));
    assert_eq!(ask(&name), all[..2]);
    // A node that nobody can connect to isn't either.
    lab.prober
        .refuses
        .lock()
        .unwrap()
        .insert([127, 33, 1, 1].into());
    lab.run(Span::seconds(3));
    assert_eq!(ask(&name), all[..1]);
    // If none is well, all are answered.
    lab.prober.answer.store(false, Ordering::Relaxed);
    lab.run(Span::seconds(3));
    assert_eq!(ask(&name), all[..2]);
    one.publish_balancers(state(region(), vec![]));
    lab.run(Span::milliseconds(100));
    assert_eq!(ask(&name), [""; 0]);
}
