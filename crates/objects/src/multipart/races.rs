//! Parts, completions and aborts of one upload at once, in every order that a seed makes: whatever
//! comes of it, no bytes are named that were let go of, and none are forgotten.

use std::collections::BTreeSet;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use store::{
    Batch, CommitError, Direction, Engine, KeyRange, LogPosition, MemoryEngine, Page, ReadError,
    Snapshot, Space,
};
use types::Timestamp;

use super::tests::upload;
use super::*;
use crate::content::{Expected, Ingest};
use crate::keys::kind;
use crate::testing::{Lab, cause, now};
use crate::{Bucket, Content, ObjectKey, ObjectVersion, Objects, Versioning, WriteConditions};

/// An engine whose reads and commits take a few turns, by a seed; no turns while that is 0.
#[derive(Clone)]
struct Slow {
    engine: MemoryEngine,
    seed: Arc<AtomicU64>,
}

struct SlowSnapshot {
    snapshot: <MemoryEngine as Engine>::Snapshot,
    seed: Arc<AtomicU64>,
}

/// Xorshift (Marsaglia), moved on.
fn draw(seed: &AtomicU64, below: u64) -> u64 {
    let mut state = seed.load(Ordering::Relaxed);
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    seed.store(state, Ordering::Relaxed);
    state % below
}

async fn some_turns(seed: &AtomicU64) {
    for _ in 0..draw(seed, 3) {
        let mut waited = false;
        std::future::poll_fn(|_| match std::mem::replace(&mut waited, true) {
            true => Poll::Ready(()),
            false => Poll::Pending,
        })
        .await;
    }
}

impl Engine for Slow {
    type Snapshot = SlowSnapshot;

    fn snapshot(&self) -> SlowSnapshot {
        SlowSnapshot {
            snapshot: self.engine.snapshot(),
            seed: self.seed.clone(),
        }
    }

    fn commit(
        &self,
        batch: Batch,
    ) -> impl Future<Output = Result<LogPosition, CommitError>> + Send + 'static {
        // It is on its way from here on.
        let committed = self.engine.commit(batch);
        let seed = self.seed.clone();
        async move {
            some_turns(&seed).await;
            committed.await
        }
    }

    fn log_head(&self) -> LogPosition {
        self.engine.log_head()
    }

    fn log_grown(
        &self,
        position: LogPosition,
    ) -> impl Future<Output = LogPosition> + Send + 'static {
        self.engine.log_grown(position)
    }
}

impl Snapshot for SlowSnapshot {
    async fn get(&self, space: Space, key: &[u8]) -> Result<Option<Bytes>, ReadError> {
        some_turns(&self.seed).await;
        self.snapshot.get(space, key).await
    }

    async fn scan(
        &self,
        space: Space,
        range: KeyRange,
        direction: Direction,
        limit: usize,
    ) -> Result<Page, ReadError> {
        some_turns(&self.seed).await;
        self.snapshot.scan(space, range, direction, limit).await
    }
}

type Task<'a> = Pin<Box<dyn Future<Output = Result<(), ObjectError>> + 'a>>;

struct Race {
    lab: Lab<Slow>,
    bucket: Bucket,
    key: ObjectKey,
    id: UploadId,
}

impl Race {
    fn objects(&self) -> &Objects<Slow> {
        &self.lab.objects
    }

    async fn put(&self, number: u32, bytes: &'static [u8]) -> Result<(), ObjectError> {
        let options = upload(None).part_options(None, Expected::default(), None);
        let mut ingest = Ingest::new(self.objects().contents(), options);
        ingest.push(Bytes::from_static(bytes)).await?;
        let ingested = ingest.finish(Vec::new()).await?;
        let put = self
            .objects()
            .put_part(&self.bucket, &self.key, self.id, number, ingested);
        put.await.map(|_| ())
    }

    async fn complete(&self, bytes: &'static [u8]) -> Result<(), ObjectError> {
        self.complete_if(bytes, WriteConditions::default()).await
    }

    async fn complete_if(
        &self,
        bytes: &'static [u8],
        conditions: WriteConditions,
    ) -> Result<(), ObjectError> {
        use md5::Digest as _;
        let md5 = md5::Md5::digest(bytes);
        let request = Completion {
            parts: vec![CompletedPart {
                number: 1,
                etag: md5.iter().map(|byte| format!("{byte:02x}")).collect(),
                checksums: Vec::new(),
            }],
            ..Completion::default()
        };
        let (bucket, key) = (&self.bucket, &self.key);
        let cause = cause();
        let completed =
            self.objects()
                .complete_upload(bucket, key, self.id, &request, &conditions, &cause);
        completed.await.map(|_| ())
    }

    async fn abort(&self) -> Result<(), ObjectError> {
        self.objects()
            .abort_upload(&self.bucket, &self.key, self.id)
            .await
    }

