//! A small source of random numbers for the choices in answers. It is seeded from outside, fast,
//! and no good for secrets.

/// A generator of 64 bits of state (SplitMix64: Steele, Lea and Flood, 2014). One a thread.
#[derive(Clone, Debug)]
pub struct SmallRandom(u64);

impl SmallRandom {
    /// A generator; equal seeds give equal numbers.
    pub fn new(seed: u64) -> SmallRandom {
        SmallRandom(seed)
    }

    /// The next 64 bits.
    pub fn next_u64(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number from 0 to `end` − 1; 0 if `end` is 0. Its bias is below 2⁻³².
    pub fn below(&mut self, end: u32) -> u32 {
        let scaled = (self.next_u64() >> 32) * u64::from(end);
        u32::try_from(scaled >> 32).expect("a product of two numbers below 2³² is below 2⁶⁴")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_number_below_the_end_comes_up_about_as_often() {
        let mut random = SmallRandom::new(7);
        let mut counts = [0u32; 10];
        for _ in 0..10_000 {
            counts[random.below(10) as usize] += 1;
        }
        assert!(
            counts.iter().all(|count| (850..1150).contains(count)),
            "{counts:?}"
        );
        assert_eq!(random.below(0), 0);
        assert_eq!(random.below(1), 0);
    }
}
