//! What the service asks of the place it runs in: how servers stand, and what else is in the
//! Region.

use std::net::Ipv4Addr;

use types::{Monotonic, Region, Span, Timestamp};

use crate::model::SnapshotId;
use crate::plan::{Observed, StepKind};

/// How an instance stands, as whoever carries its steps out saw it last.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Standing {
    /// What was seen.
    pub observed: Observed,
    /// The step that is under way.
    pub doing: Option<StepKind>,
    /// Of a replica: has its source's Region said that the source is gone?
    pub source_gone: bool,
}

/// What automated backups can restore, as whoever archives saw it last on the disk.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Archived {
    /// The latest moment, by the server's clock.
    pub latest: Option<Timestamp>,
    /// The snapshots since which the log has no gap, and when each was whole: oldest first.
    pub bases: Vec<(SnapshotId, Timestamp)>,
    /// What the log takes on the disk, in bytes.
    pub bytes: u64,
}

impl Archived {
    /// The moments that can be restored: from the first to the last.
    pub fn window(&self) -> Option<(Timestamp, Timestamp)> {
        let earliest = self.bases.iter().map(|(_, taken)| *taken).min()?;
        let latest = self.latest.filter(|latest| *latest >= earliest)?;
        Some((earliest, latest))
    }
}

/// How servers stand.
pub trait ServerView: Send + Sync + 'static {
    /// How the instance of that resource id stands; `None`: nobody has looked yet.
    fn standing(&self, resource_id: &str) -> Option<Standing>;

    /// The instance of that resource id was changed, or made: it is to be looked at soon.
    fn changed(&self, resource_id: &str);

    /// What the automated backups of an instance can restore, which may be deleted; `None`: nobody
    /// has looked yet, or its log isn't archived.
    fn archived(&self, _resource_id: &str) -> Option<Archived> {
        None
    }

    /// Does somebody else on this host listen at that address and port?
    fn is_taken(&self, _address: Ipv4Addr, _port: u16) -> bool {
        false
    }

    /// Since when the council has decided nothing of what this Region asks it for all the time, its
    /// leases ([`crate::lease::RENEW_EVERY`]); `None`: it asks for none, or nobody can tell.
    fn unheard_since(&self) -> Option<Monotonic> {
        None
    }

    /// Since when nothing was heard of a Region while the council was, as of now
    /// ([`crate::automatic::Known::silent_since`]); `None`: nobody can tell here.
    fn silent_since(&self, _region: Region, _now: Monotonic) -> Option<Monotonic> {
        None
    }

    /// How much later than the writer's head the head of another member was when that was last
    /// measured, by the slot that is kept for it; `None`: nobody can tell here.
    fn lag_of(&self, _writer: &str, _slot: &str) -> Option<Span> {
        None
    }

    /// Of a snapshot that is being copied: how many of its bytes are here.
    fn copied(&self, _snapshot: &str) -> u64 {
        0
    }
}

/// What else is in the Region.
pub trait Surroundings: Send + Sync + 'static {
    /// Is there such a security group, beside the network's default one?
    fn has_security_group(&self, id: &str) -> bool;
}
