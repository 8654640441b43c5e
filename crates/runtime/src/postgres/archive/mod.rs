//! The archive of a server's write-ahead log: what the server has flushed is copied out of its data
//! every few seconds, and a server is made of a snapshot and the log since, as it was at any moment
//! in between.
//!
//! The server runs no command for that. A replication slot keeps the log until it is in the
//! archive, and no more of it than any slot may keep: a server whose archive can't be written goes
//! on, and the archive begins anew, which is seen. Which snapshots there are, and for how long the
//! log is kept, is decided elsewhere.

mod chain;
mod follow;
mod recover;

pub use chain::{ArchiveSeen, SnapshotBegin, look, remove, snapshot_begin};
pub use follow::{Archive, Followed};
