//! Blobs as files of a directory: `xx/ID` of 256 directories by the number's first byte, `.part`
//! after it while it is written. It never serves what isn't finished, and refuses every further
//! write once a sync has failed: what is on the disk is unknown then.

use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind, IoSliceMut};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use rustix::buffer::spare_capacity;
use rustix::io::{Errno, ReadWriteFlags};
use store::FreeSpace;
use types::ByteSize;

use super::pool::{Outcome, Pool, cut_short};
use super::{BlobError, BlobFuture, BlobId, BlobWriter, Blobs};

/// How the name of a file ends that isn't finished.
const UNFINISHED: &str = ".part";

/// How many threads write and sync. More add little: 2,460 synced files a second with 4, 2,810
/// with 16 were measured.
const WRITERS: usize = 8;

/// How many threads read, so that no reader waits for a sync.
const READERS: usize = 4;

/// How often the free space is looked at while a blob grows, in bytes.
const LOOK_EVERY: u64 = 8 << 20;

/// How blobs are kept in a directory.
#[derive(Clone)]
pub struct LocalOptions {
    /// With less free space than this, nothing is begun or continued: `DiskFull`.
    pub reserve: ByteSize,
    /// Tells the free space at a path.
    pub free_space: FreeSpace,
}

impl LocalOptions {
    /// What suits a Region that shares a disk with its database: more than the reserve of that, so
    /// that rows can still say what is to be removed when no more bytes are taken.
    pub fn modest() -> LocalOptions {
        LocalOptions {
            reserve: ByteSize::mib(1024),
            free_space: Arc::new(store::free_space),
        }
    }
}

/// Blobs as files of a directory. All clones are the same.
#[derive(Clone)]
pub struct LocalBlobs {
    inner: Arc<Inner>,
}

struct Inner {
    volume: Arc<Volume>,
    writers: Pool,
    readers: Pool,
}

/// The directory, as the threads see it.
struct Volume {
    root: PathBuf,
    options: LocalOptions,
    /// Why nothing is written any more.
    failed: Mutex<Option<String>>,
}

struct LocalWriter {
    blobs: LocalBlobs,
    id: BlobId,
    file: Arc<File>,
    /// What was written, or is on its way.
    length: u64,
    /// Where the free space is looked at next.
    look_at: u64,
    /// The last write, on its way.
    pending: Option<Outcome<()>>,
}

impl LocalBlobs {
    /// Opens the directory, making it and the directories in it where they are missing.
    ///
    /// # Errors
    /// What the system says.
    pub fn open(root: &Path, options: LocalOptions) -> io::Result<LocalBlobs> {
        std::fs::create_dir_all(root)?;
        for shard in 0..=u8::MAX {
            match std::fs::create_dir(root.join(format!("{shard:02x}"))) {
                Err(cause) if cause.kind() != ErrorKind::AlreadyExists => return Err(cause),
                _ => {}
            }
        }
        // Also if all were there: whoever made them may have been killed before this.
        File::open(root)?.sync_all()?;
        if let Some(parent) = root.parent().filter(|path| !path.as_os_str().is_empty()) {
            File::open(parent)?.sync_all()?;
        }
        let volume = Volume {
            root: root.to_owned(),
            options,
            failed: Mutex::new(None),
        };
        let inner = Inner {
            volume: Arc::new(volume),
            writers: Pool::new("blob-writer", WRITERS),
            readers: Pool::new("blob-reader", READERS),
        };
        Ok(LocalBlobs {
            inner: Arc::new(inner),
        })
    }

    /// Why nothing is written any more, if so: a sync has failed.
    pub fn failure(&self) -> Option<String> {
        self.inner.volume.failure()
    }

    fn begin(&self, id: BlobId, resumed: Option<u64>) -> BlobFuture<'static, Box<dyn BlobWriter>> {
        let volume = Arc::clone(&self.inner.volume);
        let opened = self.inner.writers.run(move || volume.begin(id, resumed));
        let blobs = self.clone();
        Box::pin(async move {
            let file = opened.await.map_err(cut_short)??;
            let length = resumed.unwrap_or(0);
            let writer: Box<dyn BlobWriter> = Box::new(LocalWriter {
                blobs,
                id,
                file: Arc::new(file),
                length,
                look_at: length + LOOK_EVERY,
                pending: None,
            });
            Ok(writer)
        })
    }

    fn read_file(&self, id: BlobId, path: PathBuf, offset: u64, length: usize) -> Outcome<Bytes> {
        self.inner
            .readers
            .run(move || read(id, &path, offset, length))
    }
}

/// Awaits a call.
fn awaited<T: Send + 'static>(outcome: Outcome<T>) -> BlobFuture<'static, T> {
    Box::pin(async move { outcome.await.map_err(cut_short)? })
}

