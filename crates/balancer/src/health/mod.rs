//! Health checks of targets: when to probe which, and what the outcomes make of a target's state.
//! A machine of inputs and outputs: it opens no socket, reads no clock and waits for nobody.
//!
//! A target that was registered is `initial` and isn't sent requests while others are healthy. Its
//! first success makes it healthy; from then on as many outcomes in a row as its group's
//! thresholds say change its state (Elastic Load Balancing, "Health checks for target groups"). A
//! target of a group that no listener uses isn't probed, nor is one that drains. One prober looks
//! for all nodes of a Region.

mod order;
mod watch;

pub use order::{HealthSettings, InvalidInterval, MAXIMUM_INTERVAL, MINIMUM_INTERVAL};

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use types::{Monotonic, Now, ProbeOrder, ProbeOutcome, Span, Timestamp};

use self::watch::Watch;
use crate::arn::TargetGroupArn;
use crate::model::TargetKey;
use crate::node::{TargetHealth, TargetReason, TargetState};
use crate::slow_start;
use crate::snapshot::{Snapshot, why_unused};
use crate::targets::{Member, because};

/// Probes under way at a time, at most; others wait for their turn.
pub const MAX_PROBES: usize = 256;

/// A probe of which nothing is heard so long after its steps' time-outs is given up.
const LOST_AFTER: Span = Span::seconds(5);

/// First probes of more targets than these are spread ...
const AT_ONCE: usize = 16;

/// ... over this time.
const SPREAD: Span = Span::seconds(1);

/// A probe that was ordered.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Ticket(u64);

/// What happens to the machine.
#[derive(Clone, Debug)]
pub enum Input {
    /// That snapshot is served from now on.
    Serve(Arc<Snapshot>),
    /// A probe has ended.
    Finished(Ticket, ProbeOutcome),
    /// Time has passed.
    Tick,
}

/// What the machine wants done, or tells.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Output {
    /// That probe is to be made now, and its outcome given back with the ticket.
    Probe(Ticket, ProbeOrder),
    /// A target's state is another. Choices see it already.
    Changed(TargetGroupArn, TargetKey, TargetHealth),
}

/// Which target: of that group.
type Place = (TargetGroupArn, TargetKey);

/// Health checks of a Region's targets.
#[derive(Debug)]
pub struct HealthChecks {
    settings: HealthSettings,
    snapshot: Arc<Snapshot>,
    /// When it served its first snapshot.
    started: Option<Timestamp>,
    watches: BTreeMap<Place, Watch>,
    /// When each watch that has no probe under way is to be probed.
    due: BTreeSet<(Monotonic, Place)>,
    /// Probes under way, and when each is given up.
    tickets: BTreeMap<Ticket, (Place, Monotonic)>,
    next_ticket: u64,
}

impl HealthChecks {
    /// No target is checked yet.
    pub fn new(settings: HealthSettings) -> HealthChecks {
        HealthChecks {
            settings,
            snapshot: Arc::default(),
            started: None,
            watches: BTreeMap::new(),
            due: BTreeSet::new(),
            tickets: BTreeMap::new(),
            next_ticket: 1,
        }
    }

    /// Takes an input, and says what is to be done.
    pub fn step(&mut self, now: Now, input: Input) -> Vec<Output> {
        let mut outputs = Vec::new();
        match input {
            Input::Serve(snapshot) => self.serve(now, snapshot),
            Input::Finished(ticket, outcome) => self.finished(now, ticket, &outcome, &mut outputs),
            Input::Tick => (),
        }
        self.give_up(now, &mut outputs);
        self.order(now, &mut outputs);
        outputs
    }

    /// When [`HealthChecks::step`] has something to do by itself; none: only after an input.
    pub fn wake(&self) -> Option<Monotonic> {
        let has_room = self.tickets.len() < MAX_PROBES;
        let due = self.due.first().filter(|_| has_room).map(|(at, _)| *at);
        let lost = self.tickets.values().map(|(_, at)| *at).min();
        due.into_iter().chain(lost).min()
    }

    /// How many targets are checked.
    pub fn count(&self) -> usize {
        self.watches.len()
    }

