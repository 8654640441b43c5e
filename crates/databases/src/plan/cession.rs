//! The role of a head on its way to one of its readers, in a member of a global cluster that
//! doesn't write. Both hold copies of the writer's data, so neither stops for the other: the
//! council's row names the new head first, then the cluster's rows do, and each follows whom it is
//! to follow from then on. Of the member that writes it isn't built.
//!
//! Always so: the old head names the new one in one edit that holds only of the very row in which
//! no move is under way, and from when it was to hand over it takes part in no move itself. A head
//! says that it has what a move waits for only in a row that names it. So no move goes by what
//! another instance had, whenever what was proposed is decided.

use types::{Now, Span, Timestamp};

use super::handover::PATIENCE;
use super::head::{is_confirmed, wait};
use super::next::{Next, WAIT_FOR_MORE, Wanted};
use super::observed::Observed;
use super::step::{Record, Step};
use crate::model::{Handover, Head};

/// A head of a member whose role goes to a reader.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Cession {
    /// The handover.
    pub handover: Handover,
    /// What the others are to know of the reader; `None`: it can't take over as things stand.
    pub head: Option<Head>,
    /// Does the council's row name the reader already?
    pub is_named: bool,
}

/// Is it over by the time that a handover is waited for?
pub(super) fn is_over(handover: &Handover, observed: &Observed, now: Now) -> bool {
    let seen = observed.head.handover;
    let seen = seen.filter(|seen| seen.number == handover.number);
    let Span(patience) = PATIENCE;
    let until = Timestamp(handover.asked.0.saturating_add(patience / 1000));
    now.wall >= until || seen.is_some_and(|seen| now.monotonic >= seen.at + PATIENCE)
}

/// Of the old head.
pub(super) fn cede(wanted: &Wanted, observed: &Observed, now: Now, cession: &Cession) -> Next {
    let number = cession.handover.number;
    let kept = |reason: &str| {
        let reason = reason.to_owned();
        Next::Step(Step::Record(Record::Kept { number, reason }))
    };
    // By an old configuration it may only seem so.
    if !is_confirmed(wanted, observed) {
        return wait(now, WAIT_FOR_MORE);
    }
    // What the others know already isn't taken back.
    if cession.is_named {
        return Next::Step(Step::Record(Record::Yields { number }));
    }
    if is_over(&cession.handover, observed, now) {
        return kept("it took too long");
    }
    match &cession.head {
        Some(head) => Next::Step(Step::Record(Record::Names { head: head.clone() })),
        None => kept("the reader isn't in line with the global cluster's writer"),
    }
}
