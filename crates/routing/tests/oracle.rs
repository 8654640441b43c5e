//! Decisions against an oracle: random trees of record sets, random health, random clients. The
//! oracle knows the rules as tiers of sets and nothing of how the engine goes about them; the
//! engine is asked as anyone asks it, by a packet.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod common;

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr};

use common::{HERE, Server, alias, name, query, set, zone};
use routing::{
    Content, Continent, CountryCode, FailoverRole, HealthBoard, Location, Locator, Policy,
    RecordKind, RecordSet, Selector, SmallRandom, Snapshot, SubdivisionCode, Transport,
};
use types::{HealthCheckId, Place, Region, one_way_delay};

/// Aliases that follow each other in a tree, at most.
const DEPTH: u32 = 4;

/// Trees, and questions to each: a hundred thousand cases.
const TREES: u64 = 10_000;
const QUESTIONS: u32 = 10;

/// Health checks of a tree.
const CHECKS: u32 = 10;

/// Where the unplaced are taken to be.
const OWN: &str = "eu-central-1";

/// A group as the oracle sees it.
#[derive(Debug)]
struct Group {
    members: Vec<Member>,
}

#[derive(Debug)]
struct Member {
    policy: Option<Policy>,
    check: Option<u32>,
    content: Target,
}

#[derive(Debug)]
enum Target {
    /// The addresses 10.0.0.`number`, as many as given.
    Leaf(u32),
    Alias(usize, bool),
}

struct Generator {
    random: SmallRandom,
    groups: Vec<Group>,
    leaves: u32,
    /// Every alias evaluates its target, and nothing goes by place: then backing out finds
    /// whatever is healthy.
    strict: bool,
}

impl Generator {
    fn below(&mut self, end: u32) -> u32 {
        self.random.below(end)
    }

    fn chance(&mut self, percent: u32) -> bool {
        self.below(100) < percent
    }

    /// Makes a group and what lies below it; its number.
    fn group(&mut self, depth: u32) -> usize {
        let policies = self.policies();
        let many = matches!(policies[..], [Some(Policy::Multivalue), ..]);
        let mut members = Vec::new();
        for policy in policies {
            let check = self.chance(60).then(|| self.below(CHECKS));
            let content = if depth > 0 && !many && self.chance(55) {
                // Now and then a branch is shared.
                let shared = !self.groups.is_empty() && self.chance(15);
                let target = match shared {
                    true => self.below(self.groups.len() as u32) as usize,
                    false => self.group(depth - 1),
                };
                Target::Alias(target, self.strict || self.chance(65))
            } else {
                self.leaves += 1;
                Target::Leaf(self.leaves)
            };
            members.push(Member {
                policy,
                check,
                content,
            });
        }
        self.groups.push(Group { members });
        self.groups.len() - 1
    }

    fn policies(&mut self) -> Vec<Option<Policy>> {
        let policies: Vec<Policy> = match self.below(if self.strict { 5 } else { 6 }) {
            0 => return vec![None],
            1 => {
                let zeros = self.below(100);
                let count = 1 + self.below(4);
                let weight = |generator: &mut Generator| match generator.chance(zeros) {
                    true => 0,
                    false => generator.below(256) as u8,
                };
                (0..count).map(|_| Policy::Weighted(weight(self))).collect()
            }
            2 => {
                let all: Vec<Region> = Region::all().collect();
                let mut regions = BTreeSet::new();
                for _ in 0..=self.below(4) {
                    regions.insert(all[self.below(all.len() as u32) as usize]);
                }
                regions.into_iter().map(Policy::Latency).collect()
            }
            3 => {
                let (primary, secondary) = (FailoverRole::Primary, FailoverRole::Secondary);
                match self.below(6) {
                    0 => vec![Policy::Failover(primary)],
                    1 => vec![Policy::Failover(secondary)],
                    2 => vec![Policy::Failover(secondary), Policy::Failover(primary)],
                    _ => vec![Policy::Failover(primary), Policy::Failover(secondary)],
                }
            }
            4 => vec![Policy::Multivalue; 1 + self.below(12) as usize],
            _ => {
                let mut places = BTreeSet::new();
                for _ in 0..=self.below(5) {
                    let place = self.below(PLACES.len() as u32) as usize;
                    places.insert(PLACES[place]);
                }
                places
                    .into_iter()
                    .map(|place| Policy::Geolocation(location(place)))
                    .collect()
            }
        };
        policies.into_iter().map(Some).collect()
    }
}

