//! Batch replication: what jobs take on, and what their reports say.

use super::lab::{Lab, ROLE, rule};
use super::{FilterStatus, Job, JobFilter, JobStatus, Manifest, NewJob, ReportPlace};
use types::AccountId;

use crate::content::CustomerKey;
use crate::{ObjectError, ReplicationStatus};

/// A customer's key and its MD5, in base64.
const CUSTOMER: (&str, &str) = (
    "BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc=",
    "y4HAEFCYWuvAXWFTtA1Qpg==",
);

fn pair(seed: u64) -> Lab {
    let lab = Lab::new(seed, 2);
    lab.make_bucket(0, "one");
    lab.make_bucket(0, "reports");
    lab.make_bucket(1, "two");
    lab
}

fn job(manifest: Manifest) -> NewJob {
    NewJob {
        bucket: match manifest {
            Manifest::Generated(_) => Some("one".parse().unwrap()),
            Manifest::Listed { .. } => None,
        },
        role: ROLE.to_owned(),
        manifest,
        report: Some(ReportPlace {
            bucket: "reports".parse().unwrap(),
            prefix: "batch".to_owned(),
            failed_only: false,
        }),
        description: None,
        priority: 1,
        confirm: false,
        token: "t".to_owned(),
    }
}

fn generated(statuses: &[FilterStatus]) -> Manifest {
    Manifest::Generated(JobFilter {
        statuses: statuses.iter().copied().collect(),
        ..JobFilter::default()
    })
}

/// Makes a job, and lets it run to its end.
fn run(lab: &mut Lab, new: NewJob) -> Job {
    lab.advance(types::Span::milliseconds(5));
    let job = lab.at(0, async |objects| objects.create_job(new).await.unwrap());
    for _ in 0..20 {
        lab.at(0, async |objects| objects.run_jobs_once().await.unwrap());
        lab.settle();
        let now = lab.at(0, async |objects| {
            objects.job(AccountId::LAB, job.id).await.unwrap()
        });
        if now.status != JobStatus::Active {
            return now;
        }
    }
    panic!("the job doesn't end");
}

/// The lines of a job's report, without the versions' ids.
fn report(lab: &Lab, job: &Job) -> Vec<String> {
    let folder = format!("batch/job-{}", job.id);
    let manifest = lab
        .find(0, "reports", &format!("{folder}/manifest.json"), None)
        .unwrap();
    let manifest = lab
        .read(0, "reports", &format!("{folder}/manifest.json"), &manifest)
        .unwrap();
    let manifest: serde_json::Value = serde_json::from_slice(&manifest).unwrap();
    let key = manifest["Results"][0]["Key"].as_str().unwrap();
    let results = lab.find(0, "reports", key, None).unwrap();
    let text = lab.read(0, "reports", key, &results).unwrap();
    let text = String::from_utf8(text).unwrap();
    let shorten = |line: &str| {
        let fields: Vec<&str> = line.split(',').collect();
        format!("{} {} {}", fields[1], fields[3], fields[4])
            .trim_end()
            .to_owned()
    };
    let mut lines: Vec<String> = text.lines().map(shorten).collect();
    lines.sort();
    lines
}

fn status(lab: &Lab, at: usize, bucket: &str, key: &str) -> Option<ReplicationStatus> {
    lab.find(at, bucket, key, None)
        .unwrap()
        .replication_status()
}

#[test]
fn what_was_there_before_the_rules_goes_by_a_job_and_its_report_says_so() {
    let mut lab = pair(1);
    lab.put(0, "one", "a b", b"1");
    lab.put(0, "one", "c", &[7; 100_000]);
    lab.delete(0, "one", "d", None);
    lab.replicate(0, "one", vec![rule("all", 1, "two")]);
    lab.put(0, "one", "live", b"3");
    lab.settle();
    let ended = run(&mut lab, job(generated(&[FilterStatus::None])));
    assert_eq!((ended.total, ended.succeeded, ended.failed), (3, 3, 0));
    assert_eq!(
        report(&lab, &ended),
        ["a%20b succeeded", "c succeeded", "d succeeded"]
    );
    for key in ["a b", "c", "d", "live"] {
        assert_eq!(
            status(&lab, 0, "one", key),
            Some(ReplicationStatus::Completed)
        );
        assert_eq!(
            status(&lab, 1, "two", key),
            Some(ReplicationStatus::Replica)
        );
    }
}

