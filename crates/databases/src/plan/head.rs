//! The next step of a cluster's head that is a member of a global cluster: to lead, to make room,
//! to follow, to take over, and to come back.
//!
//! Always so: what a head alone holds is kept before it is rewound or removed; a head is promoted
//! only once the old writer serves nobody, and this is written down before; a head that was to lead
//! starts as a standby only once its data are a part of the latest history again.

use types::{Monotonic, Now, Span};

use super::duty::{Duty, Following, TakeOver};
use super::next::{LOOK_AGAIN, Next, UNREADABLE_WAIT, WAIT_FOR_MORE, Wanted, start};
use super::observed::{FailureKind, Home, Observed, Role, ServerSeen};
use super::step::{Record, Removal, Settings, Step, StepKind, Upstream};
use super::{cession, forced, handover, reading};
use crate::lease::{SILENT_WAIT, SWITCHOVER_WAIT, TAKEOVER_WAIT};
use crate::model::{Handover, Head, Leading, Lsn, Move, Phase};
use crate::parameters;
use crate::silence::takeover_due;

/// How often a rewind is tried before the head is copied anew.
const MOST_REWINDS: u32 = 2;

/// A target without a stream, which lacks what the stopped writer had, waits for so long before it
/// calls the move off: a look that falls between the last bytes and the end of the stream is
/// followed by others.
const STARVED_WAIT: Span = Span::seconds(1);

/// What comes next by a head's duty; `None`: what comes next of any instance.
pub(super) fn next(wanted: &Wanted, observed: &Observed, now: Now) -> Option<Next> {
    if wanted.instance.failure.is_some() {
        return match &wanted.duty {
            Duty::Drain(moving) => Some(drain(wanted, observed, now, moving)),
            Duty::TakeOver(takeover) => cancelled(&takeover.moving, "the target has failed"),
            Duty::Forced(forcing) => forced::next(wanted, observed, now, forcing),
            Duty::HandOver(handover) if handover.is_claimed => {
                Some(handover::resign(wanted, observed, now, handover))
            }
            Duty::HandOver(handover) => record(Record::Kept {
                number: handover.number,
                reason: "the writer has failed".to_owned(),
            }),
            Duty::Cede(cession) => Some(cession::cede(wanted, observed, now, cession)),
            Duty::CallOff(handover) => call_off(handover),
            _ => None,
        };
    }
    match &wanted.duty {
        Duty::Alone => None,
        Duty::Left => left(wanted, observed),
        Duty::Await => Some(wait(now, WAIT_FOR_MORE)),
        Duty::Lead { epoch, .. } => lead(wanted, observed, now, *epoch),
        Duty::Drain(moving) => Some(drain(wanted, observed, now, moving)),
        Duty::Follow(following) => follow(wanted, observed, now, following),
        Duty::TakeOver(takeover) => take_over(wanted, observed, now, takeover),
        Duty::Read(reading) => reading::next(wanted, observed, now, reading),
        Duty::HandOver(handover) => Some(handover::resign(wanted, observed, now, handover)),
        Duty::Forced(forcing) => forced::next(wanted, observed, now, forcing),
        Duty::Cede(cession) => Some(cession::cede(wanted, observed, now, cession)),
        Duty::CallOff(handover) => call_off(handover),
    }
}

/// It was asked of a member that followed, and that is another by now.
fn call_off(handover: &Handover) -> Option<Next> {
    record(Record::Kept {
        number: handover.number,
        reason: "the role of its cluster in the global cluster is changing".to_owned(),
    })
}

pub(super) fn step(step: Step) -> Option<Next> {
    Some(Next::Step(step))
}

pub(super) fn record(record: Record) -> Option<Next> {
    step(Step::Record(record))
}

pub(super) fn failed(reason: &str) -> Option<Next> {
    let reason = reason.to_owned();
    record(Record::Failed { reason })
}

pub(super) fn cancelled(moving: &Move, reason: &str) -> Option<Next> {
    let number = moving.number;
    let reason = reason.to_owned();
    record(Record::Cancelled { number, reason })
}

