//! The other end: a process behind addresses that another holds. A thread says that the process is
//! there and takes the connections that come; what isn't taken for want of room stays where the
//! holder can take it back.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;

use super::message::{Asked, Outcome, ROOM, Told};
use super::{ALIVE_EVERY, PATIENCE, STACK, lock};
use crate::descriptors;
use crate::flows::FlowListener;
use crate::flows::handle::Shared;
use crate::flows::limits::MAX_LISTENERS;
use crate::flows::poll::Waker;
use crate::http::ListenError;

/// Connections that are taken before anything else has its turn.
const TAKEN: usize = 32;

/// How soon it looks again for room for a flow.
const RETRY: Duration = Duration::from_millis(10);

/// What became of a listener: where it stands, or why it doesn't.
pub(in crate::flows) type Answered = (FlowListener, Result<SocketAddr, ListenError>);

/// Stands behind held addresses until it is dropped.
pub(in crate::flows) struct Taker {
    ends: Arc<Ends>,
    asking: Mutex<Asking>,
    thread: Option<JoinHandle<()>>,
}

struct Asking {
    next: u32,
    answers: Receiver<(u32, Vec<Outcome>)>,
}

/// What the thread and the handle share.
struct Ends {
    control: OwnedFd,
    connections: OwnedFd,
    waker: Waker,
    stopping: AtomicBool,
    /// Room for the next connection is taken before it is.
    reserved: AtomicBool,
    /// Connections that have come.
    taken: AtomicU64,
    /// By which datagrams are sent from those addresses; taken out once.
    sockets: Mutex<BTreeMap<FlowListener, OwnedFd>>,
}

impl Taker {
    pub(in crate::flows) fn start(
        control: OwnedFd,
        connections: OwnedFd,
        flows: Arc<Shared>,
    ) -> io::Result<Taker> {
        let ends = Arc::new(Ends {
            control,
            connections,
            waker: Waker::new()?,
            stopping: AtomicBool::new(false),
            reserved: AtomicBool::new(false),
            taken: AtomicU64::new(0),
            sockets: Mutex::default(),
        });
        let (teller, answers) = mpsc::channel();
        let taking = Taking {
            ends: Arc::clone(&ends),
            flows,
            teller,
            next_alive: Instant::now(),
        };
        let thread = std::thread::Builder::new()
            .name("anycast".into())
            .stack_size(STACK)
            .spawn(move || taking.run())?;
        Ok(Taker {
            ends,
            asking: Mutex::new(Asking { next: 0, answers }),
            thread: Some(thread),
        })
    }

    /// What comes to these, and nothing else, comes here from when this returns.
    pub(in crate::flows) fn listen(&self, wanted: &BTreeSet<FlowListener>) -> Vec<Answered> {
        let mut asking = lock(&self.asking);
        asking.next = asking.next.wrapping_add(1);
        let number = asking.next;
        let listeners: Vec<_> = wanted.iter().copied().take(MAX_LISTENERS).collect();
        let asked = Asked::Listen {
            number,
            listeners: listeners.clone(),
        };
        let outcomes = self
            .ask(&asked.encode())
            .and_then(|()| asking.answer(number));
        let outcomes = match outcomes {
            Ok(outcomes) => outcomes,
            Err(cause) => {
                let failed = listeners.into_iter().map(|listener| {
                    let cause = io::Error::new(cause.kind(), cause.to_string());
                    let address = listener.address;
                    (listener, Err(ListenError::Io { address, cause }))
                });
                return failed.collect();
            }
        };
        let full = std::iter::repeat(Outcome::Full);
        let outcomes = wanted.iter().zip(outcomes.into_iter().chain(full));
        let answered = outcomes.map(|(listener, outcome)| (*listener, judge(listener, outcome)));
        answered.collect()
    }

    fn ask(&self, message: &[u8]) -> io::Result<()> {
        let until = Instant::now() + PATIENCE;
        loop {
            match descriptors::send(&self.ends.control, message, &[]) {
                Ok(_) => return Ok(()),
                Err(Errno::AGAIN | Errno::NOBUFS) if Instant::now() < until => {
                    std::thread::sleep(RETRY);
                }
                Err(cause) => return Err(cause.into()),
            }
        }
    }

    /// Nothing new comes here from soon after this on; the holder must have room to hear it.
    ///
    /// # Errors
    /// It isn't there, or reads nothing.
    pub(in crate::flows) fn leave(&self) -> io::Result<()> {
        self.ask(&Asked::Leaving.encode())
    }

    /// Is room taken for a flow that isn't there yet?
    pub(in crate::flows) fn reserves(&self) -> bool {
        self.ends.reserved.load(Ordering::SeqCst)
    }

    /// Connections that have come by now.
    pub(in crate::flows) fn taken(&self) -> u64 {
        self.ends.taken.load(Ordering::SeqCst)
    }

    /// What sends datagrams from that address, if it was told to listen there since that was last
    /// asked for.
    pub(in crate::flows) fn socket(&self, listener: &FlowListener) -> Option<OwnedFd> {
        lock(&self.ends.sockets).remove(listener)
    }
}

impl Asking {
    /// The answer with that number; those of before came too late.
    fn answer(&self, number: u32) -> io::Result<Vec<Outcome>> {
        let until = Instant::now() + PATIENCE;
        loop {
            let wait = until.saturating_duration_since(Instant::now());
            match self.answers.recv_timeout(wait) {
                Ok((answered, outcomes)) if answered == number => return Ok(outcomes),
                Ok(_) => {}
                Err(_) => {
                    let cause = "whoever holds the addresses doesn't answer";
                    return Err(io::Error::new(io::ErrorKind::TimedOut, cause));
                }
            }
        }
    }
}

