//! A Region with one instance that has two homes: their disks, their servers, the log that goes
//! from one to the other, sessions that commit, and what goes wrong with all of it. The row is the
//! service's own. Each home has a keeper that looks, plans, and acts later, by what it saw. What
//! must hold is judged after every move.

use std::collections::{BTreeMap, BTreeSet};

use databases::model::{Instance, Lsn, ResourceId};
use databases::plan::{
    FailureKind, Home, LogSeen, MateSeen, MateSlot, Next, Observed, PairSeen, Record, Removal,
    Role, ServerSeen, Settings, Step, StepFailure, StepKind, Wanted,
};
use databases::{catalogue, slot};
use types::{Monotonic, Now, Timestamp, ZoneLetter};

use crate::support::{Api, block_on, new_instance, with};

/// A planner, the one that ships or one with a bug in it.
pub type Planner = fn(&Wanted, &Observed, Now) -> Next;

/// The instance.
const NAME: &str = "shop";

/// Microseconds between two moves, at most.
const MOST_PASSES: u64 = 300_000;

/// Moves until all must be as it is wanted, once nothing goes wrong any more.
const CALM: usize = 3000;

/// Numbers that follow from a seed (SplitMix64).
struct Dice(u64);

impl Dice {
    fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % end
    }

    fn one_in(&mut self, end: u64) -> bool {
        self.below(end) == 0
    }
}

/// A running server.
struct Server {
    generation: u64,
    settings: Settings,
    answers: bool,
    slots: BTreeSet<String>,
    is_checkpointed: bool,
    /// Do commits wait by now for whom it was told to wait for?
    is_effective: bool,
    since: Option<usize>,
    is_proving: bool,
    /// Commits that wait.
    waiting: BTreeSet<u64>,
    pace: Option<(usize, u64)>,
}

/// A home, and who keeps it.
struct Place {
    home: Home,
    is_primary_data: bool,
    /// What is on its disk, each record by its number.
    log: Vec<u64>,
    server: Option<Server>,
    failures: BTreeMap<StepKind, StepFailure>,
    is_looked_at: bool,
    is_starting: bool,
    /// Do clients get to it?
    is_open: bool,
    /// What is to be done next, by what was seen then.
    planned: Option<(Box<Wanted>, Step)>,
}

impl Place {
    fn new() -> Place {
        Place {
            home: Home::Absent,
            is_primary_data: false,
            log: Vec::new(),
            server: None,
            failures: BTreeMap::new(),
            is_looked_at: false,
            is_starting: false,
            is_open: false,
            planned: None,
        }
    }

    fn leads(&self) -> bool {
        self.server.is_some() && self.is_primary_data
    }

    fn fall(&mut self) {
        self.server = None;
        self.is_open = false;
        self.is_starting = false;
        self.planned = None;
    }
}

/// All of it.
pub struct World {
    api: Api,
    id: ResourceId,
    dice: Dice,
    now: u64,
    places: BTreeMap<ResourceId, Place>,
    down: BTreeSet<ZoneLetter>,
    records: u64,
    /// Commits that were acknowledged.
    acknowledged: BTreeSet<u64>,
    /// How often a standby took over.
    pub takeovers: u64,
    /// What happened, for whoever reads a seed that failed.
    pub story: Vec<String>,
}

impl World {
    pub fn new(seed: u64) -> World {
        let api = Api::new();
        api.ok(
            "CreateDBInstance",
            &with(&new_instance(NAME), &[("MultiAZ", "true")]),
        );
        World {
            id: api.id(NAME),
            api,
            dice: Dice(seed),
            now: 1_000_000,
            places: BTreeMap::new(),
            down: BTreeSet::new(),
            records: 0,
            acknowledged: BTreeSet::new(),
            takeovers: 0,
            story: Vec::new(),
        }
    }

    fn row(&self) -> Instance {
        self.api.row(NAME)
    }

