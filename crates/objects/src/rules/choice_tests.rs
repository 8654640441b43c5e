//! Which rules choose what: a table.

use std::collections::BTreeMap;

use types::{AccountId, Context, Hlc, SiteId, Version};

use super::*;
use crate::rules::{DeleteMarkers, Destination, Filter, SourceSelection, Tag};
use crate::{Content, Encryption, Extent, Metadata, Stamp, State};

fn rule(id: &str, priority: i32, bucket: &str, filter: Filter) -> Rule {
    Rule {
        id: Some(id.to_owned()),
        priority: Some(priority),
        prefix: None,
        filter: Some(filter),
        status: Status::Enabled,
        source_selection: None,
        existing_objects: None,
        delete_markers: Some(DeleteMarkers {
            status: Some(Status::Disabled),
        }),
        destination: Destination {
            bucket: format!("arn:aws:s3:::{bucket}"),
            ..Destination::default()
        },
    }
}

fn of(rules: Vec<Rule>) -> ReplicationConfiguration {
    ReplicationConfiguration {
        role: String::new(),
        rules,
    }
}

fn marker() -> ObjectVersion {
    ObjectVersion {
        stamp: Stamp {
            version: Version {
                time: Hlc(1),
                site: SiteId(1),
            },
            random: 0,
        },
        is_null: false,
        context: Context::EMPTY,
        owner: AccountId::LAB,
        state: State::DeleteMarker,
        outcomes: Vec::new(),
        is_replica: false,
    }
}

fn object(tags: &[(&str, &str)], class: &str) -> ObjectVersion {
    let extent = Extent {
        number: 1,
        size: 0,
        etag: String::new(),
        checksum: None,
        blob: 0,
        inline: true,
        sealed_key: bytes::Bytes::new(),
    };
    let tags = tags
        .iter()
        .map(|(key, value)| (key.to_string(), value.to_string()));
    ObjectVersion {
        state: State::Object(Box::new(ObjectData {
            size: 0,
            etag: String::new(),
            checksum: None,
            content: Content::Whole(extent),
            encryption: Encryption::Site,
            metadata: Metadata::default(),
            storage_class: class.to_owned(),
            tags: tags.collect::<BTreeMap<_, _>>(),
            acl: None,
            retention: None,
            legal_hold: false,
            amended: Default::default(),
        })),
        ..marker()
    }
}

fn chosen(
    configuration: &ReplicationConfiguration,
    key: &str,
    version: &ObjectVersion,
    operation: Operation,
) -> Vec<String> {
    let candidate = Candidate {
        key,
        version,
        operation,
    };
    let chosen = choose(configuration, candidate);
    chosen
        .iter()
        .map(|chosen| chosen.rule.id().to_owned())
        .collect()
}

#[test]
fn of_rules_with_one_destination_the_highest_priority_is_used() {
    let configuration = of(vec![
        rule("low", 1, "one", Filter::All),
        rule("high", 7, "one", Filter::Prefix("a/".to_owned())),
        rule("other", 3, "two", Filter::All),
    ]);
    let plain = object(&[], "STANDARD");
    let write = Operation::Write;
    assert_eq!(
        chosen(&configuration, "a/1", &plain, write),
        ["high", "other"]
    );
    assert_eq!(chosen(&configuration, "b", &plain, write), ["low", "other"]);
    let mut disabled = configuration.clone();
    disabled.rules[1].status = Status::Disabled;
    assert_eq!(chosen(&disabled, "a/1", &plain, write), ["low", "other"]);
}

#[test]
fn tags_are_all_wanted_and_judged_as_written() {
    let tag = |key: &str, value: &str| Tag {
        key: key.to_owned(),
        value: value.to_owned(),
    };
    let configuration = of(vec![
        rule("tag", 1, "one", Filter::Tag(tag("a", "1"))),
        rule(
            "and",
            2,
            "two",
            Filter::And {
                prefix: Some("p".to_owned()),
                tags: vec![tag("a", "1"), tag("b", "2")],
            },
        ),
    ]);
    let write = Operation::Write;
    let both = object(&[("a", "1"), ("b", "2")], "STANDARD");
    assert_eq!(chosen(&configuration, "p", &both, write), ["tag", "and"]);
    assert_eq!(chosen(&configuration, "q", &both, write), ["tag"]);
    let other = object(&[("a", "2"), ("b", "2")], "STANDARD");
    assert!(chosen(&configuration, "p", &other, write).is_empty());
    assert!(chosen(&configuration, "p", &marker(), write).is_empty());
}

#[test]
fn delete_markers_go_by_the_version_of_the_schema() {
    let mut second = of(vec![rule("a", 1, "one", Filter::All)]);
    let write = Operation::Write;
    assert!(chosen(&second, "k", &marker(), write).is_empty());
    second.rules[0].delete_markers = Some(DeleteMarkers {
        status: Some(Status::Enabled),
    });
    assert_eq!(chosen(&second, "k", &marker(), write), ["a"]);
    assert!(chosen(&second, "k", &marker(), Operation::LifecycleMarker).is_empty());
    let mut first = second;
    first.rules[0].filter = None;
    first.rules[0].priority = None;
    first.rules[0].delete_markers = None;
    first.rules[0].prefix = Some(String::new());
    assert_eq!(chosen(&first, "k", &marker(), write), ["a"]);
    assert!(chosen(&first, "k", &marker(), Operation::LifecycleMarker).is_empty());
}

#[test]
fn replicas_and_the_archived_stay() {
    let mut configuration = of(vec![rule("a", 1, "one", Filter::All)]);
    let mut replica = object(&[], "STANDARD");
    replica.is_replica = true;
    let of_replica = |configuration: &ReplicationConfiguration, operation| {
        chosen(configuration, "k", &replica, operation)
    };
    assert!(of_replica(&configuration, Operation::Write).is_empty());
    assert!(of_replica(&configuration, Operation::Amend).is_empty());
    assert_eq!(of_replica(&configuration, Operation::Batch), ["a"]);
    configuration.rules[0].source_selection = Some(SourceSelection {
        kms_objects: None,
        replica_modifications: Some(Status::Enabled),
    });
    assert!(of_replica(&configuration, Operation::Write).is_empty());
    assert_eq!(of_replica(&configuration, Operation::Amend), ["a"]);
    for class in ARCHIVED {
        let archived = object(&[], class);
        assert!(chosen(&configuration, "k", &archived, Operation::Write).is_empty());
    }
}
