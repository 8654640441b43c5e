//! Where flows go, by the examples and rules of the developer guide, a test each.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod common;

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;

use accelerator::model::{ClientAffinity, PortRange, Protocol};
use accelerator::{Flow, HealthState, NoChoice, Tried, Why};
use common::*;

const EAST: (&str, &str) = ("us-east-1", "10.0.1.1");
const WEST: (&str, &str) = ("us-west-2", "10.0.2.1");

/// A Region with one endpoint of weight 128.
fn one((region, endpoint): (&str, &str), dial: u32) -> accelerator::model::EndpointGroup {
    group(region, dial, &[(endpoint, 128)])
}

fn scene(groups: Vec<accelerator::model::EndpointGroup>) -> Scene {
    Scene::new(ClientAffinity::None, groups)
}

/// "Mix traffic between two Regions": 50 % each, 50 clients a coast; each coast is served half by
/// its own Region and half by the other.
#[test]
fn two_regions_at_fifty_percent_serve_half_of_each_coast() {
    let scene = scene(vec![one(EAST, 50), one(WEST, 50)]);
    for place in [EAST.0, WEST.0] {
        let counts = scene.thousand(place);
        assert!(about(counts[EAST.1], 500), "{place}: {counts:?}");
        assert!(about(counts[WEST.1], 500), "{place}: {counts:?}");
    }
}

#[test]
fn a_client_is_served_by_the_nearest_region() {
    let scene = scene(vec![one(EAST, 100), one(WEST, 100)]);
    for (region, endpoint) in [EAST, WEST] {
        assert_eq!(
            scene.thousand(region),
            [(endpoint.to_owned(), 1_000)].into()
        );
        let choice = scene.choose(region, &flow(1), &Tried::NONE).unwrap();
        assert_eq!((choice.why, choice.region.name()), (Why::Nearest, region));
    }
}

/// "Upgrade your application by Region": a dial of 0 cuts the Region off.
#[test]
fn a_dial_of_zero_cuts_a_region_off() {
    let scene = scene(vec![one(EAST, 0), one(WEST, 100)]);
    assert_eq!(scene.thousand(EAST.0), [(WEST.1.to_owned(), 1_000)].into());
    let choice = scene.choose(EAST.0, &flow(1), &Tried::NONE).unwrap();
    assert_eq!(choice.why, Why::Dialed);
}

/// The dial is of what is directed to the group, not of what comes to the listener.
#[test]
fn a_dial_is_of_what_nearer_groups_leave() {
    let third = ("eu-west-1", "10.0.3.1");
    let scene = scene(vec![one(EAST, 20), one(WEST, 50), one(third, 100)]);
    let counts = scene.thousand(WEST.0);
    // From the west: 50 % stay; the east takes 20 % of the rest; Ireland all that is left.
    assert!(about(counts[WEST.1], 500), "{counts:?}");
    assert!(about(counts[EAST.1], 100), "{counts:?}");
    assert!(about(counts[third.1], 400), "{counts:?}");
}

#[test]
fn the_last_dial_above_zero_takes_the_rest_and_all_at_zero_take_nothing() {
    let alone = scene(vec![one(EAST, 10), one(WEST, 0)]);
    assert_eq!(alone.thousand(WEST.0), [(EAST.1.to_owned(), 1_000)].into());
    let none = scene(vec![one(EAST, 0), one(WEST, 0)]);
    let refused = none.choose(EAST.0, &flow(1), &Tried::NONE);
    assert_eq!(refused.unwrap_err(), NoChoice::DialedDown);
}

#[test]
fn endpoints_share_by_weight_and_a_weight_of_zero_gets_nothing() {
    let endpoints = [("10.0.1.1", 192), ("10.0.1.2", 64), ("10.0.1.3", 0)];
    let scene = scene(vec![group(EAST.0, 100, &endpoints)]);
    let counts = scene.thousand(EAST.0);
    assert!(about(counts["10.0.1.1"], 750), "{counts:?}");
    assert!(about(counts["10.0.1.2"], 250), "{counts:?}");
    assert_eq!(counts.get("10.0.1.3"), None);
}

