//! Flows behind addresses that another holds: the nearest has them, and the next when it is gone.

use std::collections::BTreeSet;
use std::io::{ErrorKind, Read};
use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use runtime::{
    Anycast, AnycastEnds, FlowLimits, FlowListener, FlowOptions, FlowProtocol, Flows, Steer, Target,
};

use crate::stand::{InOrder, PATIENCE, connect, echo, exchange, target};

fn on(protocol: FlowProtocol) -> FlowListener {
    FlowListener {
        address: "127.0.0.1:0".parse().unwrap(),
        protocol,
    }
}

/// Flows behind those ends, and what they listen on.
fn behind(ends: AnycastEnds, limits: FlowLimits, targets: Vec<Target>) -> (Flows, Arc<InOrder>) {
    let steer = Arc::new(InOrder::default());
    *steer.targets.lock().unwrap() = targets;
    let options = FlowOptions { threads: 2, limits };
    let ends = AnycastEnds::from_descriptors(ends.into_descriptors()).unwrap();
    let asked = Arc::clone(&steer) as Arc<dyn Steer>;
    (Flows::start_behind(ends, options, asked).unwrap(), steer)
}

fn listen(flows: &Flows, wanted: &[FlowListener]) -> Vec<SocketAddr> {
    let wanted: BTreeSet<_> = wanted.iter().copied().collect();
    let errors = flows.listen(&wanted);
    assert!(errors.is_empty(), "{errors:?}");
    flows.listeners().iter().map(|state| state.bound).collect()
}

/// An endpoint that says this to whoever connects, and sends back what it gets.
fn says(name: u8) -> SocketAddr {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        while let Ok((mut stream, _)) = listener.accept() {
            std::io::Write::write_all(&mut stream, &[name]).ok();
            std::thread::spawn(move || echo(stream));
        }
    });
    address
}

fn who(address: SocketAddr) -> u8 {
    let mut name = [0];
    connect(address).read_exact(&mut name).unwrap();
    name[0]
}

/// Of two, the one with the number that this says is near.
fn nearest(near: &Arc<AtomicU32>) -> Anycast {
    let near = Arc::clone(near);
    let far = move |_, number| u64::from(number != near.load(Ordering::Relaxed));
    Anycast::start(far).unwrap()
}

#[test]
fn a_connection_comes_to_the_nearest_and_to_the_next_when_it_is_gone() {
    let near = Arc::new(AtomicU32::new(1));
    let anycast = nearest(&near);
    let usual = FlowLimits::USUAL;
    let one = behind(anycast.attach(1).unwrap(), usual, vec![target(says(b'1'))]);
    let two = behind(anycast.attach(2).unwrap(), usual, vec![target(says(b'2'))]);
    let address = listen(&one.0, &[on(FlowProtocol::Tcp)])[0];
    assert_eq!(who(address), b'1');
    near.store(2, Ordering::Relaxed);
    // The nearer one doesn't listen there yet.
    assert_eq!(who(address), b'1');
    assert_eq!(listen(&two.0, &[on(FlowProtocol::Tcp)]), [address]);
    for _ in 0..20 {
        assert_eq!(who(address), b'2');
    }
    assert_eq!(two.0.listeners()[0].counts.came, 20);
    let asked = two.1.asked.lock().unwrap().clone();
    assert!(asked.iter().all(|(key, _)| key.to == address));

    let mut held = connect(address);
    assert_eq!(exchange_after_name(&mut held, b"hello"), b"hello");
    drop(two);
    anycast.detach(2);
    for _ in 0..20 {
        assert_eq!(who(address), b'1');
    }
    // What it carried has ended with it.
    let mut rest = [0; 8];
    assert!(matches!(held.read(&mut rest), Ok(0) | Err(_)));

    // Nobody listens there any more.
    listen(&one.0, &[]);
    let refused = std::net::TcpStream::connect(address).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::ConnectionRefused);
    assert_eq!(anycast.state().unwrap().listeners, 0);
}

fn exchange_after_name(stream: &mut std::net::TcpStream, bytes: &[u8]) -> Vec<u8> {
    stream.read_exact(&mut [0]).unwrap();
    exchange(stream, bytes)
}

#[test]
fn an_address_that_somebody_has_is_an_error_and_the_rest_is_listened_on() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = FlowListener {
        address: listener.local_addr().unwrap(),
        protocol: FlowProtocol::Tcp,
    };
    let anycast = Anycast::start(|_, _| 0).unwrap();
    let usual = FlowLimits::USUAL;
    let (flows, _) = behind(anycast.attach(1).unwrap(), usual, vec![target(says(b'1'))]);
    let wanted = BTreeSet::from([on(FlowProtocol::Tcp), taken]);
    let errors = flows.listen(&wanted);
    assert_eq!(errors.len(), 1, "{errors:?}");
    assert!(errors[0].to_string().contains("taken by another process"));
    assert_eq!(flows.listeners().len(), 1);
    assert_eq!(who(flows.listeners()[0].bound), b'1');
    // Free again, it is there with the next call.
    drop(listener);
    assert!(flows.listen(&wanted).is_empty());
    assert_eq!(who(taken.address), b'1');
}

