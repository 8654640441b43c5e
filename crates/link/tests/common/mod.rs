//! Two ends of a link joined by memory, under virtual time. The pipes take no time and lose
//! nothing: what is seen is the link's own doing.
#![allow(dead_code, reason = "each test file uses its part")]

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bytes::Bytes;
use link::certificate::CertificateAuthority;
use link::{
    Action, Admission, Class, CloseReason, ConnectionId, Lane, Link, LinkConfig, Plain, Receipt,
    SendError, Service, Session, Windows, handshake,
};
use rustls::pki_types::UnixTime;
use rustls::time_provider::TimeProvider;
use types::{Monotonic, SiteName, Span, Timestamp};

pub const WALL: Timestamp = Timestamp(1_790_000_000_000);

#[derive(Debug)]
pub struct FixedTime(pub Timestamp);

impl TimeProvider for FixedTime {
    fn current_time(&self) -> Option<UnixTime> {
        Some(UnixTime::since_unix_epoch(Duration::from_millis(self.0.0)))
    }
}

pub fn time() -> Arc<dyn TimeProvider> {
    Arc::new(FixedTime(WALL))
}

pub fn site(name: &str) -> SiteName {
    name.parse().expect("a site of the tests")
}

/// The dialling end first.
pub fn sites() -> [SiteName; 2] {
    let mut sites = [site("us-east-1"), site("eu-west-1")];
    sites.sort();
    sites
}

/// For each class the session of the dialling end and of the accepting end, of true handshakes.
pub fn sessions() -> &'static BTreeMap<Class, [Session; 2]> {
    static SESSIONS: OnceLock<BTreeMap<Class, [Session; 2]>> = OnceLock::new();
    SESSIONS.get_or_init(|| {
        let authority = CertificateAuthority::generate(WALL).expect("an authority");
        let [a, b] = sites().map(|site| authority.issue(site, WALL).expect("an identity"));
        let server = b.server_config(time()).expect("a configuration");
        let session = |class: Class| {
            let client = a.client_config(class, time()).expect("a configuration");
            let (dialled, accepted) =
                handshake::in_memory(&client, b.site(), &server).expect("a handshake");
            (class, [dialled, accepted])
        };
        Class::ALL.map(session).into()
    })
}

/// A delivery, and when it came.
#[derive(Debug)]
pub struct Received {
    pub at: Monotonic,
    pub from: SiteName,
    pub lane: Lane,
    pub resource: String,
    pub payload: Bytes,
    pub receipt: Option<Receipt>,
}

pub struct Pair {
    pub now: Monotonic,
    pub ends: [Link; 2],
    /// Which connection of one end is which of the other, and the other way round.
    pub joined: [BTreeMap<ConnectionId, ConnectionId>; 2],
    pub received: [Vec<Received>; 2],
    /// Deliveries are done with as they come.
    pub consume: bool,
    /// Every byte that crossed, by sender.
    pub wire: [u64; 2],
    /// Digest of all that happened.
    pub trace: u32,
    pub closed: Vec<(usize, CloseReason)>,
    pub dials: u64,
    /// Each dial fails, as if nobody listened.
    pub deaf: bool,
}

impl Pair {
    pub fn new() -> Pair {
        Pair::with(Windows::STANDARD, link::MAXIMUM_AGE)
    }

    pub fn with(windows: Windows, maximum_age: Span) -> Pair {
        let [a, b] = sites();
        let end = |local, peer, seed| {
            let config = LinkConfig {
                local,
                peer,
                windows,
                maximum_age,
                seed,
            };
            Link::new(Monotonic(0), config)
        };
        Pair {
            now: Monotonic(0),
            ends: [end(a, b, 1), end(b, a, 2)],
            joined: Default::default(),
            received: Default::default(),
            consume: true,
            wire: [0, 0],
            trace: 0,
            closed: Vec::new(),
            dials: 0,
            deaf: false,
        }
    }

    /// A pair whose connections are up, without delay.
    pub fn connected() -> Pair {
        let mut pair = Pair::new();
        pair.run_for(Span::milliseconds(10));
        assert!(pair.is_connected());
        pair
    }

    pub fn is_connected(&self) -> bool {
        Lane::ALL
            .iter()
            .all(|lane| self.ends.iter().all(|end| end.session(*lane).is_some()))
    }

