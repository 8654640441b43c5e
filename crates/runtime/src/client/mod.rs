//! Clients as applications have them, each with an address of its own to come from: a stub
//! resolver, a connection of HTTP and one of PostgreSQL. They take the time the network takes: a
//! delay of geography is their user's to add. They follow no redirect, try nothing again but a lost
//! DNS datagram, and keep nothing: caches and pools are their user's.

mod connection;
mod lookup;
mod message;
mod sql;

pub use connection::{ClientConnection, ClientError};
pub use lookup::{Lookup, LookupError};
pub use message::Resolved;
pub use sql::{SqlConnection, SqlError, SqlLogin};

use std::io;
use std::net::{Ipv4Addr, SocketAddr};

use tokio::net::{TcpSocket, TcpStream};

/// A TCP connection from that address. An address has some 28,000 ports, each taken for a minute
/// after its connection's end: 470 new connections a second.
async fn connect(source: Ipv4Addr, server: SocketAddr) -> io::Result<TcpStream> {
    let socket = TcpSocket::new_v4()?;
    socket.bind(SocketAddr::new(source.into(), 0))?;
    let stream = socket.connect(server).await?;
    stream.set_nodelay(true)?;
    Ok(stream)
}
