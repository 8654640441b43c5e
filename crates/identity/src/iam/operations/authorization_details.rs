//! `GetAccountAuthorizationDetails`: all that an account has which says who may do what. Of AWS's
//! policies those that are used.

use std::collections::BTreeMap;

use aws::query::Reply;
use aws::xml::XmlWriter;

use crate::Service;
use crate::aws_managed;
use crate::entries::{self, Entry};
use crate::iam::documents::Encoded;
use crate::iam::holder::Holder;
use crate::iam::ids::time;
use crate::iam::managed::{self, Managed, Usage};
use crate::iam::paging::{PageUnderWay, Paging};
use crate::iam::parameters;
use crate::iam::policy_shapes;
use crate::iam::request::IamRequest;
use crate::iam::shapes::{self, Detail};
use crate::iam::{IamError, role_shapes};
use crate::model::{Group, InstanceProfile, ManagedPolicy, Role, User};

/// What can be asked for (API reference, `EntityType`), in the order of the answer.
const KINDS: [&str; 5] = [
    "User",
    "Group",
    "Role",
    "LocalManagedPolicy",
    "AWSManagedPolicy",
];

/// Bytes of the configuration that one page tells of before it ends: it may have fewer things than
/// are asked for (API reference, `MaxItems`), so that no answer is very large.
const MOST_BYTES: usize = 2 * 1024 * 1024;

/// One of the things that are told.
enum Told {
    User(User),
    Group(Group),
    Role(Role),
    Policy(Managed, Usage),
}

/// Carries it out.
pub(crate) async fn get(service: &Service, request: &IamRequest<'_>) -> Result<Reply, IamError> {
    let wanted = filter(request)?;
    let paging = Paging::of(request)?;
    let (mut page, mut told) = (paging.walk(), 0);
    if wanted[0] {
        collect(request, '0', &mut page, &mut told, Told::User)?;
    }
    if wanted[1] {
        collect(request, '1', &mut page, &mut told, Told::Group)?;
    }
    if wanted[2] {
        let identity = service.identity();
        let as_shown = |role| Told::Role(role_shapes::shown(&identity, role));
        collect(request, '2', &mut page, &mut told, as_shown)?;
    }
    if wanted[3] || wanted[4] {
        collect_policies(request, &wanted, &mut page, &mut told)?;
    }
    let page = page.finish();
    let mut reply = request.reply();
    let writer = reply.writer();
    write_users(writer, request, &page.items)?;
    write_groups(writer, request, &page.items);
    write_roles(writer, request, &page.items)?;
    writer.open("Policies");
    for told in &page.items {
        if let Told::Policy(policy, usage) = told {
            let detail = policy_shapes::Detail::Authorization;
            policy_shapes::policy(writer, "member", request.account(), policy, *usage, detail);
        }
    }
    writer.close();
    page.write_end(writer);
    Ok(reply)
}

/// Which of the kinds are asked for: all, where none is.
fn filter(request: &IamRequest<'_>) -> Result<[bool; 5], IamError> {
    let given = request.members().values("Filter")?;
    for (index, kind) in given.iter().enumerate() {
        if !KINDS.contains(kind) {
            let member = format!("filter.{}.member", index + 1);
            let rule = format!("Member must satisfy enum value set: [{}]", KINDS.join(", "));
            return Err(parameters::constraint(&member, Some(kind), &rule));
        }
    }
    Ok(KINDS.map(|kind| given.is_empty() || given.contains(&kind)))
}

/// Everything of that kind; what is on another page isn't decoded. `place` sorts the kinds, `told`
/// counts bytes.
fn collect<T: Entry>(
    request: &IamRequest<'_>,
    place: char,
    page: &mut PageUnderWay<'_, Told>,
    told: &mut usize,
    tell: impl Fn(T) -> Told,
) -> Result<(), IamError> {
    let prefix = entries::prefix::<T>(request.account());
    let mut failed = None;
    request.view().visit(&prefix, &mut |key, _, bytes| {
        let sorted = format!("{place}/{}", &key[prefix.len()..]);
        if failed.is_some() || !page.wants(&sorted) {
            return;
        }
        if *told > MOST_BYTES {
            page.end();
            return;
        }
        *told += bytes.len();
        match entries::decode::<T>(key, bytes) {
            Ok(thing) => page.take(sorted, tell(thing)),
            Err(error) => failed = Some(error),
        }
    });
    failed.map_or(Ok(()), |error| Err(error.into()))
}

