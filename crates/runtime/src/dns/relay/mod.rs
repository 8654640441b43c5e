//! The relay: one DNS address in front of several servers, among which a rule chooses for each
//! client, with the delay that lies between the two. The lab's supervisor plays the Internet with
//! it. It looks at nothing of a packet but the two bytes of its identifier, and tells the server
//! whose packet it is by a PROXY header.

mod flight;
mod tcp;
mod udp;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::UdpSocket;
use tokio::sync::watch;

use crate::http::{ListenError, listen};

/// How often a free UDP port is looked for that is free for TCP as well.
const PORT_ATTEMPTS: usize = 16;

/// Where a client's packets go.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct RelayTarget {
    /// The server's address for relayed queries, UDP and TCP; of the client's family.
    pub address: SocketAddr,
    /// How long each packet is under way from the client to the server, and as long back.
    pub one_way_delay: Duration,
}

/// What a relay refuses to exceed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct RelayLimits {
    /// Servers that are talked to by UDP at the same time; the one longest unused makes room.
    pub servers: usize,
    /// UDP queries that a server hasn't answered, of each server, 65,535 at most; the oldest
    /// makes room. A query that isn't answered within [`answer`](Self::answer) is forgotten.
    pub unanswered: usize,
    /// How long a UDP query's reply is waited for.
    pub answer: Duration,
    /// Bytes of UDP packets that are under way, both ways together; one more packet is dropped.
    pub in_flight: usize,
    /// Open TCP connections; one more is reset.
    pub connections: usize,
    /// How long nothing may pass over a TCP connection in either direction.
    pub idle: Duration,
}

impl RelayLimits {
    /// Fit for a lab: 64 servers, 16,384 unanswered queries of each for 5 s, 8 MiB in flight,
    /// 256 connections, idle for 30 s at most.
    pub const MODEST: RelayLimits = RelayLimits {
        servers: 64,
        unanswered: 16_384,
        answer: Duration::from_secs(5),
        in_flight: 8 * 1024 * 1024,
        connections: 256,
        idle: Duration::from_secs(30),
    };
}

/// The rule that chooses a client's server; none: there is nobody to answer it.
pub(super) type Choice = dyn Fn(SocketAddr) -> Option<RelayTarget> + Send + Sync;

/// A running relay. When it is dropped, it closes everything.
pub struct Relay {
    address: SocketAddr,
    _stopping: watch::Sender<bool>,
}

impl Relay {
    /// Relays what comes to that address, UDP and TCP, from now on; port 0 picks one port for
    /// both. `choose` is asked for each datagram and each connection. Must be called within a
    /// tokio runtime.
    ///
    /// Without a server for it a datagram is dropped, and a connection reset. The relay's own
    /// address is the one that its packets to servers come from.
    pub fn start(
        address: SocketAddr,
        limits: RelayLimits,
        choose: impl Fn(SocketAddr) -> Option<RelayTarget> + Send + Sync + 'static,
    ) -> Result<Relay, ListenError> {
        let (datagrams, listener) = open(address)?;
        let bound = listener
            .local_addr()
            .map_err(|cause| ListenError::Io { address, cause })?;
        let choose: Arc<Choice> = Arc::new(choose);
        let (stopping, watched) = watch::channel(false);
        let relay = udp::UdpRelay::new(datagrams, bound, limits, Arc::clone(&choose));
        tokio::spawn(relay.run(watched.clone()));
        tokio::spawn(tcp::accept(listener, bound, limits, choose, watched));
        Ok(Relay {
            address: bound,
            _stopping: stopping,
        })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

/// One port for both.
fn open(address: SocketAddr) -> Result<(UdpSocket, tokio::net::TcpListener), ListenError> {
    let mut attempts = if address.port() == 0 {
        PORT_ATTEMPTS
    } else {
        1
    };
    loop {
        attempts -= 1;
        let listener = listen(address)?;
        let bound = listener.local_addr().unwrap_or(address);
        match bind(bound) {
            Ok(datagrams) => return Ok((datagrams, listener)),
            Err(cause) if cause.kind() == io::ErrorKind::AddrInUse && attempts > 0 => {}
            Err(cause) if cause.kind() == io::ErrorKind::AddrInUse => {
                return Err(ListenError::Taken(bound));
            }
            Err(cause) => return Err(ListenError::Io { address, cause }),
        }
    }
}

fn bind(address: SocketAddr) -> io::Result<UdpSocket> {
    let socket = std::net::UdpSocket::bind(address)?;
    socket.set_nonblocking(true)?;
    UdpSocket::from_std(socket)
}
