//! Flows at static IPv6 addresses, of a network that the host has for its own: by TCP and UDP, at
//! sockets of their own and behind a holder, to endpoints of both families.

use std::collections::BTreeSet;
use std::hash::{BuildHasher, RandomState};
use std::io::{Read, Write};
use std::net::{Ipv6Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::process::Command;
use std::sync::Arc;

use runtime::{
    Anycast, AnycastEnds, FlowLimits, FlowListener, FlowOptions, FlowProtocol, Flows, Steer, Target,
};
use socket2::{Domain, Socket, Type};

use crate::stand::{InOrder, PATIENCE, echo, exchange, target};

/// The host part of the address that clients come from.
const CLIENT: u64 = 0x99;

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
        let begun = std::time::Instant::now();
        let answer = loop {
            client.send(b"six").unwrap();
            match client.recv(&mut buffer) {
                Ok(length) => break &buffer[..length],
                Err(_) => assert!(begun.elapsed() < PATIENCE),
            }
        };
        assert_eq!(answer, b"six");
    }
    let state = anycast.state();
    assert_eq!((state.listeners, state.dropped), (4, 0));
    assert!(state.members[0].handed >= 4, "{state:?}");
    assert!(state.members[0].datagrams >= 4, "{state:?}");
}
