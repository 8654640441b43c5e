//! Three Regions with a member each: the service and the plan that ship, a model of PostgreSQL, a
//! council that is heard late, leases by clocks of different rates, and whatever goes wrong. What
//! must always hold is looked for at every moment.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use databases::lease::{self, Lease, MoveSeen, RENEW_EVERY, Renewal};
use databases::model::{GlobalCluster, Lsn, ResourceId};
use databases::plan::{
    FailureKind, HeadSeen, Home as State, LogSeen, Next, Observed, Removal, Role, ServerSeen,
    Settings, Step, StepFailure, StepKind, Stopped, Upstream, Wanted,
};
use databases::{Fence, Serving, Standing, catalogue, serving_cluster};
use types::{Configuration, Monotonic, Now, Timestamp};

use crate::council::{Council, Seat};
use crate::home::{Entry, Home};
use crate::support::{Api, block_on};

pub const REGIONS: [&str; 3] = ["us-east-1", "eu-west-1", "ap-southeast-2"];

/// Microseconds of a moment.
const TICK: u64 = 100_000;

/// A planner, the one that ships or one with a bug in it.
pub type Planner = fn(&Wanted, &Observed, Now) -> Next;

/// What is wrong with a world on purpose.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Flaw {
    None,
    /// Endpoints don't heed the lease.
    NoLease,
}

struct Server {
    generation: u64,
    settings: Settings,
    slots: BTreeSet<String>,
    answers: bool,
    receives: bool,
    /// Of a standby: up to where it has replayed. It receives only once that is all it has.
    replayed: usize,
}

/// A tail that is kept.
struct Tail {
    from: Lsn,
    transactions: BTreeSet<u64>,
    /// Is it of a home that only followed? It can't always tell what it followed last.
    of_follower: bool,
}

struct Place {
    api: Api,
    seat: Arc<Seat>,
    home: Home,
    server: Option<Server>,
    tails: BTreeMap<u64, Tail>,
    id: ResourceId,
    /// Is its process there?
    lives: bool,
    // What its process has in mind.
    lease: Lease,
    renewing: Option<(Renewal, u64)>,
    renewed: u64,
    confirmed: Option<u64>,
    moving: Option<MoveSeen>,
    failures: BTreeMap<StepKind, StepFailure>,
    seen: Option<Observed>,
    doing: Option<(Step, u64)>,
    look_at: u64,
    rate: u64,
}

pub struct World {
    council: Arc<Council>,
    places: Vec<Place>,
    cut: BTreeSet<(usize, usize)>,
    now: u64,
    numbers: u64,
    state: u64,
    planner: Planner,
    flaw: Flaw,
    /// Does anything go wrong?
    pub is_wild: bool,
    /// Do homes get lost with their disks?
    pub loses_disks: bool,
    pub disks: usize,
    pub acknowledged: BTreeSet<u64>,
    /// What no plan could keep: it was on a disk that is gone, or not synced, and nowhere else.
    pub destroyed: BTreeSet<u64>,
    /// What a step threw away that was nowhere else.
    thrown_away: BTreeSet<u64>,
    pub steps: BTreeMap<StepKind, usize>,
    pub moves: usize,
    /// What was done, for who reads why a seed failed.
    pub trace: Vec<String>,
}

fn cluster_arn(region: &str) -> String {
    format!("arn:aws:rds:{region}:111122223333:cluster:shop")
}

impl World {
    pub fn new(seed: u64, planner: Planner, flaw: Flaw) -> World {
        let council = Council::new();
        let mut world = World {
            council: council.clone(),
            places: Vec::new(),
            cut: BTreeSet::new(),
            now: 10_000_000,
            numbers: 0,
            state: seed,
            planner,
            flaw,
            is_wild: false,
            loses_disks: false,
            disks: 0,
            acknowledged: BTreeSet::new(),
            destroyed: BTreeSet::new(),
            thrown_away: BTreeSet::new(),
            steps: BTreeMap::new(),
            moves: 0,
            trace: Vec::new(),
        };
        for (index, region) in REGIONS.iter().enumerate() {
            let seat = Seat::new(&council);
            let api = Api::beside(region, seat.clone());
            if index == 0 {
                let global = [
                    ("GlobalClusterIdentifier", "world"),
                    ("Engine", "aurora-postgresql"),
                ];
                api.ok("CreateGlobalCluster", &global);
            }
            seat.catch_up(0);
            world.found(api, seat, index);
        }
        world
    }

