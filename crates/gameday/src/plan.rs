//! The plan of a game day: what to deploy, what to do when, which request is due when and what it
//! is to do. A pure value: a runner carries it out without choices of its own, so that the same
//! scenario and seed give the same run as far as the world allows.

use std::str::FromStr;

use serde::Serialize;
use types::{Geography, Region, Span};

use crate::scenario::{Act, Fault, Load, Scenario, Step, Work};

mod describe;

pub(crate) use describe::describe_work;

/// What a game day does.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Plan {
    /// What is deployed, and all else the scenario says.
    pub scenario: Scenario,
    /// What happens when, from the start of the load, in order. The last is the end of the load.
    pub timeline: Vec<Moment>,
    /// The names that are looked up all the time, and where.
    pub looks: Vec<Look>,
    /// Requests of all loads together.
    pub requests: u64,
}

/// A moment of the timeline.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
pub struct Moment {
    /// From the start of the load.
    pub at: Span,
    /// What is done.
    pub deed: Deed,
}

/// What is done at a moment.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Deed {
    /// The step of that index in the scenario.
    Step(usize),
    /// The orders are read in every Region that can be asked: what would be lost if the fault
    /// never ended. The scenario has no such step, and this is shortly before the fault ends.
    Scan,
    /// The load ends; every fault still in force is healed.
    End,
}

/// A name that is looked up again and again, to see when the answer changes.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize)]
pub struct Look {
    /// From where: the source address is one of this place's.
    pub place: Region,
    /// The name; its A records are asked for.
    pub name: String,
}

/// An order: one that a load placed, or one that loads share.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Order {
    /// The order that the request of that number placed.
    Placed {
        /// The load's index.
        load: u16,
        /// The request's number in its load, from 0.
        number: u32,
    },
    /// One of the orders that `update_and_read` works on, from 0.
    Shared(u32),
}

/// What one request is to do.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Task {
    /// Place that order, version 1; in a global cluster it is a row.
    Place(Order),
    /// Write that order with the next version: one more than any load has sent of it.
    Update(Order),
    /// Read that order.
    Read(Order),
    /// Read an order of those acknowledged so far: `Plan::choose` says which.
    ReadAcknowledged,
    /// Ask for the load's path.
    Get,
}

/// How long before the end of a fault the orders are read: everything that was on its way has
/// arrived by then, and the reading is done when the fault ends.
const SCAN_BEFORE: Span = Span::seconds(1);

/// The fraction of the golden ratio.
const GOLDEN: f64 = 0.618_033_988_749_894_9;

/// How many of the orders acknowledged last are read again.
const RECENT: u64 = 100;

impl Plan {
    /// The plan of that scenario.
    pub fn of(scenario: Scenario) -> Plan {
        let length = scenario.measure.length;
        let steps = scenario.steps.iter().enumerate();
        let mut timeline: Vec<Moment> = steps
            .map(|(index, step)| Moment {
                at: step.at,
                deed: Deed::Step(index),
            })
            .collect();
        if let Some(at) = scan_at(&scenario) {
            let place = timeline.iter().position(|moment| moment.at > at);
            let moment = Moment {
                at,
                deed: Deed::Scan,
            };
            timeline.insert(place.unwrap_or(timeline.len()), moment);
        }
        timeline.push(Moment {
            at: length,
            deed: Deed::End,
        });
        let looks = scenario.loads.iter();
        let looks = looks.filter(|load| load.asks_the_dns());
        let mut looks: Vec<Look> = looks
            .map(|load| Look {
                place: load.place,
                name: load.target.clone(),
            })
            .collect();
        looks.sort();
        looks.dedup();
        let requests = scenario.loads.iter().map(Load::count).map(u64::from).sum();
        Plan {
            scenario,
            timeline,
            looks,
            requests,
        }
    }

