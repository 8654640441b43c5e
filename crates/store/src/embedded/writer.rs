//! The one thread that writes: it takes the commits that wait, in the order of their calls,
//! merges them into one journal record, syncs it, and only then answers. While it syncs, the
//! next commits gather. After a failure it writes nothing more.
//!
//! What bounds the queue: every caller awaits its commit, so it holds at most one batch per
//! request that is being served, and the number of those is limited at the front door.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard};

use fjall::PersistMode;
use types::ByteSize;

use super::Core;
use super::group::{Group, Room};
use super::progress::{PROGRESS_KEY, Progress};
use super::tender::Watch;
use crate::completion::{Completion, completion};
use crate::{Batch, CommitError, PlantedBug, Space};

/// How many commits share one sync at most. More would only make the first of them wait longer.
const GROUP_COMMITS: usize = 512;

/// How many bytes of keys and values share one sync (a single larger batch is one group).
const GROUP_BYTES: ByteSize = ByteSize::mib(4);

/// So many journals there are at most, when each goes in its time.
const MANY_JOURNALS: usize = 4;

/// A key that no service has: it is removed, never written.
const MARKER: &[u8] = b"\0store/journal";

/// The commits that wait for the writer.
#[derive(Debug, Default)]
pub(super) struct Queue {
    state: Mutex<State>,
    work: Condvar,
}

#[derive(Debug, Default)]
struct State {
    waiting: VecDeque<(Batch, Completion)>,
    closed: bool,
    failed: Option<CommitError>,
}

impl Queue {
    /// Puts a batch behind those that wait.
    pub(super) fn push(
        &self,
        batch: Batch,
    ) -> impl Future<Output = crate::completion::Answer> + Send + use<> {
        let (completion, completed) = completion();
        let mut state = self.lock();
        if let Some(failure) = state.failed.clone() {
            drop(state);
            completion.resolve(Err(failure));
            return completed;
        }
        state.waiting.push_back((batch, completion));
        drop(state);
        self.work.notify_one();
        completed
    }

    /// Lets the writer end once it has written what waits.
    pub(super) fn close(&self) {
        self.lock().closed = true;
        self.work.notify_one();
    }

    /// The next group's commits, as soon as there is one; nothing when closed and empty.
    fn next(&self) -> Option<Vec<(Batch, Completion)>> {
        let mut state = self.lock();
        while state.waiting.is_empty() {
            if state.closed {
                return None;
            }
            state = self
                .work
                .wait(state)
                .expect("nothing panics under the queue's lock");
        }
        let mut next = Vec::new();
        let mut bytes = 0;
        while let Some((batch, _)) = state.waiting.front() {
            bytes += batch.bytes();
            if !next.is_empty() && (next.len() >= GROUP_COMMITS || bytes > GROUP_BYTES.as_usize()) {
                break;
            }
            next.extend(state.waiting.pop_front());
        }
        Some(next)
    }

    /// Refuses everything from now on.
    pub(super) fn fail(&self, failure: CommitError) {
        let mut state = self.lock();
        state.failed = Some(failure.clone());
        let waiting = std::mem::take(&mut state.waiting);
        drop(state);
        for (_, completion) in waiting {
            completion.resolve(Err(failure.clone()));
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state
            .lock()
            .expect("nothing panics under the queue's lock")
    }
}

/// The writer thread's life.
pub(super) fn run(core: &Arc<Core>, queue: &Queue, watch: &Watch, progress: Progress) {
    let _refusing = RefuseAfterPanic(queue);
    let mut writer = Writer {
        core,
        progress,
        marks: Marks::new(),
    };
    while let Some(commits) = queue.next() {
        watch.begin();
        let written = writer.write_group(commits);
        watch.end();
        if let Err(failure) = written {
            tracing::error!(%failure, "the storage engine stops");
            queue.fail(failure);
            return;
        }
    }
    if let Err(cause) = core.directory.sync_note() {
        // The note is only too old then, which a restart copes with.
        tracing::warn!(%cause, "the note of the last synced group isn't on disk");
    }
}

/// Lets nobody wait for a writer that is gone.
struct RefuseAfterPanic<'a>(&'a Queue);

