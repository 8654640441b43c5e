//! Snapshots of a configuration: compiled anew only where something changed, and kept as it was
//! where something can't be read.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod common;

use std::collections::BTreeMap;

use accelerator::model::{Accelerator, AcceleratorId, ClientAffinity, PortRange, Protocol};
use accelerator::{
    Board, ChooseContext, HealthState, Node, Snapshot, Tried, Why, codec, health_checks, keys,
};
use bytes::Bytes;
use common::*;
use types::{BalancerDirectory, ConfigurationEntry, ConfigurationView, HealthCheckId};

/// A configuration in memory that knows what changed since its last revision.
#[derive(Default)]
struct View {
    revision: u64,
    entries: BTreeMap<String, (u64, Bytes)>,
    /// It can't tell what changed.
    forgets: bool,
}

impl View {
    fn put(&mut self, accelerator: &Accelerator) {
        self.put_bytes(
            &keys::accelerator(&accelerator.id),
            codec::encode(accelerator),
        );
    }

    fn put_bytes(&mut self, key: &str, value: Bytes) {
        self.revision += 1;
        self.entries.insert(key.to_owned(), (self.revision, value));
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
        for (key, (revision, value)) in &self.entries {
            if key.starts_with(prefix) {
                visitor(key, *revision, value);
            }
        }
    }

