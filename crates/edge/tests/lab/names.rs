//! A zone with a failover record and the check of its primary, and questions for it.

use std::net::Ipv4Addr;

use bytes::Bytes;
use council::{Change, Expected};
use edge::Edge;
use routing::{
    Content, FailoverRole, Name, Policy, RecordKind, RecordSet, Reply, Request, Selector,
    SmallRandom, Transport, Zone, ZoneId, codec, keys, model,
};
use store::MemoryEngine;
use types::HealthCheckId;

use super::Lab;

pub const PRIMARY: Ipv4Addr = Ipv4Addr::new(127, 1, 1, 1);
pub const SECONDARY: Ipv4Addr = Ipv4Addr::new(127, 1, 2, 1);

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
        account: types::AccountId::LAB,
        id: ZoneId::new("ZEXAMPLE").expect("a good id"),
        name: name("example.com"),
        comment: None,
        caller_reference: "r".to_owned(),
        name_servers: servers.map(name),
    }
}

/// The zone, a failover record in it, and the check of its primary.
pub fn configuration() -> Change {
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
pub fn ask(edge: &Edge<MemoryEngine>) -> (u8, Option<Ipv4Addr>) {
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

pub fn propose(lab: &mut Lab, change: Change) {
    let council = lab.edge.council().clone();
    lab.tasks.push(Box::pin(async move {
        council.propose(change).await.expect("a majority");
        std::future::pending().await
    }));
}
