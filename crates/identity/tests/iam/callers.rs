//! Callers whose requests are signed with keys that the API made, judged by their policies: what
//! a key made in one Region is in the next, and what it is no more.

use std::sync::Arc;

use aws::signature::{
    Credentials, Expected, Rules, SecretKey, SignatureError, Target, Verified, Verifier, sign,
};
use identity::model::User;
use identity::{Call, Caller, RequestContext, Sealer, entries};
use types::{AccountId, Timestamp};
use zeroize::Zeroizing;

use crate::support::{Api, START, identity_of};

const NOW: Timestamp = Timestamp(START);

/// A key as the API told it.
struct Key {
    id: String,
    secret: SecretKey,
}

fn create_key(api: &Api, user: &str) -> Key {
    let created = api.call("CreateAccessKey", &[("UserName", user)]).ok();
    Key {
        id: created.one("AccessKeyId"),
        secret: SecretKey::new(created.one("SecretAccessKey")),
    }
}

/// Signs a request with the key, and has it verified by the configuration as it is now.
fn verify(api: &Api, key: &Key) -> Result<Verified, SignatureError> {
    let region = "us-east-1".parse().unwrap();
    let (service, rules) = ("iam", Rules::QUERY);
    let request = http::Request::post("http://127.0.0.1:4566/").body(());
    let (mut parts, ()) = request.unwrap().into_parts();
    let credentials = Credentials {
        access_key_id: &key.id,
        secret: &key.secret,
        session_token: None,
    };
    let target = Target {
        service,
        region,
        rules,
    };
    sign(&mut parts, b"Action=GetUser", &credentials, &target, NOW).unwrap();
    let expected = Expected {
        service,
        regions: &[region],
        rules,
    };
    let identity = identity(api);
    Verifier::new().verify(
        &parts,
        b"Action=GetUser",
        &expected,
        NOW,
        &identity.keys(NOW),
    )
}

fn identity(api: &Api) -> Arc<identity::Identity> {
    let sealer = Arc::new(Sealer::new(&Zeroizing::new([9; 32])));
    Arc::new(identity_of(&api.memory, &sealer))
}

fn caller(api: &Api, key: &Key) -> Caller {
    let verified = verify(api, key).unwrap();
    identity(api).caller(&verified, NOW).unwrap()
}

/// The request of whoever has that key.
fn call(api: &Api, key: &Key) -> Call {
    let context = RequestContext {
        source_ip: None,
        secure_transport: false,
        user_agent: None,
        referer: None,
        region: "us-east-1".to_owned(),
        now: NOW,
    };
    Call::new(identity(api), caller(api, key), context)
}

fn give_policy(api: &Api, user: &str, document: &str) {
    let key = entries::key::<User>(AccountId::LAB, user);
    api.memory.change(|view| {
        let mut user: User = view.read(&key).unwrap();
        let inline = &mut user.policies.inline;
        inline.insert("p".to_owned(), document.into());
        view.set(key, &user);
    });
}

#[test]
fn a_key_is_its_user_s_until_it_is_switched_off_or_deleted() {
    let api = Api::new();
    api.call("CreateUser", &[("UserName", "Alice"), ("Path", "/p/")])
        .ok();
    let key = create_key(&api, "alice");
    let elsewhere = api.elsewhere();
    let alice = caller(&elsewhere, &key);
    assert_eq!(alice.arn(), "arn:aws:iam::111122223333:user/p/Alice");
    let rename = [
        ("UserName", "alice"),
        ("NewUserName", "Carol"),
        ("NewPath", "/q/"),
    ];
    api.call("UpdateUser", &rename).ok();
    let carol = caller(&elsewhere, &key);
    assert_eq!(carol.arn(), "arn:aws:iam::111122223333:user/q/Carol");
    assert_eq!(carol.user_id(), alice.user_id());
    let set = |status: &str| {
        let parameters = [
            ("UserName", "carol"),
            ("AccessKeyId", &*key.id),
            ("Status", status),
        ];
        api.call("UpdateAccessKey", &parameters).ok();
    };
    set("Inactive");
    assert!(verify(&elsewhere, &key).is_err());
    set("Active");
    assert!(verify(&elsewhere, &key).is_ok());
    let delete = [("UserName", "carol"), ("AccessKeyId", &*key.id)];
    api.call("DeleteAccessKey", &delete).ok();
    assert!(verify(&elsewhere, &key).is_err());
}

