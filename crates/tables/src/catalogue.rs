//! The tables of a Region: descriptors in `Space::Meta`, and all of them in memory.
//!
//! Reading costs a lock and a lookup, never I/O. Changes are made one at a time: take
//! `change()`, stage descriptors into a batch, commit it, publish. It never reuses a number.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::{Arc, RwLock, RwLockReadGuard};

use async_lock::{Mutex, MutexGuard};
use bytes::Bytes;
use store::{Batch, Direction, KeyRange, ReadError, Snapshot, Space};
use types::AccountId;

use crate::table::DescriptorError;
use crate::{Table, TableId, TableName};

const NEXT_ID: &[u8] = b"tables/next-id";
const DESCRIPTOR: &[u8] = b"tables/descriptor/";
const PURGE: &[u8] = b"tables/purge/";

/// Descriptors read at once when the catalogue is loaded.
const LOAD_CHUNK: usize = 256;

/// The catalogue couldn't be loaded.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CatalogueError {
    /// Storage failed.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// A descriptor is corrupt or newer than this binary.
    #[error(transparent)]
    Descriptor(#[from] DescriptorError),
}

/// The tables of a Region.
#[derive(Debug)]
pub struct Catalogue {
    tables: RwLock<Tables>,
    next: Mutex<TableId>,
}

#[derive(Debug, Default)]
struct Tables {
    by_id: BTreeMap<TableId, Arc<Table>>,
    /// Live ones only, by their owners.
    by_name: BTreeMap<AccountId, BTreeMap<String, Arc<Table>>>,
}

/// The right to change the catalogue. Only one exists at a time; readers don't wait for it.
#[derive(Debug)]
#[must_use = "another change may begin when this is dropped"]
pub struct CatalogueChange<'a> {
    catalogue: &'a Catalogue,
    next: MutexGuard<'a, TableId>,
    allocated: u64,
}

impl Catalogue {
    /// Reads every descriptor.
    pub async fn load<S: Snapshot>(snapshot: &S) -> Result<Catalogue, CatalogueError> {
        let mut tables = Tables::default();
        let mut range = KeyRange::prefix(DESCRIPTOR);
        loop {
            let page = snapshot
                .scan(Space::Meta, range.clone(), Direction::Forward, LOAD_CHUNK)
                .await?;
            for entry in &page.entries {
                tables.insert(Table::decode(&entry.value)?);
            }
            match page.entries.last() {
                Some(last) if page.more => range.start = Bound::Excluded(last.key.clone()),
                _ => break,
            }
        }
        let next = match snapshot.get(Space::Meta, NEXT_ID).await? {
            None => TableId(1),
            Some(bytes) => {
                let id = bytes.as_ref().try_into().map_err(|_| {
                    ReadError::Corrupt("the next table number is not 8 bytes".to_owned())
                })?;
                TableId(u64::from_be_bytes(id))
            }
        };
        Ok(Catalogue {
            tables: RwLock::new(tables),
            next: Mutex::new(next),
        })
    }

    /// The account's live table of that name.
    pub fn named(&self, account: AccountId, name: &str) -> Option<Arc<Table>> {
        self.read().by_name.get(&account)?.get(name).cloned()
    }

    /// The table of that number, whatever its phase.
    pub fn table(&self, id: TableId) -> Option<Arc<Table>> {
        self.read().by_id.get(&id).cloned()
    }

    /// Every table, whatever its phase, in the order of their numbers.
    pub fn all(&self) -> Vec<Arc<Table>> {
        self.read().by_id.values().cloned().collect()
    }

    /// At most `limit` names of an account's live tables after `after`, in order, and whether there
    /// are more.
    pub fn names(
        &self,
        account: AccountId,
        after: Option<&str>,
        limit: usize,
    ) -> (Vec<String>, bool) {
        let start = after.map_or(Bound::Unbounded, Bound::Excluded);
        let tables = self.read();
        let Some(own) = tables.by_name.get(&account) else {
            return (Vec::new(), false);
        };
        let mut rest = own.range::<str, _>((start, Bound::Unbounded));
        let names = rest.by_ref().take(limit).map(|(name, _)| name.clone());
        let names = names.collect();
        (names, rest.next().is_some())
    }