    fn homes(&self) -> Vec<ResourceId> {
        let row = self.row();
        let standby = row.standby.as_ref().map(|standby| standby.home.clone());
        [row.home().clone()].into_iter().chain(standby).collect()
    }

    /// Lets it run until all is as it is wanted, then with so many moves that may go wrong, and
    /// then until all is as it is wanted again.
    pub fn run(&mut self, planner: Planner, moves: usize) -> Result<(), String> {
        self.settle(planner)?;
        for _ in 0..moves {
            self.pass();
            match self.dice.below(40) {
                0 => self.harm(),
                1 => self.ask(),
                _ => self.go_on(planner, true)?,
            }
            self.judge()?;
        }
        self.down.clear();
        self.settle(planner)
    }

    /// Nothing goes wrong until all is as it is wanted.
    fn settle(&mut self, planner: Planner) -> Result<(), String> {
        for _ in 0..CALM {
            self.pass();
            self.go_on(planner, false)?;
            self.judge()?;
            if self.is_as_wanted() {
                return Ok(());
            }
        }
        let row = self.row();
        Err(format!(
            "it never settles: {:?} {:?}",
            row.home, row.standby
        ))
    }

    fn pass(&mut self) {
        self.now += 1 + self.dice.below(MOST_PASSES);
    }

    fn go_on(&mut self, planner: Planner, is_wild: bool) -> Result<(), String> {
        let homes = self.homes();
        for home in &homes {
            self.places.entry(home.clone()).or_insert_with(Place::new);
        }
        self.stream();
        match self.dice.below(4) {
            0 => self.commit(),
            1 => self.become_effective(),
            _ => {
                let pick = self.dice.below(homes.len() as u64) as usize;
                let home = homes[pick].clone();
                return self.turn(&home, planner, is_wild);
            }
        }
        Ok(())
    }

    /// Something goes wrong.
    fn harm(&mut self) {
        let row = self.row();
        let zones = [Some(row.zone), row.standby.as_ref().map(|it| it.zone)];
        let zones: Vec<ZoneLetter> = zones.into_iter().flatten().map(|it| it.letter).collect();
        let zone = zones[self.dice.below(zones.len() as u64) as usize];
        match self.dice.below(8) {
            0..3 => {
                self.story.push(format!("zone {zone:?} is down"));
                self.down.insert(zone);
                for home in self.homes() {
                    let is_in = row.zone_of(&home).is_some_and(|it| it.letter == zone);
                    if let Some(place) = self.places.get_mut(&home).filter(|_| is_in) {
                        place.fall();
                        place.failures.clear();
                        place.is_looked_at = false;
                    }
                }
            }
            3..6 => {
                self.story.push("zones are up".to_owned());
                self.down.clear();
            }
            6 => {
                self.story.push("the process dies".to_owned());
                for place in self.places.values_mut() {
                    place.fall();
                    place.failures.clear();
                    place.is_looked_at = false;
                }
            }
            _ => {
                let homes = self.homes();
                let home = &homes[self.dice.below(homes.len() as u64) as usize];
                self.story.push(format!("the server of {home} dies"));
                if let Some(place) = self.places.get_mut(home) {
                    place.server = None;
                }
            }
        }
    }

    /// Somebody asks for something, and may be refused.
    fn ask(&mut self) {
        let named = [("DBInstanceIdentifier", NAME)];
        let (operation, more): (&str, &[(&str, &str)]) = match self.dice.below(8) {
            0..4 => ("RebootDBInstance", &[("ForceFailover", "true")]),
            4 => ("RebootDBInstance", &[]),
            5 => (
                "ModifyDBInstance",
                &[("MultiAZ", "false"), ("ApplyImmediately", "true")],
            ),
            6 => (
                "ModifyDBInstance",
                &[("MultiAZ", "true"), ("ApplyImmediately", "true")],
            ),
            _ => match self.row().power {
                databases::model::Power::Running => ("StopDBInstance", &[]),
                databases::model::Power::Stopped => ("StartDBInstance", &[]),
            },
        };
        self.show();
        let answer = self.api.call(operation, &with(&named, more));
        self.story
            .push(format!("{operation} {more:?}: {}", answer.is_ok()));
    }

