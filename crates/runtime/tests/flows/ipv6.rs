//! Flows at static IPv6 addresses, of a network that the host has for its own: by TCP and UDP, at
//! sockets of their own and behind a holder, to endpoints of both families.

use std::collections::BTreeSet;
use std::hash::{BuildHasher, RandomState};
use std::io::{Read, Write};
use std::net::{Ipv6Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use runtime::{
    Anycast, AnycastEnds, FlowKey, FlowLimits, FlowListener, FlowOptions, FlowProtocol, Flows,
    Steer, Target, Tried,
};
use socket2::{Domain, Socket, Type};

use crate::stand::{InOrder, PATIENCE, Stand, connect, echo, exchange, target};

/// The host part of the address that clients come from.
const CLIENT: u64 = 0x99;

/// Set where these tests must run, as in continuous integration: then one that can't be made fails.
const MUST: &str = "CAUSEWAY_TEST_IPV6";

/// A unique local /64 of random bits (RFC 4193) that the host takes for its own until this goes.
struct Network(u64);

impl Network {
    /// None where that needs rights that the test hasn't, or there is no IPv6: it says so.
    fn new(test: &str) -> Option<Network> {
        // The standard library's hashers are seeded at random.
        let random = RandomState::new().hash_one("network");
        let network = Network(0xfd << 56 | random >> 8);
        let added = network.route("add") && network.client("add");
        if !added {
            assert!(std::env::var_os(MUST).is_none(), "{test}: {MUST} is set");
            eprintln!("NOT TESTED: {test}: no IPv6 network can be routed to lo (not root?)");
        }
        added.then_some(network)
    }

    fn route(&self, how: &str) -> bool {
        let prefix = format!("{}/64", self.at(0));
        let words = ["-6", "route", how, "local", &prefix, "dev", "lo"];
        let run = Command::new("ip").args(words).output();
        run.is_ok_and(|output| output.status.success())
    }

    /// Gives an interface the address that clients come from: they bind to it as anybody does.
    fn client(&self, how: &str) -> bool {
        let address = format!("{}/128", self.at(CLIENT));
        let words = ["-6", "address", how, &address, "dev", "lo", "nodad"];
        let words = if how == "del" {
            &words[..6]
        } else {
            &words[..]
        };
        let run = Command::new("ip").args(words).output();
        run.is_ok_and(|output| output.status.success())
    }

    fn at(&self, host: u64) -> Ipv6Addr {
        Ipv6Addr::from_bits(u128::from(self.0) << 64 | u128::from(host))
    }

    fn socket(&self, host: u64) -> SocketAddr {
        SocketAddr::from((self.at(host), 0))
    }

    /// A connection from an address of the network.
    fn connect(&self, from: u64, to: SocketAddr) -> TcpStream {
        let socket = Socket::new(Domain::IPV6, Type::STREAM, None).unwrap();
        socket.bind(&self.socket(from).into()).unwrap();
        socket.connect(&to.into()).unwrap();
        let stream = TcpStream::from(socket);
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream
    }

    fn datagrams(&self, from: u64, to: SocketAddr) -> UdpSocket {
        let socket = UdpSocket::bind(self.socket(from)).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        socket.connect(to).unwrap();
        socket
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        let gone = [self.client("del"), self.route("del")];
        assert!(gone == [true; 2] || std::thread::panicking());
    }
}

/// An endpoint at that address, which sends back what comes after the header that tells the client.
fn endpoint(address: &str) -> SocketAddr {
    let listener = TcpListener::bind(address).unwrap();
    let bound = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        while let Ok((stream, _)) = listener.accept() {
            std::thread::spawn(move || echo(stream));
        }
    });
    let datagrams = UdpSocket::bind(bound).unwrap();
    std::thread::spawn(move || {
        let mut buffer = vec![0; 65_536];
        while let Ok((length, from)) = datagrams.recv_from(&mut buffer) {
            datagrams.send_to(&buffer[..length], from).unwrap();
        }
    });
    bound
}

