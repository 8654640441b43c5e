//! The verifier. It goes through a request's claim in the order in which the service was seen to
//! do, so that of several faults a client is told the same one. It draws no conclusion from a
//! key beyond who signed.

use std::fmt;
use std::sync::Arc;

use http::request::Parts;
use types::{Region, Timestamp};

use super::authorization::{Claim, claim_of, single, split_credential};
use super::cache::KeyCache;
use super::chunks::{Chain, ChainMessages};
use super::key::{VerifyingKey, derive};
use super::payload::{Declared, PayloadVerifier, declared};
use super::{
    Algorithm, Form, KeyLookup, Rules, Scope, ScopeFaults, SecretKey, SignatureError, TERMINATOR,
    UNSIGNED_PAYLOAD, asymmetric, canonical,
};
use crate::date;

/// The longest life of a presigned request, in seconds: 7 days.
pub(super) const LONGEST_LIFETIME: u64 = 604_800;

/// Headers whose meaning is read from one value: a second one would let the verifier read one
/// and the service the other. (Authorization, the token, the Region set and what is said of the
/// body are read through the same rule where they are needed.)
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
#[derive(Clone, PartialEq, Eq)]
pub struct Verified {
    /// Whose key.
    pub access_key_id: String,
    /// For when and where; Signature V2 doesn't say.
    pub scope: Option<Scope>,
    /// When the client says it signed; a presigned request of V2 doesn't say.
    pub signed: Option<Timestamp>,
    /// The session token that the key lookup accepted with the key.
    pub session_token: Option<String>,
    /// With what it was signed; `None`: as Signature V2 has it.
    pub algorithm: Option<Algorithm>,
    /// Where the signature was.
    pub form: Form,
}

/// Without the session token, which with its key is all that a caller needs.
impl fmt::Debug for Verified {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("Verified");
        shown.field("access_key_id", &self.access_key_id);
        shown.field("scope", &self.scope);
        shown.field("signed", &self.signed);
        shown.field("in_session", &self.session_token.is_some());
        shown.field("algorithm", &self.algorithm);
        shown.field("form", &self.form);
        shown.finish()
    }
}

/// Verifies signatures, and keeps the keys of the callers at work (a bounded number). One per
/// process is enough; it can be shared between threads.
#[derive(Default)]
pub struct Verifier {
    /// By the whole scope: a key of Signature V4 is of a day, a Region and a service.
    shared: KeyCache<Scope>,
    /// By access key: a pair of V4A is of nothing else.
    public: KeyCache<String>,
}

/// A claim whose every part but the signature is as it must be.
struct Judged<'a> {
    claim: &'a Claim,
    algorithm: Algorithm,
    signed: Timestamp,
    signed_headers: Vec<&'a str>,
    scope: Scope,
}

impl Verifier {
    /// A verifier that has seen nobody yet.
    pub fn new() -> Verifier {
        Verifier::default()
    }

