//! Whatever stands in the configuration and whoever comes, nothing panics: what makes no sense is
//! left out and said, and everything else chooses.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod common;

use std::net::{IpAddr, SocketAddr};

use accelerator::model::{
    Accelerator, CheckProtocol, ClientAffinity, EndpointGroup, Listener, PortRange, Protocol,
    TrafficDial,
};
use accelerator::{Board, ChooseContext, Flow, HealthState, NoChoice, Snapshot, Tried, codec};
use common::{accelerator, endpoint, group, listener};
use proptest::collection::{btree_map, vec};
use proptest::prelude::*;
use types::Region;

/// Few, so that they meet.
fn ports() -> impl Strategy<Value = u16> {
    prop_oneof![0u16..12, Just(u16::MAX)]
}

fn addresses() -> impl Strategy<Value = IpAddr> {
    prop_oneof![
        (0u8..6).prop_map(|last| IpAddr::from([127, 80, 0, last])),
        (0u16..3).prop_map(|last| IpAddr::from([0xfd00, 0, 0, 0, 0, 0, 0, last])),
        (0u8..6).prop_map(|last| IpAddr::from([0, 0, 0, 0, 0, 0xffff, 0x7f50, last.into()])),
    ]
}

fn protocols() -> impl Strategy<Value = Protocol> {
    prop_oneof![Just(Protocol::Tcp), Just(Protocol::Udp)]
}

fn regions() -> impl Strategy<Value = Region> {
    let all: Vec<Region> = Region::all().collect();
    (0..all.len()).prop_map(move |row| all[row])
}

fn groups() -> impl Strategy<Value = EndpointGroup> {
    let endpoints = vec((addresses(), any::<u8>(), any::<bool>()), 0..5);
    let overrides = btree_map(ports(), ports(), 0..3);
    let dial = prop_oneof![0u32..100_001, any::<u32>()];
    let check = (
        any::<u8>(),
        any::<u8>(),
        any::<Option<u16>>(),
        any::<Option<String>>(),
    );
    (regions(), dial, endpoints, overrides, check).prop_map(
        |(region, dial, endpoints, overrides, (interval, threshold, port, path))| {
            let mut made = group(region.name(), 0, &[]);
            made.dial = TrafficDial(dial);
            made.overrides = overrides;
            made.check.interval = interval;
            made.check.threshold = threshold;
            made.check.port = port;
            made.check.path = path;
            if interval > 99 {
                made.check.protocol = CheckProtocol::Https;
            }
            for (address, weight, preserves) in endpoints {
                let mut one = endpoint((&address.to_string(), weight));
                one.preserves_client = preserves;
                made.endpoints.push(one);
            }
            made
        },
    )
}

fn listeners() -> impl Strategy<Value = Listener> {
    let ranges = vec((ports(), 0u16..4), 0..3);
    (protocols(), any::<bool>(), ranges, vec(groups(), 0..4)).prop_map(
        |(protocol, by_address, ranges, groups)| {
            let affinity = match by_address {
                true => ClientAffinity::SourceIp,
                false => ClientAffinity::None,
            };
            let mut made = listener(affinity, groups);
            made.protocol = protocol;
            // Now and then backwards.
            let range = |(from, more): (u16, u16)| PortRange {
                from,
                to: from
                    .saturating_add(more)
                    .saturating_sub(u16::from(more == 3) * 4),
            };
            made.ports = ranges.into_iter().map(range).collect();
            made
        },
    )
}

fn accelerators() -> impl Strategy<Value = Accelerator> {
    let parts = (
        any::<u8>(),
        vec(listeners(), 0..4),
        vec(addresses(), 0..5),
        0u8..10,
    );
    parts.prop_map(|(number, listeners, addresses, enabled)| {
        let mut made = accelerator(number, listeners);
        made.addresses = addresses;
        made.enabled = enabled > 0;
        made
    })
}

fn flows() -> impl Strategy<Value = Flow> {
    (addresses(), ports(), protocols(), addresses(), ports()).prop_map(
        |(to, port, protocol, from, client)| Flow {
            to: SocketAddr::new(to, port),
            protocol,
            from: SocketAddr::new(from, client),
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn whatever_is_configured_nothing_panics(
        accelerators in vec(accelerators(), 0..4),
        flows in vec(flows(), 8),
        states in vec(0u8..3, 16),
        place in regions(),
    ) {
        let board = Board::new();
        let count = accelerators.len();
        for accelerator in &accelerators {
            let written = codec::encode(accelerator);
            prop_assert_eq!(&codec::decode(&written).unwrap(), accelerator);
        }
        let snapshot = Snapshot::of_accelerators(accelerators, &board);
        prop_assert!(snapshot.accelerator_count() <= count);
        for (check, state) in snapshot.checks().zip(states.iter().cycle()) {
            board.set(check, match state {
                0 => HealthState::Initial,
                1 => HealthState::Healthy,
                _ => HealthState::Unhealthy,
            });
        }
        let context = ChooseContext { board: &board, place };
        for flow in &flows {
            let mut tried = Tried::NONE;
            loop {
                let explained = snapshot.explain(flow, &context, &tried);
                prop_assert!(!explained.lines().is_empty());
                let choice = snapshot.choose(flow, &context, &tried);
                prop_assert_eq!(explained.refused, choice.err());
                match choice {
                    Ok(choice) => {
                        prop_assert!(!tried.contains(choice.address), "{:?}", choice);
                        prop_assert!(tried.add(choice.address), "too many");
                    }
                    Err(NoChoice::AllTried) => break,
                    Err(_) => {
                        prop_assert!(tried.is_empty());
                        break;
                    }
                }
            }
            let listens = snapshot.listeners().any(|on| {
                on.address == flow.to.ip().to_canonical()
                    && on.protocol == flow.protocol
                    && (on.ports.from..=on.ports.to).contains(&flow.to.port())
            });
            let refused = snapshot.choose(flow, &context, &Tried::NONE).err();
            let nobody = matches!(
                refused,
                Some(NoChoice::NoAccelerator | NoChoice::Disabled | NoChoice::NoListener)
            );
            prop_assert_eq!(listens, !nobody, "{:?} {:?}", flow, refused);
        }
    }
}
