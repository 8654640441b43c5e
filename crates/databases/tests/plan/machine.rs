//! A machine with one instance: a disk, perhaps a server, and the Region's configuration, which is
//! the service's own. It carries steps out, or fails them, or crashes in the middle; and it judges
//! each before it does.

use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::Ordering;

use databases::model::{Instance, Power, ResourceId, Snapshot, SnapshotId, SnapshotState};
use databases::plan::{
    Behind, FailureKind, HeadSeen, Home, LogSeen, Next, Observed, PairSeen, Record, Removal, Role,
    ServerSeen, SnapshotSeen, Step, StepFailure, Wanted,
};
use databases::{catalogue, encode, keys};
use types::{Monotonic, Now, Timestamp};

use crate::states::{ID, SNAPSHOT, Server, State, Trouble, Wish};
use crate::support::{Api, View, block_on};

/// A planner, the one that ships or one with a bug in it.
pub type Planner = fn(&Wanted, &Observed, Now) -> Next;

/// Steps that are taken at most, without or after failures.
const MOST_STEPS: usize = 40;

/// Steps that may be taken at one moment.
const MOST_AT_ONCE: usize = 30;

/// How a run ended.
#[derive(PartialEq, Eq, Debug)]
pub enum Run {
    Settled,
    Fault(String),
    Endless,
}

/// Numbers that follow from a seed (SplitMix64), and what they make go wrong.
pub struct Chaos {
    state: Cell<u64>,
    left: Cell<usize>,
}

impl Chaos {
    pub fn new(seed: u64) -> Chaos {
        Chaos {
            state: Cell::new(seed),
            left: Cell::new(12),
        }
    }

    fn draw(&self) -> u64 {
        let state = self.state.get().wrapping_add(0x9e37_79b9_7f4a_7c15);
        self.state.set(state);
        let mixed = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    pub fn below(&self, end: usize) -> usize {
        (self.draw() % end as u64) as usize
    }

    /// Does something go wrong now?
    fn strikes(&self) -> bool {
        let strikes = self.left.get() > 0 && self.below(3) == 0;
        self.left.set(self.left.get() - usize::from(strikes));
        strikes
    }
}

/// The machine.
pub struct Machine {
    api: Api,
    home: Home,
    role: Role,
    server: Option<ServerSeen>,
    snapshots: BTreeMap<SnapshotId, SnapshotSeen>,
    failures: BTreeMap<databases::plan::StepKind, StepFailure>,
    now: u64,
    /// Its source has no more of the log that it needs, until it is copied anew.
    is_behind: bool,
    behind: Option<Behind>,
    /// It is behind again as soon as it was copied.
    pub is_ever_behind: bool,
    /// What was done.
    pub steps: Vec<Step>,
    /// A step failed for good.
    is_hopeless: bool,
}

impl Machine {
    pub fn new(state: &State) -> Machine {
        let api = Api::new();
        let instance = state.instance();
        let mut view = View {
            revision: 1,
            ..View::default()
        };
        view.entries.insert(
            keys::instance(&instance.resource_id),
            (1, encode(&instance)),
        );
        let name = instance.resource_id.0.clone().into();
        view.entries
            .insert(keys::instance_name(&instance.arn), (1, name));
        if let Some(snapshot) = state.snapshot() {
            view.entries
                .insert(keys::snapshot(&snapshot.arn), (1, encode(&snapshot)));
        }
        api.memory.set(view);
        let snapshot = SnapshotId(SNAPSHOT.to_owned());
        let taken = Timestamp(1);
        let seen = match state.wish {
            Wish::None | Wish::Absent => None,
            Wish::Unfinished => Some(SnapshotSeen::Unfinished),
            Wish::Whole => Some(SnapshotSeen::Whole { bytes: 7, taken }),
        };
        let mut machine = Machine {
            api,
            home: state.home,
            role: state.role,
            server: None,
            snapshots: seen.map(|seen| (snapshot, seen)).into_iter().collect(),
            failures: BTreeMap::new(),
            now: 1_000_000,
            is_behind: state.trouble == Trouble::Behind,
            behind: None,
            is_ever_behind: false,
            steps: Vec::new(),
            is_hopeless: false,
        };
        let generation = match state.server {
            Server::None => return machine,
            Server::Old => instance.generation - 1,
            Server::Starting | Server::Current => instance.generation,
        };
        let wanted = machine.wanted().expect("it was made just now");
        machine.boot(generation, &wanted);
        let server = machine.server.as_mut().expect("it was started");
        if state.server == Server::Starting {
            server.role = None;
        }
        match state.trouble {
            Trouble::None | Trouble::Behind => {}
            Trouble::Paused => (server.is_paused, server.receives) = (true, false),
            Trouble::Stale => {
                let stale = ("work_mem".to_owned(), "65".to_owned());
                server.settings.parameters.extend([stale]);
            }
            Trouble::Slot => server.slots = BTreeSet::from(["causeway_db_old".to_owned()]),
        }
        machine
    }

