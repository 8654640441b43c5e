//! TCP flows: how they come to an endpoint, and how they end.

use std::collections::BTreeSet;
use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::sync::mpsc;
use std::time::{Duration, Instant};

use runtime::{
    AdoptError, FlowEnd, FlowEvent, FlowLimits, FlowListener, FlowProtocol, Flows, FlowsError,
    Target,
};
use socket2::SockRef;

use crate::stand::{
    PATIENCE, Stand, connect, echo, echoes, endpoint, exchange, hanging, nobody, target,
};

fn read_to_end(stream: &mut TcpStream) -> Vec<u8> {
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).unwrap();
    bytes
}

fn reset(stream: TcpStream) {
    let linger = Some(Duration::ZERO);
    SockRef::from(&stream).set_linger(linger).unwrap();
}

#[test]
fn an_end_is_passed_on_while_the_other_direction_goes_on() {
    let (address, thread) = endpoint(1, |mut stream| {
        let said = read_to_end(&mut stream);
        std::thread::sleep(Duration::from_millis(20));
        stream.write_all(b"heard ").unwrap();
        stream.write_all(&said).unwrap();
    });
    let stand = Stand::usual(vec![target(address)]);
    let mut client = stand.connect();
    client.write_all(b"all of it").unwrap();
    client.shutdown(Shutdown::Write).unwrap();
    assert_eq!(read_to_end(&mut client), b"heard all of it");
    thread.join().unwrap();
    let counts = stand.until(|counts| counts.ended == 1);
    assert_eq!((counts.came, counts.connected, counts.live()), (1, 1, 0));
    assert_eq!((counts.to_endpoint, counts.to_client), (9, 15));
    let events = stand.events();
    let token = u32::from(address.port());
    assert!(
        matches!(
            events[..],
            [
                (first, FlowEvent::Connected { .. }),
                (
                    second,
                    FlowEvent::Ended {
                        to_endpoint: 9,
                        to_client: 15,
                        end: FlowEnd::Closed,
                        ..
                    }
                )
            ] if first == token && second == token
        ),
        "{events:?}"
    );
    let asked = stand.steer.asked.lock().unwrap();
    let (flow, tried) = asked[0];
    assert_eq!(flow.to, stand.address);
    assert_eq!(flow.from, client.local_addr().unwrap());
    assert_eq!(tried.count(), 0);
}

#[test]
fn an_endpoint_that_speaks_first_is_heard() {
    let (address, thread) = endpoint(1, |mut stream| stream.write_all(b"220 ready").unwrap());
    let stand = Stand::usual(vec![target(address)]);
    assert_eq!(read_to_end(&mut stand.connect()), b"220 ready");
    thread.join().unwrap();
}

#[test]
fn of_a_thousand_connections_none_fails_though_an_endpoint_refuses() {
    let (address, thread) = endpoint(1000, echo);
    let (first, second) = (nobody(), nobody());
    let stand = Stand::usual(vec![target(first), target(second), target(address)]);
    for number in 0..1000_u32 {
        let mut client = stand.connect();
        let bytes = number.to_be_bytes();
        assert_eq!(exchange(&mut client, &bytes), bytes);
    }
    thread.join().unwrap();
    let counts = stand.until(|counts| counts.ended == 1000);
    assert_eq!((counts.connected, counts.failed_attempts), (1000, 2000));
    assert_eq!((counts.no_endpoint, counts.all_failed), (0, 0));
    let events = stand.events();
    let refused = events
        .iter()
        .filter(|(token, event)| *event == FlowEvent::Refused && *token == u32::from(first.port()));
    assert_eq!(refused.count(), 1000);
}

#[test]
fn an_endpoint_that_hangs_is_left_for_the_next_with_the_clients_bytes_intact() {
    let (address, thread) = endpoint(1, echo);
    let hanging = hanging();
    let limits = FlowLimits {
        connect: Duration::from_millis(50),
        ..FlowLimits::USUAL
    };
    let stand = Stand::new(limits, 1, vec![target(hanging.address), target(address)]);
    let mut client = stand.connect();
    client
        .write_all(b"sent before any endpoint is there")
        .unwrap();
    client.shutdown(Shutdown::Write).unwrap();
    let heard = read_to_end(&mut client);
    assert_eq!(heard, b"sent before any endpoint is there");
    thread.join().unwrap();
    let events = stand.events();
    let token = u32::from(hanging.address.port());
    assert_eq!(events[0], (token, FlowEvent::TimedOut));
    assert_eq!(stand.counts().failed_attempts, 1);
}

