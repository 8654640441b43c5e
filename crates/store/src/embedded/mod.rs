//! The engine of real Regions: fjall, a log-structured merge tree, behind one writer thread that
//! merges waiting commits into one sync. With fjall's own, its threads are the only ones a Region
//! has outside its runtime. Reads block on the disk for microseconds, so its futures are ready at
//! once. It never acknowledges what isn't synced, and stops for good at the first failed write.

mod directory;
mod files;
mod group;
mod journal;
mod progress;
mod tender;
mod verify;
mod writer;

use std::future::Future;
use std::ops::Bound;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use arc_swap::ArcSwap;
use bytes::Bytes;
use event_listener::Event;
use fjall::{CompressionType, Database, Keyspace, KeyspaceCreateOptions, LsmError, Readable as _};
use types::ByteSize;

pub use verify::{SpaceReport, VerifyReport, verify};

use directory::{Directory, Found};
use progress::{PROGRESS_KEY, Progress};
use tender::Watch;
use writer::Queue;

use crate::completion::Answer;
use crate::{
    Batch, Direction, Engine, Entry, KeyRange, LogPosition, OpenError, Page, PlantedBug, ReadError,
    Snapshot, Space, is_empty_range,
};

/// fjall's background threads: one that flushes, two that compact. With two in all, the first hands
/// a compaction back to the queue and takes it again, without pause, as long as the second is
/// busy: a sixth of the processor time of small puts, measured. With one, a rotation that finds the
/// queue full would wait for itself (`worker_pool.rs` and `keyspace/mod.rs` of fjall 3.1.13).
const WORKER_THREADS: usize = 3;

/// Journals are flushed away once they come to so much; a restart replays no more than this.
const JOURNAL_LIMIT: ByteSize = ByteSize::mib(128);

/// How many files fjall keeps open.
const OPEN_FILES: usize = 256;

/// An embedded database. All clones are the same database; the last one to go closes it.
#[derive(Clone, Debug)]
pub struct EmbeddedEngine {
    inner: Arc<Inner>,
}

/// A view of an `EmbeddedEngine` as of one moment. While it lives, what it sees isn't compacted
/// away, and the database stays locked.
pub struct EmbeddedSnapshot {
    snapshot: Arc<fjall::Snapshot>,
    core: Arc<Core>,
}

/// How to open an embedded database.
#[derive(Clone)]
pub struct EmbeddedOptions {
    /// Memory for blocks read from sorted files.
    pub cache: ByteSize,
    /// Memory in which new items gather before they are written out, sorted, and as much each for
    /// objects and for content; the other keyspaces have a half or a quarter of it each. Settled
    /// when the database is made.
    pub write_memory: ByteSize,
    /// With less free space than this, commits that add data are refused with `DiskFull`; with
    /// less than a quarter of it, all that don't remove. It must cover a journal (64 MiB, allocated
    /// as it is filled) and the copies that compaction makes: of two keyspaces at once, each the
    /// 256 MiB of a first level and what is merged into it. A compaction for which there is no room
    /// ends the engine.
    pub reserve: ByteSize,
    /// How many bytes of sorted files are read and checked at the start, smallest files first.
    /// (Manifests and journals always are, and every block whenever it is read from the disk.)
    pub checked_at_open: ByteSize,
    /// Tells the free space at a path.
    pub free_space: FreeSpace,
    /// A fault for the tests to find.
    #[doc(hidden)]
    pub planted_bug: Option<PlantedBug>,
}

/// Tells how much space is free for this user at a path.
pub type FreeSpace = Arc<dyn Fn(&Path) -> std::io::Result<ByteSize> + Send + Sync>;

struct Inner {
    core: Arc<Core>,
    queue: Arc<Queue>,
    watch: Arc<Watch>,
    /// The writer, and the tender beside it.
    threads: Mutex<Vec<JoinHandle<()>>>,
}

/// The database, as the writer and the readers share it. Dropped in the order of its fields: the
/// directory's lock goes last.
struct Core {
    /// The database as of the last commit: what readers see. fjall's own newest snapshot may show a
    /// part of the commit that is being written: whenever it has written out a keyspace it lets all
    /// be seen that was begun (`SuperVersions::upgrade_version` of lsm-tree 3.1.10).
    committed: ArcSwap<fjall::Snapshot>,
    keyspaces: Vec<Keyspace>,
    database: Database,
    head: AtomicU64,
    grown: Event,
    reserve: ByteSize,
    free_space: FreeSpace,
    planted_bug: Option<PlantedBug>,
    directory: Directory,
}

