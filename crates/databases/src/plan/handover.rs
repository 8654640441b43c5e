//! The role of a cluster's head on its way to one of its readers, within a Region: the head stops
//! in order, and the reader takes over once it has replayed all of its log. Nothing is lost, for
//! nobody is promoted before. Only of a cluster that is in no global cluster.

use types::{Now, Span};

use super::cession::is_over;
use super::head::{record, wait};
use super::next::{LOOK_AGAIN, Next, Wanted, start};
use super::observed::{Observed, Role};
use super::step::{Record, Step};
use super::succession;
use crate::model::{Handover, Lsn};

/// How long a head waits for the reader to take over before it goes on: since it was asked by the
/// wall clock, or since this process saw it first, whichever is over first. A clock that is set
/// back holds up nothing, nor does a process that starts anew.
pub(super) const PATIENCE: Span = Span::seconds(60);

/// Of a head that hands over: it stops in order, says where its log ends, and waits.
pub(super) fn resign(wanted: &Wanted, observed: &Observed, now: Now, handover: &Handover) -> Next {
    let number = handover.number;
    if is_over(handover, observed, now) {
        let reason = "it took too long".to_owned();
        return Next::Step(Step::Record(Record::Kept { number, reason }));
    }
    if handover.is_claimed && succession::is_back(wanted, observed, handover) {
        let reason = "the writer is back".to_owned();
        return Next::Step(Step::Record(Record::Kept { number, reason }));
    }
    if let Some(server) = &observed.server {
        // One that is still recovering can't be stopped in order.
        return match server.role {
            None => wait(now, LOOK_AGAIN),
            // It stands on its own and isn't promoted yet: no standby stops as a writer does.
            Some(Role::Standby) => Next::Step(Step::Promote),
            Some(Role::Primary) => Next::Step(Step::Stop),
        };
    }
    match (handover.drained, observed.head.stopped) {
        (Some(_), _) | (None, None) => wait(now, LOOK_AGAIN),
        // It can't be started, and the reader may be the head at any moment.
        (None, Some(_)) if handover.is_claimed => wait(now, LOOK_AGAIN),
        (None, Some(stopped)) if stopped.is_clean => {
            let lsn = stopped.end;
            Next::Step(Step::Record(Record::Resigned { number, lsn }))
        }
        // It ended by itself: it has to recover before it can be stopped in order.
        (None, Some(_)) => Next::Step(start(wanted)),
    }
}

/// Of the reader that takes over, once its head's log ends there: `None` until it has all of it.
pub(super) fn succeed(observed: &Observed, number: u64, end: Lsn) -> Option<Next> {
    let server = observed.server.as_ref()?;
    let has_all = server.role == Some(Role::Standby) && server.log.replayed >= Some(end);
    match has_all {
        true => record(Record::Succeeds { number }),
        false => None,
    }
}
