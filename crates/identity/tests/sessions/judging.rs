//! What a caller may: its own policies, its groups', its boundary, its account's organisation,
//! the resource's policy, and what is known of the request.

use std::collections::BTreeMap;

use aws::access::{Authorizer, PolicyKind, Question};
use identity::entries;
use identity::model::{Account, Group, ManagedPolicy, PolicyVersion};
use types::AccountId;

use crate::support::{Deployment, START, account, allow, inline, statement, trust};

const LAB: AccountId = AccountId::LAB;

fn managed(deployment: &Deployment, name: &str, documents: &[&str], default: u32) -> String {
    let versions = documents.iter().zip(1..).map(|(document, number)| {
        let version = PolicyVersion {
            document: (*document).into(),
            created: START,
        };
        (number, version)
    });
    let policy = ManagedPolicy {
        name: name.to_owned(),
        id: format!("ANPA{name}"),
        path: "/team/".to_owned(),
        created: START,
        updated: START,
        description: None,
        versions: versions.collect(),
        default_version: default,
        next_version: 9,
        tags: BTreeMap::new(),
    };
    deployment.set(&entries::key::<ManagedPolicy>(LAB, name), &policy);
    format!("arn:aws:iam::111122223333:policy/team/{name}")
}

#[test]
fn groups_managed_policies_and_boundaries_have_their_say() {
    let deployment = Deployment::new();
    let group = Group {
        name: "Readers".to_owned(),
        id: "AGPAREADERS".to_owned(),
        path: "/".to_owned(),
        created: START,
        policies: inline(&[&allow("s3:Get*")]),
    };
    deployment.set(&entries::key::<Group>(LAB, "Readers"), &group);
    let documents = [allow("sqs:*"), allow("sns:*")];
    let arn = managed(&deployment, "Queues", &[&documents[0], &documents[1]], 2);
    let bound = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Resource":"*",
        "Action":["s3:*","sns:*","sqs:*"]}]}"#;
    let bound = managed(&deployment, "Bound", &[bound], 1);
    let alice = deployment.user_with(LAB, "alice", &[&allow("ec2:*")], |user| {
        user.groups.insert("readers".to_owned());
        user.policies.attached.push(arn.clone());
        user.boundary = Some(bound);
    });
    assert_eq!(deployment.may(&alice, "s3:GetObject", "*"), Ok(()));
    assert_eq!(deployment.may(&alice, "sns:Publish", "*"), Ok(()));
    // The version that holds is the default one.
    let denied = deployment.may(&alice, "sqs:SendMessage", "*").unwrap_err();
    assert_eq!(
        denied,
        "User: arn:aws:iam::111122223333:user/alice is not authorized to perform: \
         sqs:SendMessage on resource: * because no identity-based policy allows the \
         sqs:SendMessage action"
    );
    let denied = deployment.may(&alice, "ec2:RunInstances", "*").unwrap_err();
    assert!(denied.ends_with("because no permissions boundary allows the ec2:RunInstances action"));
    // A policy that somebody has and that isn't there may have denied anything.
    let missing = deployment.user_with(LAB, "bob", &[&allow("*")], |user| {
        user.policies.attached.push(format!("{arn}2"));
    });
    assert!(deployment.may(&missing, "s3:GetObject", "*").is_err());
    let missing = deployment.user_with(LAB, "carol", &[&allow("*")], |user| {
        user.groups.insert("nobody".to_owned());
    });
    assert!(deployment.may(&missing, "s3:GetObject", "*").is_err());
    let admin = deployment.user_with(LAB, "dave", &[], |user| {
        let arn = "arn:aws:iam::aws:policy/AdministratorAccess";
        user.policies.attached.push(arn.to_owned());
    });
    assert_eq!(deployment.may(&admin, "any:Thing", "*"), Ok(()));
}

