//! An account's alias and its figures, and what there never is.

use aws::access::Owner;
use identity::entries;
use identity::model::Account;
use types::AccountId;

use crate::support::Api;

#[test]
fn an_account_has_one_alias_and_no_two_have_the_same() {
    let api = Api::new();
    let other: AccountId = "444455556666".parse().unwrap();
    let owner = Owner::new(other, "us-east-1");
    let aliases = || api.call("ListAccountAliases", &[]).ok().all("member");
    assert!(aliases().is_empty());
    api.call("CreateAccountAlias", &[("AccountAlias", "first")])
        .ok();
    assert_eq!(aliases(), ["first"]);
    let theirs = api.call_as(&owner, "CreateAccountAlias", &[("AccountAlias", "first")]);
    assert_eq!(theirs.error().1, "The account alias first already exists.");
    let own = api.refused("CreateAccountAlias", &[("AccountAlias", "first")]);
    assert_eq!(own.0, "EntityAlreadyExists");
    // A second one takes its place, and the first is free.
    api.call("CreateAccountAlias", &[("AccountAlias", "second")])
        .ok();
    assert_eq!(aliases(), ["second"]);
    api.call_as(&owner, "CreateAccountAlias", &[("AccountAlias", "first")])
        .ok();
    for alias in ["first", "third"] {
        let refused = api.refused("DeleteAccountAlias", &[("AccountAlias", alias)]);
        assert_eq!(refused.0, "NoSuchEntity");
        assert_eq!(
            refused.1,
            format!("The account alias {alias} cannot be found.")
        );
    }
    api.call("DeleteAccountAlias", &[("AccountAlias", "second")])
        .ok();
    assert!(aliases().is_empty());
    let view = api.memory.view_now();
    assert!(!view.entries.contains_key(&entries::alias_key("second")));
    let key = entries::account_key(other);
    let account: Account = view.read(&key).unwrap();
    assert_eq!(account.alias.as_deref(), Some("first"));
    for alias in ["ab", "-abc", "a--b", "ABC", "a.b", ""] {
        for operation in ["CreateAccountAlias", "DeleteAccountAlias"] {
            let refused = api.refused(operation, &[("AccountAlias", alias)]);
            assert_eq!(refused.0, "ValidationError", "{alias}");
        }
    }
}

#[test]
fn an_account_keeps_what_else_it_has_beside_its_alias() {
    let api = Api::new();
    let key = entries::account_key(AccountId::LAB);
    let policies = [("deny".to_owned(), "{}".into())];
    let account = Account {
        created: 7,
        service_control_policies: policies.into_iter().collect(),
        ..Account::default()
    };
    api.memory.change(|view| view.set(key.clone(), &account));
    api.call("CreateAccountAlias", &[("AccountAlias", "abc")])
        .ok();
    api.call("DeleteAccountAlias", &[("AccountAlias", "abc")])
        .ok();
    assert_eq!(api.memory.view_now().read(&key), Some(account));
}

#[test]
fn the_summary_counts_what_is_there() {
    let api = Api::new();
    let figure = |key: &str| -> usize {
        let summary = api.call("GetAccountSummary", &[]).ok();
        let (keys, values) = (summary.all("key"), summary.all("value"));
        let at = keys.iter().position(|found| found == key);
        values[at.unwrap_or_else(|| panic!("no {key}"))]
            .parse()
            .unwrap()
    };
    assert_eq!((figure("Users"), figure("Groups")), (0, 0));
    api.call("CreateUser", &[("UserName", "a")]).ok();
    api.call("CreateUser", &[("UserName", "b")]).ok();
    api.call("CreateGroup", &[("GroupName", "g")]).ok();
    assert_eq!((figure("Users"), figure("Groups")), (2, 1));
    assert_eq!(figure("UsersQuota"), 5_000);
    assert_eq!(figure("AccessKeysPerUserQuota"), 2);
}

#[test]
fn what_cannot_be_made_is_not_there() {
    let api = Api::new();
    api.call("CreateUser", &[("UserName", "Alice")]).ok();
    for operation in [
        "ListMFADevices",
        "ListVirtualMFADevices",
        "ListSSHPublicKeys",
        "ListServiceSpecificCredentials",
        "ListSigningCertificates",
        "ListServerCertificates",
        "ListSAMLProviders",
        "ListOpenIDConnectProviders",
    ] {
        for parameters in [&[][..], &[("UserName", "alice")]] {
            let listed = api.call(operation, parameters).ok();
            assert!(listed.all("member").is_empty(), "{operation}");
        }
    }
    for operation in ["GetLoginProfile", "DeleteLoginProfile"] {
        let refused = api.refused(operation, &[("UserName", "alice")]);
        assert_eq!(refused.0, "NoSuchEntity");
        assert_eq!(refused.1, "Login Profile for User Alice cannot be found.");
    }
    for operation in ["GetAccountPasswordPolicy", "DeleteAccountPasswordPolicy"] {
        let refused = api.refused(operation, &[]);
        assert_eq!(
            refused.1,
            "The Password Policy with domain name 111122223333 cannot be found."
        );
    }
}
