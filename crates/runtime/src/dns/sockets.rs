//! The sockets of a UDP server: one a thread at each address, among which the kernel spreads the
//! clients by their addresses and ports (SO_REUSEPORT).

use std::net::SocketAddr;

use rustix::net::sockopt;
use socket2::{Domain, Protocol, Socket, Type};

use super::batch;
use crate::http::ListenError;

/// What the kernel may hold of queries that wait for a thread, in bytes: bursts of about a
/// thousand. The system may grant less (net.core.rmem_max).
const RECEIVE_BUFFER: usize = 1024 * 1024;

/// Opens `count` sockets at that address; port 0 picks one port for all.
pub(super) fn open(address: SocketAddr, count: usize) -> Result<Vec<Socket>, ListenError> {
    open_all(address, count).map_err(|cause| match cause.kind() {
        std::io::ErrorKind::AddrInUse => ListenError::Taken(address),
        _ => ListenError::Io { address, cause },
    })
}

fn open_all(address: SocketAddr, count: usize) -> std::io::Result<Vec<Socket>> {
    // The first takes the address for itself alone: a second server at the same address must
    // fail, not be given half of the first one's clients.
    let first = prepare(address)?;
    first.bind(&address.into())?;
    let bound = first.local_addr()?;
    if count > 1 {
        first.set_reuse_port(true)?;
    }
    let mut sockets = vec![first];
    while sockets.len() < count {
        let socket = prepare(address)?;
        socket.set_reuse_port(true)?;
        socket.bind(&bound)?;
        sockets.push(socket);
    }
    Ok(sockets)
}

fn prepare(address: SocketAddr) -> std::io::Result<Socket> {
    let domain = Domain::for_address(address);
    let socket = Socket::new(domain, Type::DGRAM, Some(Protocol::UDP))?;
    socket.set_recv_buffer_size(RECEIVE_BUFFER)?;
    if address.is_ipv6() {
        // IPv4 has sockets of its own: a client's address must not come mapped.
        socket.set_only_v6(true)?;
        sockopt::set_ipv6_mtu_discover(&socket, sockopt::Ipv6PathMtuDiscovery::OMIT)?;
    } else {
        // A forged "fragmentation needed" must not make the kernel send replies in fragments,
        // into which others can be slipped.
        sockopt::set_ip_mtu_discover(&socket, sockopt::Ipv4PathMtuDiscovery::OMIT)?;
    }
    if address.ip().is_unspecified() {
        batch::tell_destinations(&socket, address.is_ipv6())?;
    }
    Ok(socket)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_belongs_to_one_server_however_many_threads_it_has() {
        for count in [1, 3] {
            let sockets = open("127.0.0.1:0".parse().unwrap(), count).unwrap();
            assert_eq!(sockets.len(), count);
            let address = sockets[0].local_addr().unwrap().as_socket().unwrap();
            assert!(address.port() > 0);
            for again in [1, 2] {
                let error = open(address, again).unwrap_err();
                assert!(matches!(error, ListenError::Taken(taken) if taken == address));
            }
        }
    }
}
