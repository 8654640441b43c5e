//! Buckets made and deleted, with a configuration that doesn't always decide.

use std::sync::Arc;

use store::MemoryEngine;
use types::{AccountId, ConfigurationError, Timestamp};

use super::{key, options, put};
use crate::testing::{Decided, Place, code, new_bucket, now};
use crate::{BucketName, ObjectError, Versioning};

fn place() -> Place {
    Place::new(1, Timestamp(1_000_000), Arc::default())
}

fn name(text: &str) -> BucketName {
    text.parse().unwrap()
}

#[test]
fn a_name_is_one_buckets_in_all_regions() {
    let configuration: Arc<Decided> = Arc::default();
    let here = Place::new(1, Timestamp(0), configuration.clone()).open(MemoryEngine::new());
    let there = Place::new(2, Timestamp(0), configuration).open(MemoryEngine::new());
    let new = |name| new_bucket(name, Versioning::Enabled);
    let made = now(here.create_bucket(new("orders"))).unwrap();
    assert_eq!(made.settings.versioning, Versioning::Enabled);
    let again = now(here.create_bucket(new("orders")));
    assert_eq!(code(again), "BucketAlreadyOwnedByYou");
    assert!(here.forgives(&name("orders"), AccountId::LAB));
    let mut others = new("orders");
    others.owner = "444455556666".parse().unwrap();
    let again = now(there.create_bucket(others));
    assert_eq!(code(again), "BucketAlreadyExists");
    let region = "us-east-1".parse().unwrap();
    assert_eq!(
        there.bucket(&name("orders")).unwrap_err(),
        ObjectError::Elsewhere(region)
    );
    assert_eq!(code(here.bucket(&name("nothing"))), "NoSuchBucket");
    now(there.create_bucket(new("stock"))).unwrap();
    let listed = |region, prefix, after, limit| {
        let page = here
            .list_buckets(AccountId::LAB, region, prefix, after, limit)
            .unwrap();
        let names = page.buckets.iter().map(|(name, _)| name.to_string());
        (names.collect::<Vec<_>>().join(" "), page.more)
    };
    assert_eq!(
        listed(None, "", None, 10),
        ("orders stock".to_owned(), false)
    );
    assert_eq!(listed(None, "", None, 1), ("orders".to_owned(), true));
    assert_eq!(
        listed(None, "", Some("orders"), 1),
        ("stock".to_owned(), false)
    );
    assert_eq!(
        listed(Some(region), "", None, 9),
        ("orders".to_owned(), false)
    );
    assert_eq!(listed(None, "s", None, 9), ("stock".to_owned(), false));
}

#[test]
fn a_bucket_made_elsewhere_a_moment_ago_is_known_to_the_majority() {
    let configuration: Arc<Decided> = Arc::default();
    let here = Place::new(1, Timestamp(0), configuration.clone()).open(MemoryEngine::new());
    let there = Place::new(2, Timestamp(0), configuration.clone()).open(MemoryEngine::new());
    configuration.lag(|| {
        now(there.create_bucket(new_bucket("stock", Versioning::Enabled))).unwrap();
    });
    assert_eq!(code(here.bucket(&name("stock"))), "NoSuchBucket");
    configuration.refuse(Some(ConfigurationError::NoMajority));
    let unknown = now(here.decided_entry(&name("stock"))).unwrap_err();
    assert!(matches!(unknown, ObjectError::Unavailable(_)), "{unknown}");
    configuration.refuse(None);
    let found = now(here.decided_entry(&name("stock"))).unwrap().unwrap();
    assert_eq!(found.region, "eu-west-1".parse().unwrap());
    assert_eq!(now(here.decided_entry(&name("nothing"))).unwrap(), None);
}

#[test]
fn a_bucket_goes_when_it_holds_nothing() {
    let objects = place().open(MemoryEngine::new());
    let bucket = now(objects.create_bucket(new_bucket("full", Versioning::Enabled))).unwrap();
    let at = key("k");
    let version = put(&objects, &bucket, &at, "x").unwrap();
    let refused = now(objects.delete_bucket(&bucket)).unwrap_err();
    assert_eq!(
        refused.to_string(),
        "The bucket you tried to delete is not empty"
    );
    let marker = now(objects.delete(&bucket, &at, None, &options())).unwrap();
    let refused = now(objects.delete_bucket(&bucket)).unwrap_err();
    assert!(refused.to_string().ends_with("all versions in the bucket."));
    put(&objects, &bucket, &key("open again"), "x").unwrap();
    for (at, id) in [(&at, Some(version.id())), (&at, marker.version_id)] {
        now(objects.delete(&bucket, at, id, &options())).unwrap();
    }
    let other = key("open again");
    let left = now(objects.find(&bucket, &other, None)).unwrap();
    now(objects.delete(&bucket, &other, Some(left.id()), &options())).unwrap();
    now(objects.delete_bucket(&bucket)).unwrap();
    assert_eq!(code(objects.bucket(&bucket.name)), "NoSuchBucket");
    // Whoever found it before finds it gone.
    assert_eq!(code(put(&objects, &bucket, &at, "x")), "NoSuchBucket");
    // One of the same name is another.
    let again = now(objects.create_bucket(new_bucket("full", Versioning::Enabled))).unwrap();
    assert_eq!(code(put(&objects, &bucket, &at, "x")), "NoSuchBucket");
    put(&objects, &again, &at, "x").unwrap();
}

