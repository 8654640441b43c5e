//! The one path by which a local write of an item becomes a batch: lock, read, decide, make the
//! next state, commit. Item, index entries and announcement are one batch. A deletion leaves a
//! tombstone, unless the table never had a replica: then it leaves nothing and announces nothing.

use std::sync::Arc;

use bytes::Bytes;
use store::{Batch, Engine, ReadError, Snapshot, Space};
use types::Context;

use crate::{
    Change, Content, Item, Phase, State, Table, TableId, Tables, TablesError, decode_state,
    encode_state, index_writes,
};

/// What a write found and left.
#[derive(Debug, PartialEq)]
pub(crate) struct Written {
    /// The item that was there.
    pub(crate) old: Option<Item>,
    /// The item that is there now.
    pub(crate) new: Option<Item>,
}

/// Judges what a write found, and says what to leave: an item, or none.
pub(crate) trait Decide:
    FnOnce(Option<&Item>) -> Result<Option<Item>, TablesError> + Send
{
}

impl<F: FnOnce(Option<&Item>) -> Result<Option<Item>, TablesError> + Send> Decide for F {}

impl<E: Engine> Tables<E> {
    /// Writes the item under that key. `decide` is called once, under the item's lock.
    pub(crate) async fn write_item(
        &self,
        table: TableId,
        key: Vec<u8>,
        decide: impl Decide,
    ) -> Result<Written, TablesError> {
        let _guard = self.locks.lock(&key).await;
        let table = self.in_service(table)?;
        let snapshot = self.engine.snapshot();
        let mut batch = Batch::new();
        let written = self
            .stage_write(&snapshot, &table, Bytes::from(key), decide, &mut batch)
            .await?;
        drop(snapshot);
        if !batch.is_empty() {
            self.engine.commit(batch).await?;
        }
        Ok(written)
    }

    /// The table, if it takes writes. Checked under an item's lock: `KeyLocks::barrier` then
    /// waits for every write that a table still gets after it was dropped.
    pub(crate) fn in_service(&self, table: TableId) -> Result<Arc<Table>, TablesError> {
        let table = self.catalogue.table(table);
        table
            .filter(|table| table.phase == Phase::Active)
            .ok_or(TablesError::NoSuchResource)
    }

    /// Adds to the batch what `decide` makes of the item under that key. The caller holds the
    /// item's lock since before the snapshot, and until the batch is committed.
    pub(crate) async fn stage_write(
        &self,
        snapshot: &E::Snapshot,
        table: &Table,
        key: Bytes,
        decide: impl Decide,
        batch: &mut Batch,
    ) -> Result<Written, TablesError> {
        let current = read_state(snapshot, &key).await?;
        let seen = current.as_ref().map(|state| state.dot);
        let (context, old) = match current {
            None => (Context::EMPTY, None),
            Some(state) => (state.context, state.content.into_item()),
        };
        let new = decide(old.as_ref())?;
        if old.is_none() && new.is_none() {
            // Nothing to delete: nothing is written, and a tombstone stays as it is.
            return Ok(Written { old, new });
        }
        if new.is_none() && !self.keeps_tombstones(table) {
            // No other Region ever had the item, so nobody need hear that it is gone.
            index_writes(table, &key, old.as_ref(), None, batch);
            batch.delete(Space::Items, key);
            return Ok(Written { old, new });
        }
        let dot = self.issue(seen);
        let mut state = State {
            dot,
            context,
            content: new.map_or(Content::Tombstone, Content::Item),
        };
        state.context.insert(dot);
        batch.put(Space::Items, key.clone(), encode_state(&state));
        let new = state.content.into_item();
        index_writes(table, &key, old.as_ref(), new.as_ref(), batch);
        let change = Change::Item {
            table: table.id,
            key,
            version: dot,
        };
        batch.announce(change.encode());
        Ok(Written { old, new })
    }
}

/// The state under an item's key.
pub(crate) async fn read_state<S: Snapshot>(
    snapshot: &S,
    key: &[u8],
) -> Result<Option<State>, ReadError> {
    let Some(bytes) = snapshot.get(Space::Items, key).await? else {
        return Ok(None);
    };
    decode_state(&bytes)
        .map(Some)
        .map_err(|error| ReadError::Corrupt(format!("an item's state: {error}")))
}

impl Content {
    /// The item, unless it is deleted.
    pub fn into_item(self) -> Option<Item> {
        match self {
            Content::Item(item) => Some(item),
            Content::Tombstone => None,
        }
    }
}
