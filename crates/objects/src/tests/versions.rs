//! What single rules come to: locks, conditions, faults of the disk.

use types::Timestamp;

use super::checker::{check_content, checked};
use super::{ingest, key, new_object, options, put, request};
use crate::testing::{Lab, code, new_bucket, now};
use crate::{
    Amendment, BucketSettings, DeleteOptions, LockDefault, LockMode, NewContent, ObjectError,
    Retention, VersionId, Versioning,
};

const START: Timestamp = Timestamp(1_000_000);

fn locked_bucket(lab: &Lab) -> crate::Bucket {
    let mut new = new_bucket("locked", Versioning::Enabled);
    new.settings = BucketSettings::new(true);
    now(lab.objects.create_bucket(new)).unwrap()
}

#[test]
fn a_locked_version_goes_when_its_lock_does() {
    let lab = Lab::new(START);
    let bucket = locked_bucket(&lab);
    assert!(bucket.entry.object_lock);
    let at = key("k");
    let default = LockDefault::requested(LockMode::Governance, Some(1), None).unwrap();
    let changed = lab.objects.change_settings(&bucket, |settings| {
        settings.object_lock = Some(Some(default));
        Ok(())
    });
    now(changed).unwrap();
    let version = put(&lab.objects, &bucket, &at, "kept").unwrap();
    let retention = version.object().unwrap().retention.clone().unwrap();
    assert_eq!(retention.until, Timestamp(1_000_000 + 86_400_000));
    let id = Some(version.id());
    let delete = |options: &DeleteOptions| now(lab.objects.delete(&bucket, &at, id, options));
    assert_eq!(delete(&options()), Err(ObjectError::Locked));
    // A marker hides it, and locks nothing.
    let marker = now(lab.objects.delete(&bucket, &at, None, &options())).unwrap();
    now(lab
        .objects
        .delete(&bucket, &at, marker.version_id, &options()))
    .unwrap();
    let amend =
        |amendment: Amendment| now(lab.objects.amend(&bucket, &at, id, &amendment, &request()));
    amend(Amendment::LegalHold(true)).unwrap();
    lab.clock.set(retention.until);
    assert_eq!(delete(&options()), Err(ObjectError::Locked), "on hold");
    amend(Amendment::LegalHold(false)).unwrap();
    delete(&options()).unwrap();
    assert_eq!(
        code(now(lab.objects.find(&bucket, &at, id))),
        "NoSuchVersion"
    );
}

#[test]
fn governance_is_bypassed_and_compliance_is_not() {
    let lab = Lab::new(START);
    let bucket = locked_bucket(&lab);
    let bypass = DeleteOptions {
        bypass_governance: true,
        ..options()
    };
    for (mode, may) in [(LockMode::Governance, true), (LockMode::Compliance, false)] {
        let at = key("k");
        let ingested = now(ingest(&lab.objects, "x")).unwrap();
        let mut new = new_object(NewContent::Whole(ingested));
        new.retention = Some(Retention {
            mode,
            until: Timestamp(2_000_000),
        });
        let version = now(lab.objects.put(&bucket, &at, new)).unwrap();
        let cause = request();
        let ended = lab.objects.amend(
            &bucket,
            &at,
            None,
            &Amendment::Retention {
                retention: None,
                bypass_governance: false,
            },
            &cause,
        );
        assert_eq!(now(ended), Err(ObjectError::Locked));
        let deleted = now(lab
            .objects
            .delete(&bucket, &at, Some(version.id()), &bypass));
        assert_eq!(deleted.is_ok(), may, "{mode:?}");
    }
}

#[test]
fn a_lock_is_asked_of_buckets_that_have_it() {
    let lab = Lab::new(START);
    let bucket = lab.bucket("plain", Versioning::Enabled);
    let at = key("k");
    let ingested = now(ingest(&lab.objects, "x".repeat(20_000))).unwrap();
    let mut new = new_object(NewContent::Whole(ingested));
    new.legal_hold = true;
    let refused = now(lab.objects.put(&bucket, &at, new)).unwrap_err();
    assert_eq!(
        refused.to_string(),
        "Bucket is missing Object Lock Configuration"
    );
    put(&lab.objects, &bucket, &at, "y").unwrap();
    let (hold, cause) = (Amendment::LegalHold(true), request());
    let held = lab.objects.amend(&bucket, &at, None, &hold, &cause);
    assert_eq!(code(now(held)), "InvalidRequest");
    let versions = checked(&lab.objects, bucket.entry.id);
    check_content(&lab.objects, bucket.entry.id, &versions, false);
}

#[test]
fn a_full_disk_refuses_writes_whole_and_lets_deletions_pass() {
    let lab = Lab::new(START);
    let bucket = lab.bucket("full", Versioning::Unversioned);
    let (kept, other) = (key("kept"), key("other"));
    put(&lab.objects, &bucket, &kept, "first").unwrap();
    lab.objects.engine.fail_with_full_disk(true);
    for bytes in ["small", &"large".repeat(10_000)] {
        let refused = put(&lab.objects, &bucket, &other, bytes);
        assert_eq!(code(refused), "ServiceUnavailable");
        let refused = put(&lab.objects, &bucket, &kept, bytes);
        assert_eq!(code(refused), "ServiceUnavailable");
    }
    let versions = checked(&lab.objects, bucket.entry.id);
    check_content(&lab.objects, bucket.entry.id, &versions, false);
    assert_eq!(versions.len(), 1);
    now(lab.objects.delete(&bucket, &kept, None, &options())).unwrap();
    now(lab.objects.delete_bucket(&bucket)).unwrap();
    lab.objects.engine.fail_with_full_disk(false);
    assert_eq!(code(put(&lab.objects, &bucket, &kept, "x")), "NoSuchBucket");
}

#[test]
fn null_is_found_as_null_alone() {
    let lab = Lab::new(START);
    let bucket = lab.bucket("nulls", Versioning::Unversioned);
    let at = key("k");
    let version = put(&lab.objects, &bucket, &at, "x").unwrap();
    assert_eq!(version.id(), VersionId::Null);
    let by_stamp = Some(VersionId::Stamp(version.stamp));
    let found = now(lab.objects.find(&bucket, &at, by_stamp));
    assert_eq!(code(found), "NoSuchVersion");
    let found = now(lab.objects.find(&bucket, &at, Some(VersionId::Null)));
    assert_eq!(found.unwrap().stamp, version.stamp);
}