#[test]
fn with_no_room_connections_wait_and_none_is_lost() {
    let limits = FlowLimits {
        // One is kept for the connection that comes next.
        tcp_flows: 3,
        ..FlowLimits::USUAL
    };
    let anycast = Anycast::start(|_, _| 0).unwrap();
    let targets = vec![target(says(b'1'))];
    let (flows, _) = behind(anycast.attach(1).unwrap(), limits, targets);
    let address = listen(&flows, &[on(FlowProtocol::Tcp)])[0];
    let mut open: Vec<_> = (0..12).map(|_| connect(address)).collect();
    let mut served = 0;
    while let Some(mut stream) = open.pop() {
        // Whoever is served makes room for another.
        stream
            .set_read_timeout(Some(Duration::from_millis(50)))
            .unwrap();
        match stream.read(&mut [0]) {
            Ok(1) => served += 1,
            _ => open.insert(0, stream),
        }
    }
    assert_eq!(served, 12);
}

/// An endpoint that answers each datagram with its name before it.
fn datagrams(name: u8) -> SocketAddr {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let address = socket.local_addr().unwrap();
    std::thread::spawn(move || {
        let mut buffer = vec![0; 65_536];
        while let Ok((length, from)) = socket.recv_from(&mut buffer) {
            let length = length.min(65_506);
            let answer = [&[name], &buffer[..length]].concat();
            socket.send_to(&answer, from).unwrap();
        }
    });
    address
}

fn ask(client: &UdpSocket, question: &[u8]) -> Vec<u8> {
    let mut buffer = vec![0; 65_536];
    client.send(question).unwrap();
    let length = client.recv(&mut buffer).unwrap();
    buffer.truncate(length);
    buffer
}

#[test]
fn datagrams_come_to_the_nearest_stay_with_it_and_their_answers_leave_from_the_address() {
    let near = Arc::new(AtomicU32::new(1));
    let anycast = nearest(&near);
    let usual = FlowLimits::USUAL;
    let one = behind(
        anycast.attach(1).unwrap(),
        usual,
        vec![target(datagrams(b'1'))],
    );
    let two = behind(
        anycast.attach(2).unwrap(),
        usual,
        vec![target(datagrams(b'2'))],
    );
    let address = listen(&one.0, &[on(FlowProtocol::Udp)])[0];
    assert_eq!(listen(&two.0, &[on(FlowProtocol::Udp)]), [address]);
    let client = UdpSocket::bind("127.0.0.1:0").unwrap();
    client.set_read_timeout(Some(PATIENCE)).unwrap();
    client.connect(address).unwrap();
    for length in [0, 1, 1400, 65_506] {
        let question = vec![length as u8; length];
        assert_eq!(ask(&client, &question), [b"1", &question[..]].concat());
    }
    // Another is nearer now: what has begun stays.
    near.store(2, Ordering::Relaxed);
    assert_eq!(ask(&client, b"a"), b"1a");
    let other = UdpSocket::bind("127.0.0.1:0").unwrap();
    other.set_read_timeout(Some(PATIENCE)).unwrap();
    other.connect(address).unwrap();
    assert_eq!(ask(&other, b"b"), b"2b");
    // Many at once, of two clients.
    for number in 0..20_u8 {
        client.send(&[number]).unwrap();
        other.send(&[number]).unwrap();
    }
    let mut buffer = [0; 16];
    for number in 0..20_u8 {
        for (socket, name) in [(&client, b'1'), (&other, b'2')] {
            let length = socket.recv(&mut buffer).unwrap();
            assert_eq!(buffer[..length], [name, number]);
        }
    }
    let members = anycast.state().unwrap().members;
    assert_eq!((members[0].datagrams, members[1].datagrams), (25, 21));
    assert_eq!(anycast.state().unwrap().dropped, 0);

    // A conversation goes on where nothing is listened for any more.
    listen(&two.0, &[]);
    assert_eq!(ask(&other, b"c"), b"2c");
    // With its process it moves.
    drop(two);
    anycast.detach(2);
    assert_eq!(ask(&other, b"d"), b"1d");
    listen(&one.0, &[]);
    drop(one);
    anycast.detach(1);
    assert_eq!(anycast.state().unwrap().listeners, 0);
}

