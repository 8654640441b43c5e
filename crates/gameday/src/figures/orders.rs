//! What became of acknowledged orders: which no surviving Region had while the fault lasted, which
//! of them came back, and which are nowhere in the end. By id and version, never by lag.

use std::collections::{BTreeMap, BTreeSet};

use types::{Region, Span};

use super::moments::When;
use super::{Moments, UNKNOWN, seconds};
use crate::expectation::Measured;
use crate::observations::{Observations, Scan, Verb};
use crate::plan::{Order, Plan};

/// What became of acknowledged orders.
#[derive(Clone, PartialEq, Debug)]
pub struct Orders {
    /// Writes that were acknowledged in the whole run.
    pub acknowledged: u64,
    /// Orders acknowledged before the reading during the fault that no surviving Region had, the
    /// oldest first; `None`: there was no such reading.
    pub missing: Option<Vec<LostOrder>>,
    /// Orders acknowledged that are nowhere in the end; `None`: not every Region could be read.
    pub lost: Option<Vec<LostOrder>>,
    /// How many orders acknowledged before the reading during the fault each Region did not have.
    pub missing_at: BTreeMap<Region, u64>,
    /// How many orders of each load each Region has in the end.
    pub held: BTreeMap<(u16, Region), u64>,
    /// The Regions that were read in the end.
    pub read: BTreeSet<Region>,
}

/// An acknowledged order that was missing somewhere.
#[derive(Clone, PartialEq, Debug)]
pub struct LostOrder {
    /// Its id, as it stands in the table.
    pub id: String,
    /// The version that was acknowledged.
    pub version: u32,
    /// When it was acknowledged, from the start of the load.
    pub acknowledged: Span,
    /// The Region that did.
    pub region: Option<Region>,
    /// How old it was when the fault struck: zero for one that was acknowledged after.
    pub age: Span,
    /// What became of it.
    pub fate: Fate,
}

/// What became of an order that was missing.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Fate {
    /// It was there again in the end, or a later version of it.
    CameBack,
    /// It lost to a later write, and is in the ledger.
    Discarded,
    /// It is nowhere.
    Lost,
    /// Not every Region could be read in the end.
    Unknown,
}

/// A write that was acknowledged.
#[derive(Clone, Copy)]
pub(super) struct Acknowledgement {
    pub(super) order: Order,
    pub(super) version: u32,
    pub(super) at: Span,
    pub(super) region: Option<Region>,
}

/// Every write that was acknowledged, by time.
pub(super) fn acknowledgements(seen: &Observations) -> Vec<Acknowledgement> {
    let writes = seen.requests.iter().filter(|request| {
        matches!(request.verb, Verb::Place | Verb::Update) && request.outcome.is_ok()
    });
    let mut acknowledged: Vec<Acknowledgement> = writes
        .filter_map(|request| {
            Some(Acknowledgement {
                order: request.order?,
                version: request.version,
                at: request.ended,
                region: request.region,
            })
        })
        .collect();
    acknowledged.sort_by_key(|one| (one.at, one.order, one.version));
    acknowledged
}

/// The versions that lost to a later write.
pub(super) fn beaten(seen: &Observations) -> BTreeSet<(Order, u32)> {
    let rows = seen.conflicts.iter();
    rows.filter_map(|row| Some((row.order?, row.beaten_version?)))
        .collect()
}

impl Orders {
    pub(super) fn of(plan: &Plan, seen: &Observations, moments: &Moments) -> Orders {
        let acknowledged = acknowledgements(seen);
        let beaten = beaten(seen);
        let end = seen.last_scan.as_ref().filter(|scan| is_whole(plan, scan));
        let end = end.map(|scan| union(scan, None));
        let fate = |one: &Acknowledgement| match &end {
            _ if beaten.contains(&(one.order, one.version)) => Fate::Discarded,
            None => Fate::Unknown,
            Some(end) if end.get(&one.order).is_some_and(|have| *have >= one.version) => {
                Fate::CameBack
            }
            Some(_) => Fate::Lost,
        };
        let struck = match moments.struck {
            When::At(at) => at,
            _ => Span::ZERO,
        };
        let listed = |one: &Acknowledgement| LostOrder {
            id: plan.order_id(one.order),
            version: one.version,
            acknowledged: one.at,
            region: one.region,
            age: Span(struck.0.saturating_sub(one.at.0)),
            fate: fate(one),
        };
        let missing = seen.scan.as_ref().map(|scan| {
            let have = union(scan, moments.outage);
            let before = before(&acknowledged, scan.at);
            let missing = newest(before, &beaten).into_iter();
            missing
                .filter(|one| is_missing(one, &have))
                .map(|one| listed(&one))
                .collect()
        });
        let lost = end.is_some().then(|| {
            let all = newest(&acknowledged, &beaten).into_iter();
            all.filter(|one| fate(one) == Fate::Lost)
                .map(|one| listed(&one))
                .collect()
        });
        let mut orders = Orders {
            acknowledged: acknowledged.len() as u64,
            missing,
            lost,
            missing_at: BTreeMap::new(),
            held: BTreeMap::new(),
            read: BTreeSet::new(),
        };
        if let Some(scan) = &seen.scan {
            let known = newest(before(&acknowledged, scan.at), &beaten);
            for (region, have) in &scan.regions {
                let missing = known.iter().filter(|one| is_missing(one, have)).count();
                orders.missing_at.insert(*region, missing as u64);
            }
        }
        if let Some(scan) = &seen.last_scan {
            orders.count_held(scan);
        }
        orders
    }

