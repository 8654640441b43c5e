//! The choice of the next step.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;

use types::{AvailabilityZone, Monotonic, Now, Span};

use super::behind;
use super::duty::Duty;
use super::forced;
use super::head;
use super::observed::{FailureKind, Home, Observed, Role, ServerSeen, SnapshotSeen, StepFailure};
use super::pair;
use super::password;
use super::step::{Record, Removal, Settings, Step, Upstream};
use super::succession;
use crate::model::{Instance, Origin, Parameters, Power, ResourceId, SnapshotId, Standby};
use crate::silence::LeaseRow;
use crate::window;

/// The first wait after a step failed.
const FIRST_WAIT: Span = Span::milliseconds(250);

/// The longest wait before a step is tried again.
const LONGEST_WAIT: Span = Span::seconds(30);

/// How long it is until a server that doesn't answer is looked at again.
pub(super) const LOOK_AGAIN: Span = Span::milliseconds(250);

/// How long it is until a home that can't be read is looked at again.
pub(super) const UNREADABLE_WAIT: Span = Span::seconds(5);

/// How long one that knows too little waits for more.
pub(super) const WAIT_FOR_MORE: Span = Span::seconds(1);

/// How often the making or restoring of a home, or a snapshot, is tried before it counts as failed.
const MOST_ATTEMPTS: u32 = 3;

/// A snapshot that is to be taken of an instance.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct WantedSnapshot {
    /// Which.
    pub id: SnapshotId,
    /// Was it asked for by nobody?
    pub automated: bool,
}

/// What is wanted of an instance ([`crate::catalogue::wanted`]).
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Wanted {
    /// Its row.
    pub instance: Instance,
    /// The home that it is wanted of: its primary's, or its standby's.
    pub home: ResourceId,
    /// The settings that its server is to have.
    pub parameters: Parameters,
    /// Those that it would have if no other head's floors were heeded.
    pub own_parameters: Parameters,
    /// The names of those that it takes when it starts, not before.
    pub at_restart: BTreeSet<String>,
    /// The snapshots of it that are to be taken, in the order in which they were asked for.
    pub snapshots: Vec<WantedSnapshot>,
    /// What it is to be as a cluster's.
    pub duty: Duty,
    /// The slots that it keeps for its cluster's readers, if it is the head.
    pub readers: BTreeSet<String>,
    /// Did it take over from a dead head, and does nobody know yet where its history begins?
    pub is_new_head: bool,
    /// The address of its cluster's writer endpoint, if it is a cluster's.
    pub writer_address: Option<Ipv4Addr>,
    /// The revision of the council's configuration of which that is so.
    pub revision: u64,
    /// The lease of the old writer's Region in that configuration, where a head is to take over.
    pub lease: Option<LeaseRow>,
}

impl Wanted {
    /// Of the standby's home: the standby; `None`: this is the primary's.
    pub fn standby(&self) -> Option<&Standby> {
        let standby = self.instance.standby.as_ref();
        standby.filter(|standby| standby.home == self.home)
    }

    /// The zone of the home.
    pub fn zone(&self) -> AvailabilityZone {
        self.standby()
            .map_or(self.instance.zone, |standby| standby.zone)
    }

    /// What a running server is told to load; `None`: it has all that it can have before its next
    /// start. Its upstream is changed by its promotion alone.
    pub(crate) fn reloaded(&self, server: &ServerSeen) -> Option<Settings> {
        // A group that it was given since its start is in force from its next one on.
        if self.instance.parameter_group_since >= server.generation {
            return None;
        }
        let held = &server.settings.parameters;
        let mut parameters = self.parameters.clone();
        parameters.retain(|name, _| !self.at_restart.contains(name));
        let kept = held
            .iter()
            .filter(|(name, _)| self.at_restart.contains(*name));
        parameters.extend(kept.map(|(name, value)| (name.clone(), value.clone())));
        (parameters != *held).then(|| Settings {
            parameters,
            upstream: server.settings.upstream.clone(),
            synchronous: server.settings.synchronous.clone(),
        })
    }
}

/// What comes next.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Next {
    /// This step.
    Step(Step),
    /// Nothing before that time, unless something changes.
    WaitUntil(Monotonic),
    /// All is as it is wanted, or nothing can be done: nothing until something changes.
    Settled,
}

/// The next step. `now` decides waits and maintenance windows only.
pub fn next_step(wanted: &Wanted, observed: &Observed, now: Now) -> Next {
    let next = match wanted.instance.deletion {
        _ if wanted.standby().is_some() => pair::standby(wanted, observed, now),
        Some(_) => delete(wanted, observed, now),
        None => keep(wanted, observed, now),
    };
    paced(wanted, next, observed, now)
}

