//! What tables announce in their Region's change log, and its bytes.
//!
//! A record says *that* something changed, not to what: shipping reads the current state. It
//! refuses bytes it doesn't know.

use bytes::{BufMut, Bytes, BytesMut};
use types::{Hlc, SiteId, Version};

use crate::TableId;

/// The first byte of every announcement that tables make: the service's tag in the change log.
pub const SERVICE_TAG: u8 = 1;

const ITEM: u8 = 1;
const COPY: u8 = 2;
const COPY_DONE: u8 = 3;
const TABLE: u8 = 4;

/// One record of the change log. An item's `key` is its whole key in `Space::Items`, which
/// begins with the number of its table.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Change {
    /// A local write of an item.
    Item {
        /// Its table.
        table: TableId,
        /// Its key in `Space::Items`.
        key: Bytes,
        /// The version of the write.
        version: Version,
    },
    /// An existing item that a new replica must get.
    Copy {
        /// Its table.
        table: TableId,
        /// Its key in `Space::Items`.
        key: Bytes,
        /// The new replica's site.
        to: SiteId,
    },
    /// Every existing item has been announced to that new replica.
    CopyDone {
        /// The table.
        table: TableId,
        /// The new replica's site.
        to: SiteId,
    },
    /// The table's schema or group changed.
    Table {
        /// The table.
        table: TableId,
    },
}

/// An announcement's bytes make no sense.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("an announcement in the change log is corrupt or of a newer Causeway")]
pub struct UnknownChange;

impl Change {
    /// The announcement: the service's tag, then the record.
    pub fn encode(&self) -> Bytes {
        let mut bytes = BytesMut::with_capacity(64);
        bytes.put_u8(SERVICE_TAG);
        match self {
            Change::Item { key, version, .. } => {
                bytes.put_u8(ITEM);
                bytes.put_u64(version.time.0);
                bytes.put_u16(version.site.0);
                bytes.put_slice(key);
            }
            Change::Copy { key, to, .. } => {
                bytes.put_u8(COPY);
                bytes.put_u16(to.0);
                bytes.put_slice(key);
            }
            Change::CopyDone { table, to } => {
                bytes.put_u8(COPY_DONE);
                bytes.put_u16(to.0);
                bytes.put_u64(table.0);
            }
            Change::Table { table } => {
                bytes.put_u8(TABLE);
                bytes.put_u64(table.0);
            }
        }
        bytes.freeze()
    }

    /// The record in an announcement whose service tag has been taken off.
    pub fn decode(record: &[u8]) -> Result<Change, UnknownChange> {
        let (kind, rest) = record.split_first().ok_or(UnknownChange)?;
        match *kind {
            ITEM => {
                let (time, rest) = rest.split_first_chunk().ok_or(UnknownChange)?;
                let (site, key) = rest.split_first_chunk().ok_or(UnknownChange)?;
                Ok(Change::Item {
                    table: table_of(key)?,
                    key: Bytes::copy_from_slice(key),
                    version: Version {
                        time: Hlc(u64::from_be_bytes(*time)),
                        site: SiteId(u16::from_be_bytes(*site)),
                    },
                })
            }
            COPY => {
                let (to, key) = rest.split_first_chunk().ok_or(UnknownChange)?;
                Ok(Change::Copy {
                    table: table_of(key)?,
                    key: Bytes::copy_from_slice(key),
                    to: SiteId(u16::from_be_bytes(*to)),
                })
            }
            COPY_DONE => {
                let (to, table) = rest.split_first_chunk().ok_or(UnknownChange)?;
                Ok(Change::CopyDone {
                    table: exactly(table)?,
                    to: SiteId(u16::from_be_bytes(*to)),
                })
            }
            TABLE => Ok(Change::Table {
                table: exactly(rest)?,
            }),
            _ => Err(UnknownChange),
        }
    }
}

/// The table an item's key belongs to.
fn table_of(key: &[u8]) -> Result<TableId, UnknownChange> {
    let (id, _) = key.split_first_chunk().ok_or(UnknownChange)?;
    Ok(TableId(u64::from_be_bytes(*id)))
}

fn exactly(bytes: &[u8]) -> Result<TableId, UnknownChange> {
    let id = bytes.try_into().map_err(|_| UnknownChange)?;
    Ok(TableId(u64::from_be_bytes(id)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn every_kind() -> Vec<(Change, &'static [u8])> {
        let key = Bytes::from_static(b"\0\0\0\0\0\0\0\x07key");
        let version = Version {
            time: Hlc(0x0102),
            site: SiteId(3),
        };
        let (table, to) = (TableId(7), SiteId(9));
        vec![
            (
                Change::Item {
                    table,
                    key: key.clone(),
                    version,
                },
                b"\x01\x01\0\0\0\0\0\0\x01\x02\0\x03\0\0\0\0\0\0\0\x07key",
            ),
            (
                Change::Copy { table, key, to },
                b"\x01\x02\0\x09\0\0\0\0\0\0\0\x07key",
            ),
            (
                Change::CopyDone { table, to },
                b"\x01\x03\0\x09\0\0\0\0\0\0\0\x07",
            ),
            (Change::Table { table }, b"\x01\x04\0\0\0\0\0\0\0\x07"),
        ]
    }

    #[test]
    fn announcements_have_these_bytes() {
        for (change, golden) in every_kind() {
            assert_eq!(change.encode(), golden, "{change:?}");
            assert_eq!(Change::decode(&golden[1..]), Ok(change));
        }
    }

    #[test]
    fn rubbish_is_refused() {
        for rubbish in [&b""[..], b"\x09", b"\x01\0", b"\x02\0\x01short", b"\x04\0"] {
            assert_eq!(Change::decode(rubbish), Err(UnknownChange), "{rubbish:?}");
        }
    }
}
