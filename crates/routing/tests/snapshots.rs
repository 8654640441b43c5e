//! Snapshots of a configuration: compiled anew only where something changed, soon, and kept
//! where something can't be read.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod common;

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::sync::Arc;

use bytes::Bytes;
use common::*;
use routing::{
    AnswerContext, HealthBoard, Inquiry, Locator, Node, OutsideAddress, OutsideAnswer, OutsideName,
    OutsideNames, OutsideZone, Policy, RecordKind, RecordSet, Reply, Request, SmallRandom,
    Snapshot, Step, Transport, Zone, ZoneId, codec, keys,
};
use types::{ConfigurationEntry, ConfigurationView, HealthCheckId};

/// A configuration in memory.
#[derive(Default)]
struct View {
    revision: u64,
    entries: BTreeMap<String, (u64, Bytes)>,
    /// As of earlier revisions.
    history: BTreeMap<u64, BTreeMap<String, (u64, Bytes)>>,
}

impl View {
    fn put(&mut self, key: String, value: Bytes) {
        self.entries.insert(key, (self.revision, value));
    }

    fn change(&mut self, edit: impl FnOnce(&mut View)) {
        self.history.insert(self.revision, self.entries.clone());
        self.revision += 1;
        edit(self);
    }

    fn zone(&mut self, zone: &Zone) {
        self.put(keys::zone(&zone.id), codec::encode_zone(zone));
    }

    fn group(&mut self, zone: &Zone, sets: &[RecordSet]) {
        let key = keys::records(&zone.id, &sets[0].name, sets[0].kind);
        self.put(key, codec::encode_group(sets));
    }
}

impl ConfigurationView for View {
    fn revision(&self) -> u64 {
        self.revision
    }

    fn get(&self, key: &str) -> Option<(u64, Bytes)> {
        self.entries.get(key).cloned()
    }

    fn visit(&self, prefix: &str, visitor: &mut dyn FnMut(&str, u64, &Bytes)) {
        let range = self.entries.range(prefix.to_owned()..);
        for (key, (revision, value)) in range.take_while(|(key, _)| key.starts_with(prefix)) {
            visitor(key, *revision, value);
        }
    }

