//! Batch replication: jobs that replicate versions which rules choose and which went nowhere: those
//! from before the rules, those that failed, replicas of other buckets, or all that are listed (S3
//! User Guide, "Replicating existing objects with Batch Replication"). A job is a row; it goes on
//! after a crash where it was, and ends with a report.

mod manifest;
mod report;
mod run;

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use bytes::{BufMut, Bytes, BytesMut};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use store::{Batch, Direction, Engine, KeyRange, Snapshot, Space};
use types::{AccountId, Timestamp};

use crate::keys::kind;
use crate::{Bucket, BucketId, BucketName, ObjectError, ObjectKey, Objects, VersionId, row};

/// Which job: 128 random bits, told as a UUID.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct JobId(pub u128);

/// The text is no job's id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("no job has such an id")]
pub struct InvalidJobId;

/// A job to be made.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct NewJob {
    /// The source bucket: of this Region, with a replication configuration. None: the one whose
    /// objects the list names.
    pub bucket: Option<BucketName>,
    /// The role that begins each replication (`s3:InitiateReplication`); the configuration's role
    /// carries it out.
    pub role: String,
    /// What is to be replicated.
    pub manifest: Manifest,
    /// Where the report goes; none: there is none.
    pub report: Option<ReportPlace>,
    /// The job's description, of 256 characters at most.
    pub description: Option<String>,
    /// Its priority: kept and told; jobs go beside each other.
    pub priority: i32,
    /// Does it wait to be confirmed?
    pub confirm: bool,
    /// `ClientRequestToken`: a repeated request makes no second job.
    pub token: String,
}

/// What is to be replicated.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Manifest {
    /// Every version of the bucket that rules choose and that this lets through.
    Generated(JobFilter),
    /// A list, in CSV: bucket, key (percent-encoded), and perhaps version id.
    Listed {
        /// The bucket of the list.
        bucket: BucketName,
        /// Its key.
        key: ObjectKey,
    },
}

/// What a generated manifest has.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct JobFilter {
    /// How replication of a version may stand; empty: anyhow.
    pub statuses: BTreeSet<FilterStatus>,
    /// Made after this.
    pub created_after: Option<Timestamp>,
    /// Made before this.
    pub created_before: Option<Timestamp>,
}

/// How replication of a version stands, as filters have it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum FilterStatus {
    /// It was never to be replicated.
    None,
    /// It has failed.
    Failed,
    /// It is done.
    Completed,
    /// It is a replica itself.
    Replica,
}

/// Where a report goes.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct ReportPlace {
    /// The bucket: of this Region.
    pub bucket: BucketName,
    /// What its keys begin with.
    pub prefix: String,
    /// Failures alone?
    pub failed_only: bool,
}

/// How a job stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum JobStatus {
    /// It waits to be confirmed.
    Suspended,
    /// Under way.
    Active,
    /// It is over, its report written.
    Complete,
    /// It was stopped; what it had begun goes on.
    Cancelled,
    /// It can't go on: its bucket or its list is gone.
    Failed,
}

/// A job as it stands: its row.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Job {
    /// Which.
    pub id: JobId,
    /// What was asked for.
    pub new: NewJob,
    /// The account that it is of: the source bucket's owner. Nobody else is told of it.
    pub account: AccountId,
    /// The source bucket.
    pub bucket: BucketId,
    /// Its name.
    pub name: BucketName,
    /// How it stands.
    pub status: JobStatus,
    /// Why it failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<String>,
    /// When it was made.
    pub created: Timestamp,
    /// When it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended: Option<Timestamp>,
    /// Tasks so far: a version counts once a destination.
    pub total: u64,
    /// Those that succeeded; of a job under way as far as is known.
    pub succeeded: u64,
    /// Those that failed.
    pub failed: u64,
    /// How far its manifest was gone through.
    #[serde(default)]
    cursor: Cursor,
}

/// How far a manifest was gone through.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Cursor {
    /// Not at all.
    #[default]
    Begin,
    /// Up to the version of this row.
    Row(#[serde(with = "crate::version::base64_bytes")] Bytes),
    /// Up to this byte of the list.
    Byte(u64),
    /// To its end.
    End,
}

/// How a task of a job ended.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(super) struct JobResult {
    /// The key.
    pub key: String,
    /// The version, if one was found or named.
    pub version: Option<VersionId>,
    /// Why it failed; none: it succeeded.
    pub reason: Option<String>,
}

impl fmt::Display for JobId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digits = format!("{:032x}", self.0);
        let (a, b, c) = (&digits[..8], &digits[8..12], &digits[12..16]);
        write!(f, "{a}-{b}-{c}-{}-{}", &digits[16..20], &digits[20..])
    }
}

impl FromStr for JobId {
    type Err = InvalidJobId;

