//! A peer that is authenticated and yet sends rubbish: an error each time, never a panic, and
//! never more memory than the window.

mod common;

use bytes::Bytes;
use common::{Pair, sessions, sites};
use link::frame::{Frame, FrameError, Kind};
use link::{
    Class, ConnectionId, Lane, Link, LinkConfig, MAXIMUM_AGE, MAXIMUM_PAYLOAD, ProtocolError,
    Windows,
};
use proptest::prelude::*;
use types::{Monotonic, Span};

const NOW: Monotonic = Monotonic(0);

/// An accepting link, and its data connection.
fn victim() -> (Link, ConnectionId) {
    let [peer, local] = sites();
    let mut link = Link::new(
        NOW,
        LinkConfig {
            local,
            peer,
            windows: Windows::STANDARD,
            maximum_age: MAXIMUM_AGE,
            seed: 0,
        },
    );
    let session = sessions()[&Class::Data][1].clone();
    let connection = link.connected(NOW, session).expect("the peer's");
    (link, connection)
}

fn frame(kind: Kind, payload: &[u8]) -> Frame {
    Frame {
        class: Class::Data,
        kind,
        last: false,
        stream: 0,
        sequence: 0,
        payload: Bytes::copy_from_slice(payload),
    }
}

fn hello() -> Frame {
    frame(Kind::Hello, &[0, 0, 0, 0, 0, 1, 0, 0, 0])
}

fn data(stream: u64, sequence: u32, last: bool, payload: &[u8]) -> Frame {
    Frame {
        last,
        stream,
        sequence,
        ..frame(Kind::Data, payload)
    }
}

fn head(lane: u8, length: u32, resource: &[u8]) -> Vec<u8> {
    let mut head = vec![lane, 1, 0, 0, 0, 1];
    head.extend(length.to_be_bytes());
    head.push(u8::try_from(resource.len()).expect("short"));
    head.extend(resource);
    head
}

fn outcome(frames: &[Frame]) -> Result<(), ProtocolError> {
    let (mut link, connection) = victim();
    let bytes: Vec<u8> = frames.iter().flat_map(Frame::encode).collect();
    let outcome = link.received(NOW, connection, &bytes);
    assert_eq!(outcome.is_err(), link.connections().next().is_none());
    // What comes after is ignored, not believed.
    if outcome.is_err() {
        assert_eq!(link.received(NOW, connection, &hello().encode()), Ok(()));
        assert!(link.next_delivery().is_none());
    }
    outcome
}

#[test]
fn each_breach_has_its_error() {
    let small = head(3, 2, b"Orders");
    let whole = [&small[..], b"ab"].concat();
    let half = [&small[..], b"a"].concat();
    let expect = |frames: &[Frame], error: ProtocolError| {
        let greeted: Vec<_> = [&[hello()], frames].concat();
        assert_eq!(outcome(&greeted), Err(error));
    };
    assert_eq!(outcome(&[hello(), data(1, 0, true, &whole)]), Ok(()));
    assert_eq!(
        outcome(&[frame(Kind::Ping, &[0; 8])]),
        Err(ProtocolError::Greeting)
    );
    expect(&[hello()], ProtocolError::Greeting);
    let foreign = Frame {
        class: Class::Bulk,
        ..frame(Kind::Close, &[])
    };
    let class = ProtocolError::Class {
        expected: Class::Data,
        found: Class::Bulk,
    };
    expect(&[foreign], class);
    expect(
        &[frame(Kind::Credit, &[0; 8])],
        ProtocolError::CreditTakenBack,
    );
    expect(&[frame(Kind::Pong, &[9; 8])], ProtocolError::Pong);
    let close = frame(Kind::Close, &[]);
    expect(&[close.clone(), close.clone()], ProtocolError::Closed);
    expect(
        &[close.clone(), data(1, 0, true, &whole)],
        ProtocolError::Closed,
    );
    expect(&[data(1, 0, false, &half), close], ProtocolError::Closed);
    expect(&[data(2, 0, true, &whole)], ProtocolError::Order);
    expect(&[data(1, 1, true, &whole)], ProtocolError::Order);
    let two = [data(1, 0, false, &half), data(2, 0, false, &half)];
    expect(&two, ProtocolError::Order);
    let gap = [data(1, 0, false, &half), data(1, 2, true, b"b")];
    expect(&gap, ProtocolError::Order);
    expect(&[data(1, 0, true, &half)], ProtocolError::Length);
    expect(&[data(1, 0, false, &whole)], ProtocolError::Length);
    let long = [data(1, 0, false, &half), data(1, 1, true, b"bc")];
    expect(&long, ProtocolError::Length);
    let empty = [data(1, 0, false, &half), data(1, 1, false, b"")];
    expect(&empty, ProtocolError::Length);
    expect(&[data(1, 0, true, b"")], ProtocolError::Head);
    for lane in [0, Lane::Council.number(), Lane::Objects.number(), 8] {
        expect(
            &[data(1, 0, true, &head(lane, 0, b""))],
            ProtocolError::Head,
        );
    }
    let huge = u32::try_from(MAXIMUM_PAYLOAD + 1).expect("fits");
    expect(
        &[data(1, 0, false, &head(3, huge, b""))],
        ProtocolError::Head,
    );
    expect(
        &[data(1, 0, true, &head(3, 0, &[0xFF]))],
        ProtocolError::Head,
    );
}

