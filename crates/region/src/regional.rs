//! The configuration that is one Region's alone: settings as services see them, kept in the
//! Region's own database and decided by nobody else. A change is one atomic batch; all of it is in
//! memory to be read. It knows no service, and refuses what would make it too large.

use std::collections::{BTreeMap, VecDeque};
use std::ops::Bound;
use std::sync::{Arc, PoisonError, RwLock};

use async_lock::Mutex;
use bytes::Bytes;
use event_listener::Event;
use store::{Batch, CommitError, Direction, Engine, KeyRange, ReadError, Snapshot, Space};
use types::{
    ByteSize, Configuration, ConfigurationEdit, ConfigurationEntry, ConfigurationError,
    ConfigurationExpected, ConfigurationView, Proposal,
};

/// What the keys of settings begin with in `Space::Meta`.
const PREFIX: &str = "regional/";

/// The key in `Space::Meta` of the revision.
const REVISION: &str = "regional-revision";

/// The version of both rows: their first byte. The revision follows in 8 bytes, big-endian; in a
/// setting's row, its value after it.
const FORMAT: u8 = 1;

/// The longest key, in bytes of UTF-8; as long as the global configuration's.
const MAX_KEY: usize = 512;

/// The largest change, keys and values together: a load balancer with all the listeners and rules
/// that its quotas allow, or a target group with all of its targets, is in one value.
const MAX_CHANGE: ByteSize = ByteSize::mib(4);

/// The most that all settings may hold, keys and values together.
const MAX_SETTINGS: ByteSize = ByteSize::mib(128);

/// Removed keys that are remembered for those who follow the changes.
const MAX_REMEMBERED_REMOVALS: usize = 4096;

/// Settings read at once when they are opened.
const PAGE: usize = 1_000;

/// The settings as of one revision.
#[derive(Clone, Default)]
struct State {
    revision: u64,
    entries: BTreeMap<String, (u64, Bytes)>,
    size: u64,
    /// The latest removals. Those of revisions up to `forgotten` aren't here.
    removed: VecDeque<(u64, String)>,
    forgotten: u64,
}

/// The Region's own configuration.
pub(crate) struct Regional<E: Engine> {
    engine: E,
    state: RwLock<Arc<State>>,
    /// Held from the judging of a change until it is visible: one at a time.
    changing: Mutex<()>,
    changed: Event,
}

/// A row of the configuration can't be understood.
#[derive(Debug, thiserror::Error)]
pub enum RegionalError {
    /// The database couldn't be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// A newer Causeway wrote it.
    #[error("the Region's configuration has format {0}; this binary understands up to {FORMAT}")]
    Newer(u8),
    /// It makes no sense.
    #[error("the row '{0}' of the Region's configuration is corrupt")]
    Corrupt(String),
}

impl<E: Engine> Regional<E> {
    /// As it last was.
    ///
    /// # Errors
    /// The database can't be read, or what it holds makes no sense to this binary.
    pub(crate) async fn open(engine: E) -> Result<Regional<E>, RegionalError> {
        let state = read(&engine).await?;
        Ok(Regional {
            engine,
            state: RwLock::new(Arc::new(state)),
            changing: Mutex::new(()),
            changed: Event::new(),
        })
    }

    /// Waits for a view of a later revision than that.
    pub(crate) async fn after(&self, revision: u64) -> Arc<dyn ConfigurationView> {
        loop {
            let changed = self.changed.listen();
            let state = self.state();
            if state.revision > revision {
                return state;
            }
            changed.await;
        }
    }

    fn state(&self) -> Arc<State> {
        let state = self.state.read();
        Arc::clone(&state.unwrap_or_else(PoisonError::into_inner))
    }

    fn show(&self, state: State) {
        *self.state.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(state);
        self.changed.notify(usize::MAX);
    }

