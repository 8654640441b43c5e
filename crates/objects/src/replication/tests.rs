//! Replication between two and three Regions, by rows of what S3 documents, and from seeds with
//! cuts and power cuts in between.

use std::collections::BTreeMap;
use std::sync::Arc;

use store::{Direction, Engine, KeyRange, Snapshot, Space};
use types::Span;

use super::lab::{Lab, request, rule, site};
use super::message::Message;
use crate::keys::kind;
use crate::rules::{DeleteMarkers, Filter, Rule, Status, Tag};
use crate::{
    Amendment, Content, ObjectData, ObjectVersion, ReplicationStatus, Stamp, VersionId, Versioning,
    keys,
};

const PENDING: Option<ReplicationStatus> = Some(ReplicationStatus::Pending);
const COMPLETED: Option<ReplicationStatus> = Some(ReplicationStatus::Completed);
const FAILED: Option<ReplicationStatus> = Some(ReplicationStatus::Failed);
const REPLICA: Option<ReplicationStatus> = Some(ReplicationStatus::Replica);

/// Two Regions with a bucket each, `one` in the first and `two` in the second.
fn pair(seed: u64) -> Lab {
    let lab = Lab::new(seed, 2);
    lab.make_bucket(0, "one");
    lab.make_bucket(1, "two");
    lab
}

/// … where `one` replicates everything to `two`.
fn one_way(seed: u64) -> Lab {
    let lab = pair(seed);
    lab.replicate(0, "one", vec![rule("all", 1, "two")]);
    lab
}

fn two_way(seed: u64) -> Lab {
    let lab = one_way(seed);
    lab.replicate(1, "two", vec![rule("back", 1, "one")]);
    lab
}

fn status(lab: &Lab, at: usize, bucket: &str, key: &str) -> Option<ReplicationStatus> {
    let found = lab
        .find(at, bucket, key, None)
        .expect("the key has a version");
    found.replication_status()
}

fn bytes(length: usize, seed: usize) -> Vec<u8> {
    (0..length)
        .map(|at| (at * 31 + seed + at / 251) as u8)
        .collect()
}

/// How many rows of that kind a place has.
fn rows(lab: &Lab, at: usize, kind: u8) -> usize {
    let engine = lab.engine(at);
    lab.at(at, async |_| {
        let all = KeyRange::prefix(&[kind]);
        let snapshot = engine.snapshot();
        let page = snapshot.scan(Space::Objects, all, Direction::Forward, 10_000);
        page.await.unwrap().entries.len()
    })
}

/// Every version of a bucket.
fn versions(lab: &Lab, at: usize, bucket: &str) -> BTreeMap<(String, Stamp), ObjectVersion> {
    let engine = lab.engine(at);
    let id = lab.bucket(at, bucket).entry.id;
    lab.at(at, async |_| {
        let range = KeyRange::prefix(&keys::of_bucket(kind::VERSION, id));
        let snapshot = engine.snapshot();
        let page = snapshot.scan(Space::Objects, range, Direction::Forward, 10_000);
        let entries = page.await.unwrap().entries.into_iter();
        let read = entries.map(|entry| {
            let (key, _) = keys::split(&entry.key).unwrap();
            let version = ObjectVersion::decode(&entry.value).unwrap();
            ((key.as_str().to_owned(), version.stamp), version)
        });
        read.collect()
    })
}

#[test]
fn an_object_is_pending_then_completed_and_its_replica_keeps_id_time_and_tags() {
    let mut lab = one_way(1);
    let put = lab.put_tagged(0, "one", "k", b"hello", &[("a", "1")]);
    assert_eq!(put.replication_status(), PENDING);
    let figures = lab.objects(0).replication_figures();
    assert_eq!(
        (figures[0].pending_operations, figures[0].pending_bytes),
        (1, 5)
    );
    lab.settle();
    assert_eq!(status(&lab, 0, "one", "k"), COMPLETED);
    let replica = lab.find(1, "two", "k", Some(put.id())).unwrap();
    assert_eq!(replica.replication_status(), REPLICA);
    assert_eq!(replica.stamp, put.stamp);
    let (one, two) = (put.object().unwrap(), replica.object().unwrap());
    assert_eq!((&one.tags, &one.etag), (&two.tags, &two.etag));
    assert_eq!(lab.read(1, "two", "k", &replica).unwrap(), b"hello");
    assert_eq!(rows(&lab, 0, kind::OUTBOX), 0);
    let figures = lab.objects(0).replication_figures();
    assert_eq!(
        (figures[0].pending_operations, figures[0].completed),
        (0, 1)
    );
}

#[test]
fn what_was_there_before_the_rules_and_what_they_do_not_choose_has_no_status() {
    let mut lab = pair(2);
    lab.put(0, "one", "old", b"1");
    let mut only = rule("some", 1, "two");
    only.filter = Some(Filter::Prefix("in/".to_owned()));
    lab.replicate(0, "one", vec![only]);
    lab.put(0, "one", "out", b"2");
    lab.put(0, "one", "in/a", b"3");
    lab.settle();
    assert_eq!(status(&lab, 0, "one", "old"), None);
    assert_eq!(status(&lab, 0, "one", "out"), None);
    assert_eq!(status(&lab, 0, "one", "in/a"), COMPLETED);
    assert_eq!(versions(&lab, 1, "two").len(), 1);
}

