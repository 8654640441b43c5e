//! How many items a table and its indexes have and how large they are, as `DescribeTable` shows
//! it: counted in the background, in bounded steps, so that no write pays for it. The service
//! does the same about every six hours; until the first count is done, both say 0.

use std::collections::BTreeMap;
use std::ops::Bound;

use bytes::Bytes;
use store::{Direction, Engine, KeyRange, ReadError, Snapshot, Space};

use crate::capacity::projected_size;
use crate::primary_key::entry_key;
use crate::{IndexId, Item, Table, TableId, Tables, decode_state, item_size, table_prefix};

/// Items looked at in a step: bounds its memory (400 KB an item).
const CHUNK: usize = 64;

/// What a step did.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum MeasureProgress {
    /// There is more to count.
    Worked,
    /// Every table has been counted; the next step begins again.
    Finished,
}

/// A number of items and their size in bytes.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct Count {
    pub(crate) items: u64,
    pub(crate) bytes: u64,
}

/// What a table was counted to have.
#[derive(Clone, PartialEq, Debug, Default)]
pub(crate) struct Counts {
    pub(crate) table: Count,
    pub(crate) indexes: BTreeMap<IndexId, Count>,
}

/// The counts of all tables, and the one that is being made.
#[derive(Debug, Default)]
pub(crate) struct Statistics {
    counted: BTreeMap<TableId, Counts>,
    current: Option<Counting>,
    /// The table counted last.
    last: Option<TableId>,
}

#[derive(Clone, Debug)]
struct Counting {
    table: TableId,
    after: Option<Bytes>,
    counts: Counts,
}

impl<E: Engine> Tables<E> {
    /// Counts a bounded part of a table. Call it in the background until it is `Finished`, and
    /// again some time later. Not to be called twice at the same time.
    ///
    /// # Errors
    /// When storage fails; the next call goes on where this one stopped.
    pub async fn measure_step(&self) -> Result<MeasureProgress, ReadError> {
        let Some((table, mut counting)) = self.next_to_count() else {
            return Ok(MeasureProgress::Finished);
        };
        let mut range = KeyRange::prefix(&table_prefix(table.id.0));
        if let Some(after) = counting.after.take() {
            range.start = Bound::Excluded(after);
        }
        let snapshot = self.engine.snapshot();
        let page = snapshot
            .scan(Space::Items, range, Direction::Forward, CHUNK)
            .await?;
        for entry in &page.entries {
            let state = decode_state(&entry.value)
                .map_err(|error| ReadError::Corrupt(format!("an item's state: {error}")))?;
            if let Some(item) = state.content.into_item() {
                counting.counts.add(&table, &item);
            }
        }
        counting.after = page.entries.last().map(|entry| entry.key.clone());
        let mut statistics = self.statistics.lock().expect("counting does not panic");
        if page.more {
            statistics.current = Some(counting);
        } else {
            statistics.last = Some(table.id);
            statistics.counted.insert(table.id, counting.counts);
        }
        Ok(MeasureProgress::Worked)
    }

    /// What the table was last counted to have.
    pub(crate) fn counts(&self, table: TableId) -> Counts {
        let statistics = self.statistics.lock().expect("counting does not panic");
        statistics.counted.get(&table).cloned().unwrap_or_default()
    }

    /// The table to go on with, or the one after the last; none when the round is over.
    fn next_to_count(&self) -> Option<(std::sync::Arc<Table>, Counting)> {
        let live = self.catalogue.all();
        let live = live.into_iter().filter(|table| table.is_live());
        let mut statistics = self.statistics.lock().expect("counting does not panic");
        let tables: BTreeMap<TableId, _> = live.map(|table| (table.id, table)).collect();
        statistics.counted.retain(|id, _| tables.contains_key(id));
        if let Some(counting) = statistics.current.take()
            && let Some(table) = tables.get(&counting.table)
        {
            return Some((table.clone(), counting));
        }
        let after = statistics.last.map_or(Bound::Unbounded, Bound::Excluded);
        let next = tables.range((after, Bound::Unbounded)).next();
        let Some((id, table)) = next else {
            statistics.last = None;
            return None;
        };
        let counting = Counting {
            table: *id,
            after: None,
            counts: Counts::default(),
        };
        Some((table.clone(), counting))
    }
}

impl Counts {
    fn add(&mut self, table: &Table, item: &Item) {
        self.table.add(item_size(item));
        for index in &table.indexes {
            if entry_key(table, index, item).is_some() {
                let count = self.indexes.entry(index.id).or_default();
                count.add(projected_size(table, index, item));
            }
        }
    }
}

impl Count {
    fn add(&mut self, bytes: usize) {
        self.items += 1;
        self.bytes += bytes as u64;
    }
}
