//! Blobs in a bucket, over a store in memory that tells what it was asked and can be away.

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use futures_util::stream::BoxStream;
use object_store::memory::InMemory;
use object_store::multipart::PartId;
use object_store::{
    CopyOptions, Error, GetResult, ListResult, MultipartId, MultipartUpload, ObjectMeta,
    PutMultipartOptions, PutOptions, PutPayload, PutResult, Result,
};
use types::{Monotonic, Now, Sleep, Timestamp};

use super::*;
use crate::blob::tests::{id, lists_in_order_and_removes, reads_back, wait, write};

/// A store in memory.
#[derive(Debug, Default)]
struct Watched {
    memory: InMemory,
    is_away: AtomicBool,
    asked: Mutex<Vec<String>>,
}

impl Watched {
    fn ask(&self, what: impl Into<String>) -> Result<()> {
        self.asked.lock().unwrap().push(what.into());
        match self.is_away.load(Ordering::Relaxed) {
            true => Err(Error::Generic {
                store: "watched",
                source: "it is away".into(),
            }),
            false => Ok(()),
        }
    }

    /// What it was asked since the last time.
    fn asked(&self) -> Vec<String> {
        std::mem::take(&mut self.asked.lock().unwrap())
    }

    fn names(&self) -> Vec<String> {
        let listed = wait(self.memory.list(None).collect::<Vec<_>>());
        let names = listed
            .into_iter()
            .map(|entry| entry.unwrap().location.to_string());
        names.collect()
    }
}

impl fmt::Display for Watched {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("watched")
    }
}

#[async_trait]
impl ObjectStore for Watched {
    async fn put_opts(
        &self,
        path: &Path,
        payload: PutPayload,
        options: PutOptions,
    ) -> Result<PutResult> {
        self.ask("put")?;
        self.memory.put_opts(path, payload, options).await
    }

    async fn put_multipart_opts(
        &self,
        _: &Path,
        _: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        panic!("uploads have ids here")
    }

    async fn get_opts(&self, path: &Path, options: GetOptions) -> Result<GetResult> {
        self.ask("get")?;
        self.memory.get_opts(path, options).await
    }

    fn delete_stream(
        &self,
        paths: BoxStream<'static, Result<Path>>,
    ) -> BoxStream<'static, Result<Path>> {
        match self.ask("delete") {
            Ok(()) => self.memory.delete_stream(paths),
            Err(error) => futures_util::stream::iter([Err(error)]).boxed(),
        }
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        match self.ask("list") {
            Ok(()) => self.memory.list(prefix),
            Err(error) => futures_util::stream::iter([Err(error)]).boxed(),
        }
    }

    async fn list_with_delimiter(&self, _: Option<&Path>) -> Result<ListResult> {
        panic!("nobody asks for that")
    }

    async fn copy_opts(&self, _: &Path, _: &Path, _: CopyOptions) -> Result<()> {
        panic!("nobody asks for that")
    }
}

#[async_trait]
impl MultipartStore for Watched {
    async fn create_multipart(&self, path: &Path) -> Result<MultipartId> {
        self.ask("begin")?;
        self.memory.create_multipart(path).await
    }

    async fn put_part(
        &self,
        path: &Path,
        id: &MultipartId,
        number: usize,
        payload: PutPayload,
    ) -> Result<PartId> {
        self.ask(format!("part {number}: {}", payload.content_length()))?;
        self.memory.put_part(path, id, number, payload).await
    }

    async fn complete_multipart(
        &self,
        path: &Path,
        id: &MultipartId,
        parts: Vec<PartId>,
    ) -> Result<PutResult> {
        self.ask(format!("complete {}", parts.len()))?;
        self.memory.complete_multipart(path, id, parts).await
    }

    async fn abort_multipart(&self, path: &Path, id: &MultipartId) -> Result<()> {
        self.ask("abort")?;
        self.memory.abort_multipart(path, id).await
    }
}

/// A thread for each task.
struct Threads;

impl Carrier for Threads {
    fn carry(&self, task: Pin<Box<dyn Future<Output = ()> + Send>>) {
        std::thread::spawn(move || wait(task));
    }
}

/// Nobody who waits by this clock waits long.
struct Hasty;

