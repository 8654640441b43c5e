//! Signature V4A: the pair of keys that is derived from a secret, signatures by it, and the sets
//! of Regions that they are good for. The derivation is the key derivation function of NIST SP
//! 800-108 in counter mode with HMAC-SHA-256, its result taken as a candidate as in FIPS 186-5
//! A.2.2: "AWS SigV4A" in the IAM User Guide, "Signature calculation with SigV4a". What can't be
//! parsed verifies nothing.

use std::fmt;

use p256::ecdsa::signature::Signer;
use p256::ecdsa::{Signature, SigningKey};
use p256::elliptic_curve::Curve;
use p256::elliptic_curve::bigint::{ArrayEncoding, U256};
use p256::{FieldBytes, NistP256, SecretKey as Scalar};
use ring::signature::{ECDSA_P256_SHA256_ASN1, UnparsedPublicKey};
use subtle::{Choice, ConstantTimeLess};
use zeroize::Zeroizing;

use super::key::authenticate;
use super::{Algorithm, SecretKey, canonical};

/// The most hexadecimal digits that a signature has: two integers of 33 bytes in DER.
pub(super) const LONGEST_SIGNATURE: usize = 144;

/// The bits of output that the derivation is asked for, as it is fed to itself.
const OUTPUT_BITS: u32 = 256;

/// The last counter that is tried. Each try fails with a probability of about 2^-32.
const LAST_COUNTER: u8 = 254;

/// The private key of an access key. `None` if no counter yields one, which won't be seen.
pub(super) fn derive(access_key_id: &str, secret: &SecretKey) -> Option<SigningKey> {
    let mut seed = Zeroizing::new(Vec::with_capacity(5 + secret.expose().len()));
    seed.extend_from_slice(b"AWS4A");
    seed.extend_from_slice(secret.expose().as_bytes());
    // A candidate above n - 2 is thrown away: with 1 added it would be no scalar.
    let limit = NistP256::ORDER.wrapping_sub(&U256::ONE);
    (1..=LAST_COUNTER).find_map(|counter| {
        let mut input = Vec::with_capacity(64);
        input.extend_from_slice(&1u32.to_be_bytes());
        input.extend_from_slice(Algorithm::Asymmetric.name().as_bytes());
        input.push(0);
        input.extend_from_slice(access_key_id.as_bytes());
        input.push(counter);
        input.extend_from_slice(&OUTPUT_BITS.to_be_bytes());
        let candidate = Zeroizing::new(authenticate(&seed, &input));
        let candidate = Zeroizing::new(U256::from_be_slice(candidate.as_slice()));
        let in_range: Choice = candidate.ct_lt(&limit);
        if !bool::from(in_range) {
            return None;
        }
        let scalar = Zeroizing::new(candidate.wrapping_add(&U256::ONE));
        let bytes: Zeroizing<FieldBytes> = Zeroizing::new(scalar.to_be_byte_array());
        let scalar = Scalar::from_bytes(&bytes).ok()?;
        Some(SigningKey::from(scalar))
    })
}

/// Signs; the nonce is that of RFC 6979, so no randomness is needed. Lower-case hexadecimal digits
/// of the signature in DER.
pub(super) fn sign(key: &SigningKey, message: &[u8]) -> String {
    let signature: Signature = key.sign(message);
    canonical::hexadecimal(signature.to_der().as_bytes())
}

/// The public half of an access key's pair, as an uncompressed point. It verifies and can't sign;
/// still it isn't printed, since nobody else is told it.
#[derive(Clone)]
pub(super) struct PublicKey(Vec<u8>);

impl PublicKey {
    /// Of that private key.
    pub(super) fn of(key: &SigningKey) -> PublicKey {
        let point = key.verifying_key().to_encoded_point(false);
        PublicKey(point.as_bytes().to_vec())
    }

    /// Whether the signature, lower-case digits of its DER form, is of this message.
    pub(super) fn holds(&self, message: &[u8], signature: &str) -> bool {
        let Some(signature) = digits(signature) else {
            return false;
        };
        let key = UnparsedPublicKey::new(&ECDSA_P256_SHA256_ASN1, &self.0);
        key.verify(message, &signature).is_ok()
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PublicKey(…)")
    }
}

fn digits(text: &str) -> Option<Vec<u8>> {
    let text = text.as_bytes();
    if text.len() > LONGEST_SIGNATURE || !text.len().is_multiple_of(2) {
        return None;
    }
    let digit = |digit: u8| match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        _ => None,
    };
    let pairs = text.chunks_exact(2);
    pairs
        .map(|pair| Some(digit(pair[0])? << 4 | digit(pair[1])?))
        .collect()
}

/// Whether a Region set, names with `*` for any run of characters and commas between them, covers
/// this Region.
pub(super) fn covers(set: &str, region: &str) -> bool {
    let mut patterns = set.split(',').map(str::trim);
    patterns.any(|pattern| !pattern.is_empty() && matches(pattern.as_bytes(), region.as_bytes()))
}

/// Whether the pattern is this text. It takes at most the product of their lengths in steps.
fn matches(pattern: &[u8], text: &[u8]) -> bool {
    let (mut at, mut position) = (0, 0);
    // Where the last `*` stands, and up to where it was taken to reach.
    let mut star: Option<(usize, usize)> = None;
    while position < text.len() {
        if pattern.get(at) == Some(&b'*') {
            star = Some((at, position));
            at += 1;
        } else if pattern.get(at) == Some(&text[position]) {
            at += 1;
            position += 1;
        } else if let Some((star_at, reached)) = star {
            star = Some((star_at, reached + 1));
            at = star_at + 1;
            position = reached + 1;
        } else {
            return false;
        }
    }
    pattern[at..].iter().all(|byte| *byte == b'*')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn region_sets_cover_what_they_name() {
        for (set, region, covered) in [
            ("us-east-1", "us-east-1", true),
            ("us-east-1", "us-east-2", false),
            ("us-east-1,eu-west-1", "eu-west-1", true),
            ("us-east-1, eu-west-1", "eu-west-1", true),
            ("*", "eu-west-1", true),
            ("eu-*", "eu-west-1", true),
            ("eu-*", "us-east-1", false),
            ("*-1", "us-east-1", true),
            ("*e*t*1*", "us-east-1", true),
            ("us-east-1*2", "us-east-1", false),
            ("", "us-east-1", false),
            (",,", "us-east-1", false),
            ("us-east", "us-east-1", false),
            ("us-east-1-x", "us-east-1", false),
            ("US-EAST-1", "us-east-1", false),
        ] {
            assert_eq!(covers(set, region), covered, "{set} {region}");
        }
        assert!(!covers(&"*a".repeat(5000), "us-east-1"));
    }

    #[test]
    fn what_is_no_signature_verifies_nothing() {
        let secret = SecretKey::new("secret".into());
        let key = derive("AKID", &secret).unwrap();
        let public = PublicKey::of(&key);
        let signature = sign(&key, b"message");
        assert!(public.holds(b"message", &signature));
        assert!(!public.holds(b"another", &signature));
        assert!(!public.holds(b"message", &signature.to_uppercase()));
        for text in ["", "0", "zz", "30", "\u{e9}", &"0".repeat(1000)] {
            assert!(!public.holds(b"message", text), "{text}");
        }
        let other = PublicKey::of(&derive("AKID2", &secret).unwrap());
        assert!(!other.holds(b"message", &signature));
        assert_eq!(format!("{public:?}"), "PublicKey(…)");
    }
}
