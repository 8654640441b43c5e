//! What a caller is asked to be allowed: the exact ARN with its path, the condition keys, and
//! that nothing is done that isn't allowed.

use crate::support::{Api, Asked, Somebody};

fn asked(api: &Api, operation: &str, parameters: &[(&str, &str)]) -> Vec<Asked> {
    let admin = Somebody::user("/admin");
    api.call_as(&admin, operation, parameters);
    admin.asked()
}

fn one(api: &Api, operation: &str, parameters: &[(&str, &str)]) -> (String, Vec<(String, String)>) {
    let asked = asked(api, operation, parameters);
    // A view that changed meanwhile would be asked of again; here nobody else changes anything.
    assert_eq!(asked.len(), 1, "{operation}: {asked:?}");
    let (action, resource, keys) = asked.into_iter().next().unwrap();
    assert_eq!(action, format!("iam:{operation}"));
    let keys = keys
        .into_iter()
        .map(|(name, values)| (name, values.join(",")));
    (resource, keys.collect())
}

/// Parameters of all kinds: an operation takes those that it knows.
const EVERY_NAME: [(&str, &str); 14] = [
    ("ServerCertificateName", "c"),
    ("UserName", "alice"),
    ("GroupName", "g"),
    ("AccountAlias", "abc"),
    ("AWSServiceName", "replication.dynamodb.amazonaws.com"),
    ("Status", "Inactive"),
    ("RoleName", "r"),
    ("PolicyName", "p"),
    ("InstanceProfileName", "i"),
    ("PolicyArn", "arn:aws:iam::111122223333:policy/p"),
    ("PolicySourceArn", "arn:aws:iam::111122223333:user/alice"),
    ("Tags.member.1.Key", "k"),
    ("Tags.member.1.Value", "v"),
    ("TagKeys.member.1", "k"),
];

/// Parameters with their values, the condition keys that they give, and the operations that take
/// them (API reference).
type Giving = (
    &'static [(&'static str, &'static str)],
    &'static [&'static str],
    &'static [&'static str],
);

/// All that give condition keys; what other operations are sent of that kind says nothing.
const GIVING: [Giving; 4] = [
    (
        &[(
            "PermissionsBoundary",
            "arn:aws:iam::111122223333:policy/foreign",
        )],
        &["iam:PermissionsBoundary"],
        &[
            "CreateRole",
            "CreateUser",
            "PutRolePermissionsBoundary",
            "PutUserPermissionsBoundary",
        ],
    ),
    (
        &[("PolicyArn", "arn:aws:iam::111122223333:policy/foreign")],
        &["iam:PolicyARN"],
        &[
            "AttachGroupPolicy",
            "AttachRolePolicy",
            "AttachUserPolicy",
            "DetachGroupPolicy",
            "DetachRolePolicy",
            "DetachUserPolicy",
        ],
    ),
    (
        &[
            ("Tags.member.1.Key", "foreign"),
            ("Tags.member.1.Value", "foreign"),
        ],
        &["aws:RequestTag/foreign", "aws:TagKeys"],
        &[
            "CreateInstanceProfile",
            "CreatePolicy",
            "CreateRole",
            "CreateUser",
            "TagInstanceProfile",
            "TagPolicy",
            "TagRole",
            "TagServerCertificate",
            "TagUser",
            "UploadServerCertificate",
        ],
    ),
    (
        &[("TagKeys.member.1", "foreign")],
        &["aws:TagKeys"],
        &[
            "UntagInstanceProfile",
            "UntagPolicy",
            "UntagRole",
            "UntagServerCertificate",
            "UntagUser",
        ],
    ),
];

