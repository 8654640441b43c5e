//! Batch replication: what jobs take on, and what their reports say.

use super::lab::{Lab, ROLE, rule};
use super::{FilterStatus, Job, JobFilter, JobStatus, List, Manifest, NewJob, ReportPlace};
use bytes::Bytes;
use store::{Batch, Direction, Engine, KeyRange, Snapshot, Space};
use types::AccountId;

use crate::content::CustomerKey;
use crate::keys::kind;
use crate::{ObjectError, ReplicationStatus, VersionId};

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
            Manifest::Listed(_) => None,
        },
        expected_owner: None,
        role: ROLE.to_owned(),
        manifest,
        report: Some(ReportPlace {
            bucket: "reports".parse().unwrap(),
            expected_owner: None,
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

/// The list of all tests of lists, whatever it says.
fn list() -> List {
    List {
        bucket: "reports".parse().unwrap(),
        key: "list.csv".parse().unwrap(),
        version: None,
        etag: None,
        has_versions: true,
    }
}

fn create(lab: &Lab, new: NewJob) -> Job {
    lab.advance(types::Span::milliseconds(5));
    lab.at(0, async |objects| objects.create_job(new).await.unwrap())
}

/// Every job's turn, and the end of those that have come to it. True: something goes on at once.
fn round(lab: &Lab) -> bool {
    lab.at(0, async |objects| {
        let round = objects.run_jobs_once().await.unwrap();
        let ended = !round.ended.is_empty();
        for id in round.ended {
            objects.settle_job(id).await.unwrap();
        }
        round.more || ended
    })
}

fn told(lab: &Lab, job: &Job) -> Job {
    lab.at(0, async |objects| {
        objects.job(AccountId::LAB, job.id).await.unwrap()
    })
}

/// Makes a job, and lets it run to its end.
fn run(lab: &mut Lab, new: NewJob) -> Job {
    let job = create(lab, new);
    for _ in 0..20 {
        round(lab);
        lab.settle();
        let now = told(lab, &job);
        if now.status != JobStatus::Active {
            return now;
        }
    }
    panic!("the job doesn't end");
}

/// How many rows of jobs' results there are.
fn results(lab: &Lab) -> usize {
    lab.at(0, async |objects| {
        let range = KeyRange::prefix(&[kind::JOB]);
        let snapshot = objects.engine.snapshot();
        let page = snapshot.scan(Space::Objects, range, Direction::Forward, 100_000);
        let entries = page.await.unwrap().entries;
        entries.iter().filter(|entry| entry.key.len() > 17).count()
    })
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
    let lines_of_list = format!(
        "one,k%201,{}\none,out\none,none\nother,k\n\n\"one",
        old.id()
    );
    lab.put(0, "reports", "list.csv", lines_of_list.as_bytes());
    let ended = run(&mut lab, job(Manifest::Listed(list())));
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
    round(&lab);
    assert!(!round(&lab));
}

fn listed() -> NewJob {
    job(Manifest::Listed(list()))
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

#[test]
fn a_turn_is_bounded_and_jobs_take_turns() {
    let lab = pair(10);
    for number in 0..1_100 {
        lab.put(0, "one", &format!("k{number:04}"), b"1");
    }
    lab.make_bucket(0, "small");
    lab.put(0, "small", "k", b"1");
    lab.replicate(0, "one", vec![rule("all", 1, "two")]);
    lab.replicate(0, "small", vec![rule("all", 1, "two")]);
    lab.put(
        0,
        "reports",
        "list.csv",
        "one,none\n".repeat(200).as_bytes(),
    );
    // Nothing of a walk through a bucket is what this one wants.
    let none = create(&lab, job(generated(&[FilterStatus::Failed])));
    let mut small = job(generated(&[]));
    small.token = "small".to_owned();
    small.bucket = Some("small".parse().unwrap());
    let small = create(&lab, small);
    let mut names = listed();
    names.token = "names".to_owned();
    let names = create(&lab, names);
    assert!(round(&lab));
    // Whatever came first: the others had their turn, and the walk isn't over.
    assert_eq!(told(&lab, &small).total, 1);
    assert_eq!(told(&lab, &names).total, 64);
    assert!(round(&lab));
    assert_eq!(told(&lab, &none).status, JobStatus::Active);
    assert_eq!(told(&lab, &names).total, 128);
    while round(&lab) {}
    assert_eq!(told(&lab, &none).status, JobStatus::Complete);
    let names = told(&lab, &names);
    assert_eq!((names.status, names.failed), (JobStatus::Complete, 200));
}

#[test]
fn versions_that_are_taken_on_end_a_turn() {
    let mut lab = pair(11);
    for number in 0..150 {
        lab.put(0, "one", &format!("k{number:04}"), b"1");
    }
    lab.replicate(0, "one", vec![rule("all", 1, "two")]);
    let made = create(&lab, job(generated(&[])));
    for total in [64, 128, 150] {
        round(&lab);
        assert_eq!(told(&lab, &made).total, total);
    }
    lab.settle();
    while round(&lab) {}
    let ended = told(&lab, &made);
    assert_eq!((ended.total, ended.succeeded), (150, 150));
    assert_eq!(report(&lab, &ended).len(), 150);
}

#[test]
fn results_are_counted_in_packs_and_go_when_they_are_reported() {
    let lab = pair(12);
    lab.replicate(0, "one", vec![rule("all", 1, "two")]);
    let lines: String = (0..700)
        .map(|number| format!("one,none{number}\n"))
        .collect();
    lab.put(0, "one", "none", b"1");
    lab.put(0, "reports", "list.csv", lines.as_bytes());
    let made = create(&lab, listed());
    while told(&lab, &made).total < 700 {
        round(&lab);
        assert_eq!(told(&lab, &made).failed, told(&lab, &made).total);
        assert!(results(&lab) < 256 + 64 + 3, "{}", results(&lab));
    }
    while round(&lab) {}
    let ended = told(&lab, &made);
    assert_eq!((ended.status, ended.failed), (JobStatus::Complete, 700));
    assert_eq!(report(&lab, &ended).len(), 700);
    assert_eq!(results(&lab), 0);
}

#[test]
fn a_job_that_was_stopped_is_reported_and_its_results_go() {
    let mut lab = pair(13);
    for number in 0..100 {
        lab.put(0, "one", &format!("k{number:04}"), b"1");
    }
    lab.replicate(0, "one", vec![rule("all", 1, "two")]);
    lab.set_cut(0, 1, true);
    let made = create(&lab, job(generated(&[])));
    round(&lab);
    let stopped = lab.at(0, async |objects| {
        objects.cancel_job(AccountId::LAB, made.id).await.unwrap()
    });
    assert_eq!((stopped.status, stopped.total), (JobStatus::Cancelled, 64));
    // What it has begun goes on: nothing is settled before that has ended.
    round(&lab);
    assert_eq!(told(&lab, &made).total, 64);
    assert!(
        lab.find(
            0,
            "reports",
            &format!("batch/job-{}/manifest.json", made.id),
            None
        )
        .is_none()
    );
    lab.set_cut(0, 1, false);
    lab.settle();
    while round(&lab) {}
    let ended = told(&lab, &made);
    assert_eq!((ended.status, ended.succeeded), (JobStatus::Cancelled, 64));
    assert_eq!(report(&lab, &ended).len(), 64);
    assert_eq!(results(&lab), 0);
    // Nothing is counted twice, whatever comes after.
    round(&lab);
    assert_eq!(told(&lab, &made), ended);
}

#[test]
fn results_of_a_forgotten_job_go() {
    let lab = pair(14);
    lab.at(0, async |objects| {
        let mut batch = Batch::new();
        for number in 0..3_000 {
            let row = super::job::result_row(super::JobId(7), (2, number));
            batch.put(Space::Objects, row, Bytes::from_static(b"\x01{}"));
        }
        objects.engine.commit(batch).await.unwrap();
    });
    assert_eq!(results(&lab), 3_000);
    assert!(round(&lab));
    while round(&lab) {}
    assert_eq!(results(&lab), 0);
}

#[test]
fn rows_of_jobs_of_before_are_read() {
    let lab = pair(15);
    lab.put(0, "one", "k", b"1");
    lab.put(0, "reports", "list.csv", b"one,k\n");
    lab.replicate(0, "one", vec![rule("all", 1, "two")]);
    let id = lab.bucket(0, "one").entry.id;
    let written = |job: u128, status: &str, counted: u64, cursor: &str| {
        let text = format!(
            r#"{{"id":"{}","new":{{"bucket":null,"role":"{ROLE}","manifest":{{"listed":{{"bucket":"reports","key":"list.csv"}}}},"report":{{"bucket":"reports","prefix":"batch","failed_only":false}},"description":null,"priority":1,"confirm":false,"token":"t"}},"account":"111122223333","bucket":{},"name":"one","status":"{status}","created":{},"total":2,"succeeded":{counted},"failed":0,"cursor":"{cursor}"}}"#,
            super::JobId(job),
            serde_json::to_string(&id).unwrap(),
            serde_json::to_string(&types::Timestamp(1)).unwrap(),
        );
        [b"\x01", text.as_bytes()].concat()
    };
    lab.at(0, async |objects| {
        let mut batch = Batch::new();
        for (job, status, counted) in [(1, "Active", 0), (2, "Complete", 2)] {
            let mut row = vec![kind::JOB];
            row.extend_from_slice(&u128::to_be_bytes(job));
            let value = written(job, status, counted, "end");
            batch.put(Space::Objects, Bytes::from(row), Bytes::from(value));
            for number in 0..2 {
                let row = super::job::result_row(super::JobId(job), (2, number));
                let value = br#"{"key":"k","version":null,"reason":null}"#;
                let value = [b"\x01".as_slice(), value].concat();
                batch.put(Space::Objects, row, Bytes::from(value));
            }
        }
        objects.engine.commit(batch).await.unwrap();
        let jobs = objects.jobs(AccountId::LAB).await.unwrap();
        let counts: Vec<u64> = jobs.iter().map(|job| job.succeeded).collect();
        assert_eq!(counts, [2, 2]);
        assert_eq!(jobs[0].new.manifest, Manifest::Listed(list()));
    });
    while round(&lab) {}
    let jobs = lab.at(0, async |objects| {
        objects.jobs(AccountId::LAB).await.unwrap()
    });
    for job in &jobs {
        assert_eq!((job.status, job.succeeded), (JobStatus::Complete, 2));
    }
    assert_eq!(results(&lab), 0);
    assert_eq!(report(&lab, &jobs[0]), ["k succeeded", "k succeeded"]);
}

#[test]
fn a_list_is_the_one_that_was_meant() {
    let mut lab = pair(16);
    let first = lab.put(0, "one", "k", b"1");
    lab.put(0, "one", "k", b"2");
    lab.replicate(0, "one", vec![rule("all", 1, "two")]);
    let line = format!("one,k,{}\n", first.id());
    let meant = lab.put(0, "reports", "list.csv", line.as_bytes());
    lab.put(0, "reports", "list.csv", b"one,none\n");
    let with = |version: Option<VersionId>, etag: Option<&str>, has_versions: bool| {
        let mut new = job(Manifest::Listed(List {
            version,
            etag: etag.map(str::to_owned),
            has_versions,
            ..list()
        }));
        new.token = format!("{version:?}{has_versions}");
        new
    };
    let etag = meant.object().unwrap().etag.clone();
    let refused = lab.at(0, async |objects| {
        objects
            .create_job(with(None, Some(&etag), true))
            .await
            .unwrap_err()
    });
    assert_eq!(refused.code(), ("InvalidRequest", 400));
    let ended = run(&mut lab, with(Some(meant.id()), Some(&etag), true));
    assert_eq!(report(&lab, &ended), ["k succeeded"]);
    assert_eq!(lab.find(1, "two", "k", None).unwrap().stamp, first.stamp);
    // Without a field for it nothing in a line is a version.
    let ended = run(&mut lab, with(Some(meant.id()), Some(&etag), false));
    assert_eq!(report(&lab, &ended), ["k succeeded"]);
    assert_ne!(lab.find(1, "two", "k", None).unwrap().stamp, first.stamp);
    // A list that is replaced under way is another one.
    lab.put(0, "reports", "list.csv", b"one,k\n");
    let current = lab.find(0, "reports", "list.csv", None).unwrap();
    let etag = current.object().unwrap().etag.clone();
    let made = create(&lab, with(None, Some(&etag), true));
    lab.put(0, "reports", "list.csv", b"one,none\n");
    round(&lab);
    let failed = told(&lab, &made);
    assert_eq!(failed.status, JobStatus::Failed);
    assert!(failed.failure.unwrap().contains("ETag"));
}

#[test]
fn buckets_are_whose_they_should_be() {
    let lab = pair(17);
    lab.put(0, "one", "k", b"1");
    lab.replicate(0, "one", vec![rule("all", 1, "two")]);
    let other: AccountId = "444455556666".parse().unwrap();
    let (mut source, mut place) = (job(generated(&[])), job(generated(&[])));
    source.expected_owner = Some(other);
    place.report.as_mut().unwrap().expected_owner = Some(other);
    for new in [source.clone(), place.clone()] {
        let refused = lab.at(0, async |objects| {
            objects.create_job(new).await.unwrap_err()
        });
        assert_eq!(refused.code(), ("AccessDenied", 403));
    }
    source.expected_owner = Some(AccountId::LAB);
    source.report.as_mut().unwrap().expected_owner = Some(AccountId::LAB);
    create(&lab, source);
}
