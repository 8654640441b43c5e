//! S3's own words for a refused signature: one table from [`SignatureError`] and [`PayloadError`]
//! to code, HTTP status, text and the members that S3 sends beside ("Error responses" in the S3
//! API Reference; members as S3 was observed to send them). It repeats nothing that a client
//! didn't send: no expected signature, no string to sign.

use http::request::Parts;
use serde_json::{Map, Value};

use super::authorization::{scope_of, single};
use super::version2::access_key_of;
use super::{Form, PayloadError, ScopeFaults, SignatureError, TERMINATOR, Version2Error};
use crate::ServiceError;

/// The words for a credential that can't be taken apart.
const CREDENTIAL_FORM: &str =
    "the Credential is mal-formed; expecting \"<YOUR-AKID>/YYYYMMDD/REGION/SERVICE/aws4_request\".";

/// What a header's fault begins with.
const HEADER_FAULT: &str = "The authorization header is malformed";

/// What a query's begins with, where it is of the credential.
const CREDENTIAL_FAULT: &str = "Error parsing the X-Amz-Credential parameter";

impl SignatureError {
    /// The error as S3 answers it. `parts` are those of the request that was refused.
    pub fn in_objects(&self, parts: &Parts) -> ServiceError {
        match self {
            SignatureError::MissingToken | SignatureError::PresignedNotAllowed => {
                error("AccessDenied", 403, "Access Denied")
            }
            SignatureError::Scheme => error(
                "InvalidRequest",
                400,
                "The authorization mechanism you have provided is not supported. Please use \
                 AWS4-HMAC-SHA256.",
            ),
            SignatureError::BothForms => error(
                "InvalidArgument",
                400,
                "Only one auth mechanism allowed; only the X-Amz-Algorithm query parameter, \
                 Signature query string parameter or the Authorization header should be specified",
            ),
            SignatureError::Malformed(_)
            | SignatureError::ContentHashMissing
            | SignatureError::ContentHashForm(_) => self.of_content(),
            SignatureError::ContentHash { declared, computed } => {
                content_mismatch(declared, computed)
            }
            SignatureError::StreamingPayload(_) => error(
                "NotImplemented",
                501,
                "A header you provided implies functionality that is not implemented",
            ),
            SignatureError::Payload(error) => error.in_objects(),
            SignatureError::Version2(error) => error.in_objects(),
            SignatureError::Field(missing) => with(
                error("InvalidArgument", 400, self.to_string()),
                [("ArgumentName", missing.0), ("ArgumentValue", "")],
            ),
            SignatureError::Expired { .. } | SignatureError::NotYetCurrent { .. } => {
                self.of_time(parts)
            }
            SignatureError::HostNotSigned => not_signed("host"),
            SignatureError::HeaderNotSigned(name) => not_signed(name),
            SignatureError::UnknownKey => unknown_key(parts),
            SignatureError::ExpiredToken => {
                error("ExpiredToken", 400, "The provided token has expired.")
            }
            SignatureError::Mismatch => mismatch(),
            _ => self.of_form(form_of(parts)),
        }
    }

    /// Faults of the header's or the query's form.
    fn of_form(&self, form: Form) -> ServiceError {
        let text = match (self, form) {
            (SignatureError::DateFormat(_), Form::Header) => {
                let text = "AWS authentication requires a valid Date or x-amz-date header";
                return error("AccessDenied", 403, text);
            }
            (SignatureError::DateFormat(_), Form::Query | Form::Fields) => {
                "X-Amz-Date must be in the ISO8601 Long Format \"yyyyMMdd'T'HHmmss'Z'\"".to_owned()
            }
            (SignatureError::Algorithm(_), Form::Header) => {
                let unsupported = error("InvalidArgument", 400, "Unsupported Authorization Type");
                return with(unsupported, [("ArgumentName", "Authorization")]);
            }
            (SignatureError::Algorithm(_), Form::Query | Form::Fields) => {
                "X-Amz-Algorithm only supports \"AWS4-HMAC-SHA256 and AWS4-ECDSA-P256-SHA256\""
                    .to_owned()
            }
            (SignatureError::CredentialElements(_), Form::Header) => {
                format!("{HEADER_FAULT}; {CREDENTIAL_FORM}")
            }
            (SignatureError::CredentialElements(_), Form::Query | Form::Fields) => {
                format!("{CREDENTIAL_FAULT}; {CREDENTIAL_FORM}")
            }
            (SignatureError::Scope(faults), form) => return scope(faults, form),
            (SignatureError::IncompleteQuery { .. }, _) => {
                "Query-string authentication version 4 requires the X-Amz-Algorithm, \
                 X-Amz-Credential, X-Amz-Signature, X-Amz-Date, X-Amz-SignedHeaders, and \
                 X-Amz-Expires parameters."
                    .to_owned()
            }
            (_, Form::Header) => format!("{HEADER_FAULT}; {self}"),
            (_, Form::Query | Form::Fields) => self.to_string(),
        };
        malformed(form, text)
    }

