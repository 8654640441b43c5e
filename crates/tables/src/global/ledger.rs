//! The conflict ledger: every state that replication beat, with its full image, kept in this
//! Region where it was detected.
//!
//! A row's identity is made from the global table, the item's key and the beaten state's dot,
//! so that every Region that detects the conflict derives the same one, and a state is in the
//! ledger once however often and wherever it is beaten. (When three Regions meet the beaten
//! state in different orders, each row names the winner that *its* Region saw.)
//! Rows are written in the batch that beats the state, and never changed.

use std::fmt;
use std::ops::Bound;
use std::str::FromStr;

use bytes::Bytes;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use store::{Batch, Direction, KeyRange, ReadError, Snapshot, Space};
use types::{ByteSize, Deployment, SiteId, Span, Timestamp, Version};

use super::group::GroupId;
use super::merge;
use crate::{
    Content, Item, State, TableName, decode_item, decode_state, encode_item, encode_state,
};

/// How long a row is kept (reference: 24 hours, as Streams, to 30 days).
pub const RETENTION: Span = Span::seconds(30 * 24 * 3600);

/// Bytes of rows above which the oldest are dropped, and counted as dropped.
pub const MAX_BYTES: ByteSize = ByteSize::mib(256);

/// Rows removed in one batch.
pub const SWEEP_ROWS: usize = 256;

/// Rows that one page of a listing may have.
pub const MAX_PAGE: usize = 1000;

/// The first byte of a stored row: its format version.
pub const ROW_FORMAT: u8 = 1;

const ROW: u8 = b'r';
const BY_TIME: u8 = b't';
const DROPPED: &[u8] = b"d";

/// A row's identity: 128 bits, shown as 32 hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct ConflictId(pub [u8; 16]);

/// The text is no conflict's identity.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "'{0}' is no conflict id: it has 32 hexadecimal digits, as `causeway conflicts list` shows"
)]
pub struct NoConflictId(pub String);

/// One beaten state.
#[derive(Clone, PartialEq, Debug)]
pub struct ConflictRecord {
    /// Its identity, the same in every Region that detects it.
    pub id: ConflictId,
    /// The table.
    pub table: TableName,
    /// The global table.
    pub group: GroupId,
    /// The item's key attributes.
    pub key: Item,
    /// The item's encoded key, without the table's number.
    pub encoded_key: Bytes,
    /// The state that stayed or replaced it here.
    pub winner: State,
    /// The beaten state.
    pub loser: State,
    /// The Region that this row was written in.
    pub detected_in: SiteId,
    /// When, by that Region's clock.
    pub detected_at: Timestamp,
}

/// What a listing should show.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct ConflictFilter {
    /// Only of the table of this name, as [`TableName`] is text.
    pub table: Option<String>,
    /// Only those detected at or after.
    pub since: Option<Timestamp>,
    /// Only those detected before.
    pub until: Option<Timestamp>,
}

/// A part of a listing, newest first.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct ConflictPage {
    /// The rows.
    pub conflicts: Vec<ConflictRecord>,
    /// Where the next page begins; none if this was the last.
    pub next: Option<ConflictCursor>,
}

/// A place in a listing: after which row it goes on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ConflictCursor {
    /// When that row was detected.
    pub detected_at: Timestamp,
    /// That row.
    pub id: ConflictId,
}

/// How much the ledger holds.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct LedgerSize {
    /// Rows.
    pub rows: u64,
    /// Bytes of their stored form.
    pub bytes: u64,
    /// Rows dropped since ever because the ledger had grown past its limit.
    pub dropped: u64,
}

impl ConflictId {
    /// The identity of the row for a state beaten.
    pub fn of(group: GroupId, encoded_key: &[u8], loser: Version) -> ConflictId {
        let mut hash = Sha256::new();
        hash.update(b"causeway conflict 1");
        hash.update(group.0.to_be_bytes());
        hash.update((encoded_key.len() as u64).to_be_bytes());
        hash.update(encoded_key);
        hash.update(loser.time.0.to_be_bytes());
        hash.update(loser.site.0.to_be_bytes());
        let digest: [u8; 32] = hash.finalize().into();
        let (id, _) = digest.split_first_chunk().expect("a digest has 32 bytes");
        ConflictId(*id)
    }
}

impl ConflictRecord {
    /// The row for a conflict.
    pub fn new(
        group: GroupId,
        table: TableName,
        key: Item,
        encoded_key: Bytes,
        conflict: merge::Conflict,
        detected: (SiteId, Timestamp),
    ) -> ConflictRecord {
        ConflictRecord {
            id: ConflictId::of(group, &encoded_key, conflict.loser.dot),
            table,
            group,
            key,
            encoded_key,
            winner: conflict.winner,
            loser: conflict.loser,
            detected_in: detected.0,
            detected_at: detected.1,
        }
    }

