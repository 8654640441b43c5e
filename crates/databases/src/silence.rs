//! What a process has seen of Regions' leases, and since when: for how long one hasn't been
//! renewed, as seen from here. Pure; clocks are passed in. It judges no lease of its own Region.
//!
//! A renewal begins before it is decided, and is decided before anyone sees its row. So whatever
//! was decided up to a lease's present row began before that row was first seen, and [`LEASE`]
//! after that nobody serves by any of it. A renewal that is decided after a move lets nobody serve,
//! since its holder has seen the move by then. So who sees the move and the row in one and the same
//! configuration may count from when it first saw *that* row. One that it saw before says nothing:
//! the renewals between the two would be forgotten.
//!
//! [`LEASE`]: crate::lease::LEASE

use std::collections::BTreeMap;

use bytes::Bytes;
use types::{ConfigurationEdit, ConfigurationExpected, ConfigurationView, Monotonic, Region};

use crate::keys;
use crate::lease::{MoveSeen, TAKEOVER_WAIT};
use crate::plan::Duty;

/// A Region's lease as it stands in a configuration: the renewal that was decided last.
///
/// Two are the same if they are of the same renewal, whoever wrote its row once more: who decides
/// a failover unasked does, so that it comes to nothing if the lease was renewed meanwhile.
#[derive(Clone, Debug)]
pub struct LeaseRow {
    revision: u64,
    value: Bytes,
}

impl PartialEq for LeaseRow {
    fn eq(&self, other: &LeaseRow) -> bool {
        // Its number is drawn from 64 random bits.
        self.value == other.value
    }
}

impl Eq for LeaseRow {}

impl LeaseRow {
    /// Of that Region; `None`: it never had one.
    pub fn of(view: &dyn ConfigurationView, region: Region) -> Option<LeaseRow> {
        let (revision, value) = view.get(&keys::lease(region))?;
        Some(LeaseRow { revision, value })
    }

    /// Of the Region that a head's duty is to take over from; `None`: it isn't to take over.
    pub(crate) fn of_old_writer(view: &dyn ConfigurationView, duty: &Duty) -> Option<LeaseRow> {
        match duty {
            Duty::TakeOver(takeover) => LeaseRow::of(view, takeover.moving.from.region),
            Duty::Forced(forcing) => LeaseRow::of(view, forcing.settling.as_ref()?.from.region),
            _ => None,
        }
    }

    /// The renewal's number; `None`: it has none.
    pub fn number(&self) -> Option<u64> {
        self.figure("number")
    }

    /// How many renewals of that Region's lease there were, as its own process counted them: no
    /// more than there were. Those that were under way at once may be counted as one. 0 of a row
    /// that was written before they were counted.
    pub fn renewals(&self) -> u64 {
        self.figure("renewals").unwrap_or_default()
    }

    /// The revision that it was written by.
    pub(crate) fn revision(&self) -> u64 {
        self.revision
    }

    fn figure(&self, name: &str) -> Option<u64> {
        let row: serde_json::Value = serde_json::from_slice(&self.value).ok()?;
        row[name].as_u64()
    }

    /// The edit that leaves it as it is, and fails if it isn't what stands there any more.
    pub(crate) fn unchanged(&self, region: Region) -> ConfigurationEdit {
        ConfigurationEdit {
            key: keys::lease(region),
            expected: ConfigurationExpected::Revision(self.revision),
            value: Some(self.value.clone()),
        }
    }
}

/// A lease's row, and when this process first saw it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LeaseSeen {
    /// The row.
    pub row: LeaseRow,
    /// When it was first seen: after it was decided.
    pub at: Monotonic,
}

/// What a process has seen of all leases. It is kept in memory: one that starts anew sees each row
/// anew, and waits the longer.
#[derive(Clone, Default, Debug)]
pub struct LeasesSeen {
    rows: BTreeMap<String, LeaseSeen>,
}

impl LeasesSeen {
    /// Nothing was seen yet.
    pub const fn new() -> LeasesSeen {
        LeasesSeen {
            rows: BTreeMap::new(),
        }
    }

    /// A configuration is seen; `now` was read after the view was taken. An older one than was seen
    /// before changes nothing.
    pub fn look(&mut self, view: &dyn ConfigurationView, now: Monotonic) {
        view.visit(keys::LEASES, &mut |key, revision, value| {
            let row = LeaseRow {
                revision,
                value: value.clone(),
            };
            let is_known = |seen: &LeaseSeen| seen.row.revision > revision || seen.row == row;
            if self.rows.get(key).is_some_and(is_known) {
                return;
            }
            self.rows.insert(key.to_owned(), LeaseSeen { row, at: now });
        });
    }

    /// That Region's lease, as it was seen last.
    pub fn of(&self, region: Region) -> Option<&LeaseSeen> {
        self.rows.get(&keys::lease(region))
    }
}

/// From when on one may take over from an old writer that doesn't say that it has stopped.
/// `row` is the lease of the old writer's Region in the configuration that the move stands in, and
/// `seen` what this process has seen of it.
pub fn takeover_due(
    moving: MoveSeen,
    row: Option<&LeaseRow>,
    seen: Option<&LeaseSeen>,
) -> Monotonic {
    let same = seen.filter(|seen| row == Some(&seen.row));
    let since = same.map_or(moving.at, |seen| seen.at.min(moving.at));
    since + TAKEOVER_WAIT
}

#[cfg(test)]
#[path = "silence/tests.rs"]
mod tests;
