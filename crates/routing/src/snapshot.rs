//! All zones as of one revision, ready to answer. Immutable: a change makes another snapshot,
//! which takes over the zones that are as they were.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use types::{ConfigurationView, HealthCheckId};

use crate::board::HealthBoard;
use crate::codec::{self, CodecError};
use crate::dns::QueryName;
use crate::dns::query_name::{ROOT_HASH, extend_hash, hash_name};
use crate::model::Zone;
use crate::outside::OutsideNames;
use crate::zone::table::NameTable;
use crate::zone::{CompiledZone, Fault, Fingerprint, compile};
use crate::{Name, RecordKind, RecordSet, keys};

/// Zones to answer from.
#[derive(Clone, Debug, Default)]
pub struct Snapshot {
    revision: u64,
    /// The zones that aren't served as this revision has them, by their keys; each with the last
    /// revision that is served of it.
    behind: BTreeMap<String, u64>,
    /// First those of other services, then the accounts' in the order of their ids.
    zones: Vec<Arc<CompiledZone>>,
    /// How many of them are other services'.
    outside_zones: usize,
    /// What stands in those.
    outside: Arc<OutsideNames>,
    by_name: NameTable,
    /// Labels of the longest zone's name.
    most_labels: usize,
    faults: Vec<Fault>,
    /// Zones that were compiled for it; the others were taken over.
    compiled: usize,
}

/// A zone found for a name: which, the label its name begins with there, and its hash.
#[derive(Clone, Copy)]
pub(crate) struct InZone<'a> {
    pub(crate) zone: &'a CompiledZone,
    pub(crate) apex: usize,
    pub(crate) hash: u64,
}

impl Snapshot {
    /// Compiles the zones of the configuration. Those that `previous` has as they are now are
    /// taken over from it. What can't be read is left out, or kept as it was; `faults` says so.
    /// `outside` are the names that other services have by the same configuration.
    pub fn compile(
        view: &dyn ConfigurationView,
        previous: Option<&Snapshot>,
        board: &HealthBoard,
        outside: &Arc<OutsideNames>,
    ) -> Snapshot {
        let same_outside = previous.is_some_and(|previous| previous.outside == *outside);
        let changes = previous.and_then(|previous| Changes::since(previous.revision, view));
        if let (Some(previous), Some(Changes::Nothing), true) = (previous, &changes, same_outside) {
            return previous.at(view.revision());
        }
        let mut snapshot = Snapshot {
            revision: view.revision(),
            ..Snapshot::default()
        };
        snapshot.add_outside(outside, previous.filter(|_| same_outside), board);
        for (zone, revision) in snapshot.read_zones(view, previous) {
            let before = previous.and_then(|previous| previous.zone_of_id(&zone));
            let is_behind =
                previous.is_some_and(|was| was.behind.contains_key(&keys::zone(&zone.id)));
            let fingerprint = match (before, &changes) {
                (Some(before), Some(changes)) if !is_behind && !changes.are_of(&zone) => {
                    before.fingerprint
                }
                _ => fingerprint(view, &zone, revision),
            };
            let compiled = match before {
                Some(before)
                    if before.fingerprint == fingerprint && before.outside_stands(outside) =>
                {
                    before.clone()
                }
                _ => match groups(view, &zone) {
                    Ok(groups) => {
                        snapshot.compiled += 1;
                        Arc::new(compile(&zone, fingerprint, groups, board, outside))
                    }
                    Err((key, error)) => {
                        snapshot.faults.push(format!("{key}: {error}"));
                        let through = match (before, previous) {
                            (Some(_), Some(previous)) => previous.revision,
                            _ => first_revision(view, &zone, revision).saturating_sub(1),
                        };
                        snapshot.fall_behind(keys::zone(&zone.id), through, previous);
                        match before {
                            Some(before) => before.clone(),
                            None => continue,
                        }
                    }
                },
            };
            snapshot.add(compiled);
        }
        snapshot
    }

