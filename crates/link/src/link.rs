//! The machine at one end of a link.
use bytes::Bytes;
use types::{Monotonic, SiteName, Span};

use crate::{
    Class, ConnectionId, Delivery, Lane, ProtocolError, Receipt, Sealed, Session, Shape, Traffic,
    WrongPeer,
};

/// How many bytes a peer may send before the consumer has taken them, per class.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Windows {
    /// Of control.
    pub control: usize,
    /// Of data.
    pub data: usize,
    /// Of bulk.
    pub bulk: usize,
}

/// What a link needs to know of itself.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LinkConfig {
    /// The site at this end.
    pub local: SiteName,
    /// The site at the other end.
    pub peer: SiteName,
    /// The windows this end grants. 8 MiB lasts for 300 Mbit/s at a round trip of 220 ms.
    pub windows: Windows,
    /// The age at which a connection is replaced.
    pub maximum_age: Span,
    /// The seed of jitter, loss and the spread of dials.
    pub seed: u64,
}

/// What the driver is to do.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Action {
    /// Dial the peer for that class and report `connected` or `dial_failed` within `DIAL_TIMEOUT`.
    Dial(Class),
    /// Close the connection; the link has already forgotten it.
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
    /// It was replaced by age, and is drained at both ends.
    Replaced,
    /// The peer no longer answers.
    Silent,
    /// The direction was cut with `Cut::Reset`: reset it (no orderly shutdown).
    Reset,
    /// The peer dialled anew: this one is dead at its end.
    Superseded,
}

/// Why an accepted or dialled connection is not taken. The driver closes it.
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
    /// The lane's queue is full.
    #[error("the queue of lane {0} is full")]
    Full(Lane),
    /// There is no connection of the lane's class.
    #[error("no {0} connection")]
    NotConnected(Class),
    /// The envelope is sealed for another site.
    #[error(transparent)]
    WrongPeer(#[from] WrongPeer),
}

/// One end of a link.
#[derive(Debug)]
pub struct Link {
    config: LinkConfig,
}

impl Link {
    /// A link without connections.
    pub fn new(now: Monotonic, config: LinkConfig) -> Link {
        let _ = now;
        Link { config }
    }
    /// Whether this end dials: the one whose site comes first in order does.
    pub fn dials(&self) -> bool {
        self.config.local < self.config.peer
    }
    /// What the driver is to do; call until it is `None`, after any input and at `next_wake`.
    pub fn next_action(&mut self, now: Monotonic) -> Option<Action> {
        unimplemented!("{now:?}")
    }
    /// When to call `next_action` and `transmit` if nothing happens before.
    pub fn next_wake(&self) -> Option<Monotonic> {
        unimplemented!()
    }
    /// A handshake with the peer is done, dialled or accepted; the session says the class.
    ///
    /// # Errors
    /// Not this link's peer, or reset-cut: close it.
    pub fn connected(
        &mut self,
        now: Monotonic,
        session: Session,
    ) -> Result<ConnectionId, ConnectionRefused> {
        unimplemented!("{now:?} {session:?}")
    }
    /// The dial that `Action::Dial` asked for failed.
    pub fn dial_failed(&mut self, now: Monotonic, class: Class) {
        unimplemented!("{now:?} {class:?}")
    }
    /// The connection ended (end of file, error). An unknown one is ignored.
    pub fn disconnected(&mut self, now: Monotonic, connection: ConnectionId) {
        unimplemented!("{now:?} {connection:?}")
    }
    /// Bytes arrived.
    ///
    /// # Errors
    /// The peer broke the protocol: the link has forgotten the connection, close it.
    pub fn received(
        &mut self,
        now: Monotonic,
        connection: ConnectionId,
        bytes: &[u8],
    ) -> Result<(), ProtocolError> {
        unimplemented!("{now:?} {connection:?} {bytes:?}")
    }
    /// Bytes that are due on that connection now, at most 64 KiB; call until `None`, and again
    /// when the socket took them.
    pub fn transmit(&mut self, now: Monotonic, connection: ConnectionId) -> Option<Bytes> {
        unimplemented!("{now:?} {connection:?}")
    }
    /// The connections, so that the driver knows which to `transmit` on.
    pub fn connections(&self) -> impl Iterator<Item = ConnectionId> + '_ {
        std::iter::empty()
    }
    /// The session to seal with for that lane, while there is a usable connection.
    pub fn session(&self, lane: Lane) -> Option<&Session> {
        unimplemented!("{lane:?}")
    }
    /// Goes up each time envelopes of that class may have been lost: continue from the cursors.
    pub fn generation(&self, class: Class) -> u64 {
        unimplemented!("{class:?}")
    }
    /// Whether the lane's queue takes an envelope with that payload now.
    pub fn has_room(&self, lane: Lane, payload: usize) -> bool {
        unimplemented!("{lane:?} {payload:?}")
    }
    /// Queues an envelope.
    ///
    /// # Errors
    /// Not taken: full, not connected, or sealed for another site.
    pub fn send(&mut self, now: Monotonic, envelope: Sealed) -> Result<(), SendError> {
        unimplemented!("{now:?} {envelope:?}")
    }
    /// The next envelope that arrived.
    pub fn next_delivery(&mut self) -> Option<Delivery> {
        unimplemented!()
    }
    /// The consumer is done with a delivery: its bytes are granted to the peer again.
    pub fn consumed(&mut self, now: Monotonic, receipt: Receipt) {
        unimplemented!("{now:?} {receipt:?}")
    }
    /// Sets the shape of the outgoing direction.
    pub fn set_shape(&mut self, now: Monotonic, shape: Shape) {
        unimplemented!("{now:?} {shape:?}")
    }
    /// The shape of the outgoing direction.
    pub fn shape(&self) -> Shape {
        unimplemented!()
    }
    /// Whether a dial may be tried or answered: false while the outgoing direction is cut.
    pub fn may_connect(&self) -> bool {
        unimplemented!()
    }
    /// When the peer was last heard on any connection.
    pub fn peer_last_heard(&self) -> Option<Monotonic> {
        unimplemented!()
    }
    /// The smoothed round trip of control heartbeats, while connected.
    pub fn round_trip(&self) -> Option<Span> {
        unimplemented!()
    }
    /// What has crossed in the outgoing direction.
    pub fn traffic(&self) -> Traffic {
        unimplemented!()
    }
}
