//! The servers of this process, as everybody but their keepers sees them: how each stands. It
//! starts and stops none.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use databases::model::{Lsn, ResourceId};
use databases::plan::{Duty, Life, Next, Observed, Step, Wanted};
use databases::{Archived, ServerView, Standing};
use region::DatabaseServers;
use runtime::ListenError;
use runtime::postgres::{Observation, ServerHome};
use tokio::sync::{Notify, watch};
use types::{Monotonic, Region, Span, Timestamp};
use zeroize::Zeroizing;

use super::followers::Followers;
use super::leases::Leases;

/// All of them.
#[derive(Default)]
pub(super) struct Servers {
    /// By their homes.
    known: Mutex<BTreeMap<ResourceId, Arc<Seen>>>,
    /// Rings when an instance was made that nobody keeps yet.
    pub(super) news: Notify,
    copies: Progress,
    /// What can be restored of instances, and whether their archives are late.
    archives: Mutex<BTreeMap<ResourceId, (Archived, bool)>>,
    /// Since when the council has decided no renewal of this Region's lease, while it needs one.
    unheard: Mutex<Option<Monotonic>>,
    /// The lease of this Region, and what was seen of others'.
    pub(super) leases: Arc<Leases>,
}

/// How many bytes are here of snapshots that are being copied, by their ids.
#[derive(Default)]
pub(super) struct Progress(Mutex<BTreeMap<String, Arc<AtomicU64>>>);

impl Progress {
    /// That one's, to be counted on.
    pub(super) fn of(&self, snapshot: &str) -> Arc<AtomicU64> {
        lock(&self.0)
            .entry(snapshot.to_owned())
            .or_default()
            .clone()
    }

    /// It is being copied no more.
    pub(super) fn remove(&self, snapshot: &str) {
        lock(&self.0).remove(snapshot);
    }
}

/// The server of one home, as it was seen last.
pub(super) struct Seen {
    /// Whose home it is.
    instance: ResourceId,
    pub(super) home: ServerHome,
    state: Mutex<State>,
    /// Has its keeper look at it.
    pub(super) wake: Notify,
    /// Those who follow it, if it writes for a global cluster.
    pub(super) followers: Followers,
    /// Counts how often it was seen to stand otherwise.
    pub(super) shown: watch::Sender<u64>,
}

/// What was seen.
pub(super) struct State {
    pub(super) standing: Standing,
    /// Has its keeper looked at it since this process began?
    pub(super) is_looked_at: bool,
    /// What its server said last, and when; none while it has none that answers.
    pub(super) look: Option<Look>,
    /// Sessions through the endpoint now.
    pub(super) connections: u64,
    /// What its server, as a primary, wrote lately.
    pub(super) life: Life,
    /// From whom its server was last seen to receive.
    pub(super) followed: Option<ResourceId>,
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

impl Planned {
    /// What is planned, in words.
    pub(super) fn of(wanted: &Wanted, next: &Next) -> Planned {
        let followed = wanted.duty.following().map(|it| &it.upstream.source);
        let source = wanted.instance.source.as_ref().map(|source| &source.arn);
        Planned {
            duty: match &wanted.duty {
                Duty::Alone => None,
                Duty::Left => Some("stand alone"),
                Duty::Await => Some("wait for the council"),
                Duty::Lead { .. } => Some("write"),
                Duty::Drain(_) | Duty::HandOver(_) | Duty::Cede(_) => Some("make room"),
                Duty::CallOff(_) => Some("go on"),
                Duty::Follow(_) => Some("follow"),
                Duty::TakeOver(_) => Some("take over"),
                Duty::Read(_) => Some("read"),
                Duty::Forced(forcing) if forcing.is_written => Some("write by force"),
                Duty::Forced(_) => Some("take over by force"),
            },
            follows: followed.or(source).map(|arn| arn.to_string()),
            next: match next {
                Next::Step(Step::Record(record)) => format!("record {record:?}"),
                Next::Step(step) => format!("{:?}", step.kind()).to_lowercase(),
                Next::WaitUntil(_) => "wait".to_owned(),
                Next::Settled => "nothing".to_owned(),
            },
        }
    }
}

/// What a server said, and when.
#[derive(Clone)]
pub(super) struct Look {
    pub(super) observation: Observation,
    pub(super) at: Monotonic,
    pub(super) wall: Timestamp,
}

impl Servers {
    /// That of an instance's home, made if nobody keeps it yet.
    pub(super) fn of(
        &self,
        (instance, home): (&ResourceId, &ResourceId),
        directory: impl FnOnce() -> PathBuf,
    ) -> Arc<Seen> {
        let mut known = lock(&self.known);
        let seen = known.entry(home.clone()).or_insert_with(|| {
            Arc::new(Seen {
                instance: instance.clone(),
                home: ServerHome::new(directory()),
                state: Mutex::new(State {
                    standing: Standing {
                        observed: Observed::nothing(),
                        doing: None,
                        source_gone: false,
                    },
                    is_looked_at: false,
                    look: None,
                    connections: 0,
                    life: Life::default(),
                    followed: None,
                    trouble: None,
                    plan: Planned::default(),
                }),
                wake: Notify::new(),
                followers: Followers::default(),
                shown: watch::Sender::new(0),
            })
        });
        Arc::clone(seen)
    }