    /// Makes a Region's cluster and its head.
    fn found(&mut self, api: Api, seat: Arc<Seat>, index: usize) {
        let mut cluster = vec![
            ("DBClusterIdentifier", "shop"),
            ("Engine", "aurora-postgresql"),
            ("GlobalClusterIdentifier", "world"),
        ];
        if index == 0 {
            cluster.push(("MasterUsername", "clerk"));
            cluster.push(("MasterUserPassword", "correct-horse"));
        }
        api.ok("CreateDBCluster", &cluster);
        api.ok(
            "CreateDBInstance",
            &[
                ("DBInstanceIdentifier", "head"),
                ("DBClusterIdentifier", "shop"),
                ("DBInstanceClass", "db.t3.micro"),
                ("Engine", "aurora-postgresql"),
            ],
        );
        let id = api.id("head");
        let rate = 995_000 + self.below(10_000);
        self.places.push(Place {
            api,
            seat,
            home: Home::absent(),
            server: None,
            tails: BTreeMap::new(),
            id,
            lives: true,
            lease: Lease::default(),
            renewing: None,
            renewed: 0,
            confirmed: None,
            moving: None,
            failures: BTreeMap::new(),
            seen: None,
            doing: None,
            look_at: 0,
            rate,
        });
    }

    /// Numbers that follow from the seed (SplitMix64).
    pub fn below(&mut self, end: u64) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.state ^ (self.state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % end
    }

    fn number(&mut self) -> u64 {
        self.numbers += 1;
        self.numbers
    }

    /// A Region's own clock.
    fn clock(&self, at: usize) -> Now {
        let own = u128::from(self.now) * u128::from(self.places[at].rate) / 1_000_000;
        let own = u64::try_from(own).unwrap() + 777_777 * at as u64;
        Now {
            wall: Timestamp(1_795_000_000_000 + own / 1000),
            monotonic: Monotonic(own),
        }
    }

    pub fn row(&self) -> GlobalCluster {
        let all = catalogue::global_clusters(&*self.council.latest()).unwrap();
        all[0].1.clone()
    }

    pub fn writer(&self) -> usize {
        let row = self.row();
        let region = row.writer.unwrap().region.to_string();
        REGIONS.iter().position(|one| *one == region).unwrap()
    }

    fn is_joined(&self, one: usize, other: usize) -> bool {
        !self.cut.contains(&(one.min(other), one.max(other)))
    }

    fn place_of(&self, upstream: &Upstream) -> usize {
        let mut places = self.places.iter();
        places
            .position(|place| place.id == upstream.source_id)
            .unwrap()
    }

    /// A moment: everything that may happen does.
    pub fn tick(&mut self) -> Result<(), String> {
        self.now += TICK;
        for at in 0..self.places.len() {
            let behind = if self.is_wild { self.below(3) } else { 0 };
            let place = &mut self.places[at];
            place
                .api
                .environment
                .now
                .store(self.now / 1000, Ordering::Relaxed);
            if !place.lives {
                continue;
            }
            place.seat.catch_up(behind);
            self.renew(at);
            self.keep(at);
        }
        self.stream();
        if let Some(number) = self.thrown_away.first() {
            return Err(format!("{number} was thrown away, and was nowhere else"));
        }
        self.write()
    }

    /// The acknowledged transactions that a Region has, and those of them that are nowhere else.
    fn held(&self, at: usize) -> (BTreeSet<u64>, BTreeSet<u64>) {
        let has = |place: &Place| -> BTreeSet<u64> {
            let log = place.home.log.iter().map(|it| it.number);
            let tails = place.tails.values().flat_map(|it| &it.transactions);
            log.chain(tails.copied()).collect()
        };
        let own = &has(&self.places[at]) & &self.acknowledged;
        let mut alone = own.clone();
        for (other, place) in self.places.iter().enumerate() {
            if other != at {
                alone = &alone - &has(place);
            }
        }
        (own, alone)
    }