    fn visit_changes(
        &self,
        prefix: &str,
        since: u64,
        visitor: &mut dyn FnMut(&str, Option<ConfigurationEntry<'_>>),
    ) -> bool {
        for (key, (revision, value)) in &self.entries {
            if !self.forgets && key.starts_with(prefix) && *revision > since {
                visitor(key, Some((*revision, value)));
            }
        }
        !self.forgets
    }
}

/// The accelerator of that number with an endpoint of its own.
fn simple(number: u8) -> Accelerator {
    let endpoint = format!("10.0.{number}.1");
    let group = group("us-east-1", 100, &[(&endpoint, 128)]);
    accelerator(number, vec![listener(ClientAffinity::None, vec![group])])
}

fn where_to(snapshot: &Snapshot, board: &Board) -> String {
    let context = ChooseContext {
        board,
        place: region("us-east-1"),
    };
    let choice = snapshot.choose(&flow(1), &context, &Tried::NONE);
    choice.unwrap().address.ip().to_string()
}

#[test]
fn only_what_changed_is_compiled() {
    let (mut view, board) = (View::default(), Board::new());
    view.put(&simple(1));
    view.put(&simple(2));
    let first = Snapshot::compile(&view, None, &board, &BalancerDirectory::default());
    assert_eq!(
        (first.accelerator_count(), first.compiled_accelerators()),
        (2, 2)
    );
    let mut changed = simple(2);
    changed.listeners[0].groups[0].endpoints[0].weight = 7;
    view.put(&changed);
    let second = Snapshot::compile(&view, Some(&first), &board, &BalancerDirectory::default());
    assert_eq!(
        (second.accelerator_count(), second.compiled_accelerators()),
        (2, 1)
    );
    view.put_bytes("routing/zone/Z1", Bytes::from_static(b"another service's"));
    let third = Snapshot::compile(&view, Some(&second), &board, &BalancerDirectory::default());
    assert_eq!(
        (third.accelerator_count(), third.compiled_accelerators()),
        (2, 0)
    );
    assert_eq!((third.revision(), third.served_through()), (4, 4));
    view.forgets = true;
    view.entries.remove(&keys::accelerator(&simple(1).id));
    view.revision += 1;
    let fourth = Snapshot::compile(&view, Some(&third), &board, &BalancerDirectory::default());
    assert_eq!(
        (fourth.accelerator_count(), fourth.compiled_accelerators()),
        (1, 0)
    );
    assert_eq!(fourth.listeners().count(), 2);
}

#[test]
fn what_cannot_be_read_is_kept_as_it_was_and_said() {
    let (mut view, board) = (View::default(), Board::new());
    view.put(&simple(1));
    let good = Snapshot::compile(&view, None, &board, &BalancerDirectory::default());
    let key = keys::accelerator(&simple(1).id);
    let mut overlapping = simple(1);
    overlapping.listeners.push(overlapping.listeners[0].clone());
    let mut twice = simple(1);
    let group = twice.listeners[0].groups[0].clone();
    twice.listeners[0].groups.push(group);
    let mut backwards = simple(1);
    backwards.listeners[0].ports = vec![PortRange { from: 9, to: 8 }];
    let mut many = simple(1);
    let endpoint = many.listeners[0].groups[0].endpoints[0].clone();
    many.listeners[0].groups[0].endpoints = vec![endpoint; 65];
    for bad in [
        Bytes::from_static(b""),
        Bytes::from_static(b"{\"format\":1}"),
        Bytes::from_static(b"{\"format\":99,\"accelerator\":{}}"),
        codec::encode(&simple(2)),
        codec::encode(&overlapping),
        codec::encode(&twice),
        codec::encode(&backwards),
        codec::encode(&many),
    ] {
        let before = view.revision;
        view.put_bytes(&key, bad.clone());
        let kept = Snapshot::compile(&view, Some(&good), &board, &BalancerDirectory::default());
        assert_eq!(kept.faults().len(), 1, "{bad:?}: {:?}", kept.faults());
        assert!(kept.faults()[0].starts_with(&key), "{:?}", kept.faults());
        assert_eq!(kept.served_through(), before, "{bad:?}");
        assert_eq!(where_to(&kept, &board), "10.0.1.1", "as it was");
        view.put_bytes("routing/zone/Z1", Bytes::new());
        let later = Snapshot::compile(&view, Some(&kept), &board, &BalancerDirectory::default());
        assert_eq!(later.served_through(), before, "still behind");
        let fresh = Snapshot::compile(&view, None, &board, &BalancerDirectory::default());
        assert_eq!((fresh.accelerator_count(), fresh.faults().len()), (0, 1));
        view.put(&simple(1));
        let mended = Snapshot::compile(&view, Some(&later), &board, &BalancerDirectory::default());
        assert_eq!(mended.served_through(), view.revision);
        assert_eq!(mended.faults(), [] as [String; 0]);
    }
}

#[test]
fn an_address_that_two_accelerators_have_is_served_for_the_first() {
    let board = Board::new();
    let mut second = simple(2);
    second.addresses = simple(1).addresses;
    let snapshot = Snapshot::of_accelerators([simple(1), second], &board);
    assert_eq!(where_to(&snapshot, &board), "10.0.1.1");
    assert_eq!(snapshot.faults().len(), 2, "{:?}", snapshot.faults());
    assert_eq!(snapshot.listeners().count(), 2);
}

#[test]
fn it_says_where_to_listen_and_what_names_stand_for() {
    let mut first = simple(1);
    first.listeners[0].ports.push(PortRange {
        from: 8_000,
        to: 8_009,
    });
    let mut second = simple(2);
    second.enabled = false;
    let board = Board::new();
    let snapshot = Snapshot::of_accelerators([first.clone(), second.clone()], &board);
    let listens: Vec<String> = snapshot
        .listeners()
        .map(|on| {
            format!(
                "{} {:?} {}-{}",
                on.address, on.protocol, on.ports.from, on.ports.to
            )
        })
        .collect();
    assert_eq!(
        listens,
        [
            "127.80.0.1 Tcp 80-80",
            "127.80.0.1 Tcp 8000-8009",
            "127.81.0.1 Tcp 80-80",
            "127.81.0.1 Tcp 8000-8009",
        ]
    );
    let names: Vec<_> = snapshot
        .dns()
        .map(|entry| (entry.label, entry.enabled))
        .collect();
    assert_eq!(
        names,
        [("a0000000000000001", true), ("a0000000000000002", false)]
    );
    assert_eq!(snapshot.dns().next().unwrap().addresses, first.addresses);
    let listener = snapshot.listener_of(address("127.81.0.1"), Protocol::Tcp, 8_005);
    assert_eq!(listener, Some((&first.id, &first.listeners[0].id)));
    assert_eq!(
        snapshot.listener_of(address("127.81.0.1"), Protocol::Udp, 80),
        None
    );

    assert!(
        !snapshot.is_healthy(&first.id, &board),
        "nothing is known yet"
    );
    for check in snapshot.checks() {
        board.set(check, HealthState::Healthy);
    }
    assert!(snapshot.is_healthy(&first.id, &board));
    assert!(!snapshot.is_healthy(&second.id, &board), "it is disabled");
    assert!(!snapshot.is_healthy(&AcceleratorId("none".to_owned()), &board));
}

/// The checks of a configuration are those that its snapshot's endpoints look at, each once.
#[test]
fn checks_are_those_that_endpoints_look_at() {
    let (mut view, board) = (View::default(), Board::new());
    let mut shared = simple(2);
    shared.listeners = simple(1).listeners;
    view.put(&simple(1));
    view.put(&shared);
    view.put(&simple(3));
    view.put_bytes("accelerator/accelerator/unreadable", Bytes::new());
    let checks = health_checks(&view);
    let mut ids: Vec<&HealthCheckId> = checks.iter().map(|check| &check.id).collect();
    let snapshot = Snapshot::compile(&view, None, &board, &BalancerDirectory::default());
    let mut looked_at: Vec<&HealthCheckId> = snapshot.checks().collect();
    assert_eq!((ids.len(), looked_at.len()), (2, 3));
    ids.sort();
    looked_at.sort();
    looked_at.dedup();
    assert_eq!(ids, looked_at);
}

#[test]
fn a_node_keeps_states_over_changes_and_refuses_what_is_older() {
    let node = Node::new();
    let mut view = View::default();
    view.put(&simple(1));
    // A site sets the states of new checks first, then serves what looks at them.
    for check in health_checks(&view) {
        node.board().set(&check.id, HealthState::Healthy);
    }
    assert!(node.refresh(&view));
    let why = |node: &Node| {
        let context = ChooseContext {
            board: node.board(),
            place: region("us-east-1"),
        };
        let snapshot = node.load();
        let choice = snapshot.choose(&flow(1), &context, &Tried::NONE);
        choice.unwrap().why
    };
    assert_eq!(why(&node), Why::Nearest);
    for _ in 0..3 {
        view.put(&simple(2));
        assert!(node.refresh(&view));
        assert_eq!(why(&node), Why::Nearest, "its state is still known");
    }
    let older = View {
        revision: 1,
        ..View::default()
    };
    assert!(!node.refresh(&older));
    assert_eq!(node.snapshot().accelerator_count(), 2);
}