    /// Verifies that the request with these parts and this body was signed by a key that `keys`
    /// knows, for the expected service and Region, at about `now`. A body in chunks is refused:
    /// [`Verifier::verify_head`] is for services that take one.
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
        let judged = judge(parts, &claim, expected, now)?;
        let payload = expected.rules.payload;
        let hash = match declared(parts, &claim, payload, judged.algorithm)? {
            Declared::Unsigned => UNSIGNED_PAYLOAD.to_owned(),
            Declared::Chunked(name, _) => return Err(SignatureError::StreamingPayload(name)),
            Declared::Body(declared) => {
                let computed = canonical::body_hash(body);
                match declared {
                    Some(declared) if declared != computed => {
                        return Err(SignatureError::ContentHash { declared, computed });
                    }
                    _ => computed,
                }
            }
        };
        self.check_signature(parts, &judged, expected.rules, &hash, keys)?;
        Ok(judged.verified())
    }

    /// Verifies the request's signature before its body is there, and gives with what the body is
    /// then to be verified: for services whose rules say that a request declares its body, S3.
    /// (Of another service's request without `X-Amz-Content-Sha256` it can say nothing, and refuses
    /// it.)
    ///
    /// # Errors
    ///
    /// As [`Verifier::verify`].
    pub fn verify_head(
        &self,
        parts: &Parts,
        expected: &Expected<'_>,
        now: Timestamp,
        keys: &dyn KeyLookup,
    ) -> Result<(Verified, PayloadVerifier), SignatureError> {
        let claim = claim_of(parts)?;
        let judged = judge(parts, &claim, expected, now)?;
        let declared = declared(parts, &claim, expected.rules.payload, judged.algorithm)?;
        let hash = match &declared {
            Declared::Unsigned => UNSIGNED_PAYLOAD,
            Declared::Chunked(name, _) => name,
            Declared::Body(Some(hash)) => hash,
            Declared::Body(None) => return Err(SignatureError::ContentHashMissing),
        };
        let key = self.check_signature(parts, &judged, expected.rules, hash, keys)?;
        let verifier = match declared {
            Declared::Unsigned => PayloadVerifier::whole(None),
            Declared::Body(hash) => PayloadVerifier::whole(hash),
            Declared::Chunked(_, form) => {
                let chain = form.signed.map(|algorithm| Chain {
                    key,
                    messages: ChainMessages {
                        algorithm,
                        date: claim.date.clone(),
                        scope: canonical::scope_text(algorithm, &judged.scope),
                        previous: claim.signature.clone(),
                    },
                });
                PayloadVerifier::chunked(parts, form, chain)?
            }
        };
        Ok((judged.verified(), verifier))
    }

    /// Verifies the signature itself; gives the key that it was made with.
    fn check_signature(
        &self,
        parts: &Parts,
        judged: &Judged<'_>,
        rules: Rules,
        payload_hash: &str,
        keys: &dyn KeyLookup,
    ) -> Result<Arc<VerifyingKey>, SignatureError> {
        let (claim, scope) = (judged.claim, &judged.scope);
        let left_out = (claim.form() == Form::Query).then_some("X-Amz-Signature");
        let names = &judged.signed_headers;
        let request = canonical::request(parts, rules.path, names, left_out, payload_hash)
            .map_err(SignatureError::Malformed)?;
        let message = canonical::string_to_sign(judged.algorithm, &claim.date, scope, &request);
        // Asked each time, so that a revoked key is refused at once whatever is cached.
        let secret = keys.secret(&scope.access_key_id, claim.session_token.as_deref())?;
        let cached = self.cached(judged, &secret);
        let is_new = cached.is_none();
        let key = match cached {
            Some(key) => key,
            None => Arc::new(new_key(judged, &secret).ok_or(SignatureError::Mismatch)?),
        };
        if !key.holds(message.as_bytes(), &claim.signature) {
            return Err(SignatureError::Mismatch);
        }
        if is_new {
            self.keep(judged, secret, &key);
        }
        Ok(key)
    }

    fn cached(&self, judged: &Judged<'_>, secret: &SecretKey) -> Option<Arc<VerifyingKey>> {
        match judged.algorithm {
            Algorithm::Symmetric => self.shared.get(&judged.scope, secret),
            Algorithm::Asymmetric => self.public.get(&judged.scope.access_key_id, secret),
        }
    }

    fn keep(&self, judged: &Judged<'_>, secret: SecretKey, key: &Arc<VerifyingKey>) {
        match judged.algorithm {
            Algorithm::Symmetric => self.shared.put(&judged.scope, secret, key.clone()),
            Algorithm::Asymmetric => {
                let id = &judged.scope.access_key_id;
                self.public.put(id, secret, key.clone());
            }
        }
    }
}

impl Judged<'_> {
    fn verified(self) -> Verified {
        Verified {
            access_key_id: self.scope.access_key_id.clone(),
            scope: Some(self.scope),
            signed: Some(self.signed),
            session_token: self.claim.session_token.clone(),
            algorithm: Some(self.algorithm),
            form: self.claim.form(),
        }
    }
}

/// The key that verifies what this secret signs.
fn new_key(judged: &Judged<'_>, secret: &SecretKey) -> Option<VerifyingKey> {
    let scope = &judged.scope;
    Some(match judged.algorithm {
        Algorithm::Symmetric => {
            let key = derive(secret, &scope.date, &scope.region, &scope.service);
            VerifyingKey::Shared(key)
        }
        Algorithm::Asymmetric => {
            let pair = asymmetric::derive(&scope.access_key_id, secret)?;
            VerifyingKey::Public(asymmetric::PublicKey::of(&pair))
        }
    })
}

