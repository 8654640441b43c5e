//! The operator's own wishes, carried out by a Region: accounts, keys and policies over accounts;
//! and what a Region does with secrets that it finds sealed otherwise, or not at all.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use council::{Change, Expected};
use identity::RootKeys;
use region::{OpenError, OperatorError, OperatorQuestion, OverAccount};
use serde_json::{Value, json};
use types::{AccountId, Span};

use crate::lab::{Key, Lab, Signed};
use crate::requests::{Ask, Place, every_row, form};

fn operate(lab: &Lab, question: &OperatorQuestion) -> Result<Value, OperatorError> {
    lab.drive(lab.region().operate(question))
}

fn key_of(answer: &Value) -> Key {
    let text = |member: &str| answer[member].as_str().unwrap().to_owned();
    Key::new(text("access_key_id"), text("secret_access_key"))
}

fn list_tables(lab: &Lab) -> Ask {
    let rows = every_row(&Place::prepare(lab)).into_iter();
    let mut found = rows.filter(|ask| ask.action == "dynamodb:ListTables");
    found.next().unwrap()
}

fn other() -> AccountId {
    "444455556666".parse().unwrap()
}

#[test]
fn accounts_are_made_with_a_root_that_is_limited_by_the_policies_over_them() {
    let lab = Lab::new();
    let list = list_tables(&lab);
    let account = Some(other());
    let make = OperatorQuestion::CreateAccount { account };
    let root = key_of(&operate(&lab, &make).unwrap());
    let who = form("sts", "GetCallerIdentity", &[]);
    let told = lab.send(&who, &Signed::By(&root));
    assert_eq!(told.element("Arn"), "arn:aws:iam::444455556666:root");
    assert_eq!(
        operate(&lab, &make),
        Err(OperatorError::AccountExists(other()))
    );
    let first = OperatorQuestion::CreateAccount {
        account: Some(AccountId::LAB),
    };
    let exists = OperatorError::AccountExists(AccountId::LAB);
    assert_eq!(operate(&lab, &first), Err(exists));
    let drawn = operate(&lab, &OperatorQuestion::CreateAccount { account: None }).unwrap();
    assert!(
        drawn["account"]
            .as_str()
            .unwrap()
            .parse::<AccountId>()
            .is_ok()
    );

    let code = || lab.send(&list, &Signed::By(&root)).code();
    assert_eq!(code(), "");
    let set = |name: &str, kind, statement: &str| {
        let question = OperatorQuestion::SetPolicy {
            account: other(),
            name: name.to_owned(),
            kind,
            document: format!(r#"{{"Version":"2012-10-17","Statement":{statement}}}"#),
        };
        operate(&lab, &question).map(drop)
    };
    let deny = r#"{"Effect":"Deny","Action":"dynamodb:*","Resource":"*"}"#;
    set("p", OverAccount::ServiceControl, deny).unwrap();
    assert_eq!(code(), "AccessDeniedException");
    let deny = r#"{"Effect":"Deny","Principal":"*","Action":"s3:*","Resource":"*"}"#;
    set("p", OverAccount::ResourceControl, deny).unwrap();
    let refused = set("q", OverAccount::ServiceControl, "1").unwrap_err();
    assert!(refused.is_wrong_use(), "{refused}");
    let remove = |kind| {
        let question = OperatorQuestion::RemovePolicy {
            account: other(),
            name: "p".to_owned(),
            kind,
        };
        operate(&lab, &question)
    };
    let which = OperatorError::WhichPolicy("p".to_owned());
    assert_eq!(remove(None), Err(which));
    remove(Some(OverAccount::ServiceControl)).unwrap();
    assert_eq!(code(), "");
    let left = operate(&lab, &OperatorQuestion::ListPolicies { account }).unwrap();
    assert_eq!(left[0]["kind"], "resource_control");
    assert_eq!(left.as_array().unwrap().len(), 1);
    remove(None).unwrap();
    assert!(matches!(
        remove(None),
        Err(OperatorError::NoSuchPolicy { .. })
    ));
}

#[test]
fn keys_are_made_listed_without_their_secrets_and_revoked() {
    let lab = Lab::new();
    let list = list_tables(&lab);
    let allow =
        r#"{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"*","Resource":"*"}}"#;
    let first = lab.user("alice", Some(allow));
    let make = |account, user: &str| {
        let user = user.to_owned();
        operate(&lab, &OperatorQuestion::CreateKey { account, user })
    };
    let second = key_of(&make(AccountId::LAB, "Alice").unwrap());
    for key in [&first, &second] {
        assert_eq!(lab.send(&list, &Signed::By(key)).code(), "");
    }
    let third = make(AccountId::LAB, "alice");
    assert!(matches!(third, Err(OperatorError::TooManyKeys { .. })));
    let nobody = make(AccountId::LAB, "bob");
    assert!(matches!(nobody, Err(OperatorError::NoSuchUser { .. })));
    assert_eq!(
        make(other(), "alice"),
        Err(OperatorError::NoSuchAccount(other()))
    );

    let (account, limit) = (None, 10);
    let listed = operate(&lab, &OperatorQuestion::List { account, limit }).unwrap();
    let keys = listed["users"][0]["keys"].as_array().unwrap();
    let ids: Vec<&str> = keys.iter().map(|key| key["id"].as_str().unwrap()).collect();
    assert_eq!(ids, [first.id.as_str(), second.id.as_str()]);
    let text = listed.to_string();
    assert!(!text.contains(&first.secret) && !text.contains(&second.secret));
    let root = listed["accounts"][0]["root_keys"][0].as_str().unwrap();

    let revoke = |key: &str| {
        let key = key.to_owned();
        operate(&lab, &OperatorQuestion::Revoke { key })
    };
    let revoked = revoke(&second.id).unwrap();
    assert_eq!(revoked["user"], "alice");
    let refused = lab.send(&list, &Signed::By(&second)).code();
    assert_eq!(refused, "UnrecognizedClientException");
    assert_eq!(lab.send(&list, &Signed::By(&first)).code(), "");
    let gone = OperatorError::NoSuchKey(second.id.clone());
    assert_eq!(revoke(&second.id), Err(gone));
    assert!(matches!(revoke(root), Err(OperatorError::RootKey { .. })));
    assert!(matches!(revoke("ASIAX"), Err(OperatorError::Session(_))));
}

#[test]
fn a_session_that_has_ended_is_told_so_in_each_service_s_form() {
    let lab = Lab::new();
    let list = list_tables(&lab);
    let allow =
        r#"{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"*","Resource":"*"}}"#;
    let alice = lab.user("alice", Some(allow));
    let ask = form("sts", "GetSessionToken", &[("DurationSeconds", "900")]);
    let given = lab.send(&ask, &Signed::By(&alice));
    let session = Key {
        token: Some(given.element("SessionToken")),
        ..Key::new(
            given.element("AccessKeyId"),
            given.element("SecretAccessKey"),
        )
    };
    let who = form("sts", "GetCallerIdentity", &[]);
    let codes = || [&list, &who].map(|ask| lab.send(ask, &Signed::By(&session)).code());
    assert_eq!(codes(), ["", ""]);
    lab.pass(Span::seconds(901));
    assert_eq!(codes(), ["ExpiredTokenException", "ExpiredToken"]);
    let bare = Key {
        token: None,
        ..session.clone()
    };
    let refused = lab.send(&who, &Signed::By(&bare)).code();
    assert_eq!(refused, "InvalidClientTokenId");
}

#[test]
fn a_session_outlives_its_key_until_a_policy_of_the_user_denies_what_is_older() {
    let lab = Lab::new();
    let list = list_tables(&lab);
    let allow =
        r#"{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"*","Resource":"*"}}"#;
    let alice = lab.user("alice", Some(allow));
    let given = lab.send(&form("sts", "GetSessionToken", &[]), &Signed::By(&alice));
    let session = Key {
        token: Some(given.element("SessionToken")),
        ..Key::new(
            given.element("AccessKeyId"),
            given.element("SecretAccessKey"),
        )
    };
    let key = alice.id.clone();
    operate(&lab, &OperatorQuestion::Revoke { key }).unwrap();
    let code = |key: &Key| lab.send(&list, &Signed::By(key)).code();
    assert_eq!(code(&alice), "UnrecognizedClientException");
    assert_eq!(code(&session), "");
    lab.allow(
        "alice",
        r#"{"Version":"2012-10-17","Statement":[
            {"Effect":"Allow","Action":"*","Resource":"*"},
            {"Effect":"Deny","Action":"*","Resource":"*","Condition":
                {"DateLessThan":{"aws:TokenIssueTime":"2999-01-01T00:00:00Z"}}}]}"#,
    );
    assert_eq!(code(&session), "AccessDeniedException");
    let user = "alice".to_owned();
    let account = AccountId::LAB;
    let made = operate(&lab, &OperatorQuestion::CreateKey { account, user }).unwrap();
    assert_eq!(
        code(&key_of(&made)),
        "",
        "no session: there is no such time"
    );
}