impl Blobs for LocalBlobs {
    fn create(&self, id: BlobId) -> BlobFuture<'static, Box<dyn BlobWriter>> {
        self.begin(id, None)
    }

    fn resume(&self, id: BlobId, length: u64) -> BlobFuture<'static, Box<dyn BlobWriter>> {
        self.begin(id, Some(length))
    }

    fn read(&self, id: BlobId, offset: u64, length: usize) -> BlobFuture<'static, Bytes> {
        let path = self.inner.volume.finished(id);
        if let Some(bytes) = read_cached(&path, offset, length) {
            return Box::pin(std::future::ready(Ok(bytes)));
        }
        awaited(self.read_file(id, path, offset, length))
    }

    fn read_unfinished(
        &self,
        id: BlobId,
        offset: u64,
        length: usize,
    ) -> BlobFuture<'static, Bytes> {
        let path = self.inner.volume.unfinished(id);
        awaited(self.read_file(id, path, offset, length))
    }

    fn remove(&self, id: BlobId) -> BlobFuture<'static, ()> {
        let volume = Arc::clone(&self.inner.volume);
        awaited(self.inner.writers.run(move || volume.remove(id)))
    }

    fn list(&self, after: Option<BlobId>, limit: usize) -> BlobFuture<'static, Vec<BlobId>> {
        let volume = Arc::clone(&self.inner.volume);
        awaited(self.inner.readers.run(move || volume.list(after, limit)))
    }
}

impl LocalWriter {
    /// Waits for the write on its way.
    async fn settle(&mut self) -> Result<(), BlobError> {
        match self.pending.take() {
            Some(pending) => pending.await.map_err(cut_short)?,
            None => Ok(()),
        }
    }
}

impl BlobWriter for LocalWriter {
    fn write(&mut self, bytes: Bytes) -> BlobFuture<'_, ()> {
        Box::pin(async move {
            self.settle().await?;
            let offset = self.length;
            self.length += bytes.len() as u64;
            let look = self.length >= self.look_at;
            if look {
                self.look_at = self.length + LOOK_EVERY;
            }
            let (file, volume) = (Arc::clone(&self.file), Arc::clone(&self.blobs.inner.volume));
            self.pending = Some(self.blobs.inner.writers.run(move || {
                volume.writable(look)?;
                file.write_all_at(&bytes, offset).map_err(refused)
            }));
            Ok(())
        })
    }

    fn sync(&mut self) -> BlobFuture<'_, ()> {
        Box::pin(async move {
            self.settle().await?;
            let (file, volume, id) = (
                Arc::clone(&self.file),
                Arc::clone(&self.blobs.inner.volume),
                self.id,
            );
            let synced = self.blobs.inner.writers.run(move || {
                volume.sync(&file)?;
                volume.sync_shard(id)
            });
            synced.await.map_err(cut_short)?
        })
    }

    fn finish(mut self: Box<Self>) -> BlobFuture<'static, ()> {
        Box::pin(async move {
            self.settle().await?;
            let volume = Arc::clone(&self.blobs.inner.volume);
            let (file, id) = (Arc::clone(&self.file), self.id);
            let finished = self.blobs.inner.writers.run(move || {
                volume.sync(&file)?;
                let renamed = std::fs::rename(volume.unfinished(id), volume.finished(id));
                renamed.map_err(|cause| missing_or(id, cause))?;
                volume.sync_shard(id)
            });
            finished.await.map_err(cut_short)?
        })
    }
}

impl Volume {
    fn shard(&self, id: BlobId) -> PathBuf {
        self.root.join(format!("{:02x}", id.0 >> 120))
    }

    fn finished(&self, id: BlobId) -> PathBuf {
        self.shard(id).join(id.to_string())
    }

    fn unfinished(&self, id: BlobId) -> PathBuf {
        self.shard(id).join(format!("{id}{UNFINISHED}"))
    }

    fn failure(&self) -> Option<String> {
        let failed = self.failed.lock();
        failed.expect("nothing panics under this lock").clone()
    }

    /// May something be written? Looks at the free space if told to.
    fn writable(&self, look: bool) -> Result<(), BlobError> {
        if let Some(failure) = self.failure() {
            return Err(BlobError::Failed(failure));
        }
        if !look {
            return Ok(());
        }
        match (self.options.free_space)(&self.root) {
            Ok(free) if free < self.options.reserve => Err(BlobError::DiskFull),
            Ok(_) => Ok(()),
            Err(cause) => {
                // The write itself will tell what is wrong with the disk.
                tracing::warn!(%cause, "can't tell how much space is free");
                Ok(())
            }
        }
    }

