//! The UDP server: threads of its own, each with a socket at each address, that wait in the kernel
//! and answer whole batches. No packet costs an allocation, a lock or a task.

use std::io;
use std::net::SocketAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use socket2::Socket;

use super::batch::Batch;
use super::counters::Counters;
use super::{DnsAddress, DnsCounts, DnsQuery, Origin, Responder, Transport, affinity, sockets};
use crate::http::ListenError;

/// The stack of a thread: ample for a reply's making, and only touched pages cost memory.
const STACK: usize = 512 * 1024;

/// How long a thread rests when the kernel can't give it datagrams (it is out of memory).
const PAUSE: Duration = Duration::from_millis(20);

/// How a server runs.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct UdpOptions {
    /// Threads at each address, 1 or more.
    pub threads: usize,
    /// Whether each stays on one processor, going round those that the process may use. Better
    /// where the server has the machine for itself; where it shares it, as in a lab of many
    /// sites, the scheduler knows better.
    pub pinned: bool,
}

/// A running server. It stops when dropped.
pub struct UdpServer {
    addresses: Vec<SocketAddr>,
    workers: Vec<Worker>,
    stopping: Arc<AtomicBool>,
}

struct Worker {
    socket: Arc<Socket>,
    counters: Arc<Counters>,
    thread: Option<JoinHandle<()>>,
}

impl UdpServer {
    /// Answers at these addresses from now on: the first packet is served when this returns.
    pub fn start<R: Responder>(
        addresses: &[DnsAddress],
        options: UdpOptions,
        responder: Arc<R>,
    ) -> Result<UdpServer, ListenError> {
        let mut server = UdpServer {
            addresses: Vec::new(),
            workers: Vec::new(),
            stopping: Arc::default(),
        };
        let mut opened = Vec::new();
        for at in addresses {
            let sockets = sockets::open(at.address, options.threads.max(1))?;
            let bound = sockets[0].local_addr().map(|bound| bound.as_socket());
            let bound = bound.ok().flatten().unwrap_or(at.address);
            server.addresses.push(bound);
            opened.push((at, bound, sockets));
        }
        let allowed = match options.pinned {
            true => affinity::allowed(),
            false => Vec::new(),
        };
        for (at, bound, sockets) in opened {
            for (turn, socket) in sockets.into_iter().enumerate() {
                let place = Place {
                    number: server.workers.len(),
                    turn,
                    allowed: allowed.clone(),
                };
                let worker = server.worker(at, place, socket, Arc::clone(&responder));
                let failed = |cause| ListenError::Io {
                    address: bound,
                    cause,
                };
                server.workers.push(worker.map_err(failed)?);
            }
        }
        Ok(server)
    }

    fn worker<R: Responder>(
        &self,
        at: &DnsAddress,
        place: Place,
        socket: Socket,
        responder: Arc<R>,
    ) -> io::Result<Worker> {
        let (socket, counters) = (Arc::new(socket), Arc::new(Counters::default()));
        let serving = Serving {
            responder,
            origin: at.origin.clone(),
            with_control: at.address.ip().is_unspecified(),
            socket: Arc::clone(&socket),
            counters: Arc::clone(&counters),
            stopping: Arc::clone(&self.stopping),
        };
        let thread = std::thread::Builder::new()
            .name(format!("dns-{}", place.number))
            .stack_size(STACK)
            .spawn(move || {
                affinity::pin(&place.allowed, place.turn);
                serving.run(place.number);
            })?;
        Ok(Worker {
            socket,
            counters,
            thread: Some(thread),
        })
    }

    /// Where it answers, in the order asked for.
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// What it has done so far, all threads together.
    pub fn counts(&self) -> DnsCounts {
        let counts = self.workers.iter().map(|worker| worker.counters.read());
        counts.fold(DnsCounts::default(), DnsCounts::plus)
    }

    /// Ends it. Queries taken from the kernel are answered first; when this returns, its threads
    /// and sockets are gone.
    pub fn stop(self) {
        drop(self);
    }
}

