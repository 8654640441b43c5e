//! AssumeRole: whom a trust policy lets in, on which terms, and what becomes of it.

use aws::signature::SignatureError;
use identity::Principal;
use identity::entries;
use identity::model::Role;
use types::AccountId;

use crate::support::{Client, Deployment, account, allow, statement, trust};

const LAB: AccountId = AccountId::LAB;
const ROOT: &str = "arn:aws:iam::111122223333:root";

fn denied(caller: &str, action: &str, role: &str) -> (String, String) {
    (
        "AccessDenied".to_owned(),
        format!("User: {caller} is not authorized to perform: sts:{action} on resource: {role}"),
    )
}

const ALICE: &str = "arn:aws:iam::111122223333:user/alice";

#[test]
fn within_an_account_the_role_trusts_a_user_or_the_account_and_the_user_s_own_policies() {
    let deployment = Deployment::new();
    let alice = deployment.user(LAB, "alice", &[]);
    let may = deployment.user(LAB, "bob", &[&allow("sts:AssumeRole")]);
    let named = deployment.role(LAB, "Named", &trust(ALICE, "{}"), &[]);
    let anyone = deployment.role(LAB, "Anyone", &trust(ROOT, "{}"), &[]);
    let closed = deployment.role(LAB, "Closed", &trust("444455556666", "{}"), &[]);
    let answer = deployment.assume(&alice, &named, &[]);
    let session = answer.client();
    assert_eq!(
        answer.one("Arn"),
        "arn:aws:sts::111122223333:assumed-role/Named/s1"
    );
    assert_eq!(answer.one("AssumedRoleId"), "AROANAMED:s1");
    assert_eq!(answer.one("Expiration"), "2026-11-18T12:06:40Z");
    assert!(!answer.text.contains("PackedPolicySize"));
    let caller = deployment.caller(&session).unwrap();
    assert_eq!(caller.arn(), answer.one("Arn"));
    assert_eq!(caller.user_id(), "AROANAMED:s1");
    let role = Principal::Role {
        role: "Named".to_owned(),
        session: "s1".to_owned(),
    };
    assert_eq!(caller.principal(), &role);
    // The account as a whole is trusted: whether alice may, her own policies say.
    let refused = deployment.assume(&alice, &anyone, &[]).error();
    assert_eq!(refused, denied(ALICE, "AssumeRole", &anyone));
    assert_eq!(deployment.assume(&may, &anyone, &[]).status, 200);
    // Her own policies alone don't open a role.
    let bob = "arn:aws:iam::111122223333:user/bob";
    for role in [&closed, &named] {
        let refused = deployment.assume(&may, role, &[]).error();
        assert_eq!(refused, denied(bob, "AssumeRole", role));
    }
    // Nor is anybody told whether there is such a role.
    let missing = "arn:aws:iam::111122223333:role/Missing";
    let refused = deployment.assume(&may, missing, &[]).error();
    assert_eq!(refused, denied(bob, "AssumeRole", missing));
    let elsewhere = "arn:aws:iam::111122223333:role/path/Named";
    assert_eq!(
        deployment.assume(&alice, elsewhere, &[]).error().0,
        "AccessDenied"
    );
}

#[test]
fn across_accounts_both_sides_must_allow_it() {
    let deployment = Deployment::new();
    let other = account("444455556666");
    let alice = deployment.user(LAB, "alice", &[]);
    let bob = deployment.user(LAB, "bob", &[&allow("sts:AssumeRole")]);
    let arns = |name: &str| format!("arn:aws:iam::111122223333:user/{name}");
    let both = format!("{}\",\"{}", arns("alice"), arns("bob"));
    let list = trust(&both, "{}").replace(&format!("\"{both}\""), &format!("[\"{both}\"]"));
    let role = deployment.role(other, "Visitor", &list, &[&allow("s3:*")]);
    let refused = deployment.assume(&alice, &role, &[]).error();
    assert_eq!(refused, denied(ALICE, "AssumeRole", &role));
    let session = deployment.assume(&bob, &role, &[]).client();
    let caller = deployment.caller(&session).unwrap();
    assert_eq!(caller.account(), other);
    assert_eq!(deployment.may(&session, "s3:ListBucket", "*"), Ok(()));
    let closed = deployment.role(other, "Closed", &trust(ALICE, "{}"), &[]);
    assert_eq!(
        deployment.assume(&bob, &closed, &[]).error().0,
        "AccessDenied"
    );
}