    fn boot(&mut self, generation: u64, wanted: &Wanted) {
        let (reseeds, last) = self.behind.map_or((0, None), |it| (it.reseeds, it.last));
        self.behind = (self.is_behind && self.role == Role::Standby).then_some(Behind {
            since: Monotonic(self.now),
            reseeds,
            last,
        });
        self.server = Some(ServerSeen {
            generation,
            role: Some(self.role),
            settings: databases::plan::Settings {
                parameters: wanted.parameters.clone(),
                upstream: None,
                synchronous: None,
            },
            awaits_restart: BTreeSet::new(),
            slots: BTreeSet::new(),
            receives: self.role == Role::Standby && !self.is_behind,
            is_paused: false,
            master_set: None,
            log: LogSeen::default(),
        });
    }

    fn id() -> ResourceId {
        ResourceId(ID.to_owned())
    }

    fn wanted(&self) -> Option<Wanted> {
        let global = View::default();
        catalogue::wanted(&*self.api.memory_view(), &global, &Machine::id()).unwrap()
    }

    fn row(&self) -> Option<Instance> {
        let found = catalogue::instance(&*self.api.memory_view(), &Machine::id());
        found.unwrap().map(|(_, row)| row)
    }

    fn snapshot(&self) -> Option<Snapshot> {
        let all = catalogue::snapshots(&*self.api.memory_view()).unwrap();
        all.into_iter()
            .map(|(_, row)| row)
            .find(|row| row.id.0 == SNAPSHOT)
    }

    fn observed(&self) -> Observed {
        Observed {
            home: self.home,
            server: self.server.clone(),
            snapshots: self.snapshots.clone(),
            failures: self.failures.clone(),
            head: HeadSeen::default(),
            pair: PairSeen::default(),
            is_full: false,
            behind: self
                .behind
                .filter(|_| self.is_behind && self.server.is_some()),
        }
    }

    fn now(&self) -> Now {
        Now {
            wall: Timestamp(1_795_000_000_000),
            monotonic: Monotonic(self.now),
        }
    }

    /// Lets the planner have its way until nothing is left to do.
    pub fn run(&mut self, planner: Planner, chaos: Option<&mut Chaos>) -> Run {
        let mut at_once = 0;
        let mut calm = 0;
        loop {
            let Some(wanted) = self.wanted() else {
                return Run::Settled;
            };
            let is_wild = chaos.as_ref().is_some_and(|chaos| chaos.left.get() > 0);
            calm += usize::from(!is_wild);
            if calm > MOST_STEPS {
                return Run::Endless;
            }
            let step = match planner(&wanted, &self.observed(), self.now()) {
                Next::Settled => return Run::Settled,
                Next::WaitUntil(until) => {
                    if until <= Monotonic(self.now) {
                        return Run::Fault("it waits for what has passed".to_owned());
                    }
                    self.now = until.0;
                    at_once = 0;
                    self.answer();
                    continue;
                }
                Next::Step(step) => step,
            };
            at_once += 1;
            if at_once > MOST_AT_ONCE {
                return Run::Fault("it spins".to_owned());
            }
            if let Err(fault) = self.judge(&wanted, &step) {
                return Run::Fault(fault);
            }
            self.steps.push(step.clone());
            match chaos.as_ref().filter(|chaos| chaos.strikes()) {
                Some(chaos) => self.fail(&step, chaos.below(8)),
                None => self.act(&step),
            }
        }
    }

    /// Lets the planner have its way for ten minutes, in which the disk is full and every step but
    /// those that only write down fails.
    pub fn run_obstructed(&mut self, planner: Planner) -> Run {
        let end = self.now + 600_000_000;
        let (mut at_once, mut tries) = (0, 0);
        while self.now < end {
            let Some(wanted) = self.wanted() else {
                return Run::Settled;
            };
            match planner(&wanted, &self.observed(), self.now()) {
                Next::Settled => return Run::Settled,
                Next::WaitUntil(until) => {
                    self.now = self.now.max(until.0);
                    at_once = 0;
                    self.answer();
                }
                Next::Step(step) => {
                    at_once += 1;
                    tries += 1;
                    if at_once > 4 || tries > 60 {
                        return Run::Fault("it spins".to_owned());
                    }
                    if let Err(fault) = self.judge(&wanted, &step) {
                        return Run::Fault(fault);
                    }
                    match step {
                        Step::Record(_) => self.act(&step),
                        _ => self.fail(&step, 1),
                    }
                }
            }
        }
        Run::Settled
    }

