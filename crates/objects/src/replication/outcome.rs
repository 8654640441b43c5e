//! A task ends: in one batch its row goes, the version says how it stands, and an event tells of
//! it where the rule has events. A task that was ended before changes nothing.

use std::sync::Arc;

use bytes::Bytes;
use store::{Batch, Engine, Snapshot, Space};
use types::SiteId;

use super::FailureReason;
use super::announce::outcome_of;
use super::job::{JobResult, result_row};
use super::task::{Task, TaskKind, outbox_row};
use crate::notify::{EventKind, Happened, ReplicationFacts, put_event};
use crate::rules::Rule;
use crate::{
    Aspect, Bucket, Cause, ObjectError, ObjectVersion, Objects, ReplicationStatus, VersionId, row,
};

/// The threshold of replication time control, in minutes.
pub(super) const THRESHOLD_MINUTES: u64 = 15;

/// How a task ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Ended {
    /// It is there.
    Done,
    /// It isn't to be there.
    Skipped,
    /// It can't be there.
    Failed(FailureReason),
    /// There is nothing to tell any more: the version, or its bucket, is gone.
    Dropped,
}

impl<E: Engine> Objects<E> {
    /// Ends a task. A call that is dropped may have ended it or not; it is to be called again.
    ///
    /// # Errors
    /// The disk is full or has failed: the task stands.
    pub(super) async fn end_task(
        &self,
        site: SiteId,
        number: u64,
        task: &Task,
        ended: Ended,
    ) -> Result<(), ObjectError> {
        let row = outbox_row(site, number);
        let held = self.engine.snapshot().get(Space::Objects, &row).await?;
        // Without its row a call that was given up has ended it, and only memory doesn't know.
        if let Some(held) = held {
            let bucket = self.source_of(task);
            let changed = match &bucket {
                None => Err(ObjectError::NoSuchVersion),
                Some(bucket) => self.settle((site, number, held), task, ended, bucket).await,
            };
            match changed {
                Ok(()) => {}
                // Only the row is left to go.
                Err(ObjectError::NoSuchVersion | ObjectError::NoSuchBucket) => {
                    let mut batch = Batch::new();
                    report((site, number), task, ended, &mut batch);
                    batch.delete(Space::Objects, row);
                    self.engine.commit(batch).await?;
                }
                Err(error) => return Err(error),
            }
        }
        let mut figures = self.replication.figures();
        match ended {
            Ended::Done => figures.completed(site, task, self.wall()),
            Ended::Failed(_) => figures.failed(site, task),
            Ended::Skipped | Ended::Dropped => figures.dropped(site, task),
        }
        drop(figures);
        if let Some(state) = self.replication.site(site) {
            state.sending().finished(number);
            state.ring();
        }
        Ok(())
    }

    /// Commits the outcome with the version, if the task's row still stands: so none is counted
    /// twice.
    async fn settle(
        &self,
        (site, number, held): (SiteId, u64, Bytes),
        task: &Task,
        ended: Ended,
        bucket: &Bucket,
    ) -> Result<(), ObjectError> {
        let id = self.id_of(bucket, task).await?;
        let cause = Cause::Replication;
        let change = |_: &crate::BucketSettings, version: &mut ObjectVersion| {
            settle_version(version, task, ended);
            let mut batch = Batch::new();
            let row = outbox_row(site, number);
            batch.require(Space::Objects, row.clone(), Some(held.clone()));
            batch.delete(Space::Objects, row);
            self.tell(bucket, task, version, ended, &mut batch);
            report((site, number), task, ended, &mut batch);
            Ok(batch)
        };
        let amended = self.amend_with(
            bucket,
            &task.key,
            Some(id),
            Aspect::Outcomes,
            &cause,
            change,
        );
        amended.await.map(|_| ())
    }

    /// The id by which a task's version is found now.
    async fn id_of(&self, bucket: &Bucket, task: &Task) -> Result<VersionId, ObjectError> {
        let found = self.version_of(bucket, task).await?;
        found
            .map(|version| version.id())
            .ok_or(ObjectError::NoSuchVersion)
    }

    /// A task's version, if it is still there.
    pub(super) async fn version_of(
        &self,
        bucket: &Bucket,
        task: &Task,
    ) -> Result<Option<Arc<ObjectVersion>>, ObjectError> {
        let row = crate::keys::version(bucket.entry.id, &task.key, task.stamp);
        let bytes = self.engine.snapshot().get(Space::Objects, &row).await?;
        let version = bytes.map(|bytes| ObjectVersion::decode(&bytes).map(Arc::new));
        version.transpose()
    }

    /// The bucket of a task, if it is still there.
    pub(super) fn source_of(&self, task: &Task) -> Option<Bucket> {
        let entry = self.entry_of(&task.name)?;
        let here = entry.id == task.bucket && entry.region == self.config.region;
        here.then(|| Bucket {
            name: task.name.clone(),
            settings: self.kept(&entry).settings,
            entry,
        })
    }

