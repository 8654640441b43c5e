//! The checkers. They know what the clients did and what the Regions hold in the end, and share
//! no code with either.

use std::collections::{BTreeMap, BTreeSet};

use types::Region;

use crate::history::{History, Outcome, WriteId};

/// What one Region holds when everything is healed.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Holdings {
    /// Per key: the version and content of its state (tombstones too), as text.
    pub states: BTreeMap<String, HeldState>,
    /// The ledger, by conflict id.
    pub conflicts: BTreeMap<String, Conflict>,
}

/// One item's state.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct HeldState {
    /// The version, printed.
    pub version: String,
    /// The write it carries; `None`: a tombstone.
    pub write: Option<WriteId>,
}

/// One row of the ledger.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Conflict {
    /// The item's key.
    pub key: String,
    /// The version that won, printed.
    pub winner_version: String,
    /// The version that lost, printed.
    pub loser_version: String,
    /// The write that won; `None`: a deletion.
    pub winner: Option<WriteId>,
    /// The write that lost; `None`: a deletion.
    pub loser: Option<WriteId>,
}

/// Something that must never be.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Violation {
    /// After the heal two Regions hold different states of an item.
    Diverged {
        /// The item.
        key: String,
        /// What each holds.
        states: Vec<(Region, Option<HeldState>)>,
    },
    /// An acknowledged write is neither there, nor replaced, nor in the ledger.
    Lost {
        /// The write.
        write: WriteId,
    },
    /// The ledger says that a write lost to one that came from it, or the other way round.
    FalseConflict {
        /// The row.
        conflict: Conflict,
    },
    /// One beaten state is in the ledger more than once.
    BeatenTwice {
        /// The item's key.
        key: String,
        /// The beaten version.
        version: String,
    },
    /// A state's version went back in a Region: something old was applied over something new.
    WentBack {
        /// The Region.
        region: Region,
        /// The item.
        key: String,
    },
}

/// Checks what the Regions hold against what the clients did.
pub fn check(history: &History, holdings: &BTreeMap<Region, Holdings>) -> Vec<Violation> {
    let mut violations = convergence(holdings);
    let ledger = union_of_ledgers(holdings);
    violations.extend(losses(history, holdings, &ledger));
    violations.extend(false_rows(history, &ledger));
    violations.extend(rows_beyond_one(&ledger));
    violations
}

fn convergence(holdings: &BTreeMap<Region, Holdings>) -> Vec<Violation> {
    let keys: BTreeSet<&String> = holdings
        .values()
        .flat_map(|held| held.states.keys())
        .collect();
    let mut violations = Vec::new();
    for key in keys {
        let states: Vec<_> = holdings
            .iter()
            .map(|(region, held)| (*region, held.states.get(key).cloned()))
            .collect();
        if states.iter().any(|(_, state)| *state != states[0].1) {
            violations.push(Violation::Diverged {
                key: key.clone(),
                states,
            });
        }
    }
    violations
}

fn union_of_ledgers(holdings: &BTreeMap<Region, Holdings>) -> BTreeMap<String, Conflict> {
    let rows = holdings.values().flat_map(|held| held.conflicts.clone());
    rows.collect()
}

fn losses(
    history: &History,
    holdings: &BTreeMap<Region, Holdings>,
    ledger: &BTreeMap<String, Conflict>,
) -> Vec<Violation> {
    let held = holdings.values().flat_map(|held| held.states.values());
    let mut seen: BTreeSet<WriteId> = held.filter_map(|state| state.write).collect();
    let beaten: BTreeSet<WriteId> = ledger.values().filter_map(|row| row.loser).collect();
    let present = seen.clone();
    seen.extend(&beaten);
    seen.extend(ledger.values().filter_map(|row| row.winner));
    let replaced = history.replaced(&seen);
    let acknowledged = history
        .writes()
        .iter()
        .filter(|write| write.outcome == Outcome::Done && !write.deletes);
    acknowledged
        .map(|write| write.id)
        .filter(|id| !present.contains(id) && !beaten.contains(id) && !replaced.contains_key(id))
        .map(|write| Violation::Lost { write })
        .collect()
}

fn false_rows(history: &History, ledger: &BTreeMap<String, Conflict>) -> Vec<Violation> {
    let mut violations = Vec::new();
    for conflict in ledger.values() {
        if let (Some(winner), Some(loser)) = (conflict.winner, conflict.loser)
            && (winner == loser
                || history.descends(winner, loser)
                || history.descends(loser, winner))
        {
            violations.push(Violation::FalseConflict {
                conflict: conflict.clone(),
            });
        }
    }
    violations
}

fn rows_beyond_one(ledger: &BTreeMap<String, Conflict>) -> Vec<Violation> {
    let mut beaten = BTreeSet::new();
    let mut violations = Vec::new();
    for conflict in ledger.values() {
        let state = (conflict.key.clone(), conflict.loser_version.clone());
        if !beaten.insert(state) {
            let key = conflict.key.clone();
            violations.push(Violation::BeatenTwice {
                key,
                version: conflict.loser_version.clone(),
            });
        }
    }
    violations
}
