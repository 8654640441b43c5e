//! Access control lists as requests give them. Until lists are looked at, a request for one other
//! than `private` and `bucket-owner-full-control` is refused by name.

use http::HeaderMap;
use objects::{Acl, Bucket};
use types::AccountId;

use crate::error::Fault;

/// Whose list it is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Of {
    /// An object's, in a bucket of that owner.
    Object(AccountId),
}

/// The list that a request's headers ask for; none: they ask for none.
///
/// # Errors
///
/// `NotImplemented`.
pub(crate) fn requested(headers: &HeaderMap, _: Of, _: AccountId) -> Result<Option<Acl>, Fault> {
    let grants = headers
        .keys()
        .any(|name| name.as_str().starts_with("x-amz-grant-"));
    let canned = headers.get("x-amz-acl").map(|value| value.as_bytes());
    match canned {
        _ if grants => Err(Fault::not_built("A grant in a header")),
        None | Some(b"private" | b"bucket-owner-full-control") => Ok(None),
        Some(_) => Err(Fault::not_built("A canned access control list")),
    }
}

/// May that list be set?
///
/// # Errors
///
/// None yet.
pub(crate) fn check(_: &Bucket, _: &Acl, _: Of, _: &str, _: &str) -> Result<(), Fault> {
    Ok(())
}
