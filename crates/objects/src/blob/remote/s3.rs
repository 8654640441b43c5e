//! Blobs in a bucket of S3, or of what speaks its protocol: how it is called, how long, and how
//! often. Requests are signed (Signature V4, the digest of the body included), so the store refuses
//! bytes that didn't arrive as they were sent. Keys are given to it; it looks for none in the
//! environment, in files or at an address of a cloud.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use object_store::aws::{AmazonS3Builder, S3ConditionalPut};
use object_store::memory::InMemory;
use object_store::{BackoffConfig, RetryConfig};
use zeroize::Zeroizing;

use super::transport::{Connector, Transport};
use super::{RemoteBlobs, RemoteOptions};

/// How often a request is tried again that wasn't answered, or with an error of the server's.
const RETRIES: usize = 3;

/// Until when it is tried again, counted from the first time.
const RETRY_UNTIL: Duration = Duration::from_secs(10);

/// The pause before the first further attempt ...
const FIRST_PAUSE: Duration = Duration::from_millis(100);

/// ... and the longest one.
const LONGEST_PAUSE: Duration = Duration::from_secs(2);

/// A bucket of S3, or of what speaks its protocol.
#[derive(Clone)]
pub struct S3Place {
    /// Where it is: `https://s3.eu-west-1.amazonaws.com`, `http://10.0.0.7:9000`. Buckets are
    /// named in the path.
    pub endpoint: String,
    /// The Region that signatures name.
    pub region: String,
    /// The bucket.
    pub bucket: String,
    /// The access key's id.
    pub key_id: String,
    /// Its secret. The library keeps a copy for as long as the blobs are open.
    pub secret: Zeroizing<String>,
}

/// Why blobs can't be kept there.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum S3PlaceError {
    /// The folder's name can't be a key's beginning.
    #[error("'{0}' is no prefix that keys can begin with: {1}")]
    Prefix(String, String),
    /// The library refuses what it is told.
    #[error("the bucket can't be used: {0}")]
    Refused(String),
}

impl fmt::Debug for S3Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("S3Place")
            .field("endpoint", &self.endpoint)
            .field("region", &self.region)
            .field("bucket", &self.bucket)
            .field("key_id", &self.key_id)
            .finish_non_exhaustive()
    }
}

impl RemoteBlobs {
    /// In that bucket, called by that transport. Nothing is asked of it yet.
    ///
    /// # Errors
    /// What can't be right whatever the store says.
    pub fn s3(
        place: &S3Place,
        transport: Arc<dyn Transport>,
        options: RemoteOptions,
    ) -> Result<RemoteBlobs, S3PlaceError> {
        let retry = RetryConfig {
            backoff: BackoffConfig {
                init_backoff: FIRST_PAUSE,
                max_backoff: LONGEST_PAUSE,
                base: 2.0,
            },
            max_retries: RETRIES,
            retry_timeout: RETRY_UNTIL,
        };
        let store = AmazonS3Builder::new()
            .with_endpoint(&place.endpoint)
            .with_region(&place.region)
            .with_bucket_name(&place.bucket)
            .with_access_key_id(&place.key_id)
            .with_secret_access_key(place.secret.as_str())
            .with_allow_http(true)
            .with_virtual_hosted_style_request(false)
            .with_conditional_put(S3ConditionalPut::ETagMatch)
            // DELETE of one object is what every store has.
            .with_disable_bulk_delete(true)
            .with_retry(retry)
            .with_http_connector(Connector::new(transport))
            .build()
            .map_err(|cause| S3PlaceError::Refused(cause.to_string()))?;
        RemoteBlobs::over(Arc::new(store), options)
    }

    /// In memory, for tests: nothing of it outlives the process.
    ///
    /// # Errors
    /// The prefix can't be one.
    pub fn in_memory(options: RemoteOptions) -> Result<RemoteBlobs, S3PlaceError> {
        RemoteBlobs::over(Arc::new(InMemory::new()), options)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_never_printed() {
        let place = S3Place {
            endpoint: "http://127.0.0.1:1".to_owned(),
            region: "us-east-1".to_owned(),
            bucket: "bytes".to_owned(),
            key_id: "AKIAIOSFODNN7EXAMPLE".to_owned(),
            secret: Zeroizing::new("hidden".to_owned()),
        };
        let printed = format!("{place:?}");
        assert!(
            printed.contains("bytes") && !printed.contains("hidden"),
            "{printed}"
        );
    }
}
