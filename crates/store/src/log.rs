//! Reading and trimming the change log, for any engine. Positions are without gaps from the
//! oldest kept one to the head. It decides neither who has read how far nor what may go.

use std::ops::Bound;

use bytes::Bytes;

use crate::{
    Batch, CommitError, Direction, Engine, KeyRange, LogPosition, ReadError, Snapshot, Space,
};

/// How many entries one batch of a trim removes. It bounds memory and how long other commits
/// wait behind it.
const TRIM_ENTRIES: u64 = 1_000;

/// The key in `Space::Meta` of the newest trimmed position, whose value is its log key.
const TRIMMED_KEY: &[u8] = b"store/trimmed";

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
/// there were. The head doesn't move, even if nothing is left. How far it came is kept in
/// `Space::Meta` under `store/trimmed`, so that nothing needs to be searched for.
///
/// # Errors
/// As reads and commits.
pub async fn trim_log<E: Engine>(engine: &E, up_to: LogPosition) -> Result<u64, TrimError> {
    let up_to = up_to.min(engine.log_head());
    let start = trimmed(&engine.snapshot()).await?;
    let mut last = start;
    while last < up_to {
        let end = LogPosition(up_to.0.min(last.0 + TRIM_ENTRIES));
        let mut batch = Batch::new();
        for position in last.0 + 1..=end.0 {
            batch.delete(Space::Log, LogPosition(position).key());
        }
        batch.put(Space::Meta, TRIMMED_KEY, end.key());
        engine.commit(batch).await?;
        last = end;
    }
    Ok(last.0 - start.0)
}

/// The newest position that was trimmed from the log, 0 if none.
///
/// # Errors
/// As `Snapshot::get`.
pub async fn trimmed<S: Snapshot>(snapshot: &S) -> Result<LogPosition, ReadError> {
    let Some(value) = snapshot.get(Space::Meta, TRIMMED_KEY).await? else {
        return Ok(LogPosition(0));
    };
    LogPosition::from_key(&value)
        .ok_or_else(|| ReadError::Corrupt("the record of the log's trimming".to_owned()))
}
