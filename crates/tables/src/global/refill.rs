//! A member that lost its data: its own earlier writes come back to it from whoever has them,
//! and go out from it again, since a state is shipped by the site that stamped it and by no other.
//!
//! A *life* of a member ends when its data are lost. The next one begins with the stamp by which
//! it says of itself that it joins anew, and that stamp is greater than all of the earlier life.
//! Why nothing is then missing anywhere, and what can't be had: docs/conflicts.md.

use bytes::Bytes;
use store::Engine;
use types::{Context, Hlc, SiteId, Timestamp, Version};

use super::group::{Group, Member};
use super::import::MAX_SKEW;
use crate::{Catalogue, Change, Table, Tables};

impl<E: Engine> Tables<E> {
    /// This site's data were lost: from now on it stamps greater versions than ever before. A
    /// version is ahead of its site's wall clock by the skew limit at most, because it outbids
    /// nothing that was parked; so that holds if the wall clock was not set back meanwhile. If
    /// it was, what `observe_own` is shown helps.
    pub(super) fn outbid_earlier_life(&self) {
        let wall = self.wall();
        self.observe(Hlc::at(Timestamp(wall.0 + MAX_SKEW.0 / 1000)));
    }

    /// From now on this site stamps greater versions than its own among these. (They are news
    /// after a loss of data only.)
    pub(super) fn observe_own<'a>(&self, contexts: impl Iterator<Item = &'a Context>) {
        let seen = contexts.flat_map(Context::entries);
        let own = seen.filter(|version| version.site == self.config.site);
        if let Some(newest) = own.max() {
            self.observe(newest.time);
        }
    }

    /// The same for the stamps of a group's members.
    pub(super) fn observe_own_stamps(&self, group: &Group) {
        self.observe(newest_stamp(group, self.config.site));
    }

    fn observe(&self, reached: Hlc) {
        let mut clock = self.clock.lock().expect("observing does not panic");
        clock.observe(reached);
    }
}

/// What this site owes the others when an import made that version an item's state here.
///
/// Its own version it had lost, else it would have had it: it announces it as it did when it
/// was written. That ends, since whoever has it takes it no second time. And what another
/// member stamped in an earlier life is given back to it, which then does the same.
pub(super) fn owed(table: &Table, site: SiteId, key: &Bytes, dot: Version) -> Option<Change> {
    if dot.site == site {
        return Some(Change::Item {
            table: table.id,
            key: key.clone(),
            version: dot,
        });
    }
    let group = table.group.as_ref()?;
    let writer = group.entry(dot.site)?;
    let lost = begins_a_new_life(dot.site, writer) && dot < writer.joined;
    (lost && group.receives(dot.site)).then(|| Change::Copy {
        table: table.id,
        key: key.clone(),
        to: dot.site,
    })
}

/// Did the member join because its data were lost? Then it said so itself, and asked another to
/// copy every item. (Who founded the group stamped its own entry too, and asked nobody.)
pub(super) fn begins_a_new_life(site: SiteId, member: &Member) -> bool {
    member.joined.site == site && member.source != site
}

/// The greatest stamp that this site made in any group, as stored: another lower bound for its
/// clock after a restart.
pub(crate) fn last_stamp(catalogue: &Catalogue, site: SiteId) -> Hlc {
    let tables = catalogue.all();
    let groups = tables.iter().filter_map(|table| table.group.as_ref());
    groups
        .map(|group| newest_stamp(group, site))
        .max()
        .unwrap_or_default()
}

fn newest_stamp(group: &Group, site: SiteId) -> Hlc {
    let members = group.members.values();
    let stamps = members.flat_map(|member| [member.stamp, member.joined]);
    let own = stamps.filter(|stamp| stamp.site == site);
    own.map(|stamp| stamp.time).max().unwrap_or_default()
}
