//! Explanations: the same decision as a call gets, by the statement that made it.

use aws::access::{Authorizer, Question};
use identity::{Explain, Explained, LayerResult, RequestContext, owner};
use types::AccountId;

use crate::support::{Deployment, account, allow, statement, trust};

const LAB: AccountId = AccountId::LAB;

fn context(deployment: &Deployment) -> RequestContext {
    RequestContext {
        source_ip: None,
        secure_transport: true,
        user_agent: None,
        referer: None,
        region: "us-east-1".to_owned(),
        now: deployment.time(),
    }
}

fn explain(deployment: &Deployment, principal: &str, action: &str, resource: &str) -> Explained {
    let question = Question::new(action.to_owned(), resource.to_owned(), owner(resource, LAB));
    let asked = Explain {
        principal,
        account: LAB,
        question,
        context: context(deployment),
    };
    deployment.identity().explain(&asked).unwrap()
}

fn layer<'a>(explained: &'a Explained, name: &str) -> &'a identity::ExplainedLayer {
    let mut layers = explained.layers.iter();
    layers.find(|layer| layer.layer == name).unwrap()
}

#[test]
fn an_allow_and_both_denials_name_what_decided() {
    let deployment = Deployment::new();
    let policies = [
        allow("s3:*"),
        statement("Deny", "s3:Delete*", "arn:aws:s3:::precious/*"),
    ];
    let alice = deployment.user(LAB, "Alice", &[&policies[0], &policies[1]]);
    let told = explain(&deployment, "alice", "s3:GetObject", "arn:aws:s3:::b/k");
    assert_eq!(told.principal, "arn:aws:iam::111122223333:user/Alice");
    assert!(told.allowed);
    let by = told.statement.as_ref().unwrap();
    assert_eq!((by.layer.as_str(), by.index), ("identity", 0));
    assert_eq!(
        by.policy,
        "p0 (inline in arn:aws:iam::111122223333:user/Alice)"
    );
    assert_eq!(layer(&told, "identity").result, LayerResult::Allows);
    assert_eq!(layer(&told, "boundary").result, LayerResult::Absent);
    let told = explain(
        &deployment,
        "user/Alice",
        "s3:DeleteObject",
        "arn:aws:s3:::precious/k",
    );
    assert!(!told.allowed);
    assert_eq!(
        told.reason,
        "with an explicit deny in an identity-based policy"
    );
    assert!(told.statement.unwrap().policy.starts_with("p1 "));
    let told = explain(&deployment, &told.principal, "sqs:SendMessage", "*");
    assert_eq!(told.statement, None);
    let identity = layer(&told, "identity");
    assert_eq!(identity.result, LayerResult::SaysNothing);
    let why = identity.statements[0].mismatch.as_deref();
    assert_eq!(why, Some("it is about other actions"));
    // What is told is what a call gets.
    let call = deployment.call(&alice);
    for (action, resource) in [
        ("s3:GetObject", "arn:aws:s3:::b/k"),
        ("s3:DeleteObject", "arn:aws:s3:::precious/k"),
        ("sqs:SendMessage", "*"),
    ] {
        let told = explain(&deployment, "alice", action, resource);
        let question = Question::new(action, resource, LAB);
        match call.authorize(&question) {
            Ok(()) => assert!(told.allowed),
            Err(denied) => assert!(denied.message.ends_with(&told.reason), "{denied}"),
        }
    }
}

#[test]
fn a_condition_that_does_not_hold_shows_what_the_request_has() {
    let deployment = Deployment::new();
    let policy = r#"{"Version":"2012-10-17","Statement":[{"Sid":"Here","Effect":"Allow",
        "Action":"*","Resource":"*","Condition":{"StringEquals":{"aws:RequestedRegion":"x"}}}]}"#;
    deployment.user(LAB, "alice", &[policy]);
    let told = explain(&deployment, "alice", "s3:GetObject", "*");
    let identity = layer(&told, "identity");
    assert_eq!(identity.statements[0].sid.as_deref(), Some("Here"));
    assert_eq!(
        identity.statements[0].mismatch.as_deref(),
        Some("StringEquals of aws:RequestedRegion doesn't hold: the request has 'us-east-1'")
    );
    let json = serde_json::to_string(&told).unwrap();
    assert_eq!(serde_json::from_str::<Explained>(&json).unwrap(), told);
}

#[test]
fn roles_roots_and_other_accounts_are_named_by_their_arns() {
    let deployment = Deployment::new();
    let alice = "arn:aws:iam::111122223333:user/alice";
    deployment.user(LAB, "alice", &[]);
    let role = deployment.role_with(LAB, "Admin", &trust(alice, "{}"), &[&allow("*")], |role| {
        role.path = "/team/".to_owned();
    });
    for name in [
        "role/Admin",
        role.as_str(),
        "arn:aws:sts::111122223333:assumed-role/Admin/x",
    ] {
        assert!(
            explain(&deployment, name, "s3:GetObject", "*").allowed,
            "{name}"
        );
    }
    let root = explain(&deployment, "root", "s3:GetObject", "*");
    assert!(root.allowed && root.statement.is_none(), "{root:?}");
    let others = "arn:aws:dynamodb:us-east-1:444455556666:table/t";
    assert_eq!(owner(others, LAB), account("444455556666"));
    assert!(!explain(&deployment, "root", "dynamodb:GetItem", others).allowed);
    // Assuming a role is explained by its trust policy.
    let told = explain(&deployment, "alice", "sts:AssumeRole", &role);
    assert!(told.allowed);
    assert_eq!(told.statement.unwrap().layer, "trust");
    for name in [
        "nobody",
        "user/nobody",
        "arn:aws:iam::111122223333:role/Admin",
        "arn:x",
        "",
        "/",
    ] {
        let asked = Explain {
            principal: name,
            account: LAB,
            question: Question::new("s3:GetObject", "*", LAB),
            context: context(&deployment),
        };
        let refused = deployment.identity().explain(&asked).unwrap_err();
        assert!(
            refused.to_string().starts_with("there is no principal"),
            "{name}"
        );
    }
}