    /// What beat what: `put/delete` is a put that beat a delete.
    pub fn kind(&self) -> &'static str {
        match (&self.winner.content, &self.loser.content) {
            (Content::Item(_), Content::Item(_)) => "put/put",
            (Content::Item(_), Content::Tombstone) => "put/delete",
            (Content::Tombstone, Content::Item(_)) => "delete/put",
            (Content::Tombstone, Content::Tombstone) => "delete/delete",
        }
    }

    /// The row as JSON. Times are milliseconds since the epoch, items are in DynamoDB's JSON,
    /// the image of a delete is the string `DELETE`.
    pub fn to_json(&self, deployment: &Deployment) -> Value {
        let region = |site| {
            let region = deployment.region_of(site);
            region.map_or_else(|| format!("site {}", site.0), |region| region.to_string())
        };
        let side = |state: &State| {
            let image = match &state.content {
                Content::Item(item) => {
                    serde_json::to_value(item).expect("an item has string keys only")
                }
                Content::Tombstone => Value::from("DELETE"),
            };
            json!({
                "version": state.dot.to_string(),
                "region": region(state.dot.site),
                "time": state.dot.time.wall().0,
                "image": image,
            })
        };
        json!({
            "id": self.id.to_string(),
            "table": self.table.to_string(),
            "key": serde_json::to_value(&self.key).expect("an item has string keys only"),
            "kind": self.kind(),
            "winner": side(&self.winner),
            "loser": side(&self.loser),
            "detectedIn": region(self.detected_in),
            "detectedAt": self.detected_at.0,
        })
    }

    /// Adds the row to the batch, and returns its size in bytes.
    pub fn stage(&self, batch: &mut Batch) -> u64 {
        let row = self.encode();
        let size = row.len() as u64;
        batch.put(
            Space::Conflicts,
            time_key(self.detected_at, self.id),
            Bytes::copy_from_slice(&size.to_be_bytes()),
        );
        batch.put(Space::Conflicts, row_key(self.id), row);
        size
    }

    fn encode(&self) -> Bytes {
        let mut out = vec![ROW_FORMAT];
        out.extend_from_slice(&self.group.0.to_be_bytes());
        out.extend_from_slice(&self.detected_in.0.to_be_bytes());
        out.extend_from_slice(&self.detected_at.0.to_be_bytes());
        put_sized(&mut out, self.table.to_string().as_bytes());
        put_sized(&mut out, &self.encoded_key);
        put_sized(&mut out, &encode_item(&self.key));
        put_sized(&mut out, &encode_state(&self.winner));
        put_sized(&mut out, &encode_state(&self.loser));
        Bytes::from(out)
    }

    fn decode(id: ConflictId, bytes: &[u8]) -> Result<ConflictRecord, ReadError> {
        match bytes.split_first() {
            Some((&ROW_FORMAT, rest)) => Self::decode_fields(id, rest)
                .ok_or_else(|| ReadError::Corrupt(format!("row {id} of the conflict ledger"))),
            Some((format, _)) => Err(ReadError::Corrupt(format!(
                "row {id} of the conflict ledger has format version {format}; this binary \
                 understands up to {ROW_FORMAT}"
            ))),
            None => Err(ReadError::Corrupt(format!("row {id} is empty"))),
        }
    }

    fn decode_fields(id: ConflictId, bytes: &[u8]) -> Option<ConflictRecord> {
        let (group, rest) = bytes.split_first_chunk()?;
        let (site, rest) = rest.split_first_chunk()?;
        let (time, rest) = rest.split_first_chunk()?;
        let (table, rest) = take_sized(rest)?;
        let (encoded_key, rest) = take_sized(rest)?;
        let (key, rest) = take_sized(rest)?;
        let (winner, rest) = take_sized(rest)?;
        let (loser, rest) = take_sized(rest)?;
        if !rest.is_empty() {
            return None;
        }
        let Ok(table) = std::str::from_utf8(table).ok()?.parse();
        Some(ConflictRecord {
            id,
            table,
            group: GroupId(u128::from_be_bytes(*group)),
            key: decode_item(key).ok()?,
            encoded_key: Bytes::copy_from_slice(encoded_key),
            winner: decode_state(winner).ok()?,
            loser: decode_state(loser).ok()?,
            detected_in: SiteId(u16::from_be_bytes(*site)),
            detected_at: Timestamp(u64::from_be_bytes(*time)),
        })
    }
}

