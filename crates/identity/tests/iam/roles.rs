//! Roles: made, read, listed, changed and deleted, and who may be trusted.

use identity::model::Role;
use types::AccountId;

use crate::fixtures::{allows, decoded, role, trusts, trusts_ec2, user};
use crate::support::{Api, Somebody};

fn trust_refusal(api: &Api, principal: &str) -> (String, String) {
    let trust = trusts(principal);
    let parameters = [("RoleName", "r"), ("AssumeRolePolicyDocument", &trust)];
    api.refused("CreateRole", &parameters)
}

#[test]
fn a_role_is_made_read_changed_and_deleted() {
    let api = Api::new();
    let trust = trusts_ec2();
    let made = api
        .call(
            "CreateRole",
            &[
                ("RoleName", "Reader"),
                ("Path", "/app/"),
                ("AssumeRolePolicyDocument", &trust),
                ("Description", "reads <all>"),
                ("Tags.member.1.Key", "team"),
                ("Tags.member.1.Value", "blue"),
            ],
        )
        .ok();
    assert_eq!(made.one("Arn"), "arn:aws:iam::111122223333:role/app/Reader");
    assert_eq!(decoded(&made.one("AssumeRolePolicyDocument")), trust);
    assert!(
        made.one("AssumeRolePolicyDocument")
            .starts_with("%7B%22Version%22%3A")
    );
    assert_eq!(made.one("MaxSessionDuration"), "3600");
    assert!(made.one("RoleId").starts_with("AROA"));
    let read = api.call("GetRole", &[("RoleName", "reader")]).ok();
    assert_eq!(read.one("RoleName"), "Reader");
    assert_eq!(read.one("Description"), "reads <all>");
    assert_eq!(read.all("Key"), ["team"]);
    assert!(read.text.contains("<RoleLastUsed></RoleLastUsed>"));

    let changes = [
        ("RoleName", "Reader"),
        ("MaxSessionDuration", "43200"),
        ("Description", "writes"),
    ];
    let changed = api.call("UpdateRole", &changes).ok();
    assert!(
        changed
            .text
            .contains("<UpdateRoleResult></UpdateRoleResult>")
    );
    let read = api.call("GetRole", &[("RoleName", "Reader")]).ok();
    assert_eq!(read.one("MaxSessionDuration"), "43200");
    assert_eq!(read.one("Description"), "writes");
    let described = [("RoleName", "Reader"), ("Description", "")];
    let described = api.call("UpdateRoleDescription", &described).ok();
    assert_eq!(described.all("Description"), Vec::<String>::new());
    let other = trusts("\"AWS\":\"111122223333\"");
    let trusted = [("RoleName", "Reader"), ("PolicyDocument", other.as_str())];
    api.call("UpdateAssumeRolePolicy", &trusted).ok();
    let read = api.call("GetRole", &[("RoleName", "Reader")]).ok();
    assert_eq!(decoded(&read.one("AssumeRolePolicyDocument")), other);

    api.call("DeleteRole", &[("RoleName", "Reader")]).ok();
    assert_eq!(
        api.refused("GetRole", &[("RoleName", "Reader")]),
        (
            "NoSuchEntity".to_owned(),
            "The role with name Reader cannot be found.".to_owned()
        )
    );
    for operation in [
        "DeleteRole",
        "UpdateRole",
        "ListRoleTags",
        "ListRolePolicies",
    ] {
        let (code, _) = api.refused(operation, &[("RoleName", "Reader")]);
        assert_eq!(code, "NoSuchEntity", "{operation}");
    }
}