#[test]
fn replicas_are_not_replicated_on() {
    let mut lab = Lab::new(3, 3);
    for (at, name) in ["one", "two", "three"].into_iter().enumerate() {
        lab.make_bucket(at, &format!("{name}-b"));
    }
    lab.replicate(0, "one-b", vec![rule("r", 1, "two-b")]);
    lab.replicate(1, "two-b", vec![rule("r", 1, "three-b")]);
    lab.put(0, "one-b", "k", b"1");
    lab.settle();
    assert_eq!(status(&lab, 1, "two-b", "k"), REPLICA);
    assert!(versions(&lab, 2, "three-b").is_empty());
}

#[test]
fn a_version_completes_once_all_destinations_have_it() {
    let mut lab = Lab::new(4, 3);
    lab.make_bucket(0, "one");
    lab.make_bucket(1, "two");
    lab.make_bucket(2, "three");
    lab.make_bucket(0, "near");
    let rules = [("a", 1, "two"), ("b", 2, "three"), ("c", 3, "near")];
    let rules: Vec<Rule> = rules
        .map(|(id, priority, to)| rule(id, priority, to))
        .into();
    lab.replicate(0, "one", rules);
    lab.set_cut(0, 2, true);
    lab.put(0, "one", "k", b"1");
    for _ in 0..3_000 {
        lab.step();
    }
    assert_eq!(status(&lab, 1, "two", "k"), REPLICA);
    assert_eq!(status(&lab, 0, "near", "k"), REPLICA);
    assert_eq!(status(&lab, 0, "one", "k"), PENDING);
    lab.set_cut(0, 2, false);
    lab.settle();
    assert_eq!(status(&lab, 0, "one", "k"), COMPLETED);
    assert_eq!(status(&lab, 2, "three", "k"), REPLICA);
}

#[test]
fn delete_markers_travel_as_rules_say_and_removals_never() {
    let mut lab = one_way(5);
    let put = lab.put(0, "one", "k", b"1");
    let marker = lab.delete(0, "one", "k", None);
    lab.settle();
    let replica = lab.find(1, "two", "k", None).unwrap();
    assert!(replica.is_delete_marker());
    assert_eq!(Some(replica.id()), marker.version_id);
    assert_eq!(status(&lab, 0, "one", "k"), COMPLETED);
    lab.delete(0, "one", "k", Some(put.id()));
    lab.delete(0, "one", "k", marker.version_id);
    lab.settle();
    assert_eq!(versions(&lab, 0, "one").len(), 0);
    assert_eq!(versions(&lab, 1, "two").len(), 2);
    let mut without = rule("all", 1, "two");
    without.delete_markers = Some(DeleteMarkers {
        status: Some(Status::Disabled),
    });
    lab.replicate(0, "one", vec![without]);
    lab.put(0, "one", "l", b"1");
    lab.delete(0, "one", "l", None);
    lab.settle();
    assert_eq!(status(&lab, 0, "one", "l"), None);
    assert!(!lab.find(1, "two", "l", None).unwrap().is_delete_marker());
}

#[test]
fn changes_of_tags_travel_to_where_the_version_went() {
    let mut lab = pair(6);
    let mut tagged = rule("tagged", 1, "two");
    tagged.delete_markers = Some(DeleteMarkers {
        status: Some(Status::Disabled),
    });
    tagged.filter = Some(Filter::Tag(Tag {
        key: "go".to_owned(),
        value: "1".to_owned(),
    }));
    lab.replicate(0, "one", vec![tagged]);
    lab.put_tagged(0, "one", "k", b"1", &[("go", "1")]);
    lab.put(0, "one", "stays", b"1");
    lab.settle();
    tag(&lab, 0, "one", "k", &[("go", "2")]);
    // Tags are judged when an object is made: this one doesn't go now.
    tag(&lab, 0, "one", "stays", &[("go", "1")]);
    assert_eq!(status(&lab, 0, "one", "k"), PENDING);
    lab.settle();
    assert_eq!(status(&lab, 0, "one", "k"), COMPLETED);
    assert_eq!(status(&lab, 0, "one", "stays"), None);
    let replica = lab.find(1, "two", "k", None).unwrap();
    assert_eq!(replica.object().unwrap().tags["go"], "2");
    assert_eq!(versions(&lab, 1, "two").len(), 1);
}

fn tag(lab: &Lab, at: usize, bucket: &str, key: &str, tags: &[(&str, &str)]) {
    tag_version(lab, at, (bucket, key, None), tags);
}

fn tag_version(
    lab: &Lab,
    at: usize,
    (bucket, key, id): (&str, &str, Option<VersionId>),
    tags: &[(&str, &str)],
) {
    let tags = tags
        .iter()
        .map(|(key, value)| (key.to_string(), value.to_string()));
    let tags = Amendment::Tags(tags.collect());
    amend(lab, at, (bucket, key, id), &tags).unwrap();
}

#[test]
fn changes_of_replicas_travel_back_where_both_buckets_say_so() {
    let mut lab = two_way(7);
    lab.put(0, "one", "k", b"1");
    lab.settle();
    tag(&lab, 1, "two", "k", &[("a", "b")]);
    assert_eq!(status(&lab, 1, "two", "k"), PENDING);
    lab.settle();
    assert_eq!(status(&lab, 1, "two", "k"), REPLICA);
    assert_eq!(status(&lab, 0, "one", "k"), COMPLETED);
    let origin = lab.find(0, "one", "k", None).unwrap();
    assert_eq!(origin.object().unwrap().tags["a"], "b");
    let mut alone = rule("all", 1, "two");
    alone.source_selection = None;
    lab.replicate(0, "one", vec![alone]);
    tag(&lab, 1, "two", "k", &[("a", "c")]);
    lab.settle();
    assert_eq!(status(&lab, 1, "two", "k"), REPLICA);
    let origin = lab.find(0, "one", "k", None).unwrap();
    assert_eq!(origin.object().unwrap().tags["a"], "b");
}

