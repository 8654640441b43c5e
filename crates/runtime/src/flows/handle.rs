//! The handle of running flows: opens and closes what they listen on, hands them connections that
//! were accepted elsewhere, and ends them.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering};
use std::sync::mpsc::{self, Sender};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::thread::JoinHandle;

use super::anycast::Taker;
use super::counters::{Counters, FlowCounts, FlowTotals, ThreadCounters};
use super::limits::{Budget, FlowOptions, MAX_LISTENERS};
use super::poll::Waker;
use super::{FlowListener, FlowProtocol, Steer, sockets, worker};
use crate::http::ListenError;
use crate::process::raise_open_files;

/// Threads, at most.
const MAX_THREADS: usize = 64;

/// Descriptors that are left to the rest of the process: a quarter of what it may open, no more
/// than this.
const OTHERS: usize = 1024;

/// The stack of a thread.
const STACK: usize = 512 * 1024;

/// Flows can't be started.
#[derive(Debug, thiserror::Error)]
pub enum FlowsError {
    /// The number of threads is none that makes sense.
    #[error("flows run on 1 to {MAX_THREADS} threads, not {0}")]
    Threads(usize),
    /// The operating system refused.
    #[error("flows can't be started: {0}")]
    Io(#[from] std::io::Error),
}

/// A connection wasn't taken over.
#[derive(Debug, thiserror::Error)]
pub enum AdoptError {
    /// It is none, or is gone.
    #[error("not a connected TCP socket: {0}")]
    NoConnection(std::io::Error),
    /// As many flows are there as may be.
    #[error("as many flows are under way as may be (limits tcp_flows and descriptors)")]
    Full,
}

/// What is listened on, and what has been counted there.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ListenerState {
    /// As it was asked for.
    pub listener: FlowListener,
    /// Where it stands: another port only if a free one was asked for.
    pub bound: SocketAddr,
    /// What has been counted.
    pub counts: FlowCounts,
}

/// Running flows. They end when this is dropped.
pub struct Flows {
    pub(super) shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
    /// Held while listeners are opened and closed.
    pub(super) changing: Mutex<()>,
    /// What stands behind addresses that another process holds, if that is so.
    pub(super) taker: Option<Taker>,
    /// Nothing new is taken, whatever is asked to be listened on.
    leaving: AtomicBool,
}

/// Flows that are here, or on their way.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct FlowsLeft {
    /// Flows that are here, at all listeners, also at those that are closed by now; the ones that
    /// have no endpoint yet are among them.
    pub here: u64,
    /// Connections that whoever holds the addresses has handed over, and that have come.
    pub taken: u64,
}

/// What the handle and the threads share.
pub(super) struct Shared {
    pub(super) steer: Arc<dyn Steer>,
    pub(super) options: FlowOptions,
    pub(super) budget: Arc<Budget>,
    pub(super) mailboxes: Vec<Mailbox>,
    pub(super) registry: Mutex<Registry>,
    /// By which datagrams come to addresses that another process holds.
    pub(super) relayed: Option<OwnedFd>,
    /// The addresses to which flows come that are recorded. It is held within the registry's lock
    /// alone.
    pub(super) recorded: Mutex<BTreeSet<IpAddr>>,
    next_number: AtomicU32,
    pub(super) next_thread: AtomicUsize,
}

/// What is listened on.
#[derive(Default)]
pub(super) struct Registry {
    pub(super) open: BTreeMap<FlowListener, Arc<Listening>>,
    /// Closed for new flows, but not yet left by the old ones, of datagrams: these can be opened
    /// again.
    pub(super) closing: BTreeMap<FlowListener, Weak<Listening>>,
    /// Where connections had come to that are there yet: what counts them, and is gone with them.
    pub(super) left: Vec<(IpAddr, Vec<Weak<Counters>>)>,
    /// Where adopted connections had come to, with nothing open here.
    pub(super) adopted: BTreeMap<SocketAddr, Arc<Listening>>,
}

