//! A zone compiled for answering: names hashed, record groups as decisions, records as the bytes
//! of a packet. Immutable; health is read from the board when a question comes.

mod build;
mod choose;
mod lookup;
mod records;
pub(crate) mod table;

use std::collections::BTreeMap;

use types::HealthCheckId;

use crate::board::Slot;
use crate::dns::query_name::hash_name;
use crate::outside::{OutsideName, OutsideNames};
use crate::{Location, Name, RecordKind, RecordSet, ZoneId};

pub(crate) use build::{Fault, compile};
pub(crate) use choose::{Choice, Choosing, Event, MAX_STEPS, Observer, Silent};
pub(crate) use lookup::Found;
pub(crate) use records::{FIXED, Placement, Targets};
use table::NameTable;

/// No node, group or target.
pub(crate) const NONE: u32 = u32::MAX;

/// What a zone was compiled from; another one means that something changed.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct Fingerprint {
    /// The revision that set the zone.
    pub(crate) zone: u64,
    /// How many record groups it has.
    pub(crate) groups: usize,
    /// The last revision that set one of them. A group that is removed lowers the number above;
    /// one that takes its place has a revision of its own.
    pub(crate) newest: u64,
}

/// A zone ready to answer.
#[derive(Debug)]
pub(crate) struct CompiledZone {
    pub(crate) id: ZoneId,
    pub(crate) name: Name,
    pub(crate) fingerprint: Fingerprint,
    /// Names in wire form, one after the other.
    names: Box<[u8]>,
    table: NameTable,
    /// The apex is the first.
    nodes: Box<[Node]>,
    groups: Box<[Group]>,
    entries: Box<[Entry]>,
    /// What only explanations need of an entry, where there is something.
    details: BTreeMap<u32, Details>,
    sets: Box<[Set]>,
    records: Box<[Record]>,
    /// The bytes of all records.
    wire: Box<[u8]>,
    orders: Box<[LatencyOrder]>,
    /// The SOA record of negative answers: its time to live is the lesser of its own and its
    /// MINIMUM (RFC 2308, section 5).
    negative: Set,
    /// The apex's NS records.
    servers: Option<u32>,
    /// What its aliases to other services' names found: by zone and name, with how long it may be
    /// kept.
    outside: BTreeMap<(ZoneId, Name), Option<(u32, OutsideName)>>,
    /// How many entries stand for such names: no record sets.
    outside_entries: usize,
    /// What of it couldn't be compiled.
    pub(crate) faults: Vec<Fault>,
}

/// A name that exists, if only because one below it does.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Node {
    name: u32,
    name_length: u8,
    /// It has NS records and isn't the apex: what is at it and below belongs to others.
    delegated: bool,
    groups: u32,
    group_count: u16,
    /// The node of the wildcard right below it, or `NONE`.
    wildcard: u32,
}

/// The record sets of one name and kind: a decision.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Group {
    pub(crate) kind: RecordKind,
    pub(crate) rule: Rule,
    node: u32,
    first: u32,
    count: u16,
}

/// How a group decides.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Rule {
    /// There is one entry.
    Simple,
    /// By weight, which is each entry's key.
    Weighted,
    /// By the order of that number among the zone's.
    Latency(u32),
    /// By role, which is each entry's key.
    Failover,
    /// By place, whose code is each entry's key; in ascending order.
    Geolocation,
    /// Up to eight.
    Multivalue,
}

/// A record set within its group.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Entry {
    check: Slot,
    evaluate_target_health: bool,
    alias: bool,
    /// What the group's rule goes by.
    key: u32,
    /// The set of records, or the group that an alias stands for (`NONE`: it leads nowhere).
    target: u32,
}

/// What explanations say of an entry.
#[derive(Clone, Debug, Default)]
pub(crate) struct Details {
    pub(crate) identifier: Option<Box<str>>,
    pub(crate) check: Option<HealthCheckId>,
    pub(crate) alias: Option<Name>,
    pub(crate) region: Option<types::Region>,
    pub(crate) location: Option<Location>,
}

/// Records that are answered together.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Set {
    first: u32,
    count: u16,
    ttl: u32,
}

/// A record's bytes: owner (a pointer yet to be set), type, class, time to live, data. Names in
/// the data that end in the zone's end in a pointer yet to be set, where RFC 3597 allows that.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Record {
    start: u32,
    length: u16,
    /// Where pointers to the zone's name stand, in the record; 0: nowhere.
    apex: [u16; 2],
    /// The node of the name in the data, if the zone has it: for the additional section.
    target: u32,
}

/// In which order a group's entries are near, from every Region: a row a Region of the table.
#[derive(Debug)]
pub(crate) struct LatencyOrder {
    entries: usize,
    rows: Box<[u8]>,
}

