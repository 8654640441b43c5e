//! What became of acknowledged orders: which no surviving Region had while the fault lasted, which
//! of them came back, and which are nowhere in the end. By id and version, never by lag.

use std::collections::{BTreeMap, BTreeSet};

use types::{Region, Span};

use super::writes::{Acknowledgement, Held, Writes};
use super::{Moments, UNKNOWN, seconds};
use crate::expectation::Measured;
use crate::observations::{Observations, Scan};
use crate::plan::{Order, Plan};

/// What became of acknowledged orders.
#[derive(Clone, PartialEq, Debug)]
pub struct Orders {
    /// Writes that were acknowledged in the whole run.
    pub acknowledged: u64,
    /// Orders acknowledged before the reading during the fault that no surviving Region had, the
    /// oldest first; `None`: there was no such reading of every surviving Region.
    pub missing: Option<Vec<LostOrder>>,
    /// Orders acknowledged that are nowhere in the end; `None`: not every Region could be read.
    pub lost: Option<Vec<LostOrder>>,
    /// Rows acknowledged that the writer of a global cluster does not have in the end, and that
    /// old writers' kept tails have; `None`: it isn't known.
    pub aside: Option<Vec<LostOrder>>,
    /// How many orders acknowledged before the reading during the fault each Region did not have.
    pub missing_at: BTreeMap<Region, u64>,
    /// How many acknowledged orders each Region does not have in the end.
    pub never_arrived: BTreeMap<Region, u64>,
    /// Versions of orders that buckets, or rows that a global cluster's writer, have in the end
    /// beyond one of each.
    pub applied_twice: Option<u64>,
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
    /// The database doesn't have it, and what is kept aside of an old writer does.
    KeptAside,
    /// It is nowhere.
    Lost,
    /// Not every Region could be read in the end.
    Unknown,
}