#[test]
fn what_both_sides_amend_at_once_is_all_there_and_no_compliance_is_shorter() {
    use crate::{LockMode, Retention};
    let mut lab = two_way(28);
    for (at, bucket) in [(0, "one"), (1, "two")] {
        lab.change(at, bucket, |settings| settings.object_lock = Some(None));
    }
    lab.put(0, "one", "k", b"1");
    lab.settle();
    let until = lab.find(0, "one", "k", None).unwrap().stamp;
    let until = until.last_modified();
    let compliance = |hours: u64| Amendment::Retention {
        retention: Some(Retention {
            mode: LockMode::Compliance,
            until: types::Timestamp(until.0 + hours * 3_600_000),
        }),
        bypass_governance: false,
    };
    lab.set_cut(0, 1, true);
    amend(&lab, 0, ("one", "k", None), &compliance(5)).unwrap();
    lab.advance(Span::milliseconds(5));
    amend(&lab, 1, ("two", "k", None), &compliance(3)).unwrap();
    amend(&lab, 0, ("one", "k", None), &Amendment::LegalHold(true)).unwrap();
    lab.advance(Span::milliseconds(5));
    tag(&lab, 1, "two", "k", &[("a", "b")]);
    lab.set_cut(0, 1, false);
    lab.settle();
    for (at, bucket) in [(0, "one"), (1, "two")] {
        let found = lab.find(at, bucket, "k", None).unwrap();
        let object = found.object().unwrap();
        let held = object.retention.as_ref().unwrap();
        assert_eq!(held.until.0, until.0 + 5 * 3_600_000, "{bucket}");
        assert!(object.legal_hold, "{bucket}");
        assert_eq!(object.tags["a"], "b", "{bucket}");
    }
}

fn amend(
    lab: &Lab,
    at: usize,
    (bucket, key, id): (&str, &str, Option<VersionId>),
    amendment: &Amendment,
) -> Result<(), crate::ObjectError> {
    let bucket = lab.bucket(at, bucket);
    let key = key.parse().unwrap();
    let cause = request();
    lab.at(at, async |objects| {
        let amended = objects.amend(&bucket, &key, id, amendment, &cause);
        amended.await.map(|_| ())
    })
}

#[test]
fn lasting_causes_fail_and_are_not_tried_again() {
    for (action, _) in [
        ("sts:AssumeRole", "AssumeRoleNotPermitted"),
        (
            "s3:GetObjectVersionForReplication",
            "SrcGetObjectNotPermitted",
        ),
        ("s3:ReplicateObject", "DstPutObjectNotPermitted"),
    ] {
        let mut lab = one_way(8);
        lab.deny(action);
        lab.put(0, "one", "k", b"1");
        lab.settle();
        assert_eq!(status(&lab, 0, "one", "k"), FAILED, "{action}");
        lab.allow_all();
        tag(&lab, 0, "one", "k", &[("a", "b")]);
        lab.settle();
        assert_eq!(status(&lab, 0, "one", "k"), FAILED);
        assert!(versions(&lab, 1, "two").is_empty());
        assert_eq!(lab.objects(0).replication_figures()[0].failed, 1);
    }
}

#[test]
fn a_destination_that_keeps_no_versions_any_more_or_is_gone_fails() {
    let mut lab = one_way(9);
    lab.change(1, "two", |settings| {
        settings.versioning = Versioning::Suspended
    });
    lab.put(0, "one", "k", b"1");
    lab.settle();
    assert_eq!(status(&lab, 0, "one", "k"), FAILED);
    let two = lab.bucket(1, "two");
    lab.at(1, async |objects| {
        objects.delete_bucket(&two).await.unwrap()
    });
    lab.put(0, "one", "l", b"1");
    lab.settle();
    assert_eq!(status(&lab, 0, "one", "l"), FAILED);
    lab.make_bucket(1, "two");
    lab.put(0, "one", "l", b"2");
    lab.settle();
    assert_eq!(status(&lab, 0, "one", "l"), COMPLETED);
    lab.set_cut(0, 1, true);
    lab.put(0, "one", "m", b"1");
    lab.change(0, "one", |settings| settings.replication = None);
    lab.set_cut(0, 1, false);
    lab.settle();
    assert_eq!(status(&lab, 0, "one", "m"), FAILED);
}

#[test]
fn a_cut_stays_pending_and_a_large_object_goes_on_where_it_was() {
    let mut lab = one_way(10);
    let large = bytes(3_000_000, 1);
    let put = lab.put(0, "one", "large", &large);
    lab.put(0, "one", "small", b"s");
    for _ in 0..400 {
        lab.step();
        if lab.carried > 1_000_000 {
            break;
        }
    }
    lab.set_cut(0, 1, true);
    lab.advance(Span::seconds(3600));
    for _ in 0..500 {
        lab.step();
    }
    assert_eq!(status(&lab, 0, "one", "large"), PENDING);
    lab.set_cut(0, 1, false);
    lab.settle();
    assert_eq!(status(&lab, 0, "one", "large"), COMPLETED);
    let replica = lab.find(1, "two", "large", Some(put.id())).unwrap();
    assert_eq!(lab.read(1, "two", "large", &replica).unwrap(), large);
    assert!(lab.carried < 4_500_000, "{}", lab.carried);
    assert_eq!(rows(&lab, 1, kind::STAGED), 0);
}

