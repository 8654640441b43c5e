//! What the operator does: accounts, keys, limits, lists.

use identity::entries;
use identity::model::User;
use identity::{AdministrationError, ControlPolicy, Listed, Revocation, RootKey};
use types::{AccountId, ConfigurationError};

use crate::support::{Client, Deployment, account, allow, block_on, statement, trust};

const LAB: AccountId = AccountId::LAB;

fn client(key: &RootKey) -> Client {
    Client {
        id: key.access_key_id().to_owned(),
        secret: key.secret().expose().to_owned(),
        token: None,
    }
}

#[test]
fn a_new_account_has_a_root_whose_key_is_told_once_and_kept_sealed() {
    let deployment = Deployment::new();
    let number = account("444455556666");
    let service = &deployment.service;
    let (made, key) = block_on(service.create_account(Some(number))).unwrap();
    assert_eq!(made, number);
    let caller = deployment.caller(&client(&key)).unwrap();
    assert_eq!(caller.arn(), "arn:aws:iam::444455556666:root");
    for taken in [number, LAB] {
        let refused = block_on(service.create_account(Some(taken))).unwrap_err();
        assert_eq!(refused, AdministrationError::AccountExists(taken));
    }
    let secret = key.secret().expose().as_bytes();
    for (key, (_, value)) in &deployment.memory.now().entries {
        assert!(
            !value.windows(secret.len()).any(|bytes| bytes == secret),
            "{key}"
        );
    }
    let (drawn, _) = block_on(service.create_account(None)).unwrap();
    assert_ne!(drawn, number);
    *deployment.memory.failure.lock().unwrap() = Some(ConfigurationError::NoMajority);
    let refused = block_on(service.create_account(None)).unwrap_err();
    assert_eq!(refused.to_string(), "no majority of the sites is heard");
}

#[test]
fn a_user_s_key_is_made_deactivated_and_deleted() {
    let deployment = Deployment::new();
    deployment.user_with(LAB, "Alice", &[], |user| user.keys.clear());
    let service = &deployment.service;
    let make = || block_on(service.create_access_key(LAB, "alice"));
    let key = make().unwrap();
    assert!(deployment.caller(&client(&key)).is_ok());
    let second = make().unwrap();
    assert!(matches!(make(), Err(AdministrationError::TooManyKeys(_))));
    let revoke = |key: &RootKey, how| {
        deployment.identity();
        block_on(service.revoke_access_key(key.access_key_id(), how))
    };
    revoke(&key, Revocation::Deactivate).unwrap();
    revoke(&key, Revocation::Deactivate).unwrap();
    assert!(deployment.caller(&client(&key)).is_err());
    assert!(deployment.caller(&client(&second)).is_ok());
    revoke(&key, Revocation::Delete).unwrap();
    revoke(&second, Revocation::Delete).unwrap();
    assert!(deployment.caller(&client(&second)).is_err());
    let (_, user) = entries::read::<User>(&*deployment.memory.now(), LAB, "alice")
        .unwrap()
        .unwrap();
    assert!(user.keys.is_empty());
    let gone = revoke(&key, Revocation::Delete).unwrap_err();
    assert!(matches!(gone, AdministrationError::NoSuchKey(_)));
    let root = revoke(&deployment.root, Revocation::Delete).unwrap_err();
    assert!(matches!(root, AdministrationError::RootKey(_)));
    let nobody = block_on(service.create_access_key(LAB, "nobody")).unwrap_err();
    assert_eq!(
        nobody.to_string(),
        "account 111122223333 has no user 'nobody'"
    );
}

