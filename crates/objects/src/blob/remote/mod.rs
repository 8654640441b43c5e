//! Blobs as objects of a bucket elsewhere: `PREFIX/ID` of any store that `object_store` speaks to,
//! S3 and its like above all. A blob is there once that store has acknowledged it whole. It keeps
//! nothing on this machine's disk, asks for no free space, and can't go on with what was begun
//! before a restart: that is begun anew.
//!
//! Larger blobs are uploads in parts. While one is under way a note, `PREFIX/ID.part`, holds the
//! upload's id, so that whoever removes the blob can end the upload: what a process leaves behind
//! that was killed is found by the collection of orphans, as files are.
//!
//! It opens no socket: requests go through a [`Transport`] that it is given.

mod budget;
mod claim;
mod flights;
mod s3;
mod transport;
mod writer;

#[cfg(test)]
mod tests;

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use futures_channel::oneshot;
use futures_util::StreamExt;
use object_store::multipart::MultipartStore;
use object_store::path::Path;
use object_store::{GetOptions, GetRange, ObjectStore, ObjectStoreExt};
use types::Environment;

use super::pool::cut_short;
use super::{BlobError, BlobFuture, BlobId, BlobWriter, Blobs};
use budget::Budget;
use claim::Claim;
use flights::Flights;
use writer::RemoteWriter;

pub use s3::{S3Place, S3PlaceError};
pub use transport::{Transport, TransportError, TransportFuture, TransportTrouble};

/// How the name of the note ends that a blob has while it is written in parts.
const UNFINISHED: &str = ".part";

/// How much of what a store says is wrong is told, in bytes.
const MOST_TOLD: usize = 400;

/// Carries out what is on its way, whether or not somebody waits for it.
pub trait Carrier: Send + Sync + 'static {
    /// Has that carried out from now on. It must be polled where `tokio`'s timers run: the pauses
    /// between two attempts are theirs.
    fn carry(&self, task: Pin<Box<dyn Future<Output = ()> + Send>>);
}

/// How blobs are kept in a bucket.
pub struct RemoteOptions {
    /// The folder of the bucket that they are in, theirs alone; may be empty.
    pub prefix: String,
    /// Whose they are: a text that no other Region has. A folder that another one has claimed is
    /// refused, since each removes what it doesn't know.
    pub owner: String,
    /// Carries out what is on its way.
    pub carrier: Arc<dyn Carrier>,
    /// The clock by which an upload waits for its share of memory.
    pub environment: Arc<dyn Environment>,
}

/// What is needed of a store. (A trait of its own, since there are no objects of two traits.)
trait Store: ObjectStore + MultipartStore {}

impl<T: ObjectStore + MultipartStore> Store for T {}

/// Blobs in a bucket elsewhere. All clones are the same.
#[derive(Clone)]
pub struct RemoteBlobs {
    inner: Arc<Inner>,
}

struct Inner {
    store: Arc<dyn Store>,
    folder: Path,
    carrier: Arc<dyn Carrier>,
    environment: Arc<dyn Environment>,
    claim: Claim,
    budget: Arc<Budget>,
    flights: Arc<Flights>,
    /// What was wrong the last time that something was asked of the store.
    trouble: Mutex<Option<String>>,
}

impl RemoteBlobs {
    /// Over that store.
    fn over(store: Arc<dyn Store>, options: RemoteOptions) -> Result<RemoteBlobs, S3PlaceError> {
        let folder = Path::parse(&options.prefix)
            .map_err(|cause| S3PlaceError::Prefix(options.prefix.clone(), cause.to_string()))?;
        let inner = Inner {
            store,
            folder,
            carrier: options.carrier,
            environment: options.environment,
            claim: Claim::new(options.owner),
            budget: Arc::new(Budget::new()),
            flights: Arc::new(Flights::default()),
            trouble: Mutex::default(),
        };
        Ok(RemoteBlobs {
            inner: Arc::new(inner),
        })
    }

    /// What was wrong when the store was last asked something; none if it answered.
    pub fn trouble(&self) -> Option<String> {
        let trouble = self.inner.trouble.lock();
        trouble.expect("nothing panics under this lock").clone()
    }

