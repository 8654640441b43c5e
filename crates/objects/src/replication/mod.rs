//! Replication: a change that rules choose is announced in the batch that makes it, as a row of
//! the outbox for each destination; the rows are carried out in order, one of a key at a time, and
//! a row goes when its destination has said how it ended. Nothing is lost, whatever is cut or
//! killed; what comes twice changes nothing.
//!
//! `region` carries messages between Regions and knows nothing of them: it sends what
//! [`Objects::next_message`] gives for a peer, and hands to [`Objects::receive`] what comes. A
//! destination in the same Region takes the same way without a link.

mod announce;
mod arrive;
mod fields;
mod figures;
mod job;
mod judge;
mod kept;
mod ledger;
mod message;
mod notes;
mod offer;
mod outcome;
mod queue;
mod reason;
mod receive;
mod repair;
mod send;
mod stream;
mod task;
mod transfer;
mod watch;

use std::collections::{BTreeMap, VecDeque};
use std::ops::Bound;
use std::sync::{Arc, Mutex, MutexGuard};

use bytes::Bytes;
use event_listener::{Event, EventListener};
use store::{Direction, Engine, KeyRange, Snapshot, Space};
use types::{Monotonic, SiteId};

use crate::keys::kind;
use crate::{ObjectError, Objects, ObjectsConfig, row};

pub(crate) use announce::{Announced, announce};
pub use figures::{RuleFigures, prometheus};
pub use job::{
    FilterStatus, InvalidJobId, Job, JobFilter, JobId, JobStatus, List, Manifest, NewJob,
    ReportPlace,
};
pub use ledger::{LedgerPage, LostVersion};
pub use message::{MAX_MESSAGE, MessageError};
pub use reason::FailureReason;
pub use repair::ReplicaRepair;

use figures::Figures;
use message::Message;
use outcome::Ended;
use queue::Queue;
use repair::Questions;
use stream::Stream;
use task::Task;
use transfer::Transfers;

/// Rows of the outbox that are read at a time.
const PAGE: usize = 256;

/// A message for a peer.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Outgoing {
    /// Its bytes; at most [`MAX_MESSAGE`].
    pub payload: Bytes,
    /// The destination bucket whose traffic it is; empty of answers.
    pub resource: String,
    /// How many versions or changes it carries whole: 1 or 0.
    pub records: u32,
}

/// What replication keeps in memory. All of it is rebuilt from rows.
pub(crate) struct Replication {
    /// Every Region of the deployment, this one too.
    sites: BTreeMap<SiteId, Arc<SiteState>>,
    figures: Arc<Mutex<Figures>>,
    /// Rings when there is a new job.
    job_bell: Event,
    /// Questions for bytes that are damaged here.
    questions: Questions,
}

/// What goes to a Region and comes from it.
pub(super) struct SiteState {
    /// Rings when there may be something to send.
    bell: Event,
    sending: Mutex<Sending>,
    /// What is received from there.
    transfers: Mutex<Transfers>,
}

/// What goes to a Region.
pub(super) struct Sending {
    queue: Queue,
    /// Answers to what came from there.
    answers: VecDeque<Message>,
    /// What is on its way, by the tasks' numbers.
    flights: BTreeMap<u64, Flight>,
    /// Contents being sent in pieces, by the tasks' numbers; none: it is being read from right now.
    streams: BTreeMap<u64, Option<Stream>>,
    /// The stream that had its turn last.
    turn: u64,
    /// From where on receivers want streams that are being read from.
    wanted: BTreeMap<u64, (u32, u64)>,
    /// Bytes in offers that aren't answered.
    offered: u64,
    /// Bytes by which offers are ahead of contents sent in pieces.
    ahead: usize,
    /// When the outbox was last read from its beginning.
    read_anew: Monotonic,
    /// When to look again whether something is overdue.
    look: Monotonic,
    /// Ends of tasks whose commit nobody waits for any more.
    given_up: VecDeque<(u64, Task, Ended)>,
}

