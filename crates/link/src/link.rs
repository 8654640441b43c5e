//! The machine at one end of a link: a step for each thing that can happen, the time always
//! passed in. Its halves are `transmit` and `receive`, its timers `lifecycle`. The same calls at
//! the same times give the same outputs.

use std::collections::{BTreeMap, VecDeque};

use types::{Monotonic, SiteName, Span};

use crate::connection::Connection;
use crate::frame::MAXIMUM_FRAME;
use crate::lifecycle::Dialling;
use crate::meter::Meter;
use crate::outbound::{LaneQueue, Serialiser};
use crate::shape::Random;
use crate::{Class, ConnectionId, Delivery, Lane, Sealed, Session, Shape, Traffic, WrongPeer};

/// The usual age at which a connection is replaced: a certificate that was taken back is out of
/// use after it.
pub const MAXIMUM_AGE: Span = Span::seconds(600);

/// The smallest window of a class: four frames. A smaller one counts as this.
pub const MINIMUM_WINDOW: usize = 4 * MAXIMUM_FRAME;

/// How many bytes of frames a peer may send before the consumer has taken them, per class. On a
/// link of that bandwidth and round trip it should be at least their product.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Windows {
    /// Of control.
    pub control: usize,
    /// Of data.
    pub data: usize,
    /// Of bulk.
    pub bulk: usize,
}

/// What a link needs to know.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LinkConfig {
    /// The site at this end.
    pub local: SiteName,
    /// The site at the other end.
    pub peer: SiteName,
    /// The windows this end grants; `Windows::STANDARD` unless there is a reason.
    pub windows: Windows,
    /// The age at which a connection is replaced, up to a tenth earlier; `MAXIMUM_AGE` unless
    /// there is a reason.
    pub maximum_age: Span,
    /// The seed of jitter, loss and the spread of dials.
    pub seed: u64,
}

/// What the driver is to do.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Action {
    /// Dial the peer for that class; report `connected` or `dial_failed` within `DIAL_TIMEOUT`.
    Dial(Class),
    /// Close the connection. The link has forgotten it already.
    Close {
        /// Which.
        connection: ConnectionId,
        /// Why.
        reason: CloseReason,
    },
}

/// Why the link gives a connection up.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum CloseReason {
    /// It was replaced by age, and both ends have ended their data.
    Replaced,
    /// The peer no longer answers heartbeats.
    Silent,
    /// The direction was cut with `Cut::Reset`: reset it, no orderly shutdown.
    Reset,
    /// The peer dialled anew, so this one is dead at its end; or there were too many.
    Superseded,
}

/// Why a connection is not taken. The driver closes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ConnectionRefused {
    /// The session is another site's.
    #[error(transparent)]
    WrongPeer(#[from] WrongPeer),
    /// The direction is cut with `Cut::Reset`.
    #[error("the link is cut")]
    Cut,
}

/// Why an envelope was not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SendError {
    /// The lane's queue is full: `Link::has_room` tells beforehand.
    #[error("the queue of lane {0} is full")]
    Full(Lane),
    /// There is no connection of the lane's class.
    #[error("there is no {0} connection")]
    NotConnected(Class),
    /// The envelope is sealed for another site.
    #[error(transparent)]
    WrongPeer(#[from] WrongPeer),
}

/// One end of a link to one peer.
#[derive(Debug)]
pub struct Link {
    pub(crate) config: LinkConfig,
    /// The latest time it was told.
    pub(crate) now: Monotonic,
    /// Something happened that may give a frame its turn.
    pub(crate) changed: bool,
    /// A frame waits for the serialiser alone.
    pub(crate) waiting: bool,
    pub(crate) shape: Shape,
    pub(crate) random: Random,
    pub(crate) serialiser: Serialiser,
    pub(crate) meter: Meter,
    pub(crate) connections: BTreeMap<ConnectionId, Connection>,
    pub(crate) next_connection: u64,
    pub(crate) dialling: [Dialling; Class::ALL.len()],
    pub(crate) queues: [LaneQueue; Lane::ALL.len()],
    pub(crate) generations: [u64; Class::ALL.len()],
    /// Whose turn it was, of data and bulk.
    pub(crate) last_class: Class,
    /// Whose turn it was in each class.
    pub(crate) last_lane: [Lane; Class::ALL.len()],
    pub(crate) ready: [VecDeque<Delivery>; Class::ALL.len()],
    /// Bytes of whole envelopes that the consumer has not done with.
    pub(crate) unconsumed: [u64; Class::ALL.len()],
    pub(crate) actions: VecDeque<Action>,
    pub(crate) last_heard: Option<Monotonic>,
    pub(crate) round_trip: Option<Span>,
}

impl Windows {
    /// The usual windows. 8 MiB carry 300 Mbit/s over a round trip of 220 ms; measured, 64 KiB
    /// carried 0.29 MB/s. Control is small: what waits there is urgent or worthless.
    pub const STANDARD: Windows = Windows {
        control: 1 << 20,
        data: 8 << 20,
        bulk: 16 << 20,
    };

