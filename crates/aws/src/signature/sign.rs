//! Our own signer, for whoever calls a Causeway Region from our side: the command line, benches,
//! tests. It signs in every form that the verifier takes; bodies in chunks are `sign_chunks.rs`'s.

use std::fmt;

use http::header::{AUTHORIZATION, HOST, HeaderName, HeaderValue};
use http::request::Parts;
use http::uri::PathAndQuery;
use types::{Region, Timestamp};
use zeroize::Zeroizing;

use super::key::{SigningKey, authenticate, derive};
use super::verify::LONGEST_LIFETIME;
use super::{
    Algorithm, PayloadRule, Rules, Scope, SecretKey, UNSIGNED_PAYLOAD, asymmetric, canonical,
};
use crate::date;

/// Headers that aren't signed because something between client and service may change them.
const UNSIGNED_HEADERS: [&str; 9] = [
    "accept-encoding",
    "authorization",
    "connection",
    "content-length",
    "expect",
    "te",
    "transfer-encoding",
    "user-agent",
    "x-amzn-trace-id",
];

/// With what to sign.
#[derive(Clone, Copy)]
pub struct Credentials<'a> {
    /// The key's id.
    pub access_key_id: &'a str,
    /// Its secret.
    pub secret: &'a SecretKey,
    /// The session's token, where the key is a session's.
    pub session_token: Option<&'a str>,
}

/// Without the secret and the session token.
impl fmt::Debug for Credentials<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("Credentials");
        shown.field("access_key_id", &self.access_key_id);
        shown.finish_non_exhaustive()
    }
}

/// For whom to sign.
#[derive(Clone, Copy, Debug)]
pub struct Target<'a> {
    /// The service's signing name.
    pub service: &'a str,
    /// The Region it is called in.
    pub region: Region,
    /// The service's rules.
    pub rules: Rules,
}

/// What of the body is signed.
#[derive(Clone, Copy, Debug)]
pub enum Payload<'a> {
    /// All of it.
    Body(&'a [u8]),
    /// Nothing: for services whose rules say that a request declares its body.
    Unsigned,
    /// The name of a form in chunks; those are signed one by one.
    Chunked(&'static str),
}

/// Where the signature goes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Placement {
    /// Into the `Authorization` header.
    Header,
    /// Into the query string, good for that many seconds: 1 to 604,800.
    Query {
        /// How many.
        seconds: u64,
    },
}

/// How to sign.
#[derive(Clone, Copy, Debug)]
pub struct SigningOptions<'a> {
    /// Where the signature goes.
    pub placement: Placement,
    /// Sign with V4A, for this set of Regions (`us-east-1,eu-*`) in place of the target's.
    pub region_set: Option<&'a str>,
}

impl SigningOptions<'_> {
    /// Signature V4 in the header.
    pub const HEADER: SigningOptions<'static> = SigningOptions {
        placement: Placement::Header,
        region_set: None,
    };
}

/// Why a request can't be signed.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum SignError {
    /// Neither a `Host` header nor a host in the URI; or several.
    #[error("the request names no host, or more than one")]
    Host,
    /// A key id or token has characters that no header can carry, or no pair of keys comes of it.
    #[error("the access key id or session token can't be sent in a header")]
    Credentials,
    /// Path or query have no canonical form.
    #[error("{0}")]
    Uri(String),
    /// The service's rules don't allow what was asked for: a presigned URL, an unsigned body, V4A.
    #[error("the service takes no {0}")]
    NotTaken(&'static str),
    /// A presigned URL must be good for 1 to 604,800 seconds.
    #[error("a presigned URL is good for 1 to 604800 seconds, not for {0}")]
    Lifetime(u64),
    /// Trailers that the form hasn't, or lacks; or a form without a name.
    #[error("the trailers don't fit the form of the body")]
    Trailers,
}

/// Signs a request: sets `Host` (if the URI alone named it), `X-Amz-Date`, `Authorization`,
/// `X-Amz-Security-Token` for a session, and `X-Amz-Content-Sha256` where the service wants it.
/// Headers set earlier are signed too, but those that a proxy may change.
///
/// # Errors
///
/// [`SignError`]; the parts may then have some of these headers already.
pub fn sign(
    parts: &mut Parts,
    body: &[u8],
    credentials: &Credentials<'_>,
    target: &Target<'_>,
    now: Timestamp,
) -> Result<(), SignError> {
    let options = SigningOptions::HEADER;
    sign_with(
        parts,
        Payload::Body(body),
        &options,
        credentials,
        target,
        now,
    )
}