    /// The configuration's zones, with the revisions that set them; what can't be read falls
    /// behind.
    fn read_zones(
        &mut self,
        view: &dyn ConfigurationView,
        previous: Option<&Snapshot>,
    ) -> Vec<(Zone, u64)> {
        let mut zones = Vec::new();
        view.visit(
            keys::ZONES,
            &mut |key, revision, value| match codec::decode_zone(value) {
                Ok(zone) if keys::parse_zone(key).as_ref() == Some(&zone.id) => {
                    zones.push((zone, revision));
                }
                unreadable => {
                    let what = match unreadable {
                        Ok(_) => "another zone's value".to_owned(),
                        Err(error) => error.to_string(),
                    };
                    self.faults.push(format!("{key}: {what}"));
                    let through = revision.saturating_sub(1);
                    self.fall_behind(key.to_owned(), through, previous);
                }
            },
        );
        zones
    }

    /// The same zones as of a later revision that changed none of them.
    fn at(&self, revision: u64) -> Snapshot {
        Snapshot {
            revision,
            compiled: 0,
            ..self.clone()
        }
    }

    /// Compiles zones that stand in no configuration: for tests and measurements.
    pub fn of_zones(
        zones: impl IntoIterator<Item = (Zone, Vec<RecordSet>)>,
        board: &HealthBoard,
    ) -> Snapshot {
        let mut snapshot = Snapshot::default();
        for (zone, mut sets) in zones {
            sets.sort_by(|a, b| (&a.name, a.kind).cmp(&(&b.name, b.kind)));
            let groups = sets
                .chunk_by(|a, b| a.name == b.name && a.kind == b.kind)
                .map(|group| (group[0].name.clone(), group[0].kind, group.to_vec()));
            let outside = OutsideNames::default();
            let compiled = compile(&zone, Fingerprint::default(), groups, board, &outside);
            snapshot.add(Arc::new(compiled));
        }
        snapshot
    }

    /// Adds the zones of other services; those of `previous`, if it has the same.
    fn add_outside(
        &mut self,
        outside: &Arc<OutsideNames>,
        previous: Option<&Snapshot>,
        board: &HealthBoard,
    ) {
        match previous {
            Some(previous) => {
                for zone in &previous.zones[..previous.outside_zones] {
                    self.add(zone.clone());
                }
            }
            None => {
                for (zone, groups) in outside.zones() {
                    let fingerprint = Fingerprint::default();
                    let compiled = compile(&zone, fingerprint, groups, board, outside);
                    self.add(Arc::new(compiled));
                }
            }
        }
        self.outside_zones = self.zones.len();
        self.outside = outside.clone();
    }

    /// A zone isn't served as it is now, but at best as that revision had it; or an earlier one,
    /// if it was behind already.
    fn fall_behind(&mut self, key: String, through: u64, previous: Option<&Snapshot>) {
        let before = previous.and_then(|previous| previous.behind.get(&key));
        let through = before.map_or(through, |before| through.min(*before));
        self.behind.insert(key, through);
    }

    /// Of two zones with one name the first answers.
    fn add(&mut self, zone: Arc<CompiledZone>) {
        let number = u32::try_from(self.zones.len()).expect("fewer than 2³² zones");
        let wire = zone.name.wire().to_vec();
        let hash = hash_name(&wire);
        let known = self.find(hash, &wire).is_some();
        self.faults.extend(zone.faults.iter().cloned());
        self.most_labels = self.most_labels.max(zone.name.labels().count());
        self.zones.push(zone);
        if known {
            let what = "another zone has this name and answers";
            self.faults
                .push(format!("{}: {what}", self.zones[number as usize].name));
        } else {
            let zones = &self.zones;
            self.by_name.insert(hash, number, |number| {
                hash_name(zones[number as usize].name.wire())
            });
        }
    }

    fn find(&self, hash: u64, wire: &[u8]) -> Option<u32> {
        self.by_name.find(hash, |number| {
            self.zones[number as usize].name.wire() == wire
        })
    }

    fn zone_of_id(&self, zone: &Zone) -> Option<&Arc<CompiledZone>> {
        let zones = self.own_zones();
        let found = zones.binary_search_by(|known| known.id.cmp(&zone.id));
        let known = &zones[found.ok()?];
        (known.name == zone.name).then_some(known)
    }

