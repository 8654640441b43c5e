//! The handle of the balancer: starts its threads, opens and closes listeners, gives figures.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::mem::discriminant;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, mpsc};
use std::thread::JoinHandle;

use tokio::sync::mpsc::UnboundedSender;

use super::counters::{BalancerCounts, Counters};
use super::thread::{self, Command};
use super::{Balance, BalanceListener, BalancerOptions, HttpOptions, ListenerKind};
use crate::http::ListenError;

/// Connections that may wait to be accepted.
const BACKLOG: i32 = 4096;

/// How many addresses and ports may be listened on.
const MOST_LISTENERS: usize = 4096;

/// A balancer can't be started.
#[derive(Debug, thiserror::Error)]
pub enum BalancerError {
    /// 1 to 64 threads were expected.
    #[error("a balancer has 1 to 64 threads, not {0}")]
    Threads(usize),
    /// A thread, or what it needs, can't be made.
    #[error("a balancer's thread can't be started: {0}")]
    Io(#[from] io::Error),
}

/// A running balancer. Dropping it ends all connections.
pub struct Balancer {
    shared: Arc<Shared>,
    open: Mutex<BTreeMap<SocketAddr, Arc<Listening>>>,
    next_number: AtomicU64,
    threads: Vec<JoinHandle<()>>,
}

/// What is listened on, and what was counted there.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct BalancerListenerState {
    /// As it was asked for.
    pub address: SocketAddr,
    /// The port that was picked with it, if none was asked for.
    pub bound: SocketAddr,
    /// What was counted.
    pub counts: BalancerCounts,
}

/// What all threads share.
pub(super) struct Shared {
    pub(super) balance: Arc<dyn Balance>,
    pub(super) options: BalancerOptions,
    pub(super) mailboxes: Vec<UnboundedSender<Command>>,
    /// Clients' connections that are open.
    pub(super) open: AtomicUsize,
    pub(super) turn: AtomicUsize,
}

/// A listener that is open.
pub(super) struct Listening {
    pub(super) number: u64,
    pub(super) bound: SocketAddr,
    pub(super) kind: RwLock<ListenerKind>,
    pub(super) counters: Counters,
    is_closed: AtomicBool,
}

impl Listening {
    /// How requests are treated now.
    pub(super) fn options(&self) -> Arc<HttpOptions> {
        match &*self.kind.read().unwrap_or_else(PoisonError::into_inner) {
            ListenerKind::Http(options) | ListenerKind::Https(options, _) => Arc::clone(options),
            ListenerKind::Tls(_) => Arc::new(HttpOptions::USUAL),
        }
    }

    /// Is it no longer listened on?
    pub(super) fn is_closed(&self) -> bool {
        self.is_closed.load(Ordering::Acquire)
    }

    /// What is spoken now.
    pub(super) fn kind(&self) -> ListenerKind {
        self.kind
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}

impl Balancer {
    /// Starts the threads. Nothing is listened on yet.
    ///
    /// # Errors
    ///
    /// The number of threads isn't one that can be, or they can't be started.
    pub fn start(
        options: BalancerOptions,
        balance: Arc<dyn Balance>,
    ) -> Result<Balancer, BalancerError> {
        if !(1..=64).contains(&options.threads) {
            return Err(BalancerError::Threads(options.threads));
        }
        let (mailboxes, receivers): (Vec<_>, Vec<_>) = (0..options.threads)
            .map(|_| tokio::sync::mpsc::unbounded_channel())
            .unzip();
        let shared = Arc::new(Shared {
            balance,
            options,
            mailboxes,
            open: AtomicUsize::new(0),
            turn: AtomicUsize::new(0),
        });
        let mut balancer = Balancer {
            shared: Arc::clone(&shared),
            open: Mutex::default(),
            next_number: AtomicU64::new(0),
            threads: Vec::with_capacity(options.threads),
        };
        for (index, receiver) in receivers.into_iter().enumerate() {
            let worker = thread::prepare(Arc::clone(&shared), index, receiver)?;
            let thread = std::thread::Builder::new()
                .name(format!("balance-{index}"))
                .spawn(move || worker.run())?;
            balancer.threads.push(thread);
        }
        Ok(balancer)
    }

    /// Listens on these and on nothing else: opens what isn't open, gives what is open its new
    /// settings, closes what is no longer named; requests there end within
    /// [`BalancerLimits::drain`](super::BalancerLimits::drain), idle connections at once. What is
    /// to speak another kind is closed so and opened anew: who came without TLS isn't served on
    /// where it is asked for. Gives what couldn't be opened and why; the next call tries again.
    /// Blocks until the threads know.
    pub fn listen(&self, wanted: &[BalanceListener]) -> Vec<ListenError> {
        let mut open = self.open();
        self.end_all_but(&mut open, wanted);
        let mut errors = Vec::new();
        for listener in wanted {
            if let Some(listening) = open.get(&listener.address) {
                let mut kind = listening
                    .kind
                    .write()
                    .unwrap_or_else(PoisonError::into_inner);
                *kind = listener.kind.clone();
                continue;
            }
            match self.open_one(listener, open.len()) {
                Ok(listening) => {
                    open.insert(listener.address, listening);
                }
                Err(error) => errors.push(error),
            }
        }
        errors
    }

