//! Session tokens: nothing of one can be changed, and nobody else's is taken.

use aws::signature::SignatureError;
use identity::Principal;
use identity::entries;
use identity::model::User;
use types::AccountId;

use crate::support::{Client, Deployment, account, allow, trust};

const LAB: AccountId = AccountId::LAB;
const ALICE: &str = "arn:aws:iam::111122223333:user/alice";

fn session(deployment: &Deployment, name: &str) -> Client {
    let alice = deployment.user(LAB, "alice", &[]);
    let role = deployment.role(LAB, name, &trust(ALICE, "{}"), &[&allow("*")]);
    deployment.assume(&alice, &role, &[]).client()
}

#[test]
fn every_character_of_a_token_counts_and_so_does_its_key() {
    let deployment = Deployment::new();
    let client = session(&deployment, "Admin");
    assert!(deployment.caller(&client).is_ok());
    let unknown = Some(SignatureError::UnknownKey);
    let token = client.token.clone().unwrap();
    for position in 0..token.len() {
        let mut changed = token.clone().into_bytes();
        changed[position] = if changed[position] == b'x' {
            b'y'
        } else {
            b'x'
        };
        let forged = Client {
            token: Some(String::from_utf8(changed).unwrap()),
            ..client.clone()
        };
        assert_eq!(deployment.caller(&forged).err(), unknown, "{position}");
    }
    let others = session(&deployment, "Other");
    let refused = [
        Client {
            token: None,
            ..client.clone()
        },
        Client {
            token: Some(String::new()),
            ..client.clone()
        },
        Client {
            token: others.token.clone(),
            ..client.clone()
        },
        Client {
            id: others.id.clone(),
            ..client.clone()
        },
        Client {
            token: Some(format!("{token}{token}")),
            ..client.clone()
        },
    ];
    for forged in refused {
        assert_eq!(deployment.caller(&forged).err(), unknown);
    }
    let forged = Client {
        secret: others.secret.clone(),
        ..client
    };
    assert_eq!(
        deployment.caller(&forged).err(),
        Some(SignatureError::Mismatch)
    );
}

#[test]
fn a_token_holds_in_every_region_with_the_operator_s_key_and_in_no_other() {
    let deployment = Deployment::new();
    let client = session(&deployment, "Admin");
    let elsewhere = Deployment::sealed_with(1, deployment.memory.clone());
    assert!(elsewhere.caller(&client).is_ok());
    let stranger = Deployment::sealed_with(2, deployment.memory.clone());
    let refused = stranger.caller(&client).err();
    assert_eq!(refused, Some(SignatureError::UnknownKey));
    // Nothing was stored for it.
    let kept: Vec<String> = deployment.memory.now().entries.keys().cloned().collect();
    assert!(
        kept.iter()
            .all(|key| !key.contains("ASIA") && !key.contains("session"))
    );
}

#[test]
fn get_session_token_is_the_user_s_for_a_while_without_iam() {
    let deployment = Deployment::new();
    let alice = deployment.user(LAB, "alice", &[&allow("*")]);
    let answer = deployment.sts(&alice, "GetSessionToken", &[]);
    assert_eq!(answer.one("Expiration"), "2026-11-18T23:06:40Z");
    let client = answer.client();
    let caller = deployment.caller(&client).unwrap();
    assert_eq!((caller.arn(), caller.is_temporary()), (ALICE, true));
    assert_eq!(caller.principal(), &Principal::User("alice".to_owned()));
    assert_eq!(deployment.may(&client, "s3:GetObject", "*"), Ok(()));
    for action in [
        "iam:GetUser",
        "IAM:listusers",
        "sts:GetAccessKeyInfo",
        "STS:X",
    ] {
        assert!(deployment.may(&client, action, "*").is_err(), "{action}");
    }
    let (code, text) = deployment.sts(&client, "GetSessionToken", &[]).error();
    assert_eq!(code, "AccessDenied");
    assert_eq!(text, "Cannot call GetSessionToken with session credentials");
    let who = deployment.sts(&client, "GetCallerIdentity", &[]);
    assert_eq!(who.one("Arn"), ALICE);
    let role = deployment.role(LAB, "Admin", &trust(ALICE, "{}"), &[]);
    assert_eq!(deployment.assume(&client, &role, &[]).status, 200);
    // Another user of that name is another user.
    deployment.user_with(LAB, "alice", &[], |user| user.id = "AIDAOTHER".to_owned());
    assert_eq!(
        deployment.caller(&client).err(),
        Some(SignatureError::UnknownKey)
    );
    deployment
        .memory
        .put(&entries::key::<User>(LAB, "alice"), None);
    assert_eq!(
        deployment.caller(&client).err(),
        Some(SignatureError::UnknownKey)
    );
}

#[test]
fn get_session_token_has_its_durations_and_the_root_s_an_hour() {
    let deployment = Deployment::new();
    let alice = deployment.user(LAB, "alice", &[]);
    let ask = |client: &Client, seconds: &str| {
        deployment.sts(client, "GetSessionToken", &[("DurationSeconds", seconds)])
    };
    assert_eq!(ask(&alice, "900").one("Expiration"), "2026-11-18T11:21:40Z");
    assert_eq!(
        ask(&alice, "129600").one("Expiration"),
        "2026-11-19T23:06:40Z"
    );
    for wrong in ["899", "129601"] {
        assert_eq!(ask(&alice, wrong).error().0, "ValidationError");
    }
    let root = Client {
        id: deployment.root.access_key_id().to_owned(),
        secret: deployment.root.secret().expose().to_owned(),
        token: None,
    };
    let answer = ask(&root, "129600");
    assert_eq!(answer.one("Expiration"), "2026-11-18T12:06:40Z");
    let client = answer.client();
    let caller = deployment.caller(&client).unwrap();
    assert_eq!(caller.arn(), "arn:aws:iam::111122223333:root");
    assert_eq!(deployment.may(&client, "s3:GetObject", "*"), Ok(()));
    assert!(deployment.may(&client, "iam:GetUser", "*").is_err());
    // A session's own key is nobody's root key.
    let without = Client {
        token: None,
        ..client
    };
    assert!(deployment.caller(&without).is_err());
    let stranger = account("999999999999");
    assert_ne!(caller.account(), stranger);
}