    fn count_held(&mut self, scan: &Scan) {
        for (region, have) in &scan.regions {
            self.read.insert(*region);
            for order in have.keys() {
                if let Order::Placed { load, .. } = order {
                    *self.held.entry((*load, *region)).or_insert(0) += 1;
                }
            }
        }
    }

    pub(super) fn rpo_orders(&self) -> Measured {
        let missing = self.missing.as_ref();
        missing.map_or(NO_SCAN, |missing| Measured::Number(missing.len() as f64))
    }

    pub(super) fn rpo_s(&self) -> Measured {
        let Some(missing) = &self.missing else {
            return NO_SCAN;
        };
        let oldest = missing.iter().map(|order| order.age).max();
        Measured::Number(oldest.map_or(0.0, seconds))
    }

    pub(super) fn came_back(&self) -> Measured {
        let Some(missing) = &self.missing else {
            return NO_SCAN;
        };
        if missing.iter().any(|order| order.fate == Fate::Unknown) {
            return NO_END;
        }
        let back = missing.iter().filter(|order| order.fate == Fate::CameBack);
        Measured::Number(back.count() as f64)
    }

    pub(super) fn lost_for_good(&self) -> Measured {
        let lost = self.lost.as_ref();
        lost.map_or(NO_END, |lost| Measured::Number(lost.len() as f64))
    }

    pub(super) fn missing_at(&self, of: &[String]) -> Measured {
        let Some(name) = of.first() else {
            return UNKNOWN;
        };
        let found = self
            .missing_at
            .iter()
            .find(|(region, _)| region.name() == name);
        found.map_or(NO_SCAN, |(_, count)| Measured::Number(*count as f64))
    }

    /// How many orders of that load the Region in `[load, region]` has in the end.
    pub(super) fn at(&self, load: usize, of: &[String]) -> Measured {
        let region = of.get(1).and_then(|name| {
            self.read
                .iter()
                .find(|region| region.name() == name)
                .copied()
        });
        let (Some(region), Ok(load)) = (region, u16::try_from(load)) else {
            return NO_END;
        };
        let count = self.held.get(&(load, region)).copied().unwrap_or(0);
        Measured::Number(count as f64)
    }
}

const NO_SCAN: Measured = Measured::Unknown("the Region was not read while the fault lasted");
const NO_END: Measured = Measured::Unknown("not every Region could be read in the end");

/// Was every Region read that has the order table?
fn is_whole(plan: &Plan, scan: &Scan) -> bool {
    let Some(table) = plan.scenario.measure.table else {
        return false;
    };
    let name = &plan.scenario.tables[table].name;
    let tables = plan
        .scenario
        .tables
        .iter()
        .filter(|table| table.name == *name);
    let mut regions = tables.flat_map(|table| &table.regions);
    regions.all(|region| scan.regions.contains_key(region))
}

/// The newest version of each order in any of the Regions but that one.
fn union(scan: &Scan, without: Option<Region>) -> BTreeMap<Order, u32> {
    let mut all: BTreeMap<Order, u32> = BTreeMap::new();
    for (region, have) in &scan.regions {
        if Some(*region) == without {
            continue;
        }
        for (order, version) in have {
            let known = all.entry(*order).or_insert(*version);
            *known = (*known).max(*version);
        }
    }
    all
}

/// Those acknowledged by then.
fn before(acknowledged: &[Acknowledgement], at: Span) -> &[Acknowledgement] {
    &acknowledged[..acknowledged.partition_point(|one| one.at <= at)]
}

/// Of each order the newest version that was acknowledged and did not lose to another, in the
/// order in which they were acknowledged.
fn newest(
    acknowledged: &[Acknowledgement],
    beaten: &BTreeSet<(Order, u32)>,
) -> Vec<Acknowledgement> {
    let mut newest: BTreeMap<Order, Acknowledgement> = BTreeMap::new();
    for one in acknowledged {
        if beaten.contains(&(one.order, one.version)) {
            continue;
        }
        let known = newest.entry(one.order).or_insert(*one);
        if one.version > known.version {
            *known = *one;
        }
    }
    let mut newest: Vec<Acknowledgement> = newest.into_values().collect();
    newest.sort_by_key(|one| (one.at, one.order));
    newest
}

fn is_missing(one: &Acknowledgement, have: &BTreeMap<Order, u32>) -> bool {
    have.get(&one.order)
        .is_none_or(|version| *version < one.version)
}