#[test]
fn what_was_deleted_for_good_at_the_destination_does_not_come_again() {
    let mut lab = one_way(11);
    let put = lab.put(0, "one", "k", b"1");
    lab.settle();
    lab.delete(1, "two", "k", Some(put.id()));
    tag(&lab, 0, "one", "k", &[("a", "b")]);
    lab.settle();
    assert!(versions(&lab, 1, "two").is_empty());
    assert_eq!(status(&lab, 0, "one", "k"), FAILED);
}

#[test]
fn notes_of_what_was_deleted_go_once_no_region_has_it() {
    let mut lab = two_way(29);
    let put = lab.put(0, "one", "k", b"1");
    lab.put(0, "one", "stays", b"1");
    lab.settle();
    let stays = lab.find(1, "two", "stays", None).unwrap();
    lab.delete(1, "two", "k", Some(put.id()));
    lab.delete(1, "two", "stays", Some(stays.id()));
    let trim = |lab: &mut Lab| {
        lab.advance(Span::seconds(2 * 3600));
        lab.meanwhile(1, |objects| async move {
            let mut after = None;
            objects.trim_notes(&mut after).await.ok()
        })
    };
    // They are young; then the other Region has them.
    for _ in 0..14 {
        assert_eq!(trim(&mut lab), Some(0));
    }
    lab.delete(0, "one", "k", Some(put.id()));
    assert_eq!(trim(&mut lab), Some(0));
    assert_eq!(rows(&lab, 1, kind::GONE), 2);
    lab.set_cut(0, 1, true);
    assert_eq!(trim(&mut lab), None);
    lab.set_cut(0, 1, false);
    assert_eq!(trim(&mut lab), Some(1));
    assert_eq!(rows(&lab, 1, kind::GONE), 1);
    // The other Region's own note of it goes, too.
    assert_eq!(rows(&lab, 0, kind::GONE), 1);
    lab.advance(Span::seconds(24 * 3600));
    for trimmed in [0, 1] {
        lab.advance(Span::seconds(3600));
        let passed = lab.meanwhile(0, |objects| async move {
            let mut after = None;
            objects.trim_notes(&mut after).await.unwrap()
        });
        assert_eq!(passed, trimmed);
    }
}

#[test]
fn concurrent_puts_converge_and_the_loser_is_in_the_ledger_once() {
    let mut lab = two_way(12);
    lab.set_cut(0, 1, true);
    lab.put(0, "one", "k", b"1");
    lab.advance(Span::milliseconds(5));
    lab.put(1, "two", "k", b"2");
    lab.set_cut(0, 1, false);
    lab.settle();
    for (at, bucket) in [(0, "one"), (1, "two")] {
        let current = lab.find(at, bucket, "k", None).unwrap();
        assert_eq!(lab.read(at, bucket, "k", &current).unwrap(), b"2");
        assert_eq!(versions(&lab, at, bucket).len(), 2);
        assert_eq!(rows(&lab, at, kind::CONFLICT), 1);
    }
    assert_eq!(status(&lab, 0, "one", "k"), REPLICA);
    assert_eq!(status(&lab, 1, "two", "k"), COMPLETED);
}

/// What a run wrote and was told is there.
type Written = BTreeMap<(usize, String, Stamp), Option<Vec<u8>>>;

const BUCKETS: [&str; 2] = ["one", "two"];

/// Writes, cuts and crashes; then all is healed, and both sides must be the same.
fn run(seed: u64) {
    let mut lab = two_way(seed);
    for (at, bucket) in BUCKETS.into_iter().enumerate() {
        lab.change(at, bucket, |settings| settings.object_lock = Some(None));
    }
    let mut written = Written::new();
    for step in 0..150 {
        disturb(&mut lab, &mut written, step);
        for _ in 0..lab.random.below(12) {
            lab.step();
        }
    }
    lab.set_cut(0, 1, false);
    lab.settle();
    let [one, two] = [0, 1].map(|at| versions(&lab, at, BUCKETS[at]));
    let keys = |versions: &BTreeMap<(String, Stamp), ObjectVersion>| {
        versions.keys().cloned().collect::<Vec<_>>()
    };
    assert_eq!(keys(&one), keys(&two), "seed {seed}");
    for ((at, key, stamp), content) in &written {
        let all = [&one, &two];
        for (place, versions) in all.into_iter().enumerate() {
            let version = &versions[&(key.clone(), *stamp)];
            let expected = if place == *at { COMPLETED } else { REPLICA };
            assert_eq!(version.replication_status(), expected, "seed {seed}: {key}");
            if let Some(content) = content {
                let read = lab.read(place, BUCKETS[place], key, version).unwrap();
                assert!(read == *content, "seed {seed}: {key}");
            }
        }
    }
    for (key, version) in &one {
        assert_eq!(
            metadata(version),
            metadata(&two[key]),
            "seed {seed}: {key:?}"
        );
    }
    for at in 0..2 {
        assert_eq!(rows(&lab, at, kind::OUTBOX), 0, "seed {seed}");
        assert_eq!(rows(&lab, at, kind::STAGED), 0, "seed {seed}");
    }
}

