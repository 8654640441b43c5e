//! A world's trace, condensed to a number: one seed run twice must give the same.

use types::{Monotonic, SiteId};

/// A running digest (FNV-1a, 64 bits) of everything noted.
#[derive(Clone, Debug)]
pub struct Trace(u64);

impl Default for Trace {
    fn default() -> Trace {
        Trace(0xcbf2_9ce4_8422_2325)
    }
}

impl Trace {
    /// Notes something that happened.
    pub fn note(&mut self, at: Monotonic, site: SiteId, what: &str, numbers: &[u64]) {
        self.add(&at.0.to_be_bytes());
        self.add(&site.0.to_be_bytes());
        self.add(what.as_bytes());
        for number in numbers {
            self.add(&number.to_be_bytes());
        }
    }

    /// The digest so far.
    pub fn digest(&self) -> u64 {
        self.0
    }

    fn add(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = (self.0 ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3);
        }
    }
}
