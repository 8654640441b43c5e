//! Three Regions with a member each: the service and the plan that ship, a model of PostgreSQL, a
//! council that is heard late, leases by clocks of different rates, and whatever goes wrong. What
//! must always hold is looked for at every moment.

mod forced;
mod readers;
mod trouble;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use databases::automatic::{Hearing, Known};
use databases::lease::{self, Lease, MoveSeen, RENEW_EVERY, Renewal};
use databases::model::{Forced, GlobalCluster, Leading, Lsn, Phase, ResourceId};
use databases::plan::{
    Behind, Duty, FailureKind, HeadSeen, Home as State, LogSeen, Next, Observed, Removal,
    ServerSeen, Settings, Step, StepFailure, StepKind, Upstream, Wanted, may_be_left,
};
use databases::silence::{LeaseRow, LeasesSeen};
use databases::{ClusterServing, Fence, Serving, catalogue, serving_cluster};
use types::{Configuration, Monotonic, Now, Timestamp};

use crate::council::{Council, Seat};
use crate::home::{Entry, Home};
use crate::support::{Api, block_on, standing};

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
    /// Who takes over counts from when it saw any renewal of the old writer's Region, be it that
    /// others came after it.
    OldRenewal,
}

struct Server {
    generation: u64,
    settings: Settings,
    slots: BTreeSet<String>,
    answers: bool,
    receives: bool,
    /// Of a standby: up to where it has replayed. It receives only once that is all it has.
    replayed: usize,
    /// How far it had got when its source first said that its log isn't there, and when that was.
    missing: Option<(usize, u64)>,
    /// Of a standby: since when it receives nothing and has replayed all that it has.
    starved_since: Option<Monotonic>,
}

/// A tail that is kept.
struct Tail {
    from: Lsn,
    transactions: BTreeSet<u64>,
    /// Is it of a home that only followed? It can't always tell what it followed last.
    of_follower: bool,
    /// It doesn't hold all that it should, and the home is still in its place.
    is_short: bool,
    /// What was put aside with it.
    aside: Vec<Home>,
}

impl Tail {
    /// All that it has, listed or aside.
    fn holds(&self) -> impl Iterator<Item = u64> {
        let aside = self.aside.iter().flat_map(|home| &home.log);
        let aside = aside.map(|entry| entry.number);
        self.transactions.iter().copied().chain(aside)
    }
}

struct Place {
    /// The name of its head.
    name: &'static str,
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
    handover: Option<MoveSeen>,
    leases: LeasesSeen,
    hearing: Hearing,
    /// Its process stands still until then.
    still_until: u64,
    failures: BTreeMap<StepKind, StepFailure>,
    seen: Option<Observed>,
    doing: Option<(Step, u64)>,
    /// How often it was given up to be copied anew, and when last.
    reseeds: (u32, Option<Monotonic>),
    look_at: u64,
    rate: u64,
    /// How far its wall clock is set off: milliseconds.
    set_off: i64,
}