    /// How the homes stand, as the API sees it.
    fn show(&mut self) {
        for home in self.homes() {
            let seen = catalogue::wanted_at(
                &*self.api.memory_view(),
                &*self.api.global.view(),
                (&self.id, &home),
            );
            if let Some(wanted) = seen.unwrap().filter(|_| self.places.contains_key(&home)) {
                let observed = self.observe(&wanted);
                self.api.observe(&home, observed);
            }
        }
    }

    /// A session commits: it writes, and is answered at once or waits.
    fn commit(&mut self) {
        let homes: Vec<ResourceId> = self.places.keys().cloned().collect();
        for home in homes {
            let place = self.places.get_mut(&home).expect("it is there");
            if !place.is_open || !place.leads() {
                continue;
            }
            self.records += 1;
            place.log.push(self.records);
            let server = place.server.as_mut().expect("it leads");
            match server.is_effective {
                true => {
                    server.waiting.insert(self.records);
                }
                false => {
                    self.acknowledged.insert(self.records);
                }
            }
        }
    }

    /// Servers that were told to wait do from now on, and say since when.
    fn become_effective(&mut self) {
        for server in self.places.values_mut() {
            let written = server.log.len();
            let Some(server) = &mut server.server else {
                continue;
            };
            if server.is_proving {
                match server.is_effective {
                    false => server.is_effective = true,
                    true => (server.since, server.is_proving) = (Some(written), false),
                }
            }
            server.answers = true;
        }
    }

    /// The standby's disk gets some of what the primary's has, and waiting commits are answered.
    fn stream(&mut self) {
        let homes = self.homes();
        let [primary, standby] = &homes[..] else {
            return;
        };
        let Some(mut from) = self.places.remove(primary) else {
            return;
        };
        if let Some(to) = self.places.get_mut(standby)
            && is_streaming(&from, to, standby)
        {
            let lacks = from.log.len() - to.log.len();
            let some = self.dice.below(4) as usize;
            let end = to.log.len() + lacks.min(some);
            to.log = from.log[..end].to_vec();
            if let Some(server) = &mut from.server {
                let held: BTreeSet<u64> = to.log.iter().copied().collect();
                let done = server.waiting.iter().filter(|it| held.contains(it));
                let done: Vec<u64> = done.copied().collect();
                for commit in done {
                    server.waiting.remove(&commit);
                    self.acknowledged.insert(commit);
                }
            }
        }
        self.places.insert(primary.clone(), from);
    }

    /// A keeper does what it had planned, or looks and plans.
    fn turn(&mut self, home: &ResourceId, planner: Planner, is_wild: bool) -> Result<(), String> {
        let found = catalogue::wanted_at(
            &*self.api.memory_view(),
            &*self.api.global.view(),
            (&self.id, home),
        );
        let Some(wanted) = found.unwrap() else {
            return Ok(());
        };
        if self.down.contains(&wanted.zone().letter) {
            self.place(home).fall();
            return Ok(());
        }
        if let Some((seen, step)) = self.place(home).planned.take() {
            if is_wild && self.dice.one_in(12) {
                return self.miss(home, &seen, &step);
            }
            return self.act(home, &seen, step);
        }
        let is_free = self
            .places
            .iter()
            .all(|(it, place)| it == home || !place.is_open);
        let place = self.place(home);
        place.is_open = wanted.standby().is_none() && (place.is_open || is_free);
        place.is_looked_at = true;
        let observed = self.observe(&wanted);
        let now = self.now();
        if let Next::Step(step) = planner(&wanted, &observed, now) {
            let place = self.place(home);
            place.is_starting = matches!(step, Step::Start { .. });
            place.planned = Some((Box::new(wanted), step));
        }
        Ok(())
    }

    fn place(&mut self, home: &ResourceId) -> &mut Place {
        self.places.get_mut(home).expect("it is kept")
    }

