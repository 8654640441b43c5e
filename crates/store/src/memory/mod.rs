//! The engine of tests and of the simulation: everything in memory, deterministic, no threads.
//! A plain one syncs at once. A simulated one holds commits back until it is told to sync, and
//! leaves a disk behind when its power is cut. It writes no files.

mod disk;
mod versions;

use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard};

use bytes::Bytes;
use event_listener::Event;

pub use disk::SimulatedDisk;
use disk::{Change, Record};
use versions::Keyspaces;

use crate::completion::{Answer, Completion, completion};
use crate::{
    Batch, CommitError, Direction, Engine, KeyRange, LogPosition, OpenError, Page, ReadError,
    Snapshot, Space, Write,
};

/// How many changes a record of a rewritten journal holds.
const REWRITE_CHANGES: usize = 1_000;

/// A database in memory. All clones are the same database.
#[derive(Clone, Debug)]
pub struct MemoryEngine {
    shared: Arc<Shared>,
}

/// A view of a `MemoryEngine` as of one moment. Cheap to take and to hold.
#[derive(Debug)]
pub struct MemorySnapshot {
    shared: Arc<Shared>,
    moment: u64,
}

/// A fault planted on purpose, to prove that a test would find it. Nothing but the tests of the
/// simulation makes one.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum PlantedBug {
    /// Commits are acknowledged and visible before they are synced.
    SyncSkipped,
}

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    grown: Event,
}

#[derive(Debug)]
struct State {
    keyspaces: Keyspaces,
    head: LogPosition,
    durability: Durability,
    disk_full: bool,
}

/// When a commit counts as synced.
#[derive(Debug)]
enum Durability {
    /// At once; nothing is kept beyond the memory.
    AtOnce,
    /// When the world says so.
    Told {
        disk: SimulatedDisk,
        waiting: Vec<(Batch, Completion)>,
    },
    /// The planted bug: acknowledged at once, synced when the world says so.
    Lied { disk: SimulatedDisk },
    /// Its power was cut.
    Dead,
}

impl Default for MemoryEngine {
    fn default() -> MemoryEngine {
        MemoryEngine::new()
    }
}

impl MemoryEngine {
    /// An empty database in which commits are synced at once.
    pub fn new() -> MemoryEngine {
        MemoryEngine::with(State::new(Durability::AtOnce))
    }

    /// Opens what is on that disk. Commits wait until `sync` is called.
    ///
    /// # Errors
    /// `Corrupt` if a synced byte was damaged.
    pub fn simulated(disk: SimulatedDisk) -> Result<MemoryEngine, OpenError> {
        MemoryEngine::recovered(disk, |disk| Durability::Told {
            disk,
            waiting: Vec::new(),
        })
    }

    /// As `simulated`, with a fault planted.
    ///
    /// # Errors
    /// As `simulated`.
    pub fn with_planted_bug(
        disk: SimulatedDisk,
        bug: PlantedBug,
    ) -> Result<MemoryEngine, OpenError> {
        match bug {
            PlantedBug::SyncSkipped => {
                MemoryEngine::recovered(disk, |disk| Durability::Lied { disk })
            }
        }
    }

    /// Syncs every waiting commit: judges it, makes it durable and visible and acknowledges it,
    /// in the order of the calls. Returns how many there were. (A plain engine has none.)
    pub fn sync(&self) -> usize {
        let mut answers = Vec::new();
        let mut state = self.shared.lock();
        let before = state.head;
        for (batch, completion) in state.durability.take_waiting() {
            answers.push((completion, state.apply(batch)));
        }
        state.sync_disk();
        let grown = state.head > before;
        drop(state);
        self.answer(grown, answers)
    }

    /// How many commits wait for a `sync`.
    pub fn unsynced(&self) -> usize {
        match &self.shared.lock().durability {
            Durability::Told { waiting, .. } => waiting.len(),
            _ => 0,
        }
    }

