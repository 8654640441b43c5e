//! Simulations: what a user, a group, a role or given policies may do, why, and what of the
//! request was missing to say so.

use identity::entries;
use identity::model::{Account, User};
use types::AccountId;

use crate::fixtures::{allows, group, policy, role, user};
use crate::support::{Answer, Api, Somebody};

const ALICE: (&str, &str) = ("PolicySourceArn", "arn:aws:iam::111122223333:user/alice");

const READ: (&str, &str) = ("ActionNames.member.1", "s3:GetObject");

/// A document with that statement.
fn document(statement: &str) -> String {
    format!("{{\"Version\":\"2012-10-17\",\"Statement\":{statement}}}")
}

fn decisions(answer: &Answer) -> Vec<(String, String)> {
    let names = answer.all("EvalActionName").into_iter();
    names.zip(answer.all("EvalDecision")).collect()
}

fn decision(api: &Api, parameters: &[(&str, &str)]) -> String {
    let answer = api.call("SimulatePrincipalPolicy", parameters).ok();
    answer.one("EvalDecision")
}

fn put(api: &Api, name: &str, document: &str) {
    let parameters = [
        ("UserName", "alice"),
        ("PolicyName", name),
        ("PolicyDocument", document),
    ];
    api.call("PutUserPolicy", &parameters).ok();
}

#[test]
fn a_user_is_simulated_with_its_own_and_its_groups_policies() {
    let api = Api::new();
    user(&api, "/", "alice");
    group(&api, "/", "staff");
    assert_eq!(decision(&api, &[ALICE, READ]), "implicitDeny");
    put(&api, "reads", &allows("s3:GetObject"));
    let answer = api.call("SimulatePrincipalPolicy", &[ALICE, READ]).ok();
    assert_eq!(answer.one("EvalDecision"), "allowed");
    assert_eq!(answer.one("EvalResourceName"), "*");
    assert_eq!(answer.all("SourcePolicyId"), ["reads"]);
    assert_eq!(answer.all("SourcePolicyType"), ["user"]);
    // `{"Version":"2012-10-17","Statement":[` has 37 characters before the statement.
    let length = allows("s3:GetObject").len();
    assert_eq!(answer.all("Line"), ["1", "1"]);
    assert_eq!(
        answer.all("Column"),
        ["38".to_owned(), (length - 1).to_string()]
    );
    assert!(answer.all("ResourceSpecificResults").is_empty());

    let arn = policy(&api, "team", "dynamodb:*");
    let in_group = [("GroupName", "staff"), ("PolicyArn", &*arn)];
    api.call("AttachGroupPolicy", &in_group).ok();
    let membership = [("GroupName", "staff"), ("UserName", "alice")];
    api.call("AddUserToGroup", &membership).ok();
    let aws = "arn:aws:iam::aws:policy/AmazonRoute53ReadOnlyAccess";
    let attached = [("UserName", "alice"), ("PolicyArn", aws)];
    api.call("AttachUserPolicy", &attached).ok();
    let actions = [
        ALICE,
        ("ActionNames.member.1", "dynamodb:GetItem"),
        ("ActionNames.member.2", "route53:GetHostedZone"),
        ("ActionNames.member.3", "route53:DeleteHostedZone"),
    ];
    let answer = api.call("SimulatePrincipalPolicy", &actions).ok();
    assert_eq!(
        answer.all("EvalDecision"),
        ["allowed", "allowed", "implicitDeny"]
    );
    assert_eq!(
        answer.all("SourcePolicyType"),
        ["user-managed", "aws-managed"]
    );
    assert_eq!(
        answer.all("SourcePolicyId"),
        ["team", "AmazonRoute53ReadOnlyAccess"]
    );
    let staff = ("PolicySourceArn", "arn:aws:iam::111122223333:group/staff");
    let reads = ("ActionNames.member.1", "dynamodb:GetItem");
    assert_eq!(decision(&api, &[staff, reads]), "allowed");
    assert_eq!(decision(&api, &[staff, READ]), "implicitDeny");
}

#[test]
fn a_deny_is_the_only_ground_of_a_denial() {
    let api = Api::new();
    user(&api, "/", "alice");
    put(&api, "all", &allows("*"));
    let denial = document(
        "[{\"Sid\":\"No\",\n  \"Effect\":\"Deny\",\"Action\":\"s3:*\",\"Resource\":\"arn:aws:s3:::b/*\"}]",
    );
    put(&api, "not", &denial);
    let parameters = [
        ALICE,
        READ,
        ("ResourceArns.member.1", "arn:aws:s3:::b/key"),
        ("ResourceArns.member.2", "arn:aws:s3:::c/key"),
    ];
    let answer = api.call("SimulatePrincipalPolicy", &parameters).ok();
    assert_eq!(answer.all("EvalDecision"), ["explicitDeny", "allowed"]);
    assert_eq!(
        answer.all("EvalResourceDecision"),
        ["explicitDeny", "allowed"]
    );
    // Of each pair once, and once of its resource.
    assert_eq!(answer.all("SourcePolicyId"), ["not", "not", "all", "all"]);
    assert_eq!(answer.all("Line")[..2], ["1", "2"]);
}