    /// Has events told of how a task ended.
    fn tell(
        &self,
        bucket: &Bucket,
        task: &Task,
        version: &ObjectVersion,
        ended: Ended,
        batch: &mut Batch,
    ) {
        let configuration = bucket.settings.replication.as_ref();
        let rule = configuration.and_then(|configuration| configuration.rule(&task.rule));
        let kind = match (ended, rule) {
            (Ended::Failed(_), Some(rule)) if rule.has_metrics() => EventKind::ReplicationFailed,
            // Without its rule nobody follows the version any more.
            (Ended::Failed(FailureReason::SrcBucketReplicationConfigMissing), None) => {
                EventKind::ReplicationNotTracked
            }
            (Ended::Done, Some(_)) if task.missed => EventKind::ReplicationAfterThreshold,
            _ => return,
        };
        let reason = match ended {
            Ended::Failed(reason) => Some(reason),
            _ => None,
        };
        self.put_replication_event(bucket, task, version, (kind, reason), batch);
    }

    /// Puts an event about a task into a batch.
    pub(super) fn put_replication_event(
        &self,
        bucket: &Bucket,
        task: &Task,
        version: &ObjectVersion,
        (kind, reason): (EventKind, Option<FailureReason>),
        batch: &mut Batch,
    ) {
        let now = self.wall();
        let of_time = matches!(
            kind,
            EventKind::ReplicationMissedThreshold | EventKind::ReplicationAfterThreshold
        );
        let seconds = now.0.saturating_sub(task.since.0) / 1000;
        let facts = ReplicationFacts {
            rule: task.rule.clone(),
            destination: task.destination.arn(),
            operation: match task.kind {
                TaskKind::Amendment => "OBJECT_PUT_TAGGING",
                TaskKind::Version | TaskKind::Batch if version.is_delete_marker() => {
                    "OBJECT_DELETE"
                }
                TaskKind::Version | TaskKind::Batch => "OBJECT_PUT",
            },
            request_time: task.since,
            failure_reason: reason.map(|reason| reason.as_str().to_owned()),
            threshold_minutes: of_time.then_some(THRESHOLD_MINUTES as u32),
            seconds: (kind == EventKind::ReplicationAfterThreshold).then_some(seconds),
        };
        let happened = Happened {
            kind,
            key: &task.key,
            version: Some(version.id()),
            object: version.object(),
            origin: None,
            stamp: self.issue(None),
            replication: Some(facts),
        };
        put_event(batch, bucket, &happened);
    }
}

/// Sets a version's outcome. Each change has a task of its own, and what failed stays so.
fn settle_version(version: &mut ObjectVersion, task: &Task, ended: Ended) {
    let is_replica = version.is_replica && task.kind == TaskKind::Amendment;
    let Some(outcome) = outcome_of(version, task) else {
        return;
    };
    outcome.tasks = outcome.tasks.saturating_sub(1);
    let pending = outcome.status == ReplicationStatus::Pending;
    match ended {
        Ended::Failed(_) => outcome.status = ReplicationStatus::Failed,
        _ if outcome.tasks > 0 || !pending => {}
        // A replica is one again once its change has travelled.
        Ended::Done | Ended::Skipped if is_replica => forget(version, task),
        Ended::Done => outcome.status = ReplicationStatus::Completed,
        Ended::Skipped if task.kind == TaskKind::Amendment => {
            outcome.status = ReplicationStatus::Completed;
        }
        Ended::Skipped | Ended::Dropped => forget(version, task),
    }
}

/// Has the job that a task belongs to know how it ended.
fn report(place: (SiteId, u64), task: &Task, ended: Ended, batch: &mut Batch) {
    let Some(job) = task.job else {
        return;
    };
    let reason = match ended {
        Ended::Done | Ended::Skipped => None,
        Ended::Failed(reason) => Some(reason),
        Ended::Dropped => Some(FailureReason::SrcVersionNotFound),
    };
    let result = JobResult {
        key: task.key.as_str().to_owned(),
        version: Some(VersionId::Stamp(task.stamp)),
        reason: reason.map(|reason| reason.as_str().to_owned()),
    };
    let row = result_row(job, (place.0.0, place.1));
    batch.put(Space::Objects, row, row::encode(&result));
}

/// It is as if the rule hadn't chosen the version.
fn forget(version: &mut ObjectVersion, task: &Task) {
    let destination = task.destination.as_str();
    version
        .outcomes
        .retain(|outcome| outcome.rule != task.rule || outcome.bucket != destination);
}

/// The rule that a task goes by, as it is now.
pub(super) fn rule_of<'a>(bucket: &'a Bucket, task: &Task) -> Option<&'a Rule> {
    let configuration = bucket.settings.replication.as_ref()?;
    let rule = configuration.rule(&task.rule)?;
    rule.is_enabled().then_some(rule)
}

/// The row of a task, decoded.
pub(super) fn decode_task(bytes: &[u8]) -> Result<Task, ObjectError> {
    row::decode("the outbox", bytes)
}