#[test]
fn whoever_has_no_policy_may_do_nothing() {
    let api = Api::new();
    api.call("CreateUser", &[("UserName", "alice")]).ok();
    let key = create_key(&api, "alice");
    let refused = api.call_as(&call(&api, &key), "ListUsers", &[]);
    assert_eq!(refused.status, 403);
    assert_eq!(
        refused.error(),
        (
            "AccessDenied".to_owned(),
            "User: arn:aws:iam::111122223333:user/alice is not authorized to perform: \
             iam:ListUsers on resource: arn:aws:iam::111122223333:user/ because no \
             identity-based policy allows the iam:ListUsers action"
                .to_owned()
        )
    );
}

#[test]
fn a_user_who_may_manage_its_own_keys_may_manage_no_others() {
    let api = Api::new();
    for name in ["alice", "bob"] {
        api.call("CreateUser", &[("UserName", name)]).ok();
    }
    let key = create_key(&api, "alice");
    give_policy(
        &api,
        "alice",
        r#"{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"iam:*AccessKey*",
            "Resource":"arn:aws:iam::*:user/${aws:username}"}}"#,
    );
    let alice = call(&api, &key);
    for parameters in [&[][..], &[("UserName", "alice")], &[("UserName", "ALICE")]] {
        let listed = api.call_as(&alice, "ListAccessKeys", parameters).ok();
        assert_eq!(listed.one("AccessKeyId"), key.id);
    }
    let used = [("AccessKeyId", &*key.id)];
    api.call_as(&alice, "GetAccessKeyLastUsed", &used).ok();
    for operation in ["ListAccessKeys", "CreateAccessKey"] {
        let refused = api.call_as(&alice, operation, &[("UserName", "bob")]);
        assert_eq!(refused.status, 403, "{operation}");
    }
    api.call_as(&alice, "CreateAccessKey", &[]).ok();
}

#[test]
fn tags_of_the_resource_and_of_the_request_decide() {
    let api = Api::new();
    api.call("CreateUser", &[("UserName", "alice")]).ok();
    let key = create_key(&api, "alice");
    give_policy(
        &api,
        "alice",
        r#"{"Version":"2012-10-17","Statement":[
            {"Effect":"Allow","Action":"iam:*","Resource":"*",
             "Condition":{"StringEquals":{"iam:ResourceTag/team":"a"}}},
            {"Effect":"Allow","Action":["iam:CreateUser","iam:TagUser"],"Resource":"*",
             "Condition":{"StringEquals":{"aws:RequestTag/team":"a"},
                          "ForAllValues:StringEquals":{"aws:TagKeys":["team"]}}}]}"#,
    );
    let alice = call(&api, &key);
    let create = |name: &str, tags: &[(&str, &str)]| {
        let parameters = [&[("UserName", name)], tags].concat();
        api.call_as(&alice, "CreateUser", &parameters)
    };
    const TEAM: [(&str, &str); 2] = [("Tags.member.1.Key", "team"), ("Tags.member.1.Value", "a")];
    assert_eq!(create("none", &[]).status, 403);
    let mut other = TEAM;
    other[1].1 = "b";
    assert_eq!(create("other", &other).status, 403);
    let and_more = [
        TEAM.as_slice(),
        &[("Tags.member.2.Key", "x"), ("Tags.member.2.Value", "y")],
    ]
    .concat();
    assert_eq!(create("more", &and_more).status, 403);
    create("bob", &TEAM).ok();
    api.call_as(&alice, "GetUser", &[("UserName", "bob")]).ok();
    let refused = api.call_as(&alice, "GetUser", &[("UserName", "alice")]);
    assert_eq!(refused.status, 403);
    api.call_as(&alice, "DeleteUser", &[("UserName", "bob")])
        .ok();
}
