//! Three Regions and an edge in one thread, made of the production code, with virtual time,
//! simulated disks and wires, and a schedule of faults. One seed is one run, always the same.

use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use identity::{OPERATOR_KEY_BYTES, RootKey, RootKeys, Sealer};
use link::{Port, Shape};
use objects::blob::MemoryBlobs;
use region::{Region, RegionSecrets};
use steering::Steering;
use store::{Engine, MemoryEngine, SimulatedDisk};
use types::{Deployment, Environment, Geography, Monotonic, Site, SiteId, Span};
use zeroize::Zeroizing;

use crate::deployment::deployment;
use crate::endpoints::Endpoints;
use crate::executor::Executor;
use crate::faults::Fault;
use crate::opening::Opening;
use crate::random::Random;
use crate::slow::SlowEngine;
use crate::time::{SiteEnvironment, VirtualTime};
use crate::trace::Trace;
use crate::wires::Wire;

mod links;

/// The bug a world is given to see whether its checkers find it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum PlantedBug {
    /// Two versions of the same hybrid time are not told apart by their Region.
    TieBreakDropped,
    /// A conflict is decided by comparing timestamps instead of causal contexts.
    ConflictByTimestamp,
    /// A commit is acknowledged before it is synced.
    SyncSkipped,
    /// The cursor is committed apart from the changes.
    CursorNotAtomic,
    /// What was read of the log is sent also if shipping has started again since.
    StaleReadingSent,
}

/// One site of a world.
struct Place {
    site: Site,
    environment: Arc<SiteEnvironment>,
    skew: Arc<Mutex<i64>>,
    /// Larger objects' bytes, on its disk beside the database.
    blobs: MemoryBlobs,
    state: State,
}

enum State {
    Up {
        engine: MemoryEngine,
        region: Option<Arc<Region<SlowEngine>>>,
        steering: Arc<Steering<SlowEngine>>,
    },
    Down {
        disk: SimulatedDisk,
    },
}

/// A simulated deployment.
pub struct World {
    time: VirtualTime,
    random: Random,
    executor: Executor,
    /// Are tasks running, so that reads may take time?
    slow: Arc<AtomicBool>,
    deployment: Deployment,
    key: RootKey,
    sealer: Arc<Sealer>,
    planted: Option<PlantedBug>,
    /// What sites' checkers connect to, and how often if that is set.
    endpoints: Arc<Endpoints>,
    probes: Option<Span>,
    places: BTreeMap<SiteId, Place>,
    ports: BTreeMap<(SiteId, SiteId), Arc<Port>>,
    wires: BTreeMap<(SiteId, SiteId), Wire>,
    cuts: BTreeSet<(SiteId, SiteId)>,
    syncs: BTreeMap<SiteId, Monotonic>,
    trace: Trace,
}

impl World {
    /// A world of that seed, all its sites up, in which nothing can be connected to.
    pub fn new(seed: u64, planted: Option<PlantedBug>) -> World {
        World::with_probes(seed, planted, None)
    }

    /// The same, in which each endpoint is probed so often by each site.
    pub fn with_probes(seed: u64, planted: Option<PlantedBug>, probes: Option<Span>) -> World {
        let mut random = Random::new(seed);
        let time = VirtualTime::default();
        let deployment = deployment();
        let places = deployment.sites.iter().map(|site| {
            let skew = Arc::new(Mutex::new(0));
            let environment = SiteEnvironment::new(time.clone(), skew.clone(), random.split());
            let state = State::Down {
                disk: SimulatedDisk::new(),
            };
            (
                site.id,
                Place {
                    site: *site,
                    environment: Arc::new(environment),
                    skew,
                    blobs: MemoryBlobs::new(),
                    state,
                },
            )
        });
        let places = places.collect();
        let mut world = World {
            time,
            key: RootKey::generate(&Zeroizing::new([7; identity::RANDOM_BYTES])),
            sealer: Arc::new(Sealer::new(&Zeroizing::new([9; OPERATOR_KEY_BYTES]))),
            planted,
            endpoints: Arc::default(),
            probes,
            places,
            ports: BTreeMap::new(),
            wires: BTreeMap::new(),
            cuts: BTreeSet::new(),
            syncs: BTreeMap::new(),
            trace: Trace::default(),
            executor: Executor::default(),
            slow: Arc::default(),
            deployment,
            random,
        };
        for site in world.sites() {
            world.start(site);
        }
        world
    }

    /// Every site's number.
    pub fn sites(&self) -> Vec<SiteId> {
        self.places.keys().copied().collect()
    }

    /// The Regions that are up.
    pub fn regions(&self) -> Vec<Arc<Region<SlowEngine>>> {
        let up = self.places.values().filter_map(|place| match &place.state {
            State::Up { region, .. } => region.clone(),
            State::Down { .. } => None,
        });
        up.collect()
    }

