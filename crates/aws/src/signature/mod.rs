//! Signature V4: one verifier and one signer for every service, over the same canonical form.
//! Each rule of the verifier closes a hole that some other implementation had; what it can't
//! parse it refuses. It decides who signed a request, never what the signer may do. It doesn't
//! verify Signature V2, V4A, or bodies that are signed chunk by chunk: they are refused by name.

mod authorization;
mod canonical;
mod error;
mod key;
mod sign;
mod verify;

pub use error::SignatureError;
pub use key::{KeyLookup, KeyRefusal, SecretKey};
pub use sign::{Credentials, SignError, Target, sign};
pub use verify::{Expected, Verified, Verifier};

pub use authorization::scope_of;

/// The only algorithm there is to it.
pub(crate) const ALGORITHM: &str = "AWS4-HMAC-SHA256";

/// What ends every credential scope.
pub(crate) const TERMINATOR: &str = "aws4_request";

/// What stands for the body's hash where a service lets the body go unsigned.
pub(crate) const UNSIGNED_PAYLOAD: &str = "UNSIGNED-PAYLOAD";

/// For whom, when and where a signature was made: what the credential of a request says. From
/// [`scope_of`] it is only claimed; in [`Verified`] it is proven.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Scope {
    /// Whose key signed.
    pub access_key_id: String,
    /// The day as `20150830`.
    pub date: String,
    /// The Region's name as it was written; it may be of no Region that exists.
    pub region: String,
    /// The service's signing name: `dynamodb`.
    pub service: String,
}

/// How a service departs from the plain algorithm.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Rules {
    /// By how many minutes the client's clock may be off, either way.
    pub skew_minutes: u64,
    /// How the path enters the canonical form.
    pub path: PathRule,
    /// How the body does.
    pub payload: PayloadRule,
    /// Whether the signature may come in the query string (a presigned URL).
    pub presigned: bool,
}

/// How a path enters the canonical form.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum PathRule {
    /// Dot segments and repeated slashes removed, then encoded once more: every service but S3.
    Normalized,
    /// As it is, encoded once: S3, whose keys may contain `..` and `//`.
    Verbatim,
}

/// How a body enters the canonical form.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum PayloadRule {
    /// Always by its own hash; an `X-Amz-Content-Sha256` beside it must say the same.
    Body,
    /// By the mandatory `X-Amz-Content-Sha256`: the body's hash, or `UNSIGNED-PAYLOAD`. S3.
    Declared,
}

impl Rules {
    /// DynamoDB and the other JSON services: 5 minutes, the body always signed, no presigning.
    pub const JSON: Rules = Rules {
        skew_minutes: 5,
        path: PathRule::Normalized,
        payload: PayloadRule::Body,
        presigned: false,
    };

    /// The services of the query protocol (STS, RDS), which may be presigned.
    pub const QUERY: Rules = Rules {
        presigned: true,
        ..Rules::JSON
    };

    /// The services of REST with XML but S3 (Route 53, CloudFront): 5 minutes, the body always
    /// signed, no presigning.
    pub const REST: Rules = Rules::JSON;

    /// S3: 15 minutes, paths as they are, bodies that may go unsigned, presigned URLs.
    pub const OBJECTS: Rules = Rules {
        skew_minutes: 15,
        path: PathRule::Verbatim,
        payload: PayloadRule::Declared,
        presigned: true,
    };
}
