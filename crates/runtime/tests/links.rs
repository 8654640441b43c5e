//! Two sites over real sockets and TLS: delay, cuts, replacement by age, and callers who have no
//! business here.
#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    clippy::unwrap_used,
    reason = "a test opens sockets, reads clocks and waits"
)]

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use link::certificate::{CertificateAuthority, Identity};
use link::{
    Admission, Class, Cut, Delivery, Lane, Link, LinkConfig, Plain, Port, Service, Shape, Windows,
};
use runtime::{LinkPeer, Links, SystemEnvironment, listen};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use types::{Environment, SiteName, Span, Timestamp};

const WAIT: Duration = Duration::from_secs(10);
const WINDOWS: Windows = Windows {
    control: 1 << 20,
    data: 8 << 20,
    bulk: 8 << 20,
};

fn site(name: &str) -> SiteName {
    name.parse().unwrap()
}

fn now() -> Timestamp {
    SystemEnvironment::new().now().wall
}

/// One end: its port and what drives it.
struct End {
    port: Arc<Port>,
    environment: Arc<SystemEnvironment>,
    links: Links,
}

/// What a pair starts with.
struct Setup {
    shape: Shape,
    maximum_age: Span,
}

const NEXT_DOOR: Setup = Setup {
    shape: Shape {
        delay: Span::ZERO,
        jitter: Span::ZERO,
        rate: None,
        loss: 0,
        cut: None,
    },
    maximum_age: Span::seconds(600),
};

fn listener() -> (TcpListener, SocketAddr) {
    let listener = listen("127.0.0.1:0".parse().unwrap()).unwrap();
    let address = listener.local_addr().unwrap();
    (listener, address)
}

fn end(
    identity: &Identity,
    peer: SiteName,
    listener: TcpListener,
    address: SocketAddr,
    setup: &Setup,
) -> End {
    let environment = Arc::new(SystemEnvironment::new());
    let config = LinkConfig {
        local: identity.site(),
        peer,
        windows: WINDOWS,
        maximum_age: setup.maximum_age,
        seed: environment.random(),
    };
    let monotonic = environment.now().monotonic;
    let port = Arc::new(Port::new(peer, Link::new(monotonic, config)));
    port.set_shape(monotonic, setup.shape);
    let peers = vec![LinkPeer {
        port: Arc::clone(&port),
        address,
    }];
    let links = Links::start(listener, identity, peers, environment.clone()).unwrap();
    End {
        port,
        environment,
        links,
    }
}

fn pair_of(left: &Identity, right: &Identity, setup: &Setup) -> (End, End, SocketAddr) {
    let (left_listener, left_address) = listener();
    let (right_listener, right_address) = listener();
    let one = end(left, right.site(), left_listener, right_address, setup);
    let other = end(right, left.site(), right_listener, left_address, setup);
    (one, other, right_address)
}

fn pair(setup: &Setup) -> (End, End) {
    let authority = CertificateAuthority::generate(now()).unwrap();
    let left = authority.issue(site("us-east-1"), now()).unwrap();
    let right = authority.issue(site("eu-west-1"), now()).unwrap();
    let (one, other, _) = pair_of(&left, &right, setup);
    (one, other)
}

impl End {
    async fn connected(&self) {
        self.until(|port| port.is_connected(Lane::Changes)).await;
    }

    async fn until(&self, condition: impl Fn(&Port) -> bool) {
        let waiting = async {
            loop {
                let bell = self.port.site_bell();
                if condition(&self.port) {
                    return;
                }
                // Some of what is waited for comes by time alone.
                tokio::time::timeout(Duration::from_millis(20), bell)
                    .await
                    .ok();
            }
        };
        tokio::time::timeout(WAIT, waiting).await.expect("in time");
    }

    fn send(&self, payload: &[u8]) -> bool {
        let plain = Plain::new(
            self.port.peer(),
            Lane::Changes,
            Service(1),
            "Orders",
            Bytes::copy_from_slice(payload),
        );
        let now = self.environment.now().monotonic;
        let sent = self.port.send(now, &Admission::open(), plain.unwrap());
        sent.is_ok()
    }

    async fn receive(&self) -> Delivery {
        let waiting = async {
            loop {
                let bell = self.port.site_bell();
                if let Some(delivery) = self.port.next_delivery() {
                    return delivery;
                }
                bell.await;
            }
        };
        tokio::time::timeout(WAIT, waiting).await.expect("in time")
    }

