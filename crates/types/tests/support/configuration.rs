//! A configuration in memory and a clock that stands, for tests of services that are driven without
//! a runtime. Each service's tests include this file, and say by `PREFIX` beside it how all keys
//! that the service writes begin.
#![allow(dead_code, reason = "each test takes what it needs")]

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicI64, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use types::{
    CatchUp, Configuration, ConfigurationEdit, ConfigurationError, ConfigurationExpected,
    ConfigurationView, Environment, Monotonic, Now, Proposal, Sleep, Timestamp,
};

use super::PREFIX;

/// What the clock shows at first: milliseconds since 1970.
const START: u64 = 1_795_000_000_000;

/// A clock that stands unless it is moved, and a counter for randomness.
#[derive(Default)]
pub struct StillEnvironment {
    pub now: AtomicU64,
    /// How far each look moves it: milliseconds.
    pub step: u64,
    /// How far its wall clock is set off: milliseconds.
    pub set_off: AtomicI64,
    /// How often randomness was drawn.
    pub draws: AtomicU64,
}

impl Environment for StillEnvironment {
    fn now(&self) -> Now {
        let now = self.now.fetch_add(self.step, Ordering::Relaxed);
        let set_off = self.set_off.load(Ordering::Relaxed);
        Now {
            wall: Timestamp((START + now).saturating_add_signed(set_off)),
            monotonic: Monotonic(now * 1000),
        }
    }

    fn sleep_until(&self, _: Monotonic) -> Sleep {
        Box::pin(std::future::ready(()))
    }

    fn random(&self) -> u64 {
        let draws = self.draws.fetch_add(1, Ordering::Relaxed) + 1;
        draws.wrapping_mul(0x9e37_79b9_7f4a_7c15)
    }
}

/// The settings of one revision.
#[derive(Clone, Default, PartialEq, Eq, Debug)]
pub struct View {
    pub revision: u64,
    pub entries: BTreeMap<String, (u64, Bytes)>,
}

impl ConfigurationView for View {
    fn revision(&self) -> u64 {
        self.revision
    }

    fn get(&self, key: &str) -> Option<(u64, Bytes)> {
        self.entries.get(key).cloned()
    }

    fn visit(&self, prefix: &str, visitor: &mut dyn FnMut(&str, u64, &Bytes)) {
        let entries = self.entries.range(prefix.to_owned()..);
        for (key, (revision, value)) in entries.take_while(|(key, _)| key.starts_with(prefix)) {
            visitor(key, *revision, value);
        }
    }
}

/// What somebody else does between a read and the proposal made of it.
type Interference = Box<dyn FnMut(&mut View) + Send>;

/// A configuration in memory, with the rules that the council and a Region have.
#[derive(Default)]
pub struct Memory {
    view: Mutex<Arc<View>>,
    interference: Mutex<Option<Interference>>,
    failure: Mutex<Option<ConfigurationError>>,
    /// Proposals made.
    pub proposals: AtomicUsize,
    /// How often somebody asked for what was decided before.
    pub questions: AtomicUsize,
}

impl Memory {
    pub fn view_now(&self) -> View {
        View::clone(&self.view.lock().unwrap())
    }

    /// What stands there from now on.
    pub fn set(&self, view: View) {
        *self.view.lock().unwrap() = Arc::new(view);
    }

    /// Before each proposal from now on, does this.
    pub fn interfere(&self, with: impl FnMut(&mut View) + Send + 'static) {
        *self.interference.lock().unwrap() = Some(Box::new(with));
    }

    /// Fails every proposal from now on.
    pub fn fail(&self, error: Option<ConfigurationError>) {
        *self.failure.lock().unwrap() = error;
    }

    fn decide(&self, edits: Vec<ConfigurationEdit>) -> Result<u64, ConfigurationError> {
        self.proposals.fetch_add(1, Ordering::Relaxed);
        if let Some(error) = *self.failure.lock().unwrap() {
            return Err(error);
        }
        let mut held = self.view.lock().unwrap();
        let mut view = View::clone(&held);
        if let Some(interfere) = &mut *self.interference.lock().unwrap() {
            interfere(&mut view);
            *held = Arc::new(view.clone());
        }
        assert!(!edits.is_empty() && edits.len() <= 1_100, "{}", edits.len());
        let size = |edit: &ConfigurationEdit| {
            edit.key.len() + edit.value.as_ref().map_or(0, Bytes::len) + 32
        };
        let total: usize = edits.iter().map(size).sum();
        assert!(total <= 768 * 1024, "{total}");
        for (index, edit) in edits.iter().enumerate() {
            assert!((1..=512).contains(&edit.key.len()), "{}", edit.key);
            assert!(edit.key.starts_with(PREFIX), "{}", edit.key);
            let mut before = edits[..index].iter();
            assert!(!before.any(|other| other.key == edit.key), "{}", edit.key);
            let found = view.entries.get(&edit.key).map(|(revision, _)| *revision);
            let holds = match edit.expected {
                ConfigurationExpected::Any => true,
                ConfigurationExpected::Absent => found.is_none(),
                ConfigurationExpected::Revision(revision) => found == Some(revision),
            };
            if !holds {
                return Err(ConfigurationError::Conflict);
            }
        }
        view.revision += 1;
        for edit in edits {
            match edit.value {
                Some(value) => view.entries.insert(edit.key, (view.revision, value)),
                None => view.entries.remove(&edit.key),
            };
        }
        let revision = view.revision;
        *held = Arc::new(view);
        Ok(revision)
    }
}

impl Configuration for Memory {
    fn view(&self) -> Arc<dyn ConfigurationView> {
        self.view.lock().unwrap().clone()
    }

    fn propose(&self, edits: Vec<ConfigurationEdit>) -> Proposal<'_> {
        Box::pin(std::future::ready(self.decide(edits)))
    }

    fn catch_up(&self) -> CatchUp<'_> {
        self.questions.fetch_add(1, Ordering::Relaxed);
        let failure = *self.failure.lock().unwrap();
        Box::pin(std::future::ready(failure.map_or(Ok(()), Err)))
    }
}
