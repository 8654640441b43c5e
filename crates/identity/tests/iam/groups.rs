//! Groups and who is in them.

use identity::entries;
use identity::model::{Group, User};
use types::AccountId;

use crate::support::Api;

fn with_members(names: &[&str]) -> Api {
    let api = Api::new();
    api.call("CreateGroup", &[("GroupName", "Admins")]).ok();
    for name in names {
        api.call("CreateUser", &[("UserName", name)]).ok();
        let parameters = [("UserName", *name), ("GroupName", "admins")];
        api.call("AddUserToGroup", &parameters).ok();
    }
    api
}

#[test]
fn a_group_is_made_listed_and_deleted() {
    let api = Api::new();
    let parameters = [("GroupName", "Admins"), ("Path", "/x/")];
    let created = api.call("CreateGroup", &parameters).ok();
    assert_eq!(
        created.one("Arn"),
        "arn:aws:iam::111122223333:group/x/Admins"
    );
    let id = created.one("GroupId");
    assert!(id.starts_with("AGPA") && id.len() == 21, "{id}");
    let refused = api.refused("CreateGroup", &[("GroupName", "ADMINS")]);
    assert_eq!(refused.1, "Group with name ADMINS already exists.");
    api.call("CreateGroup", &[("GroupName", "b")]).ok();
    let at = api.call("ListGroups", &[("PathPrefix", "/x/")]).ok();
    assert_eq!(at.all("GroupName"), ["Admins"]);
    let first = api.call("ListGroups", &[("MaxItems", "1")]).ok();
    let next = api
        .call("ListGroups", &[("Marker", &first.one("Marker"))])
        .ok();
    assert_eq!(next.all("GroupName"), ["b"]);
    api.call("DeleteGroup", &[("GroupName", "admins")]).ok();
    for operation in ["GetGroup", "DeleteGroup", "UpdateGroup"] {
        let refused = api.refused(operation, &[("GroupName", "Admins")]);
        assert_eq!(refused.0, "NoSuchEntity");
        assert_eq!(refused.1, "The group with name Admins cannot be found.");
    }
}

#[test]
fn members_come_in_pages_and_go() {
    let api = with_members(&["c", "A", "b", "admins"]);
    api.call("CreateUser", &[("UserName", "outside")]).ok();
    let get = |parameters: &[(&str, &str)]| {
        let parameters = [&[("GroupName", "Admins")], parameters].concat();
        api.call("GetGroup", &parameters).ok()
    };
    let all = get(&[]);
    assert_eq!(all.one("GroupName"), "Admins");
    assert_eq!(all.all("UserName"), ["A", "admins", "b", "c"]);
    let first = get(&[("MaxItems", "3")]);
    assert_eq!(first.all("UserName"), ["A", "admins", "b"]);
    assert_eq!(
        get(&[("Marker", &first.one("Marker"))]).all("UserName"),
        ["c"]
    );
    let out = [("UserName", "B"), ("GroupName", "ADMINS")];
    api.call("RemoveUserFromGroup", &out).ok();
    api.call("RemoveUserFromGroup", &out).ok();
    assert_eq!(get(&[]).all("UserName"), ["A", "admins", "c"]);
    let of_user = api.call("ListGroupsForUser", &[("UserName", "a")]).ok();
    assert_eq!(of_user.all("GroupName"), ["Admins"]);
    let of_user = api.call("ListGroupsForUser", &[("UserName", "b")]).ok();
    assert!(of_user.all("GroupName").is_empty());
}

#[test]
fn membership_needs_both() {
    let api = with_members(&["alice"]);
    for operation in ["AddUserToGroup", "RemoveUserFromGroup"] {
        let of = |user, group| {
            api.refused(operation, &[("UserName", user), ("GroupName", group)])
                .1
        };
        assert_eq!(
            of("none", "admins"),
            "The user with name none cannot be found."
        );
        assert_eq!(
            of("alice", "none"),
            "The group with name none cannot be found."
        );
        let refused = api.refused(operation, &[("GroupName", "admins")]);
        assert_eq!(refused.0, "ValidationError");
    }
}

