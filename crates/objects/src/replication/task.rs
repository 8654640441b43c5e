//! Rows of replication: what is still to be told to a site, and what was received of a version
//! that isn't whole. It carries nothing out.

use bytes::{BufMut, Bytes, BytesMut};
use serde::{Deserialize, Serialize};
use types::{SiteId, Timestamp};

use super::job::JobId;
use super::queue::Line;
use crate::content::Staged;
use crate::keys::kind;
use crate::{BucketId, BucketName, Extent, ObjectError, ObjectKey, Stamp};

/// Bits of a task's number below the milliseconds of its making: so that numbers go on growing
/// when a database starts again with an empty outbox, whatever was numbered before.
const NUMBER_BITS: u32 = 16;

/// A task: its row in the outbox says what, the key says where to and in which order.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(super) struct Task {
    /// The source bucket.
    pub bucket: BucketId,
    /// Its name.
    pub name: BucketName,
    /// The key.
    pub key: ObjectKey,
    /// The version.
    pub stamp: Stamp,
    /// The rule's ID.
    pub rule: String,
    /// The destination bucket.
    pub destination: BucketName,
    /// What is to be told.
    pub kind: TaskKind,
    /// The version's bytes, for the figures; 0 of a change and of a delete marker.
    pub bytes: u64,
    /// When it was announced.
    pub since: Timestamp,
    /// The batch replication job that it belongs to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub job: Option<JobId>,
    /// It is under replication time control.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub timed: bool,
    /// It has missed the threshold, and an event has told so.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub missed: bool,
}

/// What a task tells.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum TaskKind {
    /// A version.
    Version,
    /// A change of a version.
    Amendment,
    /// A version, by a batch replication job.
    Batch,
}

impl Task {
    /// The tasks that it goes in line with.
    pub fn line(&self) -> Line {
        Line {
            bucket: self.bucket,
            key: self.key.clone(),
            destination: self.destination.clone(),
        }
    }
}

/// The first number for tasks at that time, after those up to `last`.
pub(super) fn first_number(now: Timestamp, last: Option<u64>) -> u64 {
    let of_time = now.0 << NUMBER_BITS;
    of_time.max(last.map_or(1, |last| last + 1))
}

/// The prefix of a site's rows in the outbox.
pub(super) fn outbox(site: SiteId) -> BytesMut {
    let mut key = BytesMut::with_capacity(11);
    key.put_u8(kind::OUTBOX);
    key.put_u16(site.0);
    key
}

/// The row of a task.
pub(super) fn outbox_row(site: SiteId, number: u64) -> Bytes {
    let mut key = outbox(site);
    key.put_u64(number);
    key.freeze()
}

/// The site and the number of the task of that row.
pub(super) fn outbox_place(row: &[u8]) -> Option<(SiteId, u64)> {
    let row: &[u8; 11] = row.try_into().ok()?;
    let (head, number) = row.split_at(3);
    let site = u16::from_be_bytes(head[1..].try_into().ok()?);
    Some((SiteId(site), u64::from_be_bytes(number.try_into().ok()?)))
}

/// A part of a version that is being received: its row's key says of which task of which site, and
/// which part.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(crate) struct StagedPart {
    /// The version that the task tells.
    pub stamp: Stamp,
    /// When the row was written.
    pub since: Timestamp,
    /// What is there of it.
    pub bytes: StagedBytes,
}

/// What is there of a part.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum StagedBytes {
    /// All of it.
    Whole(Extent),
    /// A beginning.
    Begun(Staged),
}

/// The part of such a row.
///
/// # Errors
/// `Internal`: it can't be read.
pub(crate) fn decode_staged(row: &[u8]) -> Result<StagedPart, ObjectError> {
    crate::row::decode("a part being received", row)
}

/// The prefix of the rows of a task's parts.
pub(super) fn staged(site: SiteId, task: u64) -> BytesMut {
    let mut key = BytesMut::with_capacity(15);
    key.put_u8(kind::STAGED);
    key.put_u16(site.0);
    key.put_u64(task);
    key
}

/// The site and the task of such a row.
pub(super) fn staged_place(row: &[u8]) -> Option<(SiteId, u64)> {
    let rest = row.strip_prefix(&[kind::STAGED])?;
    let site = u16::from_be_bytes(*rest.first_chunk::<2>()?);
    let task = u64::from_be_bytes(*rest.get(2..)?.first_chunk::<8>()?);
    Some((SiteId(site), task))
}

/// The row of a part.
pub(super) fn staged_row(site: SiteId, task: u64, index: u32) -> Bytes {
    let mut key = staged(site, task);
    key.put_u32(index);
    key.freeze()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_order_by_site_and_number_and_give_them_back() {
        let rows = [(1, 2), (1, 300), (2, 1)].map(|(site, n)| outbox_row(SiteId(site), n));
        assert!(rows.is_sorted());
        assert_eq!(outbox_place(&rows[1]), Some((SiteId(1), 300)));
        assert_eq!(outbox_place(&rows[1][1..]), None);
    }

    #[test]
    fn numbers_grow_over_a_restart() {
        let now = Timestamp(1_000);
        assert_eq!(first_number(now, None), 1_000 << 16);
        assert_eq!(first_number(now, Some(2_000 << 16)), (2_000 << 16) + 1);
    }
}
