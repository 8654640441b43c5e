//! A bucket's policy: set, shown, deleted, and is it public?

use s3s::dto;
use store::Engine;

use crate::context::{Context, Outcome, done};
use crate::error::Fault;
use crate::operations::buckets::owner_only;
use crate::policy;

/// `GetBucketPolicy`.
pub(crate) async fn get_bucket_policy<E: Engine>(
    context: &Context<E>,
    _: dto::GetBucketPolicyInput,
) -> Outcome<dto::GetBucketPolicyOutput> {
    let bucket = context.bucket()?;
    owner_only(context, bucket)?;
    let document = bucket.settings.policy.as_deref().ok_or_else(none)?;
    done(dto::GetBucketPolicyOutput {
        policy: Some(context.judge().show_policy(document)),
    })
}

/// `PutBucketPolicy`.
pub(crate) async fn put_bucket_policy<E: Engine>(
    context: &Context<E>,
    input: dto::PutBucketPolicyInput,
) -> Outcome<dto::PutBucketPolicyOutput> {
    let bucket = context.bucket()?;
    owner_only(context, bucket)?;
    let document = policy::take(&**context.judge(), &bucket.name, &input.policy)?;
    let is_public = policy::is_public(&document);
    let caller = context.judge().arn();
    let blocked = format!(
        "User: {caller} is not authorized to perform: s3:PutBucketPolicy on resource: \"{}\" \
         because public policies are prevented by the BlockPublicPolicy setting in S3 Block Public \
         Access.",
        bucket.name.arn()
    );
    let changed = context.objects.change_settings(bucket, |settings| {
        let blocks = settings.public_access_block.unwrap_or_default();
        if blocks.block_public_policy && is_public {
            return Err(objects::ObjectError::AccessDenied(blocked.clone()));
        }
        settings.policy = Some(document.clone());
        Ok(())
    });
    changed.await?;
    done(dto::PutBucketPolicyOutput::default())
}

/// `DeleteBucketPolicy`.
pub(crate) async fn delete_bucket_policy<E: Engine>(
    context: &Context<E>,
    _: dto::DeleteBucketPolicyInput,
) -> Outcome<dto::DeleteBucketPolicyOutput> {
    let bucket = context.bucket()?;
    owner_only(context, bucket)?;
    let changed = context.objects.change_settings(bucket, |settings| {
        settings.policy = None;
        Ok(())
    });
    changed.await?;
    done(dto::DeleteBucketPolicyOutput::default())
}

/// `GetBucketPolicyStatus`.
pub(crate) async fn get_bucket_policy_status<E: Engine>(
    context: &Context<E>,
    _: dto::GetBucketPolicyStatusInput,
) -> Outcome<dto::GetBucketPolicyStatusOutput> {
    let document = context.bucket()?.settings.policy.as_deref();
    let is_public = document.map(policy::is_public).ok_or_else(none)?;
    done(dto::GetBucketPolicyStatusOutput {
        policy_status: Some(dto::PolicyStatus {
            is_public: Some(is_public),
        }),
    })
}

fn none() -> Fault {
    Fault::new(
        http::StatusCode::NOT_FOUND,
        "NoSuchBucketPolicy",
        "The bucket policy does not exist",
    )
}