fn collect_policies(
    request: &IamRequest<'_>,
    wanted: &[bool; 5],
    page: &mut PageUnderWay<'_, Told>,
    told: &mut usize,
) -> Result<(), IamError> {
    if page.is_done() {
        return Ok(());
    }
    let account = request.account();
    let usages = managed::usages(request.view(), account)?;
    if wanted[3] {
        collect(request, '3', page, told, |policy: ManagedPolicy| {
            let policy = Managed::Local(0, Box::new(policy));
            let usage = usages.get(&policy.arn(account)).copied();
            Told::Policy(policy, usage.unwrap_or_default())
        })?;
    }
    if wanted[4] {
        for policy in aws_managed::all() {
            let usage = usages.get(&policy.arn()).copied();
            let sorted = format!("4/{}", policy.name.to_ascii_lowercase());
            if let Some(usage) = usage
                && page.wants(&sorted)
            {
                page.take(sorted, Told::Policy(Managed::Aws(policy), usage));
            }
        }
    }
    Ok(())
}

fn write_users(
    writer: &mut XmlWriter,
    request: &IamRequest<'_>,
    page: &[Told],
) -> Result<(), IamError> {
    writer.open("UserDetailList");
    for told in page {
        let Told::User(user) = told else { continue };
        writer
            .open("member")
            .value("Path", &user.path)
            .value("UserName", &user.name)
            .value("UserId", &user.id)
            .value("Arn", user.arn(request.account()))
            .value("CreateDate", time(user.created));
        policy_shapes::held(writer, "UserPolicyList", &user.policies);
        writer.open("GroupList");
        for name in &user.groups {
            let group = entries::read::<Group>(request.view(), request.account(), name)?;
            writer.optional("member", group.map(|(_, group)| group.name));
        }
        writer.close();
        shapes::boundary(writer, user.boundary.as_deref());
        shapes::tags(writer, &user.tags);
        writer.close();
    }
    writer.close();
    Ok(())
}

fn write_groups(writer: &mut XmlWriter, request: &IamRequest<'_>, page: &[Told]) {
    writer.open("GroupDetailList");
    for told in page {
        let Told::Group(group) = told else { continue };
        writer
            .open("member")
            .value("Path", &group.path)
            .value("GroupName", &group.name)
            .value("GroupId", &group.id)
            .value("Arn", group.arn(request.account()))
            .value("CreateDate", time(group.created));
        policy_shapes::held(writer, "GroupPolicyList", &group.policies);
        writer.close();
    }
    writer.close();
}

fn write_roles(
    writer: &mut XmlWriter,
    request: &IamRequest<'_>,
    page: &[Told],
) -> Result<(), IamError> {
    let account = request.account();
    let mut profiles = BTreeMap::<String, Vec<InstanceProfile>>::new();
    if page.iter().any(|told| matches!(told, Told::Role(_))) {
        for (_, profile) in entries::all::<InstanceProfile>(request.view(), account)? {
            let role = profile.role.clone().unwrap_or_default();
            profiles.entry(role).or_default().push(profile);
        }
    }
    writer.open("RoleDetailList");
    for told in page {
        let Told::Role(role) = told else { continue };
        writer
            .open("member")
            .value("Path", &role.path)
            .value("RoleName", &role.name)
            .value("RoleId", &role.id)
            .value("Arn", role.arn(account))
            .value("CreateDate", time(role.created))
            .value("AssumeRolePolicyDocument", Encoded(&role.trust))
            .open("InstanceProfileList");
        for profile in profiles
            .get(&role.name.to_ascii_lowercase())
            .into_iter()
            .flatten()
        {
            let detail = Detail::Listed;
            let its_role = Some(role);
            role_shapes::instance_profile(writer, "member", account, profile, its_role, detail);
        }
        writer.close();
        policy_shapes::held(writer, "RolePolicyList", &role.policies);
        shapes::boundary(writer, role.boundary.as_deref());
        shapes::tags(writer, &role.tags);
        writer.open("RoleLastUsed").close().close();
    }
    writer.close();
    Ok(())
}