impl EmbeddedOptions {
    /// What suits a Region that shares a machine with others: about 2 MiB when new, 40 MiB after
    /// heavy writing of items, as much more after heavy writing of small objects.
    pub fn modest() -> EmbeddedOptions {
        EmbeddedOptions {
            cache: ByteSize::mib(8),
            write_memory: ByteSize::mib(8),
            reserve: ByteSize::mib(768),
            checked_at_open: ByteSize::mib(64),
            free_space: Arc::new(free_space),
            planted_bug: None,
        }
    }
}

impl EmbeddedEngine {
    /// Opens the database in a directory, or makes one there.
    ///
    /// # Errors
    /// `InUse` if another process (or an engine or snapshot of this one) has it open, `Newer`,
    /// `Corrupt` with the damaged file; nothing is changed then. `Io` else.
    pub fn open(path: &Path, options: EmbeddedOptions) -> Result<EmbeddedEngine, OpenError> {
        let (directory, found) = Directory::open(path)?;
        let synced = directory.synced_group()?;
        if found != Found::Fresh {
            let data = directory.data();
            files::require(&data)?;
            files::check(&data, options.checked_at_open)?;
            if let Some(torn) = journal::inspect(&data, synced)?.torn {
                torn.cut_off()?;
            }
        }
        let (database, keyspaces) = open_database(&directory, found, &options)?;
        if found != Found::Complete {
            directory.complete()?;
        }
        let core = Core {
            committed: ArcSwap::from_pointee(database.snapshot()),
            keyspaces,
            database,
            head: AtomicU64::new(0),
            grown: Event::new(),
            reserve: options.reserve,
            free_space: options.free_space,
            planted_bug: options.planted_bug,
            directory,
        };
        let progress = core.read_progress()?;
        if progress.group < synced {
            return Err(OpenError::Corrupt {
                file: core.directory.data(),
                detail: format!(
                    "commits up to the synced group {synced} are missing after {}: a journal \
                     was removed",
                    progress.group
                ),
            });
        }
        core.head.store(progress.head.0, Ordering::Release);
        EmbeddedEngine::start(Arc::new(core), progress)
    }

    /// The bytes of its files.
    pub fn approximate_bytes(&self) -> u64 {
        // The journals' part fails only if the system can't tell a file's length.
        self.inner.core.database.disk_space().unwrap_or(0)
    }

    fn start(core: Arc<Core>, progress: Progress) -> Result<EmbeddedEngine, OpenError> {
        let queue = Arc::new(Queue::default());
        let watch = Arc::new(Watch::default());
        let io_error = directory::io(core.directory.path());
        let thread = std::thread::Builder::new().name("store-tender".to_owned());
        let tender = thread.spawn({
            let (core, queue, watch) = (core.clone(), queue.clone(), watch.clone());
            move || tender::run(&core, &queue, &watch)
        });
        let tender = tender.map_err(&io_error)?;
        let thread = std::thread::Builder::new().name("store-writer".to_owned());
        let writer = thread.spawn({
            let (core, queue, watch) = (core.clone(), queue.clone(), watch.clone());
            move || writer::run(&core, &queue, &watch, progress)
        });
        let writer = writer.map_err(|cause| {
            watch.close();
            io_error(cause)
        })?;
        let inner = Inner {
            core,
            queue,
            watch,
            threads: Mutex::new(vec![writer, tender]),
        };
        Ok(EmbeddedEngine {
            inner: Arc::new(inner),
        })
    }
}

impl Engine for EmbeddedEngine {
    type Snapshot = EmbeddedSnapshot;

    fn snapshot(&self) -> EmbeddedSnapshot {
        EmbeddedSnapshot {
            snapshot: self.inner.core.committed.load_full(),
            core: Arc::clone(&self.inner.core),
        }
    }

