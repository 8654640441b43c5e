//! A council of several sites in one thread: seeded delays, losses, repeats, cuts and crashes
//! that lose what was not persisted. It checks, at every applied entry, that all sites agree.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::hash::{DefaultHasher, Hash};
use std::ops::Bound;

use bytes::Bytes;
use council::{
    Applied, Change, Council, CouncilConfig, CouncilError, Expected, Outcome, ProposalId, Ready,
    Saved, Timing, load,
};
use futures_util::FutureExt;
use store::{Batch, Direction, Entry, KeyRange, Page, ReadError, Snapshot, Space, Write};
use types::{Deployment, Region, Site, SiteId, SiteName, Span};

/// Milliseconds.
pub type Time = u64;

/// What is on a site's disk.
#[derive(Clone, Default)]
pub struct Disk(pub BTreeMap<Bytes, Bytes>);

impl Disk {
    pub fn write(&mut self, batch: Batch) {
        for write in batch.writes {
            match write {
                Write::Put { space, key, value } => {
                    assert_eq!(space, Space::Council);
                    self.0.insert(key, value);
                }
                Write::Delete { space, key } => {
                    assert_eq!(space, Space::Council);
                    self.0.remove(&key);
                }
            }
        }
    }

    /// How many records of a kind there are.
    pub fn count(&self, kind: u8) -> usize {
        let keys = self.0.keys();
        keys.filter(|key| key.first() == Some(&kind)).count()
    }

    pub fn load(&self) -> Result<Saved, ReadError> {
        load(self).now_or_never().expect("a map answers at once")
    }
}

impl Snapshot for Disk {
    async fn get(&self, _: Space, key: &[u8]) -> Result<Option<Bytes>, ReadError> {
        Ok(self.0.get(key).cloned())
    }

    async fn scan(
        &self,
        _: Space,
        range: KeyRange,
        _: Direction,
        limit: usize,
    ) -> Result<Page, ReadError> {
        let bounds: (Bound<Bytes>, Bound<Bytes>) = (range.start, range.end);
        let mut found = self.0.range(bounds).map(|(key, value)| Entry {
            key: key.clone(),
            value: value.clone(),
        });
        let entries = found.by_ref().take(limit).collect();
        let more = found.next().is_some();
        Ok(Page { entries, more })
    }
}

/// splitmix64 (Steele, Lea, Flood 2014).
pub struct Random(pub u64);

impl Random {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    pub fn chance(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }
}

pub fn deployment(regions: usize, edges: u16) -> Deployment {
    let mut sites: Vec<Site> = Region::all()
        .take(regions)
        .zip(0..)
        .map(|(place, id)| Site {
            id: SiteId(id),
            name: SiteName::Region(place),
            place,
        })
        .collect();
    for number in 1..=edges {
        sites.push(Site {
            id: SiteId(sites.len() as u16),
            name: SiteName::Edge(number),
            place: sites[0].place,
        });
    }
    Deployment { sites }
}

pub fn config(deployment: &Deployment, site: SiteId) -> CouncilConfig {
    CouncilConfig {
        site,
        deployment: deployment.clone(),
        timing: Timing::for_round_trip(Span::ZERO),
    }
}

enum Event {
    Tick(usize),
    Deliver(usize, usize, Bytes),
    Persist(usize, u64),
}

pub struct Node {
    pub disk: Disk,
    pub council: Option<Council>,
    writing: Option<Ready>,
    inbox: VecDeque<(usize, Bytes)>,
    life: u64,
}

pub struct Sim {
    pub deployment: Deployment,
    pub now: Time,
    pub random: Random,
    pub nodes: Vec<Node>,
    pub cuts: BTreeSet<(usize, usize)>,
    /// Percent of messages lost, and repeated.
    pub loss: u64,
    pub repeats: u64,
    pub slowest: Time,
    pub refused: u64,
    queue: BTreeMap<(Time, u64), Event>,
    sequence: u64,
    /// What every site must agree on.
    pub decided: BTreeMap<u64, Applied>,
    pub outcomes: BTreeMap<ProposalId, Result<Outcome, CouncilError>>,
    pub trace: DefaultHasher,
    /// Alters messages: what sites then believe is no longer checked, only that they live.
    pub hostile: Option<fn(&[u8], &mut Random) -> Bytes>,
    next_key: u64,
    pub keys: BTreeMap<ProposalId, String>,
    /// How often each site's state was replaced by a leader's.
    pub restored: Vec<u64>,
    /// The largest message sent.
    pub largest: usize,
    /// Bytes of a value that `propose` proposes.
    pub value: usize,
}

