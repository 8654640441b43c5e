//! The one source of chance in a simulated world: SplitMix64 (Steele, Lea, Flood, "Fast
//! Splittable Pseudorandom Number Generators", 2014), seeded.

/// A generator: the same seed gives the same numbers on every machine.
#[derive(Clone, Debug)]
pub struct Random(u64);

impl Random {
    /// A generator of that seed.
    pub fn new(seed: u64) -> Random {
        Random(seed)
    }

    /// Another generator whose numbers don't depend on how many are drawn from this one later.
    pub fn split(&mut self) -> Random {
        Random(self.bits())
    }

    /// 64 random bits.
    pub fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number from 0 to `end` − 1; `end` is at least 1.
    pub fn below(&mut self, end: u64) -> u64 {
        self.bits() % end
    }

    /// A number of `low` to `high`, both included.
    pub fn between(&mut self, low: u64, high: u64) -> u64 {
        low + self.below(high - low + 1)
    }

    /// True once in `times`.
    pub fn one_in(&mut self, times: u64) -> bool {
        self.below(times) == 0
    }
}
