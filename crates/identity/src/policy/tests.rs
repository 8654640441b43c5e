//! The engine's own tests; the table of cases stands in `tests/policies`.

use aws::access::{ConditionKeys, PolicyKind};
use types::AccountId;

use super::*;

const ALICE: PrincipalView<'static> = PrincipalView::User {
    account: AccountId::LAB,
    arn: "arn:aws:iam::111122223333:user/alice",
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
