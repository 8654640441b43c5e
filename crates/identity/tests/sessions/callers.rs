//! Long-lived keys: who is known by them, and until when.

use aws::signature::SignatureError;
use identity::entries;
use identity::model::{AccessKey, Account, User};
use identity::{NONCE_BYTES, Principal, RootKey, RootKeys};
use types::AccountId;
use zeroize::Zeroizing;

use crate::support::{Client, Deployment, account, allow, block_on};

const LAB: AccountId = AccountId::LAB;

fn change_key(deployment: &Deployment, id: &str, change: impl FnOnce(&mut AccessKey)) {
    let key = entries::access_key_key(id);
    let (_, mut value) = entries::at::<AccessKey>(&*deployment.memory.now(), &key)
        .unwrap()
        .unwrap();
    change(&mut value);
    deployment.set(&key, &value);
}

fn change_user(deployment: &Deployment, name: &str, change: impl FnOnce(&mut User)) {
    let (_, mut user) = entries::read::<User>(&*deployment.memory.now(), LAB, name)
        .unwrap()
        .unwrap();
    change(&mut user);
    deployment.set(&entries::key::<User>(LAB, name), &user);
}

#[test]
fn a_user_is_known_by_its_key_while_both_are_there_and_the_key_is_active() {
    let deployment = Deployment::new();
    let client = deployment.user(LAB, "Alice", &[]);
    let caller = deployment.caller(&client).unwrap();
    assert_eq!(caller.arn(), "arn:aws:iam::111122223333:user/Alice");
    assert_eq!(caller.principal(), &Principal::User("Alice".to_owned()));
    assert_eq!(caller.user_id(), "AIDAALICE");
    let unknown = Some(SignatureError::UnknownKey);
    change_key(&deployment, &client.id, |key| key.active = false);
    assert_eq!(deployment.caller(&client).err(), unknown);
    change_key(&deployment, &client.id, |key| key.active = true);
    assert!(deployment.caller(&client).is_ok());
    // The user doesn't have it any more, though the key's own entry is still there.
    change_user(&deployment, "alice", |user| user.keys.clear());
    assert_eq!(deployment.caller(&client).err(), unknown);
    change_user(&deployment, "alice", |user| {
        user.keys.push(client.id.clone())
    });
    assert!(deployment.caller(&client).is_ok());
    deployment
        .memory
        .put(&entries::key::<User>(LAB, "alice"), None);
    assert_eq!(deployment.caller(&client).err(), unknown);
}

#[test]
fn another_secret_a_token_or_another_user_s_sealed_secret_make_no_caller() {
    let deployment = Deployment::new();
    let alice = deployment.user(LAB, "alice", &[]);
    let bob = deployment.user(LAB, "bob", &[]);
    let forged = Client {
        secret: bob.secret.clone(),
        ..alice.clone()
    };
    let refused = deployment.caller(&forged).err();
    assert_eq!(refused, Some(SignatureError::Mismatch));
    let with_token = Client {
        token: Some("x".to_owned()),
        ..alice.clone()
    };
    let refused = deployment.caller(&with_token).err();
    assert_eq!(refused, Some(SignatureError::UnknownKey));
    // Who can write the configuration but hasn't the operator's key can't give a key away.
    let key = entries::access_key_key(&bob.id);
    let (_, bobs) = entries::at::<AccessKey>(&*deployment.memory.now(), &key)
        .unwrap()
        .unwrap();
    change_key(&deployment, &alice.id, |key| key.sealed = bobs.sealed);
    for client in [&alice, &forged] {
        let refused = deployment.caller(client).err();
        assert_eq!(refused, Some(SignatureError::UnknownKey));
    }
}