#[test]
fn listeners_that_are_closed_and_opened_again_serve_again() {
    let anycast = Anycast::start(|_, _| 0).unwrap();
    let usual = FlowLimits::USUAL;
    let targets = vec![target(datagrams(b'1'))];
    let (flows, _) = behind(anycast.attach(1).unwrap(), usual, targets);
    let address = listen(&flows, &[on(FlowProtocol::Udp)])[0];
    let fixed = FlowListener {
        address,
        protocol: FlowProtocol::Udp,
    };
    let client = UdpSocket::bind("127.0.0.1:0").unwrap();
    client.set_read_timeout(Some(PATIENCE)).unwrap();
    client.connect(address).unwrap();
    assert_eq!(ask(&client, b"a"), b"1a");
    listen(&flows, &[]);
    assert_eq!(ask(&client, b"b"), b"1b");
    // As any free port it was another listener: the address itself is taken until that is done.
    assert_eq!(flows.listen(&BTreeSet::from([fixed])).len(), 1);
    assert_eq!(listen(&flows, &[on(FlowProtocol::Udp)]), [address]);
    assert_eq!(ask(&client, b"c"), b"1c");
}

#[test]
fn with_no_descriptor_to_answer_by_another_has_the_datagrams_until_there_is_one() {
    let limits = FlowLimits {
        // None is kept for a connection that comes next.
        tcp_flows: 0,
        descriptors: 2,
        ..FlowLimits::USUAL
    };
    let anycast = nearest(&Arc::new(AtomicU32::new(1)));
    let ends = (anycast.attach(1).unwrap(), anycast.attach(2).unwrap());
    let (near, _) = behind(ends.0, limits, vec![target(datagrams(b'1'))]);
    let (far, _) = behind(ends.1, FlowLimits::USUAL, vec![target(datagrams(b'2'))]);
    let all = [1, 2, 3].map(|host| FlowListener {
        address: SocketAddr::from(([127, 0, 0, host], 0)),
        protocol: FlowProtocol::Udp,
    });
    let errors = near.listen(&BTreeSet::from(all));
    assert_eq!(errors.len(), 1, "{errors:?}");
    assert_eq!(near.listeners().len(), 2);
    let last = all[2];
    let address = listen(&far, &[last])[0];
    let client = || {
        let client = UdpSocket::bind("127.0.0.1:0").unwrap();
        client.set_read_timeout(Some(PATIENCE)).unwrap();
        client.connect(address).unwrap();
        client
    };
    assert_eq!(ask(&client(), b"a"), b"2a");
    // The others' descriptors are free again.
    assert_eq!(listen(&near, &[last]), [address]);
    assert_eq!(ask(&client(), b"b"), b"1b");
}

