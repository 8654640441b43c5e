//! Who may reach a bucket, beside its policy: the public access block, ownership controls and its
//! access control list.

use objects::{BucketSettings, ObjectError, ObjectOwnership, PublicAccessBlock};
use s3s::dto;
use store::Engine;

use crate::acl::{self, Of};
use crate::context::{Context, Outcome, done};
use crate::error::Fault;
use crate::operations::buckets::{parse_ownership, with_enforced};

/// `GetPublicAccessBlock`.
pub(crate) async fn get_public_access_block<E: Engine>(
    context: &Context<E>,
    _: dto::GetPublicAccessBlockInput,
) -> Outcome<dto::GetPublicAccessBlockOutput> {
    let Some(blocks) = context.bucket()?.settings.public_access_block else {
        return Err(Fault::new(
            http::StatusCode::NOT_FOUND,
            "NoSuchPublicAccessBlockConfiguration",
            "The public access block configuration was not found",
        ));
    };
    done(dto::GetPublicAccessBlockOutput {
        public_access_block_configuration: Some(dto::PublicAccessBlockConfiguration {
            block_public_acls: Some(blocks.block_public_acls),
            block_public_policy: Some(blocks.block_public_policy),
            ignore_public_acls: Some(blocks.ignore_public_acls),
            restrict_public_buckets: Some(blocks.restrict_public_buckets),
        }),
    })
}

/// `PutPublicAccessBlock`: what isn't named isn't blocked.
pub(crate) async fn put_public_access_block<E: Engine>(
    context: &Context<E>,
    input: dto::PutPublicAccessBlockInput,
) -> Outcome<dto::PutPublicAccessBlockOutput> {
    let given = input.public_access_block_configuration;
    let blocks = PublicAccessBlock {
        block_public_acls: given.block_public_acls.unwrap_or_default(),
        ignore_public_acls: given.ignore_public_acls.unwrap_or_default(),
        block_public_policy: given.block_public_policy.unwrap_or_default(),
        restrict_public_buckets: given.restrict_public_buckets.unwrap_or_default(),
    };
    let changed = context
        .objects
        .change_settings(context.bucket()?, |settings| {
            settings.public_access_block = Some(blocks);
            Ok(())
        });
    changed.await?;
    done(dto::PutPublicAccessBlockOutput::default())
}

/// `DeletePublicAccessBlock`.
pub(crate) async fn delete_public_access_block<E: Engine>(
    context: &Context<E>,
    _: dto::DeletePublicAccessBlockInput,
) -> Outcome<dto::DeletePublicAccessBlockOutput> {
    let changed = context
        .objects
        .change_settings(context.bucket()?, |settings| {
            settings.public_access_block = None;
            Ok(())
        });
    changed.await?;
    done(dto::DeletePublicAccessBlockOutput::default())
}

/// `GetBucketOwnershipControls`.
pub(crate) async fn get_bucket_ownership_controls<E: Engine>(
    context: &Context<E>,
    _: dto::GetBucketOwnershipControlsInput,
) -> Outcome<dto::GetBucketOwnershipControlsOutput> {
    let name = match context.bucket()?.settings.ownership {
        Some(ObjectOwnership::BucketOwnerEnforced) => "BucketOwnerEnforced",
        Some(ObjectOwnership::BucketOwnerPreferred) => "BucketOwnerPreferred",
        Some(ObjectOwnership::ObjectWriter) => "ObjectWriter",
        None => {
            return Err(Fault::new(
                http::StatusCode::NOT_FOUND,
                "OwnershipControlsNotFoundError",
                "The bucket ownership controls were not found",
            ));
        }
    };
    done(dto::GetBucketOwnershipControlsOutput {
        ownership_controls: Some(dto::OwnershipControls {
            rules: vec![dto::OwnershipControlsRule {
                object_ownership: dto::ObjectOwnership::from_static(name),
            }],
        }),
    })
}

