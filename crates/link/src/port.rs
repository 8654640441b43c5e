//! Where a site and the driver of its sockets meet: one link, shared, with a bell for each side.
//!
//! It adds no rule to the link's own. Whoever changes something the other side must see to rings
//! the other's bell; a side listens first and looks then, so that no ring is missed.

use std::sync::{Mutex, MutexGuard};

use bytes::Bytes;
use event_listener::{Event, EventListener};
use types::{Monotonic, SiteName, Span};

use crate::certificate::Details;
use crate::{
    Action, Admission, Class, ConnectionId, ConnectionRefused, Delivery, InvalidEnvelope, Lane,
    Link, Plain, ProtocolError, Receipt, Refused, SendError, Session, Shape, Traffic, WrongPeer,
};

/// One end of a link, shared between the site and the driver.
#[derive(Debug)]
pub struct Port {
    peer: SiteName,
    link: Mutex<Link>,
    site: Event,
    driver: Event,
}

/// Why an envelope did not go out.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PortError {
    /// It is no valid envelope.
    #[error(transparent)]
    Invalid(#[from] InvalidEnvelope),
    /// A residency rule keeps it here.
    #[error(transparent)]
    Refused(#[from] Refused),
    /// It was meant for another site.
    #[error(transparent)]
    WrongPeer(#[from] WrongPeer),
    /// The link doesn't take it now.
    #[error(transparent)]
    Send(#[from] SendError),
}

impl Port {
    /// A port of that link.
    pub fn new(peer: SiteName, link: Link) -> Port {
        Port {
            peer,
            link: Mutex::new(link),
            site: Event::new(),
            driver: Event::new(),
        }
    }

    /// The site at the other end.
    pub fn peer(&self) -> SiteName {
        self.peer
    }

    // === The site's side ===

    /// Rings when an envelope arrived, a connection came or went, or a queue has room again.
    pub fn site_bell(&self) -> EventListener {
        self.site.listen()
    }

    /// Admits, seals and queues an envelope.
    ///
    /// # Errors
    /// It was not taken, and why.
    pub fn send(
        &self,
        now: Monotonic,
        admission: &Admission,
        plain: Plain,
    ) -> Result<(), PortError> {
        let admitted = admission.admit(plain)?;
        let mut link = self.lock();
        let lane = admitted.lane();
        let session = link
            .session(lane)
            .ok_or(SendError::NotConnected(lane.class()))?;
        let sealed = session.seal(admitted)?;
        link.send(now, sealed)?;
        drop(link);
        self.driver.notify(usize::MAX);
        Ok(())
    }

    /// The next envelope that arrived.
    pub fn next_delivery(&self) -> Option<Delivery> {
        self.lock().next_delivery()
    }

    /// The site is done with a delivery: the peer gets its room back.
    pub fn consumed(&self, now: Monotonic, receipt: Receipt) {
        self.lock().consumed(now, receipt);
        self.driver.notify(usize::MAX);
    }

    /// Goes up each time envelopes of that class may have been lost.
    pub fn generation(&self, class: Class) -> u64 {
        self.lock().generation(class)
    }

    /// Is there a connection for that lane?
    pub fn is_connected(&self, lane: Lane) -> bool {
        self.lock().session(lane).is_some()
    }

    /// Does the lane's queue take an envelope with a payload of that length now?
    pub fn has_room(&self, lane: Lane, payload: usize) -> bool {
        self.lock().has_room(lane, payload)
    }

    /// Sets the shape of the outgoing direction.
    pub fn set_shape(&self, now: Monotonic, shape: Shape) {
        self.lock().set_shape(now, shape);
        self.driver.notify(usize::MAX);
        self.site.notify(usize::MAX);
    }

    /// The shape of the outgoing direction.
    pub fn shape(&self) -> Shape {
        self.lock().shape()
    }

    /// When the peer was last heard.
    pub fn peer_last_heard(&self) -> Option<Monotonic> {
        self.lock().peer_last_heard()
    }

    /// The smoothed round trip of heartbeats, while connected.
    pub fn round_trip(&self) -> Option<Span> {
        self.lock().round_trip()
    }

    /// The certificates that the peer proved itself with on the connections in use, each once.
    /// More than one, while connections from before and after a rotation are open.
    pub fn peer_certificates(&self) -> Vec<Details> {
        let link = self.lock();
        let mut certificates: Vec<Details> = Vec::new();
        for class in Class::ALL {
            let connection = link.usable(class).and_then(|id| link.connections.get(&id));
            let shown = connection.map(|connection| connection.session.certificate());
            if let Some(shown) = shown.filter(|shown| !certificates.contains(shown)) {
                certificates.push(shown.clone());
            }
        }
        certificates
    }

    /// What has crossed in the outgoing direction.
    pub fn traffic(&self) -> Traffic {
        self.lock().traffic()
    }

    // === The driver's side ===

    /// Rings when the site gave the link something to do.
    pub fn driver_bell(&self) -> EventListener {
        self.driver.listen()
    }

    /// See [`Link::dials`].
    pub fn dials(&self) -> bool {
        self.lock().dials()
    }

    /// See [`Link::may_connect`].
    pub fn may_connect(&self) -> bool {
        self.lock().may_connect()
    }

    /// See [`Link::next_action`].
    pub fn next_action(&self, now: Monotonic) -> Option<Action> {
        let mut link = self.lock();
        let action = link.next_action(now);
        drop(link);
        if let Some(Action::Close { .. }) = action {
            self.site.notify(usize::MAX);
        }
        action
    }

    /// See [`Link::next_wake`].
    pub fn next_wake(&self) -> Option<Monotonic> {
        self.lock().next_wake()
    }

    /// See [`Link::connected`].
    ///
    /// # Errors
    /// As [`Link::connected`].
    pub fn connected(
        &self,
        now: Monotonic,
        session: Session,
    ) -> Result<ConnectionId, ConnectionRefused> {
        let connected = self.lock().connected(now, session);
        self.ring_both();
        connected
    }

    /// See [`Link::dial_failed`].
    pub fn dial_failed(&self, now: Monotonic, class: Class) {
        self.lock().dial_failed(now, class);
        self.driver.notify(usize::MAX);
    }

    /// See [`Link::disconnected`].
    pub fn disconnected(&self, now: Monotonic, connection: ConnectionId) {
        self.lock().disconnected(now, connection);
        self.ring_both();
    }

    /// See [`Link::received`].
    ///
    /// # Errors
    /// As [`Link::received`].
    pub fn received(
        &self,
        now: Monotonic,
        connection: ConnectionId,
        bytes: &[u8],
    ) -> Result<(), ProtocolError> {
        let received = self.lock().received(now, connection, bytes);
        self.ring_both();
        received
    }

    /// See [`Link::transmit`].
    pub fn transmit(&self, now: Monotonic, connection: ConnectionId) -> Option<Bytes> {
        let bytes = self.lock().transmit(now, connection);
        if bytes.is_some() {
            self.site.notify(usize::MAX);
        }
        bytes
    }

    /// See [`Link::connections`].
    pub fn connections(&self) -> Vec<ConnectionId> {
        self.lock().connections().collect()
    }

    fn ring_both(&self) {
        self.site.notify(usize::MAX);
        self.driver.notify(usize::MAX);
    }

    fn lock(&self) -> MutexGuard<'_, Link> {
        self.link.lock().expect("the link does not panic")
    }
}
