//! Two Regions that change the same things at the same time, and a configuration that can't be
//! changed.

use identity::entries;
use identity::model::{AccessKey, User};
use types::{AccountId, ConfigurationError};

use crate::support::{Api, Somebody};

/// Two Regions with users alice and bob, and the group g.
fn regions() -> (Api, Api) {
    let here = Api::new();
    for name in ["alice", "bob"] {
        here.call("CreateUser", &[("UserName", name)]).ok();
    }
    here.call("CreateGroup", &[("GroupName", "g")]).ok();
    let there = here.elsewhere();
    (here, there)
}

/// `there` does that after `here` has read and before it proposes.
fn meanwhile(
    here: &Api,
    there: Api,
    operation: &'static str,
    parameters: &'static [(&'static str, &'static str)],
) {
    here.memory.interfere_through(move |memory| {
        let there = there.on(memory);
        there.call(operation, parameters).ok();
        there.memory.view_now()
    });
}

#[test]
fn a_name_that_was_taken_meanwhile_is_taken() {
    let (here, there) = regions();
    meanwhile(&here, there, "CreateUser", &[("UserName", "Carol")]);
    let refused = here.call("CreateUser", &[("UserName", "carol")]).error();
    assert_eq!(refused.1, "User with name carol already exists.");
    let read = here.call("GetUser", &[("UserName", "carol")]).ok();
    assert_eq!(read.one("UserName"), "Carol");
}

#[test]
fn two_changes_of_one_user_are_both_made() {
    let (here, there) = regions();
    let tag = &[
        ("UserName", "alice"),
        ("Tags.member.1.Key", "there"),
        ("Tags.member.1.Value", "1"),
    ];
    meanwhile(&here, there, "TagUser", tag);
    let mine = [
        ("UserName", "alice"),
        ("Tags.member.1.Key", "here"),
        ("Tags.member.1.Value", "2"),
    ];
    here.call("TagUser", &mine).ok();
    let tags = here.call("ListUserTags", &[("UserName", "alice")]).ok();
    assert_eq!(tags.all("Key"), ["here", "there"]);
}

#[test]
fn a_group_deleted_meanwhile_gets_no_users() {
    let (here, there) = regions();
    meanwhile(&here, there, "DeleteGroup", &[("GroupName", "g")]);
    let join = [("UserName", "alice"), ("GroupName", "g")];
    let refused = here.call("AddUserToGroup", &join).error();
    assert_eq!(refused.1, "The group with name g cannot be found.");
    let groups = here.call("ListGroupsForUser", &[("UserName", "alice")]);
    assert!(groups.ok().all("GroupName").is_empty());
}

#[test]
fn a_group_that_got_users_meanwhile_is_not_deleted_nor_renamed_without_them() {
    const JOIN: &[(&str, &str)] = &[("UserName", "alice"), ("GroupName", "g")];
    let (here, there) = regions();
    meanwhile(&here, there, "AddUserToGroup", JOIN);
    let refused = here.call("DeleteGroup", &[("GroupName", "g")]).error();
    assert_eq!(refused.0, "DeleteConflict");
    let (here, there) = regions();
    meanwhile(&here, there, "AddUserToGroup", JOIN);
    let rename = [("GroupName", "g"), ("NewGroupName", "h")];
    here.call("UpdateGroup", &rename).ok();
    let renamed = here.call("GetGroup", &[("GroupName", "h")]).ok();
    assert_eq!(renamed.all("UserName"), ["alice"]);
}

#[test]
fn a_user_that_got_a_key_meanwhile_is_not_deleted_nor_renamed_without_it() {
    let (here, there) = regions();
    meanwhile(&here, there, "CreateAccessKey", &[("UserName", "alice")]);
    let refused = here.call("DeleteUser", &[("UserName", "alice")]).error();
    assert_eq!(refused.0, "DeleteConflict");
    let (here, there) = regions();
    meanwhile(&here, there, "CreateAccessKey", &[("UserName", "alice")]);
    let rename = [("UserName", "alice"), ("NewUserName", "carol")];
    here.call("UpdateUser", &rename).ok();
    let view = here.memory.view_now();
    let key = entries::key::<User>(AccountId::LAB, "carol");
    let carol: User = view.read(&key).unwrap();
    assert_eq!(carol.keys.len(), 1);
    let key: AccessKey = view.read(&entries::access_key_key(&carol.keys[0])).unwrap();
    assert_eq!(key.user, "carol");
}

#[test]
fn a_key_switched_off_while_its_user_is_renamed_stays_off() {
    let (here, there) = regions();
    let key = here.call("CreateAccessKey", &[("UserName", "alice")]).ok();
    let id: &'static str = key.one("AccessKeyId").leak();
    let off: &'static [(&str, &str)] = vec![
        ("UserName", "alice"),
        ("AccessKeyId", id),
        ("Status", "Inactive"),
    ]
    .leak();
    meanwhile(&here, there, "UpdateAccessKey", off);
    let rename = [("UserName", "alice"), ("NewUserName", "carol")];
    here.call("UpdateUser", &rename).ok();
    let key = here.memory.view_now().get_key(id).unwrap();
    assert!(!key.active);
    assert_eq!(key.user, "carol");
}

