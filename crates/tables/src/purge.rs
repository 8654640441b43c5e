//! Removes what a dropped table left, in the background and in bounded batches. Its name has
//! been free since it was dropped and its number is never used again, so this may take as long
//! as it likes. Progress is stored with each batch.

use std::ops::Bound;

use bytes::Bytes;
use store::{Batch, Direction, Engine, KeyRange, Snapshot, Space};

use crate::catalogue::CatalogueChange;
use crate::global::membership::may_purge;
use crate::{Change, Phase, Table, Tables, TablesError, purge_key, table_prefix};

/// Entries removed at once: bounds a step's memory (400 KB an item) and its commit.
const CHUNK: usize = 64;

/// What a step did.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum PurgeProgress {
    /// No table waits to be purged.
    Idle,
    /// Something was removed; there may be more.
    Worked,
}

/// How far a table is purged, as stored: the keyspace's byte, then the last key removed.
enum Stage {
    Items(Bytes),
    Indexes(Bytes),
}

const ITEMS: u8 = 1;
const INDEXES: u8 = 2;

impl<E: Engine> Tables<E> {
    /// Removes a bounded part of what dropped tables left. Call it in the background until it
    /// is `Idle`, and again after a table was dropped.
    ///
    /// # Errors
    /// When storage fails; the next call goes on where this one stopped.
    pub async fn purge_step(&self) -> Result<PurgeProgress, TablesError> {
        let tables = self.catalogue.all();
        let dropped = tables
            .iter()
            .find(|table| table.phase == Phase::Dropped && may_purge(table, self.config.site));
        let Some(table) = dropped else {
            return Ok(PurgeProgress::Idle);
        };
        let snapshot = self.engine.snapshot();
        let stored = snapshot.get(Space::Meta, &purge_key(table.id)).await?;
        drop(snapshot);
        let stage = match stored {
            None => {
                // A write that began before the drop may still be on its way.
                self.locks.barrier().await;
                Stage::Items(Bytes::new())
            }
            Some(bytes) if bytes.first() == Some(&INDEXES) => Stage::Indexes(bytes.slice(1..)),
            Some(bytes) => Stage::Items(bytes.slice(bytes.len().min(1)..)),
        };
        let done = match stage {
            Stage::Items(after) => self.purge_space(table, Space::Items, ITEMS, after).await?,
            Stage::Indexes(after) => {
                self.purge_space(table, Space::Indexes, INDEXES, after)
                    .await?
            }
        };
        if done {
            self.forget(table).await?;
        }
        Ok(PurgeProgress::Worked)
    }

    /// Removes a chunk; says whether the table is empty now.
    async fn purge_space(
        &self,
        table: &Table,
        space: Space,
        tag: u8,
        after: Bytes,
    ) -> Result<bool, TablesError> {
        let mut range = KeyRange::prefix(&table_prefix(table.id.0));
        if !after.is_empty() {
            range.start = Bound::Excluded(after);
        }
        let snapshot = self.engine.snapshot();
        let page = snapshot
            .scan(space, range, Direction::Forward, CHUNK)
            .await?;
        drop(snapshot);
        let mut batch = Batch::new();
        let last = page.entries.last().map(|entry| entry.key.clone());
        for entry in page.entries {
            batch.delete(space, entry.key);
        }
        let (tag, last) = match (space, page.more) {
            (_, true) => (tag, last.unwrap_or_default()),
            (Space::Items, false) => (INDEXES, Bytes::new()),
            (_, false) => {
                if !batch.is_empty() {
                    self.engine.commit(batch).await?;
                }
                return Ok(true);
            }
        };
        batch.put(
            Space::Meta,
            purge_key(table.id),
            [&[tag], &last[..]].concat(),
        );
        self.engine.commit(batch).await?;
        Ok(false)
    }

    /// A purged table is forgotten, unless its group must still be told of it.
    async fn forget(&self, table: &Table) -> Result<(), TablesError> {
        let mut change = self.catalogue.change().await;
        let mut batch = Batch::new();
        // Read again: the group may have changed while items were being removed.
        let current = self.catalogue.table(table.id);
        let current = current.as_deref().unwrap_or(table);
        match &current.group {
            None => {
                change.stage_removal(table.id, &mut batch);
                self.engine.commit(batch).await?;
                change.publish_removal(table.id);
            }
            Some(_) => {
                let mut purged = current.clone();
                purged.phase = Phase::Purged;
                change.stage(&purged, &mut batch);
                batch.delete(Space::Meta, purge_key(table.id));
                self.engine.commit(batch).await?;
                change.publish(purged);
            }
        }
        Ok(())
    }

    /// Adds to the batch that the table is dropped; publish the result once it is committed.
    pub(crate) fn stage_drop(
        &self,
        change: &CatalogueChange<'_>,
        table: &Table,
        batch: &mut Batch,
    ) -> Table {
        let mut dropped = table.clone();
        dropped.phase = Phase::Dropped;
        self.leave_group(&mut dropped);
        change.stage(&dropped, batch);
        if dropped.group.is_some() {
            batch.announce(Change::Table { table: table.id }.encode());
        }
        dropped
    }
}
