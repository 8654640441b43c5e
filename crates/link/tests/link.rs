//! Two links and virtual time: what a link promises its users, seen from outside.

mod common;

use std::num::NonZeroU64;

use bytes::Bytes;
use common::{Pair, sessions};
use link::{
    CloseReason, ConnectionRefused, Cut, HEARTBEAT, Lane, MAXIMUM_BACKOFF, MAXIMUM_PAYLOAD,
    QUEUE_ENVELOPES, SILENCE, SendError, Shape, Windows,
};
use proptest::prelude::*;
use types::{Monotonic, Span};

fn payload(length: usize) -> Bytes {
    Bytes::from(vec![7; length])
}

fn numbered(number: u64) -> Bytes {
    Bytes::copy_from_slice(&number.to_be_bytes())
}

fn numbers(pair: &Pair, end: usize, lane: Lane) -> Vec<u64> {
    let received = pair.received[end].iter();
    received
        .filter(|received| received.lane == lane)
        .map(|received| {
            let bytes = received.payload[..8].try_into().expect("a number");
            u64::from_be_bytes(bytes)
        })
        .collect()
}

fn both(pair: &mut Pair, shape: Shape) {
    pair.ends[0].set_shape(pair.now, shape);
    pair.ends[1].set_shape(pair.now, shape);
}

#[test]
fn an_envelope_arrives_exactly_its_delay_later() {
    let mut pair = Pair::connected();
    let shape = |milliseconds| Shape::delayed(Span::milliseconds(milliseconds));
    pair.ends[0].set_shape(pair.now, shape(40));
    pair.ends[1].set_shape(pair.now, shape(110));
    let sent = pair.now;
    pair.send(0, Lane::Changes, payload(100)).expect("room");
    pair.send(0, Lane::Snapshot, payload(3 << 20))
        .expect("room");
    pair.send(1, Lane::Council, payload(100)).expect("room");
    pair.run_for(Span::seconds(1));
    let arrivals: Vec<_> = pair.received[1].iter().map(|one| one.at - sent).collect();
    assert_eq!(
        arrivals,
        [Span::milliseconds(40); 2],
        "delay doesn't limit the rate"
    );
    assert_eq!(pair.received[0][0].at - sent, Span::milliseconds(110));
    let received = &pair.received[1][0];
    assert_eq!(received.from, pair.ends[0].local());
    assert_eq!(received.resource, "resource-changes");
    assert_eq!(received.payload, payload(100));
}

#[test]
fn heartbeats_measure_the_round_trip() {
    let mut pair = Pair::connected();
    both(&mut pair, Shape::delayed(Span::milliseconds(25)));
    pair.run_for(Span::seconds(60));
    for end in &pair.ends {
        let round_trip = end.round_trip().expect("connected").0;
        assert!((49_900..50_100).contains(&round_trip), "{round_trip}");
        let heard = end.peer_last_heard().expect("heard");
        assert!(pair.now - heard <= HEARTBEAT);
    }
}

#[test]
fn a_rate_is_kept_and_used() {
    let mut pair = Pair::connected();
    let mut shape = Shape::delayed(Span::milliseconds(10));
    shape.rate = NonZeroU64::new(1_000_000);
    both(&mut pair, shape);
    let sent = pair.now;
    for _ in 0..5 {
        pair.send(0, Lane::Changes, payload(1_000_000))
            .expect("room");
    }
    pair.run_for(Span::seconds(8));
    let times: Vec<_> = pair.received[1].iter().map(|one| one.at - sent).collect();
    assert_eq!(times.len(), 5);
    for (number, time) in (1..).zip(times) {
        let least = number * 1_000_000;
        assert!(
            (least..least + least / 50).contains(&time.0),
            "envelope {number} after {time}"
        );
    }
}

#[test]
fn a_heartbeat_isnt_held_up_by_bulk() {
    let mut pair = Pair::connected();
    let mut shape = Shape::delayed(Span::milliseconds(20));
    shape.rate = NonZeroU64::new(10_000_000);
    both(&mut pair, shape);
    // 100 MiB in all, kept waiting throughout.
    let mut bulk = 100;
    let mut worst = Span::ZERO;
    while bulk > 0 {
        while bulk > 0 && pair.send(0, Lane::Snapshot, payload(1 << 20)).is_ok() {
            bulk -= 1;
        }
        let sent = pair.now;
        pair.send(0, Lane::Council, payload(100)).expect("room");
        pair.run_for(Span::milliseconds(100));
        let councils = pair.received[1]
            .iter()
            .filter(|one| one.lane == Lane::Council);
        worst = worst.max(councils.last().expect("arrived").at - sent);
    }
    assert!(
        worst <= Span::milliseconds(24),
        "{worst} at a delay of 20 ms"
    );
    let round_trip = pair.ends[0].round_trip().expect("connected");
    assert!(round_trip <= Span::milliseconds(48), "{round_trip}");
}