#[test]
fn a_parameter_that_an_operation_does_not_take_gives_no_condition_key() {
    let api = Api::new();
    for (operation, built) in identity::Service::iam_operations() {
        if !built {
            continue;
        }
        let nobody = Somebody::user("/nobody").but_not(&format!("iam:{operation}"));
        for (parameters, given, takers) in GIVING {
            let key = ("AccessKeyId", "AKIAIOSFODNN7EXAMPLE");
            let rest = EVERY_NAME.into_iter().chain([key]);
            let rest = rest.filter(|(name, _)| parameters.iter().all(|(own, _)| own != name));
            let with: Vec<_> = rest.chain(parameters.iter().copied()).collect();
            api.call_as(&nobody, operation, &with);
            let asked = nobody.asked();
            let [(_, _, found)] = &asked[..] else {
                panic!("{operation}: {asked:?}");
            };
            let takes = takers.contains(&operation);
            for key in given {
                let there = found.iter().any(|(name, values)| {
                    name == key && values.iter().any(|value| value.ends_with("foreign"))
                });
                assert_eq!(there, takes, "{operation}: {key}");
            }
        }
    }
}

#[test]
fn who_attaches_is_judged_by_the_boundary_that_is_there() {
    let api = Api::new();
    let boundary = "arn:aws:iam::aws:policy/AdministratorAccess";
    let bounded = [("UserName", "alice"), ("PermissionsBoundary", boundary)];
    api.call("CreateUser", &bounded).ok();
    let attach = [
        ("UserName", "alice"),
        ("PolicyArn", "arn:aws:iam::aws:policy/AWSDenyAll"),
        (
            "PermissionsBoundary",
            "arn:aws:iam::111122223333:policy/claimed",
        ),
    ];
    let asked = asked(&api, "AttachUserPolicy", &attach);
    let (_, _, found) = &asked[0];
    let found = found
        .iter()
        .find(|(key, _)| key == "iam:PermissionsBoundary");
    assert_eq!(found.unwrap().1, [boundary]);
}

#[test]
fn who_makes_something_with_tags_must_be_allowed_to_tag_it() {
    let trust = r#"{"Version":"2012-10-17","Statement":{"Effect":"Allow",
        "Principal":{"AWS":"111122223333"},"Action":"sts:AssumeRole"}}"#;
    let document = r#"{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"s3:*",
        "Resource":"*"}}"#;
    for (kind, resource, document) in [
        ("User", "user", ("None", "")),
        ("Role", "role", ("AssumeRolePolicyDocument", trust)),
        ("Policy", "policy", ("PolicyDocument", document)),
        ("InstanceProfile", "instance-profile", ("None", "")),
    ] {
        let api = Api::new();
        let (operation, name) = (format!("Create{kind}"), format!("{kind}Name"));
        let plain = [(name.as_str(), "x"), ("Path", "/p/"), document];
        let tags = [("Tags.member.1.Key", "Team"), ("Tags.member.1.Value", "a")];
        let tagged = [&plain[..], &tags].concat();
        let tag = format!("iam:Tag{kind}");
        let refused = Somebody::user("/admin").but_not(&tag);
        let before = api.memory.view_now();
        let error = api.call_as(&refused, &operation, &tagged).error();
        assert_eq!(error.0, "AccessDenied", "{operation}");
        assert_eq!(api.memory.view_now(), before, "{operation}");
        let (_, arn, keys) = refused.asked().into_iter().nth(1).unwrap();
        assert_eq!(arn, format!("{ARN}{resource}/p/x"));
        let expected = [("aws:RequestTag/Team", "a"), ("aws:TagKeys", "Team")];
        let expected = expected.map(|(key, value)| (key.to_owned(), vec![value.to_owned()]));
        assert_eq!(keys, expected, "{operation}");
        // What is made without tags needs no more than before.
        api.call_as(&refused, &operation, &plain).ok();
    }
}

fn keys(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    let pairs = pairs.iter();
    pairs
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect()
}

const ARN: &str = "arn:aws:iam::111122223333:";