    /// The id of an order, as it stands in the table.
    pub fn order_id(&self, order: Order) -> String {
        match order {
            Order::Shared(number) => format!("{SHARED}-{number:06}"),
            Order::Placed { load, number } => {
                let load = self.scenario.loads.get(usize::from(load));
                let name = load.map_or("unknown", |load| load.name.as_str());
                format!("{name}-{number:06}")
            }
        }
    }

    /// The order of that id; `None`: it is of no load of this plan.
    pub fn order(&self, id: &str) -> Option<Order> {
        let (name, number) = id.rsplit_once('-')?;
        let number = u32::from_str(number).ok()?;
        if name == SHARED {
            return Some(Order::Shared(number));
        }
        let load = self
            .scenario
            .loads
            .iter()
            .position(|load| load.name == name)?;
        let load = u16::try_from(load).ok()?;
        Some(Order::Placed { load, number })
    }

    /// When the request of that number of that load is due, from the start of the load. The loads
    /// are out of step, as users are: each begins somewhere within its first interval, by the
    /// seed, and none ends later for it.
    pub fn due(&self, load: usize, number: u32) -> Span {
        let Some(of) = self.scenario.loads.get(load) else {
            return Span::ZERO;
        };
        let last = of.due(of.count().saturating_sub(1));
        let room = of.until.0.saturating_sub(last.0);
        // Evenly apart, whatever the number of loads: multiples of the golden ratio's fraction.
        let turned = mix(self.scenario.seed) as f64 / 2f64.powi(64) + load as f64 * GOLDEN;
        Span(of.due(number).0 + (turned.fract() * room as f64) as u64)
    }

    /// Which of so many orders, numbered as they were acknowledged, the request of that number is
    /// to read: one of the last hundred. `None` if there is none yet.
    pub fn choose(&self, load: usize, number: u32, acknowledged: u64) -> Option<u64> {
        let recent = acknowledged.min(RECENT);
        if recent == 0 {
            return None;
        }
        let mixed = mix(self.scenario.seed ^ mix(load as u64) ^ mix(u64::from(number) << 16));
        Some(acknowledged - 1 - mixed % recent)
    }

    /// The one-way delays between the Regions of the lab.
    pub fn delays(&self) -> Vec<(Region, Region, Span)> {
        let regions = &self.scenario.lab.regions;
        let geography = Geography {
            scale: self.scenario.lab.delay_scale,
        };
        let mut delays = Vec::new();
        for (at, from) in regions.iter().enumerate() {
            for to in &regions[at + 1..] {
                delays.push((*from, *to, geography.one_way_delay(*from, *to)));
            }
        }
        delays
    }

    /// The Region that the measured fault takes away, if it is of that kind.
    pub fn outage(&self) -> Option<Region> {
        let fault = self.scenario.measure.fault?;
        match &self.scenario.steps[fault].act {
            Act::Fault { fault, .. } => fault.outage(),
            _ => None,
        }
    }

    /// The Region whose application serves nobody while the measured fault lasts.
    pub fn unserved(&self) -> Option<Region> {
        let fault = self.scenario.measure.fault?;
        match &self.scenario.steps[fault].act {
            Act::Fault { fault, .. } => fault.unserved(),
            _ => None,
        }
    }

    /// The Regions that have the order table, once each; none if none is measured. Tables of one
    /// name in Regions apart are read as one.
    pub fn order_regions(&self) -> Vec<Region> {
        let Some(table) = self.scenario.measure.table else {
            return Vec::new();
        };
        let name = &self.scenario.tables[table].name;
        let tables = self.scenario.tables.iter();
        let named = tables.filter(|table| table.name == *name);
        named
            .flat_map(|table| table.regions.iter().copied())
            .collect()
    }

    /// Is a global cluster measured?
    pub fn measures_global_cluster(&self) -> bool {
        let table = self.scenario.measure.table;
        table.is_some_and(|table| self.scenario.tables[table].is_global_cluster())
    }

