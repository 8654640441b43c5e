//! A hash table from names to numbers: open addressing, no name of its own. A miss costs about
//! the same however many names there are: it reads a byte or two of a table of tags, a byte a
//! slot, which stays in the processor's caches long after the names don't.

/// Slots of a table that holds something, at least.
const MIN_SLOTS: usize = 8;

/// The table. At most half of its slots are taken, so that a search ends soon.
#[derive(Clone, Debug, Default)]
pub(crate) struct NameTable {
    /// 0: the slot is free; else eight bits of the hash.
    tags: Vec<u8>,
    numbers: Vec<u32>,
    count: usize,
}

/// The eight bits of a hash that its slot's tag has; 0 is taken for 1.
fn tag(hash: u64) -> u8 {
    ((hash >> 56) as u8).max(1)
}

impl NameTable {
    /// The number under that hash for which `matches` holds.
    #[inline]
    pub(crate) fn find(&self, hash: u64, mut matches: impl FnMut(u32) -> bool) -> Option<u32> {
        let mask = self.tags.len().checked_sub(1)?;
        let wanted = tag(hash);
        let mut at = hash as usize & mask;
        loop {
            let found = self.tags[at];
            if found == 0 {
                return None;
            }
            if found == wanted && matches(self.numbers[at]) {
                return Some(self.numbers[at]);
            }
            at = (at + 1) & mask;
        }
    }

    /// Adds a number that isn't there yet. `hash_of` gives the hash of every number added before.
    pub(crate) fn insert(&mut self, hash: u64, number: u32, hash_of: impl Fn(u32) -> u64) {
        if (self.count + 1) * 2 > self.tags.len() {
            let slots = (self.tags.len() * 2).max(MIN_SLOTS);
            let old = std::mem::replace(
                self,
                NameTable {
                    tags: vec![0; slots],
                    numbers: vec![0; slots],
                    count: self.count,
                },
            );
            let taken = old.tags.into_iter().zip(old.numbers);
            for (_, number) in taken.filter(|(tag, _)| *tag != 0) {
                self.place(hash_of(number), number);
            }
        }
        self.place(hash, number);
        self.count += 1;
    }

    fn place(&mut self, hash: u64, number: u32) {
        let mask = self.tags.len() - 1;
        let mut at = hash as usize & mask;
        while self.tags[at] != 0 {
            at = (at + 1) & mask;
        }
        self.tags[at] = tag(hash);
        self.numbers[at] = number;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_added_is_found_and_nothing_else() {
        // Hashes that collide in their lowest and in their highest bits.
        let hash = |number: u32| u64::from(number % 50) << 56 | u64::from(number % 7);
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
