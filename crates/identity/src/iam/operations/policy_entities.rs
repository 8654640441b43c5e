//! `ListEntitiesForPolicy`: the groups, users and roles that have a policy, attached or for a
//! boundary.

use aws::query::Reply;
use aws::xml::XmlWriter;

use crate::Service;
use crate::iam::error::IamError;
use crate::iam::holder::Holder;
use crate::iam::managed;
use crate::iam::paging::Paging;
use crate::iam::parameters::{self, Parameter};
use crate::iam::request::IamRequest;
use crate::model::{Group, Role, User};

/// What is listed.
const KINDS: Parameter = parameters::one_of(
    "EntityFilter",
    &[
        "User",
        "Role",
        "Group",
        "LocalManagedPolicy",
        "AWSManagedPolicy",
    ],
);

/// For what the policy is used by it.
const USAGES: Parameter = parameters::one_of(
    "PolicyUsageFilter",
    &["PermissionsPolicy", "PermissionsBoundary"],
);

/// Something that has the policy.
struct Found {
    list: List,
    name: String,
    id: String,
}

/// The lists of the answer, in the order in which they are filled.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum List {
    Groups,
    Users,
    Roles,
}

/// Carries it out.
pub(crate) async fn list(_: &Service, request: &IamRequest<'_>) -> Result<Reply, IamError> {
    let kind = request.optional(&KINDS)?;
    let (policy_arn, _) = managed::named(request)?;
    let mut found = Vec::new();
    if kind.is_none_or(|kind| kind == "Group") {
        collect::<Group>(request, policy_arn, List::Groups, &mut found)?;
    }
    if kind.is_none_or(|kind| kind == "User") {
        collect::<User>(request, policy_arn, List::Users, &mut found)?;
    }
    if kind.is_none_or(|kind| kind == "Role") {
        collect::<Role>(request, policy_arn, List::Roles, &mut found)?;
    }
    let page = Paging::of(request)?.page(found);
    let mut reply = request.reply();
    let writer = reply.writer();
    write(
        writer,
        &page.items,
        List::Groups,
        ["PolicyGroups", "GroupName", "GroupId"],
    );
    write(
        writer,
        &page.items,
        List::Users,
        ["PolicyUsers", "UserName", "UserId"],
    );
    write(
        writer,
        &page.items,
        List::Roles,
        ["PolicyRoles", "RoleName", "RoleId"],
    );
    page.write_end(writer);
    Ok(reply)
}

fn collect<T: Holder>(
    request: &IamRequest<'_>,
    policy_arn: &str,
    list: List,
    found: &mut Vec<(String, Found)>,
) -> Result<(), IamError> {
    let prefix = request.optional(&managed::PATH_PREFIX)?.unwrap_or("/");
    let usage = request.optional(&USAGES)?;
    for (_, holder) in managed::users_of::<T>(request.view(), request.account(), policy_arn)? {
        let attached = holder
            .policies()
            .attached
            .iter()
            .any(|known| known == policy_arn);
        let bounds = holder.boundary() == Some(policy_arn);
        let has = match usage {
            Some("PermissionsPolicy") => attached,
            Some(_) => bounds,
            None => attached || bounds,
        };
        if has && holder.path().starts_with(prefix) {
            let name = holder.name().to_owned();
            // One list after the other, each in the order of its names.
            let order = format!("{}/{}", list as u8, name.to_ascii_lowercase());
            let id = holder.id().to_owned();
            found.push((order, Found { list, name, id }));
        }
    }
    Ok(())
}

fn write(writer: &mut XmlWriter, found: &[Found], list: List, names: [&'static str; 3]) {
    writer.open(names[0]);
    for entity in found.iter().filter(|entity| entity.list == list) {
        writer
            .open("member")
            .value(names[1], &entity.name)
            .value(names[2], &entity.id)
            .close();
    }
    writer.close();
}
