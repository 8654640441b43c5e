//! What is accepted and what is due.

use bytes::Bytes;
use store::{Batch, Engine, Space};

use super::*;
use crate::list::tests::version_at;
use crate::list::{After, ListQuery, VersionsAfter};
use crate::testing::{Lab, now};
use crate::{
    Bucket, BucketSettings, ObjectError, ReplicationStatus, RuleOutcome, State, Versioning,
};

/// Midnight of that day, and some hours.
fn day(days: u64, hours: u64) -> Timestamp {
    Timestamp((days * 24 + hours) * 3_600_000)
}

struct Numbers;

impl Environment for Numbers {
    fn now(&self) -> types::Now {
        types::Now::default()
    }

    fn sleep_until(&self, _: types::Monotonic) -> types::Sleep {
        Box::pin(std::future::ready(()))
    }

    fn random(&self) -> u64 {
        0xab
    }
}

fn rule(days: i64) -> LifecycleRule {
    LifecycleRule {
        enabled: true,
        filter: Some(Filter::default()),
        expiration: Some(Expiration {
            days: Some(days),
            ..Expiration::default()
        }),
        ..LifecycleRule::default()
    }
}

fn v1(prefix: &str) -> LifecycleRule {
    LifecycleRule {
        prefix: Some(prefix.to_owned()),
        filter: None,
        ..rule(1)
    }
}

fn refusal(rules: Vec<LifecycleRule>) -> (&'static str, String) {
    let accepted = LifecycleConfiguration { rules }.accept(&Numbers);
    let error: ObjectError = accepted.unwrap_err();
    (error.code().0, error.to_string())
}

#[test]
fn a_rule_without_an_id_gets_one() {
    let configuration = LifecycleConfiguration {
        rules: vec![rule(1)],
    };
    let accepted = configuration.accept(&Numbers).unwrap();
    assert_eq!(accepted.rules[0].id, "00000000000000ab00000000000000ab");
}