/// Makes a step that failed wait, or gives it up where a user must know.
fn paced(wanted: &Wanted, next: Next, observed: &Observed, now: Now) -> Next {
    let Next::Step(step) = &next else {
        return next;
    };
    let failure = failure_of(step, observed);
    if let Some(record) = failure.and_then(|failure| given_up(wanted, failure)) {
        return Next::Step(Step::Record(record));
    }
    match failure.map(due).filter(|due| now.monotonic < *due) {
        None => next,
        Some(due) => Next::WaitUntil(due),
    }
}

/// How a step failed last; one that is another one by now has not failed.
fn failure_of<'a>(step: &Step, observed: &'a Observed) -> Option<&'a StepFailure> {
    let failure = observed.failures.get(&step.kind());
    failure.filter(|failure| failure.step == *step)
}

/// When a step that failed is tried again.
fn due(failure: &StepFailure) -> Monotonic {
    let doublings = failure.attempts.saturating_sub(1).min(16);
    let wait = Span(FIRST_WAIT.0.saturating_mul(1 << doublings)).min(LONGEST_WAIT);
    failure.at + wait
}

/// What is written down of a step that won't succeed, if it is tried no more.
fn given_up(wanted: &Wanted, failure: &StepFailure) -> Option<Record> {
    let was_tried = failure.attempts >= MOST_ATTEMPTS;
    // An instance that is deleted can be brought back only if its deletion is given up.
    let is_last = wanted.instance.deletion.is_some();
    // What nobody asked for isn't to fill a disk over and over.
    let mut unasked = wanted.snapshots.iter().filter(|row| row.automated);
    let is_unasked = unasked.any(|row| failure.step == Step::TakeSnapshot(row.id.clone()));
    let is_hopeless = match failure.kind {
        FailureKind::SourceGone => true,
        FailureKind::Damaged | FailureKind::Other => was_tried,
        FailureKind::DiskFull if is_last || is_unasked => was_tried,
        FailureKind::Source | FailureKind::DiskFull | FailureKind::Settings => false,
    };
    // A head is copied until it succeeds: its source is whoever writes by then. And an instance
    // doesn't fail by its standby.
    let follows = wanted.duty.following().is_some() || wanted.standby().is_some();
    if !is_hopeless || (follows && !matches!(failure.step, Step::TakeSnapshot(_))) {
        return None;
    }
    let reason = failure.reason.clone();
    match &failure.step {
        Step::Make { .. } | Step::Restore(_) | Step::RestoreTo(_) | Step::Copy(_) => {
            Some(Record::Failed { reason })
        }
        Step::TakeSnapshot(id) => {
            let id = id.clone();
            Some(Record::SnapshotFailed { id, reason })
        }
        // A server that never ran can't: one that did is tried for as long as it is wanted.
        Step::Start { .. } if !wanted.instance.was_available() => Some(Record::Failed { reason }),
        _ => None,
    }
}

/// Of an instance that is to be deleted.
fn delete(wanted: &Wanted, observed: &Observed, now: Now) -> Next {
    let deletion = wanted.instance.deletion.as_ref();
    let has_last = deletion.is_some_and(|deletion| deletion.final_snapshot.is_some());
    // Sessions that are open go on committing: only of what is stopped does the last snapshot hold
    // all that was acknowledged.
    if has_last && observed.server.is_some() {
        return Next::Step(Step::Stop);
    }
    if let Some(step) = snapshots(wanted, observed) {
        return Next::Step(step);
    }
    Next::Step(if observed.server.is_some() {
        Step::Stop
    } else if observed.home != Home::Absent {
        Step::RemoveHome(Removal::Deleted)
    } else if pair::is_mate_left(wanted, observed) {
        return Next::WaitUntil(now.monotonic + LOOK_AGAIN);
    } else {
        Step::Record(Record::Removed)
    })
}

/// Of an instance that is to be.
fn keep(wanted: &Wanted, observed: &Observed, now: Now) -> Next {
    let instance = &wanted.instance;
    if let Some(next) = head::next(wanted, observed, now) {
        return next;
    }
    if instance.failure.is_some() {
        // A server of it that still runs is left to whoever reads from it.
        return Next::Settled;
    }
    if let Some(next) = pair::primary(wanted, observed, now) {
        return next;
    }
    if let Some(next) = home(wanted, observed, now) {
        return next;
    }
    let next = match (instance.power, &observed.server) {
        // A snapshot that was acknowledged comes before a stop.
        (Power::Stopped, _) => stop(wanted, observed),
        (Power::Running, None) => Next::Step(start(wanted)),
        (Power::Running, Some(server)) => run(wanted, observed, server, now),
    };
    match (next, observed.home) {
        // What waits for its home, a snapshot of it say, is still to come.
        (Next::Settled, Home::Unreadable) => Next::WaitUntil(now.monotonic + UNREADABLE_WAIT),
        (next, _) => next,
    }
}