/// Dials and weights have nothing to do with each other: each endpoint of a Region gets its part
/// of what the dial leaves it.
#[test]
fn weights_hold_for_the_part_that_a_dial_leaves() {
    let endpoints = [("10.0.1.1", 128), ("10.0.1.2", 128)];
    let scene = scene(vec![group(EAST.0, 50, &endpoints), one(WEST, 100)]);
    let counts = scene.thousand(EAST.0);
    assert!(about(counts["10.0.1.1"], 250), "{counts:?}");
    assert!(about(counts["10.0.1.2"], 250), "{counts:?}");
}

/// "For this failover, Global Accelerator ignores the traffic dial."
#[test]
fn failover_ignores_dials() {
    let scene = scene(vec![one(EAST, 100), one(WEST, 0)]);
    scene.set(EAST.1, HealthState::Unhealthy);
    assert_eq!(scene.thousand(EAST.0), [(WEST.1.to_owned(), 1_000)].into());
    let choice = scene.choose(EAST.0, &flow(1), &Tried::NONE).unwrap();
    assert_eq!(choice.why, Why::Failover);
}

/// What the dials direct to a group fails over to the nearest *other*, which may be the one that
/// the dials had sent it on from.
#[test]
fn failover_may_lead_back_to_the_nearest() {
    let scene = scene(vec![one(EAST, 50), one(WEST, 50)]);
    scene.set(WEST.1, HealthState::Unhealthy);
    assert_eq!(scene.thousand(EAST.0), [(EAST.1.to_owned(), 1_000)].into());
}

/// "One healthy and one unhealthy … now say you set the weight of the only healthy endpoint to
/// zero": other groups are tried; then a random endpoint of the nearest group.
#[test]
fn the_documented_example_of_a_healthy_endpoint_without_weight() {
    let endpoints = |weight| [("10.0.1.1", weight), ("10.0.1.2", 128)];
    let before = scene(vec![group(EAST.0, 100, &endpoints(128)), one(WEST, 100)]);
    before.set("10.0.1.2", HealthState::Unhealthy);
    assert_eq!(
        before.thousand(EAST.0),
        [("10.0.1.1".to_owned(), 1_000)].into()
    );

    let after = scene(vec![group(EAST.0, 100, &endpoints(0)), one(WEST, 100)]);
    after.set("10.0.1.2", HealthState::Unhealthy);
    assert_eq!(after.thousand(EAST.0), [(WEST.1.to_owned(), 1_000)].into());

    after.set(WEST.1, HealthState::Unhealthy);
    let counts = after.thousand(EAST.0);
    assert!(about(counts["10.0.1.1"], 500), "{counts:?}");
    assert!(about(counts["10.0.1.2"], 500), "{counts:?}");
    let choice = after.choose(EAST.0, &flow(1), &Tried::NONE).unwrap();
    assert_eq!(choice.why, Why::FailOpen);
}

/// Only the three nearest other groups are asked.
#[test]
fn the_fourth_nearest_other_group_is_not_asked() {
    let mut regions = vec![
        "us-east-1",
        "us-east-2",
        "ca-central-1",
        "us-west-1",
        "ap-south-1",
    ];
    let groups = |regions: &[&str]| {
        let group = |(number, region): (usize, &&str)| {
            group(region, 100, &[(&format!("10.0.{number}.1"), 128)])
        };
        regions.iter().enumerate().map(group).collect()
    };
    let five = scene(groups(&regions));
    for number in 0..4 {
        five.set(&format!("10.0.{number}.1"), HealthState::Unhealthy);
    }
    let choice = five.choose("us-east-1", &flow(1), &Tried::NONE).unwrap();
    assert_eq!(
        (choice.why, choice.region.name()),
        (Why::FailOpen, "us-east-1")
    );
    regions.remove(3);
    let four = scene(groups(&regions));
    for number in 0..3 {
        four.set(&format!("10.0.{number}.1"), HealthState::Unhealthy);
    }
    let choice = four.choose("us-east-1", &flow(1), &Tried::NONE).unwrap();
    assert_eq!(
        (choice.why, choice.region.name()),
        (Why::Failover, "ap-south-1")
    );
}