/// The row of that identity.
pub async fn show<S: Snapshot>(
    snapshot: &S,
    id: ConflictId,
) -> Result<Option<ConflictRecord>, ReadError> {
    let row = snapshot.get(Space::Conflicts, &row_key(id)).await?;
    row.map(|row| ConflictRecord::decode(id, &row)).transpose()
}

/// Rows that pass the filter, newest first, at most `limit` (1 to `MAX_PAGE`).
pub async fn list<S: Snapshot>(
    snapshot: &S,
    filter: &ConflictFilter,
    after: Option<ConflictCursor>,
    limit: usize,
) -> Result<ConflictPage, ReadError> {
    let limit = limit.clamp(1, MAX_PAGE);
    let mut range = listed_range(filter, after);
    let mut page = ConflictPage::default();
    if is_empty(&range) {
        return Ok(page);
    }
    loop {
        let found = snapshot
            .scan(Space::Conflicts, range.clone(), Direction::Backward, limit)
            .await?;
        for entry in &found.entries {
            let cursor = parse_time_key(&entry.key)?;
            if page.conflicts.len() == limit {
                return Ok(page);
            }
            let row = show(snapshot, cursor.id).await?.ok_or_else(|| {
                ReadError::Corrupt(format!(
                    "the ledger lists {} and has no such row",
                    cursor.id
                ))
            })?;
            let wanted = filter.table.as_ref();
            if wanted.is_none_or(|table| *table == row.table.to_string()) {
                page.conflicts.push(row);
                page.next = Some(cursor);
            }
        }
        match found.entries.last() {
            Some(last) if found.more => range.end = Bound::Excluded(last.key.clone()),
            _ => {
                page.next = None;
                return Ok(page);
            }
        }
    }
}

/// Counts what the ledger holds.
pub async fn measure<S: Snapshot>(snapshot: &S) -> Result<LedgerSize, ReadError> {
    const CHUNK: usize = 1024;
    let mut size = LedgerSize {
        dropped: dropped(snapshot).await?,
        ..LedgerSize::default()
    };
    let mut range = KeyRange::prefix(&[BY_TIME]);
    loop {
        let page = snapshot
            .scan(Space::Conflicts, range.clone(), Direction::Forward, CHUNK)
            .await?;
        for entry in &page.entries {
            size.rows += 1;
            size.bytes += row_size(&entry.value)?;
        }
        match page.entries.last() {
            Some(last) if page.more => range.start = Bound::Excluded(last.key.clone()),
            _ => return Ok(size),
        }
    }
}

/// The batch that removes the oldest rows past their retention, or beyond the size limit (those
/// count as dropped), at most `SWEEP_ROWS`; and what the ledger holds after it.
pub async fn sweep<S: Snapshot>(
    snapshot: &S,
    size: LedgerSize,
    now: Timestamp,
    limit: ByteSize,
) -> Result<(Batch, LedgerSize), ReadError> {
    let page = snapshot
        .scan(
            Space::Conflicts,
            KeyRange::prefix(&[BY_TIME]),
            Direction::Forward,
            SWEEP_ROWS,
        )
        .await?;
    let mut batch = Batch::new();
    let mut left = size;
    for entry in page.entries {
        let row = parse_time_key(&entry.key)?;
        let expired = row.detected_at.0.saturating_add(RETENTION.0 / 1000) <= now.0;
        if !expired && left.bytes <= limit.0 {
            break;
        }
        left.dropped += u64::from(!expired);
        left.rows = left.rows.saturating_sub(1);
        left.bytes = left.bytes.saturating_sub(row_size(&entry.value)?);
        batch.delete(Space::Conflicts, row_key(row.id));
        batch.delete(Space::Conflicts, entry.key);
    }
    if left.dropped != size.dropped {
        let count = Bytes::copy_from_slice(&left.dropped.to_be_bytes());
        batch.put(Space::Conflicts, DROPPED, count);
    }
    Ok((batch, left))
}

/// Is that state in the ledger already?
pub async fn holds<S: Snapshot>(snapshot: &S, id: ConflictId) -> Result<bool, ReadError> {
    Ok(snapshot
        .get(Space::Conflicts, &row_key(id))
        .await?
        .is_some())
}

async fn dropped<S: Snapshot>(snapshot: &S) -> Result<u64, ReadError> {
    match snapshot.get(Space::Conflicts, DROPPED).await? {
        None => Ok(0),
        Some(count) => row_size(&count),
    }
}