/// What two sides must have alike of an object.
fn metadata(version: &ObjectVersion) -> Option<(ObjectData, String)> {
    let object = version.object()?;
    let mut alike = crate::testing::object_data();
    alike.tags.clone_from(&object.tags);
    alike.retention.clone_from(&object.retention);
    (alike.legal_hold, alike.amended) = (object.legal_hold, object.amended);
    alike.size = object.size;
    Some((alike, object.etag.clone()))
}

fn disturb(lab: &mut Lab, written: &mut Written, step: usize) {
    let at = lab.random.below(2);
    let bucket = BUCKETS[at];
    let key = format!("k{}", lab.random.below(6));
    match lab.random.below(20) {
        0..8 => {
            let length = match lab.random.below(4) {
                0 => 300_000,
                1 => 70_000,
                _ => 100,
            };
            let content = bytes(length + step, step);
            let put = lab.put(at, bucket, &key, &content);
            written.insert((at, key, put.stamp), Some(content));
        }
        8..11 => {
            if let Some(VersionId::Stamp(stamp)) = lab.delete(at, bucket, &key, None).version_id {
                written.insert((at, key, stamp), None);
            }
        }
        11..15 => {
            let found = lab.find(at, bucket, &key, None);
            if let Some(version) = found.filter(|version| !version.is_delete_marker()) {
                let which = (bucket, key.as_str(), Some(version.id()));
                disturb_version(lab, at, which, step);
            }
        }
        15 => lab.crash(at),
        16 => lab.set_cut(0, 1, true),
        17 | 18 => lab.set_cut(0, 1, false),
        _ => lab.advance(Span::seconds(40)),
    }
}

/// Amends one of what a version has for it; a retention that isn't longer is refused.
fn disturb_version(lab: &mut Lab, at: usize, which: (&str, &str, Option<VersionId>), step: usize) {
    use crate::{LockMode, Retention};
    match lab.random.below(4) {
        0 | 1 => tag_version(lab, at, which, &[("step", &step.to_string())]),
        2 => amend(
            lab,
            at,
            which,
            &Amendment::LegalHold(step.is_multiple_of(2)),
        )
        .unwrap(),
        _ => {
            let until = types::Timestamp(1_900_000_000_000 + lab.random.below(1_000) as u64);
            let mode = match lab.random.one_in(2) {
                true => LockMode::Compliance,
                false => LockMode::Governance,
            };
            let amendment = Amendment::Retention {
                retention: Some(Retention { mode, until }),
                bypass_governance: true,
            };
            let _ = amend(lab, at, which, &amendment);
        }
    }
}

#[test]
fn replicas_converge_whatever_is_cut_or_killed() {
    for seed in 0..8 {
        run(seed);
    }
}

#[test]
fn a_large_object_goes_on_beside_no_end_of_small_ones() {
    let lab = one_way(1);
    lab.put(0, "one", "large", &bytes(1 << 20, 1));
    for number in 0..100 {
        lab.put(0, "one", &format!("small-{number}"), &bytes(4096, number));
    }
    let source = lab.objects(0);
    let pieces = lab.at(0, async |_| {
        source.link_restarted(site(1));
        let next = async || {
            let sent = source.next_message(site(1)).await;
            Message::decode(sent.payload).unwrap()
        };
        let Message::Offer(offer) = next().await else {
            panic!("the oldest is offered first");
        };
        assert_eq!(offer.key, "large");
        let want = Message::Want {
            task: offer.task,
            index: 0,
            offset: 0,
        };
        source.receive(site(1), want.encode()).unwrap().await;
        let mut pieces = 0;
        for _ in 0..100 {
            pieces += usize::from(matches!(next().await, Message::Content { .. }));
        }
        pieces
    });
    assert!(pieces > 0, "small objects alone were sent");
}

#[test]
fn a_bad_destination_holds_up_no_other_however_much_waits_for_it() {
    let mut lab = one_way(23);
    lab.make_bucket(0, "near");
    lab.make_bucket(1, "good");
    lab.replicate(0, "near", vec![rule("all", 1, "good")]);
    lab.set_cut(0, 1, true);
    for number in 0..150 {
        lab.put(0, "one", &format!("bad-{number}"), &bytes(17_000, number));
    }
    let damaged = lab.blobs(0).all();
    for (blob, _) in &damaged {
        assert!(lab.blobs(0).flip(*blob, 1_000));
    }
    lab.put(0, "near", "k", b"1");
    lab.set_cut(0, 1, false);
    for _ in 0..4_000 {
        lab.step();
    }
    assert_eq!(status(&lab, 0, "near", "k"), COMPLETED);
    assert_eq!(status(&lab, 0, "one", "bad-0"), PENDING);
    for (blob, _) in &damaged {
        assert!(lab.blobs(0).flip(*blob, 1_000));
    }
    lab.settle();
    assert_eq!(versions(&lab, 1, "two").len(), 150);
}

#[test]
fn what_cannot_be_taken_in_now_is_not_sent_again() {
    for parts in [&[3_000_000][..], &[900_000, 900_000, 900_000]] {
        let mut lab = one_way(24);
        let put = match parts {
            [whole] => lab.put(0, "one", "parts", &bytes(*whole, 1)),
            parts => put_parts(&lab, parts),
        };
        let two = lab.bucket(1, "two");
        lab.at(1, async |objects| objects.close(&two, true).await.unwrap());
        for _ in 0..20_000 {
            lab.step();
        }
        assert_eq!(status(&lab, 0, "one", "parts"), PENDING);
        assert_eq!(rows(&lab, 1, kind::STAGED), parts.len());
        let carried = lab.carried;
        lab.at(1, async |objects| objects.close(&two, false).await.unwrap());
        lab.settle();
        assert_eq!(status(&lab, 0, "one", "parts"), COMPLETED);
        assert_eq!(lab.carried, carried);
        assert_eq!(rows(&lab, 1, kind::STAGED), 0);
        assert_eq!(lab.blobs(1).all().len(), parts.len());
        let replica = lab.find(1, "two", "parts", Some(put.id())).unwrap();
        let read = lab.read(1, "two", "parts", &replica).unwrap();
        assert!(read == lab.read(0, "one", "parts", &put).unwrap());
    }
}

