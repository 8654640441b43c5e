//! Reading and trimming the change log, for any engine. Positions are without gaps from the
//! oldest kept one to the head. It decides neither who has read how far nor what may go.

use std::ops::Bound;

use bytes::Bytes;

use crate::{
    Batch, CommitError, Direction, Engine, KeyRange, LogPosition, ReadError, Snapshot, Space,
};

/// How many entries one batch of a trim removes. It bounds memory and how long other commits
/// wait behind it.
const TRIM_ENTRIES: usize = 1_000;

/// A trim failed; what it removed before stays removed, and it may be called again.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TrimError {
    /// The log couldn't be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// A removal couldn't be committed.
    #[error(transparent)]
    Commit(#[from] CommitError),
}

/// The log's entries after `after`, oldest first, at most `limit`. Fewer than `limit` means that
/// the log held no more at the snapshot.
///
/// # Errors
/// As `Snapshot::scan`; also if a key of the log is no position.
pub async fn read_log<S: Snapshot>(
    snapshot: &S,
    after: LogPosition,
    limit: usize,
) -> Result<Vec<(LogPosition, Bytes)>, ReadError> {
    let range = KeyRange {
        start: Bound::Excluded(after.key()),
        end: Bound::Unbounded,
    };
    let page = snapshot
        .scan(Space::Log, range, Direction::Forward, limit)
        .await?;
    let entries = page.entries.into_iter().map(|entry| {
        let position = LogPosition::from_key(&entry.key);
        let position = position.ok_or_else(|| {
            ReadError::Corrupt(format!("a key of the log has {} bytes", entry.key.len()))
        })?;
        Ok((position, entry.value))
    });
    entries.collect()
}

/// Removes every entry up to and including `up_to` from the log, in batches; returns how many
/// there were. The head doesn't move, even if nothing is left.
///
/// # Errors
/// As reads and commits.
pub async fn trim_log<E: Engine>(engine: &E, up_to: LogPosition) -> Result<u64, TrimError> {
    let mut removed = 0;
    let mut after = Bound::Unbounded;
    loop {
        let range = KeyRange {
            start: after,
            end: Bound::Included(up_to.key()),
        };
        let snapshot = engine.snapshot();
        let page = snapshot
            .scan(Space::Log, range, Direction::Forward, TRIM_ENTRIES)
            .await?;
        drop(snapshot);
        let Some(last) = page.entries.last() else {
            return Ok(removed);
        };
        after = Bound::Excluded(last.key.clone());
        let mut batch = Batch::new();
        for entry in page.entries {
            batch.delete(Space::Log, entry.key);
            removed += 1;
        }
        engine.commit(batch).await?;
        if !page.more {
            return Ok(removed);
        }
    }
}