#[test]
fn a_user_is_in_ten_groups_at_most() {
    let api = with_members(&["alice"]);
    let join = |number: usize| {
        let group = format!("g{number}");
        api.call("CreateGroup", &[("GroupName", &group)]).ok();
        api.call(
            "AddUserToGroup",
            &[("UserName", "alice"), ("GroupName", &group)],
        )
    };
    for number in 0..9 {
        join(number).ok();
    }
    let refused = join(9).error();
    assert_eq!(refused.1, "Cannot exceed quota for GroupsPerUser: 10");
    let again = [("UserName", "alice"), ("GroupName", "g8")];
    api.call("AddUserToGroup", &again).ok();
    let list = |parameters: &[(&str, &str)]| {
        let parameters = [&[("UserName", "alice")], parameters].concat();
        api.call("ListGroupsForUser", &parameters).ok()
    };
    let first = list(&[("MaxItems", "9")]);
    assert_eq!(
        list(&[("Marker", &first.one("Marker"))]).all("GroupName"),
        ["g8"]
    );
}

#[test]
fn a_group_s_new_name_is_that_of_its_users_group() {
    let api = with_members(&["alice", "bob"]);
    api.call("CreateGroup", &[("GroupName", "taken")]).ok();
    let rename = |new: &str| {
        api.call(
            "UpdateGroup",
            &[("GroupName", "Admins"), ("NewGroupName", new)],
        )
    };
    assert_eq!(
        rename("TAKEN").error().1,
        "Group with name TAKEN already exists."
    );
    rename("ADMINS").ok();
    rename("Owners").ok();
    let owners = api.call("GetGroup", &[("GroupName", "owners")]).ok();
    assert_eq!(owners.all("UserName"), ["alice", "bob"]);
    assert_eq!(api.call("GetGroup", &[("GroupName", "admins")]).status, 404);
    let of_user = api.call("ListGroupsForUser", &[("UserName", "bob")]).ok();
    assert_eq!(of_user.all("GroupName"), ["Owners"]);
    let path = [("GroupName", "owners"), ("NewPath", "/p/")];
    api.call("UpdateGroup", &path).ok();
    let owners = api.call("GetGroup", &[("GroupName", "owners")]).ok();
    assert_eq!(owners.one("Path"), "/p/");
}

#[test]
fn a_group_of_very_many_keeps_its_name() {
    let api = with_members(&["alice"]);
    api.memory.change(|view| {
        let key = entries::key::<User>(AccountId::LAB, "alice");
        let mut user: User = view.read(&key).unwrap();
        for number in 0..500 {
            user.name = format!("u{number}");
            view.set(entries::key::<User>(AccountId::LAB, &user.name), &user);
        }
    });
    let parameters = [("GroupName", "Admins"), ("NewGroupName", "owners")];
    let refused = api.refused("UpdateGroup", &parameters);
    assert_eq!(refused.0, "NotImplemented");
    assert!(refused.1.contains("more than 500 users"), "{}", refused.1);
    let out = [("UserName", "alice"), ("GroupName", "admins")];
    api.call("RemoveUserFromGroup", &out).ok();
    api.call("UpdateGroup", &parameters).ok();
}

#[test]
fn a_group_that_has_anything_is_not_deleted() {
    let api = with_members(&["alice"]);
    let conflict = || {
        let refused = api.refused("DeleteGroup", &[("GroupName", "Admins")]);
        assert_eq!(refused.0, "DeleteConflict");
        refused.1
    };
    assert_eq!(
        conflict(),
        "Cannot delete entity, must remove users from group first."
    );
    let out = [("UserName", "alice"), ("GroupName", "admins")];
    api.call("RemoveUserFromGroup", &out).ok();
    let key = entries::key::<Group>(AccountId::LAB, "admins");
    let change = |with: fn(&mut Group)| {
        api.memory.change(|view| {
            let mut group: Group = view.read(&key).unwrap();
            with(&mut group);
            view.set(key.clone(), &group);
        });
    };
    change(|group| group.policies.attached.push("arn:x".to_owned()));
    assert_eq!(
        conflict(),
        "Cannot delete entity, must detach all policies first."
    );
    change(|group| {
        group.policies.attached.clear();
        group.policies.inline.insert("p".to_owned(), "{}".into());
    });
    assert_eq!(
        conflict(),
        "Cannot delete entity, must delete policies first."
    );
    change(|group| group.policies.inline.clear());
    api.call("DeleteGroup", &[("GroupName", "Admins")]).ok();
}

#[test]
fn there_are_three_hundred_groups_at_most() {
    let api = Api::new();
    for number in 0..300 {
        api.call("CreateGroup", &[("GroupName", &format!("g{number}"))])
            .ok();
    }
    let refused = api.refused("CreateGroup", &[("GroupName", "one-more")]);
    assert_eq!(refused.1, "Cannot exceed quota for GroupsPerAccount: 300");
}
