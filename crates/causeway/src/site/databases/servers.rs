//! The servers of this process, as everybody but their keepers sees them: how each stands. It
//! starts and stops none.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use databases::model::ResourceId;
use databases::plan::Observed;
use databases::{ServerView, Standing};
use region::DatabaseServers;
use runtime::postgres::{Observation, ServerHome};
use tokio::sync::{Notify, watch};
use types::{Monotonic, Timestamp};
use zeroize::Zeroizing;

/// All of them.
#[derive(Default)]
pub(super) struct Servers {
    known: Mutex<BTreeMap<ResourceId, Arc<Seen>>>,
    /// Rings when an instance was made that nobody keeps yet.
    pub(super) news: Notify,
}

/// One instance's server, as it was seen last.
pub(super) struct Seen {
    pub(super) home: ServerHome,
    state: Mutex<State>,
    /// Has its keeper look at it.
    pub(super) wake: Notify,
    /// Counts how often it was seen to stand otherwise.
    pub(super) shown: watch::Sender<u64>,
}

/// What was seen.
pub(super) struct State {
    pub(super) standing: Standing,
    /// What its server said last, and when; none while it has none that answers.
    pub(super) look: Option<Look>,
    /// Sessions through the endpoint now.
    pub(super) connections: u64,
    /// What stands in the way, in words.
    pub(super) trouble: Option<String>,
    /// What is planned for it.
    pub(super) plan: Planned,
}

/// What is planned for an instance, as of the last look.
#[derive(Clone, Default)]
pub(super) struct Planned {
    /// What it is to be, as a cluster's head; none: it is none.
    pub(super) duty: Option<&'static str>,
    /// Whom it is to follow.
    pub(super) follows: Option<String>,
    /// What comes next, in words.
    pub(super) next: String,
}

/// What a server said, and when.
#[derive(Clone)]
pub(super) struct Look {
    pub(super) observation: Observation,
    pub(super) at: Monotonic,
    pub(super) wall: Timestamp,
}

impl Servers {
    /// That instance's, made if nobody keeps it yet.
    pub(super) fn of(&self, id: &ResourceId, home: impl FnOnce() -> PathBuf) -> Arc<Seen> {
        let mut known = lock(&self.known);
        let seen = known.entry(id.clone()).or_insert_with(|| {
            Arc::new(Seen {
                home: ServerHome::new(home()),
                state: Mutex::new(State {
                    standing: Standing {
                        observed: Observed::nothing(),
                        doing: None,
                        source_gone: false,
                    },
                    look: None,
                    connections: 0,
                    trouble: None,
                    plan: Planned::default(),
                }),
                wake: Notify::new(),
                shown: watch::Sender::new(0),
            })
        });
        Arc::clone(seen)
    }

    /// That instance's, if somebody keeps it.
    pub(super) fn find(&self, id: &ResourceId) -> Option<Arc<Seen>> {
        lock(&self.known).get(id).cloned()
    }

    /// Nobody keeps it any more.
    pub(super) fn forget(&self, id: &ResourceId) {
        lock(&self.known).remove(id);
    }

    /// Has every keeper look.
    pub(super) fn wake_all(&self) {
        for seen in lock(&self.known).values() {
            seen.wake.notify_one();
        }
        self.news.notify_one();
    }
}

impl ServerView for Servers {
    fn standing(&self, resource_id: &str) -> Option<Standing> {
        let seen = self.find(&ResourceId(resource_id.to_owned()))?;
        let standing = seen.state().standing.clone();
        Some(standing)
    }

    fn changed(&self, resource_id: &str) {
        match self.find(&ResourceId(resource_id.to_owned())) {
            Some(seen) => seen.wake.notify_one(),
            None => self.news.notify_one(),
        }
    }
}

impl DatabaseServers for Servers {
    fn replication_password(&self, instance: &ResourceId, slot: &str) -> Option<Zeroizing<String>> {
        let seen = self.find(instance)?;
        let keeps = |look: &Look| look.observation.slots.iter().any(|it| it.name == slot);
        let is_kept = seen.state().look.as_ref().is_some_and(keeps);
        match is_kept {
            true => seen.home.replication_password().ok(),
            false => None,
        }
    }
}

impl Seen {
    /// What was seen.
    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }

    /// The socket of its server.
    pub(super) fn socket(&self) -> PathBuf {
        self.home.socket_directory().join(".s.PGSQL.5432")
    }
}

/// A panic elsewhere while the lock was held leaves plain data: it is still good to use.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