/// The header of version 2 that tells of that flow: TCP over IPv6, or UDP over IPv6.
fn header(from: SocketAddr, to: SocketAddr, protocol: FlowProtocol) -> Vec<u8> {
    let octets = |address: SocketAddr| match address {
        SocketAddr::V6(address) => address.ip().octets(),
        SocketAddr::V4(address) => panic!("{address}"),
    };
    let family = match protocol {
        FlowProtocol::Tcp => 0x21,
        FlowProtocol::Udp => 0x22,
    };
    [
        b"\r\n\r\n\0\r\nQUIT\n\x21" as &[u8],
        &[family, 0, 36],
        &octets(from),
        &octets(to),
        &from.port().to_be_bytes(),
        &to.port().to_be_bytes(),
    ]
    .concat()
}

const BOTH: [FlowProtocol; 2] = [FlowProtocol::Tcp, FlowProtocol::Udp];

/// Listens at two addresses of the network, by both protocols; where.
fn listen(flows: &Flows, network: &Network) -> Vec<FlowListener> {
    let listeners = [1, 1 << 63].into_iter().flat_map(|host| {
        let address = network.socket(host);
        BOTH.map(|protocol| FlowListener { address, protocol })
    });
    let errors = flows.listen(&listeners.collect::<BTreeSet<_>>());
    assert!(errors.is_empty(), "{errors:?}");
    let states = flows.listeners().into_iter();
    let bound = states.map(|state| FlowListener {
        address: state.bound,
        ..state.listener
    });
    bound.collect()
}

/// What a client at an address of the network gets back for what it sends.
fn ask(network: &Network, at: FlowListener, length: usize, told: bool) {
    let sent: Vec<u8> = (0..length).map(|number| number as u8).collect();
    let (from, got) = match at.protocol {
        FlowProtocol::Tcp => {
            let mut client = network.connect(CLIENT, at.address);
            let from = client.local_addr().unwrap();
            client.write_all(&sent).unwrap();
            let header = if told { 52 } else { 0 };
            let mut got = vec![0; header + length];
            client.read_exact(&mut got).unwrap();
            (from, got)
        }
        FlowProtocol::Udp => {
            let client = network.datagrams(CLIENT, at.address);
            client.send(&sent).unwrap();
            let mut got = vec![0; 65_536];
            let length = client.recv(&mut got).unwrap();
            got.truncate(length);
            (client.local_addr().unwrap(), got)
        }
    };
    let expected = match told {
        true => [header(from, at.address, at.protocol), sent].concat(),
        false => sent,
    };
    assert!(got == expected, "{at:?}, {length} bytes: got {}", got.len());
}

fn steer(targets: Vec<Target>) -> Arc<InOrder> {
    let steer = Arc::new(InOrder::default());
    *steer.targets.lock().unwrap() = targets;
    steer
}

const OPTIONS: FlowOptions = FlowOptions {
    threads: 2,
    limits: FlowLimits::USUAL,
};

#[test]
fn flows_of_ipv6_come_to_endpoints_of_both_families() {
    let Some(network) = Network::new("flows_of_ipv6_come_to_endpoints_of_both_families") else {
        return;
    };
    for address in ["[::1]:0", "127.0.0.1:0"] {
        let endpoint = endpoint(address);
        for told in [false, true] {
            let target = Target {
                proxy_header: told,
                ..target(endpoint)
            };
            let steer = steer(vec![target]);
            let flows = Flows::start(OPTIONS, steer.clone() as Arc<dyn Steer>).unwrap();
            for at in listen(&flows, &network) {
                for length in [0, 1, 1400, 60_000] {
                    // Without a byte there is nothing to send back on a connection.
                    if length > 0 || at.protocol == FlowProtocol::Udp {
                        ask(&network, at, length, told);
                    }
                }
                let asked = steer.asked.lock().unwrap();
                let (key, _) = asked.last().unwrap();
                assert_eq!((key.to, key.protocol), (at.address, at.protocol));
                assert_eq!(key.from.ip(), network.at(CLIENT));
            }
        }
    }
}

