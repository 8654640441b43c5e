//! Reading a page of a table or an index: in key order, from a range, up to a limit of items or
//! a megabyte. Memory is bounded by the page, whatever the items' sizes.

use std::ops::Bound;

use bytes::Bytes;
use store::{Direction, Engine, Entry, KeyRange, ReadError, Snapshot, Space};

use crate::capacity::projected_size;
use crate::primary_key::key_attributes;
use crate::table::{Index, IndexKind, Table};
use crate::write::read_state;
use crate::{
    Content, Item, Tables, TablesError, after_prefix, decode_state, index_prefix, item_size,
    limits, table_prefix,
};

/// Entries asked for first: items may have 400 KB, so that this many have 12 MB.
const FIRST_CHUNK: usize = 32;
/// Entries asked for at most, once their size is known.
const GREATEST_CHUNK: usize = 1024;

/// What is read: a table, or one of its indexes.
#[derive(Clone, Copy)]
pub(crate) struct Source<'a> {
    pub(crate) table: &'a Table,
    pub(crate) index: Option<&'a Index>,
}

/// Which part of it.
pub(crate) struct Extent {
    /// The keys, of items or of index entries.
    pub(crate) range: KeyRange,
    /// In which order.
    pub(crate) direction: Direction,
    /// Items looked at, at most.
    pub(crate) limit: Option<usize>,
}

/// Where a page ended.
pub(crate) struct PageEnd {
    /// Items looked at.
    pub(crate) scanned: usize,
    /// Their size, as the source shows them.
    pub(crate) bytes: usize,
    /// `LastEvaluatedKey`: absent when the range is exhausted.
    pub(crate) last: Option<Item>,
}

impl<'a> Source<'a> {
    /// The table, or its index of that name.
    pub(crate) fn of(table: &'a Table, index: Option<&str>) -> Result<Source<'a>, TablesError> {
        let index = match index {
            None => None,
            Some(name) => Some(table.index(name).ok_or_else(|| {
                TablesError::Validation(format!(
                    "The table does not have the specified index: {name}"
                ))
            })?),
        };
        Ok(Source { table, index })
    }

    /// What all of its keys begin with.
    pub(crate) fn prefix(self) -> Vec<u8> {
        match self.index {
            None => table_prefix(self.table.id.0),
            Some(index) => index_prefix(self.table.id.0, index.id.0),
        }
    }

    /// Is it a global secondary index?
    pub(crate) fn is_global_index(self) -> bool {
        self.index
            .is_some_and(|index| index.kind == IndexKind::Global)
    }

    /// The keys of one of `total` equal parts of the hash space.
    pub(crate) fn segment(self, segment: u32, total: u32) -> KeyRange {
        let boundary = |part: u32| (u64::from(part) << 32).div_ceil(u64::from(total));
        let prefix = self.prefix();
        let at = |part: u32| match u32::try_from(boundary(part)) {
            Ok(hash) => Some([&prefix[..], &hash.to_be_bytes()].concat()),
            // The boundary after the last part is beyond every hash.
            Err(_) => after_prefix(&prefix),
        };
        let start = at(segment).map_or(Bound::Unbounded, |key| Bound::Included(key.into()));
        let end = at(segment + 1).map_or(Bound::Unbounded, |key| Bound::Excluded(key.into()));
        KeyRange { start, end }
    }

    fn space(self) -> Space {
        match self.index {
            None => Space::Items,
            Some(_) => Space::Indexes,
        }
    }

    fn size(self, item: &Item) -> usize {
        match self.index {
            None => item_size(item),
            Some(index) => projected_size(self.table, index, item),
        }
    }
}

impl Extent {
    /// Continues after that key: moves the bound that the order comes from, and leaves the
    /// other.
    pub(crate) fn after(&mut self, key: Vec<u8>) {
        let bound = Bound::Excluded(Bytes::from(key));
        match self.direction {
            Direction::Forward => self.range.start = bound,
            Direction::Backward => self.range.end = bound,
        }
    }

    /// Is that key in it?
    pub(crate) fn contains(&self, key: &[u8]) -> bool {
        let from = match &self.range.start {
            Bound::Included(start) => key >= &start[..],
            Bound::Excluded(start) => key > &start[..],
            Bound::Unbounded => true,
        };
        let to = match &self.range.end {
            Bound::Included(end) => key <= &end[..],
            Bound::Excluded(end) => key < &end[..],
            Bound::Unbounded => true,
        };
        from && to
    }
}

impl<E: Engine> Tables<E> {
    /// Gives the items of a page, whole, to `visit`, which may refuse one with an error.
    pub(crate) async fn read_page(
        &self,
        source: Source<'_>,
        mut extent: Extent,
        mut visit: impl FnMut(Item) -> Result<(), TablesError> + Send,
    ) -> Result<PageEnd, TablesError> {
        let snapshot = self.engine.snapshot();
        let mut end = PageEnd {
            scanned: 0,
            bytes: 0,
            last: None,
        };
        let mut chunk = FIRST_CHUNK;
        loop {
            if let Some(limit) = extent.limit {
                chunk = chunk.min(limit - end.scanned);
            }
            let (space, range) = (source.space(), extent.range.clone());
            let page = snapshot
                .scan(space, range, extent.direction, chunk.max(1))
                .await?;
            let last = page.entries.last().map(|entry| entry.key.to_vec());
            for entry in page.entries {
                let Some(item) = read_entry(&snapshot, source, entry).await? else {
                    continue;
                };
                end.scanned += 1;
                end.bytes += source.size(&item);
                let full = end.bytes >= limits::PAGE_SIZE
                    || extent.limit.is_some_and(|limit| end.scanned >= limit);
                if full {
                    end.last = Some(key_attributes(source.table, source.index, &item));
                }
                visit(item)?;
                if full {
                    return Ok(end);
                }
            }
            match last {
                Some(last) if page.more => extent.after(last),
                _ => return Ok(end),
            }
            chunk = next_chunk(&end);
        }
    }
}

/// As many entries as probably fill the page.
fn next_chunk(end: &PageEnd) -> usize {
    let average = end.bytes / end.scanned.max(1);
    let room = limits::PAGE_SIZE.saturating_sub(end.bytes);
    (room / average.max(1) + 1).clamp(1, GREATEST_CHUNK)
}

/// The item of an entry; none for a tombstone.
async fn read_entry<S: Snapshot>(
    snapshot: &S,
    source: Source<'_>,
    entry: Entry,
) -> Result<Option<Item>, ReadError> {
    if source.index.is_none() {
        let state = decode_state(&entry.value)
            .map_err(|error| ReadError::Corrupt(format!("an item's state: {error}")))?;
        return Ok(state.content.into_item());
    }
    let state = read_state(snapshot, &entry.value).await?;
    match state.map(|state| state.content) {
        Some(Content::Item(item)) => Ok(Some(item)),
        _ => Err(ReadError::Corrupt(
            "an index entry leads to no item".to_owned(),
        )),
    }
}
