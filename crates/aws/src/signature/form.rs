//! The signature of a form by which a browser uploads an object ("Authenticating requests:
//! browser-based uploads using POST" in the S3 API Reference): by Signature V4 or V2, over the
//! form's policy as it was sent. That the form is what the policy allows is for the service to see;
//! without that the signature says nothing of it.

use types::Timestamp;

use super::authorization::split_credential;
use super::key::{VerifyingKey, derive};
use super::verify::{Expected, Verified, check_scope};
use super::{Algorithm, Form, KeyLookup, SignatureError, version2};
use crate::date;

/// Fields that a form has if it is signed: of Signature V4, and of V2.
const OF_SIGNATURES: [&str; 5] = [
    "x-amz-algorithm",
    "x-amz-credential",
    "x-amz-signature",
    "awsaccesskeyid",
    "signature",
];

/// What a form says in the field of that name, in lower case.
pub type Fields<'a> = dyn Fn(&str) -> Option<&'a str> + 'a;

/// A signed form lacks that field. It prints as S3's text.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error(
    "Bucket POST must contain a field named '{0}'.  If it is specified, please check the order of \
     the fields."
)]
pub struct FieldMissing(pub &'static str);

/// Is the form signed, or meant to be? One with a policy is.
pub fn is_form_signed(fields: &Fields<'_>) -> bool {
    let mut names = OF_SIGNATURES.into_iter().chain(["policy"]);
    names.any(|name| fields(name).is_some())
}

/// Verifies that the form's policy was signed by a key that `keys` knows, for the expected service
/// and Region (which V2 doesn't say). How long it is good for, the policy says.
///
/// # Errors
///
/// [`SignatureError`]. Whatever can't be parsed is an error.
pub fn verify_form(
    fields: &Fields<'_>,
    expected: &Expected<'_>,
    now: Timestamp,
    keys: &dyn KeyLookup,
) -> Result<Verified, SignatureError> {
    let field = |name| fields(name).ok_or(FieldMissing(name));
    let policy = field("policy")?;
    let token = fields("x-amz-security-token");
    let of_version_4 = &OF_SIGNATURES[..3];
    if !of_version_4.iter().any(|name| fields(name).is_some()) {
        let (id, signature) = (field("awsaccesskeyid")?, field("signature")?);
        let secret = keys.secret(id, token)?;
        return match version2::holds(&secret, policy.as_bytes(), signature) {
            true => Ok(verified(id, token)),
            false => Err(SignatureError::Mismatch),
        };
    }
    if OF_SIGNATURES[3..].iter().any(|name| fields(name).is_some()) {
        return Err(SignatureError::BothForms);
    }
    let algorithm = field("x-amz-algorithm")?;
    if algorithm != Algorithm::Symmetric.name() {
        return Err(SignatureError::Algorithm(algorithm.to_owned()));
    }
    let (credential, text) = (field("x-amz-credential")?, field("x-amz-date")?);
    let signature = field("x-amz-signature")?;
    let signed = date::parse(text).ok_or_else(|| SignatureError::DateFormat(text.to_owned()))?;
    let (scope, terminator) = split_credential(credential, Algorithm::Symmetric, None)
        .ok_or_else(|| SignatureError::CredentialElements(credential.to_owned()))?;
    check_scope(&scope, terminator, Algorithm::Symmetric, expected, text)?;
    let minutes = expected.rules.skew_minutes;
    if signed.0 > now.0.saturating_add(minutes * 60_000) {
        return Err(SignatureError::NotYetCurrent {
            signed,
            now,
            minutes,
        });
    }
    let secret = keys.secret(&scope.access_key_id, token)?;
    let key = derive(&secret, &scope.date, &scope.region, &scope.service);
    if !VerifyingKey::Shared(key).holds(policy.as_bytes(), signature) {
        return Err(SignatureError::Mismatch);
    }
    Ok(Verified {
        signed: Some(signed),
        algorithm: Some(Algorithm::Symmetric),
        scope: Some(scope.clone()),
        ..verified(&scope.access_key_id, token)
    })
}

/// By that key, as V2 has it.
fn verified(access_key_id: &str, token: Option<&str>) -> Verified {
    Verified {
        access_key_id: access_key_id.to_owned(),
        scope: None,
        signed: None,
        session_token: token.map(str::to_owned),
        algorithm: None,
        form: Form::Fields,
    }
}