    /// Cuts the power: the disk as `SimulatedDisk::cut_power` leaves it, with the waiting commits
    /// as its unsynced tail. This engine is dead: every commit, waiting or to come, fails. (A
    /// plain engine leaves an empty disk.)
    pub fn crash(&self, seed: u64) -> SimulatedDisk {
        let mut state = self.shared.lock();
        let mut unanswered = Vec::new();
        for (batch, completion) in state.durability.take_waiting() {
            // Judged and written, but the sync never came: what its caller hears is nothing.
            if state.apply(batch).is_ok() {
                unanswered.push(completion);
            }
        }
        let mut disk = match std::mem::replace(&mut state.durability, Durability::Dead) {
            Durability::Told { disk, .. } | Durability::Lied { disk } => disk,
            Durability::AtOnce | Durability::Dead => SimulatedDisk::new(),
        };
        drop(state);
        drop(unanswered);
        disk.cut_power(seed);
        disk
    }

    /// From now on the disk is full (or no longer): commits that add data fail with `DiskFull`.
    pub fn fail_with_full_disk(&self, full: bool) {
        self.shared.lock().disk_full = full;
    }

    /// The bytes of all keys and values.
    pub fn approximate_bytes(&self) -> u64 {
        self.shared.lock().keyspaces.bytes()
    }

    fn with(state: State) -> MemoryEngine {
        let state = Mutex::new(state);
        let grown = Event::new();
        MemoryEngine {
            shared: Arc::new(Shared { state, grown }),
        }
    }

    fn recovered(
        mut disk: SimulatedDisk,
        durability: impl FnOnce(SimulatedDisk) -> Durability,
    ) -> Result<MemoryEngine, OpenError> {
        let records = disk.recover()?;
        let mut state = State::new(durability(disk));
        for record in records {
            state.replay(record);
        }
        Ok(MemoryEngine::with(state))
    }

    /// Tells callers and followers of the log, with no lock held.
    fn answer(&self, grown: bool, answers: Vec<(Completion, Answer)>) -> usize {
        let count = answers.len();
        for (completion, answer) in answers {
            completion.resolve(answer);
        }
        if grown {
            self.shared.grown.notify(usize::MAX);
        }
        count
    }
}

impl Engine for MemoryEngine {
    type Snapshot = MemorySnapshot;

    fn snapshot(&self) -> MemorySnapshot {
        let moment = self.shared.lock().keyspaces.acquire();
        MemorySnapshot {
            shared: Arc::clone(&self.shared),
            moment,
        }
    }

    fn commit(&self, batch: Batch) -> impl Future<Output = Answer> + Send + 'static {
        batch.assert_well_formed();
        let (completion, completed) = completion();
        let mut state = self.shared.lock();
        let before = state.head;
        let answer = match &mut state.durability {
            Durability::Told { waiting, .. } => {
                waiting.push((batch, completion));
                None
            }
            Durability::AtOnce | Durability::Lied { .. } => Some((completion, state.apply(batch))),
            Durability::Dead => None, // Dropped, the completion answers for itself.
        };
        let grown = state.head > before;
        drop(state);
        self.answer(grown, answer.into_iter().collect());
        completed
    }

    fn log_head(&self) -> LogPosition {
        self.shared.lock().head
    }

    fn log_grown(
        &self,
        position: LogPosition,
    ) -> impl Future<Output = LogPosition> + Send + 'static {
        let shared = Arc::clone(&self.shared);
        async move {
            loop {
                let listener = shared.grown.listen();
                let head = shared.lock().head;
                if head > position {
                    return head;
                }
                listener.await;
            }
        }
    }
}

impl Snapshot for MemorySnapshot {
    fn get(
        &self,
        space: Space,
        key: &[u8],
    ) -> impl Future<Output = Result<Option<Bytes>, ReadError>> + Send {
        let value = self.shared.lock().keyspaces.get(self.moment, space, key);
        std::future::ready(Ok(value))
    }

