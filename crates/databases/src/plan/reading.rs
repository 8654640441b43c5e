//! A reader of a cluster: what it is to be, and the next step to that. It follows its cluster's
//! head and never leads, so it holds nothing that its head didn't hold before; but for one that was
//! its member's head and yielded, or that was a head from which another took over while it was
//! dead, until it follows the new one. Both rows are in one configuration: what the head's says of
//! its data, and what the reader's says, are of one moment.
//!
//! Always so: a reader that holds what its head holds no longer is copied anew, never rewound, and
//! not before its head's data are a part of the latest history and the head gives leave. What is a
//! part of no tail of its head's, whose disk may be lost, is kept first.

use types::Now;

use super::duty::{self, Duty, Following};
use super::handover;
use super::head::{failed, given_up, is_confirmed, is_past, is_usable, record, step, wait};
use super::next::{LOOK_AGAIN, Next, UNREADABLE_WAIT, WAIT_FOR_MORE, Wanted};
use super::observed::{Home, Observed, Role, ServerSeen};
use super::step::{Record, Removal, Step, Upstream};
use super::succession;
use crate::attach;
use crate::model::{Cluster, ForkPoint, GlobalCluster, Headship, Instance, Leading, Lsn};

/// How a reader follows its cluster's head.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Reading {
    /// How it follows. Of a cluster that is in no global cluster the epoch is that of its head's
    /// data, and the timeline is not known.
    pub following: Following,
    /// Are the head's data a part of the latest history, with nothing on top that may be taken
    /// back? Until then nothing is copied of it.
    pub is_head_ready: bool,
    /// Is its cluster a member of a global cluster?
    pub is_member: bool,
    /// It takes over from its head: the handover, and where the head's log ends.
    pub takes: Option<(u64, Lsn)>,
    /// It was the head, and handed over: where its log ended. All of it is the new head's as well.
    pub handed: Option<Lsn>,
    /// Where its head was promoted when it went along with that. Another reader may have become the
    /// head shortly before, and have received less than this one: what is beyond is nobody's.
    pub went_along: Option<ForkPoint>,
    /// It claims its head's role: the handover.
    pub claims: Option<u64>,
    /// May it claim it, as far as rows say?
    pub may_claim: bool,
    /// It was the head, and another took over while it was dead: what it alone holds, from there
    /// on, is kept before it is copied anew. `Some(None)`: it isn't known yet from where.
    pub lost_from: Option<Option<Lsn>>,
}

/// The duty of a reader, given its cluster's head, and the row of the global cluster that their
/// cluster is a member of; `revision` is that of the configuration in which that was looked for.
pub(crate) fn of(
    instance: &Instance,
    (cluster, head): (&Cluster, &Instance),
    found: (u64, Option<&GlobalCluster>),
) -> Duty {
    let (Some(own), Some(heads)) = (&instance.headship, &head.headship) else {
        return Duty::Await;
    };
    let upstream = Upstream {
        source: head.arn.clone(),
        source_id: head.resource_id.clone(),
        slot: attach::slot(&instance.resource_id),
        application_name: instance.resource_id.0.clone(),
    };
    let joined = cluster.joined.as_ref();
    let (revision, global) = found;
    let global = global.filter(|global| duty::binds(global, joined.is_some()));
    let reading = match (revision, global) {
        (_, Some(global)) => of_member(instance, (own, heads), upstream, global),
        (revision, None) if joined.is_some_and(|joined| joined.revision > revision) => None,
        (_, None) => Some(of_cluster(instance, (own, heads), upstream, cluster)),
    };
    reading.map_or(Duty::Await, Duty::Read)
}

fn of_member(
    instance: &Instance,
    (own, heads): (&Headship, &Headship),
    upstream: Upstream,
    global: &GlobalCluster,
) -> Option<Reading> {
    let (base, is_unled) = duty::base(heads, global);
    let is_whole = !is_unled && !heads.leads.is_some_and(Leading::is_for_nothing);
    let following = duty::following(instance, own, global)?;
    let went_along = went_along(own, &following, global);
    Some(Reading {
        following: Following {
            upstream,
            known: None,
            forced: None,
            ..following
        },
        is_head_ready: is_whole && base == global.epoch,
        is_member: true,
        takes: None,
        handed: None,
        went_along,
        claims: None,
        may_claim: false,
        lost_from: None,
    })
}

/// Where the epoch begins that a reader's head was promoted for while it followed it.
fn went_along(own: &Headship, following: &Following, global: &GlobalCluster) -> Option<ForkPoint> {
    let is_led = |leads: &Leading| leads.epoch == following.base && !following.is_unled;
    let leads = own.leads.filter(is_led)?;
    let fork = global.forks.iter().find(|fork| fork.epoch == leads.epoch);
    fork.map(|fork| fork.point)
}