#[test]
fn a_deletion_that_nobody_decided_leaves_the_bucket_as_it_was() {
    let place = place();
    let objects = place.open(MemoryEngine::new());
    let bucket = now(objects.create_bucket(new_bucket("b-1", Versioning::Enabled))).unwrap();
    place
        .configuration
        .refuse(Some(ConfigurationError::NoMajority));
    assert_eq!(
        code(now(objects.delete_bucket(&bucket))),
        "ServiceUnavailable"
    );
    put(&objects, &bucket, &key("k"), "x").unwrap();
    let refused = now(objects.create_bucket(new_bucket("b-2", Versioning::Enabled)));
    assert_eq!(code(refused), "ServiceUnavailable");
}

#[test]
fn a_deletion_in_doubt_closes_the_bucket_until_it_is_settled() {
    let place = place();
    let engine = MemoryEngine::new();
    let objects = place.open(engine.clone());
    let bucket = now(objects.create_bucket(new_bucket("doubt", Versioning::Enabled))).unwrap();
    place
        .configuration
        .refuse(Some(ConfigurationError::TimedOut));
    assert_eq!(
        code(now(objects.delete_bucket(&bucket))),
        "OperationAborted"
    );
    let at = key("k");
    assert_eq!(code(put(&objects, &bucket, &at, "x")), "OperationAborted");
    place.configuration.refuse(None);
    // As after a restart.
    let objects = place.open(engine);
    assert_eq!(code(put(&objects, &bucket, &at, "x")), "OperationAborted");
    let before = objects.entry(&bucket.name).unwrap().unwrap();
    now(objects.tend_buckets()).unwrap();
    let after = objects.entry(&bucket.name).unwrap().unwrap();
    assert_eq!(before.1, after.1);
    assert!(
        before.0 < after.0,
        "a removal that waits for {} is void",
        before.0
    );
    put(&objects, &bucket, &at, "x").unwrap();
}

#[test]
fn a_bucket_is_cleared_only_when_its_name_is_known_to_be_gone() {
    let place = place();
    let engine = MemoryEngine::new();
    let objects = place.open(engine.clone());
    let bucket = now(objects.create_bucket(new_bucket("late", Versioning::Enabled))).unwrap();
    place
        .configuration
        .refuse(Some(ConfigurationError::TimedOut));
    assert_eq!(
        code(now(objects.delete_bucket(&bucket))),
        "OperationAborted"
    );
    // A restart whose view is behind: it has no such entry yet.
    let behind = Place {
        configuration: Arc::default(),
        ..place.clone()
    };
    now(behind.open(engine.clone()).tend_buckets()).unwrap();
    place.configuration.refuse(None);
    let objects = place.open(engine);
    now(objects.tend_buckets()).unwrap();
    put(&objects, &bucket, &key("k"), "x").unwrap();
    // Decided, and cut off before the rest was done.
    let left = now(objects.find_any(&bucket, &key("k"), None)).unwrap();
    let id = left.map(|version| version.id());
    now(objects.delete(&bucket, &key("k"), id, &options())).unwrap();
    now(objects.close(&bucket, true)).unwrap();
    now(objects.remove_entry(&bucket)).unwrap();
    assert!(!objects.closing().is_empty());
    now(objects.tend_buckets()).unwrap();
    assert!(objects.closing().is_empty());
    assert_eq!(code(put(&objects, &bucket, &key("k"), "x")), "NoSuchBucket");
}

#[test]
fn settings_that_change_meanwhile_are_found() {
    let place = place();
    let engine = MemoryEngine::new();
    let objects = place.open(engine.clone());
    let bucket = now(objects.create_bucket(new_bucket("b-1", Versioning::Unversioned))).unwrap();
    // Another process's view of the same rows stands for a call that was dropped half-way.
    let other = place.open(engine);
    let enabled = other.change_settings(&bucket, |settings| {
        settings.versioning = Versioning::Enabled;
        Ok(())
    });
    now(enabled).unwrap();
    let version = put(&objects, &bucket, &key("k"), "x").unwrap();
    assert!(!version.is_null, "the settings of the commit count");
    let kept = objects.bucket(&bucket.name).unwrap().settings;
    assert_eq!(kept.versioning, Versioning::Enabled);
}
