//! Managed policies and their versions, attachments and boundaries, and inline policies.

use crate::fixtures::{allows, decoded, group, of_size, policy, role, user};
use crate::support::{Answer, Api, Somebody};

const READ_ONLY: &str = "arn:aws:iam::aws:policy/ReadOnlyAccess";

fn error(code: &str, text: impl Into<String>) -> (String, String) {
    (code.to_owned(), text.into())
}

fn counts(answer: &Answer) -> (String, String) {
    let attached = answer.one("AttachmentCount");
    (attached, answer.one("PermissionsBoundaryUsageCount"))
}

#[test]
fn a_policy_is_made_read_and_deleted() {
    let api = Api::new();
    let document = allows("s3:GetObject");
    let made = api
        .call(
            "CreatePolicy",
            &[
                ("PolicyName", "Read"),
                ("Path", "/team/"),
                ("PolicyDocument", &document),
                ("Description", "reads"),
                ("Tags.member.1.Key", "k"),
                ("Tags.member.1.Value", "v"),
            ],
        )
        .ok();
    let arn = made.one("Arn");
    assert_eq!(arn, "arn:aws:iam::111122223333:policy/team/Read");
    assert_eq!(made.one("DefaultVersionId"), "v1");
    assert_eq!(made.one("IsAttachable"), "true");
    assert_eq!(counts(&made), ("0".to_owned(), "0".to_owned()));
    assert!(made.one("PolicyId").starts_with("ANPA"));
    let read = api.call("GetPolicy", &[("PolicyArn", &arn)]).ok();
    assert_eq!(read.one("Description"), "reads");
    assert_eq!(read.all("Key"), ["k"]);
    let version = [("PolicyArn", &*arn), ("VersionId", "v1")];
    let version = api.call("GetPolicyVersion", &version).ok();
    assert_eq!(decoded(&version.one("Document")), document);
    assert_eq!(version.one("IsDefaultVersion"), "true");
    let again = [("PolicyName", "READ"), ("PolicyDocument", &*document)];
    let text = "A policy called READ already exists. Duplicate names are not allowed.";
    assert_eq!(
        api.refused("CreatePolicy", &again),
        error("EntityAlreadyExists", text)
    );
    api.call("DeletePolicy", &[("PolicyArn", &arn)]).ok();
    let gone = error("NoSuchEntity", format!("Policy {arn} was not found."));
    assert_eq!(api.refused("GetPolicy", &[("PolicyArn", &arn)]), gone);
    assert_eq!(api.refused("DeletePolicy", &[("PolicyArn", &arn)]), gone);
}

#[test]
fn a_policy_s_description_is_what_an_answer_can_repeat() {
    let api = Api::new();
    let document = allows("s3:GetObject");
    let of = |description| {
        [
            ("PolicyName", "Read"),
            ("PolicyDocument", &document),
            ("Description", description),
        ]
    };
    for description in [
        "a\u{0}",
        "\u{7}",
        "\u{1b}[0m",
        "a\u{85}b",
        "a\u{fffe}",
        "\u{ffff}",
    ] {
        let (code, text) = api.refused("CreatePolicy", &of(description));
        assert_eq!(code, "ValidationError");
        assert!(text.contains("at 'description'"), "{text}");
        assert!(!text.contains(description), "{text}");
    }
    let made = api.call("CreatePolicy", &of("é\t\n\u{1f512}")).ok();
    assert_eq!(made.one("Description"), "é\t\n\u{1f512}");
}

