//! Our own signer, for whoever calls a Causeway Region from our side: the command line, benches,
//! tests. It signs in the header form; it doesn't presign.

use http::header::{AUTHORIZATION, HOST, HeaderName, HeaderValue};
use http::request::Parts;
use types::{Region, Timestamp};

use super::key::{authenticate, derive};
use super::{ALGORITHM, PayloadRule, Rules, Scope, SecretKey, TERMINATOR, canonical};
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
#[derive(Clone, Copy, Debug)]
pub struct Credentials<'a> {
    /// The key's id.
    pub access_key_id: &'a str,
    /// Its secret.
    pub secret: &'a SecretKey,
    /// The session's token, where the key is a session's.
    pub session_token: Option<&'a str>,
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

/// Why a request can't be signed.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum SignError {
    /// Neither a `Host` header nor a host in the URI; or several.
    #[error("the request names no host, or more than one")]
    Host,
    /// A key id or token has characters that no header can carry.
    #[error("the access key id or session token can't be sent in a header")]
    Credentials,
    /// Path or query have no canonical form.
    #[error("{0}")]
    Uri(String),
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
    let header = |text: &str| HeaderValue::from_str(text).map_err(|_| SignError::Credentials);
    let date = date::format(now);
    let payload_hash = canonical::body_hash(body);
    let host = canonical::host(parts).ok_or(SignError::Host)?;
    let host = HeaderValue::from_bytes(host).map_err(|_| SignError::Host)?;
    let mut set = |name: &'static str, value: HeaderValue| {
        parts.headers.insert(HeaderName::from_static(name), value);
    };
    set(HOST.as_str(), host);
    set("x-amz-date", header(&date)?);
    if let Some(token) = credentials.session_token {
        set("x-amz-security-token", header(token)?);
    }
    if target.rules.payload == PayloadRule::Declared {
        set("x-amz-content-sha256", header(&payload_hash)?);
    }

    let scope = Scope {
        access_key_id: credentials.access_key_id.to_owned(),
        date: date[..8].to_owned(),
        region: target.region.name().to_owned(),
        service: target.service.to_owned(),
    };
    let mut signed: Vec<&str> = parts.headers.keys().map(HeaderName::as_str).collect();
    signed.retain(|name| !UNSIGNED_HEADERS.contains(name));
    signed.sort_unstable();
    let request = canonical::request(parts, target.rules.path, &signed, None, &payload_hash)
        .map_err(SignError::Uri)?;
    let message = canonical::string_to_sign(&date, &scope, &request);
    let key = derive(
        credentials.secret,
        &scope.date,
        &scope.region,
        &scope.service,
    );
    let signature = canonical::hexadecimal(&authenticate(key.as_slice(), message.as_bytes()));
    let authorization = format!(
        "{ALGORITHM} Credential={}/{}/{}/{}/{TERMINATOR}, SignedHeaders={}, Signature={signature}",
        scope.access_key_id,
        scope.date,
        scope.region,
        scope.service,
        signed.join(";"),
    );
    let authorization = header(&authorization)?;
    parts.headers.insert(AUTHORIZATION, authorization);
    Ok(())
}