/// Is what the plan goes by as new as anything that the council decided since this process began?
pub(super) fn is_confirmed(wanted: &Wanted, observed: &Observed) -> bool {
    let confirmed = observed.head.confirmed;
    confirmed.is_some_and(|revision| revision <= wanted.revision)
}

pub(super) fn wait(now: Now, span: Span) -> Next {
    Next::WaitUntil(now.monotonic + span)
}

/// Of one that isn't a member any more: what it has is its own.
fn left(wanted: &Wanted, observed: &Observed) -> Option<Next> {
    if let Some(server) = &observed.server {
        let is_standby = server.role == Some(Role::Standby);
        return is_standby.then_some(Next::Step(Step::Promote));
    }
    match observed.home {
        Home::Whole | Home::Unreadable => None,
        Home::Absent | Home::Unfinished if wanted.is_new_head => failed(
            "its data were lost before it was promoted in the place of a head that was dead, \
             which can have the role back by FailoverDBCluster",
        ),
        Home::Absent | Home::Unfinished => {
            failed("its cluster was removed from its global cluster before it was a copy")
        }
    }
}

fn lead(wanted: &Wanted, observed: &Observed, now: Now, epoch: u64) -> Option<Next> {
    let headship = wanted.instance.headship.as_ref()?;
    let is_new = observed.home == Home::Absent && !wanted.instance.was_available();
    if headship.leads.map(|leads| leads.epoch) != Some(epoch) {
        // By an old configuration it may only seem so.
        if !is_confirmed(wanted, observed) {
            return Some(wait(now, WAIT_FOR_MORE));
        }
        return match is_new {
            true if headship.epoch != epoch => record(Record::Aligned { epoch }),
            true => record(Record::Leading(Leading { epoch, number: 0 })),
            false => failed("it is to write for its global cluster, and holds other data"),
        };
    }
    let role = observed.server.as_ref().and_then(|server| server.role);
    if role == Some(Role::Standby) {
        return step(Step::Promote);
    }
    // After a restart it may have been taken over from, unheard. Nobody reaches a writer before its
    // Region's lease is decided, so nothing is late by this; and one that was taken over from would
    // only be stopped again, and have written on in the log that its return goes by.
    let is_idle = observed.home == Home::Whole && observed.server.is_none();
    if is_idle && !is_confirmed(wanted, observed) {
        return Some(wait(now, LOOK_AGAIN));
    }
    None
}

/// What a primary that leads has to do beside what every instance has.
pub(super) fn leading(wanted: &Wanted, server: &ServerSeen) -> [Option<Step>; 2] {
    let Duty::Lead {
        epoch,
        unchecked,
        known,
        ..
    } = &wanted.duty
    else {
        return [None, None];
    };
    let is_known = known.as_ref() == Some(&head(wanted, *epoch));
    let told = (!is_known).then(|| Step::Record(Record::Head(head(wanted, *epoch))));
    let checkpoint = unchecked.map(|point| match server.log.checkpoint_timeline {
        Some(timeline) if timeline >= point.timeline => {
            Step::Record(Record::Checkpointed { epoch: *epoch })
        }
        _ => Step::Checkpoint,
    });
    [checkpoint, told]
}

/// What the others are to know of it.
pub(super) fn head(wanted: &Wanted, epoch: u64) -> Head {
    let instance = &wanted.instance;
    Head {
        arn: instance.arn.clone(),
        resource_id: instance.resource_id.clone(),
        class: instance.class.clone(),
        floors: parameters::floors(&wanted.own_parameters),
        epoch,
        writer_address: wanted.writer_address,
    }
}

