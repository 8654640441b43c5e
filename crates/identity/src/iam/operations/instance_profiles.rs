//! Instance profiles: to make, read, list and delete them, and to put a role into one.

use aws::query::Reply;

use super::roles::profiles_of;
use crate::Service;
use crate::entries;
use crate::iam::error::IamError;
use crate::iam::holder;
use crate::iam::ids::{self, IdKind};
use crate::iam::paging::{Page, Paging};
use crate::iam::parameters::{INSTANCE_PROFILE_NAME, PATH, PATH_PREFIX, ROLE_NAME};
use crate::iam::request::IamRequest;
use crate::iam::shapes::Detail;
use crate::iam::{change, limits, lookup, role_shapes};
use crate::model::{InstanceProfile, Role};

/// `CreateInstanceProfile`.
pub(crate) async fn create(service: &Service, request: &IamRequest<'_>) -> Result<Reply, IamError> {
    let name = request.required(&INSTANCE_PROFILE_NAME)?;
    let profile = InstanceProfile {
        name: name.to_owned(),
        id: ids::unique_id(&*service.config.environment, IdKind::InstanceProfile),
        path: request.optional(&PATH)?.unwrap_or("/").to_owned(),
        created: service.now().0,
        role: None,
        tags: request.tags()?,
    };
    let key = entries::key::<InstanceProfile>(request.account(), name);
    service
        .change_for(request, &key, |request| {
            if request.view().get(&key).is_some() {
                return Err(IamError::EntityAlreadyExists(format!(
                    "Instance Profile {name} already exists."
                )));
            }
            let most = limits::INSTANCE_PROFILES_PER_ACCOUNT;
            if lookup::count::<InstanceProfile>(request) >= most {
                return Err(IamError::quota("InstanceProfilesPerAccount", most));
            }
            Ok((vec![change::put(key.clone(), None, &profile)], ()))
        })
        .await?;
    answer(service, request, &profile)
}

/// `GetInstanceProfile`.
pub(crate) async fn get(service: &Service, request: &IamRequest<'_>) -> Result<Reply, IamError> {
    let name = request.required(&INSTANCE_PROFILE_NAME)?;
    let (_, profile) = lookup::instance_profile(request, name)?;
    answer(service, request, &profile)
}

fn answer(
    service: &Service,
    request: &IamRequest<'_>,
    profile: &InstanceProfile,
) -> Result<Reply, IamError> {
    let account = request.account();
    let role = role_shapes::role_in(&service.identity(), request.view(), account, profile)?;
    let mut reply = request.reply();
    role_shapes::instance_profile(
        reply.writer(),
        "InstanceProfile",
        account,
        profile,
        role.as_ref(),
        Detail::Whole,
    );
    Ok(reply)
}

/// `ListInstanceProfiles`: in the order of their names, those at a path or below.
pub(crate) async fn list(service: &Service, request: &IamRequest<'_>) -> Result<Reply, IamError> {
    let prefix = request.optional(&PATH_PREFIX)?.unwrap_or("/");
    let paging = Paging::of(request)?;
    let page =
        paging.entries::<InstanceProfile>(request, |profile| profile.path.starts_with(prefix))?;
    answer_page(service, request, page)
}

/// `ListInstanceProfilesForRole`.
pub(crate) async fn list_for_role(
    service: &Service,
    request: &IamRequest<'_>,
) -> Result<Reply, IamError> {
    let paging = Paging::of(request)?;
    let (_, role) = holder::named::<Role>(request)?;
    let profiles = profiles_of(request, &role)?.into_iter();
    let sorted = profiles.map(|profile| (profile.name.to_ascii_lowercase(), profile));
    answer_page(service, request, paging.page(sorted))
}

fn answer_page(
    service: &Service,
    request: &IamRequest<'_>,
    page: Page<InstanceProfile>,
) -> Result<Reply, IamError> {
    let (account, identity) = (request.account(), service.identity());
    let with_role = |profile| {
        let role = role_shapes::role_in(&identity, request.view(), account, &profile)?;
        Ok((profile, role))
    };
    let items: Result<Vec<_>, IamError> = page.items.into_iter().map(with_role).collect();
    let page = Page {
        items: items?,
        next: page.next,
    };
    let mut reply = request.reply();
    page.write(
        reply.writer(),
        "InstanceProfiles",
        |writer, (profile, role)| {
            let (role, detail) = (role.as_ref(), Detail::Listed);
            role_shapes::instance_profile(writer, "member", account, profile, role, detail);
        },
    );
    Ok(reply)
}

/// `DeleteInstanceProfile`: of one that has no role.
pub(crate) async fn delete(service: &Service, request: &IamRequest<'_>) -> Result<Reply, IamError> {
    let name = request.required(&INSTANCE_PROFILE_NAME)?;
    let key = entries::key::<InstanceProfile>(request.account(), name);
    service
        .change_for(request, &key, |request| {
            let (revision, profile) = lookup::instance_profile(request, name)?;
            if profile.role.is_some() {
                return Err(IamError::DeleteConflict(
                    "remove roles from instance profile first",
                ));
            }
            Ok((vec![change::remove(key.clone(), revision)], ()))
        })
        .await?;
    Ok(request.done())
}

/// `AddRoleToInstanceProfile`: one role at most. It holds that the role is there until the change
/// is made, so that none is ever deleted while it is in a profile.
pub(crate) async fn add_role(
    service: &Service,
    request: &IamRequest<'_>,
) -> Result<Reply, IamError> {
    let name = request.required(&INSTANCE_PROFILE_NAME)?;
    let role_name = request.required(&ROLE_NAME)?;
    let account = request.account();
    let key = entries::key::<InstanceProfile>(account, name);
    service
        .change_for(request, &key, |request| {
            let (revision, mut profile) = lookup::instance_profile(request, name)?;
            let (_, role) = holder::modifiable::<Role>(request)?;
            if profile.role.is_some() {
                let quota = "InstanceSessionsPerInstanceProfile";
                return Err(IamError::quota(quota, 1));
            }
            profile.role = Some(role.name.to_ascii_lowercase());
            let role_key = entries::key::<Role>(account, role_name);
            let mut edits: Vec<_> = change::hold(request.view(), role_key).into_iter().collect();
            edits.push(change::put(key.clone(), Some(revision), &profile));
            Ok((edits, ()))
        })
        .await?;
    Ok(request.done())
}

/// `RemoveRoleFromInstanceProfile`.
pub(crate) async fn remove_role(
    service: &Service,
    request: &IamRequest<'_>,
) -> Result<Reply, IamError> {
    let name = request.required(&INSTANCE_PROFILE_NAME)?;
    let role_name = request.required(&ROLE_NAME)?;
    let key = entries::key::<InstanceProfile>(request.account(), name);
    service
        .change_for(request, &key, |request| {
            let (revision, mut profile) = lookup::instance_profile(request, name)?;
            if profile.role != Some(role_name.to_ascii_lowercase()) {
                return Err(IamError::NoSuchEntity(format!(
                    "The role with name {role_name} cannot be found."
                )));
            }
            profile.role = None;
            let edit = change::put(key.clone(), Some(revision), &profile);
            Ok((vec![edit], ()))
        })
        .await?;
    Ok(request.done())
}
