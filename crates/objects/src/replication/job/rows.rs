//! The rows of jobs and of their results. A task that ends leaves a result of its own, in the batch
//! that ends it; results are folded into packs and counted in the job's row, in one batch, so that
//! nobody who asks for a job reads all of them. They go once they are reported.

use std::ops::Bound;

use bytes::{BufMut, Bytes, BytesMut};
use store::{Batch, Direction, Engine, KeyRange, Snapshot, Space};

use super::{Job, JobId, JobResult, Stage};
use crate::keys::kind;
use crate::{ObjectError, Objects, row};

/// The row of a job is so long; those of its results go on.
const JOB_ROW: usize = 17;

/// Under this number, in the place of a site's, stand packs. Sites are numbered from 1 on.
const PACKS: u16 = 0;

/// Results that make a pack.
const PACK: usize = 256;

/// Packs that are made at a time, at most.
const MOST_PACKS: usize = 8;

/// Results in no pack that are counted for whoever asks, at most: more than there are, unless the
/// tasks of many destinations end at once.
const MOST_COUNTED: usize = 4_096;

/// Rows that are removed at a time.
const REMOVED: usize = 1_024;

/// The row of a job.
pub(super) fn job_row(id: JobId) -> Bytes {
    of_job(id).freeze()
}

/// The prefix of all rows of a job.
fn of_job(id: JobId) -> BytesMut {
    let mut key = BytesMut::with_capacity(27);
    key.put_u8(kind::JOB);
    key.put_u128(id.0);
    key
}

/// The row of the result of a task: `place`, a site's number and a task's, is unique in its job.
pub(in crate::replication) fn result_row(id: JobId, place: (u16, u64)) -> Bytes {
    let mut key = of_job(id);
    key.put_u16(place.0);
    key.put_u64(place.1);
    key.freeze()
}

/// The results of a job that are in no pack.
fn loose(id: JobId) -> KeyRange {
    KeyRange {
        start: Bound::Included(result_row(id, (PACKS + 1, 0))),
        ..KeyRange::prefix(&of_job(id))
    }
}

/// The packs of a job after the one of that row.
fn packs(id: JobId, after: Option<Bytes>) -> KeyRange {
    KeyRange {
        start: match after {
            Some(row) => Bound::Excluded(row),
            None => Bound::Included(result_row(id, (PACKS, 0))),
        },
        end: Bound::Excluded(result_row(id, (PACKS + 1, 0))),
    }
}

/// Which job a row is of.
fn job_of(key: &[u8]) -> Option<JobId> {
    let id = key.get(1..JOB_ROW)?;
    Some(JobId(u128::from_be_bytes(id.try_into().ok()?)))
}

impl<E: Engine> Objects<E> {
    /// The jobs there are, in the order of their ids; none: there are results of a job that is
    /// forgotten. One read a job, however many results it has.
    ///
    /// # Errors
    /// `Internal`: a row can't be read.
    pub(super) async fn job_rows(&self) -> Result<Vec<(JobId, Option<Job>)>, ObjectError> {
        let mut jobs = Vec::new();
        let snapshot = self.engine.snapshot();
        let mut range = KeyRange::prefix(&[kind::JOB]);
        loop {
            let page = snapshot.scan(Space::Objects, range.clone(), Direction::Forward, 1);
            let page = page.await?;
            let Some(entry) = page.entries.first() else {
                return Ok(jobs);
            };
            let id = job_of(&entry.key).ok_or_else(strange)?;
            let job = match entry.key.len() {
                JOB_ROW => Some(row::decode("a job", &entry.value)?),
                _ => None,
            };
            jobs.push((id, job));
            // Past the job's results.
            range.start = match KeyRange::prefix(&of_job(id)).end {
                Bound::Excluded(end) => Bound::Included(end),
                _ => return Ok(jobs),
            };
        }
    }

    pub(super) async fn read_job(&self, id: JobId) -> Result<Option<Bytes>, ObjectError> {
        let row = job_row(id);
        Ok(self.engine.snapshot().get(Space::Objects, &row).await?)
    }

