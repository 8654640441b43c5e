//! Roles: to make, read, list and delete them.

use aws::query::Reply;

use crate::Service;
use crate::entries;
use crate::iam::error::IamError;
use crate::iam::holder;
use crate::iam::ids::{self, IdKind};
use crate::iam::paging::Paging;
use crate::iam::parameters::{PATH, PATH_PREFIX, PERMISSIONS_BOUNDARY, ROLE_NAME};
use crate::iam::request::IamRequest;
use crate::iam::shapes::Detail;
use crate::iam::{
    change, description, documents, limits, lookup, managed, role_shapes, service_linked, trust,
};
use crate::model::{InstanceProfile, Policies, Role};

/// The shortest of the longest sessions that a role can have, in seconds; and what a role has
/// that says none.
const SHORTEST_SESSION: u32 = 3_600;

/// The longest of them.
const LONGEST_SESSION: u32 = 43_200;

/// `CreateRole`.
pub(crate) async fn create(service: &Service, request: &IamRequest<'_>) -> Result<Reply, IamError> {
    let role = wanted(service, request)?;
    let key = entries::key::<Role>(request.account(), &role.name);
    service
        .change_for(request, &key, |request| {
            let name = &role.name;
            if request.view().get(&key).is_some() {
                return Err(IamError::EntityAlreadyExists(format!(
                    "Role with name {name} already exists."
                )));
            }
            if lookup::count::<Role>(request) >= limits::ROLES_PER_ACCOUNT {
                let most = limits::ROLES_PER_ACCOUNT;
                return Err(IamError::quota("RolesPerAccount", most));
            }
            let mut bound = role.clone();
            bound.trust = trust::bind(request.view(), &role.trust)?;
            let mut edits = vec![change::put(key.clone(), None, &bound)];
            if let Some(policy) = &role.boundary {
                edits.extend(managed::hold(request, policy)?);
            }
            Ok((edits, ()))
        })
        .await?;
    // Its trust policy is answered as it was given.
    let mut reply = request.reply();
    let account = request.account();
    role_shapes::role(reply.writer(), "Role", account, &role, Detail::Whole);
    Ok(reply)
}

fn wanted(service: &Service, request: &IamRequest<'_>) -> Result<Role, IamError> {
    let path = request.optional(&PATH)?.unwrap_or("/");
    let name = request.required(&ROLE_NAME)?;
    if service_linked::is_reserved_path(path) {
        return Err(IamError::InvalidInput(format!(
            "The path {path} is reserved for service-linked roles."
        )));
    }
    Ok(Role {
        name: name.to_owned(),
        id: ids::unique_id(&*service.config.environment, IdKind::Role),
        path: path.to_owned(),
        created: service.now().0,
        trust: documents::given(request, "AssumeRolePolicyDocument")?.into(),
        longest_session: longest_session(request)?.unwrap_or(SHORTEST_SESSION),
        description: description::given(request)?.map(str::to_owned),
        policies: Policies::default(),
        boundary: request.optional(&PERMISSIONS_BOUNDARY)?.map(str::to_owned),
        tags: request.tags()?,
    })
}

/// `MaxSessionDuration`, in seconds.
///
/// # Errors
///
/// No role can have that.
pub(crate) fn longest_session(request: &IamRequest<'_>) -> Result<Option<u32>, IamError> {
    request.number(
        "MaxSessionDuration",
        "maxSessionDuration",
        SHORTEST_SESSION,
        LONGEST_SESSION,
    )
}

/// `GetRole`.
pub(crate) async fn get(service: &Service, request: &IamRequest<'_>) -> Result<Reply, IamError> {
    let (_, role) = holder::named::<Role>(request)?;
    let role = role_shapes::shown(&service.identity(), role);
    let mut reply = request.reply();
    let account = request.account();
    role_shapes::role(reply.writer(), "Role", account, &role, Detail::Whole);
    Ok(reply)
}

/// `ListRoles`: in the order of their names, those at a path or below.
pub(crate) async fn list(service: &Service, request: &IamRequest<'_>) -> Result<Reply, IamError> {
    let prefix = request.optional(&PATH_PREFIX)?.unwrap_or("/");
    let page =
        Paging::of(request)?.entries::<Role>(request, |role| role.path.starts_with(prefix))?;
    let identity = service.identity();
    let mut reply = request.reply();
    page.write(reply.writer(), "Roles", |writer, role| {
        let role = role_shapes::shown(&identity, role.clone());
        role_shapes::role(writer, "member", request.account(), &role, Detail::Listed);
    });
    Ok(reply)
}

/// `DeleteRole`: of one that has no policies any more and is in no instance profile. Its sessions
/// end with it.
pub(crate) async fn delete(service: &Service, request: &IamRequest<'_>) -> Result<Reply, IamError> {
    let name = request.required(&ROLE_NAME)?;
    let key = entries::key::<Role>(request.account(), name);
    service
        .change_for(request, &key, |request| {
            let (revision, role) = holder::modifiable::<Role>(request)?;
            // Whatever puts the role into a profile changes it too: that this holds until the
            // deletion is made, the role's revision says.
            if !profiles_of(request, &role)?.is_empty() {
                return Err(IamError::DeleteConflict(
                    "remove roles from instance profile first",
                ));
            }
            if !role.policies.attached.is_empty() {
                return Err(IamError::DeleteConflict("detach all policies first"));
            }
            if !role.policies.inline.is_empty() {
                return Err(IamError::DeleteConflict("delete policies first"));
            }
            Ok((vec![change::remove(key.clone(), revision)], ()))
        })
        .await?;
    Ok(request.done())
}

/// The instance profiles that a role is in, in the order of their names.
///
/// # Errors
///
/// One of them can't be read.
pub(crate) fn profiles_of(
    request: &IamRequest<'_>,
    role: &Role,
) -> Result<Vec<InstanceProfile>, IamError> {
    let name = role.name.to_ascii_lowercase();
    let all = entries::all::<InstanceProfile>(request.view(), request.account())?;
    let having = all.into_iter().map(|(_, profile)| profile);
    Ok(having
        .filter(|profile| profile.role.as_ref() == Some(&name))
        .collect())
}