/// The nearest group may not be the one that the dials chose: it fails open to the nearest.
#[test]
fn it_fails_open_to_the_nearest_group_not_to_the_one_that_the_dials_chose() {
    let scene = scene(vec![one(EAST, 0), one(WEST, 100)]);
    scene.set(EAST.1, HealthState::Unhealthy);
    scene.set(WEST.1, HealthState::Unhealthy);
    assert_eq!(scene.thousand(EAST.0), [(EAST.1.to_owned(), 1_000)].into());
}

/// An endpoint must pass a check before it gets flows; if nothing is known of any, it fails open.
#[test]
fn an_endpoint_of_which_nothing_is_known_gets_no_flows_while_others_are_healthy() {
    let scene = scene(vec![group(
        EAST.0,
        100,
        &[("10.0.1.1", 1), ("10.0.1.2", 255)],
    )]);
    scene.set("10.0.1.2", HealthState::Initial);
    assert_eq!(
        scene.thousand(EAST.0),
        [("10.0.1.1".to_owned(), 1_000)].into()
    );
    scene.set("10.0.1.1", HealthState::Initial);
    assert_eq!(scene.thousand(EAST.0).len(), 2);
}

#[test]
fn a_group_without_endpoints_is_passed_over() {
    let passed = scene(vec![group(EAST.0, 100, &[]), one(WEST, 0)]);
    assert_eq!(passed.thousand(EAST.0), [(WEST.1.to_owned(), 1_000)].into());
    passed.set(WEST.1, HealthState::Unhealthy);
    let choice = passed.choose(EAST.0, &flow(1), &Tried::NONE).unwrap();
    assert_eq!((choice.why, choice.region.name()), (Why::FailOpen, WEST.0));
    let empty = scene(vec![group(EAST.0, 100, &[])]);
    let refused = empty.choose(EAST.0, &flow(1), &Tried::NONE);
    assert_eq!(refused.unwrap_err(), NoChoice::NoEndpoint);
    let refused = scene(vec![])
        .choose(EAST.0, &flow(1), &Tried::NONE)
        .map(|_| ());
    assert_eq!(refused.unwrap_err(), NoChoice::NoEndpoint);
}

/// `SOURCE_IP`: whatever its ports, a client keeps its endpoint, and with it its group, also
/// where dials share it out. Different clients are spread.
#[test]
fn a_client_keeps_its_endpoint_and_its_group_by_its_address() {
    let west = group(WEST.0, 50, &[(WEST.1, 128), ("10.0.2.2", 128)]);
    let groups = vec![group(EAST.0, 50, &[(EAST.1, 128), ("10.0.1.2", 128)]), west];
    let by_address = Scene::new(ClientAffinity::SourceIp, groups.clone());
    let mut found: BTreeMap<String, u32> = BTreeMap::new();
    for number in 0..400 {
        let first = client(number);
        let endpoint = by_address.at(EAST.0, &first);
        for port in [1, 5_000, 60_000] {
            let from = SocketAddr::new(first.from.ip(), port);
            assert_eq!(by_address.at(EAST.0, &Flow { from, ..first }), endpoint);
        }
        *found.entry(endpoint).or_default() += 1;
    }
    assert!(
        found.len() == 4 && found.values().all(|count| (60..140).contains(count)),
        "{found:?}"
    );
    let by_flow = scene(groups);
    assert_eq!(by_flow.thousand(EAST.0).len(), 4);
}

