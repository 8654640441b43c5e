//! Buckets themselves: made, looked for, located, listed, deleted.

use aws::xml::{self, XmlLimits};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use objects::{Acl, Bucket, BucketSettings, NewBucket, ObjectOwnership};
use s3s::dto;
use store::Engine;
use types::Region;

use crate::acl::{self, Of};
use crate::context::{Context, Outcome, done};
use crate::error::Fault;
use crate::values;

/// Buckets on a page of the list at most, and where none is asked for (S3 API Reference,
/// "ListBuckets").
const PAGE: usize = 10_000;

/// How large the document is that asks for a bucket.
const LIMITS: XmlLimits = XmlLimits {
    depth: 8,
    elements: 1024,
};

/// The Region that is named by naming none.
const UNNAMED: &str = "us-east-1";

/// `CreateBucket`.
pub(crate) async fn create_bucket<E: Engine>(
    context: &Context<E>,
    input: dto::CreateBucketInput,
) -> Outcome<dto::CreateBucketOutput> {
    let name = context.bucket_name()?.clone();
    let configuration = input.create_bucket_configuration.unwrap_or_default();
    check_form(&configuration)?;
    let constraint = configuration.location_constraint.as_ref();
    let region = context.objects.config().region;
    check_location(
        constraint.map(dto::BucketLocationConstraint::as_str),
        region,
    )?;
    let owner = context.account();
    let has_lock = input.object_lock_enabled_for_bucket == Some(true);
    let mut settings = BucketSettings::new(has_lock);
    let ownership = context.header("x-amz-object-ownership");
    if let Some(ownership) = ownership {
        settings.ownership = Some(parse_ownership(ownership).ok_or_else(|| {
            let text = "Invalid x-amz-object-ownership header";
            Fault::argument("x-amz-object-ownership", ownership, text)
        })?);
        context.ask_new_bucket("s3:PutBucketOwnershipControls")?;
    }
    if has_lock {
        context.ask_new_bucket("s3:PutBucketObjectLockConfiguration")?;
        context.ask_new_bucket("s3:PutBucketVersioning")?;
    }
    if let Some(list) = acl::requested(&context.headers, Of::Bucket, owner)? {
        context.ask_new_bucket("s3:PutBucketAcl")?;
        settings.acl = list_of_new(&settings, list)?;
    }
    settings.tags = values::tags(tags_of(&context.document)?, values::MOST_BUCKET_TAGS)?;
    if !settings.tags.is_empty() {
        context.ask_new_bucket("s3:TagResource")?;
    }
    let new = NewBucket {
        name: name.clone(),
        owner,
        settings,
    };
    if let Err(error) = context.objects.create_bucket(new).await {
        let forgiven =
            error.code().0 == "BucketAlreadyOwnedByYou" && context.objects.forgives(&name, owner);
        if !forgiven {
            return Err(error.into());
        }
    }
    let location = match region.name() {
        UNNAMED => format!("/{name}"),
        _ => format!("http://{name}.s3.amazonaws.com/"),
    };
    done(dto::CreateBucketOutput {
        location: Some(location),
    })
}

/// The tags in a document, which the codec doesn't know: `Tags` with a `Tag` each.
fn tags_of(document: &[u8]) -> Result<Vec<(String, String)>, Fault> {
    if document.is_empty() {
        return Ok(Vec::new());
    }
    let root = xml::read(document, LIMITS).map_err(|_| Fault::malformed())?;
    let tags = root.child("Tags").map_or(&[][..], |tags| tags.children());
    let tags = tags.iter().map(|tag| {
        let text = |name| Some(tag.child(name)?.text().ok()?.to_owned());
        let tag = text("Key").zip(text("Value"));
        tag.ok_or_else(Fault::malformed)
    });
    tags.collect()
}

/// Directory buckets and zones are another kind of storage.
fn check_form(configuration: &dto::CreateBucketConfiguration) -> Result<(), Fault> {
    match configuration.bucket.is_some() || configuration.location.is_some() {
        true => Err(Fault::not_built("A bucket of a zone or of a type")),
        false => Ok(()),
    }
}