#[test]
fn root_keys_that_an_earlier_version_left_in_the_clear_are_sealed() {
    let lab = Lab::new();
    let setting = |lab: &Lab| {
        let settings = lab.region().council().settings();
        settings
            .get(&RootKeys::setting(AccountId::LAB))
            .unwrap()
            .value
            .clone()
    };
    assert!(
        !RootKeys::is_clear(&setting(&lab)),
        "they are offered sealed"
    );
    let root = identity::RootKey::generate(&zeroize::Zeroizing::new([5; 40]));
    let clear = RootKeys::new(root.clone()).encode().to_vec();
    let change = Change::new().put(RootKeys::setting(AccountId::LAB), Expected::Any, clear);
    lab.drive(lab.region().council().propose(change)).unwrap();

    let lab = Lab::on(lab.end(), 9).unwrap();
    // Whoever leads the council looks again every second.
    lab.pass(Span::seconds(2));
    assert!(!RootKeys::is_clear(&setting(&lab)));
    let root = Key::new(root.access_key_id(), root.secret().expose());
    let who = form("sts", "GetCallerIdentity", &[]);
    assert_eq!(lab.send(&who, &Signed::By(&root)).status, 200);
}

#[test]
fn a_region_does_not_open_with_another_operator_s_key() {
    let lab = Lab::new();
    let list = json!({ "identity": "list", "account": null, "limit": 1 });
    let list: OperatorQuestion = serde_json::from_value(list).unwrap();
    assert!(operate(&lab, &list).is_ok());
    let opened = Lab::on(lab.end(), 8);
    let error = opened.err().unwrap();
    assert!(matches!(error, OpenError::OperatorKey), "{error}");
    assert!(error.to_string().contains("another operator's key"));
}
