//! Batch replication: jobs that replicate versions which rules choose and which went nowhere: those
//! from before the rules, those that failed, replicas of other buckets, or all that are listed (S3
//! User Guide, "Replicating existing objects with Batch Replication"). A job is a row; it goes on
//! after a crash where it was, and ends with a report.

mod manifest;
mod report;
mod requests;
mod rows;
mod run;

pub(super) use rows::result_row;

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use bytes::Bytes;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use types::{AccountId, Timestamp};

use crate::{BucketId, BucketName, ObjectKey, VersionId};

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
    /// `ExpectedBucketOwner` of the generator: whose the source bucket must be.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expected_owner: Option<AccountId>,
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
    Listed(List),
}

/// A list of what is to be replicated: an object that users have written.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct List {
    /// The bucket of the list: of this Region.
    pub bucket: BucketName,
    /// Its key.
    pub key: ObjectKey,
    /// Its version; none: the current one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<VersionId>,
    /// Its entity tag, without quotes: a list that has another one is not the job's. Rows of
    /// before have none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub etag: Option<String>,
    /// Is the third field of a line the id of a version? Rows of before don't say: it is.
    #[serde(default = "has_versions")]
    pub has_versions: bool,
}

/// What lists of before have.
fn has_versions() -> bool {
    true
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
    /// `ExpectedBucketOwner`: whose it must be.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expected_owner: Option<AccountId>,
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
    /// How many packs of its results there are: those are counted above.
    #[serde(default)]
    packs: u64,
    /// What became of its results; none in rows of before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    stage: Option<Stage>,
}

/// What became of a job's results.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Stage {
    /// They come in.
    Open,
    /// All are in, counted and reported: their rows are to go.
    Reported,
    /// Their rows are gone.
    Settled,
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

impl Job {
    /// Has it ended?
    pub fn is_over(&self) -> bool {
        !matches!(self.status, JobStatus::Suspended | JobStatus::Active)
    }

    /// What became of its results. Of rows of before those that are complete were reported.
    fn stage(&self) -> Stage {
        self.stage.unwrap_or(match self.status {
            JobStatus::Complete => Stage::Reported,
            _ => Stage::Open,
        })
    }

    fn count(&mut self, result: &JobResult) {
        match result.reason {
            None => self.succeeded += 1,
            Some(_) => self.failed += 1,
        }
    }
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
