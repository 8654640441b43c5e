//! What a cluster's head is to be, by the row of its global cluster: pure, and the same for all who
//! know the same row. What it takes to become that is in `head`.

use std::collections::BTreeSet;

use super::cession::Cession;
use super::forced::Forcing;
use super::reading::Reading;
use super::step::Upstream;
use crate::attach;
use crate::model::{
    Fork, ForkPoint, GlobalCluster, Handover, Head, Headship, Instance, Leading, Lsn, Move,
    MoveKind, Phase,
};

/// What a head is to be.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Duty {
    /// It has no other's to heed: it is no head, or its cluster never was in a global cluster.
    Alone,
    /// Its cluster was a member of a global cluster and is one no more: it stands on its own.
    Left,
    /// What is known says nothing yet: nothing is started, nothing is stopped.
    Await,
    /// The writer's head.
    Lead {
        /// The epoch.
        epoch: u64,
        /// The slots that it keeps for the other members' heads.
        slots: BTreeSet<String>,
        /// The fork that it made and of which nobody knows yet that it has completed a checkpoint.
        unchecked: Option<ForkPoint>,
        /// What the row knows of it.
        known: Option<Head>,
    },
    /// The writer's head, whose role is taken away: it serves nobody, and stops.
    Drain(Move),
    /// It follows the writer's head.
    Follow(Following),
    /// It follows the writer's head until it may take over from it.
    TakeOver(TakeOver),
    /// It is no head: it follows its own cluster's.
    Read(Reading),
    /// The head of a cluster that is in no global cluster, whose role goes to one of its readers:
    /// it serves nobody, and stops.
    HandOver(Handover),
    /// It takes over by force, without a majority of the sites, or has.
    Forced(Box<Forcing>),
    /// The head of a member that doesn't write, whose role goes to one of its readers.
    Cede(Cession),
    /// The head of a member that was to hand its role over, and can't by what has become of its
    /// cluster.
    CallOff(Handover),
}

/// How a head becomes and stays a follower.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Following {
    /// The latest epoch.
    pub epoch: u64,
    /// The writer's head.
    pub upstream: Upstream,
    /// The timeline that it writes.
    pub timeline: u32,
    /// Has the writer completed a checkpoint on it?
    pub is_checkpointed: bool,
    /// The epoch of whose history this head's data are, with perhaps more on top.
    pub base: u64,
    /// Was it to lead an epoch that never came to be? Then there may be a timeline of its own on
    /// top, which no row knows. Nothing on that was served; what is below may be the last copy.
    pub is_unled: bool,
    /// Is the writer's role on its way? Until it has arrived nothing is removed: nobody can tell
    /// who will need it.
    pub is_moving: bool,
    /// Was what it was to lead served by force? Then what is on that timeline, from there on, was
    /// acknowledged: it is kept, under that number.
    pub forced: Option<(u64, Lsn)>,
    /// Up to where that history is a part of the latest one; `None`: wholly.
    pub stands_until: Option<Lsn>,
    /// Are all forks since known? Else nobody can tell what is a part of what.
    pub is_known: bool,
    /// Does PostgreSQL tell its history from the latest by the numbers of timelines? They may be
    /// given twice, by servers that knew nothing of each other.
    pub is_told_apart: bool,
    /// What the row knows of it.
    pub known: Option<Head>,
}

impl Following {
    /// From where on what it holds may be nowhere else, and under which epoch it is kept, or of
    /// what was forced under which number; `None`: all of it is the writer's too.
    pub(super) fn alone(&self) -> Option<(u64, Lsn)> {
        match (self.forced, self.stands_until) {
            (Some((number, began)), until) => {
                Some((number, until.map_or(began, |until| until.min(began))))
            }
            (None, until) => Some((self.base, until?)),
        }
    }
}

/// How a head takes over.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TakeOver {
    /// The move.
    pub moving: Move,
    /// What it is promoted for.
    pub leading: Leading,
    /// How it follows until then.
    pub following: Following,
}