#[test]
fn an_organisation_limits_an_account_its_root_included() {
    let deployment = Deployment::new();
    let alice = deployment.user(LAB, "alice", &[&allow("*")]);
    let mut limited = Account::default();
    let control = &mut limited.service_control_policies;
    control.insert("Full".to_owned(), allow("*").into());
    let deny = statement("Deny", "s3:DeleteBucket", "*");
    control.insert("NoDelete".to_owned(), deny.into());
    deployment.set(&entries::account_key(LAB), &limited);
    let root = identity::Identity::new(LAB, deployment.identity().root_keys().clone());
    assert_eq!(root.account(), LAB);
    assert_eq!(deployment.may(&alice, "s3:GetObject", "*"), Ok(()));
    let denied = deployment.may(&alice, "s3:DeleteBucket", "*").unwrap_err();
    assert!(
        denied.ends_with("with an explicit deny in a service control policy"),
        "{denied}"
    );
    let control = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Deny","Principal":"*",
        "Action":"s3:PutObject","Resource":"*"}]}"#;
    limited
        .resource_control_policies
        .insert("NoPut".to_owned(), control.into());
    deployment.set(&entries::account_key(LAB), &limited);
    let denied = deployment.may(&alice, "s3:PutObject", "*").unwrap_err();
    assert!(
        denied.ends_with("with an explicit deny in a resource control policy"),
        "{denied}"
    );
    // Limits that can't be read let nothing through.
    let limits = BTreeMap::from([("Full".to_owned(), "{".into())]);
    limited.service_control_policies = limits;
    deployment.set(&entries::account_key(LAB), &limited);
    assert!(deployment.may(&alice, "s3:GetObject", "*").is_err());
    deployment
        .memory
        .put(&entries::account_key(LAB), Some(vec![9].into()));
    assert!(deployment.may(&alice, "s3:GetObject", "*").is_err());
    assert_eq!(deployment.identity().fault_count(), 1);
}

#[test]
fn a_resource_s_policy_opens_it_to_another_account_that_lets_its_user_out() {
    let deployment = Deployment::new();
    let other = account("444455556666");
    let alice = deployment.user(LAB, "alice", &[&allow("s3:*")]);
    let bob = deployment.user(LAB, "bob", &[]);
    let policy = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"AWS":
        "111122223333"},"Action":"s3:GetObject","Resource":"*"}]}"#;
    let ask = |client, action: &str, policy| {
        let question = Question {
            policy,
            ..Question::new(action.to_owned(), "arn:aws:s3:::b/k", other)
        };
        deployment.call(client).authorize(&question)
    };
    assert!(ask(&alice, "s3:GetObject", None).is_err());
    assert_eq!(ask(&alice, "s3:GetObject", Some(policy)), Ok(()));
    assert!(ask(&alice, "s3:PutObject", Some(policy)).is_err());
    assert!(ask(&bob, "s3:GetObject", Some(policy)).is_err());
    // A policy that can't be read opens nothing, also to its own account.
    assert!(ask(&alice, "s3:GetObject", Some("{")).is_err());
    let own = Question {
        policy: Some("{"),
        ..Question::new("s3:GetObject", "*", LAB)
    };
    assert!(deployment.call(&alice).authorize(&own).is_err());
    let call = deployment.call(&alice);
    let bound = call.bind_policy(PolicyKind::Resource, policy);
    assert_eq!(bound.as_deref(), Ok(policy));
    let refused = call.bind_policy(PolicyKind::Identity, policy).unwrap_err();
    let refused = refused.to_string();
    assert!(refused.contains("line 1, column"), "{refused}");
}

/// May somebody whose one policy has that condition?
fn holds(deployment: &Deployment, session: bool, condition: &str) -> bool {
    let policy = format!(
        r#"{{"Version":"2012-10-17","Statement":[{{"Effect":"Allow","Action":"*","Resource":"*",
        "Condition":{condition}}}]}}"#
    );
    let tags = |tags: &mut BTreeMap<String, String>| {
        tags.insert("Team".to_owned(), "blue".to_owned());
    };
    let client = deployment.user_with(LAB, "alice", &[&policy], |user| tags(&mut user.tags));
    let client = if session {
        let arn = "arn:aws:iam::111122223333:user/alice";
        let role = deployment.role(LAB, "Admin", &trust(arn, "{}"), &[&policy]);
        deployment
            .assume(&client, &role, &[("SourceIdentity", "ann")])
            .client()
    } else {
        client
    };
    deployment.may(&client, "s3:GetObject", "*").is_ok()
}