#[test]
fn a_holder_hands_flows_of_ipv6_on_and_an_endpoint_that_refuses_is_passed_over() {
    let test = "a_holder_hands_flows_of_ipv6_on_and_an_endpoint_that_refuses_is_passed_over";
    let Some(network) = Network::new(test) else {
        return;
    };
    let anycast = Anycast::start(|_, _| 0).unwrap();
    let ends = anycast.attach(1).unwrap();
    let ends = AnycastEnds::from_descriptors(ends.into_descriptors()).unwrap();
    let nobody = SocketAddr::from((network.at(7), 9));
    let steer = steer(vec![target(nobody), target(endpoint("[::1]:0"))]);
    let flows = Flows::start_behind(ends, OPTIONS, steer as Arc<dyn Steer>).unwrap();
    let listeners = listen(&flows, &network);
    for at in &listeners {
        if at.protocol == FlowProtocol::Tcp {
            ask(&network, *at, 1, false);
            let mut client = network.connect(CLIENT, at.address);
            let bytes: Vec<u8> = (0..100_000).map(|number| number as u8).collect();
            for piece in bytes.chunks(3_000) {
                assert!(exchange(&mut client, piece) == piece);
            }
            continue;
        }
        // The datagram that is refused is lost; the next goes to the next endpoint.
        let client = network.datagrams(CLIENT, at.address);
        client.send(b"lost").unwrap();
        client.set_read_timeout(Some(PATIENCE / 100)).unwrap();
        let mut buffer = [0; 64];
        let begun = Instant::now();
        let answer = loop {
            client.send(b"six").unwrap();
            match client.recv(&mut buffer) {
                Ok(length) => break &buffer[..length],
                Err(_) => assert!(begun.elapsed() < PATIENCE),
            }
        };
        assert_eq!(answer, b"six");
    }
    let state = anycast.state().unwrap();
    assert_eq!((state.listeners, state.dropped), (4, 0));
    assert!(state.members[0].handed >= 4, "{state:?}");
    assert!(state.members[0].datagrams >= 4, "{state:?}");
}

/// A client of datagrams next to that address, of its family.
fn datagrams(network: &Network, to: SocketAddr) -> UdpSocket {
    if to.is_ipv6() {
        return network.datagrams(CLIENT, to);
    }
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    socket.connect(to).unwrap();
    socket
}

fn answered(client: &UdpSocket, question: &[u8]) {
    client.send(question).unwrap();
    let mut buffer = [0; 64];
    let length = client.recv(&mut buffer).unwrap();
    assert_eq!(&buffer[..length], question);
}

#[test]
fn datagrams_of_both_families_that_are_relayed_together_stay_apart() {
    let test = "datagrams_of_both_families_that_are_relayed_together_stay_apart";
    let Some(network) = Network::new(test) else {
        return;
    };
    // Those that arrive late wait beside each other, too.
    for (address, delay) in [
        ("[::1]:0", None),
        ("127.0.0.1:0", None),
        ("[::1]:0", Some(Duration::from_millis(3))),
    ] {
        let anycast = Anycast::start(|_, _| 0).unwrap();
        let ends = anycast.attach(1).unwrap();
        let ends = AnycastEnds::from_descriptors(ends.into_descriptors()).unwrap();
        let target = Target {
            delay,
            ..target(endpoint(address))
        };
        let steer = steer(vec![target]);
        let flows = Flows::start_behind(ends, OPTIONS, steer.clone() as Arc<dyn Steer>).unwrap();
        let wanted = [network.socket(1), "127.0.0.1:0".parse().unwrap()];
        let wanted = wanted.map(|address| FlowListener {
            address,
            protocol: FlowProtocol::Udp,
        });
        assert_eq!(flows.listen(&BTreeSet::from(wanted)).len(), 0);
        let states = flows.listeners();
        let clients: Vec<UdpSocket> = (0..6)
            .map(|number| datagrams(&network, states[number % 2].bound))
            .collect();
        const EACH: u8 = 30;
        for number in 0..EACH {
            for (index, client) in clients.iter().enumerate() {
                client.send(&[index as u8, number]).unwrap();
            }
        }
        for (index, client) in clients.iter().enumerate() {
            for number in 0..EACH {
                let mut buffer = [0; 8];
                let length = client.recv(&mut buffer).unwrap();
                assert_eq!(buffer[..length], [index as u8, number]);
            }
        }
        let asked = steer.asked.lock().unwrap();
        let alike = |(key, _): &(FlowKey, Tried)| key.from.is_ipv6() == key.to.is_ipv6();
        assert!(asked.len() == clients.len() && asked.iter().all(alike));
        assert_eq!(anycast.state().unwrap().dropped, 0);
    }
}

