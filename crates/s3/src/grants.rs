//! What a bucket itself says of who may: its policy, and what access control lists grant, put as a
//! policy so that one judge decides all of it. Lists are looked at only where the bucket's
//! ownership controls leave them enabled ("Controlling ownership of objects" in the S3 User Guide). What the
//! public access block takes from either is left out here, before anybody is asked.

use std::borrow::Cow;

use objects::{
    Acl, Bucket, Grantee, ObjectOwnership, ObjectVersion, Permission, PublicAccessBlock,
};
use store::Engine;
use types::AccountId;

use crate::context::Context;
use crate::policy;

/// Who asks, as far as that matters here.
#[derive(Clone, Copy)]
struct Asking {
    account: AccountId,
    is_anonymous: bool,
}

/// Whose list says something of an action.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Of {
    Bucket,
    Object,
}

/// What a permission in a list allows (S3 User Guide, "Mapping of ACL permissions and access policy
/// permissions").
const ALLOWED: [(&str, Of, Permission); 15] = [
    ("s3:ListBucket", Of::Bucket, Permission::Read),
    ("s3:ListBucketVersions", Of::Bucket, Permission::Read),
    (
        "s3:ListBucketMultipartUploads",
        Of::Bucket,
        Permission::Read,
    ),
    ("s3:PutObject", Of::Bucket, Permission::Write),
    ("s3:DeleteObject", Of::Bucket, Permission::Write),
    ("s3:GetBucketAcl", Of::Bucket, Permission::ReadAcp),
    ("s3:PutBucketAcl", Of::Bucket, Permission::WriteAcp),
    ("s3:GetObject", Of::Object, Permission::Read),
    ("s3:GetObjectVersion", Of::Object, Permission::Read),
    ("s3:GetObjectAttributes", Of::Object, Permission::Read),
    (
        "s3:GetObjectVersionAttributes",
        Of::Object,
        Permission::Read,
    ),
    ("s3:GetObjectAcl", Of::Object, Permission::ReadAcp),
    ("s3:GetObjectVersionAcl", Of::Object, Permission::ReadAcp),
    ("s3:PutObjectAcl", Of::Object, Permission::WriteAcp),
    ("s3:PutObjectVersionAcl", Of::Object, Permission::WriteAcp),
];

/// Actions on the policy itself, which its owner's root may always do, whatever it says: nobody is
/// to lock himself out for good (S3 API Reference, "PutBucketPolicy").
const OF_POLICY: [&str; 3] = [
    "s3:DeleteBucketPolicy",
    "s3:GetBucketPolicy",
    "s3:PutBucketPolicy",
];

/// Are access control lists looked at in that bucket?
pub(crate) fn has_lists(bucket: &Bucket) -> bool {
    bucket.settings.ownership != Some(ObjectOwnership::BucketOwnerEnforced)
}

/// Does the list of the object itself say something of that action?
pub(crate) fn is_of_object(action: &str) -> bool {
    let mut allowed = ALLOWED.iter();
    allowed.any(|(name, of, _)| *name == action && *of == Of::Object)
}

/// The account that a question about it is put to: of an object where lists are looked at its own
/// owner's, else the bucket's.
pub(crate) fn owner(bucket: &Bucket, object: Option<&ObjectVersion>) -> AccountId {
    match object {
        Some(object) if has_lists(bucket) => object.owner,
        _ => bucket.entry.owner,
    }
}

/// The bucket's policy as this caller is judged by when it asks for that action.
pub(crate) fn own_policy<'a, E: Engine>(
    context: &Context<E>,
    bucket: &'a Bucket,
    object: Option<&ObjectVersion>,
    action: &str,
) -> Option<Cow<'a, str>> {
    let root = || format!("arn:aws:iam::{}:root", bucket.entry.owner);
    if OF_POLICY.contains(&action) && context.judge().arn() == root() {
        return None;
    }
    document(asking(context), bucket, object)
}

/// The bucket's policy with what access control lists grant for that action beside. `None`: they
/// grant nothing.
pub(crate) fn policy<E: Engine>(
    context: &Context<E>,
    bucket: &Bucket,
    object: Option<&ObjectVersion>,
    action: &str,
) -> Option<String> {
    let asking = asking(context);
    let principals = granted(asking, bucket, object, action);
    if principals.is_empty() {
        return None;
    }
    let document = document(asking, bucket, object);
    Some(policy::granting(document.as_deref(), &principals))
}

fn asking<E: Engine>(context: &Context<E>) -> Asking {
    Asking {
        account: context.judge().account(),
        is_anonymous: context.is_anonymous(),
    }
}

/// What of the bucket's policy counts: of a public one, where such buckets are restricted, for
/// strangers only what it denies; and so of objects that others own.
fn document<'a>(
    asking: Asking,
    bucket: &'a Bucket,
    object: Option<&ObjectVersion>,
) -> Option<Cow<'a, str>> {
    let document = bucket.settings.policy.as_deref()?;
    let is_stranger = asking.is_anonymous || asking.account != bucket.entry.owner;
    let is_restricted =
        is_stranger && blocks(bucket).restrict_public_buckets && policy::is_public(document);
    let is_others = owner(bucket, object) != bucket.entry.owner;
    match is_restricted || is_others {
        true => policy::denials(document).map(Cow::Owned),
        false => Some(Cow::Borrowed(document)),
    }
}

fn blocks(bucket: &Bucket) -> PublicAccessBlock {
    bucket.settings.public_access_block.unwrap_or_default()
}

