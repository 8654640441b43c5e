//! Blobs in memory, for tests and the simulation: a crash takes what wasn't synced, and faults can
//! be planted. Nothing of it outlives the process.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::{Arc, Mutex, MutexGuard};

use bytes::Bytes;

use super::{BlobError, BlobFuture, BlobId, BlobWriter, Blobs};

/// Blobs in memory. All clones are the same.
#[derive(Clone, Default)]
pub struct MemoryBlobs {
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    blobs: BTreeMap<BlobId, Blob>,
    /// How often it crashed: writers from before can do nothing more.
    crashes: u64,
    full: bool,
    away: bool,
}

#[derive(Default)]
struct Blob {
    bytes: Vec<u8>,
    /// How much of it a crash leaves; none: not even its name.
    synced: Option<usize>,
    finished: bool,
}

struct MemoryWriter {
    state: Arc<Mutex<State>>,
    id: BlobId,
    crashes: u64,
}

impl MemoryBlobs {
    /// No blobs.
    pub fn new() -> MemoryBlobs {
        MemoryBlobs::default()
    }

    /// A power cut: what wasn't synced is gone, and what was being written can't go on.
    pub fn crash(&self) {
        let mut state = self.lock();
        state.crashes += 1;
        state.blobs.retain(|_, blob| match blob.synced {
            Some(length) => {
                blob.bytes.truncate(length);
                true
            }
            None => false,
        });
    }

    /// From now on the disk is full, or has room again.
    pub fn set_full(&self, full: bool) {
        self.lock().full = full;
    }

    /// From now on nothing can be read, or can again: as of a store elsewhere that is away.
    pub fn set_away(&self, away: bool) {
        self.lock().away = away;
    }

    /// Flips a bit of a blob's byte at `offset` (reduced to its length). False: it has none.
    pub fn flip(&self, id: BlobId, offset: usize) -> bool {
        let mut state = self.lock();
        let Some(blob) = state.blobs.get_mut(&id) else {
            return false;
        };
        let length = blob.bytes.len().max(1);
        match blob.bytes.get_mut(offset % length) {
            Some(byte) => {
                *byte ^= 1;
                true
            }
            None => false,
        }
    }

    /// Cuts a blob off at that length, as a damaged file system may.
    pub fn cut(&self, id: BlobId, length: usize) {
        if let Some(blob) = self.lock().blobs.get_mut(&id) {
            blob.bytes.truncate(length);
        }
    }

    /// Every blob there is, in order, and whether it is finished.
    pub fn all(&self) -> Vec<(BlobId, bool)> {
        let state = self.lock();
        let each = state.blobs.iter();
        each.map(|(id, blob)| (*id, blob.finished)).collect()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }

    fn bytes_of(
        &self,
        id: BlobId,
        finished: bool,
        offset: u64,
        length: usize,
    ) -> Result<Bytes, BlobError> {
        let state = self.lock();
        if state.away {
            return Err(BlobError::Unavailable("it is away".to_owned()));
        }
        let blob = state.blobs.get(&id);
        let blob = blob.filter(|blob| blob.finished == finished);
        let blob = blob.ok_or(BlobError::Missing(id))?;
        let start = blob.bytes.len().min(offset as usize);
        let end = blob.bytes.len().min(start.saturating_add(length));
        Ok(Bytes::copy_from_slice(&blob.bytes[start..end]))
    }
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().expect("nothing panics under this lock")
}

/// What is known already.
fn ready<T: Send + 'static>(result: Result<T, BlobError>) -> BlobFuture<'static, T> {
    Box::pin(std::future::ready(result))
}

impl State {
    fn begin(&mut self, id: BlobId, resumed: Option<u64>) -> Result<(), BlobError> {
        if self.full {
            return Err(BlobError::DiskFull);
        }
        let Some(length) = resumed else {
            let taken = self.blobs.insert(id, Blob::default()).is_some();
            assert!(!taken, "a blob's number is never used again");
            return Ok(());
        };
        let blob = self.blobs.get_mut(&id).filter(|blob| !blob.finished);
        let blob = blob.ok_or(BlobError::Missing(id))?;
        if (blob.bytes.len() as u64) < length {
            return Err(BlobError::Failed(format!(
                "blob {id} has {} bytes and can't go on at {length}",
                blob.bytes.len()
            )));
        }
        blob.bytes.truncate(length as usize);
        Ok(())
    }
}

impl Blobs for MemoryBlobs {
    fn create(&self, id: BlobId) -> BlobFuture<'static, Box<dyn BlobWriter>> {
        self.writer(id, None)
    }

    fn resume(&self, id: BlobId, length: u64) -> BlobFuture<'static, Box<dyn BlobWriter>> {
        self.writer(id, Some(length))
    }

    fn read(&self, id: BlobId, offset: u64, length: usize) -> BlobFuture<'static, Bytes> {
        ready(self.bytes_of(id, true, offset, length))
    }

    fn read_unfinished(
        &self,
        id: BlobId,
        offset: u64,
        length: usize,
    ) -> BlobFuture<'static, Bytes> {
        ready(self.bytes_of(id, false, offset, length))
    }

    fn remove(&self, id: BlobId) -> BlobFuture<'static, ()> {
        self.lock().blobs.remove(&id);
        ready(Ok(()))
    }

    fn list(&self, after: Option<BlobId>, limit: usize) -> BlobFuture<'static, Vec<BlobId>> {
        let start = after.map_or(Bound::Unbounded, Bound::Excluded);
        let state = self.lock();
        let following = state.blobs.range((start, Bound::Unbounded));
        ready(Ok(following.map(|(id, _)| *id).take(limit).collect()))
    }
}

impl MemoryBlobs {
    fn writer(&self, id: BlobId, resumed: Option<u64>) -> BlobFuture<'static, Box<dyn BlobWriter>> {
        let mut state = self.lock();
        let begun = state.begin(id, resumed).map(|()| {
            let writer: Box<dyn BlobWriter> = Box::new(MemoryWriter {
                state: Arc::clone(&self.state),
                id,
                crashes: state.crashes,
            });
            writer
        });
        ready(begun)
    }
}

impl MemoryWriter {
    fn with<T>(
        &self,
        change: impl FnOnce(&mut Blob, bool) -> Result<T, BlobError>,
    ) -> Result<T, BlobError> {
        let mut state = lock(&self.state);
        if state.crashes != self.crashes {
            return Err(BlobError::Failed("the site crashed".to_owned()));
        }
        let full = state.full;
        let blob = state.blobs.get_mut(&self.id);
        change(blob.ok_or(BlobError::Missing(self.id))?, full)
    }
}

impl BlobWriter for MemoryWriter {
    fn write(&mut self, bytes: Bytes) -> BlobFuture<'_, ()> {
        ready(self.with(|blob, full| match full {
            true => Err(BlobError::DiskFull),
            false => {
                blob.bytes.extend_from_slice(&bytes);
                Ok(())
            }
        }))
    }

    fn sync(&mut self) -> BlobFuture<'_, ()> {
        ready(self.with(|blob, _| {
            blob.synced = Some(blob.bytes.len());
            Ok(())
        }))
    }

    fn finish(self: Box<Self>) -> BlobFuture<'static, ()> {
        ready(self.with(|blob, _| {
            blob.synced = Some(blob.bytes.len());
            blob.finished = true;
            Ok(())
        }))
    }
}