    fn now(&self) -> Now {
        Now {
            wall: Timestamp(1_795_000_000_000),
            monotonic: Monotonic(self.now),
        }
    }

    /// All there is to see of a home.
    fn observe(&mut self, wanted: &Wanted) -> Observed {
        let now = self.now;
        let homes = self.homes();
        let mate = homes.iter().find(|it| **it != wanted.home);
        let mate = mate.and_then(|mate| {
            let other = self.places.get(mate)?;
            let zone = wanted.instance.zone_of(mate)?;
            Some(self.mate(wanted, other, !self.down.contains(&zone.letter)))
        });
        let streams = match &homes[..] {
            [primary, standby] => match (self.places.get(primary), self.places.get(standby)) {
                (Some(from), Some(to)) => is_streaming(from, to, standby).then_some(to.log.len()),
                _ => None,
            },
            _ => None,
        };
        let place = self.places.get_mut(&wanted.home).expect("it is kept");
        let mut pair = PairSeen {
            mate: mate.flatten(),
            is_primary_data: place.home == Home::Whole && place.is_primary_data,
            ..PairSeen::default()
        };
        let written = place.log.len();
        if let Some(server) = place.server.as_mut().filter(|_| wanted.standby().is_none()) {
            let (target, at) = server.pace.unwrap_or((written, now));
            let is_even = streams.is_some_and(|flushed| flushed >= target);
            let pace = if is_even {
                (written, now)
            } else {
                (target, at)
            };
            server.pace = Some(pace);
            pair.is_checkpointed = server.is_checkpointed;
            pair.written = Some(lsn(written));
            pair.flushed = streams.map(lsn);
            pair.even_at = Some(Monotonic(pace.1));
            pair.synchronous_since = server.since.map(lsn);
            pair.is_proving = server.is_proving;
        }
        let role = match place.is_primary_data {
            true => Role::Primary,
            false => Role::Standby,
        };
        let server = place.server.as_ref().map(|server| ServerSeen {
            generation: server.generation,
            role: server.answers.then_some(role),
            settings: server.settings.clone(),
            awaits_restart: BTreeSet::new(),
            slots: server.slots.clone(),
            receives: streams.is_some(),
            is_paused: false,
            master_set: None,
            log: LogSeen::default(),
        });
        Observed {
            home: place.home,
            server,
            failures: place.failures.clone(),
            pair,
            ..Observed::nothing()
        }
    }

    fn mate(&self, wanted: &Wanted, other: &Place, is_zone_up: bool) -> Option<MateSeen> {
        let own = self.places.get(&wanted.home)?;
        let keeps = |server: &Option<Server>, home: &ResourceId| {
            server
                .as_ref()
                .is_some_and(|it| it.slots.contains(&slot(home)))
        };
        let standby = wanted.instance.standby.as_ref()?;
        let has_slot = match wanted.standby() {
            Some(_) => keeps(&other.server, &standby.home),
            None => keeps(&own.server, &standby.home),
        };
        let start = other.failures.get(&StepKind::Start);
        (other.is_looked_at || !is_zone_up).then(|| MateSeen {
            is_zone_up,
            home: other.home,
            runs: other.server.is_some() || other.is_starting,
            failed_starts: start.map_or(0, |failure| failure.attempts),
            is_primary_data: other.home == Home::Whole && other.is_primary_data,
            is_checkpointed: other.server.as_ref().is_some_and(|it| it.is_checkpointed),
            slot: match has_slot {
                true => MateSlot::Kept,
                false => MateSlot::None,
            },
        })
    }

