//! From what is wanted of an instance and what is seen of it to the one step that comes next: pure.
//! The step is carried out elsewhere, then all is observed anew, so a crash at any moment goes on
//! from what is on disk. What can't be done waits longer each time, or becomes the instance's
//! status; it never spins.
//!
//! Always so: nothing is promoted that nobody asked to; no server starts on a home that isn't
//! whole; nothing is removed but a making that was cut off, what is to be deleted, and a copy that
//! its source gives leave to make anew; nothing is deleted before its last snapshot is whole.

mod behind;
mod cession;
mod duty;
pub(crate) mod forced;
mod handover;
mod head;
mod life;
mod next;
mod observed;
mod pair;
mod password;
pub(crate) mod reading;
mod step;
mod succession;

pub use behind::{is_a_copy, may_be_left};
pub use cession::Cession;
pub use duty::{Duty, Following, TakeOver};
pub use forced::Forcing;
pub use life::Life;
pub use next::{Next, Wanted, WantedSnapshot, next_step};
pub use observed::{
    Behind, FailureKind, HeadSeen, Home, LogSeen, MateSeen, MateSlot, Observed, PairSeen, Role,
    ServerSeen, SnapshotSeen, StepFailure, Stopped,
};
pub use pair::STALL;
pub use reading::Reading;
pub use step::{Record, Removal, Settings, Step, StepKind, Upstream};
pub use succession::{Candidate, ChiefSeen, SILENT};
