//! Signature Version 2, of S3 alone ("Signing and authenticating REST requests (AWS signature
//! version 2)" in the S3 User Guide): `Authorization: AWS ID:SIGNATURE`, or a query with
//! `AWSAccessKeyId`, `Expires` and `Signature`. It names neither Region nor service, and covers no
//! body and few parameters: a parameter that it doesn't cover and that says what is done is refused
//! by its name, and so is a body in chunks.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::header::{AUTHORIZATION, CONTENT_ENCODING};
use http::request::Parts;
use ring::hmac;
use subtle::ConstantTimeEq;
use types::Timestamp;
use types::calendar::LAST_SECOND;

use super::authorization::single;
use super::canonical::query_pairs;
use super::payload::PayloadVerifier;
use super::verify::Verified;
use super::{Form, KeyLookup, Rules, SecretKey, SignatureError};
use crate::date;

/// What the header's value begins with.
const SCHEME: &str = "AWS ";

/// The query parameters of a presigned request; all have to be there.
const ACCESS_KEY_ID: &str = "AWSAccessKeyId";
const EXPIRES: &str = "Expires";
const SIGNATURE: &str = "Signature";

/// Parameters that only a signed request has, in lower case: of this form, and of Signature V4.
const OF_THIS_FORM: [&str; 2] = ["awsaccesskeyid", "signature"];
const OF_VERSION_4: [&str; 3] = ["x-amz-algorithm", "x-amz-credential", "x-amz-signature"];

/// Headers of which a second one would let the verifier read one and the service the other.
const SINGLE_HEADERS: [&str; 6] = [
    "content-md5",
    "content-type",
    "date",
    "x-amz-date",
    "x-amz-content-sha256",
    "x-amz-security-token",
];

/// Headers that a presigned request may carry in its query, under these very names, beside those
/// that begin with `x-amz-` (as botocore and the command line write them).
const CARRIED: [&str; 2] = ["content-md5", "content-type"];

/// Parameters that are part of what is signed: those of the documentation, and those that S3's
/// clients have added since for sub-resources that are younger than it.
const COVERED: [&str; 33] = [
    "accelerate",
    "acl",
    "analytics",
    "cors",
    "delete",
    "inventory",
    "lifecycle",
    "location",
    "logging",
    "metrics",
    "notification",
    "object-lock",
    "partNumber",
    "policy",
    "replication",
    "requestPayment",
    "response-cache-control",
    "response-content-disposition",
    "response-content-encoding",
    "response-content-language",
    "response-content-type",
    "response-expires",
    "restore",
    "select",
    "select-type",
    "tagging",
    "torrent",
    "uploadId",
    "uploads",
    "versionId",
    "versioning",
    "versions",
    "website",
];

/// Parameters that are not, and change no more than which part of a listing is answered.
const FREE: [&str; 15] = [
    "continuation-token",
    "delimiter",
    "encoding-type",
    "fetch-owner",
    "key-marker",
    "list-type",
    "marker",
    "max-keys",
    "max-parts",
    "max-uploads",
    "part-number-marker",
    "prefix",
    "start-after",
    "upload-id-marker",
    "version-id-marker",
];

/// The access key that a request of this form names; nothing of it is verified.
pub(super) fn access_key_of(parts: &Parts) -> Option<String> {
    let query = Query::of(parts).ok()?;
    Some(claim_of(parts, &query).ok()?.access_key_id)
}

/// Why a request of Signature Version 2 is refused, where no other version has that fault. It
/// prints as S3's text.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Version2Error {
    /// The header isn't of its form.
    #[error("AWS authorization header is invalid.  Expected AwsAccessKeyId:signature")]
    Header,
    /// The query lacks one of the three parameters.
    #[error(
        "Query-string authentication requires the Signature, Expires and AWSAccessKeyId parameters"
    )]
    Query,
    /// `Expires` is no number of seconds.
    #[error("Invalid date (should be seconds since epoch): {0}")]
    Expires(String),
    /// A presigned request past its end.
    #[error("Request has expired")]
    Expired {
        /// When it ended.
        expires: Timestamp,
        /// Our clock.
        now: Timestamp,
    },
    /// A parameter that isn't part of what is signed, and would change what is done. Text ours.
    #[error(
        "Signature Version 2 doesn't cover the parameter '{0}': sign with AWS4-HMAC-SHA256 \
         (Signature Version 4)."
    )]
    Uncovered(String),
}

