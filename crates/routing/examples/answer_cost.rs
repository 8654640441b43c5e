//! What an answer costs: nanoseconds of one thread for parsing, deciding and writing, without
//! the kernel's part. Run with `--release`; `answer_cost NAMES` sets how many names the larger
//! zone has (a million, unless said).
#![allow(clippy::unwrap_used, reason = "a program to measure with")]
#![allow(clippy::disallowed_methods, reason = "it measures time")]

use std::net::{IpAddr, Ipv4Addr};
use std::time::{Duration, Instant};

use routing::{
    AnswerContext, Content, Continent, FailoverRole, HealthBoard, Location, Locator, Name, Policy,
    RecordKind, RecordSet, Reply, Request, Selector, SmallRandom, Snapshot, Transport, Zone,
    ZoneId,
};
use types::{HealthCheckId, Place};

/// A round is short, so that some rounds are left alone by whatever else the machine does.
const ROUND: Duration = Duration::from_millis(10);
const ROUNDS: usize = 100;

/// Answers between two looks at the clock.
const BATCH: usize = 4096;

fn zone(id: &str, apex: &str) -> Zone {
    let server = |number: u32| Name::parse(&format!("ns-{number}.awsdns-00.com")).unwrap();
    Zone {
        account: types::AccountId::LAB,
        id: ZoneId::new(id).unwrap(),
        name: Name::parse(apex).unwrap(),
        comment: None,
        caller_reference: id.to_owned(),
        name_servers: [server(1), server(2), server(3), server(4)],
    }
}

fn record(owner: &str, address: Ipv4Addr, policy: Option<Policy>) -> RecordSet {
    RecordSet {
        name: Name::parse(owner).unwrap(),
        kind: RecordKind::A,
        selector: policy.map(|policy| Selector {
            identifier: address.to_string(),
            policy,
        }),
        content: Content::Values {
            ttl: 60,
            values: vec![address.to_string()],
        },
        health_check: policy.map(|_| HealthCheckId(format!("check-{address}"))),
    }
}

/// A zone of that many names, and names that are decided.
fn records(apex: &str, names: u32) -> Vec<RecordSet> {
    let mut records: Vec<RecordSet> = (0..names)
        .map(|number| {
            let address = Ipv4Addr::from(0x0a00_0000 + number);
            record(&format!("host-{number}.{apex}"), address, None)
        })
        .collect();
    let mut decided = |owner: &str, policies: Vec<Policy>| {
        for (number, policy) in policies.into_iter().enumerate() {
            let address = Ipv4Addr::new(192, 0, 2, number as u8);
            records.push(record(&format!("{owner}.{apex}"), address, Some(policy)));
        }
    };
    let region = |name: &str| Policy::Latency(name.parse().unwrap());
    decided("weighted", [10, 20, 30, 40].map(Policy::Weighted).to_vec());
    let roles = [FailoverRole::Primary, FailoverRole::Secondary];
    decided("failover", roles.map(Policy::Failover).to_vec());
    decided(
        "latency",
        ["us-east-1", "eu-west-1", "ap-northeast-1"]
            .map(region)
            .to_vec(),
    );
    let places = [Location::Default, Location::Continent(Continent::Europe)];
    decided("place", places.map(Policy::Geolocation).to_vec());
    decided("many", vec![Policy::Multivalue; 8]);
    let mut canonical = record(&format!("canonical.{apex}"), Ipv4Addr::LOCALHOST, None);
    canonical.kind = RecordKind::Cname;
    canonical.content = Content::Values {
        ttl: 60,
        values: vec![format!("host-1.{apex}")],
    };
    records.push(canonical);
    records
}

fn query(owner: &str) -> Vec<u8> {
    let mut packet = vec![0x12, 0x34, 1, 0, 0, 1, 0, 0, 0, 0, 0, 1];
    packet.extend(Name::parse(owner).unwrap().wire());
    packet.extend([0, 1, 0, 1]);
    packet.extend([0, 0, 41, 4, 208, 0, 0, 0, 0, 0, 0]);
    packet
}