impl Duty {
    /// The duty of an instance, given the row of the global cluster that its cluster is a member
    /// of; `revision` is that of the configuration in which that was looked for.
    pub fn of(
        instance: &Instance,
        joined: Option<u64>,
        found: (u64, Option<&GlobalCluster>),
    ) -> Duty {
        let Some(headship) = &instance.headship else {
            return Duty::Alone;
        };
        let (revision, global) = found;
        let global = global.filter(|global| binds(global, joined.is_some()));
        match (global, joined) {
            (Some(global), _) => of_member(instance, headship, global),
            // One that took over from another head stands on its own from then on.
            (None, None) if headship.leads.is_some() => Duty::Left,
            (None, None) => Duty::Alone,
            (None, Some(joined)) if joined <= revision => Duty::Left,
            (None, Some(_)) => Duty::Await,
        }
    }

    /// The move that concerns it, if its role is on its way.
    pub fn moving(&self) -> Option<&Move> {
        match self {
            Duty::Drain(moving) => Some(moving),
            Duty::TakeOver(takeover) => Some(&takeover.moving),
            Duty::Forced(forcing) => forcing.settling.as_ref(),
            _ => None,
        }
    }

    /// What tells the move that concerns it, or the forced failover until there is one, from any
    /// other.
    pub fn move_number(&self) -> Option<u64> {
        match self {
            Duty::Forced(forcing) => Some(forcing.move_number()),
            _ => self.moving().map(|moving| moving.number),
        }
    }

    /// The slots that it keeps for the other members' heads.
    pub fn slots(&self) -> Option<&BTreeSet<String>> {
        match self {
            Duty::Lead { slots, .. } => Some(slots),
            Duty::Forced(forcing) if forcing.is_written => Some(&forcing.slots),
            _ => None,
        }
    }

    /// The handover within its cluster that it makes room for.
    pub fn handover(&self) -> Option<&Handover> {
        match self {
            Duty::HandOver(handover) | Duty::CallOff(handover) => Some(handover),
            Duty::Cede(cession) => Some(&cession.handover),
            _ => None,
        }
    }

    /// Whom it follows, if it follows anyone.
    pub fn following(&self) -> Option<&Following> {
        match self {
            Duty::Follow(following) => Some(following),
            Duty::TakeOver(takeover) if takeover.moving.phase != Phase::Promoting => {
                Some(&takeover.following)
            }
            Duty::Read(reading) => Some(&reading.following),
            Duty::Forced(forcing) if !forcing.is_written => Some(&forcing.following),
            _ => None,
        }
    }
}

/// Does a global cluster bind a cluster of which it says that it is a member? One that is being
/// made of a cluster has no writer yet. It gets one once the cluster's own row says that it has
/// joined, and nobody else can be it: until then the cluster stands on its own, whatever becomes of
/// the request.
pub(super) fn binds(global: &GlobalCluster, has_joined: bool) -> bool {
    global.writer.is_some() || has_joined
}

fn of_member(instance: &Instance, headship: &Headship, global: &GlobalCluster) -> Duty {
    let own = &headship.cluster_arn;
    let moving = global.moving.as_ref();
    if global.writer.as_ref() == Some(own) {
        return match moving {
            Some(moving) => Duty::Drain(moving.clone()),
            None => lead(instance, headship, global),
        };
    }
    let Some(following) = following(instance, headship, global) else {
        return Duty::Await;
    };
    match moving.filter(|moving| moving.to == *own) {
        None => Duty::Follow(following),
        Some(moving) => Duty::TakeOver(TakeOver {
            leading: Leading {
                epoch: global.epoch + 1,
                number: moving.number,
            },
            moving: moving.clone(),
            following,
        }),
    }
}

fn known(instance: &Instance, headship: &Headship, global: &GlobalCluster) -> Option<Head> {
    let head = global.member(&headship.cluster_arn)?.head.clone()?;
    (head.resource_id == instance.resource_id).then_some(head)
}

