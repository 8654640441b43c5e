//! Users: made, read, listed, renamed, deleted, tagged; and what is refused.

use aws::access::Owner;
use identity::entries;
use identity::model::{Group, User};
use types::AccountId;

use crate::support::{Api, Somebody};

fn lab() -> AccountId {
    AccountId::LAB
}

#[test]
fn a_user_is_made_and_read_with_all_that_it_has() {
    let api = Api::new();
    let parameters = [
        ("UserName", "Alice"),
        ("Path", "/division/team/"),
        ("Tags.member.1.Key", "Team"),
        ("Tags.member.1.Value", "a + b"),
        ("Tags.member.2.Key", "empty"),
        ("Tags.member.2.Value", ""),
    ];
    let created = api.call("CreateUser", &parameters).ok();
    assert_eq!(created.one("UserName"), "Alice");
    assert_eq!(
        created.one("Arn"),
        "arn:aws:iam::111122223333:user/division/team/Alice"
    );
    let id = created.one("UserId");
    assert!(id.starts_with("AIDA") && id.len() == 21, "{id}");
    assert_eq!(created.one("CreateDate"), "2026-11-18T11:06:40Z");
    let read = api.call("GetUser", &[("UserName", "aLICE")]).ok();
    assert_eq!(read.one("UserName"), "Alice");
    assert_eq!(read.one("UserId"), id);
    assert_eq!(read.all("Key"), ["Team", "empty"]);
    assert_eq!(read.all("Value"), ["a + b", ""]);
    let listed = api.call("ListUsers", &[]).ok();
    assert_eq!(listed.all("UserId"), [id]);
    assert!(listed.all("Key").is_empty());
    assert_eq!(listed.one("IsTruncated"), "false");
}

#[test]
fn names_are_one_whatever_their_case() {
    let api = Api::new();
    api.call("CreateUser", &[("UserName", "Alice")]).ok();
    let refused = api.refused("CreateUser", &[("UserName", "ALICE")]);
    assert_eq!(refused.0, "EntityAlreadyExists");
    assert_eq!(refused.1, "User with name ALICE already exists.");
    let refused = api.call("CreateUser", &[("UserName", "ALICE")]);
    assert_eq!(refused.status, 409);
}

#[test]
fn what_is_not_there_cannot_be_found() {
    let api = Api::new();
    for operation in [
        "GetUser",
        "UpdateUser",
        "DeleteUser",
        "ListUserTags",
        "ListGroupsForUser",
        "CreateAccessKey",
        "ListAccessKeys",
        "GetLoginProfile",
        "ListMFADevices",
        "ListSSHPublicKeys",
        "ListSigningCertificates",
        "ListServiceSpecificCredentials",
    ] {
        let refused = api.refused(operation, &[("UserName", "bob")]);
        assert_eq!(refused.0, "NoSuchEntity", "{operation}");
        let text = "The user with name bob cannot be found.";
        assert_eq!(refused.1, text, "{operation}");
        assert_eq!(api.call(operation, &[("UserName", "bob")]).status, 404);
    }
}

#[test]
fn what_breaks_a_pattern_or_a_length_is_refused() {
    let api = Api::new();
    let long = "x".repeat(65);
    let long_path = format!("/{}/", "x".repeat(511));
    let pattern = "It must contain only alphanumeric characters and/or the following: +=,.@_-";
    for (parameters, text) in [
        (vec![], "Value null at 'userName' failed"),
        (vec![("UserName", "")], "length greater than or equal to 1"),
        (
            vec![("UserName", &*long)],
            "length less than or equal to 64",
        ),
        (vec![("UserName", "a/b")], pattern),
        (vec![("UserName", "*")], pattern),
        (
            vec![("UserName", "a"), ("Path", "x")],
            "The specified value for path is invalid.",
        ),
        (
            vec![("UserName", "a"), ("Path", &*long_path)],
            "length less than or equal to 512",
        ),
        (
            vec![("UserName", "a"), ("PermissionsBoundary", "arn:short")],
            "length greater than or equal to 20",
        ),
    ] {
        let refused = api.refused("CreateUser", &parameters);
        assert_eq!(refused.0, "ValidationError", "{parameters:?}");
        assert!(refused.1.contains(text), "{}", refused.1);
    }
    let refused = api.refused("UpdateUser", &[("UserName", "a"), ("NewUserName", "a b")]);
    assert!(
        refused
            .1
            .starts_with("The specified value for newUserName is invalid.")
    );
}

