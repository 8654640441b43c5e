//! The engine's own tests; the table of cases stands in `tests/policies`.

use aws::access::{ConditionKeys, PolicyKind};
use types::AccountId;

use super::*;

const ALICE: PrincipalView<'static> = PrincipalView::User {
    account: AccountId::LAB,
    arn: "arn:aws:iam::111122223333:user/alice",
    id: "AIDACKCEVSQ6C2EXAMPLE",
};

fn identity(document: &str) -> Policy {
    Policy::parse(PolicyKind::Identity, document).unwrap()
}

fn decision<'a>(policies: &'a [Attached<'a>], action: &'a str, resource: &'a str) -> Decision<'a> {
    let inquiry = Inquiry {
        action,
        resource,
        account: AccountId::LAB,
        principal: ALICE,
        keys: &(),
    };
    let layers = Layers {
        identity: policies,
        ..Layers::default()
    };
    decide(&inquiry, &layers)
}

#[test]
fn a_policy_allows_what_it_says_and_the_decision_says_why() {
    let policy = identity(
        r#"{"Version": "2012-10-17", "Statement": [
            {"Sid": "Read", "Effect": "Allow", "Action": "s3:Get*", "Resource": "arn:aws:s3:::b/*"},
            {"Effect": "Deny", "Action": "s3:GetObjectAcl", "Resource": "*"}]}"#,
    );
    let source = Source::Managed("arn:aws:iam::111122223333:policy/p");
    let attached = [Attached {
        source,
        policy: &policy,
    }];
    let allowed = decision(&attached, "S3:getobject", "arn:aws:s3:::b/x/y");
    assert_eq!(
        (allowed.effect, allowed.layer),
        (Effect::Allowed, Layer::Identity)
    );
    let statement = allowed.statement.unwrap();
    assert_eq!(
        (statement.source, statement.index, statement.sid),
        (source, 0, Some("Read"))
    );
    assert_eq!(allowed.because(), "");
    let denied = decision(&attached, "s3:GetObjectAcl", "arn:aws:s3:::b/x");
    assert_eq!(
        denied.because(),
        "with an explicit deny in an identity-based policy"
    );
    let implicit = decision(&attached, "s3:PutObject", "arn:aws:s3:::b/x");
    assert_eq!(
        implicit.because(),
        "because no identity-based policy allows the s3:PutObject action"
    );
}

#[test]
fn an_explanation_tells_of_every_statement_what_did_not_apply() {
    let policy = identity(
        r#"{"Statement": [
            {"Sid": "A", "Effect": "Allow", "Action": "iam:*", "Resource": "*"},
            {"Sid": "B", "Effect": "Allow", "Action": "s3:*", "Resource": "arn:aws:s3:::c"},
            {"Sid": "C", "Effect": "Allow", "Action": "s3:*", "Resource": "*",
             "Condition": {"Null": {"s3:prefix": "true"},
                           "ForAnyValue:StringLikeIfExists": {"aws:TagKeys": "a*"}}},
            {"Sid": "D", "Effect": "Deny", "Action": "s3:*", "Resource": "*",
             "Condition": {"ArnEquals": {"aws:SourceArn": "arn:aws:s3:::b"}}},
            {"Sid": "E", "Effect": "Allow", "Action": "s3:*", "Resource": "*"}]}"#,
    );
    let attached = [Attached {
        source: Source::Given("p"),
        policy: &policy,
    }];
    let mut keys = ConditionKeys::default();
    keys.set("aws:TagKeys", vec!["b".to_owned(), "c".to_owned()]);
    let inquiry = Inquiry {
        action: "s3:GetObject",
        resource: "arn:aws:s3:::b",
        account: AccountId::LAB,
        principal: ALICE,
        keys: &keys,
    };
    let layers = Layers {
        identity: &attached,
        ..Layers::default()
    };
    let explanation = explain(&inquiry, &layers);
    assert_eq!(
        explanation.decision.statement.and_then(|one| one.sid),
        Some("E")
    );
    let told = explanation.statements.iter().map(|considered| {
        let why = considered.mismatch.as_ref().map(WhyNot::to_string);
        let line = considered.start.line;
        (
            considered.sid.unwrap_or(""),
            line,
            considered.decided,
            why.unwrap_or_default(),
        )
    });
    let told: Vec<_> = told.collect();
    let expected = [
        ("A", 2, false, "it is about other actions"),
        ("B", 3, false, "it is about other resources"),
        (
            "C",
            4,
            false,
            "its condition ForAnyValue:StringLikeIfExists of aws:TagKeys does not hold: the \
             request has b, c",
        ),
        (
            "D",
            7,
            false,
            "its condition ArnEquals of aws:SourceArn does not hold: the request has no such key",
        ),
        ("E", 9, true, ""),
    ];
    let expected = expected.map(|(sid, line, decided, why)| (sid, line, decided, why.to_owned()));
    assert_eq!(told, expected);
    let json = serde_json::to_value(&explanation).unwrap();
    assert_eq!(
        json["statements"][3]["mismatch"]["condition"]["key"],
        "aws:SourceArn"
    );
    assert_eq!(json["statements"][4]["start"]["line"], 9);
    assert_eq!(json["decision"]["effect"], "allowed");
}

#[test]
fn an_error_repeats_little_of_a_document() {
    let long = "x".repeat(100_000);
    for document in [
        format!(r#"{{"Statement": {{"Effect": "Deny", "Action": "*", "Resource": "{long}"}}}}"#),
        format!(r#"{{"Statement": {{"Effect": "Deny", "Action": "_{long}:*", "Resource": "*"}}}}"#),
    ] {
        let error = Policy::parse(PolicyKind::Identity, &document).unwrap_err();
        assert!(error.to_string().len() < 1_000);
    }
}

#[test]
fn what_cannot_be_read_denies_everything() {
    let policy = Policy::unreadable(PolicyKind::Identity);
    let attached = [Attached {
        source: Source::Session,
        policy: &policy,
    }];
    let denied = decision(&attached, "s3:GetObject", "*");
    assert_eq!(denied.effect, Effect::ExplicitlyDenied);
}

#[test]
fn the_keys_that_a_policy_names_are_listed_once() {
    let policy = identity(
        r#"{"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Action": "*",
            "Resource": "arn:aws:s3:::b/${aws:username}",
            "Condition": {"StringLike": {"aws:UserName": "a", "s3:prefix": "${aws:userid}"}}}}"#,
    );
    assert_eq!(
        policy.context_keys(),
        ["aws:UserName", "aws:userid", "s3:prefix"]
    );
}

#[test]
fn white_space_does_not_count() {
    assert_eq!(size("{ \"a\" :\n\t\"b c\" }"), 9 + 1);
}

#[test]
fn policies_can_be_shared_between_threads() {
    fn shared<T: Send + Sync>(_: &T) {}
    shared(&Policy::unreadable(PolicyKind::Trust));
}

#[test]
fn keys_of_a_question_are_a_source() {
    let mut keys = ConditionKeys::default();
    keys.set("aws:TagKeys", vec!["a".to_owned()]);
    let values = KeySource::get(&keys, "AWS:tagkeys").unwrap();
    assert_eq!(values.iter().collect::<Vec<_>>(), ["a"]);
}

#[test]
fn the_policies_of_aws_that_are_compiled_in_are_policies() {
    for managed in crate::aws_managed::all() {
        let compiled = Policy::parse(PolicyKind::Identity, managed.document);
        assert!(compiled.is_ok(), "{}: {:?}", managed.name, compiled.err());
    }
}