#[test]
fn who_takes_more_than_the_credit_is_cut_off() {
    let (mut link, connection) = victim();
    link.received(NOW, connection, &hello().encode())
        .expect("a greeting");
    let envelope = [&head(3, 16_000, b"")[..], &[0; 16_000]].concat();
    let mut taken = 0;
    let error = (1..).find_map(|stream| {
        let bytes = data(stream, 0, true, &envelope).encode();
        taken += bytes.len();
        link.received(NOW, connection, &bytes).err()
    });
    assert_eq!(error, Some(ProtocolError::CreditExceeded));
    assert!(taken <= Windows::STANDARD.data + 2 * 16_384, "{taken}");
}

#[test]
fn a_flood_of_heartbeats_piles_nothing_up() {
    let (mut link, connection) = victim();
    while link.transmit(NOW, connection).is_some() {}
    link.set_shape(NOW, link::Shape::default().with_cut(link::Cut::Blackhole));
    let flood: Vec<u8> = std::iter::once(hello())
        .chain((0..10_000).map(|_| frame(Kind::Ping, &[0; 8])))
        .flat_map(|frame| frame.encode())
        .collect();
    link.received(NOW, connection, &flood).expect("lawful");
    link.set_shape(NOW, link::Shape::default());
    let mut answered = 0;
    while let Some(bytes) = link.transmit(NOW, connection) {
        answered += bytes.len();
    }
    assert!(answered < 200, "{answered} bytes of answers");
}

/// The bytes that a lawful peer sends on its data connection.
fn lawful() -> Vec<u8> {
    let mut pair = Pair::connected();
    let [first, second] = [vec![1; 20_000], vec![2; 300]];
    let data = *pair.joined[0]
        .keys()
        .nth(1)
        .expect("control, data and bulk were dialled in this order");
    pair.send(0, Lane::Changes, first.into()).expect("room");
    pair.send(0, Lane::Request, second.into()).expect("room");
    let mut bytes = hello().encode().to_vec();
    while let Some(more) = pair.ends[0].transmit(pair.now, data) {
        bytes.extend_from_slice(&more);
    }
    bytes
}

#[test]
fn lawful_bytes_in_any_pieces_are_the_envelopes() {
    let bytes = lawful();
    for piece in [1, 7, 24, 16_384, bytes.len()] {
        let (mut link, connection) = victim();
        for piece in bytes.chunks(piece) {
            link.received(NOW, connection, piece).expect("lawful");
        }
        let lengths: Vec<_> = std::iter::from_fn(|| link.next_delivery())
            .map(|delivery| delivery.payload.len())
            .collect();
        assert_eq!(lengths, [20_000, 300]);
    }
}

proptest! {
    #[test]
    fn mutated_bytes_are_an_error_or_wait_and_never_a_wrong_envelope(
        at in any::<prop::sample::Index>(),
        change in 1u8..,
        piece in 1usize..20_000,
    ) {
        let mut bytes = lawful();
        let at = at.index(bytes.len());
        bytes[at] ^= change;
        let (mut link, connection) = victim();
        let mut error = None;
        for piece in bytes.chunks(piece) {
            error = error.or(link.received(NOW, connection, piece).err());
        }
        while let Some(delivery) = link.next_delivery() {
            let whole = match delivery.lane {
                Lane::Changes => vec![1; 20_000],
                _ => vec![2; 300],
            };
            prop_assert_eq!(&delivery.payload[..], &whole[..]);
        }
        if let Some(ProtocolError::Frame(FrameError::Version(version))) = error {
            prop_assert_ne!(version, 1);
        }
        // A longer length may leave the decoder waiting; silence ends that.
        if error.is_none() {
            link.next_action(NOW + Span::seconds(6));
            prop_assert!(link.connections().next().is_none());
        }
    }

    #[test]
    fn any_bytes_at_all_are_survived(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        let (mut link, connection) = victim();
        let _ = link.received(NOW, connection, &bytes);
        prop_assert!(link.next_delivery().is_none());
    }
}