const PLACES: [&str; 9] = [
    "*", "c-EU", "c-NA", "c-AS", "US", "DE", "IE", "US-VA", "US-OR",
];

fn location(place: &str) -> Location {
    if place == "*" {
        Location::Default
    } else if let Some(code) = place.strip_prefix("c-") {
        Location::Continent(Continent::from_code(code).unwrap())
    } else if let Some((country, part)) = place.split_once('-') {
        let country = CountryCode::new(country).unwrap();
        Location::Subdivision(country, SubdivisionCode::new(part).unwrap())
    } else {
        Location::Country(CountryCode::new(place).unwrap())
    }
}

/// The tree as records of a zone.
fn records(groups: &[Group]) -> Vec<RecordSet> {
    let mut sets = Vec::new();
    for (number, group) in groups.iter().enumerate() {
        let owner = format!("g{number}.example.com");
        for (index, member) in group.members.iter().enumerate() {
            let mut record = match member.content {
                Target::Leaf(leaf) => {
                    let address = address(leaf);
                    set(&format!("{owner} 60 A {address}"))
                }
                Target::Alias(target, evaluate) => {
                    let target = format!("g{target}.example.com");
                    alias(&owner, RecordKind::A, &target, evaluate)
                }
            };
            record.selector = member.policy.map(|policy| Selector {
                identifier: format!("set-{index}"),
                policy,
            });
            record.health_check = member.check.map(check);
            sets.push(record);
        }
    }
    sets
}

fn address(leaf: u32) -> Ipv4Addr {
    Ipv4Addr::from(0x0a00_0000 + leaf)
}

fn check(number: u32) -> HealthCheckId {
    HealthCheckId(format!("check-{number}"))
}

/// A client as the oracle sees it.
struct Client {
    place: Option<Place>,
    locations: Vec<Location>,
}

impl Client {
    fn at(place: Option<Place>) -> Client {
        let names: &[&str] = match place.map(|place| place.0.name()) {
            Some("us-east-1") => &["US-VA", "US", "c-NA"],
            Some("us-west-2") => &["US-OR", "US", "c-NA"],
            Some("eu-west-1") => &["IE", "c-EU"],
            Some("eu-central-1") => &["DE", "c-EU"],
            Some("ap-northeast-1") => &["JP", "c-AS"],
            Some("sa-east-1") => &["BR", "c-SA"],
            _ => &[],
        };
        let mut locations: Vec<Location> = names.iter().map(|name| location(name)).collect();
        locations.push(Location::Default);
        Client { place, locations }
    }

    fn address(&self) -> IpAddr {
        self.place.map_or(HERE, |place| place.address(7).into())
    }

    fn region(&self) -> Region {
        self.place.map_or(OWN.parse().unwrap(), |place| place.0)
    }
}

/// What may be answered.
#[derive(Debug, PartialEq, Eq)]
enum Allowed {
    Nothing,
    /// That many of these leaves.
    Some(usize, BTreeSet<u32>),
}

struct Oracle<'a> {
    groups: &'a [Group],
    healthy: &'a BTreeMap<u32, bool>,
    client: &'a Client,
}