#[test]
fn conditions_of_the_trust_policy_see_the_request() {
    let deployment = Deployment::new();
    let alice = deployment.user(LAB, "alice", &[]);
    let cases = [
        (
            r#"{"StringEquals":{"sts:ExternalId":"42"}}"#,
            ("ExternalId", "42"),
            ("ExternalId", "43"),
        ),
        (
            r#"{"StringEquals":{"sts:SourceIdentity":"ann"}}"#,
            ("SourceIdentity", "ann"),
            ("SourceIdentity", "bob"),
        ),
        (
            r#"{"StringEquals":{"sts:RoleSessionName":"s1"}}"#,
            ("ExternalId", "unused"),
            ("RoleArn", "arn:aws:iam::111122223333:role/Missing"),
        ),
        (
            r#"{"IpAddress":{"aws:SourceIp":"203.0.113.0/24"}}"#,
            ("ExternalId", "42"),
            ("X", ""),
        ),
    ];
    for (index, (condition, right, wrong)) in cases.into_iter().enumerate() {
        let role = deployment.role(LAB, &format!("R{index}"), &trust(ALICE, condition), &[]);
        assert_eq!(
            deployment.assume(&alice, &role, &[right]).status,
            200,
            "{condition}"
        );
        if ["ExternalId", "SourceIdentity"].contains(&wrong.0) {
            for more in [&[wrong][..], &[]] {
                let refused = deployment.assume(&alice, &role, more).error();
                assert_eq!(refused.0, "AccessDenied", "{condition}");
            }
        }
    }
    let role = deployment.role(
        LAB,
        "Named",
        &trust(
            ALICE,
            r#"{"StringEquals":{"sts:RoleSessionName":"${aws:username}"}}"#,
        ),
        &[],
    );
    assert_eq!(
        deployment.assume(&alice, &role, &[]).error().0,
        "AccessDenied"
    );
    let own = [("RoleArn", role.as_str()), ("RoleSessionName", "alice")];
    assert_eq!(deployment.sts(&alice, "AssumeRole", &own).status, 200);
}

#[test]
fn a_session_lasts_as_long_as_the_role_allows_and_a_chained_one_an_hour() {
    let deployment = Deployment::new();
    let alice = deployment.user(LAB, "alice", &[]);
    let role = deployment.role_with(LAB, "Long", &trust(ALICE, "{}"), &[], |role| {
        role.longest_session = 7_200;
    });
    let asked = |seconds: &'static str| [("DurationSeconds", seconds)];
    let answer = deployment.assume(&alice, &role, &asked("7200"));
    assert_eq!(answer.one("Expiration"), "2026-11-18T13:06:40Z");
    let session = answer.client();
    let (code, text) = deployment.assume(&alice, &role, &asked("7201")).error();
    assert_eq!(code, "ValidationError");
    assert!(text.contains("MaxSessionDuration"), "{text}");
    for wrong in ["899", "43201", "an hour", "-1"] {
        let (code, text) = deployment
            .assume(&alice, &role, &[("DurationSeconds", wrong)])
            .error();
        assert_eq!(code, "ValidationError", "{wrong}");
        assert!(text.contains("at 'durationSeconds'"), "{text}");
    }
    let first = "arn:aws:sts::111122223333:assumed-role/Long/s1";
    let next = deployment.role_with(LAB, "Next", &trust(first, "{}"), &[], |role| {
        role.longest_session = 7_200;
    });
    let (code, text) = deployment.assume(&session, &next, &asked("3601")).error();
    assert_eq!(code, "ValidationError");
    assert!(text.contains("role chaining"), "{text}");
    let chained = deployment.assume(&session, &next, &asked("3600")).client();
    deployment.pass(3_599);
    assert!(deployment.caller(&chained).is_ok());
    deployment.pass(1);
    let refused = deployment.caller(&chained).err();
    assert_eq!(refused, Some(SignatureError::ExpiredToken));
    assert!(deployment.caller(&session).is_ok());
    deployment.pass(3_600);
    assert!(deployment.caller(&session).is_err());
}