    /// The numbers of all content, of content that rows name, and of content that was let go of.
    fn blobs(&self) -> [BTreeSet<u128>; 3] {
        let rows = |space, prefix: &[u8]| {
            let range = match prefix {
                [] => KeyRange::all(),
                prefix => KeyRange::prefix(prefix),
            };
            let snapshot = self.lab.objects.engine.engine.snapshot();
            let page = now(snapshot.scan(space, range, Direction::Forward, 10_000));
            page.unwrap().entries
        };
        let number = |bytes: &[u8]| u128::from_be_bytes(bytes.try_into().unwrap());
        let all = rows(Space::Content, &[]);
        let all = all.iter().map(|entry| number(&entry.key)).collect();
        let mut named = BTreeSet::new();
        for entry in rows(Space::Objects, &[kind::PART]) {
            named.insert(Part::decode(&entry.value).unwrap().extent.blob);
        }
        for entry in rows(Space::Objects, &[kind::VERSION]) {
            let version = ObjectVersion::decode(&entry.value).unwrap();
            let object = version.object().unwrap();
            assert_eq!(object.content, Content::Parts(1));
            let extents =
                self.lab
                    .objects
                    .extents(self.bucket.entry.id, &self.key, version.stamp, object);
            named.extend(finished(extents).unwrap().iter().map(|extent| extent.blob));
        }
        let garbage = rows(Space::Objects, &[kind::GARBAGE]);
        let garbage = garbage.iter().map(|entry| {
            let (_, blob) = entry.key.split_at(entry.key.len() - 16);
            number(blob)
        });
        [all, named, garbage.collect()]
    }
}

/// Polls a future until it is done.
fn finished<T>(future: impl Future<Output = T>) -> T {
    let mut future = std::pin::pin!(future);
    let mut context = Context::from_waker(Waker::noop());
    loop {
        if let Poll::Ready(output) = future.as_mut().poll(&mut context) {
            return output;
        }
    }
}

/// An upload with its first part, and what everything takes turns by from here on.
fn begun(seed: u64) -> (Race, Arc<AtomicU64>) {
    let turns = Arc::new(AtomicU64::new(0));
    let engine = Slow {
        engine: MemoryEngine::new(),
        seed: turns.clone(),
    };
    let lab = Lab::over(engine, Timestamp(1_000_000));
    let bucket = lab.bucket("bucket", Versioning::Enabled);
    let key: ObjectKey = "k".parse().unwrap();
    let id = now(lab.objects.create_upload(&bucket, &key, &upload(None))).unwrap();
    let race = Race {
        lab,
        bucket,
        key,
        id,
    };
    now(race.put(1, b"first")).unwrap();
    turns.store(
        seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1,
        Ordering::Relaxed,
    );
    (race, turns)
}

fn run(seed: u64) -> (bool, bool) {
    let (race, turns) = begun(seed);
    let mut tasks: Vec<Task<'_>> = vec![
        Box::pin(race.complete(b"first")),
        Box::pin(race.put(1, b"second")),
        Box::pin(race.put(1, b"third")),
        Box::pin(race.put(2, b"other")),
        Box::pin(race.complete(b"second")),
    ];
    if draw(&turns, 2) == 0 {
        tasks.push(Box::pin(race.abort()));
    }
    let mut context = Context::from_waker(Waker::noop());
    while !tasks.is_empty() {
        let chosen = draw(&turns, tasks.len() as u64) as usize;
        match tasks[chosen].as_mut().poll(&mut context) {
            Poll::Pending => {}
            Poll::Ready(done) => {
                drop(tasks.swap_remove(chosen));
                let expected = ["NoSuchUpload", "InvalidPart", "OperationAborted"];
                if let Err(error) = done {
                    assert!(expected.contains(&error.code().0), "seed {seed}: {error}");
                }
            }
        }
    }
    // What is named is there and wasn't let go of; what isn't named was.
    let [all, named, garbage] = race.blobs();
    assert!(named.is_subset(&all), "seed {seed}");
    assert!(named.is_disjoint(&garbage), "seed {seed}");
    assert!(
        all.iter()
            .all(|blob| named.contains(blob) != garbage.contains(blob)),
        "seed {seed}"
    );
    let found = finished(race.objects().find_any(&race.bucket, &race.key, None)).unwrap();
    let open = finished(race.objects().upload(&race.bucket, &race.key, race.id)).is_ok();
    if !open {
        assert_eq!(named.len(), usize::from(found.is_some()), "seed {seed}");
    }
    (found.is_some(), open)
}

#[test]
fn no_bytes_are_lost_or_forgotten_whatever_comes_at_once() {
    let (mut completed, mut aborted) = (0, 0);
    for seed in 1..=150 {
        let (is_object, is_open) = run(seed);
        completed += u32::from(is_object);
        aborted += u32::from(!is_object && !is_open);
    }
    // Every outcome was among them.
    assert!(completed > 10 && aborted > 10, "{completed} {aborted}");
}

#[test]
fn a_completion_asked_for_twice_at_once_does_not_fail_by_its_own_object() {
    for seed in 1..=60 {
        let (race, turns) = begun(seed);
        let complete = || {
            let conditions = WriteConditions {
                if_none_match: true,
                ..WriteConditions::default()
            };
            Box::pin(race.complete_if(b"first", conditions))
        };
        let mut tasks: Vec<Task<'_>> = vec![complete(), complete()];
        let mut context = Context::from_waker(Waker::noop());
        while !tasks.is_empty() {
            let chosen = draw(&turns, tasks.len() as u64) as usize;
            if let Poll::Ready(done) = tasks[chosen].as_mut().poll(&mut context) {
                drop(tasks.swap_remove(chosen));
                assert_eq!(done, Ok(()), "seed {seed}");
            }
        }
        let [_, named, _] = race.blobs();
        assert_eq!(named.len(), 1, "seed {seed}");
    }
}