    /// The disk with a Region's home is lost. What was kept of tails is on another.
    pub fn lose_disk(&mut self, at: usize) {
        let (_, alone) = self.held(at);
        self.kill(at);
        self.places[at].home = Home::absent();
        let (left, _) = self.held(at);
        self.destroyed.extend(&alone - &left);
        self.disks += 1;
        self.note(at, "loses its disk");
    }

    /// Whoever operates it tries again what failed, and has another write where the writer can't.
    pub fn operate(&mut self) {
        let writer = self.writer();
        let has_failed = |place: &Place| place.api.row("head").failure.is_some();
        for at in 0..self.places.len() {
            let place = &self.places[at];
            if place.lives && at != writer && has_failed(place) {
                let head = [("DBInstanceIdentifier", "head")];
                place.api.ok("StartDBInstance", &head);
            }
        }
        if has_failed(&self.places[writer]) {
            let count = self.places.len() as u64 - 1;
            let other = (writer + 1 + self.below(count) as usize) % self.places.len();
            self.ask(other, other, true);
        }
    }

    fn renew(&mut self, at: usize) {
        let now = self.clock(at).monotonic;
        let delay = if self.is_wild {
            self.below(1_500_000)
        } else {
            50_000
        };
        let this = self.now;
        let place = &mut self.places[at];
        match place.renewing {
            Some((_, due)) if this < due => {}
            Some((renewal, _)) => {
                place.renewing = None;
                place.renewed += 1;
                let edit = lease::edit(REGIONS[at].parse().unwrap(), place.renewed);
                if let Ok(revision) = block_on(place.seat.propose(vec![edit])) {
                    place.lease.committed(renewal, revision);
                    place.confirmed.get_or_insert(revision);
                }
            }
            None => {
                let until = place.lease.until();
                let is_due = until.is_none_or(|until| now + lease::LEASE >= until + RENEW_EVERY);
                if is_due
                    && catalogue::needs_lease(&*place.seat.view(), REGIONS[at].parse().unwrap())
                        .unwrap()
                {
                    place.renewing = Some((Lease::begin(now), this + delay));
                }
            }
        }
    }

    fn keep(&mut self, at: usize) {
        if let Some((step, due)) = self.places[at].doing.clone() {
            if self.now >= due {
                self.places[at].doing = None;
                self.carry_out(at, step);
                self.places[at].look_at = self.now;
            }
            return;
        }
        if self.now < self.places[at].look_at {
            return;
        }
        self.places[at].look_at = self.now + 200_000;
        let now = self.clock(at);
        let place = &mut self.places[at];
        let global = place.seat.view();
        let found = catalogue::wanted(&*place.api.memory_view(), &*global, &place.id).unwrap();
        let wanted = found.unwrap();
        let number = wanted.duty.moving().map(|moving| moving.number);
        place.moving = MoveSeen::next(place.moving, number, now.monotonic);
        let observed = observe(place);
        place.seen = Some(observed.clone());
        if let Next::Step(step) = (self.planner)(&wanted, &observed, now) {
            *self.steps.entry(step.kind()).or_default() += 1;
            let span = match (&step, self.is_wild) {
                (Step::Record(_), _) => 1,
                (_, true) => self.below(900_000),
                (_, false) => 100_000,
            };
            self.places[at].doing = Some((step, self.now + span));
        }
    }

    fn fail(&mut self, at: usize, step: Step, kind: FailureKind) {
        let now = self.clock(at).monotonic;
        let failures = &mut self.places[at].failures;
        let before = failures.remove(&step.kind()).filter(|it| it.step == step);
        let failure = StepFailure {
            attempts: before.map_or(0, |it| it.attempts) + 1,
            at: now,
            kind,
            reason: "why".to_owned(),
            step,
        };
        failures.insert(failure.step.kind(), failure);
    }