/// Is the request signed by Signature Version 2, or meant to be? Of one that also has another
/// signature it is for [`verify_version2`] to refuse it.
pub fn is_version2(parts: &Parts) -> bool {
    let header = parts.headers.get(AUTHORIZATION);
    if header.is_some_and(|value| value.as_bytes().starts_with(SCHEME.as_bytes())) {
        return true;
    }
    let query = parts.uri.query().unwrap_or_default();
    let pairs = query_pairs(query).unwrap_or_default();
    pairs.iter().any(|(name, _)| is_one_of(&OF_THIS_FORM, name))
}

fn is_one_of(names: &[&str], name: &[u8]) -> bool {
    let mut names = names.iter();
    names.any(|known| name.eq_ignore_ascii_case(known.as_bytes()))
}

/// Verifies a request of S3 that [`is_version2`]; gives with what its body is verified: by the
/// `x-amz-content-sha256` that it may have, else by nothing. `hosted_bucket`: the bucket that its
/// host names, if one.
///
/// # Errors
///
/// [`SignatureError`]. Whatever can't be parsed is an error.
pub fn verify_version2(
    parts: &Parts,
    hosted_bucket: Option<&str>,
    now: Timestamp,
    keys: &dyn KeyLookup,
) -> Result<(Verified, PayloadVerifier), SignatureError> {
    for name in SINGLE_HEADERS {
        single(&parts.headers, name)?;
    }
    let query = Query::of(parts)?;
    let claim = claim_of(parts, &query)?;
    let signed = check_time(&claim, now)?;
    let amazon = amazon_headers(parts, &query)?;
    let payload = payload(parts, &amazon)?;
    let text = |name: &str| {
        amazon
            .get(name)
            .and_then(|value| std::str::from_utf8(value).ok())
    };
    let token = text("x-amz-security-token");
    if amazon.contains_key("x-amz-security-token") != token.is_some() {
        return Err(SignatureError::UnknownKey);
    }
    let mut message = first_lines(parts, &query, &claim)?;
    for (name, value) in &amazon {
        message.extend_from_slice(name.as_bytes());
        message.push(b':');
        message.extend_from_slice(value);
        message.push(b'\n');
    }
    push_resource(&mut message, parts, hosted_bucket, &query, claim.form)?;
    let secret = keys.secret(&claim.access_key_id, token)?;
    if !holds(&secret, &message, &claim.signature) {
        return Err(SignatureError::Mismatch);
    }
    let verified = Verified {
        access_key_id: claim.access_key_id,
        scope: None,
        signed,
        session_token: token.map(str::to_owned),
        algorithm: None,
        form: claim.form,
    };
    Ok((verified, payload))
}

/// The names and values of a query, decoded: text, and without control characters, so that no value
/// can pass for several lines of what is signed.
struct Query(Vec<(String, String)>);

impl Query {
    fn of(parts: &Parts) -> Result<Query, SignatureError> {
        let query = parts.uri.query().unwrap_or_default();
        let pairs = query_pairs(query).map_err(SignatureError::Malformed)?;
        let text = |bytes: Vec<u8>| {
            let text = String::from_utf8(bytes).ok();
            text.filter(|text| !text.chars().any(char::is_control))
        };
        let mut read: Vec<(String, String)> = Vec::with_capacity(pairs.len());
        for (name, value) in pairs {
            let (Some(name), Some(value)) = (text(name), text(value)) else {
                let text = "A query parameter isn't text, or has control characters.";
                return Err(SignatureError::MalformedQuery(text.to_owned()));
            };
            if read.iter().any(|(known, _)| *known == name) {
                let text = format!("The query parameter '{name}' is there more than once.");
                return Err(SignatureError::MalformedQuery(text));
            }
            read.push((name, value));
        }
        Ok(Query(read))
    }

    fn get(&self, name: &str) -> Option<&str> {
        let found = self.0.iter().find(|(known, _)| known == name);
        found.map(|(_, value)| value.as_str())
    }

    fn has_any(&self, names: &[&str]) -> bool {
        let mut pairs = self.0.iter();
        pairs.any(|(name, _)| is_one_of(names, name.as_bytes()))
    }
}

/// What a request says of its signature.
struct Claim {
    access_key_id: String,
    signature: String,
    form: Form,
    /// The line for the date, as it is signed: empty where `x-amz-date` is among the headers.
    date_line: String,
    /// When it was signed; in a query when it ends.
    time: Timestamp,
}