    /// Writes a job's row over the one that was read, with what belongs to it; false if the row
    /// is another by now.
    pub(super) async fn write_job(
        &self,
        held: &Bytes,
        job: &Job,
        mut batch: Batch,
    ) -> Result<bool, ObjectError> {
        batch.require(Space::Objects, job_row(job.id), Some(held.clone()));
        batch.put(Space::Objects, job_row(job.id), row::encode(job));
        match self.engine.commit(batch).await {
            Ok(_) => Ok(true),
            Err(store::CommitError::Precondition(_)) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    /// Counts the results of a job that no pack has, as far as it is told of.
    pub(super) async fn count_loose(&self, job: &mut Job) -> Result<(), ObjectError> {
        if job.stage() != Stage::Open {
            return Ok(());
        }
        let snapshot = self.engine.snapshot();
        let forward = Direction::Forward;
        let page = snapshot.scan(Space::Objects, loose(job.id), forward, MOST_COUNTED);
        for entry in page.await?.entries {
            job.count(&row::decode("a job's result", &entry.value)?);
        }
        Ok(())
    }

    /// Folds results of a job into packs, a few at a time: whole ones, or all that are `left`
    /// too. True: there are more.
    pub(super) async fn fold(&self, id: JobId, left: bool) -> Result<bool, ObjectError> {
        for _ in 0..MOST_PACKS {
            if !self.fold_one(id, left).await? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    async fn fold_one(&self, id: JobId, left: bool) -> Result<bool, ObjectError> {
        let Some(held) = self.read_job(id).await? else {
            return Ok(false);
        };
        let mut job: Job = row::decode("a job", &held)?;
        let snapshot = self.engine.snapshot();
        let page = snapshot.scan(Space::Objects, loose(id), Direction::Forward, PACK);
        let page = page.await?;
        let fewest = if left { 1 } else { PACK };
        if page.entries.len() < fewest {
            return Ok(false);
        }
        let mut batch = Batch::new();
        let mut pack: Vec<JobResult> = Vec::with_capacity(page.entries.len());
        for entry in page.entries {
            let result = row::decode("a job's result", &entry.value)?;
            job.count(&result);
            pack.push(result);
            batch.delete(Space::Objects, entry.key);
        }
        let place = result_row(id, (PACKS, job.packs));
        batch.put(Space::Objects, place, row::encode(&pack));
        job.packs += 1;
        // If the row is another by now, there is as much left as before.
        Ok(!self.write_job(&held, &job, batch).await? || page.more)
    }

    /// The results of the pack after that row, and its row; none: there are no more.
    pub(super) async fn pack_after(
        &self,
        id: JobId,
        after: Option<Bytes>,
    ) -> Result<Option<(Bytes, Vec<JobResult>)>, ObjectError> {
        let snapshot = self.engine.snapshot();
        let page = snapshot.scan(Space::Objects, packs(id, after), Direction::Forward, 1);
        let found = page.await?.entries.into_iter().next();
        let found = found.map(|entry| {
            let results = row::decode("results of a job", &entry.value)?;
            Ok((entry.key, results))
        });
        found.transpose()
    }

    /// Removes results of a job, some at a time. True: there are more.
    pub(super) async fn forget_results(&self, id: JobId) -> Result<bool, ObjectError> {
        let mut range = KeyRange::prefix(&of_job(id));
        range.start = Bound::Excluded(job_row(id));
        let snapshot = self.engine.snapshot();
        let page = snapshot.scan(Space::Objects, range, Direction::Forward, REMOVED);
        let page = page.await?;
        let mut batch = Batch::new();
        for entry in page.entries {
            batch.delete(Space::Objects, entry.key);
        }
        if !batch.is_empty() {
            self.engine.commit(batch).await?;
        }
        Ok(page.more)
    }
}

fn strange() -> ObjectError {
    ObjectError::Internal("a row is of no job".to_owned())
}
