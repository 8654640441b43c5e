//! What the engine's tests share: a way to wait for a future, seeded numbers, and a child process
//! that writes until it is killed, naming each acknowledged write.
#![allow(
    dead_code,
    clippy::disallowed_types,
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "tests start processes and wait; each test file uses a part of this"
)]

use std::future::Future;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::pin::pin;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::Thread;
use std::time::{Duration, Instant};

use bytes::Bytes;
use store::{
    Batch, EmbeddedEngine, EmbeddedOptions, Engine, LogPosition, PlantedBug, Snapshot, Space,
};
use types::ByteSize;

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

/// Waits for a future on this thread.
pub fn wait<F: Future>(future: F) -> F::Output {
    let mut future = pin!(future);
    let waker = Waker::from(Arc::new(Unpark(std::thread::current())));
    let mut context = Context::from_waker(&waker);
    loop {
        if let Poll::Ready(output) = future.as_mut().poll(&mut context) {
            return output;
        }
        std::thread::park();
    }
}

pub fn open(path: &Path) -> EmbeddedEngine {
    EmbeddedEngine::open(path, EmbeddedOptions::modest()).unwrap()
}

pub fn get(engine: &impl Engine, space: Space, key: &[u8]) -> Option<Bytes> {
    wait(engine.snapshot().get(space, key)).unwrap()
}

/// A number below `bound` from a seed that it moves on.
pub fn draw(seed: &mut u64, bound: u64) -> u64 {
    *seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
    (*seed >> 33) % bound
}

/// The value that the child writes under an id: 1 KiB that only this id has.
pub fn value_of(id: u64) -> Vec<u8> {
    id.to_be_bytes().repeat(128)
}

pub fn batch_of(id: u64) -> Batch {
    let mut batch = Batch::new();
    batch.put(Space::Items, id.to_be_bytes().to_vec(), value_of(id));
    batch.announce(id.to_be_bytes().to_vec());
    batch
}

const DATABASE: &str = "STORE_TEST_DATABASE";
const SKIP_SYNC: &str = "STORE_TEST_SKIP_SYNC";
const WRITE_MEMORY: &str = "STORE_TEST_WRITE_MEMORY_KIB";

/// The child's part: if this process was started as a child, writes until it is killed. Ids
/// continue where the log ends.
pub fn write_if_child() {
    let Ok(path) = std::env::var(DATABASE) else {
        return;
    };
    let mut options = EmbeddedOptions::modest();
    if let Ok(kib) = std::env::var(WRITE_MEMORY) {
        options.write_memory = ByteSize::kib(kib.parse().unwrap());
    }
    if std::env::var(SKIP_SYNC).is_ok() {
        options.planted_bug = Some(PlantedBug::SyncSkipped);
    }
    let engine = EmbeddedEngine::open(path.as_ref(), options).unwrap();
    let next = AtomicU64::new(engine.log_head().0 + 1_000_000);
    println!("open");
    std::thread::scope(|scope| {
        for _ in 0..16 {
            scope.spawn(|| {
                loop {
                    let id = next.fetch_add(1, Ordering::Relaxed);
                    wait(engine.commit(batch_of(id))).unwrap();
                    let line = format!("acknowledged {id}\n");
                    std::io::stdout().lock().write_all(line.as_bytes()).unwrap();
                }
            });
        }
    });
}

/// How a child is run.
pub struct Child<'a> {
    /// The test (of this binary) that calls `write_if_child`.
    pub test: &'a str,
    pub database: &'a Path,
    pub skip_sync: bool,
    /// Little makes it flush and compact all the time.
    pub write_memory: ByteSize,
    pub environment: Vec<(&'a str, std::path::PathBuf)>,
    /// How long it writes before it is killed.
    pub life: Duration,
}

impl Child<'_> {
    /// Runs it, kills it, and returns the ids it had acknowledged.
    pub fn run_and_kill(&self) -> Vec<u64> {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command
            .args(["--exact", self.test, "--nocapture", "--test-threads=1"])
            .env(DATABASE, self.database)
            .env(WRITE_MEMORY, (self.write_memory.0 / 1024).to_string())
            .envs(self.environment.iter().cloned())
            .stdout(Stdio::piped());
        if self.skip_sync {
            command.env(SKIP_SYNC, "1");
        }
        let mut child = command.spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let opened = lines.by_ref().any(|line| line.unwrap().ends_with("open"));
        assert!(opened, "the child opened its database");
        let deadline = Instant::now() + self.life;
        let mut acknowledged = Vec::new();
        let mut killed = false;
        // A pipe holds what the child said before it died.
        for line in lines {
            let Ok(line) = line else { break };
            if let Some(id) = line.strip_prefix("acknowledged ") {
                acknowledged.extend(id.parse::<u64>());
            }
            if !killed && Instant::now() >= deadline && !acknowledged.is_empty() {
                child.kill().unwrap();
                killed = true;
            }
        }
        let status = child.wait().unwrap();
        assert!(
            killed && !status.success(),
            "it was killed, it didn't end: {status}"
        );
        acknowledged
    }
}

/// A file that satisfies the condition, anywhere below a directory.
pub fn find(directory: &Path, condition: &dyn Fn(&Path) -> bool) -> Option<std::path::PathBuf> {
    let mut entries: Vec<_> = std::fs::read_dir(directory)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    entries.sort();
    entries.into_iter().find_map(|path| match path.is_dir() {
        true => find(&path, condition),
        false => condition(&path).then_some(path),
    })
}

/// Waits until the engine has written a sorted file of items.
pub fn wait_for_table(database: &Path) -> std::path::PathBuf {
    let deadline = Instant::now() + Duration::from_secs(20);
    loop {
        let tables = database.join("data/keyspaces/1/tables");
        if let Some(table) = find(&tables, &|_| true) {
            return table;
        }
        assert!(Instant::now() < deadline, "no sorted file was written");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Which of those ids the database doesn't hold.
pub fn missing(engine: &EmbeddedEngine, ids: &[u64]) -> Vec<u64> {
    let snapshot = engine.snapshot();
    let is_missing = |id: &&u64| {
        let value = wait(snapshot.get(Space::Items, &id.to_be_bytes())).unwrap();
        value.as_deref() != Some(value_of(**id).as_slice())
    };
    ids.iter().filter(is_missing).copied().collect()
}

/// Every entry of the log that isn't trimmed.
pub fn whole_log(engine: &impl Engine) -> Vec<(LogPosition, Bytes)> {
    let snapshot = engine.snapshot();
    wait(store::read_log(&snapshot, LogPosition(0), usize::MAX)).unwrap()
}
