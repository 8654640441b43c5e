//! Versions of replicated state: hybrid logical clock readings stamped by a site, and the
//! causal context that tells "overwrote it after seeing it" from "was concurrent with it".

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::{SiteId, Timestamp};

/// A hybrid logical clock's reading: 48 bits of wall milliseconds, then 16 bits of counter.
/// (Kulkarni et al., "Logical Physical Clocks", 2014.)
#[derive(
    Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Hlc(pub u64);

/// The stamp of one state: when, then where. Total order; the greatest wins everywhere.
/// As a value inside a context it is also called a *dot*.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub struct Version {
    /// The hybrid time of the write.
    pub time: Hlc,
    /// The Region that accepted the write: the tie-break.
    pub site: SiteId,
}

/// Per site, the greatest version that a state has seen. At most one entry a site, sorted by
/// site, so that equal contexts have equal bytes.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Context(Vec<Version>);

impl Hlc {
    /// The reading whose wall part is `wall` and whose counter is 0.
    pub const fn at(wall: Timestamp) -> Hlc {
        Hlc(wall.0 << 16)
    }

    /// The wall part.
    pub const fn wall(self) -> Timestamp {
        Timestamp(self.0 >> 16)
    }

    /// The counter.
    pub const fn counter(self) -> u16 {
        (self.0 & 0xffff) as u16
    }

    /// The next greater reading.
    pub const fn next(self) -> Hlc {
        Hlc(self.0 + 1)
    }
}

impl Context {
    /// A context that has seen nothing.
    pub const EMPTY: Context = Context(Vec::new());

    /// Has a state with this context seen `dot`?
    pub fn contains(&self, dot: Version) -> bool {
        self.0
            .iter()
            .any(|seen| seen.site == dot.site && seen.time >= dot.time)
    }

    /// Adds `dot` to what was seen.
    pub fn insert(&mut self, dot: Version) {
        match self.0.binary_search_by_key(&dot.site, |seen| seen.site) {
            Ok(index) => self.0[index].time = self.0[index].time.max(dot.time),
            Err(index) => self.0.insert(index, dot),
        }
    }

    /// Adds all that `other` has seen.
    pub fn merge(&mut self, other: &Context) {
        for dot in &other.0 {
            self.insert(*dot);
        }
    }

    /// The entries, sorted by site.
    pub fn entries(&self) -> &[Version] {
        &self.0
    }
}

impl fmt::Display for Hlc {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.wall().0, self.counter())
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", self.time, self.site.0)
    }
}