#[test]
fn the_only_endpoint_is_waited_for() {
    let hanging = hanging();
    let limits = FlowLimits {
        connect: Duration::from_millis(20),
        patience: PATIENCE,
        ..FlowLimits::USUAL
    };
    let stand = Stand::new(limits, 1, vec![target(hanging.address)]);
    let mut client = stand.connect();
    client.write_all(b"hello").unwrap();
    std::thread::sleep(Duration::from_millis(100));
    assert_eq!(stand.counts().connected, 0);
    // Its queue is emptied: it answers again, if asked again.
    let listener = TcpListener::from(OwnedFd::from(hanging.socket));
    let thread = std::thread::spawn(move || {
        loop {
            let (mut stream, _) = listener.accept().unwrap();
            stream.set_read_timeout(Some(PATIENCE)).unwrap();
            let mut bytes = [0; 5];
            if stream.read_exact(&mut bytes).is_ok() {
                return bytes;
            }
        }
    });
    // Those that filled the queue go.
    drop(hanging.waiting);
    assert_eq!(&thread.join().unwrap(), b"hello");
    assert_eq!(stand.counts().connected, 1);
}

#[test]
fn a_flow_without_an_endpoint_breaks() {
    let limits = FlowLimits {
        connect: Duration::from_millis(10),
        patience: Duration::from_millis(50),
        ..FlowLimits::USUAL
    };
    let broken = |targets| {
        let stand = Stand::new(limits, 1, targets);
        let error = stand.connect().read(&mut [0; 8]).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ConnectionReset);
        stand.counts()
    };
    let counts = broken(Vec::new());
    assert_eq!((counts.came, counts.no_endpoint), (1, 1));
    let counts = broken(vec![target(nobody())]);
    assert_eq!((counts.no_endpoint, counts.all_failed), (0, 1));
    let hanging = hanging();
    let counts = broken(vec![target(hanging.address)]);
    assert_eq!((counts.failed_attempts, counts.all_failed), (1, 1));
    // However many are named, no more are tried than may be.
    let counts = broken((0..15).map(|_| target(nobody())).collect());
    assert_eq!((counts.failed_attempts, counts.all_failed), (10, 1));
}

#[test]
fn a_broken_connection_breaks_the_other() {
    let (sender, receiver) = mpsc::channel();
    let (address, thread) = endpoint(2, move |mut stream| {
        let mut byte = [0];
        stream.read_exact(&mut byte).unwrap();
        match byte[0] {
            b'b' => reset(stream),
            _ => {
                sender.send(()).unwrap();
                let error = stream.read(&mut byte).unwrap_err();
                assert_eq!(error.kind(), ErrorKind::ConnectionReset);
            }
        }
    });
    let stand = Stand::usual(vec![target(address)]);
    let mut client = stand.connect();
    client.write_all(b"b").unwrap();
    let error = client.read(&mut [0]).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConnectionReset);
    let mut client = stand.connect();
    client.write_all(b"c").unwrap();
    receiver.recv_timeout(PATIENCE).unwrap();
    reset(client);
    thread.join().unwrap();
    stand.until(|counts| counts.ended == 2);
    let ends: Vec<FlowEnd> = stand
        .events()
        .into_iter()
        .filter_map(|(_, event)| match event {
            FlowEvent::Ended { end, .. } => Some(end),
            _ => None,
        })
        .collect();
    assert_eq!(ends, [FlowEnd::ResetByEndpoint, FlowEnd::ResetByClient]);
}

#[test]
fn an_endpoint_that_breaks_while_much_is_sent_to_it_breaks_the_client() {
    let (address, thread) = endpoint(5, |mut stream| {
        stream.read_exact(&mut [0; 100_000]).unwrap();
        reset(stream);
    });
    let stand = Stand::usual(vec![target(address)]);
    for number in 1..=5 {
        let mut client = stand.connect();
        let bytes = [7; 50_000];
        let error = loop {
            if let Err(error) = client.write_all(&bytes) {
                break error.kind();
            }
        };
        let broken = [ErrorKind::ConnectionReset, ErrorKind::BrokenPipe];
        assert!(broken.contains(&error), "{error}");
        stand.until(|counts| counts.ended == number);
    }
    thread.join().unwrap();
    let events = stand.events();
    let resets = events.iter().filter(|(_, event)| {
        matches!(
            event,
            FlowEvent::Ended {
                end: FlowEnd::ResetByEndpoint,
                ..
            }
        )
    });
    assert_eq!(resets.count(), 5, "{events:?}");
}

