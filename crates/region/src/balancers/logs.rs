//! Access logs of load balancers, written into buckets of their own Region and account. It gathers
//! nothing and decides nothing.

use bytes::Bytes;
use objects::{BucketName, ObjectKey};
use store::Engine;
use types::AccountId;

use crate::log_files;
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
        log_files::put(&self.objects, &found, &key, file, PRINCIPAL).await
    }
}
