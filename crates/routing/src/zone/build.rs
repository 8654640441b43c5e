//! Compiling a zone: names to a table, record sets to decisions and to bytes. What can't be
//! compiled is left out and named; the rest of the zone answers.

use std::collections::BTreeMap;

use types::Region;

use super::records::append;
use super::table::NameTable;
use super::{
    CompiledZone, Details, Entry, Fingerprint, Group, LatencyOrder, NONE, Node, Record, Rule, Set,
    belongs, location_code,
};
use crate::board::{HealthBoard, Slot};
use crate::dns::query_name::hash_name;
use crate::locate::{anchor_rows, latency};
use crate::model::Zone;
use crate::outside::OutsideNames;
use crate::zone::choose::MAX_GROUP;
use crate::{Content, Name, Policy, RecordKind, RecordSet, ZoneId, model, rdata};

mod aliases;
mod outside;

/// Something in a zone that couldn't be compiled, in words.
pub(crate) type Fault = String;

/// Compiles a zone from the record sets of its groups; `outside` are the names that its aliases to
/// other services may lead to.
pub(crate) fn compile(
    zone: &Zone,
    fingerprint: Fingerprint,
    groups: impl IntoIterator<Item = (Name, RecordKind, Vec<RecordSet>)>,
    board: &HealthBoard,
    outside: &OutsideNames,
) -> CompiledZone {
    let mut builder = Builder::new(zone, board, outside);
    builder.node(zone.name.wire());
    for (name, kind, sets) in groups {
        builder.group(&name, kind, sets);
    }
    builder.complete_apex(zone);
    builder.stand_for_outside();
    builder.finish(zone, fingerprint)
}

struct Builder<'a> {
    id: &'a ZoneId,
    zone: &'a Name,
    board: &'a HealthBoard,
    names_outside: &'a OutsideNames,
    faults: Vec<Fault>,
    names: Vec<u8>,
    table: NameTable,
    nodes: Vec<Node>,
    groups: Vec<Group>,
    entries: Vec<Entry>,
    details: BTreeMap<u32, Details>,
    sets: Vec<Set>,
    records: Vec<Record>,
    wire: Vec<u8>,
    orders: BTreeMap<Vec<Region>, u32>,
    rows: Vec<LatencyOrder>,
    /// Aliases, by entry: what they stand for is found when every group is there.
    aliases: Vec<(u32, Name, RecordKind)>,
    /// Aliases to other services' names.
    outside: outside::Outside,
}