    /// A step fails, or what carries it out is cut off.
    fn miss(&mut self, home: &ResourceId, wanted: &Wanted, step: &Step) -> Result<(), String> {
        self.story.push(format!("{home} misses {:?}", step.kind()));
        let is_done = self.dice.one_in(2) && !matches!(step, Step::Start { .. });
        let now = self.now;
        if is_done {
            // It was carried out, and nobody heard of it.
            self.act(home, wanted, step.clone())?;
        }
        let place = self.place(home);
        place.is_starting = false;
        match step {
            Step::Make { .. } | Step::Copy(_) | Step::Rewind { .. } => {
                (place.home, place.server) = (Home::Unfinished, None);
            }
            _ => {}
        }
        let attempts = place.failures.get(&step.kind()).map_or(0, |it| it.attempts) + 1;
        let failure = StepFailure {
            step: step.clone(),
            attempts,
            at: Monotonic(now),
            kind: FailureKind::Other,
            reason: "why".to_owned(),
        };
        place.failures.insert(step.kind(), failure);
        Ok(())
    }

    /// Carries a step out, by what was wanted when it was planned.
    fn act(&mut self, home: &ResourceId, wanted: &Wanted, step: Step) -> Result<(), String> {
        self.judge_step(home, wanted, &step)?;
        self.story.push(format!("{home} {:?}", told(&step)));
        let row = self.row();
        let source = match row.home() == home {
            true => None,
            false => self
                .places
                .get(row.home())
                .map(|it| (it.log.clone(), it.leads())),
        };
        let place = self.place(home);
        place.failures.remove(&step.kind());
        place.is_starting = false;
        match step {
            Step::Make { .. } => (place.home, place.is_primary_data) = (Home::Whole, true),
            Step::Copy(_) => {
                let Some((log, true)) = source else {
                    return Ok(());
                };
                (place.home, place.is_primary_data, place.log) = (Home::Whole, false, log);
            }
            Step::Rewind { .. } => {
                let Some((log, true)) = source else {
                    return Ok(());
                };
                let pairs = place.log.iter().zip(&log);
                let same = pairs.take_while(|(one, other)| one == other).count();
                place.log.truncate(same);
                place.is_primary_data = false;
            }
            Step::RemoveHome(_) => {
                (place.home, place.is_primary_data) = (Home::Absent, false);
                place.log.clear();
            }
            Step::Start {
                generation,
                settings,
            } => {
                // As whoever starts it looks once more.
                if row.home() != wanted.instance.home() {
                    return Ok(());
                }
                let is_synchronous = settings.synchronous.is_some();
                let since = is_synchronous.then_some(place.log.len());
                place.server = Some(Server {
                    generation,
                    settings,
                    answers: false,
                    slots: BTreeSet::new(),
                    is_checkpointed: true,
                    is_effective: is_synchronous,
                    since,
                    is_proving: false,
                    waiting: BTreeSet::new(),
                    pace: None,
                });
            }
            Step::Stop => place.server = None,
            other => self.act_on_server(home, other),
        }
        Ok(())
    }

    fn act_on_server(&mut self, home: &ResourceId, step: Step) {
        if let Step::Record(record) = &step {
            self.takeovers += u64::from(matches!(record, Record::TakeOver { .. }));
            return block_on(self.api.service.record(&self.id, record)).unwrap();
        }
        self.records += 1;
        let mark = self.records;
        let place = self.place(home);
        let Some(server) = &mut place.server else {
            return;
        };
        match step {
            Step::Promote => {
                place.is_primary_data = true;
                // Where its own timeline begins.
                place.log.push(mark);
                server.is_checkpointed = false;
                server.slots.clear();
                server.pace = None;
            }
            Step::Checkpoint => server.is_checkpointed = true,
            Step::KeepSlots(slots) => server.slots = slots,
            Step::Reload(settings) => server.settings = settings,
            Step::Synchronise(standby) => {
                let waits = standby.is_some();
                server.settings.synchronous = standby;
                (server.is_proving, server.since) = (waits, None);
                if !waits {
                    server.is_effective = false;
                    let waiting = std::mem::take(&mut server.waiting);
                    self.acknowledged.extend(waiting);
                }
            }
            _ => {}
        }
    }