    /// Lets the planner have its way for a day in which no copy helps: how often it was copied.
    pub fn run_behind(&mut self, planner: Planner) -> Result<usize, String> {
        let end = self.now + 86_400_000_000;
        let mut at_once = 0;
        while self.now < end {
            let wanted = self.wanted().ok_or("it is gone")?;
            match planner(&wanted, &self.observed(), self.now()) {
                Next::Settled => return Err("it settles with what is behind".to_owned()),
                Next::WaitUntil(until) => {
                    self.now = self.now.max(until.0);
                    at_once = 0;
                }
                Next::Step(step) => {
                    at_once += 1;
                    if at_once > MOST_AT_ONCE {
                        return Err("it spins".to_owned());
                    }
                    self.judge(&wanted, &step)?;
                    self.steps.push(step.clone());
                    self.act(&step);
                }
            }
        }
        let copies = self
            .steps
            .iter()
            .filter(|step| matches!(step, Step::Copy(_)));
        Ok(copies.count())
    }

    /// A server that was starting answers now, and what couldn't be read can.
    fn answer(&mut self) {
        if self.home == Home::Unreadable {
            self.home = Home::Whole;
        }
        if let Some(server) = &mut self.server {
            server.role = Some(self.role);
        }
    }

    /// May this step be taken?
    fn judge(&self, wanted: &Wanted, step: &Step) -> Result<(), String> {
        let row = &wanted.instance;
        let demand = |holds: bool, fault: &str| match holds {
            true => Ok(()),
            false => Err(format!("{fault}: {step:?}")),
        };
        let runs = self.server.is_some();
        match step {
            Step::Make { .. } | Step::Copy(_) | Step::Restore(_) | Step::RestoreTo(_) => {
                demand(
                    self.home == Home::Absent && !runs,
                    "it makes a home over another",
                )?;
                let is_own = matches!(step, Step::Copy(_)) && row.follows().is_some();
                demand(
                    !row.was_available() || is_own,
                    "it makes anew what was there",
                )
            }
            Step::RemoveHome(removal) => {
                demand(!runs, "it removes what runs")?;
                let is_fine = match removal {
                    Removal::Unfinished => {
                        let is_own = !row.was_available() || row.follows().is_some();
                        self.home == Home::Unfinished && is_own
                    }
                    Removal::Deleted => row.deletion.is_some(),
                    Removal::Diverged(_) => false,
                };
                demand(is_fine, "it removes what isn't to be removed")?;
                let last = row
                    .deletion
                    .as_ref()
                    .and_then(|it| it.final_snapshot.as_ref());
                let is_taken = || {
                    let state = self.snapshot().map(|snapshot| snapshot.state);
                    state == Some(SnapshotState::Available)
                };
                demand(
                    last.is_none() || is_taken(),
                    "it deletes before its last snapshot",
                )
            }
            Step::Reseed(_) => {
                let is_standby = runs && self.role == Role::Standby && row.follows().is_some();
                demand(is_standby, "it gives up what follows nobody")?;
                let receives = self.server.as_ref().is_some_and(|server| server.receives);
                let since = self.behind.filter(|_| self.is_behind).map(|it| it.since.0);
                let is_sure = since.is_some_and(|since| self.now - since >= 5_000_000);
                demand(
                    is_sure && !receives && row.deletion.is_none(),
                    "it gives up what may yet follow",
                )
            }
            Step::Start { generation, .. } => {
                demand(
                    self.home == Home::Whole,
                    "it starts a home that isn't whole",
                )?;
                demand(
                    !runs && row.deletion.is_none(),
                    "it starts what runs or goes",
                )?;
                demand(row.power == Power::Running, "it starts what is stopped")?;
                demand(
                    *generation == row.generation,
                    "it starts another generation",
                )
            }
            Step::Stop => {
                demand(runs, "it stops what doesn't run")?;
                let is_fair = row.deletion.is_some() || self.home != Home::Unreadable;
                let is_current =
                    self.server.as_ref().map(|server| server.generation) == Some(row.generation);
                let is_asked = row.power == Power::Stopped || !is_current;
                let is_paused = self.server.as_ref().is_some_and(|server| server.is_paused);
                let is_gone = matches!(self.home, Home::Absent | Home::Unfinished);
                let is_called_for = is_asked || is_gone || row.deletion.is_some() || is_paused;
                demand(is_fair || is_asked, "it stops what serves")?;
                demand(is_called_for, "it stops what nobody wants stopped")
            }
            Step::Promote => {
                demand(row.promotion.is_some(), "nobody asked for its promotion")?;
                demand(runs && self.role == Role::Standby, "it promotes a primary")
            }
            Step::Reload(settings) => {
                demand(runs, "it reloads what doesn't run")?;
                let is_news = *settings != self.server.as_ref().expect("it runs").settings;
                demand(is_news, "it reloads what it has")?;
                demand(
                    settings.parameters == wanted.parameters,
                    "it reloads something else",
                )
            }
            Step::KeepSlots(_) | Step::SetMaster { .. } => {
                let is_primary = runs && self.role == Role::Primary;
                demand(is_primary, "it writes to what is no primary")
            }
            Step::TakeSnapshot(id) => {
                demand(self.home == Home::Whole, "it takes a snapshot of nothing")?;
                demand(
                    !self.snapshots.contains_key(id),
                    "it takes one over another",
                )?;
                let deletion = row.deletion.as_ref();
                let is_last =
                    deletion.is_some_and(|deletion| deletion.final_snapshot.as_ref() == Some(id));
                // Its sessions would commit after it.
                demand(!is_last || !runs, "it takes the last one of what runs")
            }
            Step::DiscardSnapshot(id) => {
                let is_torn = self.snapshots.get(id) == Some(&SnapshotSeen::Unfinished);
                demand(is_torn, "it discards a snapshot that is whole")
            }
            Step::Checkpoint
            | Step::Synchronise(_)
            | Step::Follow { .. }
            | Step::KeepTail { .. }
            | Step::SetAside { .. }
            | Step::Rewind { .. } => Err(format!("it does what heads or pairs do: {step:?}")),
            Step::Record(record) => self.judge_record(row, record),
        }
    }