    /// When the fault that is measured ends: at a heal, its lease, or the end of the load.
    pub fn fault_end(&self) -> Option<Span> {
        let Scenario { steps, measure, .. } = &self.scenario;
        measure
            .fault
            .map(|fault| end_of_fault(steps, fault, measure.length))
    }
}

/// The name before the numbers of shared orders; no load can have it.
pub(crate) const SHARED: &str = "shared";

impl Load {
    /// How many requests it makes.
    pub fn count(&self) -> u32 {
        let seconds = self.until.0.saturating_sub(self.from.0) as f64 / 1_000_000.0;
        // `check` bounds the number far below 2^32.
        (seconds * self.rate).ceil() as u32
    }

    /// When the request of that number would be due if the load began at once: at a fixed rate,
    /// whatever became of those before it. [`Plan::due`] says when it is.
    pub fn due(&self, number: u32) -> Span {
        let after = f64::from(number) / self.rate * 1_000_000.0;
        Span(self.from.0.saturating_add(after as u64))
    }

    /// What the request of that number does; `load` is this load's index.
    pub fn task(&self, load: usize, number: u32) -> Task {
        match &self.work {
            Work::PlaceOrders | Work::InsertRows => {
                let load = u16::try_from(load).expect("there are at most 32 loads");
                Task::Place(Order::Placed { load, number })
            }
            Work::ReadOrders => Task::ReadAcknowledged,
            Work::UpdateAndRead { orders } => {
                // Each load is elsewhere in the round, and reads what it wrote half a round before:
                // without a fault two writes of an order are far apart, and seen by all.
                let turn = number / 2 + load as u32 * (orders / 3);
                match number.is_multiple_of(2) {
                    true => Task::Update(Order::Shared(turn % orders)),
                    false => Task::Read(Order::Shared((turn + orders / 2) % orders)),
                }
            }
            Work::Get { .. } => Task::Get,
        }
    }
}

/// SplitMix64's mixing (Steele, Lea, Flood, 2014).
fn mix(value: u64) -> u64 {
    let mut mixed = value.wrapping_add(0x9e37_79b9_7f4a_7c15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

/// When the fault of that step ends.
pub(crate) fn end_of_fault(steps: &[Step], fault: usize, length: Span) -> Span {
    let step = &steps[fault];
    let mut end = length;
    if let Some(lasts) = step.act.lasts() {
        end = end.min(Span(step.at.0.saturating_add(lasts.0)));
    }
    match healing_step(steps, fault) {
        Some(healing) => end.min(steps[healing].at),
        None => end,
    }
}

/// The step that ends the fault of that step, if one does.
pub(crate) fn healing_step(steps: &[Step], fault: usize) -> Option<usize> {
    let Act::Fault { fault: broken, .. } = &steps[fault].act else {
        return None;
    };
    let heals = |later: &Step| match &later.act {
        Act::Heal { step: None } => true,
        Act::Heal { step: Some(healed) } => *healed == fault,
        // A start ends kills, a resume ends pauses.
        Act::Start(target) => *broken == Fault::Kill(*target),
        Act::Resume(target) => *broken == Fault::Pause(*target),
        _ => false,
    };
    let later = steps.iter().skip(fault + 1).position(heals);
    later.map(|offset| fault + 1 + offset)
}

/// When the orders are read during the fault, unless a step says so.
fn scan_at(scenario: &Scenario) -> Option<Span> {
    let measure = &scenario.measure;
    let fault = measure.fault?;
    measure.table?;
    if scenario.steps.iter().any(|step| step.act == Act::Scan) {
        return None;
    }
    let begin = scenario.steps[fault].at;
    let end = end_of_fault(&scenario.steps, fault, measure.length);
    let lasts = end.0.saturating_sub(begin.0);
    Some(Span(end.0 - SCAN_BEFORE.0.min(lasts / 2)))
}