    pub(crate) fn of(&self, class: Class) -> u64 {
        let window = match class {
            Class::Control => self.control,
            Class::Data => self.data,
            Class::Bulk => self.bulk,
        };
        window.max(MINIMUM_WINDOW) as u64
    }
}

impl Link {
    /// A link without connections, at that time.
    ///
    /// # Panics
    /// The link would lead from a site to itself.
    pub fn new(now: Monotonic, config: LinkConfig) -> Link {
        assert_ne!(config.local, config.peer, "a link joins two sites");
        Link {
            random: Random::new(config.seed),
            config,
            now,
            changed: false,
            waiting: false,
            shape: Shape::default(),
            serialiser: Serialiser::new(),
            meter: Meter::default(),
            connections: BTreeMap::new(),
            next_connection: 1,
            dialling: Default::default(),
            queues: Default::default(),
            generations: [0; Class::ALL.len()],
            last_class: Class::Bulk,
            last_lane: [Lane::Health, Lane::Request, Lane::Objects],
            ready: Default::default(),
            unconsumed: [0; Class::ALL.len()],
            actions: VecDeque::new(),
            last_heard: None,
            round_trip: None,
        }
    }

    /// The site at this end.
    pub fn local(&self) -> SiteName {
        self.config.local
    }

    /// The site at the other end.
    pub fn peer(&self) -> SiteName {
        self.config.peer
    }

    /// Whether this end dials. Of two sites the one that comes first in order does.
    pub fn dials(&self) -> bool {
        self.config.local < self.config.peer
    }

    /// Queues an envelope. It is lost, unsent or sent, if its connection is lost: `generation`
    /// goes up then.
    ///
    /// # Errors
    /// It was not taken, and is gone: the lane's queue is full, there is no connection of its
    /// class, or it is sealed for another site.
    pub fn send(&mut self, now: Monotonic, envelope: Sealed) -> Result<(), SendError> {
        self.notice(now);
        if envelope.to() != self.config.peer {
            return Err(SendError::WrongPeer(WrongPeer {
                expected: self.config.peer,
                found: envelope.to(),
            }));
        }
        let content = envelope.into_content();
        let class = content.lane.class();
        if self.usable(class).is_none() {
            return Err(SendError::NotConnected(class));
        }
        let queue = &mut self.queues[content.lane.index()];
        if !queue.has_room(content.payload.len()) {
            return Err(SendError::Full(content.lane));
        }
        let row = self
            .meter
            .row(content.lane, content.service, &content.resource);
        queue.push(content, row);
        self.changed = true;
        self.pump(now);
        Ok(())
    }

    /// Whether the lane's queue takes an envelope with so many bytes of payload now.
    pub fn has_room(&self, lane: Lane, payload: usize) -> bool {
        self.queues[lane.index()].has_room(payload)
    }

    /// The session to seal with for that lane, while there is a connection to send on.
    pub fn session(&self, lane: Lane) -> Option<&Session> {
        let id = self.usable(lane.class())?;
        Some(&self.connections.get(&id)?.session)
    }

    /// How often a connection of that class was lost with what it may have held. When it has gone
    /// up, envelopes may be missing: senders go on from what their peers acknowledged.
    pub fn generation(&self, class: Class) -> u64 {
        self.generations[class.index()]
    }

    /// The connections, so that a driver knows on which to `transmit`.
    pub fn connections(&self) -> impl Iterator<Item = ConnectionId> + '_ {
        self.connections.keys().copied()
    }

    /// The shape of the outgoing direction.
    pub fn shape(&self) -> Shape {
        self.shape
    }

    /// When the peer was last heard, on any connection.
    pub fn peer_last_heard(&self) -> Option<Monotonic> {
        self.last_heard
    }

    /// The smoothed round trip of the control connection's heartbeats, while there is one.
    pub fn round_trip(&self) -> Option<Span> {
        self.round_trip
    }

    /// What has crossed in the outgoing direction since the link was made.
    pub fn traffic(&self) -> Traffic {
        self.meter.traffic(self.config.local, self.config.peer)
    }

    /// The connections of a class, the oldest first.
    pub(crate) fn of_class(&self, class: Class) -> impl Iterator<Item = ConnectionId> + '_ {
        let connections = self.connections.iter();
        connections
            .filter(move |(_, connection)| connection.session.class() == class)
            .map(|(id, _)| *id)
    }

    /// The connection on which envelopes of that class begin.
    pub(crate) fn usable(&self, class: Class) -> Option<ConnectionId> {
        self.of_class(class)
            .filter(|id| self.connections[id].is_usable())
            .last()
    }

    /// Keeps the latest time.
    pub(crate) fn notice(&mut self, now: Monotonic) {
        self.now = self.now.max(now);
    }
}
