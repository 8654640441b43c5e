//! Why a signature was refused, in the service's words, and the table from there to the codes
//! of the JSON services. Texts marked "ours" have no counterpart that we know of; the others
//! are as DynamoDB, or where it isn't documented another AWS service, was observed to word them.

use types::Timestamp;

use super::KeyRefusal;
use crate::{ServiceError, date};

/// Why a request's signature was refused. It prints as the service's text.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum SignatureError {
    /// There is no signature at all, or one of a scheme other than `AWS4-…`.
    #[error("Request is missing Authentication Token")]
    MissingToken,
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
    /// Something is there twice, unknown, or not to be parsed. Texts ours.
    #[error("{0}")]
    Malformed(String),
    /// The date isn't one.
    #[error(
        "Date must be in ISO-8601 'basic format'. Got '{0}'. See \
         http://en.wikipedia.org/wiki/ISO_8601"
    )]
    DateFormat(String),
    /// Another algorithm, Signature V4A's say.
    #[error("Unsupported AWS 'algorithm': '{0}' (only AWS4-HMAC-SHA256 for now). ")]
    Algorithm(String),
    /// The credential isn't five parts.
    #[error(
        "Credential must have exactly 5 slash-delimited elements, e.g. \
         keyid/date/region/service/term, got '{0}'"
    )]
    CredentialElements(String),
    /// The scope names another Region, service, terminator or day; one sentence for each.
    #[error("{0}")]
    Scope(String),
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
    /// The body isn't the one whose hash `X-Amz-Content-Sha256` gives. Text as S3's.
    #[error("The provided 'x-amz-content-sha256' header does not match what was computed.")]
    ContentHash,
    /// A body signed chunk by chunk. Text ours.
    #[error("Bodies signed as '{0}' are not built yet in Causeway; send the body's SHA-256.")]
    StreamingPayload(String),
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

impl SignatureError {
    /// The code under which the JSON services answer it.
    pub fn code(&self) -> &'static str {
        match self {
            SignatureError::MissingToken => "MissingAuthenticationTokenException",
            SignatureError::Incomplete { .. }
            | SignatureError::IncompleteQuery { .. }
            | SignatureError::NotKeyValue { .. }
            | SignatureError::Malformed(_)
            | SignatureError::DateFormat(_)
            | SignatureError::Algorithm(_)
            | SignatureError::CredentialElements(_)
            | SignatureError::PresignedLifetime
            | SignatureError::ContentHashMissing => "IncompleteSignatureException",
            SignatureError::BothForms
            | SignatureError::PresignedNotAllowed
            | SignatureError::Scope(_)
            | SignatureError::Expired { .. }
            | SignatureError::NotYetCurrent { .. }
            | SignatureError::HostNotSigned
            | SignatureError::HeaderNotSigned(_)
            | SignatureError::ContentHash
            | SignatureError::StreamingPayload(_)
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