/// May a bucket be made here that is to be there?
fn check_location(constraint: Option<&str>, here: Region) -> Result<(), Fault> {
    let illegal = |asked: &str| {
        Fault::bad(
            "IllegalLocationConstraintException",
            format!(
                "The {asked} location constraint is incompatible for the region specific endpoint \
                 this request was sent to."
            ),
        )
    };
    let asked = match constraint {
        None | Some("") => match here.name() {
            UNNAMED => return Ok(()),
            _ => return Err(illegal("unspecified")),
        },
        Some("EU") => "eu-west-1",
        Some(asked) => asked,
    };
    let known = asked.parse::<Region>().ok().filter(|_| asked != UNNAMED);
    match known {
        None => Err(Fault::bad(
            "InvalidLocationConstraint",
            "The specified location-constraint is not valid",
        )
        .member("LocationConstraint", asked)),
        Some(region) if region != here => Err(illegal(asked)),
        Some(_) => Ok(()),
    }
}

/// The list that a new bucket has. `private` says nothing.
fn list_of_new(settings: &BucketSettings, list: Acl) -> Result<Option<Acl>, Fault> {
    if acl::gives_all_to(&list, list.owner) {
        return Ok(None);
    }
    if settings.ownership == Some(ObjectOwnership::BucketOwnerEnforced) {
        return Err(with_enforced());
    }
    match acl::is_public(&list) {
        // New buckets block them.
        true => Err(Fault::bad(
            "InvalidBucketAclWithBlockPublicAccessError",
            "Bucket cannot have public ACLs set with BlockPublicAccess enabled",
        )),
        false => Ok(Some(list)),
    }
}

/// A list of a bucket whose owner owns everything in it.
pub(crate) fn with_enforced() -> Fault {
    Fault::bad(
        "InvalidBucketAclWithObjectOwnership",
        "Bucket cannot have ACLs set with ObjectOwnership's BucketOwnerEnforced setting",
    )
}

/// Who owns what others put, by its name.
pub(crate) fn parse_ownership(name: &str) -> Option<ObjectOwnership> {
    match name {
        "BucketOwnerEnforced" => Some(ObjectOwnership::BucketOwnerEnforced),
        "BucketOwnerPreferred" => Some(ObjectOwnership::BucketOwnerPreferred),
        "ObjectWriter" => Some(ObjectOwnership::ObjectWriter),
        _ => None,
    }
}

/// `DeleteBucket`.
pub(crate) async fn delete_bucket<E: Engine>(
    context: &Context<E>,
    _: dto::DeleteBucketInput,
) -> Outcome<dto::DeleteBucketOutput> {
    context.objects.delete_bucket(context.bucket()?).await?;
    done(dto::DeleteBucketOutput::default())
}

/// `HeadBucket`.
pub(crate) async fn head_bucket<E: Engine>(
    context: &Context<E>,
    _: dto::HeadBucketInput,
) -> Outcome<dto::HeadBucketOutput> {
    let region = context.bucket()?.entry.region;
    done(dto::HeadBucketOutput {
        access_point_alias: Some(false),
        bucket_region: Some(region.name().to_owned()),
        ..dto::HeadBucketOutput::default()
    })
}

/// `GetBucketLocation`: of the first Region nothing.
pub(crate) async fn get_bucket_location<E: Engine>(
    context: &Context<E>,
    _: dto::GetBucketLocationInput,
) -> Outcome<dto::GetBucketLocationOutput> {
    let region = context.bucket()?.entry.region;
    let told = Some(region.name()).filter(|name| *name != UNNAMED);
    done(dto::GetBucketLocationOutput {
        location_constraint: told.map(dto::BucketLocationConstraint::from_static),
    })
}

/// `ListBuckets`: those of the caller's account, in all Regions.
pub(crate) async fn list_buckets<E: Engine>(
    context: &Context<E>,
    input: dto::ListBucketsInput,
) -> Outcome<dto::ListBucketsOutput> {
    let limit = match input.max_buckets {
        None => PAGE,
        Some(count) => usize::try_from(count)
            .ok()
            .filter(|count| (1..=PAGE).contains(count))
            .ok_or_else(|| {
                let text = format!("max-buckets must be between 1 and {PAGE}");
                Fault::argument("max-buckets", &count.to_string(), text)
            })?,
    };
    let after = input.continuation_token.as_deref().map(parse_token);
    let after = after.transpose()?;
    let region = input.bucket_region.as_deref().map(|name| {
        let text = "Argument value is not a valid AWS Region";
        let parsed = name.parse::<Region>();
        parsed.map_err(|_| Fault::argument("bucket-region", name, text))
    });
    let owner = context.account();
    let prefix = input.prefix.as_deref().unwrap_or_default();
    let region = region.transpose()?;
    let page = context
        .objects
        .list_buckets(owner, region, prefix, after.as_deref(), limit)?;
    let last = page.buckets.last().filter(|_| page.more);
    let next = last.map(|(name, _)| URL_SAFE_NO_PAD.encode(name.as_str()));
    let buckets = page.buckets.iter().map(|(name, entry)| dto::Bucket {
        bucket_region: Some(entry.region.name().to_owned()),
        creation_date: Some(values::time(entry.created)),
        name: Some(name.to_string()),
    });
    done(dto::ListBucketsOutput {
        buckets: Some(buckets.collect()),
        continuation_token: next,
        owner: Some(acl::shown_owner(owner)),
        prefix: input.prefix.filter(|prefix| !prefix.is_empty()),
    })
}