#[test]
fn the_caller_is_asked_about_the_role_with_its_path_boundary_and_tags() {
    let api = Api::new();
    let somebody = Somebody::user("/alice");
    let trust = trusts_ec2();
    let boundary = "arn:aws:iam::aws:policy/ReadOnlyAccess";
    let parameters = [
        ("RoleName", "r"),
        ("Path", "/app/"),
        ("AssumeRolePolicyDocument", &trust),
        ("PermissionsBoundary", boundary),
        ("Tags.member.1.Key", "team"),
        ("Tags.member.1.Value", "blue"),
    ];
    api.call_as(&somebody, "CreateRole", &parameters).ok();
    let arn = "arn:aws:iam::111122223333:role/app/r".to_owned();
    let asked = somebody.asked();
    assert_eq!(
        (&asked[0].0, &asked[0].1),
        (&"iam:CreateRole".to_owned(), &arn)
    );
    let keys: Vec<&str> = asked[0].2.iter().map(|(key, _)| key.as_str()).collect();
    for key in [
        "iam:PermissionsBoundary",
        "aws:RequestTag/team",
        "aws:TagKeys",
    ] {
        assert!(keys.contains(&key), "{keys:?}");
    }
    let policy = ("PolicyArn", "arn:aws:iam::aws:policy/AdministratorAccess");
    let denied = Somebody::user("/alice").but_not(&format!("iam:AttachRolePolicy {arn}"));
    let answer = api.call_as(&denied, "AttachRolePolicy", &[("RoleName", "r"), policy]);
    assert_eq!(answer.error().0, "AccessDenied");
    let asked = denied.asked();
    let (_, _, keys) = &asked[0];
    let values = |name: &str| &keys.iter().find(|(key, _)| key == name).unwrap().1;
    assert_eq!(values("iam:PolicyARN"), &[policy.1]);
    assert_eq!(values("iam:PermissionsBoundary"), &[boundary]);
    assert_eq!(values("aws:ResourceTag/team"), &["blue"]);
}

#[test]
fn roles_are_listed_by_name_in_pages_and_by_path() {
    let api = Api::new();
    for name in ["c", "A", "b"] {
        role(&api, name);
    }
    let trust = trusts_ec2();
    let deep = [
        ("RoleName", "deep"),
        ("Path", "/x/y/"),
        ("AssumeRolePolicyDocument", trust.as_str()),
    ];
    api.call("CreateRole", &deep).ok();
    let first = api.call("ListRoles", &[("MaxItems", "3")]).ok();
    assert_eq!(first.all("RoleName"), ["A", "b", "c"]);
    assert_eq!(first.one("IsTruncated"), "true");
    let next = [("Marker", first.one("Marker"))];
    let rest = api.call("ListRoles", &[("Marker", &next[0].1)]).ok();
    assert_eq!(rest.all("RoleName"), ["deep"]);
    assert_eq!(rest.one("IsTruncated"), "false");
    let below = api.call("ListRoles", &[("PathPrefix", "/x/")]).ok();
    assert_eq!(below.all("RoleName"), ["deep"]);
}

#[test]
fn what_no_role_can_be_is_refused() {
    let api = Api::new();
    role(&api, "taken");
    let trust = trusts_ec2();
    let refused = |more: &[(&str, &str)]| {
        let mut parameters = vec![("RoleName", "r"), ("AssumeRolePolicyDocument", &*trust)];
        for (name, value) in more {
            parameters.retain(|(known, _)| known != name);
            parameters.push((name, value));
        }
        api.refused("CreateRole", &parameters)
    };
    assert_eq!(
        refused(&[("RoleName", "TAKEN")]),
        (
            "EntityAlreadyExists".to_owned(),
            "Role with name TAKEN already exists.".to_owned()
        )
    );
    let long = "é".repeat(1001);
    for (name, value) in [
        ("RoleName", "a b"),
        ("RoleName", &*"r".repeat(65)),
        ("Path", "nowhere"),
        ("MaxSessionDuration", "3599"),
        ("MaxSessionDuration", "43201"),
        ("MaxSessionDuration", "long"),
        ("Description", &long),
        ("Description", "\u{7f}"),
        ("Description", "€"),
        ("AssumeRolePolicyDocument", ""),
        ("AssumeRolePolicyDocument", "{\"€\":1}"),
        ("PermissionsBoundary", "short"),
    ] {
        let (code, message) = refused(&[(name, value)]);
        assert_eq!(code, "ValidationError", "{name} {value}: {message}");
        assert!(message.chars().count() < 1_000, "{message}");
    }
    assert_eq!(
        refused(&[("Path", "/aws-service-role/x/")]).0,
        "InvalidInput"
    );
    let boundary = "arn:aws:iam::111122223333:policy/nobody";
    assert_eq!(
        refused(&[("PermissionsBoundary", boundary)]),
        (
            "NoSuchEntity".to_owned(),
            format!("Policy {boundary} does not exist or is not attachable.")
        )
    );
    let (code, message) = api.refused("CreateRole", &[("RoleName", "r")]);
    assert_eq!(code, "ValidationError");
    assert!(message.contains("'assumeRolePolicyDocument'"), "{message}");
}