    /// At most `limit` names of live tables, whoever owns them, the owners in order.
    pub fn all_names(&self, limit: usize) -> Vec<TableName> {
        let tables = self.read();
        let live = tables.by_name.values().flat_map(BTreeMap::values);
        live.take(limit).map(|table| table.full_name()).collect()
    }

    /// How many of an account's tables are live.
    pub fn live(&self, account: AccountId) -> usize {
        self.read().by_name.get(&account).map_or(0, BTreeMap::len)
    }

    /// Waits for the right to change the catalogue.
    pub async fn change(&self) -> CatalogueChange<'_> {
        CatalogueChange {
            catalogue: self,
            next: self.next.lock().await,
            allocated: 0,
        }
    }

    fn read(&self) -> RwLockReadGuard<'_, Tables> {
        self.tables.read().expect("nobody panics holding this lock")
    }
}

impl CatalogueChange<'_> {
    /// A number that no table has or had. It counts once the batch is committed and
    /// `published`; until then the same numbers may be given again.
    pub fn allocate(&mut self, batch: &mut Batch) -> TableId {
        let id = TableId(self.next.0 + self.allocated);
        self.allocated += 1;
        let next = self.next.0 + self.allocated;
        batch.put(
            Space::Meta,
            NEXT_ID,
            Bytes::copy_from_slice(&next.to_be_bytes()),
        );
        id
    }

    /// Adds the descriptor to the batch.
    pub fn stage(&self, table: &Table, batch: &mut Batch) {
        batch.put(Space::Meta, descriptor_key(table.id), table.encode());
    }

    /// Adds to the batch that nothing of the table is left.
    pub fn stage_removal(&self, id: TableId, batch: &mut Batch) {
        batch.delete(Space::Meta, descriptor_key(id));
        batch.delete(Space::Meta, purge_key(id));
    }

    /// Shows readers a table whose descriptor has been committed.
    pub fn publish(&mut self, table: Table) -> Arc<Table> {
        self.next.0 += self.allocated;
        self.allocated = 0;
        self.write(|tables| tables.insert(table))
    }

    /// Forgets a table whose removal has been committed.
    pub fn publish_removal(&mut self, id: TableId) {
        self.write(|tables| tables.remove(id));
    }

    fn write<R>(&self, change: impl FnOnce(&mut Tables) -> R) -> R {
        let mut tables = self.catalogue.tables.write();
        change(tables.as_mut().expect("nobody panics holding this lock"))
    }
}

impl Tables {
    fn insert(&mut self, table: Table) -> Arc<Table> {
        self.remove(table.id);
        let table = Arc::new(table);
        self.by_id.insert(table.id, table.clone());
        if table.is_live() {
            let own = self.by_name.entry(table.account).or_default();
            own.insert(table.name.clone(), table.clone());
        }
        table
    }

    fn remove(&mut self, id: TableId) {
        let Some(old) = self.by_id.remove(&id) else {
            return;
        };
        let Some(own) = self.by_name.get_mut(&old.account) else {
            return;
        };
        if own.get(&old.name).is_some_and(|live| live.id == id) {
            own.remove(&old.name);
        }
        if own.is_empty() {
            self.by_name.remove(&old.account);
        }
    }
}

/// Where a table's descriptor is kept in `Space::Meta`.
pub fn descriptor_key(id: TableId) -> Bytes {
    Bytes::from([DESCRIPTOR, &id.0.to_be_bytes()].concat())
}

/// Where the progress of purging a dropped table is kept in `Space::Meta`.
pub fn purge_key(id: TableId) -> Bytes {
    Bytes::from([PURGE, &id.0.to_be_bytes()].concat())
}
