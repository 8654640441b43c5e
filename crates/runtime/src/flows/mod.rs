//! Flows: TCP connections and UDP conversations that come to fixed addresses and are carried to
//! endpoints, below HTTP and everything else. Threads of its own wait in epoll(7) and move bytes;
//! no byte costs a task or an allocation. It knows no accelerator: a [`Steer`] says where each
//! new flow goes. It refuses to move a flow once it is established, to look into bytes, and to
//! use any of a client's bytes before an endpoint has taken the connection.

#![allow(
    dead_code,
    reason = "flows of UDP, which are refused until then, use the rest"
)]

mod adopt;
mod anycast;
mod counters;
mod handle;
mod limits;
mod own;
mod poll;
mod records;
mod slots;
mod sockets;
mod steering;
mod tcp;
mod timers;
mod udp;
mod worker;

use std::net::SocketAddr;
use std::time::Duration;

pub use anycast::{Anycast, AnycastEnds, AnycastMember, AnycastState};
pub use counters::{FlowCounts, FlowTotals};
pub use handle::{AdoptError, Flows, FlowsError, FlowsLeft, ListenerState};
pub use limits::{FlowLimits, FlowOptions, MAX_ATTEMPTS, MAX_LISTENERS};
pub use own::leads_here;
pub use records::{FlowRecord, Moved};

/// What travels in a flow.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum FlowProtocol {
    /// A connection.
    Tcp,
    /// The datagrams between one address and port and another, until none has come for a while.
    Udp,
}

/// Where flows come to.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct FlowListener {
    /// The address and port; port 0 picks a free one. For UDP it must be one address, not all of
    /// the host's: what is sent back must leave from it.
    pub address: SocketAddr,
    /// What is listened for.
    pub protocol: FlowProtocol,
}

/// A new flow, as its endpoint is chosen.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct FlowKey {
    /// The address that the client came to.
    pub to: SocketAddr,
    /// The client's own.
    pub from: SocketAddr,
    /// What it is.
    pub protocol: FlowProtocol,
}

/// The endpoints that a flow has been offered to in vain, in that order.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Tried {
    attempts: [Option<Attempt>; MAX_ATTEMPTS],
    count: usize,
}

/// An attempt to reach an endpoint.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Attempt {
    /// The endpoint.
    pub endpoint: SocketAddr,
    /// The token of the target that named it.
    pub token: u32,
}

impl Tried {
    /// Every attempt, the first one first.
    pub fn attempts(&self) -> impl Iterator<Item = Attempt> + '_ {
        self.attempts[..self.count].iter().copied().flatten()
    }

    /// How many attempts there were, [`MAX_ATTEMPTS`] at most.
    pub fn count(&self) -> usize {
        self.count
    }

    /// Was this endpoint tried?
    pub fn contains(&self, endpoint: SocketAddr) -> bool {
        self.attempts().any(|attempt| attempt.endpoint == endpoint)
    }

    /// Adds an attempt. With [`MAX_ATTEMPTS`] of them there is no room for another, and it is
    /// left out: nobody tries more often.
    pub fn add(&mut self, endpoint: SocketAddr, token: u32) {
        if let Some(place) = self.attempts.get_mut(self.count) {
            *place = Some(Attempt { endpoint, token });
            self.count += 1;
        }
    }
}

/// Where a flow goes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Target {
    /// The endpoint.
    pub endpoint: SocketAddr,
    /// How much later everything arrives, either way, than the network itself would have it: a
    /// lab's geography. None: at once.
    pub delay: Option<Duration>,
    /// Is the endpoint told the client's address, by a PROXY protocol header of version 2 at the
    /// beginning of the connection, or before every datagram?
    pub proxy_header: bool,
    /// What events of this flow are told with.
    pub token: u32,
    /// Whose flow it is, which its records say: who has the address that it came to may be another
    /// by then.
    pub owner: u64,
}

/// What happens to a flow at its endpoint.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum FlowEvent {
    /// The endpoint took the connection, or the first datagram was sent to it: the flow stays
    /// there until it [ends](FlowEvent::Ended).
    Connected {
        /// How long the connection took to make; nothing for UDP.
        after: Duration,
    },
    /// The endpoint, or the network before it, refused.
    Refused,
    /// The endpoint didn't take the connection in time.
    TimedOut,
    /// No connection could be tried, for want of ports or descriptors here; nothing is said of
    /// the endpoint.
    Unable,
    /// A flow that was connected has ended.
    Ended {
        /// Bytes from the client to the endpoint, without what headers add.
        to_endpoint: u64,
        /// Bytes from the endpoint to the client.
        to_client: u64,
        /// From its connection to its end.
        lasted: Duration,
        /// Why it ended.
        end: FlowEnd,
    },
}

/// Why a flow ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum FlowEnd {
    /// Both sides had said all.
    Closed,
    /// The client broke it off.
    ResetByClient,
    /// The endpoint broke it off, or refused a datagram.
    ResetByEndpoint,
    /// Nothing came from either side for too long.
    Idle,
    /// These flows stopped.
    Stopped,
}

/// What chooses endpoints. It is called on the flows' own threads and must not block.
pub trait Steer: Send + Sync + 'static {
    /// Where a new flow goes, after these attempts; none if there is nowhere (else). An endpoint
    /// that was tried should not be named again.
    fn steer(&self, flow: &FlowKey, tried: &Tried) -> Option<Target>;

    /// Something happened to a flow of the target with this token.
    fn note(&self, token: u32, event: FlowEvent);

    /// What a flow moved in a window that ends now: of flows that came to an address of which
    /// [records are wanted](Flows::record), each once in [`FlowLimits::window`] and at its end. By
    /// default nobody wants any.
    fn record(&self, _: &FlowRecord) {}
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attempts_are_kept_in_order_and_no_more_than_there_is_room_for() {
        let mut tried = Tried::default();
        let endpoint = |port: usize| SocketAddr::from(([127, 0, 0, 1], port as u16 + 1));
        for number in 0..MAX_ATTEMPTS + 3 {
            tried.add(endpoint(number), number as u32);
        }
        assert_eq!(tried.count(), MAX_ATTEMPTS);
        let tokens: Vec<u32> = tried.attempts().map(|attempt| attempt.token).collect();
        assert_eq!(tokens, (0..MAX_ATTEMPTS as u32).collect::<Vec<_>>());
        assert!(tried.contains(endpoint(0)));
        assert!(!tried.contains(endpoint(MAX_ATTEMPTS)));
    }
}
