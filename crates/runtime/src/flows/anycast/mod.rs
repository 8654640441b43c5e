//! Addresses that several processes share: one process holds them, and hands each connection that
//! comes to the nearest process that is alive, as a network does that has a route to each of them.
//! The connection itself goes there (SCM_RIGHTS), so nothing is copied afterwards; datagrams are
//! relayed. It chooses no endpoint, and looks into nothing.
//!
//! A process says again and again that it is alive. What was handed to one that hangs, and which it
//! hasn't taken yet, is taken back and goes to another: nobody waits for a process that is stopped.
//! One that is drained, or says that it will end, keeps what it has and is given nothing new: it is
//! asked which conversations by datagrams it has, with each datagram that may be of one.

mod channels;
mod datagrams;
mod holder;
mod listeners;
mod member;
mod message;
mod taker;
#[cfg(test)]
mod tests;

use std::net::SocketAddr;
use std::sync::mpsc::{self, Sender};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

pub use channels::AnycastEnds;
pub(super) use message::{HEADER, Header};
pub(super) use taker::Taker;

use super::poll::Waker;
use crate::process::raise_open_files;
use holder::Holder;

/// How long the thread may take to do as it is told: it does nothing else that takes time.
const PATIENCE: Duration = Duration::from_secs(5);

/// The stack of the thread.
const STACK: usize = 512 * 1024;

/// How long a process may be silent before it is taken for one that hangs.
pub(super) const SILENT: Duration = Duration::from_millis(1000);

/// How often a process says that it is alive: some messages may be late.
pub(super) const ALIVE_EVERY: Duration = Duration::from_millis(200);

/// How far a client is from the process with that number; the nearest is chosen.
pub(super) type Distance = dyn Fn(SocketAddr, u32) -> u64 + Send;

/// A holder of addresses, for several processes that each have [flows](super::Flows) behind it. The
/// addresses are given up when this is dropped.
pub struct Anycast {
    shared: Arc<Mailbox>,
    thread: Option<JoinHandle<()>>,
}

/// How a holder is.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct AnycastState {
    /// Addresses and ports that are listened on, of both protocols.
    pub listeners: usize,
    /// Connections that wait for room in a process.
    pub waiting: usize,
    /// Connections that were broken off: no process was there for them.
    pub unserved: u64,
    /// Datagrams that were dropped: no process was there for them, or it didn't take them.
    pub dropped: u64,
    /// The processes.
    pub members: Vec<AnycastMember>,
}

/// How one of the processes behind a holder is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct AnycastMember {
    /// Its number.
    pub number: u32,
    /// It hasn't been heard for a second: nothing goes there while there is another.
    pub silent: bool,
    /// Nothing new goes there, whether or not there is another.
    pub draining: bool,
    /// It has said itself that it will end, for which nothing new goes there either.
    pub leaving: bool,
    /// Addresses and ports that it wants.
    pub listeners: usize,
    /// Connections that were handed to it ...
    pub handed: u64,
    /// ... of these, the ones that were taken back, because it hung or died before it took them.
    pub taken_back: u64,
    /// Datagrams that were relayed to it.
    pub datagrams: u64,
}

/// A way to tell the thread something.
struct Mailbox {
    commands: Mutex<Vec<Command>>,
    waker: Waker,
}

/// What the thread is told.
enum Command {
    /// There is another process, or a new one with that number.
    Attach(u32, Box<channels::HolderEnds>, Sender<()>),
    /// It is gone.
    Detach(u32, Sender<()>),
    /// Whoever has that number is given nothing new, or is again.
    Drain(u32, bool, Sender<()>),
    /// Says how it is.
    Tell(Sender<AnycastState>),
    /// Ends.
    Stop,
}

impl Mailbox {
    fn tell(&self, command: Command) {
        lock(&self.commands).push(command);
        self.waker.wake();
    }

    fn take(&self) -> Vec<Command> {
        std::mem::take(&mut *lock(&self.commands))
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Anycast {
    /// Starts a holder, which holds nothing until a process asks it to. Of the processes that want
    /// what came to an address, the one with the least `distance` from the client is chosen, of
    /// several the one with the least number. The process's limit of open files is raised as far as
    /// the system lets it.
    ///
    /// # Errors
    /// The system has no thread or no descriptor for it.
    pub fn start(
        distance: impl Fn(SocketAddr, u32) -> u64 + Send + 'static,
    ) -> std::io::Result<Anycast> {
        raise_open_files();
        let shared = Arc::new(Mailbox {
            commands: Mutex::default(),
            waker: Waker::new()?,
        });
        let holder = Holder::new(Arc::clone(&shared), Box::new(distance))?;
        let thread = std::thread::Builder::new()
            .name("anycast".into())
            .stack_size(STACK)
            .spawn(move || holder.run())?;
        Ok(Anycast {
            shared,
            thread: Some(thread),
        })
    }

    /// What a process with that number needs to stand behind the addresses, from when it is
    /// [handed](crate::Child::spawn_with) this; one that had the number before stands there no
    /// longer.
    ///
    /// # Errors
    /// The system has no descriptors for it.
    pub fn attach(&self, number: u32) -> std::io::Result<AnycastEnds> {
        let (ours, theirs) = channels::pair()?;
        let (done, attached) = mpsc::channel();
        let command = Command::Attach(number, Box::new(ours), done);
        self.shared.tell(command);
        // Without an answer the thread is gone, and everything else fails as well.
        attached.recv_timeout(PATIENCE).ok();
        Ok(theirs)
    }

    /// The process with that number is gone: what was handed to it, and it hadn't taken, goes to
    /// another; what only it wanted is no longer listened on when this returns.
    pub fn detach(&self, number: u32) {
        let (done, detached) = mpsc::channel();
        self.shared.tell(Command::Detach(number, done));
        detached.recv_timeout(PATIENCE).ok();
    }

    /// Whoever has that number, now or later, is given no new connection and no new client's
    /// datagrams from when this returns; or is again. What it has stays with it, and what was
    /// handed to it before this comes there. Where nobody else is, new connections are broken off.
    pub fn drain(&self, number: u32, is_drained: bool) {
        let (done, drained) = mpsc::channel();
        self.shared.tell(Command::Drain(number, is_drained, done));
        drained.recv_timeout(PATIENCE).ok();
    }

    /// How it is. Blocks for as long as it takes the thread to say so, which is no time; none if it
    /// hasn't said so after 5 s.
    pub fn state(&self) -> Option<AnycastState> {
        let (teller, told) = mpsc::channel();
        self.shared.tell(Command::Tell(teller));
        told.recv_timeout(PATIENCE).ok()
    }
}

impl Drop for Anycast {
    fn drop(&mut self) {
        self.shared.tell(Command::Stop);
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the thread that held addresses had panicked");
        }
    }
}
