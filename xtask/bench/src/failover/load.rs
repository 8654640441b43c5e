//! Clients of an accelerator: new connections, each due at its moment, and connections that are
//! held and used all the time. What became of each is remembered, with its time.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::future::join_all;
use http::Request;
use http::header::HOST;
use runtime::{ClientConnection, SystemEnvironment};
use types::{Environment, Span};

/// New connections a second.
pub const RATE: u64 = 200;

/// How long one may take from when it was due to its answer.
pub const TIMEOUT: Duration = Duration::from_secs(1);

/// Connections that are held.
pub const HELD: usize = 20;

/// How long after each other a held connection is used.
const BETWEEN: Span = Span::milliseconds(20);

/// A new connection and its one request.
#[derive(Clone, Debug)]
pub struct Attempt {
    /// When it was due, from the start.
    pub due: Duration,
    /// From then to its answer, or its failure.
    pub took: Duration,
    /// Who answered; or nobody.
    pub by: Option<String>,
}

/// Who sends requests.
pub struct Load {
    environment: SystemEnvironment,
    source: Ipv4Addr,
    done: Mutex<Vec<Attempt>>,
    broken: AtomicU64,
    stop: AtomicBool,
}

impl Load {
    /// Clients at that address.
    pub fn new(source: Ipv4Addr) -> Arc<Load> {
        Arc::new(Load {
            environment: SystemEnvironment::new(),
            source,
            done: Mutex::default(),
            broken: AtomicU64::new(0),
            stop: AtomicBool::new(false),
        })
    }

    /// Opens connections for so long; gives what became of them, in the order in which they were
    /// due.
    pub async fn connect(self: Arc<Self>, to: SocketAddr, length: Duration) -> Vec<Attempt> {
        let (clock, started) = (self.environment.now().monotonic, Instant::now());
        let count = length.as_millis() as u64 * RATE / 1000;
        for number in 0..count {
            let due = Span(number * 1_000_000 / RATE);
            self.environment.sleep_until(clock + due).await;
            let (load, due) = (Arc::clone(&self), Duration::from(due));
            runtime::spawn(async move {
                let left = TIMEOUT.saturating_sub(started.elapsed().saturating_sub(due));
                let asked = runtime::within(left, ask_once(load.source, to)).await;
                let took = started.elapsed().saturating_sub(due);
                let by = asked.flatten();
                let mut done = load.done.lock().unwrap_or_else(PoisonError::into_inner);
                done.push(Attempt { due, took, by });
            });
        }
        let end = clock + Span::from(length) + Span::from(TIMEOUT + Duration::from_millis(200));
        self.environment.sleep_until(end).await;
        let mut done = self.done.lock().unwrap_or_else(PoisonError::into_inner);
        done.sort_by_key(|attempt| attempt.due);
        std::mem::take(&mut done)
    }

    /// Holds connections until told to stop; gives how many broke.
    pub async fn hold(self: Arc<Self>, to: SocketAddr) -> u64 {
        join_all((0..HELD).map(|_| self.hold_one(to))).await;
        self.broken.load(Ordering::Relaxed)
    }

    async fn hold_one(&self, to: SocketAddr) {
        let opened = ClientConnection::open(self.source, to).await;
        let Ok(mut connection) = opened else {
            self.broken.fetch_add(1, Ordering::Relaxed);
            return;
        };
        while !self.stop.load(Ordering::Relaxed) {
            let answer = runtime::within(TIMEOUT * 5, connection.send(request(to))).await;
            if !matches!(answer, Some(Ok(_))) {
                self.broken.fetch_add(1, Ordering::Relaxed);
                return;
            }
            let next = self.environment.now().monotonic + BETWEEN;
            self.environment.sleep_until(next).await;
        }
    }

    /// Lets held connections go.
    pub fn stop(&self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

/// One connection and one request: who answered.
pub async fn ask_once(source: Ipv4Addr, to: SocketAddr) -> Option<String> {
    let mut connection = ClientConnection::open(source, to).await.ok()?;
    let answer = connection.send(request(to)).await.ok()?;
    let name = String::from_utf8_lossy(answer.body()).into_owned();
    answer.status().is_success().then_some(name)
}

fn request(to: SocketAddr) -> Request<Bytes> {
    let request = Request::get("/").header(HOST, to.to_string());
    request
        .body(Bytes::new())
        .expect("constant parts make a request")
}
