//! Files of logs, as services of this house put them into buckets of this Region. It gathers
//! nothing, and asks nobody whether it may.

use bytes::Bytes;
use objects::content::{Expected, Ingest, IngestOptions};
use objects::notify::Origin;
use objects::{
    Bucket, Cause, Creation, Metadata, NewContent, NewObject, ObjectError, ObjectKey, Objects,
    WriteConditions,
};
use store::Engine;

/// Puts a file into that bucket, whose owner owns it. Poll it to its end. `principal`: who puts it,
/// as events of the bucket say it (a service's own principal).
///
/// # Errors
/// Why it can't be put, in words for the operator.
pub(crate) async fn put<E: Engine>(
    objects: &Objects<E>,
    bucket: &Bucket,
    key: &ObjectKey,
    file: Bytes,
    principal: &str,
) -> Result<(), String> {
    let wrong = |cause: &dyn std::fmt::Display| format!("bucket {}: {cause}", bucket.name);
    let length = file.len() as u64;
    let mut ingest = Ingest::new(
        objects.contents(),
        IngestOptions {
            length: Some(length),
            limit: length,
            expected: Expected::default(),
            customer_key: None,
        },
    );
    ingest.push(file).await.map_err(|cause| wrong(&cause))?;
    let ingested = ingest.finish(Vec::new()).await;
    let new = NewObject {
        owner: bucket.entry.owner,
        content: NewContent::Whole(ingested.map_err(|cause| wrong(&cause))?),
        metadata: Metadata {
            content_type: Some("application/octet-stream".to_owned()),
            ..Metadata::default()
        },
        storage_class: "STANDARD".to_owned(),
        tags: Default::default(),
        acl: None,
        retention: None,
        legal_hold: false,
        conditions: WriteConditions::default(),
        how: Creation::Put,
        cause: Cause::Request(Origin {
            principal: principal.to_owned(),
            source_address: "127.0.0.1".to_owned(),
            request_id: String::new(),
            host_id: String::new(),
        }),
    };
    let put: Result<_, ObjectError> = objects.put(bucket, key, new).await;
    put.map(drop).map_err(|cause| wrong(&cause))
}