impl LatencyOrder {
    /// The entries from the nearest, for a client at the Region of that row.
    fn row(&self, row: usize) -> &[u8] {
        &self.rows[row * self.entries..(row + 1) * self.entries]
    }
}

/// A place as a number: the more exact, the greater, and every kind apart.
pub(crate) fn location_code(location: Location) -> u32 {
    let letters = |text: &str, base: u32| {
        text.bytes().fold(0, |code, octet| {
            code * base
                + match octet {
                    b'A'..=b'Z' => u32::from(octet - b'A') + 1,
                    _ => u32::from(octet.wrapping_sub(b'0')) + 27,
                }
        })
    };
    match location {
        Location::Default => 0,
        Location::Continent(continent) => 1 << 28 | continent as u32,
        Location::Country(country) => 2 << 28 | letters(country.as_str(), 27) << 16,
        Location::Subdivision(country, part) => {
            3 << 28 | letters(country.as_str(), 27) << 16 | letters(part.as_str(), 37)
        }
    }
}

impl CompiledZone {
    fn node_name(&self, node: u32) -> &[u8] {
        let node = &self.nodes[node as usize];
        let start = node.name as usize;
        &self.names[start..start + usize::from(node.name_length)]
    }

    /// The node of the name in that wire form.
    fn find(&self, hash: u64, wire: &[u8]) -> Option<u32> {
        self.table.find(hash, |node| self.node_name(node) == wire)
    }

    /// The group of that kind at a node.
    pub(crate) fn group_of(&self, node: u32, kind: u16) -> Option<u32> {
        let node = &self.nodes[node as usize];
        let end = node.groups + u32::from(node.group_count);
        (node.groups..end).find(|group| self.groups[*group as usize].kind.code() == kind)
    }

    /// The first group at a node, if it has any: that of the lowest type number.
    pub(crate) fn first_group(&self, node: u32) -> Option<u32> {
        let node = &self.nodes[node as usize];
        (node.group_count > 0).then_some(node.groups)
    }

    /// A group.
    pub(crate) fn group(&self, group: u32) -> &Group {
        &self.groups[group as usize]
    }

    /// The numbers of a group's entries.
    pub(crate) fn entries_of(&self, group: u32) -> std::ops::Range<u32> {
        let group = &self.groups[group as usize];
        group.first..group.first + u32::from(group.count)
    }

    /// Does that node's name lie at or below the other's?
    pub(crate) fn lies_within(&self, node: u32, above: u32) -> bool {
        let (mut name, above) = (self.node_name(node), self.node_name(above));
        while name.len() > above.len() {
            name = &name[usize::from(name[0]) + 1..];
        }
        name == above
    }

    /// What explanations need of an entry.
    pub(crate) fn details(&self, entry: u32) -> Option<&Details> {
        self.details.get(&entry)
    }

    /// The slot of an entry's check.
    pub(crate) fn check_of(&self, entry: u32) -> Slot {
        self.entries[entry as usize].check
    }

    /// What the group's rule goes by, of an entry.
    pub(crate) fn key_of(&self, entry: u32) -> u32 {
        self.entries[entry as usize].key
    }

    /// Is the entry an alias that looks at its target's health?
    pub(crate) fn evaluates_target(&self, entry: u32) -> bool {
        self.entries[entry as usize].evaluate_target_health
    }

    /// The name of a group.
    pub(crate) fn group_name(&self, group: u32) -> Name {
        let wire = self.node_name(self.groups[group as usize].node);
        Name::from_wire(wire).expect("a node's name was made from one")
    }

    /// The group of that name and kind.
    pub(crate) fn group_named(&self, name: &Name, kind: RecordKind) -> Option<u32> {
        let node = self.find(hash_name(name.wire()), name.wire())?;
        self.group_of(node, kind.code())
    }

    /// How many record sets it has.
    pub(crate) fn record_sets(&self) -> usize {
        self.entries.len() - self.outside_entries
    }

    /// Do its aliases to other services' names find in those what they were compiled to?
    pub(crate) fn outside_stands(&self, names: &OutsideNames) -> bool {
        let mut found = self.outside.iter();
        found.all(|((zone, name), was)| {
            let is = names.find(zone, name);
            is == was.as_ref().map(|(ttl, stands)| (*ttl, stands))
        })
    }

    /// The checks that its records depend on.
    pub(crate) fn checks(&self) -> impl Iterator<Item = &HealthCheckId> {
        self.details
            .values()
            .filter_map(|details| details.check.as_ref())
    }
}

/// Whether a record set may stand where it does; the rest is the API's to judge.
fn belongs(set: &RecordSet, zone: &Name) -> bool {
    set.name.is_within(zone)
}