    async fn receive_payload(&self) -> Bytes {
        let delivery = self.receive().await;
        let now = self.environment.now().monotonic;
        self.port.consumed(now, delivery.receipt);
        delivery.payload
    }

    fn shape(&self, shape: Shape) {
        self.port.set_shape(self.environment.now().monotonic, shape);
    }
}

#[tokio::test]
async fn envelopes_cross_both_ways_in_order() {
    let (us, eu) = pair(&NEXT_DOOR);
    tokio::join!(us.connected(), eu.connected());
    for number in 0..200u32 {
        assert!(us.send(&number.to_be_bytes()));
        assert!(eu.send(&number.to_be_bytes()));
    }
    for number in 0..200u32 {
        assert_eq!(eu.receive_payload().await[..], number.to_be_bytes());
        assert_eq!(us.receive_payload().await[..], number.to_be_bytes());
    }
}

#[tokio::test]
async fn more_than_a_window_crosses_as_it_is_consumed() {
    let (us, eu) = pair(&NEXT_DOOR);
    tokio::join!(us.connected(), eu.connected());
    const COUNT: usize = 40;
    let payload = vec![7; 1 << 20];
    let sending = async {
        for _ in 0..COUNT {
            us.until(|port| port.has_room(Lane::Changes, payload.len()))
                .await;
            assert!(us.send(&payload));
        }
    };
    let receiving = async {
        for _ in 0..COUNT {
            assert_eq!(eu.receive_payload().await.len(), payload.len());
        }
    };
    tokio::join!(sending, receiving);
}

#[tokio::test]
async fn an_envelope_takes_the_delay_of_its_direction() {
    let (us, eu) = pair(&Setup {
        shape: Shape::delayed(Span::milliseconds(60)),
        ..NEXT_DOOR
    });
    let begun = Instant::now();
    tokio::join!(us.connected(), eu.connected());
    assert!(
        begun.elapsed() >= Duration::from_millis(120),
        "a handshake takes its time"
    );
    eu.shape(Shape::default());
    let (mut there, mut back) = (Vec::new(), Vec::new());
    for _ in 0..9 {
        let begun = Instant::now();
        assert!(us.send(b"there"));
        eu.receive_payload().await;
        there.push(begun.elapsed());
        let begun = Instant::now();
        assert!(eu.send(b"back"));
        us.receive_payload().await;
        back.push(begun.elapsed());
    }
    there.sort();
    back.sort();
    assert!(there[0] >= Duration::from_millis(60), "{there:?}");
    assert!(there[4] < Duration::from_millis(110), "{there:?}");
    assert!(back[4] < Duration::from_millis(30), "{back:?}");
}

#[tokio::test]
async fn a_cut_holds_and_a_heal_lets_through() {
    let (us, eu) = pair(&NEXT_DOOR);
    tokio::join!(us.connected(), eu.connected());
    us.shape(Shape::default().with_cut(Cut::Blackhole));
    us.send(b"held");
    // The other way is open.
    assert!(eu.send(b"passes"));
    assert_eq!(us.receive_payload().await, "passes");
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert!(eu.port.next_delivery().is_none());
    us.shape(Shape::default());
    assert_eq!(eu.receive_payload().await, "held");
}

#[tokio::test]
async fn a_reset_ends_connections_at_once_and_a_heal_brings_them_back() {
    let (us, eu) = pair(&NEXT_DOOR);
    tokio::join!(us.connected(), eu.connected());
    let generation = us.port.generation(Class::Data);
    us.shape(Shape::default().with_cut(Cut::Reset));
    let gone = |port: &Port| !port.is_connected(Lane::Changes);
    tokio::join!(us.until(gone), eu.until(gone));
    assert!(!us.send(b"nowhere"));
    us.shape(Shape::default());
    tokio::join!(us.connected(), eu.connected());
    assert!(us.port.generation(Class::Data) > generation);
    assert!(us.send(b"again"));
    assert_eq!(eu.receive_payload().await, "again");
}