impl Oracle<'_> {
    fn healthy(&self, member: &Member) -> bool {
        let check = member.check.is_none_or(|check| self.healthy[&check]);
        let target = match member.content {
            Target::Alias(target, true) => self.groups[target]
                .members
                .iter()
                .any(|member| self.healthy(member)),
            _ => true,
        };
        check && target
    }

    /// The members that come into question, those before others first.
    fn tiers<'a>(&self, group: &'a Group) -> Vec<Vec<&'a Member>> {
        let with = |wanted: &dyn Fn(Policy) -> bool| -> Vec<&'a Member> {
            let members = group.members.iter();
            members
                .filter(|member| member.policy.is_some_and(wanted))
                .collect()
        };
        let mut tiers = match group.members[0].policy {
            None | Some(Policy::Multivalue) => vec![group.members.iter().collect()],
            Some(Policy::Weighted(_)) => vec![
                with(&|policy| !matches!(policy, Policy::Weighted(0))),
                with(&|policy| matches!(policy, Policy::Weighted(0))),
            ],
            Some(Policy::Failover(_)) => vec![
                with(&|policy| policy == Policy::Failover(FailoverRole::Primary)),
                with(&|policy| policy == Policy::Failover(FailoverRole::Secondary)),
            ],
            Some(Policy::Geolocation(_)) => {
                let locations = self.client.locations.iter();
                locations
                    .map(|location| with(&|policy| policy == Policy::Geolocation(*location)))
                    .collect()
            }
            Some(Policy::Latency(_)) => {
                let mut by_delay: BTreeMap<_, Vec<&Member>> = BTreeMap::new();
                for member in &group.members {
                    let Some(Policy::Latency(region)) = member.policy else {
                        panic!("one policy a group");
                    };
                    let delay = one_way_delay(self.client.region(), region);
                    by_delay.entry(delay).or_default().push(member);
                }
                by_delay.into_values().collect()
            }
        };
        tiers.retain(|tier| !tier.is_empty());
        tiers
    }

    fn allowed(&self, group: usize) -> Vec<Allowed> {
        let group = &self.groups[group];
        let tiers = self.tiers(group);
        let healthy: Vec<Vec<&Member>> = tiers
            .iter()
            .map(|tier| {
                tier.iter()
                    .copied()
                    .filter(|member| self.healthy(member))
                    .collect()
            })
            .collect();
        let best = healthy.into_iter().find(|tier| !tier.is_empty());
        let Some(chosen) = best.or(tiers.into_iter().next()) else {
            return vec![Allowed::Nothing];
        };
        if group.members[0].policy == Some(Policy::Multivalue) {
            let leaves: BTreeSet<u32> = chosen.iter().map(|member| leaf(member)).collect();
            return vec![Allowed::Some(leaves.len().min(8), leaves)];
        }
        let weightless = chosen
            .iter()
            .all(|member| member.policy == Some(Policy::Weighted(0)));
        let mut allowed = Vec::new();
        for member in chosen {
            if member.policy == Some(Policy::Weighted(0)) && !weightless {
                continue;
            }
            match member.content {
                Target::Leaf(leaf) => allowed.push(Allowed::Some(1, BTreeSet::from([leaf]))),
                Target::Alias(target, _) => allowed.extend(self.allowed(target)),
            }
        }
        allowed
    }
}

fn leaf(member: &Member) -> u32 {
    match member.content {
        Target::Leaf(leaf) => leaf,
        Target::Alias(..) => panic!("a multivalue group has no aliases"),
    }
}

/// The leaves in a response's answer section; their owners are pointers.
fn leaves(reply: &[u8], question: usize) -> Vec<u32> {
    assert_eq!(reply[3] & 15, 0, "NOERROR");
    let count = usize::from(u16::from_be_bytes([reply[6], reply[7]]));
    let records = &reply[question..][..count * 16];
    let leaf = |record: &[u8]| {
        assert_eq!(record[..12], [0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4]);
        u32::from_be_bytes(record[12..].try_into().unwrap()) - 0x0a00_0000
    };
    records.chunks(16).map(leaf).collect()
}