#[test]
fn a_boundary_must_be_a_policy_that_is_there() {
    let api = Api::new();
    let create = |arn: &str| {
        api.call(
            "CreateUser",
            &[("UserName", "alice"), ("PermissionsBoundary", arn)],
        )
    };
    let none = "arn:aws:iam::111122223333:policy/none";
    let refused = create(none).error();
    assert_eq!(refused.0, "NoSuchEntity");
    assert!(refused.1.contains(none), "{}", refused.1);
    let of_aws = "arn:aws:iam::aws:policy/AdministratorAccess";
    let created = create(of_aws).ok();
    assert_eq!(created.one("PermissionsBoundaryArn"), of_aws);
    assert_eq!(created.one("PermissionsBoundaryType"), "Policy");
}

#[test]
fn users_come_in_pages_by_name_and_path() {
    let api = Api::new();
    for (name, path) in [
        ("b", "/"),
        ("A", "/x/"),
        ("d", "/x/y/"),
        ("C", "/xy/"),
        ("e", "/x/"),
    ] {
        api.call("CreateUser", &[("UserName", name), ("Path", path)])
            .ok();
    }
    let all = api.call("ListUsers", &[]).ok();
    assert_eq!(all.all("UserName"), ["A", "b", "C", "d", "e"]);
    let at = api.call("ListUsers", &[("PathPrefix", "/x/")]).ok();
    assert_eq!(at.all("UserName"), ["A", "d", "e"]);
    let first = api
        .call("ListUsers", &[("PathPrefix", "/x/"), ("MaxItems", "2")])
        .ok();
    assert_eq!(first.all("UserName"), ["A", "d"]);
    assert_eq!(first.one("IsTruncated"), "true");
    let marker = first.one("Marker");
    // What the marker stands for may go meanwhile.
    api.call("DeleteUser", &[("UserName", "d")]).ok();
    let second = api
        .call("ListUsers", &[("PathPrefix", "/x/"), ("Marker", &marker)])
        .ok();
    assert_eq!(second.all("UserName"), ["e"]);
    assert_eq!(second.one("IsTruncated"), "false");
    assert!(second.all("Marker").is_empty());
    for (name, value) in [
        ("MaxItems", "0"),
        ("MaxItems", "1001"),
        ("MaxItems", "-1"),
        ("MaxItems", "x"),
        ("MaxItems", ""),
        ("MaxItems", "99999999999999999999"),
        ("Marker", "rubbish"),
        ("Marker", ""),
        ("PathPrefix", "x"),
    ] {
        let refused = api.refused("ListUsers", &[(name, value)]);
        assert_eq!(refused.0, "ValidationError", "{name}={value}");
    }
    let refused = api.refused("ListGroups", &[("Marker", &marker)]);
    assert_eq!(refused.0, "ValidationError");
}

#[test]
fn a_new_name_takes_everything_with_it() {
    let api = Api::new();
    api.call("CreateUser", &[("UserName", "alice")]).ok();
    api.call("CreateUser", &[("UserName", "bob")]).ok();
    api.call("CreateGroup", &[("GroupName", "g")]).ok();
    api.call(
        "AddUserToGroup",
        &[("UserName", "alice"), ("GroupName", "g")],
    )
    .ok();
    let key = api.call("CreateAccessKey", &[("UserName", "alice")]).ok();
    let key = key.one("AccessKeyId");
    let id = api.call("GetUser", &[("UserName", "alice")]).one("UserId");
    let rename = |parameters: &[(&str, &str)]| api.call("UpdateUser", parameters);
    let taken = rename(&[("UserName", "alice"), ("NewUserName", "BOB")]).error();
    assert_eq!(taken.1, "User with name BOB already exists.");
    let parameters = [
        ("UserName", "alice"),
        ("NewUserName", "Carol"),
        ("NewPath", "/new/"),
    ];
    let proposals = || {
        api.memory
            .proposals
            .load(std::sync::atomic::Ordering::Relaxed)
    };
    let before = proposals();
    rename(&parameters).ok();
    assert_eq!(
        proposals(),
        before + 1,
        "one change, or a half of it could be seen"
    );
    assert_eq!(api.call("GetUser", &[("UserName", "alice")]).status, 404);
    let carol = api.call("GetUser", &[("UserName", "carol")]).ok();
    assert_eq!(carol.one("UserId"), id);
    assert_eq!(carol.one("Arn"), "arn:aws:iam::111122223333:user/new/Carol");
    let last_used = api.call("GetAccessKeyLastUsed", &[("AccessKeyId", &key)]);
    assert_eq!(last_used.ok().one("UserName"), "Carol");
    let in_group = api.call("GetGroup", &[("GroupName", "g")]).ok();
    assert_eq!(in_group.all("UserName"), ["Carol"]);
    // Another case of the same name is the same user.
    rename(&[("UserName", "carol"), ("NewUserName", "CAROL")]).ok();
    let carol = api.call("GetUser", &[("UserName", "carol")]).ok();
    assert_eq!(carol.one("UserName"), "CAROL");
    let before = proposals();
    rename(&[("UserName", "carol"), ("NewUserName", "CAROL")]).ok();
    assert_eq!(proposals(), before, "nothing was to change");
}

