//! The settings in key order, as a map that is copied by sharing: a clone costs a count a chunk,
//! and a change after it copies one chunk and nothing else. It judges nothing.

use std::sync::Arc;

use crate::Setting;

/// Entries of a full chunk. A change copies one chunk (some microseconds) and the list of chunks:
/// at a hundred thousand settings a thousand pointers.
const FULL: usize = 128;

/// Room made at a time in a chunk that grows: chunks are copied to size, and most never grow.
const STEP: usize = 8;

/// Keys and settings, ascending.
#[derive(Clone, Debug, Default)]
pub(crate) struct Entries {
    /// None is empty.
    chunks: Vec<Arc<Chunk>>,
    count: usize,
}

#[derive(Clone, Debug, Default)]
struct Chunk {
    /// No entry of it was set by a later revision.
    newest: u64,
    entries: Vec<(Arc<str>, Setting)>,
}

impl Chunk {
    fn first(&self) -> &str {
        self.entries.first().map_or("", |(key, _)| key)
    }

    fn find(&self, key: &str) -> Result<usize, usize> {
        self.entries
            .binary_search_by(|(known, _)| (**known).cmp(key))
    }

    fn make_room(&mut self) {
        if self.entries.len() == self.entries.capacity() {
            self.entries.reserve_exact(STEP);
        }
    }
}

impl Entries {
    /// How many there are.
    pub(crate) fn count(&self) -> usize {
        self.count
    }

    /// The chunk that has the key, if any has.
    fn chunk_of(&self, key: &str) -> usize {
        let after = self.chunks.partition_point(|chunk| chunk.first() <= key);
        after.saturating_sub(1)
    }

    pub(crate) fn get(&self, key: &str) -> Option<&Setting> {
        let chunk = self.chunks.get(self.chunk_of(key))?;
        let at = chunk.find(key).ok()?;
        Some(&chunk.entries[at].1)
    }

    /// Sets a key, whether it is there or not.
    pub(crate) fn insert(&mut self, key: &str, setting: Setting) {
        let number = self.chunk_of(key);
        let Some(chunk) = self.chunks.get_mut(number) else {
            self.push(Arc::from(key), setting);
            return;
        };
        let chunk = Arc::make_mut(chunk);
        chunk.newest = chunk.newest.max(setting.revision);
        let at = match chunk.find(key) {
            Ok(at) => {
                chunk.entries[at].1 = setting;
                return;
            }
            Err(at) => at,
        };
        chunk.make_room();
        chunk.entries.insert(at, (Arc::from(key), setting));
        self.count += 1;
        if chunk.entries.len() > FULL {
            // Keys that come in order fill their chunks.
            let kept = if at == FULL { FULL } else { FULL / 2 };
            let entries = chunk.entries.split_off(kept);
            chunk.entries.shrink_to(kept + STEP);
            let newest = chunk.newest;
            self.chunks
                .insert(number + 1, Arc::new(Chunk { newest, entries }));
        }
    }

    /// Is the key after all others?
    pub(crate) fn ends_before(&self, key: &str) -> bool {
        let last = self.chunks.last().and_then(|chunk| chunk.entries.last());
        last.is_none_or(|(last, _)| **last < *key)
    }

    /// Adds a key that is after all others.
    pub(crate) fn push(&mut self, key: Arc<str>, setting: Setting) {
        debug_assert!(self.ends_before(&key), "keys are pushed in order");
        self.count += 1;
        if let Some(last) = self
            .chunks
            .last_mut()
            .filter(|last| last.entries.len() < FULL)
        {
            let last = Arc::make_mut(last);
            last.newest = last.newest.max(setting.revision);
            last.make_room();
            last.entries.push((key, setting));
            return;
        }
        let newest = setting.revision;
        let entries = vec![(key, setting)];
        self.chunks.push(Arc::new(Chunk { newest, entries }));
    }

    /// Removes a key, if it is there.
    pub(crate) fn remove(&mut self, key: &str) {
        let number = self.chunk_of(key);
        let Some(chunk) = self.chunks.get_mut(number) else {
            return;
        };
        let Ok(at) = chunk.find(key) else {
            return;
        };
        Arc::make_mut(chunk).entries.remove(at);
        self.count -= 1;
        if self.chunks[number].entries.is_empty() {
            self.chunks.remove(number);
        } else {
            self.merge(number.saturating_sub(1));
        }
    }

    /// Makes one of a chunk and the next, if they make no more than half a chunk.
    fn merge(&mut self, number: usize) {
        let next = self.chunks.get(number + 1);
        let held = next.map_or(FULL, |next| next.entries.len());
        if self.chunks[number].entries.len() + held <= FULL / 2 {
            let next = self.chunks.remove(number + 1);
            let chunk = Arc::make_mut(&mut self.chunks[number]);
            chunk.newest = chunk.newest.max(next.newest);
            chunk.entries.extend(next.entries.iter().cloned());
        }
    }