    fn commit(&self, batch: Batch) -> impl Future<Output = Answer> + Send + 'static {
        batch.assert_well_formed();
        self.inner.queue.push(batch)
    }

    fn log_head(&self) -> LogPosition {
        self.inner.core.head()
    }

    fn log_grown(
        &self,
        position: LogPosition,
    ) -> impl Future<Output = LogPosition> + Send + 'static {
        let core = Arc::clone(&self.inner.core);
        async move {
            loop {
                let listener = core.grown.listen();
                let head = core.head();
                if head > position {
                    return head;
                }
                listener.await;
            }
        }
    }
}

impl Snapshot for EmbeddedSnapshot {
    fn get(
        &self,
        space: Space,
        key: &[u8],
    ) -> impl Future<Output = Result<Option<Bytes>, ReadError>> + Send {
        let value = match key.is_empty() {
            true => Ok(None), // fjall holds no empty keys, and panics at one.
            false => self.snapshot.get(self.core.keyspace(space), key),
        };
        let value = value.map(|value| value.map(|value| Bytes::copy_from_slice(&value)));
        std::future::ready(value.map_err(|cause| self.core.read_error(cause)))
    }

    fn scan(
        &self,
        space: Space,
        range: KeyRange,
        direction: Direction,
        limit: usize,
    ) -> impl Future<Output = Result<Page, ReadError>> + Send {
        let page = self.page(space, &range, direction, limit);
        std::future::ready(page.map_err(|cause| self.core.read_error(cause)))
    }
}

impl EmbeddedSnapshot {
    fn page(
        &self,
        space: Space,
        range: &KeyRange,
        direction: Direction,
        limit: usize,
    ) -> fjall::Result<Page> {
        let mut page = Page::default();
        if is_empty_range(range) {
            return Ok(page);
        }
        let bounds: (Bound<&[u8]>, Bound<&[u8]>) = (
            range.start.as_ref().map(|key| &**key),
            range.end.as_ref().map(|key| &**key),
        );
        let keyspace = self.core.keyspace(space);
        let mut entries = self.snapshot.range::<&[u8], _>(keyspace, bounds);
        loop {
            let entry = match direction {
                Direction::Forward => entries.next(),
                Direction::Backward => entries.next_back(),
            };
            let Some(entry) = entry else {
                return Ok(page);
            };
            if page.entries.len() == limit {
                page.more = true;
                return Ok(page);
            }
            let (key, value) = entry.into_inner()?;
            page.entries.push(Entry {
                key: Bytes::copy_from_slice(&key),
                value: Bytes::copy_from_slice(&value),
            });
        }
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.queue.close();
        self.watch.close();
        let threads = self.threads.get_mut().map(std::mem::take);
        // A waker that the writer calls may drop the last engine: a thread can't wait for itself.
        let this = std::thread::current().id();
        if self.watch.is_abandoned() {
            return;
        }
        for thread in threads.unwrap_or_default() {
            if thread.thread().id() != this && thread.join().is_err() {
                tracing::error!("a thread of the storage engine panicked");
            }
        }
    }
}

impl std::fmt::Debug for Inner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("EmbeddedEngine")
            .field("path", &self.core.directory.path())
            .field("head", &self.core.head())
            .finish_non_exhaustive()
    }
}

impl Core {
    fn keyspace(&self, space: Space) -> &Keyspace {
        &self.keyspaces[space.index()]
    }

    fn head(&self) -> LogPosition {
        LogPosition(self.head.load(Ordering::Acquire))
    }

    /// Lets readers and the log's followers see what was synced. The writer calls it between two
    /// commits, when there is nothing that could be seen by halves.
    fn publish(&self, head: LogPosition) {
        self.committed.store(Arc::new(self.database.snapshot()));
        if self.head.swap(head.0, Ordering::AcqRel) < head.0 {
            self.grown.notify(usize::MAX);
        }
    }

    /// A key's newest value. Only the writer may rely on it.
    fn read_newest(&self, space: Space, key: &[u8]) -> Result<Option<Bytes>, ReadError> {
        if key.is_empty() {
            return Ok(None);
        }
        match self.keyspace(space).get(key) {
            Ok(value) => Ok(value.map(|value| Bytes::copy_from_slice(&value))),
            Err(cause) => Err(self.read_error(cause)),
        }
    }