/// Listeners that are alike choose alike for a client that is kept by its address: what serves
/// its port 80 serves its port 443.
#[test]
fn listeners_that_are_alike_keep_a_client_together() {
    let groups = vec![
        group(EAST.0, 50, &[(EAST.1, 128), ("10.0.1.2", 128)]),
        group(WEST.0, 50, &[(WEST.1, 128), ("10.0.2.2", 128)]),
    ];
    let first = listener(ClientAffinity::SourceIp, groups);
    let mut second = first.clone();
    second.id.0.push('2');
    second.ports = vec![PortRange { from: 443, to: 443 }];
    let scene = Scene::of(accelerator(1, vec![first, second]));
    for number in 0..200 {
        let flow = client(number);
        let to = SocketAddr::new(flow.to.ip(), 443);
        let other = Flow { to, ..flow };
        assert_eq!(scene.at(EAST.0, &flow), scene.at(EAST.0, &other));
    }
}

/// A state that changes moves the flows of that endpoint alone, there and back.
#[test]
fn flows_of_endpoints_that_go_on_do_not_move() {
    let endpoints = [
        ("10.0.1.1", 10),
        ("10.0.1.2", 100),
        ("10.0.1.3", 200),
        ("10.0.1.4", 50),
    ];
    let scene = scene(vec![group(EAST.0, 100, &endpoints), one(WEST, 100)]);
    let all = |scene: &Scene| -> Vec<String> {
        (0..1_000)
            .map(|number| scene.at(EAST.0, &flow(number)))
            .collect()
    };
    let before = all(&scene);
    scene.set("10.0.1.3", HealthState::Unhealthy);
    let without_one = all(&scene);
    for (now, was) in without_one.iter().zip(&before) {
        assert!(now == was || was == "10.0.1.3", "{was} to {now}");
    }
    scene.set("10.0.1.2", HealthState::Unhealthy);
    for (now, was) in all(&scene).iter().zip(&without_one) {
        assert!(now == was || was == "10.0.1.2", "{was} to {now}");
    }
    scene.set("10.0.1.2", HealthState::Healthy);
    scene.set("10.0.1.3", HealthState::Healthy);
    assert_eq!(all(&scene), before);
}

/// What a refused connection is tried on next: every endpoint once, the group's own first, and
/// each is healthy while there is a healthy one.
#[test]
fn a_refused_flow_goes_through_every_endpoint_and_then_gives_up() {
    let near = [
        ("10.0.1.1", 128),
        ("10.0.1.2", 128),
        ("10.0.1.3", 0),
        ("10.0.1.4", 128),
    ];
    let scene = scene(vec![group(EAST.0, 100, &near), one(WEST, 0)]);
    scene.set("10.0.1.4", HealthState::Unhealthy);
    for number in 0..100 {
        let mut tried = Tried::NONE;
        let mut order = Vec::new();
        while let Ok(choice) = scene.choose(EAST.0, &flow(number), &tried) {
            order.push((choice.why, choice.address.ip().to_string()));
            assert!(!tried.contains(choice.address) && tried.add(choice.address));
        }
        let whys: Vec<Why> = order.iter().map(|(why, _)| *why).collect();
        let (nearest, open) = (Why::Nearest, Why::FailOpen);
        assert_eq!(
            whys,
            [nearest, nearest, Why::Failover, open, open],
            "{order:?}"
        );
        assert_eq!(order[2].1, WEST.1);
        let every: BTreeSet<&String> = order.iter().map(|(_, endpoint)| endpoint).collect();
        assert_eq!(every.len(), 5);
        let refused = scene.choose(EAST.0, &flow(number), &tried);
        assert_eq!(refused.unwrap_err(), NoChoice::AllTried);
    }
}

