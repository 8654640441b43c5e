//! The directory of load balancers: each Region tells every other site which it has, every site
//! keeps the last it heard on its own disk, and steers by that from its first moment on. It makes
//! no load balancer, and believes a Region about its own alone.
//!
//! A Region sends all that it has when that changes, and says in a steady rhythm which revision it
//! is at; who hears either answers which one it has. From these answers a Region knows who is to be
//! sent its state again, and that a disk which was wiped has left others with a later revision than
//! its own: then it goes beyond that.

mod endpoints;
mod message;
mod names;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use event_listener::Event;
use futures_util::future::select;
use link::Service;
use store::{Batch, Engine, ReadError, Snapshot, Space};
use types::{BalancerDirectory, Deployment, Region, RegionBalancers, SiteId, Span, Timestamp};

pub(crate) use endpoints::{Endpoints, checks, is_balancers};
pub use message::{MAX_BALANCERS, MAX_CERTIFICATES, MAX_PORTS, MessageError};
pub(crate) use names::add_names;

use crate::checking::lock;
use crate::steering::{Steering, generation};
use message::{Message, bounded};

/// The tag of what is told of load balancers on envelopes.
pub const BALANCERS: Service = Service(4);

/// How often a Region says which revision of its load balancers is the last, though nothing has
/// changed: what a full queue has swallowed is mended within it.
pub const TELL_EVERY: Span = Span::seconds(1);

/// A revision is about a wall clock's milliseconds: one so far ahead of this site's clock is no
/// clock's, and is not believed.
const MAX_AHEAD: Span = Span::seconds(366 * 86_400);

/// How long it is waited after the disk refused what is to be kept.
const KEEP_AGAIN: Span = Span::seconds(1);

/// Where in `Space::Meta` what was heard of a Region is kept.
fn kept_at(region: Region) -> String {
    format!("balancers/{region}")
}

/// What a site knows of load balancers.
pub(crate) struct Balancers {
    known: Mutex<Known>,
    /// Health, as flows and answers have it.
    pub(crate) endpoints: Endpoints,
    /// The directory that is steered by.
    pub(crate) served: Mutex<Arc<BalancerDirectory>>,
    /// Rings when the directory is another one.
    pub(crate) changed: Event,
    /// Rings when there is something to keep.
    kept_bell: Event,
}

#[derive(Default)]
struct Known {
    directory: Arc<BalancerDirectory>,
    /// The Regions of which the disk doesn't have the last.
    unkept: BTreeSet<Region>,
    /// Which revision of this Region's load balancers each site has said that it has.
    told: BTreeMap<SiteId, u64>,
}

impl Known {
    fn put(&mut self, state: RegionBalancers) {
        let region = state.region;
        // Whoever reads the directory goes on reading the one before.
        Arc::make_mut(&mut self.directory).0.insert(region, state);
        self.unkept.insert(region);
    }

    fn of(&self, region: Region) -> Option<&RegionBalancers> {
        self.directory.0.get(&region)
    }

    fn revision_of(&self, region: Region) -> u64 {
        self.of(region).map_or(0, |of| of.revision)
    }
}

impl Balancers {
    /// What that disk has of the deployment's Regions.
    ///
    /// # Errors
    /// It can't be read, or a newer program wrote it.
    pub(crate) async fn open(
        snapshot: &impl Snapshot,
        deployment: &Deployment,
    ) -> Result<Balancers, OpenBalancersError> {
        let mut directory = BalancerDirectory::default();
        for (_, region) in deployment.regions() {
            let key = kept_at(region);
            let Some(bytes) = snapshot.get(Space::Meta, key.as_bytes()).await? else {
                continue;
            };
            if let Message::State(state) = Message::decode(&bytes, region)? {
                directory.0.insert(region, state);
            }
        }
        let directory = Arc::new(directory);
        Ok(Balancers {
            known: Mutex::new(Known {
                directory: directory.clone(),
                ..Known::default()
            }),
            endpoints: Endpoints::default(),
            served: Mutex::new(directory),
            changed: Event::new(),
            kept_bell: Event::new(),
        })
    }

