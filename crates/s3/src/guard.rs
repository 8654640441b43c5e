//! What is looked at before a request is anything: headers that would be overlooked, lengths, whose
//! bucket it expects, the digests that it must have. And what the codec is given to see: nothing of
//! a signature, no customer's key, nothing that an adapter reads itself.

use http::header::{
    CONTENT_LENGTH, HeaderName, IF_MATCH, IF_MODIFIED_SINCE, IF_NONE_MATCH, IF_UNMODIFIED_SINCE,
};
use http::{HeaderMap, HeaderValue, StatusCode, header};
use objects::Bucket;
use store::Engine;

use crate::body::Payload;
use crate::context::Context;
use crate::digest::Digests;
use crate::error::{ACCESS_DENIED, Fault};
use crate::table::Row;

/// The largest object in one request, and the largest part (S3 User Guide, "Uploading objects").
pub(crate) const LARGEST_BODY: u64 = 5 << 30;

/// Operations whose document must come with a digest (S3 API Reference, each one's `Content-MD5`).
const WITH_DIGEST: [&str; 6] = [
    "DeleteObjects",
    "PutBucketCors",
    "PutBucketLifecycleConfiguration",
    "PutObjectLockConfiguration",
    "PutObjectRetention",
    "PutObjectLegalHold",
];

/// Headers that the codec isn't given: those of the signature and of HTTP, and those that adapters
/// read as they came.
const HIDDEN: [HeaderName; 11] = [
    header::AUTHORIZATION,
    header::HOST,
    header::TRANSFER_ENCODING,
    header::EXPECT,
    header::RANGE,
    header::EXPIRES,
    CONTENT_LENGTH,
    IF_MATCH,
    IF_MODIFIED_SINCE,
    IF_NONE_MATCH,
    IF_UNMODIFIED_SINCE,
];

/// The same, by the beginning of their names.
const HIDDEN_PREFIXES: [&str; 8] = [
    "x-amz-content-sha256",
    "x-amz-date",
    "x-amz-decoded-content-length",
    "x-amz-security-token",
    "x-amz-meta-",
    "x-amz-server-side-encryption-customer-",
    "x-amz-copy-source-server-side-encryption-customer-",
    "x-amz-copy-source-if-",
];

/// Headers that ask for what isn't built, and what it is. (A request that asks for it and is done
/// without it would seem to have been done with it.)
const NOT_BUILT: [(&str, &str); 6] = [
    (
        "x-amz-server-side-encryption-aws-kms-key-id",
        "Encryption with keys of KMS",
    ),
    (
        "x-amz-server-side-encryption-context",
        "Encryption with keys of KMS",
    ),
    ("x-amz-write-offset-bytes", "Appending to an object"),
    ("x-amz-mfa", "MFA delete"),
    (
        "x-amz-if-match-last-modified-time",
        "A condition on an object's time or size",
    ),
    (
        "x-amz-if-match-size",
        "A condition on an object's time or size",
    ),
];

/// What headers begin with by which other stores say that a copy is a replica, and of what: only
/// replication itself does that here, by no request.
const OF_REPLICAS: &str = "x-amz-source-replication-";

/// The headers of a request with those that its query carried, which never replace one.
///
/// # Errors
///
/// `NotImplemented` by what is asked for.
pub(crate) fn headers(sent: &HeaderMap, carried: HeaderMap) -> Result<HeaderMap, Fault> {
    let mut headers = sent.clone();
    for (name, value) in carried {
        if let Some(name) = name
            && !headers.contains_key(&name)
        {
            headers.insert(name, value);
        }
    }
    for (name, what) in NOT_BUILT {
        if headers.contains_key(name) {
            return Err(Fault::not_built(what));
        }
    }
    let mut names = headers.keys().map(HeaderName::as_str);
    if let Some(name) = names.find(|name| name.starts_with(OF_REPLICAS)) {
        return Err(Fault::not_built(&format!("The header '{name}'")));
    }
    let encryption = headers.get("x-amz-server-side-encryption");
    if let Some(named) = encryption.filter(|named| named.as_bytes().starts_with(b"aws:")) {
        let named = named.to_str().unwrap_or_default();
        return Err(Fault::not_built(&format!("Encryption by '{named}'")));
    }
    for name in ["x-amz-server-side-encryption-customer-key", COPIED_KEY] {
        if let Some(value) = headers.get_mut(name) {
            value.set_sensitive(true);
        }
    }
    Ok(headers)
}

const COPIED_KEY: &str = "x-amz-copy-source-server-side-encryption-customer-key";

/// Is the bucket whose the request expects it to be, by that header?
///
/// # Errors
///
/// `AccessDenied`.
pub(crate) fn expected_owner<E: Engine>(
    context: &Context<E>,
    header: &str,
    bucket: &Bucket,
) -> Result<(), Fault> {
    match context.headers.get(header) {
        Some(owner) if owner.as_bytes() != bucket.entry.owner.to_string().as_bytes() => {
            Err(Fault::denied(ACCESS_DENIED))
        }
        _ => Ok(()),
    }
}

