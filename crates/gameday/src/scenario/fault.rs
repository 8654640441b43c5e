//! Faults of a scenario: what can be broken, where, and how often. Plain values; nothing is broken
//! here.

use serde::Serialize;
use types::{FaultTarget, Region, SiteName, Span};

/// What can be broken.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Fault {
    /// It is killed (`kill -9`) with everything that runs in it.
    Kill(FaultTarget),
    /// It stands still.
    Pause(FaultTarget),
    /// A Region's application answers requests with an error (503).
    Errors {
        /// The Region.
        region: Region,
        /// Only requests for that path.
        path: Option<String>,
        /// Only health checks of these sites; none: whoever asks.
        checkers: Vec<SiteName>,
    },
    /// A link is cut.
    Cut {
        /// The link.
        pair: Pair,
        /// Connections break at once; else nothing says so.
        reset: bool,
    },
    /// A link takes longer.
    Delay {
        /// The link.
        pair: Pair,
        /// So much longer, each way.
        by: Span,
    },
    /// A link is throttled.
    Rate {
        /// The link.
        pair: Pair,
        /// Bytes a second, each way.
        bytes_per_second: u64,
    },
    /// A site's clock is set off.
    Clock {
        /// The site.
        site: SiteName,
        /// Milliseconds ahead; below zero, behind.
        milliseconds: i64,
    },
}

/// How often a fault comes, each time for its lease: a flap, or a duty cycle.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
pub struct Repeat {
    /// From one beginning to the next; longer than the lease.
    pub every: Span,
    /// How often in all.
    pub times: u32,
}

/// The ends of a link.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
pub struct Pair {
    /// One site.
    pub from: SiteName,
    /// The other.
    pub to: SiteName,
    /// Only what goes from the one to the other.
    pub one_way: bool,
}

impl Fault {
    /// The Region that can't be reached while it lasts, if it is of that kind.
    pub fn outage(&self) -> Option<Region> {
        match self {
            Fault::Kill(FaultTarget::Site(site)) | Fault::Pause(FaultTarget::Site(site)) => {
                site.region()
            }
            _ => None,
        }
    }

    /// The Region whose application serves nobody while it lasts, be the Region itself there or
    /// not. What some checkers see, or one path, leaves users served.
    pub fn unserved(&self) -> Option<Region> {
        match self {
            Fault::Kill(FaultTarget::App(region)) | Fault::Pause(FaultTarget::App(region)) => {
                Some(*region)
            }
            Fault::Errors {
                region,
                path: None,
                checkers,
            } if checkers.is_empty() => Some(*region),
            _ => self.outage(),
        }
    }
}