    /// Makes sure that the folder is this Region's: notes in it whose it is, if it is nobody's.
    /// Nothing is written, listed or removed before that has succeeded once.
    pub fn claim(&self) -> BlobFuture<'static, ()> {
        let inner = Arc::clone(&self.inner);
        self.inner
            .on_its_way(async move { inner.claim.settle(&inner).await })
    }
}

impl Inner {
    /// Begins that at once; its outcome can be awaited, or not.
    fn on_its_way<T: Send + 'static>(
        &self,
        step: impl Future<Output = Result<T, BlobError>> + Send + 'static,
    ) -> BlobFuture<'static, T> {
        let (sender, outcome) = oneshot::channel();
        self.carrier.carry(Box::pin(async move {
            // Nobody may be waiting any more; it was done all the same.
            let _ = sender.send(step.await);
        }));
        Box::pin(async move { outcome.await.map_err(cut_short)? })
    }

    fn finished(&self, id: BlobId) -> Path {
        self.folder.clone().join(id.to_string())
    }

    fn unfinished(&self, id: BlobId) -> Path {
        self.folder.clone().join(format!("{id}{UNFINISHED}"))
    }

    /// The blob that an object is, or is the note of.
    fn named(&self, path: &Path) -> Option<BlobId> {
        let mut below = path.prefix_match(&self.folder)?;
        let name = below.next()?;
        let name = name.as_ref();
        // A folder within it is no affair of this one.
        let id = BlobId::from_hex(name.strip_suffix(UNFINISHED).unwrap_or(name));
        id.filter(|_| below.next().is_none())
    }

    /// Notes how a request of a blob ended; what is to be told of it.
    fn settle<T>(&self, id: BlobId, result: object_store::Result<T>) -> Result<T, BlobError> {
        let told = match result {
            Ok(value) => {
                self.note_trouble(None);
                return Ok(value);
            }
            Err(error) if is_missing(&error) => {
                self.note_trouble(None);
                return Err(BlobError::Missing(id));
            }
            Err(error) => told(&error),
        };
        Err(self.refuse(told))
    }

    /// Notes that nothing can be had of the store.
    fn refuse(&self, told: String) -> BlobError {
        tracing::warn!(trouble = %told, "the store of the bytes");
        self.note_trouble(Some(told.clone()));
        BlobError::Unavailable(told)
    }

    fn note_trouble(&self, trouble: Option<String>) {
        let noted = self.trouble.lock();
        *noted.expect("nothing panics under this lock") = trouble;
    }

    async fn read(&self, id: BlobId, offset: u64, length: usize) -> Result<Bytes, BlobError> {
        let end = offset.saturating_add(length as u64);
        if end == offset {
            return Ok(Bytes::new());
        }
        let path = self.finished(id);
        let options = GetOptions::new().with_range(Some(GetRange::Bounded(offset..end)));
        let read = async {
            let got = self.store.get_opts(&path, options).await?;
            let range = got.range.clone();
            Ok((range, got.bytes().await?))
        };
        match read.await {
            Ok((range, bytes)) => {
                let whole = range.start == offset && range.end - range.start == bytes.len() as u64;
                match whole && range.end <= end {
                    true => self.settle(id, Ok(bytes)),
                    false => {
                        Err(self.refuse(format!("blob {id}: other bytes than were asked for")))
                    }
                }
            }
            Err(error) if is_missing(&error) || is_unreached(&error) => self.settle(id, Err(error)),
            // There may be nothing at that offset, which each store says in its own way.
            Err(error) => match self.store.head(&path).await {
                Ok(found) if found.size <= offset => self.settle(id, Ok(Bytes::new())),
                _ => self.settle(id, Err(error)),
            },
        }
    }

    /// Ends the upload, if one is under way, then removes the blob, then the note of the upload:
    /// what fails before leaves something that is found again.
    async fn remove(&self, id: BlobId) -> Result<(), BlobError> {
        self.claim.settle(self).await?;
        // An upload that is ended while a part of it comes may keep the part.
        self.flights.landed(id).await;
        let (path, note) = (self.finished(id), self.unfinished(id));
        let upload = match self.store.get(&note).await {
            Ok(found) => Some(self.settle(id, found.bytes().await)?),
            Err(error) if is_missing(&error) => None,
            Err(error) => return self.settle(id, Err(error)),
        };
        if let Some(upload) = &upload {
            let upload = String::from_utf8_lossy(upload).into_owned();
            match self.store.abort_multipart(&path, &upload).await {
                Err(error) if !is_missing(&error) => return self.settle(id, Err(error)),
                _ => {}
            }
        }
        self.delete(id, &path).await?;
        match upload {
            Some(_) => self.delete(id, &note).await,
            None => Ok(()),
        }
    }

    async fn delete(&self, id: BlobId, path: &Path) -> Result<(), BlobError> {
        match self.store.delete(path).await {
            Err(error) if is_missing(&error) => Ok(()),
            other => self.settle(id, other),
        }
    }

    async fn list(&self, after: Option<BlobId>, limit: usize) -> Result<Vec<BlobId>, BlobError> {
        self.claim.settle(self).await?;
        let mut found: Vec<BlobId> = Vec::new();
        let mut last = after;
        let mut listed = match after {
            // Its note follows it.
            Some(after) => {
                (self.store).list_with_offset(Some(&self.folder), &self.unfinished(after))
            }
            None => self.store.list(Some(&self.folder)),
        };
        while found.len() < limit {
            let Some(entry) = listed.next().await else {
                break;
            };
            let entry = self.settle(BlobId(0), entry)?;
            // A stranger's object is left alone.
            let Some(id) = self.named(&entry.location) else {
                continue;
            };
            match last {
                Some(last) if id < last => {
                    // Who collects orphans relies on the order.
                    return Err(self.refuse("its listing isn't in order".to_owned()));
                }
                Some(last) if id == last => {}
                _ => found.push(id),
            }
            last = Some(id);
        }
        Ok(found)
    }
}