/// Finds the one signature that a request must have.
fn claim_of(parts: &Parts, query: &Query) -> Result<Claim, SignatureError> {
    let header = single(&parts.headers, "authorization")?;
    let is_presigned = query.has_any(&OF_THIS_FORM);
    let is_of_version_4 = query.has_any(&OF_VERSION_4);
    match header {
        Some(_) if is_presigned || is_of_version_4 => Err(SignatureError::BothForms),
        None if is_of_version_4 => Err(SignatureError::BothForms),
        Some(header) => claim_of_header(header, parts),
        None => claim_of_query(query),
    }
}

fn claim_of_header(header: &str, parts: &Parts) -> Result<Claim, SignatureError> {
    let credential = header.strip_prefix(SCHEME).ok_or(SignatureError::Scheme)?;
    let parted = credential.trim().split_once(':');
    let parted = parted.filter(|(id, signature)| !id.is_empty() && !signature.is_empty());
    let (access_key_id, signature) = parted.ok_or(Version2Error::Header)?;
    let amazon = single(&parts.headers, "x-amz-date")?;
    let (text, date_line) = match amazon {
        Some(date) => (date, ""),
        None => {
            let date = single(&parts.headers, "date")?.unwrap_or_default().trim();
            (date, date)
        }
    };
    let text = text.trim();
    let time = date::http_date(text).or_else(|| date::parse(text));
    Ok(Claim {
        access_key_id: access_key_id.to_owned(),
        signature: signature.to_owned(),
        form: Form::Header,
        date_line: date_line.to_owned(),
        time: time.ok_or_else(|| SignatureError::DateFormat(text.to_owned()))?,
    })
}

fn claim_of_query(query: &Query) -> Result<Claim, SignatureError> {
    let value = |name| query.get(name).filter(|value| !value.is_empty());
    let all = (value(ACCESS_KEY_ID), value(EXPIRES), value(SIGNATURE));
    let (Some(access_key_id), Some(expires), Some(signature)) = all else {
        return Err(Version2Error::Query.into());
    };
    let is_number = expires.len() <= 12 && expires.bytes().all(|byte| byte.is_ascii_digit());
    let seconds = expires.parse::<u64>().ok().filter(|_| is_number);
    let seconds = seconds.filter(|seconds| *seconds <= LAST_SECOND);
    let seconds = seconds.ok_or_else(|| Version2Error::Expires(expires.to_owned()))?;
    Ok(Claim {
        access_key_id: access_key_id.to_owned(),
        signature: signature.to_owned(),
        form: Form::Query,
        date_line: expires.to_owned(),
        time: Timestamp(seconds * 1000),
    })
}

/// Is it of this time? Gives when it was signed, if it says that.
fn check_time(claim: &Claim, now: Timestamp) -> Result<Option<Timestamp>, SignatureError> {
    let minutes = Rules::OBJECTS.skew_minutes;
    // Judged to the second, as dates are written.
    let second = now.0 / 1000 * 1000;
    let time = claim.time;
    if claim.form == Form::Query {
        return match time.0 < second {
            true => Err(Version2Error::Expired { expires: time, now }.into()),
            false => Ok(None),
        };
    }
    let signed = time;
    if signed.0 > second.saturating_add(minutes * 60_000) {
        return Err(SignatureError::NotYetCurrent {
            signed,
            now,
            minutes,
        });
    }
    if signed.0.saturating_add(minutes * 60_000) < second {
        return Err(SignatureError::Expired {
            signed,
            now,
            minutes,
        });
    }
    Ok(Some(signed))
}

/// `CanonicalizedAmzHeaders`: what begins with `x-amz-`, by name; also what a query carries so,
/// which counts where there is no such header.
fn amazon_headers(
    parts: &Parts,
    query: &Query,
) -> Result<BTreeMap<String, Vec<u8>>, SignatureError> {
    let mut amazon: BTreeMap<String, Vec<u8>> = BTreeMap::new();
    for (name, value) in &parts.headers {
        let name = name.as_str();
        if !name.starts_with("x-amz-") {
            continue;
        }
        let value = value.as_bytes().trim_ascii();
        match amazon.get_mut(name) {
            None => drop(amazon.insert(name.to_owned(), value.to_vec())),
            Some(values) => {
                values.push(b',');
                values.extend_from_slice(value);
            }
        }
    }
    let mut carried: BTreeMap<String, Vec<u8>> = BTreeMap::new();
    for (name, value) in &query.0 {
        let name = name.to_ascii_lowercase();
        if !name.starts_with("x-amz-") || amazon.contains_key(&name) {
            continue;
        }
        if carried.insert(name, value.clone().into_bytes()).is_some() {
            let text = "A query parameter is there more than once.";
            return Err(SignatureError::MalformedQuery(text.to_owned()));
        }
    }
    amazon.append(&mut carried);
    Ok(amazon)
}

