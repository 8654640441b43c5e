//! A blob on its way into a bucket: gathered into parts, two of them under way at once. A blob of
//! one part is one request. It holds back who writes while its parts are under way, or while all
//! uploads together have as much in memory as they may.

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::future::{AbortHandle, abortable};
use object_store::multipart::PartId;
use object_store::{ObjectStoreExt, PutPayload};

use super::budget::Share;
use super::{Inner, is_missing};
use crate::blob::{BlobError, BlobFuture, BlobId, BlobWriter};

/// The size of each part but the last: the least that S3 takes (API, "Multipart upload limits"),
/// and some stores want them all alike. 10,000 of them, S3's most, are 48 GiB: more than the
/// largest blob, a part of 5 GiB.
pub(super) const PART: usize = 5 << 20;

/// How much an upload may gather without a share of the memory: little, so that small blobs wait
/// for no large ones.
const UNSHARED: usize = 512 << 10;

/// How many parts of an upload are under way at once.
const AHEAD: usize = 2;

/// A blob being written.
pub(super) struct RemoteWriter {
    inner: Arc<Inner>,
    id: BlobId,
    gathered: VecDeque<Bytes>,
    /// How many bytes that is.
    length: usize,
    /// The memory that it takes.
    share: Option<Share>,
    /// The upload in parts, once there is one.
    upload: Option<Arc<str>>,
    /// How many parts were begun.
    begun: usize,
    under_way: VecDeque<UnderWay>,
    parts: Vec<PartId>,
    /// What went wrong: nothing more is taken.
    failed: Option<BlobError>,
}

/// A part on its way. Dropped, it is let go of.
struct UnderWay {
    part: BlobFuture<'static, PartId>,
    stop: AbortHandle,
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.stop.abort();
    }
}

impl RemoteWriter {
    /// Of a blob that there is nothing of.
    pub(super) fn new(inner: Arc<Inner>, id: BlobId) -> RemoteWriter {
        RemoteWriter {
            inner,
            id,
            gathered: VecDeque::new(),
            length: 0,
            share: None,
            upload: None,
            begun: 0,
            under_way: VecDeque::new(),
            parts: Vec::new(),
            failed: None,
        }
    }

    /// A step begins: nothing is taken after one that failed, or was given up on its way.
    fn enter(&mut self) -> Result<(), BlobError> {
        let given_up = BlobError::Failed(format!("a write of blob {} was given up", self.id));
        match self.failed.replace(given_up) {
            None => Ok(()),
            Some(failed) => {
                self.failed = Some(failed.clone());
                Err(failed)
            }
        }
    }

    /// The step that was begun is through.
    fn leave(&mut self, done: Result<(), BlobError>) -> Result<(), BlobError> {
        self.failed = done.as_ref().err().cloned();
        done
    }

    async fn take(&mut self, bytes: Bytes) -> Result<(), BlobError> {
        self.length += bytes.len();
        self.gathered.push_back(bytes);
        self.take_share().await?;
        while self.length >= PART {
            self.put_part(PART).await?;
            self.take_share().await?;
        }
        Ok(())
    }

    async fn take_share(&mut self) -> Result<(), BlobError> {
        if self.share.is_some() || self.length <= UNSHARED {
            return Ok(());
        }
        let environment = &*self.inner.environment;
        self.share = self.inner.budget.share(environment).await;
        match self.share {
            Some(_) => Ok(()),
            None => Err(BlobError::Unavailable(
                "too many uploads are under way to the store of the bytes".to_owned(),
            )),
        }
    }

    /// That many bytes from what is gathered.
    fn cut(&mut self, length: usize) -> PutPayload {
        let mut left = length;
        let mut pieces = Vec::new();
        while left > 0 {
            let Some(mut first) = self.gathered.pop_front() else {
                break;
            };
            let piece = first.split_to(left.min(first.len()));
            left -= piece.len();
            if !first.is_empty() {
                self.gathered.push_front(first);
            }
            pieces.push(piece);
        }
        self.length -= length - left;
        pieces.into_iter().collect()
    }

    /// Sends a part on its way.
    async fn put_part(&mut self, length: usize) -> Result<(), BlobError> {
        let upload = match &self.upload {
            Some(upload) => Arc::clone(upload),
            None => self.begin_upload().await?,
        };
        while self.under_way.len() >= AHEAD {
            self.land_first().await?;
        }
        let payload = self.cut(length);
        let (share, number) = (self.share.take(), self.begun);
        self.begun += 1;
        let (inner, id) = (Arc::clone(&self.inner), self.id);
        let flight = self.inner.flights.begin(id);
        let (sent, stop) = abortable(async move {
            let (path, upload) = (inner.finished(id), upload.to_string());
            let sent = inner.store.put_part(&path, &upload, number, payload).await;
            drop((share, flight));
            inner.settle_written(id, sent)
        });
        let part = self.inner.on_its_way(async move {
            let stopped = |_| BlobError::Failed(format!("the upload of blob {id} was given up"));
            sent.await.map_err(stopped)?
        });
        self.under_way.push_back(UnderWay { part, stop });
        Ok(())
    }