#[test]
fn a_user_is_asked_for_by_its_path_tags_and_boundary() {
    let api = Api::new();
    let boundary = "arn:aws:iam::aws:policy/AdministratorAccess";
    let parameters = [
        ("UserName", "Alice"),
        ("Path", "/p/"),
        ("PermissionsBoundary", boundary),
        ("Tags.member.1.Key", "Team"),
        ("Tags.member.1.Value", "a"),
    ];
    let asked = asked(&api, "CreateUser", &parameters);
    let (_, resource, found) = &asked[0];
    assert_eq!(*resource, format!("{ARN}user/p/Alice"));
    let found: Vec<_> = found
        .iter()
        .map(|(n, v)| (n.clone(), v.join(",")))
        .collect();
    assert_eq!(
        found,
        keys(&[
            ("iam:PermissionsBoundary", boundary),
            ("aws:RequestTag/Team", "a"),
            ("aws:TagKeys", "Team"),
        ])
    );
    let of_user = keys(&[
        ("aws:ResourceTag/Team", "a"),
        ("iam:ResourceTag/Team", "a"),
        ("iam:PermissionsBoundary", boundary),
    ]);
    let (resource, found) = one(&api, "GetUser", &[("UserName", "aLiCe")]);
    assert_eq!(resource, format!("{ARN}user/p/Alice"));
    assert_eq!(found, of_user);
    let untag = [
        ("UserName", "alice"),
        ("TagKeys.member.1", "x"),
        ("TagKeys.member.2", "y"),
    ];
    let (_, found) = one(&api, "UntagUser", &untag);
    assert_eq!(found, [of_user, keys(&[("aws:TagKeys", "x,y")])].concat());
    let (resource, found) = one(&api, "GetUser", &[("UserName", "none")]);
    assert_eq!((resource, found), (format!("{ARN}user/none"), vec![]));
}

#[test]
fn each_operation_asks_for_what_it_is_done_to() {
    let api = Api::new();
    api.call("CreateUser", &[("UserName", "Alice"), ("Path", "/p/")])
        .ok();
    api.call("CreateGroup", &[("GroupName", "G"), ("Path", "/q/")])
        .ok();
    let key = api.call("CreateAccessKey", &[("UserName", "Alice")]).ok();
    let key = key.one("AccessKeyId");
    for (operation, parameters, resource) in [
        ("ListUsers", vec![], "user/"),
        ("ListUsers", vec![("PathPrefix", "/p/")], "user/p/"),
        ("ListGroups", vec![], "group/"),
        ("GetGroup", vec![("GroupName", "g")], "group/q/G"),
        (
            "CreateGroup",
            vec![("GroupName", "h"), ("Path", "/r/")],
            "group/r/h",
        ),
        (
            "AddUserToGroup",
            vec![("GroupName", "g"), ("UserName", "alice")],
            "group/q/G",
        ),
        (
            "RemoveUserFromGroup",
            vec![("GroupName", "g"), ("UserName", "alice")],
            "group/q/G",
        ),
        (
            "ListGroupsForUser",
            vec![("UserName", "alice")],
            "user/p/Alice",
        ),
        (
            "CreateAccessKey",
            vec![("UserName", "alice")],
            "user/p/Alice",
        ),
        (
            "GetAccessKeyLastUsed",
            vec![("AccessKeyId", &*key)],
            "user/p/Alice",
        ),
        ("DeleteUser", vec![("UserName", "alice")], "user/p/Alice"),
    ] {
        let (found, _) = one(&api, operation, &parameters);
        assert_eq!(found, format!("{ARN}{resource}"), "{operation}");
    }
    for operation in [
        "GetAccountSummary",
        "ListAccountAliases",
        "ListVirtualMFADevices",
    ] {
        assert_eq!(one(&api, operation, &[]).0, "*");
    }
    let unknown = [("AccessKeyId", "AKIAIOSFODNN7EXAMPLE")];
    assert_eq!(one(&api, "GetAccessKeyLastUsed", &unknown).0, "*");
}