/// The digests of the request's body.
///
/// # Errors
///
/// Those of [`Digests::of`]; there is none, and the operation must have one.
pub(crate) fn digests(row: &Row, headers: &HeaderMap) -> Result<Digests, Fault> {
    let mut digests = Digests::of(headers)?;
    if WITH_DIGEST.contains(&row.name) && !digests.is_any() {
        return Err(Fault::bad(
            "InvalidRequest",
            "Missing required header for this request: Content-MD5 OR x-amz-checksum-*",
        ));
    }
    if row.name == "CompleteMultipartUpload" {
        // It is the object's, not the document's: for its adapter.
        digests.checksum = None;
    }
    Ok(digests)
}

/// What `Content-Length` says.
///
/// # Errors
///
/// `InvalidRequest`: it is no number.
pub(crate) fn length(headers: &HeaderMap) -> Result<Option<u64>, Fault> {
    let Some(value) = headers.get(CONTENT_LENGTH) else {
        return Ok(None);
    };
    let number = value.to_str().ok().and_then(|text| text.parse().ok());
    let invalid = || Fault::bad("InvalidRequest", "Content-Length must be a number.");
    number.map(Some).ok_or_else(invalid)
}

/// A body of bytes says how long it is, and isn't longer than one may be.
///
/// # Errors
///
/// `MissingContentLength`, `EntityTooLarge`.
pub(crate) fn measured(payload: Payload) -> Result<Payload, Fault> {
    match payload.length() {
        None if payload.is_bounded() => Ok(payload),
        None => Err(Fault::new(
            StatusCode::LENGTH_REQUIRED,
            "MissingContentLength",
            "You must provide the Content-Length HTTP header.",
        )),
        Some(length) if length > LARGEST_BODY => {
            let fault = Fault::from(objects::ObjectError::EntityTooLarge);
            Err(fault
                .member("ProposedSize", length.to_string())
                .member("MaxSizeAllowed", LARGEST_BODY.to_string()))
        }
        Some(_) => Ok(payload),
    }
}

/// What the codec is given to see of the headers, with the length of the document.
pub(crate) fn for_codec(headers: &HeaderMap, length: usize) -> HeaderMap {
    let mut seen = HeaderMap::with_capacity(headers.len());
    for (name, value) in headers {
        let text = name.as_str();
        let is_hidden = HIDDEN.contains(name)
            || HIDDEN_PREFIXES
                .iter()
                .any(|prefix| text.starts_with(prefix));
        if !is_hidden {
            seen.append(name.clone(), value.clone());
        }
    }
    seen.insert(CONTENT_LENGTH, HeaderValue::from(length));
    seen
}

/// `InvalidURI`.
pub(crate) fn invalid_uri() -> Fault {
    Fault::bad("InvalidURI", "Couldn't parse the specified URI.")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        let pairs = pairs.iter();
        let pairs = pairs.map(|(name, value)| {
            let name = HeaderName::from_static(name);
            (name, HeaderValue::from_static(value))
        });
        pairs.collect()
    }

    #[test]
    fn the_codec_sees_no_signature_and_no_key() {
        let sent = map(&[
            ("authorization", "AWS4-HMAC-SHA256 Credential=a"),
            ("x-amz-security-token", "t"),
            ("x-amz-server-side-encryption-customer-key", "secret"),
            (
                "x-amz-copy-source-server-side-encryption-customer-key",
                "secret",
            ),
            ("content-length", "7"),
            ("x-amz-acl", "private"),
        ]);
        let headers = headers(&sent, HeaderMap::new()).unwrap();
        assert!(!format!("{headers:?}").contains("secret"));
        let seen = for_codec(&headers, 0);
        assert_eq!(
            seen,
            map(&[("x-amz-acl", "private"), ("content-length", "0")])
        );
    }

    #[test]
    fn a_carried_header_never_replaces_one() {
        let sent = map(&[("x-amz-acl", "private")]);
        let carried = map(&[("x-amz-acl", "public-read"), ("x-amz-meta-a", "b")]);
        let headers = headers(&sent, carried).unwrap();
        assert_eq!(headers["x-amz-acl"], "private");
        assert_eq!(headers["x-amz-meta-a"], "b");
    }

    #[test]
    fn what_would_be_overlooked_is_refused() {
        for (name, value) in [
            ("x-amz-server-side-encryption", "aws:kms"),
            ("x-amz-server-side-encryption-aws-kms-key-id", "k"),
            ("x-amz-write-offset-bytes", "7"),
            ("x-amz-mfa", "1 2"),
            ("x-amz-source-replication-status", "REPLICA"),
        ] {
            let refused = headers(&map(&[(name, value)]), HeaderMap::new()).unwrap_err();
            assert_eq!(refused.code, "NotImplemented", "{name}");
        }
    }
}