    fn scan(
        &self,
        space: Space,
        range: KeyRange,
        direction: Direction,
        limit: usize,
    ) -> impl Future<Output = Result<Page, ReadError>> + Send {
        let state = self.shared.lock();
        let page = state
            .keyspaces
            .scan(self.moment, space, &range, direction, limit);
        std::future::ready(Ok(page))
    }
}

impl Drop for MemorySnapshot {
    fn drop(&mut self) {
        self.shared.lock().keyspaces.release(self.moment);
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state
            .lock()
            .expect("nothing panics while it holds the memory engine's lock")
    }
}

impl State {
    fn new(durability: Durability) -> State {
        State {
            keyspaces: Keyspaces::default(),
            head: LogPosition(0),
            durability,
            disk_full: false,
        }
    }

    /// Judges a batch and applies it, to the journal (if there is one) and to the keyspaces.
    fn apply(&mut self, batch: Batch) -> Answer {
        for (index, precondition) in batch.preconditions.iter().enumerate() {
            let found = self.keyspaces.newest(precondition.space, &precondition.key);
            if found != precondition.value.as_ref() {
                return Err(CommitError::Precondition(index));
            }
        }
        if self.disk_full && batch.adds_data() {
            return Err(CommitError::DiskFull);
        }
        let record = self.record(batch);
        if let Some(disk) = self.durability.disk() {
            disk.append(&record);
        }
        self.replay(record);
        Ok(self.head)
    }

    /// What a batch comes to, with the log positions that follow the head.
    fn record(&self, batch: Batch) -> Record {
        let mut head = self.head;
        let mut changes = Vec::with_capacity(batch.writes.len() + batch.announcements.len());
        for write in batch.writes {
            changes.push(match write {
                Write::Put { space, key, value } => Change {
                    space,
                    key,
                    value: Some(value),
                },
                Write::Delete { space, key } => Change {
                    space,
                    key,
                    value: None,
                },
            });
        }
        for payload in batch.announcements {
            head.0 += 1;
            changes.push(Change {
                space: Space::Log,
                key: head.key(),
                value: Some(payload),
            });
        }
        Record { head, changes }
    }

    fn replay(&mut self, record: Record) {
        self.keyspaces.advance();
        for Change { space, key, value } in record.changes {
            self.keyspaces.set(space, key, value);
        }
        self.head = record.head;
    }

    fn sync_disk(&mut self) {
        let Some(disk) = self.durability.disk() else {
            return;
        };
        disk.sync();
        if disk.wants_rewrite(self.keyspaces.bytes()) {
            let mut changes = Vec::new();
            for space in Space::ALL {
                changes.extend(self.keyspaces.all_newest(space).map(|(key, value)| Change {
                    space,
                    key: key.clone(),
                    value: Some(value.clone()),
                }));
            }
            let head = self.head;
            let first = Record {
                head,
                changes: Vec::new(),
            };
            let rest = changes.chunks(REWRITE_CHANGES).map(|chunk| Record {
                head,
                changes: chunk.to_vec(),
            });
            if let Some(disk) = self.durability.disk() {
                disk.rewrite(std::iter::once(first).chain(rest));
            }
        }
    }
}

impl Durability {
    fn disk(&mut self) -> Option<&mut SimulatedDisk> {
        match self {
            Durability::Told { disk, .. } | Durability::Lied { disk } => Some(disk),
            Durability::AtOnce | Durability::Dead => None,
        }
    }

