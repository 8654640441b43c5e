//! A head that is made a writer by force, where no majority of the sites is heard: what it is to be
//! by its cluster's row and the council's, and the next step to that.
//!
//! Always so: it waits as long as any takeover does, so that a writer which lost the majority with
//! it serves nobody; where the history begins that it writes is written down before anyone is
//! served; it is the council's writer by a failover of the council's alone; and as soon as that has
//! moved on without it, it serves nobody, and what was acknowledged there is kept before anything
//! else happens to it. One that was served and whose data are gone has failed: others of its
//! cluster may have what they were, so nothing is made in their place unasked.

use std::collections::BTreeSet;

use types::Now;

use super::duty::{self, Duty, Following};
use super::head::{cancelled, failed, head, is_confirmed, is_usable, record, step, wait};
use super::next::{LOOK_AGAIN, Next, UNREADABLE_WAIT, WAIT_FOR_MORE, Wanted};
use super::observed::{Home, Observed, Role};
use super::step::{Record, Step};
use crate::lease::TAKEOVER_WAIT;
use crate::model::{
    Cluster, Forced, ForcedStanding, ForkPoint, GlobalCluster, Instance, Leading, Move, Phase,
};
use crate::silence::takeover_due;

/// How a head takes over by force.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Forcing {
    /// What was asked for.
    pub forced: Forced,
    /// What it is promoted for.
    pub leading: Leading,
    /// Does its row say that it is to be promoted for that?
    pub is_written: bool,
    /// The council's failover to it, once that carries it out.
    pub settling: Option<Move>,
    /// How it follows until it is to be promoted.
    pub following: Following,
    /// The slots that it keeps for the other members' heads.
    pub slots: BTreeSet<String>,
}

impl Forcing {
    /// What tells its move from any other.
    pub fn move_number(&self) -> u64 {
        let settling = self.settling.as_ref();
        settling.map_or(self.forced.number, |moving| moving.number)
    }
}

/// The duty of a cluster's head, given what it would be if nothing had been forced, and the row of
/// the global cluster in the council's configuration of that revision.
pub(crate) fn of(
    duty: Duty,
    (instance, cluster): (&Instance, Option<&Cluster>),
    (revision, global): (u64, Option<&GlobalCluster>),
) -> Duty {
    let (Some(cluster), Some(headship), Some(global)) = (cluster, &instance.headship, global)
    else {
        return duty;
    };
    let id = &instance.resource_id;
    let is_its = |forced: &&Forced| forced.head == *id && cluster.head.as_ref() == Some(id);
    let Some(forced) = cluster.forced.as_ref().filter(is_its) else {
        return duty;
    };
    let leading = Leading {
        epoch: forced.epoch + 1,
        number: forced.number,
    };
    let is_written = headship.leads == Some(leading);
    let settling = match forced.standing(&cluster.arn, (revision, global)) {
        ForcedStanding::Unknown => return Duty::Await,
        ForcedStanding::Over => return duty,
        // The council was heard before it came to anything.
        ForcedStanding::Settling(_) if !is_written => return duty,
        ForcedStanding::Settling(moving) => Some(moving.clone()),
        ForcedStanding::Alone => None,
    };
    match duty::following(instance, headship, global) {
        None => Duty::Await,
        Some(following) => Duty::Forced(Box::new(Forcing {
            forced: forced.clone(),
            leading,
            is_written,
            settling,
            following,
            slots: duty::slots_of_others(headship, global),
        })),
    }
}