    /// May this step be taken?
    fn judge_step(&self, home: &ResourceId, wanted: &Wanted, step: &Step) -> Result<(), String> {
        let row = self.row();
        let place = &self.places[home];
        let demand = |holds: bool, fault: &str| match holds {
            true => Ok(()),
            false => Err(format!("{fault}: {:?}", told(step))),
        };
        let others_run = self
            .places
            .iter()
            .any(|(it, place)| it != home && (place.server.is_some() || place.is_starting));
        let is_standby = wanted.standby().is_some();
        match step {
            Step::Promote => {
                demand(row.home() == home, "it promotes what the row doesn't")?;
                demand(!others_run, "it promotes beside another server")
            }
            Step::Rewind { .. } => demand(place.server.is_none(), "it rewinds what runs"),
            Step::RemoveHome(removal) => {
                demand(place.server.is_none(), "it removes what runs")?;
                let in_step = row.standby.as_ref().is_some_and(|it| it.is_in_step);
                let is_fair = *removal == Removal::Deleted || is_standby && !in_step;
                let is_new = !row.was_available();
                demand(is_fair || is_new, "it removes what may be the last copy")
            }
            Step::Start { .. } => {
                let is_old = is_standby && place.is_primary_data;
                demand(!is_old, "it starts an old primary as it is")
            }
            Step::Copy(_) | Step::Make { .. } => {
                demand(place.home == Home::Absent, "it makes a home over another")
            }
            Step::Record(Record::Failed { .. }) => demand(false, "it fails without need"),
            _ => Ok(()),
        }
    }

    /// Does all hold that must?
    fn judge(&self) -> Result<(), String> {
        let row = self.row();
        let open = self.places.values().filter(|it| it.is_open && it.leads());
        if open.clone().count() > 1 {
            return Err("two writers can be reached".to_owned());
        }
        let lost = |log: &[u64]| {
            let held: BTreeSet<u64> = log.iter().copied().collect();
            self.acknowledged.difference(&held).count()
        };
        if let Some(primary) = self.places.get(row.home())
            && primary.is_open
            && primary.leads()
            && lost(&primary.log) > 0
        {
            return Err("what was acknowledged is lost".to_owned());
        }
        if let Some(standby) = row.standby.as_ref().filter(|it| it.is_in_step) {
            let place = self.places.get(&standby.home);
            if place.is_none_or(|place| lost(&place.log) > 0) {
                return Err("a standby lacks what was acknowledged, and is said in step".to_owned());
            }
        }
        Ok(())
    }

    /// Serves the primary, and is its standby in step, if there is to be one?
    fn is_as_wanted(&self) -> bool {
        let row = self.row();
        let Some(primary) = self.places.get(row.home()) else {
            return false;
        };
        if row.power == databases::model::Power::Stopped {
            return self.places.values().all(|place| place.server.is_none());
        }
        let standby = row.standby.as_ref();
        let is_paired = standby.is_none_or(|it| {
            it.is_in_step && !it.is_failing_over && !it.is_forced && !it.is_leaving
        });
        let is_settled = row.settled == row.generation && row.failure.is_none();
        is_settled && is_paired && primary.is_open && primary.leads()
    }
}

/// Does the standby receive the primary's log?
fn is_streaming(from: &Place, to: &Place, standby: &ResourceId) -> bool {
    let keeps = |server: &Server| server.answers && server.slots.contains(&slot(standby));
    let follows = |server: &Server| server.answers && server.settings.upstream.is_some();
    from.leads()
        && from.server.as_ref().is_some_and(keeps)
        && !to.is_primary_data
        && to.home == Home::Whole
        && to.server.as_ref().is_some_and(follows)
        && from.log.starts_with(&to.log)
}

fn lsn(records: usize) -> Lsn {
    Lsn(records as u64)
}

/// A step in few words.
fn told(step: &Step) -> String {
    match step {
        Step::Record(record) => format!("{record:?}"),
        Step::Synchronise(standby) => format!("Synchronise({})", standby.is_some()),
        other => format!("{:?}", other.kind()),
    }
}
