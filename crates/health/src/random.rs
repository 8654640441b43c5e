//! Where first probes fall within their interval. SplitMix64 (Steele, Lea, Flood, "Fast
//! Splittable Pseudorandom Number Generators", 2014), seeded by the site: one seed gives one
//! schedule.

use types::Span;

#[derive(Clone, Debug)]
pub(crate) struct Random(pub(crate) u64);

impl Random {
    /// A span from zero to `end`, `end` excluded unless it is zero.
    pub(crate) fn below(&mut self, end: Span) -> Span {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        Span((mixed ^ (mixed >> 31)) % end.0.max(1))
    }
}