#[test]
fn boundaries_organisations_and_roles_count() {
    let api = Api::new();
    user(&api, "/", "alice");
    put(&api, "all", &allows("*"));
    let bounds = policy(&api, "bounds", "dynamodb:*");
    let boundary = [("UserName", "alice"), ("PermissionsBoundary", &*bounds)];
    api.call("PutUserPermissionsBoundary", &boundary).ok();
    let answer = api.call("SimulatePrincipalPolicy", &[ALICE, READ]).ok();
    assert_eq!(answer.one("EvalDecision"), "implicitDeny");
    assert_eq!(answer.one("AllowedByPermissionsBoundary"), "false");
    assert!(answer.all("AllowedByOrganizations").is_empty());
    // Another one is tried in its place.
    let document = allows("s3:*");
    let other = ("PermissionsBoundaryPolicyInputList.member.1", &*document);
    let answer = api
        .call("SimulatePrincipalPolicy", &[ALICE, READ, other])
        .ok();
    assert_eq!(answer.one("EvalDecision"), "allowed");
    assert_eq!(answer.one("AllowedByPermissionsBoundary"), "true");
    let second = ("PermissionsBoundaryPolicyInputList.member.2", &*document);
    let (code, _) = api.refused("SimulatePrincipalPolicy", &[ALICE, READ, other, second]);
    assert_eq!(code, "InvalidInput");

    let policies = [("onlyReads".to_owned(), allows("s3:GetObject").into())];
    let account = Account {
        service_control_policies: policies.into(),
        ..Account::default()
    };
    let key = entries::account_key(AccountId::LAB);
    api.memory.change(|view| view.set(key, &account));
    role(&api, "worker");
    let worker = ("RoleName", "worker");
    let attached = ("PolicyArn", "arn:aws:iam::aws:policy/AdministratorAccess");
    api.call("AttachRolePolicy", &[worker, attached]).ok();
    let parameters = [
        ("PolicySourceArn", "arn:aws:iam::111122223333:role/worker"),
        READ,
        ("ActionNames.member.2", "s3:PutObject"),
    ];
    let answer = api.call("SimulatePrincipalPolicy", &parameters).ok();
    assert_eq!(answer.all("EvalDecision"), ["allowed", "implicitDeny"]);
    assert_eq!(answer.all("AllowedByOrganizations"), ["true", "false"]);
}

#[test]
fn conditions_are_held_against_what_is_given_and_what_is_missing_is_said() {
    let api = Api::new();
    user(&api, "/", "alice");
    let statement = "{\"Effect\":\"Allow\",\"Action\":\"s3:*\",\
         \"Resource\":\"arn:aws:s3:::b/${aws:username}/*\",\"Condition\":{\
         \"IpAddress\":{\"aws:SourceIp\":\"192.0.2.0/24\"},\
         \"ForAllValues:StringEquals\":{\"aws:TagKeys\":[\"a\",\"b\"]}}}";
    put(&api, "conditional", &document(statement));
    let resource = ("ResourceArns.member.1", "arn:aws:s3:::b/alice/key");
    let answer = api
        .call("SimulatePrincipalPolicy", &[ALICE, READ, resource])
        .ok();
    assert_eq!(answer.one("EvalDecision"), "implicitDeny");
    let missing = "<MissingContextValues><member>aws:SourceIp</member>\
                   <member>aws:TagKeys</member></MissingContextValues>";
    assert!(answer.text.contains(missing), "{answer:?}");
    let with = |address: &str, kind: &str| {
        let parameters = [
            ALICE,
            READ,
            resource,
            ("ContextEntries.member.1.ContextKeyName", "AWS:sourceip"),
            ("ContextEntries.member.1.ContextKeyType", kind),
            ("ContextEntries.member.1.ContextKeyValues.member.1", address),
            ("ContextEntries.member.2.ContextKeyName", "aws:TagKeys"),
            ("ContextEntries.member.2.ContextKeyType", "stringList"),
            ("ContextEntries.member.2.ContextKeyValues.member.1", "a"),
            ("ContextEntries.member.2.ContextKeyValues.member.2", "b"),
        ];
        api.call("SimulatePrincipalPolicy", &parameters)
    };
    let answer = with("192.0.2.7", "ip").ok();
    assert_eq!(answer.one("EvalDecision"), "allowed");
    assert!(
        answer
            .text
            .contains("<MissingContextValues></MissingContextValues>")
    );
    assert_eq!(
        with("198.51.100.7", "ip").ok().one("EvalDecision"),
        "implicitDeny"
    );
    assert_eq!(with("192.0.2.7", "address").error().0, "ValidationError");

    let keys = api.call("GetContextKeysForPrincipalPolicy", &[ALICE]).ok();
    let expected = "<ContextKeyNames><member>aws:SourceIp</member><member>aws:TagKeys</member>\
                    <member>aws:username</member></ContextKeyNames>";
    assert!(keys.text.contains(expected), "{keys:?}");
    let document = document(statement);
    let custom = [("PolicyInputList.member.1", &*document)];
    let keys = api.call("GetContextKeysForCustomPolicy", &custom).ok();
    assert!(keys.text.contains(expected), "{keys:?}");
}

