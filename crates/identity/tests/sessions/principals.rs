//! Policies that are stored with roles and resources stay about those who were named when they
//! were saved, whatever becomes of the names.

use aws::access::{Authorizer, PolicyKind, PolicyRefusal, Question};
use identity::entries;
use identity::model::{Role, User};
use types::AccountId;

use crate::support::{Client, Deployment, account, allow, trust};

const LAB: AccountId = AccountId::LAB;
const ACTION: &str = "dynamodb:GetItem";
const ALICE: &str = "AIDAALICEALICEALICE00";
const WORKER: &str = "AROAWORKERWORKERWORK0";

fn other() -> AccountId {
    account("444455556666")
}

fn alice(deployment: &Deployment, id: &str) -> Client {
    let policy = allow("dynamodb:*");
    deployment.user_with(LAB, "alice", &[&policy], |user| user.id = id.to_owned())
}

/// A session of the role of that id.
fn worker(deployment: &Deployment, id: &str) -> Client {
    let boss = deployment.user(LAB, "boss", &[&allow("sts:*")]);
    let policy = allow("dynamodb:*");
    let root = trust("arn:aws:iam::111122223333:root", "{}");
    let with_id = |role: &mut Role| role.id = id.to_owned();
    let role = deployment.role_with(LAB, "worker", &root, &[&policy], with_id);
    deployment.assume(&boss, &role, &[]).client()
}

/// What is stored of a table's policy: of a statement with that effect about those principals.
fn bound(deployment: &Deployment, effect: &str, principals: &str) -> Result<String, PolicyRefusal> {
    let owner = deployment.user(LAB, "owner", &[]);
    let allowed = match effect {
        "Deny" => r#"{"Effect":"Allow","Principal":"*","Action":"*","Resource":"*"},"#,
        _ => "",
    };
    let document = format!(
        r#"{{"Version":"2012-10-17","Statement":[{allowed}{{"Effect":"{effect}",
        "Principal":{principals},"Action":"{ACTION}","Resource":"*"}}]}}"#
    );
    let call = deployment.call(&owner);
    call.bind_policy(PolicyKind::Resource, &document)
}

fn may(deployment: &Deployment, client: &Client, owner: AccountId, policy: &str) -> bool {
    let question = Question {
        policy: Some(policy),
        ..Question::new(
            ACTION,
            "arn:aws:dynamodb:us-east-1:111122223333:table/T",
            owner,
        )
    };
    deployment.call(client).authorize(&question).is_ok()
}

fn shown(deployment: &Deployment, policy: &str) -> String {
    let owner = deployment.user(LAB, "owner", &[]);
    deployment.call(&owner).show_policy(policy)
}

/// The user gets another name, and keeps its key.
fn rename(deployment: &Deployment, id: &str) -> Client {
    let policy = allow("dynamodb:*");
    deployment.remove(&entries::key::<User>(LAB, "alice"));
    deployment.user_with(LAB, "carol", &[&policy], |user| user.id = id.to_owned())
}

