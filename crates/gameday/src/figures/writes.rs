//! Writes of orders, in the order of real time. Which of two writes is the newer is never judged
//! by their versions, which only tell them apart, nor by any clock of the lab: one is before
//! another if its outcome was known before the other was begun. Writes that overlap may have
//! happened in either order, and neither is held against the lab.

use std::collections::{BTreeMap, BTreeSet};

use types::{Region, Span};

use crate::observations::{Observations, Verb};
use crate::plan::Order;

/// A write that was acknowledged.
#[derive(Clone, Copy)]
pub(super) struct Acknowledgement {
    pub(super) order: Order,
    pub(super) version: u32,
    pub(super) began: Span,
    pub(super) at: Span,
    pub(super) region: Option<Region>,
}

/// Every write of a run.
pub(super) struct Writes {
    /// Those acknowledged, by when they were.
    pub(super) acknowledged: Vec<Acknowledgement>,
    /// When each was over; a write that failed may yet happen at any time.
    over: BTreeMap<(Order, u32), Span>,
    /// Those that lost to another and are in the ledger.
    beaten: BTreeSet<(Order, u32)>,
}

/// What is known of an order somewhere: the versions that are there.
pub(super) type Held = BTreeMap<Order, Vec<u32>>;

impl Writes {
    pub(super) fn of(seen: &Observations) -> Writes {
        let mut acknowledged = Vec::new();
        let mut over = BTreeMap::new();
        for request in &seen.requests {
            let (true, Some(order)) = (
                matches!(request.verb, Verb::Place | Verb::Update),
                request.order,
            ) else {
                continue;
            };
            let is_ok = request.outcome.is_ok();
            let end = if is_ok { request.ended } else { Span(u64::MAX) };
            over.insert((order, request.version), end);
            if is_ok {
                acknowledged.push(Acknowledgement {
                    order,
                    version: request.version,
                    began: request.began,
                    at: request.ended,
                    region: request.region,
                });
            }
        }
        acknowledged.sort_by_key(|one| (one.at, one.order, one.version));
        let rows = seen.conflicts.iter();
        let beaten = rows.filter_map(|row| Some((row.order?, row.beaten_version?)));
        Writes {
            acknowledged,
            over,
            beaten: beaten.collect(),
        }
    }

    /// Those acknowledged by then.
    pub(super) fn acknowledged_by(&self, at: Span) -> &[Acknowledgement] {
        let count = self.acknowledged.partition_point(|one| one.at <= at);
        &self.acknowledged[..count]
    }

    /// Did it lose to another, and is in the ledger?
    pub(super) fn is_beaten(&self, one: &Acknowledgement) -> bool {
        self.beaten.contains(&(one.order, one.version))
    }

    /// When the write of that version was over. Version 0 is before all, and of one that nobody
    /// is known to have written nothing can be said.
    pub(super) fn over(&self, order: Order, version: u32) -> Span {
        match version {
            0 => Span::ZERO,
            _ => {
                let over = self.over.get(&(order, version));
                over.copied().unwrap_or(Span(u64::MAX))
            }
        }
    }

    /// Is nothing of it there: neither the write itself nor one that may have come after it?
    pub(super) fn is_missing(&self, one: &Acknowledgement, held: &Held) -> bool {
        let is_older =
            |version: &u32| *version != one.version && self.over(one.order, *version) <= one.began;
        held.get(&one.order)
            .is_none_or(|versions| versions.iter().all(is_older))
    }

    /// Of each order the one of those that was begun last, by when they were acknowledged.
    pub(super) fn last_of_each(writes: Vec<Acknowledgement>) -> Vec<Acknowledgement> {
        let mut last: BTreeMap<Order, Acknowledgement> = BTreeMap::new();
        for one in writes {
            let known = last.entry(one.order).or_insert(one);
            if one.began > known.began {
                *known = one;
            }
        }
        let mut last: Vec<Acknowledgement> = last.into_values().collect();
        last.sort_by_key(|one| (one.at, one.order));
        last
    }
}
