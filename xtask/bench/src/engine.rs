//! The bare engine under the same pattern of load: each worker commits an item of the same size
//! with a change record, durably, and waits. No HTTP, no signature, no table.

use std::future::Future;
use std::path::Path;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread::Thread;

use anyhow::Result;
use store::{Batch, EmbeddedEngine, EmbeddedOptions, Engine, Space};

use crate::items::Numbers;
use crate::load::Worker;

/// What an item's state adds to its bytes, about: version, context, the names' framing.
const STATE_OVERHEAD: usize = 64;

/// The bytes of a change record, about: table, key, version.
const ANNOUNCEMENT: usize = 64;

/// Opens a database with the settings that a Region opens its own with.
pub fn open(folder: &Path) -> Result<EmbeddedEngine> {
    Ok(EmbeddedEngine::open(folder, EmbeddedOptions::modest())?)
}

/// Workers that each commit one new item of `size` bytes at a time.
pub fn committers(
    engine: &EmbeddedEngine,
    workers: usize,
    size: usize,
    round: u64,
) -> Vec<Worker<'static>> {
    (0..workers as u64)
        .map(|worker| {
            let engine = engine.clone();
            let mut numbers = Numbers::new(1 + round * 1000 + worker);
            let mut payload = numbers.text(size + STATE_OVERHEAD).into_bytes();
            let mut turn = 0_u64;
            Box::new(move || {
                // A hashed partition key comes first in a table's keys, so they are in no order.
                let mut key = numbers.next().to_be_bytes().to_vec();
                key.extend_from_slice(format!("item-{round}-{worker}-{turn}").as_bytes());
                turn += 1;
                let at = (turn as usize * 8) % (payload.len() - 8);
                payload[at..at + 8].copy_from_slice(&numbers.next().to_be_bytes());
                let mut batch = Batch::new();
                batch.announce([key.as_slice(), &payload[..ANNOUNCEMENT - key.len()]].concat());
                batch.put(Space::Items, key, payload.clone());
                wait(engine.commit(batch))?;
                Ok(())
            }) as Worker<'static>
        })
        .collect()
}

/// Waits for a future on this thread.
fn wait<F: Future>(future: F) -> F::Output {
    struct Unpark(Thread);
    impl Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }
    let waker = Waker::from(Arc::new(Unpark(std::thread::current())));
    let mut context = Context::from_waker(&waker);
    let mut future = pin!(future);
    loop {
        match future.as_mut().poll(&mut context) {
            Poll::Ready(output) => return output,
            Poll::Pending => std::thread::park(),
        }
    }
}
