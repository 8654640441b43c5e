//! Bytes in and bytes out: digests of what arrives, encryption in blocks, small content in rows
//! and larger in blobs, ranges read back and verified. It knows no buckets' rules and judges
//! nobody; which version the bytes are of is its caller's affair.

mod block;
mod check;
mod combine;
mod customer;
mod digest;
mod extents;
mod garbage;
mod hold;
mod ingest;
mod key;
mod raw;
mod read;
mod reader;
mod sweep;

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard};

use event_listener::{Event, EventListener};
use types::Environment;

use crate::ObjectError;
use crate::blob::{BlobError, BlobId, Blobs};

pub use combine::{combine_checksums, multipart_etag};
pub use customer::CustomerKey;
pub use digest::RunningChecksum;
pub use extents::{decode_extents, encode_extents};
pub use garbage::{discard_extent, discard_version};
pub use ingest::{Expected, Ingest, IngestOptions, Ingested, Staged};
pub use key::SiteKey;
pub use raw::{RawIngest, RawReader};
pub use reader::ContentReader;
pub use sweep::{Collected, Orphans};

pub(crate) use block::{Checker, Damage};
pub(crate) use check::{Flaw, check_piece};
pub(crate) use hold::{Hold, Reading};
pub(crate) use ingest::content_key;
pub(crate) use sweep::{next_range, numbers_in, version_row};

/// Content up to this many bytes is a row of the database: with the version in one sync. Larger
/// content is a blob. Peers have 3 KiB (Garage) to 128 KiB (MinIO); the journal is written twice.
pub const INLINE: u64 = 16 << 10;

/// Where content goes and comes from: the blobs, the site's key, and what is being written or read
/// right now. All clones are the same.
#[derive(Clone)]
pub struct Contents {
    shared: Arc<Shared>,
}

struct Shared {
    blobs: Arc<dyn Blobs>,
    key: SiteKey,
    environment: Arc<dyn Environment>,
    busy: Mutex<Busy>,
    damaged: Mutex<BTreeMap<BlobId, String>>,
    /// Rings when a blob is found damaged that wasn't known to be.
    found: Event,
}

/// Blobs that the collectors leave alone.
#[derive(Default)]
struct Busy {
    /// Being written, or waiting for the row that names them.
    written: BTreeSet<BlobId>,
    /// Being read, by how many readers.
    read: BTreeMap<BlobId, usize>,
}

/// How many damaged blobs are remembered; of further ones only the log tells.
const MOST_DAMAGED: usize = 10_000;

impl Contents {
    /// Over those blobs, encrypted with keys that are sealed by that one.
    pub fn new(blobs: Arc<dyn Blobs>, key: SiteKey, environment: Arc<dyn Environment>) -> Contents {
        Contents {
            shared: Arc::new(Shared {
                blobs,
                key,
                environment,
                busy: Mutex::default(),
                damaged: Mutex::default(),
                found: Event::new(),
            }),
        }
    }

    /// Blobs whose bytes were found not to be what was written, and what is wrong with them, since
    /// the start; those that are gone since aren't listed.
    pub fn damaged(&self) -> BTreeMap<BlobId, String> {
        self.lock_damaged().clone()
    }

    pub(crate) fn blobs(&self) -> &Arc<dyn Blobs> {
        &self.shared.blobs
    }

    pub(crate) fn site_key(&self) -> &SiteKey {
        &self.shared.key
    }

    /// A number for a blob that nothing else has.
    pub(crate) fn draw_blob(&self) -> BlobId {
        let random = || u128::from(self.shared.environment.random());
        BlobId(random() << 64 | random())
    }

    /// Random bytes, fit for keys.
    pub(crate) fn draw<const N: usize>(&self) -> [u8; N] {
        let mut bytes = [0; N];
        for chunk in bytes.chunks_mut(8) {
            let random = self.shared.environment.random().to_le_bytes();
            chunk.copy_from_slice(&random[..chunk.len()]);
        }
        bytes
    }

    /// Notes that a blob's bytes aren't what was written; the error to answer.
    pub(crate) fn note_damage(&self, blob: BlobId, detail: &str) -> ObjectError {
        tracing::error!(%blob, detail, "stored bytes are damaged");
        let mut damaged = self.lock_damaged();
        let is_new =
            damaged.len() < MOST_DAMAGED && damaged.insert(blob, detail.to_owned()).is_none();
        drop(damaged);
        if is_new {
            self.shared.found.notify(usize::MAX);
        }
        ObjectError::Damaged(format!("blob {blob}: {detail}"))
    }

    /// Waits until a further blob is found damaged.
    pub(crate) fn damage_found(&self) -> EventListener {
        self.shared.found.listen()
    }

    /// A blob is gone, or was found whole.
    pub(crate) fn forget_damage(&self, blob: BlobId) {
        self.lock_damaged().remove(&blob);
    }

    fn lock_damaged(&self) -> MutexGuard<'_, BTreeMap<BlobId, String>> {
        let damaged = self.shared.damaged.lock();
        damaged.expect("nothing panics under this lock")
    }

    fn lock_busy(&self) -> MutexGuard<'_, Busy> {
        let busy = self.shared.busy.lock();
        busy.expect("nothing panics under this lock")
    }
}

impl From<BlobError> for ObjectError {
    /// Of writing. What a reader finds missing is damage (`Contents::note_damage`).
    fn from(error: BlobError) -> ObjectError {
        match error {
            BlobError::DiskFull => ObjectError::Unavailable("The disk is nearly full.".to_owned()),
            unavailable @ BlobError::Unavailable(_) => {
                ObjectError::Unavailable(unavailable.to_string())
            }
            other => ObjectError::Internal(other.to_string()),
        }
    }
}
