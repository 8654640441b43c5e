//! Secret keys, where they are looked up, and the signing keys derived from them, which are kept
//! for the day they are good for. A secret is wiped when dropped and never printed.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use hmac::{Hmac, Mac};
use sha2::Sha256;
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use super::{Scope, TERMINATOR};

/// How many derived keys are kept: a key is per access key, day, Region and service, so this is
/// about that many callers at work at once.
const CACHED_KEYS: usize = 256;

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

/// A bounded cache of signing keys.
#[derive(Default)]
pub(super) struct KeyCache(Mutex<Entries>);

#[derive(Default)]
struct Entries {
    keys: BTreeMap<Scope, Entry>,
    uses: u64,
}

struct Entry {
    /// From which secret: one replaced under the same id makes the entry worthless.
    secret: SecretKey,
    key: SigningKey,
    last_use: u64,
}

impl KeyCache {
    /// The signing key, if it is kept and `secret` is what it was derived from.
    pub(super) fn get(&self, scope: &Scope, secret: &SecretKey) -> Option<SigningKey> {
        let mut entries = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        entries.uses += 1;
        let uses = entries.uses;
        let entry = entries.keys.get_mut(scope)?;
        if entry.secret != *secret {
            return None;
        }
        entry.last_use = uses;
        Some(entry.key.clone())
    }

    /// Keeps a key that has verified a signature (so a caller without the secret can't push
    /// others out), in place of the one that was used longest ago if there are too many.
    pub(super) fn put(&self, scope: &Scope, secret: SecretKey, key: SigningKey) {
        let mut entries = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        entries.uses += 1;
        let last_use = entries.uses;
        if entries.keys.len() >= CACHED_KEYS && !entries.keys.contains_key(scope) {
            let oldest = entries.keys.iter().min_by_key(|(_, entry)| entry.last_use);
            if let Some(scope) = oldest.map(|(scope, _)| scope.clone()) {
                entries.keys.remove(&scope);
            }
        }
        let entry = Entry {
            secret,
            key,
            last_use,
        };
        entries.keys.insert(scope.clone(), entry);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scope(number: usize) -> Scope {
        Scope {
            access_key_id: format!("AKID{number}"),
            date: "20150830".into(),
            region: "us-east-1".into(),
            service: "dynamodb".into(),
        }
    }

    #[test]
    fn a_secret_is_never_printed() {
        let printed = format!("{:?}", SecretKey::new("hunter2".into()));
        assert!(!printed.contains("hunter2"), "{printed}");
    }

    #[test]
    fn the_cache_is_bounded_and_keeps_what_is_used() {
        let cache = KeyCache::default();
        let secret = SecretKey::new("secret".into());
        let key = derive(&secret, "20150830", "us-east-1", "dynamodb");
        for number in 0..CACHED_KEYS * 3 {
            cache.put(&scope(number), secret.clone(), key.clone());
            assert!(cache.get(&scope(0), &secret).is_some());
        }
        assert_eq!(cache.0.lock().unwrap().keys.len(), CACHED_KEYS);
        assert!(cache.get(&scope(1), &secret).is_none());
    }

    #[test]
    fn a_replaced_secret_makes_its_cached_key_worthless() {
        let cache = KeyCache::default();
        let secret = SecretKey::new("secret".into());
        let key = derive(&secret, "20150830", "us-east-1", "dynamodb");
        cache.put(&scope(0), secret.clone(), key);
        assert!(cache.get(&scope(0), &secret).is_some());
        assert!(
            cache
                .get(&scope(0), &SecretKey::new("other".into()))
                .is_none()
        );
    }
}