#[test]
fn what_no_policy_can_be_is_refused() {
    let api = Api::new();
    let document = allows("s3:*");
    let refused = |name: &str, path: &str, document: &str| {
        let parameters = [
            ("PolicyName", name),
            ("Path", path),
            ("PolicyDocument", document),
        ];
        api.refused("CreatePolicy", &parameters)
    };
    for (name, path, document) in [
        ("a/b", "/", &*document),
        ("", "/", &document),
        (&*"x".repeat(129), "/", &document),
        ("p", "/a", &document),
        ("p", "/a!/", &document),
        ("p", "/", ""),
        ("p", "/", "\u{100}"),
    ] {
        let (code, message) = refused(name, path, document);
        assert_eq!(
            code, "ValidationError",
            "{name} {path} {document}: {message}"
        );
    }
    let principal = "{\"Version\":\"2012-10-17\",\"Statement\":[{\"Effect\":\"Allow\",\n\
                     \"Principal\":\"*\",\"Action\":\"s3:*\",\"Resource\":\"*\"}]}";
    for document in [
        "{}",
        "{\"Version\":\"2012-10-17\",\"Statement\":[]}",
        "not json",
        principal,
        &allows("everything"),
    ] {
        let (code, message) = refused("p", "/", document);
        assert_eq!(code, "MalformedPolicyDocument", "{document}: {message}");
        assert!(message.contains("(line "), "{message}");
    }
    let fits = of_size(6_144).replace("\"Version\"", " \n\t\"Version\"");
    let created = [("PolicyName", "fits"), ("PolicyDocument", &*fits)];
    api.call("CreatePolicy", &created).ok();
    let text = "Cannot exceed quota for PolicySize: 6144";
    assert_eq!(
        refused("long", "/", &of_size(6_145)),
        error("LimitExceeded", text)
    );
    let text = "ARN arn:aws:iam::x:policy/p is not valid.";
    let arn = [("PolicyArn", "arn:aws:iam::x:policy/p")];
    assert_eq!(api.refused("GetPolicy", &arn), error("InvalidInput", text));
}

#[test]
fn a_policy_has_five_versions_and_numbers_are_not_used_again() {
    let api = Api::new();
    let arn = policy(&api, "p", "s3:*");
    let named = ("PolicyArn", &*arn);
    let create = |action: &str, is_default: &str| {
        let document = allows(action);
        let parameters = [
            named,
            ("PolicyDocument", &document),
            ("SetAsDefault", is_default),
        ];
        api.call("CreatePolicyVersion", &parameters)
    };
    let second = create("s3:a", "false").ok();
    assert_eq!(second.one("VersionId"), "v2");
    assert_eq!(second.one("IsDefaultVersion"), "false");
    assert!(second.all("Document").is_empty());
    assert_eq!(create("s3:b", "true").ok().one("VersionId"), "v3");
    create("s3:c", "false").ok();
    create("s3:d", "false").ok();
    let text = "A managed policy can have up to 5 versions. Before you create a new version, you \
                must delete an existing version.";
    assert_eq!(
        create("s3:e", "false").error(),
        error("LimitExceeded", text)
    );
    let listed = api.call("ListPolicyVersions", &[named]).ok();
    assert_eq!(listed.all("VersionId"), ["v5", "v4", "v3", "v2", "v1"]);
    assert_eq!(
        listed.all("IsDefaultVersion"),
        ["false", "false", "true", "false", "false"]
    );
    let text = "Cannot delete the default version of a policy.";
    let third = ("VersionId", "v3");
    assert_eq!(
        api.refused("DeletePolicyVersion", &[named, third]),
        error("DeleteConflict", text)
    );
    api.call("DeletePolicyVersion", &[named, ("VersionId", "v5")])
        .ok();
    assert_eq!(create("s3:f", "false").ok().one("VersionId"), "v6");
    api.call("SetDefaultPolicyVersion", &[named, ("VersionId", "v1")])
        .ok();
    assert_eq!(
        api.call("GetPolicy", &[named]).ok().one("DefaultVersionId"),
        "v1"
    );
    let text = format!("Policy {arn} version v5 does not exist or is not attachable.");
    for operation in [
        "SetDefaultPolicyVersion",
        "DeletePolicyVersion",
        "GetPolicyVersion",
    ] {
        let refused = api.refused(operation, &[named, ("VersionId", "v5")]);
        assert_eq!(refused, error("NoSuchEntity", &*text), "{operation}");
        for version in ["5", "v0", "v", "v05", "v-1", "V1", "v1 "] {
            let (code, _) = api.refused(operation, &[named, ("VersionId", version)]);
            assert_eq!(code, "ValidationError", "{version}");
        }
    }
    let (code, message) = api.refused("DeletePolicy", &[named]);
    assert_eq!(code, "DeleteConflict");
    assert!(
        message.starts_with("This policy has more than one version."),
        "{message}"
    );
    let first = api
        .call("ListPolicyVersions", &[named, ("MaxItems", "2")])
        .ok();
    assert_eq!(first.all("VersionId"), ["v6", "v4"]);
    let marker = first.one("Marker");
    let rest = api
        .call("ListPolicyVersions", &[named, ("Marker", &marker)])
        .ok();
    assert_eq!(rest.all("VersionId"), ["v3", "v2", "v1"]);
}