    /// The process dies, and its server with it.
    pub fn kill(&mut self, at: usize) {
        let by = self.below(3);
        let lost = usize::try_from(self.below(3)).unwrap();
        let (_, alone) = self.held(at);
        let place = &mut self.places[at];
        if let Some(_server) = place.server.take() {
            place.home.is_clean = false;
            if !place.home.is_primary {
                // What it had received and not yet synced.
                let keeps = place.home.log.len().saturating_sub(lost).max(1);
                let floor = place.home.history.last().map_or(0, |it| it.lsn.0 as usize);
                place.home.log.truncate(keeps.max(floor));
            }
        }
        place.lives = false;
        place.lease = Lease::default();
        (place.renewing, place.moving, place.doing, place.seen) = (None, None, None, None);
        place.confirmed = None;
        place.failures.clear();
        place.seat.fall_back(by);
        let (left, _) = self.held(at);
        self.destroyed.extend(&alone - &left);
        self.note(at, "dies");
    }

    pub fn revive(&mut self, at: usize) {
        self.places[at].lives = true;
    }

    fn carry_out(&mut self, at: usize, step: Step) {
        // It dies before, or fails, or is carried out and dies then.
        match self.is_wild.then(|| self.below(40)) {
            Some(0) => return self.kill(at),
            Some(1) if !matches!(step, Step::Record(_)) => {
                if matches!(step, Step::Copy(_) | Step::Rewind { .. }) {
                    self.places[at].home.state = State::Unfinished;
                }
                return self.fail(at, step, FailureKind::Other);
            }
            Some(2) => {
                // Nobody is left who could hear how it went.
                self.act(at, &step).ok();
                return self.kill(at);
            }
            _ => {}
        }
        match self.act(at, &step) {
            Ok(()) => {
                self.places[at].failures.remove(&step.kind());
            }
            Err(kind) => self.fail(at, step, kind),
        }
    }

    /// The home of a primary that is reached from there, if it is.
    fn source(&self, at: usize, upstream: &Upstream) -> Result<Home, FailureKind> {
        let from = self.place_of(upstream);
        let place = &self.places[from];
        let runs = place.server.as_ref().is_some_and(|server| server.answers);
        match place.lives && runs && place.home.is_primary && self.is_joined(at, from) {
            true => Ok(place.home.clone()),
            false => Err(FailureKind::Source),
        }
    }

    fn note(&mut self, at: usize, what: &str) {
        let (now, home) = (self.now / TICK, &self.places[at].home);
        let (end, timeline) = (home.end(), home.timeline);
        self.trace.push(format!(
            "{now} Region {at} at {end:?} of {timeline}: {what}"
        ));
    }

    fn act(&mut self, at: usize, step: &Step) -> Result<(), FailureKind> {
        self.note(at, &format!("{step:?}"));
        let (_, alone) = self.held(at);
        let acted = self.act_on(at, step);
        let (left, _) = self.held(at);
        self.thrown_away.extend(&alone - &left);
        acted
    }

