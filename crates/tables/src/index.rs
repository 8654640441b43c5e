//! Secondary indexes: what a change of an item changes in them. An entry's key is the index's
//! key and the item's; its value is the item's key in `Space::Items`, so that a read fetches the
//! item at the same snapshot. An item that lacks a key attribute has no entry.

use bytes::Bytes;
use store::{Batch, Space};

use crate::primary_key::entry_key;
use crate::{Item, Table};

/// Adds to the batch what an item's change from `old` to `new` changes in the table's indexes.
/// Whoever writes an item, by whatever path, must call this with the item that was there.
/// `key` is the item's key in `Space::Items`.
pub fn index_writes(
    table: &Table,
    key: &[u8],
    old: Option<&Item>,
    new: Option<&Item>,
    batch: &mut Batch,
) {
    for index in &table.indexes {
        let before = old.and_then(|item| entry_key(table, index, item));
        let after = new.and_then(|item| entry_key(table, index, item));
        if before == after {
            continue;
        }
        if let Some(entry) = before {
            batch.delete(Space::Indexes, entry);
        }
        if let Some(entry) = after {
            batch.put(Space::Indexes, entry, Bytes::copy_from_slice(key));
        }
    }
}