    fn take_waiting(&mut self) -> Vec<(Batch, Completion)> {
        match self {
            Durability::Told { waiting, .. } => std::mem::take(waiting),
            Durability::AtOnce | Durability::Lied { .. } | Durability::Dead => Vec::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;
    use crate::{read_log, trim_log};

    fn put(key: &str, value: &str) -> Batch {
        let mut batch = Batch::new();
        batch.put(Space::Items, key.to_owned(), value.to_owned());
        batch.announce(format!("{key}={value}"));
        batch
    }

    fn get(engine: &MemoryEngine, key: &str) -> Option<Bytes> {
        let snapshot = engine.snapshot();
        read(&snapshot, key)
    }

    fn read(snapshot: &MemorySnapshot, key: &str) -> Option<Bytes> {
        let read = snapshot.get(Space::Items, key.as_bytes()).now_or_never();
        read.expect("memory is always ready").expect("and readable")
    }

    #[test]
    fn a_commit_waits_for_the_sync_and_is_invisible_until_then() {
        let engine = MemoryEngine::simulated(SimulatedDisk::new()).unwrap();
        let mut first = engine.commit(put("a", "1"));
        let mut grown = Box::pin(engine.log_grown(LogPosition(0)));
        assert!((&mut first).now_or_never().is_none());
        assert!((&mut grown).now_or_never().is_none());
        assert_eq!(get(&engine, "a"), None);
        assert_eq!(engine.unsynced(), 1);
        assert_eq!(engine.sync(), 1);
        assert_eq!(first.now_or_never(), Some(Ok(LogPosition(1))));
        assert_eq!(grown.now_or_never(), Some(LogPosition(1)));
        assert_eq!(get(&engine, "a"), Some(Bytes::from("1")));
    }

    #[test]
    fn preconditions_are_judged_in_the_order_of_the_calls() {
        let engine = MemoryEngine::simulated(SimulatedDisk::new()).unwrap();
        let mut second = put("a", "2");
        second.require(Space::Items, "a", Some(Bytes::from("1")));
        let mut third = put("a", "3");
        third.require(Space::Items, "b", None);
        third.require(Space::Items, "a", Some(Bytes::from("1")));
        let answers = [put("a", "1"), second, third].map(|batch| engine.commit(batch));
        engine.sync();
        let answers = answers.map(|answer| answer.now_or_never().expect("synced"));
        assert_eq!(
            answers,
            [
                Ok(LogPosition(1)),
                Ok(LogPosition(2)),
                Err(CommitError::Precondition(1))
            ]
        );
        assert_eq!(get(&engine, "a"), Some(Bytes::from("2")));
    }

    #[test]
    fn a_snapshot_sees_its_moment_and_costs_nothing_once_released() {
        let engine = MemoryEngine::new();
        let commit = |batch| engine.commit(batch).now_or_never().expect("at once");
        commit(put("a", "1")).unwrap();
        let one = engine.snapshot();
        commit(put("a", "2")).unwrap();
        let two = engine.snapshot();
        let mut removal = Batch::new();
        removal.delete(Space::Items, "a");
        commit(removal).unwrap();
        assert_eq!(read(&one, "a"), Some(Bytes::from("1")));
        assert_eq!(read(&two, "a"), Some(Bytes::from("2")));
        assert_eq!(get(&engine, "a"), None);
        drop(one);
        assert_eq!(read(&two, "a"), Some(Bytes::from("2")));
        drop(two);
        let state = engine.shared.lock();
        assert_eq!(state.keyspaces.all_newest(Space::Items).count(), 0);
        assert!(format!("{:?}", state.keyspaces).contains("retained: {}"));
    }

    #[test]
    fn a_crash_keeps_all_that_was_synced_and_a_whole_prefix_of_the_rest() {
        let mut kept_more = 0;
        let mut torn = 0;
        for seed in 0..200 {
            let engine = MemoryEngine::simulated(SimulatedDisk::new()).unwrap();
            drop(engine.commit(put("k0", "synced")));
            drop(engine.commit(put("k1", "synced")));
            engine.sync();
            let lost: Vec<_> = (2..8)
                .map(|n| engine.commit(put(&format!("k{n}"), &"x".repeat(300))))
                .collect();
            let disk = engine.crash(seed);
            for answer in lost {
                let answer = answer.now_or_never().expect("answered by the crash");
                assert!(matches!(answer, Err(CommitError::Failed(_))));
            }
            let length = disk.length();
            let again = MemoryEngine::simulated(disk).unwrap();
            let head = again.log_head().0;
            assert!((2..=8).contains(&head), "seed {seed}: head {head}");
            for n in 0..8 {
                let present = get(&again, &format!("k{n}")).is_some();
                assert_eq!(present, n < head, "seed {seed}, key {n}");
            }
            kept_more += u32::from(head > 2);
            torn += u32::from(again.crash(0).length() != length);
        }
        assert!(kept_more > 50, "crashes keep unsynced batches: {kept_more}");
        assert!(torn > 50, "crashes tear batches: {torn}");
    }

    #[test]
    fn a_flipped_bit_among_the_synced_bytes_is_refused() {
        let engine = MemoryEngine::simulated(SimulatedDisk::new()).unwrap();
        drop(engine.commit(put("a", "1")));
        drop(engine.commit(put("b", "2")));
        engine.sync();
        let disk = engine.crash(1);
        for byte in 0..disk.length() {
            let mut flipped = disk.clone();
            flipped.flip_bit(byte, byte as u8);
            let error = MemoryEngine::simulated(flipped).unwrap_err();
            assert!(matches!(error, OpenError::Corrupt { .. }), "byte {byte}");
        }
    }

    #[test]
    fn the_planted_bug_loses_an_acknowledged_commit() {
        let disk = SimulatedDisk::new();
        let engine = MemoryEngine::with_planted_bug(disk, PlantedBug::SyncSkipped).unwrap();
        let answer = engine.commit(put("a", "1")).now_or_never();
        assert_eq!(answer, Some(Ok(LogPosition(1))));
        let lost = (0..20).filter(|seed| {
            let mut disk = engine.shared.lock().durability.disk().unwrap().clone();
            disk.cut_power(*seed);
            let again = MemoryEngine::simulated(disk).unwrap();
            get(&again, "a").is_none()
        });
        assert!(lost.count() > 0);
    }

    #[test]
    fn a_full_disk_refuses_data_and_lets_removals_pass() {
        let engine = MemoryEngine::new();
        let commit = |batch| engine.commit(batch).now_or_never().expect("at once");
        commit(put("a", "1")).unwrap();
        engine.fail_with_full_disk(true);
        assert_eq!(commit(put("b", "1")), Err(CommitError::DiskFull));
        let mut removal = Batch::new();
        removal.delete(Space::Items, "a");
        removal.put(Space::Meta, "cursor", "1");
        assert_eq!(commit(removal), Ok(LogPosition(1)));
        engine.fail_with_full_disk(false);
        assert_eq!(commit(put("b", "1")), Ok(LogPosition(2)));
    }

    #[test]
    fn the_head_survives_a_wholly_trimmed_log_and_a_rewritten_journal() {
        let engine = MemoryEngine::simulated(SimulatedDisk::new()).unwrap();
        let big = "x".repeat(1 << 20);
        for _ in 0..12 {
            drop(engine.commit(put("a", &big)));
            engine.sync();
            let mut trim = Box::pin(trim_log(&engine, engine.log_head()));
            assert!((&mut trim).now_or_never().is_none());
            engine.sync();
            assert_eq!(trim.now_or_never(), Some(Ok(1)));
        }
        let disk = engine.crash(3);
        assert!(disk.length() < 6 << 20, "rewritten: {}", disk.length());
        let again = MemoryEngine::simulated(disk).unwrap();
        assert_eq!(again.log_head(), LogPosition(12));
        let entries = read_log(&again.snapshot(), LogPosition(0), 10).now_or_never();
        assert_eq!(entries, Some(Ok(Vec::new())));
        assert_eq!(get(&again, "a").map(|value| value.len()), Some(big.len()));
    }
}