#[test]
fn keys_sealed_with_another_operator_s_key_are_refused_and_told() {
    let deployment = Deployment::new();
    let client = deployment.user(LAB, "alice", &[]);
    let keys = RootKeys::new(deployment.root.clone());
    let sealed = keys.seal(&deployment.sealer, LAB, &[1; NONCE_BYTES]);
    deployment.memory.put("identity/root-keys", Some(sealed));
    assert_eq!(deployment.identity().fault_count(), 0);
    let other = Deployment::sealed_with(2, deployment.memory.clone());
    let refused = other.caller(&client).err();
    assert_eq!(refused, Some(SignatureError::UnknownKey));
    let identity = other.identity();
    let faults: Vec<(&str, &str)> = identity.faults().collect();
    let (key, text) = faults[0];
    assert_eq!(key, "identity/root-keys");
    assert!(
        text.contains("sealed with another operator's key"),
        "{text}"
    );
    // The site's own root keys stay, so that its operator isn't locked out.
    assert_eq!(identity.root_keys(), &keys);
}

#[test]
fn an_account_has_a_root_of_its_own_once_it_is_there() {
    let deployment = Deployment::new();
    let other = account("444455556666");
    let key = RootKey::generate(&Zeroizing::new([9; 40]));
    let keys = RootKeys::new(key.clone());
    let sealed = keys.seal(&deployment.sealer, other, &[2; NONCE_BYTES]);
    let setting = RootKeys::setting(other);
    deployment.memory.put(&setting, Some(sealed));
    let client = Client {
        id: key.access_key_id().to_owned(),
        secret: key.secret().expose().to_owned(),
        token: None,
    };
    assert!(deployment.caller(&client).is_err());
    assert_eq!(deployment.identity().fault_count(), 1);
    let entry = Account::default();
    deployment.set(&entries::account_key(other), &entry);
    let caller = deployment.caller(&client).unwrap();
    assert_eq!(caller.arn(), "arn:aws:iam::444455556666:root");
    assert_eq!(deployment.identity().fault_count(), 0);
    // Sealed for one account, they are no other's.
    let (_, stolen) = deployment.memory.now().entries[&setting].clone();
    let third = account("777788889999");
    deployment.set(&entries::account_key(third), &entry);
    deployment
        .memory
        .put(&RootKeys::setting(third), Some(stolen));
    assert_eq!(deployment.identity().fault_count(), 1);
    assert_eq!(deployment.caller(&client).unwrap().account(), other);
}

#[test]
fn a_value_that_can_t_be_read_costs_its_principal_everything_and_nobody_else() {
    let deployment = Deployment::new();
    let alice = deployment.user(LAB, "alice", &[&allow("*")]);
    let bob = deployment.user(LAB, "bob", &[&allow("*"), "{\"Statement\":"]);
    assert_eq!(deployment.may(&alice, "s3:ListBucket", "*"), Ok(()));
    let denied = deployment.may(&bob, "s3:ListBucket", "*").unwrap_err();
    assert!(denied.contains("with an explicit deny"), "{denied}");
    let identity = deployment.identity();
    let (key, text) = identity.faults().next().unwrap();
    assert_eq!(key, "identity/user/111122223333/bob");
    assert!(
        text.starts_with("its policy 'p1' is no policy at line"),
        "{text}"
    );
    let newer = vec![9].into();
    let key = entries::key::<User>(LAB, "alice");
    deployment.memory.put(&key, Some(newer));
    assert!(deployment.caller(&alice).is_err());
    assert_eq!(deployment.identity().fault_count(), 2);
    // Mended, it is forgotten.
    deployment.user(LAB, "bob", &[&allow("*")]);
    assert_eq!(deployment.may(&bob, "s3:ListBucket", "*"), Ok(()));
    assert_eq!(deployment.identity().fault_count(), 1);
}

#[test]
fn more_faults_than_are_kept_are_counted_and_all_mended() {
    let deployment = Deployment::new();
    for number in 0..150 {
        let key = entries::key::<User>(LAB, &format!("u{number}"));
        deployment.memory.put(&key, Some(vec![9].into()));
    }
    let identity = deployment.identity();
    assert_eq!(identity.fault_count(), 150);
    assert_eq!(identity.faults().count(), 100);
    for number in 0..150 {
        deployment.user(LAB, &format!("u{number}"), &[]);
    }
    assert_eq!(deployment.identity().fault_count(), 0);
}