#[test]
fn a_trust_policy_names_principals_that_exist() {
    let api = Api::new();
    user(&api, "/team/", "alice");
    role(&api, "Worker");
    let accounts = "\"AWS\":[\"111122223333\",\"arn:aws:iam::111122223333:root\",\"*\"]";
    for (name, principal) in [
        ("accounts", accounts),
        (
            "user",
            "\"AWS\":\"arn:aws:iam::111122223333:user/team/alice\"",
        ),
        ("role", "\"AWS\":\"arn:aws:iam::111122223333:role/Worker\""),
        (
            "session",
            "\"AWS\":\"arn:aws:sts::111122223333:assumed-role/Worker/me\"",
        ),
        (
            "service",
            "\"Service\":[\"ec2.amazonaws.com\",\"s3.amazonaws.com\"]",
        ),
    ] {
        let trust = trusts(principal);
        let parameters = [("RoleName", name), ("AssumeRolePolicyDocument", &*trust)];
        api.call("CreateRole", &parameters).ok();
    }
    for (kind, name) in [
        ("AWS", "444455556666"),
        ("AWS", "arn:aws:iam::444455556666:root"),
        ("AWS", "arn:aws:iam::111122223333:user/alice"),
        ("AWS", "arn:aws:iam::111122223333:user/team/bob"),
        ("AWS", "arn:aws:iam::111122223333:role/worker"),
        ("AWS", "arn:aws:iam::111122223333:role/*"),
        ("AWS", "arn:aws:sts::111122223333:assumed-role/worker/me"),
        ("AWS", "arn:aws:sts::111122223333:assumed-role/Worker/*"),
        ("AWS", "arn:aws:iam::111122223333:group/staff"),
        ("AWS", "alice"),
        ("AWS", "AIDAIOSFODNN7EXAMPLE"),
        ("Service", "ec2"),
        ("Service", "example.com"),
        ("Federated", "arn:aws:iam::111122223333:saml-provider/x"),
    ] {
        let (code, message) = trust_refusal(&api, &format!("\"{kind}\":\"{name}\""));
        assert_eq!(code, "MalformedPolicyDocument", "{name}");
        let expected = format!(
            "Invalid principal in policy: \"{}\":\"{name}\"",
            kind.to_uppercase()
        );
        assert!(message.starts_with(&expected), "{message}");
    }
}

#[test]
fn a_trust_policy_that_is_none_says_where_and_a_long_one_how_long() {
    let api = Api::new();
    let refused = |document: &str| {
        let parameters = [("RoleName", "r"), ("AssumeRolePolicyDocument", document)];
        api.refused("CreateRole", &parameters)
    };
    for document in [
        "{",
        "[]",
        "null",
        "{\"Version\":\"2012-10-17\"}",
        &allows("s3:*"),
    ] {
        let (code, message) = refused(document);
        assert_eq!(code, "MalformedPolicyDocument", "{document}");
        assert!(message.contains("line 1, column "), "{message}");
    }
    let services: Vec<_> = (0..93)
        .map(|n| format!("\"s{n:03}.amazonaws.com\""))
        .collect();
    let long = trusts(&format!("\"Service\":[{}]", services.join(" , ")));
    assert_eq!(long.replace(' ', "").len(), 2_062);
    assert_eq!(
        refused(&long),
        (
            "LimitExceeded".to_owned(),
            "Cannot exceed quota for ACLSizePerRole: 2048".to_owned()
        )
    );
    let services = services[..92].join("   ,\n");
    let spaced = trusts(&format!("\"Service\":[{services}]"));
    let parameters = [("RoleName", "r"), ("AssumeRolePolicyDocument", &*spaced)];
    api.call("CreateRole", &parameters).ok();
}