/// What comes next; `None`: what comes next of any instance.
pub(super) fn next(
    wanted: &Wanted,
    observed: &Observed,
    now: Now,
    forcing: &Forcing,
) -> Option<Next> {
    let headship = wanted.instance.headship.as_ref()?;
    let was_served = forcing.is_written && headship.forced.is_some();
    if wanted.instance.failure.is_some() {
        return match (&forcing.settling, was_served) {
            // Until a user says otherwise it is shown as what it was.
            (None, true) => None,
            _ => ended(forcing, "the target has failed"),
        };
    }
    let is_ready = headship.leads.is_none() && is_usable(&forcing.following);
    let is_copy = is_ready && headship.epoch == forcing.forced.epoch;
    match observed.home {
        Home::Whole if forcing.is_written || is_copy => {}
        // It may be read again at the next look, and a server on it has all that it needs.
        Home::Unreadable if observed.server.is_some() && forcing.is_written => {}
        Home::Unreadable if observed.server.is_some() => return None,
        Home::Unreadable => return Some(wait(now, UNREADABLE_WAIT)),
        _ if was_served && observed.server.is_some() => return step(Step::Stop),
        Home::Absent if was_served => return failed("its data directory is gone"),
        Home::Unfinished if was_served => return failed("its data directory is not whole"),
        _ => return ended(forcing, "the target is no copy of the writer"),
    }
    // Without a server it is started as any other is.
    let server = observed.server.as_ref()?;
    if server.generation != wanted.instance.generation {
        return step(Step::Stop);
    }
    match (server.role?, forcing.is_written) {
        (Role::Standby, false) => wait_out(observed, now, forcing),
        (Role::Standby, true) => match &forcing.settling {
            // The majority was heard before anyone was served: it is a move as any other.
            Some(moving) => fenced(wanted, observed, now, moving).or(step(Step::Promote)),
            None => step(Step::Promote),
        },
        (Role::Primary, false) => failed("it is a primary, though nobody promoted it"),
        (Role::Primary, true) => match (headship.forced, server.log.fork) {
            (None, Some(point)) => record(Record::Forced {
                number: forcing.forced.number,
                point,
            }),
            (None, None) => Some(wait(now, LOOK_AGAIN)),
            // What is left is done beside what any other writer does: `settling`.
            (Some(_), _) => None,
        },
    }
}

/// What comes next of the council's failover to one that serves by force: it goes on meanwhile, and
/// nothing else that it has to do waits for that.
pub(super) fn settling(wanted: &Wanted, observed: &Observed, now: Now) -> Option<Next> {
    let Duty::Forced(forcing) = &wanted.duty else {
        return None;
    };
    let point = wanted.instance.headship.as_ref()?.forced?;
    let moving = forcing.settling.as_ref().filter(|_| forcing.is_written)?;
    settle(wanted, observed, now, (forcing, moving, point))
}

/// It comes to nothing.
fn ended(forcing: &Forcing, reason: &str) -> Option<Next> {
    match &forcing.settling {
        Some(moving) => cancelled(moving, reason),
        None => record(Record::Unforced {
            number: forcing.forced.number,
            reason: reason.to_owned(),
        }),
    }
}

/// A writer that lost the majority with it serves for a lease more.
fn wait_out(observed: &Observed, now: Now, forcing: &Forcing) -> Option<Next> {
    let number = forcing.forced.number;
    let seen = observed.head.moving.filter(|seen| seen.number == number);
    let due = seen.map_or(now.monotonic, |seen| seen.at) + TAKEOVER_WAIT;
    match now.monotonic >= due {
        true => record(Record::Leading(forcing.leading)),
        false => Some(Next::WaitUntil(due)),
    }
}

/// What comes next of the council's failover to it: the old writer stops, or its lease is waited
/// out, as with any other; meanwhile it goes on.
fn settle(
    wanted: &Wanted,
    observed: &Observed,
    now: Now,
    (forcing, moving, point): (&Forcing, &Move, ForkPoint),
) -> Option<Next> {
    let number = moving.number;
    if moving.phase == Phase::Promoting {
        return match is_confirmed(wanted, observed) {
            true => record(Record::Leads { number, point }),
            false => Some(wait(now, WAIT_FOR_MORE)),
        };
    }
    if let Some(next) = fenced(wanted, observed, now, moving) {
        return Some(next);
    }
    match forcing.following.known.is_none() {
        // The row may name a reader that was to be the head: then nothing is said of this one.
        true => record(Record::Head(head(wanted, forcing.forced.epoch))),
        false => record(Record::Promoting { number }),
    }
}

/// What is waited for until the old writer serves nobody; `None`: it serves nobody.
fn fenced(wanted: &Wanted, observed: &Observed, now: Now, moving: &Move) -> Option<Next> {
    if moving.phase != Phase::Fencing {
        return None;
    }
    let seen = observed.head.moving;
    let seen = seen.filter(|seen| seen.number == moving.number);
    let (row, lease) = (wanted.lease.as_ref(), observed.head.lease.as_ref());
    match seen.map(|seen| takeover_due(seen, row, lease)) {
        Some(due) if now.monotonic >= due => None,
        Some(due) => Some(Next::WaitUntil(due)),
        None => Some(wait(now, LOOK_AGAIN)),
    }
}
