//! Why a signature was refused, in the service's words, and the table from there to the codes of
//! the services of JSON and of XML; S3 has its own (`objects.rs`). Texts marked "ours" have no
//! counterpart that we know of; the others are as DynamoDB, or where it isn't documented another
//! AWS service, was observed to word them. It decides nothing.

use std::fmt;

use types::Timestamp;

use super::{FieldMissing, KeyRefusal, PayloadError, TERMINATOR, Version2Error};
use crate::{ServiceError, date};

/// Why a request's signature was refused. It prints as the service's text.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum SignatureError {
    /// There is no signature at all.
    #[error("Request is missing Authentication Token")]
    MissingToken,
    /// An `Authorization` of a scheme that isn't taken: a bearer's token, Signature V2 where it
    /// isn't S3 that is asked.
    #[error("Request is missing Authentication Token")]
    Scheme,
    /// A signature in the header and one in the query string.
    #[error(
        "Found both 'X-Amz-Algorithm' as a query-string param and 'Authorization' as HTTP header."
    )]
    BothForms,
    /// A presigned request to a service that takes none. Text ours.
    #[error(
        "This service doesn't accept a signature in the query string; send it as the \
         'Authorization' HTTP header."
    )]
    PresignedNotAllowed,
    /// The header lacks what it must have; the text lists all of it.
    #[error("{missing}Authorization={authorization}")]
    Incomplete {
        /// One sentence for each lack, each followed by a space.
        missing: String,
        /// The header as it came, cut off when very long.
        authorization: String,
    },
    /// A presigned query lacks what it must have; the text lists all of it.
    #[error("{missing}Re-examine the query-string parameters.")]
    IncompleteQuery {
        /// One sentence for each lack, each followed by a space.
        missing: String,
    },
    /// A part of the header isn't `key=value`.
    #[error(
        "'{part}' not a valid key=value pair (missing equal-sign) in Authorization header: \
         '{authorization}'."
    )]
    NotKeyValue {
        /// The part.
        part: String,
        /// The header as it came, cut off when very long.
        authorization: String,
    },
    /// Something of the request is there twice or not to be parsed. Texts ours.
    #[error("{0}")]
    Malformed(String),
    /// The same of the `Authorization` header. Texts ours.
    #[error("{0}")]
    MalformedHeader(String),
    /// The same of a presigned query's parameters. Texts ours.
    #[error("{0}")]
    MalformedQuery(String),
    /// The date isn't one.
    #[error(
        "Date must be in ISO-8601 'basic format'. Got '{0}'. See \
         http://en.wikipedia.org/wiki/ISO_8601"
    )]
    DateFormat(String),
    /// Another algorithm, or Signature V4A's to a service that doesn't take it.
    #[error("Unsupported AWS 'algorithm': '{0}' (only AWS4-HMAC-SHA256 for now). ")]
    Algorithm(String),
    /// The credential isn't five parts (four, of Signature V4A).
    #[error(
        "Credential must have exactly 5 slash-delimited elements, e.g. \
         keyid/date/region/service/term, got '{0}'"
    )]
    CredentialElements(String),
    /// The scope names another Region, service, terminator or day.
    #[error("{0}")]
    Scope(Box<ScopeFaults>),
    /// Signed too long ago, or a presigned request past its end.
    #[error(
        "Signature expired: {} is now earlier than {} ({} - {minutes} min.)",
        date::format(*.signed),
        date::format(Timestamp(.now.0.saturating_sub(minutes * 60_000))),
        date::format(*.now)
    )]
    Expired {
        /// When it says it was signed.
        signed: Timestamp,
        /// Our clock.
        now: Timestamp,
        /// How many minutes it was good for.
        minutes: u64,
    },
    /// Signed by a clock that is too far ahead.
    #[error(
        "Signature not yet current: {} is still later than {} ({} + {minutes} min.)",
        date::format(*.signed),
        date::format(Timestamp(.now.0.saturating_add(minutes * 60_000))),
        date::format(*.now)
    )]
    NotYetCurrent {
        /// When it says it was signed.
        signed: Timestamp,
        /// Our clock.
        now: Timestamp,
        /// How many minutes a clock may be ahead.
        minutes: u64,
    },
    /// `X-Amz-Expires` is no number from 1 to 604,800 seconds (7 days). Text as S3's.
    #[error("X-Amz-Expires must be a number between 1 and 604800 seconds")]
    PresignedLifetime,
    /// The host isn't among the signed headers.
    #[error("'Host' or ':authority' must be a 'SignedHeader' in the AWS Authorization.")]
    HostNotSigned,
    /// A header that must be signed isn't. Text as S3's; DynamoDB's is unchecked.
    #[error("There were headers present in the request which were not signed: {0}")]
    HeaderNotSigned(String),
    /// S3 only: `X-Amz-Content-Sha256` is missing.
    #[error("Missing required header for this request: x-amz-content-sha256")]
    ContentHashMissing,
    /// S3 only: `X-Amz-Content-Sha256` is neither a hash nor one of the words. Text as S3's.
    #[error(
        "x-amz-content-sha256 must be UNSIGNED-PAYLOAD, STREAMING-UNSIGNED-PAYLOAD-TRAILER, \
         STREAMING-AWS4-HMAC-SHA256-PAYLOAD, STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER, \
         STREAMING-AWS4-ECDSA-P256-SHA256-PAYLOAD, \
         STREAMING-AWS4-ECDSA-P256-SHA256-PAYLOAD-TRAILER or a valid sha256 value."
    )]
    ContentHashForm(String),
    /// The body isn't the one whose hash `X-Amz-Content-Sha256` gives. Text as S3's.
    #[error("The provided 'x-amz-content-sha256' header does not match what was computed.")]
    ContentHash {
        /// What the header says.
        declared: String,
        /// What the body's hash is.
        computed: String,
    },
    /// A body in chunks where it can't be: to an operation that takes none, signed by another
    /// algorithm than the request, or presigned. Text ours.
    #[error("A body sent as '{0}' can't be used here.")]
    StreamingPayload(&'static str),
    /// A body in chunks whose headers say too little or contradict themselves. Texts ours.
    #[error(transparent)]
    Payload(#[from] PayloadError),
    /// S3 only: a fault that only Signature V2 can have.
    #[error(transparent)]
    Version2(#[from] Version2Error),
    /// S3 only: a signed form lacks a field.
    #[error(transparent)]
    Field(#[from] FieldMissing),
    /// Nobody has that access key, or the session token isn't that of the key.
    #[error("The security token included in the request is invalid.")]
    UnknownKey,
    /// The session that the key belongs to has ended.
    #[error("The security token included in the request is expired")]
    ExpiredToken,
    /// Everything is in its place, but another key or another request was signed.
    #[error(
        "The request signature we calculated does not match the signature you provided. Check \
         your AWS Secret Access Key and signing method. Consult the service documentation for \
         details."
    )]
    Mismatch,
}

/// In what a scope differs from the endpoint that the request reached; at least in one thing.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct ScopeFaults {
    /// The Region (or Region set) that was signed for.
    pub region: Option<String>,
    /// A Region that should have been: the first of those that the endpoint takes.
    pub expected_region: Option<String>,
    /// The service that was signed for, and the endpoint's own.
    pub service: Option<(String, String)>,
    /// Another terminator.
    pub terminator: Option<String>,
    /// The scope's day, and the date of the request, whose day it isn't.
    pub day: Option<(String, String)>,
}

