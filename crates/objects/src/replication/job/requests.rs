//! Jobs as users ask for them: made, told of, confirmed and stopped. A job is its account's alone.

use store::{Batch, Engine, Space};
use types::AccountId;

use super::rows::job_row;
use super::run::MAX_ATTEMPTS;
use super::{Cursor, Job, JobId, JobStatus, Manifest, NewJob, Stage};
use crate::keys::kind;
use crate::{Bucket, BucketName, ObjectError, Objects, row};

/// Jobs that are kept: what came before is forgotten with the next one (S3 keeps them 90 days).
const MOST_JOBS: usize = 1_000;

impl<E: Engine> Objects<E> {
    /// Makes a job, or finds the one that the same request made.
    ///
    /// # Errors
    /// The bucket isn't here, isn't whose it should be, or replicates nothing; its list isn't
    /// here, or is another one; there are too many jobs.
    pub async fn create_job(&self, new: NewJob) -> Result<Job, ObjectError> {
        let bucket = self.job_source(&new).await?;
        if bucket.settings.replication.is_none() {
            return Err(ObjectError::refused(
                "InvalidRequest",
                "The source bucket has no replication configuration.",
            ));
        }
        if let Some(place) = &new.report {
            self.owned_bucket(&place.bucket, place.expected_owner)?;
        }
        // Of requests that come at once with one token the first makes the job.
        let _alone = self.locks.lock(&[kind::JOB]).await;
        let jobs = self.job_rows().await?;
        let jobs: Vec<Job> = jobs.into_iter().filter_map(|(_, job)| job).collect();
        let account = bucket.entry.owner;
        let same = |job: &&Job| {
            !new.token.is_empty() && job.new.token == new.token && job.account == account
        };
        if let Some(job) = jobs.iter().find(same) {
            let mut job = job.clone();
            self.count_loose(&mut job).await?;
            return Ok(job);
        }
        let mut batch = Batch::new();
        if jobs.len() >= MOST_JOBS {
            // One whose results are still there would leave them behind.
            let settled = jobs.iter().filter(|job| job.stage() == Stage::Settled);
            let oldest = settled.min_by_key(|job| job.created);
            let oldest = oldest.ok_or_else(|| {
                ObjectError::refused(
                    "TooManyRequestsException",
                    "There are too many jobs under way.",
                )
            })?;
            batch.delete(Space::Objects, job_row(oldest.id));
        }
        let job = self.new_job(new, &bucket);
        batch.put(Space::Objects, job_row(job.id), row::encode(&job));
        self.engine.commit(batch).await?;
        self.replication.job_bell.notify(usize::MAX);
        Ok(job)
    }

    fn new_job(&self, new: NewJob, bucket: &Bucket) -> Job {
        let random = || u128::from(self.config.environment.random());
        Job {
            id: JobId(random() << 64 | random()),
            account: bucket.entry.owner,
            bucket: bucket.entry.id,
            name: bucket.name.clone(),
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
            packs: 0,
            stage: Some(Stage::Open),
            new,
        }
    }

    /// The source bucket of a job that is to be made.
    ///
    /// # Errors
    /// It isn't here; the list can't be read, is another one, or names none; `AccessDenied`: the
    /// job's role may not read it, or the bucket isn't whose it should be.
    pub async fn job_source(&self, new: &NewJob) -> Result<Bucket, ObjectError> {
        let named = match (&new.bucket, &new.manifest) {
            (Some(named), _) => Some(named.clone()),
            (None, Manifest::Listed(list)) => self.listed_bucket(&new.role, list).await?,
            (None, Manifest::Generated(_)) => None,
        };
        let named = named.ok_or_else(|| {
            ObjectError::refused("InvalidRequest", "The manifest names no bucket of objects")
        })?;
        self.owned_bucket(&named, new.expected_owner)
    }

    /// A bucket of this Region, if it is whose it should be (`ExpectedBucketOwner`).
    ///
    /// # Errors
    /// It isn't here; `AccessDenied`: it is another account's.
    pub(super) fn owned_bucket(
        &self,
        name: &BucketName,
        expected: Option<AccountId>,
    ) -> Result<Bucket, ObjectError> {
        let bucket = self.bucket(name)?;
        match expected.is_none_or(|expected| expected == bucket.entry.owner) {
            true => Ok(bucket),
            false => Err(ObjectError::AccessDenied("Access Denied".to_owned())),
        }
    }

    /// Every job of an account in this Region, as it stands; oldest first.
    ///
    /// # Errors
    /// `Internal`: a row can't be read.
    pub async fn jobs(&self, account: AccountId) -> Result<Vec<Job>, ObjectError> {
        let jobs = self.job_rows().await?;
        let mut jobs: Vec<Job> = jobs.into_iter().filter_map(|(_, job)| job).collect();
        jobs.retain(|job| job.account == account);
        for job in &mut jobs {
            self.count_loose(job).await?;
        }
        jobs.sort_by_key(|job| (job.created, job.id));
        Ok(jobs)
    }

    /// A job of an account, as it stands.
    ///
    /// # Errors
    /// `NoSuchJob`, also of another account's.
    pub async fn job(&self, account: AccountId, id: JobId) -> Result<Job, ObjectError> {
        let held = self.read_job(id).await?.ok_or_else(no_such_job)?;
        let mut job: Job = row::decode("a job", &held)?;
        if job.account != account {
            return Err(no_such_job());
        }
        self.count_loose(&mut job).await?;
        Ok(job)
    }

    /// Stops a job: what it has begun goes on, and is reported when it has ended.
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
}

fn no_such_job() -> ObjectError {
    ObjectError::refused_with(404, "NoSuchJob", "The specified job does not exist.")
}