#[test]
fn a_role_that_is_gone_or_another_one_by_now_ends_its_sessions() {
    let deployment = Deployment::new();
    let alice = deployment.user(LAB, "alice", &[]);
    let role = deployment.role(LAB, "Admin", &trust(ALICE, "{}"), &[&allow("*")]);
    let session = deployment.assume(&alice, &role, &[]).client();
    assert_eq!(deployment.may(&session, "s3:ListBucket", "*"), Ok(()));
    let unknown = Some(SignatureError::UnknownKey);
    deployment
        .memory
        .put(&entries::key::<Role>(LAB, "Admin"), None);
    assert_eq!(deployment.caller(&session).err(), unknown);
    deployment.role_with(LAB, "Admin", &trust(ALICE, "{}"), &[&allow("*")], |role| {
        role.id = "AROAANOTHER".to_owned();
    });
    assert_eq!(deployment.caller(&session).err(), unknown);
    // The same again: the session holds.
    deployment.role(LAB, "Admin", &trust(ALICE, "{}"), &[]);
    assert!(deployment.caller(&session).is_ok());
    // What the role may now is what the session may now.
    assert!(deployment.may(&session, "s3:ListBucket", "*").is_err());
}

#[test]
fn session_policies_only_take_away() {
    let deployment = Deployment::new();
    let alice = deployment.user(LAB, "alice", &[]);
    let policies = [allow("s3:*"), allow("sqs:*")];
    let policies: Vec<&str> = policies.iter().map(String::as_str).collect();
    let role = deployment.role(LAB, "Worker", &trust(ALICE, "{}"), &policies);
    let policy = statement("Allow", "s3:Get*", "*");
    let answer = deployment.assume(&alice, &role, &[("Policy", &policy)]);
    assert_eq!(answer.one("PackedPolicySize"), "3");
    let session = answer.client();
    assert_eq!(deployment.may(&session, "s3:GetObject", "*"), Ok(()));
    let denied = deployment.may(&session, "s3:PutObject", "*").unwrap_err();
    assert!(denied.ends_with("because no session policy allows the s3:PutObject action"));
    // It gives nothing that the role hasn't.
    let more = [
        ("Policy", &*allow("*")),
        ("PolicyArns.member.1.arn", READ_ONLY),
    ];
    let session = deployment.assume(&alice, &role, &more).client();
    assert!(deployment.may(&session, "sns:Publish", "*").is_err());
    assert_eq!(deployment.may(&session, "sqs:SendMessage", "*"), Ok(()));
    let only = [("PolicyArns.member.1.arn", READ_ONLY)];
    let session = deployment.assume(&alice, &role, &only).client();
    assert_eq!(deployment.may(&session, "s3:GetObject", "*"), Ok(()));
    assert!(deployment.may(&session, "s3:PutObject", "*").is_err());
}

const READ_ONLY: &str = "arn:aws:iam::aws:policy/ReadOnlyAccess";