#[test]
fn a_role_that_has_something_is_not_deleted() {
    let api = Api::new();
    role(&api, "r");
    let named = ("RoleName", "r");
    let conflict = |text: &str| ("DeleteConflict".to_owned(), text.to_owned());
    let document = allows("s3:*");
    let policy = ("PolicyArn", "arn:aws:iam::aws:policy/ReadOnlyAccess");
    let inline = ("PolicyName", "p");
    let put = [named, inline, ("PolicyDocument", &*document)];
    let profile = ("InstanceProfileName", "i");
    api.call("CreateInstanceProfile", &[profile]).ok();
    api.call("AddRoleToInstanceProfile", &[profile, named]).ok();
    api.call("AttachRolePolicy", &[named, policy]).ok();
    api.call("PutRolePolicy", &put).ok();
    let text = "Cannot delete entity, must remove roles from instance profile first.";
    assert_eq!(api.refused("DeleteRole", &[named]), conflict(text));
    api.call("RemoveRoleFromInstanceProfile", &[profile, named])
        .ok();
    let text = "Cannot delete entity, must detach all policies first.";
    assert_eq!(api.refused("DeleteRole", &[named]), conflict(text));
    api.call("DetachRolePolicy", &[named, policy]).ok();
    let text = "Cannot delete entity, must delete policies first.";
    assert_eq!(api.refused("DeleteRole", &[named]), conflict(text));
    api.call("DeleteRolePolicy", &[named, inline]).ok();
    api.call("DeleteRole", &[named]).ok();
}

#[test]
fn a_role_linked_to_a_service_is_its_service_s() {
    let api = Api::new();
    let service = ("AWSServiceName", "replication.dynamodb.amazonaws.com");
    let somebody = Somebody::user("/alice");
    let made = api
        .call_as(&somebody, "CreateServiceLinkedRole", &[service])
        .ok();
    let arn = "arn:aws:iam::111122223333:role/aws-service-role/replication.dynamodb.amazonaws.com/\
               AWSServiceRoleForDynamoDBReplication";
    assert_eq!(made.one("Arn"), arn);
    let asked = somebody.asked();
    assert_eq!(asked[0].1, arn);
    assert_eq!(asked[0].2[0].0, "iam:AWSServiceName");
    let name = "AWSServiceRoleForDynamoDBReplication";
    assert_eq!(
        api.refused("CreateServiceLinkedRole", &[service]),
        (
            "InvalidInput".to_owned(),
            format!(
                "Service role name {name} has been taken in this account, please try a different \
                 suffix."
            )
        )
    );
    let suffix = ("CustomSuffix", "x");
    assert_eq!(
        api.refused("CreateServiceLinkedRole", &[service, suffix]).0,
        "InvalidInput"
    );
    let unknown = [("AWSServiceName", "es.amazonaws.com")];
    assert_eq!(
        api.refused("CreateServiceLinkedRole", &unknown).0,
        "InvalidInput"
    );
    let named = ("RoleName", name);
    let document = allows("s3:*");
    let policy = "arn:aws:iam::aws:policy/ReadOnlyAccess";
    let inline = [named, ("PolicyName", "p"), ("PolicyDocument", &*document)];
    let trust = trusts_ec2();
    let refused = [
        ("DeleteRole", vec![named]),
        ("UpdateRole", vec![named]),
        ("UpdateRoleDescription", vec![named, ("Description", "")]),
        (
            "UpdateAssumeRolePolicy",
            vec![named, ("PolicyDocument", &*trust)],
        ),
        ("PutRolePolicy", inline.to_vec()),
        ("AttachRolePolicy", vec![named, ("PolicyArn", policy)]),
        ("DetachRolePolicy", vec![named, ("PolicyArn", policy)]),
        (
            "PutRolePermissionsBoundary",
            vec![named, ("PermissionsBoundary", policy)],
        ),
        ("DeleteRolePermissionsBoundary", vec![named]),
    ];
    for (operation, parameters) in refused {
        let (code, message) = api.refused(operation, &parameters);
        assert_eq!(code, "UnmodifiableEntity", "{operation}");
        assert!(message.starts_with("Cannot perform the operation on the protected role"));
    }
    let task = api
        .call("DeleteServiceLinkedRole", &[named])
        .ok()
        .one("DeletionTaskId");
    assert!(task.starts_with("task/aws-service-role/replication.dynamodb.amazonaws.com/"));
    let status = [("DeletionTaskId", task.as_str())];
    let status = api.call("GetServiceLinkedRoleDeletionStatus", &status).ok();
    assert_eq!(status.one("Status"), "SUCCEEDED");
    let other = [("DeletionTaskId", "task/aws-service-role/x/y/z")];
    assert_eq!(
        api.refused("GetServiceLinkedRoleDeletionStatus", &other).0,
        "NoSuchEntity"
    );
    role(&api, "ordinary");
    let ordinary = [("RoleName", "ordinary")];
    assert_eq!(
        api.refused("DeleteServiceLinkedRole", &ordinary).0,
        "InvalidInput"
    );
}

