//! Locks on items, held from the read of an item's state until the commit of its next one.
//!
//! Striped by a fixed hash of the key: two items may share a lock, which costs waiting and
//! nothing else. Whoever needs several takes them in one call, in one order, so that no two
//! callers wait for each other.

use std::sync::Arc;

use async_lock::{Mutex, MutexGuardArc};

/// Number of locks. With 32 writers at once an item waits for a stranger's commit about once in
/// 500 writes.
const STRIPES: usize = 16 * 1024;

/// The locks of a Region's items.
#[derive(Debug)]
pub struct ItemLocks {
    stripes: Vec<Arc<Mutex<()>>>,
}

/// Items that nobody else may write until this is dropped.
#[derive(Debug)]
#[must_use = "the items are free again when this is dropped"]
pub struct ItemGuard {
    _held: Vec<MutexGuardArc<()>>,
}

impl ItemLocks {
    /// All free.
    pub fn new() -> ItemLocks {
        let stripes = (0..STRIPES).map(|_| Arc::new(Mutex::new(()))).collect();
        ItemLocks { stripes }
    }

    /// Waits for the item under that key.
    pub async fn lock(&self, key: &[u8]) -> ItemGuard {
        let guard = self.stripes[stripe(key)].lock_arc().await;
        ItemGuard { _held: vec![guard] }
    }

    /// Waits for all of these items.
    pub async fn lock_all<'a>(&self, keys: impl IntoIterator<Item = &'a [u8]>) -> ItemGuard {
        let mut wanted: Vec<usize> = keys.into_iter().map(stripe).collect();
        wanted.sort_unstable();
        wanted.dedup();
        let mut held = Vec::with_capacity(wanted.len());
        for index in wanted {
            held.push(self.stripes[index].lock_arc().await);
        }
        ItemGuard { _held: held }
    }

    /// Returns when every guard that was held at the call has been dropped. A writer that
    /// checks the catalogue under its lock therefore can't write to a table that was dropped
    /// before this was called.
    pub async fn barrier(&self) {
        for stripe in &self.stripes {
            drop(stripe.lock().await);
        }
    }
}

impl Default for ItemLocks {
    fn default() -> ItemLocks {
        ItemLocks::new()
    }
}

/// FNV-1a (Fowler, Noll, Vo), folded so that every bit counts.
fn stripe(key: &[u8]) -> usize {
    let hash = key.iter().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    });
    ((hash ^ (hash >> 32)) as usize) % STRIPES
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    #[test]
    fn an_item_is_locked_until_its_guard_is_dropped() {
        let locks = ItemLocks::new();
        let guard = locks.lock(b"a").now_or_never().expect("it is free");
        assert!(locks.lock(b"a").now_or_never().is_none());
        assert!(locks.lock(b"b").now_or_never().is_some());
        assert!(locks.barrier().now_or_never().is_none());
        drop(guard);
        assert!(locks.lock(b"a").now_or_never().is_some());
        assert!(locks.barrier().now_or_never().is_some());
    }

    #[test]
    fn the_same_item_twice_is_one_lock() {
        let locks = ItemLocks::new();
        let keys: [&[u8]; 3] = [b"a", b"b", b"a"];
        assert!(locks.lock_all(keys).now_or_never().is_some());
    }
}
