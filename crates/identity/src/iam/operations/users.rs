//! Users: to make, read, list, rename and delete them. A user's new name takes its access keys
//! with it, in one change.

use aws::query::Reply;
use types::ConfigurationEdit;

use crate::Service;
use crate::entries;
use crate::iam::IamError;
use crate::iam::change::{put, remove};
use crate::iam::ids::{IdKind, time, unique_id};
use crate::iam::limits::USERS_PER_ACCOUNT;
use crate::iam::paging::Paging;
use crate::iam::parameters::{NEW_USER_NAME, PATH, PATH_PREFIX, PERMISSIONS_BOUNDARY, USER_NAME};
use crate::iam::request::IamRequest;
use crate::iam::shapes::{self, Detail};
use crate::iam::{lookup, managed};
use crate::model::{AccessKey, Account, Policies, User};

/// `CreateUser`.
pub(crate) async fn create(service: &Service, request: &IamRequest<'_>) -> Result<Reply, IamError> {
    let user = User {
        name: request.required(&NEW_USER_NAME)?.to_owned(),
        id: unique_id(&*service.config.environment, IdKind::User),
        path: request.optional(&PATH)?.unwrap_or("/").to_owned(),
        created: service.now().0,
        policies: Policies::default(),
        boundary: request.optional(&PERMISSIONS_BOUNDARY)?.map(str::to_owned),
        groups: Default::default(),
        keys: Vec::new(),
        tags: request.tags()?,
    };
    let key = entries::key::<User>(request.account(), &user.name);
    let attempt = |request: &IamRequest<'_>| {
        refuse_taken(request, &user.name)?;
        if lookup::count::<User>(request) >= USERS_PER_ACCOUNT {
            return Err(IamError::quota("UsersPerAccount", USERS_PER_ACCOUNT));
        }
        let mut edits = vec![put(key.clone(), None, &user)];
        if let Some(boundary) = &user.boundary {
            edits.extend(managed::hold(request, boundary)?);
        }
        Ok((edits, ()))
    };
    service.change_for(request, &key, attempt).await?;
    let mut reply = request.reply();
    let account = request.account();
    shapes::user(reply.writer(), "User", account, &user, Detail::Whole);
    Ok(reply)
}

fn refuse_taken(request: &IamRequest<'_>, name: &str) -> Result<(), IamError> {
    let key = entries::key::<User>(request.account(), name);
    match request.view().get(&key) {
        None => Ok(()),
        Some(_) => Err(IamError::EntityAlreadyExists(format!(
            "User with name {name} already exists."
        ))),
    }
}

/// `GetUser`: of the caller where no user is named. The account's root has no name and no path,
/// and is as old as the account, where that is known.
pub(crate) async fn get(_: &Service, request: &IamRequest<'_>) -> Result<Reply, IamError> {
    let account = request.account();
    let mut reply = request.reply();
    if request.optional(&USER_NAME)?.is_none() && request.is_root() {
        let found = entries::at::<Account>(request.view(), &entries::account_key(account))?;
        let created = found.map(|(_, account)| time(account.created));
        reply
            .writer()
            .open("User")
            .value("UserId", account)
            .value("Arn", request.caller().arn())
            .optional("CreateDate", created)
            .close();
        return Ok(reply);
    }
    let (_, user) = lookup::user(request, request.user_or_caller()?)?;
    shapes::user(reply.writer(), "User", account, &user, Detail::Whole);
    Ok(reply)
}

/// `ListUsers`: in the order of their names, those at a path or below.
pub(crate) async fn list(_: &Service, request: &IamRequest<'_>) -> Result<Reply, IamError> {
    let prefix = request.optional(&PATH_PREFIX)?.unwrap_or("/");
    let page =
        Paging::of(request)?.entries::<User>(request, |user| user.path.starts_with(prefix))?;
    let mut reply = request.reply();
    page.write(reply.writer(), "Users", |writer, user| {
        shapes::user(writer, "member", request.account(), user, Detail::Listed);
    });
    Ok(reply)
}

/// `UpdateUser`: gives a user another name, another path, or both. Its id stays, and with it what
/// it is to policies that name it as a principal.
pub(crate) async fn update(service: &Service, request: &IamRequest<'_>) -> Result<Reply, IamError> {
    let name = request.required(&USER_NAME)?;
    let new_name = request.optional(&NEW_USER_NAME.named("NewUserName"))?;
    let new_path = request.optional(&PATH.named("NewPath"))?;
    let key = entries::key::<User>(request.account(), name);
    let attempt = |request: &IamRequest<'_>| {
        let (revision, mut user) = lookup::user(request, name)?;
        let before = user.clone();
        if let Some(path) = new_path {
            user.path = path.to_owned();
        }
        if let Some(name) = new_name {
            user.name = name.to_owned();
        }
        if user == before {
            return Ok((Vec::new(), ()));
        }
        let new_key = entries::key::<User>(request.account(), &user.name);
        if new_key == key {
            return Ok((vec![put(new_key, Some(revision), &user)], ()));
        }
        refuse_taken(request, &user.name)?;
        let mut edits = repointed_keys(request, &user)?;
        edits.push(remove(key.clone(), revision));
        edits.push(put(new_key, None, &user));
        Ok((edits, ()))
    };
    service.change_for(request, &key, attempt).await?;
    Ok(request.done())
}

/// The user's access keys, pointing to its name.
fn repointed_keys(
    request: &IamRequest<'_>,
    user: &User,
) -> Result<Vec<ConfigurationEdit>, IamError> {
    let mut edits = Vec::new();
    for id in &user.keys {
        let key = entries::access_key_key(id);
        if let Some((revision, mut access_key)) = entries::at::<AccessKey>(request.view(), &key)? {
            access_key.user = user.name.to_ascii_lowercase();
            edits.push(put(key, Some(revision), &access_key));
        }
    }
    Ok(edits)
}

/// `DeleteUser`: of one that has nothing any more and is in no group.
pub(crate) async fn delete(service: &Service, request: &IamRequest<'_>) -> Result<Reply, IamError> {
    let name = request.required(&USER_NAME)?;
    let key = entries::key::<User>(request.account(), name);
    let attempt = |request: &IamRequest<'_>| {
        let (revision, user) = lookup::user(request, name)?;
        let left = [
            (
                !user.policies.attached.is_empty(),
                "detach all policies first",
            ),
            (!user.policies.inline.is_empty(), "delete policies first"),
            (!user.keys.is_empty(), "delete access keys first"),
            (!user.groups.is_empty(), "remove users from group first"),
        ];
        if let Some((_, first)) = left.into_iter().find(|(is_left, _)| *is_left) {
            return Err(IamError::DeleteConflict(first));
        }
        Ok((vec![remove(key.clone(), revision)], ()))
    };
    service.change_for(request, &key, attempt).await?;
    Ok(request.done())
}