/// What is to be done until there is a whole home; `None`: there is.
fn home(wanted: &Wanted, observed: &Observed, now: Now) -> Option<Next> {
    let instance = &wanted.instance;
    // Only of a home that never held anything of its own is a new one made.
    let is_replaceable = !instance.was_available() || instance.follows().is_some();
    let is_replaceable = is_replaceable && !matches!(wanted.duty, Duty::Left);
    let step = match observed.home {
        Home::Whole => return None,
        // What was whole may be again, and a server on it has all that it needs.
        Home::Unreadable => {
            let is_idle = observed.server.is_none();
            return is_idle.then(|| Next::WaitUntil(now.monotonic + UNREADABLE_WAIT));
        }
        // Something runs where nothing can: end it before anything is touched.
        _ if observed.server.is_some() => Step::Stop,
        _ if !is_replaceable => {
            let reason = match observed.home {
                Home::Absent => "its data directory is gone",
                _ => "its data directory is not whole",
            };
            let reason = reason.to_owned();
            Step::Record(Record::Failed { reason })
        }
        Home::Unfinished => Step::RemoveHome(Removal::Unfinished),
        Home::Absent => make(instance),
    };
    Some(Next::Step(step))
}

fn make(instance: &Instance) -> Step {
    let failed = |reason: &str| {
        let reason = reason.to_owned();
        Step::Record(Record::Failed { reason })
    };
    match &instance.origin {
        Origin::New => match &instance.master.verifier {
            Some(verifier) => Step::Make {
                master: instance.master.username.clone(),
                verifier: verifier.clone(),
                database: instance.database.clone(),
            },
            None => failed("nothing is known of its master user's password"),
        },
        Origin::Snapshot(id) => Step::Restore(id.clone()),
        Origin::PointInTime(moment) => Step::RestoreTo(moment.clone()),
        Origin::Replica => match upstream(instance) {
            Some(upstream) => Step::Copy(upstream),
            None => failed("it was to be promoted before it was a copy of its source"),
        },
    }
}

fn stop(wanted: &Wanted, observed: &Observed) -> Next {
    let instance = &wanted.instance;
    if let Some(step) = snapshots(wanted, observed) {
        return Next::Step(step);
    }
    if observed.server.is_some() {
        return Next::Step(Step::Stop);
    }
    settle(instance).map_or(Next::Settled, Next::Step)
}

fn settle(instance: &Instance) -> Option<Step> {
    let generation = instance.generation;
    let is_new = instance.settled < generation;
    is_new.then_some(Step::Record(Record::Settled { generation }))
}

pub(super) fn start(wanted: &Wanted) -> Step {
    Step::Start {
        generation: wanted.instance.generation,
        settings: settings(wanted),
    }
}

/// What its server is to be started with.
fn settings(wanted: &Wanted) -> Settings {
    if let Some(settings) = head::settings(wanted) {
        return settings;
    }
    Settings {
        parameters: wanted.parameters.clone(),
        upstream: upstream(&wanted.instance),
        synchronous: pair::synchronous(&wanted.instance),
    }
}

/// Whom it follows. What is to be promoted follows nobody: its home may be a primary's already, of
/// which the last process didn't live to write it down.
pub(super) fn upstream(instance: &Instance) -> Option<Upstream> {
    let source = instance.follows()?;
    Some(Upstream {
        source: source.arn.clone(),
        source_id: source.resource_id.clone(),
        slot: source.slot.clone(),
        application_name: instance.resource_id.0.clone(),
    })
}

