//! The verifier. It goes through a request's claim in the order in which the service was seen to
//! do, so that of several faults a client is told the same one. It draws no conclusion from a
//! key beyond who signed.

use http::request::Parts;
use subtle::ConstantTimeEq;
use types::{Region, Timestamp};

use super::authorization::{Claim, claim_of, single, split_credential};
use super::key::{KeyCache, authenticate, derive};
use super::{
    ALGORITHM, KeyLookup, PayloadRule, Rules, Scope, SignatureError, TERMINATOR, UNSIGNED_PAYLOAD,
    canonical,
};
use crate::date;

/// The longest life of a presigned request, in seconds: 7 days.
const LONGEST_LIFETIME: u64 = 604_800;

/// Headers whose meaning is read from one value: a second one would let the verifier read one
/// and the service the other. (Authorization, the date, the token and the content hash are read
/// through the same rule where they are needed.)
const SINGLE_HEADERS: [&str; 4] = ["x-amz-target", "content-type", "x-amz-date", "date"];

/// What a signature must have been made for.
#[derive(Clone, Copy, Debug)]
pub struct Expected<'a> {
    /// The service's signing name.
    pub service: &'a str,
    /// The Regions whose scope is accepted here: the endpoint's own; for a global service the
    /// one that AWS gives it (us-east-1, say).
    pub regions: &'a [Region],
    /// The service's rules.
    pub rules: Rules,
}

/// A signature that held: the request is from whoever has the key.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Verified {
    /// Whose key, and for where.
    pub scope: Scope,
    /// When the client says it signed.
    pub signed: Timestamp,
    /// The session token that the key lookup accepted with the key.
    pub session_token: Option<String>,
}

/// Verifies signatures, and keeps the day's signing keys of the callers at work (a bounded
/// number). One per process is enough; it can be shared between threads.
#[derive(Default)]
pub struct Verifier {
    cache: KeyCache,
}

impl Verifier {
    /// A verifier that has seen nobody yet.
    pub fn new() -> Verifier {
        Verifier::default()
    }

    /// Verifies that the request with these parts and this body was signed by a key that `keys`
    /// knows, for the expected service and Region, at about `now`.
    ///
    /// # Errors
    ///
    /// [`SignatureError`] says what is wrong, in the service's words. Whatever can't be parsed
    /// is an error.
    pub fn verify(
        &self,
        parts: &Parts,
        body: &[u8],
        expected: &Expected<'_>,
        now: Timestamp,
        keys: &dyn KeyLookup,
    ) -> Result<Verified, SignatureError> {
        let claim = claim_of(parts)?;
        if claim.date_header.is_none() && !expected.rules.presigned {
            return Err(SignatureError::PresignedNotAllowed);
        }
        let signed = date::parse(&claim.date)
            .ok_or_else(|| SignatureError::DateFormat(claim.date.clone()))?;
        check_time(&claim, signed, now, expected.rules)?;
        let signed_headers = check_signed_headers(parts, &claim)?;
        if claim.algorithm != ALGORITHM {
            return Err(SignatureError::Algorithm(claim.algorithm));
        }
        let (scope, terminator) = split_credential(&claim.credential)
            .ok_or_else(|| SignatureError::CredentialElements(claim.credential.clone()))?;
        check_scope(&scope, terminator, expected, &claim.date)?;

        let payload_hash = payload_hash(parts, body, &claim, expected.rules.payload)?;
        let left_out = claim.date_header.is_none().then_some("X-Amz-Signature");
        let path = expected.rules.path;
        let request = canonical::request(parts, path, &signed_headers, left_out, &payload_hash)
            .map_err(SignatureError::Malformed)?;
        let message = canonical::string_to_sign(&claim.date, &scope, &request);
        self.check_signature(&claim, &scope, &message, keys)?;
        Ok(Verified {
            scope,
            signed,
            session_token: claim.session_token,
        })
    }

