//! A row a refusal: what is changed of a good configuration, and the code and text that answer it.

use super::*;
use crate::rules::{DeleteMarkers, ReplicaEncryption, SourceSelection, Tag};

fn second_version(id: &str, priority: i32) -> Rule {
    Rule {
        id: Some(id.to_owned()),
        priority: Some(priority),
        prefix: None,
        filter: Some(Filter::All),
        status: Status::Enabled,
        source_selection: None,
        existing_objects: None,
        delete_markers: Some(DeleteMarkers {
            status: Some(Status::Disabled),
        }),
        destination: Destination {
            bucket: "arn:aws:s3:::replicas".to_owned(),
            ..Destination::default()
        },
    }
}

fn first_version(id: &str, prefix: &str) -> Rule {
    Rule {
        priority: None,
        prefix: Some(prefix.to_owned()),
        filter: None,
        delete_markers: None,
        ..second_version(id, 0)
    }
}

fn of(rules: Vec<Rule>) -> ReplicationConfiguration {
    ReplicationConfiguration {
        role: "arn:aws:iam::111122223333:role/crr".to_owned(),
        rules,
    }
}

fn checked(
    configuration: ReplicationConfiguration,
) -> Result<ReplicationConfiguration, ObjectError> {
    let next = std::cell::Cell::new(0);
    check(&"sources".parse().unwrap(), configuration, || {
        next.set(next.get() + 1);
        next.get()
    })
}

fn refusal(configuration: ReplicationConfiguration) -> (&'static str, String) {
    let error = checked(configuration).unwrap_err();
    assert_eq!(error.code().1, 400, "{error}");
    (error.code().0, error.to_string())
}

/// The refusal of a rule of the second version that was changed so.
fn refused(change: impl FnOnce(&mut Rule)) -> (&'static str, String) {
    let mut rule = second_version("a", 1);
    change(&mut rule);
    refusal(of(vec![rule]))
}

fn tag(key: &str) -> Tag {
    Tag {
        key: key.to_owned(),
        value: "1".to_owned(),
    }
}

#[test]
fn good_configurations_are_kept_and_get_ids() {
    let mut rules = vec![second_version("a", 1), second_version("", 2)];
    rules[1].id = None;
    let good = checked(of(rules)).unwrap();
    assert_eq!(good.rules[0].id(), "a");
    assert_eq!(good.rules[1].id().len(), 32);
    let first = vec![first_version("a", "a"), first_version("b", "b")];
    assert_eq!(checked(of(first.clone())), Ok(of(first)));
}

#[test]
fn the_shape_is_checked_first() {
    assert_eq!(refusal(of(vec![])).0, "MalformedXML");
    let many = (0..1001).map(|number| second_version(&number.to_string(), number));
    assert_eq!(
        refusal(of(many.collect())),
        (
            "InvalidRequest",
            "Number of defined replication rules cannot exceed 1000".to_owned()
        )
    );
    let mut both = second_version("a", 1);
    both.prefix = Some(String::new());
    assert_eq!(refusal(of(vec![both])).0, "MalformedXML");
    let mut neither = first_version("a", "");
    neither.prefix = None;
    assert_eq!(refusal(of(vec![neither])).0, "MalformedXML");
    let class = refused(|rule| rule.destination.storage_class = Some("FSX_OPENZFS".to_owned()));
    assert_eq!(class.0, "MalformedXML");
}

#[test]
fn roles_are_roles() {
    let mut configuration = of(vec![second_version("a", 1)]);
    for (role, text) in [
        (
            "nobody",
            "Invalid Role specified in replication configuration",
        ),
        (
            "arn:aws:iam::1:role/a",
            "Invalid Role specified in replication configuration",
        ),
        (
            "arn:aws:iam::111122223333:user/a",
            "The relative id should start with role",
        ),
    ] {
        configuration.role = role.to_owned();
        let expected = ("InvalidArgument", text.to_owned());
        assert_eq!(refusal(configuration.clone()), expected);
    }
}

#[test]
fn ids_are_short_ascii_and_unique() {
    let long = refused(|rule| rule.id = Some("i".repeat(256)));
    let text = "Rule Id cannot be greater than 255".to_owned();
    assert_eq!(long, ("InvalidArgument", text));
    let foreign = refused(|rule| rule.id = Some("é".to_owned()));
    let text = "Rule ID must not contain non-ASCII characters.".to_owned();
    assert_eq!(foreign, ("InvalidArgument", text));
    let twice = refusal(of(vec![second_version("a", 1), second_version("a", 2)]));
    let text = "Rule Id must be unique".to_owned();
    assert_eq!(twice, ("InvalidRequest", text));
}

#[test]
fn each_version_of_the_schema_has_its_elements() {
    let text = |start: &str| {
        format!(
            "{start} for this version of Cross Region Replication configuration schema. Please \
             refer to S3 Developer Guide for more information."
        )
    };
    let mut marked = first_version("a", "");
    marked.delete_markers = Some(DeleteMarkers { status: None });
    let expected = text("DeleteMarkerReplication cannot be used");
    assert_eq!(refusal(of(vec![marked])), ("InvalidRequest", expected));
    let mut first = first_version("a", "");
    first.priority = Some(1);
    let expected = text("Priority cannot be used");
    assert_eq!(refusal(of(vec![first])), ("InvalidRequest", expected));
    let unmarked = refused(|rule| rule.delete_markers = None);
    let expected = text("DeleteMarkerReplication must be specified");
    assert_eq!(unmarked, ("InvalidRequest", expected));
    let unordered = refused(|rule| rule.priority = None);
    let expected = text("Priority must be specified");
    assert_eq!(unordered, ("InvalidRequest", expected));
    let mixed = refusal(of(vec![second_version("a", 1), first_version("b", "")]));
    assert_eq!(mixed, ("InvalidRequest", text("Filter must be specified")));
}

