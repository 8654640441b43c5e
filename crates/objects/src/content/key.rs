//! The key of a site under which the keys of its contents are sealed.

use std::fmt;

use zeroize::Zeroizing;

/// 32 bytes that never leave the site; wiped when dropped, never printed.
#[derive(Clone)]
pub struct SiteKey(Zeroizing<[u8; 32]>);

impl SiteKey {
    /// That key.
    pub fn new(bytes: [u8; 32]) -> SiteKey {
        SiteKey(Zeroizing::new(bytes))
    }

    /// Its bytes.
    pub(crate) fn bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Debug for SiteKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SiteKey(..)")
    }
}
