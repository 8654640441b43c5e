//! A standby that its source has no more of the log for: it was away for longer than its slot may
//! hold back (`max_slot_wal_keep_size`), or its source is another than the one that kept it. Or
//! one that holds more than its source, since that failed over to a standby that had less. It is
//! given up and copied anew, ever more rarely if that doesn't help; until then it is read.
//!
//! Always so: it isn't given up before its source has said so for a while; what may hold anything
//! of its own isn't given up here.

use types::{Monotonic, Span};

use super::duty::{Duty, Following};
use super::head::is_confirmed;
use super::next::{Wanted, upstream as source_of};
use super::observed::{Behind, Observed, Role};
use super::reading::Reading;
use super::step::{Record, Step, Upstream};

/// How long its source must have said so: what was under way when it was asked has arrived by then.
const SURE: Span = Span::seconds(5);

/// How long it is from one copy to the next.
const FIRST_WAIT: Span = Span::seconds(60);

/// How long at most.
const LONGEST_WAIT: Span = Span::seconds(3600);

/// Is what is in a home a copy of what is followed there? If not, it may be all there is: one whose
/// promotion is accepted is none any more, nor is a standby that is in step, nor a cluster's
/// instance that is to take a role over, or stands alone by now.
pub fn is_a_copy(wanted: &Wanted, upstream: &Upstream) -> bool {
    let instance = &wanted.instance;
    if let Some(standby) = wanted.standby() {
        return !standby.is_in_step;
    }
    let is_of = |it: &Following| it.upstream == *upstream && !it.is_moving;
    match &wanted.duty {
        Duty::Follow(following) => is_of(following),
        Duty::Read(reading) => is_free(reading) && is_of(&reading.following),
        Duty::Alone => instance.source.is_some() && instance.promotion.is_none(),
        _ => false,
    }
}

/// What is to be done of one that is behind, and not before when.
pub(super) fn next(wanted: &Wanted, observed: &Observed) -> Option<(Step, Monotonic)> {
    let behind = observed.behind.as_ref()?;
    let server = observed.server.as_ref()?;
    if server.role != Some(Role::Standby) {
        return None;
    }
    let step = match &wanted.duty {
        Duty::Follow(following) => of_head(wanted, observed, following)?,
        Duty::Read(reading) => of_reader(wanted, observed, reading)?,
        Duty::Alone => {
            let source = source_of(&wanted.instance)?;
            // The standby of an instance that has two homes follows the other one.
            let followed = server.settings.upstream.as_ref();
            let is_its = followed.is_none_or(|followed| *followed == source);
            is_its.then_some(Step::Reseed(source))?
        }
        _ => return None,
    };
    Some((step, due(behind)))
}

/// Not before then is one that is behind given up.
pub(super) fn due(behind: &Behind) -> Monotonic {
    let sure = behind.since + SURE;
    let doublings = behind.reseeds.saturating_sub(1).min(16);
    let wait = Span(FIRST_WAIT.0.saturating_mul(1 << doublings)).min(LONGEST_WAIT);
    behind.last.map_or(sure, |last| sure.max(last + wait))
}

/// Of a cluster's head. By an old configuration nothing is removed, and none while the writer's
/// role is on its way: nobody can tell who will need it.
fn of_head(wanted: &Wanted, observed: &Observed, following: &Following) -> Option<Step> {
    let confirmed = observed.head.confirmed?;
    let leads = wanted.instance.headship.as_ref()?.leads;
    if confirmed > wanted.revision || following.is_moving || leads.is_some() {
        return None;
    }
    Some(match following.stands_until {
        None if following.is_known => Step::Reseed(following.upstream.clone()),
        // It may hold what the writer never had: that is kept first, as of whatever diverged.
        _ => Step::Record(Record::Diverged),
    })
}

/// Of a cluster's reader, whose head was copied anew or was away for too long. It holds nothing of
/// its own; not while it is to take over, nor before its head's data are in line.
fn of_reader(wanted: &Wanted, observed: &Observed, reading: &Reading) -> Option<Step> {
    let following = &reading.following;
    if reading.is_member && !is_confirmed(wanted, observed) {
        return None;
    }
    let is_due = reading.is_head_ready && is_free(reading) && !following.is_moving;
    is_due.then(|| Step::Reseed(following.upstream.clone()))
}

/// Is it to take nothing over?
fn is_free(reading: &Reading) -> bool {
    reading.takes.is_none() && reading.claims.is_none()
}
