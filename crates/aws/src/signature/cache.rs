//! The keys that verify signatures, kept for the callers at work: a bounded number. A caller
//! without the secret can't push others out, and a secret that was replaced makes its entry
//! worthless. It never says that a key exists: whoever asks has the secret already.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use super::SecretKey;
use super::key::VerifyingKey;

/// How many keys are kept: a key of Signature V4 is per access key, day, Region and service, one
/// of V4A per access key, so this is about that many callers at work at once.
const CACHED_KEYS: usize = 256;

/// A bounded cache, by what keys are derived from beside the secret.
pub(super) struct KeyCache<K>(Mutex<Entries<K>>);

struct Entries<K> {
    keys: BTreeMap<K, Entry>,
    uses: u64,
}

struct Entry {
    /// From which secret: one replaced under the same id makes the entry worthless.
    secret: SecretKey,
    key: Arc<VerifyingKey>,
    last_use: u64,
}

impl<K> Default for KeyCache<K> {
    fn default() -> KeyCache<K> {
        KeyCache(Mutex::new(Entries {
            keys: BTreeMap::new(),
            uses: 0,
        }))
    }
}

impl<K: Ord + Clone> KeyCache<K> {
    /// The key, if it is kept and `secret` is what it was derived from.
    pub(super) fn get(&self, of: &K, secret: &SecretKey) -> Option<Arc<VerifyingKey>> {
        let mut entries = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        entries.uses += 1;
        let uses = entries.uses;
        let entry = entries.keys.get_mut(of)?;
        if entry.secret != *secret {
            return None;
        }
        entry.last_use = uses;
        Some(entry.key.clone())
    }

    /// Keeps a key that has verified a signature (so a caller without the secret can't push
    /// others out), in place of the one that was used longest ago if there are too many.
    pub(super) fn put(&self, of: &K, secret: SecretKey, key: Arc<VerifyingKey>) {
        let mut entries = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        entries.uses += 1;
        let last_use = entries.uses;
        if entries.keys.len() >= CACHED_KEYS && !entries.keys.contains_key(of) {
            let oldest = entries.keys.iter().min_by_key(|(_, entry)| entry.last_use);
            if let Some(oldest) = oldest.map(|(of, _)| of.clone()) {
                entries.keys.remove(&oldest);
            }
        }
        let entry = Entry {
            secret,
            key,
            last_use,
        };
        entries.keys.insert(of.clone(), entry);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::signature::key::derive;

    fn key(secret: &SecretKey) -> Arc<VerifyingKey> {
        let key = derive(secret, "20150830", "us-east-1", "dynamodb");
        Arc::new(VerifyingKey::Shared(key))
    }

    #[test]
    fn the_cache_is_bounded_and_keeps_what_is_used() {
        let cache = KeyCache::default();
        let secret = SecretKey::new("secret".into());
        for number in 0..CACHED_KEYS * 3 {
            cache.put(&number, secret.clone(), key(&secret));
            assert!(cache.get(&0, &secret).is_some());
        }
        assert_eq!(cache.0.lock().unwrap().keys.len(), CACHED_KEYS);
        assert!(cache.get(&1, &secret).is_none());
    }

    #[test]
    fn a_replaced_secret_makes_its_cached_key_worthless() {
        let cache = KeyCache::default();
        let secret = SecretKey::new("secret".into());
        cache.put(&0, secret.clone(), key(&secret));
        assert!(cache.get(&0, &secret).is_some());
        let other = SecretKey::new("other".into());
        assert!(cache.get(&0, &other).is_none());
    }
}
