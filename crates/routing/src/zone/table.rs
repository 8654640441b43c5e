//! A hash table from names to numbers: open addressing, a word a slot, no name of its own. A
//! miss costs the same however many names there are.

/// Slots of a table that holds something, at least.
const MIN_SLOTS: usize = 8;

/// The table. A slot is 0 while free; else the hash's upper half and the number plus one.
#[derive(Clone, Debug, Default)]
pub(crate) struct NameTable {
    slots: Vec<u64>,
    count: usize,
}

impl NameTable {
    /// The number under that hash for which `matches` holds.
    #[inline]
    pub(crate) fn find(&self, hash: u64, mut matches: impl FnMut(u32) -> bool) -> Option<u32> {
        let mask = self.slots.len().checked_sub(1)?;
        let mut at = hash as usize & mask;
        loop {
            let slot = self.slots[at];
            if slot == 0 {
                return None;
            }
            let number = slot as u32 - 1;
            if slot >> 32 == hash >> 32 && matches(number) {
                return Some(number);
            }
            at = (at + 1) & mask;
        }
    }

    /// Adds a number that isn't there yet, below 2³² − 1. `hash_of` gives the hash of every
    /// number added before.
    pub(crate) fn insert(&mut self, hash: u64, number: u32, hash_of: impl Fn(u32) -> u64) {
        // At most half full, so that a search ends soon.
        if (self.count + 1) * 2 > self.slots.len() {
            let grown = vec![0; (self.slots.len() * 2).max(MIN_SLOTS)];
            let old = std::mem::replace(&mut self.slots, grown);
            for slot in old.into_iter().filter(|slot| *slot != 0) {
                self.place(hash_of(slot as u32 - 1), slot);
            }
        }
        self.place(hash, hash & !u64::from(u32::MAX) | u64::from(number + 1));
        self.count += 1;
    }

    fn place(&mut self, hash: u64, slot: u64) {
        let mask = self.slots.len() - 1;
        let mut at = hash as usize & mask;
        while self.slots[at] != 0 {
            at = (at + 1) & mask;
        }
        self.slots[at] = slot;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_added_is_found_and_nothing_else() {
        // Hashes that collide in their lower and in their upper half.
        let hash = |number: u32| u64::from(number % 50) << 32 | u64::from(number % 7);
        let mut table = NameTable::default();
        assert_eq!(table.find(1, |_| true), None);
        for number in 0..1000 {
            table.insert(hash(number), number, hash);
        }
        for number in 0..1000 {
            assert_eq!(
                table.find(hash(number), |found| found == number),
                Some(number)
            );
        }
        assert_eq!(table.find(hash(3), |_| false), None);
    }
}
