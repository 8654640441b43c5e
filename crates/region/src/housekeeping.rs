//! What a Region does by itself at its own pace: heartbeats, first copies of replicas, removal
//! of deleted tables' items, counting of items, trimming of the log, adoption of the council's
//! settings.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use link::{Lane, Plain};
use store::{
    Batch, CommitError, Direction, Engine, KeyRange, LogPosition, ReadError, Snapshot, Space,
};
use tables::{CopyProgress, MeasureProgress, PurgeProgress, TablesError};
use types::{SiteId, Span};

use crate::asking::REGION_SERVICE;
use crate::message::Message;
use crate::region::Region;

/// Between heartbeats to a peer.
const HEARTBEAT: Span = Span::seconds(1);

/// Between looks for work when there was none.
const IDLE: Span = Span::milliseconds(250);

/// Between looks when work waits for a peer.
const WAITING: Span = Span::milliseconds(20);

/// Between counts of the tables' items. (The service's are about six hours apart.)
const MEASURE: Span = Span::seconds(300);

/// Between steps of a count: a step takes a fraction of a millisecond, so counting takes a few
/// hundredths of a processor however large the tables are.
const MEASURE_STEP: Span = Span::milliseconds(5);

/// Between trims of the log.
const TRIM: Span = Span::seconds(1);

/// Log entries removed in one commit, at most.
const TRIM_BATCH: u64 = 2_000;

/// What the log keeps at least, so that the clock can be recovered from it.
const TRIM_KEEP: u64 = 64;

impl<E: Engine> Region<E> {
    /// Says to every peer that it is alive, what time it has, and where it stands.
    pub(crate) async fn heartbeat(self: Arc<Self>) {
        loop {
            let now = self.environment.now();
            self.look_for_majority();
            for peer in self.peers.values() {
                let payload = Message::Heartbeat { wall: now.wall }.encode();
                let plain = Plain::new(peer.site.name, Lane::Health, REGION_SERVICE, "", payload)
                    .expect("a heartbeat is short");
                let sent = peer.port.send(now.monotonic, &self.admission, plain);
                if sent.is_ok() && peer.is_region() {
                    self.say_cursor(peer, false);
                }
            }
            self.environment
                .sleep_until(now.monotonic + HEARTBEAT)
                .await;
        }
    }

    /// Announces existing items to new replicas.
    pub(crate) async fn copy_tables(self: Arc<Self>) {
        loop {
            self.resynchronize().await;
            let acknowledged = |peer: SiteId| {
                let peer = self.peers.get(&peer);
                peer.and_then(|peer| peer.acknowledged())
                    .unwrap_or_default()
            };
            let step = self.tables.copy_step(&acknowledged).await;
            let pause = step.map(|progress| match progress {
                CopyProgress::Worked => None,
                CopyProgress::Waiting => Some(WAITING),
                CopyProgress::Idle => Some(IDLE),
            });
            self.rest_after(pause).await;
        }
    }

    /// Begins to copy the tables of a peer that stands before what the log still holds.
    async fn resynchronize(&self) {
        for peer in self.peers.values() {
            if peer.resynchronize.swap(false, Ordering::AcqRel)
                && let Err(error) = self.tables.resynchronize(peer.site.id).await
            {
                tracing::warn!(peer = %peer.site.name, %error, "a new copy is tried again");
                peer.resynchronize.store(true, Ordering::Release);
            }
        }
    }

    /// Removes the items of deleted tables.
    pub(crate) async fn purge_tables(self: Arc<Self>) {
        loop {
            let pause = self
                .tables
                .purge_step()
                .await
                .map(|progress| match progress {
                    PurgeProgress::Worked => None,
                    PurgeProgress::Idle => Some(IDLE),
                });
            self.rest_after(pause).await;
        }
    }

    /// Counts the tables' items, as `DescribeTable` tells them.
    pub(crate) async fn measure_tables(self: Arc<Self>) {
        loop {
            let step = self.tables.measure_step().await;
            let pause = match step {
                Ok(MeasureProgress::Worked) => MEASURE_STEP,
                Ok(MeasureProgress::Finished) => MEASURE,
                Err(error) => {
                    tracing::warn!(%error, "the tables' items are counted again later");
                    MEASURE
                }
            };
            let now = self.environment.now().monotonic;
            self.environment.sleep_until(now + pause).await;
        }
    }

    /// Waits as long as the outcome of a step asks for; nothing after one that worked.
    async fn rest_after(&self, pause: Result<Option<Span>, TablesError>) {
        let now = self.environment.now().monotonic;
        match pause {
            Ok(None) => {}
            Ok(Some(pause)) => self.environment.sleep_until(now + pause).await,
            Err(TablesError::Commit(CommitError::Failed(reason))) => {
                self.fail(reason);
                self.environment.sleep_until(now + IDLE).await;
            }
            Err(error) => {
                tracing::warn!(%error, "background work is tried again");
                self.environment.sleep_until(now + IDLE).await;
            }
        }
    }

    /// Removes from the log what every peer Region has applied.
    pub(crate) async fn trim_log(self: Arc<Self>) {
        loop {
            let now = self.environment.now().monotonic;
            self.environment.sleep_until(now + TRIM).await;
            while let Some((from, to)) = self.trimmable() {
                let mut batch = Batch::new();
                for position in from.0 + 1..=to.0 {
                    batch.delete(Space::Log, LogPosition(position).key());
                }
                match self.engine.commit(batch).await {
                    Ok(_) => *self.trimmed.lock().expect("nothing panics inside") = to,
                    Err(error) => {
                        tracing::warn!(%error, "the log was not trimmed; tried again");
                        break;
                    }
                }
            }
        }
    }

    /// The next stretch of the log that nobody needs.
    fn trimmable(&self) -> Option<(LogPosition, LogPosition)> {
        let from = *self.trimmed.lock().expect("nothing panics inside");
        let mut to = LogPosition(self.engine.log_head().0.saturating_sub(TRIM_KEEP));
        for peer in self.peers.values().filter(|peer| peer.is_region()) {
            to = to.min(peer.acknowledged()?);
        }
        let to = LogPosition(to.0.min(from.0 + TRIM_BATCH));
        (to > from).then_some((from, to))
    }
}

/// The position before the first that the log still holds.
pub(crate) async fn oldest<S: Snapshot>(
    snapshot: &S,
    head: LogPosition,
) -> Result<LogPosition, ReadError> {
    let page = snapshot
        .scan(Space::Log, KeyRange::all(), Direction::Forward, 1)
        .await?;
    let Some(first) = page.entries.first() else {
        return Ok(head);
    };
    let position = LogPosition::from_key(&first.key)
        .ok_or_else(|| ReadError::Corrupt("a key of the change log".to_owned()))?;
    Ok(LogPosition(position.0 - 1))
}