/// The epoch of whose history a head's data are that no global cluster judges any more.
pub(crate) fn epoch_of(heads: &Headship) -> u64 {
    let leads = heads.leads.filter(|leads| !leads.is_for_nothing());
    leads.map_or(heads.epoch, |leads| leads.epoch)
}

/// Are a reader's data a part of its head's, by both their rows?
pub(crate) fn is_of(own: &Headship, heads: &Headship) -> bool {
    // What the head was promoted for was written into its readers' rows with its own.
    let is_for_nothing = own.leads.is_some_and(Leading::is_for_nothing);
    let went_along = (own.epoch, own.leads) == (heads.epoch, heads.leads) && !is_for_nothing;
    went_along || (own.leads.is_none() && own.epoch == epoch_of(heads))
}

fn of_cluster(
    instance: &Instance,
    (own, heads): (&Headship, &Headship),
    upstream: Upstream,
    cluster: &Cluster,
) -> Reading {
    let epoch = epoch_of(heads);
    let id = &instance.resource_id;
    let handover = cluster.handover.as_ref();
    let own_handover = handover.filter(|it| it.to == *id);
    let handed = cluster.handed.as_ref();
    let was_head = handed.filter(|it| it.from == *id);
    let is_aligned = own.epoch == epoch && own.leads.is_none();
    let deposed = cluster.deposed.get(id);
    let deposed = deposed.filter(|it| it.epoch == epoch_of(own));
    // Where a dead head's successor began, whoever had received more is past it.
    let fork = handed.and_then(|it| it.fork);
    Reading {
        following: Following {
            epoch,
            upstream,
            timeline: fork.map_or(0, |fork| fork.timeline),
            is_checkpointed: true,
            base: epoch_of(own),
            is_unled: false,
            is_moving: false,
            forced: None,
            stands_until: fork.map(|fork| fork.lsn).filter(|_| !is_aligned),
            is_known: true,
            is_told_apart: is_of(own, heads),
            known: None,
        },
        is_head_ready: true,
        is_member: false,
        takes: own_handover.and_then(|it| Some((it.number, it.drained?))),
        handed: was_head.and_then(|it| it.lsn),
        went_along: None,
        claims: own_handover
            .filter(|it| it.is_claimed && it.drained.is_none())
            .map(|it| it.number),
        // Not from a head of which nobody knows where its own history began.
        may_claim: is_aligned
            && !cluster.has_new_head()
            && handover.is_none_or(|it| it.drained.is_none()),
        lost_from: deposed.map(|it| it.fork.map(|fork| fork.lsn)),
    }
}

/// What comes next of a reader; `None`: what comes next of any instance.
pub(super) fn next(
    wanted: &Wanted,
    observed: &Observed,
    now: Now,
    reading: &Reading,
) -> Option<Next> {
    let headship = wanted.instance.headship.as_ref()?;
    let following = &reading.following;
    let epoch = following.epoch;
    let is_aligned = headship.epoch == epoch && headship.leads.is_none();
    match observed.home {
        Home::Whole => {}
        Home::Unreadable if observed.server.is_some() => return None,
        Home::Unreadable => return Some(wait(now, UNREADABLE_WAIT)),
        _ if observed.server.is_some() => return step(Step::Stop),
        Home::Unfinished => return step(Step::RemoveHome(Removal::Unfinished)),
        Home::Absent if !reading.is_head_ready => return Some(wait(now, WAIT_FOR_MORE)),
        Home::Absent if !is_aligned => return record(Record::Aligned { epoch }),
        Home::Absent => return step(Step::Copy(following.upstream.clone())),
    }
    // Until its head has come back it is read as it is.
    let is_beyond = is_beyond(wanted);
    if is_beyond && !reading.is_head_ready && observed.server.is_none() {
        // Where its tail was kept its home is a primary's by now: it isn't started any more.
        return Some(wait(now, LOOK_AGAIN));
    }
    if (is_beyond || !is_usable(following)) && reading.is_head_ready {
        if let Some(end) = reading.handed {
            match observed.head.stopped {
                Some(stopped) if stopped.is_clean && stopped.end == end => {
                    return step(Step::Follow { epoch });
                }
                None if observed.server.is_none() => return Some(wait(now, LOOK_AGAIN)),
                _ => {}
            }
        }
        return anew(wanted, observed, now, reading);
    }
    // Without a server it is started as any other is.
    let server = observed.server.as_ref()?;
    if server.settings.upstream.as_ref() != Some(&following.upstream) {
        return step(Step::Stop);
    }
    if server.role? == Role::Primary {
        return failed("it is a primary, though nobody promoted it");
    }
    if !reading.is_head_ready {
        return None;
    }
    let is_left_behind = is_left_behind(server, reading);
    if is_past(server, following) || is_left_behind {
        return past(wanted, observed, now, (reading, is_left_behind));
    }
    if let Some(next) = succession::next(wanted, observed, now, reading) {
        return Some(next);
    }
    if let Some((number, end)) = reading.takes
        && let Some(next) = handover::succeed(observed, number, end)
    {
        return Some(next);
    }
    // Where nobody knows the head's timeline, all its log that is received is its own.
    let is_any = !reading.is_member && following.timeline == 0;
    let is_on_it = is_any || server.log.timeline == Some(following.timeline);
    match server.receives && is_on_it && !is_aligned {
        true => record(Record::Aligned { epoch }),
        false => None,
    }
}