#[test]
fn one_that_is_drained_keeps_its_flows_of_ipv6_and_what_is_new_comes_to_the_next() {
    let test = "one_that_is_drained_keeps_its_flows_of_ipv6_and_what_is_new_comes_to_the_next";
    let Some(network) = Network::new(test) else {
        return;
    };
    let anycast = Anycast::start(|_, number| u64::from(number)).unwrap();
    let behind = |number, address| {
        let ends = anycast.attach(number).unwrap();
        let ends = AnycastEnds::from_descriptors(ends.into_descriptors()).unwrap();
        let steer = steer(vec![target(endpoint(address))]);
        let flows = Flows::start_behind(ends, OPTIONS, steer.clone() as Arc<dyn Steer>).unwrap();
        (flows, steer)
    };
    let (near, next) = (behind(1, "[::1]:0"), behind(2, "127.0.0.1:0"));
    let listeners = listen(&near.0, &network);
    assert_eq!(listen(&next.0, &network), listeners);
    let came = || [&near, &next].map(|(_, steer)| steer.asked.lock().unwrap().len());
    let held = listeners.iter().map(|at| match at.protocol {
        FlowProtocol::Tcp => {
            let mut client = network.connect(CLIENT, at.address);
            assert_eq!(exchange(&mut client, b"before"), b"before");
            (Some(client), None)
        }
        FlowProtocol::Udp => {
            let client = network.datagrams(CLIENT, at.address);
            answered(&client, b"before");
            (None, Some(client))
        }
    });
    let held: Vec<_> = held.collect();
    assert_eq!(came(), [4, 0]);
    anycast.drain(1, true);
    for at in &listeners {
        ask(&network, *at, 100, false);
    }
    assert_eq!(came(), [4, 4]);
    for (connection, conversation) in held {
        if let Some(mut client) = connection {
            assert_eq!(exchange(&mut client, b"still"), b"still");
        }
        if let Some(client) = conversation {
            answered(&client, b"still");
        }
    }
    assert_eq!(came(), [4, 4], "what it had is the same flow");
    anycast.drain(1, false);
    for at in &listeners {
        ask(&network, *at, 100, false);
    }
    assert_eq!(came(), [8, 4]);
}

#[test]
fn records_of_flows_of_ipv6_have_the_addresses_of_both_families() {
    let test = "records_of_flows_of_ipv6_have_the_addresses_of_both_families";
    let Some(network) = Network::new(test) else {
        return;
    };
    for address in ["[::1]:0", "127.0.0.1:0"] {
        let to = endpoint(address);
        let told = Target {
            proxy_header: true,
            ..target(to)
        };
        let steer = steer(vec![told]);
        let options = FlowOptions {
            limits: FlowLimits {
                window: Duration::from_millis(100),
                ..FlowLimits::USUAL
            },
            ..OPTIONS
        };
        let flows = Flows::start(options, steer.clone() as Arc<dyn Steer>).unwrap();
        let listeners = listen(&flows, &network);
        flows.record(listeners.iter().map(|at| at.address.ip()).collect());
        for at in listeners {
            ask(&network, at, 1000, true);
            let begun = Instant::now();
            let records = loop {
                let records = steer.records.lock().unwrap().clone();
                let of_it = records.into_iter().filter(|record| {
                    (record.flow.to, record.flow.protocol) == (at.address, at.protocol)
                });
                let of_it: Vec<_> = of_it.collect();
                // The header isn't the client's, but the endpoint sends it back.
                let bytes: u64 = of_it.iter().map(|record| record.to_client.bytes).sum();
                if bytes == 1052 {
                    break of_it;
                }
                assert!(begun.elapsed() < PATIENCE, "{of_it:?}");
                std::thread::sleep(Duration::from_millis(5));
            };
            let bytes: u64 = records.iter().map(|record| record.to_endpoint.bytes).sum();
            assert_eq!(bytes, 1000);
            for record in records {
                assert_eq!(record.flow.from.ip(), network.at(CLIENT));
                assert_eq!(record.target.endpoint, to);
                let source = record.source.expect("the system says it");
                assert_eq!(source.ip(), to.ip(), "by loopback to loopback");
            }
        }
    }
}