    /// All from that key on.
    pub(crate) fn from(&self, key: &str) -> impl Iterator<Item = (&Arc<str>, &Setting)> {
        self.parts_from(key, 0)
    }

    /// All from that key on that were set after that revision. Chunks without any are passed
    /// over whole.
    pub(crate) fn set_after(
        &self,
        revision: u64,
        key: &str,
    ) -> impl Iterator<Item = (&Arc<str>, &Setting)> {
        self.parts_from(key, revision)
            .filter(move |(_, setting)| setting.revision > revision)
    }

    fn parts_from(&self, key: &str, after: u64) -> impl Iterator<Item = (&Arc<str>, &Setting)> {
        let number = self.chunk_of(key);
        let start = match self.chunks.get(number).map(|chunk| chunk.find(key)) {
            Some(Ok(at) | Err(at)) => at,
            None => 0,
        };
        let chunks = self.chunks.get(number..).unwrap_or_default().iter();
        let starts = std::iter::once(start).chain(std::iter::repeat(0));
        chunks
            .zip(starts)
            .filter(move |(chunk, _)| after == 0 || chunk.newest > after)
            .flat_map(|(chunk, start)| chunk.entries[start.min(chunk.entries.len())..].iter())
            .map(|(key, setting)| (key, setting))
    }
}

impl PartialEq for Entries {
    fn eq(&self, other: &Entries) -> bool {
        self.count == other.count && self.from("").eq(other.from(""))
    }
}

impl Eq for Entries {}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use bytes::Bytes;
    use proptest::prelude::*;

    use super::*;

    fn setting(revision: u64) -> Setting {
        let value = Bytes::copy_from_slice(&revision.to_be_bytes());
        Setting { revision, value }
    }

    fn check(entries: &Entries, model: &BTreeMap<String, Setting>) {
        let seen: Vec<(&str, &Setting)> = entries.from("").map(|(key, s)| (&**key, s)).collect();
        let known: Vec<(&str, &Setting)> = model.iter().map(|(key, s)| (key.as_str(), s)).collect();
        assert_eq!(seen, known);
        assert_eq!(entries.count(), model.len());
        for chunk in &entries.chunks {
            assert!((1..=FULL).contains(&chunk.entries.len()));
            let newest = chunk.entries.iter().map(|(_, setting)| setting.revision);
            assert!(newest.max() <= Some(chunk.newest));
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig {
            cases: 48,
            failure_persistence: None,
            ..ProptestConfig::default()
        })]

        #[test]
        fn it_is_a_map(steps in proptest::collection::vec((any::<bool>(), 0_u32..900), 0..2_000)) {
            let (mut entries, mut model) = (Entries::default(), BTreeMap::new());
            let mut earlier = Vec::new();
            for (revision, (removes, number)) in (1..).zip(steps) {
                let key = format!("k/{number}");
                // More come than go, until the end.
                if removes && number % 3 == 0 {
                    entries.remove(&key);
                    model.remove(&key);
                } else {
                    entries.insert(&key, setting(revision));
                    model.insert(key.clone(), setting(revision));
                }
                prop_assert_eq!(entries.get(&key), model.get(&key));
                if revision % 500 == 0 {
                    earlier.push((entries.clone(), model.clone()));
                }
                let from = entries.from(&key).next().map(|(key, _)| key.to_string());
                prop_assert_eq!(from, model.range(key..).next().map(|(key, _)| key.clone()));
            }
            check(&entries, &model);
            let since = 700;
            let set = entries.set_after(since, "k/5").map(|(key, _)| key.to_string());
            let known = model.range("k/5".to_owned()..).filter(|(_, s)| s.revision > since);
            prop_assert!(set.eq(known.map(|(key, _)| key.clone())));
            for (entries, model) in &earlier {
                check(entries, model);
            }
            let mut pushed = Entries::default();
            for (key, setting) in entries.from("") {
                prop_assert!(pushed.ends_before(key));
                pushed.push(key.clone(), setting.clone());
                prop_assert!(!pushed.ends_before(key));
            }
            prop_assert!(pushed == entries);
            for number in 0..900 {
                entries.remove(&format!("k/{number}"));
            }
            prop_assert!(entries.chunks.is_empty() && entries.count() == 0);
        }
    }

    #[test]
    fn a_change_copies_one_chunk() {
        let mut entries = Entries::default();
        for number in 0..10_000 {
            entries.insert(&format!("k/{number:05}"), setting(1));
        }
        assert!(entries.chunks.len() <= 10_000_usize.div_ceil(FULL));
        let before = entries.clone();
        entries.insert("k/05000x", setting(2));
        let shared = before
            .chunks
            .iter()
            .filter(|chunk| Arc::strong_count(chunk) == 2);
        assert_eq!(shared.count(), before.chunks.len() - 1);
    }
}