#[test]
fn what_an_endpoint_says_before_it_breaks_is_heard() {
    // It answers and closes without having read all: the kernel breaks the connection.
    let (address, thread) = endpoint(1, |mut stream| {
        stream.read_exact(&mut [0]).unwrap();
        stream.write_all(b"413 too much").unwrap();
        std::thread::sleep(Duration::from_millis(50));
    });
    let stand = Stand::usual(vec![target(address)]);
    let mut client = stand.connect();
    client.write_all(&[7; 100_000]).unwrap();
    let mut heard = [0; 12];
    client.read_exact(&mut heard).unwrap();
    assert_eq!(&heard, b"413 too much");
    thread.join().unwrap();
    stand.until(|counts| counts.ended == 1);
}

#[test]
fn silent_flows_end_and_others_do_not() {
    let limits = FlowLimits {
        tcp_idle: Duration::from_millis(300),
        ..FlowLimits::USUAL
    };
    let stand = Stand::new(limits, 1, vec![target(echoes())]);
    let (mut silent, mut busy) = (stand.connect(), stand.connect());
    assert_eq!(exchange(&mut silent, b"once"), b"once");
    let started = Instant::now();
    while stand.counts().idle == 0 {
        assert_eq!(exchange(&mut busy, b"again"), b"again");
        assert!(started.elapsed() < PATIENCE);
        std::thread::sleep(Duration::from_millis(10));
    }
    assert!(started.elapsed() >= Duration::from_millis(250));
    let error = silent.read(&mut [0]).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConnectionReset);
    assert_eq!(exchange(&mut busy, b"still"), b"still");
    assert_eq!(stand.counts().ended, 1);
}

#[test]
fn with_as_many_flows_as_may_be_connections_wait_for_one_to_end() {
    for limits in [
        FlowLimits {
            tcp_flows: 2,
            ..FlowLimits::USUAL
        },
        FlowLimits {
            // The listener has one.
            descriptors: 6,
            ..FlowLimits::USUAL
        },
    ] {
        let stand = Stand::new(limits, 1, vec![target(echoes())]);
        let (mut first, mut second) = (stand.connect(), stand.connect());
        assert_eq!(exchange(&mut first, b"1"), b"1");
        assert_eq!(exchange(&mut second, b"2"), b"2");
        let mut third = stand.connect();
        third.write_all(b"3").unwrap();
        third
            .set_read_timeout(Some(Duration::from_millis(100)))
            .unwrap();
        let error = third.read(&mut [0]).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::WouldBlock);
        assert_eq!((stand.counts().came, stand.flows.totals().pauses), (2, 1));
        drop(first);
        third.set_read_timeout(Some(PATIENCE)).unwrap();
        let mut byte = [0];
        third.read_exact(&mut byte).unwrap();
        assert_eq!(&byte, b"3");
        assert_eq!(exchange(&mut second, b"4"), b"4");
    }
}

#[test]
fn an_endpoint_that_wants_it_is_told_the_client_before_anything_else() {
    let (sender, receiver) = mpsc::channel();
    let (address, thread) = endpoint(1, move |mut stream| {
        let mut bytes = [0; 28 + 5];
        stream.read_exact(&mut bytes).unwrap();
        sender.send(bytes).unwrap();
    });
    let told = Target {
        proxy_header: true,
        ..target(address)
    };
    let stand = Stand::usual(vec![target(nobody()), told]);
    let mut client = stand.connect();
    client.write_all(b"hello").unwrap();
    let bytes = receiver.recv_timeout(PATIENCE).unwrap();
    thread.join().unwrap();
    let from = client.local_addr().unwrap().port().to_be_bytes();
    let to = stand.address.port().to_be_bytes();
    let expected = [
        b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c\x7f\0\0\x01\x7f\0\0\x01" as &[u8],
        &from,
        &to,
        b"hello",
    ];
    assert_eq!(bytes[..], expected.concat());
    drop(client);
    let counts = stand.until(|counts| counts.ended == 1);
    assert_eq!(counts.to_endpoint, 5);
}