fn listed_range(filter: &ConflictFilter, after: Option<ConflictCursor>) -> KeyRange {
    let all = KeyRange::prefix(&[BY_TIME]);
    let bound = |time: Timestamp| Bytes::from([&[BY_TIME][..], &time.0.to_be_bytes()].concat());
    let start = match filter.since {
        Some(since) => Bound::Included(bound(since)),
        None => all.start,
    };
    let end = match (after, filter.until) {
        (Some(after), _) => Bound::Excluded(time_key(after.detected_at, after.id)),
        (None, Some(until)) => Bound::Excluded(bound(until)),
        (None, None) => all.end,
    };
    KeyRange { start, end }
}

/// Does it end before it begins? (Which times a caller names is the caller's to say.)
fn is_empty(range: &KeyRange) -> bool {
    let key = |bound: &Bound<Bytes>| match bound {
        Bound::Included(key) | Bound::Excluded(key) => Some(key.clone()),
        Bound::Unbounded => None,
    };
    match (key(&range.start), key(&range.end)) {
        (Some(start), Some(end)) => start >= end,
        _ => false,
    }
}

fn row_key(id: ConflictId) -> Bytes {
    Bytes::from([&[ROW][..], &id.0].concat())
}

fn time_key(detected_at: Timestamp, id: ConflictId) -> Bytes {
    Bytes::from([&[BY_TIME][..], &detected_at.0.to_be_bytes(), &id.0].concat())
}

fn parse_time_key(key: &[u8]) -> Result<ConflictCursor, ReadError> {
    let parse = || {
        let rest = key.strip_prefix(&[BY_TIME])?;
        let (time, id) = rest.split_first_chunk()?;
        Some(ConflictCursor {
            detected_at: Timestamp(u64::from_be_bytes(*time)),
            id: ConflictId(id.try_into().ok()?),
        })
    };
    parse().ok_or_else(|| ReadError::Corrupt("a key of the conflict ledger".to_owned()))
}

fn row_size(value: &[u8]) -> Result<u64, ReadError> {
    let size = value
        .try_into()
        .map_err(|_| ReadError::Corrupt("a number in the conflict ledger".to_owned()))?;
    Ok(u64::from_be_bytes(size))
}

fn put_sized(out: &mut Vec<u8>, bytes: &[u8]) {
    let length = u32::try_from(bytes.len()).expect("states and keys are far below 4 GiB");
    out.extend_from_slice(&length.to_be_bytes());
    out.extend_from_slice(bytes);
}

fn take_sized(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = bytes.split_first_chunk()?;
    rest.split_at_checked(u32::from_be_bytes(*length) as usize)
}

impl fmt::Display for ConflictId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", u128::from_be_bytes(self.0))
    }
}

impl FromStr for ConflictId {
    type Err = NoConflictId;

    fn from_str(text: &str) -> Result<Self, NoConflictId> {
        let digits = text.len() == 32 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        let number = digits
            .then(|| u128::from_str_radix(text, 16).ok())
            .flatten();
        number
            .map(|number| ConflictId(number.to_be_bytes()))
            .ok_or_else(|| NoConflictId(text.to_owned()))
    }
}

impl fmt::Display for ConflictCursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.detected_at.0, self.id)
    }
}

impl FromStr for ConflictCursor {
    type Err = NoConflictId;