#[test]
fn lanes_of_a_class_take_turns_and_each_keeps_its_order() {
    let mut pair = Pair::connected();
    let mut shape = Shape::delayed(Span::ZERO);
    shape.rate = NonZeroU64::new(1_000_000);
    both(&mut pair, shape);
    let large = |number| [numbered(number), payload(1 << 20)].concat().into();
    for number in 0..3 {
        pair.send(0, Lane::Stream, large(number)).expect("room");
        pair.send(0, Lane::Changes, numbered(number)).expect("room");
    }
    let sent = pair.now;
    pair.run_for(Span::seconds(5));
    let last_change = pair.received[1]
        .iter()
        .rfind(|one| one.lane == Lane::Changes);
    let waited = last_change.expect("arrived").at - sent;
    assert!(waited < Span::milliseconds(100), "{waited} behind a stream");
    assert_eq!(numbers(&pair, 1, Lane::Stream), [0, 1, 2]);
    assert_eq!(numbers(&pair, 1, Lane::Changes), [0, 1, 2]);
}

#[test]
fn a_short_black_hole_loses_nothing() {
    let mut pair = Pair::connected();
    both(&mut pair, Shape::delayed(Span::milliseconds(30)));
    pair.send(0, Lane::Changes, numbered(1)).expect("room");
    pair.run_for(Span::milliseconds(10));
    let cut = pair.ends[0].shape().with_cut(Cut::Blackhole);
    pair.ends[0].set_shape(pair.now, cut);
    assert!(!pair.ends[0].may_connect());
    pair.send(0, Lane::Changes, numbered(2)).expect("room");
    pair.run_for(Span::seconds(3));
    assert!(pair.received[1].is_empty(), "nothing leaves");
    pair.ends[0].set_shape(pair.now, Shape::delayed(Span::milliseconds(30)));
    pair.run_for(Span::seconds(1));
    assert_eq!(numbers(&pair, 1, Lane::Changes), [1, 2]);
    assert_eq!(pair.ends[0].generation(link::Class::Data), 0);
}

#[test]
fn a_one_way_cut_is_one_way_until_heartbeats_miss() {
    for cut_end in [0, 1] {
        let mut pair = Pair::connected();
        let cut = Shape::default().with_cut(Cut::Blackhole);
        pair.ends[cut_end].set_shape(pair.now, cut);
        pair.send(1 - cut_end, Lane::Changes, numbered(1))
            .expect("room");
        pair.send(cut_end, Lane::Changes, numbered(2))
            .expect("room");
        pair.run_for(Span::seconds(1));
        assert_eq!(numbers(&pair, cut_end, Lane::Changes), [1]);
        assert!(numbers(&pair, 1 - cut_end, Lane::Changes).is_empty());
        pair.run_for(Span(SILENCE.0 + HEARTBEAT.0));
        assert!(!pair.is_connected());
        assert!(
            pair.closed
                .iter()
                .any(|(_, why)| *why == CloseReason::Silent)
        );
        assert!(pair.ends[0].generation(link::Class::Data) > 0);
        pair.run_for(Span::seconds(60));
        assert!(numbers(&pair, 1 - cut_end, Lane::Changes).is_empty());
        pair.ends[cut_end].set_shape(pair.now, Shape::default());
        pair.run_for(MAXIMUM_BACKOFF);
        assert!(pair.is_connected(), "the heal is noticed at once");
        pair.send(cut_end, Lane::Changes, numbered(3))
            .expect("room");
        pair.run_for(Span::milliseconds(1));
        assert_eq!(
            numbers(&pair, 1 - cut_end, Lane::Changes),
            [3],
            "what was queued when the connection died is lost, not repeated"
        );
    }
}