fn parse_token(token: &str) -> Result<String, Fault> {
    let name = URL_SAFE_NO_PAD.decode(token).ok();
    let name = name.and_then(|name| String::from_utf8(name).ok());
    name.ok_or_else(|| {
        let text = "The continuation token provided is incorrect";
        Fault::argument("continuation-token", token, text)
    })
}

/// Refuses what only the account of a bucket's owner may do, whoever is allowed it.
pub(crate) fn owner_only<E: Engine>(context: &Context<E>, bucket: &Bucket) -> Result<(), Fault> {
    match context.judge().account() == bucket.entry.owner {
        true => Ok(()),
        false => Err(Fault::new(
            http::StatusCode::METHOD_NOT_ALLOWED,
            "MethodNotAllowed",
            "The specified method is not allowed against this resource.",
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_is_made_where_it_is_to_be_or_not_at_all() {
        let check = |constraint, here: &str| {
            let checked = check_location(constraint, here.parse().unwrap());
            checked.map_err(|fault| fault.code.into_owned())
        };
        let illegal = Err("IllegalLocationConstraintException".to_owned());
        let invalid = Err("InvalidLocationConstraint".to_owned());
        assert_eq!(check(None, "us-east-1"), Ok(()));
        assert_eq!(check(Some("eu-west-1"), "eu-west-1"), Ok(()));
        assert_eq!(check(Some("EU"), "eu-west-1"), Ok(()));
        assert_eq!(check(None, "eu-west-1"), illegal);
        assert_eq!(check(Some("eu-west-1"), "us-east-1"), illegal);
        assert_eq!(check(Some("us-east-1"), "us-east-1"), invalid);
        assert_eq!(check(Some("moon"), "us-east-1"), invalid);
    }

    #[test]
    fn a_new_bucket_s_list_can_only_be_private_unless_lists_are_enabled() {
        let owner = types::AccountId::LAB;
        let list = |name: &'static str| {
            let mut headers = http::HeaderMap::new();
            headers.insert("x-amz-acl", http::HeaderValue::from_static(name));
            acl::requested(&headers, Of::Bucket, owner)
                .unwrap()
                .unwrap()
        };
        let mut settings = BucketSettings::new(false);
        assert_eq!(list_of_new(&settings, list("private")).unwrap(), None);
        let code = |settings: &BucketSettings, name| {
            let refused = list_of_new(settings, list(name)).unwrap_err();
            refused.code.into_owned()
        };
        let public = "public-read";
        assert_eq!(
            code(&settings, public),
            "InvalidBucketAclWithObjectOwnership"
        );
        settings.ownership = Some(ObjectOwnership::ObjectWriter);
        let blocked = "InvalidBucketAclWithBlockPublicAccessError";
        assert_eq!(code(&settings, public), blocked);
        assert!(
            list_of_new(&settings, list("log-delivery-write"))
                .unwrap()
                .is_some()
        );
    }

    #[test]
    fn a_new_bucket_s_tags_are_read() {
        let document = b"<C><Tags><Tag><Key>a</Key><Value>b</Value></Tag></Tags></C>";
        let tag = ("a".to_owned(), "b".to_owned());
        assert_eq!(tags_of(document).unwrap(), [tag]);
        assert!(tags_of(b"").unwrap().is_empty() && tags_of(b"<C/>").unwrap().is_empty());
        let halved = b"<C><Tags><Tag><Key>a</Key></Tag></Tags></C>";
        assert_eq!(tags_of(halved).unwrap_err().code, "MalformedXML");
    }

    #[test]
    fn tokens_are_names() {
        assert_eq!(parse_token(&URL_SAFE_NO_PAD.encode("abc")).unwrap(), "abc");
        assert_eq!(parse_token("?").unwrap_err().code, "InvalidArgument");
    }
}