/// Does it wait with more than its head had when that was promoted, and was never on the timeline
/// that began there? One that receives nothing says of no timeline that it is on it.
fn is_left_behind(server: &ServerSeen, reading: &Reading) -> bool {
    let log = &server.log;
    let end = log.received.max(log.replayed);
    reading.went_along.is_some_and(|point| {
        let is_before = |timeline: Option<u32>| timeline.is_none_or(|it| it < point.timeline);
        let never_was = is_before(log.timeline) && is_before(log.checkpoint_timeline);
        never_was && !server.receives && end.is_some_and(|end| end > point.lsn)
    })
}

/// Of one that holds what its head doesn't: it is copied anew. Its server is stopped first, and
/// what it holds goes once its head gives leave.
fn anew(wanted: &Wanted, observed: &Observed, now: Now, reading: &Reading) -> Option<Next> {
    let following = &reading.following;
    if let Some(waits) = waits(wanted, observed, now, reading) {
        return Some(waits);
    }
    if observed.server.is_some() {
        return step(Step::Stop);
    }
    let base = following.base;
    let upstream = following.upstream.clone();
    let Some(from) = keeps_from(wanted, observed, reading) else {
        return step(given_up(observed, base, upstream));
    };
    let is_told = reading.lost_from.is_some() || is_beyond(wanted);
    let kept = observed.head.tails.get(&base);
    match from {
        _ if !is_told => record(Record::Beyond { base }),
        None => Some(succession::take_back(observed, now, reading)),
        Some(from) if kept.is_none_or(|kept| *kept > from) => step(Step::KeepTail { base, from }),
        Some(_) => step(given_up(observed, base, upstream)),
    }
}

/// From where on what it holds is kept before it goes; `None`: all of it is others' too, or kept.
/// `Some(None)`: it isn't known yet.
fn keeps_from(wanted: &Wanted, observed: &Observed, reading: &Reading) -> Option<Option<Lsn>> {
    let following = &reading.following;
    // Where it left the others may be forgotten, and of a cluster that is no member any more nobody
    // knows it: then all that its log still holds is kept.
    let left = match following.is_known && reading.is_member {
        true => following.stands_until,
        false => Some(Lsn(0)),
    };
    let nobodys = |from: &Lsn| has_yielded(wanted) || !is_its_head_s(observed, reading, *from);
    reading.lost_from.or(left.filter(nobodys).map(Some))
}

/// Is what it holds from there on in a tail of its head's? Where its cluster is in no global
/// cluster it is in that of the head that was taken over from.
fn is_its_head_s(observed: &Observed, reading: &Reading, from: Lsn) -> bool {
    let kept = observed.head.heads_tails.get(&reading.following.base);
    !reading.is_member || kept.is_some_and(|kept| *kept <= from)
}

/// Of one whose server says that it holds what is no part of the latest history. Stopped it says so
/// no more: so it is given up in one step, or what it is is written down first.
fn past(
    wanted: &Wanted,
    observed: &Observed,
    now: Now,
    (reading, is_left_behind): (&Reading, bool),
) -> Option<Next> {
    if let Some(waits) = waits(wanted, observed, now, reading) {
        return Some(waits);
    }
    if is_left_behind {
        // It never was of the history that its row names beside that.
        let base = wanted.instance.headship.as_ref()?.epoch;
        return record(Record::Beyond { base });
    }
    let base = reading.following.base;
    match keeps_from(wanted, observed, reading) {
        Some(_) => record(Record::Beyond { base }),
        None => step(Step::Reseed(reading.following.upstream.clone())),
    }
}

/// Nothing is removed by an old configuration, nor while the writer's role is on its way.
fn waits(wanted: &Wanted, observed: &Observed, now: Now, reading: &Reading) -> Option<Next> {
    if reading.is_member && !is_confirmed(wanted, observed) {
        return Some(wait(now, WAIT_FOR_MORE));
    }
    let is_moving = reading.following.is_moving;
    is_moving.then(|| wait(now, LOOK_AGAIN))
}

/// Does its row say that it holds what no other may have kept?
fn is_beyond(wanted: &Wanted) -> bool {
    let headship = wanted.instance.headship.as_ref();
    headship.is_some_and(|headship| headship.leads == Some(Leading::BEYOND))
}

/// Was it its member's head, and may it have received more of the writer's log than the new one?
/// So has one whose row says that it did.
fn has_yielded(wanted: &Wanted) -> bool {
    let headship = wanted.instance.headship.as_ref();
    let leads = headship.and_then(|headship| headship.leads);
    leads.is_some_and(Leading::is_for_nothing)
}
