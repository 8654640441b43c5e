//! One Region with a cluster: what its instances' homes and servers are, and whatever goes wrong.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::atomic::Ordering;

use databases::lease::Lease;
use databases::model::{Cluster, Lsn, ResourceId};
use databases::plan::{
    Candidate, ChiefSeen, Duty, FailureKind, HeadSeen, Home as State, Life, Next, Observed,
    Removal, Role, SILENT, ServerSeen, Settings, Step, StepFailure, StepKind, Upstream, Wanted,
};
use databases::{Fence, Serving, Standing, catalogue, serving_cluster};
use types::{Environment, Monotonic, Now, Span};

use crate::home::{Entry, Home};
use crate::support::{Api, block_on};

/// Microseconds of a moment.
const TICK: u64 = 100_000;

const NAMES: [&str; 3] = ["one", "two", "three"];

/// A reader that took over may lack what its head wrote so long before its end, and no more: five
/// seconds, and what a look may be late.
const LATE: Span = Span::seconds(8);

/// A reader whose server has hung for so long takes over from nobody.
const HUNG: Span = Span::seconds(1);

/// What is wrong with whoever looks.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Flaw {
    /// Whoever starts a head's server doesn't look at the row after that was seen.
    LooksNoMore,
    /// Takes a reader that was connected when it was last seen for one that has everything.
    Connected,
    /// Takes what a server said last for what it would say.
    Stale,
}

/// A planner, the one that ships or one with a bug in it.
pub type Planner = fn(&Wanted, &Observed, Now) -> Next;

struct Server {
    generation: u64,
    settings: Settings,
    slots: BTreeSet<String>,
    answers: bool,
    /// Since when it has hung: it says nothing and does nothing, and doesn't end.
    hung: Option<Monotonic>,
    receives: bool,
    replayed: usize,
    /// How much of its log is on disk for sure: what it began with, and what was replayed since.
    synced: usize,
}

struct Node {
    id: ResourceId,
    home: Home,
    server: Option<Server>,
    failures: BTreeMap<StepKind, StepFailure>,
    seen: Option<Observed>,
    doing: Option<(Step, u64)>,
    look_at: u64,
    /// Is its zone there?
    lives: bool,
    /// When that is there again by itself; 0: it isn't to be.
    back_at: u64,
    /// What was wanted of it in the last moments, the oldest first.
    wanted_before: VecDeque<Wanted>,
    /// What its server, as a primary, wrote lately.
    life: Life,
    /// From whom it was last seen to receive.
    followed: Option<ResourceId>,
    /// When its server last answered, and what.
    said: Option<(Monotonic, ServerSeen)>,
    /// Is its stream held up until then? It is connected, and nothing comes.
    stalls_until: u64,
    /// What is kept of what it alone held, by epochs: from where on, and the transactions.
    tails: BTreeMap<u64, (Lsn, BTreeSet<u64>)>,
}

pub struct World {
    api: Api,
    nodes: Vec<Node>,
    now: u64,
    numbers: u64,
    state: u64,
    planner: Planner,
    /// Does anything go wrong?
    pub is_wild: bool,
    pub acknowledged: BTreeSet<u64>,
    /// What dead heads had acknowledged and their successors hadn't received.
    pub lost: BTreeSet<u64>,
    /// How often a reader took over unasked.
    pub claimed: usize,
    /// What is wrong with whoever looks.
    pub flaw: Option<Flaw>,
    pub steps: BTreeMap<StepKind, usize>,
    /// How often another was the head.
    pub handed: usize,
    head: Option<ResourceId>,
    /// Where the log of the one that is the head now ended, at each moment that it served.
    written: Vec<(Monotonic, Lsn)>,
}