    /// That home's, if somebody keeps it.
    pub(super) fn find(&self, home: &ResourceId) -> Option<Arc<Seen>> {
        lock(&self.known).get(home).cloned()
    }

    /// Nobody keeps it any more.
    pub(super) fn forget(&self, home: &ResourceId) {
        lock(&self.known).remove(home);
    }

    /// That can be restored of an instance, and its archive is late if that is true.
    pub(super) fn show_archive(&self, id: &ResourceId, archived: Option<(Archived, bool)>) {
        let mut held = lock(&self.archives);
        match archived {
            Some(archived) => held.insert(id.clone(), archived),
            None => held.remove(id),
        };
    }

    /// What can be restored of an instance, and whether its archive is late.
    pub(super) fn archive(&self, id: &ResourceId) -> Option<(Archived, bool)> {
        lock(&self.archives).get(id).cloned()
    }

    /// Since then the council has decided nothing that this Region asked for; `None`: it asks for
    /// nothing.
    pub(super) fn unheard_since(&self, since: Option<Monotonic>) {
        *lock(&self.unheard) = since;
    }

    /// It asks for its lease: since then, unless it did before.
    pub(super) fn asks_since(&self, since: Monotonic) {
        lock(&self.unheard).get_or_insert(since);
    }

    /// How far copies of snapshots have come.
    pub(super) fn copies(&self) -> &Progress {
        &self.copies
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
        let known = lock(&self.known);
        let mut is_kept = false;
        for seen in known.values().filter(|it| it.instance.0 == resource_id) {
            is_kept = true;
            seen.wake.notify_one();
        }
        if !is_kept {
            self.news.notify_one();
        }
    }

    fn archived(&self, resource_id: &str) -> Option<Archived> {
        let found = self.archive(&ResourceId(resource_id.to_owned()));
        found.map(|(archived, _)| archived)
    }

    fn is_taken(&self, address: Ipv4Addr, port: u16) -> bool {
        let looked = runtime::look_at(SocketAddr::from((address, port)));
        matches!(looked, Err(ListenError::Taken(_)))
    }

    fn unheard_since(&self) -> Option<Monotonic> {
        *lock(&self.unheard)
    }

    fn silent_since(&self, region: Region, now: Monotonic) -> Option<Monotonic> {
        self.leases.silent_since(region, now)
    }

    fn lag_of(&self, writer: &str, slot: &str) -> Option<Span> {
        let seen = self.find(&ResourceId(writer.to_owned()))?;
        let measured = seen.followers.measured()?;
        measured.lags.get(slot).map(|lag| lag.rpo)
    }

    fn copied(&self, snapshot: &str) -> u64 {
        let held = lock(&self.copies.0);
        held.get(snapshot)
            .map_or(0, |it| it.load(Ordering::Relaxed))
    }
}

impl DatabaseServers for Servers {
    fn replication_password(&self, home: &ResourceId, slot: &str) -> Option<Zeroizing<String>> {
        let seen = self.find(home)?;
        let keeps = |look: &Look| look.observation.slots.iter().any(|it| it.name == slot);
        let is_kept = seen.state().look.as_ref().is_some_and(keeps);
        match is_kept {
            true => seen.home.replication_password().ok(),
            false => None,
        }
    }

    fn oldest_log(&self, home: &ResourceId) -> Option<Lsn> {
        let seen = self.find(home)?;
        let state = seen.state();
        let oldest = state.look.as_ref()?.observation.oldest?;
        Some(Lsn(oldest.0))
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