#[test]
fn who_names_no_user_is_asked_for_themselves() {
    let api = Api::new();
    api.call("CreateUser", &[("UserName", "Alice"), ("Path", "/p/")])
        .ok();
    let alice = Somebody::user("/p/Alice");
    for operation in [
        "GetUser",
        "ListAccessKeys",
        "CreateAccessKey",
        "ListMFADevices",
    ] {
        api.call_as(&alice, operation, &[]).ok();
        let asked = alice.asked();
        assert_eq!(asked[0].0, format!("iam:{operation}"));
        assert_eq!(asked[0].1, format!("{ARN}user/p/Alice"));
    }
}

#[test]
fn a_new_name_must_be_allowed_too() {
    let api = Api::new();
    for name in ["alice", "bob"] {
        api.call("CreateUser", &[("UserName", name)]).ok();
    }
    api.call("CreateGroup", &[("GroupName", "g")]).ok();
    let rename = [
        ("UserName", "alice"),
        ("NewUserName", "carol"),
        ("NewPath", "/x/"),
    ];
    for resource in ["user/alice", "user/x/carol"] {
        let denied = format!("iam:UpdateUser {ARN}{resource}");
        let admin = Somebody::user("/admin").but_not(&denied);
        let before = api.memory.view_now();
        let refused = api.call_as(&admin, "UpdateUser", &rename).error();
        assert_eq!(refused.0, "AccessDenied");
        assert_eq!(api.memory.view_now(), before);
    }
    let denied = format!("iam:UpdateGroup {ARN}group/h");
    let admin = Somebody::user("/admin").but_not(&denied);
    let rename = [("GroupName", "g"), ("NewGroupName", "h")];
    assert_eq!(api.call_as(&admin, "UpdateGroup", &rename).status, 403);
    // What only gets the name that it has is asked for once.
    let same = [("UserName", "alice"), ("NewUserName", "alice")];
    assert_eq!(one(&api, "UpdateUser", &same).0, format!("{ARN}user/alice"));
}

#[test]
fn nothing_is_done_that_is_not_allowed() {
    let api = Api::new();
    api.call("CreateUser", &[("UserName", "alice")]).ok();
    api.call("CreateGroup", &[("GroupName", "g")]).ok();
    let key = api.call("CreateAccessKey", &[("UserName", "alice")]).ok();
    let key = key.one("AccessKeyId");
    let before = api.memory.view_now();
    let parameters = [&EVERY_NAME[..], &[("AccessKeyId", &*key)]].concat();
    for (operation, built) in identity::Service::iam_operations() {
        if !built {
            continue;
        }
        let nobody = Somebody::user("/nobody").but_not(&format!("iam:{operation}"));
        let refused = api.call_as(&nobody, operation, &parameters);
        assert_eq!(refused.status, 403, "{operation}: {refused:?}");
        assert_eq!(refused.error().0, "AccessDenied", "{operation}");
        assert_eq!(
            api.memory.view_now(),
            before,
            "{operation} changed something"
        );
        assert_eq!(nobody.asked().len(), 1, "{operation} asked on");
    }
}

#[test]
fn who_gives_a_profile_a_role_must_be_allowed_to_pass_it() {
    let api = Api::new();
    let parameters = [("InstanceProfileName", "p"), ("RoleName", "r")];
    let asked = asked(&api, "AddRoleToInstanceProfile", &parameters);
    let named: Vec<(&str, &str)> = asked
        .iter()
        .map(|(a, r, _)| (a.as_str(), r.as_str()))
        .collect();
    let (profile, role) = (format!("{ARN}instance-profile/p"), format!("{ARN}role/r"));
    let expected = [
        ("iam:AddRoleToInstanceProfile", profile.as_str()),
        ("iam:PassRole", role.as_str()),
    ];
    assert_eq!(named, expected);
    let service = (
        "iam:PassedToService".to_owned(),
        vec!["ec2.amazonaws.com".to_owned()],
    );
    assert_eq!(asked[1].2, [service]);
}