/// The principals, beside the owner, that a list grants that action.
fn granted(
    asking: Asking,
    bucket: &Bucket,
    object: Option<&ObjectVersion>,
    action: &str,
) -> Vec<String> {
    let allowed = ALLOWED.iter().find(|(name, _, _)| *name == action);
    let (true, Some((_, of, wanted))) = (has_lists(bucket), allowed) else {
        return Vec::new();
    };
    let list: Option<&Acl> = match of {
        Of::Bucket => bucket.settings.acl.as_ref(),
        Of::Object => object
            .and_then(ObjectVersion::object)
            .and_then(|data| data.acl.as_ref()),
    };
    let owner = match of {
        Of::Bucket => bucket.entry.owner,
        Of::Object => owner(bucket, object),
    };
    let ignores_public = blocks(bucket).ignore_public_acls;
    let grants = list.into_iter().flat_map(|list| &list.grants);
    let grants = grants
        .filter(|grant| grant.permission == *wanted || grant.permission == Permission::FullControl);
    let mut principals: Vec<String> = grants
        .filter_map(|grant| match grant.grantee {
            Grantee::Account(account) => (account != owner).then(|| account.to_string()),
            Grantee::AllUsers => (!ignores_public).then(|| "*".to_owned()),
            Grantee::AuthenticatedUsers => {
                let applies = !ignores_public && !asking.is_anonymous;
                applies.then(|| "*".to_owned())
            }
            Grantee::LogDelivery => None,
        })
        .collect();
    principals.sort();
    principals.dedup();
    principals
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use objects::{BucketEntry, BucketId, BucketSettings, Grant};
    use types::Timestamp;

    use super::*;

    const OTHER: &str = "444455556666";

    fn bucket(change: impl FnOnce(&mut BucketSettings)) -> Bucket {
        let mut settings = BucketSettings::new(false);
        settings.ownership = Some(ObjectOwnership::ObjectWriter);
        settings.public_access_block = None;
        change(&mut settings);
        Bucket {
            name: "orders".parse().unwrap(),
            entry: BucketEntry {
                id: BucketId(1),
                owner: AccountId::LAB,
                region: "us-east-1".parse().unwrap(),
                created: Timestamp(0),
                object_lock: false,
            },
            settings: Arc::new(settings),
        }
    }

    fn list(grants: &[(Grantee, Permission)]) -> Acl {
        let grants = grants.iter().map(|(grantee, permission)| Grant {
            grantee: grantee.clone(),
            permission: *permission,
        });
        Acl {
            owner: AccountId::LAB,
            grants: grants.collect(),
        }
    }

    fn someone(account: &str) -> Asking {
        Asking {
            account: account.parse().unwrap(),
            is_anonymous: false,
        }
    }

    fn nobody() -> Asking {
        Asking {
            account: AccountId::ANONYMOUS,
            is_anonymous: true,
        }
    }

    #[test]
    fn lists_grant_what_their_permissions_map_to() {
        let other = Grantee::Account(OTHER.parse().unwrap());
        let open = bucket(|settings| {
            settings.acl = Some(list(&[
                (Grantee::Account(AccountId::LAB), Permission::FullControl),
                (Grantee::AuthenticatedUsers, Permission::Read),
                (other.clone(), Permission::FullControl),
            ]));
        });
        let granted = |asking, action| granted(asking, &open, None, action);
        assert_eq!(granted(someone(OTHER), "s3:ListBucket"), ["*", OTHER]);
        assert_eq!(granted(nobody(), "s3:ListBucket"), [OTHER]);
        assert_eq!(granted(someone(OTHER), "s3:PutObject"), [OTHER]);
        assert!(granted(someone(OTHER), "s3:PutBucketPolicy").is_empty());
        assert!(granted(someone(OTHER), "s3:GetObject").is_empty());
    }

    #[test]
    fn blocks_and_ownership_take_from_lists() {
        let public = || Some(list(&[(Grantee::AllUsers, Permission::Read)]));
        let open = bucket(|settings| settings.acl = public());
        assert_eq!(granted(nobody(), &open, None, "s3:ListBucket"), ["*"]);
        let enforced = bucket(|settings| {
            settings.acl = public();
            settings.ownership = Some(ObjectOwnership::BucketOwnerEnforced);
        });
        assert!(granted(nobody(), &enforced, None, "s3:ListBucket").is_empty());
        let ignoring = bucket(|settings| {
            settings.acl = public();
            settings.public_access_block = Some(PublicAccessBlock {
                ignore_public_acls: true,
                ..PublicAccessBlock::default()
            });
        });
        assert!(granted(nobody(), &ignoring, None, "s3:ListBucket").is_empty());
    }

    #[test]
    fn a_restricted_public_policy_allows_strangers_nothing() {
        let public = r#"{"Statement":{"Effect":"Allow","Principal":"*"}}"#;
        let restrict = |settings: &mut BucketSettings, policy: &str| {
            settings.policy = Some(policy.to_owned());
            settings.public_access_block = Some(PublicAccessBlock {
                restrict_public_buckets: true,
                ..PublicAccessBlock::default()
            });
        };
        let restricted = bucket(|settings| restrict(settings, public));
        let seen = |asking, bucket| document(asking, bucket, None).map(Cow::into_owned);
        let own = Asking {
            account: AccountId::LAB,
            is_anonymous: false,
        };
        assert_eq!(seen(own, &restricted).as_deref(), Some(public));
        assert_eq!(seen(nobody(), &restricted), None);
        assert_eq!(seen(someone(OTHER), &restricted), None);
        let narrow = r#"{"Statement":{"Effect":"Allow","Principal":{"AWS":"444455556666"}}}"#;
        let private = bucket(|settings| restrict(settings, narrow));
        assert_eq!(seen(someone(OTHER), &private).as_deref(), Some(narrow));
    }
}