/// Of the old writer's head.
fn drain(wanted: &Wanted, observed: &Observed, now: Now, moving: &Move) -> Next {
    let number = moving.number;
    let is_switchover = !matches!(moving.phase, Phase::Fencing | Phase::Fenced)
        && moving.kind == crate::model::MoveKind::Switchover;
    // Once the other is promoted, it alone can say that nothing came of it.
    let is_revocable = is_switchover && moving.phase != Phase::Promoting;
    let (over, reason) = called_off(observed, now, number);
    if is_revocable && now.monotonic >= over {
        let reason = reason.to_owned();
        return Next::Step(Step::Record(Record::Cancelled { number, reason }));
    }
    if let Some(server) = &observed.server {
        // One that is still recovering can't be stopped in order.
        return match is_switchover && server.role.is_none() {
            true => wait(now, LOOK_AGAIN),
            false => Next::Step(Step::Stop),
        };
    }
    match (moving.phase, observed.head.stopped) {
        (Phase::Fencing, _) => Next::Step(Step::Record(Record::Fenced { number })),
        (Phase::Draining, Some(stopped)) if stopped.is_clean => {
            let lsn = stopped.end;
            Next::Step(Step::Record(Record::Drained { number, lsn }))
        }
        // It ended by itself: it has to recover before it can be stopped in order.
        (Phase::Draining, Some(_)) => Next::Step(start(wanted)),
        (Phase::Draining, None) => wait(now, LOOK_AGAIN),
        // By then the target's Region may have been heard, or not any more.
        _ if is_revocable => Next::WaitUntil(over.min(now.monotonic + WAIT_FOR_MORE)),
        _ => Next::Settled,
    }
}

/// When the old writer calls a switchover off that hasn't come further, as things stand, and why.
fn called_off(observed: &Observed, now: Now, number: u64) -> (Monotonic, &'static str) {
    let seen = observed.head.moving.filter(|seen| seen.number == number);
    let late = seen.map_or(now.monotonic, |seen| seen.at) + SWITCHOVER_WAIT;
    let silent = observed.head.silent_since.map(|since| since + SILENT_WAIT);
    match silent.filter(|silent| *silent < late) {
        Some(silent) => (silent, "nothing is heard of the target's Region"),
        None => (late, "it took too long"),
    }
}

fn follow(wanted: &Wanted, observed: &Observed, now: Now, following: &Following) -> Option<Next> {
    let headship = wanted.instance.headship.as_ref()?;
    let epoch = following.epoch;
    match observed.home {
        Home::Whole => {}
        Home::Unreadable if observed.server.is_some() => return None,
        Home::Unreadable => return Some(wait(now, UNREADABLE_WAIT)),
        _ if observed.server.is_some() => return step(Step::Stop),
        Home::Unfinished => return step(Step::RemoveHome(Removal::Unfinished)),
        Home::Absent if headship.epoch != epoch || headship.leads.is_some() => {
            return record(Record::Aligned { epoch });
        }
        // The writer keeps the slot only once it knows of this head.
        Home::Absent if following.known.is_none() => return record(Record::Head(head(wanted, 0))),
        Home::Absent => return step(Step::Copy(following.upstream.clone())),
    }
    if headship.leads.is_some() || !is_usable(following) {
        return come_back(wanted, observed, now, following);
    }
    // Without a server it is started as any other is.
    let server = observed.server.as_ref()?;
    if server.settings.upstream.as_ref() != Some(&following.upstream) {
        return step(Step::Stop);
    }
    let role = server.role?;
    if role == Role::Primary {
        return failed("it is a primary, though nobody promoted it");
    }
    if is_past(server, following) {
        return record(Record::Diverged);
    }
    let is_there = server.receives && server.log.timeline == Some(following.timeline);
    if headship.epoch < epoch && is_there {
        return record(Record::Aligned { epoch });
    }
    // How far it was is said until it has been further.
    let known = following.known.as_ref().map_or(0, |known| known.epoch);
    let held = match (is_there, &observed.behind) {
        (true, _) => headship.epoch,
        // It is copied anew: nobody counts on it until it follows again.
        (false, Some(_)) => 0,
        (false, None) => known,
    };
    let held = head(wanted, held);
    match following.known.as_ref() == Some(&held) {
        true => None,
        false => record(Record::Head(held)),
    }
}

/// Can what it holds follow, unless it is past a fork, of which PostgreSQL tells?
pub(super) fn is_usable(following: &Following) -> bool {
    !following.is_unled && following.is_known && following.is_told_apart
}

/// Has it what is no part of the latest history?
pub(super) fn is_past(server: &ServerSeen, following: &Following) -> bool {
    let end = server.log.received.max(server.log.replayed);
    let is_there = server.log.timeline == Some(following.timeline);
    !is_there
        && following
            .stands_until
            .is_some_and(|until| end.is_some_and(|end| end > until))
}

