//! Whatever two Regions change at the same time, nothing ever names what isn't there: no user,
//! group or role a policy, no instance profile a role, no user a group, no role one it trusts.

use identity::entries;
use identity::model::{Group, InstanceProfile, ManagedPolicy, Role, User, arn};
use proptest::prelude::*;
use types::AccountId;

use crate::fixtures::{allows, trusts, trusts_ec2};
use crate::support::{Api, View};

/// What is done, with what: users, groups and roles a and b, policies p and q, a profile i.
type Step = (&'static str, Vec<(&'static str, String)>);

/// Whom the role b trusts.
const TRUSTED: &str = "arn:aws:iam::111122223333:user/a";

/// Something that is made, named or taken away.
fn step() -> impl Strategy<Value = Step> {
    with_parameters(prop_oneof![
        3 => prop_oneof![
            Just("CreatePolicy"), Just("CreateRole"), Just("CreateUser"), Just("CreateGroup"),
            Just("CreateInstanceProfile"),
        ],
        3 => prop_oneof![
            Just("AttachUserPolicy"), Just("AttachRolePolicy"), Just("AttachGroupPolicy"),
            Just("PutUserPermissionsBoundary"), Just("PutRolePermissionsBoundary"),
        ],
        2 => prop_oneof![2 => Just("AddRoleToInstanceProfile"), 1 => Just("AddUserToGroup")],
        1 => removal_name(),
    ])
}

/// Something that is taken away.
fn removal() -> impl Strategy<Value = Step> {
    with_parameters(removal_name())
}

fn removal_name() -> impl Strategy<Value = &'static str> {
    prop_oneof![
        2 => prop_oneof![
            Just("DeletePolicy"), Just("DeleteRole"), Just("DeleteUser"), Just("DeleteGroup"),
            Just("DeleteInstanceProfile"),
        ],
        1 => prop_oneof![
            Just("DetachUserPolicy"), Just("DetachRolePolicy"), Just("DetachGroupPolicy"),
            Just("DeleteUserPermissionsBoundary"), Just("DeleteRolePermissionsBoundary"),
            Just("RemoveRoleFromInstanceProfile"), Just("RemoveUserFromGroup"),
        ],
    ]
}

fn with_parameters(operations: impl Strategy<Value = &'static str>) -> impl Strategy<Value = Step> {
    let own = |name: &str| format!("arn:aws:iam::111122223333:policy/{name}");
    // Mostly one, so that steps meet.
    let policy = prop_oneof![4 => Just("p"), 1 => Just("q")];
    let name = prop_oneof![4 => Just("a"), 1 => Just("b")];
    (operations, name, policy).prop_map(move |(operation, name, policy)| {
        let document = match (operation, name) {
            ("CreateRole", "a") => trusts_ec2(),
            ("CreateRole", _) => trusts(&format!("\"AWS\":\"{TRUSTED}\"")),
            _ => allows("s3:*"),
        };
        let parameters = vec![
            ("UserName", name.to_owned()),
            ("GroupName", name.to_owned()),
            ("RoleName", name.to_owned()),
            ("PolicyName", policy.to_owned()),
            ("PolicyArn", own(policy)),
            ("InstanceProfileName", "i".to_owned()),
            ("PolicyDocument", document.clone()),
            ("AssumeRolePolicyDocument", document),
        ];
        let bounded = operation.ends_with("Boundary") || operation == "CreateUser";
        let boundary = bounded.then(|| ("PermissionsBoundary", own(policy)));
        (operation, parameters.into_iter().chain(boundary).collect())
    })
}

fn carry_out(api: &Api, step: &Step) {
    let (operation, parameters) = step;
    let parameters: Vec<_> = parameters
        .iter()
        .map(|(name, value)| (*name, &**value))
        .collect();
    let answer = api.call(operation, &parameters);
    assert!(answer.status < 500, "{operation}: {answer:?}");
}

/// Whatever is named and isn't there.
fn dangling(view: &View) -> Vec<String> {
    let account = AccountId::LAB;
    let mut dangling = Vec::new();
    let policies = entries::all::<ManagedPolicy>(view, account).unwrap();
    let policies: Vec<_> = policies
        .iter()
        .map(|(_, policy)| arn(account, "policy", &policy.path, &policy.name))
        .collect();
    let mut named = |whose: &str, attached: &[String], boundary: Option<&String>| {
        let all = attached.iter().chain(boundary);
        let missing = all.filter(|policy| !policies.contains(policy));
        dangling.extend(missing.map(|policy| format!("{whose} names {policy}")));
    };
    let users = entries::all::<User>(view, account).unwrap();
    for (_, user) in &users {
        named(&user.name, &user.policies.attached, user.boundary.as_ref());
    }
    let roles = entries::all::<Role>(view, account).unwrap();
    for (_, role) in &roles {
        named(&role.name, &role.policies.attached, role.boundary.as_ref());
    }
    for (_, group) in entries::all::<Group>(view, account).unwrap() {
        named(&group.name, &group.policies.attached, None);
    }
    let has_trusted = users.iter().any(|(_, user)| user.name == "a");
    let trusting = roles
        .iter()
        .filter(|(_, role)| role.trust.contains(TRUSTED));
    dangling.extend(
        trusting
            .filter(|_| !has_trusted)
            .map(|(_, role)| format!("{} trusts {TRUSTED}", role.name)),
    );
    for (_, user) in &users {
        for group in &user.groups {
            if entries::read::<Group>(view, account, group)
                .unwrap()
                .is_none()
            {
                dangling.push(format!("{} is in {group}", user.name));
            }
        }
    }
    for (_, profile) in entries::all::<InstanceProfile>(view, account).unwrap() {
        let role = profile.role.as_deref();
        if role.is_some_and(|role| {
            entries::read::<Role>(view, account, role)
                .unwrap()
                .is_none()
        }) {
            dangling.push(format!("{} has {role:?}", profile.name));
        }
    }
    dangling
}

proptest! {
    #![proptest_config(ProptestConfig {
        failure_persistence: None,
        cases: 96,
        ..ProptestConfig::default()
    })]

    #[test]
    fn nothing_names_what_is_not_there(
        steps in proptest::collection::vec((step(), proptest::option::of(removal())), 1..60),
    ) {
        let here = Api::new();
        for (step, meanwhile) in steps {
            if let Some(meanwhile) = meanwhile {
                let there = here.elsewhere();
                here.memory.interfere_through(move |memory| {
                    let there = there.on(memory);
                    carry_out(&there, &meanwhile);
                    there.memory.view_now()
                });
            }
            carry_out(&here, &step);
            let found = dangling(&here.memory.view_now());
            prop_assert!(found.is_empty(), "{:?} after {}", found, step.0);
        }
    }
}
