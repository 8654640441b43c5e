//! Finds what a request names in the view that it is judged on, or says in IAM's words that it
//! isn't there.

use super::IamError;
use super::request::IamRequest;
use crate::entries::{self, Entry};
use crate::model::{Group, InstanceProfile, ServerCertificate, User};

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

/// The server certificate of that name, with the revision that set it.
///
/// # Errors
///
/// `NoSuchEntity`.
pub(crate) fn server_certificate(
    request: &IamRequest<'_>,
    name: &str,
) -> Result<(u64, ServerCertificate), IamError> {
    found(request, name, || {
        format!("The Server Certificate with name {name} cannot be found.")
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

/// The users in the group of that name, `most` of them at most, with the revisions that set them.
///
/// # Errors
///
/// A user can't be read.
pub(crate) fn group_members(
    request: &IamRequest<'_>,
    group: &str,
    most: usize,
) -> Result<Vec<(u64, User)>, IamError> {
    let name = group.to_ascii_lowercase();
    let (mut members, mut failed) = (Vec::new(), None);
    let prefix = entries::prefix::<User>(request.account());
    request.view().visit(&prefix, &mut |key, revision, bytes| {
        if failed.is_some() || members.len() == most || !may_mention(bytes, &name) {
            return;
        }
        match entries::decode::<User>(key, bytes) {
            Ok(user) if user.groups.contains(&name) => members.push((revision, user)),
            Ok(_) => {}
            Err(error) => failed = Some(error),
        }
    });
    failed.map_or(Ok(members), |error| Err(error.into()))
}

/// Could an entry of those bytes have that name for one of its values? What can't isn't decoded:
/// of an account's many users a group has few. JSON writes a name's characters as they are.
pub(crate) fn may_mention(bytes: &[u8], name: &str) -> bool {
    std::str::from_utf8(bytes).is_ok_and(|text| {
        let mut found = text.match_indices(name);
        found.any(|(at, _)| text[..at].ends_with('"') && text[at + name.len()..].starts_with('"'))
    })
}
