//! The sockets of flows: those that clients come to, and those to endpoints. All are non-blocking
//! and closed when another program is started.

use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd, OwnedFd};
use std::time::Duration;

use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketFlags, SocketType, sockopt};
use socket2::{Domain, Protocol, Socket, Type};

use super::{FlowProtocol, own};
use crate::http::ListenError;

/// Connections that may wait to be accepted; the system may grant fewer (net.core.somaxconn).
const BACKLOG: i32 = 4096;

/// What the kernel may hold of datagrams that wait for a thread, in bytes; the system may grant
/// less (net.core.rmem_max).
const RECEIVE_BUFFER: usize = 1024 * 1024;

/// The first port that systems give to connections on their own (ip(7), ip_local_port_range).
const FIRST_EPHEMERAL: u16 = 32_768;

/// Opens what clients come to: one socket for TCP, `threads` of them for UDP.
pub(super) fn open(
    address: SocketAddr,
    protocol: FlowProtocol,
    threads: usize,
) -> Result<Vec<OwnedFd>, ListenError> {
    let opened = match protocol {
        FlowProtocol::Tcp => listen(address).map(|socket| vec![socket]),
        FlowProtocol::Udp => open_datagrams(address, threads),
    };
    opened.map_err(|cause| match cause.kind() {
        io::ErrorKind::AddrInUse => ListenError::Taken(address),
        _ => ListenError::Io { address, cause },
    })
}

/// Where a socket stands.
pub(super) fn bound(socket: &OwnedFd) -> io::Result<SocketAddr> {
    Ok(SocketAddr::try_from(rustix::net::getsockname(socket)?)?)
}

fn listen(address: SocketAddr) -> io::Result<OwnedFd> {
    let domain = Domain::for_address(address);
    let socket = Socket::new(domain, Type::STREAM, Some(Protocol::TCP))?;
    if address.is_ipv6() {
        // IPv4 has sockets of its own: a client's address must not come mapped.
        socket.set_only_v6(true)?;
    }
    // An address left by flows of before can be taken again at once.
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    // Connections inherit it: what was sent as one piece is passed on as it comes.
    socket.set_tcp_nodelay(true)?;
    own::bind(&socket, address)?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

fn open_datagrams(address: SocketAddr, threads: usize) -> io::Result<Vec<OwnedFd>> {
    if address.ip().is_unspecified() {
        let cause = "datagrams are taken at one address, not at all of the host's";
        return Err(io::Error::new(io::ErrorKind::InvalidInput, cause));
    }
    // The first takes the address for itself alone: a second server at the same address must
    // fail, not be given a part of the first one's clients.
    let first = prepare_datagrams(address)?;
    own::bind(&first, address)?;
    let bound = SocketAddr::try_from(rustix::net::getsockname(&first)?)?;
    if threads > 1 {
        first.set_reuse_port(true)?;
    }
    let mut sockets = vec![OwnedFd::from(first)];
    while sockets.len() < threads {
        let socket = prepare_datagrams(address)?;
        socket.set_reuse_port(true)?;
        own::bind(&socket, bound)?;
        sockets.push(socket.into());
    }
    Ok(sockets)
}

fn prepare_datagrams(address: SocketAddr) -> io::Result<Socket> {
    let domain = Domain::for_address(address);
    let socket = Socket::new(domain, Type::DGRAM, Some(Protocol::UDP))?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    socket.set_recv_buffer_size(RECEIVE_BUFFER)?;
    socket.set_nonblocking(true)?;
    Ok(socket)
}

/// Begins a connection to an endpoint.
pub(super) fn connect(endpoint: SocketAddr) -> Result<OwnedFd, Errno> {
    let socket = socket(endpoint, SocketType::STREAM)?;
    sockopt::set_tcp_nodelay(&socket, true)?;
    match rustix::net::connect(&socket, &endpoint) {
        Ok(()) | Err(Errno::INPROGRESS) => Ok(socket),
        Err(cause) => Err(cause),
    }
}

/// A socket for the datagrams of one flow to an endpoint and back.
pub(super) fn associate(endpoint: SocketAddr) -> Result<OwnedFd, Errno> {
    let socket = socket(endpoint, SocketType::DGRAM)?;
    rustix::net::connect(&socket, &endpoint)?;
    Ok(socket)
}

fn socket(endpoint: SocketAddr, kind: SocketType) -> Result<OwnedFd, Errno> {
    let family = match endpoint {
        SocketAddr::V4(_) => AddressFamily::INET,
        SocketAddr::V6(_) => AddressFamily::INET6,
    };
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    rustix::net::socket_with(family, kind, flags, None)
}

/// Is it connected to itself? That is what TCP makes of a connection whose own port happens to
/// be the one it asks for, where nobody listens (RFC 9293 section 3.5, simultaneous open).
pub(super) fn is_own(socket: &OwnedFd, endpoint: SocketAddr) -> bool {
    endpoint.ip().is_loopback()
        && endpoint.port() >= FIRST_EPHEMERAL
        && bound(socket).is_ok_and(|own| own == endpoint)
}

/// From here on, closing it tells the other side that the connection broke (RST).
pub(super) fn reset_when_closed(socket: impl AsFd) {
    // A connection that is gone needs no reset.
    sockopt::set_socket_linger(socket, Some(Duration::ZERO)).ok();
}

/// What kept a connection from being made.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Obstacle {
    /// The endpoint, or the network.
    Endpoint,
    /// No port is left for connections there.
    Ports,
    /// No descriptor or memory is left.
    Descriptors,
}

impl Obstacle {
    pub(super) fn of(cause: Errno) -> Obstacle {
        match cause {
            Errno::ADDRNOTAVAIL | Errno::ADDRINUSE => Obstacle::Ports,
            cause if is_exhaustion(cause) => Obstacle::Descriptors,
            _ => Obstacle::Endpoint,
        }
    }
}

/// Does the system lack descriptors or memory?
pub(super) fn is_exhaustion(cause: Errno) -> bool {
    [Errno::MFILE, Errno::NFILE, Errno::NOBUFS, Errno::NOMEM].contains(&cause)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_belongs_to_one_however_many_threads_it_has() {
        for (protocol, threads) in [
            (FlowProtocol::Tcp, 2),
            (FlowProtocol::Udp, 1),
            (FlowProtocol::Udp, 3),
        ] {
            let sockets = open("127.0.0.1:0".parse().unwrap(), protocol, threads).unwrap();
            let address = bound(&sockets[0]).unwrap();
            let error = open(address, protocol, threads).unwrap_err();
            assert!(matches!(error, ListenError::Taken(taken) if taken == address));
        }
    }

    #[test]
    fn connections_that_are_accepted_send_at_once_as_their_listener_says() {
        let sockets = open("127.0.0.1:0".parse().unwrap(), FlowProtocol::Tcp, 1).unwrap();
        let address = bound(&sockets[0]).unwrap();
        let client = std::net::TcpStream::connect(address).unwrap();
        let accepted = rustix::net::accept(&sockets[0]).unwrap();
        assert!(sockopt::tcp_nodelay(&accepted).unwrap());
        drop(client);
    }

    #[test]
    fn datagrams_are_not_taken_at_every_address() {
        let error = open("0.0.0.0:0".parse().unwrap(), FlowProtocol::Udp, 1).unwrap_err();
        assert!(error.to_string().contains("one address"), "{error}");
    }
}