#[test]
fn given_policies_are_simulated_alone_and_with_a_resource_s() {
    let api = Api::new();
    let read = allows("s3:GetObject");
    let input = ("PolicyInputList.member.1", &*read);
    let answer = api.call("SimulateCustomPolicy", &[input, READ]).ok();
    assert_eq!(answer.one("EvalDecision"), "allowed");
    assert_eq!(answer.one("SourcePolicyId"), "PolicyInputList.1");
    let write = ("ActionNames.member.1", "s3:PutObject");
    let answer = api.call("SimulateCustomPolicy", &[input, write]).ok();
    assert_eq!(answer.one("EvalDecision"), "implicitDeny");

    let bob = "arn:aws:iam::444455556666:user/bob";
    let bucket = document(&format!(
        "{{\"Effect\":\"Allow\",\"Principal\":{{\"AWS\":\"{bob}\"}},\"Action\":\"s3:PutObject\",\
         \"Resource\":\"arn:aws:s3:::b/*\"}}"
    ));
    let resource = ("ResourceArns.member.1", "arn:aws:s3:::b/k");
    let with_policy = |more: &[(&str, &str)]| {
        let parameters = [
            &[input, write, resource, ("ResourcePolicy", &*bucket)],
            more,
        ]
        .concat();
        api.call("SimulateCustomPolicy", &parameters)
    };
    assert_eq!(with_policy(&[]).error().0, "InvalidInput");
    let caller = ("CallerArn", bob);
    let same_account = with_policy(&[caller]).ok();
    assert_eq!(same_account.one("EvalDecision"), "allowed");
    assert_eq!(same_account.one("SourcePolicyType"), "resource");
    // Across accounts the caller's own policies must allow it too.
    let owner = ("ResourceOwner", "111122223333");
    assert_eq!(
        with_policy(&[caller, owner]).ok().one("EvalDecision"),
        "implicitDeny"
    );
    let all = allows("s3:*");
    let both = [
        ("PolicyInputList.member.1", &*all),
        write,
        resource,
        ("ResourcePolicy", &*bucket),
        caller,
        ("ResourceOwner", "arn:aws:iam::111122223333:root"),
    ];
    let answer = api.call("SimulateCustomPolicy", &both).ok();
    assert_eq!(answer.one("EvalDecision"), "allowed");
}

#[test]
fn results_have_pages() {
    let api = Api::new();
    user(&api, "/", "alice");
    put(&api, "reads", &allows("s3:Get*"));
    let names = ["s3:GetA", "s3:PutA", "s3:GetB", "s3:PutB", "s3:GetC"];
    let numbered: Vec<_> = (1..=5).map(|n| format!("ActionNames.member.{n}")).collect();
    let actions = numbered.iter().map(String::as_str).zip(names);
    let mut marker = None::<String>;
    let mut found = Vec::new();
    loop {
        let mut parameters: Vec<_> = actions.clone().collect();
        parameters.extend([ALICE, ("MaxItems", "2")]);
        parameters.extend(marker.as_deref().map(|marker| ("Marker", marker)));
        let answer = api.call("SimulatePrincipalPolicy", &parameters).ok();
        found.extend(decisions(&answer));
        marker = answer.all("Marker").pop();
        assert_eq!(answer.one("IsTruncated"), marker.is_some().to_string());
        if marker.is_none() {
            break;
        }
    }
    let expected = names.map(|name| {
        let decision = if name.starts_with("s3:G") {
            "allowed"
        } else {
            "implicitDeny"
        };
        (name.to_owned(), decision.to_owned())
    });
    assert_eq!(found, expected);
}

