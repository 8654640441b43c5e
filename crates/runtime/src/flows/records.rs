//! What recorded flows have moved, window by window. What a flow counts anyway is read once a
//! window; what the kernel counts of a connection's packets, too. A flow that isn't recorded has
//! nothing here.

use std::collections::BTreeSet;
use std::mem::size_of;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::sync::Weak;
use std::time::{Duration, Instant};

use super::counters::Counters;
use super::handle::{Flows, Listening, lock};
use super::worker::Context;
use super::{FlowKey, Target, sockets};

/// Records of a thread and protocol that are made in one sweep: between two, others have their
/// turn.
pub(super) const A_SWEEP: usize = 4096;

/// What a flow moved in one window.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct FlowRecord {
    /// The flow.
    pub flow: FlowKey,
    /// Where it goes.
    pub target: Target,
    /// From where it is carried there; none: the system didn't say.
    pub source: Option<SocketAddr>,
    /// How long the window was, which ends now.
    pub window: Duration,
    /// From the client to the endpoint.
    pub to_endpoint: Moved,
    /// From the endpoint to the client.
    pub to_client: Moved,
}

/// Packets and bytes. Of a connection these are the segments between the client and here, as the
/// kernel counts them, acknowledgements too; of datagrams each is one. Bytes are without headers.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Moved {
    /// Packets.
    pub packets: u64,
    /// Bytes.
    pub bytes: u64,
}

/// Where a flow's counts stand: to the endpoint, and to the client.
pub(super) type Totals = [Moved; 2];

/// What is kept of a flow that is recorded.
pub(super) struct Recording {
    since: Instant,
    source: Option<SocketAddr>,
    before: Totals,
}

impl Recording {
    /// Of a flow that begins now or, with other totals than none, was there before.
    pub(super) fn begin(upstream: &OwnedFd, totals: Totals, now: Instant) -> Box<Recording> {
        Box::new(Recording {
            since: now,
            source: sockets::bound(upstream).ok(),
            before: totals,
        })
    }

    /// Is its window at an end, if there is no look at it before `next`?
    pub(super) fn is_due(&self, next: Instant, window: Duration) -> bool {
        next.saturating_duration_since(self.since) >= window
    }

    /// The window's record; the next begins.
    pub(super) fn record(
        &mut self,
        flow: FlowKey,
        target: Target,
        totals: Totals,
        now: Instant,
    ) -> FlowRecord {
        let [to_endpoint, to_client] = [0, 1].map(|way| self.before[way].until(totals[way]));
        let window = now.saturating_duration_since(self.since);
        self.since = now;
        self.before = totals;
        FlowRecord {
            flow,
            target,
            source: self.source,
            window,
            to_endpoint,
            to_client,
        }
    }
}

impl Moved {
    /// So many packets more, and their bytes.
    pub(super) fn add(&mut self, packets: usize, bytes: u64) {
        self.packets += packets as u64;
        self.bytes += bytes;
    }

    /// What was added since. The kernel's counts of packets begin again after 2^32, of which no
    /// window has as many.
    fn until(self, later: Moved) -> Moved {
        Moved {
            packets: u64::from((later.packets as u32).wrapping_sub(self.packets as u32)),
            bytes: later.bytes.wrapping_sub(self.bytes),
        }
    }
}

impl Flows {
    /// From now on flows that come to these addresses are recorded, those that are there included,
    /// and others aren't: [`Steer::record`] is told of them. What is listened on doesn't change.
    pub fn record(&self, addresses: BTreeSet<IpAddr>) {
        let _changing = lock(&self.changing);
        let registry = lock(&self.shared.registry);
        let closing = registry.closing.values().filter_map(Weak::upgrade);
        for listening in closing {
            listening.record(&addresses);
        }
        let open = registry.open.values();
        for listening in open.chain(registry.adopted.values()) {
            listening.record(&addresses);
        }
        for (address, counters) in &registry.left {
            for counters in counters.iter().filter_map(Weak::upgrade) {
                counters.set_recorded(addresses.contains(address));
            }
        }
        *lock(&self.shared.recorded) = addresses;
    }
}

impl Listening {
    /// Its flows are recorded from now on if it is at one of these addresses.
    pub(super) fn record(&self, addresses: &BTreeSet<IpAddr>) {
        let recorded = addresses.contains(&self.bound.ip());
        for counters in &self.counters {
            counters.set_recorded(recorded);
        }
    }
}

/// What a sweep does about a flow's recording.
pub(super) enum Due {
    /// Nothing.
    Nothing,
    /// It begins with what the flow stands at.
    Begin,
    /// A window is at an end.
    Record,
    /// It isn't wanted any more: its window ends, and nothing begins.
    Forget,
}