fn judge(listener: &FlowListener, outcome: Outcome) -> Result<SocketAddr, ListenError> {
    let address = listener.address;
    let failed = |cause| Err(ListenError::Io { address, cause });
    match outcome {
        Outcome::Open(port) => Ok(SocketAddr::new(address.ip(), port)),
        Outcome::Taken => Err(ListenError::Taken(address)),
        Outcome::Failed(number) => failed(io::Error::from_raw_os_error(number)),
        Outcome::Full => failed(io::Error::other(format!(
            "no more than {MAX_LISTENERS} addresses and ports are listened on"
        ))),
    }
}

impl Drop for Taker {
    fn drop(&mut self) {
        self.ends.stopping.store(true, Ordering::Relaxed);
        self.ends.waker.wake();
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the thread that took connections had panicked");
        }
    }
}

/// The thread.
struct Taking {
    ends: Arc<Ends>,
    flows: Arc<Shared>,
    teller: Sender<(u32, Vec<Outcome>)>,
    next_alive: Instant,
}

impl Taking {
    fn run(mut self) {
        while !self.ends.stopping.load(Ordering::Relaxed) {
            let now = Instant::now();
            if self.next_alive <= now {
                self.next_alive = now + ALIVE_EVERY;
                // One that has no room now has not read the last ones either.
                let conversations = u32::try_from(self.flows.conversations());
                let alive = Asked::Alive(conversations.unwrap_or(u32::MAX));
                descriptors::send(&self.ends.control, &alive.encode(), &[]).ok();
            }
            let has_room = self.reserve();
            if let Err(cause) = self.wait(now, has_room) {
                tracing::error!(%cause, "held addresses can't be waited for: trying again");
                std::thread::sleep(RETRY);
            }
            if !self.hear() {
                tracing::warn!("whoever held the addresses is gone");
                break;
            }
            self.take();
        }
        if self.ends.reserved.swap(false, Ordering::SeqCst) {
            self.flows.give_room();
        }
    }

    /// Takes room for the next connection, if none is taken; false if there is none.
    fn reserve(&self) -> bool {
        let reserved = &self.ends.reserved;
        if !reserved.load(Ordering::SeqCst) {
            reserved.store(self.flows.reserve(), Ordering::SeqCst);
        }
        reserved.load(Ordering::SeqCst)
    }

    fn wait(&self, now: Instant, has_room: bool) -> io::Result<()> {
        let mut wait = self.next_alive.saturating_duration_since(now);
        let mut watched = vec![
            PollFd::new(&self.ends.control, PollFlags::IN),
            PollFd::from_borrowed_fd(self.ends.waker.as_fd(), PollFlags::IN),
        ];
        match has_room {
            true => watched.push(PollFd::new(&self.ends.connections, PollFlags::IN)),
            false => wait = wait.min(RETRY),
        }
        // A millisecond more: what is due must not find itself too early.
        let wait = Timespec {
            tv_sec: 0,
            tv_nsec: i64::from((wait + Duration::from_millis(1)).subsec_nanos()),
        };
        match poll(&mut watched, Some(&wait)) {
            Ok(_) | Err(Errno::INTR) => Ok(()),
            Err(cause) => Err(cause.into()),
        }
    }

    /// Reads what the holder says; false if it is gone.
    fn hear(&self) -> bool {
        let mut room = vec![0; ROOM];
        loop {
            let received = match descriptors::receive(&self.ends.control, &mut room) {
                Ok(received) => received,
                Err(Errno::AGAIN) => return true,
                Err(cause) => {
                    tracing::warn!(%cause, "whoever holds the addresses isn't understood");
                    return false;
                }
            };
            if received.length == 0 {
                return false;
            }
            match Told::decode(&room[..received.length]) {
                Some(Told::Socket(listener)) => {
                    let mut sockets = lock(&self.ends.sockets);
                    for socket in received.descriptors {
                        sockets.insert(listener, socket);
                    }
                }
                Some(Told::Listening { number, outcomes }) => {
                    // Nobody may be waiting any more.
                    self.teller.send((number, outcomes)).ok();
                }
                None => tracing::warn!("whoever holds the addresses said what nobody says"),
            }
        }
    }

    /// Takes connections for as long as there is room.
    fn take(&self) {
        for _ in 0..TAKEN {
            if !self.reserve() {
                return;
            }
            let received = match descriptors::receive(&self.ends.connections, &mut [0; 8]) {
                Ok(received) => received,
                Err(Errno::AGAIN) => return,
                Err(cause) => {
                    tracing::warn!(%cause, "a connection wasn't taken over");
                    return;
                }
            };
            if received.length == 0 {
                return;
            }
            let connection = received.descriptors.into_iter().next();
            // In this order: whoever asks how many flows are left to come or there misses none.
            if connection.is_some() {
                self.ends.reserved.store(false, Ordering::SeqCst);
            }
            self.ends.taken.fetch_add(1, Ordering::SeqCst);
            let Some(connection) = connection else {
                tracing::warn!("a connection came without its descriptor: are there any left?");
                continue;
            };
            if let Err(cause) = self.flows.adopt(connection) {
                tracing::debug!(%cause, "a connection that was handed over is gone");
            }
        }
    }
}