#[test]
fn clients_of_ipv4_come_to_endpoints_of_ipv6_and_are_told_as_what_they_are() {
    let told = Target {
        proxy_header: true,
        ..target(endpoint("[::1]:0"))
    };
    for protocol in BOTH {
        let stand = Stand::of(protocol, FlowLimits::USUAL, 1, vec![told]);
        let mut got = [0; 64];
        let (from, length) = match protocol {
            FlowProtocol::Tcp => {
                let mut client = stand.connect();
                client.write_all(b"four").unwrap();
                client.read_exact(&mut got[..32]).unwrap();
                (client.local_addr().unwrap(), 32)
            }
            FlowProtocol::Udp => {
                let client = UdpSocket::bind("127.0.0.1:0").unwrap();
                client.set_read_timeout(Some(PATIENCE)).unwrap();
                client.connect(stand.address).unwrap();
                client.send(b"four").unwrap();
                let length = client.recv(&mut got).unwrap();
                (client.local_addr().unwrap(), length)
            }
        };
        let family = if protocol == FlowProtocol::Tcp {
            0x11
        } else {
            0x12
        };
        let expected = [
            b"\r\n\r\n\0\r\nQUIT\n\x21" as &[u8],
            &[family, 0, 12, 127, 0, 0, 1, 127, 0, 0, 1],
            &from.port().to_be_bytes(),
            &stand.address.port().to_be_bytes(),
            b"four",
        ];
        assert_eq!(got[..length], expected.concat());
    }
}

#[test]
fn an_address_that_the_host_lacks_is_an_error_that_keeps_no_other_from_being_listened_on() {
    let lacked = FlowListener {
        address: "[2001:db8::7]:0".parse().unwrap(),
        protocol: FlowProtocol::Tcp,
    };
    let datagrams = FlowListener {
        protocol: FlowProtocol::Udp,
        ..lacked
    };
    let own = FlowListener {
        address: "[::1]:0".parse().unwrap(),
        protocol: FlowProtocol::Tcp,
    };
    let wanted = BTreeSet::from([lacked, datagrams, own]);
    let anycast = Anycast::start(|_, _| 0).unwrap();
    let ends = anycast.attach(1).unwrap();
    let ends = AnycastEnds::from_descriptors(ends.into_descriptors()).unwrap();
    let to = target(endpoint("127.0.0.1:0"));
    let behind = Flows::start_behind(ends, OPTIONS, steer(vec![to]) as Arc<dyn Steer>).unwrap();
    let alone = Flows::start(OPTIONS, steer(vec![to]) as Arc<dyn Steer>).unwrap();
    for flows in [behind, alone] {
        let errors = flows.listen(&wanted);
        assert_eq!(errors.len(), 2, "{errors:?}");
        for error in errors {
            assert!(error.to_string().contains("[2001:db8::7]:0"), "{error}");
        }
        let states = flows.listeners();
        assert_eq!((states.len(), states[0].listener), (1, own));
        let mut client = connect(states[0].bound);
        assert_eq!(exchange(&mut client, b"served"), b"served");
    }
}
