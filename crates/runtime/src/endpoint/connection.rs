//! One client's connection, from its first packet to its end.

use std::io;
use std::mem::MaybeUninit;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use socket2::{SockRef, TcpKeepalive};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UnixStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

use super::counters::Counters;
use super::forward::{self, Cancels, Ends, with_mode};
use super::relay::{drain, relay};
use super::server::ServerSocket;
use super::starting::{Place, patience};
use super::startup::{LENGTH, Refusal, Request, body_length, judge, request};
use super::{AnswerGate, Backend, EndpointDirectory, EndpointLimits, EndpointTls};
use crate::http::tls::Connection;

/// Requests for encryption before a session: one of each kind, as clients send them.
const MAX_REQUESTS: usize = 2;

/// A client that is gone without a word is asked after so long, and again after ...
const KEEP_ALIVE: Duration = Duration::from_secs(60);

/// ... each of these, and given up after some (`tcp(7)`: nine).
const KEEP_ALIVE_INTERVAL: Duration = Duration::from_secs(10);

/// What a client is told that would begin a session while answers are held back.
const SHUT: &str = "commits wait: the RPO lag of every secondary DB cluster exceeds \
    rds.global_db_rpo";

/// What all connections of an endpoint share.
pub(super) struct Shared {
    pub(super) tls: Option<EndpointTls>,
    pub(super) directory: Arc<dyn EndpointDirectory>,
    pub(super) limits: EndpointLimits,
    pub(super) sessions: Arc<Semaphore>,
    pub(super) counters: Arc<Counters>,
    /// Its sessions that forward writes.
    pub(super) cancels: Cancels,
}

/// How a connection began.
enum Begun {
    /// With this startup packet, length field and all.
    Session(Vec<u8>),
    /// With this request to cancel.
    Cancel(Vec<u8>),
    /// With what must be refused in words.
    Refused(Refusal),
    /// With nothing that could be answered: the client left, or speaks another language.
    Broken,
}

/// Counts a session as open until it is dropped.
struct Open<'a>(&'a Counters);

impl Drop for Open<'_> {
    fn drop(&mut self) {
        self.0.closed.count();
    }
}

/// Serves the connection to its end. `place`: its own among those that begin.
pub(super) async fn serve(shared: &Shared, stream: TcpStream, mut place: Place) {
    let Some((mut client, begun)) = begin(shared, stream, &mut place).await else {
        shared.counters.broken.count();
        return;
    };
    match begun {
        Begun::Broken => shared.counters.broken.count(),
        Begun::Cancel(packet) => cancel(shared, &packet).await,
        Begun::Refused(refusal) => {
            shared.counters.refused.count();
            refuse(&mut client, &refusal).await;
        }
        Begun::Session(packet) => {
            let own = shared.directory.of_session();
            let directory = own.as_ref().unwrap_or(&shared.directory);
            let forwarding = directory.forwarding();
            let terms = forwarding.as_ref().and_then(|it| it.terms());
            let packet = match terms {
                Some(terms) => with_mode(&packet, terms.consistency),
                None => packet,
            };
            match reach(shared, &**directory, &packet).await {
                Ok((server, _session)) => {
                    drop(place);
                    shared.counters.sessions.count();
                    let _open = Open(&shared.counters);
                    let (directory, counters) = (&**directory, &*shared.counters);
                    let Some(forwarding) = forwarding else {
                        return relay(client, server, directory, counters).await;
                    };
                    let cancels = &shared.cancels;
                    let ends = Ends {
                        directory,
                        counters,
                        cancels,
                    };
                    forward::relay(client, server, packet, forwarding, ends).await;
                }
                Err(refusal) => refuse(&mut client, &refusal).await,
            }
        }
    }
}

/// The connection, with TLS if it asked for it, once it is known what it wants. `None`: it ended,
/// failed, took too long, or made room for another.
async fn begin(
    shared: &Shared,
    stream: TcpStream,
    place: &mut Place,
) -> Option<(Connection, Begun)> {
    if let Err(cause) = set_up(&stream) {
        tracing::debug!(%cause, "a database's client is gone");
        return None;
    }
    let patience = patience(place.starting());
    let greeted = async {
        match is_heard(&stream, place).await? {
            true => greet(shared, stream).await.map(Some),
            false => Ok(None),
        }
    };
    let begun = tokio::select! {
        begun = greeted => begun,
        () = patience => {
            tracing::debug!("a database's client took too long to begin");
            return None;
        }
    };
    begun.unwrap_or_else(|cause| {
        tracing::debug!(%cause, "a database's client is gone before it began");
        None
    })
}

/// Waits for a client's first byte, or its end; no: it made room for another before it sent one.
async fn is_heard(stream: &TcpStream, place: &mut Place) -> io::Result<bool> {
    let is_heard = tokio::select! {
        biased;
        readable = stream.readable() => readable.map(|()| true)?,
        // What has come may not have been looked at yet.
        () = place.asked() => SockRef::from(stream).peek(&mut [MaybeUninit::uninit()]).is_ok(),
    };
    if is_heard {
        place.speaks();
    }
    Ok(is_heard)
}

fn set_up(stream: &TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let keep_alive = TcpKeepalive::new()
        .with_time(KEEP_ALIVE)
        .with_interval(KEEP_ALIVE_INTERVAL);
    SockRef::from(stream).set_tcp_keepalive(&keep_alive)
}

