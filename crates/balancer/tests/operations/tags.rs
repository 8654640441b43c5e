//! Tags of everything that has some.

use crate::support::{Api, rule_of};

#[test]
fn everything_has_tags_of_its_own() {
    let api = Api::new();
    let (balancer, group) = (api.balancer("shop"), api.group("web", "HTTP"));
    let listener = api.listener(&balancer, "HTTP", "80", &group);
    let mut body = rule_of(&listener, "1", "/").to_vec();
    body.extend([
        ("Tags.member.1.Key", "made"),
        ("Tags.member.1.Value", "with"),
    ]);
    let rule = api.ok("CreateRule", &body).text("Rules/0/RuleArn");
    let rules = api.ok("DescribeRules", &[("ListenerArn", &listener)]);
    let default = rules.text("Rules/1/RuleArn");
    let tags = |arn: &str| {
        let found = api.ok("DescribeTags", &[("ResourceArns.member.1", arn)]);
        assert_eq!(found.text("TagDescriptions/0/ResourceArn"), arn);
        let keys = found.each("TagDescriptions/0/Tags", "Key");
        keys.into_iter()
            .zip(found.each("TagDescriptions/0/Tags", "Value"))
            .collect::<Vec<_>>()
    };
    let pair = |key: &str, value: &str| (key.to_owned(), value.to_owned());
    assert_eq!(tags(&rule), [pair("made", "with")]);
    api.ok(
        "RemoveTags",
        &[
            ("ResourceArns.member.1", &rule),
            ("TagKeys.member.1", "made"),
        ],
    );
    for arn in [&balancer, &group, &listener, &rule, &default] {
        assert_eq!(tags(arn), []);
        let set = |value: &str| {
            api.ok(
                "AddTags",
                &[
                    ("ResourceArns.member.1", arn),
                    ("Tags.member.1.Key", "team"),
                    ("Tags.member.1.Value", value),
                ],
            );
        };
        set("blue");
        set("red");
        assert_eq!(tags(arn), [pair("team", "red")]);
    }
    // Of several at once, all or, if one isn't there, none.
    let gone = group.replace("/web/", "/gone/");
    let several = |second| {
        [
            ("ResourceArns.member.1", balancer.as_str()),
            ("ResourceArns.member.2", second),
            ("TagKeys.member.1", "team"),
        ]
    };
    assert_eq!(
        api.code("RemoveTags", &several(&gone)),
        "TargetGroupNotFound"
    );
    api.ok("RemoveTags", &several(&group));
    assert_eq!((tags(&balancer), tags(&group)), (Vec::new(), Vec::new()));
    assert_eq!(tags(&listener), [pair("team", "red")]);
}

#[test]
fn tags_that_can_t_be_are_refused() {
    let api = Api::new();
    let arn = api.balancer("shop");
    let (long_key, long_value) = ("k".repeat(129), "v".repeat(257));
    for (key, value, code) in [
        ("", "v", "ValidationError"),
        (long_key.as_str(), "v", "ValidationError"),
        ("k", long_value.as_str(), "ValidationError"),
        ("aws:k", "v", "ValidationError"),
        ("AWS:k", "v", "ValidationError"),
        ("k<", "v", "ValidationError"),
        ("k", "v\u{7}", "ValidationError"),
    ] {
        let body = [
            ("ResourceArns.member.1", arn.as_str()),
            ("Tags.member.1.Key", key),
            ("Tags.member.1.Value", value),
        ];
        assert_eq!(api.code("AddTags", &body), code, "{key} {value}");
    }
    let twice = [
        ("ResourceArns.member.1", &*arn),
        ("Tags.member.1.Key", "k"),
        ("Tags.member.2.Key", "K"),
    ];
    assert_eq!(api.code("AddTags", &twice), "DuplicateTagKeys");
    let keys: Vec<String> = (1..=51)
        .map(|number| format!("Tags.member.{number}.Key"))
        .collect();
    let values: Vec<String> = (1..=51).map(|number| format!("k{number}")).collect();
    let mut body = vec![("ResourceArns.member.1", arn.as_str())];
    body.extend(
        keys.iter()
            .map(String::as_str)
            .zip(values.iter().map(String::as_str)),
    );
    assert_eq!(api.code("AddTags", &body), "TooManyTags");
    api.ok("AddTags", &body[..51]);
    let more = [
        ("ResourceArns.member.1", &*arn),
        ("Tags.member.1.Key", "more"),
    ];
    assert_eq!(api.code("AddTags", &more), "TooManyTags");
    let none = [("ResourceArns.member.1", &*arn)];
    assert_eq!(api.code("AddTags", &none), "ValidationError");
    assert_eq!(api.code("RemoveTags", &none), "ValidationError");
    assert_eq!(api.code("DescribeTags", &[]), "ValidationError");
    assert_eq!(
        api.code("DescribeTags", &[("ResourceArns.member.1", "arn:x")]),
        "ValidationError"
    );
}