impl ScopeFaults {
    /// Whether there are none.
    pub(super) fn is_empty(&self) -> bool {
        self.region.is_none()
            && self.service.is_none()
            && self.terminator.is_none()
            && self.day.is_none()
    }
}

/// One sentence for each fault, as DynamoDB words them.
impl fmt::Display for ScopeFaults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut sentences = Vec::new();
        if let Some(region) = &self.region {
            let text = format!("Credential should be scoped to a valid region, not '{region}'.");
            sentences.push(text);
        }
        if let Some((_, expected)) = &self.service {
            let text = format!("Credential should be scoped to correct service: '{expected}'.");
            sentences.push(text);
        }
        if let Some(terminator) = &self.terminator {
            sentences.push(format!(
                "Credential should be scoped with a valid terminator: '{TERMINATOR}', not \
                 '{terminator}'."
            ));
        }
        if let Some((day, date)) = &self.day {
            let expected = date.get(..8).unwrap_or(date);
            sentences.push(format!(
                "Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date \
                 from HTTP: '{day}' != '{expected}', from '{date}'."
            ));
        }
        f.write_str(&sentences.join(" "))
    }
}

impl SignatureError {
    /// The code under which the JSON services answer it.
    pub fn code(&self) -> &'static str {
        match self {
            SignatureError::MissingToken | SignatureError::Scheme => {
                "MissingAuthenticationTokenException"
            }
            SignatureError::Incomplete { .. }
            | SignatureError::IncompleteQuery { .. }
            | SignatureError::NotKeyValue { .. }
            | SignatureError::Malformed(_)
            | SignatureError::MalformedHeader(_)
            | SignatureError::MalformedQuery(_)
            | SignatureError::DateFormat(_)
            | SignatureError::Algorithm(_)
            | SignatureError::CredentialElements(_)
            | SignatureError::PresignedLifetime
            | SignatureError::ContentHashMissing
            | SignatureError::ContentHashForm(_) => "IncompleteSignatureException",
            SignatureError::BothForms
            | SignatureError::PresignedNotAllowed
            | SignatureError::Scope(_)
            | SignatureError::Expired { .. }
            | SignatureError::NotYetCurrent { .. }
            | SignatureError::HostNotSigned
            | SignatureError::HeaderNotSigned(_)
            | SignatureError::ContentHash { .. }
            | SignatureError::StreamingPayload(_)
            | SignatureError::Payload(_)
            | SignatureError::Version2(_)
            | SignatureError::Field(_)
            | SignatureError::Mismatch => "InvalidSignatureException",
            SignatureError::UnknownKey => "UnrecognizedClientException",
            SignatureError::ExpiredToken => "ExpiredTokenException",
        }
    }

    /// The error as the services of the query protocol and of REST with XML (but S3) answer it:
    /// HTTP 403, and 400 where the signature isn't of its form. Codes and statuses of the "Common
    /// Errors" in their API references.
    pub fn in_xml(&self) -> ServiceError {
        let (code, status) = match self.code() {
            "MissingAuthenticationTokenException" => ("MissingAuthenticationToken", 403),
            "IncompleteSignatureException" => ("IncompleteSignature", 400),
            "UnrecognizedClientException" => ("InvalidClientTokenId", 403),
            "ExpiredTokenException" => ("ExpiredToken", 403),
            _ => ("SignatureDoesNotMatch", 403),
        };
        ServiceError {
            status,
            ..ServiceError::caller(code, self.to_string())
        }
    }
}

impl From<KeyRefusal> for SignatureError {
    fn from(refusal: KeyRefusal) -> SignatureError {
        match refusal {
            KeyRefusal::Unknown => SignatureError::UnknownKey,
            KeyRefusal::Expired => SignatureError::ExpiredToken,
        }
    }
}

/// The error as DynamoDB answers it: HTTP 400, as each of them is there.
impl From<SignatureError> for ServiceError {
    fn from(error: SignatureError) -> ServiceError {
        ServiceError::caller(error.code(), error.to_string())
    }
}
