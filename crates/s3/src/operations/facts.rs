//! What an answer tells of an object in its headers, alike for every operation that has them.

use http::header::{
    ACCEPT_RANGES, CACHE_CONTROL, CONTENT_DISPOSITION, CONTENT_ENCODING, CONTENT_LANGUAGE,
    CONTENT_TYPE, ETAG, EXPIRES, HeaderName, LAST_MODIFIED,
};
use http::{HeaderMap, HeaderValue};
use objects::{
    Bucket, Checksum, ChecksumKind, Encryption, Metadata, ObjectData, ObjectKey, ObjectVersion,
    Versioning,
};

use crate::error::VERSION_ID;
use crate::values;

/// The type of what has none.
const UNKNOWN_TYPE: &str = "binary/octet-stream";

/// Sets a header; a value that can't be one is left out.
pub(crate) fn set(headers: &mut HeaderMap, name: HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::from_bytes(value.as_bytes()) {
        headers.insert(name, value);
    }
}

/// The same of one of S3's own headers.
pub(crate) fn set_own(headers: &mut HeaderMap, name: &'static str, value: &str) {
    set(headers, HeaderName::from_static(name), value);
}

/// What GET and HEAD tell of an object, but for how much of it the answer has.
pub(crate) fn of_object(bucket: &Bucket, version: &ObjectVersion, data: &ObjectData) -> HeaderMap {
    let mut headers = HeaderMap::with_capacity(24);
    set(&mut headers, ACCEPT_RANGES, "bytes");
    validators(&mut headers, version, data);
    served_with(&mut headers, &data.metadata);
    id(&mut headers, bucket, version);
    encryption(&mut headers, &data.encryption);
    if data.storage_class != "STANDARD" {
        set_own(&mut headers, "x-amz-storage-class", &data.storage_class);
    }
    if let Some(status) = version.replication_status() {
        set_own(&mut headers, "x-amz-replication-status", status.as_str());
    }
    if !data.tags.is_empty() {
        let count = data.tags.len().to_string();
        set_own(&mut headers, "x-amz-tagging-count", &count);
    }
    headers
}

/// What tells one state of an object from another.
pub(crate) fn validators(headers: &mut HeaderMap, version: &ObjectVersion, data: &ObjectData) {
    set(headers, ETAG, &format!("\"{}\"", data.etag));
    let modified = values::http_date_of(version.stamp.last_modified());
    set(headers, LAST_MODIFIED, &modified);
}

/// The headers that the object's writer gave it.
fn served_with(headers: &mut HeaderMap, metadata: &Metadata) {
    let kind = metadata.content_type.as_deref().unwrap_or(UNKNOWN_TYPE);
    set(headers, CONTENT_TYPE, kind);
    for (name, value) in [
        (CACHE_CONTROL, &metadata.cache_control),
        (CONTENT_DISPOSITION, &metadata.content_disposition),
        (CONTENT_ENCODING, &metadata.content_encoding),
        (CONTENT_LANGUAGE, &metadata.content_language),
        (EXPIRES, &metadata.expires),
    ] {
        if let Some(value) = value {
            set(headers, name, value);
        }
    }
    if let Some(location) = &metadata.website_redirect_location {
        set_own(headers, "x-amz-website-redirect-location", location);
    }
    for (name, value) in &metadata.user {
        let name = HeaderName::try_from(format!("x-amz-meta-{name}"));
        if let Ok(name) = name {
            set(headers, name, value);
        }
    }
}

/// The version's id, in a bucket that keeps or kept versions.
pub(crate) fn id(headers: &mut HeaderMap, bucket: &Bucket, version: &ObjectVersion) {
    if bucket.settings.versioning != Versioning::Unversioned {
        set(headers, VERSION_ID, &version.id().to_string());
    }
}

/// When a rule of the bucket's lifecycle expires the object, which is current.
pub(crate) fn expiration(
    headers: &mut HeaderMap,
    bucket: &Bucket,
    key: &ObjectKey,
    version: &ObjectVersion,
) {
    let rules = bucket.settings.lifecycle.as_ref();
    let expiry = rules.and_then(|rules| objects::lifecycle::expiry(rules, key, version));
    if let Some(expiry) = expiry {
        let at = values::http_date_of(expiry.at);
        let rule = crate::query::encode(&expiry.rule);
        let told = format!("expiry-date=\"{at}\", rule-id=\"{rule}\"");
        set_own(headers, "x-amz-expiration", &told);
    }
}

/// How its bytes are encrypted.
pub(crate) fn encryption(headers: &mut HeaderMap, encryption: &Encryption) {
    match encryption {
        Encryption::Site => set_own(headers, "x-amz-server-side-encryption", "AES256"),
        Encryption::Customer { key_md5, .. } => {
            set_own(
                headers,
                "x-amz-server-side-encryption-customer-algorithm",
                "AES256",
            );
            set_own(
                headers,
                "x-amz-server-side-encryption-customer-key-md5",
                key_md5,
            );
        }
    }
}

/// A checksum, and of what it is.
pub(crate) fn checksum(headers: &mut HeaderMap, checksum: &Checksum) {
    set_own(headers, checksum.algorithm.header(), &checksum.value);
    let kind = match checksum.kind {
        ChecksumKind::FullObject => "FULL_OBJECT",
        ChecksumKind::Composite => "COMPOSITE",
    };
    set_own(headers, "x-amz-checksum-type", kind);
}