impl World {
    pub fn new(seed: u64, planner: Planner) -> World {
        let api = Api::new();
        let cluster = [
            ("DBClusterIdentifier", "shop"),
            ("Engine", "aurora-postgresql"),
            ("MasterUsername", "clerk"),
            ("MasterUserPassword", "correct-horse"),
        ];
        api.ok("CreateDBCluster", &cluster);
        let nodes = NAMES.map(|name| {
            let instance = [
                ("DBInstanceIdentifier", name),
                ("DBClusterIdentifier", "shop"),
                ("DBInstanceClass", "db.t3.micro"),
                ("Engine", "aurora-postgresql"),
            ];
            api.ok("CreateDBInstance", &instance);
            Node {
                id: api.id(name),
                home: Home::absent(),
                server: None,
                failures: BTreeMap::new(),
                seen: None,
                doing: None,
                look_at: 0,
                lives: true,
                back_at: 0,
                wanted_before: VecDeque::new(),
                life: Life::default(),
                followed: None,
                said: None,
                stalls_until: 0,
                tails: BTreeMap::new(),
            }
        });
        World {
            api,
            nodes: nodes.into(),
            now: 10_000_000,
            numbers: 0,
            state: seed,
            planner,
            is_wild: false,
            acknowledged: BTreeSet::new(),
            lost: BTreeSet::new(),
            claimed: 0,
            flaw: None,
            steps: BTreeMap::new(),
            handed: 0,
            head: None,
            written: Vec::new(),
        }
    }

    /// Numbers that follow from the seed (SplitMix64).
    fn below(&mut self, end: u64) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.state ^ (self.state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % end
    }

    fn noise(&mut self) -> Entry {
        self.numbers += 1;
        Entry {
            number: self.numbers,
            commit: false,
        }
    }

    fn cluster(&self) -> Cluster {
        let view = self.api.memory_view();
        catalogue::clusters(&*view).unwrap().remove(0).1
    }

    fn head(&self) -> usize {
        let head = self.cluster().head.unwrap();
        self.nodes.iter().position(|node| node.id == head).unwrap()
    }

    /// A moment: everything that may happen does.
    pub fn tick(&mut self) -> Result<(), String> {
        self.now += TICK;
        let now = &self.api.environment.now;
        now.store(self.now / 1000, Ordering::Relaxed);
        for at in 0..self.nodes.len() {
            let node = &mut self.nodes[at];
            node.lives |= node.back_at != 0 && self.now >= node.back_at;
            if node.lives {
                node.back_at = 0;
                self.keep(at);
            }
        }
        self.stream();
        self.write();
        self.look()
    }

    fn keep(&mut self, at: usize) {
        let global = self.api.global.view();
        let view = self.api.memory_view();
        let wanted = catalogue::wanted(&*view, &*global, &self.nodes[at].id);
        let wanted = wanted.unwrap().unwrap();
        // To look at servers takes a while after the rows were read.
        if self.is_wild && self.nodes[at].wanted_before.is_empty() {
            self.nodes[at].look_at = self.now + self.below(4) * TICK;
        }
        let before = &mut self.nodes[at].wanted_before;
        before.push_back(wanted);
        if before.len() > 4 {
            before.pop_front();
        }
        if let Some((step, due)) = self.nodes[at].doing.clone() {
            if self.now >= due {
                self.nodes[at].doing = None;
                self.carry_out(at, step);
                self.nodes[at].look_at = self.now;
                // The next look begins with the rows as they are by then.
                self.nodes[at].wanted_before.clear();
            }
            return;
        }
        if self.now < self.nodes[at].look_at {
            return;
        }
        self.nodes[at].look_at = self.now + 200_000;
        let before = self.nodes[at].wanted_before.clone();
        let count = before.len() as u64;
        let taken = match self.is_wild {
            true => self.below(count),
            false => count - 1,
        };
        let wanted = before[usize::try_from(taken).unwrap()].clone();
        let now = self.api.environment.now();
        let mut observed = observe(&self.nodes[at]);
        self.nodes[at].answered(&observed, now.monotonic);
        if let Duty::Read(_) = wanted.duty {
            observed.head.chief = self.chief(at);
        }
        let node = &mut self.nodes[at];
        node.seen = Some(observed.clone());
        if let Next::Step(step) = (self.planner)(&wanted, &observed, now) {
            if let Step::Start { settings, .. } = &step
                && settings.upstream.is_none()
                && self.flaw != Some(Flaw::LooksNoMore)
                && self.is_succeeded(at)
            {
                return;
            }
            *self.steps.entry(step.kind()).or_default() += 1;
            let span = match (&step, self.is_wild) {
                (Step::Record(_), _) => 1,
                (_, true) => self.below(900_000),
                (_, false) => 100_000,
            };
            self.nodes[at].doing = Some((step, self.now + span));
        }
    }

