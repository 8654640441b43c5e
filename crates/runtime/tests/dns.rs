//! The DNS servers and the relay over real sockets: batches, sources, pipelining, slow senders,
//! delays, headers that lie, and that nothing is left when they stop.
#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    clippy::unwrap_used,
    reason = "a test plays the client: it opens sockets and waits"
)]

use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use runtime::{
    DnsAddress, DnsQuery, MAX_QUERY, MAX_TCP_REPLY, Relay, RelayLimits, RelayTarget, Responder,
    TcpLimits, TcpServer, Transport, UdpOptions, UdpServer,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};

/// How long anything that must come may take.
const PATIENCE: Duration = Duration::from_secs(20);

const ONE: UdpOptions = UdpOptions {
    threads: 1,
    pinned: false,
};

/// Answers a query with itself and its source; some words mean other things.
#[derive(Default)]
struct Echo {
    states: AtomicUsize,
}

impl Responder for Echo {
    type State = usize;

    fn state(&self, thread: usize) -> usize {
        self.states.fetch_add(1, Ordering::SeqCst);
        thread
    }

    fn respond(&self, _: &mut usize, query: &DnsQuery<'_>, reply: &mut [u8]) -> Option<usize> {
        let words = query.packet.get(2..).unwrap_or_default();
        match words {
            b"silence" => return None,
            b"panic" => panic!("as asked"),
            b"long" => {
                reply.fill(7);
                return Some(reply.len());
            }
            _ => {}
        }
        let transport = match query.transport {
            Transport::Udp => "udp",
            Transport::Tcp => "tcp",
        };
        let source = format!(" {} {transport}", query.source);
        let text = [query.packet, source.as_bytes()].concat();
        reply[..text.len()].copy_from_slice(&text);
        Some(text.len())
    }
}