#[test]
fn what_makes_no_sense_is_refused() {
    let api = Api::new();
    user(&api, "/", "alice");
    let long = "x".repeat(131_073);
    let refused: [(&str, &[(&str, &str)]); 16] = [
        ("ValidationError", &[ALICE]),
        ("ValidationError", &[READ]),
        ("ValidationError", &[ALICE, ("ActionNames.member.1", "x")]),
        (
            "InvalidInput",
            &[ALICE, ("ActionNames.member.1", "s3GetObject")],
        ),
        ("InvalidInput", &[ALICE, ("ActionNames.member.1", "s3:*")]),
        (
            "InvalidInput",
            &[ALICE, READ, ("ResourceArns.member.1", "bucket")],
        ),
        (
            "ValidationError",
            &[ALICE, READ, ("ResourceArns.member.1", "")],
        ),
        (
            "InvalidInput",
            &[ALICE, READ, ("PolicyInputList.member.1", "{")],
        ),
        (
            "ValidationError",
            &[ALICE, READ, ("PolicyInputList.member.1", &long)],
        ),
        (
            "ValidationError",
            &[ALICE, READ, ("PolicyInputList.member.1", "")],
        ),
        (
            "InvalidInput",
            &[ALICE, READ, ("CallerArn", "arn:aws:iam::111122223333:root")],
        ),
        ("InvalidInput", &[ALICE, READ, ("ResourceOwner", "me")]),
        (
            "NotImplemented",
            &[ALICE, READ, ("ResourceHandlingOption", "EC2-VPC-EBS")],
        ),
        (
            "InvalidInput",
            &[("PolicySourceArn", "arn:aws:iam::111122223333:root"), READ],
        ),
        (
            "NoSuchEntity",
            &[
                ("PolicySourceArn", "arn:aws:iam::111122223333:user/x/alice"),
                READ,
            ],
        ),
        (
            "NoSuchEntity",
            &[
                ("PolicySourceArn", "arn:aws:iam::444455556666:user/alice"),
                READ,
            ],
        ),
    ];
    for (code, parameters) in refused {
        let error = api.refused("SimulatePrincipalPolicy", parameters);
        assert_eq!(error.0, code, "{}", error.1);
        assert!(error.1.len() < 2_000);
    }
    assert_eq!(
        api.refused("SimulateCustomPolicy", &[READ]).0,
        "ValidationError"
    );
    assert_eq!(
        api.refused("GetContextKeysForCustomPolicy", &[]).0,
        "ValidationError"
    );
}

#[test]
fn a_policy_that_cannot_be_read_denies_as_it_does_in_a_call() {
    let api = Api::new();
    user(&api, "/", "alice");
    put(&api, "all", &allows("*"));
    let key = entries::key::<User>(AccountId::LAB, "alice");
    api.memory.change(|view| {
        let mut alice: User = view.read(&key).unwrap();
        alice
            .policies
            .inline
            .insert("broken".to_owned(), "{".into());
        view.set(key.clone(), &alice);
    });
    let answer = api.call("SimulatePrincipalPolicy", &[ALICE, READ]).ok();
    assert_eq!(answer.one("EvalDecision"), "explicitDeny");
    assert_eq!(answer.one("SourcePolicyId"), "broken");
}

#[test]
fn whose_policies_are_simulated_is_asked_of_the_judge() {
    let api = Api::new();
    user(&api, "/", "alice");
    let caller = Somebody::user("/bob");
    api.call_as(&caller, "SimulatePrincipalPolicy", &[ALICE, READ])
        .ok();
    let asked = caller.asked();
    assert_eq!(asked[0].0, "iam:SimulatePrincipalPolicy");
    assert_eq!(asked[0].1, ALICE.1);
}
#[test]
fn a_page_ends_early_where_much_is_to_be_told() {
    let api = Api::new();
    let statement = "{\"Effect\":\"Allow\",\"Action\":\"*\",\"Resource\":\"*\"}";
    let policy = document(&format!("[{}]", vec![statement; 1_000].join(",")));
    let actions: Vec<_> = (1..=13)
        .map(|n| (format!("ActionNames.member.{n}"), format!("s3:Action{n}")))
        .collect();
    let page = |marker: Option<&str>| {
        let mut parameters = vec![("PolicyInputList.member.1", &*policy)];
        parameters.extend(actions.iter().map(|(name, action)| (&**name, &**action)));
        parameters.extend(marker.map(|marker| ("Marker", marker)));
        api.call("SimulateCustomPolicy", &parameters).ok()
    };
    let first = page(None);
    assert_eq!(first.all("EvalDecision").len(), 10);
    assert_eq!(first.all("SourcePolicyId").len(), 10_000);
    let rest = page(Some(&first.one("Marker")));
    assert_eq!(
        rest.all("EvalActionName"),
        ["s3:Action11", "s3:Action12", "s3:Action13"]
    );
    assert_eq!(rest.one("IsTruncated"), "false");
}