/// A tree, and a server that has it.
fn plant(seed: u64, strict: bool) -> (Vec<Group>, usize, Server, SmallRandom) {
    let mut generator = Generator {
        random: SmallRandom::new(seed),
        groups: Vec::new(),
        leaves: 0,
        strict,
    };
    let root = generator.group(DEPTH);
    let board = HealthBoard::new();
    let zone = zone("Z1", "example.com");
    let snapshot = Snapshot::of_zones([(zone, records(&generator.groups))], &board);
    assert_eq!(snapshot.faults(), &[] as &[String]);
    let server = Server {
        snapshot,
        board,
        locator: Locator::new(Some(OWN.parse().unwrap())),
        random: SmallRandom::new(seed ^ 1),
    };
    (generator.groups, root, server, generator.random)
}

/// Sets every check at random, as likely healthy as drawn for this question.
fn set_health(server: &Server, random: &mut SmallRandom) -> BTreeMap<u32, bool> {
    let percent = [0, 20, 50, 80, 95, 100][random.below(6) as usize];
    (0..CHECKS)
        .map(|number| {
            let healthy = random.below(100) < percent;
            server.board.set(&check(number), healthy);
            (number, healthy)
        })
        .collect()
}

fn some_client(random: &mut SmallRandom) -> Client {
    let names = [
        "us-east-1",
        "us-west-2",
        "eu-west-1",
        "eu-central-1",
        "ap-northeast-1",
        "sa-east-1",
    ];
    let name = names.get(random.below(7) as usize);
    Client::at(name.map(|name| Place(name.parse().unwrap())))
}

fn ask(server: &mut Server, root: usize, client: &Client) -> Vec<u32> {
    let packet = query(&format!("g{root}.example.com"), 1);
    let reply = server
        .reply(&packet, client.address(), Transport::Tcp)
        .unwrap();
    leaves(&reply, packet.len())
}

#[test]
fn every_decision_is_one_the_rules_allow() {
    let mut several = 0;
    for seed in 0..TREES {
        let (groups, root, mut server, mut random) = plant(seed, false);
        for _ in 0..QUESTIONS {
            let healthy = set_health(&server, &mut random);
            let client = some_client(&mut random);
            let answered = ask(&mut server, root, &client);
            let oracle = Oracle {
                groups: &groups,
                healthy: &healthy,
                client: &client,
            };
            let allowed = oracle.allowed(root);
            several += u32::from(allowed.len() > 1);
            let distinct: BTreeSet<u32> = answered.iter().copied().collect();
            let holds = |allowed: &Allowed| match allowed {
                Allowed::Nothing => answered.is_empty(),
                Allowed::Some(count, leaves) => {
                    distinct.len() == answered.len()
                        && answered.len() == *count
                        && distinct.is_subset(leaves)
                }
            };
            assert!(
                allowed.iter().any(holds),
                "seed {seed}: {answered:?}, allowed {allowed:?}, health {healthy:?}, from {}: \
                 {groups:#?}",
                client.address()
            );
        }
    }
    assert!(several > 1_000, "the trees leave choices: {several}");
}

/// The leaves all of whose checks from the root down are healthy.
fn reachable(groups: &[Group], root: usize, healthy: &BTreeMap<u32, bool>) -> BTreeSet<u32> {
    let mut found = BTreeSet::new();
    let members = groups[root].members.iter();
    for member in members.filter(|member| member.check.is_none_or(|check| healthy[&check])) {
        match member.content {
            Target::Leaf(leaf) => _ = found.insert(leaf),
            Target::Alias(target, _) => found.extend(reachable(groups, target, healthy)),
        }
    }
    found
}

#[test]
fn nothing_unhealthy_is_answered_while_something_healthy_is_there() {
    for seed in 0..TREES / 5 {
        let (groups, root, mut server, mut random) = plant(seed, true);
        for _ in 0..QUESTIONS {
            let healthy = set_health(&server, &mut random);
            let client = some_client(&mut random);
            let answered = ask(&mut server, root, &client);
            let reachable = reachable(&groups, root, &healthy);
            assert!(!answered.is_empty());
            if !reachable.is_empty() {
                let sound = answered.iter().all(|leaf| reachable.contains(leaf));
                assert!(
                    sound,
                    "seed {seed}: {answered:?} of {reachable:?}: {groups:#?}"
                );
            }
        }
    }
}

