//! Tags of an object: get, put, delete.

use std::collections::BTreeMap;

use objects::{Amendment, Aspect, ObjectVersion, Versioning};
use s3s::dto::{
    DeleteObjectTaggingInput, DeleteObjectTaggingOutput, GetObjectTaggingInput,
    GetObjectTaggingOutput, PutObjectTaggingInput, PutObjectTaggingOutput, Tag,
};
use store::Engine;

use super::amend::amend;
use crate::context::{Context, Outcome, done};
use crate::error::Fault;
use crate::values;

/// `GetObjectTagging`.
pub(crate) async fn get_object_tagging<E: Engine>(
    context: &Context<E>,
    _: GetObjectTaggingInput,
) -> Outcome<GetObjectTaggingOutput> {
    let version = context.object().await?;
    let tags = version.object().map(|data| data.tags.clone());
    done(GetObjectTaggingOutput {
        tag_set: told(&tags.unwrap_or_default()),
        version_id: told_id(context, &version)?,
    })
}

/// `PutObjectTagging`.
pub(crate) async fn put_object_tagging<E: Engine>(
    context: &Context<E>,
    input: PutObjectTaggingInput,
) -> Outcome<PutObjectTaggingOutput> {
    let pairs = pairs(input.tagging.tag_set)?;
    let tags = values::tags(pairs, values::MOST_OBJECT_TAGS)?;
    let version_id = set(context, tags).await?;
    done(PutObjectTaggingOutput { version_id })
}

/// `DeleteObjectTagging`.
pub(crate) async fn delete_object_tagging<E: Engine>(
    context: &Context<E>,
    _: DeleteObjectTaggingInput,
) -> Outcome<DeleteObjectTaggingOutput> {
    let version_id = set(context, BTreeMap::new()).await?;
    done(DeleteObjectTaggingOutput { version_id })
}

async fn set<E: Engine>(
    context: &Context<E>,
    tags: BTreeMap<String, String>,
) -> Result<Option<String>, Fault> {
    let aspect = Aspect::Tags {
        removed: tags.is_empty(),
    };
    let amendment = Amendment::Tags(tags);
    let amended = amend(context, aspect, &[], |_| Ok(amendment.clone())).await?;
    told_id(context, &amended)
}

/// A document's tags, each with a key and a value.
///
/// # Errors
///
/// `MalformedXML`.
pub(crate) fn pairs(tags: Vec<Tag>) -> Result<Vec<(String, String)>, Fault> {
    let pairs = tags.into_iter().map(|tag| match (tag.key, tag.value) {
        (Some(key), Some(value)) => Ok((key, value)),
        _ => Err(Fault::malformed()),
    });
    pairs.collect()
}

/// Tags as a document has them.
pub(crate) fn told(tags: &BTreeMap<String, String>) -> Vec<Tag> {
    let tags = tags.iter().map(|(key, value)| Tag {
        key: Some(key.clone()),
        value: Some(value.clone()),
    });
    tags.collect()
}

/// The id of a version, in a bucket that keeps or kept versions.
///
/// # Errors
///
/// The operation has no bucket: ours.
pub(crate) fn told_id<E: Engine>(
    context: &Context<E>,
    version: &ObjectVersion,
) -> Result<Option<String>, Fault> {
    let versioning = context.bucket()?.settings.versioning;
    let is_told = versioning != Versioning::Unversioned;
    Ok(is_told.then(|| version.id().to_string()))
}