    fn carry_out(&mut self, at: usize, step: Step) {
        let is_wild = self.is_wild && !matches!(step, Step::Record(_));
        let outcome = match is_wild && self.below(12) == 0 {
            true => {
                if matches!(step, Step::Copy(_)) {
                    self.nodes[at].home.state = State::Unfinished;
                }
                Err(FailureKind::Other)
            }
            false => self.act(at, &step),
        };
        let now = self.api.environment.now().monotonic;
        let failures = &mut self.nodes[at].failures;
        let before = failures.remove(&step.kind()).filter(|it| it.step == step);
        if let Err(kind) = outcome {
            let failure = StepFailure {
                attempts: before.map_or(0, |it| it.attempts) + 1,
                at: now,
                kind,
                reason: "why".to_owned(),
                step,
            };
            failures.insert(failure.step.kind(), failure);
        }
    }

    /// Can a server be counted on, by when it last answered?
    fn is_heard(&self, node: &Node) -> bool {
        let now = self.api.environment.now().monotonic;
        let is_late = |(at, _): &(Monotonic, ServerSeen)| now >= *at + SILENT;
        self.flaw == Some(Flaw::Stale) || !node.said.as_ref().is_none_or(is_late)
    }

    /// The head as a reader sees it that runs, if that can be counted on.
    fn chief(&self, reader: usize) -> Option<ChiefSeen> {
        let own = &self.nodes[reader];
        if own.server.is_some() && !self.is_heard(own) {
            return None;
        }
        let head = &self.nodes[self.head()];
        let failed = head.failures.get(&StepKind::Start);
        let candidates = (0..self.nodes.len()).filter_map(|at| self.candidate(at, head));
        let starts = matches!(&head.doing, Some((Step::Start { .. }, _)));
        Some(ChiefSeen {
            id: head.id.clone(),
            is_zone_up: head.lives,
            home: head.home.state,
            runs: head.server.is_some() || starts,
            failed_starts: failed.map_or(0, |failure| failure.attempts),
            is_primary_data: head.home.is_primary,
            first: Candidate::first(candidates.collect(), head.home.state, &head.life),
        })
    }

    fn candidate(&self, at: usize, head: &Node) -> Option<Candidate> {
        let node = &self.nodes[at];
        let row = self.api.row(NAMES[at]);
        let headship = row.headship.filter(|it| it.leads.is_none())?;
        let is_there = node.lives && node.id != head.id && self.is_heard(node);
        let (_, said) = node.said.as_ref().filter(|_| is_there)?;
        let can = said.role == Some(Role::Standby) && node.followed.as_ref() == Some(&head.id);
        can.then(|| Candidate {
            id: node.id.clone(),
            identifier: row.arn.identifier.clone(),
            tier: headship.promotion_tier,
            received: match self.flaw {
                Some(Flaw::Connected) => Lsn(u64::MAX),
                _ => node.home.end(),
            },
        })
    }

    /// Does a reader claim the role of an instance that would write, or have it?
    fn is_succeeded(&self, at: usize) -> bool {
        let cluster = self.cluster();
        let is_claimed = cluster.handover.is_some_and(|handover| handover.is_claimed);
        is_claimed || cluster.head.as_ref() != Some(&self.nodes[at].id)
    }