/// Makes a URL that is good for some seconds: the same as [`sign`], but into the query string. Of
/// services that allow it the body isn't signed, as it isn't there yet; of others `body` is.
///
/// # Errors
///
/// [`SignError`]; the parts may then be changed in part.
pub fn presign(
    parts: &mut Parts,
    body: &[u8],
    seconds: u64,
    credentials: &Credentials<'_>,
    target: &Target<'_>,
    now: Timestamp,
) -> Result<(), SignError> {
    let options = SigningOptions {
        placement: Placement::Query { seconds },
        region_set: None,
    };
    let payload = match target.rules.payload {
        PayloadRule::Body => Payload::Body(body),
        PayloadRule::Declared => Payload::Unsigned,
    };
    sign_with(parts, payload, &options, credentials, target, now)
}

/// Signs a request in any way that the target's rules take.
///
/// # Errors
///
/// [`SignError`]; the parts may then be changed in part.
pub fn sign_with(
    parts: &mut Parts,
    payload: Payload<'_>,
    options: &SigningOptions<'_>,
    credentials: &Credentials<'_>,
    target: &Target<'_>,
    now: Timestamp,
) -> Result<(), SignError> {
    sign_seed(parts, payload, options, credentials, target, now).map(drop)
}

/// What went into a signature: what the signatures of chunks go on from.
pub(super) struct Seed {
    pub(super) signer: Signer,
    pub(super) algorithm: Algorithm,
    pub(super) date: String,
    pub(super) scope: Scope,
    pub(super) signature: String,
}

/// Signs, and says what the signature was.
pub(super) fn sign_seed(
    parts: &mut Parts,
    payload: Payload<'_>,
    options: &SigningOptions<'_>,
    credentials: &Credentials<'_>,
    target: &Target<'_>,
    now: Timestamp,
) -> Result<Seed, SignError> {
    check(payload, options, target.rules)?;
    let algorithm = match options.region_set {
        Some(_) => Algorithm::Asymmetric,
        None => Algorithm::Symmetric,
    };
    let date = date::format(now);
    let scope = scope_of(credentials, target, options, &date);
    let payload_hash = match payload {
        Payload::Body(body) => canonical::body_hash(body),
        Payload::Unsigned => UNSIGNED_PAYLOAD.to_owned(),
        Payload::Chunked(name) => name.to_owned(),
    };
    set_headers(
        parts,
        &payload_hash,
        &date,
        options,
        credentials,
        target.rules,
    )?;
    let signed = signed_headers(parts);
    let names: Vec<&str> = signed.iter().map(String::as_str).collect();
    let scope_text = canonical::scope_text(algorithm, &scope);
    let credential = format!("{}/{scope_text}", scope.access_key_id);
    if let Placement::Query { seconds } = options.placement {
        let fixed = [
            ("X-Amz-Algorithm", Some(algorithm.name())),
            ("X-Amz-Credential", Some(&credential)),
            ("X-Amz-Date", Some(&date)),
            ("X-Amz-Expires", Some(&seconds.to_string())),
            ("X-Amz-SignedHeaders", Some(&names.join(";"))),
            ("X-Amz-Security-Token", credentials.session_token),
            ("X-Amz-Region-Set", options.region_set),
        ];
        add_to_query(parts, &fixed)?;
    }
    let request = canonical::request(parts, target.rules.path, &names, None, &payload_hash)
        .map_err(SignError::Uri)?;
    let message = canonical::string_to_sign(algorithm, &date, &scope, &request);
    let signer = Signer::of(credentials, algorithm, &scope)?;
    let signature = signer.sign(message.as_bytes());
    match options.placement {
        Placement::Header => {
            let (name, signed) = (algorithm.name(), names.join(";"));
            let value = format!(
                "{name} Credential={credential}, SignedHeaders={signed}, Signature={signature}"
            );
            set(parts, AUTHORIZATION.as_str(), &value)?;
        }
        Placement::Query { .. } => {
            add_to_query(parts, &[("X-Amz-Signature", Some(&signature))])?;
        }
    }
    Ok(Seed {
        signer,
        algorithm,
        date,
        scope,
        signature,
    })
}

fn scope_of(
    credentials: &Credentials<'_>,
    target: &Target<'_>,
    options: &SigningOptions<'_>,
    date: &str,
) -> Scope {
    let region = options.region_set.unwrap_or(target.region.name());
    Scope {
        access_key_id: credentials.access_key_id.to_owned(),
        date: date[..8].to_owned(),
        region: region.to_owned(),
        service: target.service.to_owned(),
    }
}

