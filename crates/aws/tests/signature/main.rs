//! The signature verifier and signer, from outside: published vectors, each rule, mutations, fuzz.
//! The pitfalls that others fell into, with the test that holds each, are listed in `pitfalls.rs`.

#![allow(
    clippy::unwrap_used,
    reason = "a test's helpers fail by panicking, as tests do"
)]

mod asymmetric;
mod chunks;
mod fuzz;
mod mutations;
mod objects;
mod pitfalls;
mod presigned;
mod rules;
mod suite;
mod vectors;
mod version2;

use aws::signature::{
    Expected, KeyLookup, KeyRefusal, Rules, SecretKey, SignatureError, Verified, Verifier,
};
use http::request::Parts;
use types::{Region, Timestamp};

/// The key, secret and time of the suite that AWS published for Signature V4.
const KEY: &str = "AKIDEXAMPLE";
const SESSION_KEY: &str = "ASIDEXAMPLE";
const SESSION_TOKEN: &str = "token/with+signs==";
const EXPIRED_TOKEN: &str = "an old token";
const SECRET: &str = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY";
const DATE: &str = "20150830T123600Z";
const NOW: Timestamp = Timestamp(1_440_938_160_000);

/// Knows one long-lived key and one session's.
struct Keys;

impl KeyLookup for Keys {
    fn secret(
        &self,
        access_key_id: &str,
        session_token: Option<&str>,
    ) -> Result<SecretKey, KeyRefusal> {
        match (access_key_id, session_token) {
            (KEY, None) | (SESSION_KEY, Some(SESSION_TOKEN)) => Ok(secret()),
            (SESSION_KEY, Some(EXPIRED_TOKEN)) => Err(KeyRefusal::Expired),
            _ => Err(KeyRefusal::Unknown),
        }
    }
}

fn secret() -> SecretKey {
    SecretKey::new(SECRET.to_owned())
}

fn region() -> Region {
    "us-east-1".parse().unwrap()
}

fn parts(method: &str, uri: &str, headers: &[(&str, &str)]) -> Parts {
    let mut request = http::Request::builder().method(method).uri(uri);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request.body(()).unwrap().into_parts().0
}

fn verify(
    parts: &Parts,
    body: &[u8],
    service: &str,
    rules: Rules,
    now: Timestamp,
) -> Result<Verified, SignatureError> {
    let expected = Expected {
        service,
        regions: &[region()],
        rules,
    };
    Verifier::new().verify(parts, body, &expected, now, &Keys)
}

/// The Authorization header of [`KEY`] and [`DATE`]'s day.
fn authorization(service: &str, signed_headers: &str, signature: &str) -> String {
    format!(
        "AWS4-HMAC-SHA256 Credential={KEY}/20150830/us-east-1/{service}/aws4_request, \
         SignedHeaders={signed_headers}, Signature={signature}"
    )
}