fn local(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

fn serve(addresses: &[DnsAddress], options: UdpOptions) -> UdpServer {
    UdpServer::start(addresses, options, Arc::new(Echo::default())).unwrap()
}

fn client(from: &str, to: SocketAddr) -> UdpSocket {
    let socket = UdpSocket::bind(local(from)).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    socket.connect(to).unwrap();
    socket
}

fn receive(socket: &UdpSocket) -> String {
    let mut buffer = [0; 8192];
    let count = socket.recv(&mut buffer).unwrap();
    String::from_utf8_lossy(&buffer[..count]).into_owned()
}

fn ask(socket: &UdpSocket, query: &str) -> String {
    socket.send(query.as_bytes()).unwrap();
    receive(socket)
}

/// A PROXY header of a client's datagram or stream.
fn header(client: &str, transport: Transport) -> Vec<u8> {
    let client: SocketAddr = local(client);
    let IpAddr::V4(address) = client.ip() else {
        panic!("tests are of IPv4 here");
    };
    let family = match transport {
        Transport::Tcp => 0x11,
        Transport::Udp => 0x12,
    };
    let mut bytes = b"\r\n\r\n\0\r\nQUIT\n\x21".to_vec();
    bytes.extend_from_slice(&[family, 0, 12]);
    bytes.extend_from_slice(&address.octets());
    bytes.extend_from_slice(&[127, 0, 0, 1]);
    bytes.extend_from_slice(&client.port().to_be_bytes());
    bytes.extend_from_slice(&53_u16.to_be_bytes());
    bytes
}

// === UDP ===

#[test]
fn many_clients_of_many_threads_each_get_their_own_answers() {
    let options = UdpOptions {
        threads: 3,
        pinned: true,
    };
    let addresses = ["127.0.0.1:0", "[::1]:0"].map(|address| DnsAddress::open(local(address)));
    let server = serve(&addresses, options);
    let bound = server.addresses().to_vec();
    std::thread::scope(|scope| {
        for number in 0..16 {
            let to = bound[number % 2];
            scope.spawn(move || {
                let socket = client(&SocketAddr::new(to.ip(), 0).to_string(), to);
                for round in 0..50 {
                    // Several under way at once, so that there are batches.
                    let queries = [0, 1, 2].map(|part| format!("{number}-{round}-{part}"));
                    for query in &queries {
                        socket.send(query.as_bytes()).unwrap();
                    }
                    for query in &queries {
                        assert_eq!(receive(&socket), format!("{query} {} udp", to.ip()));
                    }
                }
            });
        }
    });
    let counts = server.counts();
    assert_eq!((counts.queries, counts.answers), (2400, 2400));
    assert_eq!(counts.by_code.iter().sum::<u64>(), 2400);
}

#[test]
fn a_source_is_the_address_that_the_client_bound() {
    let server = serve(&[DnsAddress::open(local("127.0.0.1:0"))], ONE);
    for from in ["127.64.3.7", "127.64.200.1", "127.0.0.1"] {
        let socket = client(&format!("{from}:0"), server.addresses()[0]);
        assert_eq!(ask(&socket, "??"), format!("?? {from} udp"));
    }
}

#[test]
fn a_server_of_every_address_answers_from_the_one_that_was_asked() {
    for (every, asked) in [("0.0.0.0:0", "127.3.4.5"), ("[::]:0", "::1")] {
        let server = serve(&[DnsAddress::open(local(every))], ONE);
        let asked: IpAddr = asked.parse().unwrap();
        let to = SocketAddr::new(asked, server.addresses()[0].port());
        // A connected socket takes nothing from any other address.
        let socket = client(&SocketAddr::new(asked, 0).to_string(), to);
        assert_eq!(ask(&socket, "??"), format!("?? {asked} udp"));
    }
}

#[test]
fn silence_and_rubbish_are_counted_and_cost_no_one_else() {
    let server = serve(&[DnsAddress::open(local("127.0.0.1:0"))], ONE);
    let socket = client("127.0.0.1:0", server.addresses()[0]);
    socket.send(b"01silence").unwrap();
    socket.send(&vec![0; MAX_QUERY + 1]).unwrap();
    socket.send(&vec![0; 20_000]).unwrap();
    socket.send(b"").unwrap();
    assert_eq!(receive(&socket), " 127.0.0.1 udp");
    assert_eq!(ask(&socket, "12"), "12 127.0.0.1 udp");
    let counts = server.counts();
    assert_eq!((counts.queries, counts.answers), (5, 2));
    assert_eq!((counts.silent, counts.unreadable), (1, 2));
}

#[test]
fn a_panic_costs_its_batch_and_no_more() {
    let responder = Arc::new(Echo::default());
    let address = [DnsAddress::open(local("127.0.0.1:0"))];
    let server = UdpServer::start(&address, ONE, Arc::clone(&responder)).unwrap();
    let socket = client("127.0.0.1:0", server.addresses()[0]);
    for round in 0..3 {
        socket.send(b"01panic").unwrap();
        while server.counts().lost <= round {
            std::thread::yield_now();
        }
        assert_eq!(ask(&socket, "12"), "12 127.0.0.1 udp");
    }
    assert_eq!(responder.states.load(Ordering::SeqCst), 4);
}

#[test]
fn only_relays_that_are_named_speak_for_others() {
    let relays = vec!["127.0.0.2".parse().unwrap()];
    let addresses = [
        DnsAddress::relayed(local("127.0.0.1:0"), relays),
        DnsAddress::open(local("127.0.0.1:0")),
    ];
    let server = serve(&addresses, ONE);
    let [relayed, open] = [0, 1].map(|index| server.addresses()[index]);
    let told = [header("127.64.9.9:5353", Transport::Udp), b"12".to_vec()].concat();
    let mut lies = vec![
        b"12".to_vec(),
        told[..20].to_vec(),
        [header("127.64.9.9:5353", Transport::Tcp), b"12".to_vec()].concat(),
    ];
    lies.extend((0..14).map(|at| {
        let mut lie = told.clone();
        lie[at] ^= 0x80;
        lie
    }));
    let stranger = client("127.0.0.3:0", relayed);
    stranger.send(&told).unwrap();
    let relay = client("127.0.0.2:0", relayed);
    for lie in &lies {
        relay.send(lie).unwrap();
    }
    relay.send(&told).unwrap();
    // The first answer is that of the last datagram.
    assert_eq!(receive(&relay), "12 127.64.9.9 udp");
    let counts = server.counts();
    assert_eq!(
        (counts.answers, counts.unreadable),
        (1, lies.len() as u64 + 1)
    );
    // Where no relay is expected a header is a packet like any other.
    let socket = client("127.0.0.2:0", open);
    socket.send(&told).unwrap();
    assert!(receive(&socket).ends_with("12 127.0.0.2 udp"));
    stranger.set_nonblocking(true).unwrap();
    assert!(stranger.recv(&mut [0; 64]).is_err());
}

#[test]
fn a_stopped_server_leaves_its_address_and_no_thread() {
    let responder = Arc::new(Echo::default());
    let options = UdpOptions {
        threads: 4,
        pinned: false,
    };
    let address = [DnsAddress::open(local("127.0.0.1:0"))];
    let server = UdpServer::start(&address, options, Arc::clone(&responder)).unwrap();
    let bound = server.addresses()[0];
    let socket = client("127.0.0.1:0", bound);
    assert_eq!(ask(&socket, "12"), "12 127.0.0.1 udp");
    assert!(UdpServer::start(&[DnsAddress::open(bound)], ONE, Arc::clone(&responder)).is_err());
    server.stop();
    assert_eq!(Arc::strong_count(&responder), 1);
    UdpSocket::bind(bound).unwrap();
}

// === TCP ===

const LIMITS: TcpLimits = TcpLimits {
    connections: 8,
    connections_of_a_client: 4,
    idle: Duration::from_secs(60),
    message: Duration::from_secs(60),
    write: Duration::from_secs(60),
};

fn serve_tcp(addresses: &[DnsAddress], limits: TcpLimits) -> TcpServer {
    TcpServer::start(addresses, limits, Arc::new(Echo::default())).unwrap()
}

fn serve_open(limits: TcpLimits) -> (TcpServer, SocketAddr) {
    let server = serve_tcp(&[DnsAddress::open(local("127.0.0.1:0"))], limits);
    let address = server.addresses()[0];
    (server, address)
}

async fn connect(from: &str, to: SocketAddr) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind(local(from)).unwrap();
    socket.connect(to).await.unwrap()
}