struct Bench {
    snapshot: Snapshot,
    board: HealthBoard,
    locator: Locator,
}

impl Bench {
    /// Nanoseconds an answer: the least of some rounds, and the octets of the last answer.
    fn measure(&self, what: &str, packets: &[Vec<u8>], source: IpAddr) {
        let context = AnswerContext {
            board: &self.board,
            locator: &self.locator,
        };
        let mut random = SmallRandom::new(1);
        let mut out = [0; 4096];
        let mut least = f64::INFINITY;
        let mut octets = 0;
        for _ in 0..ROUNDS {
            let start = Instant::now();
            let mut answers = 0;
            while start.elapsed() < ROUND {
                for packet in packets.iter().cycle().take(BATCH) {
                    let request = Request {
                        packet,
                        source,
                        transport: Transport::Udp,
                    };
                    match self
                        .snapshot
                        .answer(&request, &context, &mut random, &mut out)
                    {
                        Reply::Send(length) => octets = length,
                        Reply::Silence => panic!("a question is answered"),
                    }
                }
                answers += BATCH;
            }
            least = least.min(start.elapsed().as_nanos() as f64 / answers as f64);
        }
        println!("{what:<44} {least:7.0} ns  {octets:4} octets");
    }
}

/// How long a site's zones take to compile when it starts.
fn many_zones() {
    let zones = (0..100).map(|number| {
        let apex = format!("zone-{number}.example");
        (zone(&format!("Z{number}"), &apex), records(&apex, 20))
    });
    let zones: Vec<_> = zones.collect();
    let start = Instant::now();
    let snapshot = Snapshot::of_zones(zones, &HealthBoard::new());
    let (zones, sets) = (snapshot.zone_count(), snapshot.record_set_count());
    println!(
        "compiled {zones} zones with {sets} record sets in {:?}",
        start.elapsed()
    );
}

fn main() {
    many_zones();
    let names = std::env::args()
        .nth(1)
        .map_or(1_000_000, |text| text.parse().unwrap());
    let (small, large) = ("example.com", "large.example");
    let board = HealthBoard::new();
    let (small_records, large_records) = (records(small, 10_000), records(large, names));
    let start = Instant::now();
    let zones = [
        (zone("Z1", small), small_records),
        (zone("Z2", large), large_records),
    ];
    let snapshot = Snapshot::of_zones(zones, &board);
    println!("compiled 10,000 and {names} names in {:?}", start.elapsed());
    let bench = Bench {
        snapshot,
        board,
        locator: Locator::new(Some("us-east-1".parse().unwrap())),
    };
    let here = IpAddr::V4(Place("eu-west-1".parse().unwrap()).address(1));
    let one = |owner: &str| vec![query(&format!("{owner}.{small}"))];
    let mut random = SmallRandom::new(3);
    let mut spread = |apex: &str, prefix: &str, names: u32| -> Vec<Vec<u8>> {
        (0..4096)
            .map(|_| query(&format!("{prefix}-{}.{apex}", random.below(names))))
            .collect()
    };
    bench.measure("static, one name", &one("host-7"), here);
    bench.measure(
        "static, 4,096 of 10,000 names",
        &spread(small, "host", 10_000),
        here,
    );
    bench.measure(
        "static, 4,096 of the larger zone's",
        &spread(large, "host", names),
        here,
    );
    bench.measure(
        "NXDOMAIN, 4,096 names, 10,000 in the zone",
        &spread(small, "none", names),
        here,
    );
    bench.measure(
        "NXDOMAIN, 4,096 names, the larger zone",
        &spread(large, "none", names),
        here,
    );
    for owner in [
        "weighted",
        "failover",
        "latency",
        "place",
        "many",
        "canonical",
    ] {
        bench.measure(owner, &one(owner), here);
    }
    bench.measure("REFUSED", &[query("www.example.org")], here);
}
