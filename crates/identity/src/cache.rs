//! A bounded store of what was computed once and may be asked for again. What was used longest
//! ago makes room. It holds nothing that can't be computed anew.

use std::borrow::Borrow;
use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

/// A cache with a bound on how many it holds and on what they weigh together. Shared by threads;
/// the lock is held for a lookup only.
pub(crate) struct Cache<K, V> {
    entries: Mutex<Entries<K, V>>,
    most: usize,
    heaviest: usize,
}

struct Entries<K, V> {
    known: BTreeMap<K, Entry<V>>,
    weight: usize,
    uses: u64,
}

struct Entry<V> {
    value: V,
    weight: usize,
    last_use: u64,
}

impl<K: Ord + Clone, V: Clone> Cache<K, V> {
    /// A cache of at most so many, weighing at most so much together.
    pub(crate) fn new(most: usize, heaviest: usize) -> Cache<K, V> {
        Cache {
            entries: Mutex::new(Entries {
                known: BTreeMap::new(),
                weight: 0,
                uses: 0,
            }),
            most,
            heaviest,
        }
    }

    /// What is held under that key.
    pub(crate) fn get<Q: Ord + ?Sized>(&self, key: &Q) -> Option<V>
    where
        K: Borrow<Q>,
    {
        let mut entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        entries.uses += 1;
        let uses = entries.uses;
        let entry = entries.known.get_mut(key)?;
        entry.last_use = uses;
        Some(entry.value.clone())
    }

    /// Holds a value in place of those used longest ago. One heavier than the bound isn't held.
    pub(crate) fn put(&self, key: K, value: V, weight: usize) {
        if weight > self.heaviest {
            return;
        }
        let mut entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        entries.uses += 1;
        let last_use = entries.uses;
        let entry = Entry {
            value,
            weight,
            last_use,
        };
        entries.weight += weight;
        if let Some(replaced) = entries.known.insert(key, entry) {
            entries.weight -= replaced.weight;
        }
        while entries.known.len() > self.most || entries.weight > self.heaviest {
            let oldest = entries.known.iter().min_by_key(|(_, entry)| entry.last_use);
            let Some(oldest) = oldest.map(|(key, _)| key.clone()) else {
                return;
            };
            if let Some(removed) = entries.known.remove(&oldest) {
                entries.weight -= removed.weight;
            }
        }
    }

    /// How many are held, and what they weigh.
    pub(crate) fn held(&self) -> (usize, usize) {
        let entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        (entries.known.len(), entries.weight)
    }

    /// Holds it only if nothing else must go.
    pub(crate) fn offer(&self, key: K, value: V, weight: usize) {
        let (count, held) = self.held();
        if count < self.most && held + weight <= self.heaviest {
            self.put(key, value, weight);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_bounded_by_number_and_weight_and_keeps_what_is_used() {
        let cache: Cache<u32, u32> = Cache::new(3, 100);
        for key in 0..20 {
            cache.put(key, key * 2, 10);
            assert_eq!(cache.get(&0), Some(0));
        }
        assert_eq!(cache.held(), (3, 30));
        assert_eq!(cache.get(&1), None);
        cache.put(50, 1, 85);
        assert_eq!(cache.held(), (2, 95));
        assert_eq!(cache.get(&50), Some(1));
        cache.put(51, 1, 101);
        assert_eq!(cache.get(&51), None);
        cache.put(50, 2, 5);
        assert_eq!(cache.held(), (2, 15));
    }

    #[test]
    fn an_offer_pushes_nobody_out() {
        let cache: Cache<u32, u32> = Cache::new(1, 100);
        cache.offer(1, 1, 1);
        cache.offer(2, 2, 1);
        assert_eq!((cache.get(&1), cache.get(&2)), (Some(1), None));
    }
}