fn framed(message: &[u8]) -> Vec<u8> {
    let length = u16::try_from(message.len()).unwrap();
    [&length.to_be_bytes(), message].concat()
}

async fn in_time<F: Future>(future: F) -> F::Output {
    tokio::time::timeout(PATIENCE, future)
        .await
        .expect("it comes in time")
}

async fn read_message(stream: &mut TcpStream) -> String {
    let mut length = [0; 2];
    in_time(stream.read_exact(&mut length)).await.unwrap();
    let mut message = vec![0; usize::from(u16::from_be_bytes(length))];
    in_time(stream.read_exact(&mut message)).await.unwrap();
    String::from_utf8_lossy(&message).into_owned()
}

/// Whether the other side has closed, in order or by a reset.
async fn is_closed(stream: &mut TcpStream) -> bool {
    matches!(in_time(stream.read(&mut [0; 16])).await, Ok(0) | Err(_))
}

async fn wait_for_connections(server: &TcpServer, count: usize) {
    in_time(async {
        while server.connections() != count {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    })
    .await;
}

#[tokio::test]
async fn pipelined_queries_are_answered_in_order_however_they_are_cut() {
    let (server, address) = serve_open(LIMITS);
    let queries: Vec<String> = (0..200).map(|number| format!("query {number}")).collect();
    let stream: Vec<u8> = queries
        .iter()
        .flat_map(|query| framed(query.as_bytes()))
        .collect();
    for size in [1, 7, 1000, stream.len()] {
        let (mut read, mut write) = connect("127.64.1.1:0", address).await.into_split();
        let chunks: Vec<Vec<u8>> = stream.chunks(size).map(<[u8]>::to_vec).collect();
        let writing = tokio::spawn(async move {
            for chunk in chunks {
                write.write_all(&chunk).await.unwrap();
            }
            // A client that has asked everything may say so (RFC 7766 section 6.2.4).
            write.shutdown().await.unwrap();
        });
        let mut answers = Vec::new();
        in_time(read.read_to_end(&mut answers)).await.unwrap();
        writing.await.unwrap();
        let expected: Vec<u8> = queries
            .iter()
            .flat_map(|query| framed(format!("{query} 127.64.1.1 tcp").as_bytes()))
            .collect();
        assert_eq!(answers, expected);
    }
    assert_eq!(server.counts().answers, 800);
    wait_for_connections(&server, 0).await;
}

#[tokio::test]
async fn the_longest_reply_goes_over_a_connection_that_lives_on() {
    let (_server, address) = serve_open(LIMITS);
    let mut stream = connect("127.0.0.1:0", address).await;
    for _ in 0..3 {
        stream.write_all(&framed(b"01long")).await.unwrap();
        assert_eq!(read_message(&mut stream).await.len(), MAX_TCP_REPLY);
    }
}

#[tokio::test]
async fn rubbish_ends_a_connection_after_what_was_asked_before_it() {
    let (server, address) = serve_open(LIMITS);
    let too_long = vec![0xff; 4];
    for rubbish in [framed(b"01silence"), framed(b"01panic"), too_long] {
        let mut stream = connect("127.0.0.1:0", address).await;
        let sent = [framed(b"12"), rubbish, framed(b"34")].concat();
        stream.write_all(&sent).await.unwrap();
        assert_eq!(read_message(&mut stream).await, "12 127.0.0.1 tcp");
        assert!(is_closed(&mut stream).await);
    }
    let counts = server.counts();
    assert_eq!((counts.answers, counts.silent), (3, 1));
    assert_eq!((counts.lost, counts.unreadable), (1, 1));
}

#[tokio::test]
async fn a_slow_sender_and_an_idle_one_are_closed() {
    let limits = TcpLimits {
        idle: Duration::from_millis(400),
        message: Duration::from_millis(200),
        ..LIMITS
    };
    let (server, address) = serve_open(limits);
    let begun = Instant::now();
    let mut idle = connect("127.0.0.1:0", address).await;
    let (mut read, mut write) = connect("127.0.0.1:0", address).await.into_split();
    let dripping = tokio::spawn(async move {
        // A byte at a time for ever, each well within any time between two.
        for byte in framed(&[b'x'; 4000]) {
            if write.write_all(&[byte]).await.is_err() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    });
    let ended = in_time(read.read(&mut [0; 16])).await;
    assert!(matches!(ended, Ok(0) | Err(_)));
    assert!(begun.elapsed() >= limits.message);
    assert!(is_closed(&mut idle).await);
    assert!(begun.elapsed() >= limits.idle);
    dripping.abort();
    wait_for_connections(&server, 0).await;
}

#[tokio::test]
async fn a_client_that_reads_no_replies_is_closed() {
    let limits = TcpLimits {
        write: Duration::from_millis(200),
        ..LIMITS
    };
    let (server, address) = serve_open(limits);
    let mut stream = connect("127.0.0.1:0", address).await;
    let asking = tokio::spawn(async move {
        // Far more than both kernels' buffers hold.
        while stream.write_all(&framed(b"01long")).await.is_ok() {}
    });
    in_time(asking).await.unwrap();
    wait_for_connections(&server, 0).await;
}

#[tokio::test]
async fn connections_are_limited_in_all_and_for_each_client() {
    let (server, address) = serve_open(LIMITS);
    let mut open = Vec::new();
    for client in ["127.64.1.1:0", "127.64.1.2:0"] {
        for _ in 0..LIMITS.connections_of_a_client {
            let mut stream = connect(client, address).await;
            stream.write_all(&framed(b"12")).await.unwrap();
            assert!(read_message(&mut stream).await.starts_with("12 127.64.1."));
            open.push(stream);
        }
    }
    assert!(is_closed(&mut connect("127.64.1.3:0", address).await).await);
    open.truncate(LIMITS.connections_of_a_client);
    wait_for_connections(&server, LIMITS.connections_of_a_client).await;
    assert!(is_closed(&mut connect("127.64.1.1:0", address).await).await);
    wait_for_connections(&server, LIMITS.connections_of_a_client).await;
    let mut other = connect("127.64.1.3:0", address).await;
    other.write_all(&framed(b"12")).await.unwrap();
    assert_eq!(read_message(&mut other).await, "12 127.64.1.3 tcp");
}

#[tokio::test]
async fn a_relays_header_comes_before_the_stream() {
    let relays = vec!["127.0.0.2".parse().unwrap()];
    let server = serve_tcp(&[DnsAddress::relayed(local("127.0.0.1:0"), relays)], LIMITS);
    let address = server.addresses()[0];
    let told = header("127.64.9.9:5353", Transport::Tcp);
    let mut relay = connect("127.0.0.2:0", address).await;
    for byte in [&told[..], &framed(b"12")].concat() {
        relay.write_all(&[byte]).await.unwrap();
    }
    relay.write_all(&framed(b"34")).await.unwrap();
    assert_eq!(read_message(&mut relay).await, "12 127.64.9.9 tcp");
    assert_eq!(read_message(&mut relay).await, "34 127.64.9.9 tcp");
    for (from, head) in [
        ("127.0.0.2:0", header("127.64.9.9:5353", Transport::Udp)),
        ("127.0.0.2:0", Vec::new()),
        ("127.0.0.3:0", told),
    ] {
        let mut stream = connect(from, address).await;
        // It may be closed before all is written.
        stream
            .write_all(&[&head[..], &framed(b"12")].concat())
            .await
            .ok();
        assert!(is_closed(&mut stream).await);
    }
}

#[tokio::test]
async fn a_stopped_tcp_server_leaves_no_connection_and_its_address() {
    let responder = Arc::new(Echo::default());
    let addresses = [DnsAddress::open(local("127.0.0.1:0"))];
    let server = TcpServer::start(&addresses, LIMITS, Arc::clone(&responder)).unwrap();
    let address = server.addresses()[0];
    let mut stream = connect("127.0.0.1:0", address).await;
    stream.write_all(&framed(b"12")).await.unwrap();
    read_message(&mut stream).await;
    in_time(server.stop()).await;
    assert!(is_closed(&mut stream).await);
    assert!(TcpStream::connect(address).await.is_err());
    in_time(async {
        while Arc::strong_count(&responder) > 1 {
            tokio::task::yield_now().await;
        }
    })
    .await;
}

// === The relay ===

const DELAY: Duration = Duration::from_millis(25);

/// Where the relay sends everyone; none: nowhere.
type Target = Arc<Mutex<Option<SocketAddr>>>;

fn relay(target: &Target, delay: Duration) -> Relay {
    let target = Arc::clone(target);
    Relay::start(local("127.0.0.1:0"), RelayLimits::MODEST, move |_| {
        let address = (*target.lock().unwrap())?;
        Some(RelayTarget {
            address,
            one_way_delay: delay,
        })
    })
    .unwrap()
}

fn relayed() -> [DnsAddress; 1] {
    let relays = vec!["127.0.0.1".parse().unwrap()];
    [DnsAddress::relayed(local("127.0.0.1:0"), relays)]
}

/// A socket that reads in a thread, so that a test's runtime can go on meanwhile.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    in_time(tokio::task::spawn_blocking(work)).await.unwrap()
}

#[tokio::test]
async fn datagrams_reach_the_server_late_with_their_source_and_come_back_in_order() {
    let server = serve(&relayed(), ONE);
    let target: Target = Arc::new(Mutex::new(Some(server.addresses()[0])));
    let relay = relay(&target, DELAY);
    let to = relay.address();
    // Two clients with the same identifiers, under way at the same time.
    let asking = ["127.64.1.1", "127.64.2.2"].map(|from| {
        blocking(move || {
            let socket = client(&format!("{from}:0"), to);
            let begun = Instant::now();
            for number in 0..20 {
                socket.send(format!("id{number}").as_bytes()).unwrap();
            }
            for number in 0..20 {
                assert_eq!(receive(&socket), format!("id{number} {from} udp"));
                assert!(begun.elapsed() >= DELAY * 2);
            }
        })
    });
    for asked in asking {
        asked.await;
    }
}

#[tokio::test]
async fn a_connection_reaches_the_server_late_with_its_source() {
    let server = serve_tcp(&relayed(), LIMITS);
    let target: Target = Arc::new(Mutex::new(Some(server.addresses()[0])));
    let relay = relay(&target, DELAY);
    let begun = Instant::now();
    let mut stream = connect("127.64.1.1:0", relay.address()).await;
    for round in 1..=3 {
        let asked = Instant::now();
        stream.write_all(&framed(b"12")).await.unwrap();
        assert_eq!(read_message(&mut stream).await, "12 127.64.1.1 tcp");
        assert!(asked.elapsed() >= DELAY * 2);
        // The handshake's round trip was before the first.
        assert!(begun.elapsed() >= DELAY * (2 + 2 * round));
    }
    stream.shutdown().await.unwrap();
    assert!(is_closed(&mut stream).await);
    wait_for_connections(&server, 0).await;
}

#[tokio::test]
async fn without_a_server_datagrams_are_dropped_and_connections_reset() {
    let server = serve(&relayed(), ONE);
    let target: Target = Arc::default();
    let relay = relay(&target, Duration::ZERO);
    let to = relay.address();
    let socket = client("127.64.1.1:0", to);
    socket.send(b"first").unwrap();
    let mut stream = connect("127.64.1.1:0", to).await;
    assert!(in_time(stream.read(&mut [0; 16])).await.is_err());
    // The relay has looked at both by now: it accepts in the thread that this test runs in.
    let answer = blocking(move || {
        // A server that isn't there, then one that is.
        let gone = UdpSocket::bind("127.0.0.1:0")
            .unwrap()
            .local_addr()
            .unwrap();
        for address in [gone, server.addresses()[0]] {
            *target.lock().unwrap() = Some(address);
            std::thread::sleep(Duration::from_millis(20));
            socket.send(b"second").unwrap();
            std::thread::sleep(Duration::from_millis(20));
        }
        let answer = receive(&socket);
        server.stop();
        answer
    });
    assert_eq!(answer.await, "second 127.64.1.1 udp");
}

#[tokio::test]
async fn a_dropped_relay_leaves_its_address() {
    let server = serve_tcp(&relayed(), LIMITS);
    let target: Target = Arc::new(Mutex::new(Some(server.addresses()[0])));
    let relay = relay(&target, Duration::ZERO);
    let to = relay.address();
    let mut stream = connect("127.64.1.1:0", to).await;
    stream.write_all(&framed(b"12")).await.unwrap();
    read_message(&mut stream).await;
    drop(relay);
    assert!(is_closed(&mut stream).await);
    in_time(async {
        while UdpSocket::bind(to).is_err() || TcpStream::connect(to).await.is_ok() {
            tokio::task::yield_now().await;
        }
    })
    .await;
}