    fn from_str(text: &str) -> Result<JobId, InvalidJobId> {
        let digits: String = text.chars().filter(|digit| *digit != '-').collect();
        let number = u128::from_str_radix(&digits, 16).map(JobId);
        let id = number.map_err(|_| InvalidJobId)?;
        match id.to_string() == text {
            true => Ok(id),
            false => Err(InvalidJobId),
        }
    }
}

impl Serialize for JobId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for JobId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<JobId, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// Rows of jobs end here; rows of their results go on.
const JOB_ROW: usize = 17;

/// The row of a job.
fn job_row(id: JobId) -> Bytes {
    results(id).freeze()
}

/// The prefix of the rows of a job's results.
fn results(id: JobId) -> BytesMut {
    let mut key = BytesMut::with_capacity(27);
    key.put_u8(kind::JOB);
    key.put_u128(id.0);
    key
}

/// The row of the result of a task: `place` is unique in its job.
pub(super) fn result_row(id: JobId, place: (u16, u64)) -> Bytes {
    let mut key = results(id);
    key.put_u16(place.0);
    key.put_u64(place.1);
    key.freeze()
}

/// How often a job's row is written anew on others' changes before it is given up.
const MAX_ATTEMPTS: usize = 16;

/// Jobs that are kept: what came before is forgotten with the next one (S3 keeps them 90 days).
const MOST_JOBS: usize = 1_000;

impl<E: Engine> Objects<E> {
    /// Makes a job, or finds the one that the same request made.
    ///
    /// # Errors
    /// The bucket isn't here or replicates nothing; its list isn't here; there are too many jobs.
    pub async fn create_job(&self, new: NewJob) -> Result<Job, ObjectError> {
        let bucket = self.job_source(&new).await?;
        if bucket.settings.replication.is_none() {
            return Err(ObjectError::refused(
                "InvalidRequest",
                "The source bucket has no replication configuration.",
            ));
        }
        if let Some(place) = &new.report {
            self.bucket(&place.bucket)?;
        }
        let jobs = self.all_jobs().await?;
        let account = bucket.entry.owner;
        let same = |job: &&Job| {
            !new.token.is_empty() && job.new.token == new.token && job.account == account
        };
        if let Some(job) = jobs.iter().find(same) {
            return Ok(job.clone());
        }
        let waiting = jobs.iter().filter(|job| !job.is_over());
        if jobs.len() >= MOST_JOBS && waiting.count() == jobs.len() {
            return Err(ObjectError::refused(
                "TooManyRequestsException",
                "There are too many jobs under way.",
            ));
        }
        let random = || u128::from(self.config.environment.random());
        let job = Job {
            id: JobId(random() << 64 | random()),
            account,
            bucket: bucket.entry.id,
            name: bucket.name,
            status: match new.confirm {
                true => JobStatus::Suspended,
                false => JobStatus::Active,
            },
            failure: None,
            created: self.wall(),
            ended: None,
            total: 0,
            succeeded: 0,
            failed: 0,
            cursor: Cursor::Begin,
            new,
        };
        let mut batch = Batch::new();
        let ended = jobs.iter().filter(|job| job.is_over());
        if jobs.len() >= MOST_JOBS
            && let Some(oldest) = ended.min_by_key(|job| job.created)
        {
            batch.delete(Space::Objects, job_row(oldest.id));
        }
        batch.put(Space::Objects, job_row(job.id), row::encode(&job));
        self.engine.commit(batch).await?;
        self.replication.job_bell.notify(usize::MAX);
        Ok(job)
    }

    /// The source bucket of a job that is to be made.
    ///
    /// # Errors
    /// It isn't here; the list can't be read, or names none; `AccessDenied`: the job's role may
    /// not read it.
    pub async fn job_source(&self, new: &NewJob) -> Result<Bucket, ObjectError> {
        let named = match (&new.bucket, &new.manifest) {
            (Some(named), _) => Some(named.clone()),
            (None, Manifest::Listed { bucket, key }) => {
                self.listed_bucket(&new.role, bucket, key).await?
            }
            (None, Manifest::Generated(_)) => None,
        };
        let named = named.ok_or_else(|| {
            ObjectError::refused("InvalidRequest", "The manifest names no bucket of objects")
        })?;
        self.bucket(&named)
    }

    /// Every job of an account in this Region, as it stands; oldest first.
    ///
    /// # Errors
    /// `Internal`: a row can't be read.
    pub async fn jobs(&self, account: AccountId) -> Result<Vec<Job>, ObjectError> {
        let mut jobs = self.all_jobs().await?;
        jobs.retain(|job| job.account == account);
        Ok(jobs)
    }

