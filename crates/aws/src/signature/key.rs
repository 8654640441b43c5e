//! Secret keys, where they are looked up, and the keys derived from them that verify signatures.
//! A secret is wiped when dropped, compared in constant time and never printed.

use std::fmt;
use std::sync::Arc;

use hmac::{Hmac, Mac};
use sha2::Sha256;
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use super::asymmetric::PublicKey;
use super::{TERMINATOR, canonical};

/// A secret access key. Cheap to clone; wiped with its last clone; compared in constant time.
#[derive(Clone)]
pub struct SecretKey(Arc<Zeroizing<String>>);

impl SecretKey {
    /// Takes over the text of a secret.
    pub fn new(secret: String) -> SecretKey {
        SecretKey(Arc::new(Zeroizing::new(secret)))
    }

    /// The secret itself, for whoever must write it down.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl PartialEq for SecretKey {
    fn eq(&self, other: &SecretKey) -> bool {
        self.0.as_bytes().ct_eq(other.0.as_bytes()).into()
    }
}

impl Eq for SecretKey {}

impl fmt::Debug for SecretKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretKey(…)")
    }
}

/// Whoever knows which secret belongs to an access key.
pub trait KeyLookup {
    /// The secret of `access_key_id`, if `session_token` is exactly that of the key: a key without
    /// a session has none, and must be refused when one is given.
    ///
    /// # Errors
    ///
    /// [`KeyRefusal`].
    fn secret(
        &self,
        access_key_id: &str,
        session_token: Option<&str>,
    ) -> Result<SecretKey, KeyRefusal>;
}

/// Why a key verifies nothing.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum KeyRefusal {
    /// There is no such key, it is disabled, or the session token isn't that of the key.
    Unknown,
    /// The key's session has ended.
    Expired,
}

/// What signs on one day, in one Region, for one service.
pub(super) type SigningKey = Zeroizing<[u8; 32]>;

/// HMAC-SHA-256.
pub(super) fn authenticate(key: &[u8], message: &[u8]) -> [u8; 32] {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes keys of any length");
    mac.update(message);
    mac.finalize().into_bytes().into()
}

/// The chain of four that turns a secret into a signing key.
pub(super) fn derive(secret: &SecretKey, date: &str, region: &str, service: &str) -> SigningKey {
    let mut seed = Zeroizing::new(Vec::with_capacity(4 + secret.expose().len()));
    seed.extend_from_slice(b"AWS4");
    seed.extend_from_slice(secret.expose().as_bytes());
    let mut key = Zeroizing::new(authenticate(&seed, date.as_bytes()));
    for part in [region, service, TERMINATOR] {
        key = Zeroizing::new(authenticate(key.as_slice(), part.as_bytes()));
    }
    key
}

/// What a signature is verified with.
pub(super) enum VerifyingKey {
    /// Of Signature V4: what the client signed with.
    Shared(SigningKey),
    /// Of V4A.
    Public(PublicKey),
}

impl VerifyingKey {
    /// Whether `signature`, as hexadecimal digits, is of this message.
    pub(super) fn holds(&self, message: &[u8], signature: &str) -> bool {
        match self {
            VerifyingKey::Shared(key) => {
                let expected = canonical::hexadecimal(&authenticate(key.as_slice(), message));
                expected.as_bytes().ct_eq(signature.as_bytes()).into()
            }
            VerifyingKey::Public(key) => key.holds(message, signature),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_never_printed() {
        let printed = format!("{:?}", SecretKey::new("hunter2".into()));
        assert!(!printed.contains("hunter2"), "{printed}");
    }
}
