//! A few threads that carry out calls which block: reads, writes and syncs of files. They are
//! started when there is work for them, up to a limit, and end with the pool. What waits is
//! bounded by those who await it: each holds one call at a time, or two.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::thread::JoinHandle;

use futures_channel::oneshot;

use super::BlobError;

type Job = Box<dyn FnOnce() + Send>;

/// The threads. Dropped, it waits for what is on its way.
pub(super) struct Pool {
    shared: Arc<Shared>,
}

struct Shared {
    name: &'static str,
    limit: usize,
    state: Mutex<State>,
    work: Condvar,
}

#[derive(Default)]
struct State {
    waiting: VecDeque<Job>,
    idle: usize,
    threads: Vec<JoinHandle<()>>,
    closed: bool,
}

/// A call's result on its way.
pub(super) type Outcome<T> = oneshot::Receiver<Result<T, BlobError>>;

/// What a call answers that never came to an end.
pub(super) fn cut_short(_: oneshot::Canceled) -> BlobError {
    BlobError::Failed("the call was cut short: the blobs are being closed".to_owned())
}

impl Pool {
    /// A pool of at most that many threads (at least 1), none of them started.
    pub(super) fn new(name: &'static str, limit: usize) -> Pool {
        let shared = Shared {
            name,
            limit,
            state: Mutex::default(),
            work: Condvar::new(),
        };
        Pool {
            shared: Arc::new(shared),
        }
    }

    /// Has a thread carry that out, whether or not the outcome is awaited.
    pub(super) fn run<T: Send + 'static>(
        &self,
        call: impl FnOnce() -> Result<T, BlobError> + Send + 'static,
    ) -> Outcome<T> {
        let (sender, outcome) = oneshot::channel();
        let job: Job = Box::new(move || {
            // Nobody may be waiting any more; the call was made all the same.
            let _ = sender.send(call());
        });
        let mut state = self.shared.lock();
        state.waiting.push_back(job);
        if state.idle < state.waiting.len() && state.threads.len() < self.shared.limit {
            let shared = Arc::clone(&self.shared);
            let thread = std::thread::Builder::new().name(self.shared.name.to_owned());
            match thread.spawn(move || shared.work()) {
                Ok(thread) => state.threads.push(thread),
                Err(cause) if state.threads.is_empty() => {
                    // The job is dropped, which its caller is told.
                    state.waiting.pop_back();
                    tracing::error!(%cause, "no thread for files can be started");
                }
                Err(cause) => tracing::warn!(%cause, "no further thread for files"),
            }
        }
        drop(state);
        self.shared.work.notify_one();
        outcome
    }
}

impl Shared {
    /// A thread's life.
    fn work(&self) {
        let mut state = self.lock();
        loop {
            if let Some(job) = state.waiting.pop_front() {
                drop(state);
                job();
                state = self.lock();
            } else if state.closed {
                return;
            } else {
                state.idle += 1;
                state = self
                    .work
                    .wait(state)
                    .expect("nothing panics under the pool's lock");
                state.idle -= 1;
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state
            .lock()
            .expect("nothing panics under the pool's lock")
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        let threads = {
            let mut state = self.shared.lock();
            state.closed = true;
            std::mem::take(&mut state.threads)
        };
        self.shared.work.notify_all();
        let this = std::thread::current().id();
        for thread in threads {
            // What a call wakes may drop the last of the blobs: a thread can't wait for itself.
            if thread.thread().id() != this && thread.join().is_err() {
                tracing::error!("a thread for files panicked");
            }
        }
    }
}