    fn act_on(&mut self, at: usize, step: &Step) -> Result<(), FailureKind> {
        let number = self.number();
        let noise = Entry {
            number,
            commit: false,
        };
        match step {
            Step::Record(record) => {
                let place = &self.places[at];
                // What isn't written down is to be told again.
                let _again = block_on(place.api.service.record(&place.id, record));
            }
            Step::Make { .. } => {
                let home = &mut self.places[at].home;
                *home = Home::absent();
                (home.state, home.is_primary) = (State::Whole, true);
                home.log.push(noise);
            }
            Step::Copy(upstream) => {
                let mut home = self.source(at, upstream)?;
                let from = self.place_of(upstream);
                let slots = &self.places[from].server.as_ref().unwrap().slots;
                if !slots.contains(&upstream.slot) {
                    return Err(FailureKind::Source);
                }
                home.is_primary = false;
                self.places[at].home = home;
            }
            Step::RemoveHome(removal) => {
                if let Removal::Diverged(upstream) = removal {
                    self.source(at, upstream)?;
                }
                self.places[at].home = Home::absent();
            }
            Step::Start {
                generation,
                settings,
            } => {
                let behind = if self.is_wild {
                    self.below(6) as usize
                } else {
                    0
                };
                let place = &mut self.places[at];
                place.home.is_clean = false;
                if place.home.is_primary {
                    place.home.log.push(noise);
                }
                place.server = Some(Server {
                    generation: *generation,
                    settings: settings.clone(),
                    slots: BTreeSet::new(),
                    answers: false,
                    receives: false,
                    replayed: place.home.log.len().saturating_sub(behind),
                });
            }
            Step::Stop => self.stop(at, noise),
            Step::Promote => self.places[at].home.promote(number),
            Step::Checkpoint => {
                let home = &mut self.places[at].home;
                home.checkpoint_timeline = home.timeline;
            }
            Step::Follow { epoch } => {
                self.places[at].home.is_primary = false;
                self.aligned(at, *epoch);
            }
            Step::KeepTail { base, from } => {
                let place = &mut self.places[at];
                let leads = place.api.row("head").headship.unwrap().leads;
                let beyond = place.home.log.iter().skip(from.0 as usize);
                let beyond = beyond.filter(|it| it.commit);
                let tail = Tail {
                    from: *from,
                    transactions: beyond.map(|it| it.number).collect(),
                    of_follower: leads.is_none_or(|leads| leads.epoch != *base),
                };
                place.tails.insert(*base, tail);
                // Its rows are read by a server that is a primary.
                place.home.is_primary = true;
            }
            Step::Rewind { upstream, epoch } => {
                let to = self.source(at, upstream)?;
                self.places[at].home.rewind(&to);
                self.aligned(at, *epoch);
            }
            other => {
                let server = self.places[at].server.as_mut();
                let server = server.ok_or(FailureKind::Other)?;
                match other {
                    Step::KeepSlots(slots) => server.slots = slots.clone(),
                    Step::Reload(settings) => server.settings = settings.clone(),
                    _ => {}
                }
            }
        }
        Ok(())
    }

    fn aligned(&mut self, at: usize, epoch: u64) {
        let place = &self.places[at];
        let record = databases::plan::Record::Aligned { epoch };
        block_on(place.api.service.record(&place.id, &record)).unwrap();
    }

    /// In order: standbys that are connected get all there is.
    fn stop(&mut self, at: usize, noise: Entry) {
        let place = &mut self.places[at];
        let Some(server) = place.server.take() else {
            return;
        };
        place.home.is_clean = server.answers;
        if !place.home.is_primary || !server.answers {
            return;
        }
        place.home.log.push(noise);
        let home = place.home.clone();
        for other in 0..self.places.len() {
            if self.follows(other, at) {
                self.places[other].home.receive(&home, usize::MAX >> 1);
            }
        }
    }

    /// Is that Region's standby connected to that one's primary, and let by PostgreSQL?
    fn follows(&self, other: usize, at: usize) -> bool {
        let place = &self.places[other];
        let Some(server) = place.server.as_ref().filter(|_| other != at && place.lives) else {
            return false;
        };
        let upstream = server.settings.upstream.as_ref();
        let is_its = upstream.is_some_and(|it| self.place_of(it) == at);
        let home = &self.places[at].home;
        is_its
            && server.answers
            && !place.home.is_primary
            && server.replayed == place.home.log.len()
            && self.is_joined(other, at)
            && home.is_followed_by(&place.home)
    }

    fn stream(&mut self) {
        for at in 0..self.places.len() {
            if let Some(server) = &mut self.places[at].server {
                server.receives = false;
            }
        }
        for at in 0..self.places.len() {
            let replays = self.below(3) as usize;
            let place = &mut self.places[at];
            let end = place.home.log.len();
            let Some(server) = place.server.as_mut().filter(|server| server.answers) else {
                continue;
            };
            if !place.home.is_primary {
                server.replayed = end.min(server.replayed + replays);
                continue;
            }
            let (slots, home) = (server.slots.clone(), place.home.clone());
            for other in 0..self.places.len() {
                let slot = self.places[other]
                    .server
                    .as_ref()
                    .and_then(|server| Some(server.settings.upstream.as_ref()?.slot.clone()));
                if !self.follows(other, at) || !slot.is_some_and(|slot| slots.contains(&slot)) {
                    continue;
                }
                let count = usize::try_from(self.below(4)).unwrap();
                let place = &mut self.places[other];
                place.home.receive(&home, count);
                place.server.as_mut().unwrap().receives = true;
                place.server.as_mut().unwrap().replayed = place.home.log.len();
            }
        }
        for place in &mut self.places {
            if let Some(server) = &mut place.server {
                server.answers = true;
            }
        }
    }

