//! Global tables: replicas in several Regions that each take writes and converge.
//!
//! It knows neither links nor envelopes. `export` turns an announcement of the change log into a
//! record for a peer, `import` turns a peer's records into one batch; the caller moves them.
//! `docs/conflicts.md` says which writes the conflict ledger holds, and why exactly those.

pub mod copy;
pub mod digest;
pub mod export;
pub mod group;
pub mod import;
pub mod ledger;
pub mod membership;
pub mod merge;
pub mod message;
pub mod refill;
pub mod replicas;
pub mod restore;
mod resynchronize;
pub mod shared;

#[cfg(test)]
mod accounts;
#[cfg(test)]
mod losses;
#[cfg(test)]
mod model;
#[cfg(test)]
mod shuttle;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod tombstones;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock};

use store::{Engine, LogPosition, ReadError, Snapshot};
use types::{Monotonic, SiteId};

use crate::{Table, TableId, Tables};
use copy::Pace;
use import::ImportGuard;
use ledger::LedgerSize;
use replicas::ReplicaProbe;

pub use group::{Group, GroupId, Member, MemberPhase};
pub use shared::SettingStamps;

/// What imports did, in records.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Imported {
    /// Became the item's state.
    pub taken: u64,
    /// Were older than the item's state.
    pub kept: u64,
    /// Were the item's state already.
    pub duplicates: u64,
    /// States beaten by a concurrent one, and put into the ledger.
    pub conflicts: u64,
    /// Were of a table that this Region doesn't replicate.
    pub dropped: u64,
}

/// What global tables hold in memory.
pub(crate) struct Global {
    probe: OnceLock<Arc<dyn ReplicaProbe>>,
    /// Held during a step of the background work.
    step: async_lock::Mutex<()>,
    inner: Mutex<Inner>,
}

struct Inner {
    ledger: LedgerSize,
    next_sweep: Monotonic,
    imported: Imported,
    paces: BTreeMap<(TableId, SiteId), Pace>,
    /// Of each table that is leaving its group: the log's head after its last write.
    leaving: BTreeMap<TableId, LogPosition>,
    /// The tables that got their first replica since the start, or are about to.
    founding: BTreeSet<TableId>,
}

impl Global {
    /// As storage says.
    pub(crate) async fn load<S: Snapshot>(snapshot: &S) -> Result<Global, ReadError> {
        let inner = Inner {
            ledger: ledger::measure(snapshot).await?,
            next_sweep: Monotonic(0),
            imported: Imported::default(),
            paces: BTreeMap::new(),
            leaving: BTreeMap::new(),
            founding: BTreeSet::new(),
        };
        Ok(Global {
            probe: OnceLock::new(),
            step: async_lock::Mutex::new(()),
            inner: Mutex::new(inner),
        })
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().expect("nobody panics holding this lock")
    }
}

impl<E: Engine> Tables<E> {
    /// How to ask a peer whether it has a table. Set once, when the link is there; until then
    /// replicas are added without asking.
    pub fn set_replica_probe(&self, probe: Arc<dyn ReplicaProbe>) {
        if self.global.probe.set(probe).is_err() {
            tracing::warn!("the replica probe was set before, and stays as it was");
        }
    }

    /// Call it when an import's batch has been committed: readers see what it did to tables, and
    /// its items are free again.
    pub fn imported(&self, mut guard: ImportGuard<'_>) -> Imported {
        if let Some(change) = &mut guard.change {
            for id in std::mem::take(&mut guard.removed) {
                change.publish_removal(id);
            }
            for table in std::mem::take(&mut guard.staged).into_values() {
                change.publish(Arc::unwrap_or_clone(table));
            }
        }
        let mut state = self.global.lock();
        for copy in &guard.anew {
            state.paces.remove(copy);
        }
        state.ledger.rows += guard.summary.conflicts;
        state.ledger.bytes += guard.ledger_bytes;
        state.imported.add(guard.summary);
        guard.summary
    }

    /// Must a deletion in that table leave a tombstone? Asked under the item's lock.
    pub(crate) fn keeps_tombstones(&self, table: &Table) -> bool {
        table.group.is_some() || self.global.lock().founding.contains(&table.id)
    }

    /// From when this returns, every deletion in that table leaves a tombstone, and none that
    /// doesn't is on its way: it may get its first replica. (Else that could be sent an item, and
    /// never hear that it was removed a moment later by a writer who knew of no replica.)
    pub(crate) async fn keep_tombstones(&self, table: TableId) {
        self.global.lock().founding.insert(table);
        self.locks.barrier().await;
    }

    /// The table got no replica after all.
    pub(crate) fn keep_no_tombstones(&self, table: TableId) {
        self.global.lock().founding.remove(&table);
    }

    /// What imports did since the start.
    pub fn imports(&self) -> Imported {
        self.global.lock().imported
    }
}

impl Imported {
    fn add(&mut self, other: Imported) {
        self.taken += other.taken;
        self.kept += other.kept;
        self.duplicates += other.duplicates;
        self.conflicts += other.conflicts;
        self.dropped += other.dropped;
    }
}