    fn begin(&self, id: BlobId, resumed: Option<u64>) -> Result<File, BlobError> {
        self.writable(true)?;
        let path = self.unfinished(id);
        let mut options = OpenOptions::new();
        options.write(true);
        let Some(length) = resumed else {
            let created = options.create_new(true).open(&path);
            return created.map_err(refused);
        };
        let file = options.open(&path);
        let file = file.map_err(|cause| missing_or(id, cause))?;
        let found = file.metadata().map_err(refused)?.len();
        if found < length {
            return Err(BlobError::Failed(format!(
                "blob {id} has {found} bytes and can't go on at {length}"
            )));
        }
        file.set_len(length).map_err(refused)?;
        Ok(file)
    }

    fn sync(&self, file: &File) -> Result<(), BlobError> {
        self.writable(false)?;
        file.sync_data().map_err(|cause| self.fail(&cause))
    }

    fn sync_shard(&self, id: BlobId) -> Result<(), BlobError> {
        let shard = File::open(self.shard(id)).map_err(refused)?;
        shard.sync_all().map_err(|cause| self.fail(&cause))
    }

    /// A sync failed: the system has dropped what it couldn't write, and would call the next sync
    /// a success.
    fn fail(&self, cause: &io::Error) -> BlobError {
        let failure = format!("{} can't be synced: {cause}", self.root.display());
        tracing::error!(%failure, "no more bytes are taken");
        let failed = self.failed.lock();
        *failed.expect("nothing panics under this lock") = Some(failure.clone());
        BlobError::Failed(failure)
    }

    fn remove(&self, id: BlobId) -> Result<(), BlobError> {
        for path in [self.unfinished(id), self.finished(id)] {
            match std::fs::remove_file(&path) {
                Err(cause) if cause.kind() != ErrorKind::NotFound => return Err(refused(cause)),
                _ => {}
            }
        }
        Ok(())
    }

    fn list(&self, after: Option<BlobId>, limit: usize) -> Result<Vec<BlobId>, BlobError> {
        let first = after.map_or(0, |id| (id.0 >> 120) as u8);
        let mut found = Vec::new();
        for shard in first..=u8::MAX {
            let mut here = Vec::new();
            let path = self.root.join(format!("{shard:02x}"));
            for entry in std::fs::read_dir(&path).map_err(refused)? {
                let name = entry.map_err(refused)?.file_name();
                let name = name.to_str().unwrap_or_default();
                let id = BlobId::from_hex(name.strip_suffix(UNFINISHED).unwrap_or(name));
                // A stranger's file is left alone.
                here.extend(id.filter(|id| after.is_none_or(|after| *id > after)));
            }
            here.sort_unstable();
            here.dedup();
            found.extend(here);
            if found.len() >= limit {
                found.truncate(limit);
                break;
            }
        }
        Ok(found)
    }
}

/// Bytes that the system holds in memory, without a thread of their own: handing a read over and
/// back costs more than the read. None if they aren't there, or can't be read: a thread shall wait
/// for the disk, or say what is wrong.
///
/// A first and a last byte are asked for with `RWF_NOWAIT` (preadv2(2)). What lies between was read
/// with them, or is a wait for the disk that is no longer than the database's.
fn read_cached(path: &Path, offset: u64, length: usize) -> Option<Bytes> {
    let file = File::open(path).ok()?;
    let last = offset + (length as u64).checked_sub(1)?;
    for at in [offset, last] {
        let mut byte = [0];
        let into = &mut [IoSliceMut::new(&mut byte)];
        let read = rustix::io::preadv2(&file, into, at, ReadWriteFlags::NOWAIT);
        read.ok().filter(|read| *read == 1)?;
    }
    read_from(&file, offset, length).ok()
}

fn read(id: BlobId, path: &Path, offset: u64, length: usize) -> Result<Bytes, BlobError> {
    let file = File::open(path).map_err(|cause| missing_or(id, cause))?;
    read_from(&file, offset, length)
}

fn read_from(file: &File, offset: u64, length: usize) -> Result<Bytes, BlobError> {
    let mut bytes = Vec::with_capacity(length);
    while bytes.len() < length {
        let at = offset + bytes.len() as u64;
        match rustix::io::pread(file, spare_capacity(&mut bytes), at) {
            Ok(0) => break,
            Ok(_) | Err(Errno::INTR) => {}
            Err(cause) => return Err(refused(cause.into())),
        }
    }
    // The vector may have more room than was asked for.
    bytes.truncate(length);
    Ok(Bytes::from(bytes))
}

fn missing_or(id: BlobId, cause: io::Error) -> BlobError {
    match cause.kind() {
        ErrorKind::NotFound => BlobError::Missing(id),
        _ => refused(cause),
    }
}

fn refused(cause: io::Error) -> BlobError {
    match cause.kind() {
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => BlobError::DiskFull,
        _ => BlobError::Failed(cause.to_string()),
    }
}