/// A way to tell a thread something.
pub(super) struct Mailbox {
    commands: Mutex<Vec<Command>>,
    pub(super) waker: Waker,
    pub(super) counters: Arc<ThreadCounters>,
}

/// What a thread is told.
pub(super) enum Command {
    /// Takes flows there, too.
    Listen(Arc<Listening>),
    /// Takes no new flows there, and says when that is so.
    Close(u32, Sender<()>),
    /// Takes this connection over; its place is taken from the budget.
    Adopt {
        socket: OwnedFd,
        from: SocketAddr,
        at: Arc<Listening>,
    },
    /// Ends.
    Stop,
}

/// Something that is listened on.
pub(super) struct Listening {
    pub(super) number: u32,
    pub(super) protocol: FlowProtocol,
    pub(super) bound: SocketAddr,
    /// One for TCP, one a thread for UDP, none for adopted connections.
    pub(super) sockets: Vec<OwnedFd>,
    /// One a thread.
    pub(super) counters: Vec<Arc<Counters>>,
    /// Another process holds the address: nothing comes to these sockets, which only send.
    pub(super) behind: bool,
    /// It was closed before: what waits at its sockets came in between.
    pub(super) was_closed: AtomicBool,
    budget: Arc<Budget>,
}

impl Drop for Listening {
    fn drop(&mut self) {
        self.budget.descriptors.give(self.sockets.len());
    }
}

impl Mailbox {
    fn new() -> std::io::Result<Mailbox> {
        Ok(Mailbox {
            commands: Mutex::default(),
            waker: Waker::new()?,
            counters: Arc::default(),
        })
    }

    pub(super) fn tell(&self, command: Command) {
        lock(&self.commands).push(command);
        self.waker.wake();
    }

    /// What came since the last call.
    pub(super) fn take(&self) -> Vec<Command> {
        std::mem::take(&mut *lock(&self.commands))
    }
}

impl Shared {
    /// What is open now.
    pub(super) fn open(&self) -> Vec<Arc<Listening>> {
        lock(&self.registry).open.values().cloned().collect()
    }

    /// The conversations by datagrams that are here.
    pub(super) fn conversations(&self) -> usize {
        let most = self.options.limits.udp_flows;
        most.saturating_sub(self.budget.udp_flows.left())
    }

    /// What was closed there, if the old flows haven't left it yet.
    pub(super) fn still_closing(&self, listener: &FlowListener) -> Option<Arc<Listening>> {
        let closing = lock(&self.registry).closing.get(listener).cloned();
        closing?.upgrade()
    }

    /// Something that is listened on, by this process or by the one that it stands `behind`.
    pub(super) fn listening(
        &self,
        protocol: FlowProtocol,
        bound: SocketAddr,
        sockets: Vec<OwnedFd>,
        behind: bool,
    ) -> Arc<Listening> {
        let threads = self.options.threads;
        let listening = Listening {
            number: self.next_number.fetch_add(1, Ordering::Relaxed),
            protocol,
            bound,
            sockets,
            counters: (0..threads).map(|_| Arc::default()).collect(),
            behind,
            was_closed: AtomicBool::new(false),
            budget: Arc::clone(&self.budget),
        };
        listening.record(&lock(&self.recorded));
        Arc::new(listening)
    }
}

pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Flows {
    /// Starts the threads; nothing is listened on yet. The process's limit of open files is
    /// raised as far as the system lets it.
    pub fn start(options: FlowOptions, steer: Arc<dyn Steer>) -> Result<Flows, FlowsError> {
        Flows::start_with(options, steer, None)
    }

    /// `relayed`: by which datagrams come to addresses that another process holds.
    pub(super) fn start_with(
        options: FlowOptions,
        steer: Arc<dyn Steer>,
        relayed: Option<OwnedFd>,
    ) -> Result<Flows, FlowsError> {
        if !(1..=MAX_THREADS).contains(&options.threads) {
            return Err(FlowsError::Threads(options.threads));
        }
        let files = usize::try_from(raise_open_files()).unwrap_or(usize::MAX);
        let budget = Budget::new(&options.limits, files - OTHERS.min(files / 4));
        let mailboxes = (0..options.threads).map(|_| Mailbox::new());
        let shared = Arc::new(Shared {
            steer,
            options,
            budget: Arc::new(budget),
            mailboxes: mailboxes.collect::<Result<_, _>>()?,
            registry: Mutex::default(),
            relayed,
            recorded: Mutex::default(),
            next_number: AtomicU32::new(0),
            next_thread: AtomicUsize::new(0),
        });
        let mut flows = Flows {
            shared: Arc::clone(&shared),
            threads: Vec::new(),
            changing: Mutex::new(()),
            taker: None,
            leaving: AtomicBool::new(false),
        };
        for thread in 0..options.threads {
            let prepared = worker::prepare(Arc::clone(&shared), thread)?;
            let spawned = std::thread::Builder::new()
                .name(format!("flows-{thread}"))
                .stack_size(STACK)
                .spawn(move || prepared.run())?;
            flows.threads.push(spawned);
        }
        Ok(flows)
    }

    /// Listens on these and nothing else: opens what isn't open yet, and closes what isn't among
    /// them. Flows that came to what is closed live on. Gives what couldn't be opened and why;
    /// the next call tries again. Blocks until the threads know, which they do at once unless
    /// the [`Steer`] holds them up.
    pub fn listen(&self, wanted: &BTreeSet<FlowListener>) -> Vec<ListenError> {
        let _changing = lock(&self.changing);
        if let Some(taker) = &self.taker {
            self.close_all_but(wanted);
            return self.listen_behind(taker, wanted);
        }
        let nothing = BTreeSet::new();
        let wanted = match self.leaving.load(Ordering::SeqCst) {
            true => &nothing,
            false => wanted,
        };
        self.close_all_but(wanted);
        let mut errors = Vec::new();
        for listener in wanted {
            let count = {
                let registry = lock(&self.shared.registry);
                if registry.open.contains_key(listener) {
                    continue;
                }
                registry.open.len()
            };
            match self.open(*listener, count) {
                Ok(listening) => self.enter(*listener, &listening),
                Err(error) => errors.push(error),
            }
        }
        errors
    }

    /// This process will end: no new flow comes here from soon after this on, whatever it is told
    /// to listen on. Flows that are here live on. Behind addresses that another process holds,
    /// that gives what is new to others; listeners of its own are closed.
    ///
    /// # Errors
    /// Whoever holds the addresses can't be told.
    pub fn leave(&self) -> std::io::Result<()> {
        self.leaving.store(true, Ordering::SeqCst);
        match &self.taker {
            Some(taker) => taker.leave(),
            None => {
                self.listen(&BTreeSet::new());
                Ok(())
            }
        }
    }

    /// Is it leaving?
    pub fn is_leaving(&self) -> bool {
        self.leaving.load(Ordering::SeqCst)
    }

    /// Flows that are here, and connections that were handed over: of those that another process
    /// has handed over and that haven't come, none is missed by who reads what it has handed over
    /// after this.
    pub fn left(&self) -> FlowsLeft {
        let taken = self.taker.as_ref().map_or(0, Taker::taken);
        // In this order: what is taken between is counted twice, and nothing is missed.
        let reserved = self.taker.as_ref().is_some_and(Taker::reserves);
        let (limits, budget) = (&self.shared.options.limits, &self.shared.budget);
        let connections = limits.tcp_flows.saturating_sub(budget.tcp_flows.left());
        let connections = connections.saturating_sub(usize::from(reserved));
        FlowsLeft {
            here: (connections + self.shared.conversations()) as u64,
            taken,
        }
    }

    /// From here on flows come in there.
    pub(super) fn enter(&self, listener: FlowListener, listening: &Arc<Listening>) {
        let mut registry = lock(&self.shared.registry);
        registry.closing.remove(&listener);
        registry.open.insert(listener, Arc::clone(listening));
        drop(registry);
        for mailbox in &self.shared.mailboxes {
            mailbox.tell(Command::Listen(Arc::clone(listening)));
        }
    }

    fn close_all_but(&self, wanted: &BTreeSet<FlowListener>) {
        let (done, closed) = mpsc::channel();
        {
            let mut registry = lock(&self.shared.registry);
            let registry = &mut *registry;
            registry
                .closing
                .retain(|_, listening| listening.strong_count() > 0);
            let lives = |counters: &Weak<Counters>| counters.strong_count() > 0;
            registry
                .left
                .retain(|(_, counters)| counters.iter().any(lives));
            let gone = registry
                .open
                .extract_if(.., |listener, _| !wanted.contains(listener));
            for (listener, listening) in gone {
                for mailbox in &self.shared.mailboxes {
                    mailbox.tell(Command::Close(listening.number, done.clone()));
                }
                listening.was_closed.store(true, Ordering::Relaxed);
                match listener.protocol {
                    FlowProtocol::Udp => {
                        let listening = Arc::downgrade(&listening);
                        registry.closing.insert(listener, listening);
                    }
                    FlowProtocol::Tcp => {
                        let counters = listening.counters.iter().map(Arc::downgrade);
                        let left = (listening.bound.ip(), counters.collect());
                        registry.left.push(left);
                    }
                }
            }
        }
        drop(done);
        // Nothing is sent: it ends when the last thread has dropped what it was told with.
        closed.recv().ok();
    }

    /// `count`: how many are open.
    fn open(&self, listener: FlowListener, count: usize) -> Result<Arc<Listening>, ListenError> {
        let FlowListener { address, protocol } = listener;
        let failed = |cause| ListenError::Io { address, cause };
        if let Some(listening) = self.shared.still_closing(&listener) {
            return Ok(listening);
        }
        let threads = self.shared.options.threads;
        let descriptors = match protocol {
            FlowProtocol::Tcp => 1,
            FlowProtocol::Udp => threads,
        };
        if count >= MAX_LISTENERS || !self.shared.budget.descriptors.take(descriptors) {
            let cause = format!(
                "no more than {MAX_LISTENERS} addresses and ports are listened on, and no more \
                 than there are descriptors for"
            );
            return Err(failed(std::io::Error::other(cause)));
        }
        let opened = sockets::open(address, protocol, threads).and_then(|sockets| {
            let bound = sockets::bound(&sockets[0]).map_err(failed)?;
            Ok((sockets, bound))
        });
        let (sockets, bound) = opened.inspect_err(|_| {
            self.shared.budget.descriptors.give(descriptors);
        })?;
        Ok(self.shared.listening(protocol, bound, sockets, false))
    }

    /// What is listened on, with what has been counted there, by address; behind it the addresses
    /// that adopted connections had come to.
    pub fn listeners(&self) -> Vec<ListenerState> {
        let registry = lock(&self.shared.registry);
        let open = registry.open.iter();
        let open = open.map(|(listener, listening)| (*listener, listening));
        let adopted = registry.adopted.iter().map(|(address, listening)| {
            let listener = FlowListener {
                address: *address,
                protocol: FlowProtocol::Tcp,
            };
            (listener, listening)
        });
        let states = open.chain(adopted).map(|(listener, listening)| {
            let mut counts = FlowCounts::default();
            for counters in &listening.counters {
                counters.add_to(&mut counts);
            }
            ListenerState {
                listener,
                bound: listening.bound,
                counts,
            }
        });
        states.collect()
    }

    /// What has been counted of all of them together since the start.
    pub fn totals(&self) -> FlowTotals {
        let mut totals = FlowTotals::default();
        for mailbox in &self.shared.mailboxes {
            mailbox.counters.add_to(&mut totals);
        }
        totals
    }

    /// Ends all flows. When this returns, threads and sockets are gone.
    pub fn stop(self) {
        drop(self);
    }
}

impl Drop for Flows {
    fn drop(&mut self) {
        // Nothing more comes.
        self.taker = None;
        for mailbox in &self.shared.mailboxes {
            mailbox.tell(Command::Stop);
        }
        for thread in self.threads.drain(..) {
            if thread.join().is_err() {
                tracing::error!("a thread of flows had panicked");
            }
        }
    }
}