    /// The home of an upstream that runs and keeps that slot.
    fn source(&self, upstream: &Upstream) -> Result<Home, FailureKind> {
        let found = self.nodes.iter().find(|node| node.id == upstream.source_id);
        let found = found.filter(|node| node.lives).ok_or(FailureKind::Source)?;
        let server = found.server.as_ref().filter(|server| server.is_well());
        let keeps = server.is_some_and(|server| server.slots.contains(&upstream.slot));
        match keeps {
            true => Ok(found.home.clone()),
            false => Err(FailureKind::Source),
        }
    }

    fn act(&mut self, at: usize, step: &Step) -> Result<(), FailureKind> {
        let noise = self.noise();
        let is_asked = matches!(step, Step::Promote | Step::KeepSlots(_));
        let server = self.nodes[at].server.as_ref();
        if is_asked && !server.is_some_and(Server::is_well) {
            return Err(FailureKind::Other);
        }
        match step {
            Step::Record(record) => {
                let id = self.nodes[at].id.clone();
                // What isn't written down is to be told again.
                let _again = block_on(self.api.service.record(&id, record));
            }
            Step::Make { .. } => {
                let home = &mut self.nodes[at].home;
                *home = Home::absent();
                (home.state, home.is_primary) = (State::Whole, true);
                home.log.push(noise);
            }
            Step::Copy(upstream) => {
                let mut home = self.source(upstream)?;
                home.is_primary = false;
                self.nodes[at].home = home;
            }
            Step::RemoveHome(removal) => {
                if let Removal::Diverged(upstream) = removal {
                    self.source(upstream)?;
                }
                self.nodes[at].home = Home::absent();
            }
            Step::Start {
                generation,
                settings,
            } => {
                let behind = usize::try_from(self.below(4)).unwrap();
                let node = &mut self.nodes[at];
                node.home.is_clean = false;
                if node.home.is_primary {
                    node.home.log.push(noise);
                }
                node.server = Some(Server {
                    generation: *generation,
                    settings: settings.clone(),
                    slots: BTreeSet::new(),
                    answers: false,
                    hung: None,
                    receives: false,
                    replayed: node.home.log.len().saturating_sub(behind),
                    synced: node.home.log.len(),
                });
            }
            Step::Reseed(upstream) => {
                self.source(upstream)?;
                (self.nodes[at].server, self.nodes[at].home) = (None, Home::absent());
            }
            Step::Stop => self.stop(at, noise),
            // One that hung since may be asked once more.
            Step::Promote if self.nodes[at].home.is_primary => {}
            Step::Promote => self.nodes[at].home.promote(noise.number),
            Step::Follow { epoch } => {
                self.nodes[at].home.is_primary = false;
                let record = databases::plan::Record::Aligned { epoch: *epoch };
                let id = self.nodes[at].id.clone();
                block_on(self.api.service.record(&id, &record)).unwrap();
            }
            Step::KeepTail { base, from } => {
                let home = &mut self.nodes[at].home;
                let beyond = home.log.iter().skip(from.0 as usize);
                let beyond = beyond.filter(|entry| entry.commit);
                let numbers = beyond.map(|entry| entry.number).collect();
                // Its rows are read by a server that is a primary.
                home.is_primary = true;
                self.nodes[at].tails.insert(*base, (*from, numbers));
            }
            Step::KeepSlots(slots) => {
                let server = self.nodes[at].server.as_mut();
                server.ok_or(FailureKind::Other)?.slots = slots.clone();
            }
            _ => {}
        }
        Ok(())
    }

    /// In order: standbys that are connected get all there is.
    fn stop(&mut self, at: usize, noise: Entry) {
        let node = &mut self.nodes[at];
        let Some(server) = node.server.take() else {
            return;
        };
        node.home.is_clean = server.is_well();
        if !node.home.is_primary || !server.is_well() {
            return;
        }
        node.home.log.push(noise);
        let home = node.home.clone();
        for other in 0..self.nodes.len() {
            if self.follows(other, at) {
                self.nodes[other].home.receive(&home, usize::MAX >> 1);
            }
        }
    }

