//! How every operation amends a version of an object: the one that the caller was judged by. Where
//! another was put meanwhile the caller is judged by that, under the key's lock, before anything of
//! it is changed; what may not be is left as it is.

use std::sync::Arc;

use objects::{Amendment, Aspect, ObjectError, ObjectVersion};
use store::Engine;

use super::put::cause;
use crate::access::{Judged, On};
use crate::context::Context;
use crate::error::{ACCESS_DENIED, Fault};

/// Amends the object that the request is about, by what `decide` says of the version that is
/// amended. `further`: what the caller was asked about it beside its row.
///
/// # Errors
///
/// It isn't there; the caller may not; what `decide` says; its lock forbids it.
pub(crate) async fn amend<E: Engine>(
    context: &Context<E>,
    aspect: Aspect,
    further: &[Judged],
    decide: impl Fn(&ObjectVersion) -> Result<Amendment, Fault>,
) -> Result<Arc<ObjectVersion>, Fault> {
    let (bucket, key, id) = (context.bucket()?, context.key()?, context.version_id()?);
    let mut refusal = None;
    let admitted = |version: &ObjectVersion| {
        let decided = context
            .confirm_row(Some(version))
            .and_then(|()| context.confirm(further, On::Object(bucket, key, id), Some(version)))
            .and_then(|()| decide(version));
        decided.map_err(|fault| {
            refusal = Some(fault);
            ObjectError::AccessDenied(ACCESS_DENIED.to_owned())
        })
    };
    let (objects, cause) = (&context.objects, cause(context));
    let amended = objects
        .amend_by(bucket, key, id, aspect, &cause, admitted)
        .await;
    match refusal {
        Some(fault) => Err(fault),
        None => Ok(amended?),
    }
}
