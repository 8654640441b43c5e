//! A reader that takes over from its head unasked, in a cluster that is in no global cluster, since
//! the head is dead: its zone is down, its server can't be started, or its data can't be read.
//! Aurora's storage outlives a writer; here what the head had acknowledged and this reader hadn't
//! received is lost to the cluster. It stays in the old head's home, and is kept and listed when
//! that is back.
//!
//! Always so: the reader says in the cluster's row that it claims the role, and is the head only
//! once it has seen, after that, that no server of the head runs. Whoever starts a head's server
//! says so first and looks at the row after that. One of them sees the other, and both are of one
//! process; so no head acknowledges anything that its successor could not have had. A head that is
//! back before it was succeeded goes on.

use std::cmp::Reverse;

use types::{Now, Span};

use super::head::{record, wait};
use super::life::Life;
use super::next::{LOOK_AGAIN, Next, Wanted};
use super::observed::{Home, Observed, Role, ServerSeen};
use super::reading::Reading;
use super::step::{Record, Step, StepKind};
use crate::model::{Handover, Lsn, ResourceId};

/// How often a head's server may fail to start before a reader takes over.
const MOST_STARTS: u32 = 2;

/// How long it is until it is looked again whether the head's server has ended.
const LOOK: Span = Span::milliseconds(20);

/// A reader whose server has said nothing for so long isn't counted on: it may be hung, and would
/// take the role and never be promoted.
pub const SILENT: Span = Span::seconds(5);

/// A cluster's head, as its Region's process sees it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ChiefSeen {
    /// Which instance that is.
    pub id: ResourceId,
    /// Is its zone up? If not, its server has ended, and none is started.
    pub is_zone_up: bool,
    /// Its home.
    pub home: Home,
    /// Does a server run on it, or is one being started?
    pub runs: bool,
    /// How often in a row its server couldn't be started for a reason that is its home's alone.
    pub failed_starts: u32,
    /// Is its home a primary's, that is to say, not made to follow?
    pub is_primary_data: bool,
    /// Of the readers that followed it to the end: the one that is to take over.
    pub first: Option<ResourceId>,
}

impl ChiefSeen {
    /// Is it dead, and doesn't come back by itself before its zone or its data do?
    pub fn is_dead(&self) -> bool {
        let cannot_live = self.home != Home::Whole || self.failed_starts >= MOST_STARTS;
        !self.runs && (!self.is_zone_up || cannot_live)
    }

    /// Is it dead since its server can't be started, on a home that is whole?
    pub fn is_unstartable(&self) -> bool {
        let is_startable = !self.is_zone_up || self.home != Home::Whole;
        self.is_dead() && !is_startable
    }

    /// Of one that took over and wasn't promoted, as far as rows say: is there nothing that it
    /// could have written? Of a zone that is down nobody can tell.
    pub fn never_wrote(&self) -> bool {
        let is_a_copy = match self.home {
            Home::Absent | Home::Unfinished => true,
            Home::Unreadable => false,
            Home::Whole => !self.is_primary_data,
        };
        self.is_zone_up && !self.runs && is_a_copy
    }
}

/// A reader that could take over.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Candidate {
    /// Which.
    pub id: ResourceId,
    /// Its name.
    pub identifier: String,
    /// Its `PromotionTier`.
    pub tier: u8,
    /// Up to where it has received its head's log, as it said less than [`SILENT`] ago.
    pub received: Lsn,
}

impl Candidate {
    /// The one that takes over from a head with that home and that life: of those that followed it
    /// to the end the one of the least tier, of these the one that has received most, of these the
    /// first by name. Where the head's data are gone, what a reader received may be the last copy:
    /// there who has received most comes before any tier.
    pub fn first(all: Vec<Candidate>, home: Home, life: &Life) -> Option<ResourceId> {
        let mut able = all;
        able.retain(|one| life.is_followed_by(one.received));
        let tier = |one: &Candidate| match home {
            Home::Whole => one.tier,
            _ => 0,
        };
        let rank = |one: &Candidate| {
            let received = Reverse(one.received);
            (tier(one), received, one.tier, one.identifier.clone())
        };
        able.into_iter().min_by_key(rank).map(|one| one.id)
    }
}

/// Is a head whose role is claimed there again? Its row goes back to it unless the reader has it by
/// then: whichever is written first holds. One that is claimed since its server couldn't be started
/// is there again when its server runs: what had failed may be forgotten, by a process that began
/// since.
pub(super) fn is_back(wanted: &Wanted, observed: &Observed, handover: &Handover) -> bool {
    let server = observed.server.as_ref();
    let runs = server.is_some_and(|server| server.role == Some(Role::Primary));
    let start = observed.failures.get(&StepKind::Start);
    let has_failed = start.is_some_and(|failure| failure.attempts >= MOST_STARTS);
    let can_start = !handover.is_unstartable && !has_failed;
    let is_whole = wanted.instance.failure.is_none() && observed.home == Home::Whole;
    is_whole && (runs || can_start)
}

/// What others are to know of one that took over from a dead head.
pub(super) fn forked(wanted: &Wanted, server: &ServerSeen) -> Option<Step> {
    let point = server.log.fork.filter(|_| wanted.is_new_head)?;
    Some(Step::Record(Record::Forked { point }))
}

/// Of a reader whose head may be dead; `None`: what comes next of any reader.
pub(super) fn next(
    wanted: &Wanted,
    observed: &Observed,
    now: Now,
    reading: &Reading,
) -> Option<Next> {
    let chief = observed.head.chief.as_ref()?;
    let own = &wanted.instance.resource_id;
    let server = observed.server.as_ref()?;
    let is_standby = server.role == Some(Role::Standby) && !server.is_paused;
    if !is_standby || chief.id != reading.following.upstream.source_id {
        return None;
    }
    if let Some(number) = reading.claims {
        return match chief.runs {
            // It is back: it stops in order, or nothing comes of it.
            true => Some(wait(now, LOOK)),
            false => record(Record::Succeeds { number }),
        };
    }
    let is_due = chief.is_dead() && chief.first.as_ref() == Some(own);
    let may = reading.may_claim && is_due;
    may.then(|| {
        record(Record::Claims {
            head: chief.id.clone(),
            is_unstartable: chief.is_unstartable(),
        })
    })?
}

/// Of a head that another took over from while it was dead, and that waits to hear where the
/// other's history begins: it has its role back if that was asked for, and the other never wrote
/// and doesn't any more. That one's server isn't started since the row says so, as any claimed one.
pub(super) fn take_back(observed: &Observed, now: Now, reading: &Reading) -> Next {
    let upstream = &reading.following.upstream;
    let chief = observed.head.chief.as_ref();
    let chief = chief.filter(|chief| chief.id == upstream.source_id);
    match (reading.claims, chief) {
        (Some(number), Some(chief)) if chief.never_wrote() => {
            Next::Step(Step::Record(Record::Succeeds { number }))
        }
        _ => wait(now, LOOK_AGAIN),
    }
}
