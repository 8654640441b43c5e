//! Aliases to names that other services have. Each name is a group at a node of its own, which no
//! question finds: an entry an address, of one weight where an answer gives one of them, of a
//! multivalue group where it gives all that are healthy.

use std::collections::BTreeMap;

use crate::outside::{KINDS, OutsideAnswer, OutsideName};
use crate::zone::build::Builder;
use crate::zone::choose::MAX_GROUP;
use crate::zone::{CompiledZone, Details, Entry, Group, NONE, Node, Rule};
use crate::{Name, RecordKind, ZoneId};

/// A name of another service: its zone, and it.
type Place = (ZoneId, Name);

/// Aliases: their entries, what they lead to, and their kinds.
type Aliases = Vec<(u32, Place, RecordKind)>;

/// What is known of a zone's aliases to such names.
#[derive(Default)]
pub(super) struct Outside {
    pub(super) aliases: Aliases,
    /// What they found, with how long it may be kept.
    pub(super) found: BTreeMap<Place, Option<(u32, OutsideName)>>,
    /// The nodes that stand for names.
    pub(super) nodes: BTreeMap<Place, u32>,
    /// Entries that were made for them.
    pub(super) entries: usize,
}

impl Builder<'_> {
    /// Makes the groups that aliases to other services' names stand for.
    pub(super) fn stand_for_outside(&mut self) {
        let aliases = std::mem::take(&mut self.outside.aliases);
        for (_, place, _) in &aliases {
            if self.outside.found.contains_key(place) {
                continue;
            }
            let found = self.names_outside.find(&place.0, &place.1);
            let found = found.map(|(ttl, stands)| (ttl, stands.clone()));
            if let Some((ttl, stands)) = &found {
                let node = self.hidden_node(&place.1);
                for kind in KINDS {
                    self.outside_group(node, kind, *ttl, stands);
                }
                self.outside.nodes.insert(place.clone(), node);
            }
            self.outside.found.insert(place.clone(), found);
        }
        self.outside.aliases = aliases;
    }

    /// A node that explanations can name and no question finds.
    fn hidden_node(&mut self, name: &Name) -> u32 {
        let number = u32::try_from(self.nodes.len()).expect("fewer than 2³² names");
        self.nodes.push(Node {
            name: u32::try_from(self.names.len()).expect("names take less than 4 GiB"),
            name_length: name.wire().len() as u8, // a name has at most 255 octets
            delegated: false,
            groups: 0,
            group_count: 0,
            wildcard: NONE,
        });
        self.names.extend(name.wire());
        number
    }

    fn outside_group(&mut self, node: u32, kind: RecordKind, ttl: u32, stands: &OutsideName) {
        let first = self.entries.len() as u32;
        for stands in stands.of_kind(kind).take(MAX_GROUP) {
            let check = self.board.slot(&stands.check);
            let octets = match stands.address {
                std::net::IpAddr::V4(v4) => v4.octets().to_vec(),
                std::net::IpAddr::V6(v6) => v6.octets().to_vec(),
            };
            let set = self.append(kind, ttl, &[octets]);
            self.sets.push(set);
            let details = Details {
                check: Some(stands.check.clone()),
                ..Details::default()
            };
            self.details.insert(self.entries.len() as u32, details);
            self.entries.push(Entry {
                check,
                evaluate_target_health: false,
                alias: false,
                key: 1,
                target: self.sets.len() as u32 - 1,
            });
        }
        let count = self.entries.len() as u32 - first;
        if count == 0 {
            return;
        }
        self.outside.entries += count as usize;
        self.groups.push(Group {
            kind,
            rule: match stands.answer {
                OutsideAnswer::One => Rule::Weighted,
                OutsideAnswer::AllHealthy => Rule::Multivalue,
            },
            node,
            first,
            count: count as u16, // a name has a few addresses
        });
    }
}

/// Finds the groups of such aliases once all are there. A name that is there and has no address of
/// an alias's kind is no fault: it answers that it has none.
pub(super) fn resolve(
    zone: &mut CompiledZone,
    aliases: &[(u32, Place, RecordKind)],
    nodes: &BTreeMap<Place, u32>,
) {
    for (entry, place, kind) in aliases {
        let node = nodes.get(place);
        let group = node.and_then(|node| zone.group_of(*node, kind.code()));
        if group.is_none() && (node.is_none() || !KINDS.contains(kind)) {
            let fault = format!("an alias's target isn't there: {} {kind}", place.1);
            zone.faults.push(fault);
        }
        zone.entries[*entry as usize].target = group.unwrap_or(NONE);
    }
}
