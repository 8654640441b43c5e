//! The next step of an instance that has two homes, a primary's and a synchronous standby's in
//! another zone (`MultiAZ`): to follow, to keep in step, to take over, and to come back.
//!
//! Always so, whatever dies at whatever moment (`docs/decisions/0013-multi-az.md`): as long as the
//! row says that the standby is in step, every commit of the primary waits for it; that it is out
//! of step is written down before the first one doesn't. Only a standby that is in step takes over,
//! and it is promoted once no server runs on the other home. The old primary's home follows once it
//! was rewound or copied anew, and is in step once it has all that was acknowledged meanwhile.

use types::{Now, Span};

use super::behind;
use super::next::{LOOK_AGAIN, Next, UNREADABLE_WAIT, Wanted};
use super::observed::{FailureKind, Home, MateSeen, MateSlot, Observed, Role, ServerSeen};
use super::step::{Record, Removal, Settings, Step, StepKind, Upstream};
use crate::attach;
use crate::model::{Instance, Power, ResourceId, Standby};

/// How long commits wait for a standby that doesn't answer, before they go on without it. One whose
/// zone is down isn't waited for at all.
pub const STALL: Span = Span::seconds(3);

/// A standby whose disk was even with the primary's this lately keeps up.
const LATELY: Span = Span::seconds(1);

/// How many bytes of log a standby may lack when commits begin to wait for it.
const NEAR: u64 = 1 << 20;

/// How long it is until it is looked again whether the other home's server has ended.
const HANDOVER: Span = Span::milliseconds(20);

/// How often a rewind is tried before the home is copied anew.
const MOST_REWINDS: u32 = 2;

/// How often a primary's server may fail to start before its standby takes over.
const MOST_STARTS: u32 = 2;

fn wait(now: Now, span: Span) -> Next {
    Next::WaitUntil(now.monotonic + span)
}

/// The standby that the commits of an instance's primary wait for from its start on.
pub(super) fn synchronous(instance: &Instance) -> Option<ResourceId> {
    let standby = instance.standby.as_ref();
    let standby = standby.filter(|standby| standby.is_in_step);
    standby.map(|standby| standby.home.clone())
}

/// The slot that a primary keeps for its standby. One that was lost goes once there is nothing any
/// more that would follow by it, and is made again then.
pub(super) fn slot(wanted: &Wanted, observed: &Observed) -> Option<String> {
    let standby = wanted.instance.standby.as_ref()?;
    if standby.is_leaving {
        return None;
    }
    // Of a zone that is down nobody may have looked at the home since this process began.
    let is_absent = |mate: &MateSeen| mate.is_zone_up && mate.home == Home::Absent && !mate.runs;
    let mate = observed.pair.mate.filter(is_absent);
    let is_useless = mate.is_some_and(|mate| mate.slot == MateSlot::Lost);
    (!is_useless).then(|| attach::slot(&standby.home))
}

/// Is there still something of a standby whose instance is deleted?
pub(super) fn is_mate_left(wanted: &Wanted, observed: &Observed) -> bool {
    // Of a zone that is down nobody may have looked at the home since this process began.
    let is_gone = |mate: MateSeen| mate.is_zone_up && mate.home == Home::Absent && !mate.runs;
    wanted.instance.standby.is_some() && !observed.pair.mate.is_some_and(is_gone)
}

/// Has the standby all that the primary has on its disk, if it is in step?
pub(super) fn is_even(wanted: &Wanted, observed: &Observed) -> bool {
    let pair = &observed.pair;
    let standby = wanted.instance.standby.as_ref();
    standby.is_none_or(|it| !it.is_in_step) || pair.flushed >= pair.written
}

/// Of the primary's home, before it is treated as any other; `None`: it is.
pub(super) fn primary(wanted: &Wanted, observed: &Observed, now: Now) -> Option<Next> {
    let instance = &wanted.instance;
    let standby = instance.standby.as_ref()?;
    match &observed.server {
        // The standby has all of it, and takes over before long.
        None if standby.is_in_step && observed.home != Home::Whole => Some(wait(now, LOOK_AGAIN)),
        None => None,
        Some(server) => {
            let is_standby = server.role == Some(Role::Standby);
            let is_due = instance.home.is_some() && is_standby;
            (is_due && server.generation == instance.generation).then(|| promote(observed, now))
        }
    }
}

/// It took over: the row says so. What the old primary still acknowledges waits for this one.
fn promote(observed: &Observed, now: Now) -> Next {
    match observed.pair.mate {
        Some(mate) if !mate.runs => Next::Step(Step::Promote),
        _ => wait(now, HANDOVER),
    }
}