impl Environment for Hasty {
    fn now(&self) -> Now {
        Now {
            wall: Timestamp(0),
            monotonic: Monotonic(0),
        }
    }

    fn sleep_until(&self, _: Monotonic) -> Sleep {
        Box::pin(std::future::ready(()))
    }

    fn random(&self) -> u64 {
        0
    }
}

fn owned_by(store: &Arc<Watched>, owner: &str, prefix: &str) -> RemoteBlobs {
    let options = RemoteOptions {
        prefix: prefix.to_owned(),
        owner: owner.to_owned(),
        carrier: Arc::new(Threads),
        environment: Arc::new(Hasty),
    };
    RemoteBlobs::over(store.clone(), options).unwrap()
}

fn watched() -> (Arc<Watched>, RemoteBlobs) {
    let store = Arc::new(Watched::default());
    let blobs = owned_by(&store, "us-east-1 1", "labs/us-east-1");
    wait(blobs.claim()).unwrap();
    store.asked();
    (store, blobs)
}

/// Pieces of 1 MiB, each of one byte all over.
fn pieces(count: usize) -> impl Iterator<Item = Bytes> {
    (0..count).map(|piece| Bytes::from(vec![piece as u8; 1 << 20]))
}

#[test]
fn a_bucket_does_what_every_place_does() {
    reads_back(&watched().1);
    lists_in_order_and_removes(&watched().1);
    let (store, blobs) = watched();
    write(&blobs, id(1, 1), &["x"]);
    wait(blobs.remove(id(1, 1))).unwrap();
    assert_eq!(store.names(), ["labs/us-east-1/owner"]);
}

#[test]
fn a_large_blob_goes_in_parts_and_is_there_once_they_are_one() {
    let (store, blobs) = watched();
    let blob = id(2, 7);
    let mut writer = wait(blobs.create(blob)).unwrap();
    for piece in pieces(12) {
        wait(writer.write(piece)).unwrap();
    }
    wait(writer.sync()).unwrap();
    let missing = Err(BlobError::Missing(blob));
    assert_eq!(wait(blobs.read(blob, 0, 1)), missing);
    assert_eq!(wait(blobs.read_unfinished(blob, 0, 1)), missing);
    assert_eq!(wait(blobs.list(None, 9)).unwrap(), [blob]);
    store.asked();
    wait(writer.finish()).unwrap();
    let asked = store.asked();
    let last = format!("part 2: {}", 2 << 20);
    assert_eq!(asked, [last.as_str(), "complete 3", "delete"]);
    let around = wait(blobs.read(blob, (5 << 20) - 1, 2)).unwrap();
    assert_eq!(around[..], [4, 5]);
    assert_eq!(wait(blobs.read(blob, (12 << 20) - 1, 9)).unwrap()[..], [11]);
    assert_eq!(wait(blobs.list(None, 9)).unwrap(), [blob]);
    assert_eq!(wait(blobs.list(Some(blob), 9)).unwrap(), []);
    assert_eq!(
        store.names(),
        [
            format!("labs/us-east-1/{blob}"),
            "labs/us-east-1/owner".to_owned()
        ]
    );
}

#[test]
fn what_was_begun_is_found_and_ended_by_its_removal() {
    let (store, blobs) = watched();
    let blob = id(3, 1);
    let mut writer = wait(blobs.create(blob)).unwrap();
    for piece in pieces(6) {
        wait(writer.write(piece)).unwrap();
    }
    drop(writer);
    // As another process that comes after it would.
    let later = owned_by(&store, "us-east-1 1", "labs/us-east-1");
    assert!(wait(later.resume(blob, 0)).is_err(), "it is begun anew");
    assert_eq!(wait(later.list(None, 9)).unwrap(), [blob]);
    store.asked();
    wait(blobs.remove(blob)).unwrap();
    assert!(store.asked().contains(&"abort".to_owned()));
    assert_eq!(store.names(), ["labs/us-east-1/owner"]);
    assert_eq!(wait(later.list(None, 9)).unwrap(), []);
}

