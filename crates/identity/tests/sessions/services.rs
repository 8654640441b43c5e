//! A service that acts as a role: only where the role's trust policy lets that service in, and
//! then with what the role may.

use std::sync::Arc;

use aws::access::{Authorizer, Question};
use identity::{AssumeRefusal, Call};
use types::AccountId;

use crate::support::{Deployment, allow, trust};

const LAB: AccountId = AccountId::LAB;

/// A trust policy that lets a service in.
fn trusting(service: &str, condition: &str) -> String {
    trust("SERVICE", condition)
        .replace(r#""AWS""#, r#""Service""#)
        .replace("SERVICE", service)
}

fn assumed(deployment: &Deployment, role: &str) -> Result<Call, AssumeRefusal> {
    let identity: Arc<_> = deployment.identity();
    identity.assume_for_service(
        "s3.amazonaws.com",
        role,
        "s3-replication",
        "us-east-1",
        deployment.time(),
    )
}

#[test]
fn a_service_acts_as_a_role_that_trusts_it_and_may_what_the_role_may() {
    let deployment = Deployment::new();
    let open = trusting("s3.amazonaws.com", "{}");
    let role = deployment.role(LAB, "Copier", &open, &[&allow("s3:ReplicateObject")]);
    let call = assumed(&deployment, &role).unwrap();
    assert_eq!(
        call.arn(),
        "arn:aws:sts::111122223333:assumed-role/Copier/s3-replication"
    );
    let may = |action: &str| {
        let question = Question::new(action, "arn:aws:s3:::b/k", LAB);
        call.authorize(&question).is_ok()
    };
    assert!(may("s3:ReplicateObject"));
    assert!(!may("s3:ReplicateDelete"));
}

#[test]
fn a_role_that_trusts_others_or_is_gone_lets_nobody_in() {
    let deployment = Deployment::new();
    let refused = |role: &str| assumed(&deployment, role).err();
    let root = "arn:aws:iam::111122223333:root";
    let account = "111122223333";
    for (name, trust) in [
        ("Batch", trusting("batchoperations.s3.amazonaws.com", "{}")),
        ("Root", trust(root, "{}")),
        ("Account", trust(account, "{}")),
        (
            "Elsewhere",
            trusting(
                "s3.amazonaws.com",
                r#"{"StringEquals":{"aws:SourceAccount":"444455556666"}}"#,
            ),
        ),
    ] {
        let role = deployment.role(LAB, name, &trust, &[&allow("s3:*")]);
        assert_eq!(refused(&role), Some(AssumeRefusal::NotTrusted), "{name}");
    }
    let own = trusting(
        "s3.amazonaws.com",
        r#"{"StringEquals":{"aws:SourceAccount":"111122223333"}}"#,
    );
    let role = deployment.role(LAB, "Own", &own, &[]);
    assert_eq!(refused(&role), None);
    for missing in [
        "arn:aws:iam::111122223333:role/Missing",
        "arn:aws:iam::111122223333:role/path/Own",
        "arn:aws:iam::111122223333:user/Own",
        "Own",
        "",
    ] {
        assert_eq!(
            refused(missing),
            Some(AssumeRefusal::NoSuchRole),
            "{missing}"
        );
    }
}
