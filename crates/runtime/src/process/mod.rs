//! Child processes, each the leader of a process group: started, paused, killed and watched as
//! a whole, spoken to over a pipe, and never left behind.
//!
//! It reaches what stays in the group. A grandchild that leaves it (setsid) must end by itself
//! when its parent does, as a PostgreSQL backend does.

mod child;
mod command;
mod files;
mod group;
mod guard;
mod hand;
mod pipe;

pub use child::{Child, ChildSpec};
pub use command::{CommandError, printed_by};
pub use files::raise_open_files;
pub(crate) use group::open_log;
pub use group::{Exit, ProcessGroup, ProgramSpec};
pub use guard::{Guard, guard_main};
pub use hand::{HandError, handed_over};
pub use pipe::{CallError, Handler, PipeServer};