async fn greet(shared: &Shared, stream: TcpStream) -> io::Result<(Connection, Begun)> {
    let mut client = Connection::Plain(stream);
    let mut requests = 0;
    loop {
        let Some(packet) = read(&mut client).await? else {
            return Ok((client, Begun::Broken));
        };
        let body = &packet[LENGTH..];
        match request(body) {
            Request::Secure if requests < MAX_REQUESTS => {
                requests += 1;
                client = match (&shared.tls, client) {
                    (Some(tls), Connection::Plain(mut stream)) => {
                        // Nothing that came behind the request in the clear has been read: it
                        // would be taken for a part of the handshake, and fail.
                        stream.write_all(b"S").await?;
                        let secured = tls.0.accept(stream).await?;
                        Connection::Secure(Box::new(secured))
                    }
                    (_, mut client) => {
                        client.write_all(b"N").await?;
                        client
                    }
                };
            }
            Request::Encrypt if requests < MAX_REQUESTS => {
                requests += 1;
                client.write_all(b"N").await?;
                client.flush().await?;
            }
            Request::Secure | Request::Encrypt => return Ok((client, Begun::Broken)),
            Request::Cancel => {
                let begun = match body.len() {
                    12 => Begun::Cancel(packet),
                    _ => Begun::Broken,
                };
                return Ok((client, begun));
            }
            Request::Unsupported(major, minor) => {
                let refusal = Refusal::unsupported(major, minor);
                return Ok((client, Begun::Refused(refusal)));
            }
            Request::Session => {
                let begun = match judge(body) {
                    Ok(()) => Begun::Session(packet),
                    Err(refusal) => Begun::Refused(refusal),
                };
                return Ok((client, begun));
            }
        }
    }
}

/// The next packet, length field and all; `None` if its length is one that PostgreSQL doesn't
/// answer either.
async fn read(client: &mut Connection) -> io::Result<Option<Vec<u8>>> {
    let mut length = [0; LENGTH];
    client.read_exact(&mut length).await?;
    let Some(body) = body_length(length) else {
        return Ok(None);
    };
    let mut packet = length.to_vec();
    packet.resize(LENGTH + body, 0);
    client.read_exact(&mut packet[LENGTH..]).await?;
    Ok(Some(packet))
}

/// A connection to the server that has been given the startup packet, and a session's place.
async fn reach(
    shared: &Shared,
    directory: &dyn EndpointDirectory,
    packet: &[u8],
) -> Result<(ServerSocket, OwnedSemaphorePermit), Refusal> {
    let Ok(place) = Arc::clone(&shared.sessions).try_acquire_owned() else {
        shared.counters.refused.count();
        return Err(Refusal::new(b"53300", "sorry, too many clients already"));
    };
    let socket = match directory.backend() {
        Backend::Server { socket } => socket,
        Backend::Away(away) => {
            shared.counters.away.count();
            return Err(away.into());
        }
    };
    // It would wait for its first answer, and its client not know why.
    if directory.gate().is_some_and(AnswerGate::is_shut) {
        shared.counters.away.count();
        return Err(Refusal::new(b"57P03", SHUT));
    }
    let reached = timeout(shared.limits.connect, async {
        let mut server = UnixStream::connect(&socket).await?;
        server.write_all(packet).await?;
        ServerSocket::new(server)
    });
    let reached = reached.await.unwrap_or(Err(io::ErrorKind::TimedOut.into()));
    match reached {
        Ok(server) => Ok((server, place)),
        Err(cause) => {
            tracing::debug!(%cause, "a database's server can't be reached");
            shared.counters.away.count();
            let message = "the database system is not accepting connections";
            Err(Refusal::new(b"57P03", message))
        }
    }
}

/// Passes a request to cancel on. Whether it did anything is told to nobody, as the protocol has
/// it; its connection is closed once the server has closed its own.
async fn cancel(shared: &Shared, packet: &[u8]) {
    shared.cancels.cancel(packet);
    let sockets = shared.directory.cancels();
    // All at once: one that doesn't answer is to keep it from none of the others.
    let passing = sockets
        .iter()
        .map(|socket| pass_cancel(shared, socket, packet));
    let is_passed = join_all(passing).await.contains(&true);
    match is_passed {
        true => shared.counters.cancels.count(),
        false => shared.counters.away.count(),
    }
}

/// Passes it on to one server; true: that has taken it.
async fn pass_cancel(shared: &Shared, socket: &Path, packet: &[u8]) -> bool {
    let passed = timeout(shared.limits.connect, async {
        let mut server = UnixStream::connect(socket).await?;
        server.write_all(packet).await?;
        server.read(&mut [0; 1]).await
    });
    match passed.await {
        Ok(Ok(_)) => return true,
        Ok(Err(cause)) => tracing::debug!(%cause, "a request to cancel was not passed on"),
        Err(_) => tracing::debug!("a server took too long to cancel"),
    }
    false
}

/// Says why, and lets the client read it.
async fn refuse(client: &mut Connection, refusal: &Refusal) {
    let said = async {
        client.write_all(&refusal.packet()).await?;
        client.shutdown().await
    };
    // A client that doesn't take its answer is left alone with it.
    match timeout(KEEP_ALIVE_INTERVAL, said).await {
        Ok(Ok(())) => drain(client).await,
        Ok(Err(cause)) => tracing::debug!(%cause, "a refused client is gone"),
        Err(_) => tracing::debug!("a refused client didn't take its answer"),
    }
}