impl<'a> Builder<'a> {
    fn new(zone: &'a Zone, board: &'a HealthBoard, outside: &'a OutsideNames) -> Builder<'a> {
        Builder {
            id: &zone.id,
            zone: &zone.name,
            board,
            names_outside: outside,
            faults: Vec::new(),
            names: Vec::new(),
            table: NameTable::default(),
            nodes: Vec::new(),
            groups: Vec::new(),
            entries: Vec::new(),
            details: BTreeMap::new(),
            sets: Vec::new(),
            records: Vec::new(),
            wire: Vec::new(),
            orders: BTreeMap::new(),
            rows: Vec::new(),
            aliases: Vec::new(),
            outside: outside::Outside::default(),
        }
    }

    fn find(&self, wire: &[u8]) -> Option<u32> {
        self.table.find(hash_name(wire), |node| {
            name_of(&self.names, &self.nodes[node as usize]) == wire
        })
    }

    /// The node of a name within the zone; it and those above it are made where they're missing.
    fn node(&mut self, wire: &[u8]) -> u32 {
        if let Some(node) = self.find(wire) {
            return node;
        }
        let number = u32::try_from(self.nodes.len()).expect("fewer than 2³² names");
        let (names, nodes) = (&self.names, &self.nodes);
        self.table.insert(hash_name(wire), number, |node| {
            hash_name(name_of(names, &nodes[node as usize]))
        });
        self.nodes.push(Node {
            name: u32::try_from(self.names.len()).expect("names take less than 4 GiB"),
            name_length: wire.len() as u8, // a name has at most 255 octets
            delegated: false,
            groups: 0,
            group_count: 0,
            wildcard: NONE,
        });
        self.names.extend(wire);
        if wire.len() > self.zone.wire().len() {
            let parent = self.node(&wire[usize::from(wire[0]) + 1..]);
            if wire.starts_with(b"\x01*") {
                self.nodes[parent as usize].wildcard = number;
            }
        }
        number
    }

    fn fault(&mut self, name: &Name, kind: RecordKind, what: impl std::fmt::Display) {
        self.faults.push(format!("{name} {kind}: {what}"));
    }

    /// Adds a group: its sets in the order that its rule wants them.
    fn group(&mut self, name: &Name, kind: RecordKind, mut sets: Vec<RecordSet>) {
        sets.retain(|set| belongs(set, self.zone));
        let policy = |set: &RecordSet| set.selector.as_ref().map(|selector| selector.policy);
        let Some(first) = sets.first().map(policy) else {
            return;
        };
        let before = sets.len();
        let same = |set: &RecordSet| {
            let policy = policy(set);
            policy.is_some() == first.is_some()
                && policy.as_ref().map(std::mem::discriminant)
                    == first.as_ref().map(std::mem::discriminant)
        };
        sets.retain(same);
        sets.truncate(if first.is_none() { 1 } else { MAX_GROUP });
        if first == Some(Policy::Multivalue) {
            sets.retain(|set| matches!(set.content, Content::Values { .. }));
        }
        if sets.len() < before {
            self.fault(
                name,
                kind,
                "record sets that can't stand together are left out",
            );
        }
        sets.sort_by_key(|set| policy(set).map_or(0, key));
        let first_entry = self.entries.len();
        let mut regions = Vec::new();
        for set in &sets {
            self.entry(set);
            if let Some(Policy::Latency(region)) = policy(set) {
                regions.push(region);
            }
        }
        let count = self.entries.len() - first_entry;
        if count == 0 {
            return;
        }
        let rule = match first {
            None => Rule::Simple,
            Some(Policy::Weighted(_)) => Rule::Weighted,
            Some(Policy::Failover(_)) => Rule::Failover,
            Some(Policy::Geolocation(_)) => Rule::Geolocation,
            Some(Policy::Multivalue) => Rule::Multivalue,
            Some(Policy::Latency(_)) => Rule::Latency(self.order(regions)),
        };
        let node = self.node(name.wire());
        self.groups.push(Group {
            kind,
            rule,
            node,
            first: first_entry as u32,
            count: count as u16, // at most MAX_GROUP
        });
    }

    fn entry(&mut self, set: &RecordSet) {
        let number = self.entries.len() as u32;
        let policy = set.selector.as_ref().map(|selector| selector.policy);
        let mut details = Details {
            identifier: set.identifier().map(Into::into),
            check: set.health_check.clone(),
            ..Details::default()
        };
        match policy {
            Some(Policy::Latency(region)) => details.region = Some(region),
            Some(Policy::Geolocation(location)) => details.location = Some(location),
            _ => {}
        }
        let mut entry = Entry {
            check: match &set.health_check {
                Some(check) => self.board.slot(check),
                None => Slot::ALWAYS_HEALTHY,
            },
            evaluate_target_health: false,
            alias: false,
            key: policy.map_or(0, key),
            target: NONE,
        };
        match &set.content {
            Content::Values { ttl, values } => {
                entry.target = self.set(&set.name, set.kind, *ttl, values);
            }
            Content::Alias(alias) => {
                entry.alias = true;
                entry.evaluate_target_health = alias.evaluate_target_health;
                details.alias = Some(alias.target.clone());
                let target = alias.target.clone();
                match alias.zone == *self.id {
                    true => self.aliases.push((number, target, set.kind)),
                    false => {
                        let zone = alias.zone.clone();
                        self.outside
                            .aliases
                            .push((number, (zone, target), set.kind));
                    }
                }
            }
        }
        if policy.is_some() || details.check.is_some() || entry.alias {
            self.details.insert(number, details);
        }
        self.entries.push(entry);
    }

    /// Adds the bytes of a set's values, each once.
    fn set(&mut self, name: &Name, kind: RecordKind, ttl: u32, values: &[String]) -> u32 {
        let mut data = Vec::with_capacity(values.len());
        for value in values {
            match rdata::parse(kind, value) {
                Ok(bytes) if data.contains(&bytes) => {}
                Ok(bytes) => data.push(bytes),
                Err(error) => self.fault(name, kind, error),
            }
        }
        if matches!(kind, RecordKind::Cname | RecordKind::Soa) {
            data.truncate(1);
        }
        data.truncate(usize::from(u16::MAX));
        let set = self.append(kind, ttl, &data);
        self.sets.push(set);
        self.sets.len() as u32 - 1
    }

    fn append(&mut self, kind: RecordKind, ttl: u32, data: &[Vec<u8>]) -> Set {
        let first = self.records.len() as u32;
        for data in data {
            self.records
                .push(append(&mut self.wire, self.zone, kind, ttl, data));
        }
        Set {
            first,
            count: data.len() as u16, // truncated to that
            ttl,
        }
    }

    /// The number of the order in which those Regions are near, made once for equal lists.
    fn order(&mut self, regions: Vec<Region>) -> u32 {
        let next = self.rows.len() as u32;
        let number = *self.orders.entry(regions.clone()).or_insert(next);
        if number == next {
            let mut rows = Vec::with_capacity(regions.len() * anchor_rows());
            for row in 0..anchor_rows() {
                let mut order: Vec<u8> = (0..regions.len() as u8).collect();
                order.sort_by_key(|index| latency(row, regions[usize::from(*index)]));
                rows.extend(order);
            }
            self.rows.push(LatencyOrder {
                entries: regions.len(),
                rows: rows.into(),
            });
        }
        number
    }

    /// The SOA and NS records that every zone has, where the configuration lacks them.
    fn complete_apex(&mut self, zone: &Zone) {
        for set in model::apex_records(zone) {
            let there = self
                .groups
                .iter()
                .any(|group| group.node == 0 && group.kind == set.kind);
            if !there {
                self.group(&set.name.clone(), set.kind, vec![set]);
            }
        }
    }

    fn finish(mut self, zone: &Zone, fingerprint: Fingerprint) -> CompiledZone {
        self.groups
            .sort_by_key(|group| (group.node, group.kind.code()));
        for (number, group) in self.groups.iter().enumerate() {
            let node = &mut self.nodes[group.node as usize];
            if node.group_count == 0 {
                node.groups = number as u32;
            }
            node.group_count += 1;
            let wildcard = name_of(&self.names, node).starts_with(b"\x01*");
            if group.kind == RecordKind::Ns && group.node != 0 && !wildcard {
                node.delegated = true;
            }
        }
        self.resolve_targets();
        let negative = self.negative();
        let servers = self.servers();
        let mut compiled = CompiledZone {
            id: zone.id.clone(),
            name: zone.name.clone(),
            fingerprint,
            names: self.names.into(),
            table: self.table,
            nodes: self.nodes.into(),
            groups: self.groups.into(),
            entries: self.entries.into(),
            details: self.details,
            sets: self.sets.into(),
            records: self.records.into(),
            wire: self.wire.into(),
            orders: self.rows.into(),
            negative,
            servers,
            outside: self.outside.found,
            outside_entries: self.outside.entries,
            faults: self.faults,
        };
        outside::resolve(&mut compiled, &self.outside.aliases, &self.outside.nodes);
        aliases::resolve(&mut compiled, &self.aliases);
        compiled
    }

    /// Finds the nodes of the names in the data of MX, NS and SRV records.
    fn resolve_targets(&mut self) {
        let mut found = Vec::new();
        for group in &self.groups {
            if !matches!(
                group.kind,
                RecordKind::Mx | RecordKind::Ns | RecordKind::Srv
            ) {
                continue;
            }
            let first = group.first as usize;
            for entry in &self.entries[first..first + usize::from(group.count)] {
                if entry.alias {
                    continue;
                }
                let set = self.sets[entry.target as usize];
                for number in set.first..set.first + u32::from(set.count) {
                    let data = self.data(&self.records[number as usize]);
                    let target = rdata::target(group.kind, &data);
                    let node = target.and_then(|target| self.find(target.wire()));
                    found.extend(node.map(|node| (number, node)));
                }
            }
        }
        for (number, node) in found {
            self.records[number as usize].target = node;
        }
    }

    /// A record's data, uncompressed.
    fn data(&self, record: &Record) -> Vec<u8> {
        let start = record.start as usize;
        let bytes = &self.wire[start..start + usize::from(record.length)];
        super::records::uncompressed(bytes, record.apex, self.zone)
    }

    /// The apex's NS records, unless something is to be decided about them.
    fn servers(&self) -> Option<u32> {
        let apex = |group: &&Group| group.node == 0 && group.kind == RecordKind::Ns;
        let group = self.groups.iter().find(apex)?;
        let entry = self.entries[group.first as usize];
        (group.rule == Rule::Simple && !entry.alias).then_some(entry.target)
    }

    fn negative(&mut self) -> Set {
        let soa = self
            .groups
            .iter()
            .find(|group| group.node == 0 && group.kind == RecordKind::Soa);
        let soa = soa.expect("complete_apex adds one");
        let set = self.sets[self.entries[soa.first as usize].target as usize];
        let data = match set.count {
            0 => Vec::new(),
            _ => self.data(&self.records[set.first as usize]),
        };
        let Some(minimum) = data.last_chunk::<4>() else {
            return Set::default();
        };
        let ttl = set.ttl.min(u32::from_be_bytes(*minimum));
        self.append(RecordKind::Soa, ttl, &[data])
    }
}

fn name_of<'a>(names: &'a [u8], node: &Node) -> &'a [u8] {
    let start = node.name as usize;
    &names[start..start + usize::from(node.name_length)]
}

/// What a group's rule goes by.
fn key(policy: Policy) -> u32 {
    match policy {
        Policy::Weighted(weight) => u32::from(weight),
        Policy::Failover(role) => role as u32,
        Policy::Geolocation(location) => location_code(location),
        Policy::Latency(_) | Policy::Multivalue => 0,
    }
}