/// What is to be verified of the body: the hash that the signature covers if there is one.
fn payload(
    parts: &Parts,
    amazon: &BTreeMap<String, Vec<u8>>,
) -> Result<PayloadVerifier, SignatureError> {
    let encodings = parts.headers.get_all(CONTENT_ENCODING).iter();
    let mut encodings = encodings.flat_map(|value| value.as_bytes().split(|byte| *byte == b','));
    let is_chunked = encodings.any(|name| name.trim_ascii().eq_ignore_ascii_case(b"aws-chunked"));
    let of_chunks = ["x-amz-trailer", "x-amz-decoded-content-length"];
    if is_chunked || of_chunks.iter().any(|name| amazon.contains_key(*name)) {
        return Err(SignatureError::StreamingPayload("aws-chunked"));
    }
    let said = amazon.get("x-amz-content-sha256");
    let said = said.map(|value| String::from_utf8_lossy(value));
    PayloadVerifier::uncovered(said.as_deref())
}

/// The method, and the three lines for what is told of the body and the date.
fn first_lines(parts: &Parts, query: &Query, claim: &Claim) -> Result<Vec<u8>, SignatureError> {
    let mut text = Vec::with_capacity(256);
    text.extend_from_slice(parts.method.as_str().as_bytes());
    text.push(b'\n');
    for name in CARRIED {
        let carried = query.get(name).filter(|_| claim.form == Form::Query);
        let value = single(&parts.headers, name)?.map(str::trim).or(carried);
        text.extend_from_slice(value.unwrap_or_default().as_bytes());
        text.push(b'\n');
    }
    text.extend_from_slice(claim.date_line.as_bytes());
    text.push(b'\n');
    Ok(text)
}

/// `CanonicalizedResource`: the bucket that the host names, the path as it came, and what of the
/// query is covered.
fn push_resource(
    message: &mut Vec<u8>,
    parts: &Parts,
    hosted_bucket: Option<&str>,
    query: &Query,
    form: Form,
) -> Result<(), SignatureError> {
    if let Some(bucket) = hosted_bucket {
        message.push(b'/');
        message.extend_from_slice(bucket.as_bytes());
    }
    let path = parts.uri.path();
    message.extend_from_slice(path.as_bytes());
    // A bucket's own path has its slash, sent or not: botocore signs so because S3 does.
    let is_bucket = path.len() > 1 && path.rfind('/') == Some(0);
    if hosted_bucket.is_none() && is_bucket {
        message.push(b'/');
    }
    let mut covered: Vec<(&str, &str)> = Vec::new();
    for (name, value) in &query.0 {
        if COVERED.contains(&name.as_str()) {
            covered.push((name, value));
            continue;
        }
        let of_signature = [ACCESS_KEY_ID, EXPIRES, SIGNATURE].contains(&name.as_str());
        let is_carried = of_signature || CARRIED.contains(&name.as_str());
        // What begins with `x-` and isn't a header is of no operation.
        let is_foreign = name.to_ascii_lowercase().starts_with("x-");
        let passes = FREE.contains(&name.as_str()) || is_foreign;
        if !(passes || is_carried && form == Form::Query) {
            return Err(Version2Error::Uncovered(name.clone()).into());
        }
    }
    covered.sort_unstable();
    let said = covered.iter().map(|(name, value)| match value.is_empty() {
        true => (*name).to_owned(),
        false => format!("{name}={value}"),
    });
    let said = said.collect::<Vec<_>>().join("&");
    // A value with `&` in it must not read as another parameter: both would have one signature.
    let names = said
        .split('&')
        .map(|pair| pair.split_once('=').map_or(pair, |(name, _)| name));
    let names = names.filter(|name| COVERED.contains(name)).count();
    if names != covered.len() {
        let text = "A query parameter's value reads as another parameter.";
        return Err(SignatureError::MalformedQuery(text.to_owned()));
    }
    if !said.is_empty() {
        message.push(b'?');
        message.extend_from_slice(said.as_bytes());
    }
    Ok(())
}

/// Whether `signature` is the HMAC-SHA1 of the message in base64.
pub(super) fn holds(secret: &SecretKey, message: &[u8], signature: &str) -> bool {
    let secret = secret.expose().as_bytes();
    let key = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, secret);
    let expected = STANDARD.encode(hmac::sign(&key, message));
    expected.as_bytes().ct_eq(signature.as_bytes()).into()
}
