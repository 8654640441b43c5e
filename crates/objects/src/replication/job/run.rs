//! Jobs go on: each takes versions from its manifest, a few ahead of what has ended, and announces
//! them as tasks. How far it is gone is written in the batch that announces. Jobs take turns, and a
//! turn is bounded, whatever its job finds; what ends a job doesn't hold up the turns of others.

use std::collections::BTreeSet;
use std::ops::Bound;

use futures_util::future::{Either, select};
use futures_util::stream::{FuturesUnordered, StreamExt};
use store::{Batch, Direction, Engine, KeyRange, Snapshot, Space};
use types::Span;

use super::rows::{job_row, result_row};
use super::{Cursor, FilterStatus, Job, JobFilter, JobId, JobResult, JobStatus, Manifest, Stage};
use crate::keys::{self, kind};
use crate::replication::FailureReason;
use crate::replication::announce::{Announced, Announcing, Place, owner_reads};
use crate::replication::task::TaskKind;
use crate::rules::{Candidate, Operation, choose};
use crate::{
    Aspect, Bucket, BucketSettings, Cause, ObjectError, ObjectKey, ObjectVersion, Objects,
    ReplicationStatus, VersionId, row,
};

/// How often a job's row is written anew on others' changes before it is given up.
pub(super) const MAX_ATTEMPTS: usize = 16;

/// Tasks of a job that haven't ended, at most; a turn begins below that.
const AHEAD: u64 = 1_000;

/// Versions that a turn takes on, at most.
pub(super) const TAKEN: usize = 64;

/// Versions that a turn looks at, at most.
const LOOKED_AT: usize = 512;

/// Jobs that are settled at a time, at most.
const MOST_SETTLING: usize = 4;

/// How often to look whether a job can go on.
const LOOK: Span = Span::milliseconds(500);

/// How often while there is none.
const REST: Span = Span::seconds(30);

/// The site under whose number results stand of what was never a task.
const NO_SITE: u16 = u16::MAX;

/// What a round of turns came to.
#[derive(Debug, Default)]
pub(in crate::replication) struct Round {
    /// Something can go on at once.
    pub more: bool,
    /// There are jobs that aren't settled and wait neither to be confirmed nor for what is broken.
    pub active: bool,
    /// The jobs of which everything has ended.
    pub ended: Vec<JobId>,
}

impl<E: Engine> Objects<E> {
    /// Carries out jobs for as long as it is polled.
    pub(in crate::replication) async fn run_jobs(&self) {
        let mut settling = FuturesUnordered::new();
        let mut busy: BTreeSet<JobId> = BTreeSet::new();
        loop {
            let bell = self.replication.job_bell.listen();
            let round = self.run_jobs_once().await.unwrap_or_else(|error| {
                tracing::warn!(reason = error.reason(), "batch replication waits");
                Round::default()
            });
            for id in round.ended {
                if busy.len() < MOST_SETTLING && busy.insert(id) {
                    settling.push(self.settle_in_time(id));
                }
            }
            let wait = match (round.more, round.active) {
                (true, _) => Span::ZERO,
                (_, true) => LOOK,
                _ => REST,
            };
            let next = self.config.environment.now().monotonic + wait;
            let rest = select(bell, self.config.environment.sleep_until(next));
            if settling.is_empty() {
                rest.await;
            } else if let Either::Left((Some(id), _)) = select(settling.next(), rest).await {
                busy.remove(&id);
            }
        }
    }

