//! What the service asks of the place it runs in: how servers stand, and what else is in the
//! Region.

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

/// How servers stand.
pub trait ServerView: Send + Sync + 'static {
    /// How the instance of that resource id stands; `None`: nobody has looked yet.
    fn standing(&self, resource_id: &str) -> Option<Standing>;

    /// The instance of that resource id was changed, or made: it is to be looked at soon.
    fn changed(&self, resource_id: &str);
}

/// What else is in the Region.
pub trait Surroundings: Send + Sync + 'static {
    /// Is there such a security group, beside the network's default one?
    fn has_security_group(&self, id: &str) -> bool;
}