#[test]
fn priorities_differ_and_prefixes_do_not_overlap() {
    let twice = refusal(of(vec![second_version("a", 1), second_version("b", 1)]));
    let text = "Replication configuration has duplicate priority".to_owned();
    assert_eq!(twice, ("InvalidRequest", text));
    let overlap = refusal(of(vec![first_version("1", "ab"), first_version("2", "a")]));
    let text = "Found overlapping prefixes 'a' and 'ab'".to_owned();
    assert_eq!(overlap, ("InvalidRequest", text));
    let mut other = first_version("2", "b");
    other.destination.bucket = "arn:aws:s3:::others".to_owned();
    let two = refusal(of(vec![first_version("1", "a"), other]));
    let text = "Number of distinct destination bucket ARNs cannot exceed 1".to_owned();
    assert_eq!(two, ("InvalidRequest", text));
    let long = refused(|rule| rule.filter = Some(Filter::Prefix("p".repeat(1025))));
    let text = "Rule prefix cannot be longer than maximum allowed key length of 1024".to_owned();
    assert_eq!(long, ("InvalidArgument", text));
}

#[test]
fn tags_are_few_unique_and_not_for_delete_markers() {
    let twice = refused(|rule| {
        rule.filter = Some(Filter::And {
            prefix: None,
            tags: vec![tag("a"), tag("a")],
        });
    });
    let text = "Duplicate Tag Keys are not allowed.".to_owned();
    assert_eq!(twice, ("InvalidRequest", text));
    let alone = refused(|rule| {
        rule.filter = Some(Filter::And {
            prefix: Some("a".to_owned()),
            tags: vec![],
        });
    });
    assert_eq!(alone.0, "MalformedXML");
    let (code, text) = refused(|rule| {
        rule.filter = Some(Filter::Tag(tag("a")));
        rule.delete_markers = Some(DeleteMarkers {
            status: Some(Status::Enabled),
        });
    });
    let start = "Delete marker replication is not supported if any Tag filter is specified";
    assert_eq!(code, "InvalidRequest");
    assert!(text.starts_with(start), "{text}");
}

#[test]
fn destinations_are_other_buckets() {
    let arn = refused(|rule| rule.destination.bucket = "replicas".to_owned());
    let text = "Invalid bucket ARN".to_owned();
    assert_eq!(arn, ("InvalidArgument", text));
    let name = refused(|rule| rule.destination.bucket = "arn:aws:s3:::No".to_owned());
    let text = "The specified bucket is not valid.".to_owned();
    assert_eq!(name, ("InvalidArgument", text));
    let itself = refused(|rule| rule.destination.bucket = "arn:aws:s3:::sources".to_owned());
    let text = "Destination bucket cannot be the same as the source bucket.".to_owned();
    assert_eq!(itself, ("InvalidRequest", text));
    let empty = refused(|rule| rule.destination.account = Some(String::new()));
    let text = "The <Account> element is empty. It must contain a valid account ID.".to_owned();
    assert_eq!(empty, ("InvalidRequest", text));
    let (code, text) = refused(|rule| rule.destination.owner_override = true);
    assert_eq!(code, "InvalidRequest");
    assert!(text.contains("<Account> element must be specified"));
}

#[test]
fn keys_of_kms_and_their_objects_come_together() {
    let (code, _) =
        refused(|rule| rule.destination.encryption = Some(ReplicaEncryption::default()));
    assert_eq!(code, "InvalidRequest");
    let selecting = SourceSelection {
        kms_objects: Some(Status::Enabled),
        replica_modifications: None,
    };
    let (code, text) = refused(|rule| rule.source_selection = Some(selecting));
    assert_eq!(code, "InvalidRequest");
    assert!(text.starts_with("ReplicaKmsKeyID must be specified"));
}

#[test]
fn time_control_is_15_minutes_and_comes_with_metrics() {
    let time = |status, minutes| Some(ReplicationTime { status, minutes });
    let metrics = |status, minutes| Some(Metrics { status, minutes });
    let (on, off) = (Some(Status::Enabled), Some(Status::Disabled));
    let argument = "InvalidArgument";
    let request = "InvalidRequest";
    for (time, metrics, code, text) in [
        (
            time(on, Some(15)),
            None,
            request,
            "both ReplicationTime and Metrics or neither.",
        ),
        (
            time(on, Some(15)),
            metrics(off, Some(15)),
            request,
            "must have the same status.",
        ),
        (
            time(None, Some(15)),
            metrics(on, Some(15)),
            argument,
            "ReplicationTime-Status",
        ),
        (
            time(on, None),
            metrics(on, Some(15)),
            argument,
            "ReplicationTimeValue must contain",
        ),
        (
            time(on, Some(16)),
            metrics(on, Some(15)),
            argument,
            "Minutes value must be 15.",
        ),
        (
            time(on, Some(15)),
            metrics(None, Some(15)),
            argument,
            "must contain a Status.",
        ),
        (
            time(on, Some(15)),
            metrics(on, None),
            argument,
            "must contain an EventThreshold.",
        ),
        (
            time(on, Some(15)),
            metrics(on, Some(5)),
            argument,
            "EventThreshold-Replication",
        ),
    ] {
        let (found, message) = refused(|rule| {
            rule.destination.replication_time = time;
            rule.destination.metrics = metrics;
        });
        assert_eq!(found, code, "{message}");
        assert!(message.contains(text), "{message}");
    }
    let mut alone = second_version("a", 1);
    alone.destination.metrics = metrics(on, None);
    assert!(checked(of(vec![alone])).is_ok());
}
