//! A thread beside the writer that looks at the engine once a second, and helps it over what fjall
//! 3.1.13 leaves undone: a compaction that is due and that nobody was asked for, and a writer that
//! waits inside fjall for what won't come. It reads and writes no rows.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use fjall::Keyspace;

use super::Core;
use super::writer::Queue;
use crate::CommitError;

/// How often it looks.
const TURN: Duration = Duration::from_secs(1);

/// With so many sorted files that overlap, a keyspace is due: fjall begins to merge at 4, slows
/// writes at 20, and halts them at 30 (`local_backpressure`). A flush asks for a merge three
/// times; if one of another level is under way that long, all three come to nothing, and only the
/// next flush would ask again, which a halted writer never causes.
const DUE: usize = 10;

/// For so many turns the writer may be at one group: a sync takes milliseconds, and no disk that
/// can be relied on takes a minute. fjall waits without end once its threads have failed.
const PATIENCE: u64 = 60;

/// What the writer and the tender know of each other.
#[derive(Debug, Default)]
pub(super) struct Watch {
    /// Groups begun and groups ended: the writer is at one while they differ.
    begun: AtomicU64,
    ended: AtomicU64,
    closed: AtomicBool,
    /// The writer waits for what won't come: nobody is to wait for it.
    abandoned: AtomicBool,
    lock: Mutex<()>,
    bell: Condvar,
}

impl Watch {
    /// The writer begins a group.
    pub(super) fn begin(&self) {
        self.begun.fetch_add(1, Ordering::Relaxed);
    }

    /// It has ended it.
    pub(super) fn end(&self) {
        self.ended.fetch_add(1, Ordering::Relaxed);
    }

    /// Lets the tender end.
    pub(super) fn close(&self) {
        self.closed.store(true, Ordering::Release);
        self.bell.notify_all();
    }

    /// Has the writer been given up?
    pub(super) fn is_abandoned(&self) -> bool {
        self.abandoned.load(Ordering::Acquire)
    }

    /// The group that the writer is at, if it is at one.
    fn group(&self) -> Option<u64> {
        let ended = self.ended.load(Ordering::Relaxed);
        let begun = self.begun.load(Ordering::Relaxed);
        (begun > ended).then_some(begun)
    }

    /// Waits for the next turn; false when there is none.
    fn turn(&self) -> bool {
        let lock = self.lock.lock().expect("nothing panics under this lock");
        if !self.closed.load(Ordering::Acquire) {
            let waited = self.bell.wait_timeout(lock, TURN);
            drop(waited.expect("nothing panics under this lock"));
        }
        !self.closed.load(Ordering::Acquire)
    }
}

/// Counts how long the writer is at one group.
#[derive(Debug, Default)]
struct Stopwatch {
    group: Option<u64>,
    turns: u64,
}

impl Stopwatch {
    /// A turn in which it was at that group; true: for too long.
    fn is_over(&mut self, group: Option<u64>) -> bool {
        if group.is_none() || group != self.group {
            *self = Stopwatch { group, turns: 0 };
            return false;
        }
        self.turns += 1;
        self.turns >= PATIENCE
    }
}

/// The thread's life.
pub(super) fn run(core: &Arc<Core>, queue: &Queue, watch: &Watch) {
    let mut stopwatch = Stopwatch::default();
    while watch.turn() {
        core.ask_for_due_compactions();
        if stopwatch.is_over(watch.group()) {
            let failure = CommitError::Failed(format!(
                "the storage engine has not written a group of commits for {PATIENCE} s"
            ));
            tracing::error!(%failure, "the storage engine stops");
            watch.abandoned.store(true, Ordering::Release);
            queue.fail(failure);
            return;
        }
    }
}

impl Core {
    /// Has fjall look for merges where they are due while it makes none.
    fn ask_for_due_compactions(&self) {
        if self.database.active_compactions() > 0 {
            return;
        }
        for keyspace in &self.keyspaces {
            if keyspace.l0_table_count() >= DUE {
                ask_for_compaction(keyspace);
            }
        }
    }
}

/// Bringing in no rows changes nothing, and is followed by a look for merges. The empty file that
/// it leaves goes at the next start.
fn ask_for_compaction(keyspace: &Keyspace) {
    let asked = keyspace
        .start_ingestion()
        .and_then(|ingestion| ingestion.finish());
    if let Err(cause) = asked {
        tracing::warn!(keyspace = ?keyspace.name(), %cause, "no merge can be asked for");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{EmbeddedEngine, EmbeddedOptions, Space};

    #[test]
    fn a_writer_is_given_up_only_when_it_stays_at_one_group() {
        let mut stopwatch = Stopwatch::default();
        for group in 0..2 * PATIENCE {
            assert!(!stopwatch.is_over(Some(group)));
            assert!(!stopwatch.is_over(None));
        }
        for _ in 0..PATIENCE {
            assert!(!stopwatch.is_over(Some(7)));
        }
        assert!(stopwatch.is_over(Some(7)));
    }

    #[test]
    fn who_asks_for_a_compaction_has_one_looked_for() {
        let directory = tempfile::tempdir().unwrap();
        let engine = EmbeddedEngine::open(directory.path(), EmbeddedOptions::modest()).unwrap();
        let core = &engine.inner.core;
        let before = core.database.compactions_completed();
        ask_for_compaction(core.keyspace(Space::Items));
        for _ in 0..1_000 {
            if core.database.compactions_completed() > before {
                drop(engine);
                // What it leaves behind is no damage.
                EmbeddedEngine::open(directory.path(), EmbeddedOptions::modest()).unwrap();
                return;
            }
            std::thread::park_timeout(Duration::from_millis(10));
        }
        panic!("nobody looked within 10 s");
    }

    #[test]
    fn a_watch_knows_whether_the_writer_is_at_a_group() {
        let watch = Watch::default();
        assert_eq!(watch.group(), None);
        watch.begin();
        assert_eq!(watch.group(), Some(1));
        watch.end();
        assert_eq!(watch.group(), None);
        watch.close();
        assert!(!watch.turn());
    }
}
