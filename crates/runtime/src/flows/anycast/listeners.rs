//! What a holder listens on: everything that any of the processes wants, once.

use std::collections::{BTreeSet, HashMap};
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::time::Instant;

use super::holder::Holder;
use super::message::{Outcome, Told};
use crate::flows::limits::MAX_LISTENERS;
use crate::flows::poll::{Name, Poll};
use crate::flows::{FlowListener, FlowProtocol, sockets};
use crate::http::ListenError;

/// Addresses and ports that are held, at most: processes change over one after the other, and want
/// different ones meanwhile.
const MOST: usize = 2 * MAX_LISTENERS;

/// Something that is listened on.
pub(super) struct Held {
    pub(super) listener: FlowListener,
    pub(super) bound: SocketAddr,
    pub(super) socket: OwnedFd,
    /// Which process has a client's datagrams, and when the last came.
    pub(super) callers: HashMap<SocketAddr, (u32, Instant)>,
}

impl Held {
    /// From here on what comes there is told of.
    pub(super) fn watch(&self, number: u32, poll: &Poll) {
        let watched = match self.listener.protocol {
            FlowProtocol::Tcp => poll.listener(&self.socket, Name::TcpListener(number)),
            FlowProtocol::Udp => poll.datagrams(&self.socket, Name::UdpListener(number)),
        };
        if let Err(cause) = watched {
            tracing::error!(%cause, address = %self.bound, "a held address can't be waited for");
        }
    }
}

impl Holder {
    /// A process wants these and nothing else.
    pub(super) fn listen(
        &mut self,
        number: u32,
        asked: u32,
        listeners: Vec<FlowListener>,
        now: Instant,
    ) {
        let Some(member) = self.members.get(&number) else {
            return;
        };
        let before = member.wants.clone();
        let wanted: BTreeSet<FlowListener> = listeners.iter().copied().collect();
        // What has come to where it doesn't listen any more came while it did.
        for listener in before.difference(&wanted) {
            if let Some(number) = self.numbers.get(listener).copied() {
                self.accept(number, now);
            }
        }
        let (mut outcomes, mut open) = (Vec::new(), BTreeSet::new());
        let mut told = Vec::new();
        for listener in listeners {
            let outcome = self.open(listener);
            if let Outcome::Open(_) = outcome {
                open.insert(listener);
                let is_new = !before.contains(&listener);
                if is_new && listener.protocol == FlowProtocol::Udp {
                    told.push(listener);
                }
            }
            outcomes.push(outcome);
        }
        let sockets: Vec<_> = told
            .into_iter()
            .filter_map(|listener| Some((listener, self.socket_of(&listener)?)))
            .collect();
        if let Some(member) = self.members.get_mut(&number) {
            member.wants = open;
        }
        // Before it hears: it may tell others that nobody listens there any more.
        self.close_unwanted();
        let Some(member) = self.members.get_mut(&number) else {
            return;
        };
        let mut hears = true;
        for (listener, socket) in sockets {
            hears &= member.say(&Told::Socket(listener), Some(socket));
        }
        let answer = Told::Listening {
            number: asked,
            outcomes,
        };
        hears &= member.say(&answer, None);
        if !hears {
            self.detach(number, now);
        }
    }

    fn socket_of(&self, listener: &FlowListener) -> Option<OwnedFd> {
        let held = self.held.get(self.numbers.get(listener)?)?;
        held.socket.try_clone().ok()
    }

    /// Listens there, if it doesn't yet.
    fn open(&mut self, listener: FlowListener) -> Outcome {
        if let Some(held) = self.numbers.get(&listener).and_then(|it| self.held.get(it)) {
            return Outcome::Open(held.bound.port());
        }
        if self.held.len() >= MOST {
            return Outcome::Full;
        }
        let opened = sockets::open(listener.address, listener.protocol, 1);
        let opened = opened.and_then(|mut sockets| {
            let address = listener.address;
            let failed = |cause| ListenError::Io { address, cause };
            let socket = sockets.pop().ok_or_else(|| {
                let cause = std::io::Error::other("no socket was opened");
                ListenError::Io { address, cause }
            })?;
            let bound = sockets::bound(&socket).map_err(failed)?;
            Ok((socket, bound))
        });
        let (socket, bound) = match opened {
            Ok(opened) => opened,
            Err(ListenError::Taken(_)) => return Outcome::Taken,
            Err(ListenError::Io { cause, .. }) => {
                return Outcome::Failed(cause.raw_os_error().unwrap_or(0));
            }
        };
        let number = self.next_number;
        self.next_number = self.next_number.wrapping_add(1);
        let held = Held {
            listener,
            bound,
            socket,
            callers: HashMap::new(),
        };
        if !(self.is_paused() && listener.protocol == FlowProtocol::Tcp) {
            held.watch(number, &self.poll);
        }
        self.held.insert(number, held);
        self.numbers.insert(listener, number);
        Outcome::Open(bound.port())
    }

    /// Gives up what no process wants. Conversations by datagrams that have begun go on, and their
    /// address is given up when the last has ended.
    pub(super) fn close_unwanted(&mut self) {
        let members = &self.members;
        let unwanted = self.held.extract_if(.., |_, held| {
            let mut members = members.values();
            let is_wanted = members.any(|member| member.wants.contains(&held.listener));
            !is_wanted && held.callers.is_empty()
        });
        for (_, held) in unwanted {
            // Whoever sends datagrams from it has the socket, too: closing it isn't enough.
            self.poll.forget(&held.socket);
            self.numbers.remove(&held.listener);
        }
    }
}
