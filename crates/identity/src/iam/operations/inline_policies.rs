//! Inline policies of users, groups and roles: to put, read, list and delete them.

use aws::query::Reply;

use crate::Service;
use crate::entries;
use crate::iam::change;
use crate::iam::documents::{self, Encoded};
use crate::iam::error::IamError;
use crate::iam::holder::{self, Holder};
use crate::iam::paging::Paging;
use crate::iam::parameters::POLICY_NAME;
use crate::iam::request::IamRequest;

/// `PutUserPolicy`, `PutGroupPolicy`, `PutRolePolicy`: makes it, or puts it in place of the one
/// with that name.
pub(crate) async fn put<T: Holder>(
    service: &Service,
    request: &IamRequest<'_>,
) -> Result<Reply, IamError> {
    let named = request.required(&T::PARAMETER)?;
    let name = request.required(&POLICY_NAME)?;
    let document = documents::given(request, "PolicyDocument")?;
    let key = entries::key::<T>(request.account(), named);
    service
        .change_for(request, &key, |request| {
            let (revision, mut holder) = holder::modifiable::<T>(request)?;
            documents::check_inline(&holder, name, document)?;
            let inline = &mut holder.policies_mut().inline;
            let before = inline.insert(name.to_owned(), document.into());
            if before.as_deref() == Some(document) {
                return Ok((Vec::new(), ()));
            }
            Ok((vec![change::put(key.clone(), Some(revision), &holder)], ()))
        })
        .await?;
    Ok(request.done())
}

/// `GetUserPolicy`, `GetGroupPolicy`, `GetRolePolicy`.
pub(crate) async fn get<T: Holder>(
    _: &Service,
    request: &IamRequest<'_>,
) -> Result<Reply, IamError> {
    let name = request.required(&POLICY_NAME)?;
    let (_, holder) = holder::named::<T>(request)?;
    let document = holder.policies().inline.get(name);
    let document = document.ok_or_else(|| missing::<T>(name))?;
    let mut reply = request.reply();
    reply
        .writer()
        .value(T::PARAMETER.name, holder.name())
        .value("PolicyName", name)
        .value("PolicyDocument", Encoded(document));
    Ok(reply)
}

/// `DeleteUserPolicy`, `DeleteGroupPolicy`, `DeleteRolePolicy`.
pub(crate) async fn delete<T: Holder>(
    service: &Service,
    request: &IamRequest<'_>,
) -> Result<Reply, IamError> {
    let named = request.required(&T::PARAMETER)?;
    let name = request.required(&POLICY_NAME)?;
    let key = entries::key::<T>(request.account(), named);
    service
        .change_for(request, &key, |request| {
            let (revision, mut holder) = holder::modifiable::<T>(request)?;
            let removed = holder.policies_mut().inline.remove(name);
            removed.ok_or_else(|| missing::<T>(name))?;
            Ok((vec![change::put(key.clone(), Some(revision), &holder)], ()))
        })
        .await?;
    Ok(request.done())
}

/// `ListUserPolicies`, `ListGroupPolicies`, `ListRolePolicies`: their names.
pub(crate) async fn list<T: Holder>(
    _: &Service,
    request: &IamRequest<'_>,
) -> Result<Reply, IamError> {
    let paging = Paging::of(request)?;
    let (_, holder) = holder::named::<T>(request)?;
    let names = holder.policies().inline.keys();
    let page = paging.page(names.map(|name| (name.clone(), name)));
    let mut reply = request.reply();
    page.write(reply.writer(), "PolicyNames", |writer, name| {
        writer.value("member", name);
    });
    Ok(reply)
}

fn missing<T: Holder>(name: &str) -> IamError {
    let word = T::WORD;
    IamError::NoSuchEntity(format!(
        "The {word} policy with name {name} cannot be found."
    ))
}
