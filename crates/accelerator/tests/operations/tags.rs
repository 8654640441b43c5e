//! Tags of accelerators, listeners and endpoint groups.

use serde_json::{Value, json};

use crate::support::Api;

fn tags(pairs: &[(&str, &str)]) -> Value {
    let pairs = pairs.iter();
    pairs
        .map(|(key, value)| json!({"Key": key, "Value": value}))
        .collect()
}

/// An accelerator, its listener, its group: their ARNs.
fn resources(api: &Api) -> [String; 3] {
    let accelerator = api.accelerator("a");
    let listener = api.listener(&accelerator, 80, 80);
    let group = api.group(&listener, "us-east-1");
    [accelerator, listener, group]
}

fn held(api: &Api, arn: &str) -> Value {
    api.ok("ListTagsForResource", json!({"ResourceArn": arn}))["Tags"].clone()
}

#[test]
fn each_kind_of_resource_has_tags_of_its_own() {
    let api = Api::new();
    for arn in resources(&api) {
        assert_eq!(held(&api, &arn), json!([]));
        let set = |pairs| json!({"ResourceArn": arn, "Tags": tags(pairs)});
        assert_eq!(
            api.ok("TagResource", set(&[("b", "1"), ("a", "")])),
            json!({})
        );
        api.ok("TagResource", set(&[("b", "2"), ("c", "3")]));
        assert_eq!(held(&api, &arn), tags(&[("a", ""), ("b", "2"), ("c", "3")]));
        let removal = json!({"ResourceArn": arn, "TagKeys": ["a", "b", "none"]});
        assert_eq!(api.ok("UntagResource", removal), json!({}));
        assert_eq!(held(&api, &arn), tags(&[("c", "3")]));
    }
}

#[test]
fn an_accelerator_is_made_with_tags() {
    let api = Api::new();
    let made = api.ok(
        "CreateAccelerator",
        json!({"Name": "a", "IdempotencyToken": "t", "Tags": tags(&[("team", "blue")])}),
    );
    let arn = crate::support::text(&made["Accelerator"]["AcceleratorArn"]);
    assert_eq!(held(&api, &arn), tags(&[("team", "blue")]));
}

#[test]
fn tags_have_rules() {
    let api = Api::new();
    let [arn, ..] = resources(&api);
    api.ok(
        "TagResource",
        json!({"ResourceArn": arn, "Tags": tags(&[("Team", "blue")])}),
    );
    let many: Vec<(String, &str)> = (0..51).map(|it| (it.to_string(), "")).collect();
    let many: Vec<(&str, &str)> = many
        .iter()
        .map(|(key, value)| (key.as_str(), *value))
        .collect();
    let (long_key, long_value) = ("k".repeat(129), "v".repeat(257));
    for set in [
        json!([{"Key": "a"}]),
        json!([{"Value": "a"}]),
        tags(&[("", "a")]),
        tags(&[(&long_key, "a")]),
        tags(&[("a", &long_value)]),
        tags(&[("aws:a", "b")]),
        tags(&[("AWS:a", "b")]),
        tags(&[("a", "1"), ("A", "2")]),
        tags(&[("a", "1"), ("a", "1")]),
        tags(&[("team", "red")]),
        tags(&many),
        // With the one that it has these are too many.
        tags(&many[..50]),
    ] {
        let body = json!({"ResourceArn": arn, "Tags": set});
        assert_eq!(
            api.code("TagResource", body),
            "InvalidArgumentException",
            "{set}"
        );
    }
    api.ok(
        "TagResource",
        json!({"ResourceArn": arn, "Tags": tags(&many[..49])}),
    );
    let twice = tags(&[("a", "1"), ("A", "2")]);
    let body = json!({"Name": "b", "IdempotencyToken": "t", "Tags": twice});
    assert_eq!(
        api.code("CreateAccelerator", body),
        "InvalidArgumentException"
    );
    let keys: Vec<String> = (0..201).map(|it| it.to_string()).collect();
    for keys in [
        json!(keys),
        json!([""]),
        json!(["aws:a"]),
        json!([long_key]),
        Value::Null,
    ] {
        let body = json!({"ResourceArn": arn, "TagKeys": keys});
        assert_eq!(
            api.code("UntagResource", body),
            "InvalidArgumentException",
            "{keys}"
        );
    }
}

#[test]
fn what_is_not_there_has_no_tags() {
    let api = Api::new();
    let [accelerator, listener, group] = resources(&api);
    let gone = format!("{}0", &accelerator[..accelerator.len() - 2]);
    for (arn, code) in [
        (gone.clone(), "AcceleratorNotFoundException"),
        (
            listener.replace(&accelerator, &gone),
            "ListenerNotFoundException",
        ),
        (format!("{listener}0"), "ListenerNotFoundException"),
        (format!("{group}0"), "EndpointGroupNotFoundException"),
        (
            group.replace(&listener, &format!("{listener}0")),
            "EndpointGroupNotFoundException",
        ),
        ("arn:aws:s3:::b".to_owned(), "InvalidArgumentException"),
        (String::new(), "InvalidArgumentException"),
        ("a".repeat(1012), "InvalidArgumentException"),
    ] {
        for (operation, body) in [
            ("ListTagsForResource", json!({"ResourceArn": arn})),
            (
                "TagResource",
                json!({"ResourceArn": arn, "Tags": tags(&[("a", "b")])}),
            ),
            (
                "UntagResource",
                json!({"ResourceArn": arn, "TagKeys": ["a"]}),
            ),
        ] {
            assert_eq!(api.code(operation, body), code, "{operation} {arn}");
        }
    }
}
