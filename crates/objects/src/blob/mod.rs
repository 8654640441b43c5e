//! Where the bytes of larger objects are: named by numbers, written once, never changed. What they
//! are of, and how they are encrypted, is `content`'s affair.
//!
//! Asynchronous without naming a runtime: files are read and written by threads of the store's own.

use std::future::Future;
use std::pin::Pin;

use bytes::Bytes;

/// A step on its way.
pub type BlobFuture<'a, T> = Pin<Box<dyn Future<Output = Result<T, BlobError>> + Send + 'a>>;

/// The number that names a blob; drawn at random, never used again.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct BlobId(pub u128);

/// A place for blobs.
pub trait Blobs: Send + Sync + 'static {
    /// Begins a blob. Nothing of it can be read before [`BlobWriter::finish`] has returned.
    fn create(&self, id: BlobId) -> BlobFuture<'_, Box<dyn BlobWriter>>;

    /// Continues a blob that was begun and not finished, at that length, cutting off what may
    /// stand after it. For transfers that are resumed; what was written before must have been
    /// synced by [`BlobWriter::sync`].
    fn resume(&self, id: BlobId, length: u64) -> BlobFuture<'_, Box<dyn BlobWriter>>;

    /// Bytes of a finished blob from `offset`, `length` of them; fewer only at its end.
    fn read(&self, id: BlobId, offset: u64, length: usize) -> BlobFuture<'_, Bytes>;

    /// Removes a blob, finished or not; fine if there is none.
    fn remove(&self, id: BlobId) -> BlobFuture<'_, ()>;

    /// The blobs whose numbers follow `after`, in order, at most `limit`; unfinished ones too.
    fn list(&self, after: Option<BlobId>, limit: usize) -> BlobFuture<'_, Vec<BlobId>>;
}

/// A blob being written.
pub trait BlobWriter: Send {
    /// Appends bytes.
    fn write(&mut self, bytes: Bytes) -> BlobFuture<'_, ()>;

    /// Syncs what was written so far, so that [`Blobs::resume`] finds it after a crash.
    fn sync(&mut self) -> BlobFuture<'_, ()>;

    /// Syncs all of it and its name (file and directory): when this returns `Ok` it is there after
    /// a power cut.
    fn finish(self: Box<Self>) -> BlobFuture<'static, ()>;
}

/// Why bytes aren't read or written.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BlobError {
    /// There is no such blob.
    #[error("blob {0:032x} is missing")]
    Missing(u128),
    /// The disk is full.
    #[error("the disk is full")]
    DiskFull,
    /// Anything else that the system says.
    #[error("{0}")]
    Failed(String),
}