/// `PutBucketOwnershipControls`: exactly one rule.
pub(crate) async fn put_bucket_ownership_controls<E: Engine>(
    context: &Context<E>,
    input: dto::PutBucketOwnershipControlsInput,
) -> Outcome<dto::PutBucketOwnershipControlsOutput> {
    let [rule] = &input.ownership_controls.rules[..] else {
        return Err(Fault::malformed());
    };
    let ownership = parse_ownership(rule.object_ownership.as_str());
    let ownership = ownership.ok_or_else(Fault::malformed)?;
    let bucket = context.bucket()?;
    let change = |settings: &mut BucketSettings| set_ownership(settings, ownership);
    let changed = context.objects.change_settings(bucket, change);
    match changed.await? {
        true => done(dto::PutBucketOwnershipControlsOutput::default()),
        false => Err(with_enforced()),
    }
}

/// Sets it. False: the bucket's list grants something to others, and would no longer.
fn set_ownership(
    settings: &mut BucketSettings,
    ownership: ObjectOwnership,
) -> Result<bool, ObjectError> {
    let list = settings.acl.as_ref();
    let grants_others = list.is_some_and(|list| !acl::gives_all_to(list, list.owner));
    if ownership == ObjectOwnership::BucketOwnerEnforced && grants_others {
        return Ok(false);
    }
    settings.ownership = Some(ownership);
    Ok(true)
}

/// `DeleteBucketOwnershipControls`.
pub(crate) async fn delete_bucket_ownership_controls<E: Engine>(
    context: &Context<E>,
    _: dto::DeleteBucketOwnershipControlsInput,
) -> Outcome<dto::DeleteBucketOwnershipControlsOutput> {
    let changed = context
        .objects
        .change_settings(context.bucket()?, |settings| {
            settings.ownership = None;
            Ok(())
        });
    changed.await?;
    done(dto::DeleteBucketOwnershipControlsOutput::default())
}

/// `GetBucketAcl`.
pub(crate) async fn get_bucket_acl<E: Engine>(
    context: &Context<E>,
    _: dto::GetBucketAclInput,
) -> Outcome<dto::GetBucketAclOutput> {
    let bucket = context.bucket()?;
    let (owner, grants) = acl::shown(bucket.settings.acl.as_ref(), bucket.entry.owner);
    done(dto::GetBucketAclOutput {
        grants: Some(grants),
        owner: Some(owner),
    })
}

/// `PutBucketAcl`: by headers or by a document.
pub(crate) async fn put_bucket_acl<E: Engine>(
    context: &Context<E>,
    input: dto::PutBucketAclInput,
) -> Outcome<dto::PutBucketAclOutput> {
    let bucket = context.bucket()?;
    let owner = bucket.entry.owner;
    let document = input.access_control_policy.as_ref();
    let list = acl::of_request(&context.headers, document, Of::Bucket, owner)?;
    acl::check(
        bucket,
        &list,
        Of::Bucket,
        "s3:PutBucketAcl",
        context.judge().arn(),
    )?;
    let relied_on = (
        bucket.settings.ownership,
        bucket.settings.public_access_block,
    );
    let changed = context.objects.change_settings(bucket, |settings| {
        if (settings.ownership, settings.public_access_block) != relied_on {
            return Err(types::ConfigurationError::Conflict.into());
        }
        settings.acl = Some(list.clone());
        Ok(())
    });
    changed.await?;
    done(dto::PutBucketAclOutput::default())
}

#[cfg(test)]
mod tests {
    use objects::{Acl, Grant, Grantee, Permission};
    use types::AccountId;

    use super::*;

    #[test]
    fn lists_that_grant_to_others_keep_them_enabled() {
        let mut settings = BucketSettings::new(false);
        let enforced = ObjectOwnership::BucketOwnerEnforced;
        let set = |settings: &mut BucketSettings, to| set_ownership(settings, to).unwrap();
        assert!(set(&mut settings, ObjectOwnership::ObjectWriter));
        let grant = |grantee, permission| Grant {
            grantee,
            permission,
        };
        let own = grant(Grantee::Account(AccountId::LAB), Permission::FullControl);
        settings.acl = Some(Acl {
            owner: AccountId::LAB,
            grants: vec![own.clone(), grant(Grantee::AllUsers, Permission::Read)],
        });
        assert!(!set(&mut settings, enforced));
        assert_eq!(settings.ownership, Some(ObjectOwnership::ObjectWriter));
        settings.acl = Some(Acl {
            owner: AccountId::LAB,
            grants: vec![own],
        });
        assert!(set(&mut settings, enforced));
    }
}
