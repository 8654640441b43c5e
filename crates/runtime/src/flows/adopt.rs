//! Connections that were accepted elsewhere, and flows whose addresses another process holds.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use rustix::net::sockopt;

use super::anycast::{AnycastEnds, Taker};
use super::handle::{AdoptError, Command, Flows, FlowsError, Listening, Shared, lock};
use super::limits::{Budget, FlowOptions, MAX_LISTENERS};
use super::{FlowListener, FlowProtocol, Steer, sockets};
use crate::http::ListenError;

/// What a listener is opened with.
enum Opening {
    /// It is open.
    Open,
    /// It was closed, and old flows are still there.
    Again(Arc<Listening>),
    /// It needs nothing: connections come by themselves.
    Tcp,
    /// Room for what sends datagrams from there.
    Udp(Room),
}

/// Room for a descriptor, given back unless it is kept.
struct Room(Option<Arc<Budget>>);

impl Room {
    fn take(budget: &Arc<Budget>) -> Option<Room> {
        let is_taken = budget.descriptors.take(1);
        is_taken.then(|| Room(Some(Arc::clone(budget))))
    }

    fn keep(mut self) {
        self.0 = None;
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        if let Some(budget) = &self.0 {
            budget.descriptors.give(1);
        }
    }
}

fn no_descriptor(listener: &FlowListener) -> ListenError {
    let cause = "there is no descriptor to send datagrams from there";
    ListenError::Io {
        address: listener.address,
        cause: std::io::Error::other(cause),
    }
}

impl Flows {
    /// Starts the threads behind addresses that an [`Anycast`](super::Anycast) holds: what
    /// [`listen`](Self::listen) is told to listen on, the holder listens on, and what comes there
    /// comes here if this process is the nearest to it.
    ///
    /// # Errors
    /// As those of [`start`](Self::start).
    pub fn start_behind(
        ends: AnycastEnds,
        options: FlowOptions,
        steer: Arc<dyn Steer>,
    ) -> Result<Flows, FlowsError> {
        let AnycastEnds {
            control,
            connections,
            datagrams,
        } = ends;
        let mut flows = Flows::start_with(options, steer, Some(datagrams))?;
        let shared = Arc::clone(&flows.shared);
        flows.taker = Some(Taker::start(control, connections, shared)?);
        Ok(flows)
    }

    /// As [`listen`](Self::listen), at the holder of the addresses.
    pub(super) fn listen_behind(
        &self,
        taker: &Taker,
        wanted: &BTreeSet<FlowListener>,
    ) -> Vec<ListenError> {
        let mut errors = Vec::new();
        // The holder isn't asked for what there is no room for here: it would pass on what comes
        // there to be dropped, where another process could have served it.
        let mut openings = BTreeMap::new();
        for listener in wanted {
            match self.opening(listener) {
                Some(opening) => drop(openings.insert(*listener, opening)),
                None => errors.push(no_descriptor(listener)),
            }
        }
        let mut asked: BTreeSet<_> = openings.keys().copied().collect();
        let asked_at_first = asked.len();
        for (listener, answered) in taker.listen(&asked.clone()) {
            let opening = openings.remove(&listener);
            match (answered, opening) {
                (Ok(bound), Some(opening)) => {
                    if !self.open_behind(taker, listener, bound, opening) {
                        asked.remove(&listener);
                        errors.push(no_descriptor(&listener));
                    }
                }
                (Err(error), _) => errors.push(error),
                (Ok(_), None) => {}
            }
        }
        if asked.len() < asked_at_first {
            // A socket got lost, which the holder sends once: it is to know that there is nobody,
            // and to send another when it is asked the next time.
            taker.listen(&asked);
        }
        errors
    }

    /// What a listener is opened with; none if there is no descriptor for it.
    fn opening(&self, listener: &FlowListener) -> Option<Opening> {
        if lock(&self.shared.registry).open.contains_key(listener) {
            return Some(Opening::Open);
        }
        if let Some(listening) = self.shared.still_closing(listener) {
            return Some(Opening::Again(listening));
        }
        match listener.protocol {
            FlowProtocol::Tcp => Some(Opening::Tcp),
            FlowProtocol::Udp => Room::take(&self.shared.budget).map(Opening::Udp),
        }
    }

