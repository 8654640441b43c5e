//! Where the bytes of larger objects are: named by numbers, written once, never changed. What they
//! are of, and how they are encrypted, is `content`'s affair.
//!
//! Asynchronous without naming a runtime: files are read and written by threads of the store's
//! own. A call is on its way once it is made, as a commit is: dropping its future undoes nothing.

use std::fmt;
use std::future::Future;
use std::pin::Pin;

use bytes::Bytes;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

mod local;
mod memory;
mod pool;
mod remote;

#[cfg(test)]
pub(crate) mod tests;

pub use local::{LocalBlobs, LocalOptions};
pub use memory::MemoryBlobs;
pub use remote::{
    Carrier, RemoteBlobs, RemoteOptions, S3Place, S3PlaceError, Transport, TransportError,
    TransportFuture, TransportTrouble,
};

/// A step on its way.
pub type BlobFuture<'a, T> = Pin<Box<dyn Future<Output = Result<T, BlobError>> + Send + 'a>>;

/// The number that names a blob; drawn at random, never used again. Rows hold it as a string of
/// 32 hexadecimal digits, which is what the collection of orphans looks for in them.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct BlobId(pub u128);

/// A place for blobs.
pub trait Blobs: Send + Sync + 'static {
    /// Begins a blob. Nothing of it can be read before [`BlobWriter::finish`] has returned.
    fn create(&self, id: BlobId) -> BlobFuture<'static, Box<dyn BlobWriter>>;

    /// Continues a blob that was begun and not finished, at that length, cutting off what may
    /// stand after it. For transfers that are resumed; what was written before must have been
    /// synced by [`BlobWriter::sync`]. A place that can't is told apart by nothing: whoever gets an
    /// error begins anew.
    fn resume(&self, id: BlobId, length: u64) -> BlobFuture<'static, Box<dyn BlobWriter>>;

    /// Bytes of a finished blob from `offset`, `length` of them; fewer only at its end.
    fn read(&self, id: BlobId, offset: u64, length: usize) -> BlobFuture<'static, Bytes>;

    /// Bytes of a blob that was begun and not finished, so that a transfer that is resumed can
    /// sum up what it has; else as [`Blobs::read`].
    fn read_unfinished(&self, id: BlobId, offset: u64, length: usize)
    -> BlobFuture<'static, Bytes>;

    /// Removes a blob, finished or not; fine if there is none.
    fn remove(&self, id: BlobId) -> BlobFuture<'static, ()>;

    /// The blobs whose numbers follow `after`, in order, at most `limit`; unfinished ones too.
    fn list(&self, after: Option<BlobId>, limit: usize) -> BlobFuture<'static, Vec<BlobId>>;
}

/// A blob being written. Dropped unfinished, what was written stays until it is removed.
pub trait BlobWriter: Send {
    /// Appends bytes. It may return before they are written, but holds back the next call until
    /// then; what goes wrong is told by a later call, by [`BlobWriter::finish`] at the latest.
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
    #[error("blob {0} is missing")]
    Missing(BlobId),
    /// The disk is full.
    #[error("the disk is full")]
    DiskFull,
    /// The store elsewhere that has the bytes doesn't answer, or refuses: nothing is known of them.
    #[error("the store of the bytes: {0}")]
    Unavailable(String),
    /// Anything else that the system says.
    #[error("{0}")]
    Failed(String),
}

impl fmt::Display for BlobId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

impl BlobId {
    /// The blob that those 32 hexadecimal digits name.
    pub fn from_hex(text: &str) -> Option<BlobId> {
        let digits = text.len() == 32 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        let number = digits.then(|| u128::from_str_radix(text, 16).ok())?;
        number.map(BlobId)
    }
}

impl Serialize for BlobId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for BlobId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<BlobId, D::Error> {
        let text = String::deserialize(deserializer)?;
        BlobId::from_hex(&text).ok_or_else(|| serde::de::Error::custom("not a blob's number"))
    }
}

/// A blob's number as a row holds it.
pub(crate) mod hex {
    use super::BlobId;
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    pub(crate) fn serialize<S: Serializer>(blob: &u128, serializer: S) -> Result<S::Ok, S::Error> {
        BlobId(*blob).serialize(serializer)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<u128, D::Error> {
        BlobId::deserialize(deserializer).map(|blob| blob.0)
    }
}
