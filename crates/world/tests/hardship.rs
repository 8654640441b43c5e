//! What a Region does when a peer sends rubbish, and when its disk is full while changes arrive.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use bytes::Bytes;
use link::{Admission, Lane, Plain, Service};
use region::{LogId, Message, PeerStatus, Record};
use store::LogPosition;
use support::{
    ONE, TWO, WRITES, assert_equal, eventually, in_service, is_settled, make_table, region, write,
};
use types::{SiteId, Span, Timestamp};
use world::{Fault, World};

/// Sends something from one Region to another as the link would take it from the Region itself.
fn send(world: &World, from: SiteId, to: SiteId, lane: Lane, payload: Bytes) {
    let port = world.end_of_link(from, to);
    let plain = Plain::new(port.peer(), lane, Service(0), "", payload).unwrap();
    port.send(world.now(), &Admission::open(), plain).unwrap();
}

/// What one Region says of another.
fn said(world: &World, of: SiteId, by: SiteId) -> PeerStatus {
    let name = region(world, of).name();
    let peers = region(world, by).status().peers.into_iter();
    peers
        .into_iter()
        .find(|peer| peer.site.region() == Some(name))
        .unwrap()
}

fn a_table_in_all_regions(seed: u64) -> World {
    let mut world = World::new(seed, None);
    make_table(&mut world);
    assert_eq!(in_service(&world), 3);
    world
}

#[test]
fn rubbish_is_refused_and_counted_in_every_lane_and_replication_goes_on() {
    let mut world = a_table_in_all_regions(1);
    let mut expected = 0;
    for payload in [&b""[..], b"\x00", b"rubbish", &[1; 4_000], &[0xff; 70_000]] {
        for lane in Lane::ALL {
            let council = region(&world, TWO).council().status().refused;
            send(&world, ONE, TWO, lane, Bytes::copy_from_slice(payload));
            world.run(world.now() + Span::seconds(1));
            if lane == Lane::Council {
                let refused = region(&world, TWO).council().status().refused;
                assert_eq!(refused, council + 1, "{payload:?}");
            } else {
                expected += 1;
            }
            let counted = said(&world, ONE, TWO).refused_messages;
            assert_eq!(counted, expected, "{lane} {payload:?}");
        }
    }
    write(&mut world, ONE, "after");
    eventually(&mut world, "everything has arrived", is_settled);
    assert_equal(&world, (1 + WRITES - WRITES / 10) as u64);
}

#[test]
fn a_message_in_a_lane_where_it_has_no_business_is_refused() {
    let mut world = a_table_in_all_regions(2);
    let wall = Timestamp(0);
    let heartbeat = Message::Heartbeat { wall }.encode();
    let lanes = Lane::ALL.into_iter();
    let others = lanes.filter(|lane| ![Lane::Council, Lane::Health].contains(lane));
    for (count, lane) in others.enumerate() {
        send(&world, ONE, TWO, lane, heartbeat.clone());
        world.run(world.now() + Span::seconds(1));
        let refused = said(&world, ONE, TWO).refused_messages;
        assert_eq!(refused, count as u64 + 1, "{lane}");
    }
}

#[test]
fn changes_whose_records_make_no_sense_are_not_applied_and_the_true_ones_are() {
    let mut world = a_table_in_all_regions(3);
    eventually(&mut world, "everything has arrived", is_settled);
    for (count, service) in [1, 9].into_iter().enumerate() {
        let changes = Message::Changes {
            log: LogId(7),
            from: LogPosition(0),
            to: LogPosition(1 << 40),
            committed: Timestamp(0),
            records: vec![Record {
                service,
                bytes: Bytes::from_static(b"rubbish"),
            }],
        };
        send(&world, ONE, TWO, Lane::Changes, changes.encode());
        world.run(world.now() + Span::seconds(3));
        let peer = said(&world, ONE, TWO);
        assert_eq!(peer.refused_messages, count as u64 + 1);
        let trouble = peer.trouble.unwrap();
        assert!(trouble.contains("changes refused"), "{trouble}");
    }
    write(&mut world, ONE, "after");
    eventually(&mut world, "everything has arrived", is_settled);
    assert_eq!(said(&world, ONE, TWO).trouble, None);
    assert_equal(&world, (1 + WRITES - WRITES / 10) as u64);
}

#[test]
fn a_full_disk_is_waited_out_while_changes_arrive() {
    let mut world = a_table_in_all_regions(4);
    eventually(&mut world, "everything has arrived", is_settled);
    world.inject(Fault::DiskFull(TWO));
    write(&mut world, ONE, "full");
    world.run(world.now() + Span::seconds(20));
    let trouble = said(&world, ONE, TWO).trouble;
    assert_eq!(trouble.as_deref(), Some("the disk is full"));
    assert!(!is_settled(&world));
    let refused = said(&world, ONE, TWO).refused_messages;
    assert_eq!(refused, 0, "a full disk is not the peer's fault");
    world.inject(Fault::DiskFree(TWO));
    eventually(&mut world, "everything has arrived", is_settled);
    assert_eq!(said(&world, ONE, TWO).trouble, None);
    assert_equal(&world, (1 + WRITES - WRITES / 10) as u64);
}