#[test]
fn a_user_that_has_anything_is_not_deleted() {
    let api = Api::new();
    api.call("CreateUser", &[("UserName", "alice")]).ok();
    let conflict = || {
        let refused = api.refused("DeleteUser", &[("UserName", "alice")]);
        assert_eq!(refused.0, "DeleteConflict");
        refused.1
    };
    let key = entries::key::<User>(lab(), "alice");
    let change = |with: fn(&mut User)| {
        api.memory.change(|view| {
            let mut user: User = view.read(&key).unwrap();
            with(&mut user);
            view.set(key.clone(), &user);
        });
    };
    api.call("CreateGroup", &[("GroupName", "g")]).ok();
    let member = [("UserName", "alice"), ("GroupName", "g")];
    api.call("AddUserToGroup", &member).ok();
    assert_eq!(
        conflict(),
        "Cannot delete entity, must remove users from group first."
    );
    let created = api.call("CreateAccessKey", &[("UserName", "alice")]).ok();
    assert_eq!(
        conflict(),
        "Cannot delete entity, must delete access keys first."
    );
    change(|user| {
        user.policies.inline.insert("p".to_owned(), "{}".into());
    });
    assert_eq!(
        conflict(),
        "Cannot delete entity, must delete policies first."
    );
    change(|user| user.policies.attached.push("arn:x".to_owned()));
    assert_eq!(
        conflict(),
        "Cannot delete entity, must detach all policies first."
    );
    change(|user| user.policies = Default::default());
    let id = created.one("AccessKeyId");
    api.call(
        "DeleteAccessKey",
        &[("UserName", "alice"), ("AccessKeyId", &id)],
    )
    .ok();
    api.call("RemoveUserFromGroup", &member).ok();
    api.call("DeleteUser", &[("UserName", "ALICE")]).ok();
    assert_eq!(api.memory.view_now().read::<User>(&key), None);
}

#[test]
fn tags_are_set_taken_away_and_listed_in_pages() {
    let api = Api::new();
    api.call("CreateUser", &[("UserName", "alice")]).ok();
    let tag = |key: &str, value: &str| {
        api.call(
            "TagUser",
            &[
                ("UserName", "alice"),
                ("Tags.member.1.Key", key),
                ("Tags.member.1.Value", value),
            ],
        )
    };
    for (key, value) in [("b", "1"), ("a", "2"), ("B", "3")] {
        tag(key, value).ok();
    }
    let list = |parameters: &[(&str, &str)]| {
        let parameters = [&[("UserName", "alice")], parameters].concat();
        api.call("ListUserTags", &parameters).ok()
    };
    assert_eq!(list(&[]).all("Key"), ["B", "a"]);
    assert_eq!(list(&[]).all("Value"), ["3", "2"]);
    let first = list(&[("MaxItems", "1")]);
    assert_eq!(first.all("Key"), ["B"]);
    let next = list(&[("Marker", &first.one("Marker"))]);
    assert_eq!(next.all("Key"), ["a"]);
    let untag = [
        ("UserName", "alice"),
        ("TagKeys.member.1", "b"),
        ("TagKeys.member.2", "none"),
    ];
    api.call("UntagUser", &untag).ok();
    assert_eq!(list(&[]).all("Key"), ["a"]);
    for number in 1..50 {
        tag(&format!("k{number}"), "").ok();
    }
    let refused = tag("one-more", "").error();
    assert_eq!(refused.0, "LimitExceeded");
    tag("K7", "again").ok();
}

