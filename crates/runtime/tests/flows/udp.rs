//! UDP flows: datagrams find their endpoint, and their way back.

use std::collections::{BTreeMap, BTreeSet};
use std::io::ErrorKind;
use std::net::{SocketAddr, UdpSocket};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use runtime::{FlowEnd, FlowEvent, FlowLimits, FlowListener, FlowProtocol, Target};

use crate::stand::{PATIENCE, Stand, target};

fn socket(address: &str) -> UdpSocket {
    let socket = UdpSocket::bind(address).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    socket
}

/// A client of these flows.
fn client(stand: &Stand) -> UdpSocket {
    let client = socket("127.0.0.1:0");
    client.connect(stand.address).unwrap();
    client
}

/// Who sent a datagram, and what was in it.
type Heard = (SocketAddr, Vec<u8>);

/// Sends every datagram back to where it came from; the datagrams and their senders so far.
fn echo() -> (SocketAddr, Arc<Mutex<Vec<Heard>>>) {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let address = socket.local_addr().unwrap();
    let heard = Arc::new(Mutex::new(Vec::new()));
    let hearing = Arc::clone(&heard);
    std::thread::spawn(move || {
        let mut buffer = vec![0; 65_536];
        while let Ok((length, from)) = socket.recv_from(&mut buffer) {
            let datagram = buffer[..length].to_vec();
            hearing.lock().unwrap().push((from, datagram));
            socket.send_to(&buffer[..length], from).unwrap();
        }
    });
    (address, heard)
}

fn exchange(client: &UdpSocket, datagram: &[u8]) -> Vec<u8> {
    client.send(datagram).unwrap();
    let mut buffer = vec![0; 65_536];
    let length = client.recv(&mut buffer).unwrap();
    buffer.truncate(length);
    buffer
}

fn stand(limits: FlowLimits, threads: usize, targets: Vec<Target>) -> Stand {
    Stand::of(FlowProtocol::Udp, limits, threads, targets)
}

#[test]
fn datagrams_of_any_length_go_there_and_back() {
    let (address, heard) = echo();
    let stand = stand(FlowLimits::USUAL, 1, vec![target(address)]);
    let client = client(&stand);
    for length in [0, 1, 1400, 65_507] {
        let datagram = vec![length as u8; length];
        assert_eq!(exchange(&client, &datagram), datagram);
    }
    // All by one socket: one flow.
    let senders: BTreeSet<SocketAddr> = heard
        .lock()
        .unwrap()
        .iter()
        .map(|(from, _)| *from)
        .collect();
    assert_eq!(senders.len(), 1);
    let counts = stand.until(|counts| counts.datagrams_to_client == 4);
    assert_eq!((counts.came, counts.live()), (1, 1));
    assert_eq!((counts.to_endpoint, counts.to_client), (66_908, 66_908));
    assert_eq!(counts.datagrams_to_endpoint, 4);
    assert_eq!(counts.dropped, 0);
}

#[test]
fn many_clients_on_two_threads_keep_their_own_answers() {
    let (address, heard) = echo();
    let stand = stand(FlowLimits::USUAL, 2, vec![target(address)]);
    let clients: Vec<UdpSocket> = (0..40).map(|_| client(&stand)).collect();
    for round in 0..20_u8 {
        for (number, client) in clients.iter().enumerate() {
            client.send(&[number as u8, round]).unwrap();
            client.send(&[number as u8, round, 2]).unwrap();
        }
        for (number, client) in clients.iter().enumerate() {
            let mut buffer = [0; 16];
            let length = client.recv(&mut buffer).unwrap();
            assert_eq!(buffer[..length], [number as u8, round]);
            let length = client.recv(&mut buffer).unwrap();
            assert_eq!(buffer[..length], [number as u8, round, 2]);
        }
    }
    let mut by_client = BTreeMap::new();
    for (from, datagram) in heard.lock().unwrap().iter() {
        let before = by_client.insert(datagram[0], *from);
        assert!(before.is_none_or(|before| before == *from), "a flow moved");
    }
    assert_eq!((by_client.len(), stand.counts().connected), (40, 40));
}

