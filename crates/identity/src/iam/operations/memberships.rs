//! Which users are in which groups.

use aws::query::Reply;

use crate::iam::change::{hold, put};
use crate::iam::limits::GROUPS_PER_USER;
use crate::iam::paging::Paging;
use crate::iam::parameters::{GROUP_NAME, USER_NAME};
use crate::iam::request::IamRequest;
use crate::iam::{IamError, lookup, shapes};
use crate::model::{Group, User};
use crate::{Service, entries};

/// `AddUserToGroup`. The group is held while it is done: one that is deleted or renamed meanwhile
/// gets no users. Who joins a group here waits for the others who do, since each holds it.
pub(crate) async fn add(service: &Service, request: &IamRequest<'_>) -> Result<Reply, IamError> {
    let (group_name, user_name) = names(request)?;
    let key = entries::key::<User>(request.account(), user_name);
    let group_key = entries::key::<Group>(request.account(), group_name);
    let attempt = |request: &IamRequest<'_>| {
        let (_, group) = lookup::group(request, group_name)?;
        let (revision, mut user) = lookup::user(request, user_name)?;
        if !user.groups.insert(group.name.to_ascii_lowercase()) {
            return Ok((Vec::new(), ()));
        }
        if user.groups.len() > GROUPS_PER_USER {
            return Err(IamError::quota("GroupsPerUser", GROUPS_PER_USER));
        }
        let mut edits = vec![put(key.clone(), Some(revision), &user)];
        edits.extend(hold(request.view(), group_key.clone()));
        Ok((edits, ()))
    };
    service.change_for(request, &group_key, attempt).await?;
    Ok(request.done())
}

/// `RemoveUserFromGroup`: one who isn't in it is no fault.
pub(crate) async fn remove(service: &Service, request: &IamRequest<'_>) -> Result<Reply, IamError> {
    let (group_name, user_name) = names(request)?;
    let key = entries::key::<User>(request.account(), user_name);
    let attempt = |request: &IamRequest<'_>| {
        lookup::group(request, group_name)?;
        let (revision, mut user) = lookup::user(request, user_name)?;
        let was_in = user.groups.remove(&group_name.to_ascii_lowercase());
        let edit = was_in.then(|| put(key.clone(), Some(revision), &user));
        Ok((edit.into_iter().collect(), ()))
    };
    service.change_for(request, &key, attempt).await?;
    Ok(request.done())
}

fn names<'a>(request: &IamRequest<'a>) -> Result<(&'a str, &'a str), IamError> {
    Ok((
        request.required(&GROUP_NAME)?,
        request.required(&USER_NAME)?,
    ))
}

/// `ListGroupsForUser`: in the order of their names.
pub(crate) async fn list(_: &Service, request: &IamRequest<'_>) -> Result<Reply, IamError> {
    let (_, user) = lookup::user(request, request.required(&USER_NAME)?)?;
    let mut groups = Vec::new();
    for name in &user.groups {
        groups.push((name.clone(), lookup::group(request, name)?.1));
    }
    let page = Paging::of(request)?.page(groups);
    let mut reply = request.reply();
    page.write(reply.writer(), "Groups", |writer, group| {
        shapes::group(writer, "member", request.account(), group);
    });
    Ok(reply)
}
