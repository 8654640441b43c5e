//! `PutObject`, and what every operation that makes an object reads of its request: the headers
//! that it is served with, its class, tags, access control list, lock, key and conditions.

use std::collections::BTreeMap;

use http::HeaderMap;
use objects::content::CustomerKey;
use objects::notify::Origin;
use objects::{
    Acl, Cause, Creation, Metadata, NewContent, NewObject, ObjectOwnership, ObjectVersion,
    Retention, WriteConditions,
};
use s3s::S3Response;
use s3s::dto::{PutObjectInput, PutObjectOutput};
use store::Engine;
use types::AccountId;

use super::{facts, ingest};
use crate::acl;
use crate::context::{Context, Outcome};
use crate::error::Fault;
use crate::values;

/// `PutObject`.
pub(crate) async fn put_object<E: Engine>(
    context: &Context<E>,
    _: PutObjectInput,
) -> Outcome<PutObjectOutput> {
    let (bucket, key) = (context.bucket()?, context.key()?);
    let asked = Asked::of(context)?;
    if asked.is_locked() && !context.digests.is_any() {
        return Err(Fault::bad(
            "InvalidRequest",
            "Content-MD5 OR x-amz-checksum- HTTP header is required for Put Object requests with \
             Object Lock parameters",
        ));
    }
    let objects = &context.objects;
    objects
        .check_conditions(bucket, key, &asked.conditions)
        .await?;
    let ingested = ingest::body(context, asked.customer_key.clone()).await?;
    let new = asked.object(context, NewContent::Whole(ingested), Creation::Put);
    let version = objects.put(bucket, key, new).await?;
    Ok(S3Response::with_headers(
        PutObjectOutput::default(),
        made(context, &version)?,
    ))
}

/// What a request wants a new object to be like.
#[derive(Clone, Debug)]
pub(crate) struct Asked {
    pub(crate) owner: AccountId,
    pub(crate) metadata: Metadata,
    pub(crate) storage_class: String,
    pub(crate) tags: BTreeMap<String, String>,
    pub(crate) acl: Option<Acl>,
    pub(crate) retention: Option<Retention>,
    pub(crate) legal_hold: bool,
    pub(crate) customer_key: Option<CustomerKey>,
    pub(crate) conditions: WriteConditions,
}

impl Asked {
    /// What the request's headers say.
    ///
    /// # Errors
    ///
    /// The first of them that can't be.
    pub(crate) fn of<E: Engine>(context: &Context<E>) -> Result<Asked, Fault> {
        let headers = &context.headers;
        let (owner, acl) = list(context)?;
        let tags = values::tags_of_header(context.header("x-amz-tagging").unwrap_or_default())?;
        let mode = context.header("x-amz-object-lock-mode");
        let mode = mode.map(values::lock_mode).transpose()?;
        let until = context.header("x-amz-object-lock-retain-until-date");
        let until = until.map(retain_until).transpose()?;
        let now = context.objects.config().environment.now().wall;
        let hold = context.header("x-amz-object-lock-legal-hold");
        Ok(Asked {
            owner,
            metadata: values::metadata(headers)?,
            storage_class: values::storage_class(headers)?,
            tags: values::tags(tags, values::MOST_OBJECT_TAGS)?,
            acl,
            retention: Retention::requested(mode, until, now)?,
            legal_hold: hold
                .map(values::legal_hold)
                .transpose()?
                .unwrap_or_default(),
            customer_key: values::customer_key(headers, values::CUSTOMER)?,
            conditions: values::write_conditions(headers)?,
        })
    }

    /// Does it ask for a lock?
    pub(crate) fn is_locked(&self) -> bool {
        self.retention.is_some() || self.legal_hold
    }

    /// The object of those bytes.
    pub(crate) fn object<E: Engine>(
        self,
        context: &Context<E>,
        content: NewContent,
        how: Creation,
    ) -> NewObject {
        NewObject {
            owner: self.owner,
            content,
            metadata: self.metadata,
            storage_class: self.storage_class,
            tags: self.tags,
            acl: self.acl,
            retention: self.retention,
            legal_hold: self.legal_hold,
            conditions: self.conditions,
            how,
            cause: cause(context),
        }
    }
}

/// Whose a new object will be, and its access control list.
fn list<E: Engine>(context: &Context<E>) -> Result<(AccountId, Option<Acl>), Fault> {
    let bucket = context.bucket()?;
    let gives = context.header("x-amz-acl") == Some("bucket-owner-full-control");
    let owner = match bucket.settings.ownership {
        Some(ObjectOwnership::BucketOwnerEnforced) => bucket.entry.owner,
        Some(ObjectOwnership::BucketOwnerPreferred) if gives => bucket.entry.owner,
        _ => context.account(),
    };
    let of = acl::Of::Object(bucket.entry.owner);
    let acl = acl::requested(&context.headers, of, owner)?;
    if let Some(acl) = &acl {
        let caller = context.judge().arn();
        acl::check(bucket, acl, of, "s3:PutObjectAcl", caller)?;
    }
    let is_kept = bucket.settings.ownership != Some(ObjectOwnership::BucketOwnerEnforced);
    Ok((owner, acl.filter(|_| is_kept)))
}

/// A change that this request makes.
pub(crate) fn cause<E: Engine>(context: &Context<E>) -> Cause {
    Cause::Request(origin(context))
}

/// Who asked, as events tell it.
pub(crate) fn origin<E: Engine>(context: &Context<E>) -> Origin {
    Origin {
        principal: context.judge().arn().to_owned(),
        source_address: context.source_address.clone(),
        request_id: context.about.request_id.clone(),
        host_id: context.about.host_id(),
    }
}

/// What is told of an object that was made.
///
/// # Errors
///
/// The operation has no bucket: ours.
pub(crate) fn made<E: Engine>(
    context: &Context<E>,
    version: &ObjectVersion,
) -> Result<HeaderMap, Fault> {
    let mut headers = HeaderMap::new();
    facts::id(&mut headers, context.bucket()?, version);
    facts::expiration(&mut headers, context.bucket()?, context.key()?, version);
    if let Some(data) = version.object() {
        let etag = format!("\"{}\"", data.etag);
        facts::set(&mut headers, http::header::ETAG, &etag);
        facts::encryption(&mut headers, &data.encryption);
        if let Some(checksum) = &data.checksum {
            facts::checksum(&mut headers, checksum);
        }
    }
    Ok(headers)
}

fn retain_until(text: &str) -> Result<types::Timestamp, Fault> {
    let invalid = || {
        Fault::argument(
            "x-amz-object-lock-retain-until-date",
            text,
            "The retain until date must be provided in ISO 8601 format",
        )
    };
    values::date_time(text).ok_or_else(invalid)
}
