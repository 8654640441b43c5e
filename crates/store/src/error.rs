//! What can go wrong in storage, by stage.

use std::path::PathBuf;

/// A database couldn't be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another process has it open.
    #[error("{0} is in use by another process")]
    InUse(PathBuf),
    /// Its bytes don't match their checksums, or make no sense.
    #[error("{file} is corrupt ({detail}), and nothing is started from damaged data")]
    Corrupt {
        /// The damaged file.
        file: PathBuf,
        /// What is wrong with it.
        detail: String,
    },
    /// A newer Causeway wrote it.
    #[error("{file} has format version {found}; this binary understands up to {understood}")]
    Newer {
        /// The file that says so.
        file: PathBuf,
        /// Its version.
        found: u32,
        /// The greatest this binary reads.
        understood: u32,
    },
    /// The operating system refused.
    #[error("can't open {path}: {cause}")]
    Io {
        /// What was to be opened.
        path: PathBuf,
        /// Why not.
        cause: std::io::Error,
    },
}

/// A read failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReadError {
    /// What was read doesn't match its checksum or makes no sense.
    #[error("corrupt data: {0}")]
    Corrupt(String),
    /// The operating system refused.
    #[error("the disk refused to read: {0}")]
    Io(String),
}

/// A commit failed: nothing of it is visible, now or after a restart. (`Failed`: it is unknown
/// whether it is on disk; the engine refuses every later commit and the process must end.)
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CommitError {
    /// A precondition didn't hold: the index of the first.
    #[error("precondition {0} did not hold")]
    Precondition(usize),
    /// No space is left, by the engine's reserve. Reads go on, and so, for longer, do commits
    /// that only remove entries; DeleteItem isn't one of those, as it writes a tombstone.
    #[error("the disk is full")]
    DiskFull,
    /// Writing or syncing failed, so the state on disk is unknown: fail-stop.
    #[error("the engine failed and has stopped: {0}")]
    Failed(String),
}