    /// Gives every job a turn.
    ///
    /// # Errors
    /// `Internal`: a row can't be read.
    pub(in crate::replication) async fn run_jobs_once(&self) -> Result<Round, ObjectError> {
        let mut round = Round::default();
        for (id, job) in self.job_rows().await? {
            let Some(job) = job else {
                round.more |= self.forget_results(id).await?;
                continue;
            };
            if job.stage() == Stage::Settled || job.status == JobStatus::Suspended {
                continue;
            }
            let pending = self.replication.pending_of(id);
            if pending == 0 && (job.is_over() || job.cursor == Cursor::End) {
                round.active = true;
                round.ended.push(id);
                continue;
            }
            match self.run_job(&job, pending).await {
                Ok(more) => {
                    round.active = true;
                    round.more |= more;
                }
                // One that can't go on now holds up no other.
                Err(error) => {
                    tracing::warn!(job = %id, reason = error.reason(), "batch replication waits");
                }
            }
        }
        Ok(round)
    }

    /// A job's turn. True: it can go on at once.
    async fn run_job(&self, job: &Job, pending: u64) -> Result<bool, ObjectError> {
        self.fold(job.id, false).await?;
        if job.is_over() || job.cursor == Cursor::End || pending >= AHEAD {
            return Ok(false);
        }
        let here = self.bucket(&job.name).ok();
        let Some(bucket) = here.filter(|bucket| bucket.entry.id == job.bucket) else {
            return self.fail_job(job, "its bucket is gone").await;
        };
        let went_on = match &job.new.manifest {
            Manifest::Generated(filter) => self.take_versions(job, &bucket, filter).await,
            Manifest::Listed(list) => self.take_lines(job, &bucket, list).await,
        };
        let pending = self.replication.pending_of(job.id);
        match went_on {
            Ok(true) => Ok(pending < AHEAD),
            Ok(false) => Ok(pending == 0),
            Err(error) if is_lasting(&error) => {
                let why = format!("its manifest: {}", error.reason());
                self.fail_job(job, &why).await
            }
            Err(error) => Err(error),
        }
    }

    /// Settles a job; if that can't be now, it takes as long as to try again is worth.
    async fn settle_in_time(&self, id: JobId) -> JobId {
        if let Err(error) = self.settle_job(id).await {
            tracing::warn!(job = %id, reason = error.reason(), "the end of a job waits");
            let again = self.config.environment.now().monotonic + REST;
            self.config.environment.sleep_until(again).await;
        }
        id
    }

    /// A job has failed, unless it is over. True: what it leaves is to be settled.
    async fn fail_job(&self, job: &Job, why: &str) -> Result<bool, ObjectError> {
        let Some(held) = self.read_job(job.id).await? else {
            return Ok(false);
        };
        let mut failed: Job = row::decode("a job", &held)?;
        if !failed.is_over() {
            failed.status = JobStatus::Failed;
            failed.failure = Some(why.to_owned());
            failed.ended = Some(self.wall());
            self.write_job(&held, &failed, Batch::new()).await?;
        }
        Ok(true)
    }

    /// Goes on through the bucket's versions, a turn's worth; false at the end.
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
        let page = snapshot.scan(Space::Objects, range, Direction::Forward, LOOKED_AT);
        let page = page.await?;
        let (mut taken, mut last) = (0, None);
        for entry in &page.entries {
            if taken == TAKEN {
                break;
            }
            last = Some(&entry.key);
            let version = ObjectVersion::decode(&entry.value)?;
            // What is older than the job alone: a job that writes into its own bucket ends.
            if filter.lets_through(&version) && version.stamp.last_modified() < job.created {
                let (key, _) = keys::split(&entry.key).ok_or_else(unreadable)?;
                let at = Cursor::Row(entry.key.clone());
                taken += 1;
                self.take(job, bucket, (&key, Some(version.id())), at, false)
                    .await?;
            }
        }
        let is_end = !page.more && last == page.entries.last().map(|entry| &entry.key);
        let cursor = match last.filter(|_| !is_end) {
            Some(row) => Cursor::Row(row.clone()),
            None => Cursor::End,
        };
        self.move_on(job, cursor).await?;
        Ok(!is_end)
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
            batch.require(Space::Objects, job_row(job.id), Some(held.clone()));
            batch.put(Space::Objects, job_row(job.id), row::encode(&after));
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
