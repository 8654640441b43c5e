//! The pipe between a supervisor and its child: one JSON value a line, requests with a number,
//! answers with the same number, and events that answer nothing.
//!
//! Formats: `{"id":1,"request":…}`; `{"id":1,"answer":…}` or `{"id":1,"error":"…"}`;
//! `{"event":…}`. Both ends are the same binary, so it has no version.

use std::collections::BTreeMap;
use std::future::Future;
use std::io::{self, BufRead, BufReader, Write};
use std::pin::Pin;
use std::process::{ChildStdin, ChildStdout};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::TrySendError;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rustix::process::{Signal, getpgrp, getpid, kill_current_process_group};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::sync::oneshot;

/// Requests that may wait to be written to a child that reads none.
const UNSENT_REQUESTS: usize = 256;

/// Why a call over the pipe has no answer.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    /// The child is gone.
    #[error("it is not running")]
    Gone,
    /// It didn't answer in time: it may be paused.
    #[error("it did not answer within {} s", .0.as_secs_f64())]
    TimedOut(Duration),
    /// It answered that it can't.
    #[error("{0}")]
    Failed(String),
}

#[derive(Serialize, Deserialize)]
struct Request {
    id: u64,
    request: Value,
}

#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum Message {
    Answer { id: u64, answer: Value },
    Error { id: u64, error: String },
    Event { event: Value },
}

// === The supervisor's end ===

type Waiting = Arc<Mutex<Option<BTreeMap<u64, oneshot::Sender<Result<Value, String>>>>>>;

/// Sends requests to the child and matches its answers to them.
pub(super) struct Caller {
    outgoing: std::sync::mpsc::SyncSender<Vec<u8>>,
    next: AtomicU64,
    waiting: Waiting,
}

impl Caller {
    pub(super) fn start(
        stdin: ChildStdin,
        stdout: ChildStdout,
        on_event: impl Fn(Value) + Send + 'static,
    ) -> io::Result<Caller> {
        let waiting: Waiting = Arc::new(Mutex::new(Some(BTreeMap::new())));
        let (outgoing, lines) = std::sync::mpsc::sync_channel(UNSENT_REQUESTS);
        // A paused child reads nothing, so writing blocks: it does so on a thread of its own.
        thread("pipe-out", move || write_lines(stdin, &lines))?;
        let answers = Arc::clone(&waiting);
        thread("pipe-in", move || {
            read_messages(stdout, &answers, on_event);
            // Dropping their senders tells everyone who still waits.
            lock(&answers).take();
        })?;
        Ok(Caller {
            outgoing,
            next: AtomicU64::new(1),
            waiting,
        })
    }

    pub(super) async fn call(&self, request: Value, wait: Duration) -> Result<Value, CallError> {
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        let (sender, answer) = oneshot::channel();
        match lock(&self.waiting).as_mut() {
            Some(waiting) => waiting.insert(id, sender),
            None => return Err(CallError::Gone),
        };
        let line = line(&Request { id, request });
        let answered = match self.outgoing.try_send(line) {
            Ok(()) => tokio::time::timeout(wait, answer).await,
            // Nothing is read on the other end, so nothing would be answered either.
            Err(TrySendError::Full(_)) => tokio::time::timeout(Duration::ZERO, answer).await,
            Err(TrySendError::Disconnected(_)) => return Err(CallError::Gone),
        };
        match answered {
            Ok(Ok(Ok(answer))) => Ok(answer),
            Ok(Ok(Err(error))) => Err(CallError::Failed(error)),
            Ok(Err(_)) => Err(CallError::Gone),
            Err(_) => {
                if let Some(waiting) = lock(&self.waiting).as_mut() {
                    waiting.remove(&id);
                }
                Err(CallError::TimedOut(wait))
            }
        }
    }
}

fn write_lines(mut stdin: ChildStdin, lines: &std::sync::mpsc::Receiver<Vec<u8>>) {
    while let Ok(line) = lines.recv() {
        if stdin.write_all(&line).is_err() {
            return;
        }
    }
}

fn read_messages(stdout: ChildStdout, waiting: &Waiting, on_event: impl Fn(Value)) {
    for line in BufReader::new(stdout).lines() {
        let Ok(line) = line else { return };
        let (id, result) = match serde_json::from_str(&line) {
            Ok(Message::Answer { id, answer }) => (id, Ok(answer)),
            Ok(Message::Error { id, error }) => (id, Err(error)),
            Ok(Message::Event { event }) => {
                on_event(event);
                continue;
            }
            Err(cause) => {
                tracing::warn!(%cause, "a child sent a line that is no message");
                continue;
            }
        };
        let sender = lock(waiting).as_mut().and_then(|all| all.remove(&id));
        if let Some(sender) = sender {
            // Whoever asked may have stopped waiting.
            sender.send(result).ok();
        }
    }
}

// === The child's end ===

/// What answers the supervisor's requests.
pub trait Handler: Send + Sync + 'static {
    /// Answers one; an error is told to the supervisor in words.
    fn handle(
        self: Arc<Self>,
        request: Value,
    ) -> Pin<Box<dyn Future<Output = Result<Value, String>> + Send>>;
}

/// The child's end of the pipe. When the supervisor's end closes, this process kills its whole
/// group, itself included: it never outlives its supervisor.
#[derive(Clone)]
pub struct PipeServer {
    stdout: Arc<Mutex<io::Stdout>>,
}

impl PipeServer {
    /// Takes over stdin and stdout. Must be called within a tokio runtime.
    pub fn start(handler: Arc<impl Handler>) -> io::Result<PipeServer> {
        let server = PipeServer {
            stdout: Arc::new(Mutex::new(io::stdout())),
        };
        let answering = server.clone();
        let runtime = tokio::runtime::Handle::current();
        thread("pipe", move || {
            for line in io::stdin().lock().lines() {
                let Ok(line) = line else { break };
                let Ok(Request { id, request }) = serde_json::from_str(&line) else {
                    tracing::warn!("the supervisor sent a line that is no request");
                    continue;
                };
                let answer = Arc::clone(&handler).handle(request);
                let answering = answering.clone();
                runtime.spawn(async move {
                    answering.send(&match answer.await {
                        Ok(answer) => Message::Answer { id, answer },
                        Err(error) => Message::Error { id, error },
                    });
                });
            }
            end_with_group();
        })?;
        Ok(server)
    }

    /// Tells the supervisor something it didn't ask for.
    pub fn event(&self, event: Value) {
        self.send(&Message::Event { event });
    }

    fn send(&self, message: &Message) {
        let mut stdout = lock(&self.stdout);
        let line = line(message);
        if stdout
            .write_all(&line)
            .and_then(|()| stdout.flush())
            .is_err()
        {
            // The other end is gone: the reading thread sees that too and ends the process.
            tracing::warn!("the supervisor is gone");
        }
    }
}

fn end_with_group() -> ! {
    if getpgrp() == getpid() {
        // Reaches this process as well, so there is nothing to do about an error but to exit.
        kill_current_process_group(Signal::KILL).ok();
    }
    std::process::exit(1)
}

fn line(message: &impl Serialize) -> Vec<u8> {
    let mut line = serde_json::to_vec(message).expect("plain values have a JSON form");
    line.push(b'\n');
    line
}

fn thread(name: &str, body: impl FnOnce() + Send + 'static) -> io::Result<()> {
    let builder = std::thread::Builder::new().name(name.into());
    builder.stack_size(256 * 1024).spawn(body).map(drop)
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
