//! Signature V4 and V4A: one verifier and one signer for every service, over the same canonical
//! form. Each rule of the verifier closes a hole that some other implementation had; what it can't
//! parse it refuses. It decides who signed a request, never what the signer may do. Signature V2,
//! which S3 alone takes, is beside (`version2.rs`), and so are S3's signed forms (`form.rs`).

mod asymmetric;
mod authorization;
mod cache;
mod canonical;
mod chunks;
mod error;
mod form;
mod key;
mod objects;
mod payload;
mod sign;
mod sign_chunks;
mod verify;
mod version2;

pub use authorization::{carries_signature, scope_of};
pub use error::{ScopeFaults, SignatureError};
pub use form::{FieldMissing, Fields, is_form_signed, verify_form};
pub use key::{KeyLookup, KeyRefusal, SecretKey};
pub use payload::{ChunkForm, PayloadError, PayloadVerifier, Trailers};
pub use sign::{
    Credentials, Payload, Placement, SignError, SigningOptions, Target, presign, sign, sign_with,
};
pub use sign_chunks::{ChunkSigner, sign_chunked};
pub use verify::{Expected, Verified, Verifier};
pub use version2::{Version2Error, is_version2, verify_version2};

use types::Region;

/// With what a request is signed.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Algorithm {
    /// Signature V4: a key that both sides derive from the secret.
    Symmetric,
    /// Signature V4A: a pair of keys derived from the secret, for a set of Regions.
    Asymmetric,
}

impl Algorithm {
    /// Its name in requests.
    pub fn name(self) -> &'static str {
        match self {
            Algorithm::Symmetric => "AWS4-HMAC-SHA256",
            Algorithm::Asymmetric => "AWS4-ECDSA-P256-SHA256",
        }
    }

    /// The algorithm of that name.
    fn named(name: &str) -> Option<Algorithm> {
        let all = [Algorithm::Symmetric, Algorithm::Asymmetric];
        all.into_iter().find(|algorithm| algorithm.name() == name)
    }
}

/// Where a request has its signature.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Form {
    /// In the `Authorization` header.
    Header,
    /// In the query string: a presigned URL.
    Query,
    /// In the fields of a form.
    Fields,
}

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
    /// The Region's name as it was written; it may be of no Region that exists. Of Signature V4A
    /// the whole Region set: `us-east-1,eu-*`.
    pub region: String,
    /// The service's signing name: `dynamodb`.
    pub service: String,
}

impl Scope {
    /// Whether it is for that Region: by its name, or as one that a Region set covers.
    pub fn covers(&self, region: Region) -> bool {
        asymmetric::covers(&self.region, region.name())
    }
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
    /// Whether Signature V4A is taken beside V4.
    pub asymmetric: bool,
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
    /// By the mandatory `X-Amz-Content-Sha256`: the body's hash, `UNSIGNED-PAYLOAD`, or the name
    /// of a form in chunks. S3.
    Declared,
}

impl Rules {
    /// DynamoDB and the other JSON services: 5 minutes, the body always signed, no presigning.
    pub const JSON: Rules = Rules {
        skew_minutes: 5,
        path: PathRule::Normalized,
        payload: PayloadRule::Body,
        presigned: false,
        asymmetric: false,
    };

    /// The services of the query protocol (STS, RDS), which may be presigned.
    pub const QUERY: Rules = Rules {
        presigned: true,
        ..Rules::JSON
    };

    /// The services of REST with XML but S3 (Route 53, CloudFront): 5 minutes, the body always
    /// signed, no presigning.
    pub const REST: Rules = Rules::JSON;

    /// S3: 15 minutes, paths as they are, bodies that may go unsigned or in chunks, presigned
    /// URLs, Signature V4A.
    pub const OBJECTS: Rules = Rules {
        skew_minutes: 15,
        path: PathRule::Verbatim,
        payload: PayloadRule::Declared,
        presigned: true,
        asymmetric: true,
    };
}
