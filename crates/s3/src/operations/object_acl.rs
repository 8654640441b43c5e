//! An object's access control list: get and put. Where the bucket's ownership controls disable
//! lists, one is shown that says what holds, and none is taken.

use objects::Amendment;
use s3s::dto::{GetObjectAclInput, GetObjectAclOutput, PutObjectAclInput, PutObjectAclOutput};
use store::Engine;

use super::put::cause;
use crate::acl::{self, Of};
use crate::context::{Context, Outcome, done};
use crate::grants;

/// `GetObjectAcl`.
pub(crate) async fn get_object_acl<E: Engine>(
    context: &Context<E>,
    _: GetObjectAclInput,
) -> Outcome<GetObjectAclOutput> {
    let (bucket, key) = (context.bucket()?, context.key()?);
    let version = context.version_id()?;
    let version = context.objects.find(bucket, key, version).await?;
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
    let (bucket, key) = (context.bucket()?, context.key()?);
    let id = context.version_id()?;
    if !grants::has_lists(bucket) {
        return Err(acl::disabled());
    }
    let version = context.objects.find(bucket, key, id).await?;
    let owner = grants::owner(bucket, Some(&version));
    let of = Of::Object(bucket.entry.owner);
    let document = input.access_control_policy.as_ref();
    let list = acl::of_request(&context.headers, document, of, owner)?;
    let caller = context.judge().arn();
    acl::check(bucket, &list, of, "s3:PutObjectAcl", caller)?;
    let amendment = Amendment::Acl(Some(list));
    let cause = cause(context);
    let amended = context.objects.amend(bucket, key, id, &amendment, &cause);
    amended.await?;
    done(PutObjectAclOutput::default())
}
