//! The conflict ledger as an operator uses it: listed, shown, and a beaten state restored as a
//! new ordinary write of this Region, which then wins everywhere because it has seen the state
//! that had won.

use store::Engine;
use types::Version;

use super::ledger::{
    self, ConflictCursor, ConflictFilter, ConflictId, ConflictPage, ConflictRecord, LedgerSize,
};
use crate::{Content, Item, Table, Tables, TablesError, decode_state_header, item_key};

/// A beaten state that is the item's state again.
#[derive(Clone, PartialEq, Debug)]
pub struct Restored {
    /// The table, with its account if that isn't the first.
    pub table: String,
    /// The item's key attributes.
    pub key: Item,
    /// The version of the new write; none if there was nothing to delete.
    pub version: Option<Version>,
}

/// A beaten state can't be restored.
#[derive(Clone, PartialEq, Debug, thiserror::Error)]
pub enum RestoreError {
    /// This Region's ledger has no such row.
    #[error("this Region's ledger has no conflict {0}; another Region's may")]
    NoSuchConflict(ConflictId),
    /// This Region has no replica of the table any more.
    #[error("this Region has no replica of the table {0} in service")]
    NoReplica(String),
    /// The write failed.
    #[error(transparent)]
    Write(#[from] TablesError),
}

impl<E: Engine> Tables<E> {
    /// Rows of this Region's ledger, newest first, at most `limit` (1 to 1,000).
    ///
    /// # Errors
    /// When storage fails.
    pub async fn conflicts(
        &self,
        filter: &ConflictFilter,
        after: Option<ConflictCursor>,
        limit: usize,
    ) -> Result<ConflictPage, TablesError> {
        let snapshot = self.engine.snapshot();
        Ok(ledger::list(&snapshot, filter, after, limit).await?)
    }

    /// One row.
    ///
    /// # Errors
    /// When storage fails.
    pub async fn conflict(&self, id: ConflictId) -> Result<Option<ConflictRecord>, TablesError> {
        let snapshot = self.engine.snapshot();
        Ok(ledger::show(&snapshot, id).await?)
    }

    /// How much the ledger holds, and how much it has dropped.
    pub fn ledger_size(&self) -> LedgerSize {
        self.global.lock().ledger
    }

    /// Writes the beaten state again, as a new unconditional write in this Region: a put of its
    /// item, or a delete if it was one.
    ///
    /// # Errors
    /// When there is no such row or no such replica here, or the write fails.
    pub async fn restore_conflict(&self, id: ConflictId) -> Result<Restored, RestoreError> {
        let row = self
            .conflict(id)
            .await?
            .ok_or(RestoreError::NoSuchConflict(id))?;
        let table = self
            .catalogue
            .named(row.table.account, &row.table.name)
            .filter(|table| {
                table
                    .group
                    .as_ref()
                    .is_some_and(|group| group.id == row.group)
            });
        let table = table.ok_or_else(|| RestoreError::NoReplica(row.table.to_string()))?;
        let key = encoded_key(&table, &row)?;
        let image = match row.loser.content {
            Content::Item(item) => Some(item),
            Content::Tombstone => None,
        };
        let written = self
            .write_item(table.id, key.clone(), |_| Ok(image))
            .await?;
        let version = match (&written.old, &written.new) {
            (None, None) => None,
            _ => self.version_of(&key).await?,
        };
        Ok(Restored {
            table: row.table.to_string(),
            key: row.key,
            version,
        })
    }

    async fn version_of(&self, key: &[u8]) -> Result<Option<Version>, TablesError> {
        use store::{ReadError, Snapshot, Space};
        let stored = self
            .engine
            .snapshot()
            .get(Space::Items, key)
            .await
            .map_err(TablesError::from)?;
        let header = stored.map(|state| decode_state_header(&state)).transpose();
        let header = header.map_err(|error| ReadError::Corrupt(error.to_string()))?;
        Ok(header.map(|(dot, _)| dot))
    }
}

fn encoded_key(table: &Table, row: &ConflictRecord) -> Result<Vec<u8>, RestoreError> {
    let no_replica = || RestoreError::NoReplica(row.table.to_string());
    let partition = row
        .key
        .get(&table.schema.partition.name)
        .ok_or_else(no_replica)?;
    let sort = table
        .schema
        .sort
        .as_ref()
        .and_then(|sort| row.key.get(&sort.name));
    item_key(table.id.0, partition, sort).map_err(|_| no_replica())
}
