//! The wires between simulated sites: they move what one end of a link puts out to the other
//! end, at once (the delay is the link's own), in pieces of any size, and break as told.

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};

use link::certificate::{CertificateAuthority, EnvironmentTime};
use link::{Action, Class, ConnectionId, Port, Session, handshake};
use types::{Monotonic, Now, SiteName, Sleep, Span, Timestamp};

use crate::random::Random;

/// How long a dial into a cut takes to fail.
const DIAL_TIMEOUT: Span = Span::seconds(1);

/// Two ports and the connections between them.
pub struct Wire {
    ends: [Arc<Port>; 2],
    connections: Vec<Pair>,
    dials: Vec<(Monotonic, Class)>,
    random: Random,
}

/// One connection, by the name each end has for it.
#[derive(Clone, Copy)]
struct Pair([ConnectionId; 2]);

impl Wire {
    /// A wire between two ports.
    pub fn new(ends: [Arc<Port>; 2], random: Random) -> Wire {
        Wire {
            ends,
            connections: Vec::new(),
            dials: Vec::new(),
            random,
        }
    }

    /// Moves everything that is due. Says whether anything happened.
    pub fn step(&mut self, now: Monotonic) -> bool {
        let mut happened = self.finish_dials(now);
        for side in [0, 1] {
            while let Some(action) = self.ends[side].next_action(now) {
                happened = true;
                match action {
                    Action::Dial(class) => self.dials.push((self.dial_time(now), class)),
                    Action::Close { connection, .. } => self.closed(now, side, connection),
                }
            }
        }
        for index in (0..self.connections.len()).rev() {
            happened |= self.carry(now, index);
        }
        happened
    }

    /// When to step again if nothing happens before.
    pub fn next_wake(&self) -> Option<Monotonic> {
        let dials = self.dials.iter().map(|(at, _)| *at);
        self.ends
            .iter()
            .filter_map(|end| end.next_wake())
            .chain(dials)
            .min()
    }

    /// Breaks a connection, as a reset by something in between would.
    pub fn break_one(&mut self, now: Monotonic) {
        if self.connections.is_empty() {
            return;
        }
        let index = self.random.below(self.connections.len() as u64) as usize;
        let Pair(pair) = self.connections.swap_remove(index);
        for (end, connection) in self.ends.iter().zip(pair) {
            // What was just put on the wire is lost with it.
            let _lost = end.transmit(now, connection);
            end.disconnected(now, connection);
        }
    }

    /// Breaks everything: one end is gone.
    pub fn break_all(&mut self, now: Monotonic) {
        while !self.connections.is_empty() {
            self.break_one(now);
        }
        for (_, class) in std::mem::take(&mut self.dials) {
            self.ends[usize::from(!self.ends[0].dials())].dial_failed(now, class);
        }
    }

    fn dial_time(&self, now: Monotonic) -> Monotonic {
        let round_trip = Span(self.ends.iter().map(|end| end.shape().delay.0).sum());
        if self.may_connect() {
            now + round_trip
        } else {
            now + DIAL_TIMEOUT
        }
    }

    fn may_connect(&self) -> bool {
        self.ends.iter().all(|end| end.may_connect())
    }

    fn finish_dials(&mut self, now: Monotonic) -> bool {
        let (due, waiting) = self.dials.drain(..).partition(|(at, _)| *at <= now);
        self.dials = waiting;
        let due: Vec<(Monotonic, Class)> = due;
        for (_, class) in &due {
            self.connect(now, *class);
        }
        !due.is_empty()
    }

    fn connect(&mut self, now: Monotonic, class: Class) {
        let dialer = usize::from(!self.ends[0].dials());
        let accepter = 1 - dialer;
        if !self.may_connect() {
            self.ends[dialer].dial_failed(now, class);
            return;
        }
        let dialled_site = self.ends[dialer].peer();
        let dialling_site = self.ends[accepter].peer();
        let (dialled, accepted) = sessions(dialling_site, dialled_site, class);
        let first = self.ends[dialer].connected(now, dialled);
        let second = self.ends[accepter].connected(now, accepted);
        match (first, second) {
            (Ok(first), Ok(second)) => {
                let mut pair = [first, second];
                if dialer == 1 {
                    pair.swap(0, 1);
                }
                self.connections.push(Pair(pair));
            }
            (Ok(first), Err(_)) => self.ends[dialer].disconnected(now, first),
            (Err(_), Ok(second)) => self.ends[accepter].disconnected(now, second),
            (Err(_), Err(_)) => {}
        }
    }

    fn closed(&mut self, now: Monotonic, side: usize, connection: ConnectionId) {
        let index = self
            .connections
            .iter()
            .position(|Pair(pair)| pair[side] == connection);
        if let Some(index) = index {
            let Pair(pair) = self.connections.swap_remove(index);
            self.ends[1 - side].disconnected(now, pair[1 - side]);
        }
    }

    fn carry(&mut self, now: Monotonic, index: usize) -> bool {
        let mut carried = false;
        for side in [0, 1] {
            let Some(Pair(pair)) = self.connections.get(index).copied() else {
                return true;
            };
            while let Some(bytes) = self.ends[side].transmit(now, pair[side]) {
                carried = true;
                let middle = self.random.below(bytes.len() as u64 + 1) as usize;
                let far = &self.ends[1 - side];
                let taken = far
                    .received(now, pair[1 - side], &bytes[..middle])
                    .and_then(|()| far.received(now, pair[1 - side], &bytes[middle..]));
                if taken.is_err() {
                    self.ends[side].disconnected(now, pair[side]);
                    self.connections.retain(|Pair(other)| *other != pair);
                    return true;
                }
            }
        }
        carried
    }
}

/// Genuine sessions, by who dialled whom for what: made by a true handshake, once a process.
type Sessions = BTreeMap<(SiteName, SiteName, Class), (Session, Session)>;

fn sessions(from: SiteName, to: SiteName, class: Class) -> (Session, Session) {
    static MADE: OnceLock<std::sync::Mutex<Sessions>> = OnceLock::new();
    let mut made = MADE
        .get_or_init(std::sync::Mutex::default)
        .lock()
        .expect("nothing panics");
    let key = (from, to, class);
    made.entry(key)
        .or_insert_with(|| shake_hands(from, to, class))
        .clone()
}

fn shake_hands(from: SiteName, to: SiteName, class: Class) -> (Session, Session) {
    static AUTHORITY: OnceLock<CertificateAuthority> = OnceLock::new();
    let now = StandingClock.now_wall();
    let authority = AUTHORITY.get_or_init(|| {
        CertificateAuthority::generate(now).expect("a certificate authority can be made")
    });
    let identity = |site| {
        authority
            .issue(site, now)
            .expect("a certificate can be issued")
    };
    let time = || Arc::new(EnvironmentTime(Arc::new(StandingClock)));
    let client = identity(from)
        .client_config(class, time())
        .expect("the dialling end's configuration is sound");
    let server = identity(to)
        .server_config(time())
        .expect("the accepting end's configuration is sound");
    handshake::in_memory(&client, to, &server).expect("two sites of one authority shake hands")
}

/// The handshakes happen outside the simulated time.
struct StandingClock;

impl StandingClock {
    fn now_wall(&self) -> Timestamp {
        Timestamp(1_767_225_600_000)
    }
}

impl types::Environment for StandingClock {
    fn now(&self) -> Now {
        Now {
            wall: self.now_wall(),
            monotonic: Monotonic(0),
        }
    }

    fn sleep_until(&self, _at: Monotonic) -> Sleep {
        Box::pin(std::future::ready(()))
    }

    fn random(&self) -> u64 {
        0
    }
}