#[test]
fn an_end_whose_call_is_dropped_is_made_and_counted_once() {
    let mut lab = one_way(25);
    lab.deny("s3:GetObjectVersionForReplication");
    for key in ["k", "l"] {
        lab.put(0, "one", key, b"1");
        lab.give_up_sending(0);
        if key == "l" {
            // It is committed, and nobody has heard of it.
            lab.engine(0).sync();
        }
    }
    lab.settle();
    for key in ["k", "l"] {
        assert_eq!(status(&lab, 0, "one", key), FAILED);
    }
    let figures = lab.objects(0).replication_figures();
    assert_eq!((figures[0].pending_operations, figures[0].failed), (0, 2));
    assert_eq!(rows(&lab, 0, kind::OUTBOX), 0);
}

#[test]
fn what_is_not_answered_is_offered_again_however_much_else_there_is() {
    let lab = one_way(26);
    for number in 0..100 {
        lab.put(0, "one", &format!("k{number:02}"), b"1");
    }
    let source = lab.objects(0);
    source.link_restarted(site(1));
    let next = || {
        lab.at(0, async |_| {
            let sent = source.next_message(site(1)).await;
            match Message::decode(sent.payload).unwrap() {
                Message::Offer(offer) => offer.key,
                other => panic!("{other:?}"),
            }
        })
    };
    assert_eq!(next(), "k00");
    lab.advance(Span::seconds(31));
    assert_eq!(next(), "k01");
    lab.advance(Span::seconds(1));
    assert_eq!(next(), "k00");
}

#[test]
fn failures_are_counted_over_a_restart_and_in_one_row() {
    let mut lab = one_way(27);
    lab.deny("s3:ReplicateObject");
    lab.put(0, "one", "k", b"1");
    lab.settle();
    let two = lab.bucket(1, "two");
    lab.at(1, async |objects| {
        objects.delete_bucket(&two).await.unwrap()
    });
    lab.put(0, "one", "l", b"1");
    lab.settle();
    let watch = |lab: &Lab| {
        lab.at(0, async |objects| {
            let mut watched = super::watch::Watched::default();
            objects.watch_once(&mut watched).await.unwrap();
        });
    };
    for failed in [2, 3] {
        watch(&lab);
        lab.crash(0);
        let figures = lab.objects(0).replication_figures();
        assert_eq!(figures.len(), 1);
        assert_eq!((figures[0].failed, figures[0].site), (2, site(1)));
        if failed == 2 {
            continue;
        }
        lab.put(0, "one", "m", b"1");
        lab.settle();
        assert_eq!(lab.objects(0).replication_figures()[0].failed, failed);
    }
    lab.change(0, "one", |settings| settings.replication = None);
    watch(&lab);
    assert!(lab.objects(0).replication_figures().is_empty());
    assert_eq!(rows(&lab, 0, kind::FIGURES), 0);
}

#[test]
fn an_object_of_parts_goes_as_parts() {
    let mut lab = one_way(13);
    let version = put_parts(&lab, &[200_000, 70_000, 3]);
    lab.settle();
    let replica = lab.find(1, "two", "parts", None).unwrap();
    let object = replica.object().unwrap();
    assert_eq!(object.content, Content::Parts(3));
    assert_eq!(object.etag, version.object().unwrap().etag);
    let read = lab.read(1, "two", "parts", &replica).unwrap();
    assert_eq!(read.len(), 270_003);
    assert_eq!(read, lab.read(0, "one", "parts", &version).unwrap());
    assert_eq!(rows(&lab, 1, kind::STAGED), 0);
    assert_eq!(lab.blobs(1).all().len(), 2);
}

fn put_parts(lab: &Lab, sizes: &[usize]) -> Arc<ObjectVersion> {
    use crate::content::{Expected, Ingest, IngestOptions};
    use crate::{NewContent, NewObject, NewParts};
    let bucket = lab.bucket(0, "one");
    lab.at(0, async |objects| {
        let mut extents = Vec::new();
        let mut batch = store::Batch::new();
        for (at, size) in sizes.iter().enumerate() {
            let options = IngestOptions {
                length: None,
                limit: 1 << 30,
                expected: Expected::default(),
                customer_key: None,
            };
            let mut ingest = Ingest::new(objects.contents(), options);
            ingest.push(bytes(*size, at).into()).await.unwrap();
            let ingested = ingest.finish(Vec::new()).await.unwrap();
            extents.push(ingested.numbered(at as u32 + 1).enter(&mut batch));
        }
        lab.engine(0).commit(batch).await.unwrap();
        let parts = NewParts {
            size: sizes.iter().sum::<usize>() as u64,
            etag: "0123-3".to_owned(),
            checksum: None,
            encryption: crate::Encryption::Site,
            extents,
        };
        let new = NewObject {
            owner: types::AccountId::LAB,
            content: NewContent::Parts(parts),
            metadata: crate::Metadata::default(),
            storage_class: "STANDARD".to_owned(),
            tags: BTreeMap::new(),
            acl: None,
            retention: None,
            legal_hold: false,
            conditions: crate::WriteConditions::default(),
            how: crate::Creation::CompleteMultipartUpload,
            cause: request(),
        };
        objects
            .put(&bucket, &"parts".parse().unwrap(), new)
            .await
            .unwrap()
    })
}