#[test]
fn policies_of_aws_are_there_and_nobody_changes_them() {
    let api = Api::new();
    role(&api, "r");
    let named = ("PolicyArn", "arn:aws:iam::aws:policy/AdministratorAccess");
    let read = api.call("GetPolicy", &[named]).ok();
    assert_eq!(read.one("PolicyName"), "AdministratorAccess");
    let version = api
        .call("GetPolicyVersion", &[named, ("VersionId", "v1")])
        .ok();
    assert!(decoded(&version.one("Document")).contains("\"*\""));
    let document = allows("s3:*");
    let refused = [
        (
            "CreatePolicyVersion",
            vec![named, ("PolicyDocument", &*document)],
        ),
        ("DeletePolicyVersion", vec![named, ("VersionId", "v1")]),
        ("SetDefaultPolicyVersion", vec![named, ("VersionId", "v1")]),
        ("DeletePolicy", vec![named]),
        ("UntagPolicy", vec![named, ("TagKeys.member.1", "k")]),
    ];
    for (operation, parameters) in refused {
        let (code, message) = api.refused(operation, &parameters);
        assert_eq!(code, "AccessDenied", "{operation}");
        assert!(
            message.contains(&format!("perform: iam:{operation} on")),
            "{message}"
        );
    }
    let unknown = "arn:aws:iam::aws:policy/AmazonEC2FullAccess";
    let text = format!("Policy {unknown} does not exist or is not attachable.");
    let parameters = [("RoleName", "r"), ("PolicyArn", unknown)];
    assert_eq!(
        api.refused("AttachRolePolicy", &parameters),
        error("NoSuchEntity", text)
    );
    let linked = "arn:aws:iam::aws:policy/aws-service-role/DynamoDBReplicationServiceRolePolicy";
    let parameters = [("RoleName", "r"), ("PolicyArn", linked)];
    assert_eq!(
        api.refused("AttachRolePolicy", &parameters).0,
        "PolicyNotAttachable"
    );
}

#[test]
fn policies_are_listed_by_scope_use_and_path() {
    let api = Api::new();
    user(&api, "/", "alice");
    let used = policy(&api, "used", "s3:*");
    let bounds = policy(&api, "bounds", "s3:*");
    policy(&api, "idle", "s3:*");
    let document = allows("s3:*");
    let deep = [
        ("PolicyName", "deep"),
        ("Path", "/x/"),
        ("PolicyDocument", &*document),
    ];
    api.call("CreatePolicy", &deep).ok();
    let alice = ("UserName", "alice");
    api.call("AttachUserPolicy", &[alice, ("PolicyArn", &used)])
        .ok();
    api.call("AttachUserPolicy", &[alice, ("PolicyArn", READ_ONLY)])
        .ok();
    let boundary = [alice, ("PermissionsBoundary", &*bounds)];
    api.call("PutUserPermissionsBoundary", &boundary).ok();
    let names = |parameters: &[(&str, &str)]| {
        let listed = api.call("ListPolicies", parameters).ok();
        listed.all("PolicyName")
    };
    let local = ("Scope", "Local");
    assert_eq!(names(&[local]), ["bounds", "deep", "idle", "used"]);
    assert_eq!(names(&[local, ("PathPrefix", "/x/")]), ["deep"]);
    assert!(names(&[("Scope", "AWS")]).contains(&"PowerUserAccess".to_owned()));
    assert!(!names(&[("Scope", "AWS")]).contains(&"used".to_owned()));
    let attached = ("OnlyAttached", "true");
    assert_eq!(names(&[attached]), ["bounds", "ReadOnlyAccess", "used"]);
    let permissions = ("PolicyUsageFilter", "PermissionsPolicy");
    assert_eq!(names(&[attached, permissions]), ["ReadOnlyAccess", "used"]);
    assert_eq!(names(&[local, permissions]), ["deep", "idle", "used"]);
    let boundaries = ("PolicyUsageFilter", "PermissionsBoundary");
    assert_eq!(names(&[boundaries]), ["bounds"]);
    let mut paged = Vec::new();
    let mut marker = None::<String>;
    loop {
        let mut parameters = vec![("MaxItems", "7")];
        parameters.extend(marker.as_deref().map(|marker| ("Marker", marker)));
        let page = api.call("ListPolicies", &parameters).ok();
        paged.extend(page.all("PolicyName"));
        match page.all("Marker").pop() {
            Some(next) => marker = Some(next),
            None => break,
        }
    }
    assert_eq!(paged, names(&[]));
    for wrong in [
        ("Scope", "Mine"),
        ("OnlyAttached", "maybe"),
        ("PolicyUsageFilter", "x"),
    ] {
        assert_eq!(api.refused("ListPolicies", &[wrong]).0, "ValidationError");
    }
    let listed = api.call("ListPolicies", &[local]).ok();
    assert_eq!(listed.all("AttachmentCount"), ["0", "0", "0", "1"]);
    assert_eq!(
        listed.all("PermissionsBoundaryUsageCount"),
        ["1", "0", "0", "0"]
    );
}

