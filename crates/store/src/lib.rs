//! Ordered keys and values in atomic batches, with a change log: one database per Region.
//!
//! It knows neither tables nor buckets, reads no clock, and never acknowledges what is not
//! synced to disk. Engines: memory (for simulation) and embedded (fjall).

mod batch;
mod clock;
mod completion;
mod embedded;
mod engine;
mod error;
mod locks;
mod log;
mod memory;

pub use batch::{Batch, LONGEST_KEY, LogPosition, Precondition, Space, Write};
pub use clock::HybridClock;
pub use embedded::{
    EmbeddedEngine, EmbeddedOptions, EmbeddedSnapshot, FreeSpace, SpaceReport, VerifyReport,
    free_space, verify,
};
pub(crate) use engine::is_empty_range;
pub use engine::{Direction, Engine, Entry, KeyRange, Page, Snapshot};
pub use error::{CommitError, OpenError, ReadError};
pub use locks::{KeyGuard, KeyLocks};
pub use log::{TrimError, read_log, trim_log, trimmed};
pub use memory::{MemoryEngine, MemorySnapshot, PlantedBug, SimulatedDisk};
