//! Load balancers as endpoints: a flow goes to a node of one, as its nodes are, and to the next
//! where one refuses it.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod common;

use std::collections::BTreeMap;
use std::net::IpAddr;

use accelerator::checks::{balancer_id, node_id};
use accelerator::model::{Accelerator, ClientAffinity, Endpoint, EndpointTarget};
use accelerator::{HealthState, NoChoice, Node, Snapshot, Tried, Why, codec, health_checks, keys};
use bytes::Bytes;
use common::*;
use types::{
    AvailabilityZone, BalancerDirectory, BalancerEntry, BalancerPort, ConfigurationEntry,
    ConfigurationView, RegionBalancers,
};

const EAST: &str = "us-east-1";
const WEST: &str = "us-west-2";

fn arn(at: &str) -> String {
    format!("arn:aws:elasticloadbalancing:{at}:111122223333:loadbalancer/app/it/1")
}

/// A directory with one load balancer a Region, with these nodes.
fn directory(regions: &[(&str, &[&str])]) -> BalancerDirectory {
    let of = |at: &str, nodes: &[&str]| {
        let zones = AvailabilityZone::of(region(at)).zip(nodes);
        let entry = BalancerEntry {
            arn: arn(at),
            dns_name: format!("it-1.{at}.elb.amazonaws.com"),
            hosted_zone: "Z1".to_owned(),
            nodes: zones.map(|(zone, node)| (zone, address(node))).collect(),
            ports: [(80, BalancerPort::Tcp)].into(),
            is_healthy: true,
        };
        RegionBalancers {
            region: region(at),
            revision: 1,
            balancers: [(arn(at), entry)].into(),
            certificates: BTreeMap::new(),
        }
    };
    let regions = regions
        .iter()
        .map(|(at, nodes)| (region(at), of(at, nodes)));
    BalancerDirectory(regions.collect())
}

/// An accelerator with a group in the east and one in the west, each of its Region's load balancer.
fn accelerator_of_balancers() -> Accelerator {
    let with = |at: &str| {
        let mut group = group(at, 100, &[]);
        group.endpoints = vec![Endpoint {
            target: EndpointTarget::Balancer(arn(at)),
            weight: 128,
            preserves_client: false,
        }];
        group
    };
    let groups = vec![with(EAST), with(WEST)];
    accelerator(1, vec![listener(ClientAffinity::None, groups)])
}

fn both() -> BalancerDirectory {
    directory(&[
        (EAST, &["10.0.1.1", "10.0.1.2", "10.0.1.3"]),
        (WEST, &["10.0.2.1", "10.0.2.2"]),
    ])
}

/// Every load balancer and node is healthy.
fn scene(directory: &BalancerDirectory) -> Scene {
    let board = accelerator::Board::new();
    let snapshot = Snapshot::with_balancers([accelerator_of_balancers()], &board, directory);
    for check in snapshot.checks() {
        board.set(check, HealthState::Healthy);
    }
    Scene { board, snapshot }
}

fn set_node(scene: &Scene, at: &str, node: &str, state: HealthState) {
    assert!(scene.board.set(&node_id(&arn(at), address(node)), state));
}

#[test]
fn flows_share_the_nodes_and_only_those_of_a_node_that_goes_move() {
    let scene = scene(&both());
    let before: Vec<String> = (0..1_000).map(|n| scene.at(EAST, &flow(n))).collect();
    let mut counts = BTreeMap::new();
    for at in &before {
        *counts.entry(at.as_str()).or_insert(0) += 1;
    }
    assert_eq!(counts.len(), 3);
    assert!(
        counts.values().all(|count| about(*count, 333)),
        "{counts:?}"
    );
    set_node(&scene, EAST, "10.0.1.2", HealthState::Unhealthy);
    for (number, before) in (0..).zip(&before) {
        let after = scene.at(EAST, &flow(number));
        assert_ne!(after, "10.0.1.2");
        assert!(before == "10.0.1.2" || *before == after, "{before} {after}");
    }
}

#[test]
fn a_node_that_refuses_is_followed_by_the_load_balancer_s_next_and_then_by_another_region_s() {
    let scene = scene(&both());
    let mut tried = Tried::NONE;
    let mut seen = Vec::new();
    for _ in 0..5 {
        let choice = scene.choose(EAST, &flow(7), &tried).unwrap();
        seen.push((choice.region, choice.why));
        assert!(tried.add(choice.address));
    }
    let (east, west) = (region(EAST), region(WEST));
    assert_eq!(seen[..3], [(east, Why::Nearest); 3]);
    assert_eq!(seen[3..], [(west, Why::Failover); 2]);
    let last = scene.choose(EAST, &flow(7), &tried);
    assert_eq!(last.unwrap_err(), NoChoice::AllTried);
}