    /// Is that standby connected to that instance, and let by PostgreSQL?
    fn follows(&self, other: usize, at: usize) -> bool {
        let node = &self.nodes[other];
        let Some(server) = node.server.as_ref().filter(|_| other != at) else {
            return false;
        };
        let upstream = server.settings.upstream.as_ref();
        let is_its = upstream.is_some_and(|it| it.source_id == self.nodes[at].id);
        is_its
            && server.is_well()
            && !node.home.is_primary
            && server.replayed == node.home.log.len()
            && self.nodes[at].home.is_followed_by(&node.home)
    }

    fn stream(&mut self) {
        for node in &mut self.nodes {
            if let Some(server) = node.server.as_mut().filter(|it| it.hung.is_none()) {
                server.receives = false;
            }
        }
        for at in 0..self.nodes.len() {
            let replays = usize::try_from(self.below(3)).unwrap();
            let node = &mut self.nodes[at];
            let end = node.home.log.len();
            let Some(server) = node.server.as_mut().filter(|server| server.is_well()) else {
                continue;
            };
            if !node.home.is_primary {
                server.replayed = end.min(server.replayed + replays);
            }
            let (slots, home) = (server.slots.clone(), node.home.clone());
            for other in 0..self.nodes.len() {
                let settings = self.nodes[other].server.as_ref().map(|it| &it.settings);
                let upstream = settings.and_then(|settings| settings.upstream.as_ref());
                let has_slot = upstream.is_some_and(|it| slots.contains(&it.slot));
                if !has_slot || !self.follows(other, at) {
                    continue;
                }
                let count = match self.now < self.nodes[other].stalls_until {
                    true => 0,
                    false => usize::try_from(self.below(4)).unwrap(),
                };
                let node = &mut self.nodes[other];
                node.home.receive(&home, count);
                let end = node.home.log.len();
                let server = node.server.as_mut().unwrap();
                (server.receives, server.replayed) = (true, end);
            }
        }
        for node in &mut self.nodes {
            if let Some(server) = &mut node.server {
                server.answers = true;
            }
        }
    }

    /// Clients write where the writer endpoint leads, if it does.
    fn write(&mut self) {
        let head = self.head();
        let node = &self.nodes[head];
        let runs = node.server.as_ref().is_some_and(Server::is_well);
        if runs && node.lives && node.home.is_primary && self.is_open() {
            let number = self.noise().number;
            let entry = Entry {
                number,
                commit: true,
            };
            self.nodes[head].home.log.push(entry);
            self.acknowledged.insert(number);
        }
    }

    fn standing(&self, at: usize) -> Option<Standing> {
        let observed = self.nodes[at].seen.clone()?;
        Some(Standing {
            observed,
            doing: None,
            source_gone: false,
        })
    }

    /// Does the writer endpoint lead to the head now?
    fn is_open(&self) -> bool {
        let standing = self.standing(self.head());
        let (cluster, instance) = (self.cluster(), self.api.row(NAMES[self.head()]));
        let global = self.api.global.view();
        let fence = Fence {
            view: &*global,
            lease: &Lease::default(),
            now: self.api.environment.now().monotonic,
        };
        let serving = serving_cluster(&cluster, Some((&instance, standing.as_ref())), fence);
        serving.unwrap().writer == Serving::Open
    }

    /// Did the one that takes over from a dead head follow it to the end, and does it answer?
    fn may_take_over(&self, at: usize) -> Result<(), String> {
        let (node, name) = (&self.nodes[at], NAMES[at]);
        let now = self.api.environment.now().monotonic;
        let hung = node.server.as_ref().and_then(|server| server.hung);
        if hung.is_some_and(|since| now >= since + HUNG) {
            return Err(format!("{name} hangs, and took over"));
        }
        let Some((died, _)) = self.written.last() else {
            return Ok(());
        };
        let mut before = self.written.iter().rev();
        match before.find(|(at, _)| *at + LATE <= *died) {
            Some((_, end)) if node.home.end() < *end => Err(format!(
                "{name} took over with {:?}, and its head had {end:?} long before its end",
                node.home.end()
            )),
            _ => Ok(()),
        }
    }