#[test]
fn rules_are_refused_in_the_words_of_the_service() {
    let with_id = |id: &str| LifecycleRule {
        id: id.to_owned(),
        ..rule(1)
    };
    let with_filter = |filter: Filter| LifecycleRule {
        filter: Some(filter),
        ..rule(1)
    };
    let tagged = Filter {
        tag: Some(("k".to_owned(), "v".to_owned())),
        ..Filter::default()
    };
    let sized = Filter {
        less_than: Some(5),
        ..Filter::default()
    };
    let aborting = |filter: &Filter| LifecycleRule {
        abort_after_days: Some(1),
        ..with_filter(filter.clone())
    };
    let marker = |filter: &Filter| LifecycleRule {
        expiration: Some(Expiration {
            expired_object_delete_marker: Some(true),
            ..Expiration::default()
        }),
        ..with_filter(filter.clone())
    };
    let noncurrent = |days, newer_versions, rule: LifecycleRule| LifecycleRule {
        noncurrent_expiration: Some(NoncurrentExpiration {
            days,
            newer_versions,
        }),
        expiration: None,
        ..rule
    };
    let malformed = "The XML you provided was not well-formed or did not validate against our \
                     published schema";
    let table: Vec<(Vec<LifecycleRule>, &str, &str)> = vec![
        (vec![], "MalformedXML", malformed),
        (
            vec![rule(1); 1001],
            "InvalidRequest",
            "The number of lifecycle rules must not exceed the allowed limit of 1000 rules.",
        ),
        (
            vec![with_id(&"i".repeat(256))],
            "InvalidArgument",
            "ID length should not exceed allowed limit of 255",
        ),
        (
            vec![with_id("i"), with_id("i")],
            "InvalidArgument",
            "Rule ID must be unique. Found same ID for more than one rule",
        ),
        (
            vec![LifecycleRule {
                prefix: Some(String::new()),
                ..rule(1)
            }],
            "MalformedXML",
            malformed,
        ),
        (
            vec![v1("a"), rule(1)],
            "InvalidRequest",
            "Filter element can only be used in Lifecycle V2.",
        ),
        (
            vec![rule(1), v1("a")],
            "InvalidRequest",
            "Base level prefix cannot be used in Lifecycle V2, prefixes are only supported in \
             the Filter.",
        ),
        (
            vec![v1("ab"), v1("b"), v1("a")],
            "InvalidRequest",
            "Found overlapping prefixes 'a' and 'ab' for same action type 'Expiration'",
        ),
        (
            vec![v1(&"p".repeat(1025))],
            "InvalidRequest",
            "The maximum size of a prefix is 1024",
        ),
        (
            vec![LifecycleRule {
                expiration: None,
                ..rule(1)
            }],
            "InvalidRequest",
            "At least one action needs to be specified in a rule",
        ),
        (
            vec![rule(0)],
            "InvalidArgument",
            "'Days' for Expiration action must be a positive integer",
        ),
        (
            vec![LifecycleRule {
                expiration: Some(Expiration {
                    date: Some(Timestamp(1)),
                    ..Expiration::default()
                }),
                ..rule(1)
            }],
            "InvalidArgument",
            "'Date' must be at midnight GMT",
        ),
        (
            vec![LifecycleRule {
                expiration: Some(Expiration::default()),
                ..rule(1)
            }],
            "MalformedXML",
            malformed,
        ),
        (
            vec![marker(&tagged)],
            "InvalidRequest",
            "ExpiredObjectDeleteMarker cannot be specified with Tags.",
        ),
        (
            vec![marker(&sized)],
            "InvalidRequest",
            "ExpiredObjectDeleteMarker cannot be specified with Object Size.",
        ),
        (
            vec![aborting(&tagged)],
            "InvalidRequest",
            "AbortIncompleteMultipartUpload cannot be specified with Tags.",
        ),
        (
            vec![LifecycleRule {
                abort_after_days: Some(0),
                ..rule(1)
            }],
            "InvalidArgument",
            "'DaysAfterInitiation' for AbortIncompleteMultipartUpload action must be a positive \
             integer",
        ),
        (
            vec![noncurrent(Some(0), None, rule(1))],
            "InvalidArgument",
            "'NoncurrentDays' for NoncurrentVersionExpiration action must be a positive integer",
        ),
        (
            vec![noncurrent(Some(1), Some(101), rule(1))],
            "InvalidArgument",
            "'NewerNoncurrentVersions' for NoncurrentVersionExpiration action must be an integer \
             between 1 and 100",
        ),
        (
            vec![noncurrent(Some(1), Some(1), v1(""))],
            "InvalidRequest",
            "NewerNoncurrentVersions element can only be used in Lifecycle V2.",
        ),
        (
            vec![with_filter(Filter {
                prefix: Some("p".to_owned()),
                ..tagged.clone()
            })],
            "MalformedXML",
            malformed,
        ),
        (
            vec![with_filter(Filter {
                and: Some(And {
                    prefix: Some("p".to_owned()),
                    ..And::default()
                }),
                ..Filter::default()
            })],
            "MalformedXML",
            malformed,
        ),
        (
            vec![with_filter(Filter {
                and: Some(And {
                    greater_than: Some(5),
                    less_than: Some(5),
                    ..And::default()
                }),
                ..Filter::default()
            })],
            "InvalidRequest",
            "'ObjectSizeLessThan' has to be a value greater than 'ObjectSizeGreaterThan'.",
        ),
    ];
    for (rules, code, text) in table {
        assert_eq!(refusal(rules), (code, text.to_owned()));
    }
}

#[test]
fn days_end_at_the_midnight_after() {
    let configuration = LifecycleConfiguration {
        rules: vec![rule(3)],
    };
    let key = "k".parse().unwrap();
    // S3 User Guide: made on the 15th at 10:30, three days: the 19th at 00:00.
    let version = version_at(day(15, 10), false);
    let expiry = expiry(&configuration, &key, &version).unwrap();
    assert_eq!(expiry.at, day(19, 0));
    let current = Due {
        key: &key,
        version: &version,
        superseded: None,
        newer_noncurrent: 0,
        alone: true,
    };
    assert!(!due(&configuration, current, Timestamp(day(19, 0).0 - 1)));
    assert!(due(&configuration, current, day(19, 0)));
}

