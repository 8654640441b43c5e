//! A UDP flow: a client's address and port, and a socket of its own to an endpoint, by which the
//! endpoint's datagrams find the client again.

use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::rc::Rc;
use std::time::{Duration, Instant};

use rustix::io::Errno;
use rustix::net::SendFlags;
use socket2::SockAddr;

use super::super::records::{Moved, Recording};
use super::super::{FlowKey, Target, Tried};
use super::Door;
use super::later::Towards;
use crate::dns::Transport;
use crate::dns::proxy::{Header, ROOM};

/// A flow.
pub(super) struct Flow {
    pub(super) key: FlowKey,
    /// Where the client's datagrams come, and the endpoint's leave.
    pub(super) door: Rc<Door>,
    /// The client's address as the kernel reads it.
    pub(super) client: SockAddr,
    pub(super) upstream: OwnedFd,
    pub(super) target: Target,
    /// Endpoints that refused its datagrams before.
    pub(super) tried: Tried,
    /// Has its endpoint answered?
    pub(super) answered: bool,
    /// Its endpoint refused a datagram, and hadn't answered.
    pub(super) refused: bool,
    pub(super) since: Instant,
    pub(super) active: Instant,
    pub(super) to_endpoint: Moved,
    pub(super) to_client: Moved,
    /// What is kept of it if it is recorded.
    pub(super) recording: Option<Box<Recording>>,
}

impl Flow {
    /// What stands before each of its datagrams to the endpoint; gives how long that is.
    pub(super) fn introduction(&self, room: &mut [u8; ROOM]) -> usize {
        match self.target.proxy_header {
            true => Header::write(self.key.from, self.key.to, Transport::Udp, room),
            false => 0,
        }
    }

    /// Later everything arrives by so much.
    pub(super) fn delay(&self) -> Option<Duration> {
        self.target.delay.filter(|delay| *delay > Duration::ZERO)
    }

    /// So many datagrams, and their bytes without headers, were sent to the endpoint.
    pub(super) fn count_to_endpoint(&mut self, datagrams: usize, bytes: u64) {
        let counters = self.door.counters();
        counters.datagrams_to_endpoint.add(datagrams as u64);
        counters.to_endpoint.add(bytes);
        self.to_endpoint.add(datagrams, bytes);
    }

    /// So many datagrams, and their bytes, were sent to the client.
    pub(super) fn count_to_client(&mut self, datagrams: usize, bytes: u64) {
        let counters = self.door.counters();
        counters.datagrams_to_client.add(datagrams as u64);
        counters.to_client.add(bytes);
        self.to_client.add(datagrams, bytes);
    }

    /// Sends a datagram that has arrived.
    pub(super) fn hand_over(&mut self, to: Towards, datagram: &[u8]) -> Result<(), Errno> {
        match to {
            Towards::Endpoint(header) => {
                rustix::net::send(&self.upstream, datagram, SendFlags::NOSIGNAL)?;
                self.count_to_endpoint(1, (datagram.len() - header) as u64);
            }
            Towards::Client => {
                let (socket, client) = (self.door.socket(), self.key.from);
                rustix::net::sendto(socket, datagram, SendFlags::NOSIGNAL, &client)?;
                self.count_to_client(1, datagram.len() as u64);
            }
        }
        Ok(())
    }

    pub(super) fn silent_for(&self, now: Instant) -> Duration {
        now.saturating_duration_since(self.active)
    }
}

/// By what a flow is found: the listener's number, and the client.
pub(super) type Caller = (u32, SocketAddr);
