//! An engine whose reads take time now and then, as those of a real disk among many threads do:
//! between a read and what is done with it, anything may happen. Without it every read of the
//! simulation would be over in the moment it began, and no task could be overtaken there.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use store::{
    Batch, CommitError, Direction, Engine, KeyRange, LogPosition, MemoryEngine, Page, ReadError,
    Snapshot, Space,
};
use types::{Environment, Span};

/// One read in so many takes time.
const ONE_IN: u64 = 24;

/// How long it takes then, at most: longer than a link needs to connect again.
const LONGEST: Span = Span::milliseconds(400);

/// The engine of a simulated site.
#[derive(Clone)]
pub struct SlowEngine {
    engine: MemoryEngine,
    environment: Arc<dyn Environment>,
    slow: Arc<AtomicBool>,
}

/// Its snapshots.
pub struct SlowSnapshot {
    snapshot: <MemoryEngine as Engine>::Snapshot,
    environment: Arc<dyn Environment>,
    slow: Arc<AtomicBool>,
}

impl SlowEngine {
    /// That engine. `slow` is set while the site's tasks run; a site is opened, and looked at
    /// from outside, in one moment.
    pub(crate) fn new(
        engine: MemoryEngine,
        environment: Arc<dyn Environment>,
        slow: Arc<AtomicBool>,
    ) -> SlowEngine {
        SlowEngine {
            engine,
            environment,
            slow,
        }
    }
}

impl Engine for SlowEngine {
    type Snapshot = SlowSnapshot;

    fn snapshot(&self) -> SlowSnapshot {
        SlowSnapshot {
            snapshot: self.engine.snapshot(),
            environment: self.environment.clone(),
            slow: self.slow.clone(),
        }
    }

    fn commit(
        &self,
        batch: Batch,
    ) -> impl Future<Output = Result<LogPosition, CommitError>> + Send + 'static {
        self.engine.commit(batch)
    }

    fn log_head(&self) -> LogPosition {
        self.engine.log_head()
    }

    fn log_grown(
        &self,
        position: LogPosition,
    ) -> impl Future<Output = LogPosition> + Send + 'static {
        self.engine.log_grown(position)
    }
}

impl SlowSnapshot {
    async fn linger(&self) {
        if !self.slow.load(Ordering::Relaxed) {
            return;
        }
        let lot = self.environment.random();
        if lot.is_multiple_of(ONE_IN) {
            let now = self.environment.now().monotonic;
            let span = Span(lot / ONE_IN % LONGEST.0);
            self.environment.sleep_until(now + span).await;
        }
    }
}

impl Snapshot for SlowSnapshot {
    async fn get(&self, space: Space, key: &[u8]) -> Result<Option<Bytes>, ReadError> {
        self.linger().await;
        self.snapshot.get(space, key).await
    }

    async fn scan(
        &self,
        space: Space,
        range: KeyRange,
        direction: Direction,
        limit: usize,
    ) -> Result<Page, ReadError> {
        self.linger().await;
        self.snapshot.scan(space, range, direction, limit).await
    }
}