#[test]
fn what_failed_is_tried_again_by_a_job_and_what_was_deleted_for_good_is_not_made_again() {
    let mut lab = pair(2);
    lab.replicate(0, "one", vec![rule("all", 1, "two")]);
    lab.deny("s3:ReplicateObject");
    lab.put(0, "one", "failed", b"1");
    lab.settle();
    lab.allow_all();
    let gone = lab.put(0, "one", "gone", b"1");
    lab.settle();
    lab.delete(1, "two", "gone", Some(gone.id()));
    let statuses = [FilterStatus::Failed, FilterStatus::Completed];
    let ended = run(&mut lab, job(generated(&statuses)));
    let lines = ["failed succeeded", "gone failed DstObjectHardDeleted"];
    assert_eq!(report(&lab, &ended), lines);
    assert_eq!((ended.succeeded, ended.failed), (1, 1));
}

#[test]
fn what_was_deleted_for_good_where_it_was_made_does_not_come_back_by_a_job() {
    let mut lab = Lab::new(9, 2);
    lab.make_bucket(1, "zero");
    lab.make_bucket(0, "one");
    lab.make_bucket(0, "reports");
    lab.replicate(1, "zero", vec![rule("r", 1, "one")]);
    lab.replicate(0, "one", vec![rule("back", 1, "zero")]);
    let put = lab.put(1, "zero", "k", b"1");
    lab.settle();
    lab.delete(1, "zero", "k", Some(put.id()));
    let ended = run(&mut lab, job(generated(&[FilterStatus::Replica])));
    assert_eq!(report(&lab, &ended), ["k failed DstObjectHardDeleted"]);
    assert!(lab.find(1, "zero", "k", None).is_none());
}

#[test]
fn replicas_go_on_by_a_job_alone() {
    let mut lab = Lab::new(3, 3);
    lab.make_bucket(1, "zero");
    lab.make_bucket(0, "one");
    lab.make_bucket(0, "reports");
    lab.make_bucket(2, "two");
    lab.replicate(1, "zero", vec![rule("r", 1, "one")]);
    lab.replicate(0, "one", vec![rule("r", 1, "two")]);
    let put = lab.put(1, "zero", "k", b"1");
    lab.settle();
    assert!(lab.find(2, "two", "k", None).is_none());
    let ended = run(&mut lab, job(generated(&[FilterStatus::Replica])));
    assert_eq!(ended.succeeded, 1);
    assert_eq!(lab.find(2, "two", "k", None).unwrap().stamp, put.stamp);
    assert_eq!(
        status(&lab, 0, "one", "k"),
        Some(ReplicationStatus::Replica)
    );
}

#[test]
fn a_list_names_what_is_to_go() {
    let mut lab = pair(4);
    let old = lab.put(0, "one", "k 1", b"1");
    lab.put(0, "one", "k 1", b"2");
    lab.put(0, "one", "out", b"3");
    let mut some = rule("some", 1, "two");
    some.filter = Some(crate::rules::Filter::Prefix("k".to_owned()));
    lab.replicate(0, "one", vec![some]);
    let list = format!(
        "one,k%201,{}\none,out\none,none\nother,k\n\n\"one",
        old.id()
    );
    lab.put(0, "reports", "list.csv", list.as_bytes());
    let listed = Manifest::Listed {
        bucket: "reports".parse().unwrap(),
        key: "list.csv".parse().unwrap(),
    };
    let ended = run(&mut lab, job(listed));
    assert_eq!((ended.total, ended.succeeded, ended.failed), (5, 1, 4));
    let lines = report(&lab, &ended);
    assert!(lines.contains(&"k%201 succeeded".to_owned()), "{lines:?}");
    assert!(
        lines.contains(&"out failed SrcObjectNotEligible".to_owned()),
        "{lines:?}"
    );
    assert!(
        lines.contains(&"none failed SrcVersionNotFound".to_owned()),
        "{lines:?}"
    );
    let there = lab.find(1, "two", "k 1", None).unwrap();
    assert_eq!(there.stamp, old.stamp);
}

