//! The memory engine and the embedded engine give the same answers to the same random calls.
#![allow(clippy::unwrap_used, reason = "a test")]

mod common;

use std::ops::Bound;

use bytes::Bytes;
use common::wait;
use proptest::collection::vec;
use proptest::prelude::*;
use store::{
    Batch, Direction, EmbeddedEngine, EmbeddedOptions, Engine, KeyRange, MemoryEngine, Page,
    ReadError, Snapshot, Space, trim_log,
};
use types::ByteSize;

#[derive(Clone, Debug)]
enum Step {
    /// Enqueued together, then awaited.
    Commit(Vec<Batch>),
    /// Requires what a key has at the moment, so that it holds.
    Replace(Space, Bytes, Bytes),
    TakeSnapshot,
    DropSnapshot(usize),
    Get(usize, Space, Bytes),
    Scan(usize, Space, KeyRange, Direction, usize),
    Trim(u64),
    Reopen,
}

fn key() -> impl Strategy<Value = Bytes> {
    let byte = prop::sample::select(vec![0, 1, 2, 0x7f, 0xff]);
    vec(byte, 1..4).prop_map(Bytes::from)
}

fn value() -> impl Strategy<Value = Bytes> {
    (any::<u8>(), 0..3_000_usize).prop_map(|(byte, length)| Bytes::from(vec![byte; length]))
}

fn space() -> impl Strategy<Value = Space> {
    let spaces = [
        Space::Items,
        Space::Indexes,
        Space::Conflicts,
        Space::Council,
    ];
    prop::sample::select(spaces.to_vec())
}

fn batch() -> impl Strategy<Value = Batch> {
    let change = (space(), key(), prop::option::of(value()));
    let preconditions = prop_oneof![
        4 => vec((space(), key(), Just(None)), 0..1),
        1 => vec((space(), key(), prop::option::of(value())), 1..3),
    ];
    (vec(change, 0..6), vec(value(), 0..3), preconditions).prop_map(
        |(changes, announcements, preconditions)| {
            let mut batch = Batch::new();
            for (space, key, value) in changes {
                match value {
                    Some(value) => batch.put(space, key, value),
                    None => batch.delete(space, key),
                }
            }
            announcements
                .into_iter()
                .for_each(|payload| batch.announce(payload));
            for (space, key, value) in preconditions {
                batch.require(space, key, value);
            }
            batch
        },
    )
}

