//! What the collectors must leave alone: blobs that no row names yet, and blobs that someone is
//! reading. Kept in memory: a crash ends every writer and reader.

use super::Contents;
use crate::blob::BlobId;

/// Keeps a blob that is being written from the collection of orphans. Dropped, it has the blob
/// removed, unless it was given away.
pub(crate) struct Hold {
    contents: Contents,
    blob: BlobId,
    /// There may be a file.
    made: bool,
    given: bool,
}

/// Keeps blobs that are being read from removal.
pub(crate) struct Reading {
    contents: Contents,
    blobs: Vec<BlobId>,
}

impl Hold {
    /// Of a blob that there may be a file of from now on only if `made` says so.
    pub(super) fn new(contents: &Contents, blob: BlobId) -> Hold {
        contents.lock_busy().written.insert(blob);
        Hold {
            contents: contents.clone(),
            blob,
            made: false,
            given: false,
        }
    }

    /// From now on there may be a file.
    pub(super) fn made(&mut self) {
        self.made = true;
    }

    /// A row names the blob, or is about to: it is no longer removed with this.
    pub(super) fn give(&mut self) {
        self.given = true;
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        if self.made && !self.given {
            // On its way by the call. If it fails, the collection of orphans comes by.
            drop(self.contents.blobs().remove(self.blob));
        }
        self.contents.lock_busy().written.remove(&self.blob);
    }
}

impl Reading {
    /// Of those blobs.
    pub(crate) fn new(contents: &Contents, blobs: Vec<BlobId>) -> Reading {
        let mut busy = contents.lock_busy();
        for blob in &blobs {
            *busy.read.entry(*blob).or_default() += 1;
        }
        drop(busy);
        Reading {
            contents: contents.clone(),
            blobs,
        }
    }
}

impl Drop for Reading {
    fn drop(&mut self) {
        let mut busy = self.contents.lock_busy();
        for blob in &self.blobs {
            if let Some(readers) = busy.read.get_mut(blob) {
                *readers -= 1;
                if *readers == 0 {
                    busy.read.remove(blob);
                }
            }
        }
    }
}

impl Contents {
    /// Is the blob being written, or does its writer wait for the row that names it?
    pub(crate) fn is_being_written(&self, blob: BlobId) -> bool {
        self.lock_busy().written.contains(&blob)
    }

    /// Is someone reading the blob?
    pub(crate) fn is_being_read(&self, blob: BlobId) -> bool {
        self.lock_busy().read.contains_key(&blob)
    }
}