    async fn change(&self, edits: Vec<ConfigurationEdit>) -> Result<u64, ConfigurationError> {
        let _alone = self.changing.lock().await;
        let before = self.state();
        let mut after = (*before).clone();
        after.apply(&edits)?;
        let mut batch = Batch::new();
        // Whoever asked may have let go of an earlier change that was on its way: then the disk is
        // ahead of the memory, and this batch doesn't hold.
        let known = (before.revision > 0).then(|| row(before.revision, &[]));
        batch.require(Space::Meta, REVISION, known);
        batch.put(Space::Meta, REVISION, row(after.revision, &[]));
        for edit in &edits {
            let key = format!("{PREFIX}{}", edit.key);
            match &edit.value {
                Some(value) => batch.put(Space::Meta, key, row(after.revision, value)),
                None => batch.delete(Space::Meta, key),
            }
        }
        let revision = after.revision;
        match self.engine.commit(batch).await {
            Ok(_) => {
                self.show(after);
                Ok(revision)
            }
            Err(CommitError::Precondition(_)) => match read(&self.engine).await {
                Ok(state) => {
                    self.show(state);
                    Err(ConfigurationError::Conflict)
                }
                Err(error) => {
                    tracing::error!(%error, "the Region's configuration can't be read again");
                    Err(ConfigurationError::Stopped)
                }
            },
            Err(CommitError::DiskFull) => Err(ConfigurationError::Full),
            Err(CommitError::Failed(reason)) => {
                tracing::error!(reason, "a change of the Region's configuration failed");
                Err(ConfigurationError::Stopped)
            }
        }
    }
}

impl<E: Engine> Configuration for Regional<E> {
    fn view(&self) -> Arc<dyn ConfigurationView> {
        self.state()
    }

    fn propose(&self, edits: Vec<ConfigurationEdit>) -> Proposal<'_> {
        Box::pin(self.change(edits))
    }
}

impl State {
    /// Makes all edits or none.
    fn apply(&mut self, edits: &[ConfigurationEdit]) -> Result<(), ConfigurationError> {
        let weight = |key: &str, value: &Bytes| (key.len() + value.len()) as u64;
        let all = edits.iter().map(|edit| {
            let value = edit.value.as_ref();
            value.map_or(edit.key.len() as u64, |value| weight(&edit.key, value))
        });
        let is_key = |edit: &ConfigurationEdit| (1..=MAX_KEY).contains(&edit.key.len());
        if all.sum::<u64>() > MAX_CHANGE.0 || !edits.iter().all(is_key) {
            return Err(ConfigurationError::TooLarge);
        }
        for edit in edits {
            let found = self.entries.get(&edit.key).map(|(revision, _)| *revision);
            let holds = match edit.expected {
                ConfigurationExpected::Any => true,
                ConfigurationExpected::Absent => found.is_none(),
                ConfigurationExpected::Revision(revision) => found == Some(revision),
            };
            if !holds {
                return Err(ConfigurationError::Conflict);
            }
        }
        let before = self.size;
        self.revision += 1;
        for edit in edits {
            let old = match &edit.value {
                Some(value) => {
                    self.size += weight(&edit.key, value);
                    let entry = (self.revision, value.clone());
                    self.entries.insert(edit.key.clone(), entry)
                }
                None => {
                    let old = self.entries.remove(&edit.key);
                    if old.is_some() {
                        self.removed.push_back((self.revision, edit.key.clone()));
                    }
                    old
                }
            };
            self.size -= old.map_or(0, |(_, value)| weight(&edit.key, &value));
        }
        while self.removed.len() > MAX_REMEMBERED_REMOVALS {
            let oldest = self.removed.pop_front();
            self.forgotten = oldest.map_or(self.forgotten, |(revision, _)| revision);
        }
        match self.size > MAX_SETTINGS.0 && self.size > before {
            true => Err(ConfigurationError::Full),
            false => Ok(()),
        }
    }

    fn from(&self, prefix: &str) -> impl Iterator<Item = (&String, &(u64, Bytes))> {
        let start = Bound::Included(prefix.to_owned());
        let entries = self.entries.range((start, Bound::Unbounded));
        entries.take_while(move |(key, _)| key.starts_with(prefix))
    }
}

impl ConfigurationView for State {
    fn revision(&self) -> u64 {
        self.revision
    }

    fn get(&self, key: &str) -> Option<(u64, Bytes)> {
        self.entries.get(key).cloned()
    }