    /// False if what sends datagrams from there didn't come.
    fn open_behind(
        &self,
        taker: &Taker,
        listener: FlowListener,
        bound: SocketAddr,
        opening: Opening,
    ) -> bool {
        let socket = taker.socket(&listener);
        let protocol = listener.protocol;
        let sockets = match opening {
            Opening::Open => return true,
            Opening::Again(listening) => {
                self.enter(listener, &listening);
                return true;
            }
            Opening::Tcp => Vec::new(),
            Opening::Udp(room) => {
                let Some(socket) = socket else {
                    return false;
                };
                // From here on it is the listener's.
                room.keep();
                vec![socket]
            }
        };
        let listening = self.shared.listening(protocol, bound, sockets, true);
        self.enter(listener, &listening);
        true
    }

    /// Takes over a connection that was accepted elsewhere: a client's flow to the address that
    /// it had come to. It is counted at the listener of that address or, if none is open here, at
    /// one that [`listeners`](Self::listeners) shows from then on.
    pub fn adopt(&self, connection: OwnedFd) -> Result<(), AdoptError> {
        if !self.shared.reserve() {
            return Err(AdoptError::Full);
        }
        self.shared.adopt(connection)
    }
}

impl Shared {
    /// Takes room for a flow; false if there is none.
    pub(super) fn reserve(&self) -> bool {
        if !self.budget.tcp_flows.take(1) {
            return false;
        }
        let taken = self.budget.descriptors.take(2);
        if !taken {
            self.budget.tcp_flows.give(1);
        }
        taken
    }

    /// Gives it back.
    pub(super) fn give_room(&self) {
        self.budget.tcp_flows.give(1);
        self.budget.descriptors.give(2);
    }

    /// Takes over a connection for which there is room; if it is none, the room is given back.
    pub(super) fn adopt(&self, connection: OwnedFd) -> Result<(), AdoptError> {
        let (to, from) = prepare(&connection).map_err(|cause| {
            self.give_room();
            AdoptError::NoConnection(cause)
        })?;
        let turn = self.next_thread.fetch_add(1, Ordering::Relaxed);
        let mailbox = &self.mailboxes[turn % self.mailboxes.len()];
        mailbox.tell(Command::Adopt {
            socket: connection,
            from,
            at: self.adopting(to),
        });
        Ok(())
    }

    /// What counts flows that had come to that address.
    fn adopting(&self, to: SocketAddr) -> Arc<Listening> {
        let mut registry = lock(&self.registry);
        let listener = FlowListener {
            address: to,
            protocol: FlowProtocol::Tcp,
        };
        if let Some(listening) = registry.open.get(&listener) {
            return Arc::clone(listening);
        }
        // One that was asked for at any free port stands elsewhere.
        let mut open = registry.open.values();
        let found = open.find(|at| at.bound == to && at.protocol == FlowProtocol::Tcp && at.behind);
        if let Some(listening) = found {
            return Arc::clone(listening);
        }
        if let Some(listening) = registry.adopted.get(&to) {
            return Arc::clone(listening);
        }
        let listening = self.listening(FlowProtocol::Tcp, to, Vec::new(), false);
        if registry.adopted.len() < MAX_LISTENERS {
            registry.adopted.insert(to, Arc::clone(&listening));
        }
        listening
    }
}

/// Readies a connection for a thread; the address that it had come to, and the client's.
fn prepare(connection: &OwnedFd) -> std::io::Result<(SocketAddr, SocketAddr)> {
    let to = sockets::bound(connection)?;
    let from = rustix::net::getpeername(connection)?;
    let from = from.ok_or(std::io::ErrorKind::NotConnected)?;
    let from = SocketAddr::try_from(from)?;
    rustix::io::ioctl_fionbio(connection, true)?;
    // Only TCP has it: a datagram socket is found out here.
    sockopt::set_tcp_nodelay(connection, true)?;
    Ok((to, from))
}
