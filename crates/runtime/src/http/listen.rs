//! Opening a listening socket, with an error that says what to do when it can't be had.

use std::net::SocketAddr;

use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::TcpListener;

/// Connections that may wait to be accepted.
const BACKLOG: i32 = 1024;

/// A socket that is listened on, for a server to take over.
pub type Listener = TcpListener;

/// An address can't be listened on.
#[derive(Debug, thiserror::Error)]
pub enum ListenError {
    /// Something else listens there.
    #[error("{0} is taken by another process (`ss -lntup 'sport = :{port}'` names it)", port = .0.port())]
    Taken(SocketAddr),
    /// The operating system refused for another reason.
    #[error("can't listen on {address}: {cause}")]
    Io {
        /// The address asked for.
        address: SocketAddr,
        /// Why not.
        cause: std::io::Error,
    },
}

/// Listens on that address; port 0 picks a free one. Must be called within a tokio runtime.
///
/// An address left by a server that just ended can be taken again at once.
pub fn listen(address: SocketAddr) -> Result<TcpListener, ListenError> {
    open(address, false).map_err(|cause| failure(address, cause))
}

/// As [`listen`], but beside others of this user's that were opened by it, too, on addresses that
/// this one covers or that cover it: a front door on every address of the machine and a site on
/// one of them. A connection goes to whoever listens on the very address. Look with [`listen`]
/// first whether the port is free.
pub fn listen_beside(address: SocketAddr) -> Result<TcpListener, ListenError> {
    open(address, true).map_err(|cause| failure(address, cause))
}

fn failure(address: SocketAddr, cause: std::io::Error) -> ListenError {
    match cause.kind() {
        std::io::ErrorKind::AddrInUse => ListenError::Taken(address),
        _ => ListenError::Io { address, cause },
    }
}

/// Looks whether that address could be listened on. It isn't taken.
pub fn look_at(address: SocketAddr) -> Result<(), ListenError> {
    let looked = bound(address, false);
    looked.map(drop).map_err(|cause| failure(address, cause))
}

/// Looks whether datagrams could be received at that address by UDP. It isn't taken.
pub fn look_at_datagrams(address: SocketAddr) -> Result<(), ListenError> {
    let looked = std::net::UdpSocket::bind(address);
    looked.map(drop).map_err(|cause| failure(address, cause))
}

fn open(address: SocketAddr, beside: bool) -> std::io::Result<TcpListener> {
    let socket = bound(address, beside)?;
    socket.listen(BACKLOG)?;
    TcpListener::from_std(socket.into())
}

/// A socket with that address that doesn't listen yet. Linux lets none have it that somebody
/// listens on, though addresses may be used again.
fn bound(address: SocketAddr, beside: bool) -> std::io::Result<Socket> {
    let socket = Socket::new(
        Domain::for_address(address),
        Type::STREAM,
        Some(Protocol::TCP),
    )?;
    socket.set_reuse_address(true)?;
    if beside {
        socket.set_reuse_port(true)?;
    }
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    Ok(socket)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn an_address_is_taken_while_somebody_listens_there() {
        let listener = listen("127.0.0.1:0".parse().unwrap()).unwrap();
        let address = listener.local_addr().unwrap();
        assert!(matches!(look_at(address), Err(ListenError::Taken(_))));
        drop(listener);
        look_at(address).unwrap();
        look_at(address).unwrap();
    }

    #[tokio::test]
    async fn one_on_every_address_and_one_on_its_own_stand_beside_each_other() {
        let all = listen_beside("0.0.0.0:0".parse().unwrap()).unwrap();
        let port = all.local_addr().unwrap().port();
        let own = SocketAddr::new([127, 1, 2, 3].into(), port);
        assert!(matches!(listen(own), Err(ListenError::Taken(_))));
        let one = listen_beside(own).unwrap();
        let client = std::net::TcpStream::connect(own).unwrap();
        let (_, peer) = one.accept().await.unwrap();
        assert_eq!(peer, client.local_addr().unwrap());
        let other = SocketAddr::new([127, 0, 0, 1].into(), port);
        let client = std::net::TcpStream::connect(other).unwrap();
        let (_, peer) = all.accept().await.unwrap();
        assert_eq!(peer, client.local_addr().unwrap());
    }

    #[tokio::test]
    async fn a_taken_address_is_named() {
        let first = listen("127.0.0.1:0".parse().unwrap()).unwrap();
        let address = first.local_addr().unwrap();
        let error = listen(address).unwrap_err();
        assert!(matches!(error, ListenError::Taken(taken) if taken == address));
        assert!(error.to_string().contains(&address.to_string()), "{error}");
        // TCP and UDP are apart.
        look_at_datagrams(address).unwrap();
        let datagrams = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        let address = datagrams.local_addr().unwrap();
        let error = look_at_datagrams(address).unwrap_err();
        assert!(matches!(error, ListenError::Taken(taken) if taken == address));
    }
}