impl Drop for RefuseAfterPanic<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let failure = "the storage engine's writer panicked";
            self.0.fail(CommitError::Failed(failure.to_owned()));
        }
    }
}

/// What the writer knows.
struct Writer<'a> {
    core: &'a Core,
    progress: Progress,
    marks: Marks,
}

impl Writer<'_> {
    /// Judges, writes and syncs one group, and answers its commits.
    fn write_group(&mut self, commits: Vec<(Batch, Completion)>) -> Result<(), CommitError> {
        let core = self.core;
        let mut group = Group::new(self.progress.head, core.room());
        let mut commits = commits.into_iter();
        while let Some((batch, completion)) = commits.next() {
            let read = |space, key: &[u8]| core.read_newest(space, key);
            if let Err(cause) = group.add(batch, completion, read) {
                let failure = CommitError::Failed(cause.to_string());
                group.answer(Some(&failure));
                commits.for_each(|(_, completion)| completion.resolve(Err(failure.clone())));
                return Err(failure);
            }
        }
        if group.changes().is_empty() {
            group.answer(None);
            return Ok(());
        }
        let next = Progress {
            group: self.progress.group + 1,
            head: group.head(),
        };
        match self.sync_group(&group, next) {
            Ok(()) => {
                self.progress = next;
                core.publish(next.head);
                group.answer(None);
                Ok(())
            }
            Err(failure) => {
                group.answer(Some(&failure));
                Err(failure)
            }
        }
    }

    fn sync_group(&mut self, group: &Group, progress: Progress) -> Result<(), CommitError> {
        let core = self.core;
        let mode = match core.planted_bug {
            None => PersistMode::SyncData,
            Some(PlantedBug::SyncSkipped) => PersistMode::Buffer,
        };
        let mut batch = core.database.batch().durability(Some(mode));
        for ((space, key), value) in group.changes() {
            let keyspace = core.keyspace(*space);
            match value {
                Some(value) => batch.insert(keyspace, &**key, &**value),
                None => batch.remove(keyspace, &**key),
            }
        }
        if self.marks.are_due(core.database.journal_count()) {
            for keyspace in &core.keyspaces {
                batch.remove(keyspace, MARKER);
            }
        }
        let meta = core.keyspace(Space::Meta);
        batch.insert(meta, PROGRESS_KEY, progress.encode());
        batch
            .commit()
            .map_err(|cause| CommitError::Failed(cause.to_string()))?;
        core.directory
            .note_synced(progress.group)
            .map_err(|cause| CommitError::Failed(format!("can't note the sync: {cause}")))
    }
}

/// When something is to be written into every keyspace. A journal goes when each keyspace has on
/// disk what it holds of it; a keyspace whose last rows were removals may have merged them away
/// and, with nothing to write out, keeps all later journals for ever (`journal/manager.rs` of fjall
/// 3.1.13).
#[derive(Debug)]
struct Marks {
    /// How many journals there were when every keyspace was marked last.
    marked: usize,
}

impl Marks {
    fn new() -> Marks {
        Marks {
            marked: MANY_JOURNALS,
        }
    }

    /// Is it time, with so many journals? Once each time that there is one more.
    fn are_due(&mut self, journals: usize) -> bool {
        if journals <= MANY_JOURNALS {
            self.marked = MANY_JOURNALS;
        }
        let due = journals > self.marked;
        self.marked = self.marked.max(journals);
        due
    }
}

impl Core {
    /// What the disk has room for.
    fn room(&self) -> Room {
        match (self.free_space)(self.directory.path()) {
            Ok(free) if free >= self.reserve => Room::Ample,
            Ok(free) if free.0 >= self.reserve.0 / 4 => Room::Scarce,
            Ok(_) => Room::None,
            Err(cause) => {
                // The write itself will tell what is wrong with the disk.
                tracing::warn!(%cause, "can't tell how much space is free");
                Room::Ample
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keyspaces_are_marked_once_each_time_that_journals_pile_up_further() {
        let mut marks = Marks::new();
        let counts = [1, 4, 5, 5, 6, 5, 6, 7, 3, 4, 5];
        let due = counts.map(|count| marks.are_due(count));
        let expected = [
            false, false, true, false, true, false, false, true, false, false, true,
        ];
        assert_eq!(due, expected);
    }
}
