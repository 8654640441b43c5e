//! An object's access control list: get and put. Where the bucket's ownership controls disable
//! lists, one is shown that says what holds, and none is taken.

use objects::{Amendment, Aspect, ObjectVersion};
use s3s::dto::{GetObjectAclInput, GetObjectAclOutput, PutObjectAclInput, PutObjectAclOutput};
use store::Engine;

use super::amend::amend;
use crate::acl::{self, Of};
use crate::context::{Context, Outcome, done};
use crate::grants;

/// `GetObjectAcl`.
pub(crate) async fn get_object_acl<E: Engine>(
    context: &Context<E>,
    _: GetObjectAclInput,
) -> Outcome<GetObjectAclOutput> {
    let bucket = context.bucket()?;
    let version = context.object().await?;
    let list = version.object().and_then(|data| data.acl.as_ref());
    let list = list.filter(|_| grants::has_lists(bucket));
    let (owner, grants) = acl::shown(list, grants::owner(bucket, Some(&version)));
    done(GetObjectAclOutput {
        grants: Some(grants),
        owner: Some(owner),
        request_charged: None,
    })
}

/// `PutObjectAcl`: by headers or by a document.
pub(crate) async fn put_object_acl<E: Engine>(
    context: &Context<E>,
    input: PutObjectAclInput,
) -> Outcome<PutObjectAclOutput> {
    let bucket = context.bucket()?;
    if !grants::has_lists(bucket) {
        return Err(acl::disabled());
    }
    // A list says whose the object is: it is made for the version that gets it.
    let decide = |version: &ObjectVersion| {
        let owner = grants::owner(bucket, Some(version));
        let of = Of::Object(bucket.entry.owner);
        let document = input.access_control_policy.as_ref();
        let list = acl::of_request(&context.headers, document, of, owner)?;
        let caller = context.judge().arn();
        acl::check(bucket, &list, of, "s3:PutObjectAcl", caller)?;
        Ok(Amendment::Acl(Some(list)))
    };
    amend(context, Aspect::Acl, &[], decide).await?;
    done(PutObjectAclOutput::default())
}
