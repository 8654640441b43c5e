//! From a peer's records to one batch: items, index entries, ledger rows and descriptors, to be
//! committed together with the peer's cursor.
//!
//! Every record is decoded before anything is looked at, and every item is locked before its
//! state is read. A record from further ahead than the skew limit parks the whole import: it is
//! neither believed nor dropped. What this site can't place (a table it no longer has, or not
//! yet) is dropped and counted; why nothing is lost by that stands at `place`.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bytes::Bytes;
use store::{Batch, Engine, KeyGuard, ReadError, Space};
use types::{Hlc, SiteId, Span, Timestamp, Version};

use super::Imported;
use super::export::TABLE_PREFIX;
use super::ledger::{self, ConflictId, ConflictRecord};
use super::membership::Staging;
use super::merge::{self, Outcome, merge};
use super::message::{Record, RecordError};
use super::refill::owed;
use crate::catalogue::CatalogueChange;
use crate::write::read_state;
use crate::{
    AttributeValue, Item, ScalarType, State, Table, TableId, Tables, decode_item_key, encode_state,
    index_writes, table_prefix,
};

/// How far ahead of this Region's wall clock a record may be stamped (the offset CockroachDB
/// allows by default, and AnimusDB).
pub const MAX_SKEW: Span = Span::milliseconds(500);

/// What becomes of a peer's records.
#[must_use = "an import changes nothing until its batch is committed"]
pub enum Import<'a> {
    /// They make this batch.
    Ready(Box<ReadyImport<'a>>),
    /// They are stamped too far ahead of this Region's clock: to be offered again then. Either
    /// clock is wrong by more than `MAX_SKEW`; say so in the status.
    Parked {
        /// When they will be admissible, by this Region's wall clock.
        until: Timestamp,
    },
}

/// An import to commit.
pub struct ReadyImport<'a> {
    /// What to commit, together with the peer's cursor.
    pub batch: Batch,
    /// Keeps the items and the catalogue still. Give it to `Tables::imported` once the commit
    /// has returned; drop it if the commit failed.
    pub guard: ImportGuard<'a>,
}

/// The right to finish an import.
#[must_use = "give it to `Tables::imported` once the batch is committed"]
pub struct ImportGuard<'a> {
    _items: KeyGuard,
    pub(super) change: Option<CatalogueChange<'a>>,
    pub(super) staged: BTreeMap<TableId, Arc<Table>>,
    pub(super) removed: BTreeSet<TableId>,
    pub(super) anew: Vec<(TableId, SiteId)>,
    /// What the import does.
    pub summary: Imported,
    pub(super) ledger_bytes: u64,
}

/// A peer's records can't be imported.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ImportError {
    /// A record makes no sense. Nothing of the import was done.
    #[error("record {index} of site {} makes no sense: {cause}", from.0)]
    Record {
        /// The peer.
        from: SiteId,
        /// Which of its records, from 0.
        index: usize,
        /// What is wrong with it.
        cause: RecordError,
    },
    /// A record is stamped by another site, and isn't a copy: a peer speaks for itself only.
    #[error("record {index} of site {} is stamped by site {}", from.0, stamped.0)]
    Foreign {
        /// The peer.
        from: SiteId,
        /// Which of its records, from 0.
        index: usize,
        /// Whose stamp it has.
        stamped: SiteId,
    },
    /// A record contradicts its table: its key isn't its item's, or the table can't exist.
    #[error("record {index} of site {} contradicts its table: {detail}", from.0)]
    Contradiction {
        /// The peer.
        from: SiteId,
        /// Which of its records, from 0.
        index: usize,
        /// How.
        detail: String,
    },
    /// Storage failed.
    #[error(transparent)]
    Read(#[from] ReadError),
}

/// An item's record and where it belongs here.
struct Placed {
    table: TableId,
    key: Bytes,
    key_attributes: Item,
    state: State,
}

/// An item during an import: as stored, and with what has been merged into it.
struct Folded {
    stored: Option<State>,
    state: Option<State>,
    changed: bool,
}

