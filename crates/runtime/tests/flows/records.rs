//! Flows that are recorded: each window once, the sums of all windows what was moved, and nothing
//! of flows that aren't recorded.

use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::net::{SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

use runtime::{FlowLimits, FlowProtocol, FlowRecord, Moved, Target};

use crate::stand::{PATIENCE, Stand, echoes, exchange, target};

const WINDOW: Duration = Duration::from_millis(200);

fn limits() -> FlowLimits {
    FlowLimits {
        window: WINDOW,
        ..FlowLimits::USUAL
    }
}

fn record_at(stand: &Stand, addresses: &[SocketAddr]) {
    let addresses = addresses.iter().map(SocketAddr::ip);
    stand.flows.record(addresses.collect());
}

fn records(stand: &Stand) -> Vec<FlowRecord> {
    stand.steer.records.lock().unwrap().clone()
}

/// Waits for so many records.
fn until(stand: &Stand, count: usize) -> Vec<FlowRecord> {
    let started = Instant::now();
    loop {
        let records = records(stand);
        if records.len() >= count {
            return records;
        }
        assert!(started.elapsed() < PATIENCE, "{records:?}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

fn sums(records: &[FlowRecord]) -> [Moved; 2] {
    let sum = |of: fn(&FlowRecord) -> Moved| {
        let moved = records.iter().map(of);
        moved.fold(Moved::default(), |sum, moved| Moved {
            packets: sum.packets + moved.packets,
            bytes: sum.bytes + moved.bytes,
        })
    };
    [
        sum(|record| record.to_endpoint),
        sum(|record| record.to_client),
    ]
}

#[test]
fn a_long_connection_has_a_record_a_window_and_one_at_its_end() {
    let address = echoes();
    let stand = Stand::new(limits(), 1, vec![target(address)]);
    record_at(&stand, &[stand.address]);
    let started = Instant::now();
    let mut client = stand.connect();
    let own = client.local_addr().unwrap();
    let mut exchanges = 0;
    while started.elapsed() < 5 * WINDOW {
        assert_eq!(exchange(&mut client, b"12345"), b"12345");
        exchanges += 1;
        std::thread::sleep(Duration::from_millis(10));
    }
    // Then it is silent for a window.
    let before = records(&stand).len();
    // About five: a thread that isn't run in time makes fewer, and a test that isn't, more.
    assert!((2..=20).contains(&before), "{before}");
    let silent = until(&stand, before + 2)[before + 1];
    assert_eq!(silent.to_endpoint, Moved::default());
    assert_eq!(silent.to_client, Moved::default());
    drop(client);
    stand.until(|counts| counts.ended == 1);
    let records = records(&stand);
    for record in &records {
        assert_eq!((record.flow.from, record.flow.to), (own, stand.address));
        assert_eq!(record.flow.protocol, FlowProtocol::Tcp);
        assert_eq!(record.target.endpoint, address);
        assert!(record.source.is_some_and(|source| source.ip() == own.ip()));
    }
    let lasted: Duration = records.iter().map(|record| record.window).sum();
    assert!(lasted >= 5 * WINDOW && lasted <= started.elapsed());
    let [to_endpoint, to_client] = sums(&records);
    let counts = stand.counts();
    assert_eq!(to_endpoint.bytes, 5 * exchanges);
    assert_eq!(
        [to_endpoint.bytes, to_client.bytes],
        [counts.to_endpoint, counts.to_client]
    );
    // Each piece is a segment of its own; the other direction acknowledges, and closes.
    for moved in [to_endpoint, to_client] {
        assert!(
            (exchanges..=2 * exchanges + 8).contains(&moved.packets),
            "{moved:?} of {exchanges}"
        );
    }
}

#[test]
fn a_connection_is_recorded_from_when_that_is_wanted_until_it_isn_t() {
    let stand = Stand::new(limits(), 1, vec![target(echoes())]);
    let mut client = stand.connect();
    assert_eq!(exchange(&mut client, b"before"), b"before");
    std::thread::sleep(2 * WINDOW);
    assert_eq!(records(&stand), []);
    record_at(&stand, &[stand.address]);
    // It is noticed at the next sweep, with nothing moved until then.
    let first = until(&stand, 1)[0];
    assert_eq!([first.to_endpoint, first.to_client], [Moved::default(); 2]);
    assert_eq!(exchange(&mut client, b"meanwhile"), b"meanwhile");
    let started = Instant::now();
    while sums(&records(&stand)).map(|moved| moved.bytes) != [9, 9] {
        assert!(started.elapsed() < PATIENCE);
        std::thread::sleep(Duration::from_millis(2));
    }
    record_at(&stand, &["127.5.5.5:1".parse().unwrap()]);
    // Its sweeps have seen it by then, on a busy machine too.
    std::thread::sleep(10 * WINDOW);
    let recorded = records(&stand).len();
    assert_eq!(exchange(&mut client, b"after"), b"after");
    drop(client);
    stand.until(|counts| counts.ended == 1);
    assert_eq!(records(&stand).len(), recorded);
}

#[test]
fn a_window_that_is_open_when_records_are_wanted_no_more_is_told_and_no_other() {
    let limits = FlowLimits {
        window: Duration::from_secs(3600),
        udp_idle: Duration::from_secs(10),
        ..FlowLimits::USUAL
    };
    let endpoint = UdpSocket::bind("127.0.0.1:0").unwrap();
    let target = target(endpoint.local_addr().unwrap());
    let stand = Stand::of(FlowProtocol::Udp, limits, 1, vec![target]);
    record_at(&stand, &[stand.address]);
    let client = UdpSocket::bind("127.0.0.1:0").unwrap();
    client.send_to(b"12345", stand.address).unwrap();
    endpoint.recv(&mut [0; 8]).unwrap();
    assert_eq!(records(&stand), []);
    record_at(&stand, &[]);
    let told = until(&stand, 1)[0];
    assert_eq!((told.to_endpoint.packets, told.to_endpoint.bytes), (1, 5));
    assert_eq!(told.target.owner, target.owner);
    client.send_to(b"67", stand.address).unwrap();
    stand.until(|counts| counts.ended == 1);
    assert_eq!(records(&stand), [told]);
}

#[test]
fn connections_of_a_listener_that_was_closed_are_recorded_from_when_that_is_wanted() {
    let stand = Stand::new(limits(), 2, vec![target(echoes())]);
    let mut client = stand.connect();
    assert_eq!(exchange(&mut client, b"before"), b"before");
    stand.flows.listen(&BTreeSet::new());
    record_at(&stand, &[stand.address]);
    until(&stand, 1);
    assert_eq!(exchange(&mut client, b"meanwhile"), b"meanwhile");
    let started = Instant::now();
    while sums(&records(&stand)).map(|moved| moved.bytes) != [9, 9] {
        assert!(started.elapsed() < PATIENCE);
        std::thread::sleep(Duration::from_millis(2));
    }
    record_at(&stand, &[]);
    std::thread::sleep(10 * WINDOW);
    let recorded = records(&stand).len();
    assert_eq!(exchange(&mut client, b"after"), b"after");
    std::thread::sleep(2 * WINDOW);
    assert_eq!(records(&stand).len(), recorded);
}

#[test]
fn what_is_listened_on_later_is_recorded_too_and_what_is_elsewhere_is_not() {
    let stand = Stand::new(limits(), 1, vec![target(echoes())]);
    record_at(&stand, &["127.5.5.5:1".parse().unwrap()]);
    let mut other = stand.listener;
    other.address = "127.5.5.5:0".parse().unwrap();
    let errors = stand.flows.listen(&BTreeSet::from([stand.listener, other]));
    assert!(errors.is_empty(), "{errors:?}");
    let states = stand.flows.listeners();
    let found = states.iter().find(|state| state.listener == other).unwrap();
    for address in [stand.address, found.bound] {
        assert_eq!(exchange(&mut crate::stand::connect(address), b"x"), b"x");
    }
    let recorded = until(&stand, 1);
    std::thread::sleep(2 * WINDOW);
    assert!(!recorded.is_empty());
    let all = records(&stand);
    assert!(
        all.iter().all(|record| record.flow.to == found.bound),
        "{all:?}"
    );
}

#[test]
fn much_is_counted_whole_also_when_it_is_spliced_and_when_it_arrives_later() {
    const LENGTH: usize = 4_000_000;
    let far = Target {
        delay: Some(Duration::from_millis(5)),
        ..target(echoes())
    };
    for target in [target(echoes()), far] {
        let stand = Stand::new(limits(), 1, vec![target]);
        record_at(&stand, &[stand.address]);
        let mut client = stand.connect();
        let mut writer = client.try_clone().unwrap();
        let sending = std::thread::spawn(move || writer.write_all(&vec![7; LENGTH]).unwrap());
        client.read_exact(&mut vec![0; LENGTH]).unwrap();
        sending.join().unwrap();
        drop(client);
        stand.until(|counts| counts.ended == 1);
        let [to_endpoint, to_client] = sums(&records(&stand));
        assert_eq!([to_endpoint.bytes, to_client.bytes], [LENGTH as u64; 2]);
        // A segment on loopback has 64 KiB at most.
        let least = (LENGTH / 65_536) as u64;
        assert!(to_endpoint.packets >= least && to_client.packets >= least);
    }
}

#[test]
fn datagrams_are_counted_one_by_one_without_the_headers_before_them() {
    let endpoint = UdpSocket::bind("127.0.0.1:0").unwrap();
    let told = Target {
        proxy_header: true,
        ..target(endpoint.local_addr().unwrap())
    };
    let limits = FlowLimits {
        udp_idle: 4 * WINDOW,
        ..limits()
    };
    let stand = Stand::of(FlowProtocol::Udp, limits, 1, vec![told]);
    record_at(&stand, &[stand.address]);
    let client = UdpSocket::bind("127.0.0.1:0").unwrap();
    client.connect(stand.address).unwrap();
    let mut from = None;
    for _ in 0..7 {
        client.send(b"four").unwrap();
        let (_, upstream) = endpoint.recv_from(&mut [0; 64]).unwrap();
        from = Some(upstream);
    }
    for _ in 0..3 {
        endpoint.send_to(b"sixsix", from.unwrap()).unwrap();
        client.recv(&mut [0; 64]).unwrap();
    }
    // It is silent, and ends.
    stand.until(|counts| counts.idle == 1);
    let records = records(&stand);
    assert!((1..=20).contains(&records.len()), "{records:?}");
    let moved = |packets, bytes| Moved { packets, bytes };
    assert_eq!(sums(&records), [moved(7, 28), moved(3, 18)]);
    assert_eq!(records[0].source, from);
    assert!(records[0].target.proxy_header);
}

#[test]
fn a_datagram_flow_that_moves_on_has_a_record_at_either_endpoint() {
    // The first has gone.
    let gone = UdpSocket::bind("127.0.0.1:0").unwrap();
    let first = gone.local_addr().unwrap();
    drop(gone);
    let second = UdpSocket::bind("127.0.0.1:0").unwrap();
    let targets = vec![target(first), target(second.local_addr().unwrap())];
    let stand = Stand::of(FlowProtocol::Udp, limits(), 1, targets);
    record_at(&stand, &[stand.address]);
    let client = UdpSocket::bind("127.0.0.1:0").unwrap();
    client.connect(stand.address).unwrap();
    second
        .set_read_timeout(Some(Duration::from_millis(20)))
        .unwrap();
    let started = Instant::now();
    loop {
        client.send(b"x").unwrap();
        if second.recv(&mut [0]).is_ok() {
            break;
        }
        assert!(started.elapsed() < PATIENCE);
    }
    let records = until(&stand, 2);
    assert_eq!(records[0].target.endpoint, first);
    let later = records.iter().skip(1);
    for record in later {
        assert_eq!(record.target.endpoint, second.local_addr().unwrap());
    }
    assert!(sums(&records[1..])[0].packets >= 1);
}