    /// What steers at a site that is up.
    pub fn steering(&self, site: SiteId) -> Option<Arc<Steering<SlowEngine>>> {
        match &self.places[&site].state {
            State::Up { steering, .. } => Some(steering.clone()),
            State::Down { .. } => None,
        }
    }

    /// What sites' checkers connect to.
    pub fn endpoints(&self) -> &Arc<Endpoints> {
        &self.endpoints
    }

    /// Do all Regions that are up know the same settings?
    pub fn agree_on_settings(&self) -> bool {
        let regions = self.regions();
        let mut revisions = regions.iter().map(|r| r.council().settings().revision());
        let first = revisions.next();
        revisions.all(|revision| Some(revision) == first)
    }

    /// The database of a site that is up.
    pub fn engine(&self, site: SiteId) -> Option<&MemoryEngine> {
        match &self.places[&site].state {
            State::Up { engine, .. } => Some(engine),
            State::Down { .. } => None,
        }
    }

    /// The clocks of a site.
    pub fn environment(&self, site: SiteId) -> Arc<dyn Environment> {
        self.places[&site].environment.clone()
    }

    /// A site's end of its link to another site.
    pub fn end_of_link(&self, from: SiteId, to: SiteId) -> Arc<Port> {
        self.ports[&(from, to)].clone()
    }

    /// The deployment's root key.
    pub fn key(&self) -> &RootKey {
        &self.key
    }

    /// The site of a Region that is up.
    pub fn site_of(&self, region: &Region<SlowEngine>) -> SiteId {
        self.deployment
            .id_of(region.name())
            .expect("the Region is of this deployment")
    }

    /// The time.
    pub fn now(&self) -> Monotonic {
        self.time.now()
    }

    /// Everything that happened, condensed.
    pub fn trace(&self) -> u64 {
        self.trace.digest()
    }

    /// Runs a task that belongs to a site and dies with it.
    pub fn spawn(&mut self, site: SiteId, task: impl Future<Output = ()> + Send + 'static) {
        self.executor.spawn(site, task);
    }

    /// Lets time pass until `end`.
    pub fn run(&mut self, end: Monotonic) {
        loop {
            self.settle();
            if self.now() >= end {
                return;
            }
            let next = self.next_event().unwrap_or(end).min(end);
            self.time.advance(next);
            self.sync_disks();
        }
    }

    /// Runs tasks and wires until nothing more happens at this moment.
    fn settle(&mut self) {
        loop {
            self.slow.store(true, Ordering::Relaxed);
            self.executor.run_until_stalled();
            self.slow.store(false, Ordering::Relaxed);
            let now = self.now();
            let mut moved = false;
            for wire in self.wires.values_mut() {
                moved |= wire.step(now);
            }
            self.plan_syncs();
            if !moved && !self.executor.has_woken() {
                return;
            }
        }
    }

    fn next_event(&self) -> Option<Monotonic> {
        let wires = self.wires.values().filter_map(Wire::next_wake);
        let syncs = self.syncs.values().copied();
        let next = wires.chain(syncs).chain(self.time.next_wait()).min()?;
        // Whatever asks for the past asks for the next moment: time never stands still.
        Some(next.max(self.now() + Span(1)))
    }

    /// A disk takes a while: commits that wait are synced together, a little later.
    fn plan_syncs(&mut self) {
        let now = self.now();
        for (site, place) in &self.places {
            let State::Up { engine, .. } = &place.state else {
                continue;
            };
            if engine.unsynced() > 0 && !self.syncs.contains_key(site) {
                let span = Span(self.random.between(200, 6_000));
                self.syncs.insert(*site, now + span);
            }
        }
    }

    fn sync_disks(&mut self) {
        let now = self.now();
        let due: Vec<SiteId> = self
            .syncs
            .iter()
            .filter(|(_, at)| **at <= now)
            .map(|(site, _)| *site)
            .collect();
        for site in due {
            self.syncs.remove(&site);
            if let Some(engine) = self.engine(site) {
                let synced = engine.sync();
                let head = engine.log_head().0;
                self.trace.note(now, site, "sync", &[synced as u64, head]);
            }
        }
    }

    /// Injects a fault now.
    pub fn inject(&mut self, fault: Fault) {
        let now = self.now();
        self.trace.note(now, SiteId(0), &format!("{fault:?}"), &[]);
        match fault {
            Fault::Cut(from, to, cut) => {
                self.cuts.insert((from, to));
                self.shape(from, to, |shape| shape.cut = Some(cut));
            }
            Fault::Heal(from, to) => {
                self.cuts.remove(&(from, to));
                self.shape(from, to, |shape| shape.cut = None);
            }
            Fault::Delay(from, to, delay) => self.shape(from, to, |shape| shape.delay = delay),
            Fault::Break(one, other) => {
                let pair = (one.min(other), one.max(other));
                if let Some(wire) = self.wires.get_mut(&pair) {
                    wire.break_one(now);
                }
            }
            Fault::Crash(site) => self.crash(site),
            Fault::Restart(site) => self.start(site),
            Fault::Skew(site, milliseconds) => {
                *self.places[&site]
                    .skew
                    .lock()
                    .expect("nothing panics inside") = milliseconds;
            }
            Fault::DiskFull(site) => self.fill_disk(site, true),
            Fault::DiskFree(site) => self.fill_disk(site, false),
        }
    }

