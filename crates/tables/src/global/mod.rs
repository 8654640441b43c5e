pub mod group;
pub mod ledger;
pub mod merge;
pub mod message;
#[cfg(test)]
mod model;
pub use group::{Group, GroupId, Member, MemberPhase};
