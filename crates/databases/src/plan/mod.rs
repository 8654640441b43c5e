//! From what is wanted of an instance and what is seen of it to the one step that comes next: pure.
//! The step is carried out elsewhere, then all is observed anew, so a crash at any moment goes on
//! from what is on disk. What can't be done waits longer each time, or becomes the instance's
//! status; it never spins.
//!
//! Always so: nothing is promoted that nobody asked to; no server starts on a home that isn't
//! whole; nothing is removed but a making that was cut off, and what is to be deleted; nothing is
//! deleted before its last snapshot is whole.

mod duty;
mod head;
mod next;
mod observed;
mod step;

pub use duty::{Duty, Following, TakeOver};
pub use next::{Next, Wanted, WantedSnapshot, next_step};
pub use observed::{
    FailureKind, HeadSeen, Home, LogSeen, Observed, Role, ServerSeen, SnapshotSeen, StepFailure,
    Stopped,
};
pub use step::{Record, Removal, Settings, Step, StepKind, Upstream};