#[test]
fn roles_of_other_accounts_are_not_seen() {
    let api = Api::new();
    role(&api, "r");
    let account: AccountId = "444455556666".parse().unwrap();
    let other = Somebody::new(account, "arn:aws:iam::444455556666:user/eve");
    let answer = api.call_as(&other, "GetRole", &[("RoleName", "r")]);
    assert_eq!(answer.error().0, "NoSuchEntity");
    let listed = api.call_as(&other, "ListRoles", &[]).ok();
    assert_eq!(listed.all("RoleName"), Vec::<String>::new());
}

/// Who may assume a role.
fn trusted(api: &Api, name: &str) -> serde_json::Value {
    let read = api.call("GetRole", &[("RoleName", name)]).ok();
    let document = decoded(&read.one("AssumeRolePolicyDocument"));
    let document: serde_json::Value = serde_json::from_str(&document).unwrap();
    document["Statement"][0]["Principal"]["AWS"].clone()
}

#[test]
fn a_name_never_stands_for_another_principal_than_the_one_that_was_trusted() {
    let api = Api::new();
    let alice = api.call("CreateUser", &[("UserName", "alice")]).ok();
    role(&api, "worker");
    let worker = api
        .call("GetRole", &[("RoleName", "worker")])
        .ok()
        .one("RoleId");
    let account = "arn:aws:iam::111122223333";
    for (name, principal) in [
        ("of-user", format!("\"AWS\":\"{account}:user/alice\"")),
        ("escaped", format!("\"AWS\":\"{account}:user\\/alice\"")),
        (
            "of-role",
            format!("\"AWS\":[\"{account}:role/worker\",\"{account}:root\"]"),
        ),
        (
            "of-session",
            "\"AWS\":\"arn:aws:sts::111122223333:assumed-role/worker/me\"".to_owned(),
        ),
    ] {
        let trust = trusts(&principal);
        let parameters = [("RoleName", name), ("AssumeRolePolicyDocument", &*trust)];
        api.call("CreateRole", &parameters).ok();
    }
    let renamed = [
        ("UserName", "alice"),
        ("NewUserName", "carol"),
        ("NewPath", "/x/"),
    ];
    api.call("UpdateUser", &renamed).ok();
    for name in ["of-user", "escaped"] {
        assert_eq!(trusted(&api, name), format!("{account}:user/x/carol"));
    }
    api.call("DeleteUser", &[("UserName", "carol")]).ok();
    let again = [("UserName", "carol"), ("Path", "/x/")];
    api.call("CreateUser", &again).ok();
    for name in ["of-user", "escaped"] {
        assert_eq!(trusted(&api, name), alice.one("UserId"));
    }
    api.call("DeleteRole", &[("RoleName", "worker")]).ok();
    assert_eq!(trusted(&api, "of-role")[0], *worker);
    assert_eq!(trusted(&api, "of-role")[1], format!("{account}:root"));
    assert_eq!(trusted(&api, "of-session"), *worker);
    // What is left of one that is gone is nobody to be trusted again.
    let trust = trusts(&format!("\"AWS\":\"{worker}\""));
    let parameters = [("RoleName", "of-role"), ("PolicyDocument", &*trust)];
    let (code, _) = api.refused("UpdateAssumeRolePolicy", &parameters);
    assert_eq!(code, "MalformedPolicyDocument");
}

