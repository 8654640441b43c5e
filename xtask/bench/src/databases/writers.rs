//! Writers of numbered rows, a transaction each, at a rate that what they write to doesn't slow:
//! each row has its moment, and one that starts late is written as soon as it can be. What was
//! acknowledged, and when, is kept.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};

use super::session::{Login, Session};
use crate::load::sleep_until;

/// Rows a second.
pub const RATE: u64 = 500;

/// Sessions that write.
const SESSIONS: u64 = 16;

/// The table that they write to.
pub const TABLE: &str = "bench_rows";

/// An answer.
#[derive(Clone, Copy, Debug)]
pub struct Acknowledged {
    /// When it came.
    pub at: Instant,
    /// How long after the row was due, in microseconds.
    pub took: u32,
}

/// What was acknowledged, by the rows' numbers.
pub type Rows = BTreeMap<u64, Acknowledged>;

/// Who writes, until they are stopped.
pub struct Writers {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<Result<()>>>,
}

struct Shared {
    next: AtomicU64,
    stop: AtomicBool,
    rows: Mutex<Rows>,
}

/// Makes the table, empty.
pub fn prepare(login: &Login) -> Result<()> {
    let mut session = Session::open(login)?;
    session.query(&format!("drop table if exists {TABLE}"))?;
    session.query(&format!(
        "create table {TABLE} (id bigint primary key, at timestamptz)"
    ))?;
    Ok(())
}

impl Writers {
    /// Has rows written from number 1 on.
    pub fn start(login: &Login) -> Result<Writers> {
        Writers::start_from(login, 1)
    }

    /// Has rows written from that number on.
    pub fn start_from(login: &Login, first: u64) -> Result<Writers> {
        let shared = Arc::new(Shared {
            next: AtomicU64::new(first),
            stop: AtomicBool::new(false),
            rows: Mutex::default(),
        });
        let sessions: Result<Vec<Session>> = (0..SESSIONS).map(|_| Session::open(login)).collect();
        let started = Instant::now();
        let threads = sessions?.into_iter().zip(0..).map(|(session, number)| {
            let shared = shared.clone();
            std::thread::spawn(move || shared.write(session, started, number))
        });
        Ok(Writers {
            threads: threads.collect(),
            shared,
        })
    }

    /// How many rows were acknowledged so far.
    pub fn count(&self) -> usize {
        self.shared.rows().len()
    }

    /// Waits until every session has ended by itself, as each does whose server dies: at its next
    /// row, which is due within a moment.
    ///
    /// # Errors
    /// Some go on for longer than that.
    pub fn wait_until_broken(&self, patience: Duration) -> Result<()> {
        let started = Instant::now();
        loop {
            let alive = self.threads.iter().filter(|it| !it.is_finished()).count();
            if alive == 0 {
                return Ok(());
            }
            ensure!(
                started.elapsed() < patience,
                "the writer is gone, and {alive} sessions of it go on"
            );
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    /// Has them end; gives what was acknowledged, and how the first ended that couldn't go on.
    pub fn stop(mut self) -> (Rows, Result<()>) {
        self.shared.stop.store(true, Ordering::Relaxed);
        let mut outcome = Ok(());
        for thread in self.threads.drain(..) {
            let ended = thread.join().expect("a writer returns its errors");
            outcome = outcome.and(ended);
        }
        let rows = std::mem::take(&mut *self.shared.rows());
        (rows, outcome)
    }
}

impl Drop for Writers {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::Relaxed);
    }
}

impl Shared {
    fn rows(&self) -> std::sync::MutexGuard<'_, Rows> {
        self.rows.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self, mut session: Session, started: Instant, writer: u64) -> Result<()> {
        let between = Duration::from_micros(1_000_000 / RATE);
        for turn in 0_u32.. {
            let place = u64::from(turn) * SESSIONS + writer;
            let due = started + Duration::from_micros(between.as_micros() as u64 * place);
            sleep_until(due);
            if self.stop.load(Ordering::Relaxed) {
                break;
            }
            let number = self.next.fetch_add(1, Ordering::Relaxed);
            session.query(&format!("insert into {TABLE} values ({number}, now())"))?;
            let at = Instant::now();
            let took = u32::try_from((at - due).as_micros()).unwrap_or(u32::MAX);
            self.rows().insert(number, Acknowledged { at, took });
        }
        Ok(())
    }
}
