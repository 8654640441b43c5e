//! A true TLS handshake between two configurations over memory instead of a socket. `world` and
//! tests obtain genuine sessions by it. It keeps no connection: only the two sessions remain.

use std::sync::Arc;

use rustls::{ClientConfig, ClientConnection, ServerConfig, ServerConnection};
use types::SiteName;

use crate::certificate::server_name;
use crate::{Session, SessionError};

/// A handshake that failed, and at which end.
#[derive(Debug, thiserror::Error)]
pub enum HandshakeError {
    /// The dialling end refused the other.
    #[error("the dialling end: {0}")]
    Client(rustls::Error),
    /// The accepting end refused the other.
    #[error("the accepting end: {0}")]
    Server(rustls::Error),
    /// The handshake is done, but makes no session.
    #[error(transparent)]
    Session(#[from] SessionError),
    /// Both ends wait for each other: the configurations don't make a handshake.
    #[error("neither end has anything to say, and the handshake isn't done")]
    Stalled,
}

/// Performs the handshake and gives the session of the dialling end, which expects that site,
/// and the session of the accepting end.
///
/// # Errors
/// Either end refuses the other.
pub fn in_memory(
    client: &Arc<ClientConfig>,
    expected: SiteName,
    server: &Arc<ServerConfig>,
) -> Result<(Session, Session), HandshakeError> {
    let name = server_name(expected);
    let mut client =
        ClientConnection::new(Arc::clone(client), name).map_err(HandshakeError::Client)?;
    let mut server = ServerConnection::new(Arc::clone(server)).map_err(HandshakeError::Server)?;
    loop {
        let mut wire = Vec::new();
        while client.wants_write() {
            write(|to| client.write_tls(to), &mut wire);
        }
        let said = !wire.is_empty();
        let mut unread = wire.as_slice();
        while !unread.is_empty() {
            write_in(|from| server.read_tls(from), &mut unread);
            server
                .process_new_packets()
                .map_err(HandshakeError::Server)?;
        }
        let mut wire = Vec::new();
        while server.wants_write() {
            write(|to| server.write_tls(to), &mut wire);
        }
        let answered = !wire.is_empty();
        let mut unread = wire.as_slice();
        while !unread.is_empty() {
            write_in(|from| client.read_tls(from), &mut unread);
            client
                .process_new_packets()
                .map_err(HandshakeError::Client)?;
        }
        if !client.is_handshaking() && !server.is_handshaking() {
            break;
        }
        if !said && !answered {
            return Err(HandshakeError::Stalled);
        }
    }
    let dialled = Session::from_client(&client, expected)?;
    let accepted = Session::from_server(&server)?;
    Ok((dialled, accepted))
}

fn write(
    mut write_tls: impl FnMut(&mut dyn std::io::Write) -> std::io::Result<usize>,
    wire: &mut Vec<u8>,
) {
    write_tls(wire).expect("a vector takes every byte");
}

fn write_in(
    mut read_tls: impl FnMut(&mut dyn std::io::Read) -> std::io::Result<usize>,
    unread: &mut &[u8],
) {
    read_tls(unread).expect("memory reads without error, and its packets are taken each time");
}