    fn judge_record(&self, row: &Instance, record: &Record) -> Result<(), String> {
        let demand = |holds: bool, fault: &str| match holds {
            true => Ok(()),
            false => Err(format!("{fault}: {record:?}")),
        };
        match record {
            Record::Settled { generation } => {
                let server = self.server.as_ref();
                let runs = server.is_some_and(|server| server.generation == *generation);
                let is_so = match row.power {
                    Power::Running => runs,
                    Power::Stopped => server.is_none(),
                };
                demand(is_so, "it settles what doesn't run")
            }
            Record::Promoted => demand(self.role == Role::Primary, "it was never promoted"),
            Record::SnapshotTaken { id, .. } => {
                let seen = self.snapshots.get(id);
                let is_whole = matches!(seen, Some(SnapshotSeen::Whole { .. }));
                demand(is_whole, "it takes a torn snapshot for whole")
            }
            Record::Removed => {
                let is_gone = self.home == Home::Absent && self.server.is_none();
                demand(
                    is_gone && row.deletion.is_some(),
                    "it forgets what is there",
                )
            }
            Record::MasterSet { number } => {
                let set = self.server.as_ref().and_then(|server| server.master_set);
                demand(set == Some(*number), "its server hasn't that password")
            }
            Record::SnapshotFailed { id, .. } => {
                let failures = self.failures.values();
                let has_failed = failures
                    .filter(|it| matches!(&it.step, Step::TakeSnapshot(of) if of == id))
                    .any(|failure| {
                        failure.attempts >= 3 || failure.kind == FailureKind::SourceGone
                    });
                let is_impossible = self.home != Home::Whole;
                demand(
                    has_failed || is_impossible,
                    "it gives a snapshot up at once",
                )
            }
            Record::PendingApplied => demand(!row.pending.is_empty(), "nothing is pending"),
            Record::Failed { .. } => demand(row.failure.is_none(), "it fails twice"),
            other => Err(format!("it writes down what heads do: {other:?}")),
        }
    }

