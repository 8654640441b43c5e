//! A zone's records as a batch sees them: what the configuration holds, under the changes made
//! so far. It reads a group when it is first needed, and judges nothing.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use types::{ConfigurationEdit, ConfigurationExpected, ConfigurationView};

use super::draft::{Action, Change};
use super::{same_policy, ttl_mut};
use crate::codec::encode_group;
use crate::{Name, Policy, RecordKind, RecordSet, RoutingError, Zone, catalogue, keys};

/// The record sets of one name and type.
struct Group {
    /// The revision that wrote them; `None`: there were none.
    before: Option<u64>,
    sets: Vec<RecordSet>,
    touched: bool,
}

/// A zone's records under a batch.
pub(crate) struct WorkingCopy<'v> {
    view: &'v dyn ConfigurationView,
    pub(super) zone: &'v Zone,
    /// By their keys in the configuration, which are compared faster than names are.
    groups: BTreeMap<String, Group>,
    /// How many record sets more (or fewer) there are than before.
    grown: i64,
}

impl<'v> WorkingCopy<'v> {
    /// The zone's records as the view has them.
    pub(crate) fn new(view: &'v dyn ConfigurationView, zone: &'v Zone) -> WorkingCopy<'v> {
        WorkingCopy {
            view,
            zone,
            groups: BTreeMap::new(),
            grown: 0,
        }
    }

    /// The record sets of that name and type as they are now.
    pub(crate) fn sets(
        &mut self,
        name: &Name,
        kind: RecordKind,
    ) -> Result<&[RecordSet], RoutingError> {
        Ok(&self.group(name, kind)?.sets)
    }

    fn group(&mut self, name: &Name, kind: RecordKind) -> Result<&mut Group, RoutingError> {
        match self.groups.entry(keys::records(&self.zone.id, name, kind)) {
            Entry::Occupied(group) => Ok(group.into_mut()),
            Entry::Vacant(place) => {
                let found = catalogue::group(self.view, &self.zone.id, name, kind)?;
                let (before, sets) = found.map_or((None, Vec::new()), |(revision, sets)| {
                    (Some(revision), sets)
                });
                Ok(place.insert(Group {
                    before,
                    sets,
                    touched: false,
                }))
            }
        }
    }

    /// Makes a change that no rule speaks against.
    pub(super) fn make(&mut self, change: &Change) -> Result<(), RoutingError> {
        let set = &change.set;
        let group = self.group(&set.name, set.kind)?;
        group.touched = true;
        let before = group.sets.len();
        group
            .sets
            .retain(|other| other.identifier() != set.identifier());
        if change.action != Action::Delete {
            group.sets.push(set.clone());
            group
                .sets
                .sort_by(|one, other| one.identifier().cmp(&other.identifier()));
            share_ttl(&mut group.sets, set);
        }
        let after = group.sets.len();
        self.grown += i64::try_from(after).unwrap_or(0) - i64::try_from(before).unwrap_or(0);
        Ok(())
    }

    /// Visits every group of the zone as it is now.
    pub(super) fn visit(
        &self,
        visitor: &mut dyn FnMut(&Name, RecordKind, &[RecordSet]),
    ) -> Result<(), RoutingError> {
        catalogue::visit_groups(self.view, &self.zone.id, &mut |name, kind, sets| {
            if !self.is_touched(name, kind) {
                visitor(name, kind, &sets);
            }
            true
        })?;
        for group in self.groups.values().filter(|group| group.touched) {
            if let Some(set) = group.sets.first() {
                visitor(&set.name, set.kind, &group.sets);
            }
        }
        Ok(())
    }

    /// How many record sets more there are than before.
    pub(super) fn grown(&self) -> i64 {
        self.grown
    }

    /// How many record sets the configuration has.
    pub(super) fn count_before(&self) -> Result<usize, RoutingError> {
        catalogue::record_count(self.view, &self.zone.id)
    }

    /// Were record sets of that name and type changed?
    pub(super) fn is_touched(&self, name: &Name, kind: RecordKind) -> bool {
        let group = self.groups.get(&keys::records(&self.zone.id, name, kind));
        group.is_some_and(|group| group.touched)
    }

    /// The edits that make the configuration so, as long as nothing of it changed meanwhile.
    pub(crate) fn edits(&self) -> Vec<ConfigurationEdit> {
        let touched = self.groups.iter().filter(|(_, group)| group.touched);
        let edits = touched.filter_map(|(key, group)| {
            if group.sets.is_empty() && group.before.is_none() {
                return None;
            }
            Some(ConfigurationEdit {
                key: key.clone(),
                expected: match group.before {
                    Some(revision) => ConfigurationExpected::Revision(revision),
                    None => ConfigurationExpected::Absent,
                },
                value: (!group.sets.is_empty()).then(|| encode_group(&group.sets)),
            })
        });
        edits.collect()
    }
}

/// "If you create two or more weighted (multivalue answer) records that have the same name and
/// type, and you specify different values for TTL, Route 53 changes the value of TTL for all of
/// the records to the last value that you specified" (Developer Guide).
fn share_ttl(sets: &mut [RecordSet], last: &RecordSet) {
    let shares = |policy: &Policy| matches!(policy, Policy::Weighted(_) | Policy::Multivalue);
    let Some(selector) = last.selector.as_ref().filter(|s| shares(&s.policy)) else {
        return;
    };
    let mut content = last.content.clone();
    let Some(&mut wanted) = ttl_mut(&mut content) else {
        return;
    };
    for set in sets {
        let alike = set
            .selector
            .as_ref()
            .is_some_and(|other| same_policy(&other.policy, &selector.policy));
        if let Some(ttl) = ttl_mut(&mut set.content).filter(|_| alike) {
            *ttl = wanted;
        }
    }
}