impl Blobs for RemoteBlobs {
    fn create(&self, id: BlobId) -> BlobFuture<'static, Box<dyn BlobWriter>> {
        let inner = Arc::clone(&self.inner);
        Box::pin(async move {
            inner.claim.settle(&inner).await?;
            let writer: Box<dyn BlobWriter> = Box::new(RemoteWriter::new(inner, id));
            Ok(writer)
        })
    }

    /// Never: which parts a store has of an upload isn't kept. Whoever transfers begins anew.
    fn resume(&self, id: BlobId, _: u64) -> BlobFuture<'static, Box<dyn BlobWriter>> {
        let refusal = format!("blob {id} is kept elsewhere, where none can be gone on with");
        Box::pin(std::future::ready(Err(BlobError::Failed(refusal))))
    }

    fn read(&self, id: BlobId, offset: u64, length: usize) -> BlobFuture<'static, Bytes> {
        let inner = Arc::clone(&self.inner);
        self.inner
            .on_its_way(async move { inner.read(id, offset, length).await })
    }

    /// Nothing can be read of an upload before it is whole.
    fn read_unfinished(&self, id: BlobId, _: u64, _: usize) -> BlobFuture<'static, Bytes> {
        Box::pin(std::future::ready(Err(BlobError::Missing(id))))
    }

    fn remove(&self, id: BlobId) -> BlobFuture<'static, ()> {
        let inner = Arc::clone(&self.inner);
        self.inner.on_its_way(async move { inner.remove(id).await })
    }

    fn list(&self, after: Option<BlobId>, limit: usize) -> BlobFuture<'static, Vec<BlobId>> {
        let inner = Arc::clone(&self.inner);
        self.inner
            .on_its_way(async move { inner.list(after, limit).await })
    }
}

/// Is there no such object? A bucket that is missing is another matter: its blobs aren't gone
/// for that.
fn is_missing(error: &object_store::Error) -> bool {
    matches!(error, object_store::Error::NotFound { .. })
        && !error.to_string().contains("NoSuchBucket")
}

/// Did no answer come?
fn is_unreached(error: &object_store::Error) -> bool {
    let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(error) = cause {
        if error.is::<object_store::client::HttpError>() {
            return true;
        }
        cause = error.source();
    }
    false
}

/// What is said of it: in the log and to the operator, never to a client.
fn told(error: &object_store::Error) -> String {
    let mut told = error.to_string();
    if told.len() > MOST_TOLD {
        let end = (0..=MOST_TOLD).rev().find(|at| told.is_char_boundary(*at));
        told.truncate(end.unwrap_or(0));
        told.push('…');
    }
    told
}
