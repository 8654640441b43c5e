//! Invariant 9: an edge answers from what it last knew, from the first packet after a restart,
//! with nobody else there.

mod lab;

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use bytes::Bytes;
use council::{Change, CouncilError, Expected};
use edge::{Edge, EdgeConfig};
use lab::{Clock, Lab, World, lab, now, options, ports, two_regions_and_an_edge};
use routing::{
    Content, FailoverRole, Name, Policy, RecordKind, RecordSet, Reply, Request, Selector,
    SmallRandom, Transport, Zone, ZoneId, codec, keys, model,
};
use store::MemoryEngine;
use types::{HealthCheckId, SiteId, Span};

const PRIMARY: Ipv4Addr = Ipv4Addr::new(127, 1, 1, 1);
const SECONDARY: Ipv4Addr = Ipv4Addr::new(127, 1, 2, 1);

/// A check of a TCP endpoint as it stands in the configuration.
const CHECK: &str = r#"{"format":1,"reference":"r","version":1,"config":{"kind":"TCP",
    "address":"127.1.1.1","port":8080,"interval":10,"threshold":2,"latency":false,
    "inverted":false,"disabled":false,"sni":false}}"#;

fn name(text: &str) -> Name {
    Name::parse(text).expect("a good name")
}

fn zone() -> Zone {
    let servers = ["ns-1.a.com", "ns-2.a.net", "ns-3.a.org", "ns-4.a.co.uk"];
    Zone {
        id: ZoneId::new("ZEXAMPLE").expect("a good id"),
        name: name("example.com"),
        comment: None,
        caller_reference: "r".to_owned(),
        name_servers: servers.map(name),
    }
}

/// The zone, a failover record in it, and the check of its primary.
fn configuration() -> Change {
    let (zone, check) = (zone(), HealthCheckId("check".to_owned()));
    let role = |role, address: Ipv4Addr, check: Option<&HealthCheckId>| RecordSet {
        name: name("app.example.com"),
        kind: RecordKind::A,
        selector: Some(Selector {
            identifier: format!("{role:?}"),
            policy: Policy::Failover(role),
        }),
        content: Content::Values {
            ttl: 5,
            values: vec![address.to_string()],
        },
        health_check: check.cloned(),
    };
    let app = [
        role(FailoverRole::Primary, PRIMARY, Some(&check)),
        role(FailoverRole::Secondary, SECONDARY, None),
    ];
    let put = |change: Change, key: String, value: Bytes| change.put(&key, Expected::Absent, value);
    let key = |set: &RecordSet| keys::records(&zone.id, &set.name, set.kind);
    let mut change = put(
        Change::new(),
        keys::zone(&zone.id),
        codec::encode_zone(&zone),
    );
    for set in model::apex_records(&zone) {
        change = put(change, key(&set), codec::encode_group(&[set]));
    }
    change = put(change, key(&app[0]), codec::encode_group(&app));
    put(
        change,
        keys::check(&check),
        Bytes::from_static(CHECK.as_bytes()),
    )
}

/// What the edge answers to a packet that asks for the application's address: the code, and the
/// first address.
fn ask(edge: &Edge<MemoryEngine>) -> (u8, Option<Ipv4Addr>) {
    let mut packet = vec![0, 7, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0];
    packet.extend(b"\x03app\x07example\x03com\0\0\x01\0\x01");
    let request = Request {
        packet: &packet,
        source: Ipv4Addr::LOCALHOST.into(),
        transport: Transport::Udp,
    };
    let mut reply = [0; 4096];
    let mut random = SmallRandom::new(1);
    let Reply::Send(length) = edge
        .steering()
        .node()
        .answer(&request, &mut random, &mut reply)
    else {
        panic!("a good question deserves an answer");
    };
    let (header, answers) = reply[..length].split_at(packet.len());
    let is_answered = header[7] > 0;
    // A pointer to the name, type, class, time to live, length: then the address.
    let address = is_answered.then(|| {
        let octets: [u8; 4] = answers[12..16].try_into().expect("four octets");
        Ipv4Addr::from(octets)
    });
    (header[3] & 15, address)
}

fn propose(lab: &mut Lab, change: Change) {
    let council = lab.edge.council().clone();
    lab.tasks.push(Box::pin(async move {
        council.propose(change).await.expect("a majority");
        std::future::pending().await
    }));
}

/// The edge that finds that disk after a restart, with a way to nobody.
fn alone(engine: &MemoryEngine, lab: &Lab, at: u64) -> Arc<Edge<MemoryEngine>> {
    let deployment = two_regions_and_an_edge();
    let (_, mut ports) = ports(&deployment);
    let config = EdgeConfig {
        deployment,
        site: SiteId(3),
        largest_round_trip: Span::ZERO,
        steering: options(&lab.prober),
    };
    let environment = Arc::new(World(Arc::new(Clock(AtomicU64::new(at)))));
    let ports = ports.pop().expect("the edge's");
    now(Edge::open(engine.clone(), config, environment, ports)).expect("an edge")
}

#[test]
fn invariant_9_dns_answers_from_its_last_known_state_from_the_first_packet_after_a_restart() {
    let mut lab = lab();
    lab.run(Span::seconds(4));
    assert_eq!(ask(&lab.edge), (5, None), "nothing is configured: refused");
    propose(&mut lab, configuration());
    lab.prober.answer.store(true, Ordering::Relaxed);
    lab.run(Span::seconds(3));
    assert_eq!(ask(&lab.edge), (0, Some(PRIMARY)));
    let healthy = alone(&lab.engine, &lab, 60_000_000);
    assert_eq!(ask(&healthy), (0, Some(PRIMARY)));

    lab.prober.answer.store(false, Ordering::Relaxed);
    lab.run(Span::seconds(2));
    assert_eq!(ask(&lab.edge), (0, Some(SECONDARY)));
    // None of its tasks has run, and nobody is to be heard: configuration and health are what its
    // own disk has.
    let edge = alone(&lab.engine, &lab, 120_000_000);
    assert_eq!(ask(&edge), (0, Some(SECONDARY)));
    let status = edge.status();
    assert!(!status.council.majority);
    assert_eq!(status.steering.zones, 1);
    assert_eq!(
        status.steering.health,
        [(HealthCheckId("check".to_owned()), false)]
    );
}

#[test]
fn a_change_without_a_majority_is_refused_and_answers_go_on() {
    let mut lab = lab();
    lab.run(Span::seconds(4));
    propose(&mut lab, configuration());
    lab.prober.answer.store(true, Ordering::Relaxed);
    lab.run(Span::seconds(3));
    // The others are gone: their links are cut and their tasks stand still.
    lab.wires.clear();
    lab.tasks.truncate(lab.edge_tasks);
    lab.run(Span::seconds(10));
    assert_eq!(ask(&lab.edge), (0, Some(PRIMARY)));
    let (council, told) = (lab.edge.council().clone(), Arc::new(AtomicBool::new(false)));
    let tell = told.clone();
    lab.tasks.push(Box::pin(async move {
        let change = Change::new().put("test/x", Expected::Absent, "x");
        let refused = council.propose(change).await;
        assert_eq!(refused, Err(CouncilError::NoMajority));
        tell.store(true, Ordering::Relaxed);
        std::future::pending().await
    }));
    lab.prober.answer.store(false, Ordering::Relaxed);
    lab.run(Span::seconds(3));
    assert!(told.load(Ordering::Relaxed));
    // Its own probes count on.
    assert_eq!(ask(&lab.edge), (0, Some(SECONDARY)));
}