    /// Clients write wherever they are let, and nobody else may be.
    fn write(&mut self) -> Result<(), String> {
        let mut reached = Vec::new();
        for at in 0..self.places.len() {
            let place = &self.places[at];
            let runs = place.server.as_ref().is_some_and(|server| server.answers);
            if !place.lives || !runs || !place.home.is_primary {
                continue;
            }
            if self.is_open(at) {
                reached.push(at);
            }
        }
        if reached.len() > 1 {
            return Err(format!(
                "two writers are reached: {reached:?} of {:?}",
                self.row()
            ));
        }
        for at in 0..self.places.len() {
            let is_open = reached.contains(&at);
            let runs = self.places[at].server.is_some() && self.places[at].lives;
            if !runs || !self.places[at].home.is_primary {
                continue;
            }
            if is_open || self.below(3) == 0 {
                let number = self.number();
                let commit = is_open;
                self.places[at].home.log.push(Entry { number, commit });
                if is_open {
                    self.acknowledged.insert(number);
                }
            }
        }
        Ok(())
    }

    /// Does one of a Region's endpoints lead to its server now?
    fn is_open(&self, at: usize) -> bool {
        let place = &self.places[at];
        let view = place.api.memory_view();
        let (_, cluster) = catalogue::clusters(&*view).unwrap().remove(0);
        let instance = place.api.row("head");
        let Some(observed) = place.seen.clone() else {
            return false;
        };
        let standing = Standing {
            observed,
            doing: None,
            source_gone: false,
        };
        let global = place.seat.view();
        let now = self.clock(at).monotonic;
        let mut held = place.lease;
        if self.flaw == Flaw::NoLease {
            held.committed(Lease::begin(now), 0);
        }
        let fence = Fence {
            view: &*global,
            lease: &held,
            now,
        };
        let serving = serving_cluster(&cluster, Some((&instance, Some(&standing))), fence);
        let serving = serving.unwrap();
        serving.writer == Serving::Open || serving.reader == Serving::Open
    }

    /// Something goes wrong, or is asked for.
    pub fn disturb(&mut self, fails_over: bool) {
        let count = self.places.len() as u64;
        let at = usize::try_from(self.below(count)).unwrap();
        let other = (at + 1) % self.places.len();
        match self.below(10) {
            0 if self.loses_disks && self.below(3) == 0 => self.lose_disk(at),
            0 if self.places[at].lives => self.kill(at),
            0..=2 => (0..self.places.len()).for_each(|at| self.revive(at)),
            3 => {
                self.cut.insert((at.min(other), at.max(other)));
            }
            4 => self.cut.clear(),
            5 => {
                self.places[at].seat.set_hears(false);
                // Whoever sees a writer cut off has another write.
                if at == self.writer() {
                    self.ask(other, other, fails_over);
                }
            }
            6 => self
                .places
                .iter()
                .for_each(|place| place.seat.set_hears(true)),
            7 => self.ask(at, other, false),
            _ => self.ask(at, other, fails_over),
        }
    }

    /// Asks a Region for a move to another.
    pub fn ask(&mut self, through: usize, to: usize, loses: bool) {
        let arn = cluster_arn(REGIONS[to]);
        let mut parameters = vec![
            ("GlobalClusterIdentifier", "world"),
            ("TargetDbClusterIdentifier", arn.as_str()),
        ];
        if loses {
            parameters.push(("AllowDataLoss", "true"));
        }
        let place = &self.places[through];
        if place.lives && place.api.call("FailoverGlobalCluster", &parameters).is_ok() {
            self.moves += 1;
            self.note(to, if loses { "failover" } else { "switchover" });
        }
    }

    pub fn heal(&mut self) {
        self.is_wild = false;
        self.cut.clear();
        for at in 0..self.places.len() {
            self.revive(at);
            self.places[at].seat.set_hears(true);
        }
    }