#[test]
fn noncurrent_versions_go_by_when_they_were_superseded_and_the_newest_are_kept() {
    let configuration = LifecycleConfiguration {
        rules: vec![LifecycleRule {
            expiration: None,
            noncurrent_expiration: Some(NoncurrentExpiration {
                days: Some(1),
                newer_versions: Some(2),
            }),
            ..rule(1)
        }],
    };
    let key = "k".parse().unwrap();
    let version = version_at(day(1, 0), false);
    let of = |newer_noncurrent, superseded| Due {
        key: &key,
        version: &version,
        superseded,
        newer_noncurrent,
        alone: false,
    };
    let now = day(12, 0);
    assert!(due(&configuration, of(2, Some(day(10, 5))), now));
    assert!(!due(&configuration, of(2, Some(day(10, 5))), day(11, 23)));
    assert!(!due(&configuration, of(1, Some(day(10, 5))), now));
    assert!(
        !due(&configuration, of(9, None), now),
        "the current one stays"
    );
}

#[test]
fn what_replication_has_not_brought_over_stays() {
    let configuration = LifecycleConfiguration {
        rules: vec![rule(1)],
    };
    let key = "k".parse().unwrap();
    for (status, goes) in [
        (ReplicationStatus::Pending, false),
        (ReplicationStatus::Failed, false),
        (ReplicationStatus::Completed, true),
    ] {
        let mut version = version_at(day(1, 0), false);
        version.outcomes.push(RuleOutcome {
            rule: "r".to_owned(),
            bucket: "b".to_owned(),
            site: types::SiteId(2),
            status,
            tasks: 0,
        });
        let this = Due {
            key: &key,
            version: &version,
            superseded: None,
            newer_noncurrent: 0,
            alone: true,
        };
        assert_eq!(due(&configuration, this, day(9, 0)), goes, "{status:?}");
    }
}

#[test]
fn a_delete_marker_goes_only_alone() {
    let configuration = LifecycleConfiguration {
        rules: vec![LifecycleRule {
            expiration: Some(Expiration {
                expired_object_delete_marker: Some(true),
                ..Expiration::default()
            }),
            ..rule(1)
        }],
    };
    let key = "k".parse().unwrap();
    let (marker, object) = (version_at(day(1, 0), true), version_at(day(1, 0), false));
    let of = |version, alone| Due {
        key: &key,
        version,
        superseded: None,
        newer_noncurrent: 0,
        alone,
    };
    assert!(due(&configuration, of(&marker, true), day(1, 1)));
    assert!(!due(&configuration, of(&marker, false), day(1, 1)));
    assert!(!due(&configuration, of(&object, true), day(99, 1)));
}

#[test]
fn filters_choose_by_prefix_tags_and_size() {
    let filtered = |filter| LifecycleConfiguration {
        rules: vec![LifecycleRule {
            filter: Some(filter),
            ..rule(1)
        }],
    };
    let and = And {
        prefix: Some("logs/".to_owned()),
        tags: vec![("k".to_owned(), "v".to_owned())],
        greater_than: Some(10),
        less_than: Some(20),
    };
    let configuration = filtered(Filter {
        and: Some(and),
        ..Filter::default()
    });
    let find = |key: &str, size, tag: &str| {
        let mut version = version_at(day(1, 0), false);
        let State::Object(object) = &mut version.state else {
            panic!("an object");
        };
        object.size = size;
        object.tags.insert("k".to_owned(), tag.to_owned());
        expiry(&configuration, &key.parse().unwrap(), &version).is_some()
    };
    assert!(find("logs/a", 11, "v"));
    assert!(!find("log/a", 11, "v"));
    assert!(!find("logs/a", 10, "v"));
    assert!(!find("logs/a", 20, "v"));
    assert!(!find("logs/a", 11, "w"));
}