    fn visit(&self, prefix: &str, visitor: &mut dyn FnMut(&str, u64, &Bytes)) {
        for (key, (revision, value)) in self.from(prefix) {
            visitor(key, *revision, value);
        }
    }

    fn visit_changes(
        &self,
        prefix: &str,
        since: u64,
        visitor: &mut dyn FnMut(&str, Option<ConfigurationEntry<'_>>),
    ) -> bool {
        if since < self.forgotten || since > self.revision {
            return false;
        }
        for (revision, key) in &self.removed {
            let is_gone = *revision > since && !self.entries.contains_key(key);
            if is_gone && key.starts_with(prefix) {
                visitor(key, None);
            }
        }
        for (key, (revision, value)) in self.from(prefix) {
            if *revision > since {
                visitor(key, Some((*revision, value)));
            }
        }
        true
    }
}

fn row(revision: u64, value: &[u8]) -> Bytes {
    let mut row = Vec::with_capacity(9 + value.len());
    row.push(FORMAT);
    row.extend_from_slice(&revision.to_be_bytes());
    row.extend_from_slice(value);
    row.into()
}

/// The revision and the value of a row.
fn parse(key: &str, row: &Bytes) -> Result<(u64, Bytes), RegionalError> {
    match row.split_first_chunk::<9>() {
        Some(([FORMAT, revision @ ..], _)) => Ok((u64::from_be_bytes(*revision), row.slice(9..))),
        Some(([newer, ..], _)) if *newer > FORMAT => Err(RegionalError::Newer(*newer)),
        _ => Err(RegionalError::Corrupt(key.to_owned())),
    }
}

async fn read<E: Engine>(engine: &E) -> Result<State, RegionalError> {
    let snapshot = engine.snapshot();
    let mut state = State::default();
    if let Some(found) = snapshot.get(Space::Meta, REVISION.as_bytes()).await? {
        state.revision = parse(REVISION, &found)?.0;
    }
    // What was removed before is not known any more.
    state.forgotten = state.revision;
    let mut range = KeyRange::prefix(PREFIX.as_bytes());
    loop {
        let (space, forward) = (Space::Meta, Direction::Forward);
        let page = snapshot.scan(space, range.clone(), forward, PAGE).await?;
        for entry in &page.entries {
            let text = String::from_utf8_lossy(&entry.key);
            let key = std::str::from_utf8(&entry.key).ok();
            let key = key.and_then(|key| key.strip_prefix(PREFIX));
            let key = key.ok_or_else(|| RegionalError::Corrupt(text.to_string()))?;
            let (revision, value) = parse(key, &entry.value)?;
            if revision > state.revision {
                return Err(RegionalError::Corrupt(key.to_owned()));
            }
            state.size += (key.len() + value.len()) as u64;
            state.entries.insert(key.to_owned(), (revision, value));
        }
        match page.entries.last() {
            Some(last) if page.more => range.start = Bound::Excluded(last.key.clone()),
            _ => return Ok(state),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;
    use std::task::{Context, Poll, Waker};

    use store::MemoryEngine;

    use super::*;

    fn run<T>(future: impl Future<Output = T>) -> T {
        let mut future = pin!(future);
        let mut context = Context::from_waker(Waker::noop());
        for _ in 0..100 {
            if let Poll::Ready(output) = future.as_mut().poll(&mut context) {
                return output;
            }
        }
        panic!("it never ends");
    }

    fn put(key: &str, expected: ConfigurationExpected, value: &str) -> ConfigurationEdit {
        ConfigurationEdit {
            key: key.to_owned(),
            expected,
            value: Some(Bytes::copy_from_slice(value.as_bytes())),
        }
    }

    fn remove(key: &str) -> ConfigurationEdit {
        ConfigurationEdit {
            key: key.to_owned(),
            expected: ConfigurationExpected::Any,
            value: None,
        }
    }

    fn seen(view: &dyn ConfigurationView) -> Vec<(String, u64, Bytes)> {
        let mut seen = Vec::new();
        view.visit("a/", &mut |key, revision, value| {
            seen.push((key.to_owned(), revision, value.clone()));
        });
        seen
    }

    #[test]
    fn changes_are_made_whole_or_not_at_all_and_outlive_the_process() {
        use ConfigurationExpected::{Absent, Any, Revision};
        let engine = MemoryEngine::new();
        let regional = run(Regional::open(engine.clone())).unwrap();
        let both = vec![put("a/1", Absent, "x"), put("b/1", Any, "y")];
        assert_eq!(run(regional.propose(both)), Ok(1));
        let conflict = vec![put("a/2", Any, "z"), put("a/1", Absent, "z")];
        let refused = run(regional.propose(conflict));
        assert_eq!(refused, Err(ConfigurationError::Conflict));
        assert_eq!(
            run(regional.propose(vec![put("a/1", Revision(1), "w")])),
            Ok(2)
        );
        let expected = vec![("a/1".to_owned(), 2, Bytes::from("w"))];
        assert_eq!(seen(&*regional.view()), expected);
        let again = run(Regional::open(engine)).unwrap();
        assert_eq!(again.view().revision(), 2);
        assert_eq!(seen(&*again.view()), expected);
        assert_eq!(again.view().get("b/1"), Some((1, Bytes::from("y"))));
    }

    #[test]
    fn whoever_follows_learns_what_went_and_what_came() {
        use ConfigurationExpected::Any;
        let engine = MemoryEngine::new();
        let regional = run(Regional::open(engine.clone())).unwrap();
        run(regional.propose(vec![put("a/1", Any, "x"), put("a/2", Any, "x")])).unwrap();
        run(regional.propose(vec![remove("a/1"), put("b/1", Any, "x")])).unwrap();
        let changes = |regional: &Regional<MemoryEngine>, since| {
            let mut changes = Vec::new();
            let known = regional
                .view()
                .visit_changes("a/", since, &mut |key, entry| {
                    changes.push((key.to_owned(), entry.is_some()));
                });
            known.then_some(changes)
        };
        let gone = ("a/1".to_owned(), false);
        assert_eq!(changes(&regional, 1), Some(vec![gone.clone()]));
        let set = ("a/2".to_owned(), true);
        assert_eq!(changes(&regional, 0), Some(vec![gone, set]));
        assert_eq!(changes(&regional, 3), None);
        let again = run(Regional::open(engine)).unwrap();
        assert_eq!(changes(&again, 1), None);
        assert_eq!(changes(&again, 2), Some(Vec::new()));
    }

    #[test]
    fn a_change_that_nobody_waited_for_is_found_by_the_next() {
        use ConfigurationExpected::Any;
        let engine = MemoryEngine::new();
        let regional = run(Regional::open(engine.clone())).unwrap();
        let other = run(Regional::open(engine)).unwrap();
        run(regional.propose(vec![put("a/1", Any, "x")])).unwrap();
        let late = run(other.propose(vec![put("a/2", Any, "x")]));
        assert_eq!(late, Err(ConfigurationError::Conflict));
        assert_eq!(run(other.propose(vec![put("a/2", Any, "x")])), Ok(2));
        assert_eq!(seen(&*other.view()).len(), 2);
    }

    #[test]
    fn too_much_is_refused_and_nothing_of_it_made() {
        use ConfigurationExpected::Any;
        let regional = run(Regional::open(MemoryEngine::new())).unwrap();
        let long = "x".repeat(MAX_CHANGE.0 as usize);
        let refused = run(regional.propose(vec![put("a/1", Any, &long)]));
        assert_eq!(refused, Err(ConfigurationError::TooLarge));
        let refused = run(regional.propose(vec![put(&long[..MAX_KEY + 1], Any, "")]));
        assert_eq!(refused, Err(ConfigurationError::TooLarge));
        assert_eq!(regional.view().revision(), 0);
    }

    #[test]
    fn rows_keep_their_bytes() {
        let golden = [1, 0, 0, 0, 0, 0, 0, 0, 7, b'x'];
        assert_eq!(row(7, b"x"), Bytes::copy_from_slice(&golden));
        let newer = Bytes::from(vec![2; 10]);
        assert!(matches!(parse("a", &newer), Err(RegionalError::Newer(2))));
        let short = Bytes::from(vec![1; 8]);
        assert!(matches!(parse("a", &short), Err(RegionalError::Corrupt(_))));
    }
}