#[test]
fn what_becomes_of_those_who_are_trusted_touches_no_role() {
    let api = Api::new();
    let account: AccountId = "444455556666".parse().unwrap();
    let other = Somebody::new(account, "arn:aws:iam::444455556666:root");
    let alice = api.call("CreateUser", &[("UserName", "alice")]).ok();
    let trust = trusts("\"AWS\":\"arn:aws:iam::111122223333:user/alice\"");
    let parameters = [("RoleName", "r"), ("AssumeRolePolicyDocument", &*trust)];
    let user = "identity/user/111122223333/alice";
    let before = api.memory.view_now().entries[user].0;
    // Another account's role holds nothing of this one in place.
    let made = api.call_as(&other, "CreateRole", &parameters).ok();
    assert_eq!(decoded(&made.one("AssumeRolePolicyDocument")), trust);
    assert_eq!(api.memory.view_now().entries[user].0, before);
    let role = "identity/role/444455556666/r";
    let stored = api.memory.view_now();
    let bound = trusts(&format!("\"AWS\":\"{}\"", alice.one("UserId")));
    assert_eq!(&*stored.read::<Role>(role).unwrap().trust, bound);
    let renamed = [("UserName", "alice"), ("NewUserName", "carol")];
    api.call("UpdateUser", &renamed).ok();
    let shown = |operation: &str| {
        let read = api.call_as(&other, operation, &[("RoleName", "r")]).ok();
        decoded(&read.one("AssumeRolePolicyDocument"))
    };
    for operation in ["GetRole", "ListRoles", "GetAccountAuthorizationDetails"] {
        assert_eq!(
            shown(operation),
            trust.replace("alice", "carol"),
            "{operation}"
        );
    }
    api.call("DeleteUser", &[("UserName", "carol")]).ok();
    api.call("CreateUser", &[("UserName", "carol")]).ok();
    assert_eq!(shown("GetRole"), bound);
    assert_eq!(api.memory.view_now().entries[role], stored.entries[role]);
}

#[test]
fn one_that_was_deleted_meanwhile_is_not_trusted() {
    let api = Api::new();
    let trust = trusts("\"AWS\":\"arn:aws:iam::111122223333:user/alice\"");
    let parameters = [("RoleName", "r"), ("AssumeRolePolicyDocument", &*trust)];
    user(&api, "/", "alice");
    api.memory
        .interfere(|view| view.remove("identity/user/111122223333/alice"));
    api.call("CreateRole", &parameters).ok();
    // Its id is left, and the next one of that name isn't it.
    api.call("CreateUser", &[("UserName", "alice")]).ok();
    assert_eq!(trusted(&api, "r"), "AIDAALICE000000000000");
    // A role may trust itself.
    let itself = trusts("\"AWS\":\"arn:aws:iam::111122223333:role/r\"");
    let parameters = [("RoleName", "r"), ("PolicyDocument", &*itself)];
    api.call("UpdateAssumeRolePolicy", &parameters).ok();
    assert_eq!(trusted(&api, "r"), "arn:aws:iam::111122223333:role/r");
    api.call("DeleteRole", &[("RoleName", "r")]).ok();
}
