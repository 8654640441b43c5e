//! Managed policies attached to users, groups and roles, and permissions boundaries of users and
//! roles. A change that begins to name a policy holds that the policy is there until it is made,
//! so that none is ever deleted while something names it.

use aws::query::Reply;

use crate::Service;
use crate::entries;
use crate::iam::error::IamError;
use crate::iam::holder::{self, Holder};
use crate::iam::paging::Paging;
use crate::iam::parameters::{PERMISSIONS_BOUNDARY, POLICY_ARN};
use crate::iam::request::IamRequest;
use crate::iam::{change, limits, managed, policy_shapes};
use crate::model::{Role, User};

/// `AttachUserPolicy`, `AttachGroupPolicy`, `AttachRolePolicy`. What is attached already stays so.
pub(crate) async fn attach<T: Holder>(
    service: &Service,
    request: &IamRequest<'_>,
) -> Result<Reply, IamError> {
    let named = request.required(&T::PARAMETER)?;
    let policy = request.required(&POLICY_ARN)?;
    let key = entries::key::<T>(request.account(), named);
    service
        .change_for(request, policy, |request| {
            let (revision, mut holder) = holder::modifiable::<T>(request)?;
            let mut edits = managed::hold(request, policy)?;
            let attached = &mut holder.policies_mut().attached;
            if attached.iter().any(|known| known == policy) {
                return Ok((Vec::new(), ()));
            }
            if attached.len() >= limits::ATTACHED_POLICIES {
                let most = limits::ATTACHED_POLICIES;
                return Err(IamError::quota(T::QUOTA, most));
            }
            attached.push(policy.to_owned());
            edits.push(change::put(key.clone(), Some(revision), &holder));
            Ok((edits, ()))
        })
        .await?;
    Ok(request.done())
}

/// `DetachUserPolicy`, `DetachGroupPolicy`, `DetachRolePolicy`.
pub(crate) async fn detach<T: Holder>(
    service: &Service,
    request: &IamRequest<'_>,
) -> Result<Reply, IamError> {
    let named = request.required(&T::PARAMETER)?;
    let policy = request.required(&POLICY_ARN)?;
    managed::check_arn(policy)?;
    let key = entries::key::<T>(request.account(), named);
    service
        .change_for(request, policy, |request| {
            let (revision, mut holder) = holder::modifiable::<T>(request)?;
            let attached = &mut holder.policies_mut().attached;
            let before = attached.len();
            attached.retain(|known| known != policy);
            if attached.len() == before {
                return Err(IamError::NoSuchEntity(format!(
                    "Policy {policy} was not found."
                )));
            }
            Ok((vec![change::put(key.clone(), Some(revision), &holder)], ()))
        })
        .await?;
    Ok(request.done())
}

/// `ListAttachedUserPolicies`, `ListAttachedGroupPolicies`, `ListAttachedRolePolicies`: those at
/// `PathPrefix`, in the order of their names.
pub(crate) async fn list<T: Holder>(
    _: &Service,
    request: &IamRequest<'_>,
) -> Result<Reply, IamError> {
    let paging = Paging::of(request)?;
    let prefix = request.optional(&managed::PATH_PREFIX)?.unwrap_or("/");
    let (_, holder) = holder::named::<T>(request)?;
    let attached = holder.policies().attached.iter();
    let at_path = attached.filter(|policy| managed::path_in(policy).starts_with(prefix));
    let mut policies: Vec<_> = at_path
        .map(|policy| (managed::order(policy), policy))
        .collect();
    policies.sort_unstable();
    let page = paging.page(policies);
    let mut reply = request.reply();
    page.write(reply.writer(), "AttachedPolicies", |writer, policy| {
        policy_shapes::attached(writer, policy);
    });
    Ok(reply)
}

/// A user or a role: what can have a boundary.
pub(crate) trait Bounded: Holder {
    /// The ARN of the policy that bounds it.
    fn boundary_mut(&mut self) -> &mut Option<String>;
}

impl Bounded for User {
    fn boundary_mut(&mut self) -> &mut Option<String> {
        &mut self.boundary
    }
}

impl Bounded for Role {
    fn boundary_mut(&mut self) -> &mut Option<String> {
        &mut self.boundary
    }
}

/// `PutUserPermissionsBoundary`, `PutRolePermissionsBoundary`.
pub(crate) async fn put_boundary<T: Bounded>(
    service: &Service,
    request: &IamRequest<'_>,
) -> Result<Reply, IamError> {
    let named = request.required(&T::PARAMETER)?;
    let policy = request.required(&PERMISSIONS_BOUNDARY)?;
    let key = entries::key::<T>(request.account(), named);
    service
        .change_for(request, policy, |request| {
            let (revision, mut holder) = holder::modifiable::<T>(request)?;
            let mut edits = managed::hold(request, policy)?;
            let before = holder.boundary_mut().replace(policy.to_owned());
            if before.as_deref() == Some(policy) {
                return Ok((Vec::new(), ()));
            }
            edits.push(change::put(key.clone(), Some(revision), &holder));
            Ok((edits, ()))
        })
        .await?;
    Ok(request.done())
}

/// `DeleteUserPermissionsBoundary`, `DeleteRolePermissionsBoundary`.
pub(crate) async fn delete_boundary<T: Bounded>(
    service: &Service,
    request: &IamRequest<'_>,
) -> Result<Reply, IamError> {
    let named = request.required(&T::PARAMETER)?;
    let key = entries::key::<T>(request.account(), named);
    service
        .change_for(request, &key, |request| {
            let (revision, mut holder) = holder::modifiable::<T>(request)?;
            if holder.boundary_mut().take().is_none() {
                let word = T::WORD;
                return Err(IamError::NoSuchEntity(format!(
                    "The {word} with name {named} has no permissions boundary."
                )));
            }
            Ok((vec![change::put(key.clone(), Some(revision), &holder)], ()))
        })
        .await?;
    Ok(request.done())
}