#[test]
fn a_silent_flow_ends_and_begins_again_with_the_next_datagram() {
    let (address, heard) = echo();
    let limits = FlowLimits {
        udp_idle: Duration::from_millis(100),
        ..FlowLimits::USUAL
    };
    let stand = stand(limits, 1, vec![target(address)]);
    let client = client(&stand);
    assert_eq!(exchange(&client, b"first"), b"first");
    let counts = stand.until(|counts| counts.idle == 1);
    assert_eq!((counts.ended, counts.live()), (1, 0));
    assert_eq!(exchange(&client, b"second"), b"second");
    assert_eq!(stand.counts().connected, 2);
    assert_eq!(heard.lock().unwrap().len(), 2);
    let events = stand.events();
    assert!(
        matches!(
            events[1].1,
            FlowEvent::Ended {
                to_endpoint: 5,
                to_client: 5,
                end: FlowEnd::Idle,
                ..
            }
        ),
        "{events:?}"
    );
}

#[test]
fn a_flow_whose_endpoint_refuses_goes_to_the_next_unless_it_had_answered() {
    let gone = socket("127.9.9.7:0").local_addr().unwrap();
    let (address, _) = echo();
    let stand = stand(FlowLimits::USUAL, 1, vec![target(gone), target(address)]);
    let client = client(&stand);
    client.send(b"lost").unwrap();
    stand.until(|counts| counts.failed_attempts == 1);
    assert_eq!(exchange(&client, b"again"), b"again");
    assert_eq!(stand.counts().live(), 1);
    assert_eq!(
        stand.events()[1],
        (u32::from(gone.port()), FlowEvent::Refused)
    );
    // One that has answered, and then goes.
    let first = socket("127.9.9.7:0");
    let mut targets = stand.steer.targets.lock().unwrap();
    targets[0] = target(first.local_addr().unwrap());
    drop(targets);
    let client = self::client(&stand);
    client.send(b"one").unwrap();
    let mut buffer = [0; 8];
    let (length, from) = first.recv_from(&mut buffer).unwrap();
    first.send_to(&buffer[..length], from).unwrap();
    assert_eq!(client.recv(&mut buffer).unwrap(), 3);
    drop(first);
    for _ in 0..3 {
        client.send(b"two").unwrap();
    }
    client
        .set_read_timeout(Some(Duration::from_millis(100)))
        .unwrap();
    let error = client.recv(&mut buffer).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::WouldBlock);
    assert_eq!(stand.counts().live(), 2);
}

#[test]
fn with_as_many_flows_as_may_be_new_ones_are_dropped_and_old_ones_go_on() {
    let (address, _) = echo();
    let limits = FlowLimits {
        udp_flows: 2,
        ..FlowLimits::USUAL
    };
    let stand = stand(limits, 1, vec![target(address)]);
    let clients: Vec<UdpSocket> = (0..3).map(|_| client(&stand)).collect();
    assert_eq!(exchange(&clients[0], b"a"), b"a");
    assert_eq!(exchange(&clients[1], b"b"), b"b");
    clients[2].send(b"c").unwrap();
    let counts = stand.until(|counts| counts.dropped == 1);
    assert_eq!((counts.no_room, counts.live()), (1, 2));
    assert_eq!(exchange(&clients[0], b"still"), b"still");
}

#[test]
fn flows_that_nobody_answers_make_room_for_others() {
    let mute = socket("127.0.0.1:0");
    let limits = FlowLimits {
        udp_flows: 3,
        ..FlowLimits::USUAL
    };
    let stand = stand(limits, 1, vec![target(mute.local_addr().unwrap())]);
    let flood: Vec<UdpSocket> = (0..2).map(|_| client(&stand)).collect();
    let (answered, new) = (client(&stand), client(&stand));
    answered.send(b"answer this").unwrap();
    let mut buffer = [0; 16];
    let (length, from) = mute.recv_from(&mut buffer).unwrap();
    mute.send_to(&buffer[..length], from).unwrap();
    assert_eq!(answered.recv(&mut buffer).unwrap(), 11);
    for one in &flood {
        one.send(b"x").unwrap();
    }
    stand.until(|counts| counts.live() == 3);
    let started = Instant::now();
    while stand.counts().idle == 0 {
        new.send(b"y").unwrap();
        std::thread::sleep(Duration::from_millis(50));
        assert!(started.elapsed() < PATIENCE);
    }
    stand.until(|counts| counts.idle == 2 && counts.live() == 2);
    // The one that was answered is still where it was.
    mute.send_to(b"more", from).unwrap();
    assert_eq!(answered.recv(&mut buffer).unwrap(), 4);
}

