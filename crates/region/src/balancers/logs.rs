//! Access logs of load balancers, written into buckets of their own Region and account. It gathers
//! nothing and decides nothing.

use bytes::Bytes;
use objects::content::{Expected, Ingest, IngestOptions};
use objects::notify::Origin;
use objects::{
    BucketName, Cause, Creation, Metadata, NewContent, NewObject, ObjectKey, WriteConditions,
};
use store::Engine;
use types::AccountId;

use crate::region::Region;

/// Who puts logs, as events of the bucket say it (the service's own principal).
const PRINCIPAL: &str = "logdelivery.elasticloadbalancing.amazonaws.com";

impl<E: Engine> Region<E> {
    /// Puts a file of a load balancer's log into that bucket, which must be of its Region and its
    /// account; no policy of the bucket is asked. Poll it to its end.
    ///
    /// # Errors
    /// Why it can't be put, in words for the operator.
    pub async fn put_access_log(
        &self,
        account: AccountId,
        bucket: &str,
        key: &str,
        file: Bytes,
    ) -> Result<(), String> {
        let wrong = |cause: &dyn std::fmt::Display| format!("bucket {bucket}: {cause}");
        let name: BucketName = bucket.parse().map_err(|cause| wrong(&cause))?;
        let key: ObjectKey = key.parse().map_err(|cause| wrong(&cause))?;
        let found = self.objects.bucket(&name).map_err(|cause| wrong(&cause))?;
        if found.entry.owner != account {
            return Err(wrong(&"it is another account's"));
        }
        let length = file.len() as u64;
        let mut ingest = Ingest::new(
            self.objects.contents(),
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
            owner: account,
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
                principal: PRINCIPAL.to_owned(),
                source_address: "127.0.0.1".to_owned(),
                request_id: String::new(),
                host_id: String::new(),
            }),
        };
        let put = self.objects.put(&found, &key, new).await;
        put.map(drop).map_err(|cause| wrong(&cause))
    }
}