/// Versions of a key, newest first: is it a delete marker?
fn held(lab: &Lab, bucket: &Bucket, key: &str) -> Vec<bool> {
    let query = ListQuery {
        prefix: key,
        delimiter: "",
        limit: 1000,
    };
    let after = VersionsAfter::Keys(After::Nothing);
    let page = now(lab.objects.list_versions(bucket, &query, &after)).unwrap();
    let versions = page.versions.iter();
    versions
        .map(|listed| listed.version.is_delete_marker())
        .collect()
}

fn pass(lab: &Lab) -> (u64, u64) {
    let report = now(lab.objects.lifecycle_pass());
    assert_eq!((report.left, report.troubled), (0, 0));
    (report.expired, report.aborted)
}

fn ruled(lab: &Lab, bucket: &Bucket, rules: Vec<LifecycleRule>) -> Bucket {
    let configuration = LifecycleConfiguration { rules };
    let accepted = configuration.accept(&Numbers).unwrap();
    let change = |settings: &mut BucketSettings| {
        settings.lifecycle = Some(accepted.clone());
        Ok(())
    };
    now(lab.objects.change_settings(bucket, change)).unwrap();
    lab.objects.bucket(&bucket.name).unwrap()
}

#[test]
fn a_pass_expires_what_is_due_as_the_bucket_keeps_versions() {
    for (versioning, after_one, after_two) in [
        (Versioning::Unversioned, vec![], vec![]),
        // A delete marker; then it is alone with what it covers, until that is deleted.
        (Versioning::Enabled, vec![true, false], vec![true, false]),
        (Versioning::Suspended, vec![true], vec![]),
    ] {
        let lab = Lab::new(day(1, 5));
        let bucket = lab.bucket("bucket", versioning);
        let bucket = ruled(&lab, &bucket, vec![rule(1)]);
        lab.put(&bucket, "k", b"x");
        lab.clock.set(day(2, 23));
        assert_eq!(pass(&lab), (0, 0));
        lab.clock.set(day(3, 0));
        assert_eq!(pass(&lab), (1, 0));
        assert_eq!(held(&lab, &bucket, "k"), after_one, "{versioning:?}");
        lab.clock.set(day(9, 0));
        pass(&lab);
        assert_eq!(held(&lab, &bucket, "k"), after_two, "{versioning:?}");
    }
}

#[test]
fn noncurrent_versions_and_lone_markers_go() {
    let lab = Lab::new(day(1, 0));
    let bucket = lab.bucket("bucket", Versioning::Enabled);
    let rules = vec![LifecycleRule {
        filter: Some(Filter {
            prefix: Some("in/".to_owned()),
            ..Filter::default()
        }),
        expiration: Some(Expiration {
            expired_object_delete_marker: Some(true),
            ..Expiration::default()
        }),
        noncurrent_expiration: Some(NoncurrentExpiration {
            days: Some(1),
            newer_versions: Some(1),
        }),
        ..rule(1)
    }];
    let bucket = ruled(&lab, &bucket, rules);
    for key in ["in/k", "out/k"] {
        for _ in 0..4 {
            lab.put(&bucket, key, b"x");
        }
    }
    lab.put(&bucket, "in/gone", b"x");
    lab.delete(&bucket, "in/gone", None);
    lab.clock.set(day(3, 0));
    // Three noncurrent ones, of which the newest is kept.
    assert_eq!(pass(&lab), (2, 0));
    assert_eq!(held(&lab, &bucket, "in/k").len(), 2);
    assert_eq!(held(&lab, &bucket, "out/k").len(), 4);
    assert_eq!(held(&lab, &bucket, "in/gone"), [true, false]);
    let query = ListQuery {
        prefix: "in/gone",
        delimiter: "",
        limit: 9,
    };
    let after = VersionsAfter::Keys(After::Nothing);
    let page = now(lab.objects.list_versions(&bucket, &query, &after)).unwrap();
    let covered = page.versions[1].version.id();
    lab.delete(&bucket, "in/gone", Some(covered));
    assert_eq!(pass(&lab), (1, 0));
    assert!(held(&lab, &bucket, "in/gone").is_empty());
    assert_eq!(pass(&lab), (0, 0));
}

