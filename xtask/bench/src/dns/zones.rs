//! The zones, made the same for every server: as a zone file for the peers, as configuration for
//! ours. Where ours chooses among records by weight or health, the peers have one record: nothing
//! that they are asked is more than they can do.

use std::fmt::Write as _;

use anyhow::{Context, Result};
use bytes::Bytes;
use routing::{
    Content, FailoverRole, Name, Policy, RecordKind, RecordSet, Selector, Zone, ZoneId, codec, keys,
};
use types::{AccountId, ConfigurationView, HealthCheckId};

use crate::items::Numbers;

/// Names in each of the zones whose names are chosen for.
pub const STEERED_NAMES: u32 = 1000;

/// Records that a weighted name has.
const WEIGHTS: [u8; 4] = [10, 20, 30, 40];

/// Health checks, that the steered records have in turn; every second is unhealthy.
pub const CHECKS: u32 = 100;

/// How long everything may be kept, in seconds.
const TTL: u32 = 60;

/// Queries in a file; dnsperf begins again at its end.
const QUERIES: usize = 100_000;

/// What is special about a zone's names.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Steering {
    /// Nothing: an address each.
    Static,
    /// Four records each, by weight.
    Weighted,
    /// A primary and a secondary record each, with health checks.
    Failover,
}

/// A zone of the benchmark.
#[derive(Clone, Copy)]
pub struct TestZone {
    /// Its apex, without the dot at the end.
    pub name: &'static str,
    id: &'static str,
    /// Names below the apex.
    pub names: u32,
    /// How they answer.
    pub steering: Steering,
}

/// Static names, ten thousand.
pub const SMALL: TestZone = TestZone {
    name: "small.example",
    id: "ZSMALL",
    names: 10_000,
    steering: Steering::Static,
};

/// Static names, a million.
pub const LARGE: TestZone = TestZone {
    name: "large.example",
    id: "ZLARGE",
    names: 1_000_000,
    steering: Steering::Static,
};

/// Names chosen for by weight.
pub const WEIGHTED: TestZone = TestZone {
    name: "weighted.example",
    id: "ZWEIGHTED",
    names: STEERED_NAMES,
    steering: Steering::Weighted,
};

/// Names chosen for by health.
pub const FAILOVER: TestZone = TestZone {
    name: "failover.example",
    id: "ZFAILOVER",
    names: STEERED_NAMES,
    steering: Steering::Failover,
};

/// Every zone.
pub const ALL: [TestZone; 4] = [SMALL, LARGE, WEIGHTED, FAILOVER];

const NAME_SERVERS: [&str; 4] = [
    "ns-11.awsdns-01.com",
    "ns-612.awsdns-12.net",
    "ns-1213.awsdns-23.org",
    "ns-1914.awsdns-47.co.uk",
];

const SOA: &str = "ns-11.awsdns-01.com. awsdns-hostmaster.amazon.com. 1 7200 900 1209600 86400";

/// A health check's id by its number.
pub fn check(number: u32) -> HealthCheckId {
    HealthCheckId(format!("check-{number:03}"))
}

fn label(number: u32) -> String {
    format!("host-{number:07}")
}

fn address(number: u32, record: u8) -> String {
    let [_, high, middle, low] = number.to_be_bytes();
    format!("{}.{high}.{middle}.{low}", 10 + record)
}

