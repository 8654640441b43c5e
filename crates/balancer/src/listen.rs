//! What a Region's nodes listen on: a listener of a load balancer at the address of one of its
//! nodes. It binds nothing.

use std::cmp::Ordering;
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use types::AvailabilityZone;

use crate::compiled::{CompiledBalancer, CompiledListener};
use crate::model::{Listener, Protocol};

/// By what a listener is reached.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Transport {
    /// TCP, whatever is spoken in it.
    Tcp,
    /// UDP.
    Udp,
}

impl Transport {
    /// By what a listener of that protocol is reached.
    pub fn of(protocol: Protocol) -> &'static [Transport] {
        match (protocol.uses_tcp(), protocol.uses_udp()) {
            (true, true) => &[Transport::Tcp, Transport::Udp],
            (_, true) => &[Transport::Udp],
            _ => &[Transport::Tcp],
        }
    }
}

/// A listener at the address of a node: where requests and flows are routed from. Cheap to clone.
#[derive(Clone)]
pub struct Listening {
    /// The node's zone.
    pub zone: AvailabilityZone,
    /// The node's address and the listener's port.
    pub address: SocketAddr,
    /// TCP or UDP.
    pub transport: Transport,
    /// Whose listener it is.
    pub balancer: Arc<CompiledBalancer>,
    /// Which of the load balancer's.
    number: usize,
}

impl Listening {
    /// All places at which a load balancer listens.
    pub(crate) fn of(balancer: &Arc<CompiledBalancer>) -> impl Iterator<Item = Listening> {
        let listeners = balancer.row.listeners.iter().enumerate();
        listeners.flat_map(move |(number, listener)| {
            balancer.row.zones.iter().flat_map(move |(zone, address)| {
                let transports = Transport::of(listener.protocol).iter();
                transports.map(move |transport| Listening {
                    zone: *zone,
                    address: SocketAddr::new(IpAddr::V4(*address), listener.port),
                    transport: *transport,
                    balancer: balancer.clone(),
                    number,
                })
            })
        })
    }

    /// The listener: protocol, certificates, attributes.
    pub fn listener(&self) -> &Listener {
        &self.balancer.row.listeners[self.number]
    }

    pub(crate) fn compiled(&self) -> &CompiledListener {
        &self.balancer.listeners[self.number]
    }

    pub(crate) fn place(&self) -> (SocketAddr, Transport) {
        (self.address, self.transport)
    }

    pub(crate) fn cmp(&self, other: &Listening) -> Ordering {
        self.place().cmp(&other.place())
    }
}

impl fmt::Debug for Listening {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let arn = &self.balancer.arn;
        write!(f, "{} {:?} of {arn}", self.address, self.transport)
    }
}