#[test]
fn a_pass_goes_through_more_than_a_page_of_versions() {
    let lab = Lab::new(day(1, 0));
    let bucket = lab.bucket("bucket", Versioning::Enabled);
    let rules = vec![LifecycleRule {
        expiration: None,
        noncurrent_expiration: Some(NoncurrentExpiration {
            days: Some(1),
            newer_versions: None,
        }),
        ..rule(1)
    }];
    let bucket = ruled(&lab, &bucket, rules);
    for _ in 0..1_101 {
        lab.put(&bucket, "k", b"x");
    }
    lab.put(&bucket, "z", b"x");
    lab.clock.set(day(3, 0));
    assert_eq!(pass(&lab), (1_100, 0));
    assert_eq!(held(&lab, &bucket, "").len(), 2);
}

#[test]
fn uploads_that_nobody_completes_are_aborted() {
    let lab = Lab::new(day(1, 5));
    let bucket = lab.bucket("bucket", Versioning::Unversioned);
    let rules = vec![LifecycleRule {
        expiration: None,
        abort_after_days: Some(2),
        filter: Some(Filter {
            prefix: Some("in/".to_owned()),
            ..Filter::default()
        }),
        ..rule(1)
    }];
    let bucket = ruled(&lab, &bucket, rules);
    for key in ["in/k", "out/k"] {
        let upload = crate::multipart::tests::upload(None);
        let key = key.parse().unwrap();
        now(lab.objects.create_upload(&bucket, &key, &upload)).unwrap();
    }
    lab.clock.set(day(3, 23));
    assert_eq!(pass(&lab), (0, 0));
    lab.clock.set(day(4, 0));
    assert_eq!(pass(&lab), (0, 1));
    assert_eq!(pass(&lab), (0, 0));
}

#[test]
fn what_goes_wrong_with_one_bucket_holds_up_no_other() {
    let lab = Lab::new(day(1, 0));
    let make = |name: &str| {
        let bucket = lab.bucket(name, Versioning::Unversioned);
        lab.put(&bucket, "k", b"x");
        ruled(&lab, &bucket, vec![rule(1)])
    };
    let (first, broken, last) = (make("a-bucket"), make("b-bucket"), make("c-bucket"));
    let version = lab.put(&broken, "damaged", b"x");
    let key = "damaged".parse().unwrap();
    let row = crate::keys::version(broken.entry.id, &key, version.stamp);
    let write = |value: Bytes| {
        let mut batch = Batch::new();
        batch.put(Space::Objects, row.clone(), value);
        now(lab.objects.engine.commit(batch)).unwrap();
    };
    write(Bytes::from_static(b"\x01Onothing"));
    lab.clock.set(day(3, 0));
    let report = now(lab.objects.lifecycle_pass());
    assert_eq!((report.expired, report.troubled), (2, 1));
    for gone in [&first, &last] {
        assert!(held(&lab, gone, "").is_empty());
    }
    let troubles = lab.objects.lifecycle_troubles();
    assert_eq!(troubles.len(), 1);
    let trouble = &troubles[&broken.name];
    assert_eq!(trouble.since, day(3, 0));
    assert!(!trouble.reason.is_empty());
    // It is tried again, and forgotten once it is well.
    lab.clock.set(day(3, 1));
    now(lab.objects.lifecycle_pass());
    assert_eq!(
        lab.objects.lifecycle_troubles()[&broken.name].since,
        day(3, 0)
    );
    write(version.encode());
    assert_eq!(pass(&lab), (2, 0));
    assert!(lab.objects.lifecycle_troubles().is_empty());
}

#[test]
fn a_full_disk_ends_the_pass_of_a_bucket_and_says_so() {
    let lab = Lab::new(day(1, 0));
    let bucket = lab.bucket("bucket", Versioning::Enabled);
    let bucket = ruled(&lab, &bucket, vec![rule(1)]);
    lab.put(&bucket, "k", b"x");
    lab.clock.set(day(3, 0));
    lab.objects.engine.fail_with_full_disk(true);
    let report = now(lab.objects.lifecycle_pass());
    assert_eq!((report.expired, report.troubled), (0, 1));
    lab.objects.engine.fail_with_full_disk(false);
    assert_eq!(pass(&lab), (1, 0));
}
