//! The life of a link's connections: dialled, replaced by age, given up when silent. At any time
//! a class has at most one connection on which envelopes begin.

use types::{Monotonic, Span};

use crate::connection::{Connection, HEARTBEAT};
use crate::link::Link;
use crate::shape::Random;
use crate::{
    Action, Class, CloseReason, ConnectionId, ConnectionRefused, Cut, Session, Shape, WrongPeer,
};

/// A connection on which no heartbeat was answered for so long is dead; or for four round trips,
/// if that is longer. The outgoing direction's own delay comes on top, twice.
pub const SILENCE: Span = Span::seconds(5);

/// How long a driver may take for a dial, handshake included. After that the link dials anew.
pub const DIAL_TIMEOUT: Span = Span::seconds(10);

/// The wait after a first failed dial; it doubles with each further one.
pub const FIRST_BACKOFF: Span = Span::milliseconds(50);

/// The longest wait between two dials: short, so that a heal is noticed at once.
pub const MAXIMUM_BACKOFF: Span = Span::milliseconds(500);

/// How long a replaced connection is kept after both ends ended their data, so that late
/// heartbeats and credit meet an open socket and not a reset.
pub const LINGER: Span = Span::seconds(5);

/// How many connections of a class may exist: one in use, one draining, and two that linger or
/// greet. Beyond that the oldest goes.
pub const MAXIMUM_CONNECTIONS: usize = 4;

/// Where the dialling of a class stands.
#[derive(Debug, Default)]
pub(crate) struct Dialling {
    failures: u32,
    not_before: Monotonic,
    until: Option<Monotonic>,
}

impl Dialling {
    pub(crate) fn succeeded(&mut self) {
        *self = Dialling::default();
    }

    fn begin(&mut self, now: Monotonic) {
        self.until = Some(now + DIAL_TIMEOUT);
    }

    fn failed(&mut self, now: Monotonic, random: &mut Random) {
        self.until = None;
        self.pause(now, random);
    }

    /// Waits before the next dial, longer each time until one succeeds.
    fn pause(&mut self, now: Monotonic, random: &mut Random) {
        let doubled = FIRST_BACKOFF.0 << self.failures.min(16);
        let backoff = doubled.min(MAXIMUM_BACKOFF.0);
        self.failures += 1;
        // Between half of it and all: sites that lost each other don't dial in step.
        self.not_before = now + Span(backoff / 2 + random.below(backoff / 2 + 1));
    }
}

impl Link {
    /// What the driver is to do. Call it until it gives `None`, after any other call that was
    /// given the time, and at `next_wake`.
    pub fn next_action(&mut self, now: Monotonic) -> Option<Action> {
        self.notice(now);
        self.advance(now);
        self.pump(now);
        if let Some(action) = self.actions.pop_front() {
            return Some(action);
        }
        let class = Class::ALL.into_iter().find(|class| {
            let at = self.dial_at(*class);
            at.is_some_and(|at| at <= now) && self.dialling[class.index()].until.is_none()
        })?;
        self.dialling[class.index()].begin(now);
        Some(Action::Dial(class))
    }

    /// When to call `next_action`, and `transmit` on each connection, if nothing happens before.
    /// `None` if nothing ever will by itself.
    pub fn next_wake(&self) -> Option<Monotonic> {
        let actions = (!self.actions.is_empty()).then_some(self.now);
        let dials = Class::ALL.into_iter().filter_map(|class| {
            let until = self.dialling[class.index()].until;
            until.or_else(|| self.dial_at(class))
        });
        let connections = self.connections.values().flat_map(|connection| {
            let due = connection.line.next_at();
            let departs = due.filter(|at| self.shape.cut.is_none() && *at > self.now);
            let silent = connection.answered + self.patience();
            let timers = [connection.next_heartbeat, silent];
            timers
                .into_iter()
                .chain(departs)
                .chain(connection.forget_at)
        });
        let others = actions.into_iter().chain(dials).chain(self.pump_at());
        others.chain(connections).min()
    }

    /// A handshake with the peer is done, dialled or accepted. The session says for which class.
    ///
    /// # Errors
    /// It is another site's session, or the link is cut: the driver closes the connection.
    pub fn connected(
        &mut self,
        now: Monotonic,
        session: Session,
    ) -> Result<ConnectionId, ConnectionRefused> {
        self.notice(now);
        let class = session.class();
        if session.peer() != self.config.peer {
            return Err(ConnectionRefused::WrongPeer(WrongPeer {
                expected: self.config.peer,
                found: session.peer(),
            }));
        }
        self.dialling[class.index()].until = None;
        if self.shape.cut == Some(Cut::Reset) {
            self.dialling[class.index()].failed(now, &mut self.random);
            return Err(ConnectionRefused::Cut);
        }
        let of_class: Vec<_> = self.of_class(class).collect();
        if of_class.len() >= MAXIMUM_CONNECTIONS {
            self.close(now, of_class[0], CloseReason::Superseded);
        }
        let replaces = self.dials() && self.usable(class).is_some();
        let id = ConnectionId(self.next_connection);
        self.next_connection += 1;
        // A tenth of spread: the classes' connections aren't replaced in one moment.
        let spread = self.random.below(self.config.maximum_age.0 / 10 + 1);
        let replace_at = now + Span(self.config.maximum_age.0 - spread);
        let window = self.free_window(class);
        let connection = Connection::new(now, session, replace_at, window, replaces);
        self.connections.insert(id, connection);
        self.changed = true;
        self.pump(now);
        Ok(id)
    }