/// Everything that can be judged of a claim without a key.
fn judge<'a>(
    parts: &Parts,
    claim: &'a Claim,
    expected: &Expected<'_>,
    now: Timestamp,
) -> Result<Judged<'a>, SignatureError> {
    if claim.form() == Form::Query && !expected.rules.presigned {
        return Err(SignatureError::PresignedNotAllowed);
    }
    let signed =
        date::parse(&claim.date).ok_or_else(|| SignatureError::DateFormat(claim.date.clone()))?;
    check_time(claim, signed, now, expected.rules)?;
    let signed_headers = check_signed_headers(parts, claim)?;
    let algorithm = match Algorithm::named(&claim.algorithm) {
        Some(Algorithm::Asymmetric) if !expected.rules.asymmetric => None,
        known => known,
    };
    let algorithm = algorithm.ok_or_else(|| SignatureError::Algorithm(claim.algorithm.clone()))?;
    let region_set = claim.region_set.as_deref();
    let (scope, terminator) = split_credential(&claim.credential, algorithm, region_set)
        .ok_or_else(|| SignatureError::CredentialElements(claim.credential.clone()))?;
    check_scope(&scope, terminator, algorithm, expected, &claim.date)?;
    Ok(Judged {
        claim,
        algorithm,
        signed,
        signed_headers,
        scope,
    })
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

pub(super) fn check_scope(
    scope: &Scope,
    terminator: &str,
    algorithm: Algorithm,
    expected: &Expected<'_>,
    date: &str,
) -> Result<(), SignatureError> {
    let mut faults = ScopeFaults::default();
    let region_holds = expected.regions.iter().any(|region| match algorithm {
        Algorithm::Symmetric => region.name() == scope.region,
        Algorithm::Asymmetric => scope.covers(*region),
    });
    if !region_holds {
        faults.region = Some(scope.region.clone());
        let region = expected.regions.first();
        faults.expected_region = region.map(|region| region.name().to_owned());
    }
    if scope.service != expected.service {
        faults.service = Some((scope.service.clone(), expected.service.to_owned()));
    }
    if terminator != TERMINATOR {
        faults.terminator = Some(terminator.to_owned());
    }
    // `date` has been parsed: it is 16 ASCII characters.
    if scope.date != date[..8] {
        faults.day = Some((scope.date.clone(), date.to_owned()));
    }
    if faults.is_empty() {
        Ok(())
    } else {
        Err(SignatureError::Scope(Box::new(faults)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::signature::KeyRefusal;
    use crate::signature::key::authenticate;

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
        let algorithm = Algorithm::Symmetric;
        let (scope, _) = split_credential(credential, algorithm, None).unwrap();
        let request = canonical::request(&parts, rules.path, &names, None, payload_hash).unwrap();
        let message = canonical::string_to_sign(algorithm, DATE, &scope, &request);
        let secret = AnyKey.secret("", None).unwrap();
        let key = derive(&secret, &scope.date, &scope.region, &scope.service);
        let signature = canonical::hexadecimal(&authenticate(key.as_slice(), message.as_bytes()));
        let names = names.join(";");
        let header = format!(
            "AWS4-HMAC-SHA256 Credential={credential},SignedHeaders={names},Signature={signature}"
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
        for rules in [Rules::JSON, Rules::QUERY] {
            let error = request(rules).unwrap_err();
            let refused = matches!(error, SignatureError::ContentHash { .. });
            assert!(refused, "{error}");
        }
        let undeclared = verify(&[("x-amz-date", DATE)], UNSIGNED_PAYLOAD, b"", Rules::JSON);
        assert_eq!(undeclared, Err(SignatureError::Mismatch));
    }

    #[test]
    fn a_session_s_token_is_not_printed() {
        let hash = canonical::body_hash(b"");
        let headers = [("x-amz-date", DATE), ("x-amz-security-token", "TOKEN")];
        let verified = verify(&headers, &hash, b"", Rules::JSON).unwrap();
        assert_eq!(verified.session_token.as_deref(), Some("TOKEN"));
        let shown = format!("{verified:?}");
        assert!(
            !shown.contains("TOKEN") && shown.contains("AKIDEXAMPLE"),
            "{shown}"
        );
        let request = http::Request::get("/")
            .header(
                "authorization",
                "AWS4-HMAC-SHA256 Credential=AKID,SignedHeaders=b,Signature=c",
            )
            .header("x-amz-date", DATE)
            .header("x-amz-security-token", "TOKEN");
        let (parts, ()) = request.body(()).unwrap().into_parts();
        let claim = claim_of(&parts).unwrap();
        assert_eq!(claim.session_token.as_deref(), Some("TOKEN"));
        let shown = format!("{claim:?}");
        assert!(
            !shown.contains("TOKEN") && shown.contains("AKID"),
            "{shown}"
        );
        let secret = SecretKey::new("SECRET".to_owned());
        let credentials = crate::signature::Credentials {
            access_key_id: "AKID",
            secret: &secret,
            session_token: Some("TOKEN"),
        };
        let shown = format!("{credentials:?}");
        assert_eq!(shown, "Credentials { access_key_id: \"AKID\", .. }");
    }
}