#[tokio::test]
async fn a_connection_is_replaced_by_age_without_loss() {
    let authority = CertificateAuthority::generate(now()).unwrap();
    let left = authority.issue(site("us-east-1"), now()).unwrap();
    let right = authority.issue(site("eu-west-1"), now()).unwrap();
    let setup = Setup {
        maximum_age: Span::milliseconds(150),
        ..NEXT_DOOR
    };
    let (us, eu, _) = pair_of(&left, &right, &setup);
    tokio::join!(us.connected(), eu.connected());
    let generation = eu.port.generation(Class::Data);
    let first = us.port.connections();
    let renewed = authority.issue(site("us-east-1"), now()).unwrap();
    for number in 0..100u32 {
        if number == 50 {
            us.links.rotate(&renewed).unwrap();
        }
        us.until(|port| port.is_connected(Lane::Changes)).await;
        assert!(us.send(&number.to_be_bytes()));
        assert_eq!(eu.receive_payload().await[..], number.to_be_bytes());
        tokio::time::sleep(Duration::from_millis(8)).await;
    }
    assert_eq!(eu.port.generation(Class::Data), generation);
    let last = us.port.connections();
    assert!(
        last.iter().any(|id| !first.contains(id)),
        "{first:?} {last:?}"
    );
    let shown = [renewed.details().unwrap()];
    eu.until(|port| port.peer_certificates() == shown).await;
    assert_eq!(us.links.certificate(), shown[0]);
}

#[tokio::test]
async fn a_stranger_with_another_authority_or_name_gets_no_link() {
    let authority = CertificateAuthority::generate(now()).unwrap();
    let other_authority = CertificateAuthority::generate(now()).unwrap();
    let us = authority.issue(site("us-east-1"), now()).unwrap();
    let eu = authority.issue(site("eu-west-1"), now()).unwrap();
    // Another authority's word for the right name.
    let forged = other_authority.issue(site("eu-west-1"), now()).unwrap();
    let (one, other, _) = pair_of(&us, &forged, &NEXT_DOOR);
    // The right authority's word for another name: eu says it is ap, us expects ap.
    let (listener_us, address_us) = listener();
    let (listener_eu, address_eu) = listener();
    let ap = site("ap-southeast-1");
    let misled = end(&us, ap, listener_us, address_eu, &NEXT_DOOR);
    let liar = end(&eu, us.site(), listener_eu, address_us, &NEXT_DOOR);
    tokio::time::sleep(Duration::from_millis(500)).await;
    for end in [&one, &other, &misled, &liar] {
        assert!(end.port.connections().is_empty(), "{}", end.port.peer());
    }
}

#[tokio::test]
async fn rubbish_harms_nobody() {
    let authority = CertificateAuthority::generate(now()).unwrap();
    let us = authority.issue(site("us-east-1"), now()).unwrap();
    let eu = authority.issue(site("eu-west-1"), now()).unwrap();
    let (one, other, address) = pair_of(&us, &eu, &NEXT_DOOR);
    tokio::join!(one.connected(), other.connected());
    for _ in 0..100 {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream
            .write_all(&[0x16, 3, 1, 0xff, 0xff, 0, 0, 0])
            .await
            .unwrap();
        stream.write_all(&[b'x'; 4096]).await.unwrap();
        let mut answer = Vec::new();
        let closed = tokio::time::timeout(WAIT, stream.read_to_end(&mut answer)).await;
        closed.expect("it is sent away").ok();
    }
    // Many that say nothing at all.
    let mut silent = Vec::new();
    for _ in 0..200 {
        silent.push(TcpStream::connect(address).await.unwrap());
    }
    assert!(one.send(b"still here"));
    assert_eq!(other.receive_payload().await, "still here");
}

#[tokio::test]
async fn a_peer_that_dies_and_returns_is_linked_again() {
    let authority = CertificateAuthority::generate(now()).unwrap();
    // The first of the two in order dials; the other one dies and comes back where it was.
    let mut sites = [site("us-east-1"), site("eu-west-1")];
    sites.sort();
    let [left, right] = sites.map(|site| authority.issue(site, now()).unwrap());
    let (dialling, accepting, address) = pair_of(&left, &right, &NEXT_DOOR);
    tokio::join!(dialling.connected(), accepting.connected());
    drop(accepting);
    dialling
        .until(|port| !port.is_connected(Lane::Changes))
        .await;
    let (_unused, nowhere) = listener();
    let listener = listen(address).unwrap();
    let again = end(&right, left.site(), listener, nowhere, &NEXT_DOOR);
    tokio::join!(dialling.connected(), again.connected());
    assert!(dialling.send(b"back"));
    assert_eq!(again.receive_payload().await, "back");
}