fn range() -> impl Strategy<Value = KeyRange> {
    let bound = || {
        prop_oneof![
            Just(Bound::Unbounded),
            key().prop_map(Bound::Included),
            key().prop_map(Bound::Excluded),
        ]
    };
    prop_oneof![
        (bound(), bound()).prop_map(|(start, end)| KeyRange { start, end }),
        key().prop_map(|key| KeyRange::prefix(&key)),
        Just(KeyRange::prefix(b"")),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    let direction = prop::sample::select(vec![Direction::Forward, Direction::Backward]);
    let scanned = prop_oneof![4 => space(), 1 => Just(Space::Log)];
    prop_oneof![
        12 => vec(batch(), 1..5).prop_map(Step::Commit),
        4 => (space(), key(), value())
            .prop_map(|(space, key, value)| Step::Replace(space, key, value)),
        2 => Just(Step::TakeSnapshot),
        1 => any::<usize>().prop_map(Step::DropSnapshot),
        8 => (any::<usize>(), space(), key())
            .prop_map(|(at, space, key)| Step::Get(at, space, key)),
        12 => (any::<usize>(), scanned, range(), direction, 1..20_usize)
            .prop_map(|(at, space, range, direction, limit)| {
                Step::Scan(at, space, range, direction, limit)
            }),
        1 => (0..60_u64).prop_map(Step::Trim),
        1 => Just(Step::Reopen),
    ]
}

/// Both engines, with snapshots taken at the same moments.
struct Pair {
    directory: tempfile::TempDir,
    memory: MemoryEngine,
    /// Absent only while it is opened again.
    embedded: Option<EmbeddedEngine>,
    snapshots: Vec<(store::MemorySnapshot, store::EmbeddedSnapshot)>,
}

fn embedded(directory: &tempfile::TempDir) -> EmbeddedEngine {
    let options = EmbeddedOptions {
        // So little that it flushes and compacts under the test.
        write_memory: ByteSize::kib(32),
        ..EmbeddedOptions::modest()
    };
    EmbeddedEngine::open(directory.path(), options).unwrap()
}

impl Pair {
    fn new() -> Pair {
        let directory = tempfile::tempdir().unwrap();
        Pair {
            memory: MemoryEngine::new(),
            embedded: Some(embedded(&directory)),
            directory,
            snapshots: Vec::new(),
        }
    }

    fn embedded(&self) -> &EmbeddedEngine {
        self.embedded.as_ref().unwrap()
    }

    fn commit(&self, batches: Vec<Batch>) {
        let queued: Vec<_> = batches
            .into_iter()
            .map(|batch| {
                (
                    self.memory.commit(batch.clone()),
                    self.embedded().commit(batch),
                )
            })
            .collect();
        for (memory, embedded) in queued {
            assert_eq!(wait(memory), wait(embedded));
        }
        assert_eq!(self.memory.log_head(), self.embedded().log_head());
    }

    fn get(&self, at: usize, space: Space, key: &[u8]) -> Option<Bytes> {
        let (memory, embedded) = match self.snapshots.get(at % (self.snapshots.len() + 1)) {
            Some((memory, embedded)) => {
                (wait(memory.get(space, key)), wait(embedded.get(space, key)))
            }
            None => (
                wait(self.memory.snapshot().get(space, key)),
                wait(self.embedded().snapshot().get(space, key)),
            ),
        };
        assert_eq!(memory, embedded);
        memory.unwrap()
    }

    fn scan(&self, at: usize, space: Space, range: &KeyRange, direction: Direction, limit: usize) {
        fn scan(
            snapshot: &impl Snapshot,
            (space, range, direction, limit): (Space, &KeyRange, Direction, usize),
        ) -> Result<Page, ReadError> {
            wait(snapshot.scan(space, range.clone(), direction, limit))
        }
        let what = (space, range, direction, limit);
        let (memory, embedded) = match self.snapshots.get(at % (self.snapshots.len() + 1)) {
            Some((memory, embedded)) => (scan(memory, what), scan(embedded, what)),
            None => (
                scan(&self.memory.snapshot(), what),
                scan(&self.embedded().snapshot(), what),
            ),
        };
        assert_eq!(memory, embedded);
    }

    fn step(&mut self, step: Step) {
        match step {
            Step::Commit(batches) => self.commit(batches),
            Step::Replace(space, key, value) => {
                let before = wait(self.memory.snapshot().get(space, &key)).unwrap();
                let mut batch = Batch::new();
                batch.require(space, key.clone(), before);
                batch.put(space, key, value);
                self.commit(vec![batch]);
            }
            Step::TakeSnapshot => self
                .snapshots
                .push((self.memory.snapshot(), self.embedded().snapshot())),
            Step::DropSnapshot(at) if !self.snapshots.is_empty() => {
                let at = at % self.snapshots.len();
                self.snapshots.remove(at);
            }
            Step::DropSnapshot(_) => {}
            Step::Get(at, space, key) => drop(self.get(at, space, &key)),
            Step::Scan(at, space, range, direction, limit) => {
                self.scan(at, space, &range, direction, limit);
            }
            Step::Trim(back) => {
                let up_to = store::LogPosition(self.memory.log_head().0.saturating_sub(back));
                let memory = wait(trim_log(&self.memory, up_to));
                assert_eq!(memory, wait(trim_log(self.embedded(), up_to)));
            }
            Step::Reopen => self.reopen(),
        }
    }

    fn reopen(&mut self) {
        // The lock is held by snapshots too; the database in memory keeps its moment by itself.
        self.snapshots.clear();
        self.embedded = None;
        self.embedded = Some(embedded(&self.directory));
        assert_eq!(self.memory.log_head(), self.embedded().log_head());
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 8,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn memory_and_embedded_agree(steps in vec(step(), 40..120)) {
        let mut pair = Pair::new();
        for step in steps {
            pair.step(step);
        }
        for space in [Space::Items, Space::Indexes, Space::Log, Space::Conflicts, Space::Council] {
            pair.scan(usize::MAX, space, &KeyRange::all(), Direction::Backward, 10_000);
        }
    }
}
