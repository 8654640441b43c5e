//! The TCP server (RFC 7766): messages with their length before them, as many a connection as the
//! client likes, answered in order as they come. What a client may hold is bounded: its
//! connections, the time for a message, the time between two, the time it takes to read replies.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::time::{Instant, timeout, timeout_at};

use super::counters::Counters;
use super::proxy::{Header, ProxyError};
use super::{
    DnsAddress, DnsCounts, DnsQuery, MAX_QUERY, MAX_TCP_REPLY, Origin, Responder, Transport,
};
use crate::http::{ListenError, listen};

/// The length before a message (RFC 1035 section 4.2.2).
const LENGTH: usize = 2;

/// Replies that a connection gathers before it writes them; one more message is answered only
/// when they have been taken.
const GATHERED: usize = 64 * 1024;

/// How long accepting rests when the process has no file descriptor left.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// What a server's clients may hold.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct TcpLimits {
    /// Open connections, 1 or more; one more is closed unread.
    pub connections: usize,
    /// Open connections of one client's address.
    pub connections_of_a_client: usize,
    /// How long a connection may be without a message. While more than half of the connections
    /// are open it is a quarter of that, so that idle ones make room (RFC 7766 section 6.2.3).
    pub idle: Duration,
    /// How long a message, or a relay's header, may take from its first byte to its last.
    pub message: Duration,
    /// How long a client may take to read the replies of which it has asked for more.
    pub write: Duration,
}

impl TcpLimits {
    /// Fit for a name server: 1,024 connections, 64 of them a client's, 10 s without a message,
    /// 2 s for one, 5 s for its replies.
    pub const MODEST: TcpLimits = TcpLimits {
        connections: 1024,
        connections_of_a_client: 64,
        idle: Duration::from_secs(10),
        message: Duration::from_secs(2),
        write: Duration::from_secs(5),
    };
}

/// A running server. When it is dropped, it closes everything.
pub struct TcpServer {
    addresses: Vec<SocketAddr>,
    stopping: watch::Sender<bool>,
    open: Arc<Semaphore>,
    limits: TcpLimits,
    counters: Arc<Counters>,
}

/// What all connections of a server share.
struct Shared<R: Responder> {
    responder: Arc<R>,
    limits: TcpLimits,
    open: Arc<Semaphore>,
    counters: Arc<Counters>,
    clients: Mutex<BTreeMap<IpAddr, usize>>,
    /// As many as replies are made at the same time, which is as many as tokio has threads.
    scratches: Mutex<Vec<Scratch<R::State>>>,
    made: AtomicUsize,
}

/// What making a reply needs for its while.
struct Scratch<S> {
    state: S,
    reply: Box<[u8]>,
}

impl TcpServer {
    /// Answers at these addresses from now on. Must be called within a tokio runtime.
    pub fn start<R: Responder>(
        addresses: &[DnsAddress],
        limits: TcpLimits,
        responder: Arc<R>,
    ) -> Result<TcpServer, ListenError> {
        let mut listeners = Vec::new();
        for at in addresses {
            let listener = listen(at.address)?;
            let bound = listener.local_addr().map_err(|cause| ListenError::Io {
                address: at.address,
                cause,
            })?;
            listeners.push((listener, bound, at.origin.clone()));
        }
        let (stopping, watched) = watch::channel(false);
        let shared = Arc::new(Shared {
            responder,
            limits,
            open: Arc::new(Semaphore::new(limits.connections)),
            counters: Arc::default(),
            clients: Mutex::default(),
            scratches: Mutex::default(),
            made: AtomicUsize::new(0),
        });
        let server = TcpServer {
            addresses: listeners.iter().map(|(_, bound, _)| *bound).collect(),
            stopping,
            open: Arc::clone(&shared.open),
            limits,
            counters: Arc::clone(&shared.counters),
        };
        for (listener, _, origin) in listeners {
            let (shared, origin) = (Arc::clone(&shared), Arc::new(origin));
            tokio::spawn(accept(listener, origin, shared, watched.clone()));
        }
        Ok(server)
    }

    /// Where it answers, in the order asked for.
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// What it has done so far, all connections together.
    pub fn counts(&self) -> DnsCounts {
        self.counters.read()
    }

    /// Connections open now.
    pub fn connections(&self) -> usize {
        self.limits.connections - self.open.available_permits()
    }

    /// Ends it: what was asked is answered, then every connection is closed.
    pub async fn stop(self) {
        self.stopping.send_replace(true);
        let all = u32::try_from(self.limits.connections).unwrap_or(u32::MAX);
        // A connection that is being written to ends with the time for that.
        let patience = self.limits.write + Duration::from_secs(1);
        if timeout(patience, self.open.acquire_many(all))
            .await
            .is_err()
        {
            tracing::warn!("a DNS connection didn't end in time");
        }
    }
}