/// Of an instance whose server runs, and is to.
fn run(wanted: &Wanted, observed: &Observed, server: &ServerSeen, now: Now) -> Next {
    let instance = &wanted.instance;
    if server.generation != instance.generation {
        return Next::Step(Step::Stop);
    }
    let Some(role) = server.role else {
        return Next::WaitUntil(now.monotonic + LOOK_AGAIN);
    };
    // The next start takes at least what its source has; nothing else lets it go on, or be
    // promoted.
    if role == Role::Standby && server.is_paused {
        return Next::Step(Step::Stop);
    }
    if let Some(step) = role_step(wanted, role) {
        return Next::Step(step);
    }
    let is_primary = role == Role::Primary;
    let [checkpoint, told] = head::leading(wanted, server);
    let [pace, took_over, ready] = pair::keeping(wanted, observed, server, now);
    let (settling, due_to_settle) = match forced::settling(wanted, observed, now) {
        Some(Next::Step(step)) => (Some(step), None),
        Some(Next::WaitUntil(due)) => (None, Some(due)),
        Some(Next::Settled) | None => (None, None),
    };
    let steps = [
        settling.filter(|_| is_primary),
        pace.filter(|_| is_primary),
        took_over.filter(|_| is_primary),
        wanted.reloaded(server).map(Step::Reload),
        slots(wanted, observed, server, is_primary),
        ready.filter(|_| is_primary),
        checkpoint.filter(|_| is_primary),
        succession::forked(wanted, server).filter(|_| is_primary),
        told,
        password::master(wanted, observed, server).filter(|_| is_primary),
        snapshots(wanted, observed),
        settle(instance),
    ];
    // None of them rests on another: one that failed and waits holds up nobody else.
    let mut soonest = due_to_settle;
    for step in steps.into_iter().flatten() {
        let failure = failure_of(&step, observed);
        let failure = failure.filter(|failure| given_up(wanted, failure).is_none());
        match failure.map(due).filter(|due| now.monotonic < *due) {
            None => return Next::Step(step),
            Some(due) => soonest = Some(soonest.map_or(due, |soonest: Monotonic| soonest.min(due))),
        }
    }
    if let Some((step, due_at)) = behind::next(wanted, observed) {
        let failed = failure_of(&step, observed).map(due);
        let due_at = failed.map_or(due_at, |failed| failed.max(due_at));
        if now.monotonic >= due_at {
            return Next::Step(step);
        }
        soonest = Some(soonest.map_or(due_at, |soonest: Monotonic| soonest.min(due_at)));
    }
    let opens = window::opens_in(&instance.maintenance_window, now.wall);
    match (opens.filter(|_| !instance.pending.is_empty()), soonest) {
        (Some(Span::ZERO), _) => Next::Step(Step::Record(Record::PendingApplied)),
        (_, Some(soonest)) => Next::WaitUntil(soonest),
        (None, None) => Next::Settled,
        // The wall clock may jump: it is asked again before long.
        (Some(span), None) => Next::WaitUntil(now.monotonic + span.min(LONGEST_WAIT)),
    }
}

/// What is to be done so that its role is the one that it is to have.
fn role_step(wanted: &Wanted, role: Role) -> Option<Step> {
    let instance = &wanted.instance;
    if wanted.duty.following().is_some() && role == Role::Standby {
        return None;
    }
    let failed = |reason: &str| {
        let reason = reason.to_owned();
        Some(Step::Record(Record::Failed { reason }))
    };
    let is_replica = instance.source.is_some();
    match (is_replica, instance.promotion.is_some(), role) {
        (true, true, Role::Standby) => Some(Step::Promote),
        (true, true, Role::Primary) => Some(Step::Record(Record::Promoted)),
        (true, false, Role::Primary) => failed("it is a primary, though nobody promoted it"),
        (false, _, Role::Standby) => failed("it is a standby, though it has no source"),
        (true, false, Role::Standby) | (false, _, Role::Primary) => None,
    }
}

/// The slots that it is to keep, if it doesn't: a primary, and a cluster's head that is a standby,
/// whose readers follow it.
fn slots(
    wanted: &Wanted,
    observed: &Observed,
    server: &ServerSeen,
    is_primary: bool,
) -> Option<Step> {
    if !is_primary {
        // What was kept for others while it wrote holds nothing but the log.
        let is_other = wanted.duty.following().is_some() && server.slots != wanted.readers;
        return is_other.then(|| Step::KeepSlots(wanted.readers.clone()));
    }
    let replicas = wanted.instance.replicas.values();
    let mut slots: BTreeSet<String> = replicas.map(|replica| replica.slot.clone()).collect();
    slots.extend(wanted.readers.iter().cloned());
    slots.extend(wanted.duty.slots().into_iter().flatten().cloned());
    slots.extend(pair::slot(wanted, observed));
    (server.slots != slots).then_some(Step::KeepSlots(slots))
}

/// What is to be done of the snapshots that are to be taken.
fn snapshots(wanted: &Wanted, observed: &Observed) -> Option<Step> {
    let snapshot = wanted.snapshots.first()?;
    let id = snapshot.id.clone();
    Some(match observed.snapshots.get(&id) {
        Some(SnapshotSeen::Whole { bytes, taken }) => Step::Record(Record::SnapshotTaken {
            id,
            bytes: *bytes,
            taken: *taken,
        }),
        Some(SnapshotSeen::Unfinished) => Step::DiscardSnapshot(id),
        None if observed.home == Home::Whole => Step::TakeSnapshot(id),
        // It waits, but for a deletion, which is given up: who asked for it can ask again.
        None if observed.home == Home::Unreadable && wanted.instance.deletion.is_none() => {
            return None;
        }
        None => Step::Record(Record::SnapshotFailed {
            id,
            reason: "its instance has no data that could be kept".to_owned(),
        }),
    })
}
