//! A bucket's tags.

use std::collections::BTreeMap;

use s3s::dto;
use store::Engine;

use crate::context::{Context, Outcome, done};
use crate::error::Fault;
use crate::values;

/// `GetBucketTagging`.
pub(crate) async fn get_bucket_tagging<E: Engine>(
    context: &Context<E>,
    _: dto::GetBucketTaggingInput,
) -> Outcome<dto::GetBucketTaggingOutput> {
    let tags = &context.bucket()?.settings.tags;
    if tags.is_empty() {
        return Err(Fault::new(
            http::StatusCode::NOT_FOUND,
            "NoSuchTagSet",
            "The TagSet does not exist",
        ));
    }
    let tag_set = tags.iter().map(|(key, value)| dto::Tag {
        key: Some(key.clone()),
        value: Some(value.clone()),
    });
    done(dto::GetBucketTaggingOutput {
        tag_set: tag_set.collect(),
    })
}

/// `PutBucketTagging`: all tags anew.
pub(crate) async fn put_bucket_tagging<E: Engine>(
    context: &Context<E>,
    input: dto::PutBucketTaggingInput,
) -> Outcome<dto::PutBucketTaggingOutput> {
    let pairs = input.tagging.tag_set.into_iter();
    let pairs = pairs.map(|tag| Some((tag.key?, tag.value.unwrap_or_default())));
    let pairs: Option<Vec<_>> = pairs.collect();
    let pairs = pairs.ok_or_else(Fault::malformed)?;
    let tags = values::tags(pairs, values::MOST_BUCKET_TAGS)?;
    set(context, tags).await?;
    done(dto::PutBucketTaggingOutput::default())
}

/// `DeleteBucketTagging`.
pub(crate) async fn delete_bucket_tagging<E: Engine>(
    context: &Context<E>,
    _: dto::DeleteBucketTaggingInput,
) -> Outcome<dto::DeleteBucketTaggingOutput> {
    set(context, BTreeMap::new()).await?;
    done(dto::DeleteBucketTaggingOutput::default())
}

async fn set<E: Engine>(context: &Context<E>, tags: BTreeMap<String, String>) -> Result<(), Fault> {
    let changed = context
        .objects
        .change_settings(context.bucket()?, |settings| {
            settings.tags.clone_from(&tags);
            Ok(())
        });
    Ok(changed.await?)
}