/// Waits until the flows say this of what is left there.
fn left(flows: &Flows, here: u64) {
    let begun = std::time::Instant::now();
    while flows.left().here != here {
        assert!(begun.elapsed() < PATIENCE, "{:?}", flows.left());
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Two that take connections to one address, whose endpoints say which it was; all are the first's.
fn two_of_whom_the_first_is_nearest() -> (Anycast, [Flows; 2], SocketAddr) {
    let anycast = nearest(&Arc::new(AtomicU32::new(1)));
    let ends = (anycast.attach(1).unwrap(), anycast.attach(2).unwrap());
    let usual = FlowLimits::USUAL;
    let one = behind(ends.0, usual, vec![target(says(b'1'))]).0;
    let two = behind(ends.1, usual, vec![target(says(b'2'))]).0;
    let address = listen(&one, &[on(FlowProtocol::Tcp)])[0];
    listen(&two, &[on(FlowProtocol::Tcp)]);
    (anycast, [one, two], address)
}

#[test]
fn one_that_is_drained_keeps_what_it_has_and_what_is_new_comes_to_the_next() {
    let (anycast, [one, two], address) = two_of_whom_the_first_is_nearest();
    let mut held = connect(address);
    assert_eq!(exchange_after_name(&mut held, b"before"), b"before");
    left(&one, 1);

    anycast.drain(1, true);
    for _ in 0..20 {
        assert_eq!(who(address), b'2');
    }
    assert_eq!(exchange(&mut held, b"still"), b"still");
    let states = anycast.state().unwrap().members;
    assert_eq!([states[0].draining, states[1].draining], [true, false]);
    assert_eq!(states[0].handed, one.left().taken, "nothing is on its way");
    drop(held);
    left(&one, 0);
    left(&two, 0);

    // One that is started again in its place is drained, too.
    drop(one);
    anycast.detach(1);
    let ends = anycast.attach(1).unwrap();
    let one = behind(ends, FlowLimits::USUAL, vec![target(says(b'1'))]).0;
    listen(&one, &[on(FlowProtocol::Tcp)]);
    assert_eq!(who(address), b'2');
    // With nobody else, it is given nothing all the same.
    anycast.drain(2, true);
    assert!(connect(address).read_exact(&mut [0]).is_err());
    assert!(anycast.state().unwrap().unserved > 0);
    anycast.drain(1, false);
    assert_eq!(who(address), b'1');
}

#[test]
fn datagrams_that_have_begun_stay_with_one_that_is_drained() {
    let anycast = nearest(&Arc::new(AtomicU32::new(1)));
    let ends = (anycast.attach(1).unwrap(), anycast.attach(2).unwrap());
    let limits = FlowLimits {
        // Long beside what a busy machine may keep a thread from running.
        udp_idle: Duration::from_secs(3),
        ..FlowLimits::USUAL
    };
    let one = behind(ends.0, limits, vec![target(datagrams(b'1'))]).0;
    let two = behind(ends.1, limits, vec![target(datagrams(b'2'))]).0;
    let address = listen(&one, &[on(FlowProtocol::Udp)])[0];
    listen(&two, &[on(FlowProtocol::Udp)]);
    let client = || {
        let client = UdpSocket::bind("127.0.0.1:0").unwrap();
        client.set_read_timeout(Some(PATIENCE)).unwrap();
        client.connect(address).unwrap();
        client
    };
    let old = client();
    assert_eq!(ask(&old, b"a"), b"1a");
    left(&one, 1);
    anycast.drain(1, true);
    assert_eq!(ask(&client(), b"b"), b"2b");
    assert_eq!(ask(&old, b"c"), b"1c");
    left(&one, 0);
    anycast.drain(1, false);
    assert_eq!(ask(&client(), b"d"), b"1d");
}

/// An endpoint that answers each datagram many times, a little later each time.
fn streams(name: u8, times: u32, every: Duration) -> SocketAddr {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let address = socket.local_addr().unwrap();
    std::thread::spawn(move || {
        let mut buffer = [0; 16];
        while let Ok((_, from)) = socket.recv_from(&mut buffer) {
            let socket = socket.try_clone().unwrap();
            std::thread::spawn(move || {
                for _ in 0..times {
                    socket.send_to(&[name], from).ok();
                    std::thread::sleep(every);
                }
            });
        }
    });
    address
}

#[test]
fn a_conversation_ends_at_one_that_is_drained_by_its_own_silence_and_not_by_its_client_s() {
    let anycast = nearest(&Arc::new(AtomicU32::new(1)));
    let ends = (anycast.attach(1).unwrap(), anycast.attach(2).unwrap());
    let limits = FlowLimits {
        udp_idle: Duration::from_secs(1),
        ..FlowLimits::USUAL
    };
    let often = Duration::from_millis(100);
    let one = behind(ends.0, limits, vec![target(streams(b'1', 30, often))]).0;
    let two = behind(ends.1, limits, vec![target(streams(b'2', 1, often))]).0;
    let address = listen(&one, &[on(FlowProtocol::Udp)])[0];
    listen(&two, &[on(FlowProtocol::Udp)]);
    let client = UdpSocket::bind("127.0.0.1:0").unwrap();
    client.set_read_timeout(Some(PATIENCE)).unwrap();
    client.connect(address).unwrap();
    assert_eq!(ask(&client, b"a"), b"1");
    anycast.drain(1, true);
    // Silent for longer than a conversation may be; its endpoint isn't.
    std::thread::sleep(Duration::from_secs(2));
    assert_eq!(ask(&client, b"b"), b"1");
    left(&one, 1);
    left(&one, 0);
    // With its end nothing more comes: what has come by then isn't an answer to what follows.
    client.set_nonblocking(true).unwrap();
    while client.recv(&mut [0; 16]).is_ok() {}
    client.set_nonblocking(false).unwrap();
    // That one has ended; what comes is new, long before a holder would have guessed so.
    assert_eq!(ask(&client, b"c"), b"2");
    assert_eq!((one.left().here, anycast.state().unwrap().dropped), (0, 0));
}

#[test]
fn one_that_leaves_is_given_nothing_new_and_keeps_what_it_has() {
    let (anycast, [one, _two], address) = two_of_whom_the_first_is_nearest();
    let mut held = connect(address);
    assert_eq!(exchange_after_name(&mut held, b"before"), b"before");
    one.leave().unwrap();
    while !anycast.state().unwrap().members[0].draining {
        std::thread::sleep(Duration::from_millis(2));
    }
    // Also when it listens anew, as it does when its configuration changes.
    listen(&one, &[on(FlowProtocol::Tcp)]);
    assert_eq!(who(address), b'2');
    assert_eq!(exchange(&mut held, b"still"), b"still");
    // Whoever comes in its place is given what is new.
    drop(one);
    let ends = anycast.attach(1).unwrap();
    let one = behind(ends, FlowLimits::USUAL, vec![target(says(b'1'))]).0;
    listen(&one, &[on(FlowProtocol::Tcp)]);
    assert_eq!(who(address), b'1');
}