    fn of_content(&self) -> ServiceError {
        match self {
            SignatureError::ContentHashForm(said) => with(
                error("InvalidArgument", 400, self.to_string()),
                [
                    ("ArgumentName", "x-amz-content-sha256"),
                    ("ArgumentValue", said),
                ],
            ),
            _ => error("InvalidRequest", 400, self.to_string()),
        }
    }

    fn of_time(&self, parts: &Parts) -> ServiceError {
        let (signed, now, minutes) = match self {
            SignatureError::Expired {
                signed,
                now,
                minutes,
            }
            | SignatureError::NotYetCurrent {
                signed,
                now,
                minutes,
            } => (*signed, *now, *minutes),
            _ => return mismatch(),
        };
        match (form_of(parts), self) {
            (Form::Header, _) => with(
                error(
                    "RequestTimeTooSkewed",
                    403,
                    "The difference between the request time and the current time is too large.",
                ),
                [
                    ("RequestTime", crate::date::format(signed).as_str()),
                    ("ServerTime", &now.to_string()),
                    (
                        "MaxAllowedSkewMilliseconds",
                        &(minutes * 60_000).to_string(),
                    ),
                ],
            ),
            (Form::Query | Form::Fields, SignatureError::Expired { .. }) => with(
                error("AccessDenied", 403, "Request has expired"),
                [("ServerTime", now.to_string().as_str())],
            ),
            (Form::Query | Form::Fields, _) => with(
                error("AccessDenied", 403, "Request is not yet valid"),
                [("ServerTime", now.to_string().as_str())],
            ),
        }
    }
}

impl PayloadError {
    /// The error as S3 answers it.
    pub fn in_objects(&self) -> ServiceError {
        let text = self.to_string();
        match self {
            PayloadError::Hash { declared, computed } => content_mismatch(declared, computed),
            PayloadError::Signature => mismatch(),
            PayloadError::ChunkForm(_) | PayloadError::AfterEnd => {
                error("InvalidRequest", 400, text)
            }
            PayloadError::ChunkTooLarge { .. } | PayloadError::ChunkTooSmall { .. } => {
                error("InvalidChunkSizeError", 403, text)
            }
            PayloadError::LengthMissing => error(
                "MissingContentLength",
                411,
                "You must provide the Content-Length HTTP header.",
            ),
            PayloadError::TooLong | PayloadError::Incomplete => error(
                "IncompleteBody",
                400,
                "You did not provide the number of bytes specified by the Content-Length HTTP \
                 header.",
            ),
            PayloadError::Trailer(_) => error("MalformedTrailerError", 400, text),
        }
    }
}

impl Version2Error {
    /// The error as S3 answers it.
    fn in_objects(&self) -> ServiceError {
        let text = self.to_string();
        match self {
            Version2Error::Header => with(
                error("InvalidArgument", 400, text),
                [("ArgumentName", "Authorization")],
            ),
            Version2Error::Query | Version2Error::Expires(_) => error("AccessDenied", 403, text),
            Version2Error::Expired { expires, now } => with(
                error("AccessDenied", 403, text),
                [
                    ("Expires", expires.to_string().as_str()),
                    ("ServerTime", &now.to_string()),
                ],
            ),
            Version2Error::Uncovered(_) => error("InvalidRequest", 400, text),
        }
    }
}

