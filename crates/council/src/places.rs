//! The places that a site's proposals have while they are under way: most are anybody's.

use crate::limits::{KEPT_PLACES, MAX_PENDING};

/// Which places a proposal may take.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Places {
    /// All but those that are kept.
    Common,
    /// Those that are kept too.
    All,
}

impl Places {
    /// How many there are.
    pub(crate) fn count(self) -> usize {
        match self {
            Places::Common => MAX_PENDING - KEPT_PLACES,
            Places::All => MAX_PENDING,
        }
    }
}
