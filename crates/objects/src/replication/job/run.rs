//! Jobs go on: each takes versions from its manifest, a few ahead of what has ended, and announces
//! them as tasks. How far it is gone is written in the batch that announces.

use std::ops::Bound;

use futures_util::future::select;
use store::{Batch, Direction, Engine, KeyRange, Snapshot, Space};
use types::Span;

use super::{
    Cursor, FilterStatus, Job, JobFilter, JobResult, JobStatus, MAX_ATTEMPTS, Manifest, result_row,
};
use crate::keys::{self, kind};
use crate::replication::FailureReason;
use crate::replication::announce::{Announced, Announcing, Place, owner_reads};
use crate::replication::task::TaskKind;
use crate::rules::{Candidate, Operation, choose};
use crate::{
    Aspect, Bucket, BucketSettings, Cause, ObjectError, ObjectKey, ObjectVersion, Objects,
    ReplicationStatus, VersionId, row,
};

/// Tasks of a job that haven't ended, at most.
const AHEAD: u64 = 1_000;

/// Versions that are looked at before other jobs have their turn.
const TURN: usize = 64;

/// How often to look whether a job can go on.
const LOOK: Span = Span::milliseconds(500);

/// How often while there is none.
const REST: Span = Span::seconds(30);

/// The site under whose number results stand of what was never a task.
const NO_SITE: u16 = u16::MAX;

impl<E: Engine> Objects<E> {
    /// Carries out jobs for as long as it is polled.
    pub(in crate::replication) async fn run_jobs(&self) {
        loop {
            let bell = self.replication.job_bell.listen();
            let wait = match self.run_jobs_once().await {
                Ok(true) => LOOK,
                Ok(false) => REST,
                Err(error) => {
                    tracing::warn!(%error, "batch replication waits");
                    REST
                }
            };
            let next = self.config.environment.now().monotonic + wait;
            select(bell, self.config.environment.sleep_until(next)).await;
        }
    }

    /// Takes every job on a little; false if none of them can go on.
    pub(in crate::replication) async fn run_jobs_once(&self) -> Result<bool, ObjectError> {
        let mut goes_on = false;
        for job in self.active_jobs().await? {
            match self.run_job(&job).await {
                Ok(()) => goes_on = true,
                // One that can't go on now holds up no other.
                Err(error) => tracing::warn!(job = %job.id, %error, "batch replication waits"),
            }
        }
        Ok(goes_on)
    }