async fn accept<R: Responder>(
    listener: TcpListener,
    origin: Arc<Origin>,
    shared: Arc<Shared<R>>,
    mut stopping: watch::Receiver<bool>,
) {
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            _ = stopping.changed() => return,
        };
        let (stream, sender) = match accepted {
            Ok(accepted) => accepted,
            Err(cause) => {
                tracing::warn!(%cause, "a DNS connection could not be accepted");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        let Ok(permit) = Arc::clone(&shared.open).try_acquire_owned() else {
            continue;
        };
        // Without it, a small reply could wait for the acknowledgement of the one before.
        if stream.set_nodelay(true).is_ok() {
            let connection = Connection {
                shared: Arc::clone(&shared),
                stream,
                input: Box::new([0; LENGTH + MAX_QUERY]),
                filled: 0,
            };
            let served = connection.serve(sender.ip(), Arc::clone(&origin), stopping.clone());
            tokio::spawn(hold(permit, served));
        }
    }
}

async fn hold(_permit: OwnedSemaphorePermit, connection: impl Future<Output = Ended>) {
    // That the other side closes, is slow or sends rubbish is nothing to act on.
    let Ended = connection.await;
}

/// A connection's end, whatever its reason.
struct Ended;

/// One connection.
struct Connection<R: Responder> {
    shared: Arc<Shared<R>>,
    stream: TcpStream,
    input: Box<[u8; LENGTH + MAX_QUERY]>,
    filled: usize,
}

impl<R: Responder> Connection<R> {
    async fn serve(
        mut self,
        sender: IpAddr,
        origin: Arc<Origin>,
        mut stopping: watch::Receiver<bool>,
    ) -> Ended {
        let source = match &*origin {
            Origin::Senders => Some(sender),
            Origin::Relays(relays) if relays.contains(&sender) => {
                let header = timeout(self.shared.limits.message, self.header());
                header
                    .await
                    .ok()
                    .flatten()
                    .map(|client| client.unwrap_or(sender))
            }
            Origin::Relays(_) => None,
        };
        let Some(source) = source else {
            self.shared.count(|counts| counts.unreadable = 1);
            return Ended;
        };
        let Some(_admitted) = self.shared.admit(source) else {
            return Ended;
        };
        // Nothing is read any more once told to stop; what was read is answered.
        let mut output = Vec::new();
        loop {
            let (taken, goes_on) =
                self.shared
                    .answer(&self.input[..self.filled], source, &mut output);
            self.forget(taken);
            if !output.is_empty() {
                let written = timeout(self.shared.limits.write, self.stream.write_all(&output));
                if !matches!(written.await, Ok(Ok(()))) {
                    return Ended;
                }
                output.clear();
                output.shrink_to(MAX_QUERY);
            }
            if !goes_on {
                return self.close().await;
            }
            if *stopping.borrow() {
                return Ended;
            }
            if taken > 0 && self.has_message() {
                continue;
            }
            let more = tokio::select! {
                more = self.read() => more,
                _ = stopping.changed() => None,
            };
            if more.is_none() {
                return Ended;
            }
        }
    }

    /// Reads a relay's header and what the stream begins with; none if it isn't well-formed.
    async fn header(&mut self) -> Option<Option<IpAddr>> {
        loop {
            match Header::read(&self.input[..self.filled], Transport::Tcp) {
                Ok(header) => {
                    self.forget(header.length);
                    return Some(header.source.map(|source| source.ip()));
                }
                Err(ProxyError::Malformed) => return None,
                Err(ProxyError::Incomplete) => {
                    let read = self.stream.read(&mut self.input[self.filled..]).await;
                    self.filled += read.ok().filter(|count| *count > 0)?;
                }
            }
        }
    }

    /// Reads until there is a whole message; none if the connection has ended or its time is up.
    async fn read(&mut self) -> Option<()> {
        let limits = self.shared.limits;
        let mut deadline = match self.filled {
            0 => Instant::now() + self.shared.idle(),
            _ => Instant::now() + limits.message,
        };
        loop {
            let read = self.stream.read(&mut self.input[self.filled..]);
            let count = timeout_at(deadline, read).await.ok()?.ok()?;
            if count == 0 {
                return None;
            }
            if self.filled == 0 {
                deadline = Instant::now() + limits.message;
            }
            self.filled += count;
            if self.has_message() {
                return Some(());
            }
        }
    }

    /// Whether there is something to do: a whole message, or one that is too long to become one.
    fn has_message(&self) -> bool {
        match message(&self.input[..self.filled]) {
            Message::Whole(_) | Message::TooLong => true,
            Message::Partial => false,
        }
    }

    fn forget(&mut self, taken: usize) {
        self.input.copy_within(taken..self.filled, 0);
        self.filled -= taken;
    }

