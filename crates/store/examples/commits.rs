//! Measures durable commits: a 1 KiB item and a 60-byte announcement each, from 1 to 64 clients.
//!
//! `cargo run --release -p store --example commits -- [DIRECTORY [SECONDS [CLIENTS...]]]`
#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "a measuring program reads the clock, and may stop at the first error"
)]

use std::path::PathBuf;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::time::{Duration, Instant};

use store::{Batch, EmbeddedEngine, EmbeddedOptions, Engine, Space};

struct Unpark(std::thread::Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

fn wait<F: Future>(future: F) -> F::Output {
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

fn main() {
    let mut arguments = std::env::args().skip(1);
    let root = arguments
        .next()
        .map_or_else(std::env::temp_dir, PathBuf::from);
    let seconds = arguments
        .next()
        .map_or(5, |seconds| seconds.parse().unwrap());
    let mut clients: Vec<usize> = arguments.map(|count| count.parse().unwrap()).collect();
    if clients.is_empty() {
        clients = vec![1, 16, 32, 64];
    }
    let directory = tempfile::tempdir_in(root).unwrap();
    let start = Instant::now();
    let engine = EmbeddedEngine::open(directory.path(), EmbeddedOptions::modest()).unwrap();
    println!("made in {:.0?}, {}", start.elapsed(), memory());
    for count in clients {
        measure(&engine, count, Duration::from_secs(seconds));
    }
    println!("{} bytes on disk, {}", engine.approximate_bytes(), memory());
    let head = engine.log_head();
    drop(engine);
    for _ in 0..2 {
        let start = Instant::now();
        let engine = EmbeddedEngine::open(directory.path(), EmbeddedOptions::modest()).unwrap();
        assert_eq!(engine.log_head(), head);
        println!("opened again in {:.0?}, {}", start.elapsed(), memory());
        let start = Instant::now();
        drop(engine);
        println!("closed in {:.0?}", start.elapsed());
    }
}

fn measure(engine: &EmbeddedEngine, clients: usize, time: Duration) {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let stop = AtomicBool::new(false);
    let start = Instant::now();
    let mut latencies = std::thread::scope(|scope| {
        let client = || {
            let mut latencies = Vec::new();
            while !stop.load(Ordering::Relaxed) {
                let id = NEXT.fetch_add(1, Ordering::Relaxed);
                let key = id.wrapping_mul(0x9E37_79B9_7F4A_7C15).to_be_bytes();
                let mut batch = Batch::new();
                batch.put(Space::Items, key.to_vec(), key.repeat(128));
                batch.announce(key.repeat(8)[..60].to_vec());
                let start = Instant::now();
                wait(engine.commit(batch)).unwrap();
                latencies.push(start.elapsed());
            }
            latencies
        };
        let threads: Vec<_> = (0..clients).map(|_| scope.spawn(client)).collect();
        std::thread::sleep(time);
        stop.store(true, Ordering::Relaxed);
        let latencies = threads
            .into_iter()
            .flat_map(|thread| thread.join().unwrap());
        latencies.collect::<Vec<_>>()
    });
    let elapsed = start.elapsed();
    latencies.sort();
    let at = |share: f64| latencies[((latencies.len() - 1) as f64 * share) as usize];
    println!(
        "{clients:3} clients: {:6.0} commits/s, p50 {:.2?}, p99 {:.2?}, max {:.2?}, {}",
        latencies.len() as f64 / elapsed.as_secs_f64(),
        at(0.5),
        at(0.99),
        at(1.0),
        memory()
    );
}

/// This process's share of the machine's memory, as the kernel counts it.
fn memory() -> String {
    let rollup = std::fs::read_to_string("/proc/self/smaps_rollup").unwrap_or_default();
    let pss = rollup.lines().find_map(|line| line.strip_prefix("Pss:"));
    format!("PSS {}", pss.unwrap_or("unknown").trim())
}