    /// Carries a step out.
    fn act(&mut self, step: &Step) {
        self.failures.remove(&step.kind());
        match step {
            Step::Make { .. } | Step::Restore(_) | Step::RestoreTo(_) => {
                (self.home, self.role) = (Home::Whole, Role::Primary);
            }
            Step::Copy(_) => {
                (self.home, self.role) = (Home::Whole, Role::Standby);
                self.is_behind = self.is_ever_behind;
            }
            Step::Reseed(_) => {
                (self.home, self.server) = (Home::Absent, None);
                let behind = self.behind.as_mut().expect("it was judged");
                (behind.reseeds, behind.last) = (behind.reseeds + 1, Some(Monotonic(self.now)));
            }
            Step::Promote => {
                self.role = Role::Primary;
                self.answer();
            }
            Step::Start {
                generation,
                settings,
            } => {
                let wanted = self.wanted().expect("it is to run");
                self.boot(*generation, &wanted);
                self.server.as_mut().expect("it runs").settings = settings.clone();
            }
            Step::Record(record) => {
                block_on(self.api.service.record(&Machine::id(), record)).unwrap();
            }
            other => {
                let mut observed = self.observed();
                crate::support::act(other, &mut observed, false);
                (self.home, self.server) = (observed.home, observed.server);
                self.snapshots = observed.snapshots;
            }
        }
        self.api.environment.now.fetch_add(1, Ordering::Relaxed);
    }

    /// Fails a step, or dies in its middle, or right after it.
    fn fail(&mut self, step: &Step, how: usize) {
        // What was under way is left by halves.
        match step {
            Step::Make { .. } | Step::Copy(_) | Step::Restore(_) | Step::RestoreTo(_) => {
                self.home = Home::Unfinished;
            }
            Step::TakeSnapshot(id) => {
                self.snapshots.insert(id.clone(), SnapshotSeen::Unfinished);
            }
            _ => {}
        }
        let kinds = [
            FailureKind::Source,
            FailureKind::DiskFull,
            FailureKind::Settings,
            FailureKind::Other,
            FailureKind::Damaged,
        ];
        match kinds.get(how) {
            Some(kind) => self.failed(step, *kind),
            // The process dies, and with it its servers and all that it had in mind.
            None => {
                if how == 7 {
                    match step {
                        Step::RemoveHome(_) | Step::Reseed(_) if self.home == Home::Whole => {
                            self.home = Home::Unfinished;
                        }
                        Step::Make { .. }
                        | Step::Copy(_)
                        | Step::Restore(_)
                        | Step::RestoreTo(_) => {}
                        Step::TakeSnapshot(_) => {}
                        done => self.act(done),
                    }
                }
                self.server = None;
                self.behind = None;
                self.failures.clear();
            }
        }
    }

    fn failed(&mut self, step: &Step, kind: FailureKind) {
        let before = self
            .failures
            .get(&step.kind())
            .filter(|failure| failure.step == *step);
        let attempts = before.map_or(0, |failure| failure.attempts) + 1;
        self.is_hopeless |= attempts >= 3;
        let failure = StepFailure {
            step: step.clone(),
            attempts,
            at: Monotonic(self.now),
            kind,
            reason: "why".to_owned(),
        };
        self.failures.insert(step.kind(), failure);
    }

    /// Is all as it is wanted?
    pub fn goal(&self, state: &State) -> Result<(), String> {
        let Some(row) = self.row() else {
            return match state.deletion > 0 {
                true => Ok(()),
                false => Err("it is gone, though nobody deleted it".to_owned()),
            };
        };
        if row.failure.is_some() {
            let is_fair = state.is_contradictory() || self.is_hopeless;
            return is_fair
                .then_some(())
                .ok_or_else(|| "it failed without need".to_owned());
        }
        // A last snapshot that failed leaves the instance where it was.
        if row.deletion.is_some() {
            return Err("it isn't deleted".to_owned());
        }
        let fault = |fault: &str| Err(fault.to_owned());
        if row.settled != row.generation {
            return fault("its generation hasn't settled");
        }
        if self
            .snapshot()
            .is_some_and(|snapshot| snapshot.state == SnapshotState::Creating)
        {
            return fault("its snapshot isn't taken");
        }
        match (row.power, &self.server) {
            (Power::Stopped, None) => Ok(()),
            (Power::Stopped, Some(_)) => fault("it runs, though it is to be stopped"),
            (Power::Running, None) => fault("it doesn't run"),
            (Power::Running, Some(server)) => {
                let role = match row.source.is_some() {
                    true => Role::Standby,
                    false => Role::Primary,
                };
                let is_it = server.generation == row.generation && server.role == Some(role);
                if role == Role::Standby && !server.receives {
                    return fault("it doesn't follow");
                }
                let wanted = self.wanted().expect("it is there");
                if server.settings.parameters != wanted.parameters {
                    return fault("it runs with old settings");
                }
                if !server.slots.is_empty() {
                    return fault("it keeps a slot for nobody");
                }
                let is_set = row.master.applied == row.master.asked;
                let is_done = row.promotion.is_none() && is_set;
                (is_it && is_done)
                    .then_some(())
                    .ok_or_else(|| "it isn't as wanted".to_owned())
            }
        }
    }
}