    async fn run_job(&self, job: &Job) -> Result<(), ObjectError> {
        let here = self.bucket(&job.name).ok();
        let Some(bucket) = here.filter(|bucket| bucket.entry.id == job.bucket) else {
            return self.fail_job(job, "its bucket is gone").await;
        };
        if job.cursor == Cursor::End {
            if self.replication.pending_of(job.id) == 0 {
                self.complete(job).await?;
            }
            return Ok(());
        }
        while self.replication.pending_of(job.id) < AHEAD {
            let went_on = match &job.new.manifest {
                Manifest::Generated(filter) => self.take_versions(job, &bucket, filter).await,
                Manifest::Listed { bucket: at, key } => {
                    self.take_lines(job, &bucket, at, key).await
                }
            };
            match went_on {
                Ok(true) => {}
                Ok(false) => break,
                Err(error) if is_lasting(&error) => {
                    return self.fail_job(job, &format!("its manifest: {error}")).await;
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    async fn fail_job(&self, job: &Job, why: &str) -> Result<(), ObjectError> {
        let Some(held) = self.read_job(job.id).await? else {
            return Ok(());
        };
        let mut failed: Job = row::decode("a job", &held)?;
        failed.status = JobStatus::Failed;
        failed.failure = Some(why.to_owned());
        failed.ended = Some(self.wall());
        self.write_job(&held, &failed, Batch::new())
            .await
            .map(|_| ())
    }

    /// Goes on through the bucket's versions; false at the end.
    async fn take_versions(
        &self,
        job: &Job,
        bucket: &Bucket,
        filter: &JobFilter,
    ) -> Result<bool, ObjectError> {
        let Some(held) = self.read_job(job.id).await? else {
            return Ok(false);
        };
        let now: Job = row::decode("a job", &held)?;
        let mut range = KeyRange::prefix(&keys::of_bucket(kind::VERSION, job.bucket));
        match &now.cursor {
            Cursor::Row(row) => range.start = Bound::Excluded(row.clone()),
            Cursor::End => return Ok(false),
            Cursor::Begin | Cursor::Byte(_) => {}
        }
        let snapshot = self.engine.snapshot();
        let page = snapshot.scan(Space::Objects, range, Direction::Forward, TURN);
        let page = page.await?;
        for entry in &page.entries {
            let version = ObjectVersion::decode(&entry.value)?;
            // What is older than the job alone: a job that writes into its own bucket ends.
            if filter.lets_through(&version) && version.stamp.last_modified() < job.created {
                let (key, _) = keys::split(&entry.key).ok_or_else(unreadable)?;
                let at = Cursor::Row(entry.key.clone());
                self.take(job, bucket, (&key, Some(version.id())), at, false)
                    .await?;
            }
        }
        let last = page.entries.last().filter(|_| page.more);
        let cursor = match last {
            Some(entry) => Cursor::Row(entry.key.clone()),
            None => Cursor::End,
        };
        self.move_on(job, cursor).await?;
        Ok(last.is_some())
    }

    /// Writes how far a job is.
    pub(super) async fn move_on(&self, job: &Job, cursor: Cursor) -> Result<(), ObjectError> {
        for _ in 0..MAX_ATTEMPTS {
            let Some(held) = self.read_job(job.id).await? else {
                return Ok(());
            };
            let mut now: Job = row::decode("a job", &held)?;
            now.cursor = cursor.clone();
            if self.write_job(&held, &now, Batch::new()).await? {
                return Ok(());
            }
        }
        Err(crate::write::contended())
    }

    /// Takes on one version: announces it to the destinations of the rules that choose it. One
    /// that none chooses, or that isn't there, has failed where it was listed by name.
    pub(super) async fn take(
        &self,
        job: &Job,
        bucket: &Bucket,
        (key, id): (&ObjectKey, Option<VersionId>),
        cursor: Cursor,
        listed: bool,
    ) -> Result<(), ObjectError> {
        let initiates = self
            .assume_for_job(&job.new.role, bucket)
            .and_then(|judge| judge.may_initiate(key));
        if let Err(reason) = initiates {
            return self.refuse(job, (key.as_str(), id), cursor, reason).await;
        }
        let Some(held) = self.read_job(job.id).await? else {
            return Ok(());
        };
        let now: Job = row::decode("a job", &held)?;
        if now.status != JobStatus::Active {
            return Ok(());
        }
        let mut announced = Announced::default();
        let mut chosen = 0;
        let change = |settings: &BucketSettings, version: &mut ObjectVersion| {
            announced = Announced::default();
            let mut batch = Batch::new();
            let mut announcing = Announcing {
                bucket,
                key,
                now: self.wall(),
                batch: &mut batch,
                announced: &mut announced,
            };
            chosen = self.choose_for(job, settings, &mut announcing, version);
            let mut after = now.clone();
            after.total += chosen;
            after.cursor = cursor.clone();
            batch.require(Space::Objects, super::job_row(job.id), Some(held.clone()));
            batch.put(Space::Objects, super::job_row(job.id), row::encode(&after));
            Ok(batch)
        };
        let cause = Cause::Replication;
        let amended = self.amend_with(bucket, key, id, Aspect::Outcomes, &cause, change);
        let amended = amended.await;
        match amended {
            Ok(_) => {
                announced.committed();
                match (chosen, listed) {
                    (0, true) => {
                        let reason = FailureReason::SrcObjectNotEligible;
                        self.refuse(job, (key.as_str(), id), cursor, reason).await
                    }
                    _ => Ok(()),
                }
            }
            Err(ObjectError::NoSuchVersion) if listed => {
                let reason = FailureReason::SrcVersionNotFound;
                self.refuse(job, (key.as_str(), id), cursor, reason).await
            }
            Err(ObjectError::NoSuchVersion) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Announces a version to the destinations of the rules that choose it; how many they are.
    fn choose_for(
        &self,
        job: &Job,
        settings: &BucketSettings,
        announcing: &mut Announcing<'_>,
        version: &mut ObjectVersion,
    ) -> u64 {
        let Some(configuration) = &settings.replication else {
            return 0;
        };
        if !owner_reads(announcing.bucket, version) {
            return 0;
        }
        let candidate = Candidate {
            key: announcing.key.as_str(),
            version,
            operation: Operation::Batch,
        };
        let chosen = choose(configuration, candidate);
        for chosen in &chosen {
            let place = Place::of(chosen);
            announcing.add(self, place, version, TaskKind::Batch, Some(job.id));
        }
        chosen.len() as u64
    }

    /// Something that never was a task has failed.
    pub(super) async fn refuse(
        &self,
        job: &Job,
        (key, version): (&str, Option<VersionId>),
        cursor: Cursor,
        reason: FailureReason,
    ) -> Result<(), ObjectError> {
        for _ in 0..MAX_ATTEMPTS {
            let Some(held) = self.read_job(job.id).await? else {
                return Ok(());
            };
            let mut now: Job = row::decode("a job", &held)?;
            let place = (NO_SITE, now.total);
            now.total += 1;
            now.cursor = cursor.clone();
            let result = JobResult {
                key: key.to_owned(),
                version,
                reason: Some(reason.as_str().to_owned()),
            };
            let mut batch = Batch::new();
            let row = result_row(job.id, place);
            batch.put(Space::Objects, row, row::encode(&result));
            if self.write_job(&held, &now, batch).await? {
                return Ok(());
            }
        }
        Err(crate::write::contended())
    }
}

impl JobFilter {
    fn lets_through(&self, version: &ObjectVersion) -> bool {
        let made = version.stamp.last_modified();
        let status = match version.replication_status() {
            None => Some(FilterStatus::None),
            Some(ReplicationStatus::Failed) => Some(FilterStatus::Failed),
            Some(ReplicationStatus::Completed) => Some(FilterStatus::Completed),
            Some(ReplicationStatus::Replica) => Some(FilterStatus::Replica),
            // It is on its way.
            Some(ReplicationStatus::Pending) => None,
        };
        status.is_some_and(|status| self.statuses.is_empty() || self.statuses.contains(&status))
            && self.created_after.is_none_or(|after| made >= after)
            && self.created_before.is_none_or(|before| made < before)
    }
}

/// Is it of no use to try again? What is damaged counts as such: what mends it doesn't know of the
/// job.
pub(super) fn is_lasting(error: &ObjectError) -> bool {
    let (_, status) = error.code();
    let refused = status < 500 && status != 409;
    refused || matches!(error, ObjectError::Damaged(_))
}

fn unreadable() -> ObjectError {
    ObjectError::Internal("a row of a version can't be read".to_owned())
}

/// The bytes that a cursor stands at.
pub(super) fn byte_of(cursor: &Cursor) -> Option<u64> {
    match cursor {
        Cursor::Begin => Some(0),
        Cursor::Byte(at) => Some(*at),
        Cursor::Row(_) | Cursor::End => None,
    }
}