#[test]
fn an_endpoint_of_ipv4_is_told_a_client_of_ipv6() {
    let (sender, receiver) = mpsc::channel();
    let (address, thread) = endpoint(1, move |mut stream| {
        let mut bytes = [0; 52 + 3];
        stream.read_exact(&mut bytes).unwrap();
        sender.send(bytes).unwrap();
    });
    let told = Target {
        proxy_header: true,
        ..target(address)
    };
    let stand = Stand::usual(vec![told]);
    let listener = FlowListener {
        address: "[::1]:0".parse().unwrap(),
        protocol: FlowProtocol::Tcp,
    };
    assert!(stand.flows.listen(&BTreeSet::from([listener])).is_empty());
    let to = stand.flows.listeners()[0].bound;
    let mut client = connect(to);
    client.write_all(b"six").unwrap();
    let bytes = receiver.recv_timeout(PATIENCE).unwrap();
    thread.join().unwrap();
    let one = std::net::Ipv6Addr::LOCALHOST.octets();
    let expected = [
        b"\r\n\r\n\0\r\nQUIT\n\x21\x21\0\x24" as &[u8],
        &one,
        &one,
        &client.local_addr().unwrap().port().to_be_bytes(),
        &to.port().to_be_bytes(),
        b"six",
    ];
    assert_eq!(bytes[..], expected.concat());
}

#[test]
fn flows_live_on_when_their_listener_is_closed() {
    let stand = Stand::new(FlowLimits::USUAL, 2, vec![target(echoes())]);
    let mut client = stand.connect();
    assert_eq!(exchange(&mut client, b"before"), b"before");
    assert!(stand.flows.listen(&BTreeSet::new()).is_empty());
    let error = TcpStream::connect(stand.address).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConnectionRefused);
    assert!(stand.flows.listeners().is_empty());
    assert_eq!(exchange(&mut client, b"after"), b"after");
    // The very address can be had again at once, and with others.
    let again = FlowListener {
        address: stand.address,
        protocol: FlowProtocol::Tcp,
    };
    let both = BTreeSet::from([again, stand.listener]);
    let errors = stand.flows.listen(&both);
    assert!(errors.is_empty(), "{errors:?}");
    for state in stand.flows.listeners() {
        assert_eq!(exchange(&mut connect(state.bound), b"new"), b"new");
    }
    assert_eq!(exchange(&mut client, b"still"), b"still");
}