    /// The zone of the longest name that the name lies within; only above it, with `above`.
    pub(crate) fn zone_for(&self, name: &QueryName, above: bool) -> Option<InZone<'_>> {
        let mut hash = ROOT_HASH;
        let mut found = None;
        let labels = name.labels();
        for count in 0..=self.most_labels.min(labels) {
            let label = labels - count;
            if above && label == 0 {
                break;
            }
            if count > 0 {
                hash = extend_hash(hash, name.label(label));
            }
            if let Some(number) = self.find(hash, name.suffix(label)) {
                found = Some(InZone {
                    zone: &self.zones[number as usize],
                    apex: label,
                    hash,
                });
            }
        }
        found
    }

    /// The configuration's revision that it answers by.
    pub fn revision(&self) -> u64 {
        self.revision
    }

    /// The last revision of which every zone is served: [`Snapshot::revision`], unless a zone
    /// couldn't be read and was left out or kept as it was.
    pub fn served_through(&self) -> u64 {
        let behind = self.behind.values().copied();
        behind.fold(self.revision, u64::min)
    }

    /// The accounts' zones, in the order of their ids.
    fn own_zones(&self) -> &[Arc<CompiledZone>] {
        &self.zones[self.outside_zones..]
    }

    /// How many zones it has, other services' apart.
    pub fn zone_count(&self) -> usize {
        self.own_zones().len()
    }

    /// How many record sets its zones have.
    pub fn record_set_count(&self) -> usize {
        self.own_zones().iter().map(|zone| zone.record_sets()).sum()
    }

    /// How many zones were compiled for it; the others were taken over from the snapshot before.
    pub fn compiled_zones(&self) -> usize {
        self.compiled
    }

    /// What of the configuration couldn't be compiled, a text each.
    pub fn faults(&self) -> &[String] {
        &self.faults
    }

    /// The checks that its records depend on; some more than once.
    pub fn checks(&self) -> impl Iterator<Item = &HealthCheckId> {
        self.zones.iter().flat_map(|zone| zone.checks())
    }
}

/// What of the zones changed since a revision.
enum Changes {
    Nothing,
    /// In these zones.
    Some(BTreeSet<String>),
}

impl Changes {
    /// None if the view can't tell: every zone must be looked at.
    fn since(revision: u64, view: &dyn ConfigurationView) -> Option<Changes> {
        let mut zones = BTreeSet::new();
        for prefix in [keys::ZONES, keys::RECORDS] {
            let known = view.visit_changes(prefix, revision, &mut |key, _| {
                let zone = key[prefix.len()..].split('/').next();
                zones.extend(zone.map(str::to_owned));
            });
            if !known {
                return None;
            }
        }
        Some(if zones.is_empty() {
            Changes::Nothing
        } else {
            Changes::Some(zones)
        })
    }

    fn are_of(&self, zone: &Zone) -> bool {
        match self {
            Changes::Nothing => false,
            Changes::Some(zones) => zones.contains(&zone.id.to_string()),
        }
    }
}

fn fingerprint(view: &dyn ConfigurationView, zone: &Zone, revision: u64) -> Fingerprint {
    let mut fingerprint = Fingerprint {
        zone: revision,
        ..Fingerprint::default()
    };
    view.visit(&keys::records_of(&zone.id), &mut |_, revision, _| {
        fingerprint.groups += 1;
        fingerprint.newest = fingerprint.newest.max(revision);
    });
    fingerprint
}

/// The earliest revision that set anything of a zone which `revision` set itself.
fn first_revision(view: &dyn ConfigurationView, zone: &Zone, revision: u64) -> u64 {
    let mut first = revision;
    view.visit(&keys::records_of(&zone.id), &mut |_, revision, _| {
        first = first.min(revision);
    });
    first
}

type Groups = Vec<(Name, RecordKind, Vec<RecordSet>)>;

/// The record groups of a zone, or the key of one that can't be read.
fn groups(view: &dyn ConfigurationView, zone: &Zone) -> Result<Groups, (String, CodecError)> {
    let mut groups = Ok(Vec::new());
    view.visit(&keys::records_of(&zone.id), &mut |key, _, value| {
        let Ok(read) = &mut groups else {
            return;
        };
        let group = match keys::parse_records(key) {
            None => Err(CodecError::Malformed("its key")),
            Some((_, name, kind)) => {
                codec::decode_group(&name, kind, value).map(|sets| (name, kind, sets))
            }
        };
        match group {
            Ok(group) => read.push(group),
            Err(error) => groups = Err((key.to_owned(), error)),
        }
    });
    groups
}
