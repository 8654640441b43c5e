//! Instance profiles and the role in each.

use crate::fixtures::role;
use crate::support::{Api, Somebody};

#[test]
fn a_profile_is_made_given_a_role_read_listed_and_deleted() {
    let api = Api::new();
    role(&api, "Worker");
    let (named, its_role) = (("InstanceProfileName", "Web"), ("RoleName", "worker"));
    let made = [
        named,
        ("Path", "/app/"),
        ("Tags.member.1.Key", "k"),
        ("Tags.member.1.Value", ""),
    ];
    let made = api.call("CreateInstanceProfile", &made).ok();
    let arn = "arn:aws:iam::111122223333:instance-profile/app/Web";
    assert_eq!(made.one("Arn"), arn);
    assert!(made.one("InstanceProfileId").starts_with("AIPA"));
    assert!(made.text.contains("<Roles></Roles>"));
    assert_eq!(
        api.refused("CreateInstanceProfile", &[("InstanceProfileName", "WEB")]),
        (
            "EntityAlreadyExists".to_owned(),
            "Instance Profile WEB already exists.".to_owned()
        )
    );
    api.call("AddRoleToInstanceProfile", &[named, its_role])
        .ok();
    let read = api.call("GetInstanceProfile", &[named]).ok();
    assert_eq!(read.one("RoleName"), "Worker");
    assert_eq!(read.all("Key"), ["k"]);
    let (code, message) = api.refused("AddRoleToInstanceProfile", &[named, its_role]);
    assert_eq!(code, "LimitExceeded");
    assert_eq!(
        message,
        "Cannot exceed quota for InstanceSessionsPerInstanceProfile: 1"
    );
    for (operation, parameter) in [
        ("ListInstanceProfiles", ("PathPrefix", "/app/")),
        ("ListInstanceProfilesForRole", ("RoleName", "Worker")),
    ] {
        let listed = api.call(operation, &[parameter]).ok();
        assert_eq!(listed.all("InstanceProfileName"), ["Web"], "{operation}");
        assert_eq!(listed.all("RoleName"), ["Worker"], "{operation}");
    }
    let other = api
        .call("ListInstanceProfiles", &[("PathPrefix", "/other/")])
        .ok();
    assert!(other.all("InstanceProfileName").is_empty());
    let (code, message) = api.refused("DeleteInstanceProfile", &[named]);
    assert_eq!(code, "DeleteConflict");
    assert_eq!(
        message,
        "Cannot delete entity, must remove roles from instance profile first."
    );
    api.call("RemoveRoleFromInstanceProfile", &[named, its_role])
        .ok();
    let refused = api.refused("RemoveRoleFromInstanceProfile", &[named, its_role]);
    assert_eq!(refused.0, "NoSuchEntity");
    api.call("DeleteInstanceProfile", &[named]).ok();
    assert_eq!(
        api.refused("GetInstanceProfile", &[named]),
        (
            "NoSuchEntity".to_owned(),
            "Instance Profile Web cannot be found.".to_owned()
        )
    );
}

#[test]
fn who_puts_a_role_into_a_profile_must_be_allowed_to_pass_it() {
    let api = Api::new();
    role(&api, "Worker");
    let (named, its_role) = (("InstanceProfileName", "Web"), ("RoleName", "Worker"));
    api.call("CreateInstanceProfile", &[named]).ok();
    let denied = "iam:PassRole arn:aws:iam::111122223333:role/Worker";
    let caller = Somebody::user("/alice").but_not(denied);
    let answer = api.call_as(&caller, "AddRoleToInstanceProfile", &[named, its_role]);
    assert_eq!(answer.error().0, "AccessDenied");
    let asked = caller.asked();
    let passed = (
        "iam:PassedToService".to_owned(),
        vec!["ec2.amazonaws.com".to_owned()],
    );
    assert!(asked[1].2.contains(&passed), "{asked:?}");
    let allowed = Somebody::user("/alice");
    api.call_as(&allowed, "AddRoleToInstanceProfile", &[named, its_role])
        .ok();
}

#[test]
fn a_role_deleted_elsewhere_meanwhile_gets_into_no_profile_and_the_other_way_round() {
    let api = Api::new();
    role(&api, "r");
    let (named, its_role) = (("InstanceProfileName", "i"), ("RoleName", "r"));
    api.call("CreateInstanceProfile", &[named]).ok();
    let key = "identity/role/111122223333/r";
    api.memory.interfere(|view| view.remove(key));
    let answer = api.call("AddRoleToInstanceProfile", &[named, its_role]);
    assert_eq!(answer.error().0, "NoSuchEntity");
    role(&api, "r");
    let before = api.memory.view_now();
    api.call("AddRoleToInstanceProfile", &[named, its_role])
        .ok();
    let after = api.memory.view_now();
    assert_ne!(before.entries[key].0, after.entries[key].0);
    assert_eq!(before.entries[key].1, after.entries[key].1);
}