#[test]
fn tags_that_are_none_are_refused() {
    let api = Api::new();
    api.call("CreateUser", &[("UserName", "alice")]).ok();
    let long_key = "k".repeat(129);
    let long_value = "v".repeat(257);
    const KEY: &str = "Tags.member.1.Key";
    const VALUE: &str = "Tags.member.1.Value";
    for (tags, code, text) in [
        (vec![], "ValidationError", "Value null at 'tags' failed"),
        (
            vec![(KEY, "a")],
            "ValidationError",
            "Value null at 'tags.1.member.value'",
        ),
        (
            vec![(VALUE, "a")],
            "ValidationError",
            "Value null at 'tags.1.member.key'",
        ),
        (
            vec![(KEY, ""), (VALUE, "")],
            "ValidationError",
            "greater than or equal to 1",
        ),
        (
            vec![(KEY, &*long_key), (VALUE, "")],
            "ValidationError",
            "less than or equal to 128",
        ),
        (
            vec![(KEY, "k"), (VALUE, &*long_value)],
            "ValidationError",
            "or equal to 256",
        ),
        (
            vec![(KEY, "a*"), (VALUE, "")],
            "ValidationError",
            "regular expression pattern",
        ),
        (
            vec![(KEY, "a"), (VALUE, "\u{1}")],
            "ValidationError",
            "'tags.1.member.value'",
        ),
        (
            vec![(KEY, "AWS:x"), (VALUE, "")],
            "InvalidInput",
            "reserved",
        ),
        (
            vec![
                (KEY, "a"),
                (VALUE, ""),
                ("Tags.member.2.Key", "A"),
                ("Tags.member.2.Value", ""),
            ],
            "InvalidInput",
            "Duplicate tag keys found.",
        ),
        (
            vec![("Tags.member.2.Key", "A"), ("Tags.member.2.Value", "")],
            "MalformedInput",
            "Tags",
        ),
    ] {
        let parameters = [&[("UserName", "alice")], tags.as_slice()].concat();
        let refused = api.refused("TagUser", &parameters);
        assert_eq!(refused.0, code, "{tags:?}");
        assert!(refused.1.contains(text), "{}", refused.1);
    }
    let names: Vec<String> = (1..=51).map(|n| format!("TagKeys.member.{n}")).collect();
    let mut parameters = vec![("UserName", "alice")];
    parameters.extend(names.iter().map(|name| (name.as_str(), "k")));
    assert_eq!(api.refused("UntagUser", &parameters).0, "ValidationError");
    assert_eq!(
        api.refused("UntagUser", &[("UserName", "alice")]).0,
        "ValidationError"
    );
}

#[test]
fn who_names_no_user_means_themselves() {
    let api = Api::new();
    api.call("CreateUser", &[("UserName", "Alice"), ("Path", "/a/")])
        .ok();
    let alice = Somebody::user("/a/Alice");
    let read = api.call_as(&alice, "GetUser", &[]).ok();
    assert_eq!(read.one("UserName"), "Alice");
    let created = api.call_as(&alice, "CreateAccessKey", &[]).ok();
    let listed = api.call_as(&alice, "ListAccessKeys", &[]).ok();
    assert_eq!(listed.one("AccessKeyId"), created.one("AccessKeyId"));
    let session = Somebody::new(lab(), "arn:aws:sts::111122223333:assumed-role/r/s");
    let refused = api.call_as(&session, "GetUser", &[]).error();
    assert_eq!(refused.0, "ValidationError");
    assert_eq!(
        refused.1,
        "Must specify userName when calling with non-User credentials"
    );
    let root = api.call("GetUser", &[]).ok();
    assert_eq!(root.one("Arn"), "arn:aws:iam::111122223333:root");
    assert_eq!(root.one("UserId"), "111122223333");
    let refused = api.refused("CreateAccessKey", &[]);
    assert_eq!(refused.0, "NotImplemented");
    let listed = api.call("ListAccessKeys", &[]).ok();
    assert_eq!(listed.all("AccessKeyId").len(), 1);
    assert!(listed.all("UserName").is_empty());
}

#[test]
fn accounts_do_not_see_each_other() {
    let api = Api::new();
    let other: AccountId = "444455556666".parse().unwrap();
    let owner = Owner::new(other, "us-east-1");
    api.call("CreateUser", &[("UserName", "alice")]).ok();
    api.call("CreateGroup", &[("GroupName", "g")]).ok();
    let key = api.call("CreateAccessKey", &[("UserName", "alice")]).ok();
    let key = key.one("AccessKeyId");
    let theirs =
        |operation: &str, parameters: &[(&str, &str)]| api.call_as(&owner, operation, parameters);
    assert_eq!(theirs("GetUser", &[("UserName", "alice")]).status, 404);
    assert!(theirs("ListUsers", &[]).ok().all("UserName").is_empty());
    assert_eq!(theirs("GetGroup", &[("GroupName", "g")]).status, 404);
    let unseen = theirs("GetAccessKeyLastUsed", &[("AccessKeyId", &key)]);
    assert_eq!(unseen.status, 404);
    let created = theirs("CreateUser", &[("UserName", "alice")]).ok();
    assert_eq!(created.one("Arn"), "arn:aws:iam::444455556666:user/alice");
    let not_theirs = [("UserName", "alice"), ("AccessKeyId", &*key)];
    assert_eq!(theirs("DeleteAccessKey", &not_theirs).status, 404);
    let mut view = api.memory.view_now();
    view.remove(&entries::key::<Group>(lab(), "g"));
}

#[test]
fn there_are_five_thousand_users_at_most() {
    let api = Api::new();
    api.memory.change(|view| {
        for number in 0..5_000 {
            let key = entries::key::<User>(lab(), &format!("u{number}"));
            view.entries.insert(key, (1, bytes::Bytes::new()));
        }
    });
    let refused = api.call("CreateUser", &[("UserName", "one-more")]).error();
    assert_eq!(refused.0, "LimitExceeded");
    assert_eq!(refused.1, "Cannot exceed quota for UsersPerAccount: 5000");
}