/// Has a bucket tell every event of replication.
fn tell_events(lab: &Lab, at: usize, bucket: &str) {
    use crate::notify::{NotificationConfiguration, NotificationRule};
    let rule = NotificationRule {
        id: "all".to_owned(),
        target: "arn:aws:sqs:us-east-1:111122223333:q".parse().unwrap(),
        events: vec!["s3:Replication:*".parse().unwrap()],
        prefix: None,
        suffix: None,
    };
    lab.change(at, bucket, move |settings| {
        settings.notification = Some(NotificationConfiguration {
            rules: vec![rule.clone()],
        });
    });
}

/// The events of replication that a place keeps, and why they came.
fn events(lab: &Lab, at: usize) -> Vec<String> {
    let engine = lab.engine(at);
    lab.at(at, async |_| {
        let all = KeyRange::prefix(&[kind::EVENT]);
        let snapshot = engine.snapshot();
        let page = snapshot.scan(Space::Objects, all, Direction::Forward, 1_000);
        let entries = page.await.unwrap().entries.into_iter();
        let told = entries.map(|entry| {
            let record: serde_json::Value = serde_json::from_slice(&entry.value[1..]).unwrap();
            let name = record["eventName"].as_str().unwrap();
            let why = record["replicationEventData"]["failureReason"].as_str();
            format!("{name} {}", why.unwrap_or_default())
                .trim_end()
                .to_owned()
        });
        told.collect()
    })
}

fn timed(id: &str, destination: &str) -> Rule {
    use crate::rules::{Metrics, ReplicationTime};
    let mut timed = rule(id, 1, destination);
    let on = Some(Status::Enabled);
    timed.destination.metrics = Some(Metrics {
        status: on,
        minutes: Some(15),
    });
    timed.destination.replication_time = Some(ReplicationTime {
        status: on,
        minutes: Some(15),
    });
    timed
}

#[test]
fn time_control_tells_once_of_what_is_late_and_of_its_arrival() {
    let mut lab = pair(14);
    lab.replicate(0, "one", vec![timed("timed", "two")]);
    tell_events(&lab, 0, "one");
    lab.set_cut(0, 1, true);
    lab.put(0, "one", "k", b"1");
    lab.delete(0, "one", "gone", None);
    let watch = |lab: &Lab| {
        lab.at(0, async |objects| {
            let mut watched = super::watch::Watched::default();
            objects.watch_once(&mut watched).await.unwrap();
        });
    };
    lab.advance(Span::seconds(14 * 60));
    watch(&lab);
    assert!(events(&lab, 0).is_empty());
    lab.advance(Span::seconds(60));
    watch(&lab);
    watch(&lab);
    assert_eq!(events(&lab, 0), ["Replication:OperationMissedThreshold"]);
    lab.set_cut(0, 1, false);
    lab.settle();
    let told = events(&lab, 0);
    assert_eq!(told.len(), 2);
    assert!(told.contains(&"Replication:OperationReplicatedAfterThreshold".to_owned()));
}

#[test]
fn failures_are_told_with_their_reasons_where_the_rule_has_metrics() {
    let mut lab = pair(15);
    lab.replicate(0, "one", vec![timed("timed", "two")]);
    tell_events(&lab, 0, "one");
    lab.deny("s3:ReplicateObject");
    lab.put(0, "one", "k", b"1");
    lab.settle();
    let failed = "Replication:OperationFailedReplication DstPutObjectNotPermitted";
    assert_eq!(events(&lab, 0), [failed]);
}

#[test]
fn locks_need_a_destination_with_object_lock() {
    let mut lab = one_way(16);
    lab.change(0, "one", |settings| settings.object_lock = Some(None));
    lab.put(0, "one", "k", b"1");
    lab.settle();
    assert_eq!(status(&lab, 0, "one", "k"), FAILED);
    let default = crate::LockDefault {
        mode: crate::LockMode::Governance,
        days: 2,
        in_years: false,
    };
    lab.change(1, "two", move |settings| {
        settings.object_lock = Some(Some(default))
    });
    let put = lab.put(0, "one", "l", b"1");
    lab.settle();
    assert_eq!(status(&lab, 0, "one", "l"), COMPLETED);
    let replica = lab.find(1, "two", "l", None).unwrap();
    let until = replica.object().unwrap().retention.as_ref().unwrap().until;
    assert_eq!(
        until.0,
        put.stamp.last_modified().0 + 2 * 24 * 60 * 60 * 1000
    );
}

#[test]
fn a_rule_says_the_replicas_storage_class() {
    let mut lab = pair(17);
    let mut cold = rule("cold", 1, "two");
    cold.destination.storage_class = Some("STANDARD_IA".to_owned());
    lab.replicate(0, "one", vec![cold]);
    lab.put(0, "one", "k", b"1");
    lab.settle();
    let replica = lab.find(1, "two", "k", None).unwrap();
    assert_eq!(replica.object().unwrap().storage_class, "STANDARD_IA");
}