/// The slots that a head keeps for the other members' heads.
pub(super) fn slots_of_others(headship: &Headship, global: &GlobalCluster) -> BTreeSet<String> {
    let others = global.members.values();
    let others = others.filter(|member| member.arn != headship.cluster_arn);
    let heads = others.filter_map(|member| member.head.as_ref());
    heads.map(|head| attach::slot(&head.resource_id)).collect()
}

fn lead(instance: &Instance, headship: &Headship, global: &GlobalCluster) -> Duty {
    let last = global.forks.last();
    let unchecked = last.filter(|fork| fork.epoch == global.epoch && !fork.is_checkpointed);
    Duty::Lead {
        epoch: global.epoch,
        slots: slots_of_others(headship, global),
        unchecked: unchecked.map(|fork| fork.point),
        known: known(instance, headship, global),
    }
}

pub(super) fn following(
    instance: &Instance,
    headship: &Headship,
    global: &GlobalCluster,
) -> Option<Following> {
    let head = global.writing_head()?;
    let (base, is_unled) = base(headship, global);
    let after = global.forks_after(base);
    let last = global.forks.last();
    Some(Following {
        epoch: global.epoch,
        upstream: Upstream {
            source: head.arn.clone(),
            source_id: head.resource_id.clone(),
            slot: attach::slot(&instance.resource_id),
            application_name: instance.resource_id.0.clone(),
        },
        timeline: last.map_or(1, |fork| fork.point.timeline),
        is_checkpointed: last.is_none_or(|fork| fork.is_checkpointed),
        base,
        is_unled,
        is_moving: global.moving.is_some(),
        forced: headship
            .leads
            .zip(headship.forced)
            .filter(|_| is_unled)
            .map(|(leads, point)| (leads.number, point.lsn)),
        stands_until: global.stands_until(base),
        is_known: after.is_some(),
        is_told_apart: !is_unled && after.is_some_and(|after| tells_apart(global, base, after)),
        known: known(instance, headship, global),
    })
}

/// The epoch of whose history a head's data are: the one that it led, if that came to be; and
/// whether it was to lead one that didn't.
pub(super) fn base(headship: &Headship, global: &GlobalCluster) -> (u64, bool) {
    let Some(leads) = headship.leads else {
        return (headship.epoch, false);
    };
    if leads.is_for_nothing() || leads.epoch == headship.epoch {
        return (headship.epoch, false);
    }
    let is_forgotten = |oldest: &Fork| leads.epoch < oldest.epoch;
    let is_it = |fork: &Fork| {
        let is_its_move = fork.number.is_none_or(|number| number == leads.number);
        fork.epoch == leads.epoch && fork.writer == headship.cluster_arn && is_its_move
    };
    let has_led = global.forks.first().is_some_and(is_forgotten) || global.forks.iter().any(is_it);
    match has_led {
        true => (leads.epoch, false),
        false => (headship.epoch, true),
    }
}

/// Has each of those forks a greater timeline than the one before?
fn tells_apart(global: &GlobalCluster, base: u64, after: &[Fork]) -> bool {
    let own = global.forks.iter().find(|fork| fork.epoch == base);
    // The first epoch has no fork: its timeline is 1. Of one that is forgotten nothing is known.
    let own = match (own, base) {
        (Some(fork), _) => fork.point.timeline,
        (None, 0 | 1) => 1,
        (None, _) => return after.is_empty(),
    };
    let mut last = own;
    after.iter().all(|fork| {
        let is_greater = fork.point.timeline > last;
        last = fork.point.timeline;
        is_greater
    })
}

impl TakeOver {
    /// Has it to have all that the old writer had?
    pub fn is_switchover(&self) -> bool {
        self.moving.kind == MoveKind::Switchover
    }

    /// Has the old writer stopped in order, so that all there is to replay is there?
    pub fn is_drained(&self) -> bool {
        matches!(self.moving.phase, Phase::Drained { .. })
    }

    /// Is a place beyond what of its data is a part of the writer's history?
    pub(super) fn is_beyond(&self, place: Lsn) -> bool {
        let until = self.following.stands_until;
        until.is_some_and(|until| place > until)
    }
}
