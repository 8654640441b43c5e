//! A job's end: its report is written as S3 writes it, a list in CSV and a manifest in JSON that
//! names it, and its results go.

use std::collections::BTreeMap;
use std::fmt::Write;

use bytes::Bytes;
use serde_json::json;
use store::{Batch, Engine};
use types::Timestamp;

use super::run::is_lasting;
use super::{Job, JobId, JobResult, JobStatus, ReportPlace, Stage};
use crate::content::{Expected, Ingest, IngestOptions, Ingested};
use crate::notify::Origin;
use crate::{
    Bucket, Cause, Creation, Metadata, NewContent, NewObject, ObjectError, ObjectKey, Objects,
    WriteConditions, row,
};

/// A report, at most, in bytes: that of some ten million lines.
const LARGEST_REPORT: u64 = 2 << 30;

/// The columns of a report (S3 User Guide, "Batch Operations completion report").
const COLUMNS: &str =
    "Bucket, Key, VersionId, TaskStatus, ErrorCode, HTTPStatusCode, ResultMessage";

impl<E: Engine> Objects<E> {
    /// Settles a job of which everything has ended: its report is written, it is over, and its
    /// results go. If it isn't carried out to its end, it is begun anew.
    ///
    /// # Errors
    /// The disk is full, or has failed: it is to be tried again.
    pub(in crate::replication) async fn settle_job(&self, id: JobId) -> Result<(), ObjectError> {
        let Some(held) = self.read_job(id).await? else {
            return Ok(());
        };
        let job: Job = row::decode("a job", &held)?;
        if job.stage() == Stage::Open && !self.end_job(id).await? {
            return Ok(());
        }
        while self.forget_results(id).await? {}
        let Some(held) = self.read_job(id).await? else {
            return Ok(());
        };
        let mut job: Job = row::decode("a job", &held)?;
        job.stage = Some(Stage::Settled);
        self.write_job(&held, &job, Batch::new()).await.map(|_| ())
    }

    /// Counts and reports a job's results. False: it changed meanwhile.
    async fn end_job(&self, id: JobId) -> Result<bool, ObjectError> {
        while self.fold(id, true).await? {}
        let Some(held) = self.read_job(id).await? else {
            return Ok(false);
        };
        let mut job: Job = row::decode("a job", &held)?;
        self.report(&job).await?;
        if !job.is_over() {
            job.status = JobStatus::Complete;
            job.ended = Some(self.wall());
        }
        job.stage = Some(Stage::Reported);
        self.write_job(&held, &job, Batch::new()).await
    }

    /// Writes a job's report, if it is to have one: of a job that was stopped or has failed only
    /// if it came to do anything.
    async fn report(&self, job: &Job) -> Result<(), ObjectError> {
        let did_something = job.succeeded + job.failed > 0;
        let Some(place) = &job.new.report else {
            return Ok(());
        };
        if job.is_over() && !did_something {
            return Ok(());
        }
        match self.write_report(job, place).await {
            // Where it should go is gone, or closed to it: the job has ended all the same.
            Err(error) if is_lasting(&error) => {
                tracing::warn!(job = %job.id, reason = error.reason(), "a job's report is lost");
                Ok(())
            }
            written => written,
        }
    }

    async fn write_report(&self, job: &Job, place: &ReportPlace) -> Result<(), ObjectError> {
        let bucket = self.owned_bucket(&place.bucket, place.expected_owner)?;
        let mut ingest = self.begin_report();
        let mut after = None;
        while let Some((pack, results)) = self.pack_after(job.id, after).await? {
            let mut lines = String::new();
            for result in &results {
                if result.reason.is_some() || !place.failed_only {
                    write_line(&mut lines, job, result);
                }
            }
            ingest.push(Bytes::from(lines)).await?;
            after = Some(pack);
        }
        let ingested = ingest.finish(Vec::new()).await?;
        let md5 = ingested.extent.etag.clone();
        let folder = folder(job, place);
        let key = format!(
            "{folder}/results/{}.csv",
            hex(&job.id.0.to_be_bytes(), &md5)
        );
        self.put_report(job, &bucket, &key, ingested, "text/csv")
            .await?;
        let manifest = manifest(place, &key, &md5, self.wall()).to_string();
        let mut ingest = self.begin_report();
        ingest.push(Bytes::from(manifest)).await?;
        let ingested = ingest.finish(Vec::new()).await?;
        let key = format!("{folder}/manifest.json");
        self.put_report(job, &bucket, &key, ingested, "application/json")
            .await
    }

    fn begin_report(&self) -> Ingest {
        let options = IngestOptions {
            length: None,
            limit: LARGEST_REPORT,
            expected: Expected::default(),
            customer_key: None,
        };
        Ingest::new(&self.contents, options)
    }

    async fn put_report(
        &self,
        job: &Job,
        bucket: &Bucket,
        key: &str,
        ingested: Ingested,
        content_type: &str,
    ) -> Result<(), ObjectError> {
        let key: ObjectKey = key
            .parse()
            .map_err(|_| ObjectError::Internal("a report's key is too long".to_owned()))?;
        self.check_job_role(&job.new.role, "s3:PutObject", bucket, &key)?;
        let new = NewObject {
            owner: job.account,
            content: NewContent::Whole(ingested),
            metadata: Metadata {
                content_type: Some(content_type.to_owned()),
                ..Metadata::default()
            },
            storage_class: "STANDARD".to_owned(),
            tags: BTreeMap::new(),
            acl: None,
            retention: None,
            legal_hold: false,
            conditions: WriteConditions::default(),
            how: Creation::Put,
            cause: Cause::Request(Origin {
                principal: "batchoperations.s3.amazonaws.com".to_owned(),
                source_address: String::new(),
                request_id: String::new(),
                host_id: String::new(),
            }),
        };
        self.put(bucket, &key, new).await.map(|_| ())
    }
}

fn folder(job: &Job, place: &ReportPlace) -> String {
    match place.prefix.is_empty() {
        true => format!("job-{}", job.id),
        false => format!("{}/job-{}", place.prefix, job.id),
    }
}

/// A name that differs from report to report.
fn hex(id: &[u8], md5: &str) -> String {
    let mut name = String::new();
    for byte in &id[..4] {
        let _ = write!(name, "{byte:02x}");
    }
    name + md5
}

fn manifest(place: &ReportPlace, key: &str, md5: &str, created: Timestamp) -> serde_json::Value {
    json!({
        "Format": "Report_CSV_20180820",
        "ReportCreationDate": created.to_string(),
        "Results": [{
            "TaskExecutionStatus": "all",
            "Bucket": place.bucket.as_str(),
            "MD5Checksum": md5,
            "Key": key,
        }],
        "ReportSchema": COLUMNS,
    })
}

fn write_line(lines: &mut String, job: &Job, result: &JobResult) {
    let version = result.version.map(|version| version.to_string());
    let (status, code, http, message) = match &result.reason {
        None => ("succeeded", "", "200", "Successful".to_owned()),
        Some(reason) => ("failed", reason.as_str(), "", encoded(reason)),
    };
    let _ = writeln!(
        lines,
        "{},{},{},{status},{code},{http},{message}",
        job.name,
        encoded(&result.key),
        version.unwrap_or_default()
    );
}

/// Percent-encoded, so that no field has a comma, a quote or an end of line.
fn encoded(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' | b'/' => {
                out.push(char::from(byte));
            }
            other => {
                let _ = write!(out, "%{other:02X}");
            }
        }
    }
    out
}