pub struct World {
    council: Arc<Council>,
    places: Vec<Place>,
    readers: Vec<readers::Reader>,
    /// How often another was a Region's head.
    pub handed: usize,
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
    /// Members that were removed.
    pub removed: BTreeSet<usize>,
    /// Do members get removed?
    pub removes: bool,
    /// Do wall clocks jump?
    pub jumps: bool,
    /// How often one has jumped while the writer's role was on its way.
    pub jumped: usize,
    /// Failovers that nobody asked for.
    pub unasked: usize,
    /// Where a failover was asked for by force and taken.
    pub forced: BTreeSet<usize>,
    /// At how many moments one writer by force was reached, and another writer as well.
    pub both: usize,
    pub acknowledged: BTreeSet<u64>,
    /// What no plan could keep: it was on a disk that is gone, or not synced, and nowhere else.
    pub destroyed: BTreeSet<u64>,
    /// What a step threw away that was nowhere else.
    thrown_away: BTreeSet<u64>,
    /// Does whoever has leave to remove a home look again at what is wanted?
    pub looks_again: bool,
    /// A member that stands alone whose head's home a step removed.
    emptied: Option<usize>,
    pub steps: BTreeMap<StepKind, usize>,
    pub moves: usize,
    /// How many transactions a tail has room for.
    pub room: usize,
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
            readers: Vec::new(),
            handed: 0,
            cut: BTreeSet::new(),
            now: 10_000_000,
            numbers: 0,
            state: seed,
            planner,
            flaw,
            is_wild: false,
            loses_disks: false,
            disks: 0,
            removed: BTreeSet::new(),
            removes: false,
            jumps: false,
            jumped: 0,
            unasked: 0,
            forced: BTreeSet::new(),
            both: 0,
            acknowledged: BTreeSet::new(),
            destroyed: BTreeSet::new(),
            thrown_away: BTreeSet::new(),
            looks_again: true,
            emptied: None,
            steps: BTreeMap::new(),
            moves: 0,
            room: usize::MAX,
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
            name: "head",
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
            handover: None,
            leases: LeasesSeen::new(),
            hearing: Hearing::default(),
            still_until: 0,
            failures: BTreeMap::new(),
            seen: None,
            doing: None,
            reseeds: (0, None),
            look_at: 0,
            rate,
            set_off: 0,
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
            wall: Timestamp(
                (1_795_000_000_000 + own / 1000).saturating_add_signed(self.places[at].set_off),
            ),
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
            if !place.lives || self.now < place.still_until {
                continue;
            }
            place.seat.catch_up(behind);
            self.look_at_leases(at);
            self.renew(at);
            self.settle_forced(at);
            self.keep(at);
            self.each_reader(at, |world| world.keep(at));
            self.find_head(at);
            self.decide(at);
        }
        self.stream();
        self.stream_to_readers();
        self.starve();
        self.look_at_readers()?;
        if let Some(at) = self.emptied {
            return Err(format!(
                "what Region {at} has to stand alone with was removed"
            ));
        }
        if let Some(number) = self.thrown_away.first() {
            return Err(format!("{number} was thrown away, and was nowhere else"));
        }
        self.write()
    }

    /// The acknowledged transactions that are anywhere.
    fn everywhere(&self) -> BTreeSet<u64> {
        let logs = self.places.iter().flat_map(|place| &place.home.log);
        let tails = self.places.iter().flat_map(|place| place.tails.values());
        let kept = tails.flat_map(Tail::holds);
        let all = logs.map(|entry| entry.number).chain(kept);
        let all: BTreeSet<u64> = all.chain(self.of_readers()).collect();
        &all & &self.acknowledged
    }

    /// The disk with a Region's home is lost. What was kept of tails is on another.
    pub fn lose_disk(&mut self, at: usize) {
        self.kill(at);
        let before = self.everywhere();
        self.places[at].home = Home::absent();
        self.destroyed.extend(&before - &self.everywhere());
        self.disks += 1;
        self.note(at, "loses its disk");
    }

    /// Whoever operates it tries again what failed, and has another write where the writer can't.
    pub fn operate(&mut self) {
        let writer = self.writer();
        let has_failed = |place: &Place| place.api.row(place.name).failure.is_some();
        for at in 0..self.places.len() {
            let place = &self.places[at];
            if place.lives && at != writer && has_failed(place) {
                let head = [("DBInstanceIdentifier", place.name)];
                place.api.ok("StartDBInstance", &head);
            }
        }
        if has_failed(&self.places[writer]) {
            let count = self.places.len() as u64 - 1;
            let other = (writer + 1 + self.below(count) as usize) % self.places.len();
            self.ask(other, other, true);
        }
    }

    fn look_at_leases(&mut self, at: usize) {
        let now = self.clock(at).monotonic;
        let place = &mut self.places[at];
        let view = place.seat.view();
        let writer = REGIONS[0].parse().unwrap();
        if self.flaw == Flaw::OldRenewal && place.leases.of(writer).is_some() {
            return;
        }
        place.leases.look(&*view, now);
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
        let unheard = &place.api.around.unheard_since;
        unheard.lock().unwrap().get_or_insert(Monotonic(this));
        match place.renewing {
            Some((_, due)) if this < due => {}
            Some((renewal, _)) => {
                place.renewing = None;
                place.renewed += 1;
                let region = REGIONS[at].parse().unwrap();
                let last = LeaseRow::of(&*place.seat.view(), region);
                let renewals = last.map_or(0, |row| row.renewals()) + 1;
                let edit = lease::edit(region, place.renewed, renewals);
                if let Ok(revision) = block_on(place.seat.propose(vec![edit])) {
                    *unheard.lock().unwrap() = Some(Monotonic(this));
                    place.lease.committed(renewal, revision);
                    place.hearing.decided(now, revision);
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
        if self.jumps {
            let since = self.now / 1000;
            let environment = &self.places[at].api.environment;
            environment.now.store(since, Ordering::Relaxed);
        }
        let wanted = self.wanted(at);
        self.ask_source(at, &wanted, now.monotonic);
        let place = &mut self.places[at];
        let number = wanted.duty.move_number();
        place.moving = MoveSeen::next(place.moving, number, now.monotonic);
        let number = wanted.duty.handover().map(|handover| handover.number);
        place.handover = MoveSeen::next(place.handover, number, now.monotonic);
        let mut observed = observe(place);
        observed.head.heads_tails = self.heads_tails(&wanted);
        let place = &mut self.places[at];
        let from = wanted.duty.moving().map(|moving| moving.from.region);
        observed.head.lease = from.and_then(|region| place.leases.of(region).cloned());
        let known = Known {
            leases: &place.leases,
            hearing: place.hearing,
            now: now.monotonic,
        };
        let to = wanted.duty.moving().map(|moving| moving.to.region);
        observed.head.silent_since = to.and_then(|region| known.silent_since(region));
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

    /// Asks the source of a standby that has replayed all it has whether its log is still there,
    /// and has its home say whether that source left it, where nobody else knows.
    fn ask_source(&mut self, at: usize, wanted: &Wanted, now: Monotonic) {
        let place = &self.places[at];
        let server = place.server.as_ref().filter(|server| server.answers);
        let Some(server) = server.filter(|_| !place.home.is_primary) else {
            return;
        };
        let (end, replayed) = (place.home.log.len(), server.replayed);
        let upstream = server.settings.upstream.as_ref();
        let source = upstream.and_then(|upstream| self.source(at, upstream).ok());
        let told = source.map(|source| {
            let is_left = may_be_left(wanted) && source.has_left(&place.home);
            place.home.end() < source.kept_from || is_left
        });
        let server = self.places[at].server.as_mut().expect("it runs");
        server.missing.take_if(|(was, _)| *was != replayed);
        match told.filter(|_| end == replayed) {
            Some(true) => {
                server.missing.get_or_insert((replayed, now.0));
            }
            Some(false) => server.missing = None,
            None => {}
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
        let before = self.everywhere();
        self.fall(at);
        self.each_reader(at, |world| world.fall(at));
        let place = &mut self.places[at];
        place.lives = false;
        place.lease = Lease::default();
        place.renewing = None;
        (place.leases, place.hearing) = (LeasesSeen::new(), Hearing::default());
        place.confirmed = None;
        *place.api.around.unheard_since.lock().unwrap() = None;
        place.seat.fall_back(by);
        self.destroyed.extend(&before - &self.everywhere());
        self.note(at, "dies");
    }

    /// What is in a place ends, and what its keeper had in mind.
    fn fall(&mut self, at: usize) {
        let lost = usize::try_from(self.below(3)).unwrap();
        let place = &mut self.places[at];
        if let Some(_server) = place.server.take() {
            place.home.is_clean = false;
            if !place.home.is_primary {
                // What it had received and not yet synced. PostgreSQL replays only what it has
                // synced (`GetWalRcvFlushRecPtr`), so what was seen replayed stays.
                let seen = place.seen.as_ref().and_then(|seen| seen.server.as_ref());
                let replayed = seen.and_then(|server| server.log.replayed);
                let replayed = replayed.map_or(1, |lsn| lsn.0 as usize);
                let keeps = place.home.log.len().saturating_sub(lost).max(replayed);
                let floor = place.home.history.last().map_or(0, |it| it.lsn.0 as usize);
                place.home.log.truncate(keeps.max(floor));
            }
        }
        (place.moving, place.handover) = (None, None);
        (place.doing, place.seen) = (None, None);
        place.reseeds = (0, None);
        place.failures.clear();
    }

    pub fn revive(&mut self, at: usize) {
        (self.places[at].lives, self.places[at].still_until) = (true, 0);
    }

    fn carry_out(&mut self, at: usize, step: Step) {
        // It dies before, or fails, or is carried out and dies then.
        match self.is_wild.then(|| self.below(40)) {
            Some(0) => return self.kill(at),
            Some(1) if !matches!(step, Step::Record(_)) => {
                // One that hears nothing of its source touches nothing.
                let from = match &step {
                    Step::Copy(upstream) | Step::Rewind { upstream, .. } => Some(upstream),
                    _ => None,
                };
                if from.is_some_and(|upstream| self.source(at, upstream).is_ok()) {
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

    /// The home of a primary that is reached from there, or of that Region's own head, if it is.
    fn source(&self, at: usize, upstream: &Upstream) -> Result<Home, FailureKind> {
        let (from, home, server) = self.instance(&upstream.source_id);
        let runs = server.is_some_and(|server| server.answers);
        let gives = home.is_primary || from == at;
        match self.places[from].lives && runs && gives && self.is_joined(at, from) {
            true => Ok(home.clone()),
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
        if self.looks_again && !self.is_still_next(at, step) {
            return Ok(());
        }
        self.note(at, &format!("{step:?}"));
        let before = self.everywhere();
        let is_left = self.wanted(at).duty == Duty::Left;
        let had = self.places[at].home.state;
        let acted = self.act_on(at, step);
        let has = self.places[at].home.state;
        if is_left && had == State::Whole && has == State::Absent {
            self.emptied = Some(at);
        }
        self.thrown_away.extend(&before - &self.everywhere());
        acted
    }

    /// What is wanted of what is in a place, as far as its process knows.
    fn wanted(&self, at: usize) -> Wanted {
        let place = &self.places[at];
        let global = place.seat.view();
        let found = catalogue::wanted(&*place.api.memory_view(), &*global, &place.id);
        found.unwrap().unwrap()
    }

    /// Is what removes a home still what comes next? Whoever has leave for that looks again.
    fn is_still_next(&self, at: usize, step: &Step) -> bool {
        let removes = matches!(
            step,
            Step::RemoveHome(Removal::Diverged(_)) | Step::SetAside { .. } | Step::Reseed(_)
        );
        let seen = self.places[at].seen.as_ref().filter(|_| removes);
        seen.is_none_or(|seen| {
            let next = (self.planner)(&self.wanted(at), seen, self.clock(at));
            matches!(next, Next::Step(next) if next == *step)
        })
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
                let (_, _, server) = self.instance(&upstream.source_id);
                if !server.is_some_and(|server| server.slots.contains(&upstream.slot)) {
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
                    missing: None,
                    starved_since: None,
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
                let leads = place.api.row(place.name).headship.unwrap().leads;
                let of_forced =
                    |leads: Leading| Forced::is_number(leads.number) && leads.number == *base;
                let is_own = |leads: Leading| leads.epoch == *base || of_forced(leads);
                let beyond = place.home.log.iter().skip(from.0 as usize);
                let beyond = beyond.filter(|it| it.commit).map(|it| it.number);
                // There is room for that many, and no more.
                let (count, room) = (beyond.clone().count(), self.room);
                let aside = place.tails.remove(base).map(|tail| tail.aside);
                let tail = Tail {
                    from: *from,
                    transactions: beyond.take(room).collect(),
                    of_follower: !leads.is_some_and(is_own),
                    is_short: count > room,
                    aside: aside.unwrap_or_default(),
                };
                place.tails.insert(*base, tail);
                // Its rows are read by a server that is a primary.
                place.home.is_primary = true;
            }
            Step::SetAside {
                upstream,
                base,
                from,
            } => {
                self.source(at, upstream)?;
                let place = &mut self.places[at];
                let tail = place.tails.get_mut(base).expect("it is planned of one");
                assert!(tail.is_short && tail.from == *from);
                let home = std::mem::replace(&mut place.home, Home::absent());
                tail.aside.push(home);
                tail.is_short = false;
            }
            Step::Rewind { upstream, epoch } => {
                let to = self.source(at, upstream)?;
                let mut rewound = self.places[at].home.clone();
                rewound.rewind(&to);
                if rewound.end() < to.kept_from {
                    return Err(FailureKind::Other);
                }
                self.places[at].home = rewound;
                self.aligned(at, *epoch);
            }
            Step::Reseed(upstream) => {
                self.source(at, upstream)?;
                let now = self.clock(at).monotonic;
                let place = &mut self.places[at];
                (place.home, place.server) = (Home::absent(), None);
                place.reseeds = (place.reseeds.0 + 1, Some(now));
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
        let readers = self.readers_of(at);
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
        self.stopped(&home, &readers);
    }

    /// Is that Region's standby connected to that one's primary, and let by PostgreSQL?
    fn follows(&self, other: usize, at: usize) -> bool {
        let place = &self.places[other];
        let Some(server) = place.server.as_ref().filter(|_| other != at && place.lives) else {
            return false;
        };
        let upstream = server.settings.upstream.as_ref();
        let is_its = upstream.is_some_and(|it| it.source_id == self.places[at].id);
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
            let slots = server.slots.clone();
            // Slots hold back no more than they may.
            if self.is_wild && self.below(30) == 0 {
                let home = &mut self.places[at].home;
                home.kept_from = home.kept_from.max(Lsn(home.end().0.saturating_sub(6)));
            }
            let home = self.places[at].home.clone();
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

    /// Which standbys receive nothing and have replayed all that they have, and since when.
    fn starve(&mut self) {
        for at in 0..self.places.len() {
            let now = self.clock(at).monotonic;
            let place = &mut self.places[at];
            let end = place.home.log.len();
            let Some(server) = &mut place.server else {
                continue;
            };
            let receives = place.home.is_primary || server.receives;
            let is_starved = server.answers && !receives && server.replayed == end;
            let since = server.starved_since.unwrap_or(now);
            server.starved_since = is_starved.then_some(since);
        }
    }

    /// Clients write wherever they are let, and nobody else may be.
    fn write(&mut self) -> Result<(), String> {
        let mut reached = Vec::new();
        for at in (0..self.places.len()).filter(|at| !self.removed.contains(at)) {
            let place = &self.places[at];
            let runs = place.server.as_ref().is_some_and(|server| server.answers);
            if !self.is_awake(at) || !runs || !place.home.is_primary {
                continue;
            }
            if self.is_open(at) {
                reached.push(at);
            }
        }
        let forced = |at: &&usize| self.writes_by_force(**at);
        let by_force: Vec<usize> = reached.iter().filter(forced).copied().collect();
        if let Some(at) = by_force.iter().find(|at| !self.forced.contains(at)) {
            return Err(format!("nobody asked for force in Region {at}"));
        }
        // But for those who were asked for by name, where no majority was heard.
        if reached.len() > by_force.len() + 1 {
            return Err(format!(
                "two writers are reached: {reached:?} of {:?}",
                self.row()
            ));
        }
        self.both += usize::from(!by_force.is_empty() && reached.len() > 1);
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

    /// Has the old writer of a switchover stopped in order?
    pub fn is_drained(&self) -> bool {
        let moving = self.row().moving;
        moving.is_some_and(|moving| matches!(moving.phase, Phase::Drained { .. }))
    }

    /// Do clients reach a writer in that Region?
    pub fn serves(&self, at: usize) -> bool {
        let place = &self.places[at];
        let runs = place.server.as_ref().is_some_and(|server| server.answers);
        self.is_awake(at) && runs && place.home.is_primary && self.is_open(at)
    }

    /// Does one of a Region's endpoints lead to its server now?
    fn is_open(&self, at: usize) -> bool {
        let served = self.served(at);
        served.is_some_and(|it| it.writer == Serving::Open || it.reader == Serving::Open)
    }

    /// Where a Region's endpoints lead now; `None`: nobody has looked yet.
    fn served(&self, at: usize) -> Option<ClusterServing> {
        let place = &self.places[at];
        let cluster = self.cluster(at);
        let instance = place.api.row(place.name);
        let observed = place.seen.clone()?;
        let standing = standing(observed);
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
        Some(serving.unwrap())
    }

    /// Something goes wrong, or is asked for.
    pub fn disturb(&mut self, fails_over: bool) {
        let count = self.places.len() as u64;
        let at = usize::try_from(self.below(count)).unwrap();
        let other = (at + 1) % self.places.len();
        if !self.readers.is_empty() && self.below(3) == 0 {
            return self.disturb_readers();
        }
        if self.jumps {
            self.jump(at);
        }
        match self.below(11) {
            0 if self.removes && self.below(2) == 0 => self.remove(at),
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
            8 => self.pause(at),
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
        let is_ok =
            self.is_awake(through) && place.api.call("FailoverGlobalCluster", &parameters).is_ok();
        if is_ok {
            self.moves += 1;
            self.note(to, if loses { "failover" } else { "switchover" });
            if through == to && self.is_forced(to) {
                self.forced.insert(to);
            }
        }
    }

    pub fn heal(&mut self) {
        self.is_wild = false;
        self.revive_readers();
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
            let headship = place.api.row(place.name).headship.unwrap();
            let is_aligned = at == writer || headship.leads.is_none();
            is_aligned
                && !self.is_forced(at)
                && runs
                && place.home.is_primary == (at == writer)
                && head.is_some_and(|head| head.epoch == row.epoch)
                && self.cluster(at).handover.is_none()
        };
        let mut members = (0..self.places.len()).filter(|at| !self.removed.contains(at));
        row.moving.is_none()
            && members.all(is_there)
            && self.readers_are_there()
            && self.is_open(writer)
    }

    /// What must hold once all has settled; what was lost.
    pub fn judge(&self) -> Result<BTreeSet<u64>, String> {
        let home = &self.places[self.writer()].home;
        let is_member = |at: &usize| !self.removed.contains(at);
        for at in (0..self.places.len()).filter(is_member) {
            let place = &self.places[at];
            let count = place.home.log.len().min(home.log.len());
            if place.home.log[..count] != home.log[..count] {
                return Err(format!(
                    "the data of Region {at} are others than the writer's"
                ));
            }
        }
        self.judge_readers(home)?;
        let has: BTreeSet<u64> = home.log.iter().map(|it| it.number).collect();
        let lost: BTreeSet<u64> = self.acknowledged.difference(&has).copied().collect();
        // What one that was removed holds is its own.
        let gone = self.removed.iter().map(|at| &self.places[*at].home.log);
        let kept: BTreeSet<u64> = gone.flatten().map(|it| it.number).collect();
        let lost = &(&lost - &self.destroyed) - &kept;
        let tails = self.places.iter().flat_map(|place| place.tails.values());
        let tails = tails.chain(self.tails_of_readers());
        let listed: BTreeSet<u64> = tails.clone().flat_map(Tail::holds).collect();
        // Nor is it told where it can't be known.
        let led = tails.filter(|it| !it.of_follower && it.from > Lsn(0));
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
            let headship = place.api.row(place.name).headship;
            let failure = place.api.row(place.name).failure;
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
        told + &self.told_of_readers()
    }
}

/// From where on tails are kept.
fn begins(tails: &BTreeMap<u64, Tail>) -> BTreeMap<u64, Lsn> {
    tails
        .iter()
        .map(|(base, tail)| (*base, tail.from))
        .collect()
}

/// All there is to see of a Region's head.
fn observe(place: &Place) -> Observed {
    let home = &place.home;
    let server = place.server.as_ref().map(|server| ServerSeen {
        generation: server.generation,
        role: server.answers.then_some(home.role()),
        settings: server.settings.clone(),
        awaits_restart: BTreeSet::new(),
        slots: server.slots.clone(),
        receives: server.receives,
        is_paused: false,
        master_set: None,
        log: LogSeen {
            starved_since: server.starved_since,
            ..home.log_seen(server.receives, server.replayed)
        },
    });
    let stopped = home.stopped().filter(|_| server.is_none());
    Observed {
        home: home.state,
        server,
        snapshots: BTreeMap::new(),
        failures: place.failures.clone(),
        is_full: false,
        behind: place.server.as_ref().and_then(|server| {
            let (_, since) = server.missing.filter(|_| !home.is_primary)?;
            Some(Behind {
                since: Monotonic(since),
                reseeds: place.reseeds.0,
                last: place.reseeds.1,
            })
        }),
        head: HeadSeen {
            stopped,
            tails: begins(&place.tails),
            heads_tails: BTreeMap::new(),
            short: place
                .tails
                .iter()
                .filter_map(|(base, tail)| tail.is_short.then_some(*base))
                .collect(),
            confirmed: place.confirmed,
            moving: place.moving,
            lease: None,
            silent_since: None,
            master_at: None,
            readers_have: None,
            readers_may_lack: false,
            handover: place.handover,
            chief: None,
        },
        pair: Default::default(),
    }
}
