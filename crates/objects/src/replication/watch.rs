//! What replication does by the clock: it tells of versions that miss the threshold of replication
//! time control, writes down what failed, and lets go of transfers that their source has given up.

use std::collections::BTreeMap;
use std::ops::Bound;

use store::{Batch, CommitError, Direction, Engine, KeyRange, Snapshot, Space};
use types::{SiteId, Span, Timestamp};

use super::outcome::{THRESHOLD_MINUTES, decode_task};
use super::task::{Task, decode_staged, outbox, staged_place};
use crate::keys::kind;
use crate::notify::EventKind;
use crate::{ObjectError, Objects, row};

/// How often.
const INTERVAL: Span = Span::seconds(15);

/// The threshold of replication time control, in milliseconds.
const THRESHOLD: u64 = THRESHOLD_MINUTES * 60 * 1000;

/// What was received of a version stays so long after the last part, in milliseconds: seven days,
/// longer than outages of a link last.
const STAGED_FOR: u64 = 7 * 24 * 60 * 60 * 1000;

/// Rows that are read at a time.
const PAGE: usize = 256;

impl<E: Engine> Objects<E> {
    /// Watches replication, and takes batch jobs on, for as long as it is polled.
    pub async fn watch_replication(&self) {
        futures_util::future::join3(self.watch(), self.run_jobs(), self.trim_notes_on()).await;
    }

    async fn watch(&self) {
        let mut watched = Watched::default();
        loop {
            if let Err(error) = self.watch_once(&mut watched).await {
                tracing::warn!(%error, "replication isn't watched now");
            }
            let next = self.config.environment.now().monotonic + INTERVAL;
            self.config.environment.sleep_until(next).await;
        }
    }

    pub(super) async fn watch_once(&self, watched: &mut Watched) -> Result<(), ObjectError> {
        let now = self.wall();
        let sites: Vec<SiteId> = self.replication.sites.keys().copied().collect();
        for site in sites {
            self.tell_missed(site, now, watched).await?;
        }
        self.keep_figures().await?;
        if now.0 >= watched.staged_looked_at.0 + STAGED_FOR / 168 {
            watched.staged_looked_at = now;
            self.forget_figures().await?;
            self.expire_staged(now).await?;
        }
        Ok(())
    }

    /// Tells of what has waited longer than the threshold, once.
    async fn tell_missed(
        &self,
        site: SiteId,
        now: Timestamp,
        watched: &mut Watched,
    ) -> Result<(), ObjectError> {
        let mut range = KeyRange::prefix(&outbox(site));
        if let Some(looked_at) = watched.looked_at.get(&site) {
            range.start = Bound::Excluded(looked_at.clone());
        }
        loop {
            let snapshot = self.engine.snapshot();
            let page = snapshot.scan(Space::Objects, range.clone(), Direction::Forward, PAGE);
            let page = page.await?;
            for entry in &page.entries {
                let task = decode_task(&entry.value)?;
                if now.0 < task.since.0.saturating_add(THRESHOLD) {
                    return Ok(());
                }
                if task.timed && !task.missed {
                    self.tell_one(&entry.key, &entry.value, task).await?;
                }
                watched.looked_at.insert(site, entry.key.clone());
                range.start = Bound::Excluded(entry.key.clone());
            }
            if !page.more {
                return Ok(());
            }
        }
    }

    async fn tell_one(
        &self,
        key: &bytes::Bytes,
        held: &bytes::Bytes,
        task: Task,
    ) -> Result<(), ObjectError> {
        let Some(bucket) = self.source_of(&task) else {
            return Ok(());
        };
        let Some(version) = self.version_of(&bucket, &task).await? else {
            return Ok(());
        };
        let mut batch = Batch::new();
        let kind = EventKind::ReplicationMissedThreshold;
        self.put_replication_event(&bucket, &task, &version, (kind, None), &mut batch);
        let missed = Task {
            missed: true,
            ..task
        };
        batch.require(Space::Objects, key.clone(), Some(held.clone()));
        batch.put(Space::Objects, key.clone(), row::encode(&missed));
        match self.engine.commit(batch).await {
            // It has ended just now.
            Ok(_) | Err(CommitError::Precondition(_)) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// Lets go of what was received long ago of versions that never became whole.
    async fn expire_staged(&self, now: Timestamp) -> Result<(), ObjectError> {
        let mut newest: BTreeMap<(SiteId, u64), Timestamp> = BTreeMap::new();
        let mut range = KeyRange::prefix(&[kind::STAGED]);
        let snapshot = self.engine.snapshot();
        loop {
            let page = snapshot.scan(Space::Objects, range.clone(), Direction::Forward, PAGE);
            let page = page.await?;
            for entry in &page.entries {
                let Some(place) = staged_place(&entry.key) else {
                    continue;
                };
                let since = decode_staged(&entry.value)?.since;
                let newest = newest.entry(place).or_insert(since);
                *newest = since.max(*newest);
            }
            match page.entries.last() {
                Some(last) if page.more => range.start = Bound::Excluded(last.key.clone()),
                _ => break,
            }
        }
        newest.retain(|_, since| now.0 >= since.0.saturating_add(STAGED_FOR));
        for (site, task) in newest.into_keys() {
            self.expire_transfer(site, task).await?;
        }
        Ok(())
    }

    /// Lets go of what was received for a task, unless it is being received. One that is offered
    /// meanwhile waits for its turn: else it would go on with what is being let go of.
    async fn expire_transfer(&self, site: SiteId, task: u64) -> Result<(), ObjectError> {
        let Some(state) = self.replication.site(site) else {
            return self.discard_staged(site, task).await;
        };
        let now = self.config.environment.now().monotonic;
        let turn = state.transfers().turn_of_unknown(task, now);
        let Some(turn) = turn else {
            return Ok(());
        };
        let discarded = self.discard_staged(site, task).await;
        state.transfers().ended(task, &turn);
        discarded
    }
}

/// How far was looked.
#[derive(Default)]
pub(super) struct Watched {
    /// The last row of each site's outbox whose threshold has passed.
    looked_at: BTreeMap<SiteId, bytes::Bytes>,
    /// When it was last looked for transfers that were given up, and rules that are gone.
    staged_looked_at: Timestamp,
}