    async fn all_jobs(&self) -> Result<Vec<Job>, ObjectError> {
        let mut jobs: Vec<Job> = Vec::new();
        let snapshot = self.engine.snapshot();
        let mut range = KeyRange::prefix(&[kind::JOB]);
        loop {
            let page = snapshot.scan(Space::Objects, range.clone(), Direction::Forward, 256);
            let page = page.await?;
            for entry in &page.entries {
                match (entry.key.len(), jobs.last_mut()) {
                    (JOB_ROW, _) => jobs.push(row::decode("a job", &entry.value)?),
                    // Results of a job that was forgotten are nobody's.
                    (_, Some(job))
                        if !job.is_counted() && entry.key.starts_with(&job_row(job.id)) =>
                    {
                        let result: JobResult = row::decode("a job's result", &entry.value)?;
                        job.count(&result);
                    }
                    _ => {}
                }
            }
            match page.entries.last() {
                Some(last) if page.more => {
                    range.start = std::ops::Bound::Excluded(last.key.clone());
                }
                _ => break,
            }
        }
        jobs.sort_by_key(|job| (job.created, job.id));
        Ok(jobs)
    }

    /// A job of an account, as it stands.
    ///
    /// # Errors
    /// `NoSuchJob`, also of another account's.
    pub async fn job(&self, account: AccountId, id: JobId) -> Result<Job, ObjectError> {
        let jobs = self.jobs(account).await?;
        let found = jobs.into_iter().find(|job| job.id == id);
        found.ok_or_else(no_such_job)
    }

    /// Stops a job: what it has begun goes on.
    ///
    /// # Errors
    /// `NoSuchJob`; `JobStatusException` of one that is over.
    pub async fn cancel_job(&self, account: AccountId, id: JobId) -> Result<Job, ObjectError> {
        self.change_job((account, id), |job| !job.is_over(), JobStatus::Cancelled)
            .await
    }

    /// Confirms a job that waits for it.
    ///
    /// # Errors
    /// `NoSuchJob`; `JobStatusException` of one that doesn't wait.
    pub async fn confirm_job(&self, account: AccountId, id: JobId) -> Result<Job, ObjectError> {
        let waits = |job: &Job| job.status == JobStatus::Suspended;
        self.change_job((account, id), waits, JobStatus::Active)
            .await
    }

    async fn change_job(
        &self,
        (account, id): (AccountId, JobId),
        may: impl Fn(&Job) -> bool,
        status: JobStatus,
    ) -> Result<Job, ObjectError> {
        for _ in 0..MAX_ATTEMPTS {
            let Some(held) = self.read_job(id).await? else {
                return Err(no_such_job());
            };
            let mut job: Job = row::decode("a job", &held)?;
            if job.account != account {
                return Err(no_such_job());
            }
            if !may(&job) {
                return Err(ObjectError::refused(
                    "JobStatusException",
                    format!("The job is {:?}: it can't become {status:?}.", job.status),
                ));
            }
            job.status = status;
            job.ended = job.is_over().then(|| self.wall());
            if self.write_job(&held, &job, Batch::new()).await? {
                self.replication.job_bell.notify(usize::MAX);
                return Ok(job);
            }
        }
        Err(crate::write::contended())
    }

    /// The jobs that are under way, their results not counted.
    async fn active_jobs(&self) -> Result<Vec<Job>, ObjectError> {
        let mut jobs = Vec::new();
        let snapshot = self.engine.snapshot();
        let mut range = KeyRange::prefix(&[kind::JOB]);
        loop {
            let page = snapshot.scan(Space::Objects, range.clone(), Direction::Forward, 1);
            let page = page.await?;
            let Some(entry) = page.entries.first() else {
                return Ok(jobs);
            };
            let of_job = entry.key.get(..JOB_ROW).unwrap_or(&entry.key);
            if entry.key.len() == JOB_ROW {
                let job: Job = row::decode("a job", &entry.value)?;
                if job.status == JobStatus::Active {
                    jobs.push(job);
                }
            }
            // Past the job's results.
            range.start = match KeyRange::prefix(of_job).end {
                std::ops::Bound::Excluded(end) => std::ops::Bound::Included(end),
                _ => return Ok(jobs),
            };
        }
    }

    async fn read_job(&self, id: JobId) -> Result<Option<Bytes>, ObjectError> {
        let row = job_row(id);
        Ok(self.engine.snapshot().get(Space::Objects, &row).await?)
    }

    /// Writes a job's row over the one that was read, with what belongs to it; false if the row
    /// is another by now.
    async fn write_job(
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
}

impl Job {
    /// Has it ended?
    pub fn is_over(&self) -> bool {
        !matches!(self.status, JobStatus::Suspended | JobStatus::Active)
    }

    /// Are its results counted for good?
    fn is_counted(&self) -> bool {
        self.status == JobStatus::Complete
    }

    fn count(&mut self, result: &JobResult) {
        match result.reason {
            None => self.succeeded += 1,
            Some(_) => self.failed += 1,
        }
    }
}

fn no_such_job() -> ObjectError {
    ObjectError::refused_with(404, "NoSuchJob", "The specified job does not exist.")
}
