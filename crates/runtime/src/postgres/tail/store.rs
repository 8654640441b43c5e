//! What is known of a kept tail, in a file beside its log: it is written last, and says that all
//! the rest is there.

use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use types::{ByteSize, Timestamp};

use crate::postgres::error::PostgresError;
use crate::postgres::files;
use crate::postgres::model::{LostTransaction, TableChanges, Tail};

/// The file.
pub(super) const NAME: &str = "tail.json";

/// The file of rows.
pub(super) const ROWS: &str = "lost.sql";

/// The one format there is.
const FORMAT: u32 = 1;

/// As it is in the file.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Stored {
    format: u32,
    timeline: u32,
    begin: String,
    end: String,
    bytes: u64,
    rows: bool,
    unexported: Option<String>,
    unlisted: u64,
    transactions: Vec<StoredTransaction>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct StoredTransaction {
    xid: u32,
    committed_milliseconds: u64,
    lsn: String,
    changed_schema: bool,
    tables: Vec<StoredChanges>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct StoredChanges {
    database: String,
    schema: String,
    table: String,
    inserted: u64,
    updated: u64,
    deleted: u64,
}

impl Tail {
    /// What is kept in that directory; `None`: nothing, or what was cut off.
    ///
    /// # Errors
    /// What is there can't be read, or was written by a newer Causeway.
    pub fn read(directory: &Path) -> Result<Option<Tail>, PostgresError> {
        let path = directory.join(NAME);
        let bytes = match std::fs::read(&path) {
            Ok(bytes) => bytes,
            Err(cause) if cause.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(cause) => {
                return Err(PostgresError::io(format!("can't read {}", path.display()))(
                    cause,
                ));
            }
        };
        let stored: Option<Stored> = serde_json::from_slice(&bytes).ok();
        let tail = stored.and_then(|stored| tail_of(stored, directory));
        let damaged = || PostgresError::Damaged {
            path,
            why: "it is of a newer Causeway, or of none",
        };
        tail.map(Some).ok_or_else(damaged)
    }

    /// Writes it; everything else in the directory is on the disk by then.
    pub(super) fn write(&self, directory: &Path) -> io::Result<()> {
        let stored = Stored {
            format: FORMAT,
            timeline: self.timeline,
            begin: self.begin.to_string(),
            end: self.end.to_string(),
            bytes: self.bytes.0,
            rows: self.sql_file.is_some(),
            unexported: self.unexported.clone(),
            unlisted: self.unlisted,
            transactions: self.transactions.iter().map(stored).collect(),
        };
        let bytes = serde_json::to_vec(&stored).map_err(io::Error::other)?;
        files::replace(&directory.join(NAME), &bytes, 0o600, None)
    }
}

fn stored(transaction: &LostTransaction) -> StoredTransaction {
    let changes = |table: &TableChanges| StoredChanges {
        database: table.database.clone(),
        schema: table.schema.clone(),
        table: table.table.clone(),
        inserted: table.inserted,
        updated: table.updated,
        deleted: table.deleted,
    };
    StoredTransaction {
        xid: transaction.xid,
        committed_milliseconds: transaction.committed.0,
        lsn: transaction.lsn.to_string(),
        changed_schema: transaction.changed_schema,
        tables: transaction.tables.iter().map(changes).collect(),
    }
}

fn tail_of(stored: Stored, directory: &Path) -> Option<Tail> {
    if stored.format != FORMAT {
        return None;
    }
    let changes = |table: StoredChanges| TableChanges {
        database: table.database,
        schema: table.schema,
        table: table.table,
        inserted: table.inserted,
        updated: table.updated,
        deleted: table.deleted,
    };
    let transaction = |stored: StoredTransaction| {
        Some(LostTransaction {
            xid: stored.xid,
            committed: Timestamp(stored.committed_milliseconds),
            lsn: stored.lsn.parse().ok()?,
            changed_schema: stored.changed_schema,
            tables: stored.tables.into_iter().map(changes).collect(),
        })
    };
    let transactions = stored.transactions.into_iter().map(transaction);
    let sql_file: Option<PathBuf> = stored.rows.then(|| directory.join(ROWS));
    Some(Tail {
        timeline: stored.timeline,
        begin: stored.begin.parse().ok()?,
        end: stored.end.parse().ok()?,
        transactions: transactions.collect::<Option<_>>()?,
        unlisted: stored.unlisted,
        bytes: ByteSize(stored.bytes),
        sql_file,
        unexported: stored.unexported,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOLDEN: &str = include_str!("golden.json");

    #[test]
    fn the_format_is_what_it_was_and_no_other_is_taken() {
        let directory = tempfile::tempdir().unwrap();
        assert_eq!(Tail::read(directory.path()).unwrap(), None);
        let path = directory.path().join(NAME);
        std::fs::write(&path, GOLDEN).unwrap();
        let tail = Tail::read(directory.path()).unwrap().unwrap();
        assert_eq!(tail.transactions[0].tables[0].deleted, 3);
        assert_eq!(tail.sql_file, Some(directory.path().join(ROWS)));
        tail.write(directory.path()).unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), GOLDEN);
        let newer = GOLDEN.replace("\"format\":1", "\"format\":2");
        for text in [&newer, "{}", "", &GOLDEN[..40]] {
            std::fs::write(&path, text).unwrap();
            let read = Tail::read(directory.path());
            assert!(matches!(read, Err(PostgresError::Damaged { .. })), "{text}");
        }
    }
}
