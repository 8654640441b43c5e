//! Objects in a world: buckets of two Regions that replicate to each other, the first to a third
//! as well; clients that put, tag and delete, faults, a heal, and checks. It judges what buckets
//! hold, every byte of it, not how their bytes lie on disks.

mod check;
mod listing;
mod simulation;
mod workload;

pub use check::{Fault as ObjectsFault, Held, HeldVersion};
pub use simulation::{ObjectsReport, simulate_objects};
pub use workload::{Attempt, Told};
