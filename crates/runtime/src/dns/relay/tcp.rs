//! The relay's connections: a PROXY header, then the client's bytes, each way late by the delay.
//! The kernel finishes a client's handshake at once; the round trip that it would have taken is
//! added to the way of the first bytes.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, watch};
use tokio::time::{Instant, sleep, sleep_until, timeout};

use super::{Choice, RelayLimits, RelayTarget};
use crate::dns::Transport;
use crate::dns::proxy::{Header, ROOM};

/// How long a server may take to accept a connection: it is next door.
const CONNECT: Duration = Duration::from_secs(2);

/// Bytes that are read at a time.
const CHUNK: usize = 4096;

/// Chunks under way in one direction; no more is read until one has arrived.
const CHUNKS: usize = 32;

/// How long accepting rests when the process has no file descriptor left.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Accepts connections and relays each until told to stop.
pub(super) async fn accept(
    listener: TcpListener,
    address: SocketAddr,
    limits: RelayLimits,
    choose: Arc<Choice>,
    mut stopping: watch::Receiver<bool>,
) {
    let open = Arc::new(Semaphore::new(limits.connections));
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            _ = stopping.changed() => return,
        };
        let (stream, client) = match accepted {
            Ok(accepted) => accepted,
            Err(cause) => {
                tracing::warn!(%cause, "the relay could not accept a connection");
                sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        let permit = Arc::clone(&open).try_acquire_owned();
        let (Some(target), Ok(permit)) = (choose(client), permit) else {
            reset(&stream);
            continue;
        };
        let connection = Connection {
            client,
            address,
            target,
            idle: limits.idle,
        };
        tokio::spawn(serve(permit, connection, stream, stopping.clone()));
    }
}

/// One connection's ends.
struct Connection {
    client: SocketAddr,
    address: SocketAddr,
    target: RelayTarget,
    idle: Duration,
}

async fn serve(
    _permit: OwnedSemaphorePermit,
    connection: Connection,
    stream: TcpStream,
    mut stopping: watch::Receiver<bool>,
) {
    let start = Instant::now();
    let server = match timeout(CONNECT, connection.connect()).await {
        Ok(Ok(server)) => server,
        _ => return reset(&stream),
    };
    if stream.set_nodelay(true).is_err() {
        return;
    }
    let used = Arc::new(AtomicU64::new(0));
    let way = |earliest| Way {
        delay: connection.target.one_way_delay,
        earliest,
        start,
        used: Arc::clone(&used),
    };
    let handshake = connection.target.one_way_delay * 2;
    let (from_client, to_client) = stream.into_split();
    let (from_server, to_server) = server.into_split();
    let there = way(start + handshake).carry(from_client, to_server);
    let back = way(start).carry(from_server, to_client);
    tokio::select! {
        _ = async { tokio::join!(there, back) } => {}
        () = idle(connection.idle, start, &used) => {}
        _ = stopping.changed() => {}
    }
}

impl Connection {
    /// A connection to the server, with the header sent.
    async fn connect(&self) -> io::Result<TcpStream> {
        let socket = match self.address {
            SocketAddr::V4(_) => TcpSocket::new_v4()?,
            SocketAddr::V6(_) => TcpSocket::new_v6()?,
        };
        // The servers know the relay by this address.
        socket.bind(SocketAddr::new(self.address.ip(), 0))?;
        let mut server = socket.connect(self.target.address).await?;
        server.set_nodelay(true)?;
        let mut room = [0; ROOM];
        let header = Header::write(self.client, self.address, Transport::Tcp, &mut room);
        server.write_all(&room[..header]).await?;
        Ok(server)
    }
}

/// Ends a connection as a host would that has no such port.
fn reset(stream: &TcpStream) {
    // Should it fail, the client sees an orderly close: also no answer.
    if let Err(cause) = stream.set_zero_linger() {
        tracing::debug!(%cause, "a connection is closed where it should be reset");
    }
}

/// Ends when nothing has passed for so long.
async fn idle(limit: Duration, start: Instant, used: &AtomicU64) {
    loop {
        let since = start + Duration::from_millis(used.load(Ordering::Relaxed));
        if since.elapsed() >= limit {
            return;
        }
        sleep_until(since + limit).await;
    }
}

/// One direction of a connection.
struct Way {
    delay: Duration,
    /// Nothing leaves before.
    earliest: Instant,
    start: Instant,
    used: Arc<AtomicU64>,
}

impl Way {
    /// Carries bytes until the one side has no more or the other takes no more.
    async fn carry(self, from: OwnedReadHalf, to: OwnedWriteHalf) {
        let (sender, receiver) = mpsc::channel(CHUNKS);
        tokio::join!(self.read(from, sender), self.write(to, receiver));
    }

    /// Reads chunks and says when each arrives. An end arrives as an empty one.
    async fn read(&self, mut from: OwnedReadHalf, way: mpsc::Sender<(Instant, Vec<u8>)>) {
        loop {
            let mut chunk = Vec::with_capacity(CHUNK);
            let Ok(count) = from.read_buf(&mut chunk).await else {
                return;
            };
            self.touch();
            let arrival = Instant::now().max(self.earliest) + self.delay;
            if way.send((arrival, chunk)).await.is_err() || count == 0 {
                return;
            }
        }
    }

    async fn write(&self, mut to: OwnedWriteHalf, mut way: mpsc::Receiver<(Instant, Vec<u8>)>) {
        while let Some((arrival, chunk)) = way.recv().await {
            sleep_until(arrival).await;
            let passed = match chunk.is_empty() {
                true => to.shutdown().await,
                false => to.write_all(&chunk).await,
            };
            if passed.is_err() || chunk.is_empty() {
                return;
            }
            self.touch();
        }
    }

    fn touch(&self) {
        let now = u64::try_from(self.start.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.used.store(now, Ordering::Relaxed);
    }
}