    /// What the disk doesn't have yet: of which Regions, and the batch that puts it there.
    fn unkept(&self) -> (BTreeSet<Region>, Batch) {
        let mut known = lock(&self.known);
        let unkept = std::mem::take(&mut known.unkept);
        let mut batch = Batch::new();
        for state in unkept.iter().filter_map(|region| known.of(*region)) {
            let bytes = Message::State(state.clone()).encode();
            batch.put(Space::Meta, kept_at(state.region), bytes);
        }
        (unkept, batch)
    }

    fn put(&self, known: &mut Known, state: RegionBalancers) {
        known.put(state);
        self.changed.notify(usize::MAX);
        self.kept_bell.notify(usize::MAX);
    }
}

/// What was kept of load balancers can't be used.
#[derive(Debug, thiserror::Error)]
pub enum OpenBalancersError {
    /// It can't be read from the disk.
    #[error("what is known of load balancers can't be read: {0}")]
    Read(#[from] ReadError),
    /// It makes no sense.
    #[error("what is kept of load balancers makes no sense: {0}")]
    Kept(#[from] MessageError),
}

impl<E: Engine> Steering<E> {
    /// These are this Region's load balancers from now on: every other site is told. The revision
    /// that is given doesn't count: each change gets the wall clock's milliseconds, or one more
    /// than the one before, so that a Region whose disk was wiped is believed again. What breaks
    /// [`MAX_BALANCERS`], [`MAX_PORTS`] or [`MAX_CERTIFICATES`], or isn't named as a Region's load
    /// balancer or a certificate of IAM is, is left out, which the log says. An edge, and another
    /// Region, has nothing to say: it is logged.
    pub fn publish_balancers(&self, mut state: RegionBalancers) {
        if self.site.name.region() != Some(state.region) {
            tracing::error!(region = %state.region, "another site's load balancers were published");
            return;
        }
        let left_out = bounded(&mut state);
        if left_out > 0 {
            tracing::error!(
                left_out,
                "load balancers and certificates that other sites can't be told of"
            );
        }
        let mut known = lock(&self.balancers.known);
        let before = known.of(state.region);
        let is_same = |before: &RegionBalancers| {
            before.balancers == state.balancers && before.certificates == state.certificates
        };
        if before.is_some_and(is_same) {
            return;
        }
        let least = known.revision_of(state.region).saturating_add(1);
        state.revision = self.environment.now().wall.0.max(least);
        self.balancers.put(&mut known, state);
    }

    /// What this site knows of all Regions' load balancers, as each last said.
    pub fn balancers(&self) -> Arc<BalancerDirectory> {
        lock(&self.balancers.known).directory.clone()
    }

    /// Have all sites that this Region is connected to said that they know its load balancers as
    /// they are now? Those that it hears nothing of aren't waited for.
    pub fn balancers_are_told(&self) -> bool {
        let Some(region) = self.site.name.region() else {
            return true;
        };
        let known = lock(&self.balancers.known);
        let Some(RegionBalancers { revision, .. }) = known.of(region) else {
            return true;
        };
        let mut connected = self.ports.iter();
        connected.all(|(site, port)| {
            generation(port).is_none() || known.told.get(site) == Some(revision)
        })
    }

    /// A site says something of load balancers.
    pub(crate) fn heard_of_balancers(&self, from: SiteId, payload: &Bytes) {
        let own = self.site.name.region();
        // Of two Regions each speaks of its own, or answers what it knows of the other's.
        let speaker = self.deployment.region_of(from);
        let Some(region) = speaker.or(own) else {
            tracing::warn!(site = from.0, "an edge spoke of load balancers to an edge");
            return;
        };
        match (Message::decode(payload, region), speaker, own) {
            (Ok(Message::State(state)), Some(_), _) => self.heard_state(from, state),
            (Ok(Message::Own(_)), Some(region), _) => self.say_what_is_known(from, region),
            (Ok(Message::Have(revision)), _, Some(own)) => self.heard_have(from, own, revision),
            (Ok(_), ..) => tracing::warn!(site = from.0, "no Region speaks of load balancers"),
            (Err(error), ..) => {
                tracing::warn!(site = from.0, %error, "word of load balancers was refused");
            }
        }
    }

    fn heard_state(&self, from: SiteId, state: RegionBalancers) {
        let region = state.region;
        if self.is_ahead(state.revision) {
            tracing::warn!(%region, "word of load balancers is of a far future: refused");
            return;
        }
        let mut known = lock(&self.balancers.known);
        if known.revision_of(region) < state.revision {
            self.balancers.put(&mut known, state);
        }
        drop(known);
        self.say_what_is_known(from, region);
    }

    fn say_what_is_known(&self, from: SiteId, region: Region) {
        let revision = lock(&self.balancers.known).revision_of(region);
        self.send(from, BALANCERS, Message::Have(revision).encode());
    }

    fn heard_have(&self, from: SiteId, own: Region, revision: u64) {
        let mut known = lock(&self.balancers.known);
        known.told.insert(from, revision);
        let Some(mine) = known.of(own) else {
            return;
        };
        match revision.cmp(&mine.revision) {
            std::cmp::Ordering::Equal => {}
            std::cmp::Ordering::Less => {
                let state = Message::State(mine.clone()).encode();
                drop(known);
                self.send(from, BALANCERS, state);
            }
            std::cmp::Ordering::Greater if self.is_ahead(revision) => {}
            // This disk was wiped, or the clock was set back.
            std::cmp::Ordering::Greater => {
                let revision = revision + 1;
                let state = RegionBalancers {
                    revision,
                    ..mine.clone()
                };
                self.balancers.put(&mut known, state);
            }
        }
    }

    fn is_ahead(&self, revision: u64) -> bool {
        let Timestamp(now) = self.environment.now().wall;
        revision > now.saturating_add(MAX_AHEAD.0 / 1_000)
    }

    /// Tells every other site of this Region's load balancers, until the process ends.
    pub(crate) async fn tell_balancers(self: Arc<Self>, region: Region) {
        loop {
            let changed = self.balancers.changed.listen();
            let connected = self.links_changed.listen();
            self.tell_all(region);
            let now = self.environment.now().monotonic;
            let turn = self.environment.sleep_until(now + TELL_EVERY);
            select(select(changed, connected), turn).await;
        }
    }

    fn tell_all(&self, region: Region) {
        let known = lock(&self.balancers.known);
        let Some(mine) = known.of(region).cloned() else {
            return;
        };
        let told = known.told.clone();
        drop(known);
        let own = Message::Own(mine.revision).encode();
        let revision = mine.revision;
        let state = Message::State(mine).encode();
        for site in self.ports.keys() {
            let note = match told.get(site) == Some(&revision) {
                true => own.clone(),
                false => state.clone(),
            };
            self.send(*site, BALANCERS, note);
        }
    }

    /// Keeps what is heard on disk: what is steered by after a restart, until someone is heard.
    pub(crate) async fn keep_balancers(self: Arc<Self>) {
        loop {
            let bell = self.balancers.kept_bell.listen();
            let (unkept, batch) = self.balancers.unkept();
            if unkept.is_empty() {
                bell.await;
                continue;
            }
            if let Err(error) = self.engine.commit(batch).await {
                tracing::warn!(%error, "what is known of load balancers was not kept");
                lock(&self.balancers.known).unkept.extend(unkept);
                let again = self.environment.now().monotonic + KEEP_AGAIN;
                self.environment.sleep_until(again).await;
            }
        }
    }
}