/// What a primary has to do for its standby beside what every instance has: to keep pace, to say
/// that it took over, and to be what the other can be rewound to.
pub(super) fn keeping(
    wanted: &Wanted,
    observed: &Observed,
    server: &ServerSeen,
    now: Now,
) -> [Option<Step>; 3] {
    let Some(standby) = &wanted.instance.standby else {
        return match server.settings.synchronous.is_some() {
            true => [Some(Step::Synchronise(None)), None, None],
            false => [None, None, None],
        };
    };
    let took_over = standby
        .is_failing_over
        .then_some(Step::Record(Record::TookOver));
    let is_old_primary = observed.pair.mate.is_some_and(|mate| mate.is_primary_data);
    let is_ready = observed.pair.is_checkpointed || !is_old_primary;
    [
        pace(standby, observed, server, now),
        took_over,
        (!is_ready).then_some(Step::Checkpoint),
    ]
}

/// What follows from how the standby keeps up.
fn pace(standby: &Standby, observed: &Observed, server: &ServerSeen, now: Now) -> Option<Step> {
    let pair = &observed.pair;
    let home = || standby.home.clone();
    let waits = server.settings.synchronous.as_ref() == Some(&standby.home);
    let is_down = pair.mate.is_some_and(|mate| !mate.is_zone_up);
    let span = pair.even_at.map(|at| now.monotonic - at);
    let is_late = is_down || standby.is_leaving || span.is_some_and(|span| span >= STALL);
    if standby.is_in_step {
        let record = Record::OutOfStep { standby: home() };
        return (is_late || !waits).then_some(Step::Record(record));
    }
    if server.settings.synchronous.is_some() && (is_late || !waits) {
        return Some(Step::Synchronise(None));
    }
    if waits {
        return match (pair.synchronous_since, pair.flushed) {
            (Some(since), Some(flushed)) if flushed >= since => {
                Some(Step::Record(Record::InStep { standby: home() }))
            }
            (None, _) if !pair.is_proving => Some(Step::Synchronise(Some(home()))),
            _ => None,
        };
    }
    let lacks = |flushed: crate::model::Lsn| {
        let written = pair.written.unwrap_or_default();
        written.0.saturating_sub(flushed.0)
    };
    let is_near = pair.flushed.is_some_and(|flushed| lacks(flushed) <= NEAR);
    let keeps_up = span.is_some_and(|span| span < LATELY) && is_near;
    (!is_late && keeps_up).then(|| Step::Synchronise(Some(home())))
}

/// Of the standby's home.
pub(super) fn standby(wanted: &Wanted, observed: &Observed, now: Now) -> Next {
    let instance = &wanted.instance;
    let Some(standby) = wanted.standby() else {
        return Next::Settled;
    };
    if instance.deletion.is_some() && !standby.is_leaving && !wanted.snapshots.is_empty() {
        // A deletion whose last snapshot fails is given up: this home may be all there is then.
        return wait(now, LOOK_AGAIN);
    }
    if instance.deletion.is_some() || standby.is_leaving {
        return leave(wanted, observed, standby);
    }
    if instance.failure.is_some() {
        return Next::Settled;
    }
    if let Some(record) = take_over(instance, observed, standby) {
        return Next::Step(Step::Record(record));
    }
    let Some(mate) = observed.pair.mate.filter(|_| instance.was_available()) else {
        return wait(now, LOOK_AGAIN);
    };
    if instance.power == Power::Stopped {
        // Not before the primary, whose commits would wait for it.
        return match (mate.runs, &observed.server) {
            (true, _) => wait(now, LOOK_AGAIN),
            (false, Some(_)) => Next::Step(Step::Stop),
            (false, None) => Next::Settled,
        };
    }
    if let Some(next) = home(wanted, observed, now, (standby, mate)) {
        return next;
    }
    match &observed.server {
        None => Next::Step(start(wanted)),
        Some(server) => follow(wanted, server, now),
    }
}

/// Nothing is to stay of it.
fn leave(wanted: &Wanted, observed: &Observed, standby: &Standby) -> Next {
    if observed.server.is_some() {
        return Next::Step(Step::Stop);
    }
    if observed.home != Home::Absent {
        return Next::Step(Step::RemoveHome(Removal::Deleted));
    }
    match wanted.instance.deletion.is_some() {
        // The primary's home is the last to go.
        true => Next::Settled,
        false => Next::Step(Step::Record(Record::Parted {
            standby: standby.home.clone(),
        })),
    }
}