impl<E: Engine> Tables<E> {
    /// Makes a batch of a peer's records. The caller adds the peer's cursor, commits it, and
    /// gives the guard to [`Tables::imported`].
    ///
    /// # Errors
    /// When a record is rubbish, or storage fails. Nothing has been done then.
    pub async fn import(&self, from: SiteId, records: &[Bytes]) -> Result<Import<'_>, ImportError> {
        let records = decode(from, records)?;
        if let Some(until) = parked_until(&records, self.wall()) {
            return Ok(Import::Parked { until });
        }
        let concerns_tables = |record: &Record| !matches!(record, Record::Item { .. });
        let change = match records.iter().any(concerns_tables) {
            true => Some(self.catalogue.change().await),
            false => None,
        };
        let mut staging = Staging::new(&self.catalogue, change);
        let mut summary = Imported::default();
        for (index, record) in records.iter().enumerate() {
            let known = match record {
                Record::Item { .. } => continue,
                Record::Table(table) => {
                    table
                        .check(from)
                        .map_err(|detail| contradiction(from, index, detail))?;
                    self.hear_of_table(&mut staging, from, table)
                }
                Record::CopyDone { group, joined } => {
                    self.hear_of_copy_done(&mut staging, *group, from, *joined)
                }
            };
            summary.dropped += u64::from(!known);
        }
        let placed = self.place_all(&staging, from, records, &mut summary)?;
        self.observe_own(placed.iter().map(|placed| &placed.state.context));
        let items = self
            .locks
            .lock_all(placed.iter().map(|p| p.key.as_ref()))
            .await;
        let mut import = Importer {
            tables: self,
            snapshot: self.engine.snapshot(),
            staging,
            rows: BTreeMap::new(),
            summary,
        };
        let folded = import.fold(placed).await?;
        import.finish(folded, items)
    }

    /// Finds each item's table. Those without one are dropped and counted.
    fn place_all(
        &self,
        staging: &Staging<'_>,
        from: SiteId,
        records: Vec<Record>,
        summary: &mut Imported,
    ) -> Result<Vec<Placed>, ImportError> {
        let mut placed = Vec::with_capacity(records.len());
        for (index, record) in records.into_iter().enumerate() {
            let Record::Item {
                group, key, state, ..
            } = record
            else {
                continue;
            };
            match staging
                .of_group(group)
                .filter(|table| receives(table, self.config.site))
            {
                Some(table) => {
                    let item = place(&table, &key, state);
                    placed.push(item.map_err(|detail| contradiction(from, index, detail))?);
                }
                None => summary.dropped += 1,
            }
        }
        if summary.dropped > 0 {
            tracing::warn!(
                from = from.0,
                records = summary.dropped,
                "dropped records of tables that this Region does not replicate"
            );
        }
        Ok(placed)
    }
}

/// What an import works on.
struct Importer<'a, E: Engine> {
    tables: &'a Tables<E>,
    snapshot: E::Snapshot,
    staging: Staging<'a>,
    rows: BTreeMap<ConflictId, ConflictRecord>,
    summary: Imported,
}

impl<'a, E: Engine> Importer<'a, E> {
    /// Merges every record into the state of its item, in the order of the records.
    async fn fold(
        &mut self,
        placed: Vec<Placed>,
    ) -> Result<BTreeMap<Bytes, (TableId, Folded)>, ImportError> {
        let mut folded: BTreeMap<Bytes, (TableId, Folded)> = BTreeMap::new();
        for item in placed {
            // The catalogue again, now under the item's lock: the table may have been dropped.
            let table = self.staging.table(item.table);
            let Some(table) = table.filter(|table| receives(table, self.tables.config.site)) else {
                self.summary.dropped += 1;
                continue;
            };
            if !folded.contains_key(&item.key) {
                let stored = read_state(&self.snapshot, &item.key).await?;
                let fold = Folded {
                    state: stored.clone(),
                    stored,
                    changed: false,
                };
                folded.insert(item.key.clone(), (item.table, fold));
            }
            let (_, fold) = folded.get_mut(&item.key).expect("it was just inserted");
            let merged = merge(fold.state.take(), item.state, self.tables.config.planted);
            fold.state = Some(merged.state);
            fold.changed |= merged.changed;
            match merged.outcome {
                Outcome::Take => self.summary.taken += 1,
                Outcome::Keep => self.summary.kept += 1,
                Outcome::Duplicate => self.summary.duplicates += 1,
            }
            if let Some(conflict) = merged.conflict {
                self.record(&table, &item.key, item.key_attributes, conflict)
                    .await?;
            }
        }
        Ok(folded)
    }

    /// Puts the beaten state into the ledger, unless it is there. (It is if the table was
    /// removed here and added again: the copy may meet an old acquaintance.)
    async fn record(
        &mut self,
        table: &Table,
        key: &Bytes,
        key_attributes: Item,
        conflict: merge::Conflict,
    ) -> Result<(), ReadError> {
        let group = table.group.as_ref().expect("only replicas import").id;
        let detected = (self.tables.config.site, self.tables.wall());
        let row = ConflictRecord::new(
            group,
            table.full_name(),
            key_attributes,
            key.slice(TABLE_PREFIX..),
            conflict,
            detected,
        );
        if !self.rows.contains_key(&row.id) && !ledger::holds(&self.snapshot, row.id).await? {
            self.summary.conflicts += 1;
            self.rows.insert(row.id, row);
        }
        Ok(())
    }

