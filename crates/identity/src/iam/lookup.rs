//! Finds what a request names in the view that it is judged on, or says in IAM's words that it
//! isn't there.

use super::error::IamError;
use super::request::IamRequest;
use crate::entries::{self, Entry};
use crate::model::{Group, InstanceProfile, Role, User};

/// The user of that name, with the revision that set it.
///
/// # Errors
///
/// `NoSuchEntity`.
pub(crate) fn user(request: &IamRequest<'_>, name: &str) -> Result<(u64, User), IamError> {
    found(request, name, || {
        format!("The user with name {name} cannot be found.")
    })
}

/// The group of that name, with the revision that set it.
///
/// # Errors
///
/// `NoSuchEntity`.
pub(crate) fn group(request: &IamRequest<'_>, name: &str) -> Result<(u64, Group), IamError> {
    found(request, name, || {
        format!("The group with name {name} cannot be found.")
    })
}

/// The role of that name, with the revision that set it.
///
/// # Errors
///
/// `NoSuchEntity`.
pub(crate) fn role(request: &IamRequest<'_>, name: &str) -> Result<(u64, Role), IamError> {
    found(request, name, || {
        format!("The role with name {name} cannot be found.")
    })
}

/// The instance profile of that name, with the revision that set it.
///
/// # Errors
///
/// `NoSuchEntity`.
pub(crate) fn instance_profile(
    request: &IamRequest<'_>,
    name: &str,
) -> Result<(u64, InstanceProfile), IamError> {
    found(request, name, || {
        format!("Instance Profile {name} cannot be found.")
    })
}

/// How many things of that kind the caller's account has.
pub(crate) fn count<T: Entry>(request: &IamRequest<'_>) -> usize {
    let mut count = 0;
    let prefix = entries::prefix::<T>(request.account());
    request.view().visit(&prefix, &mut |_, _, _| count += 1);
    count
}

fn found<T: Entry>(
    request: &IamRequest<'_>,
    name: &str,
    text: impl FnOnce() -> String,
) -> Result<(u64, T), IamError> {
    let found = entries::read(request.view(), request.account(), name)?;
    found.ok_or_else(|| IamError::NoSuchEntity(text()))
}