#[test]
fn a_load_balancer_is_as_its_region_says_and_as_its_nodes_are() {
    let scene = scene(&both());
    // It has too few healthy targets: the other Region's takes the flows.
    scene
        .board
        .set(&balancer_id(&arn(EAST)), HealthState::Unhealthy);
    assert!(scene.at(EAST, &flow(1)).starts_with("10.0.2."));
    scene
        .board
        .set(&balancer_id(&arn(EAST)), HealthState::Healthy);
    for node in ["10.0.1.1", "10.0.1.2", "10.0.1.3"] {
        set_node(&scene, EAST, node, HealthState::Unhealthy);
    }
    assert!(scene.at(EAST, &flow(1)).starts_with("10.0.2."));
    // None anywhere: it fails open at the nearest, and rather at a node that is well.
    scene
        .board
        .set(&balancer_id(&arn(EAST)), HealthState::Unhealthy);
    scene
        .board
        .set(&balancer_id(&arn(WEST)), HealthState::Unhealthy);
    let choice = scene.choose(EAST, &flow(1), &Tried::NONE).unwrap();
    assert_eq!((choice.why, choice.region), (Why::FailOpen, region(EAST)));
    set_node(&scene, EAST, "10.0.1.3", HealthState::Healthy);
    for number in 0..50 {
        assert_eq!(scene.at(EAST, &flow(number)), "10.0.1.3");
    }
}

#[test]
fn a_load_balancer_that_nobody_knows_takes_no_flow() {
    let known = directory(&[(WEST, &["10.0.2.1"])]);
    let scene = scene(&known);
    assert_eq!(scene.at(EAST, &flow(1)), "10.0.2.1");
    scene
        .board
        .set(&balancer_id(&arn(WEST)), HealthState::Unhealthy);
    assert_eq!(scene.at(EAST, &flow(1)), "10.0.2.1");
    let none = BalancerDirectory::default();
    let scene = self::scene(&none);
    let choice = scene.choose(EAST, &flow(1), &Tried::NONE);
    assert_eq!(choice.unwrap_err(), NoChoice::NoEndpoint);
}

#[test]
fn an_explanation_names_the_nodes() {
    let scene = scene(&both());
    set_node(&scene, EAST, "10.0.1.2", HealthState::Unhealthy);
    let context = accelerator::ChooseContext {
        board: &scene.board,
        place: region(EAST),
    };
    let explained = scene.snapshot.explain(&flow(1), &context, &Tried::NONE);
    let lines = explained.lines();
    let has = |line: &str| lines.iter().any(|it| it.trim() == line);
    assert!(
        has(&format!("{} weight 128, HEALTHY", arn(EAST))),
        "{lines:?}"
    );
    assert!(
        has("10.0.1.1:80 HEALTHY") && has("10.0.1.2:80 UNHEALTHY"),
        "{lines:?}"
    );
}

/// One accelerator, as that revision set it.
struct View(u64, Bytes);

impl ConfigurationView for View {
    fn revision(&self) -> u64 {
        self.0
    }

    fn get(&self, _: &str) -> Option<(u64, Bytes)> {
        None
    }

    fn visit(&self, prefix: &str, visitor: &mut dyn FnMut(&str, u64, &Bytes)) {
        if prefix == keys::ACCELERATORS {
            visitor(
                &keys::accelerator(&accelerator_of_balancers().id),
                1,
                &self.1,
            );
        }
    }

    fn visit_changes(
        &self,
        _: &str,
        since: u64,
        visitor: &mut dyn FnMut(&str, Option<ConfigurationEntry<'_>>),
    ) -> bool {
        if since == 0 {
            visitor("", Some((1, &self.1)));
        }
        true
    }
}

#[test]
fn only_other_nodes_compile_anything_anew_and_tables_are_taken_over() {
    let view = View(1, codec::encode(&accelerator_of_balancers()));
    assert_eq!(health_checks(&view), [], "its site checks its nodes");
    let node = Node::new();
    let refresh = |directory: &BalancerDirectory| {
        let prepare = |snapshot: &Snapshot| {
            for check in snapshot.checks() {
                node.board().set(check, HealthState::Healthy);
            }
        };
        assert!(node.refresh_with(&view, directory, &prepare));
        let snapshot = node.snapshot();
        let context = accelerator::ChooseContext {
            board: node.board(),
            place: region(EAST),
        };
        let chosen = snapshot.choose(&flow(3), &context, &Tried::NONE);
        let at = chosen.map(|choice| choice.address.ip());
        (snapshot.compiled_accelerators(), at.ok())
    };
    let at = |text: &str| -> Option<IpAddr> { Some(address(text)) };
    let mut directory = directory(&[(EAST, &["10.0.1.1"])]);
    assert_eq!(refresh(&directory), (1, at("10.0.1.1")));
    let of = directory.0.get_mut(&region(EAST)).unwrap();
    of.revision = 2;
    of.balancers.values_mut().next().unwrap().is_healthy = false;
    assert_eq!(refresh(&directory), (0, at("10.0.1.1")));
    let of = directory.0.get_mut(&region(EAST)).unwrap();
    let zone = AvailabilityZone::of(region(EAST)).next().unwrap();
    let entry = of.balancers.values_mut().next().unwrap();
    entry.nodes.insert(zone, address("10.0.1.9"));
    assert_eq!(refresh(&directory), (1, at("10.0.1.9")));
    directory.0.clear();
    assert_eq!(refresh(&directory), (1, None));
}
