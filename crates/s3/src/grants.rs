//! What a bucket itself says of who may: its policy. (Access control lists aren't looked at yet.)

use std::borrow::Cow;

use objects::{Bucket, ObjectVersion};
use store::Engine;
use types::AccountId;

use crate::context::Context;

/// The account that a question about it is put to.
pub(crate) fn owner(bucket: &Bucket, _: Option<&ObjectVersion>) -> AccountId {
    bucket.entry.owner
}

/// The bucket's policy as this caller is judged by when it asks for that action.
pub(crate) fn own_policy<'a, E: Engine>(
    _: &Context<E>,
    bucket: &'a Bucket,
    _: Option<&ObjectVersion>,
    _: &str,
) -> Option<Cow<'a, str>> {
    bucket.settings.policy.as_deref().map(Cow::Borrowed)
}

/// The bucket's policy with what access control lists grant for that action beside. `None`: they
/// grant nothing.
pub(crate) fn policy<E: Engine>(
    _: &Context<E>,
    _: &Bucket,
    _: Option<&ObjectVersion>,
    _: &str,
) -> Option<String> {
    None
}