#[test]
fn a_reset_cut_closes_at_once_and_refuses() {
    for cut_end in [0, 1] {
        let mut pair = Pair::connected();
        pair.ends[cut_end].set_shape(pair.now, Shape::default().with_cut(Cut::Reset));
        pair.run_for(Span::ZERO);
        assert_eq!(pair.closed.len(), 3);
        assert!(
            pair.closed
                .iter()
                .all(|(_, why)| *why == CloseReason::Reset)
        );
        assert!(pair.ends.iter().all(|end| end.connections().count() == 0));
        let session = sessions()[&link::Class::Data][cut_end].clone();
        let refused = pair.ends[cut_end].connected(pair.now, session);
        assert_eq!(refused, Err(ConnectionRefused::Cut));
        let sent = pair.send(1 - cut_end, Lane::Changes, payload(1));
        assert_eq!(sent, Err(SendError::NotConnected(link::Class::Data)));
        pair.run_for(Span::seconds(30));
        assert!(!pair.is_connected());
        pair.ends[cut_end].set_shape(pair.now, Shape::default());
        pair.run_for(MAXIMUM_BACKOFF);
        assert!(pair.is_connected());
    }
}

#[test]
fn dials_back_off_and_stay_frequent() {
    let mut pair = Pair::new();
    pair.deaf = true;
    pair.run_for(Span::seconds(60));
    let per_class = pair.dials / 3;
    assert!((115..260).contains(&per_class), "{per_class} in a minute");
    pair.deaf = false;
    pair.run_for(MAXIMUM_BACKOFF);
    assert!(pair.is_connected());
}

#[test]
fn credit_bounds_what_waits_and_locks_nothing_up() {
    let window = 256 << 10;
    let windows = Windows {
        control: window,
        data: window,
        bulk: window,
    };
    let mut pair = Pair::with(windows, link::MAXIMUM_AGE);
    both(&mut pair, Shape::delayed(Span::milliseconds(50)));
    pair.run_for(Span::seconds(1));
    pair.consume = false;
    // Envelopes both smaller and larger than the window, in every lane of a class.
    for number in 0..8u64 {
        for lane in [Lane::Changes, Lane::Stream, Lane::Request] {
            let length = if number % 2 == 0 { 50_000 } else { 1 << 20 };
            let bytes: Bytes = [numbered(number), payload(length)].concat().into();
            pair.send(0, lane, bytes).expect("room");
        }
    }
    let mut rounds = 0;
    while pair.received[1].len() < 24 {
        pair.run_for(Span::seconds(10));
        let waiting = pair.received[1].iter().filter(|one| one.receipt.is_some());
        let bytes: usize = waiting.map(|one| one.payload.len()).sum();
        assert!(bytes <= window + 3 * (1 << 20), "{bytes} bytes wait");
        pair.consume_all(1);
        rounds += 1;
        assert!(rounds < 100, "locked up");
    }
    assert!(rounds > 1, "the window bounded nothing");
    for lane in [Lane::Changes, Lane::Stream, Lane::Request] {
        assert_eq!(numbers(&pair, 1, lane), (0..8).collect::<Vec<_>>());
    }
}

#[test]
fn a_window_as_large_as_bandwidth_times_delay_fills_the_link() {
    let mut pair = Pair::connected();
    let mut shape = Shape::delayed(Span::milliseconds(110));
    shape.rate = NonZeroU64::new(25_000_000);
    both(&mut pair, shape);
    let start = pair.now;
    let mut sent = 0;
    while sent < 50 {
        while sent < 50 && pair.send(0, Lane::Changes, payload(1 << 20)).is_ok() {
            sent += 1;
        }
        pair.run_for(Span::milliseconds(100));
    }
    pair.run_for(Span::seconds(1));
    assert_eq!(pair.received[1].len(), 50);
    let time = pair.received[1][49].at - start;
    let ideal = 50.0 * 1024.0 * 1024.0 / 25_000.0 + 110.0;
    assert!(
        time.as_milliseconds() < ideal * 1.02,
        "{time} for {ideal} ms"
    );
}

#[test]
fn the_largest_envelope_crosses() {
    let mut pair = Pair::connected();
    pair.send(0, Lane::Objects, payload(MAXIMUM_PAYLOAD))
        .expect("room");
    pair.run_for(Span::milliseconds(1));
    assert_eq!(pair.received[1][0].payload, payload(MAXIMUM_PAYLOAD));
    pair.send(0, Lane::Objects, Bytes::new()).expect("room");
    pair.run_for(Span::milliseconds(1));
    assert!(pair.received[1][1].payload.is_empty());
}