impl Sim {
    pub fn new(seed: u64, regions: usize, edges: u16) -> Sim {
        let deployment = deployment(regions, edges);
        let mut sim = Sim {
            now: 0,
            random: Random(seed),
            nodes: Vec::new(),
            cuts: BTreeSet::new(),
            loss: 0,
            repeats: 0,
            slowest: 100,
            queue: BTreeMap::new(),
            sequence: 0,
            decided: BTreeMap::new(),
            outcomes: BTreeMap::new(),
            trace: DefaultHasher::new(),
            hostile: None,
            refused: 0,
            next_key: 0,
            keys: BTreeMap::new(),
            restored: vec![0; deployment.sites.len()],
            largest: 0,
            value: 0,
            deployment,
        };
        for node in 0..sim.deployment.sites.len() {
            sim.nodes.push(Node {
                disk: Disk::default(),
                council: None,
                writing: None,
                inbox: VecDeque::new(),
                life: 0,
            });
            sim.start(node);
            let first = sim.random.below(100);
            sim.schedule(first, Event::Tick(node));
        }
        sim
    }

    fn schedule(&mut self, after: Time, event: Event) {
        self.sequence += 1;
        self.queue.insert((self.now + after, self.sequence), event);
    }

    pub fn start(&mut self, node: usize) {
        let saved = self.nodes[node].disk.load().expect("readable records");
        let config = config(&self.deployment, SiteId(node as u16));
        let nonce = self.random.next();
        match Council::open(config, saved, nonce) {
            Ok(council) => self.nodes[node].council = Some(council),
            // An altered message may have altered what the sites agreed the sites are.
            Err(CouncilError::SitesChanged) if self.hostile.is_some() => return,
            Err(error) => panic!("unusable records: {error}"),
        }
        self.work(node);
    }

    /// Kills a site: what was not persisted is gone.
    pub fn crash(&mut self, node: usize) {
        let node = &mut self.nodes[node];
        node.council = None;
        node.writing = None;
        node.inbox.clear();
        node.life += 1;
    }

    /// Kills a site and takes its disk; it comes back with an empty one.
    pub fn lose_disk(&mut self, node: usize) {
        self.crash(node);
        self.nodes[node].disk = Disk::default();
        self.start(node);
    }

    /// Has every site its seat?
    pub fn all_seated(&self) -> bool {
        let seated = |node: &Node| {
            let saved = node.disk.load().expect("readable records");
            saved.members().is_some()
        };
        self.nodes.iter().all(seated)
    }

    pub fn cut_off(&mut self, node: usize) {
        for other in 0..self.nodes.len() {
            self.cuts.insert((node, other));
            self.cuts.insert((other, node));
        }
    }

    pub fn run(&mut self, span: Time) {
        let end = self.now + span;
        while let Some(entry) = self.queue.first_entry() {
            if entry.key().0 > end {
                break;
            }
            let ((at, _), event) = entry.remove_entry();
            self.now = at;
            self.handle(event);
        }
        self.now = end;
    }

    fn handle(&mut self, event: Event) {
        match event {
            Event::Tick(node) => {
                self.schedule(100, Event::Tick(node));
                if let Some(council) = &mut self.nodes[node].council {
                    council.tick();
                    self.work(node);
                }
            }
            Event::Deliver(from, to, bytes) => {
                if self.nodes[to].council.is_some() {
                    self.nodes[to].inbox.push_back((from, bytes));
                    self.work(to);
                }
            }
            Event::Persist(node, life) if self.nodes[node].life == life => {
                let ready = self.nodes[node].writing.take().expect("it was writing");
                self.persisted(node, ready);
                self.work(node);
            }
            Event::Persist(..) => {}
        }
    }

    /// Takes work out and input in until the site waits for its disk or for others.
    fn work(&mut self, node: usize) {
        while self.nodes[node].writing.is_none() {
            // Among rubbish, several inputs may come before the work they make is taken out.
            let hurried = self.hostile.is_some()
                && !self.nodes[node].inbox.is_empty()
                && self.random.chance(50);
            let Some(council) = self.nodes[node].council.as_mut() else {
                return;
            };
            let work = if hurried { None } else { council.ready() };
            if let Some(mut ready) = work {
                for (to, bytes) in std::mem::take(&mut ready.before_persist) {
                    self.send(node, to, bytes);
                }
                if ready.writes.is_empty() {
                    self.persisted(node, ready);
                } else {
                    self.nodes[node].writing = Some(ready);
                    let span = 1 + self.random.below(8);
                    let life = self.nodes[node].life;
                    self.schedule(span, Event::Persist(node, life));
                }
                continue;
            }
            for (id, result) in council.take_finished() {
                self.outcomes.insert(id, result);
            }
            let Some((from, bytes)) = self.nodes[node].inbox.pop_front() else {
                return;
            };
            let council = self.nodes[node].council.as_mut().expect("it runs");
            let result = council.receive(SiteId(from as u16), &bytes);
            if self.hostile.is_none() {
                assert_eq!(result, Ok(()), "a real message was refused");
            }
            self.refused += u64::from(result.is_err());
        }
    }