#[test]
fn a_store_that_is_away_fails_requests_and_loses_nothing() {
    let (store, blobs) = watched();
    write(&blobs, id(4, 1), &["kept"]);
    let mut small = wait(blobs.create(id(4, 2))).unwrap();
    wait(small.write(Bytes::from("x"))).unwrap();
    let mut large = wait(blobs.create(id(4, 3))).unwrap();
    store.is_away.store(true, Ordering::Relaxed);
    let away = |result: Option<BlobError>| {
        assert!(
            matches!(result, Some(BlobError::Unavailable(_))),
            "{result:?}"
        );
    };
    away(wait(blobs.read(id(4, 1), 0, 9)).err());
    away(wait(blobs.list(None, 9)).err());
    away(wait(blobs.remove(id(4, 1))).err());
    away(wait(small.finish()).err());
    away(pieces(6).find_map(|piece| wait(large.write(piece)).err()));
    assert!(blobs.trouble().is_some());
    store.is_away.store(false, Ordering::Relaxed);
    // What was given up half-way is never taken for whole.
    away(wait(large.write(Bytes::from("more"))).err());
    away(wait(large.finish()).err());
    assert_eq!(wait(blobs.read(id(4, 1), 0, 9)).unwrap(), "kept");
    assert_eq!(blobs.trouble(), None);
    assert_eq!(wait(blobs.list(None, 9)).unwrap(), [id(4, 1)]);
}

#[test]
fn another_s_folder_is_neither_written_nor_listed_nor_removed_from() {
    let (store, blobs) = watched();
    write(&blobs, id(5, 1), &["theirs"]);
    let stranger = owned_by(&store, "us-east-1 2", "labs/us-east-1");
    store.asked();
    assert!(wait(stranger.create(id(5, 2))).is_err());
    assert!(wait(stranger.list(None, 9)).is_err());
    assert!(wait(stranger.remove(id(5, 1))).is_err());
    assert_eq!(store.asked(), ["get"; 3], "only who owns it was asked");
    assert!(stranger.trouble().unwrap().contains("another Region's"));
    assert_eq!(wait(blobs.read(id(5, 1), 0, 9)).unwrap(), "theirs");
    for folder in ["labs/us-east-2", "labs/us-east-1/within"] {
        let beside = owned_by(&store, "us-east-1 2", folder);
        write(&beside, id(5, 2), &["x"]);
        write(&beside, id(4, 2), &["x"]);
    }
    assert_eq!(wait(blobs.list(None, 9)).unwrap(), [id(5, 1)]);
}

#[test]
fn a_claim_is_made_when_the_store_is_back() {
    let store = Arc::new(Watched::default());
    store.is_away.store(true, Ordering::Relaxed);
    let blobs = owned_by(&store, "us-east-1 1", "");
    assert!(wait(blobs.claim()).is_err());
    assert!(wait(blobs.create(id(6, 1))).is_err());
    store.is_away.store(false, Ordering::Relaxed);
    write(&blobs, id(6, 1), &["x"]);
    assert_eq!(store.names(), [id(6, 1).to_string(), "owner".to_owned()]);
}

#[test]
fn uploads_share_a_bounded_memory_and_small_ones_need_none_of_it() {
    let (_, blobs) = watched();
    let begin = |number: u128| wait(blobs.create(id(7, number))).unwrap();
    let piece = || Bytes::from(vec![0; 600 << 10]);
    let mut begun = Vec::new();
    let refused = (0..100).find_map(|number| {
        let mut writer = begin(number);
        let refused = wait(writer.write(piece())).err();
        begun.push(writer);
        refused
    });
    assert!(
        matches!(refused, Some(BlobError::Unavailable(_))),
        "{refused:?}"
    );
    assert_eq!(begun.len(), 49, "48 parts of 5 MiB are 240 MiB");
    write(&blobs, id(7, 200), &["small"]);
    let first = begun.swap_remove(0);
    wait(first.finish()).unwrap();
    wait(begin(300).write(piece())).unwrap();
}

#[test]
fn a_bucket_that_is_gone_is_no_blob_that_is_missing() {
    let gone = |source: &str| Error::NotFound {
        path: "labs/x".to_owned(),
        source: source.to_owned().into(),
    };
    assert!(!is_missing(&gone(
        "<Error><Code>NoSuchBucket</Code></Error>"
    )));
    assert!(is_missing(&gone("<Error><Code>NoSuchKey</Code></Error>")));
    let long = told(&gone(&"ü".repeat(1000)));
    assert!(long.len() < MOST_TOLD + 8 && long.ends_with('…'));
}