/// Takes over if it is to, and may.
fn take_over(instance: &Instance, observed: &Observed, standby: &Standby) -> Option<Record> {
    let mate = observed.pair.mate?;
    let server = observed.server.as_ref()?;
    let may = standby.is_in_step && instance.power == Power::Running && instance.was_available();
    let is_standby = server.role == Some(Role::Standby) && !server.is_paused;
    let can = observed.home == Home::Whole && is_standby;
    let is_due = standby.is_forced || !mate.is_zone_up || cannot_live(mate);
    (may && can && is_due).then(|| Record::TakeOver {
        standby: standby.home.clone(),
    })
}

/// Is a primary gone that doesn't come back by itself?
fn cannot_live(mate: MateSeen) -> bool {
    !mate.runs && (mate.home != Home::Whole || mate.failed_starts >= MOST_STARTS)
}

/// What is to be done until there is a home that can follow; `None`: there is.
fn home(
    wanted: &Wanted,
    observed: &Observed,
    now: Now,
    (standby, mate): (&Standby, MateSeen),
) -> Option<Next> {
    let runs = observed.server.is_some();
    let upstream = || upstream(wanted);
    // As long as the row says that it is in step, what it holds may be the last copy.
    let may_change = !standby.is_in_step;
    let is_ready = may_change && mate.runs && mate.slot == MateSlot::Kept;
    // All that an old primary had the other one has had since it took over, which a checkpoint of
    // its own timeline shows; a rewound home would need the log that is gone.
    let is_lost = may_change && mate.slot == MateSlot::Lost;
    let is_lost = is_lost && (!observed.pair.is_primary_data || mate.is_checkpointed);
    let look_again = || Some(wait(now, LOOK_AGAIN));
    let step = match observed.home {
        Home::Unreadable if runs => return None,
        Home::Unreadable => return Some(wait(now, UNREADABLE_WAIT)),
        Home::Absent | Home::Unfinished if runs => Step::Stop,
        _ if observed.pair.is_primary_data && runs => Step::Stop,
        Home::Absent | Home::Unfinished if !may_change => return look_again(),
        Home::Unfinished => Step::RemoveHome(Removal::Unfinished),
        Home::Absent if !is_ready => return look_again(),
        Home::Absent => Step::Copy(upstream()),
        Home::Whole if is_lost => match runs {
            true => Step::Stop,
            false => Step::RemoveHome(Removal::Diverged(upstream())),
        },
        Home::Whole if observed.pair.is_primary_data => {
            return match is_ready && mate.is_checkpointed {
                false => look_again(),
                true if is_rewind_hopeless(observed) => {
                    Some(Next::Step(Step::RemoveHome(Removal::Diverged(upstream()))))
                }
                true => Some(Next::Step(Step::Rewind {
                    upstream: upstream(),
                    epoch: 0,
                })),
            };
        }
        Home::Whole if may_change && is_behind(observed, now) => Step::Reseed(upstream()),
        Home::Whole => return None,
    };
    Some(Next::Step(step))
}

/// Has the other home had no more of the log that this one needs for long enough, whatever its slot
/// looks like? One that was made anew keeps nothing of before.
fn is_behind(observed: &Observed, now: Now) -> bool {
    let behind = observed.behind.as_ref();
    behind.is_some_and(|behind| now.monotonic >= behind::due(behind))
}

fn is_rewind_hopeless(observed: &Observed) -> bool {
    let failure = observed.failures.get(&StepKind::Rewind);
    failure.is_some_and(|failure| {
        failure.attempts >= MOST_REWINDS
            && !matches!(failure.kind, FailureKind::Source | FailureKind::DiskFull)
    })
}

fn start(wanted: &Wanted) -> Step {
    Step::Start {
        generation: wanted.instance.generation,
        settings: Settings {
            parameters: wanted.parameters.clone(),
            upstream: Some(upstream(wanted)),
            synchronous: None,
        },
    }
}

/// Of a server that follows, and is to.
fn follow(wanted: &Wanted, server: &ServerSeen, now: Now) -> Next {
    let is_its = server.settings.upstream.as_ref() == Some(&upstream(wanted));
    if server.generation != wanted.instance.generation || !is_its {
        return Next::Step(Step::Stop);
    }
    match server.role {
        None => wait(now, LOOK_AGAIN),
        Some(Role::Primary) => Next::Step(Step::Stop),
        Some(Role::Standby) if server.is_paused => Next::Step(Step::Stop),
        Some(Role::Standby) => match wanted.reloaded(server) {
            Some(settings) => Next::Step(Step::Reload(settings)),
            None => Next::Settled,
        },
    }
}

/// The primary's home, as it is reached from the standby's.
pub(super) fn upstream(wanted: &Wanted) -> Upstream {
    Upstream {
        source: wanted.instance.arn.clone(),
        source_id: wanted.instance.home().clone(),
        slot: attach::slot(&wanted.home),
        application_name: wanted.home.0.clone(),
    }
}