    /// What must hold at every moment.
    fn look(&mut self) -> Result<(), String> {
        let head = self.head();
        let log = self.nodes[head].home.log.iter();
        let has: BTreeSet<u64> = log.map(|entry| entry.number).collect();
        let missing: BTreeSet<u64> = self.acknowledged.difference(&has).copied().collect();
        let is_new = self.cluster().has_new_head();
        if self.head.as_ref() != Some(&self.nodes[head].id) {
            self.handed += usize::from(self.head.is_some());
            self.claimed += usize::from(is_new);
            if is_new {
                self.may_take_over(head)?;
            }
            self.head = Some(self.nodes[head].id.clone());
            self.written.clear();
        }
        let node = &self.nodes[head];
        if node.server.as_ref().is_some_and(Server::is_well) && node.home.is_primary {
            let now = self.api.environment.now().monotonic;
            self.written.push((now, node.home.end()));
        }
        if is_new {
            // Until it is promoted it may lose what it had received and not synced.
            self.lost.extend(&missing);
        }
        if let Some(number) = missing.difference(&self.lost).next() {
            return Err(format!("{number} was acknowledged, and the head hasn't it"));
        }
        for (at, name) in NAMES.iter().enumerate() {
            let node = &self.nodes[at];
            if at != head && node.server.is_some() && node.home.is_primary {
                return Err(format!("{name} is no head, and its server takes writes"));
            }
        }
        Ok(())
    }

    /// Something goes wrong, or is asked for.
    pub fn disturb(&mut self) {
        let at = usize::try_from(self.below(3)).unwrap();
        match self.below(13) {
            0 => self.kill(at),
            10 => self.hang(at),
            11 | 12 => self.nodes[at].stalls_until = self.now + self.below(200) * TICK,
            // The zone of the head, for sure; it may be there again soon.
            8 | 9 => {
                let (head, ticks) = (self.head(), self.below(12));
                self.kill(head);
                self.nodes[head].back_at = match ticks < 9 {
                    true => self.now + ticks / 2 * TICK,
                    false => 0,
                };
            }
            // The process.
            1 => (0..3).for_each(|at| {
                self.kill(at);
                (self.nodes[at].life, self.nodes[at].followed) = (Life::default(), None);
            }),
            2..=4 => self.revive(),
            _ => {
                let named = [("DBClusterIdentifier", "shop")];
                for at in 0..3 {
                    let id = self.nodes[at].id.clone();
                    self.api.observe(&id, observe(&self.nodes[at]));
                }
                let _refused = self.api.call("FailoverDBCluster", &named);
            }
        }
    }

    /// A server stands still, but for what it was killed for.
    fn hang(&mut self, at: usize) {
        let now = self.api.environment.now().monotonic;
        if let Some(server) = &mut self.nodes[at].server {
            server.hung.get_or_insert(now);
        }
    }

    fn kill(&mut self, at: usize) {
        let lost = usize::try_from(self.below(3)).unwrap();
        let node = &mut self.nodes[at];
        if let Some(server) = node.server.take() {
            node.home.is_clean = false;
            if !node.home.is_primary {
                // What it had received and not yet synced: what was replayed was.
                let keeps = node.home.log.len().saturating_sub(lost);
                let synced = server.synced.max(server.replayed);
                node.home.log.truncate(keeps.max(synced));
            }
        }
        (node.doing, node.seen, node.lives) = (None, None, false);
        node.said = None;
        node.back_at = 0;
        node.wanted_before.clear();
        node.failures.clear();
    }

    fn revive(&mut self) {
        for node in &mut self.nodes {
            node.lives = true;
            if let Some(server) = &mut node.server {
                server.hung = None;
            }
        }
    }

    pub fn heal(&mut self) {
        self.is_wild = false;
        self.revive();
        self.nodes.iter_mut().for_each(|node| node.stalls_until = 0);
    }