    fn serve(&mut self, now: Now, snapshot: Arc<Snapshot>) {
        let mut kept = std::mem::take(&mut self.watches);
        let count: usize = snapshot.groups().map(|set| set.members.len()).sum();
        self.due.clear();
        self.started.get_or_insert(now.wall);
        for set in snapshot.groups() {
            let zones = snapshot.zones_of(set);
            for member in set.members() {
                let is_unused = why_unused(zones.as_ref(), member).is_some();
                if member.draining_since.is_some() || is_unused {
                    continue;
                }
                if !set.health_check.enabled {
                    let reason = TargetReason::HealthCheckDisabled;
                    member.live.set(because(TargetState::Unavailable, reason));
                    continue;
                }
                let place = (set.arn.clone(), member.key.clone());
                let watch = match kept.remove(&place) {
                    Some(watch) if watch.is_of(set, member) => watch,
                    _ => Watch::new(set, member, first_due(now, member, count)),
                };
                if let Some(at) = watch.due() {
                    self.due.insert((at, place.clone()));
                }
                self.watches.insert(place, watch);
            }
        }
        // What isn't checked any more is as if it were new, if it ever is checked again.
        kept.into_values().for_each(|watch| watch.forget());
        self.snapshot = snapshot;
    }

    fn order(&mut self, now: Now, outputs: &mut Vec<Output>) {
        while self.tickets.len() < MAX_PROBES
            && let Some((at, place)) = self.due.first().cloned()
            && at <= now.monotonic
        {
            self.due.pop_first();
            let Some(watch) = self.watches.get_mut(&place) else {
                continue;
            };
            let ticket = Ticket(self.next_ticket);
            self.next_ticket += 1;
            let order = watch.begin(now, ticket, self.settings);
            let timeout = self.settings.timeout(&watch.check);
            // Connecting may take all of it, and the response once more.
            let lost = now.monotonic + timeout + timeout + LOST_AFTER;
            self.tickets.insert(ticket, (place, lost));
            outputs.push(Output::Probe(ticket, order));
        }
    }

    fn finished(
        &mut self,
        now: Now,
        ticket: Ticket,
        outcome: &ProbeOutcome,
        outputs: &mut Vec<Output>,
    ) {
        let Some((place, _)) = self.tickets.remove(&ticket) else {
            return;
        };
        let Some(watch) = self.watches.get_mut(&place) else {
            return;
        };
        // A probe of what the target was before it was changed is for nobody.
        if watch.ticket() != Some(ticket) {
            return;
        }
        let live = watch.live.clone();
        let (was_healthy, was) = (live.is_healthy(), live.health().state);
        let changed = watch.judge(now, outcome, self.settings);
        if let Some(at) = watch.due() {
            self.due.insert((at, place.clone()));
        }
        let Some(health) = changed else {
            return;
        };
        if was_healthy != live.is_healthy() {
            let begins = !was_healthy && self.starts_slowly(&place, was, now);
            live.set_slow_since(begins.then_some(now.monotonic));
        }
        outputs.push(Output::Changed(place.0, place.1, health));
    }

    /// Does a target that became healthy take its share slowly? One that was unhealthy does, and
    /// one that was registered since this machine started: after a restart all are as they were.
    /// In both cases there must be another one to take the rest: healthy, not in slow start, and
    /// not registered together with it (Application Load Balancers User Guide, "Slow start mode").
    fn starts_slowly(&self, (group, own): &Place, was: TargetState, now: Now) -> bool {
        let set = self.snapshot.group(group);
        let Some((set, own)) = set.and_then(|set| Some((set, set.member(own)?))) else {
            return false;
        };
        let is_new = was == TargetState::Initial;
        if is_new && self.started.is_none_or(|started| own.registered < started) {
            return false;
        }
        let is_settled = |other: &Member| {
            let began = other.live.slow_since();
            let is_slow =
                began.is_some_and(|began| slow_start::lasts(began, set.slow_start, now.monotonic));
            let is_elder = !is_new || other.registered < own.registered;
            is_elder && other.draining_since.is_none() && other.live.is_healthy() && !is_slow
        };
        let mut others = set.members().filter(|other| other.key != own.key);
        set.slow_start > Span::ZERO && others.any(is_settled)
    }

    /// Probes of which nothing was heard in time have found nothing.
    fn give_up(&mut self, now: Now, outputs: &mut Vec<Output>) {
        let lost: Vec<Ticket> = self
            .tickets
            .iter()
            .filter(|(_, (_, at))| *at <= now.monotonic)
            .map(|(ticket, _)| *ticket)
            .collect();
        for ticket in lost {
            tracing::warn!(ticket = ticket.0, "nothing was heard of a target's probe");
            self.finished(now, ticket, &ProbeOutcome::Lost, outputs);
        }
    }
}

/// A few targets are probed at once; where there are many, they are spread by their numbers.
fn first_due(now: Now, member: &Member, count: usize) -> Monotonic {
    match count <= AT_ONCE {
        true => now.monotonic,
        false => now.monotonic + Span(member.number % SPREAD.0),
    }
}