#[test]
fn what_changes_nothing_of_identity_keeps_what_was_read() {
    let deployment = Deployment::new();
    let alice = deployment.user(LAB, "alice", &[&allow("s3:*")]);
    assert_eq!(deployment.may(&alice, "s3:ListBucket", "*"), Ok(()));
    deployment
        .memory
        .put("routing/zone/1", Some(vec![1].into()));
    let revision = deployment.memory.now().entries["routing/zone/1"].0;
    assert_eq!(deployment.identity().revision(), revision);
    assert_eq!(deployment.may(&alice, "s3:ListBucket", "*"), Ok(()));
    // One goes as another comes: as many entries as before.
    let key = entries::key::<User>(LAB, "alice");
    deployment.memory.put(&key, None);
    deployment.user(LAB, "bob", &[]);
    let key = entries::access_key_key(&alice.id);
    deployment.memory.put(&key, None);
    assert!(deployment.caller(&alice).is_err());
}

#[test]
fn the_service_s_own_account_of_a_key_is_told_by_its_id() {
    let deployment = Deployment::new();
    let alice = deployment.user(LAB, "alice", &[&allow("sts:GetAccessKeyInfo")]);
    let ask = |id: &str| deployment.sts(&alice, "GetAccessKeyInfo", &[("AccessKeyId", id)]);
    let root = deployment.root.access_key_id();
    for id in [alice.id.as_str(), root] {
        assert_eq!(ask(id).one("Account"), "111122223333");
    }
    let token = deployment.sts(&alice, "GetSessionToken", &[]).client();
    assert_eq!(ask(&token.id).one("Account"), "111122223333");
    assert_eq!(ask("AKIAIOSFODNN7EXAMPLE").error().0, "NoSuchEntity");
    assert_eq!(ask("AKIA").error().0, "ValidationError");
    let bob = deployment.user(LAB, "bob", &[]);
    let refused = deployment.sts(&bob, "GetAccessKeyInfo", &[("AccessKeyId", root)]);
    assert_eq!(
        refused.error(),
        (
            "AccessDenied".to_owned(),
            "User: arn:aws:iam::111122223333:user/bob is not authorized to perform: \
             sts:GetAccessKeyInfo on resource: * because no identity-based policy allows the \
             sts:GetAccessKeyInfo action"
                .to_owned()
        )
    );
}

#[test]
fn what_sts_has_not_built_or_never_had_is_told_by_name() {
    let deployment = Deployment::new();
    let alice = deployment.user(LAB, "alice", &[]);
    let (built, not): (Vec<_>, Vec<_>) = identity::Service::sts_operations().partition(|(_, b)| *b);
    assert_eq!((built.len(), not.len()), (4, 7));
    for (name, _) in not {
        let (_, text) = deployment.sts(&alice, name, &[]).error();
        assert!(
            text.starts_with(&format!("{name} is not built yet")),
            "{text}"
        );
    }
    assert_eq!(
        deployment.sts(&alice, "Nothing", &[]).error().0,
        "InvalidAction"
    );
    let who = deployment.sts(&alice, "GetCallerIdentity", &[]);
    assert_eq!(who.one("Arn"), "arn:aws:iam::111122223333:user/alice");
    assert_eq!(
        (who.one("UserId"), who.one("Account")),
        ("AIDAALICE".into(), LAB.to_string())
    );
    let call = deployment.call(&alice);
    let (parts, ()) = http::Request::get("/?Action=GetCallerIdentity")
        .body(())
        .unwrap()
        .into_parts();
    // Which version of the API is meant must be said.
    let response = block_on(
        deployment
            .service
            .sts(&call, &parts, &Default::default(), "R"),
    );
    assert_eq!(response.status(), 400);
}