    /// Begins the upload, and notes it beside the blob.
    async fn begin_upload(&mut self) -> Result<Arc<str>, BlobError> {
        let (inner, id) = (Arc::clone(&self.inner), self.id);
        let flight = self.inner.flights.begin(id);
        let begun = self.inner.on_its_way(async move {
            let path = inner.finished(id);
            let upload = inner.store.create_multipart(&path).await;
            let upload = inner.settle_written(id, upload)?;
            let note = PutPayload::from(upload.clone());
            let noted = inner.store.put(&inner.unfinished(id), note).await;
            drop(flight);
            if noted.is_err() {
                // Nobody would find it.
                inner.store.abort_multipart(&path, &upload).await.ok();
            }
            inner.settle_written(id, noted)?;
            Ok(Arc::from(upload))
        });
        let upload: Arc<str> = begun.await?;
        self.upload = Some(Arc::clone(&upload));
        Ok(upload)
    }

    /// Waits for the first of the parts under way.
    async fn land_first(&mut self) -> Result<(), BlobError> {
        if let Some(first) = self.under_way.front_mut() {
            let part = (&mut first.part).await?;
            self.under_way.pop_front();
            self.parts.push(part);
        }
        Ok(())
    }

    async fn land(&mut self) -> Result<(), BlobError> {
        while !self.under_way.is_empty() {
            self.land_first().await?;
        }
        Ok(())
    }

    /// All of it as one object.
    fn put_whole(&mut self) -> BlobFuture<'static, ()> {
        let payload = self.cut(self.length);
        let (inner, id, share) = (Arc::clone(&self.inner), self.id, self.share.take());
        let flight = self.inner.flights.begin(id);
        self.inner.on_its_way(async move {
            let put = inner.store.put(&inner.finished(id), payload).await;
            drop((share, flight));
            inner.settle_written(id, put).map(|_| ())
        })
    }

    /// Makes one object of the parts.
    fn complete(&mut self, upload: Arc<str>) -> BlobFuture<'static, ()> {
        let parts = std::mem::take(&mut self.parts);
        let (inner, id) = (Arc::clone(&self.inner), self.id);
        let flight = self.inner.flights.begin(id);
        self.inner.on_its_way(async move {
            let path = inner.finished(id);
            let upload = upload.to_string();
            let made = inner.store.complete_multipart(&path, &upload, parts).await;
            let made = inner.settle_written(id, made);
            if made.is_ok() {
                // If it stays, it goes with the blob.
                let removed = inner.delete(id, &inner.unfinished(id)).await;
                if let Err(error) = removed {
                    tracing::debug!(blob = %id, %error, "the note of an upload stays");
                }
            }
            drop(flight);
            made.map(|_| ())
        })
    }

    async fn end(&mut self) -> Result<(), BlobError> {
        if self.upload.is_none() {
            return self.put_whole().await;
        }
        if self.length > 0 {
            self.put_part(self.length).await?;
        }
        self.land().await?;
        let upload = self.upload.take().expect("it was just seen");
        self.complete(upload).await
    }
}

impl Inner {
    /// As `settle`, of a write: an upload that isn't there is no blob that is missing.
    fn settle_written<T>(
        &self,
        id: BlobId,
        result: object_store::Result<T>,
    ) -> Result<T, BlobError> {
        match result {
            Err(error) if is_missing(&error) => Err(self.refuse(super::told(&error))),
            other => self.settle(id, other),
        }
    }
}

impl BlobWriter for RemoteWriter {
    fn write(&mut self, bytes: Bytes) -> BlobFuture<'_, ()> {
        Box::pin(async move {
            self.enter()?;
            let taken = self.take(bytes).await;
            self.leave(taken)
        })
    }

    /// The store has the parts that were begun then. That serves no later resumption.
    fn sync(&mut self) -> BlobFuture<'_, ()> {
        Box::pin(async move {
            self.enter()?;
            let landed = self.land().await;
            self.leave(landed)
        })
    }

    fn finish(mut self: Box<Self>) -> BlobFuture<'static, ()> {
        Box::pin(async move {
            self.enter()?;
            let ended = self.end().await;
            self.leave(ended)
        })
    }
}