#[test]
fn conditions_see_who_calls_from_where_when_and_how() {
    let deployment = Deployment::new();
    for condition in [
        r#"{"IpAddress":{"aws:SourceIp":"203.0.113.0/24"}}"#,
        r#"{"Bool":{"aws:SecureTransport":"true"}}"#,
        r#"{"StringEquals":{"aws:UserAgent":"test"}}"#,
        r#"{"StringEquals":{"aws:RequestedRegion":"us-east-1"}}"#,
        r#"{"DateGreaterThan":{"aws:CurrentTime":"2026-11-18T11:06:39Z"}}"#,
        r#"{"DateLessThan":{"aws:CurrentTime":"2026-11-18T11:06:41Z"}}"#,
        r#"{"NumericEquals":{"aws:EpochTime":"1795000000"}}"#,
        r#"{"ArnEquals":{"aws:PrincipalArn":"arn:aws:iam::111122223333:user/alice"}}"#,
        r#"{"StringEquals":{"aws:PrincipalAccount":"111122223333"}}"#,
        r#"{"StringEquals":{"AWS:PRINCIPALTYPE":"User"}}"#,
        r#"{"StringEquals":{"aws:userid":"AIDAALICE"}}"#,
        r#"{"StringEquals":{"aws:username":"alice"}}"#,
        r#"{"StringEquals":{"aws:PrincipalTag/team":"blue"}}"#,
        r#"{"Null":{"aws:TokenIssueTime":"true"}}"#,
        r#"{"Null":{"aws:MultiFactorAuthPresent":"true"}}"#,
        r#"{"Null":{"aws:SourceIdentity":"true"}}"#,
        r#"{"Null":{"aws:Referer":"true"}}"#,
        r#"{"Bool":{"aws:PrincipalIsAWSService":"false"}}"#,
        r#"{"Bool":{"aws:ViaAWSService":"false"}}"#,
        r#"{"StringEquals":{"aws:ResourceAccount":"111122223333"}}"#,
    ] {
        assert!(holds(&deployment, false, condition), "{condition}");
    }
    for condition in [
        r#"{"ArnEquals":{"aws:PrincipalArn":"arn:aws:iam::111122223333:role/Admin"}}"#,
        r#"{"StringEquals":{"aws:PrincipalType":"AssumedRole"}}"#,
        r#"{"StringEquals":{"aws:userid":"AROAADMIN:s1"}}"#,
        r#"{"Null":{"aws:username":"true"}}"#,
        r#"{"DateEquals":{"aws:TokenIssueTime":"2026-11-18T11:06:40Z"}}"#,
        r#"{"Bool":{"aws:MultiFactorAuthPresent":"false"}}"#,
        r#"{"StringEquals":{"aws:SourceIdentity":"ann"}}"#,
        r#"{"Null":{"aws:PrincipalTag/Team":"true"}}"#,
    ] {
        assert!(holds(&deployment, true, condition), "{condition}");
    }
    for condition in [
        r#"{"IpAddress":{"aws:SourceIp":"203.0.114.0/24"}}"#,
        r#"{"StringEquals":{"aws:RequestedRegion":"eu-west-1"}}"#,
        r#"{"StringEquals":{"aws:UnknownKeyOfAVeryLongNameThatNobodyHas":"x"}}"#,
        r#"{"StringEquals":{"aws:PrincipalTag/é":"x"}}"#,
    ] {
        assert!(!holds(&deployment, false, condition), "{condition}");
    }
}

#[test]
fn what_a_service_says_of_its_own_keys_wins_but_not_whose_the_thing_is() {
    let deployment = Deployment::new();
    let policy = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"*",
        "Resource":"*","Condition":{"StringEquals":{"aws:RequestedRegion":"eu-west-1",
        "aws:ResourceAccount":"111122223333"}}}]}"#;
    let alice = deployment.user(LAB, "alice", &[policy]);
    let call = deployment.call(&alice);
    let question = || Question::new("dynamodb:CreateTableReplica", "*", LAB);
    assert!(call.authorize(&question()).is_err());
    let told = question().key("aws:RequestedRegion", "eu-west-1");
    assert_eq!(call.authorize(&told), Ok(()));
    let lied = question()
        .key("aws:RequestedRegion", "eu-west-1")
        .key("aws:ResourceAccount", "444455556666");
    assert_eq!(call.authorize(&lied), Ok(()));
}
