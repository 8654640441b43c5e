//! Starting the asynchronous runtime and tasks on it, and hearing the signals that end a process.

use std::future::Future;
use std::io;
use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};

/// How long tasks that are left over at the end of [`run`] get to stop.
const LEFTOVERS: Duration = Duration::from_millis(100);

/// Carries out the future on a runtime with that many worker threads (0: the calling thread
/// alone) and ends the runtime after it.
pub fn run<F: Future>(workers: usize, future: F) -> io::Result<F::Output> {
    let mut builder = match workers {
        0 => tokio::runtime::Builder::new_current_thread(),
        _ => tokio::runtime::Builder::new_multi_thread(),
    };
    let runtime = builder
        .worker_threads(workers.max(1))
        .thread_name("worker")
        .thread_stack_size(1024 * 1024)
        .enable_all()
        .build()?;
    let output = runtime.block_on(future);
    runtime.shutdown_timeout(LEFTOVERS);
    Ok(output)
}

/// Starts a task that goes on by itself.
pub fn spawn(future: impl Future<Output = ()> + Send + 'static) {
    tokio::spawn(future);
}

/// Starts tasks from anywhere, also from threads that the runtime doesn't know.
#[derive(Clone, Debug)]
pub struct Spawner(tokio::runtime::Handle);

impl Spawner {
    /// On the runtime that runs this.
    pub fn here() -> Spawner {
        Spawner(tokio::runtime::Handle::current())
    }

    /// Starts a task that goes on by itself; none, once the runtime has ended.
    pub fn spawn(&self, future: impl Future<Output = ()> + Send + 'static) {
        self.0.spawn(future);
    }
}

/// Carries that out, from when this is called to its end, also if nobody waits for it any more.
/// Must be called within a tokio runtime.
///
/// # Panics
/// It did, or the runtime ends.
pub fn to_its_end<T: Send + 'static>(
    work: impl Future<Output = T> + Send + 'static,
) -> impl Future<Output = T> + Send {
    let done = tokio::spawn(work);
    async {
        done.await
            .expect("what is carried out beside doesn't panic")
    }
}

/// Does what a disk may hold up, on a thread of its own, from when this is called; it is done also
/// if nobody waits for it.
///
/// # Panics
/// It did, or the runtime ends.
pub fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> impl Future<Output = T> + Send {
    let done = tokio::task::spawn_blocking(work);
    async { done.await.expect("what is done beside doesn't panic") }
}

/// Starts a task that the process can't do without: when it ends or panics, so does the process,
/// with exit code 1.
pub fn spawn_vital(name: &'static str, future: impl Future<Output = ()> + Send + 'static) {
    let task = tokio::spawn(future);
    tokio::spawn(async move {
        match task.await {
            Ok(()) => tracing::error!(name, "a vital task has ended: the process ends"),
            Err(cause) if cause.is_cancelled() => return,
            Err(cause) => tracing::error!(name, %cause, "a vital task failed: the process ends"),
        }
        std::process::exit(1);
    });
}

/// The output of the future, unless it takes longer than that.
pub async fn within<F: Future>(wait: Duration, future: F) -> Option<F::Output> {
    tokio::time::timeout(wait, future).await.ok()
}

/// The signals that ask a process to end: SIGINT (Ctrl-C), SIGTERM, SIGHUP. From the moment this
/// is made they end it no longer by themselves.
pub struct Termination {
    interrupt: Signal,
    terminate: Signal,
    hangup: Signal,
}

impl Termination {
    /// Listens from now on. Must be called within a tokio runtime.
    pub fn listen() -> io::Result<Termination> {
        Ok(Termination {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
            hangup: signal(SignalKind::hangup())?,
        })
    }

    /// The next of them; gives its name.
    pub async fn next(&mut self) -> &'static str {
        tokio::select! {
            _ = self.interrupt.recv() => "SIGINT",
            _ = self.terminate.recv() => "SIGTERM",
            _ = self.hangup.recv() => "SIGHUP",
        }
    }
}

/// Asks the process of that number to end (SIGTERM). Whether it was there to be asked.
pub fn terminate(process: i32) -> bool {
    let process = rustix::process::Pid::from_raw(process);
    let asked =
        process.map(|pid| rustix::process::kill_process(pid, rustix::process::Signal::TERM));
    matches!(asked, Some(Ok(())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_is_carried_out_to_its_end_is_so_though_nobody_waits() {
        let (begin, begun) = tokio::sync::oneshot::channel::<()>();
        let (tell, told) = tokio::sync::oneshot::channel();
        let work = to_its_end(async {
            begun.await.unwrap();
            tell.send(7).unwrap();
        });
        drop(work);
        begin.send(()).unwrap();
        assert_eq!(told.await, Ok(7));
        assert_eq!(to_its_end(async { 8 }).await, 8);
    }
}