#[test]
fn a_resource_s_policy_follows_a_user_and_not_its_name() {
    let named = r#"{"AWS":"arn:aws:iam::111122223333:user/alice"}"#;
    for owner in [LAB, other()] {
        let deployment = Deployment::new();
        let client = alice(&deployment, ALICE);
        let allows = bound(&deployment, "Allow", named).unwrap();
        let denies = bound(&deployment, "Deny", named).unwrap();
        assert_eq!(
            shown(&deployment, &allows).replace(ALICE, ""),
            shown(&deployment, &allows)
        );
        assert!(shown(&deployment, &allows).contains(named));
        // Within the account her own policy lets her anyway.
        let unnamed = owner == LAB;
        assert!(may(&deployment, &client, owner, &allows));
        assert!(!may(&deployment, &client, owner, &denies));
        let renamed = rename(&deployment, ALICE);
        assert!(may(&deployment, &renamed, owner, &allows));
        assert!(
            !may(&deployment, &renamed, owner, &denies),
            "evaded by another name"
        );
        assert!(shown(&deployment, &allows).contains("user/carol\""));
        // Another one gets the name that is free.
        let next = alice(&deployment, "AIDANEXTNEXTNEXTNEXT0");
        assert_eq!(
            may(&deployment, &next, owner, &allows),
            unnamed,
            "inherited"
        );
        assert!(may(&deployment, &next, owner, &denies));
        // She is gone: what is left is her id.
        deployment.remove(&entries::key::<User>(LAB, "carol"));
        assert!(shown(&deployment, &allows).contains(&format!(r#"{{"AWS":"{ALICE}"}}"#)));
        let again = rename_to_carol(&deployment);
        assert_eq!(may(&deployment, &again, owner, &allows), unnamed);
    }
}

fn rename_to_carol(deployment: &Deployment) -> Client {
    let policy = allow("dynamodb:*");
    let with_id = |user: &mut User| user.id = "AIDAAGAINAGAINAGAIN00".to_owned();
    deployment.user_with(LAB, "carol", &[&policy], with_id)
}

#[test]
fn a_resource_s_policy_names_a_role_and_not_the_next_one_of_its_name() {
    let role = r#"{"AWS":"arn:aws:iam::111122223333:role/worker"}"#;
    let session = r#"{"AWS":["arn:aws:sts::111122223333:assumed-role/worker/s1"]}"#;
    for (owner, named) in [
        (LAB, role),
        (other(), role),
        (LAB, session),
        (other(), session),
    ] {
        let deployment = Deployment::new();
        let client = worker(&deployment, WORKER);
        let allows = bound(&deployment, "Allow", named).unwrap();
        let denies = bound(&deployment, "Deny", named).unwrap();
        assert!(allows.contains(WORKER), "{allows}");
        assert!(shown(&deployment, &allows).contains(named));
        assert!(may(&deployment, &client, owner, &allows));
        assert!(!may(&deployment, &client, owner, &denies));
        let next = worker(&deployment, "AROANEXTNEXTNEXTNEXT0");
        assert_eq!(
            may(&deployment, &next, owner, &allows),
            owner == LAB,
            "inherited"
        );
        assert!(may(&deployment, &next, owner, &denies));
        let gone = shown(&deployment, &allows);
        assert!(gone.contains(&format!("\"{WORKER}\"")), "{gone}");
    }
}

#[test]
fn whoever_doesn_t_exist_is_not_named() {
    let deployment = Deployment::new();
    alice(&deployment, ALICE);
    worker(&deployment, WORKER);
    for (kind, name) in [
        ("AWS", "arn:aws:iam::111122223333:user/nobody"),
        ("AWS", "arn:aws:iam::111122223333:user/path/alice"),
        ("AWS", "arn:aws:iam::111122223333:role/alice"),
        ("AWS", "arn:aws:sts::111122223333:assumed-role/nobody/s1"),
        ("AWS", "arn:aws:iam::999999999999:root"),
        ("AWS", "999999999999"),
        ("AWS", "AIDACKCEVSQ6C2EXAMPLE"),
        ("AWS", ALICE),
        ("AWS", "AROAWORKERWORKERWORK0:s1"),
        ("AWS", "alice"),
        ("Service", "example.com"),
    ] {
        let refused = bound(&deployment, "Deny", &format!(r#"{{"{kind}":"{name}"}}"#));
        let expected = PolicyRefusal::Principal {
            kind: kind.to_ascii_uppercase(),
            name: name.to_owned(),
        };
        assert_eq!(refused, Err(expected), "{name}");
    }
    let exist = r#"{"AWS":["*","111122223333","arn:aws:iam::111122223333:root"],
        "Service":["replication.dynamodb.amazonaws.com"]}"#;
    let kept = bound(&deployment, "Allow", exist).unwrap();
    assert!(kept.contains(exist), "{kept}");
}

#[test]
fn a_trust_policy_lets_in_the_one_of_that_id_alone() {
    let deployment = Deployment::new();
    let client = alice(&deployment, ALICE);
    let role = deployment.role(LAB, "Named", &trust(ALICE, "{}"), &[]);
    assert_eq!(deployment.assume(&client, &role, &[]).status, 200);
    let renamed = rename(&deployment, ALICE);
    assert_eq!(deployment.assume(&renamed, &role, &[]).status, 200);
    let next = alice(&deployment, "AIDANEXTNEXTNEXTNEXT0");
    assert_eq!(
        deployment.assume(&next, &role, &[]).error().0,
        "AccessDenied"
    );
    // What was stored before ids were is still by name.
    let by_name = trust("arn:aws:iam::111122223333:user/alice", "{}");
    let old = deployment.role(LAB, "Old", &by_name, &[]);
    assert_eq!(deployment.assume(&next, &old, &[]).status, 200);
}