    fn check_signature(
        &self,
        claim: &Claim,
        scope: &Scope,
        message: &str,
        keys: &dyn KeyLookup,
    ) -> Result<(), SignatureError> {
        // Asked each time, so that a revoked key is refused at once whatever is cached.
        let secret = keys.secret(&scope.access_key_id, claim.session_token.as_deref())?;
        let cached = self.cache.get(scope, &secret);
        let is_new = cached.is_none();
        let key =
            cached.unwrap_or_else(|| derive(&secret, &scope.date, &scope.region, &scope.service));
        let signature = canonical::hexadecimal(&authenticate(key.as_slice(), message.as_bytes()));
        if !bool::from(signature.as_bytes().ct_eq(claim.signature.as_bytes())) {
            return Err(SignatureError::Mismatch);
        }
        if is_new {
            self.cache.put(scope, secret, key);
        }
        Ok(())
    }
}

fn check_time(
    claim: &Claim,
    signed: Timestamp,
    now: Timestamp,
    rules: Rules,
) -> Result<(), SignatureError> {
    let skew = rules.skew_minutes * 60_000;
    // Judged to the second, as the dates in the error's text are.
    let second = now.0 / 1000 * 1000;
    if signed.0 > second.saturating_add(skew) {
        return Err(SignatureError::NotYetCurrent {
            signed,
            now,
            minutes: rules.skew_minutes,
        });
    }
    let (lifetime, minutes) = match (claim.date_header, &claim.expires) {
        (Some(_), _) => (skew, rules.skew_minutes),
        (None, expires) => {
            let seconds = expires
                .as_deref()
                .filter(|text| text.len() <= 6 && text.bytes().all(|byte| byte.is_ascii_digit()))
                .and_then(|text| text.parse::<u64>().ok())
                .filter(|seconds| (1..=LONGEST_LIFETIME).contains(seconds))
                .ok_or(SignatureError::PresignedLifetime)?;
            (seconds * 1000, seconds.div_ceil(60))
        }
    };
    if signed.0.saturating_add(lifetime) < second {
        return Err(SignatureError::Expired {
            signed,
            now,
            minutes,
        });
    }
    Ok(())
}

/// The names that were signed, once it is certain that all that must be signed is.
fn check_signed_headers<'a>(
    parts: &Parts,
    claim: &'a Claim,
) -> Result<Vec<&'a str>, SignatureError> {
    let names: Vec<&str> = claim.signed_headers.split(';').collect();
    if !names.contains(&"host") {
        return Err(SignatureError::HostNotSigned);
    }
    let in_order = names.windows(2).all(|pair| pair[0] < pair[1]);
    let lower_case = names
        .iter()
        .all(|name| !name.is_empty() && !name.bytes().any(|byte| byte.is_ascii_uppercase()));
    if !in_order || !lower_case {
        let text = "The signed headers must be named once each, in lower case and in order.";
        return Err(SignatureError::Malformed(text.to_owned()));
    }
    for name in SINGLE_HEADERS {
        single(&parts.headers, name)?;
    }
    let amazon = parts.headers.keys().map(|name| name.as_str());
    let amazon = amazon.filter(|name| name.starts_with("x-amz-"));
    for name in amazon.chain(claim.date_header) {
        if names.binary_search(&name).is_err() {
            return Err(SignatureError::HeaderNotSigned(name.to_owned()));
        }
    }
    Ok(names)
}

fn check_scope(
    scope: &Scope,
    terminator: &str,
    expected: &Expected<'_>,
    date: &str,
) -> Result<(), SignatureError> {
    let mut faults = Vec::new();
    let Scope {
        region,
        service,
        date: day,
        ..
    } = scope;
    if !expected.regions.iter().any(|known| known.name() == region) {
        faults.push(format!(
            "Credential should be scoped to a valid region, not '{region}'."
        ));
    }
    if service != expected.service {
        let expected = expected.service;
        faults.push(format!(
            "Credential should be scoped to correct service: '{expected}'."
        ));
    }
    if terminator != TERMINATOR {
        faults.push(format!(
            "Credential should be scoped with a valid terminator: '{TERMINATOR}', not \
             '{terminator}'."
        ));
    }
    // `date` has been parsed: it is 16 ASCII characters.
    let expected_day = &date[..8];
    if day != expected_day {
        faults.push(format!(
            "Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date from \
             HTTP: '{day}' != '{expected_day}', from '{date}'."
        ));
    }
    if faults.is_empty() {
        Ok(())
    } else {
        Err(SignatureError::Scope(faults.join(" ")))
    }
}