#[test]
fn policies_are_attached_counted_listed_and_detached() {
    let api = Api::new();
    user(&api, "/team/", "alice");
    group(&api, "/", "staff");
    role(&api, "worker");
    let arn = policy(&api, "p", "s3:*");
    let named = ("PolicyArn", &*arn);
    let holders = [
        ("User", ("UserName", "alice")),
        ("Group", ("GroupName", "staff")),
        ("Role", ("RoleName", "worker")),
    ];
    for (kind, holder) in holders {
        let attach = format!("Attach{kind}Policy");
        api.call(&attach, &[holder, named]).ok();
        let before = api.memory.view_now();
        api.call(&attach, &[holder, named]).ok();
        assert_eq!(api.memory.view_now(), before, "attached twice");
        api.call(&attach, &[holder, ("PolicyArn", READ_ONLY)]).ok();
        let list = format!("ListAttached{kind}Policies");
        let listed = api.call(&list, &[holder]).ok();
        assert_eq!(listed.all("PolicyName"), ["p", "ReadOnlyAccess"]);
        assert_eq!(listed.all("PolicyArn"), [&*arn, READ_ONLY]);
        let none = api.call(&list, &[holder, ("PathPrefix", "/x/")]).ok();
        assert!(none.all("PolicyName").is_empty());
    }
    let boundary = [("RoleName", "worker"), ("PermissionsBoundary", &*arn)];
    api.call("PutRolePermissionsBoundary", &boundary).ok();
    let read = api.call("GetPolicy", &[named]).ok();
    assert_eq!(counts(&read), ("3".to_owned(), "1".to_owned()));
    let entities = |more: &[(&str, &str)]| {
        let parameters: Vec<_> = std::iter::once(named).chain(more.iter().copied()).collect();
        let found = api.call("ListEntitiesForPolicy", &parameters).ok();
        [
            found.all("GroupName"),
            found.all("UserName"),
            found.all("RoleName"),
        ]
        .concat()
    };
    assert_eq!(entities(&[]), ["staff", "alice", "worker"]);
    assert_eq!(entities(&[("EntityFilter", "User")]), ["alice"]);
    assert_eq!(entities(&[("PathPrefix", "/team/")]), ["alice"]);
    let bounded = ("PolicyUsageFilter", "PermissionsBoundary");
    assert_eq!(entities(&[bounded]), ["worker"]);
    let page = api
        .call("ListEntitiesForPolicy", &[named, ("MaxItems", "2")])
        .ok();
    assert_eq!(page.one("IsTruncated"), "true");
    assert_eq!(entities(&[("Marker", &page.one("Marker"))]), ["worker"]);

    let in_use = error(
        "DeleteConflict",
        "Cannot delete a policy attached to entities.",
    );
    for (kind, holder) in holders {
        assert_eq!(api.refused("DeletePolicy", &[named]), in_use);
        let detach = format!("Detach{kind}Policy");
        api.call(&detach, &[holder, named]).ok();
        let text = format!("Policy {arn} was not found.");
        assert_eq!(
            api.refused(&detach, &[holder, named]),
            error("NoSuchEntity", text)
        );
    }
    assert_eq!(api.refused("DeletePolicy", &[named]), in_use);
    let worker = ("RoleName", "worker");
    let read = api.call("GetRole", &[worker]).ok();
    assert_eq!(read.one("PermissionsBoundaryArn"), arn);
    assert_eq!(read.one("PermissionsBoundaryType"), "Policy");
    api.call("DeleteRolePermissionsBoundary", &[worker]).ok();
    assert_eq!(
        api.refused("DeleteRolePermissionsBoundary", &[worker]).0,
        "NoSuchEntity"
    );
    api.call("DeletePolicy", &[named]).ok();
}

