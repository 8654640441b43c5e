//! DNS over UDP and TCP (RFC 1035 section 4.2): packets in, packets out. It knows no name and no
//! record: a [`Responder`] makes the bytes of a reply from the bytes of a query. UDP has threads
//! and batches of its own, since the kernel's path is most of what a query costs; TCP runs on
//! tokio. The [`Relay`] plays the network in front of several servers for the lab.

mod affinity;
mod batch;
mod counters;
pub(crate) mod proxy;
mod relay;
mod sockets;
mod tcp;
mod udp;

use std::net::{IpAddr, SocketAddr};

pub use counters::DnsCounts;
pub use relay::{Relay, RelayLimits, RelayTarget};
pub use tcp::{TcpLimits, TcpServer};
pub use udp::{UdpOptions, UdpServer};

/// The largest query that is read, in bytes, over either transport. One question with its name
/// and EDNS options takes a few hundred; what is larger is none that a server could answer.
pub const MAX_QUERY: usize = 4096;

/// Room for a reply over UDP, in bytes: the largest payload that is worth offering a client by
/// EDNS (RFC 6891 section 6.2.5).
pub const MAX_UDP_REPLY: usize = 4096;

/// Room for a reply over TCP, in bytes: what its length of two octets can say (RFC 1035 section
/// 4.2.2).
pub const MAX_TCP_REPLY: usize = 65_535;

/// How a query came.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Transport {
    /// In a datagram: the reply must fit what the client takes.
    Udp,
    /// Over a connection: the reply may be as long as a message can be.
    Tcp,
}

/// A query as it arrived. Nothing of it has been looked at.
#[derive(Clone, Copy, Debug)]
pub struct DnsQuery<'a> {
    /// The message, without TCP's length before it. May be empty or anything else.
    pub packet: &'a [u8],
    /// Whose it is: the sender's address, or the one that a relay vouches for.
    pub source: IpAddr,
    /// How it came.
    pub transport: Transport,
}

/// What makes replies. It is called on the server's own threads and must not block.
pub trait Responder: Send + Sync + 'static {
    /// What one thread keeps between queries: scratch space, a generator of random numbers.
    type State: Send + 'static;

    /// The state of a thread. Numbers are given from 0 in each server; a number comes again when
    /// the thread's state was lost to a panic.
    fn state(&self, thread: usize) -> Self::State;

    /// Writes the reply to the beginning of `reply` ([`MAX_UDP_REPLY`] or [`MAX_TCP_REPLY`]
    /// bytes, with anything in them) and says how long it is; none if the query deserves none.
    fn respond(
        &self,
        state: &mut Self::State,
        query: &DnsQuery<'_>,
        reply: &mut [u8],
    ) -> Option<usize>;
}

/// An address that a server answers at.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct DnsAddress {
    /// Where it listens; port 0 picks a free one.
    pub address: SocketAddr,
    /// Whose queries come there.
    pub origin: Origin,
}

/// Whose queries come to an address.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Origin {
    /// The senders' own. A PROXY header isn't understood here.
    Senders,
    /// Those of clients of these relays. A relay puts a PROXY protocol header of version 2 before
    /// every datagram, and at the beginning of every connection; what comes from anyone else, or
    /// without a well-formed header, is met with silence.
    Relays(Vec<IpAddr>),
}

impl DnsAddress {
    /// An address for the senders' own queries.
    pub fn open(address: SocketAddr) -> DnsAddress {
        DnsAddress {
            address,
            origin: Origin::Senders,
        }
    }

    /// An address for the queries that these relays pass on.
    pub fn relayed(address: SocketAddr, relays: Vec<IpAddr>) -> DnsAddress {
        DnsAddress {
            address,
            origin: Origin::Relays(relays),
        }
    }
}

impl Origin {
    /// The client and its query in a sender's datagram; none if it is to be met with silence.
    fn query_of<'a>(&self, sender: IpAddr, datagram: &'a [u8]) -> Option<(IpAddr, &'a [u8])> {
        match self {
            Origin::Senders => Some((sender, datagram)),
            Origin::Relays(relays) if relays.contains(&sender) => {
                let header = proxy::Header::read(datagram, Transport::Udp).ok()?;
                let client = header.source.map_or(sender, |source| source.ip());
                Some((client, &datagram[header.length..]))
            }
            Origin::Relays(_) => None,
        }
    }
}
