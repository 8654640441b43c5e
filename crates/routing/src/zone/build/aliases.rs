//! What aliases stand for. Those that lead in a circle or too deep lead nowhere, so that every
//! decision ends.

use crate::api_limits::MAX_ALIAS_DEPTH;
use crate::zone::{CompiledZone, NONE};
use crate::{Name, RecordKind};

/// Finds every alias's group; `aliases` are entries, target names and kinds.
pub(super) fn resolve(zone: &mut CompiledZone, aliases: &[(u32, Name, RecordKind)]) {
    for (entry, target, kind) in aliases {
        let group = zone.group_named(target, *kind);
        if group.is_none() {
            let fault = format!("an alias's target isn't there: {target} {kind}");
            zone.faults.push(fault);
        }
        zone.entries[*entry as usize].target = group.unwrap_or(NONE);
    }
    if aliases.is_empty() {
        return;
    }
    let mut depths = vec![Depth::Unknown; zone.groups.len()];
    let mut cut = 0;
    for group in 0..zone.groups.len() as u32 {
        if depths[group as usize] == Depth::Unknown {
            cut += cut_below(zone, group, &mut depths);
        }
    }
    if cut > 0 {
        let fault = format!("{}: {cut} aliases lead in a circle or too deep", zone.name);
        zone.faults.push(fault);
    }
}

/// How many aliases follow each other from a group on.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Depth {
    Unknown,
    UnderWay,
    Known(usize),
}

/// Cuts the aliases that must be cut from that group down, the lowest first; how many. A stack
/// of its own: a zone's aliases may follow each other ten thousand deep.
fn cut_below(zone: &mut CompiledZone, group: u32, depths: &mut [Depth]) -> usize {
    let mut cut = 0;
    let mut stack = vec![(group, zone.entries_of(group), 0)];
    depths[group as usize] = Depth::UnderWay;
    while let Some((group, entries, deepest)) = stack.last_mut() {
        let Some(number) = entries.next() else {
            depths[*group as usize] = Depth::Known(*deepest);
            stack.pop();
            continue;
        };
        let entry = zone.entries[number as usize];
        if !entry.alias || entry.target == NONE {
            continue;
        }
        match depths[entry.target as usize] {
            Depth::Known(depth) if depth < MAX_ALIAS_DEPTH => *deepest = (depth + 1).max(*deepest),
            Depth::Unknown => {
                depths[entry.target as usize] = Depth::UnderWay;
                // Comes to this entry again when the target's depth is known.
                *entries = number..entries.end;
                stack.push((entry.target, zone.entries_of(entry.target), 0));
            }
            Depth::Known(_) | Depth::UnderWay => {
                zone.entries[number as usize].target = NONE;
                cut += 1;
            }
        }
    }
    cut
}
