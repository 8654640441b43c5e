//! The record, part of every group, of how far the database has come: it is what makes the log's
//! head outlive the log's entries, and a missing group noticeable.

use crate::LogPosition;

/// Its key in `Space::Meta`.
pub(super) const PROGRESS_KEY: &[u8] = b"store/progress";

/// How far the database has come.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) struct Progress {
    /// The number of the newest group, from 1, without gaps.
    pub(super) group: u64,
    /// The change log's head after that group.
    pub(super) head: LogPosition,
}

impl Progress {
    /// Its value: group and head, 8 bytes each, big-endian.
    pub(super) fn encode(self) -> [u8; 16] {
        let mut bytes = [0; 16];
        bytes[..8].copy_from_slice(&self.group.to_be_bytes());
        bytes[8..].copy_from_slice(&self.head.0.to_be_bytes());
        bytes
    }

    /// Reads the value.
    pub(super) fn decode(value: &[u8]) -> Option<Progress> {
        let bytes: [u8; 16] = value.try_into().ok()?;
        let (group, head) = bytes.split_at(8);
        Some(Progress {
            group: u64::from_be_bytes(group.try_into().ok()?),
            head: LogPosition(u64::from_be_bytes(head.try_into().ok()?)),
        })
    }

    /// Reads an entry, if it is this record's.
    pub(super) fn from_entry(key: &[u8], value: &[u8]) -> Option<Progress> {
        (key == PROGRESS_KEY).then(|| Progress::decode(value))?
    }
}