    /// Closes though the client may send more, and so that it reads all replies: what it sent
    /// beyond what was read would otherwise make the close a reset.
    async fn close(mut self) -> Ended {
        let limit = self.shared.limits.message;
        let drained = timeout(limit, async {
            self.stream.shutdown().await.ok()?;
            while self.stream.read(&mut self.input[..]).await.ok()? > 0 {}
            Some(())
        });
        // Either way the connection is closed now.
        drained.await.ok();
        Ended
    }
}

/// What a stream begins with.
enum Message<'a> {
    Whole(&'a [u8]),
    Partial,
    TooLong,
}

fn message(stream: &[u8]) -> Message<'_> {
    let Some((length, rest)) = stream.split_first_chunk::<LENGTH>() else {
        return Message::Partial;
    };
    match usize::from(u16::from_be_bytes(*length)) {
        length if length > MAX_QUERY => Message::TooLong,
        length => rest.get(..length).map_or(Message::Partial, Message::Whole),
    }
}

impl<R: Responder> Shared<R> {
    /// How long a connection may be without a message now.
    fn idle(&self) -> Duration {
        let is_crowded = self.open.available_permits() < self.limits.connections / 2;
        self.limits.idle / if is_crowded { 4 } else { 1 }
    }

    fn count(&self, change: impl FnOnce(&mut DnsCounts)) {
        let mut counts = DnsCounts {
            queries: 1,
            ..DnsCounts::default()
        };
        change(&mut counts);
        self.counters.add(&counts);
    }

    /// Answers the whole messages that the input begins with, until enough replies are gathered;
    /// gives how much of it is done with, and whether the connection goes on.
    fn answer(&self, input: &[u8], source: IpAddr, output: &mut Vec<u8>) -> (usize, bool) {
        let mut taken = 0;
        if matches!(message(input), Message::Partial) {
            return (taken, true);
        }
        let mut scratch = self.scratch();
        let mut goes_on = true;
        while goes_on && output.len() < GATHERED {
            let packet = match message(&input[taken..]) {
                Message::Whole(packet) => packet,
                Message::Partial => break,
                Message::TooLong => {
                    self.count(|counts| counts.unreadable = 1);
                    goes_on = false;
                    break;
                }
            };
            taken += LENGTH + packet.len();
            let query = DnsQuery {
                packet,
                source,
                transport: Transport::Tcp,
            };
            let made = catch_unwind(AssertUnwindSafe(|| {
                let Scratch { state, reply } = &mut scratch;
                self.responder.respond(state, &query, reply)
            }));
            let Ok(made) = made else {
                // Its scratch goes with it: nobody knows what state that is in.
                tracing::error!("a query made the responder panic: its connection is closed");
                self.count(|counts| counts.lost = 1);
                return (taken, false);
            };
            match made {
                Some(length) => self.gather(&scratch.reply[..length.min(MAX_TCP_REPLY)], output),
                // Over a connection, that is what rubbish deserves.
                None => {
                    self.count(|counts| counts.silent = 1);
                    goes_on = false;
                }
            }
        }
        lock(&self.scratches).push(scratch);
        (taken, goes_on)
    }

    fn gather(&self, reply: &[u8], output: &mut Vec<u8>) {
        self.count(|counts| {
            counts.answers = 1;
            counts.reply(reply);
        });
        let length = u16::try_from(reply.len()).expect("a reply has at most 65,535 bytes");
        output.extend_from_slice(&length.to_be_bytes());
        output.extend_from_slice(reply);
    }

    fn scratch(&self) -> Scratch<R::State> {
        let scratch = lock(&self.scratches).pop();
        scratch.unwrap_or_else(|| Scratch {
            state: self
                .responder
                .state(self.made.fetch_add(1, Ordering::Relaxed)),
            reply: vec![0; MAX_TCP_REPLY].into_boxed_slice(),
        })
    }

    /// Counts a connection among its client's; none if those are too many.
    fn admit(self: &Arc<Self>, client: IpAddr) -> Option<Admitted<R>> {
        let mut clients = lock(&self.clients);
        let open = clients.entry(client).or_insert(0);
        if *open >= self.limits.connections_of_a_client {
            return None;
        }
        *open += 1;
        Some(Admitted {
            shared: Arc::clone(self),
            client,
        })
    }
}

/// A connection that is counted among its client's until this is dropped.
struct Admitted<R: Responder> {
    shared: Arc<Shared<R>>,
    client: IpAddr,
}

impl<R: Responder> Drop for Admitted<R> {
    fn drop(&mut self) {
        let mut clients = lock(&self.shared.clients);
        if let Some(open) = clients.get_mut(&self.client) {
            *open -= 1;
            if *open == 0 {
                clients.remove(&self.client);
            }
        }
    }
}

fn lock<T>(shared: &Mutex<T>) -> MutexGuard<'_, T> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}