#[test]
fn a_full_queue_says_so_and_other_lanes_have_room() {
    let mut pair = Pair::connected();
    both(&mut pair, Shape::default().with_cut(Cut::Blackhole));
    for _ in 0..QUEUE_ENVELOPES {
        assert!(pair.ends[0].has_room(Lane::Changes, 1));
        pair.send(0, Lane::Changes, payload(1)).expect("room");
    }
    assert!(!pair.ends[0].has_room(Lane::Changes, 1));
    let full = pair.send(0, Lane::Changes, payload(1));
    assert_eq!(full, Err(SendError::Full(Lane::Changes)));
    pair.send(0, Lane::Request, payload(1)).expect("room");
}

#[test]
fn replacing_connections_loses_nothing_and_keeps_order() {
    let mut pair = Pair::with(Windows::STANDARD, Span::seconds(2));
    let mut shape = Shape::delayed(Span::milliseconds(80));
    shape.jitter = Span::milliseconds(20);
    shape.rate = NonZeroU64::new(2_000_000);
    both(&mut pair, shape);
    pair.run_for(Span::seconds(1));
    assert!(pair.is_connected());
    let mut count = 0;
    for round in 0..1500u64 {
        for (end, lane) in [(0, Lane::Changes), (1, Lane::Changes), (0, Lane::Stream)] {
            let length = usize::try_from(round % 40 * 1000).expect("small");
            let bytes = [numbered(round), payload(length)].concat().into();
            pair.send(end, lane, bytes).expect("room");
        }
        count += 1;
        pair.run_for(Span::milliseconds(20));
    }
    pair.run_for(Span::seconds(5));
    let all: Vec<u64> = (0..count).collect();
    assert_eq!(numbers(&pair, 1, Lane::Changes), all);
    assert_eq!(numbers(&pair, 0, Lane::Changes), all);
    assert_eq!(numbers(&pair, 1, Lane::Stream), all);
    let replaced = |(_, why): &&(usize, CloseReason)| *why == CloseReason::Replaced;
    assert_eq!(
        pair.closed.iter().filter(replaced).count(),
        pair.closed.len()
    );
    assert!(pair.closed.len() > 20, "{} replacements", pair.closed.len());
    for class in link::Class::ALL {
        assert_eq!(
            pair.ends.each_ref().map(|end| end.generation(class)),
            [0, 0]
        );
    }
}

#[test]
fn an_end_that_lost_its_connections_supersedes_them() {
    let mut pair = Pair::connected();
    let lost: Vec<_> = pair.ends[0].connections().collect();
    for connection in lost {
        // Only the dialling end notices: the other has no end of file to see.
        let other = pair.joined[0].remove(&connection).expect("joined");
        pair.joined[1].remove(&other);
        pair.ends[0].disconnected(pair.now, connection);
    }
    pair.run_for(Span::seconds(1));
    assert!(pair.is_connected());
    let superseded = [(1, CloseReason::Superseded); 3];
    assert_eq!(pair.closed, superseded);
    pair.send(1, Lane::Changes, numbered(4)).expect("room");
    pair.send(0, Lane::Changes, numbered(5)).expect("room");
    pair.run_for(Span::seconds(1));
    assert_eq!(numbers(&pair, 0, Lane::Changes), [4]);
    assert_eq!(numbers(&pair, 1, Lane::Changes), [5]);
    assert_eq!(pair.ends[1].generation(link::Class::Data), 1);
}

#[test]
fn loss_delays_and_loses_nothing() {
    let mut pair = Pair::connected();
    let mut shape = Shape::delayed(Span::milliseconds(10));
    shape.loss = 100_000;
    both(&mut pair, shape);
    for number in 0..100 {
        pair.send(0, Lane::Changes, numbered(number)).expect("room");
        pair.run_for(Span::milliseconds(50));
    }
    pair.run_for(Span::seconds(20));
    let all: Vec<u64> = (0..100).collect();
    assert_eq!(numbers(&pair, 1, Lane::Changes), all);
}