/// A task that was offered and hasn't ended.
pub(super) struct Flight {
    task: Task,
    /// Bytes in its offer.
    offered: u64,
}

impl Replication {
    /// What the outbox holds.
    ///
    /// # Errors
    /// `Internal`: a row can't be read.
    pub(crate) async fn load<S: Snapshot>(
        snapshot: &S,
        config: &ObjectsConfig,
    ) -> Result<Replication, ObjectError> {
        let mut figures = Figures::default();
        kept::load(snapshot, &mut figures).await?;
        let mut last: BTreeMap<SiteId, u64> = BTreeMap::new();
        let mut range = KeyRange::prefix(&[kind::OUTBOX]);
        loop {
            let forward = Direction::Forward;
            let page = snapshot.scan(Space::Objects, range.clone(), forward, PAGE);
            let page = page.await?;
            for entry in &page.entries {
                let (site, number) = task::outbox_place(&entry.key).ok_or_else(unreadable)?;
                figures.announced(site, &row::decode("the outbox", &entry.value)?);
                last.insert(site, number);
            }
            match page.entries.last() {
                Some(end) if page.more => range.start = Bound::Excluded(end.key.clone()),
                _ => break,
            }
        }
        let now = config.environment.now();
        let sites = config.deployment.regions().map(|(site, _)| {
            let first = task::first_number(now.wall, last.get(&site).copied());
            (site, Arc::new(SiteState::new(first, now.monotonic)))
        });
        Ok(Replication {
            sites: sites.collect(),
            figures: Arc::new(Mutex::new(figures)),
            job_bell: Event::new(),
            questions: Questions::numbered_from(config.environment.random()),
        })
    }

    fn site(&self, site: SiteId) -> Option<&Arc<SiteState>> {
        self.sites.get(&site)
    }

    /// Tasks of a job that haven't ended.
    fn pending_of(&self, job: JobId) -> u64 {
        self.figures().pending_of(job)
    }

    fn figures(&self) -> MutexGuard<'_, Figures> {
        self.figures.lock().expect("nothing panics inside")
    }
}

impl SiteState {
    fn new(first: u64, now: Monotonic) -> SiteState {
        SiteState {
            bell: Event::new(),
            sending: Mutex::new(Sending {
                queue: Queue::new(first),
                answers: VecDeque::new(),
                flights: BTreeMap::new(),
                streams: BTreeMap::new(),
                turn: 0,
                wanted: BTreeMap::new(),
                offered: 0,
                ahead: 0,
                read_anew: now,
                look: now,
                given_up: VecDeque::new(),
            }),
            transfers: Mutex::default(),
        }
    }

    fn sending(&self) -> MutexGuard<'_, Sending> {
        self.sending.lock().expect("nothing panics inside")
    }

    fn transfers(&self) -> MutexGuard<'_, Transfers> {
        self.transfers.lock().expect("nothing panics inside")
    }

    fn ring(&self) {
        self.bell.notify(usize::MAX);
    }

    fn listen(&self) -> EventListener {
        self.bell.listen()
    }

    /// Has a message sent there.
    fn answer(&self, message: Message) {
        self.sending().answers.push_back(message);
        self.ring();
    }
}

fn unreadable() -> ObjectError {
    ObjectError::Internal("a row of the outbox is of no site".to_owned())
}

impl<E: Engine> Objects<E> {
    /// The figures of every rule that replicates from this Region.
    pub fn replication_figures(&self) -> Vec<RuleFigures> {
        let now = self.wall();
        self.place_figures();
        let mut figures = self.replication.figures();
        figures.retain(|bucket, _| self.entry_of(bucket).is_some());
        figures.all(now)
    }
}

#[cfg(test)]
mod job_tests;
#[cfg(test)]
mod lab;
#[cfg(test)]
mod repairs;
#[cfg(test)]
mod tests;