#[test]
fn ten_policies_are_attached_at_most() {
    let api = Api::new();
    group(&api, "/", "staff");
    let staff = ("GroupName", "staff");
    for number in 0..10 {
        let arn = policy(&api, &format!("p{number}"), "s3:*");
        api.call("AttachGroupPolicy", &[staff, ("PolicyArn", &arn)])
            .ok();
    }
    let text = "Cannot exceed quota for PoliciesPerGroup: 10";
    let eleventh = [staff, ("PolicyArn", READ_ONLY)];
    assert_eq!(
        api.refused("AttachGroupPolicy", &eleventh),
        error("LimitExceeded", text)
    );
}

#[test]
fn a_policy_deleted_elsewhere_meanwhile_is_not_attached() {
    let api = Api::new();
    user(&api, "/", "alice");
    role(&api, "worker");
    let arn = policy(&api, "p", "s3:*");
    let key = "identity/policy/111122223333/p";
    let gone = error(
        "NoSuchEntity",
        format!("Policy {arn} does not exist or is not attachable."),
    );
    let named = ("PolicyArn", &*arn);
    let boundary = ("PermissionsBoundary", &*arn);
    for (operation, parameters) in [
        ("AttachUserPolicy", [("UserName", "alice"), named]),
        (
            "PutRolePermissionsBoundary",
            [("RoleName", "worker"), boundary],
        ),
    ] {
        api.memory.interfere(|view| view.remove(key));
        let answer = api.call(operation, &parameters);
        assert_eq!(answer.error(), gone, "{operation}");
        policy(&api, "p", "s3:*");
    }
    assert_eq!(counts(&api.call("GetPolicy", &[named]).ok()).0, "0");
}

#[test]
fn a_policy_attached_elsewhere_meanwhile_is_not_deleted() {
    let api = Api::new();
    user(&api, "/", "alice");
    let arn = policy(&api, "p", "s3:*");
    let elsewhere = api.elsewhere();
    let attached = arn.clone();
    api.memory.interfere(move |view| {
        let mut user: identity::model::User =
            view.read("identity/user/111122223333/alice").unwrap();
        user.policies.attached.push(attached);
        view.set("identity/user/111122223333/alice".to_owned(), &user);
        let policy: identity::model::ManagedPolicy =
            view.read("identity/policy/111122223333/p").unwrap();
        view.set("identity/policy/111122223333/p".to_owned(), &policy);
    });
    let answer = api.call("DeletePolicy", &[("PolicyArn", &arn)]);
    assert_eq!(answer.error().0, "DeleteConflict");
    // What attaching really writes is what that relies on.
    role(&elsewhere, "r");
    let before = elsewhere.memory.view_now();
    let parameters = [("RoleName", "r"), ("PolicyArn", &*arn)];
    elsewhere.call("AttachRolePolicy", &parameters).ok();
    let after = elsewhere.memory.view_now();
    let key = "identity/policy/111122223333/p";
    assert_ne!(before.entries[key].0, after.entries[key].0);
    assert_eq!(before.entries[key].1, after.entries[key].1);
}