impl Orders {
    pub(super) fn of(plan: &Plan, seen: &Observations, moments: &Moments) -> Orders {
        let writes = Writes::of(seen);
        let end = seen.last_scan.as_ref();
        let end = end.filter(|scan| is_whole(plan, scan, None));
        let end = end.map(|scan| union(scan, None));
        let is_global = plan.measures_global_cluster();
        let aside = seen.kept_aside.as_ref();
        let fate = |one: &Acknowledgement| match (&end, aside) {
            _ if writes.is_beaten(one) => Fate::Discarded,
            (None, _) => Fate::Unknown,
            (Some(end), _) if !writes.is_missing(one, end) => Fate::CameBack,
            (_, Some(aside)) if aside.contains_key(&one.order) => Fate::KeptAside,
            (_, None) if is_global => Fate::Unknown,
            _ => Fate::Lost,
        };
        let struck = moments.struck.at().unwrap_or(Span::ZERO);
        let listed = |one: &Acknowledgement| LostOrder {
            id: plan.order_id(one.order),
            version: one.version,
            acknowledged: one.at,
            region: one.region,
            age: Span(struck.0.saturating_sub(one.at.0)),
            fate: fate(one),
        };
        let list = |missing: Vec<Acknowledgement>| -> Vec<LostOrder> {
            let missing = Writes::last_of_each(missing);
            missing.iter().map(listed).collect()
        };
        // What a Region has that could not be read would else be taken for lost.
        let scan = seen.scan.as_ref();
        let scan = scan.filter(|scan| is_whole(plan, scan, moments.outage));
        let missing = scan.map(|scan| {
            let held = union(scan, moments.outage);
            list(missing_in(&writes, scan, &held))
        });
        let of_fate = |wanted: Fate| {
            let all = writes.acknowledged.iter().copied();
            list(all.filter(|one| fate(one) == wanted).collect())
        };
        // What may be kept aside isn't known to be lost.
        let is_known = end.is_some() && of_fate(Fate::Unknown).is_empty();
        let lost = is_known.then(|| of_fate(Fate::Lost));
        let aside = (is_known && is_global).then(|| of_fate(Fate::KeptAside));
        let mut orders = Orders {
            acknowledged: writes.acknowledged.len() as u64,
            missing,
            lost,
            aside,
            missing_at: BTreeMap::new(),
            never_arrived: BTreeMap::new(),
            applied_twice: None,
            held: BTreeMap::new(),
            read: BTreeSet::new(),
        };
        if let Some(scan) = &seen.scan {
            orders.missing_at = absent(&writes, scan);
        }
        if let Some(scan) = &seen.last_scan {
            orders.never_arrived = absent(&writes, scan);
            let twice = !scan.twice.is_empty();
            orders.applied_twice = twice.then(|| scan.twice.values().sum());
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
        missing.map_or(NOT_WHOLE, |missing| Measured::Number(missing.len() as f64))
    }

    pub(super) fn rpo_s(&self) -> Measured {
        let Some(missing) = &self.missing else {
            return NOT_WHOLE;
        };
        let oldest = missing.iter().map(|order| order.age).max();
        Measured::Number(oldest.map_or(0.0, seconds))
    }

    pub(super) fn came_back(&self) -> Measured {
        let Some(missing) = &self.missing else {
            return NOT_WHOLE;
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

    /// Rows that are nowhere, and those that are kept aside.
    pub(super) fn missing_rows(&self) -> Measured {
        match (&self.aside, &self.lost) {
            (Some(aside), Some(lost)) => Measured::Number((aside.len() + lost.len()) as f64),
            _ => NO_WRITER,
        }
    }

    pub(super) fn kept_aside(&self) -> Measured {
        let aside = self.aside.as_ref();
        aside.map_or(NO_WRITER, |aside| Measured::Number(aside.len() as f64))
    }

    pub(super) fn missing_at(&self, of: &[String]) -> Measured {
        of_region(&self.missing_at, of, NO_SCAN)
    }

    pub(super) fn never_arrived(&self, of: &[String]) -> Measured {
        of_region(&self.never_arrived, of, NO_END)
    }

    pub(super) fn applied_twice(&self) -> Measured {
        let twice = self.applied_twice;
        twice.map_or(NO_BUCKETS, |twice| Measured::Number(twice as f64))
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
const NOT_WHOLE: Measured =
    Measured::Unknown("not every surviving Region was read while the fault lasted");
const NO_END: Measured = Measured::Unknown("not every Region could be read in the end");

const NO_BUCKETS: Measured = Measured::Unknown("no bucket or writer was read in the end");
const NO_WRITER: Measured =
    Measured::Unknown("no writer of a global cluster, and what is kept aside, was read in the end");

/// The count of the Region that is named.
fn of_region(counts: &BTreeMap<Region, u64>, of: &[String], otherwise: Measured) -> Measured {
    let Some(name) = of.first() else {
        return UNKNOWN;
    };
    let found = counts.iter().find(|(region, _)| region.name() == name);
    found.map_or(otherwise, |(_, count)| Measured::Number(*count as f64))
}

/// How many orders acknowledged before that reading each Region does not have in it.
fn absent(writes: &Writes, scan: &Scan) -> BTreeMap<Region, u64> {
    let regions = scan.regions.keys();
    let counted = regions.map(|region| {
        let held = held_by(scan, [*region]);
        let missing = Writes::last_of_each(missing_in(writes, scan, &held));
        (*region, missing.len() as u64)
    });
    counted.collect()
}

/// Was every Region read that has the order table, but for that one? Of a global cluster its
/// writer is enough.
fn is_whole(plan: &Plan, scan: &Scan, without: Option<Region>) -> bool {
    if plan.measures_global_cluster() {
        let is_read = |writer: &Region| scan.regions.contains_key(writer);
        return scan.writer.filter(is_read).is_some();
    }
    let regions = plan.order_regions();
    let mut needed = regions.iter().filter(|region| Some(**region) != without);
    !regions.is_empty() && needed.all(|region| scan.regions.contains_key(region))
}

/// What the Regions have together, but for that one; of a global cluster, what its writer has.
fn union(scan: &Scan, without: Option<Region>) -> Held {
    if let Some(writer) = scan.writer {
        return held_by(scan, [writer]);
    }
    let regions = scan.regions.keys().copied();
    held_by(scan, regions.filter(|region| Some(*region) != without))
}

/// What those Regions have together.
fn held_by(scan: &Scan, regions: impl IntoIterator<Item = Region>) -> Held {
    let mut all = Held::new();
    for region in regions {
        for (order, version) in scan.regions.get(&region).into_iter().flatten() {
            all.entry(*order).or_default().push(*version);
        }
    }
    all
}

/// The writes acknowledged before that reading that are missing in what was held.
fn missing_in(writes: &Writes, scan: &Scan, held: &Held) -> Vec<Acknowledgement> {
    let known = writes.acknowledged_by(scan.at).iter();
    known
        .filter(|one| writes.is_missing(one, held))
        .copied()
        .collect()
}
