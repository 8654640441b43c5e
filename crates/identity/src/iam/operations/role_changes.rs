//! Changes of roles: what they are for, how long their sessions may be, and who may assume them.

use aws::query::Reply;

use super::roles::longest_session;
use crate::Service;
use crate::entries;
use crate::iam::error::IamError;
use crate::iam::holder;
use crate::iam::parameters::ROLE_NAME;
use crate::iam::request::IamRequest;
use crate::iam::shapes::Detail;
use crate::iam::{change, description, documents, role_shapes, trust};
use crate::model::Role;

/// `UpdateRole`: what the request doesn't say stays.
pub(crate) async fn update(service: &Service, request: &IamRequest<'_>) -> Result<Reply, IamError> {
    let description = description::given(request)?;
    let longest = longest_session(request)?;
    changed(service, request, |_, role| {
        if let Some(text) = description {
            role.description = some_text(text);
        }
        if let Some(seconds) = longest {
            role.longest_session = seconds;
        }
        Ok(())
    })
    .await?;
    Ok(request.reply())
}

/// `UpdateRoleDescription`: answers the role.
pub(crate) async fn update_description(
    service: &Service,
    request: &IamRequest<'_>,
) -> Result<Reply, IamError> {
    let description = description::required(request)?;
    let role = changed(service, request, |_, role| {
        role.description = some_text(description);
        Ok(())
    })
    .await?;
    let role = role_shapes::shown(&service.identity(), role);
    let mut reply = request.reply();
    let account = request.account();
    role_shapes::role(reply.writer(), "Role", account, &role, Detail::Whole);
    Ok(reply)
}

/// `UpdateAssumeRolePolicy`.
pub(crate) async fn update_trust(
    service: &Service,
    request: &IamRequest<'_>,
) -> Result<Reply, IamError> {
    let document = documents::given(request, "PolicyDocument")?;
    changed(service, request, |request, role| {
        role.trust = trust::bind(request.view(), document)?;
        Ok(())
    })
    .await?;
    Ok(request.done())
}

/// An empty description is none.
fn some_text(text: &str) -> Option<String> {
    (!text.is_empty()).then(|| text.to_owned())
}

/// The role that the request names, changed.
async fn changed(
    service: &Service,
    request: &IamRequest<'_>,
    mut change_it: impl FnMut(&IamRequest<'_>, &mut Role) -> Result<(), IamError>,
) -> Result<Role, IamError> {
    let name = request.required(&ROLE_NAME)?;
    let key = entries::key::<Role>(request.account(), name);
    service
        .change_for(request, &key, |request| {
            let (revision, before) = holder::modifiable::<Role>(request)?;
            let mut role = before.clone();
            change_it(request, &mut role)?;
            if role == before {
                return Ok((Vec::new(), role));
            }
            let edits = vec![change::put(key.clone(), Some(revision), &role)];
            Ok((edits, role))
        })
        .await
}