/// Sets the headers that are signed, but those of the signature itself.
fn set_headers(
    parts: &mut Parts,
    payload_hash: &str,
    date: &str,
    options: &SigningOptions<'_>,
    credentials: &Credentials<'_>,
    rules: Rules,
) -> Result<(), SignError> {
    let host = canonical::host(parts).ok_or(SignError::Host)?;
    let host = HeaderValue::from_bytes(host).map_err(|_| SignError::Host)?;
    parts.headers.insert(HOST, host);
    if options.placement != Placement::Header {
        return Ok(());
    }
    set(parts, "x-amz-date", date)?;
    if let Some(token) = credentials.session_token {
        set(parts, "x-amz-security-token", token)?;
    }
    if let Some(regions) = options.region_set {
        set(parts, "x-amz-region-set", regions)?;
    }
    if rules.payload == PayloadRule::Declared {
        set(parts, "x-amz-content-sha256", payload_hash)?;
    }
    Ok(())
}

/// Is it a signature that the service takes?
fn check(
    payload: Payload<'_>,
    options: &SigningOptions<'_>,
    rules: Rules,
) -> Result<(), SignError> {
    if let Placement::Query { seconds } = options.placement {
        if !rules.presigned {
            return Err(SignError::NotTaken("presigned URL"));
        }
        if !(1..=LONGEST_LIFETIME).contains(&seconds) {
            return Err(SignError::Lifetime(seconds));
        }
    }
    if options.region_set.is_some() && !rules.asymmetric {
        return Err(SignError::NotTaken("Signature V4A"));
    }
    match (payload, rules.payload, options.placement) {
        (Payload::Body(_), PayloadRule::Body, _) => Ok(()),
        (_, PayloadRule::Body, _) => Err(SignError::NotTaken("body that isn't signed whole")),
        // The query has no place for its hash.
        (Payload::Body(_), PayloadRule::Declared, Placement::Query { .. }) => {
            Err(SignError::NotTaken("presigned URL for a certain body"))
        }
        (Payload::Chunked(_), _, Placement::Query { .. }) => {
            Err(SignError::NotTaken("presigned URL for a body in chunks"))
        }
        (_, PayloadRule::Declared, _) => Ok(()),
    }
}

fn set(parts: &mut Parts, name: &'static str, value: &str) -> Result<(), SignError> {
    let value = HeaderValue::from_str(value).map_err(|_| SignError::Credentials)?;
    parts.headers.insert(HeaderName::from_static(name), value);
    Ok(())
}

fn signed_headers(parts: &Parts) -> Vec<String> {
    let names = parts.headers.keys().map(HeaderName::as_str);
    let mut signed: Vec<String> = names
        .filter(|name| !UNSIGNED_HEADERS.contains(name))
        .map(str::to_owned)
        .collect();
    signed.sort_unstable();
    signed
}

/// Adds those that there are.
fn add_to_query(parts: &mut Parts, pairs: &[(&str, Option<&str>)]) -> Result<(), SignError> {
    let mut text = parts.uri.path().as_bytes().to_vec();
    let mut separator = b'?';
    if let Some(query) = parts.uri.query() {
        text.push(separator);
        text.extend_from_slice(query.as_bytes());
        separator = b'&';
    }
    for (name, value) in pairs {
        let Some(value) = value else {
            continue;
        };
        text.push(separator);
        text.extend_from_slice(name.as_bytes());
        text.push(b'=');
        canonical::encode(&mut text, value.as_bytes(), false);
        separator = b'&';
    }
    let unusable = || SignError::Uri("The query is too long for a URI.".to_owned());
    let text = PathAndQuery::from_maybe_shared(text).map_err(|_| unusable())?;
    let mut uri = parts.uri.clone().into_parts();
    uri.path_and_query = Some(text);
    parts.uri = http::Uri::from_parts(uri).map_err(|_| unusable())?;
    Ok(())
}

/// What signs.
pub(super) enum Signer {
    Shared(SigningKey),
    Pair(Box<p256::ecdsa::SigningKey>),
}

impl Signer {
    fn of(
        credentials: &Credentials<'_>,
        algorithm: Algorithm,
        scope: &Scope,
    ) -> Result<Signer, SignError> {
        let secret = credentials.secret;
        Ok(match algorithm {
            Algorithm::Symmetric => {
                let key = derive(secret, &scope.date, &scope.region, &scope.service);
                Signer::Shared(Zeroizing::new(*key))
            }
            Algorithm::Asymmetric => {
                let key = asymmetric::derive(credentials.access_key_id, secret);
                Signer::Pair(Box::new(key.ok_or(SignError::Credentials)?))
            }
        })
    }

    /// The signature as lower-case hexadecimal digits.
    pub(super) fn sign(&self, message: &[u8]) -> String {
        match self {
            Signer::Shared(key) => canonical::hexadecimal(&authenticate(key.as_slice(), message)),
            Signer::Pair(key) => asymmetric::sign(key, message),
        }
    }
}