/// In which form the request was signed, or tried to be.
fn form_of(parts: &Parts) -> Form {
    match parts.headers.contains_key(http::header::AUTHORIZATION) {
        true => Form::Header,
        false => Form::Query,
    }
}

fn error(code: &'static str, status: u16, message: impl Into<String>) -> ServiceError {
    ServiceError {
        status,
        ..ServiceError::caller(code, message)
    }
}

fn with<const N: usize>(mut error: ServiceError, members: [(&str, &str); N]) -> ServiceError {
    let members = members.map(|(name, value)| (name.to_owned(), Value::from(value)));
    error.members = Map::from_iter(members);
    error
}

fn malformed(form: Form, text: String) -> ServiceError {
    let code = match form {
        Form::Header => "AuthorizationHeaderMalformed",
        Form::Query | Form::Fields => "AuthorizationQueryParametersError",
    };
    error(code, 400, text)
}

/// The first of a scope's faults, in the order in which S3 looks for them.
fn scope(faults: &ScopeFaults, form: Form) -> ServiceError {
    let prefix = match form {
        Form::Header => HEADER_FAULT,
        Form::Query | Form::Fields => CREDENTIAL_FAULT,
    };
    if let Some((day, date)) = &faults.day {
        let expected = date.get(..8).unwrap_or(date);
        return malformed(
            form,
            format!(
                "{prefix}; Invalid credential date \"{day}\". This date is not the same as \
                 X-Amz-Date: \"{expected}\"."
            ),
        );
    }
    if let (Some(region), Some(expected)) = (&faults.region, &faults.expected_region) {
        let text = format!("{prefix}; the region '{region}' is wrong; expecting '{expected}'");
        return with(malformed(form, text), [("Region", expected.as_str())]);
    }
    let text = match (&faults.service, &faults.terminator) {
        (Some((service, expected)), _) => format!(
            "{prefix}; incorrect service \"{service}\". This endpoint belongs to \"{expected}\"."
        ),
        (None, Some(terminator)) => format!(
            "{prefix}; incorrect terminator \"{terminator}\". This endpoint uses \"{TERMINATOR}\"."
        ),
        (None, None) => format!("{prefix}; {CREDENTIAL_FORM}"),
    };
    malformed(form, text)
}

fn not_signed(name: &str) -> ServiceError {
    let text = "There were headers present in the request which were not signed";
    with(
        error("AccessDenied", 403, text),
        [("HeadersNotSigned", name)],
    )
}

fn content_mismatch(declared: &str, computed: &str) -> ServiceError {
    let text = SignatureError::ContentHash {
        declared: String::new(),
        computed: String::new(),
    };
    with(
        error("XAmzContentSHA256Mismatch", 400, text.to_string()),
        [
            ("ClientComputedContentSHA256", declared),
            ("S3ComputedContentSHA256", computed),
        ],
    )
}

fn mismatch() -> ServiceError {
    error(
        "SignatureDoesNotMatch",
        403,
        "The request signature we calculated does not match the signature you provided. Check \
         your key and signing method.",
    )
}

/// A key that nobody has; with a session's token, it is the token that S3 complains of.
fn unknown_key(parts: &Parts) -> ServiceError {
    let token = single(&parts.headers, "x-amz-security-token");
    let query = parts.uri.query().unwrap_or_default();
    let is_queried = query.to_ascii_lowercase().contains("x-amz-security-token=");
    if matches!(token, Ok(Some(_))) || is_queried {
        let text = "The provided token is malformed or otherwise invalid.";
        return error("InvalidToken", 400, text);
    }
    let id = scope_of(parts).map(|scope| scope.access_key_id);
    let id = id.or_else(|| access_key_of(parts));
    with(
        error(
            "InvalidAccessKeyId",
            403,
            "The AWS Access Key Id you provided does not exist in our records.",
        ),
        [("AWSAccessKeyId", id.unwrap_or_default().as_str())],
    )
}
