//! Groups of users: to make, read, list, rename and delete them. Who is in a group stands with
//! its users, so a group's new name is written to each of them, in one change.

use aws::query::Reply;

use crate::iam::change::{put, remove};
use crate::iam::ids::{IdKind, unique_id};
use crate::iam::limits::GROUPS_PER_ACCOUNT;
use crate::iam::paging::Paging;
use crate::iam::parameters::{GROUP_NAME, PATH, PATH_PREFIX};
use crate::iam::request::IamRequest;
use crate::iam::shapes::{self, Detail};
use crate::iam::{IamError, lookup};
use crate::model::{Group, Policies, User};
use crate::{Service, entries};

/// The most users whose group can be renamed: all of them are changed at once. Ours.
const MOST_RENAMED: usize = 500;

/// `CreateGroup`.
pub(crate) async fn create(service: &Service, request: &IamRequest<'_>) -> Result<Reply, IamError> {
    let group = Group {
        name: request.required(&GROUP_NAME)?.to_owned(),
        id: unique_id(&*service.config.environment, IdKind::Group),
        path: request.optional(&PATH)?.unwrap_or("/").to_owned(),
        created: service.now().0,
        policies: Policies::default(),
    };
    let key = entries::key::<Group>(request.account(), &group.name);
    let attempt = |request: &IamRequest<'_>| {
        refuse_taken(request, &group.name)?;
        if lookup::count::<Group>(request) >= GROUPS_PER_ACCOUNT {
            return Err(IamError::quota("GroupsPerAccount", GROUPS_PER_ACCOUNT));
        }
        Ok((vec![put(key.clone(), None, &group)], ()))
    };
    service.change_for(request, &key, attempt).await?;
    let mut reply = request.reply();
    shapes::group(reply.writer(), "Group", request.account(), &group);
    Ok(reply)
}

fn refuse_taken(request: &IamRequest<'_>, name: &str) -> Result<(), IamError> {
    let key = entries::key::<Group>(request.account(), name);
    match request.view().get(&key) {
        None => Ok(()),
        Some(_) => Err(IamError::EntityAlreadyExists(format!(
            "Group with name {name} already exists."
        ))),
    }
}

/// `GetGroup`: the group, and its users in pages.
pub(crate) async fn get(_: &Service, request: &IamRequest<'_>) -> Result<Reply, IamError> {
    let (_, group) = lookup::group(request, request.required(&GROUP_NAME)?)?;
    let name = group.name.to_ascii_lowercase();
    let page = Paging::of(request)?.entries_with::<User>(
        request,
        |bytes| lookup::may_mention(bytes, &name),
        |user| user.groups.contains(&name),
    )?;
    let mut reply = request.reply();
    let (writer, account) = (reply.writer(), request.account());
    shapes::group(writer, "Group", account, &group);
    page.write(writer, "Users", |writer, user| {
        shapes::user(writer, "member", account, user, Detail::Listed);
    });
    Ok(reply)
}

/// `ListGroups`: in the order of their names, those at a path or below.
pub(crate) async fn list(_: &Service, request: &IamRequest<'_>) -> Result<Reply, IamError> {
    let prefix = request.optional(&PATH_PREFIX)?.unwrap_or("/");
    let page =
        Paging::of(request)?.entries::<Group>(request, |group| group.path.starts_with(prefix))?;
    let mut reply = request.reply();
    page.write(reply.writer(), "Groups", |writer, group| {
        shapes::group(writer, "member", request.account(), group);
    });
    Ok(reply)
}

/// `UpdateGroup`: gives a group another name, another path, or both.
pub(crate) async fn update(service: &Service, request: &IamRequest<'_>) -> Result<Reply, IamError> {
    let name = request.required(&GROUP_NAME)?;
    let new_name = request.optional(&GROUP_NAME.named("NewGroupName"))?;
    let new_path = request.optional(&PATH.named("NewPath"))?;
    let account = request.account();
    let key = entries::key::<Group>(account, name);
    let attempt = |request: &IamRequest<'_>| {
        let (revision, mut group) = lookup::group(request, name)?;
        let before = group.clone();
        if let Some(path) = new_path {
            group.path = path.to_owned();
        }
        if let Some(name) = new_name {
            group.name = name.to_owned();
        }
        if group == before {
            return Ok((Vec::new(), ()));
        }
        let new_key = entries::key::<Group>(account, &group.name);
        if new_key == key {
            return Ok((vec![put(new_key, Some(revision), &group)], ()));
        }
        refuse_taken(request, &group.name)?;
        let members = lookup::group_members(request, &before.name, MOST_RENAMED + 1)?;
        if members.len() > MOST_RENAMED {
            return Err(IamError::NotBuilt(
                "Giving another name to a group of more than 500 users",
            ));
        }
        let mut edits = vec![remove(key.clone(), revision), put(new_key, None, &group)];
        for (revision, mut user) in members {
            user.groups.remove(&before.name.to_ascii_lowercase());
            user.groups.insert(group.name.to_ascii_lowercase());
            let key = entries::key::<User>(account, &user.name);
            edits.push(put(key, Some(revision), &user));
        }
        Ok((edits, ()))
    };
    service.change_for(request, &key, attempt).await?;
    Ok(request.done())
}

/// `DeleteGroup`: of one that has no users and no policies any more.
pub(crate) async fn delete(service: &Service, request: &IamRequest<'_>) -> Result<Reply, IamError> {
    let name = request.required(&GROUP_NAME)?;
    let key = entries::key::<Group>(request.account(), name);
    let attempt = |request: &IamRequest<'_>| {
        let (revision, group) = lookup::group(request, name)?;
        if !lookup::group_members(request, name, 1)?.is_empty() {
            return Err(IamError::DeleteConflict("remove users from group first"));
        }
        if !group.policies.attached.is_empty() {
            return Err(IamError::DeleteConflict("detach all policies first"));
        }
        if !group.policies.inline.is_empty() {
            return Err(IamError::DeleteConflict("delete policies first"));
        }
        Ok((vec![remove(key.clone(), revision)], ()))
    };
    service.change_for(request, &key, attempt).await?;
    Ok(request.done())
}
