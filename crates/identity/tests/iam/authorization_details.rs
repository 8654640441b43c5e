//! All that an account has which says who may do what.

use identity::entries;
use identity::model::{ManagedPolicy, PolicyVersion};
use types::AccountId;

use crate::fixtures::{allows, decoded, group, of_size, policy, role, user};
use crate::support::Api;

fn filled() -> Api {
    let api = Api::new();
    user(&api, "/team/", "alice");
    user(&api, "/", "bob");
    group(&api, "/", "Staff");
    role(&api, "worker");
    let arn = policy(&api, "p", "s3:*");
    let document = allows("iam:*");
    let membership = [("GroupName", "staff"), ("UserName", "alice")];
    api.call("AddUserToGroup", &membership).ok();
    for (kind, holder) in [
        ("User", ("UserName", "alice")),
        ("Group", ("GroupName", "Staff")),
        ("Role", ("RoleName", "worker")),
    ] {
        let policy = ("PolicyArn", &*arn);
        api.call(&format!("Attach{kind}Policy"), &[holder, policy])
            .ok();
        let inline = [
            holder,
            ("PolicyName", "inline"),
            ("PolicyDocument", &*document),
        ];
        api.call(&format!("Put{kind}Policy"), &inline).ok();
    }
    let boundary = "arn:aws:iam::aws:policy/ReadOnlyAccess";
    let boundary = [("RoleName", "worker"), ("PermissionsBoundary", boundary)];
    api.call("PutRolePermissionsBoundary", &boundary).ok();
    let profile = ("InstanceProfileName", "web");
    api.call("CreateInstanceProfile", &[profile]).ok();
    let filled = [profile, ("RoleName", "worker")];
    api.call("AddRoleToInstanceProfile", &filled).ok();
    api
}

#[test]
fn everything_is_told_with_its_policies() {
    let api = filled();
    let told = api.call("GetAccountAuthorizationDetails", &[]).ok();
    assert_eq!(told.one("IsTruncated"), "false");
    let users = told.one("UserDetailList");
    assert_eq!(users.matches("<UserName>").count(), 2);
    assert!(
        users.contains("<GroupList><member>Staff</member></GroupList>"),
        "{users}"
    );
    assert!(
        told.one("GroupDetailList")
            .contains("<GroupName>Staff</GroupName>")
    );
    let roles = told.one("RoleDetailList");
    assert!(
        roles.contains("<InstanceProfileName>web</InstanceProfileName>"),
        "{roles}"
    );
    assert!(
        roles.contains("ReadOnlyAccess</PermissionsBoundaryArn>"),
        "{roles}"
    );
    for document in told.all("PolicyDocument") {
        assert_eq!(decoded(&document), allows("iam:*"));
    }
    assert_eq!(told.all("PolicyDocument").len(), 3);
    let policies = told.text.split("<Policies>").nth(1).unwrap();
    assert!(
        policies.contains("<PolicyName>p</PolicyName>"),
        "{policies}"
    );
    assert!(
        policies.contains("<AttachmentCount>3</AttachmentCount>"),
        "{policies}"
    );
    // Of AWS's policies those that are used.
    assert!(
        policies.contains("<PolicyName>ReadOnlyAccess</PolicyName>"),
        "{policies}"
    );
    assert!(!policies.contains("AdministratorAccess"), "{policies}");
    assert!(
        policies.contains("<PolicyVersionList><member><Document>%7B"),
        "{policies}"
    );
}

#[test]
fn only_what_is_asked_for_is_told() {
    let api = filled();
    let names = |kinds: &[&str]| {
        let numbered = kinds.iter().enumerate();
        let numbered =
            numbered.map(|(index, kind)| (format!("Filter.member.{}", index + 1), *kind));
        let numbered: Vec<_> = numbered.collect();
        let parameters: Vec<_> = numbered
            .iter()
            .map(|(name, kind)| (&**name, *kind))
            .collect();
        let told = api.call("GetAccountAuthorizationDetails", &parameters).ok();
        let policies = told.text.split("<Policies>").nth(1).unwrap();
        let count = policies.matches("<PolicyId>").count();
        (
            told.all("UserName").len(),
            told.all("GroupId").len(),
            told.all("RoleId").len(),
            count,
        )
    };
    assert_eq!(names(&["User"]), (2, 0, 0, 0));
    assert_eq!(names(&["Group"]), (0, 1, 0, 0));
    // The role is told again with its instance profile.
    assert_eq!(names(&["Role"]), (0, 0, 2, 0));
    assert_eq!(names(&["LocalManagedPolicy"]), (0, 0, 0, 1));
    assert_eq!(names(&["AWSManagedPolicy", "Group"]), (0, 1, 0, 1));
    let wrong = [("Filter.member.1", "Everything")];
    let (code, _) = api.refused("GetAccountAuthorizationDetails", &wrong);
    assert_eq!(code, "ValidationError");
}

#[test]
fn pages_go_through_users_groups_roles_and_policies() {
    let api = filled();
    let mut marker = None::<String>;
    let mut pages = Vec::new();
    loop {
        let mut parameters = vec![("MaxItems", "2")];
        parameters.extend(marker.as_deref().map(|marker| ("Marker", marker)));
        let told = api.call("GetAccountAuthorizationDetails", &parameters).ok();
        pages.push([
            told.one("UserDetailList").matches("<UserId>").count(),
            told.one("GroupDetailList").matches("<GroupId>").count(),
            told.one("RoleDetailList")
                .matches("<InstanceProfileList>")
                .count(),
            told.text.matches("<PolicyId>").count(),
        ]);
        match told.all("Marker").pop() {
            Some(next) => marker = Some(next),
            None => break,
        }
    }
    assert_eq!(pages, [[2, 0, 0, 0], [0, 1, 1, 0], [0, 0, 0, 2]]);
}

#[test]
fn a_page_ends_early_where_much_is_to_be_told() {
    let api = Api::new();
    let document = of_size(6_000);
    let version = PolicyVersion {
        document: document.into(),
        created: 7,
    };
    api.memory.change(|view| {
        for number in 0..90 {
            let policy = ManagedPolicy {
                name: format!("p{number:02}"),
                id: format!("ANPA{number:017}"),
                path: "/".to_owned(),
                created: 7,
                updated: 7,
                description: None,
                versions: (1..=5).map(|number| (number, version.clone())).collect(),
                default_version: 1,
                next_version: 6,
                tags: Default::default(),
            };
            let key = entries::key::<ManagedPolicy>(AccountId::LAB, &policy.name);
            view.set(key, &policy);
        }
    });
    let first = api.call("GetAccountAuthorizationDetails", &[]).ok();
    let told = first.all("PolicyName");
    assert!((60..80).contains(&told.len()), "{}", told.len());
    let next = [("Marker", &*first.one("Marker"))];
    let rest = api.call("GetAccountAuthorizationDetails", &next).ok();
    assert_eq!(rest.one("IsTruncated"), "false");
    assert_eq!(told.len() + rest.all("PolicyName").len(), 90);
}