#[test]
fn jobs_are_made_once_judged_and_stopped() {
    let mut lab = pair(5);
    lab.put(0, "one", "k", b"1");
    let refused = lab.at(0, async |objects| {
        objects.create_job(job(generated(&[]))).await.unwrap_err()
    });
    assert_eq!(refused.code().0, "InvalidRequest");
    lab.replicate(0, "one", vec![rule("all", 1, "two")]);
    lab.deny("s3:InitiateReplication");
    let ended = run(&mut lab, job(generated(&[])));
    assert_eq!(
        report(&lab, &ended),
        ["k failed InitiateReplicationNotPermitted"]
    );
    let (again, jobs) = lab.at(0, async |objects| {
        let again = objects.create_job(job(generated(&[]))).await.unwrap();
        (again, objects.jobs(AccountId::LAB).await.unwrap())
    });
    assert_eq!((again.id, jobs.len()), (ended.id, 1));
    assert_eq!(jobs[0], ended);
    let stopped = lab.at(0, async |objects| {
        objects.cancel_job(AccountId::LAB, ended.id).await
    });
    assert_eq!(stopped.unwrap_err().code().0, "JobStatusException");
    let mut other = job(generated(&[]));
    other.token = "u".to_owned();
    other.confirm = true;
    let stopped = lab.at(0, async |objects| {
        let made = objects.create_job(other).await?;
        assert_eq!(made.status, JobStatus::Suspended);
        objects.confirm_job(AccountId::LAB, made.id).await?;
        objects.cancel_job(AccountId::LAB, made.id).await
    });
    assert_eq!(
        stopped.map(|job| job.status),
        Ok::<_, ObjectError>(JobStatus::Cancelled)
    );
    let bell = lab.at(0, async |objects| objects.run_jobs_once().await.unwrap());
    assert!(!bell);
}

fn listed() -> NewJob {
    job(Manifest::Listed {
        bucket: "reports".parse().unwrap(),
        key: "list.csv".parse().unwrap(),
    })
}

#[test]
fn a_jobs_role_must_be_let_read_its_list_and_write_its_report() {
    let mut lab = pair(6);
    lab.put(0, "one", "k", b"1");
    lab.put(0, "reports", "list.csv", b"one,k\n");
    lab.replicate(0, "one", vec![rule("all", 1, "two")]);
    lab.deny("s3:GetObject");
    let refused = lab.at(0, async |objects| objects.create_job(listed()).await);
    assert_eq!(refused.unwrap_err().code(), ("AccessDenied", 403));
    lab.allow_all();
    lab.deny("s3:PutObject");
    let ended = run(&mut lab, listed());
    assert_eq!((ended.status, ended.succeeded), (JobStatus::Complete, 1));
    let manifest = format!("batch/job-{}/manifest.json", ended.id);
    assert!(lab.find(0, "reports", &manifest, None).is_none());
}

#[test]
fn a_job_that_cannot_go_on_fails_and_holds_up_no_other() {
    let mut lab = pair(7);
    lab.put(0, "one", "k", b"1");
    lab.put(0, "reports", "list.csv", b"one,k\n");
    lab.replicate(0, "one", vec![rule("all", 1, "two")]);
    let stuck = lab.at(0, async |objects| {
        objects.create_job(listed()).await.unwrap()
    });
    let (key, md5) = CUSTOMER;
    let customer = CustomerKey::parse(Some("AES256"), Some(key), Some(md5)).unwrap();
    lab.put_encrypted(0, "reports", "list.csv", b"one,k\n", customer);
    let mut other = job(generated(&[]));
    other.token = "u".to_owned();
    let ended = run(&mut lab, other);
    assert_eq!((ended.status, ended.succeeded), (JobStatus::Complete, 1));
    let stuck = lab.at(0, async |objects| {
        objects.job(AccountId::LAB, stuck.id).await.unwrap()
    });
    assert_eq!(stuck.status, JobStatus::Failed);
}

#[test]
fn a_job_is_its_accounts_alone() {
    let lab = pair(8);
    lab.put(0, "one", "k", b"1");
    lab.replicate(0, "one", vec![rule("all", 1, "two")]);
    let mut waiting = job(generated(&[]));
    waiting.confirm = true;
    let other: AccountId = "444455556666".parse().unwrap();
    lab.at(0, async |objects| {
        let made = objects.create_job(waiting).await.unwrap();
        assert!(objects.jobs(other).await.unwrap().is_empty());
        for refused in [
            objects.job(other, made.id).await,
            objects.confirm_job(other, made.id).await,
            objects.cancel_job(other, made.id).await,
        ] {
            assert_eq!(refused.unwrap_err().code().0, "NoSuchJob");
        }
        let still = objects.job(AccountId::LAB, made.id).await.unwrap();
        assert_eq!(still.status, JobStatus::Suspended);
    });
}