#[test]
fn session_policies_that_are_none_are_refused() {
    let deployment = Deployment::new();
    let alice = deployment.user(LAB, "alice", &[]);
    let role = deployment.role(LAB, "Worker", &trust(ALICE, "{}"), &[]);
    let refused = |more: &[(&str, &str)]| deployment.assume(&alice, &role, more).error();
    let (code, text) = refused(&[("Policy", "{\"Statement\":[]")]);
    assert_eq!(code, "MalformedPolicyDocument");
    assert!(text.contains("line 1, column"), "{text}");
    let long = format!("{}{}", allow("s3:*"), " ".repeat(2_048));
    assert_eq!(refused(&[("Policy", &long)]).0, "ValidationError");
    for arn in [
        "arn:aws:iam::aws:policy/NoSuchPolicy",
        "arn:aws:iam::444455556666:policy/p",
    ] {
        let (code, _) = refused(&[("PolicyArns.member.1.arn", arn)]);
        assert_eq!(code, "MalformedPolicyDocument", "{arn}");
    }
    let twice =
        ["PolicyArns.member.1.arn", "PolicyArns.member.2.arn"].map(|name| (name, READ_ONLY));
    assert_eq!(refused(&twice).0, "ValidationError");
}

#[test]
fn tags_are_passed_inherited_and_bounded() {
    let deployment = Deployment::new();
    let alice = deployment.user(LAB, "alice", &[]);
    let by_tag = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"*",
        "Resource":"arn:aws:s3:::b/${aws:PrincipalTag/Team}"}]}"#;
    let first = deployment.role_with(LAB, "First", &trust(ALICE, "{}"), &[by_tag], |role| {
        role.tags.insert("Team".to_owned(), "role".to_owned());
    });
    let second = deployment.role(LAB, "Second", &trust(ROOT, "{}"), &[by_tag]);
    let tags = [
        ("Tags.member.1.Key", "team"),
        ("Tags.member.1.Value", "blue"),
        ("Tags.member.2.Key", "stage"),
        ("Tags.member.2.Value", ""),
        ("TransitiveTagKeys.member.1", "Team"),
    ];
    let plain = deployment.assume(&alice, &first, &[]).client();
    assert_eq!(
        deployment.may(&plain, "s3:GetObject", "arn:aws:s3:::b/role"),
        Ok(())
    );
    let session = deployment.assume(&alice, &first, &tags).client();
    assert_eq!(
        deployment.may(&session, "s3:GetObject", "arn:aws:s3:::b/blue"),
        Ok(())
    );
    assert!(
        deployment
            .may(&session, "s3:GetObject", "arn:aws:s3:::b/role")
            .is_err()
    );
    // Second trusts the account, so that the session's own policies must allow it.
    assert_eq!(
        deployment.assume(&session, &second, &[]).error().0,
        "AccessDenied"
    );
    deployment.role(
        LAB,
        "First",
        &trust(ALICE, "{}"),
        &[by_tag, &allow("sts:*")],
    );
    let chained = deployment.assume(&session, &second, &[]).client();
    assert_eq!(
        deployment.may(&chained, "s3:GetObject", "arn:aws:s3:::b/blue"),
        Ok(())
    );
    let (code, text) = deployment.assume(&session, &second, &tags[..2]).error();
    assert_eq!(code, "InvalidParameterValue");
    assert!(
        text.contains("conflicts with a transitive tag key"),
        "{text}"
    );
    let twice = [("Tags.member.3.Key", "TEAM"), ("Tags.member.3.Value", "x")];
    let wrong: [&[(&str, &str)]; 3] = [
        &twice,
        &[("TransitiveTagKeys.member.2", "none")],
        &[("Tags.member.3.Key", "aws:x"), ("Tags.member.3.Value", "x")],
    ];
    for more in wrong {
        let parameters = [&tags[..], more].concat();
        let refused = deployment.assume(&alice, &first, &parameters).error();
        assert_eq!(refused.0, "InvalidParameterValue", "{more:?}");
    }
    let many: Vec<(String, String)> = (1..=40)
        .flat_map(|number| {
            let name = |part: &str| format!("Tags.member.{number}.{part}");
            [
                (name("Key"), format!("k{number}")),
                (name("Value"), "v".repeat(250)),
            ]
        })
        .collect();
    let many: Vec<(&str, &str)> = many.iter().map(|(a, b)| (a.as_str(), b.as_str())).collect();
    let (code, text) = deployment.assume(&alice, &first, &many).error();
    assert_eq!(code, "PackedPolicyTooLarge");
    assert!(
        text.starts_with("Packed policy consumes 255% of allotted space"),
        "{text}"
    );
}

