//! The documents that tell of jobs, as S3 Control's model has them.

use aws::xml::XmlWriter;
use bytes::Bytes;
use objects::replication::{FilterStatus, Job, JobId, Manifest};
use types::Timestamp;

/// The namespace of S3 Control.
const NAMESPACE: &str = "http://awss3control.amazonaws.com/doc/2018-08-20/";

/// `CreateJobResult`.
pub(super) fn created(job: &Job) -> Bytes {
    let mut writer = XmlWriter::document("CreateJobResult", NAMESPACE);
    writer.value("JobId", job.id);
    writer.finish()
}

/// `UpdateJobStatusResult`.
pub(super) fn updated(job: &Job) -> Bytes {
    let mut writer = XmlWriter::document("UpdateJobStatusResult", NAMESPACE);
    writer.value("JobId", job.id);
    writer.value("Status", format!("{:?}", job.status));
    writer.finish()
}

/// `ListJobsResult`.
pub(super) fn list(jobs: &[&Job], next: Option<JobId>) -> Bytes {
    let mut writer = XmlWriter::document("ListJobsResult", NAMESPACE);
    writer.optional("NextToken", next);
    writer.open("Jobs");
    for job in jobs {
        writer.open("member");
        facts(&mut writer, job);
        writer.value("Operation", "S3ReplicateObject");
        writer.close();
    }
    writer.finish()
}

/// `DescribeJobResult`.
pub(super) fn describe(job: &Job, arn: String) -> Bytes {
    let mut writer = XmlWriter::document("DescribeJobResult", NAMESPACE);
    writer.open("Job");
    facts(&mut writer, job);
    writer.value("ConfirmationRequired", job.new.confirm);
    writer.value("JobArn", arn);
    writer
        .open("Operation")
        .open("S3ReplicateObject")
        .close()
        .close();
    manifest(&mut writer, job);
    if let Some(failure) = &job.failure {
        writer.open("FailureReasons").open("member");
        writer.value("FailureCode", "JobFailed");
        writer.value("FailureReason", failure);
        writer.close().close();
    }
    writer.open("Report");
    writer.value("Enabled", job.new.report.is_some());
    if let Some(place) = &job.new.report {
        writer.value("Bucket", place.bucket.arn());
        writer.value("Format", "Report_CSV_20180820");
        writer.value("Prefix", &place.prefix);
        let scope = match place.failed_only {
            true => "FailedTasksOnly",
            false => "AllTasks",
        };
        writer.value("ReportScope", scope);
        writer.optional("ExpectedBucketOwner", place.expected_owner);
    }
    writer.close();
    writer.value("RoleArn", &job.new.role);
    writer.finish()
}

/// What lists and descriptions both tell.
fn facts(writer: &mut XmlWriter, job: &Job) {
    writer.value("JobId", job.id);
    writer.optional("Description", job.new.description.as_ref());
    writer.value("Priority", job.new.priority);
    writer.value("Status", format!("{:?}", job.status));
    writer.value("CreationTime", time(job.created));
    writer.optional("TerminationDate", job.ended.map(time));
    writer.open("ProgressSummary");
    writer.value("TotalNumberOfTasks", job.total);
    writer.value("NumberOfTasksSucceeded", job.succeeded);
    writer.value("NumberOfTasksFailed", job.failed);
    writer.close();
}

fn manifest(writer: &mut XmlWriter, job: &Job) {
    match &job.new.manifest {
        Manifest::Generated(filter) => {
            writer
                .open("ManifestGenerator")
                .open("S3JobManifestGenerator");
            writer.optional("ExpectedBucketOwner", job.new.expected_owner);
            writer.value("SourceBucket", job.name.arn());
            writer.open("Filter");
            writer.value("EligibleForReplication", true);
            writer.optional("CreatedAfter", filter.created_after.map(time));
            writer.optional("CreatedBefore", filter.created_before.map(time));
            if !filter.statuses.is_empty() {
                writer.open("ObjectReplicationStatuses");
                for status in &filter.statuses {
                    writer.value("member", status_name(*status));
                }
                writer.close();
            }
            writer.close();
            writer.value("EnableManifestOutput", false);
            writer.close().close();
        }
        Manifest::Listed(list) => {
            writer.open("Manifest").open("Spec");
            writer.value("Format", "S3BatchOperations_CSV_20180820");
            writer.open("Fields");
            writer.value("member", "Bucket").value("member", "Key");
            if list.has_versions {
                writer.value("member", "VersionId");
            }
            writer.close().close().open("Location");
            writer.value("ObjectArn", format!("{}/{}", list.bucket.arn(), list.key));
            writer.optional("ObjectVersionId", list.version);
            writer.optional("ETag", list.etag.as_ref());
            writer.close().close();
        }
    }
}

fn status_name(status: FilterStatus) -> &'static str {
    match status {
        FilterStatus::None => "NONE",
        FilterStatus::Failed => "FAILED",
        FilterStatus::Completed => "COMPLETED",
        FilterStatus::Replica => "REPLICA",
    }
}

/// In seconds, as RFC 3339 has it.
fn time(time: Timestamp) -> String {
    time.to_string()
}