    fn read_progress(&self) -> Result<Progress, OpenError> {
        let file = self.directory.data();
        let value = self.read_newest(Space::Meta, PROGRESS_KEY);
        let value = value.map_err(|cause| OpenError::Corrupt {
            file: file.clone(),
            detail: cause.to_string(),
        })?;
        let Some(value) = value else {
            return Ok(Progress::default());
        };
        Progress::decode(&value).ok_or(OpenError::Corrupt {
            file,
            detail: "the record of its progress makes no sense".to_owned(),
        })
    }

    /// Says which file is damaged, if it was that.
    fn read_error(&self, cause: fjall::Error) -> ReadError {
        if !is_corruption(&cause) {
            return ReadError::Io(cause.to_string());
        }
        match files::check(&self.directory.data(), ByteSize(u64::MAX)) {
            Err(OpenError::Corrupt { file, detail }) => {
                ReadError::Corrupt(format!("{}: {detail} ({cause})", file.display()))
            }
            _ => ReadError::Corrupt(cause.to_string()),
        }
    }
}

/// Opens fjall with every keyspace.
fn open_database(
    directory: &Directory,
    found: Found,
    options: &EmbeddedOptions,
) -> Result<(Database, Vec<Keyspace>), OpenError> {
    let data = directory.data();
    let error = |cause| open_error(&data, cause);
    let database = Database::builder(&data)
        .cache_size(options.cache.0)
        .max_cached_files(Some(OPEN_FILES))
        .max_journaling_size(JOURNAL_LIMIT.0)
        .journal_compression(CompressionType::None)
        .worker_threads(WORKER_THREADS)
        .open()
        .map_err(error)?;
    let mut keyspaces = Vec::new();
    for space in Space::ALL {
        // fjall would make a missing one anew, and empty.
        if found.has(space) && !database.keyspace_exists(space.name()) {
            return Err(OpenError::Corrupt {
                file: data.join("keyspaces"),
                detail: format!("the keyspace {:?} is missing", space.name()),
            });
        }
        let memory = memory_of(space, options.write_memory);
        let keyspace = database.keyspace(space.name(), || {
            KeyspaceCreateOptions::default().max_memtable_size(memory.0)
        });
        keyspaces.push(keyspace.map_err(error)?);
    }
    Ok((database, keyspaces))
}

/// How much of a keyspace is kept in memory before it is written out, sorted. The journal holds
/// it meanwhile; fjall stops accepting writes when four times as much waits to be written out.
fn memory_of(space: Space, items: ByteSize) -> ByteSize {
    let divisor = match space {
        // An object of 4 KiB puts 6 KiB into these two: with a quarter of the memory each write
        // cost twice the processor time, for sorted files written anew all the time.
        Space::Items | Space::Objects | Space::Content => 1,
        Space::Indexes | Space::Log => 2,
        Space::Meta | Space::Conflicts | Space::Council => 4,
    };
    ByteSize(items.0 / divisor)
}

fn open_error(data: &Path, cause: fjall::Error) -> OpenError {
    match cause {
        fjall::Error::Locked => OpenError::InUse(data.to_owned()),
        cause if is_corruption(&cause) => {
            // Only now is every file read: it is the one way to name the damaged one.
            match files::check(data, ByteSize(u64::MAX)) {
                Err(named) => named,
                Ok(_) => OpenError::Corrupt {
                    file: data.to_owned(),
                    detail: cause.to_string(),
                },
            }
        }
        fjall::Error::Io(cause) | fjall::Error::Storage(LsmError::Io(cause)) => OpenError::Io {
            path: data.to_owned(),
            cause,
        },
        cause => OpenError::Io {
            path: data.to_owned(),
            cause: std::io::Error::other(cause),
        },
    }
}

/// Do the bytes make no sense (or are there too few), rather than that they couldn't be read?
fn is_corruption(cause: &fjall::Error) -> bool {
    match cause {
        fjall::Error::Io(cause) | fjall::Error::Storage(LsmError::Io(cause)) => {
            cause.kind() == std::io::ErrorKind::UnexpectedEof
        }
        fjall::Error::Poisoned | fjall::Error::KeyspaceDeleted | fjall::Error::Locked => false,
        _ => true,
    }
}

/// How much space is free for this user at a path, as its file system says.
///
/// # Errors
/// What the system says.
pub fn free_space(path: &Path) -> std::io::Result<ByteSize> {
    let status = rustix::fs::statvfs(path)?;
    Ok(ByteSize(status.f_bavail.saturating_mul(status.f_frsize)))
}