    /// Writes everything into the batch.
    fn finish(
        mut self,
        folded: BTreeMap<Bytes, (TableId, Folded)>,
        items: KeyGuard,
    ) -> Result<Import<'a>, ImportError> {
        let mut batch = self.staging.stage();
        for (key, (id, fold)) in folded {
            let (Some(table), Some(state)) = (self.staging.table(id), fold.state) else {
                continue;
            };
            if !fold.changed {
                continue;
            }
            let before = fold.stored.as_ref().and_then(State::item);
            index_writes(&table, &key, before, state.item(), &mut batch);
            if fold.stored.as_ref().map(|stored| stored.dot) != Some(state.dot)
                && let Some(change) = owed(&table, self.tables.config.site, &key, state.dot)
            {
                batch.announce(change.encode());
            }
            batch.put(Space::Items, key, encode_state(&state));
        }
        let ledger_bytes = self.rows.values().map(|row| row.stage(&mut batch)).sum();
        let guard = ImportGuard {
            _items: items,
            change: self.staging.change,
            staged: self.staging.changed,
            removed: self.staging.removed,
            anew: self.staging.anew,
            summary: self.summary,
            ledger_bytes,
        };
        Ok(Import::Ready(Box::new(ReadyImport { batch, guard })))
    }
}

fn decode(from: SiteId, records: &[Bytes]) -> Result<Vec<Record>, ImportError> {
    let mut decoded = Vec::with_capacity(records.len());
    for (index, bytes) in records.iter().enumerate() {
        let record =
            Record::decode(bytes).map_err(|cause| ImportError::Record { from, index, cause })?;
        if let Record::Item { state, copy, .. } = &record
            && !copy
            && state.dot.site != from
        {
            return Err(ImportError::Foreign {
                from,
                index,
                stamped: state.dot.site,
            });
        }
        decoded.push(record);
    }
    Ok(decoded)
}

/// When the records will be admissible, if they aren't yet.
fn parked_until(records: &[Record], wall: Timestamp) -> Option<Timestamp> {
    let newest = records
        .iter()
        .filter_map(Record::newest)
        .map(|v: Version| v.time);
    let ahead = newest.max().map_or(Timestamp(0), Hlc::wall);
    let until = Timestamp(ahead.0.saturating_sub(MAX_SKEW.0 / 1000));
    (until > wall).then_some(until)
}

/// Does this site take items of the table? It may have no table for a record, or one it no
/// longer fills, in these cases, and in none of them is a write lost:
/// - The replica is gone, or leaving: it is to have no items.
/// - It isn't made yet: the sender counts this site as a member before this site has heard of
///   it. The sender announces the table before it begins its copy, and the copy brings the item.
/// - The table was deleted everywhere and made anew: that is another group.
fn receives(table: &Table, site: SiteId) -> bool {
    table.is_live()
        && table
            .group
            .as_ref()
            .is_some_and(|group| group.receives(site))
}

/// Where a state belongs: its key here, checked against the table's schema and the item.
fn place(table: &Table, key: &[u8], state: State) -> Result<Placed, String> {
    let mut local = table_prefix(table.id.0);
    local.extend_from_slice(key);
    let decoded = decode_item_key(&local).map_err(|error| error.to_string())?;
    let mut key_attributes = Item::new();
    let schema = &table.schema;
    match (&schema.sort, decoded.sort) {
        (Some(attribute), Some(value)) => {
            key_attributes.insert(attribute.name.clone(), typed(attribute.kind, value)?);
        }
        (None, None) => {}
        _ => return Err("the key has more or fewer parts than the table's".to_owned()),
    }
    let partition = typed(schema.partition.kind, decoded.partition)?;
    key_attributes.insert(schema.partition.name.clone(), partition);
    if let Some(item) = state.item()
        && !key_attributes
            .iter()
            .all(|(name, value)| item.get(name) == Some(value))
    {
        return Err("the item's key attributes are not its key".to_owned());
    }
    Ok(Placed {
        table: table.id,
        key: Bytes::from(local),
        key_attributes,
        state,
    })
}

fn typed(kind: ScalarType, value: AttributeValue) -> Result<AttributeValue, String> {
    if value.attribute_type().tag() == kind.letter() {
        return Ok(value);
    }
    Err("a part of the key is not of the table's type".to_owned())
}

fn contradiction(from: SiteId, index: usize, detail: String) -> ImportError {
    ImportError::Contradiction {
        from,
        index,
        detail,
    }
}