#[test]
fn tags_and_a_source_identity_need_actions_of_their_own() {
    let deployment = Deployment::new();
    let alice = deployment.user(LAB, "alice", &[]);
    let plain = trust(ALICE, "{}").replace(
        r#"["sts:AssumeRole","sts:TagSession","sts:SetSourceIdentity"]"#,
        r#""sts:AssumeRole""#,
    );
    let role = deployment.role(LAB, "Plain", &plain, &[]);
    assert_eq!(deployment.assume(&alice, &role, &[]).status, 200);
    let tag = [("Tags.member.1.Key", "a"), ("Tags.member.1.Value", "b")];
    let refused = deployment.assume(&alice, &role, &tag).error();
    assert_eq!(refused, denied(ALICE, "TagSession", &role));
    let refused = deployment
        .assume(&alice, &role, &[("SourceIdentity", "ann")])
        .error();
    assert_eq!(refused, denied(ALICE, "SetSourceIdentity", &role));
}

#[test]
fn a_source_identity_stays_through_all_sessions_assumed_from_it() {
    let deployment = Deployment::new();
    let alice = deployment.user(LAB, "alice", &[]);
    let first = deployment.role(LAB, "First", &trust(ALICE, "{}"), &[&allow("sts:*")]);
    let second = deployment.role(LAB, "Second", &trust(ROOT, "{}"), &[
        r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"s3:*","Resource":"*",
        "Condition":{"StringEquals":{"aws:SourceIdentity":"ann"}}}]}"#,
    ]);
    let answer = deployment.assume(&alice, &first, &[("SourceIdentity", "ann")]);
    assert_eq!(answer.one("SourceIdentity"), "ann");
    let session = answer.client();
    let answer = deployment.assume(&session, &second, &[]);
    assert_eq!(answer.one("SourceIdentity"), "ann");
    assert_eq!(
        deployment.may(&answer.client(), "s3:GetObject", "*"),
        Ok(())
    );
    let other = deployment.assume(&session, &second, &[("SourceIdentity", "bob")]);
    assert_eq!(other.error().0, "AccessDenied");
}

#[test]
fn what_a_request_says_wrongly_is_told() {
    let deployment = Deployment::new();
    let alice = deployment.user(LAB, "alice", &[]);
    let role = deployment.role(LAB, "Worker", &trust(ALICE, "{}"), &[]);
    let wrong: [&[(&str, &str)]; 7] = [
        &[],
        &[("RoleArn", &role)],
        &[("RoleArn", "short"), ("RoleSessionName", "s1")],
        &[("RoleArn", &role), ("RoleSessionName", "a")],
        &[("RoleArn", &role), ("RoleSessionName", "with space")],
        &[
            ("RoleArn", &role),
            ("RoleSessionName", "s1"),
            ("ExternalId", "x"),
        ],
        &[
            ("RoleArn", &role),
            ("RoleSessionName", "s1"),
            ("SourceIdentity", "a/b"),
        ],
    ];
    for parameters in wrong {
        let (code, text) = deployment.sts(&alice, "AssumeRole", parameters).error();
        assert_eq!(code, "ValidationError", "{parameters:?}");
        assert!(
            text.starts_with("1 validation error detected: Value "),
            "{text}"
        );
    }
    let mfa = [
        ("SerialNumber", "arn:aws:iam::111122223333:mfa/x"),
        ("TokenCode", "123456"),
    ];
    let (_, text) = deployment.assume(&alice, &role, &mfa).error();
    assert!(
        text.contains("Multi-factor authentication is not built yet"),
        "{text}"
    );
    let root = Client {
        id: deployment.root.access_key_id().to_owned(),
        secret: deployment.root.secret().expose().to_owned(),
        token: None,
    };
    let (code, text) = deployment.assume(&root, &role, &[]).error();
    assert_eq!(
        (code.as_str(), text.as_str()),
        ("AccessDenied", "Roles may not be assumed by root accounts.")
    );
}