    fn persisted(&mut self, node: usize, ready: Ready) {
        self.nodes[node].disk.write(ready.writes);
        let council = self.nodes[node].council.as_mut().expect("it runs");
        council.persisted(ready.token);
        self.restored[node] += u64::from(ready.restored);
        for applied in ready.applied {
            (self.now, node, applied.index, applied.proposal).hash(&mut self.trace);
            let agreed = self.decided.entry(applied.index).or_insert(applied.clone());
            if self.hostile.is_none() {
                assert_eq!(*agreed, applied, "two sites disagree");
            }
        }
        for (to, bytes) in ready.after_persist {
            self.send(node, to, bytes);
        }
    }

    fn send(&mut self, from: usize, to: SiteId, bytes: Bytes) {
        let to = usize::from(to.0);
        self.largest = self.largest.max(bytes.len());
        (self.now, from, to, &bytes).hash(&mut self.trace);
        let times = 1 + u64::from(self.random.chance(self.repeats));
        for _ in 0..times {
            if self.cuts.contains(&(from, to)) || self.random.chance(self.loss) {
                continue;
            }
            let delay = 1 + self.random.below(self.slowest);
            if let Some(alter) = self.hostile.filter(|_| self.random.chance(20)) {
                let altered = alter(&bytes, &mut self.random);
                self.schedule(delay, Event::Deliver(from, to, altered));
            }
            self.schedule(delay, Event::Deliver(from, to, bytes.clone()));
        }
    }

    /// Proposes a new key at that site.
    pub fn propose(&mut self, node: usize) -> Result<ProposalId, CouncilError> {
        let key = format!("test/{}", self.next_key);
        let mut value = key.clone().into_bytes();
        value.resize(value.len().max(self.value), b'v');
        let change = Change::new().put(key.clone(), Expected::Any, value);
        let id = self.propose_change(node, &change)?;
        self.next_key += 1;
        self.keys.insert(id, key);
        Ok(id)
    }

    pub fn propose_change(
        &mut self,
        node: usize,
        change: &Change,
    ) -> Result<ProposalId, CouncilError> {
        let council = self.nodes[node]
            .council
            .as_mut()
            .ok_or(CouncilError::Stopped)?;
        let id = council.propose(change)?;
        self.work(node);
        Ok(id)
    }

    pub fn leader(&self) -> Option<usize> {
        let leads = |node: &Node| {
            node.council
                .as_ref()
                .is_some_and(|council| council.is_leader() && council.has_majority())
        };
        self.nodes.iter().position(leads)
    }

    /// Every living site has the same settings, every acknowledged change is in them as the
    /// revision it was acknowledged with, and no proposal took effect twice.
    pub fn check(&self) {
        let living = || self.nodes.iter().filter_map(|node| node.council.as_ref());
        let settings = living().next().expect("a living site").settings();
        for council in living() {
            assert_eq!(council.settings(), settings, "sites differ");
        }
        for node in self.nodes.iter().filter(|node| node.council.is_some()) {
            let saved = node.disk.load().expect("readable records");
            assert_eq!(*saved.settings(), *settings, "a disk differs");
            let kinds = [b's', b't'].map(|kind| node.disk.count(kind));
            assert!(kinds.contains(&0), "something is not swept out: {kinds:?}");
        }
        let mut made = BTreeSet::new();
        for applied in self.decided.values() {
            if let Outcome::Made { .. } = applied.outcome {
                assert!(made.insert(applied.proposal), "applied twice: {applied:?}");
            }
        }
        assert_eq!(settings.revision(), made.len() as u64);
        for (id, result) in &self.outcomes {
            if let (Ok(Outcome::Made { revision }), Some(key)) = (result, self.keys.get(id)) {
                let setting = settings.get(key).expect("an acknowledged change was lost");
                assert_eq!(setting.revision, *revision);
            }
        }
    }
}