    /// The dial that `Action::Dial` asked for failed.
    pub fn dial_failed(&mut self, now: Monotonic, class: Class) {
        self.notice(now);
        self.dialling[class.index()].failed(now, &mut self.random);
    }

    /// The connection ended: end of file, or an error. One that the link has forgotten is
    /// ignored.
    pub fn disconnected(&mut self, now: Monotonic, connection: ConnectionId) {
        self.notice(now);
        self.forget(now, connection);
        self.pump(now);
    }

    /// Sets the shape of the outgoing direction. Frames under way get the new delay; a cut holds
    /// them, and its end lets go what is still there.
    pub fn set_shape(&mut self, now: Monotonic, shape: Shape) {
        self.notice(now);
        let before = std::mem::replace(&mut self.shape, shape);
        self.changed = true;
        if shape.rate != before.rate {
            self.serialiser.set_rate(now, shape.rate);
        }
        for connection in self.connections.values_mut() {
            let latency = |shape: Shape| (shape.delay, shape.jitter, shape.loss, shape.rate);
            if latency(shape) != latency(before) {
                connection.line.reshape(now, &shape, &mut self.random);
            }
            if shape.cut != before.cut {
                connection.forget_heartbeats();
            }
        }
        if shape.cut == Some(Cut::Reset) {
            let all: Vec<_> = self.connections.keys().copied().collect();
            for connection in all {
                self.close(now, connection, CloseReason::Reset);
            }
        }
        if shape.cut.is_none() && before.cut.is_some() {
            for dialling in &mut self.dialling {
                dialling.failures = 0;
                dialling.not_before = now;
            }
            for connection in self.connections.values_mut() {
                connection.next_heartbeat = now;
            }
        }
        self.advance(now);
        self.pump(now);
    }

    /// Whether a dial may be tried: not while the outgoing direction is cut. The link itself asks
    /// for none then, and what an accepting end would answer doesn't leave, so a dial against a
    /// black hole ends by its time-out.
    pub fn may_connect(&self) -> bool {
        self.shape.cut.is_none()
    }

    /// When to dial for that class; `None` while there is no need or no way.
    fn dial_at(&self, class: Class) -> Option<Monotonic> {
        if !self.dials() || !self.may_connect() {
            return None;
        }
        let newest = self.of_class(class).last().map(|id| &self.connections[&id]);
        let not_before = self.dialling[class.index()].not_before;
        match newest {
            Some(newest) if !newest.confirmed => None,
            Some(newest) if newest.is_usable() => Some(newest.replace_at.max(not_before)),
            _ => Some(not_before),
        }
    }

    /// Everything that time alone brings about.
    fn advance(&mut self, now: Monotonic) {
        for dialling in &mut self.dialling {
            if dialling.until.is_some_and(|until| until <= now) {
                dialling.failed(now, &mut self.random);
            }
        }
        let patience = self.patience();
        let cut = self.shape.cut.is_some();
        let mut ended = Vec::new();
        for (id, connection) in &mut self.connections {
            if connection.forget_at.is_some_and(|at| at <= now) && connection.held.is_empty() {
                ended.push((*id, CloseReason::Replaced));
            } else if connection.answered + patience <= now {
                ended.push((*id, CloseReason::Silent));
            } else if connection.next_heartbeat <= now {
                connection.next_heartbeat = now + HEARTBEAT;
                if !cut {
                    connection.beat(now);
                    self.changed = true;
                }
            }
        }
        for (id, reason) in ended {
            self.close(now, id, reason);
        }
    }

    /// How long a connection may go without an answered heartbeat.
    fn patience(&self) -> Span {
        let round_trips = self.round_trip.unwrap_or_default().0.saturating_mul(4);
        let delay = self.shape.delay.0.saturating_mul(2);
        Span(SILENCE.0.max(round_trips).saturating_add(delay))
    }

    /// Sets the time after which a connection that both ends have ended is forgotten.
    pub(crate) fn settle(&mut self, now: Monotonic, id: ConnectionId) {
        if let Some(connection) = self.connections.get_mut(&id)
            && connection.is_done()
            && connection.forget_at.is_none()
        {
            connection.forget_at = Some(now + LINGER);
        }
    }

    /// Gives a connection up and has the driver close it.
    pub(crate) fn close(&mut self, now: Monotonic, connection: ConnectionId, reason: CloseReason) {
        if self.connections.contains_key(&connection) {
            self.forget(now, connection);
            self.actions.push_back(Action::Close { connection, reason });
        }
    }

    /// Forgets a connection, and what was queued for it or under way on it.
    pub(crate) fn forget(&mut self, now: Monotonic, id: ConnectionId) {
        let Some(mut gone) = self.connections.remove(&id) else {
            return;
        };
        self.changed = true;
        let class = gone.session.class();
        let done = gone.is_done() && gone.held.is_empty();
        self.ready[class.index()].append(&mut gone.held);
        self.release(class);
        if done {
            return;
        }
        self.dialling[class.index()].pause(now, &mut self.random);
        if !gone.confirmed {
            return;
        }
        self.generations[class.index()] += 1;
        tracing::info!(peer = %self.config.peer, %class, "link connection lost");
        if self.usable(class).is_none() {
            for (lane, queue) in crate::Lane::ALL.into_iter().zip(&mut self.queues) {
                if lane.class() == class {
                    queue.clear();
                }
            }
        }
        if self.of_class(class).next().is_none() && class == Class::Control {
            self.round_trip = None;
        }
    }
}