#[test]
fn inline_policies_are_put_read_listed_and_deleted() {
    let api = Api::new();
    user(&api, "/", "alice");
    group(&api, "/", "staff");
    role(&api, "worker");
    for (kind, holder, most) in [
        ("User", ("UserName", "alice"), 2_048),
        ("Group", ("GroupName", "staff"), 5_120),
        ("Role", ("RoleName", "worker"), 10_240),
    ] {
        let put = |name: &str, document: &str| {
            let parameters = [holder, ("PolicyName", name), ("PolicyDocument", document)];
            api.call(&format!("Put{kind}Policy"), &parameters)
        };
        let document = allows("s3:*").replace("\"Action\"", "\n  \"Action\"");
        put("b", &document).ok();
        put("a", &allows("iam:*")).ok();
        put("a", &document).ok();
        let named = ("PolicyName", "a");
        let read = api.call(&format!("Get{kind}Policy"), &[holder, named]).ok();
        assert_eq!(read.one(holder.0), holder.1);
        assert_eq!(decoded(&read.one("PolicyDocument")), document);
        let list = format!("List{kind}Policies");
        let first = api.call(&list, &[holder, ("MaxItems", "1")]).ok();
        assert!(
            first
                .text
                .contains("<PolicyNames><member>a</member></PolicyNames>")
        );
        let marker = first.one("Marker");
        let rest = api.call(&list, &[holder, ("Marker", &marker)]).ok();
        assert!(
            rest.text
                .contains("<PolicyNames><member>b</member></PolicyNames>")
        );
        let used = 2 * allows("s3:*").len();
        put("c", &of_size(most - used)).ok();
        let text = format!(
            "Maximum policy size of {most} bytes exceeded for {} {}",
            kind.to_lowercase(),
            holder.1
        );
        assert_eq!(
            put("d", &allows("a:b")).error(),
            error("LimitExceeded", text)
        );
        assert_eq!(put("d", "{").error().0, "MalformedPolicyDocument");
        for name in ["b", "c", "a"] {
            api.call(
                &format!("Delete{kind}Policy"),
                &[holder, ("PolicyName", name)],
            )
            .ok();
        }
        let word = kind.to_lowercase();
        let text = format!("The {word} policy with name a cannot be found.");
        for operation in ["Get", "Delete"] {
            let refused = api.refused(&format!("{operation}{kind}Policy"), &[holder, named]);
            assert_eq!(refused, error("NoSuchEntity", &*text));
        }
        let text = format!("The {word} with name nobody cannot be found.");
        let refused = api.refused(&list, &[(holder.0, "nobody")]);
        assert_eq!(refused, error("NoSuchEntity", text));
    }
}

#[test]
fn policies_that_are_tagged_keep_one_tag_a_key() {
    let api = Api::new();
    let arn = policy(&api, "p", "s3:*");
    let profile = ("InstanceProfileName", "i");
    api.call("CreateInstanceProfile", &[profile]).ok();
    role(&api, "r");
    for (kind, named) in [
        ("Policy", ("PolicyArn", &*arn)),
        ("InstanceProfile", profile),
        ("Role", ("RoleName", "r")),
    ] {
        let tag = |key: &str, value: &str| {
            let parameters = [
                named,
                ("Tags.member.1.Key", key),
                ("Tags.member.1.Value", value),
            ];
            api.call(&format!("Tag{kind}"), &parameters)
        };
        tag("Team", "blue").ok();
        tag("team", "red").ok();
        tag("a", "").ok();
        let listed = api.call(&format!("List{kind}Tags"), &[named]).ok();
        assert_eq!(listed.all("Key"), ["a", "team"]);
        assert_eq!(listed.all("Value"), ["", "red"]);
        let untag = [
            named,
            ("TagKeys.member.1", "TEAM"),
            ("TagKeys.member.2", "none"),
        ];
        api.call(&format!("Untag{kind}"), &untag).ok();
        let listed = api.call(&format!("List{kind}Tags"), &[named]).ok();
        assert_eq!(listed.all("Key"), ["a"]);
        for number in 0..49 {
            tag(&format!("k{number}"), "v").ok();
        }
        let (code, message) = tag("one-more", "v").error();
        assert_eq!(code, "LimitExceeded");
        assert_eq!(
            message,
            format!("Cannot exceed quota for TagsPer{kind}: 50")
        );
        assert_eq!(tag("aws:x", "v").error().0, "InvalidInput");
    }
}

#[test]
fn another_account_s_policy_is_nobody_s_here() {
    let api = Api::new();
    let arn = policy(&api, "p", "s3:*");
    let account = "444455556666".parse().unwrap();
    let other = Somebody::new(account, "arn:aws:iam::444455556666:user/eve");
    for operation in ["GetPolicy", "DeletePolicy", "ListPolicyVersions"] {
        let answer = api.call_as(&other, operation, &[("PolicyArn", &arn)]);
        assert_eq!(answer.error().0, "NoSuchEntity", "{operation}");
    }
}