/// Of a whole home that may hold what is no part of the latest history.
fn come_back(
    wanted: &Wanted,
    observed: &Observed,
    now: Now,
    following: &Following,
) -> Option<Next> {
    if observed.server.is_some() {
        return step(Step::Stop);
    }
    if !is_confirmed(wanted, observed) {
        return Some(wait(now, WAIT_FOR_MORE));
    }
    if following.is_moving {
        return Some(wait(now, LOOK_AGAIN));
    }
    let leads = wanted.instance.headship.as_ref()?.leads;
    let has_led = leads.is_some_and(|leads| !leads.is_for_nothing()) && !following.is_unled;
    let epoch = following.epoch;
    let upstream = following.upstream.clone();
    let Some(stopped) = observed.head.stopped else {
        return Some(wait(now, LOOK_AGAIN));
    };
    if !following.is_known {
        // Where it left the others is forgotten, so all that its log still holds is kept.
        let (base, from) = (following.base, Lsn(0));
        let is_kept = observed.head.tails.get(&base) == Some(&from);
        return match leads.is_some() && !is_kept {
            true => step(Step::KeepTail { base, from }),
            false => step(given_up(observed, base, upstream)),
        };
    }
    let is_part = |until: Lsn| stopped.is_clean && stopped.end <= until;
    if has_led && following.is_told_apart && following.stands_until.is_none_or(is_part) {
        return step(Step::Follow { epoch });
    }
    // Of a history that stands wholly nothing is lost: the writer has it all.
    if let Some((base, from)) = following.alone() {
        let kept = observed.head.tails.get(&base);
        if kept.is_none_or(|kept| *kept > from) {
            return step(Step::KeepTail { base, from });
        }
        if observed.head.short.contains(&base) {
            return step(given_up(observed, base, upstream));
        }
    }
    if !following.is_told_apart || is_rewind_hopeless(observed) {
        return step(Step::RemoveHome(Removal::Diverged(upstream)));
    }
    if !following.is_checkpointed {
        return Some(wait(now, LOOK_AGAIN));
    }
    step(Step::Rewind { upstream, epoch })
}

/// How a home goes that is to be copied anew, once a tail of that base was kept of it if one was to
/// be: aside, where the tail doesn't hold all of it.
pub(super) fn given_up(observed: &Observed, base: u64, upstream: Upstream) -> Step {
    let kept = observed.head.tails.get(&base).copied();
    match kept.filter(|_| observed.head.short.contains(&base)) {
        Some(from) => Step::SetAside {
            upstream,
            base,
            from,
        },
        None => Step::RemoveHome(Removal::Diverged(upstream)),
    }
}

fn is_rewind_hopeless(observed: &Observed) -> bool {
    let failure = observed.failures.get(&StepKind::Rewind);
    failure.is_some_and(|failure| {
        failure.attempts >= MOST_REWINDS
            && !matches!(failure.kind, FailureKind::Source | FailureKind::DiskFull)
    })
}