#[test]
fn ports_protocols_and_overrides() {
    let mut tcp = one(EAST, 100);
    tcp.overrides = [(1_001, 2_001), (1_003, 2_003)].into();
    let mut first = listener(ClientAffinity::None, vec![tcp]);
    first.ports = vec![
        PortRange {
            from: 1_000,
            to: 1_003,
        },
        PortRange { from: 80, to: 80 },
    ];
    let mut second = listener(ClientAffinity::None, vec![one(WEST, 100)]);
    second.id.0.push('2');
    second.protocol = Protocol::Udp;
    second.ports = vec![PortRange {
        from: 1_000,
        to: 1_000,
    }];
    let scene = Scene::of(accelerator(1, vec![first, second]));
    let at = |protocol, port| {
        let to = SocketAddr::new(address("127.81.0.1"), port);
        let flow = Flow {
            to,
            protocol,
            ..flow(7)
        };
        let choice = scene.choose(EAST.0, &flow, &Tried::NONE)?;
        Ok((choice.listener.0.clone(), choice.address.to_string()))
    };
    let found = |listener: &str, address: &str| Ok((listener.to_owned(), address.to_owned()));
    assert_eq!(at(Protocol::Tcp, 80), found("listener", "10.0.1.1:80"));
    assert_eq!(at(Protocol::Tcp, 1_000), found("listener", "10.0.1.1:1000"));
    assert_eq!(at(Protocol::Tcp, 1_001), found("listener", "10.0.1.1:2001"));
    assert_eq!(at(Protocol::Tcp, 1_003), found("listener", "10.0.1.1:2003"));
    assert_eq!(
        at(Protocol::Udp, 1_000),
        found("listener2", "10.0.2.1:1000")
    );
    for (protocol, port) in [
        (Protocol::Tcp, 79),
        (Protocol::Tcp, 81),
        (Protocol::Tcp, 999),
        (Protocol::Tcp, 1_004),
        (Protocol::Udp, 80),
        (Protocol::Udp, 1_001),
        (Protocol::Udp, 65_535),
        (Protocol::Tcp, 0),
    ] {
        assert_eq!(
            at(protocol, port),
            Err(NoChoice::NoListener),
            "{protocol:?} {port}"
        );
    }
}

#[test]
fn nobody_listens_at_other_addresses_nor_at_a_disabled_accelerator() {
    let listener = listener(ClientAffinity::None, vec![one(EAST, 100)]);
    let mut disabled = accelerator(1, vec![listener]);
    disabled.enabled = false;
    let scene = Scene::of(disabled);
    let refused = scene.choose(EAST.0, &flow(1), &Tried::NONE);
    assert_eq!(refused.unwrap_err(), NoChoice::Disabled);
    assert_eq!(scene.snapshot.listeners().count(), 0);
    let to = SocketAddr::new(address("127.80.0.2"), PORT);
    let refused = scene.choose(EAST.0, &Flow { to, ..flow(1) }, &Tried::NONE);
    assert_eq!(refused.unwrap_err(), NoChoice::NoAccelerator);
}

#[test]
fn an_accelerator_with_addresses_of_ipv6_takes_flows_there() {
    let listener = listener(
        ClientAffinity::None,
        vec![group(EAST.0, 100, &[("fd00::1", 128)])],
    );
    let mut dual = accelerator(1, vec![listener]);
    dual.addresses.push(address("fd00:80::1"));
    let scene = Scene::of(dual);
    let flow = Flow {
        to: "[fd00:80::1]:80".parse().unwrap(),
        from: "[fd00:9::9]:4000".parse().unwrap(),
        ..flow(1)
    };
    let choice = scene.choose(EAST.0, &flow, &Tried::NONE).unwrap();
    assert_eq!(choice.address, "[fd00::1]:80".parse().unwrap());
    let mapped = Flow {
        to: "[::ffff:127.80.0.1]:80".parse().unwrap(),
        ..flow
    };
    assert!(scene.choose(EAST.0, &mapped, &Tried::NONE).is_ok());
}

/// An address may stand in a group twice, told the client's address and not: users move from one
/// to the other by their weights.
#[test]
fn an_address_that_stands_in_a_group_twice_has_both_shares() {
    let mut twice = group(EAST.0, 100, &[(EAST.1, 192), (EAST.1, 64)]);
    twice.endpoints[1].preserves_client = true;
    let scene = scene(vec![twice]);
    let preserved = (0..1_000).filter(|number| {
        let choice = scene.choose(EAST.0, &flow(*number), &Tried::NONE);
        choice.unwrap().preserves_client
    });
    let preserved = preserved.count();
    assert!((190..310).contains(&preserved), "{preserved}");
}