    /// Closes what [`listen`](Self::listen) would close, and opens nothing: for who has something
    /// else listen there in between.
    pub fn close_all_but(&self, wanted: &[BalanceListener]) {
        self.end_all_but(&mut self.open(), wanted);
    }

    fn end_all_but(
        &self,
        open: &mut BTreeMap<SocketAddr, Arc<Listening>>,
        wanted: &[BalanceListener],
    ) {
        let kinds: BTreeMap<SocketAddr, _> = wanted
            .iter()
            .map(|one| (one.address, discriminant(&one.kind)))
            .collect();
        let gone: Vec<_> = open
            .extract_if(.., |address, listening| {
                kinds.get(address) != Some(&discriminant(&listening.kind()))
            })
            .map(|(_, listening)| listening)
            .collect();
        self.close(&gone, false);
    }

    /// Closes what listens on these addresses (whatever the port) at once, and resets the
    /// connections that came to them: what a host does that dies.
    pub fn reset(&self, addresses: &BTreeSet<std::net::IpAddr>) {
        let mut open = self.open();
        let gone: Vec<_> = open
            .extract_if(.., |_, listening| addresses.contains(&listening.bound.ip()))
            .map(|(_, listening)| listening)
            .collect();
        self.close(&gone, true);
    }

    fn open(&self) -> MutexGuard<'_, BTreeMap<SocketAddr, Arc<Listening>>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns once nothing is accepted there any more.
    fn close(&self, gone: &[Arc<Listening>], reset: bool) {
        let (done, closed) = mpsc::channel();
        for listening in gone {
            // Before anybody is told: a connection that is on its way between threads then isn't
            // held by the one that has closed it already.
            listening.is_closed.store(true, Ordering::Release);
            for mailbox in &self.shared.mailboxes {
                let command = Command::Close {
                    number: listening.number,
                    reset,
                    done: done.clone(),
                };
                mailbox.send(command).ok();
            }
        }
        drop(done);
        // Nothing is sent: it ends when the last thread has dropped what it was told with.
        closed.recv().ok();
    }

    fn open_one(
        &self,
        listener: &BalanceListener,
        count: usize,
    ) -> Result<Arc<Listening>, ListenError> {
        let address = listener.address;
        let failed = |cause: io::Error| match cause.kind() {
            io::ErrorKind::AddrInUse => ListenError::Taken(address),
            _ => ListenError::Io { address, cause },
        };
        if count >= MOST_LISTENERS {
            let cause =
                format!("no more than {MOST_LISTENERS} addresses and ports are listened on");
            return Err(failed(io::Error::other(cause)));
        }
        let socket = socket(address).map_err(failed)?;
        let bound = socket.local_addr().map_err(failed)?;
        let listening = Arc::new(Listening {
            number: self.next_number.fetch_add(1, Ordering::Relaxed),
            bound,
            kind: RwLock::new(listener.kind.clone()),
            counters: Counters::default(),
            is_closed: AtomicBool::new(false),
        });
        let accepting = listening.number as usize % self.shared.mailboxes.len();
        let command = Command::Listen(Arc::clone(&listening), socket);
        self.shared.mailboxes[accepting].send(command).ok();
        Ok(listening)
    }

    /// What is listened on, with what has been counted there, by address.
    pub fn listeners(&self) -> Vec<BalancerListenerState> {
        let open = self.open();
        let states = open
            .iter()
            .map(|(address, listening)| BalancerListenerState {
                address: *address,
                bound: listening.bound,
                counts: listening.counters.read(),
            });
        states.collect()
    }

    /// Clients' connections that are open.
    pub fn connections(&self) -> usize {
        self.shared.open.load(Ordering::Relaxed)
    }

    /// Ends everything. When this returns, threads and sockets are gone.
    pub fn stop(self) {
        drop(self);
    }
}

impl Drop for Balancer {
    fn drop(&mut self) {
        for mailbox in &self.shared.mailboxes {
            mailbox.send(Command::Stop).ok();
        }
        for thread in self.threads.drain(..) {
            if thread.join().is_err() {
                tracing::error!("a thread of a balancer had panicked");
            }
        }
    }
}

fn socket(address: SocketAddr) -> io::Result<std::net::TcpListener> {
    let domain = socket2::Domain::for_address(address);
    let protocol = Some(socket2::Protocol::TCP);
    let socket = socket2::Socket::new(domain, socket2::Type::STREAM, protocol)?;
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}