    /// Does the head serve, and do all others follow it?
    pub fn is_settled(&self) -> bool {
        let head = self.head();
        let is_there = |at: usize| {
            let node = &self.nodes[at];
            let server = node.server.as_ref();
            let runs = server.is_some_and(|it| it.answers && (it.receives || at == head));
            let headship = self.api.row(NAMES[at]).headship.unwrap();
            let is_aligned = at == head || headship.leads.is_none();
            runs && is_aligned && node.home.is_primary == (at == head)
        };
        self.cluster().handover.is_none() && (0..3).all(is_there) && self.is_open()
    }

    /// What must hold once all has settled.
    pub fn judge(&self) -> Result<(), String> {
        let home = &self.nodes[self.head()].home;
        for (at, node) in self.nodes.iter().enumerate() {
            let count = node.home.log.len().min(home.log.len());
            if node.home.log[..count] != home.log[..count] {
                return Err(format!("{} holds what its head doesn't", NAMES[at]));
            }
        }
        let tails = self.nodes.iter().flat_map(|node| node.tails.values());
        let kept: BTreeSet<u64> = tails.flat_map(|(_, numbers)| numbers).copied().collect();
        let has: BTreeSet<u64> = home.log.iter().map(|entry| entry.number).collect();
        if let Some(number) = self.lost.difference(&has).find(|it| !kept.contains(it)) {
            return Err(format!(
                "{number} was acknowledged, is lost, and in no tail"
            ));
        }
        if let Some(number) = kept.intersection(&has).next() {
            return Err(format!("{number} is in a tail, and isn't lost"));
        }
        Ok(())
    }

    /// How all stands, for who reads why a seed failed.
    pub fn told(&self) -> String {
        let mut told = format!("{:?}\n", self.cluster());
        for (at, node) in self.nodes.iter().enumerate() {
            let row = self.api.row(NAMES[at]);
            told.push_str(&format!(
                "{:?} {:?} end {:?} tl {} primary {} server {} doing {:?} {:?}\n",
                row.headship,
                node.home.state,
                node.home.end(),
                node.home.timeline,
                node.home.is_primary,
                node.server.is_some(),
                node.doing,
                row.failure,
            ));
        }
        told
    }
}

impl Server {
    /// Does it answer, and do what it is to?
    fn is_well(&self) -> bool {
        self.answers && self.hung.is_none()
    }
}

impl Node {
    /// Remembers what its server has answered, if it has.
    fn answered(&mut self, observed: &Observed, now: Monotonic) {
        let Some(seen) = &observed.server else {
            self.said = None;
            return;
        };
        let is_well = self.server.as_ref().is_some_and(Server::is_well);
        let Some(role) = seen.role.filter(|_| is_well) else {
            return;
        };
        let written = (role == Role::Primary).then(|| self.home.end());
        self.life.answered(now, written);
        let upstream = seen.settings.upstream.as_ref();
        if let Some(upstream) = upstream.filter(|_| seen.receives) {
            self.followed = Some(upstream.source_id.clone());
        }
        self.said = Some((now, seen.clone()));
    }
}

/// All there is to see of an instance. A server that hangs is as it was.
fn observe(node: &Node) -> Observed {
    let home = &node.home;
    let server = node.server.as_ref().map(|server| ServerSeen {
        generation: server.generation,
        role: server.answers.then_some(home.role()),
        settings: server.settings.clone(),
        awaits_restart: BTreeSet::new(),
        slots: server.slots.clone(),
        receives: server.receives,
        is_paused: false,
        master_set: None,
        log: home.log_seen(server.receives, server.replayed),
    });
    let hangs = node.server.as_ref().is_some_and(|it| it.hung.is_some());
    let server = match &node.said {
        Some((_, said)) if hangs => Some(said.clone()),
        _ => server,
    };
    let stopped = home.stopped().filter(|_| server.is_none());
    Observed {
        home: home.state,
        server,
        snapshots: BTreeMap::new(),
        failures: node.failures.clone(),
        behind: None,
        is_full: false,
        head: HeadSeen {
            stopped,
            tails: node
                .tails
                .iter()
                .map(|(base, tail)| (*base, tail.0))
                .collect(),
            ..HeadSeen::default()
        },
        pair: Default::default(),
    }
}
