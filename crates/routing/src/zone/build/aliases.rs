//! What aliases stand for. Those that lead in a circle or too deep lead nowhere, so that every
//! decision ends.

use super::Fault;
use crate::zone::{CompiledZone, NONE};
use crate::{Name, RecordKind};

/// Aliases one behind the other, at most. The service names no limit.
pub(crate) const MAX_ALIAS_DEPTH: usize = 32;

/// Finds every alias's group; `aliases` are entries, target names and kinds.
pub(super) fn resolve(
    zone: &mut CompiledZone,
    aliases: &[(u32, Name, RecordKind)],
    faults: &mut Vec<Fault>,
) {
    for (entry, target, kind) in aliases {
        let group = zone.group_named(target, *kind);
        if group.is_none() {
            faults.push(format!("an alias's target isn't there: {target} {kind}"));
        }
        zone.entries[*entry as usize].target = group.unwrap_or(NONE);
    }
    if aliases.is_empty() {
        return;
    }
    let mut visit = Visit {
        depths: vec![Depth::Unknown; zone.groups.len()],
        cut: 0,
    };
    for group in 0..zone.groups.len() as u32 {
        visit.depth(zone, group, 0);
    }
    if visit.cut > 0 {
        faults.push(format!(
            "{} aliases lead in a circle or too deep",
            visit.cut
        ));
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Depth {
    Unknown,
    UnderWay,
    Known(usize),
}

struct Visit {
    depths: Vec<Depth>,
    cut: usize,
}

impl Visit {
    /// How many aliases follow each other from that group on, after cutting what must be cut.
    /// `above` groups are under way.
    fn depth(&mut self, zone: &mut CompiledZone, group: u32, above: usize) -> usize {
        if let Depth::Known(depth) = self.depths[group as usize] {
            return depth;
        }
        self.depths[group as usize] = Depth::UnderWay;
        let mut deepest = 0;
        for entry in zone.entries_of(group) {
            let target = zone.entries[entry as usize];
            if !target.alias || target.target == NONE {
                continue;
            }
            let circular = self.depths[target.target as usize] == Depth::UnderWay;
            // Looked at only as far down as is allowed: the recursion ends.
            let depth = match circular || above >= MAX_ALIAS_DEPTH {
                true => usize::MAX,
                false => self.depth(zone, target.target, above + 1),
            };
            if depth >= MAX_ALIAS_DEPTH {
                zone.entries[entry as usize].target = NONE;
                self.cut += 1;
            } else {
                deepest = deepest.max(depth + 1);
            }
        }
        self.depths[group as usize] = Depth::Known(deepest);
        deepest
    }
}