    fn visit_changes(
        &self,
        prefix: &str,
        since: u64,
        visitor: &mut dyn FnMut(&str, Option<ConfigurationEntry<'_>>),
    ) -> bool {
        let before = match self.history.get(&since) {
            Some(before) => before,
            None if since == self.revision => &self.entries,
            None => return false,
        };
        let known = |key: &str| key.starts_with(prefix);
        for key in before.keys().filter(|key| known(key)) {
            if !self.entries.contains_key(key) {
                visitor(key, None);
            }
        }
        self.visit(prefix, &mut |key, revision, value| {
            if revision > since {
                visitor(key, Some((revision, value)));
            }
        });
        true
    }
}

fn ask(node: &Node, owner: &str) -> Read {
    let mut out = [0; 4096];
    let packet = query(owner, 1);
    let request = Request {
        packet: &packet,
        source: HERE,
        transport: Transport::Udp,
    };
    match node.answer(&request, &mut SmallRandom::new(1), &mut out) {
        Reply::Send(length) => read(&out[..length]),
        Reply::Silence => panic!("a question is answered"),
    }
}

#[test]
fn a_change_is_served_after_a_refresh_and_an_older_one_never() {
    let (one, two) = (zone("Z1", "example.com"), zone("Z2", "example.org"));
    let mut view = View::default();
    view.change(|view| {
        view.zone(&one);
        view.zone(&two);
        view.group(&one, &[set("www.example.com 1 A 192.0.2.1")]);
        view.group(&two, &[set("www.example.org 1 A 192.0.2.2")]);
    });
    let node = Node::new(Locator::new(None));
    assert_eq!(ask(&node, "www.example.com").rcode, "REFUSED");
    assert!(node.refresh(&view));
    assert_eq!(
        (node.snapshot().revision(), node.snapshot().zone_count()),
        (1, 2)
    );
    // Each zone's two records, and its NS and SOA.
    assert_eq!(node.snapshot().record_set_count(), 6);
    assert_eq!(
        ask(&node, "www.example.com").answer,
        ["www.example.com. 1 A 192.0.2.1"]
    );

    let before = View {
        revision: view.revision,
        entries: view.entries.clone(),
        history: BTreeMap::new(),
    };
    view.change(|view| view.group(&one, &[set("www.example.com 1 A 192.0.2.3")]));
    assert!(node.refresh(&view));
    assert_eq!(
        ask(&node, "www.example.com").answer,
        ["www.example.com. 1 A 192.0.2.3"]
    );
    assert!(!node.refresh(&before));
    assert_eq!(
        ask(&node, "www.example.com").answer,
        ["www.example.com. 1 A 192.0.2.3"]
    );

    let key = keys::records(&one.id, &name("www.example.com"), routing::RecordKind::A);
    view.change(|view| _ = view.entries.remove(&key));
    assert!(node.refresh(&view));
    assert_eq!(ask(&node, "www.example.com").rcode, "NXDOMAIN");
    assert_eq!(ask(&node, "www.example.org").answer.len(), 1);
    view.change(|view| _ = view.entries.remove(&keys::zone(&two.id)));
    assert!(node.refresh(&view));
    assert_eq!(ask(&node, "www.example.org").rcode, "REFUSED");
}

#[test]
fn what_cannot_be_read_is_kept_as_it_was() {
    // Whether the configuration can tell what changed, or all must be read each time.
    for tells in [true, false] {
        what_cannot_be_read_is_kept(tells);
    }
}

fn what_cannot_be_read_is_kept(tells: bool) {
    let zone = zone("Z1", "example.com");
    let mut view = View::default();
    view.change(|view| {
        view.zone(&zone);
        view.group(&zone, &[set("www.example.com 1 A 192.0.2.1")]);
    });
    let node = Node::new(Locator::new(None));
    view.history.retain(|_, _| tells);
    node.refresh(&view);
    // As if a newer program had written it.
    let key = keys::records(&zone.id, &name("new.example.com"), routing::RecordKind::A);
    view.change(|view| {
        view.put(key.clone(), Bytes::from_static(b"\x02\x00"));
        view.group(&zone, &[set("www.example.com 1 A 192.0.2.9")]);
        view.put("routing/zone/Zbad".to_owned(), Bytes::new());
    });
    view.history.retain(|_, _| tells);
    node.refresh(&view);
    assert_eq!(
        ask(&node, "www.example.com").answer,
        ["www.example.com. 1 A 192.0.2.1"]
    );
    let faults = node.snapshot().faults().join("\n");
    assert!(
        faults.contains("newer version") && faults.contains("Zbad"),
        "{faults}"
    );
    let served = |node: &Node| (node.snapshot().revision(), node.snapshot().served_through());
    assert_eq!(served(&node), (2, 1));
    // It falls no further behind by changes elsewhere, and doesn't catch up by them.
    view.change(|_| ());
    view.history.retain(|_, _| tells);
    node.refresh(&view);
    assert_eq!(served(&node), (3, 1));
    // Who begins with that configuration has nothing of the zone.
    let restarted = Node::new(Locator::new(None));
    restarted.refresh(&view);
    assert_eq!(served(&restarted), (3, 0));
    view.change(|view| {
        view.entries.remove(&key);
    });
    view.history.retain(|_, _| tells);
    node.refresh(&view);
    assert_eq!(served(&node), (4, 1), "Zbad is still left out");
    view.change(|view| _ = view.entries.remove("routing/zone/Zbad"));
    view.history.retain(|_, _| tells);
    node.refresh(&view);
    assert_eq!(served(&node), (5, 5));
    assert_eq!(
        ask(&node, "www.example.com").answer,
        ["www.example.com. 1 A 192.0.2.9"]
    );
}

#[test]
fn only_zones_that_changed_are_looked_at() {
    let (one, two) = (zone("Z1", "example.com"), zone("Z2", "example.org"));
    let mut view = View::default();
    view.change(|view| {
        view.zone(&one);
        view.zone(&two);
        view.group(&one, &[set("www.example.com 1 A 192.0.2.1")]);
        view.group(&two, &[set("www.example.org 1 A 192.0.2.2")]);
    });
    let node = Node::new(Locator::new(None));
    node.refresh(&view);
    let compiled = |node: &Node| {
        let snapshot = node.snapshot();
        (
            snapshot.revision(),
            snapshot.compiled_zones(),
            snapshot.zone_count(),
        )
    };
    assert_eq!(compiled(&node), (1, 2, 2));
    view.change(|view| view.put("identity/user/somebody".to_owned(), Bytes::new()));
    node.refresh(&view);
    assert_eq!(compiled(&node), (2, 0, 2));
    view.change(|view| view.group(&two, &[set("new.example.org 1 A 192.0.2.3")]));
    node.refresh(&view);
    assert_eq!(compiled(&node), (3, 1, 2));
    assert_eq!(
        ask(&node, "new.example.org").answer,
        ["new.example.org. 1 A 192.0.2.3"]
    );
    view.change(|view| _ = view.entries.remove(&keys::zone(&one.id)));
    node.refresh(&view);
    assert_eq!(compiled(&node), (4, 0, 1));
    assert_eq!(ask(&node, "www.example.com").rcode, "REFUSED");
}

fn of_accelerator(address: &str) -> OutsideAddress {
    OutsideAddress {
        address: address.parse().unwrap(),
        check: HealthCheckId("accelerator/1".to_owned()),
    }
}

/// Names of another service: `label` with those addresses.
fn outside(label: &str, addresses: &[&str]) -> Arc<OutsideNames> {
    let stands = OutsideName {
        addresses: addresses.iter().map(|text| of_accelerator(text)).collect(),
        answer: OutsideAnswer::One,
    };
    let zone = OutsideZone {
        name: name("awsglobalaccelerator.com"),
        ttl: 300,
        names: [(name(&format!("{label}.awsglobalaccelerator.com")), stands)].into(),
    };
    let id = ZoneId::new("Z2BJ6XQ5FK7U4H").unwrap();
    OutsideNames([(id, zone)].into()).into()
}

fn to_outside(owner: &str, evaluate: bool) -> RecordSet {
    to_outside_of(RecordKind::A, owner, evaluate)
}

fn to_outside_of(kind: RecordKind, owner: &str, evaluate: bool) -> RecordSet {
    let mut set = alias(owner, kind, "a1.awsglobalaccelerator.com", evaluate);
    if let routing::Content::Alias(alias) = &mut set.content {
        alias.zone = ZoneId::new("Z2BJ6XQ5FK7U4H").unwrap();
    }
    set
}

#[test]
fn another_service_s_name_answers_whole_and_an_alias_of_it_with_one_address() {
    let zone = zone("Z1", "example.com");
    let mut view = View::default();
    view.change(|view| {
        view.zone(&zone);
        view.group(&zone, &[to_outside("app.example.com", true)]);
    });
    let node = Node::new(Locator::new(None));
    let names = outside("a1", &["127.80.0.1", "127.81.0.1", "fd00::1"]);
    node.refresh_with(&view, &names);
    assert_eq!(node.snapshot().faults(), &[] as &[String]);
    let counts = (
        node.snapshot().zone_count(),
        node.snapshot().record_set_count(),
    );
    assert_eq!(counts, (1, 3), "its own alone");
    let whole = ask(&node, "a1.awsglobalaccelerator.com");
    assert!(whole.authoritative);
    assert_eq!(
        whole.answer,
        [
            "a1.awsglobalaccelerator.com. 300 A 127.80.0.1",
            "a1.awsglobalaccelerator.com. 300 A 127.81.0.1"
        ]
    );
    assert_eq!(ask(&node, "a2.awsglobalaccelerator.com").rcode, "NXDOMAIN");
    let mut seen = std::collections::BTreeSet::new();
    let mut random = SmallRandom::new(1);
    for _ in 0..64 {
        let (mut out, packet) = ([0; 4096], query("app.example.com", 1));
        let request = Request {
            packet: &packet,
            source: HERE,
            transport: Transport::Udp,
        };
        let Reply::Send(length) = node.answer(&request, &mut random, &mut out) else {
            panic!("a question is answered");
        };
        let answer = read(&out[..length]).answer;
        assert_eq!(answer.len(), 1, "{answer:?}");
        seen.extend(answer);
    }
    assert_eq!(seen.len(), 2, "each in its turn: {seen:?}");

    // The name goes, and comes with other addresses: no record of the zone changes.
    node.refresh_with(&view, &Default::default());
    assert_eq!(ask(&node, "app.example.com").answer.len(), 0);
    assert_eq!(ask(&node, "a1.awsglobalaccelerator.com").rcode, "REFUSED");
    assert!(node.snapshot().faults()[0].contains("an alias's target isn't there"));
    node.refresh_with(&view, &outside("a1", &["127.80.0.9"]));
    assert_eq!(node.snapshot().compiled_zones(), 1);
    assert_eq!(
        ask(&node, "app.example.com").answer,
        ["app.example.com. 300 A 127.80.0.9"]
    );
    view.change(|_| ());
    node.refresh_with(&view, &outside("a1", &["127.80.0.9"]));
    assert_eq!(node.snapshot().compiled_zones(), 0, "nothing is another");
}

#[test]
fn an_alias_of_type_aaaa_answers_once_the_name_has_such_addresses() {
    const AAAA: u16 = 28;
    let zone = zone("Z1", "example.com");
    let mut view = View::default();
    view.change(|view| {
        view.zone(&zone);
        view.group(&zone, &[to_outside("app.example.com", true)]);
        let ipv6 = to_outside_of(RecordKind::Aaaa, "app.example.com", true);
        view.group(&zone, &[ipv6]);
    });
    let node = Node::new(Locator::new(None));
    let asked = |node: &Node, kind| {
        let (mut out, packet) = ([0; 4096], query("app.example.com", kind));
        let request = Request {
            packet: &packet,
            source: HERE,
            transport: Transport::Udp,
        };
        let mut random = SmallRandom::new(1);
        let Reply::Send(length) = node.answer(&request, &mut random, &mut out) else {
            panic!("a question is answered");
        };
        read(&out[..length])
    };
    node.refresh_with(&view, &outside("a1", &["127.80.0.1"]));
    assert_eq!(node.snapshot().faults(), &[] as &[String]);
    let none = asked(&node, AAAA);
    assert_eq!(none.rcode, "NOERROR");
    assert_eq!(none.answer, [] as [&str; 0]);
    assert!(none.authority[0].contains("SOA"), "{:?}", none.authority);
    assert_eq!(asked(&node, 1).answer.len(), 1);
    node.refresh_with(&view, &outside("a1", &["127.80.0.1", "fd00::1"]));
    assert_eq!(
        asked(&node, AAAA).answer,
        ["app.example.com. 300 AAAA fd00::1"]
    );
    assert_eq!(
        asked(&node, 1).answer,
        ["app.example.com. 300 A 127.80.0.1"]
    );
}

#[test]
fn an_alias_looks_whether_anything_is_healthy_behind_the_name() {
    let zone = zone("Z1", "example.com");
    let role = |set, id: &str, role| selected(set, id, Policy::Failover(role));
    let first = role(
        to_outside("app.example.com", true),
        "1",
        routing::FailoverRole::Primary,
    );
    let second = role(
        set("app.example.com 60 A 192.0.2.9"),
        "2",
        routing::FailoverRole::Secondary,
    );
    let mut view = View::default();
    view.change(|view| {
        view.zone(&zone);
        view.group(&zone, &[first, second]);
    });
    let node = Node::new(Locator::new(None));
    let check = HealthCheckId("accelerator/1".to_owned());
    node.refresh_with(&view, &outside("a1", &["127.80.0.1"]));
    let answer = |node: &Node| ask(node, "app.example.com").answer;
    assert_eq!(answer(&node), ["app.example.com. 300 A 127.80.0.1"]);
    node.board().set(&check, false);
    assert_eq!(answer(&node), ["app.example.com. 60 A 192.0.2.9"]);
    // The bit stays that check's while an alias reads it.
    view.change(|_| ());
    node.refresh_with(&view, &outside("a1", &["127.80.0.1"]));
    assert_eq!(answer(&node), ["app.example.com. 60 A 192.0.2.9"]);
    node.board().set(&check, true);
    assert_eq!(answer(&node), ["app.example.com. 300 A 127.80.0.1"]);
}

/// A load balancer's name with these addresses, each with a check of its own.
fn balancer(addresses: &[&str]) -> Arc<OutsideNames> {
    let stands = OutsideName {
        addresses: addresses
            .iter()
            .map(|text| OutsideAddress {
                address: text.parse().unwrap(),
                check: HealthCheckId(format!("balancer/{text}")),
            })
            .collect(),
        answer: OutsideAnswer::AllHealthy,
    };
    let zone = OutsideZone {
        name: name("us-east-1.elb.amazonaws.com"),
        ttl: 60,
        names: [(name("it-1.us-east-1.elb.amazonaws.com"), stands)].into(),
    };
    let id = ZoneId::new("Z35SXDOTRQ7X7K").unwrap();
    OutsideNames([(id, zone)].into()).into()
}

#[test]
fn a_name_of_several_and_an_alias_of_it_answer_with_all_that_are_healthy() {
    let zone = zone("Z1", "example.com");
    let target = "it-1.us-east-1.elb.amazonaws.com";
    let to_balancer = |owner: &str| {
        let mut set = alias(owner, RecordKind::A, target, true);
        if let routing::Content::Alias(alias) = &mut set.content {
            alias.zone = ZoneId::new("Z35SXDOTRQ7X7K").unwrap();
        }
        set
    };
    let role = |set, id: &str, role| selected(set, id, Policy::Failover(role));
    let first = role(
        to_balancer("app.example.com"),
        "1",
        routing::FailoverRole::Primary,
    );
    let second = role(
        set("app.example.com 60 A 192.0.2.9"),
        "2",
        routing::FailoverRole::Secondary,
    );
    let mut view = View::default();
    view.change(|view| {
        view.zone(&zone);
        view.group(&zone, &[first, second]);
        view.group(&zone, &[to_balancer("www.example.com")]);
    });
    let node = Node::new(Locator::new(None));
    node.refresh_with(
        &view,
        &balancer(&["127.32.1.1", "127.33.1.1", "127.34.1.1"]),
    );
    assert_eq!(node.snapshot().faults(), &[] as &[String]);
    let answers = |asked: &str| {
        let mut answers = ask(&node, asked).answer;
        answers.sort();
        answers
    };
    let set = |at: &str, healthy| {
        let check = HealthCheckId(format!("balancer/{at}"));
        assert!(node.board().set(&check, healthy));
    };
    let all = ["127.32.1.1", "127.33.1.1", "127.34.1.1"];
    let of = |asked: &str, which: &[&str]| -> Vec<String> {
        let lines = which.iter().map(|at| format!("{asked}. 60 A {at}"));
        lines.collect()
    };
    for asked in [target, "www.example.com", "app.example.com"] {
        assert_eq!(answers(asked), of(asked, &all));
    }
    set("127.33.1.1", false);
    for asked in [target, "www.example.com", "app.example.com"] {
        assert_eq!(answers(asked), of(asked, &[all[0], all[2]]));
    }
    set("127.32.1.1", false);
    set("127.34.1.1", false);
    // None is healthy: all are answered, and whoever has another way takes that.
    for asked in [target, "www.example.com"] {
        assert_eq!(answers(asked), of(asked, &all));
    }
    assert_eq!(
        answers("app.example.com"),
        ["app.example.com. 60 A 192.0.2.9"]
    );
}

#[test]
fn of_two_zones_with_one_name_the_first_answers() {
    let (one, two) = (zone("Z1", "example.com"), zone("Z2", "example.com"));
    let mut view = View::default();
    view.change(|view| {
        view.zone(&one);
        view.zone(&two);
        view.group(&one, &[set("www.example.com 1 A 192.0.2.1")]);
        view.group(&two, &[set("www.example.com 1 A 192.0.2.2")]);
    });
    let node = Node::new(Locator::new(None));
    node.refresh(&view);
    assert_eq!(
        ask(&node, "www.example.com").answer,
        ["www.example.com. 1 A 192.0.2.1"]
    );
    assert_eq!(node.snapshot().faults().len(), 1);
}

#[test]
fn a_verdict_is_answered_by_at_once_and_outlives_a_refresh() {
    let zone = zone("Z1", "example.com");
    let failover = |address: &str, role| {
        let record = set(&format!("www.example.com 1 A {address}"));
        selected(record, address, Policy::Failover(role))
    };
    let sets = [
        checked(failover("192.0.2.1", routing::FailoverRole::Primary), "one"),
        failover("192.0.2.2", routing::FailoverRole::Secondary),
    ];
    let mut view = View::default();
    view.change(|view| {
        view.zone(&zone);
        view.group(&zone, &sets);
    });
    let node = Node::new(Locator::new(None));
    // A verdict may be known before the record that asks for it.
    node.board().set(&HealthCheckId("one".to_owned()), false);
    node.refresh(&view);
    assert_eq!(
        ask(&node, "www.example.com").answer,
        ["www.example.com. 1 A 192.0.2.2"]
    );
    node.board().set(&HealthCheckId("one".to_owned()), true);
    assert_eq!(
        ask(&node, "www.example.com").answer,
        ["www.example.com. 1 A 192.0.2.1"]
    );
    node.board().set(&HealthCheckId("one".to_owned()), false);
    for _ in 0..3 {
        view.change(|view| view.zone(&zone));
        node.refresh(&view);
        assert_eq!(
            ask(&node, "www.example.com").answer,
            ["www.example.com. 1 A 192.0.2.2"]
        );
    }
}

#[test]
fn an_explanation_says_every_step() {
    let latency = |region: &str, target: &str| {
        let record = alias("www.example.com", routing::RecordKind::A, target, true);
        selected(record, region, Policy::Latency(region.parse().unwrap()))
    };
    let weighted = |owner: &str, number: u8, weight: u8, check: &str| {
        let record = set(&format!("{owner} 60 A 192.0.2.{number}"));
        let record = selected(record, &number.to_string(), Policy::Weighted(weight));
        checked(record, check)
    };
    let records = vec![
        latency("us-east-1", "use1.example.com"),
        latency("eu-west-1", "euw1.example.com"),
        weighted("use1.example.com", 1, 10, "a"),
        weighted("use1.example.com", 2, 10, "b"),
        weighted("euw1.example.com", 3, 1, "c"),
        set("alias.example.com 5 CNAME www.example.com"),
    ];
    let server = Server::new(vec![(zone("Z1", "example.com"), records)]);
    for check in ["a", "b"] {
        server.board.set(&HealthCheckId(check.to_owned()), false);
    }
    let context = AnswerContext {
        board: &server.board,
        locator: &server.locator,
    };
    let inquiry = Inquiry {
        name: name("alias.example.com"),
        kind: routing::RecordKind::A,
        source: types::Place("us-east-2".parse().unwrap()).address(1).into(),
        subnet: None,
    };
    let explained = server
        .snapshot
        .explain(&inquiry, &context, &mut SmallRandom::new(1));
    assert_eq!(
        explained.lines(),
        [
            "alias.example.com. A",
            "client 127.64.2.1, by place: at us-east-2 OH US NA",
            "zone example.com. (Z1)",
            "alias.example.com. exists",
            "  alias.example.com. CNAME: simple routing",
            "    chosen",
            "www.example.com. exists",
            "  www.example.com. A: latency routing",
            "    us-east-1 (us-east-1, 11 ms): unhealthy, as its target use1.example.com. is looked \
             at",
            "    eu-west-1 (eu-west-1, 85 ms): healthy, as its target euw1.example.com. is looked at",
            "    chosen: eu-west-1, an alias of euw1.example.com.",
            "  euw1.example.com. A: weighted routing",
            "    3 (weight 1): healthy, health check c is healthy",
            "    chosen: 3",
            "NOERROR",
            "  alias.example.com. 5 CNAME www.example.com.",
            "  www.example.com. 60 A 192.0.2.3",
        ]
    );
    let json = serde_json::to_value(&explained).unwrap();
    assert_eq!(json["steps"][1]["step"], "group");
    assert_eq!(json["answer"][1]["value"], "192.0.2.3");
    assert!(
        explained
            .steps
            .iter()
            .any(|step| matches!(step, Step::Considered(_)))
    );

    // A subnet that a resolver tells decides in its place.
    let inquiry = Inquiry {
        name: name("www.example.com"),
        subnet: Some((
            types::Place("eu-west-1".parse().unwrap()).address(1).into(),
            24,
        )),
        ..inquiry
    };
    let explained = server
        .snapshot
        .explain(&inquiry, &context, &mut SmallRandom::new(1));
    assert!(explained.client.by_subnet);
    assert_eq!(explained.client.anchor.unwrap().name(), "eu-west-1");
    let inquiry = Inquiry {
        name: name("example.net"),
        subnet: None,
        ..inquiry
    };
    let explained = server
        .snapshot
        .explain(&inquiry, &context, &mut SmallRandom::new(1));
    assert_eq!((explained.rcode, explained.zone), ("REFUSED", None));
}

#[test]
fn many_zones_compile_and_only_what_changed_is_compiled_again() {
    let mut view = View::default();
    let zones: Vec<Zone> = (0..100)
        .map(|number| zone(&format!("Z{number}"), &format!("z{number}.example")))
        .collect();
    view.change(|view| {
        for zone in &zones {
            view.zone(zone);
            for host in 0..20 {
                let address = Ipv4Addr::from(0x0a00_0000 + host);
                let line = format!("h{host}.{} 60 A {address}", zone.name);
                view.group(zone, &[set(&line)]);
            }
        }
    });
    let board = HealthBoard::new();
    let first = Snapshot::compile(&view, None, &board, &Arc::default());
    assert_eq!(
        (first.zone_count(), first.record_set_count()),
        (100, 100 * 22)
    );
    let line = format!("h0.{} 60 A 192.0.2.1", zones[7].name);
    view.change(|view| view.group(&zones[7], &[set(&line)]));
    let second = Snapshot::compile(&view, Some(&first), &board, &Arc::default());
    assert_eq!(second.compiled_zones(), 1);
    assert_eq!(first.compiled_zones(), 100);
    // What is wrong with a zone is said for as long as it is.
    let line = format!("bad.{} 60 A 192.0.2", zones[7].name);
    view.change(|view| view.group(&zones[7], &[set(&line)]));
    let third = Snapshot::compile(&view, Some(&second), &board, &Arc::default());
    view.change(|view| view.zone(&zones[8]));
    let fourth = Snapshot::compile(&view, Some(&third), &board, &Arc::default());
    assert_eq!((third.compiled_zones(), fourth.compiled_zones()), (1, 1));
    assert!(
        third.faults()[0].contains("ARRDATAIllegalIPv4Address"),
        "{:?}",
        third.faults()
    );
    assert_eq!(third.faults(), fourth.faults());
}
