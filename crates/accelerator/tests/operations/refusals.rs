//! Requests that are none: operations that aren't built or known, and bodies of any bytes.

use proptest::prelude::*;
use serde_json::{Value, json};

use crate::support::{Api, owner};

#[test]
fn the_table_has_every_operation_of_the_model_once() {
    let all: Vec<(&str, bool)> = accelerator::Service::operations().collect();
    assert_eq!(all.len(), 56);
    assert!(all.is_sorted_by(|one, other| one.0 < other.0));
    assert_eq!(all.iter().filter(|(_, built)| *built).count(), 23);
}

#[test]
fn what_is_not_built_says_so_by_name() {
    let api = Api::new();
    for (name, built) in accelerator::Service::operations() {
        if !built {
            let (code, message) = api.refused(name, json!({}));
            assert_eq!(code, "NotImplemented");
            assert!(
                message.starts_with(&format!("{name} is not built yet")),
                "{message}"
            );
        }
    }
    for name in ["", "createaccelerator", "PutItem"] {
        assert_eq!(api.code(name, json!({})), "UnknownOperationException");
    }
}

#[test]
fn bodies_of_another_shape_are_refused_as_such() {
    let api = Api::new();
    for body in [
        "",
        "{",
        "[]",
        "null",
        "1",
        r#"{"Name": 1}"#,
        r#"{"Name": "a", "Enabled": "true"}"#,
        r#"{"Tags": {}}"#,
        r#"{"Tags": [["a", "b"]]}"#,
        r#"{"Name": "a"} {}"#,
    ] {
        let error = api
            .raw_as(&owner(), "CreateAccelerator", body.as_bytes())
            .unwrap_err();
        assert_eq!(error.code, "SerializationException", "{body}");
    }
    for (operation, body) in [
        ("CreateEndpointGroup", r#"{"TrafficDialPercentage": 1e999}"#),
        ("CreateEndpointGroup", r#"{"ThresholdCount": 1.5}"#),
        (
            "CreateEndpointGroup",
            r#"{"ThresholdCount": 99999999999999999999}"#,
        ),
        (
            "CreateEndpointGroup",
            r#"{"EndpointConfigurations": [["127.1.1.1"]]}"#,
        ),
        ("CreateListener", r#"{"PortRanges": [[1, 2]]}"#),
    ] {
        let error = api
            .raw_as(&owner(), operation, body.as_bytes())
            .unwrap_err();
        assert_eq!(error.code, "SerializationException", "{body}");
    }
    let large = format!(r#"{{"Name": "{}"}}"#, "a".repeat(1 << 20));
    let error = api
        .raw_as(&owner(), "CreateAccelerator", large.as_bytes())
        .unwrap_err();
    assert_eq!(
        (error.code, error.status),
        ("RequestEntityTooLargeException", 413)
    );
}

#[test]
fn members_that_must_be_there_are_asked_for() {
    let api = Api::new();
    let accelerator = api.accelerator("a");
    let listener = api.listener(&accelerator, 80, 80);
    let group = api.group(&listener, "us-east-1");
    let listener_body = json!({
        "AcceleratorArn": accelerator, "PortRanges": [{"FromPort": 1, "ToPort": 1}],
        "Protocol": "TCP", "IdempotencyToken": "t",
    });
    let group_body = json!({
        "ListenerArn": listener, "EndpointGroupRegion": "eu-west-1", "IdempotencyToken": "t",
    });
    let endpoints = json!([{"EndpointId": "127.1.1.1"}]);
    for (operation, whole) in [
        (
            "CreateAccelerator",
            json!({"Name": "b", "IdempotencyToken": "b"}),
        ),
        ("CreateListener", listener_body),
        ("CreateEndpointGroup", group_body),
        (
            "AddEndpoints",
            json!({"EndpointGroupArn": group, "EndpointConfigurations": endpoints}),
        ),
        (
            "RemoveEndpoints",
            json!({"EndpointGroupArn": group, "EndpointIdentifiers": endpoints}),
        ),
        (
            "TagResource",
            json!({"ResourceArn": accelerator, "Tags": []}),
        ),
        (
            "UntagResource",
            json!({"ResourceArn": accelerator, "TagKeys": []}),
        ),
    ] {
        for member in whole.as_object().unwrap().keys() {
            let mut without = whole.clone();
            without.as_object_mut().unwrap().remove(member);
            let (code, message) = api.refused(operation, without);
            assert_eq!(
                code, "InvalidArgumentException",
                "{operation} without {member}"
            );
            assert!(message.contains("must not be null"), "{message}");
        }
        api.ok(operation, whole);
    }
}

/// A value of JSON, with members that operations know.
fn values() -> impl Strategy<Value = Value> {
    const NAMES: [&str; 14] = [
        "Name",
        "AcceleratorArn",
        "ListenerArn",
        "EndpointGroupArn",
        "ResourceArn",
        "PortRanges",
        "FromPort",
        "ToPort",
        "IdempotencyToken",
        "EndpointConfigurations",
        "EndpointId",
        "TrafficDialPercentage",
        "Tags",
        "NextToken",
    ];
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        ".{0,12}".prop_map(Value::from),
        Just(json!(
            "arn:aws:globalaccelerator::111122223333:accelerator/a/listener/b"
        )),
        Just(json!("127.1.1.1")),
    ];
    leaf.prop_recursive(4, 24, 6, |inner| {
        let members = (proptest::sample::select(&NAMES[..]), inner.clone());
        prop_oneof![
            prop::collection::vec(inner, 0..6).prop_map(Value::from),
            prop::collection::vec(members, 0..6).prop_map(|members| {
                let members = members.into_iter();
                Value::Object(
                    members
                        .map(|(name, value)| (name.to_owned(), value))
                        .collect(),
                )
            }),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 64,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn any_json_and_any_bytes_are_answered_and_what_is_refused_changes_nothing(
        body in values(),
        bytes in prop::collection::vec(any::<u8>(), 0..64),
    ) {
        let api = Api::new();
        for (name, _) in accelerator::Service::operations() {
            for body in [body.to_string().into_bytes(), bytes.clone()] {
                let before = api.memory.view_now();
                if api.raw_as(&owner(), name, &body).is_err() {
                    prop_assert_eq!(api.memory.view_now(), before);
                }
            }
        }
    }
}