impl Drop for UdpServer {
    fn drop(&mut self) {
        self.stopping.store(true, Ordering::Release);
        for worker in &self.workers {
            // Linux wakes whoever waits on the socket, though it says that it isn't connected.
            let woken = worker.socket.shutdown(std::net::Shutdown::Both);
            if let Err(cause) = woken
                && cause.kind() != io::ErrorKind::NotConnected
            {
                tracing::warn!(%cause, "a DNS thread may not have been woken to end");
            }
        }
        for worker in &mut self.workers {
            if worker
                .thread
                .take()
                .is_some_and(|thread| thread.join().is_err())
            {
                tracing::error!("a DNS thread had panicked");
            }
        }
    }
}

/// Which thread one is, and where it runs.
struct Place {
    number: usize,
    turn: usize,
    allowed: Vec<usize>,
}

/// What a thread serves.
struct Serving<R> {
    responder: Arc<R>,
    origin: Origin,
    with_control: bool,
    socket: Arc<Socket>,
    counters: Arc<Counters>,
    stopping: Arc<AtomicBool>,
}

impl<R: Responder> Serving<R> {
    /// Serves until told to stop. A panic of the responder costs the batch that it struck in.
    fn run(&self, number: usize) {
        loop {
            let mut state = self.responder.state(number);
            let mut batch = Batch::new();
            let served = catch_unwind(AssertUnwindSafe(|| {
                while !self.stopping.load(Ordering::Acquire) {
                    self.serve(&mut batch, &mut state);
                }
            }));
            if served.is_ok() {
                return;
            }
            tracing::error!(
                number,
                "a query made the responder panic: its batch is lost"
            );
            self.counters.add(&DnsCounts {
                lost: 1,
                ..DnsCounts::default()
            });
        }
    }

    /// Waits for a batch and answers it.
    fn serve(&self, batch: &mut Batch, state: &mut R::State) {
        let received = match batch.receive(&self.socket, self.with_control) {
            Ok(received) => received,
            Err(cause) if cause.kind() == io::ErrorKind::Interrupted => return,
            Err(cause) => {
                tracing::warn!(%cause, "no datagrams can be received: trying again");
                std::thread::sleep(PAUSE);
                return;
            }
        };
        // Woken to end: what came is no datagram.
        if self.stopping.load(Ordering::Acquire) {
            return;
        }
        let mut counts = DnsCounts {
            queries: received as u64,
            ..DnsCounts::default()
        };
        for index in 0..received {
            match self.answer(batch, index, state) {
                Outcome::Reply(length) => {
                    counts.reply(batch.reply(index, length));
                    counts.answers += 1;
                }
                Outcome::Silence => counts.silent += 1,
                Outcome::Unreadable => counts.unreadable += 1,
            }
        }
        // Counted before it is sent: who has a reply finds it counted.
        self.counters.add(&counts);
        let unsent = counts.answers - batch.send(&self.socket) as u64;
        if unsent > 0 {
            self.counters.add(&DnsCounts {
                unsent,
                ..DnsCounts::default()
            });
        }
    }

    fn answer(&self, batch: &mut Batch, index: usize, state: &mut R::State) -> Outcome {
        let Some(exchange) = batch.exchange(index) else {
            return Outcome::Unreadable;
        };
        let readable = exchange.datagram.and_then(|datagram| {
            self.origin
                .query_of(exchange.sender, datagram)
                .filter(|(_, packet)| packet.len() <= super::MAX_QUERY)
        });
        let Some((source, packet)) = readable else {
            return Outcome::Unreadable;
        };
        let query = DnsQuery {
            packet,
            source,
            transport: Transport::Udp,
        };
        match self.responder.respond(state, &query, exchange.reply) {
            Some(length) => Outcome::Reply(length),
            None => Outcome::Silence,
        }
    }
}

/// What becomes of a datagram.
enum Outcome {
    Reply(usize),
    Silence,
    Unreadable,
}