#[test]
fn what_a_customers_key_encrypts_goes_as_it_is_and_is_read_with_that_key() {
    use base64::Engine as _;
    use md5::Digest as _;
    for length in [10, 400_000] {
        let mut lab = one_way(18);
        let key = base64::engine::general_purpose::STANDARD.encode([7; 32]);
        let md5 = md5::Md5::digest([7; 32]);
        let md5 = base64::engine::general_purpose::STANDARD.encode(md5);
        let customer = crate::content::CustomerKey::parse(Some("AES256"), Some(&key), Some(&md5));
        let customer = customer.unwrap();
        let content = bytes(length, 3);
        let put = lab.put_encrypted(0, "one", "k", &content, customer.clone());
        lab.settle();
        assert_eq!(status(&lab, 0, "one", "k"), COMPLETED);
        let replica = lab.find(1, "two", "k", Some(put.id())).unwrap();
        assert!(lab.read(1, "two", "k", &replica).is_err());
        let read = lab.read_with(1, "two", "k", &replica, customer.as_ref());
        assert!(read.unwrap() == content);
    }
}

#[test]
fn a_receiver_that_loses_its_power_goes_on_with_the_parts_it_has() {
    let mut lab = one_way(19);
    put_parts(&lab, &[900_000, 900_000, 900_000]);
    for _ in 0..5_000 {
        lab.step();
        if rows(&lab, 1, kind::STAGED) == 2 {
            break;
        }
    }
    assert_eq!(rows(&lab, 1, kind::STAGED), 2);
    let before = lab.carried;
    lab.crash(1);
    lab.settle();
    assert_eq!(status(&lab, 0, "one", "parts"), COMPLETED);
    assert!(lab.carried - before < 1_400_000, "{}", lab.carried - before);
    assert_eq!(rows(&lab, 1, kind::STAGED), 0);
}

#[test]
fn what_was_received_long_ago_is_let_go_of_or_gone_on_with_and_never_both() {
    for seed in 0..30 {
        let mut lab = one_way(seed);
        let put = put_parts(&lab, &[300_000, 300_000, 300_000]);
        while rows(&lab, 1, kind::STAGED) < 2 {
            lab.step();
        }
        lab.advance(Span::seconds(8 * 24 * 3600));
        // What is offered again comes while the old is let go of.
        lab.crash(1);
        let looked = lab.meanwhile(1, |objects| async move {
            objects
                .watch_once(&mut super::watch::Watched::default())
                .await
        });
        looked.unwrap();
        lab.settle();
        lab.advance(Span::seconds(61));
        lab.at(1, async |objects| objects.collect_garbage().await.unwrap());
        let replica = lab.find(1, "two", "parts", Some(put.id())).unwrap();
        let read = lab.read(1, "two", "parts", &replica);
        assert_eq!(read.map(|read| read.len()), Ok(900_000), "seed {seed}");
    }
}

#[test]
fn the_ledger_lists_who_lost() {
    let mut lab = two_way(20);
    lab.set_cut(0, 1, true);
    let lost = lab.put(0, "one", "k", b"1");
    lab.advance(Span::milliseconds(5));
    let won = lab.put(1, "two", "k", b"2");
    lab.set_cut(0, 1, false);
    lab.settle();
    let page = lab.at(1, async |objects| {
        objects.lost_versions(None, 10).await.unwrap()
    });
    assert_eq!((page.lost.len(), page.next), (1, None));
    assert_eq!(
        (page.lost[0].loser, page.lost[0].winner),
        (lost.stamp, won.stamp)
    );
    assert_eq!(page.lost[0].bucket, Some("two".parse().unwrap()));
}

#[test]
fn what_is_damaged_is_got_from_the_replica_and_from_its_source() {
    for (damaged, other) in [(0, 1), (1, 0)] {
        let mut lab = one_way(21);
        let content = bytes(2_000_000, 5);
        lab.put(0, "one", "k", &content);
        lab.settle();
        let bucket = BUCKETS[damaged];
        let blob = lab.blobs(damaged).all()[0].0;
        assert!(lab.blobs(damaged).flip(blob, 1_000_000));
        let version = lab.find(damaged, bucket, "k", None).unwrap();
        assert!(lab.read(damaged, bucket, "k", &version).is_err());
        let scrubbed = lab.meanwhile(damaged, |objects| async move {
            let repair = super::ReplicaRepair(objects.clone());
            objects.scrub_once(None, &repair).await.unwrap()
        });
        assert_eq!((scrubbed.repaired, scrubbed.damaged), (1, 0), "{other}");
        let version = lab.find(damaged, bucket, "k", None).unwrap();
        assert!(lab.read(damaged, bucket, "k", &version).unwrap() == content);
    }
}

#[test]
fn what_the_buckets_owner_cannot_read_stays() {
    use crate::{Acl, Grant, Grantee, ObjectOwnership, Permission, State};
    let mut lab = one_way(22);
    lab.change(0, "one", |settings| {
        settings.ownership = Some(ObjectOwnership::ObjectWriter)
    });
    let other: types::AccountId = "444455556666".parse().unwrap();
    let bucket = lab.bucket(0, "one");
    let put = lab.put(0, "one", "k", b"1");
    let mut theirs = (*put).clone();
    theirs.owner = other;
    let reads = super::announce::owner_reads;
    assert!(reads(&bucket, &put));
    assert!(!reads(&bucket, &theirs));
    if let State::Object(object) = &mut theirs.state {
        object.acl = Some(Acl {
            owner: other,
            grants: vec![Grant {
                grantee: Grantee::Account(types::AccountId::LAB),
                permission: Permission::Read,
            }],
        });
    }
    assert!(reads(&bucket, &theirs));
    lab.settle();
}