impl Due {
    /// Of a flow at that listener.
    pub(super) fn of(
        recording: Option<&Recording>,
        counters: &Counters,
        context: &Context<'_>,
    ) -> Due {
        match (counters.is_recorded(), recording) {
            (false, None) => Due::Nothing,
            (false, Some(_)) => Due::Forget,
            (true, None) => Due::Begin,
            (true, Some(recording)) => {
                let next = context.now + context.sweep;
                match recording.is_due(next, context.window) {
                    true => Due::Record,
                    false => Due::Nothing,
                }
            }
        }
    }
}

/// A connection's segments that came and that left, modulo 2^32; none if the system doesn't say.
pub(super) fn segments(socket: &OwnedFd) -> Option<[u64; 2]> {
    /// Where the two stand in `struct tcp_info` (linux/tcp.h, since Linux 4.2: `tcpi_segs_out`,
    /// `tcpi_segs_in`), which only ever grows.
    const OUT: usize = 136;
    const IN: usize = 140;
    let mut info = [0; IN + size_of::<u32>()];
    let length = tcp_info(socket, &mut info)?;
    let number = |at: usize| {
        let bytes = info[..length].get(at..at + size_of::<u32>())?;
        Some(u64::from(u32::from_ne_bytes(bytes.try_into().ok()?)))
    };
    Some([number(IN)?, number(OUT)?])
}

/// What the kernel knows of a connection, as much of it as there is room for; gives how much that
/// is.
#[expect(
    unsafe_code,
    reason = "neither std, rustix nor socket2 has a call that reads TCP_INFO"
)]
fn tcp_info(socket: &OwnedFd, info: &mut [u8]) -> Option<usize> {
    let mut length = libc::socklen_t::try_from(info.len()).ok()?;
    // SAFETY: the pointers are to `info`, of which `length` bytes may be written, and to `length`;
    // both outlive the call and nothing else refers to them during it. Any bytes that the kernel
    // writes are valid values of a byte slice.
    let result = unsafe {
        libc::getsockopt(
            socket.as_fd().as_raw_fd(),
            libc::IPPROTO_TCP,
            libc::TCP_INFO,
            info.as_mut_ptr().cast(),
            &raw mut length,
        )
    };
    (result == 0).then_some(length as usize)
}

#[cfg(test)]
#[allow(clippy::disallowed_types, reason = "connections to count")]
mod tests {
    use std::io::{Read, Write};
    use std::net::{TcpListener, TcpStream};

    use super::*;
    use crate::flows::FlowProtocol;

    fn moved(packets: u64, bytes: u64) -> Moved {
        Moved { packets, bytes }
    }

    #[test]
    fn each_window_has_what_was_moved_in_it_and_no_more() {
        let address = "127.0.0.1:1".parse().unwrap();
        let flow = FlowKey {
            to: address,
            from: address,
            protocol: FlowProtocol::Udp,
        };
        let target = Target {
            endpoint: address,
            delay: None,
            proxy_header: false,
            token: 7,
            owner: 0,
        };
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let bound = listener.local_addr().unwrap();
        let start = Instant::now();
        let window = Duration::from_secs(60);
        let before = [moved(3, 30), moved(u64::from(u32::MAX) - 1, 40)];
        let mut recording = Recording::begin(&listener.into(), before, start);
        assert!(!recording.is_due(start + Duration::from_secs(59), window));
        assert!(recording.is_due(start + window, window));
        let totals = [moved(5, 130), moved(1, 41)];
        let first = recording.record(flow, target, totals, start + window);
        assert_eq!(first.to_endpoint, moved(2, 100));
        assert_eq!(first.to_client, moved(3, 1), "its count has begun again");
        assert_eq!((first.window, first.source), (window, Some(bound)));
        let later = start + window + Duration::from_secs(1);
        let second = recording.record(flow, target, totals, later);
        assert_eq!([second.to_endpoint, second.to_client], [moved(0, 0); 2]);
        assert_eq!(second.window, Duration::from_secs(1));
    }

    #[test]
    fn the_kernel_counts_segments_of_either_direction() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (mut served, _) = listener.accept().unwrap();
        let socket: OwnedFd = served.try_clone().unwrap().into();
        let [came, left] = segments(&socket).unwrap();
        for _ in 0..3 {
            client.write_all(b"a").unwrap();
            served.read_exact(&mut [0]).unwrap();
            served.write_all(b"b").unwrap();
            client.read_exact(&mut [0]).unwrap();
        }
        let [more_came, more_left] = segments(&socket).unwrap();
        assert!(more_came >= came + 3, "{came} {more_came}");
        assert!(more_left >= left + 3, "{left} {more_left}");
        let datagrams = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        assert_eq!(segments(&datagrams.into()), None);
    }
}