#[test]
fn weights_are_proportions() {
    let weighted = |owner: &str, address: &str, weight: u8| {
        let mut record = set(&format!("{owner} 60 A {address}"));
        record.selector = Some(Selector {
            identifier: address.to_owned(),
            policy: Policy::Weighted(weight),
        });
        record
    };
    let sets = [1u32, 2, 3, 4].map(|leaf| {
        let address = address(leaf).to_string();
        weighted(
            "w.example.com",
            &address,
            [10, 0, 70, 20][leaf as usize - 1],
        )
    });
    let mut server = Server::new(vec![(zone("Z1", "example.com"), sets.to_vec())]);
    let packet = query("w.example.com", 1);
    let mut counts = [0u32; 5];
    for _ in 0..10_000 {
        let reply = server.reply(&packet, HERE, Transport::Udp).unwrap();
        counts[leaves(&reply, packet.len())[0] as usize] += 1;
    }
    // Four standard deviations and more.
    assert!((850..1150).contains(&counts[1]), "{counts:?}");
    assert_eq!(counts[2], 0);
    assert!((6800..7200).contains(&counts[3]), "{counts:?}");
    assert!((1830..2170).contains(&counts[4]), "{counts:?}");
}

#[test]
fn aliases_in_a_circle_end() {
    let mut sets = vec![
        alias("a.example.com", RecordKind::A, "b.example.com", true),
        alias("b.example.com", RecordKind::A, "a.example.com", true),
        alias("c.example.com", RecordKind::A, "c.example.com", false),
    ];
    for number in 0..100 {
        let (owner, target) = (number, number + 1);
        let owner = format!("d{owner}.example.com");
        sets.push(alias(
            &owner,
            RecordKind::A,
            &format!("d{target}.example.com"),
            true,
        ));
    }
    sets.push(set("d100.example.com 60 A 10.0.0.1"));
    let board = HealthBoard::new();
    let snapshot = Snapshot::of_zones([(zone("Z1", "example.com"), sets)], &board);
    assert!(
        snapshot.faults()[0].contains("circle"),
        "{:?}",
        snapshot.faults()
    );
    let mut server = Server {
        snapshot,
        board,
        locator: Locator::new(None),
        random: SmallRandom::new(1),
    };
    for owner in ["a", "b", "c", "d0"] {
        let read = server.ask(&format!("{owner}.example.com"), "A");
        assert_eq!(
            (read.rcode.as_str(), read.answer.len()),
            ("NOERROR", 0),
            "{owner}"
        );
        assert_eq!(read.authority.len(), 1);
    }
    assert_eq!(server.ask("d80.example.com", "A").answer.len(), 1);
}

#[test]
fn branches_that_multiply_end() {
    // 12 groups of 100 aliases each to the next: 100¹² ways to an unhealthy leaf.
    let mut sets = Vec::new();
    for level in 0..12 {
        for index in 0..100 {
            let owner = format!("l{level}.example.com");
            let target = format!("l{}.example.com", level + 1);
            let mut record = alias(&owner, RecordKind::A, &target, true);
            record.selector = Some(Selector {
                identifier: index.to_string(),
                policy: Policy::Weighted(1),
            });
            sets.push(record);
        }
    }
    let mut last = set("l12.example.com 60 A 10.0.0.1");
    last.health_check = Some(check(1));
    assert!(matches!(last.content, Content::Values { .. }));
    sets.push(last);
    let mut server = Server::new(vec![(zone("Z1", "example.com"), sets)]);
    server.board.set(&check(1), false);
    let read = server.ask(&name("l0.example.com").to_string(), "A");
    assert_eq!(read.answer, ["l0.example.com. 60 A 10.0.0.1"]);
}