impl TestZone {
    /// Its id in the configuration.
    pub fn id(&self) -> &'static str {
        self.id
    }

    /// As a zone file (RFC 1035 section 5), for the peers.
    pub fn file(&self) -> String {
        let mut text = format!("$ORIGIN {}.\n$TTL {TTL}\n@ 900 IN SOA {SOA}\n", self.name);
        for server in NAME_SERVERS {
            writeln!(text, "@ 172800 IN NS {server}.").expect("a string takes all");
        }
        for number in 0..self.names {
            let (label, address) = (label(number), address(number, 0));
            writeln!(text, "{label} IN A {address}").expect("a string takes all");
        }
        text
    }

    /// Queries for names that are there, in no order, as dnsperf reads them.
    pub fn hits(&self) -> String {
        let mut numbers = Numbers::new(1);
        let mut text = String::new();
        for _ in 0..QUERIES {
            let label = label(u32::try_from(numbers.below(self.names.into())).expect("below"));
            writeln!(text, "{label}.{} A", self.name).expect("a string takes all");
        }
        text
    }

    /// Queries for names that aren't there, each another.
    pub fn misses(&self) -> String {
        let mut numbers = Numbers::new(2);
        let mut text = String::new();
        for _ in 0..QUERIES {
            let number = numbers.below(1 << 40);
            writeln!(text, "miss-{number:010x}.{} A", self.name).expect("a string takes all");
        }
        text
    }

    fn records(&self, name: &Name, number: u32) -> Vec<RecordSet> {
        let set = |record: u8, selector: Option<Policy>| RecordSet {
            name: name.clone(),
            kind: RecordKind::A,
            selector: selector.map(|policy| Selector {
                identifier: format!("record-{record}"),
                policy,
            }),
            content: Content::Values {
                ttl: TTL,
                values: vec![address(number, record)],
            },
            health_check: selector.map(|_| check((number + u32::from(record)) % CHECKS)),
        };
        match self.steering {
            Steering::Static => vec![set(0, None)],
            Steering::Weighted => (0..)
                .zip(WEIGHTS)
                .map(|(record, weight)| set(record, Some(Policy::Weighted(weight))))
                .collect(),
            Steering::Failover => (0..)
                .zip([FailoverRole::Primary, FailoverRole::Secondary])
                .map(|(record, role)| set(record, Some(Policy::Failover(role))))
                .collect(),
        }
    }

    fn zone(&self) -> Result<Zone> {
        let mut servers = NAME_SERVERS.iter().map(|server| Name::parse(server));
        let mut server = || servers.next().context("there are four")?.context("a name");
        Ok(Zone {
            account: AccountId::LAB,
            id: self.zone_id()?,
            name: Name::parse(self.name)?,
            comment: None,
            caller_reference: "bench".to_owned(),
            name_servers: [server()?, server()?, server()?, server()?],
        })
    }

    fn zone_id(&self) -> Result<ZoneId> {
        ZoneId::new(self.id).context("an id of capitals")
    }
}

/// Zones as configuration. Their entries are made when they are visited: a million of them would
/// otherwise stand in the memory that is measured.
pub struct Configured(pub Vec<TestZone>);

impl Configured {
    /// Makes the entries of the zones, and the records of those whose keys begin with the prefix
    /// or might.
    fn entries(&self, prefix: &str, visit: &mut dyn FnMut(String, Bytes)) -> Result<()> {
        for zone in &self.0 {
            visit(
                keys::zone(&zone.zone_id()?),
                codec::encode_zone(&zone.zone()?),
            );
        }
        for zone in &self.0 {
            let id = zone.zone_id()?;
            let own = keys::records_of(&id);
            if !own.starts_with(prefix) && !prefix.starts_with(&own) {
                continue;
            }
            for (kind, ttl, values) in [
                (RecordKind::Ns, 172_800, NAME_SERVERS.to_vec()),
                (RecordKind::Soa, 900, vec![SOA]),
            ] {
                let set = RecordSet {
                    name: Name::parse(zone.name)?,
                    kind,
                    selector: None,
                    content: Content::Values {
                        ttl,
                        values: values.into_iter().map(str::to_owned).collect(),
                    },
                    health_check: None,
                };
                visit(
                    keys::records(&id, &set.name, kind),
                    codec::encode_group(&[set]),
                );
            }
            for number in 0..zone.names {
                let name = Name::parse(&format!("{}.{}", label(number), zone.name))?;
                let key = keys::records(&id, &name, RecordKind::A);
                visit(key, codec::encode_group(&zone.records(&name, number)));
            }
        }
        Ok(())
    }
}

impl ConfigurationView for Configured {
    fn revision(&self) -> u64 {
        1
    }

    fn get(&self, key: &str) -> Option<(u64, Bytes)> {
        let mut found = None;
        self.visit(key, &mut |visited, revision, value| {
            if visited == key {
                found = Some((revision, value.clone()));
            }
        });
        found
    }

    fn visit(&self, prefix: &str, visitor: &mut dyn FnMut(&str, u64, &Bytes)) {
        self.entries(prefix, &mut |key, value| {
            if key.starts_with(prefix) {
                visitor(&key, 1, &value);
            }
        })
        .expect("the names and values above are well-formed");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_forms_of_a_zone_have_the_same_names() {
        for zone in [SMALL, WEIGHTED, FAILOVER] {
            assert_eq!(
                ALL.iter().filter(|other| other.id() == zone.id()).count(),
                1
            );
            let mut count = 0;
            let mut last = String::new();
            Configured(vec![zone]).visit("routing/records/", &mut |key, _, value| {
                assert!(*last < *key, "{last} {key}");
                last = key.to_owned();
                let (_, name, kind) = keys::parse_records(key).unwrap();
                let group = codec::decode_group(&name, kind, value).unwrap();
                assert!(!group.is_empty());
                count += 1;
            });
            assert_eq!(count, zone.names + 2);
            assert_eq!(zone.file().lines().count(), zone.names as usize + 7);
        }
    }
}