/// A schedule of everything at once, as numbers.
fn schedule(pair: &mut Pair, steps: &[(u8, u8, u16)]) {
    for &(what, which, amount) in steps {
        let end = usize::from(which % 2);
        let lane = Lane::ALL[usize::from(which / 2) % Lane::ALL.len()];
        let mut shape = pair.ends[end].shape();
        match what % 8 {
            0..=3 => {
                // Refused while there is no connection, and that is fine.
                let sent = pair.send(end, lane, payload(usize::from(amount) * 3));
                assert!(matches!(
                    sent,
                    Ok(()) | Err(SendError::NotConnected(_) | SendError::Full(_))
                ));
            }
            4 => {
                shape.delay = Span(u64::from(amount));
                shape.jitter = Span(u64::from(amount / 3));
                shape.rate = NonZeroU64::new(u64::from(amount) * 100);
                shape.loss = u32::from(amount);
                pair.ends[end].set_shape(pair.now, shape);
            }
            5 => {
                shape.cut = [None, Some(Cut::Blackhole), Some(Cut::Reset)][usize::from(amount % 3)];
                pair.ends[end].set_shape(pair.now, shape);
            }
            6 => {
                let connection = pair.ends[end].connections().nth(usize::from(amount % 3));
                if let Some(connection) = connection {
                    pair.ends[end].disconnected(pair.now, connection);
                    pair.hang_up(end, connection);
                }
            }
            _ => pair.run_for(Span(u64::from(amount) * 100)),
        }
    }
    both(pair, Shape::default());
    pair.run_for(Span::seconds(20));
}

fn trace(steps: &[(u8, u8, u16)]) -> (u32, [u64; 2]) {
    let mut pair = Pair::with(Windows::STANDARD, Span::seconds(10));
    schedule(&mut pair, steps);
    (pair.trace, pair.wire)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn whatever_happens_bytes_metered_are_bytes_framed_and_a_heal_reconnects(
        steps in proptest::collection::vec(any::<(u8, u8, u16)>(), 1..60),
    ) {
        let mut pair = Pair::with(Windows::STANDARD, Span::seconds(10));
        schedule(&mut pair, &steps);
        for end in [0, 1] {
            let traffic = pair.ends[end].traffic();
            prop_assert_eq!(traffic.framed_bytes(), pair.wire[end]);
            let payload: u64 = traffic.crossings.iter().map(|row| row.payload_bytes).sum();
            let arrived: usize = pair.received[1 - end].iter().map(|one| one.payload.len()).sum();
            prop_assert!(payload >= arrived as u64);
            let envelopes: u64 = traffic.crossings.iter().map(|row| row.envelopes).sum();
            prop_assert!(envelopes >= pair.received[1 - end].len() as u64);
        }
        prop_assert!(pair.is_connected());
        let before = pair.received[1].len();
        pair.send(0, Lane::Changes, payload(1)).expect("room after a heal");
        pair.run_for(Span::milliseconds(1));
        prop_assert_eq!(pair.received[1].len(), before + 1);
    }

    #[test]
    fn the_same_inputs_give_the_same_bytes_at_the_same_times(
        steps in proptest::collection::vec(any::<(u8, u8, u16)>(), 1..40),
    ) {
        prop_assert_eq!(trace(&steps), trace(&steps));
    }
}

#[test]
fn the_meter_counts_by_lane_service_and_resource() {
    let mut pair = Pair::connected();
    for _ in 0..3 {
        pair.send(0, Lane::Changes, payload(100)).expect("room");
        pair.send(0, Lane::Objects, payload(40_000)).expect("room");
    }
    pair.run_for(Span::milliseconds(1));
    let traffic = pair.ends[0].traffic();
    let rows = traffic.crossings.iter();
    let rows: Vec<_> = rows
        .map(|row| {
            (
                row.lane,
                &row.resource[..],
                row.envelopes,
                row.payload_bytes,
            )
        })
        .collect();
    assert_eq!(
        rows,
        [
            (Lane::Changes, "resource-changes", 3, 300),
            (Lane::Objects, "resource-objects", 3, 120_000)
        ]
    );
    assert_eq!(traffic.framed_bytes(), pair.wire[0]);
    assert!(pair.ends[1].traffic().crossings.is_empty());
}

#[test]
fn a_link_without_a_peer_sleeps_until_its_next_dial() {
    let mut pair = Pair::new();
    pair.deaf = true;
    pair.run_for(Span::seconds(3));
    let wake = pair.ends[0].next_wake().expect("the next dial");
    assert!(wake > pair.now && wake <= pair.now + MAXIMUM_BACKOFF);
    assert_eq!(pair.ends[1].next_wake(), None::<Monotonic>);
}