    /// Do all have one history and follow the one writer, which is reached?
    pub fn is_settled(&self) -> bool {
        let row = self.row();
        let writer = self.writer();
        let is_there = |at: usize| {
            let place = &self.places[at];
            let head = row.members[&cluster_arn(REGIONS[at])].head.as_ref();
            let server = place.server.as_ref();
            let runs = server.is_some_and(|it| it.answers && (it.receives || at == writer));
            let headship = place.api.row("head").headship.unwrap();
            let is_aligned = at == writer || headship.leads.is_none();
            is_aligned
                && runs
                && place.home.is_primary == (at == writer)
                && head.is_some_and(|head| head.epoch == row.epoch)
        };
        row.moving.is_none() && (0..self.places.len()).all(is_there) && self.is_open(writer)
    }

    /// What must hold once all has settled; what was lost.
    pub fn judge(&self) -> Result<BTreeSet<u64>, String> {
        let home = &self.places[self.writer()].home;
        for (at, place) in self.places.iter().enumerate() {
            let count = place.home.log.len().min(home.log.len());
            if place.home.log[..count] != home.log[..count] {
                return Err(format!(
                    "the data of Region {at} are others than the writer's"
                ));
            }
        }
        let has: BTreeSet<u64> = home.log.iter().map(|it| it.number).collect();
        let lost: BTreeSet<u64> = self.acknowledged.difference(&has).copied().collect();
        let lost = &lost - &self.destroyed;
        let tails = self.places.iter().flat_map(|place| place.tails.values());
        let listed: BTreeSet<u64> = tails
            .clone()
            .flat_map(|it| &it.transactions)
            .copied()
            .collect();
        let led = tails.filter(|it| !it.of_follower);
        let led: BTreeSet<u64> = led.flat_map(|it| &it.transactions).copied().collect();
        if let Some(number) = lost.difference(&listed).next() {
            return Err(format!(
                "{number} was acknowledged, is lost, and in no tail"
            ));
        }
        if let Some(number) = led.intersection(&has).next() {
            return Err(format!("{number} is in a tail, and isn't lost"));
        }
        Ok(lost)
    }

    /// How all stands, for who reads why a seed failed.
    pub fn told(&self) -> String {
        let mut told = format!("{:?}\n", self.row());
        for place in &self.places {
            let headship = place.api.row("head").headship;
            let failure = place.api.row("head").failure;
            told.push_str(&format!(
                "{:?} {:?} end {:?} tl {} primary {} server {} doing {:?} {failure:?}\n",
                headship,
                place.home.state,
                place.home.end(),
                place.home.timeline,
                place.home.is_primary,
                place.server.is_some(),
                place.doing,
            ));
        }
        told
    }
}

/// All there is to see of a Region's head.
fn observe(place: &Place) -> Observed {
    let home = &place.home;
    let server = place.server.as_ref().map(|server| {
        // Before it receives it says nothing of what it had received.
        let received = (!home.is_primary && server.receives).then(|| home.end());
        let replayed = (!home.is_primary).then_some(Lsn(server.replayed as u64));
        ServerSeen {
            generation: server.generation,
            role: server.answers.then_some(match home.is_primary {
                true => Role::Primary,
                false => Role::Standby,
            }),
            settings: server.settings.clone(),
            awaits_restart: BTreeSet::new(),
            slots: server.slots.clone(),
            receives: server.receives,
            is_paused: false,
            master_set: None,
            log: LogSeen {
                timeline: (home.is_primary || server.receives).then_some(home.timeline),
                received,
                replayed,
                fork: home.history.last().copied().filter(|_| home.is_primary),
                checkpoint_timeline: Some(home.checkpoint_timeline),
            },
        }
    });
    let stopped = (home.state == State::Whole && server.is_none()).then_some(Stopped {
        end: home.end(),
        is_clean: home.is_clean && home.is_primary,
    });
    Observed {
        home: home.state,
        server,
        snapshots: BTreeMap::new(),
        failures: place.failures.clone(),
        head: HeadSeen {
            stopped,
            tails: place.tails.iter().map(|it| (*it.0, it.1.from)).collect(),
            confirmed: place.confirmed,
            moving: place.moving,
        },
    }
}