    fn from_str(text: &str) -> Result<Self, NoConflictId> {
        let parse = || {
            let (time, id) = text.split_once('.')?;
            Some(ConflictCursor {
                detected_at: Timestamp(time.parse().ok()?),
                id: id.parse().ok()?,
            })
        };
        parse().ok_or_else(|| NoConflictId(text.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use store::{Engine, MemoryEngine};
    use types::Hlc;

    use super::*;
    use crate::AttributeValue;
    use crate::global::shuttle::ready;

    fn version(time: u64, site: u16) -> Version {
        Version {
            time: Hlc(time),
            site: SiteId(site),
        }
    }

    fn row(number: u64, table: &str, at: u64) -> ConflictRecord {
        let item = Item::from([("id".to_owned(), AttributeValue::String("a".to_owned()))]);
        let conflict = merge::Conflict {
            winner: State::next(None, version(number + 1, 2), Content::Tombstone),
            loser: State::next(None, version(number, 1), Content::Item(item.clone())),
        };
        let detected = (SiteId(2), Timestamp(at));
        let key = Bytes::from_static(b"key");
        ConflictRecord::new(
            GroupId(7),
            table.parse().unwrap(),
            item,
            key,
            conflict,
            detected,
        )
    }

    fn store(engine: &MemoryEngine, rows: &[ConflictRecord]) -> LedgerSize {
        let mut batch = Batch::new();
        for row in rows {
            row.stage(&mut batch);
        }
        ready(engine.commit(batch)).unwrap();
        ready(measure(&engine.snapshot())).unwrap()
    }

    #[test]
    fn both_regions_that_meet_a_beaten_state_derive_the_same_identity() {
        let id = ConflictId::of(GroupId(7), b"key", version(5, 1));
        assert_eq!(id.to_string(), "31e46d7f8ec5b828cfd4ec1e0791dd41");
        for other in [
            ConflictId::of(GroupId(8), b"key", version(5, 1)),
            ConflictId::of(GroupId(7), b"kez", version(5, 1)),
            ConflictId::of(GroupId(7), b"key", version(5, 2)),
            ConflictId::of(GroupId(7), b"key", version(6, 1)),
        ] {
            assert_ne!(id, other);
        }
        assert_eq!(id.to_string().parse(), Ok(id));
        for text in [
            "",
            "12",
            "zze46d7f8ec5b828cfd4ec1e0791dd41",
            "+0e46d7f8ec5b828cfd4ec1e0791dd41",
        ] {
            assert_eq!(
                text.parse::<ConflictId>(),
                Err(NoConflictId(text.to_owned()))
            );
        }
    }

    #[test]
    fn a_row_reads_as_it_was_written_and_damage_is_noticed() {
        let engine = MemoryEngine::new();
        let row = row(5, "Orders", 100);
        store(&engine, std::slice::from_ref(&row));
        assert_eq!(
            ready(show(&engine.snapshot(), row.id)),
            Ok(Some(row.clone()))
        );
        assert_eq!(row.kind(), "delete/put");
        let bytes = row.encode();
        for length in 0..bytes.len() {
            assert!(
                ConflictRecord::decode(row.id, &bytes[..length]).is_err(),
                "{length}"
            );
        }
        let newer = [&[2], &bytes[1..]].concat();
        assert!(ConflictRecord::decode(row.id, &newer).is_err());
    }

    #[test]
    fn a_listing_is_newest_first_filtered_and_paged() {
        let engine = MemoryEngine::new();
        let rows: Vec<_> = (1..=10)
            .map(|n| row(n, if n % 2 == 0 { "Even" } else { "Odd" }, 100 + n))
            .collect();
        store(&engine, &rows);
        let snapshot = engine.snapshot();
        let times = |page: &ConflictPage| -> Vec<u64> {
            page.conflicts.iter().map(|row| row.detected_at.0).collect()
        };
        let all = ConflictFilter::default();
        let first = ready(list(&snapshot, &all, None, 4)).unwrap();
        assert_eq!(times(&first), [110, 109, 108, 107]);
        let cursor = first.next.unwrap();
        assert_eq!(cursor.to_string().parse(), Ok(cursor));
        let second = ready(list(&snapshot, &all, Some(cursor), 6)).unwrap();
        assert_eq!(times(&second), [106, 105, 104, 103, 102, 101]);
        assert_eq!(second.next, None);
        let even = ConflictFilter {
            table: Some("Even".to_owned()),
            since: Some(Timestamp(104)),
            until: Some(Timestamp(108)),
        };
        let page = ready(list(&snapshot, &even, None, 2)).unwrap();
        assert_eq!((times(&page), page.next), (vec![106, 104], None));
        let nothing = ConflictFilter {
            since: Some(Timestamp(108)),
            until: Some(Timestamp(104)),
            ..even
        };
        assert_eq!(
            ready(list(&snapshot, &nothing, None, 2)).unwrap(),
            ConflictPage::default()
        );
    }

    #[test]
    fn old_rows_expire_and_rows_beyond_the_limit_are_dropped_and_counted() {
        let engine = MemoryEngine::new();
        let rows: Vec<_> = (1..=10).map(|n| row(n, "Orders", 1000 * n)).collect();
        let size = store(&engine, &rows);
        assert_eq!(size.rows, 10);
        let each = size.bytes / 10;
        // Three are past their retention; of the rest, two too many.
        let now = Timestamp(RETENTION.0 / 1000 + 3000);
        let limit = ByteSize(each * 5);
        let (batch, left) = ready(sweep(&engine.snapshot(), size, now, limit)).unwrap();
        assert_eq!((left.rows, left.dropped), (5, 2));
        ready(engine.commit(batch)).unwrap();
        assert_eq!(ready(measure(&engine.snapshot())), Ok(left));
        let page = ready(list(
            &engine.snapshot(),
            &ConflictFilter::default(),
            None,
            10,
        ));
        assert_eq!(page.unwrap().conflicts.len(), 5);
        let (batch, same) = ready(sweep(&engine.snapshot(), left, now, limit)).unwrap();
        assert!(batch.is_empty() && same == left);
    }
}