    /// Ends every fault: links as their geography has them, all sites up, clocks right.
    pub fn heal(&mut self) {
        for site in self.sites() {
            self.inject(Fault::Skew(site, 0));
            self.inject(Fault::DiskFree(site));
            self.start(site);
        }
        for (from, to) in self.ports.keys().copied().collect::<Vec<_>>() {
            self.inject(Fault::Heal(from, to));
            let delay = self.geographic(from, to);
            self.inject(Fault::Delay(from, to, delay));
        }
    }

    fn fill_disk(&self, site: SiteId, full: bool) {
        if let Some(engine) = self.engine(site) {
            engine.fail_with_full_disk(full);
        }
    }

    fn geographic(&self, from: SiteId, to: SiteId) -> Span {
        let place = |site| {
            self.deployment
                .site(site)
                .expect("a site of this deployment")
                .place
        };
        Geography { scale: 1.0 }.one_way_delay(place(from), place(to))
    }

    fn shape(&mut self, from: SiteId, to: SiteId, change: impl Fn(&mut Shape)) {
        let now = self.now();
        if let Some(port) = self.ports.get(&(from, to)) {
            let mut shape = port.shape();
            change(&mut shape);
            port.set_shape(now, shape);
        }
    }

    fn crash(&mut self, site: SiteId) {
        let seed = self.random.bits();
        let place = self.places.get_mut(&site).expect("a site of this world");
        let State::Up { engine, .. } = &place.state else {
            return;
        };
        let disk = engine.crash(seed);
        place.blobs.crash();
        place.state = State::Down { disk };
        self.executor.kill(site);
        self.syncs.remove(&site);
        self.unplug(site);
    }

    /// Gives a site that is down an empty disk: whatever it held is lost.
    ///
    /// # Panics
    /// If the site is up.
    pub fn lose_disk(&mut self, site: SiteId) {
        self.put_back(site, SimulatedDisk::new());
        let place = self.places.get_mut(&site).expect("a site of this world");
        place.blobs = MemoryBlobs::new();
    }

    /// What the disk of a site holds that is down.
    ///
    /// # Panics
    /// If the site is up.
    pub fn backup(&self, site: SiteId) -> SimulatedDisk {
        match &self.places[&site].state {
            State::Down { disk } => disk.clone(),
            State::Up { .. } => panic!("a running site holds its disk"),
        }
    }

    /// Gives a site that is down another disk, as it was at another time.
    ///
    /// # Panics
    /// If the site is up.
    pub fn put_back(&mut self, site: SiteId, disk: SimulatedDisk) {
        let place = self.places.get_mut(&site).expect("a site of this world");
        assert!(
            matches!(place.state, State::Down { .. }),
            "a running site holds its disk"
        );
        place.state = State::Down { disk };
    }

    /// Starts a site that is down on what its disk holds.
    fn start(&mut self, site: SiteId) {
        let State::Down { disk } = &self.places[&site].state else {
            return;
        };
        let disk = disk.clone();
        let engine = match self.planted {
            Some(PlantedBug::SyncSkipped) => {
                MemoryEngine::with_planted_bug(disk, store::PlantedBug::SyncSkipped)
            }
            _ => MemoryEngine::simulated(disk),
        };
        let engine = engine.expect("a power cut damages nothing that was synced");
        self.plug(site);
        let ports = self.ports_of(site);
        let environment = self.environment(site);
        let mut opening = Opening {
            engine: engine.clone(),
            blobs: self.places[&site].blobs.clone(),
            slow: self.slow.clone(),
            environment,
            ports,
            deployment: self.deployment.clone(),
            site,
            secrets: RegionSecrets {
                root_keys: RootKeys::new(self.key.clone()),
                sealer: self.sealer.clone(),
            },
            planted: self.planted,
            endpoints: self.endpoints.clone(),
            probes: self.probes,
        };
        let is_region = self.places[&site].site.name.region().is_some();
        let (tasks, region, steering) = if is_region {
            opening.region()
        } else {
            opening.edge()
        };
        for task in tasks {
            self.executor.spawn(site, task);
        }
        let place = self.places.get_mut(&site).expect("a site of this world");
        place.state = State::Up {
            engine,
            region,
            steering,
        };
    }
}