#[test]
fn limits_of_an_organisation_are_set_and_removed() {
    let deployment = Deployment::new();
    let alice = deployment.user(LAB, "alice", &[&allow("*")]);
    let service = &deployment.service;
    let set = |kind, name: &str, document: Option<&str>| {
        deployment.identity();
        block_on(service.set_control_policy(LAB, kind, name, document))
    };
    let only = allow("s3:*");
    set(ControlPolicy::Service, "OnlyS3", Some(&only)).unwrap();
    assert_eq!(deployment.may(&alice, "s3:GetObject", "*"), Ok(()));
    assert!(deployment.may(&alice, "sqs:SendMessage", "*").is_err());
    set(ControlPolicy::Service, "OnlyS3", None).unwrap();
    assert_eq!(deployment.may(&alice, "sqs:SendMessage", "*"), Ok(()));
    let rcp = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Deny","Principal":"*",
        "Action":"s3:*","Resource":"*"}]}"#;
    set(ControlPolicy::Resource, "NoS3", Some(rcp)).unwrap();
    assert!(deployment.may(&alice, "s3:GetObject", "*").is_err());
    let wrong = [
        (ControlPolicy::Service, "a", Some(rcp)),
        (ControlPolicy::Resource, "a", Some(only.as_str())),
        (ControlPolicy::Service, "a", Some("{")),
        (ControlPolicy::Service, "", Some(only.as_str())),
        (ControlPolicy::Service, "a b", Some(only.as_str())),
        (ControlPolicy::Service, "missing", None),
    ];
    for (kind, name, document) in wrong {
        assert!(set(kind, name, document).is_err(), "{name} {document:?}");
    }
    let long = format!("{only}{}", " ".repeat(5_120));
    assert!(set(ControlPolicy::Service, "a", Some(&long)).is_err());
    for number in 0..5 {
        let deny = statement("Deny", "ec2:*", "*");
        set(ControlPolicy::Service, &format!("p{number}"), Some(&deny)).unwrap();
    }
    let full = set(ControlPolicy::Service, "p5", Some(&only)).unwrap_err();
    assert_eq!(full, AdministrationError::TooManyPolicies(LAB));
    let other = account("444455556666");
    let set = service.set_control_policy(other, ControlPolicy::Service, "a", Some(&only));
    assert_eq!(
        block_on(set),
        Err(AdministrationError::NoSuchAccount(other))
    );
}

#[test]
fn everybody_is_listed_page_by_page_without_a_secret() {
    let deployment = Deployment::new();
    let other = account("444455556666");
    block_on(deployment.service.create_account(Some(other))).unwrap();
    let alice = deployment.user(LAB, "alice", &[]);
    deployment.user(other, "bob", &[]);
    deployment.role(LAB, "Admin", &trust("*", "{}"), &[]);
    let broken = entries::key::<User>(LAB, "carol");
    deployment.memory.put(&broken, Some(vec![9].into()));
    deployment.identity();
    let list = |account, after: Option<&str>, most| deployment.service.list(account, after, most);
    let whole = list(None, None, 1_000);
    assert_eq!((whole.listed.len(), &whole.next), (8, &None));
    for most in 1..8 {
        let (mut listed, mut after, mut pages) = (Vec::new(), None, 0);
        loop {
            let page = list(None, after.as_deref(), most);
            assert!(page.listed.len() <= most);
            listed.extend(page.listed);
            pages += 1;
            after = page.next;
            if after.is_none() {
                break;
            }
        }
        assert_eq!(listed, whole.listed, "{most}");
        assert_eq!(pages, 8usize.div_ceil(most), "{most}");
    }
    let of_other = list(Some(other), None, 1_000).listed;
    assert_eq!(of_other.len(), 4);
    let first = &whole.listed[0];
    let Listed::Account {
        account, root_keys, ..
    } = first
    else {
        panic!("{first:?}");
    };
    assert_eq!(*account, LAB);
    assert_eq!(root_keys, &[deployment.root.access_key_id()]);
    let json = serde_json::to_string(&whole).unwrap();
    assert!(json.contains(r#"{"kind":"accessKey","id":"#), "{json}");
    assert!(json.contains(r#"{"kind":"unreadable","key":"identity/user/111122223333/carol""#));
    assert!(!json.contains("sealed") && !json.contains(&alice.secret));
}