#[test]
fn an_endpoint_that_wants_it_is_told_the_client_before_every_datagram() {
    let endpoint = socket("127.0.0.1:0");
    let told = Target {
        proxy_header: true,
        ..target(endpoint.local_addr().unwrap())
    };
    let stand = stand(FlowLimits::USUAL, 1, vec![told]);
    let client = client(&stand);
    let from = client.local_addr().unwrap().port().to_be_bytes();
    let to = stand.address.port().to_be_bytes();
    for datagram in [b"one", b"two"] {
        client.send(datagram).unwrap();
        let mut buffer = [0; 64];
        let length = endpoint.recv(&mut buffer).unwrap();
        let expected = [
            b"\r\n\r\n\0\r\nQUIT\n\x21\x12\0\x0c\x7f\0\0\x01\x7f\0\0\x01" as &[u8],
            &from,
            &to,
            datagram,
        ];
        assert_eq!(buffer[..length], expected.concat());
    }
    let counts = stand.until(|counts| counts.datagrams_to_endpoint == 2);
    assert_eq!(counts.to_endpoint, 6);
}

#[test]
fn clients_of_ipv6_reach_an_endpoint_of_ipv4() {
    let (address, _) = echo();
    let stand = stand(FlowLimits::USUAL, 2, vec![target(address)]);
    let listener = FlowListener {
        address: "[::1]:0".parse().unwrap(),
        protocol: FlowProtocol::Udp,
    };
    assert!(stand.flows.listen(&BTreeSet::from([listener])).is_empty());
    let client = socket("[::1]:0");
    client.connect(stand.flows.listeners()[0].bound).unwrap();
    assert_eq!(exchange(&client, b"six"), b"six");
    let (flow, _) = stand.steer.asked.lock().unwrap()[0];
    assert_eq!(flow.from, client.local_addr().unwrap());
}

#[test]
fn what_is_far_away_arrives_later() {
    const DELAY: Duration = Duration::from_millis(40);
    let (address, _) = echo();
    let far = Target {
        delay: Some(DELAY),
        ..target(address)
    };
    let stand = stand(FlowLimits::USUAL, 1, vec![far]);
    let client = client(&stand);
    let started = Instant::now();
    assert_eq!(exchange(&client, b"ping"), b"ping");
    assert!(started.elapsed() >= 2 * DELAY);
    let counts = stand.until(|counts| counts.to_client == 4);
    assert_eq!(counts.to_endpoint, 4);
}

#[test]
fn flows_live_on_when_their_listener_is_closed_and_it_takes_no_others() {
    let (address, _) = echo();
    let limits = FlowLimits {
        udp_idle: Duration::from_millis(300),
        ..FlowLimits::USUAL
    };
    let stand = stand(limits, 2, vec![target(address)]);
    let (old, new) = (client(&stand), client(&stand));
    assert_eq!(exchange(&old, b"before"), b"before");
    assert!(stand.flows.listen(&BTreeSet::new()).is_empty());
    assert_eq!(exchange(&old, b"after"), b"after");
    new.set_read_timeout(Some(Duration::from_millis(50)))
        .unwrap();
    // Dropped, or refused where no flow has kept the socket.
    new.send(b"?").unwrap();
    assert!(new.recv(&mut [0]).is_err());
    new.set_read_timeout(Some(PATIENCE)).unwrap();
    // It can be had again while the old flow lives ...
    assert!(
        stand
            .flows
            .listen(&BTreeSet::from([stand.listener]))
            .is_empty()
    );
    assert_eq!(exchange(&old, b"still"), b"still");
    assert!(stand.flows.listen(&BTreeSet::new()).is_empty());
    // ... and its port is free when that is gone.
    let started = Instant::now();
    let bound = FlowListener {
        address: stand.address,
        protocol: FlowProtocol::Udp,
    };
    while UdpSocket::bind(stand.address).is_err() {
        assert!(started.elapsed() < PATIENCE);
        std::thread::sleep(Duration::from_millis(10));
    }
    assert!(stand.flows.listen(&BTreeSet::from([bound])).is_empty());
    assert_eq!(exchange(&new, b"new"), b"new");
}

#[test]
fn nothing_is_left_when_flows_stop() {
    let (address, _) = echo();
    let stand = stand(FlowLimits::USUAL, 2, vec![target(address)]);
    assert_eq!(exchange(&client(&stand), b"x"), b"x");
    let (at, steer) = (stand.address, Arc::clone(&stand.steer));
    stand.flows.stop();
    drop(UdpSocket::bind(at).unwrap());
    let events = steer.events.lock().unwrap();
    assert!(matches!(
        events.last(),
        Some((
            _,
            FlowEvent::Ended {
                end: FlowEnd::Stopped,
                ..
            }
        ))
    ));
}
