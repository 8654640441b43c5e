//! The threads that serve endpoints' connections, apart from those of the rest of the process.
//!
//! A query passes a proxy four times: it is woken for the question and for the answer, and sends
//! each on. On threads that share their work, each of these may wake another thread, which costs
//! more than the bytes do. Here a socket that is ready is served by the very thread that waited
//! for it, and what is ready at the same time is served in one turn. All endpoints of a process
//! share the threads, since each needs little; they start with the first endpoint and end with
//! the last.

use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::thread::available_parallelism;

use tokio::runtime::{Builder, Handle};
use tokio::sync::oneshot;

/// Of so many processors one is enough for what the servers on the others answer ...
const PROCESSORS: usize = 4;

/// ... but so many threads are, however many there are.
const MOST: usize = 8;

/// Those of this process, while it has an endpoint.
static RUNNING: Mutex<Weak<Threads>> = Mutex::new(Weak::new());

/// Threads that run; they end, and with them whatever is served there, when this is dropped.
pub(super) struct Threads {
    threads: Vec<Thread>,
    /// Whose turn it is.
    turn: AtomicUsize,
}

struct Thread {
    handle: Handle,
    /// Dropped to end it.
    _stop: oneshot::Sender<()>,
}

impl Threads {
    /// The process's own; they are started if there are none.
    ///
    /// # Errors
    /// A thread, or what it waits with, can't be made.
    pub(super) fn shared() -> io::Result<Arc<Threads>> {
        let mut running = RUNNING.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(threads) = running.upgrade() {
            return Ok(threads);
        }
        let processors = available_parallelism().map_or(1, usize::from);
        let threads = Arc::new(Threads::start((processors / PROCESSORS).clamp(1, MOST))?);
        *running = Arc::downgrade(&threads);
        Ok(threads)
    }

    fn start(count: usize) -> io::Result<Threads> {
        let threads = (0..count).map(Thread::start);
        Ok(Threads {
            threads: threads.collect::<io::Result<_>>()?,
            turn: AtomicUsize::new(0),
        })
    }

    /// The one whose turn it is.
    pub(super) fn next(&self) -> &Handle {
        let turn = self.turn.fetch_add(1, Ordering::Relaxed);
        &self.threads[turn % self.threads.len()].handle
    }
}

impl Thread {
    fn start(index: usize) -> io::Result<Thread> {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let handle = runtime.handle().clone();
        let (stop, stopped) = oneshot::channel::<()>();
        std::thread::Builder::new()
            .name(format!("endpoint-{index}"))
            .spawn(move || {
                // Nothing is ever sent: it is dropped.
                runtime.block_on(stopped).ok();
            })?;
        Ok(Thread {
            handle,
            _stop: stop,
        })
    }
}