/// What stands for the body in the canonical form, once it is certain that it is this body.
fn payload_hash(
    parts: &Parts,
    body: &[u8],
    claim: &Claim,
    rule: PayloadRule,
) -> Result<String, SignatureError> {
    let declared = single(&parts.headers, "x-amz-content-sha256")?.map(str::trim);
    if rule == PayloadRule::Declared {
        match declared {
            Some(UNSIGNED_PAYLOAD) => return Ok(UNSIGNED_PAYLOAD.to_owned()),
            Some(name) if name.starts_with("STREAMING-") => {
                return Err(SignatureError::StreamingPayload(name.to_owned()));
            }
            Some(_) => {}
            // A presigned URL is made before there is a body.
            None if claim.date_header.is_none() => return Ok(UNSIGNED_PAYLOAD.to_owned()),
            None => return Err(SignatureError::ContentHashMissing),
        }
    }
    let actual = canonical::body_hash(body);
    match declared {
        Some(declared) if declared != actual => Err(SignatureError::ContentHash),
        _ => Ok(actual),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::signature::{KeyRefusal, SecretKey};

    const NOW: Timestamp = Timestamp(1_440_938_160_000);
    const DATE: &str = "20150830T123600Z";

    struct AnyKey;

    impl KeyLookup for AnyKey {
        fn secret(&self, _: &str, _: Option<&str>) -> Result<SecretKey, KeyRefusal> {
            Ok(SecretKey::new("secret".to_owned()))
        }
    }

    /// Verifies a request signed over these headers and this payload hash, which our own signer
    /// would choose otherwise.
    fn verify(
        headers: &[(&'static str, &str)],
        payload_hash: &str,
        body: &[u8],
        rules: Rules,
    ) -> Result<Verified, SignatureError> {
        let mut request = http::Request::put("/").header("host", "example.amazonaws.com");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let (mut parts, ()) = request.body(()).unwrap().into_parts();
        let mut names: Vec<&str> = vec!["host"];
        names.extend(headers.iter().map(|(name, _)| *name));
        names.sort_unstable();
        let credential = "AKIDEXAMPLE/20150830/us-east-1/service/aws4_request";
        let (scope, _) = split_credential(credential).unwrap();
        let request = canonical::request(&parts, rules.path, &names, None, payload_hash).unwrap();
        let message = canonical::string_to_sign(DATE, &scope, &request);
        let secret = AnyKey.secret("", None).unwrap();
        let key = derive(&secret, &scope.date, &scope.region, &scope.service);
        let signature = canonical::hexadecimal(&authenticate(key.as_slice(), message.as_bytes()));
        let names = names.join(";");
        let header = format!(
            "{ALGORITHM} Credential={credential},SignedHeaders={names},Signature={signature}"
        );
        parts
            .headers
            .insert("authorization", header.parse().unwrap());
        let expected = Expected {
            service: "service",
            regions: &["us-east-1".parse().unwrap()],
            rules,
        };
        Verifier::new().verify(&parts, body, &expected, NOW, &AnyKey)
    }

    #[test]
    fn a_signed_date_header_stands_in_for_the_amazon_one() {
        let hash = canonical::body_hash(b"");
        assert!(verify(&[("date", DATE)], &hash, b"", Rules::JSON).is_ok());
        let other = [("date", "20150829T123600Z"), ("x-amz-date", DATE)];
        assert!(verify(&other, &hash, b"", Rules::JSON).is_ok());
        let error = verify(&[], &hash, b"", Rules::JSON).unwrap_err();
        assert!(
            matches!(error, SignatureError::Incomplete { .. }),
            "{error}"
        );
    }

    #[test]
    fn only_objects_may_leave_the_body_unsigned() {
        let headers = [
            ("x-amz-content-sha256", UNSIGNED_PAYLOAD),
            ("x-amz-date", DATE),
        ];
        let request = |rules| verify(&headers, UNSIGNED_PAYLOAD, b"anything", rules);
        assert!(request(Rules::OBJECTS).is_ok());
        assert_eq!(request(Rules::JSON), Err(SignatureError::ContentHash));
        assert_eq!(request(Rules::QUERY), Err(SignatureError::ContentHash));
        let undeclared = verify(&[("x-amz-date", DATE)], UNSIGNED_PAYLOAD, b"", Rules::JSON);
        assert_eq!(undeclared, Err(SignatureError::Mismatch));
    }
}
