//! The standby that an instance has in another zone of its Region (`MultiAZ`): where it is, and
//! what nobody could observe again. It says nothing of how a server stands.

use serde::{Deserialize, Serialize};
use types::AvailabilityZone;

use super::ResourceId;

/// A standby of an instance, in its row.
///
/// What is written here comes before what follows from it: it is out of step before its primary
/// acknowledges a commit alone, and in step only once it holds every commit that was acknowledged.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Standby {
    /// What its home is known by; it is no instance's.
    pub home: ResourceId,
    /// Where it is: another zone than the primary's.
    pub zone: AvailabilityZone,
    /// Has it every commit that was acknowledged, and will it have each that is to be? Only then
    /// may it take over.
    pub is_in_step: bool,
    /// Was it ever in step, it or the one in whose place it is?
    pub is_ready: bool,
    /// Is it to take over, as `RebootDBInstance` asked? Said until that has happened.
    pub is_forced: bool,
    /// Has the primary taken over from it, and isn't promoted yet?
    pub is_failing_over: bool,
    /// Is it to be removed?
    pub is_leaving: bool,
}

impl Standby {
    /// One that is to be made.
    pub fn new(home: ResourceId, zone: AvailabilityZone) -> Standby {
        Standby {
            home,
            zone,
            is_in_step: false,
            is_ready: false,
            is_forced: false,
            is_failing_over: false,
            is_leaving: false,
        }
    }
}