fn take_over(wanted: &Wanted, observed: &Observed, now: Now, takeover: &TakeOver) -> Option<Next> {
    let (moving, following) = (&takeover.moving, &takeover.following);
    if moving.phase == Phase::Promoting {
        return promote(wanted, observed, now, takeover);
    }
    let number = moving.number;
    let cannot = |reason: &str| cancelled(moving, reason);
    let headship = wanted.instance.headship.as_ref()?;
    let is_ready = headship.leads.is_none() && is_usable(following);
    if !is_ready || observed.home == Home::Absent || observed.home == Home::Unfinished {
        return cannot("the target is no copy of the writer");
    }
    // In a row that names another nothing is said of what this one has.
    let promoting = || match following.known {
        Some(_) => record(Record::Promoting { number }),
        None => record(Record::Head(head(wanted, headship.epoch))),
    };
    if takeover.is_switchover() {
        let lsn = match moving.phase {
            Phase::Drained { lsn } => Some(lsn),
            _ => None,
        };
        let server = observed.server.as_ref();
        let has = |lsn: Lsn| server.is_some_and(|server| server.log.replayed >= Some(lsn));
        let is_standby = server.is_some_and(|server| server.role == Some(Role::Standby));
        let is_aligned = headship.epoch == following.epoch;
        if is_aligned && is_standby && lsn.is_some_and(has) {
            return promoting();
        }
        // What it lacks would come from a server that has stopped for good.
        let is_starved = server.is_some_and(|server| is_starved(server, now));
        if is_standby && is_starved && lsn.is_some_and(|lsn| !has(lsn)) {
            return cannot("the target lost its stream before it had all of the writer's log");
        }
        return follow(wanted, observed, now, following);
    }
    let Some(server) = observed
        .server
        .as_ref()
        .filter(|it| it.role == Some(Role::Standby))
    else {
        return follow(wanted, observed, now, following);
    };
    if is_past(server, following) {
        return cannot("the target holds what is no part of the writer's history");
    }
    let seen = observed.head.moving.filter(|seen| seen.number == number);
    let lease = (wanted.lease.as_ref(), observed.head.lease.as_ref());
    let due = seen.map(|seen| takeover_due(seen, lease.0, lease.1));
    let due = due.unwrap_or(now.monotonic + TAKEOVER_WAIT);
    match moving.phase == Phase::Fenced || (seen.is_some() && now.monotonic >= due) {
        true => promoting(),
        false if due > now.monotonic => Some(Next::WaitUntil(due)),
        false => Some(wait(now, LOOK_AGAIN)),
    }
}

/// Has it received nothing for long, and replayed all that it has?
fn is_starved(server: &ServerSeen, now: Now) -> bool {
    let since = server.log.starved_since;
    since.is_some_and(|since| now.monotonic >= since + STARVED_WAIT)
}

/// The old writer serves nobody, and this one has what it waited for.
fn promote(wanted: &Wanted, observed: &Observed, now: Now, takeover: &TakeOver) -> Option<Next> {
    let headship = wanted.instance.headship.as_ref()?;
    let number = takeover.moving.number;
    let is_written = headship.leads == Some(takeover.leading);
    let cannot = || {
        let reason = "the target is no copy of the writer any more";
        cancelled(&takeover.moving, reason)
    };
    if !is_confirmed(wanted, observed) {
        return Some(wait(now, WAIT_FOR_MORE));
    }
    match observed.home {
        Home::Whole => {}
        // It may be read again at the next look, and a server on it has all that it needs.
        Home::Unreadable if observed.server.is_none() => {
            return Some(wait(now, UNREADABLE_WAIT));
        }
        Home::Unreadable => {}
        Home::Absent | Home::Unfinished => return cannot(),
    }
    // Without a server it is started as any other is.
    let server = observed.server.as_ref()?;
    if server.generation != wanted.instance.generation {
        return step(Step::Stop);
    }
    match server.role {
        None => Some(wait(now, LOOK_AGAIN)),
        Some(_) if !is_written && headship.leads.is_some() => cannot(),
        Some(Role::Standby) if !is_written => record(Record::Leading(takeover.leading)),
        Some(Role::Standby) => step(Step::Promote),
        Some(Role::Primary) if !is_written => cannot(),
        Some(Role::Primary) => match server.log.fork {
            // Where its log ended couldn't be seen before it was replayed.
            Some(point) if takeover.is_beyond(point.lsn) => cancelled(
                &takeover.moving,
                "the target held what is no part of the writer's history",
            ),
            Some(point) => record(Record::Leads { number, point }),
            None => Some(wait(now, LOOK_AGAIN)),
        },
    }
}

/// What a head that isn't to be a primary yet is started with.
pub(super) fn settings(wanted: &Wanted) -> Option<Settings> {
    let upstream = match &wanted.duty {
        Duty::Follow(following) => Some(following.upstream.clone()),
        Duty::Read(reading) => Some(reading.following.upstream.clone()),
        Duty::TakeOver(takeover) if takeover.moving.phase != Phase::Promoting => {
            Some(takeover.following.upstream.clone())
        }
        Duty::Forced(forcing) if !forcing.is_written => Some(forcing.following.upstream.clone()),
        _ => return None,
    };
    Some(Settings {
        parameters: wanted.parameters.clone(),
        upstream,
        synchronous: None,
    })
}