    pub fn send(&mut self, from: usize, lane: Lane, payload: Bytes) -> Result<(), SendError> {
        let to = self.ends[from].peer();
        let resource = format!("resource-{lane}");
        let plain = Plain::new(to, lane, Service(1), resource, payload).expect("within limits");
        let admitted = Admission::open().admit(plain).expect("nothing is bound");
        let class = lane.class();
        let session = self.ends[from].session(lane);
        let session = session.ok_or(SendError::NotConnected(class))?;
        let sealed = session.seal(admitted).expect("the session is the peer's");
        self.ends[from].send(self.now, sealed)
    }

    pub fn run_for(&mut self, span: Span) {
        self.run_until(self.now + span);
    }

    /// Gives back every receipt that was kept.
    pub fn consume_all(&mut self, end: usize) {
        for received in &mut self.received[end] {
            if let Some(receipt) = received.receipt.take() {
                self.ends[end].consumed(self.now, receipt);
            }
        }
    }

    /// Lets everything happen up to and at that time.
    pub fn run_until(&mut self, until: Monotonic) {
        let mut steps_at_one_time = 0;
        loop {
            self.settle();
            let wake = self.ends.iter().filter_map(Link::next_wake).min();
            let Some(wake) = wake.filter(|wake| *wake <= until) else {
                break;
            };
            assert!(wake >= self.now, "a wake in the past");
            steps_at_one_time = if wake > self.now {
                0
            } else {
                steps_at_one_time + 1
            };
            assert!(steps_at_one_time < 100, "a wake that brings nothing about");
            self.now = wake;
        }
        self.now = until;
        self.settle();
    }

    fn settle(&mut self) {
        while [0, 1].map(|end| self.act(end) | self.carry(end)) != [false, false] {}
    }

    fn act(&mut self, end: usize) -> bool {
        let mut any = false;
        while let Some(action) = self.ends[end].next_action(self.now) {
            any = true;
            self.note(format!("{end} {action:?}").as_bytes());
            match action {
                Action::Dial(class) => self.dial(end, class),
                Action::Close { connection, reason } => {
                    self.closed.push((end, reason));
                    self.hang_up(end, connection);
                }
            }
        }
        any
    }

    fn dial(&mut self, end: usize, class: Class) {
        assert_eq!(end, 0, "the first end dials");
        self.dials += 1;
        if self.deaf {
            return self.ends[0].dial_failed(self.now, class);
        }
        let [dialled, accepted] = sessions()[&class].clone();
        let Ok(there) = self.ends[1].connected(self.now, accepted) else {
            return self.ends[0].dial_failed(self.now, class);
        };
        let here = self.ends[0]
            .connected(self.now, dialled)
            .expect("an end that dials isn't cut");
        self.joined[0].insert(here, there);
        self.joined[1].insert(there, here);
    }

    pub fn hang_up(&mut self, end: usize, connection: ConnectionId) {
        if let Some(other) = self.joined[end].remove(&connection) {
            self.joined[1 - end].remove(&other);
            self.ends[1 - end].disconnected(self.now, other);
        }
    }

    fn carry(&mut self, end: usize) -> bool {
        let mut any = false;
        for (here, there) in self.joined[end].clone() {
            while let Some(bytes) = self.ends[end].transmit(self.now, here) {
                any = true;
                self.wire[end] += bytes.len() as u64;
                self.note(&bytes);
                self.ends[1 - end]
                    .received(self.now, there, &bytes)
                    .expect("a link's own bytes");
            }
        }
        while let Some(delivery) = self.ends[1 - end].next_delivery() {
            any = true;
            let mut receipt = Some(delivery.receipt);
            if self.consume {
                let receipt = receipt.take().expect("not yet given");
                self.ends[1 - end].consumed(self.now, receipt);
            }
            self.received[1 - end].push(Received {
                at: self.now,
                from: delivery.from,
                lane: delivery.lane,
                resource: delivery.resource,
                payload: delivery.payload,
                receipt,
            });
        }
        any
    }

    fn note(&mut self, bytes: &[u8]) {
        let time = self.now.0.to_be_bytes();
        self.trace = crc32c::crc32c_append(crc32c::crc32c_append(self.trace, &time), bytes);
    }
}