#[test]
fn flows_that_leave_take_no_others_whatever_they_are_told_to_listen_on() {
    let stand = Stand::new(FlowLimits::USUAL, 2, vec![target(echoes())]);
    let mut client = stand.connect();
    assert_eq!(exchange(&mut client, b"before"), b"before");
    assert_eq!(stand.flows.left().here, 1);
    stand.flows.leave().unwrap();
    assert!(stand.flows.is_leaving());
    let again = BTreeSet::from([stand.listener]);
    assert!(stand.flows.listen(&again).is_empty());
    let error = TcpStream::connect(stand.address).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConnectionRefused);
    assert_eq!(exchange(&mut client, b"after"), b"after");
    assert_eq!(stand.flows.left().here, 1);
    drop(client);
    let started = Instant::now();
    while stand.flows.left().here > 0 {
        assert!(started.elapsed() < PATIENCE);
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn an_address_that_cannot_be_had_is_told_and_tried_again() {
    let stand = Stand::usual(vec![target(echoes())]);
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let listener = FlowListener {
        address: taken.local_addr().unwrap(),
        protocol: FlowProtocol::Tcp,
    };
    let wanted = BTreeSet::from([listener, stand.listener]);
    let errors = stand.flows.listen(&wanted);
    assert_eq!(errors.len(), 1);
    let text = errors[0].to_string();
    assert!(text.contains("taken by another process"), "{text}");
    assert_eq!(exchange(&mut stand.connect(), b"goes on"), b"goes on");
    drop(taken);
    assert!(stand.flows.listen(&wanted).is_empty());
    assert_eq!(exchange(&mut connect(listener.address), b"now"), b"now");
}

#[test]
fn what_is_far_away_arrives_later_and_whole() {
    const DELAY: Duration = Duration::from_millis(40);
    let (address, thread) = endpoint(1, echo);
    let far = Target {
        delay: Some(DELAY),
        ..target(address)
    };
    let limits = FlowLimits {
        in_flight: 64 * 1024,
        thread_in_flight: 96 * 1024,
        ..FlowLimits::USUAL
    };
    let stand = Stand::new(limits, 1, vec![far]);
    let mut client = stand.connect();
    let started = Instant::now();
    assert_eq!(exchange(&mut client, b"ping"), b"ping");
    assert!(started.elapsed() >= 2 * DELAY);
    // Much more than may be under way.
    let bytes: Vec<u8> = (0..500_000_u32)
        .map(|number| (number % 251) as u8)
        .collect();
    let mut writer = client.try_clone().unwrap();
    let sent = bytes.clone();
    let sending = std::thread::spawn(move || {
        writer.write_all(&sent).unwrap();
        writer.shutdown(Shutdown::Write).unwrap();
    });
    let heard = read_to_end(&mut client);
    sending.join().unwrap();
    assert!(heard == bytes, "{} bytes", heard.len());
    thread.join().unwrap();
    let counts = stand.until(|counts| counts.ended == 1);
    assert_eq!(counts.to_client, 500_004);
}

#[test]
fn connections_accepted_elsewhere_are_taken_over() {
    let stand = Stand::usual(vec![target(echoes())]);
    let elsewhere = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = elsewhere.local_addr().unwrap();
    let mut client = connect(address);
    client.write_all(b"sent meanwhile").unwrap();
    let (accepted, _) = elsewhere.accept().unwrap();
    stand.flows.adopt(accepted.into()).unwrap();
    let mut heard = [0; 14];
    client.read_exact(&mut heard).unwrap();
    assert_eq!(&heard, b"sent meanwhile");
    let states = stand.flows.listeners();
    assert_eq!(states[1].bound, address);
    assert_eq!(states[1].counts.live(), 1);
    let (flow, _) = stand.steer.asked.lock().unwrap()[0];
    assert_eq!(
        (flow.to, flow.from),
        (address, client.local_addr().unwrap())
    );
    // A socket that isn't connected, and one that is no connection.
    let error = stand.flows.adopt(elsewhere.into()).unwrap_err();
    assert!(matches!(error, AdoptError::NoConnection(_)), "{error}");
    let datagrams = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    datagrams.connect(address).unwrap();
    let error = stand.flows.adopt(datagrams.into()).unwrap_err();
    assert!(matches!(error, AdoptError::NoConnection(_)), "{error}");
}

#[test]
fn a_flow_is_not_carried_in_a_circle() {
    let stand = Stand::usual(Vec::new());
    *stand.steer.targets.lock().unwrap() = vec![target(stand.address)];
    let error = stand.connect().read(&mut [0]).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConnectionReset);
    let counts = stand.counts();
    assert_eq!((counts.came, counts.no_endpoint), (1, 1));
}

#[test]
fn a_panic_of_the_steering_costs_one_flow() {
    let address = echoes();
    let stand = Stand::usual(vec![target(address)]);
    let mut before = stand.connect();
    assert_eq!(exchange(&mut before, b"1"), b"1");
    let good = stand.steer.targets.lock().unwrap().clone();
    stand.steer.targets.lock().unwrap()[0].token = u32::MAX;
    let error = stand.connect().read(&mut [0]).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConnectionReset);
    *stand.steer.targets.lock().unwrap() = good;
    assert_eq!(exchange(&mut stand.connect(), b"2"), b"2");
    assert_eq!(exchange(&mut before, b"3"), b"3");
    assert_eq!(stand.flows.totals().lost, 1);
}

#[test]
fn nothing_is_left_when_flows_stop() {
    let stand = Stand::new(FlowLimits::USUAL, 2, vec![target(echoes())]);
    let mut clients: Vec<TcpStream> = (0..10).map(|_| stand.connect()).collect();
    for client in &mut clients {
        assert_eq!(exchange(client, b"x"), b"x");
    }
    let address: SocketAddr = stand.address;
    let steer = std::sync::Arc::clone(&stand.steer);
    stand.flows.stop();
    for client in &mut clients {
        assert_eq!(client.read(&mut [0]).unwrap_or(0), 0);
    }
    assert!(TcpStream::connect(address).is_err());
    let events = steer.events.lock().unwrap();
    let stopped = events.iter().filter(|(_, event)| {
        matches!(
            event,
            FlowEvent::Ended {
                end: FlowEnd::Stopped,
                ..
            }
        )
    });
    assert_eq!(stopped.count(), 10);
}

#[test]
fn threads_that_make_no_sense_are_refused() {
    for threads in [0, 65] {
        let options = runtime::FlowOptions {
            threads,
            limits: FlowLimits::USUAL,
        };
        let steer = std::sync::Arc::new(crate::stand::InOrder::default());
        let started = Flows::start(options, steer);
        assert!(matches!(started.err(), Some(FlowsError::Threads(count)) if count == threads));
    }
}