#[test]
fn the_limit_of_keys_holds_between_regions() {
    let (here, there) = regions();
    here.call("CreateAccessKey", &[("UserName", "alice")]).ok();
    meanwhile(&here, there, "CreateAccessKey", &[("UserName", "alice")]);
    let refused = here.call("CreateAccessKey", &[("UserName", "alice")]);
    assert_eq!(refused.error().0, "LimitExceeded");
}

#[test]
fn an_alias_taken_meanwhile_is_taken() {
    let (here, there) = regions();
    meanwhile(
        &here,
        there,
        "CreateAccountAlias",
        &[("AccountAlias", "abc")],
    );
    let refused = here.call("CreateAccountAlias", &[("AccountAlias", "abc")]);
    assert_eq!(refused.error().0, "EntityAlreadyExists");
}

#[test]
fn a_policy_deleted_meanwhile_bounds_nobody() {
    const ARN: &str = "arn:aws:iam::111122223333:policy/p";
    let (here, there) = regions();
    let document = r#"{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"*",
        "Resource":"*"}}"#;
    let policy = [("PolicyName", "p"), ("PolicyDocument", document)];
    here.call("CreatePolicy", &policy).ok();
    meanwhile(&here, there, "DeletePolicy", &[("PolicyArn", ARN)]);
    let bounded = [("UserName", "carol"), ("PermissionsBoundary", ARN)];
    let refused = here.call("CreateUser", &bounded).error();
    assert_eq!(refused.0, "NoSuchEntity");
    assert_eq!(here.call("GetUser", &[("UserName", "carol")]).status, 404);
}

#[test]
fn a_caller_is_judged_on_what_is_there_when_it_is_done() {
    let (here, there) = regions();
    let alice_at = |path: &str| format!("iam:DeleteUser arn:aws:iam::111122223333:user{path}alice");
    let admin = Somebody::user("/admin").but_not(&alice_at("/protected/"));
    let protect = &[("UserName", "alice"), ("NewPath", "/protected/")];
    meanwhile(&here, there, "UpdateUser", protect);
    let refused = here.call_as(&admin, "DeleteUser", &[("UserName", "alice")]);
    assert_eq!(refused.status, 403);
    here.call("GetUser", &[("UserName", "alice")]).ok();
}

#[test]
fn others_who_always_come_first_end_in_a_conflict() {
    let (here, _) = regions();
    let key = entries::key::<User>(AccountId::LAB, "alice");
    for round in 0..20 {
        let key = key.clone();
        here.memory.interfere(move |view| {
            let mut user: User = view.read(&key).unwrap();
            user.tags.insert("round".to_owned(), round.to_string());
            view.set(key, &user);
        });
    }
    let update = [("UserName", "alice"), ("NewPath", "/x/")];
    let refused = here.call("UpdateUser", &update);
    assert_eq!(refused.status, 409);
    assert_eq!(refused.error().0, "ConcurrentModification");
}

#[test]
fn a_configuration_that_cannot_be_changed_is_read_all_the_same() {
    let (here, _) = regions();
    for (error, code, status) in [
        (ConfigurationError::NoMajority, "Throttling", 400),
        (ConfigurationError::TimedOut, "Throttling", 400),
        (ConfigurationError::Full, "LimitExceeded", 409),
        (ConfigurationError::Stopped, "ServiceUnavailable", 503),
    ] {
        here.memory.fail(Some(error));
        let refused = here.call("CreateUser", &[("UserName", "carol")]);
        assert_eq!(refused.status, status);
        assert_eq!(refused.error().0, code);
        let users = here.call("ListUsers", &[]).ok();
        assert_eq!(users.all("UserName"), ["alice", "bob"]);
    }
}

#[test]
fn what_cannot_be_read_is_said_and_not_overwritten() {
    let (here, _) = regions();
    let key = entries::key::<User>(AccountId::LAB, "alice");
    here.memory.change(|view| {
        let newer = bytes::Bytes::from_static(b"\x02{}");
        view.entries.insert(key, (99, newer));
    });
    for operation in ["GetUser", "DeleteUser", "CreateAccessKey", "UpdateUser"] {
        let refused = here.refused(operation, &[("UserName", "alice"), ("NewPath", "/x/")]);
        assert_eq!(refused.0, "ServiceFailure", "{operation}");
        assert!(refused.1.contains("newer version"), "{}", refused.1);
    }
    let refused = here.refused("CreateUser", &[("UserName", "alice")]);
    assert_eq!(refused.0, "EntityAlreadyExists");
}
