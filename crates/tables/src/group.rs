//! Who takes part in a global table: a small replicated map that every member keeps, in which
//! the entry with the greater stamp wins.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use types::{SiteId, Version};

/// A global table's members, as far as this Region knows.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Group {
    /// The same in every Region, and in no other group: a UUID.
    pub id: String,
    /// Every site that is or was a member.
    pub members: BTreeMap<SiteId, Member>,
}

/// One member.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Member {
    /// Where in its membership it is.
    pub phase: MemberPhase,
    /// When that was decided; the greater wins.
    pub stamp: Version,
    /// The member that copies existing items to it.
    pub source: SiteId,
}

/// Where in its membership a member is.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
pub enum MemberPhase {
    /// Being filled with the existing items.
    Creating,
    /// In service.
    Active,
    /// Being removed.
    Deleting,
    /// Removed.
    Gone,
}
