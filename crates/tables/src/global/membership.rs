//! Joining and leaving a global table: what a member does when it hears of a change of the
//! group. Every change is one descriptor write and one announcement in one batch, and hearing
//! of it twice, late or in another order changes nothing, so it can be cut off anywhere.
//!
//! Only a site itself says that it is `Active` (its copy is complete) or `Gone` (its last writes
//! have reached the others); the others say `Creating` (itself only if its data were lost); either
//! says `Deleting`. What a
//! member learns it announces in turn: so its own records follow the news in its own log.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use store::{Batch, Engine, Space};
use types::{AccountId, SiteId, Version};

use super::copy::{Progress, progress_key, stage_nothing_to_copy};
use super::group::{Group, GroupId, Member, MemberPhase};
use super::message::TableRecord;
use super::refill::begins_a_new_life;
use crate::catalogue::CatalogueChange;
use crate::settings::iso_8601;
use crate::{Catalogue, Change, Phase, Stream, Table, TableId, Tables, limits};

/// The catalogue as an import is about to leave it.
pub(super) struct Staging<'a> {
    catalogue: &'a Catalogue,
    /// The right to change it; taken if a record of the import may.
    pub(super) change: Option<CatalogueChange<'a>>,
    pub(super) changed: BTreeMap<TableId, Arc<Table>>,
    pub(super) removed: BTreeSet<TableId>,
    /// Which of the changed tables the peers must hear of.
    announced: BTreeSet<TableId>,
    /// Whole groups only: a table that was dropped and made again counts once.
    groups: BTreeMap<GroupId, TableId>,
    /// The copies that begin anew: of which table, for which site.
    pub(super) anew: Vec<(TableId, SiteId)>,
    /// Holds the numbers that were allocated, and where copies stand.
    batch: Batch,
}

impl<'a> Staging<'a> {
    pub(super) fn new(catalogue: &'a Catalogue, change: Option<CatalogueChange<'a>>) -> Self {
        let tables = catalogue.all();
        let groups = tables
            .iter()
            .filter_map(|t| Some((t.group.as_ref()?.id, t.id)));
        Staging {
            catalogue,
            change,
            changed: BTreeMap::new(),
            removed: BTreeSet::new(),
            announced: BTreeSet::new(),
            groups: groups.collect(),
            anew: Vec::new(),
            batch: Batch::new(),
        }
    }

    /// The table of that number, as it will be.
    pub(super) fn table(&self, id: TableId) -> Option<Arc<Table>> {
        let staged = self.changed.get(&id).cloned();
        staged.or_else(|| self.catalogue.table(id))
    }

    /// This Region's table of that group, whatever its phase.
    pub(super) fn of_group(&self, group: GroupId) -> Option<Arc<Table>> {
        self.groups.get(&group).and_then(|id| self.table(*id))
    }

    /// Is the name taken by a live table of that account?
    fn is_taken(&self, account: AccountId, name: &str) -> bool {
        let is_it = |table: &Table| table.name == name && table.account == account;
        let live = |table: &Arc<Table>| is_it(table) && table.is_live();
        let before = self.catalogue.named(account, name);
        self.changed.values().any(live)
            || before.is_some_and(|table| !self.changed.contains_key(&table.id))
    }

    fn allocate(&mut self) -> TableId {
        let change = self.change.as_mut();
        change
            .expect("an import that makes tables holds the right to")
            .allocate(&mut self.batch)
    }

    /// The table will be so; if `announce`, the peers will hear of it.
    fn set(&mut self, table: Table, announce: bool) {
        if let Some(group) = &table.group {
            self.groups.insert(group.id, table.id);
        }
        if announce {
            self.announced.insert(table.id);
        }
        self.changed.insert(table.id, Arc::new(table));
    }

    /// The table's items will be copied to these members of these memberships, from the first.
    fn copy_anew(&mut self, table: TableId, to: Vec<(SiteId, Version)>) {
        for (to, joined) in to {
            let progress = Progress::anew(joined).encode();
            self.batch
                .put(Space::Meta, progress_key(table, to), progress);
            self.anew.push((table, to));
        }
    }

    fn remove(&mut self, id: TableId) {
        self.changed.remove(&id);
        self.announced.remove(&id);
        self.removed.insert(id);
    }

    /// The batch that makes it so.
    pub(super) fn stage(&mut self) -> Batch {
        let mut batch = std::mem::take(&mut self.batch);
        if let Some(change) = &self.change {
            for id in &self.removed {
                change.stage_removal(*id, &mut batch);
            }
            for table in self.changed.values() {
                change.stage(table, &mut batch);
            }
        }
        for table in &self.announced {
            batch.announce(Change::Table { table: *table }.encode());
        }
        batch
    }
}

impl<E: Engine> Tables<E> {
    /// A peer says who takes part in a global table. Says whether this site has to do with it.
    pub(super) fn hear_of_table(
        &self,
        staging: &mut Staging<'_>,
        from: SiteId,
        heard: &TableRecord,
    ) -> bool {
        let site = self.config.site;
        self.observe_own_stamps(&heard.group);
        let Some(table) = staging.of_group(heard.group.id) else {
            return self.hear_of_new_table(staging, from, heard);
        };
        let mut table = Table::clone(&table);
        let settings_changed = table.adopt_settings(heard);
        let group = table.group.as_mut().expect("it was found by its group");
        let refilled = second_lives(group, &heard.group);
        if !group.merge(&heard.group) && !settings_changed {
            return true;
        }
        if table.phase == Phase::Active {
            staging.copy_anew(table.id, refilled);
        }
        let phase = group.entry(site).map(|member| member.phase);
        // It was in service in an earlier life, which others know of and it doesn't.
        let forgot = table.phase == Phase::Creating && phase == Some(MemberPhase::Active);
        if forgot && !self.join_anew(group, from) {
            return false;
        }
        match (table.phase, phase) {
            (Phase::Creating | Phase::Active, Some(MemberPhase::Deleting | MemberPhase::Gone)) => {
                table.phase = Phase::Dropped;
            }
            (Phase::Active, Some(MemberPhase::Creating)) => {
                // Two members added this Region at once. The copy for one is complete and this
                // replica serves; the other one's news is younger, and its copy will come too.
                self.activate(group);
            }
            (Phase::Dropped | Phase::Purged, Some(MemberPhase::Creating)) => {
                let group = group.clone();
                self.make_replica(staging, heard, group, Some(table));
                return true;
            }
            _ => {}
        }
        staging.set(table, true);
        true
    }

    /// A peer says that everything has been copied here.
    pub(super) fn hear_of_copy_done(
        &self,
        staging: &mut Staging<'_>,
        group: GroupId,
        from: SiteId,
        joined: Version,
    ) -> bool {
        let Some(table) = staging.of_group(group) else {
            return false;
        };
        let mut table = Table::clone(&table);
        let group = table.group.as_mut().expect("it was found by its group");
        let awaited = group.entry(self.config.site).is_some_and(|member| {
            member.phase == MemberPhase::Creating
                && member.joined == joined
                && member.source == from
        });
        if awaited && table.phase == Phase::Creating {
            let entry = group.entry(self.config.site);
            let is_refilled = entry.is_some_and(|m| begins_a_new_life(self.config.site, m));
            self.activate(group);
            if !is_refilled {
                stage_nothing_to_copy(table.id, group, self.config.site, &mut staging.batch);
            }
            table.phase = Phase::Active;
            staging.set(table, true);
        }
        true
    }

    /// A table that is dropped here leaves its group. The others see it `DELETING` until its
    /// last writes have reached them.
    pub(crate) fn leave_group(&self, table: &mut Table) {
        let site = self.config.site;
        let Some(group) = &mut table.group else {
            return;
        };
        if group.member(site).is_some() {
            let stamp = self.issue(group.stamp(site));
            group.advance(site, MemberPhase::Deleting, site, stamp);
        }
    }

    fn hear_of_new_table(
        &self,
        staging: &mut Staging<'_>,
        from: SiteId,
        heard: &TableRecord,
    ) -> bool {
        let site = self.config.site;
        let mut group = heard.group.clone();
        let Some(entry) = group.entry(site) else {
            return false;
        };
        match entry.phase {
            // It was a member and has no memory of it: its data were lost.
            MemberPhase::Creating | MemberPhase::Active
                if entry.phase == MemberPhase::Active || begins_a_new_life(site, entry) =>
            {
                if !self.join_anew(&mut group, from) {
                    return false;
                }
                tracing::warn!(
                    table = heard.name,
                    "this replica's data were lost; joining anew"
                );
                self.make_replica(staging, heard, group, None);
            }
            MemberPhase::Creating => self.make_replica(staging, heard, group, None),
            MemberPhase::Deleting => self.refuse(staging, heard, group, None),
            MemberPhase::Active | MemberPhase::Gone => return false,
        }
        true
    }

    /// This site's data were lost: it joins anew, and a member in service is to copy every item;
    /// the one it heard from, if that is. False if it knows of none: one will be heard from.
    fn join_anew(&self, group: &mut Group, from: SiteId) -> bool {
        let site = self.config.site;
        let active = |(other, member): (SiteId, &Member)| {
            (member.phase == MemberPhase::Active).then_some(other)
        };
        let in_service: BTreeSet<SiteId> = group.others(site).filter_map(active).collect();
        let source = in_service.get(&from).or_else(|| in_service.first());
        let Some(source) = source else {
            return false;
        };
        self.outbid_earlier_life();
        let stamp = self.issue(group.stamp(site));
        group.join(site, *source, stamp);
        true
    }

    /// Makes a replica, or refuses to: its name is taken by a table that isn't of the group.
    /// `before` is what is left here of an earlier membership.
    fn make_replica(
        &self,
        staging: &mut Staging<'_>,
        heard: &TableRecord,
        group: Group,
        before: Option<Table>,
    ) {
        if staging.is_taken(heard.account, &heard.name) {
            return self.refuse(staging, heard, group, before);
        }
        match before {
            // Its items are still being purged, under its own number. It has no group any more.
            Some(mut before) if before.phase == Phase::Dropped => {
                before.group = None;
                staging.set(before, false);
            }
            Some(before) => staging.remove(before.id),
            None => {}
        }
        let table = self.replica(staging.allocate(), heard, group, Phase::Creating);
        staging.set(table, true);
    }

    /// Keeps a descriptor that only says: not here.
    fn refuse(
        &self,
        staging: &mut Staging<'_>,
        heard: &TableRecord,
        mut group: Group,
        before: Option<Table>,
    ) {
        group.refuse(self.config.site);
        tracing::warn!(
            table = heard.name,
            "refused to be a replica: the name is taken here"
        );
        let table = match before {
            Some(before) => Table {
                group: Some(group),
                ..before
            },
            None => self.replica(staging.allocate(), heard, group, Phase::Purged),
        };
        staging.set(table, true);
    }

    fn replica(&self, id: TableId, heard: &TableRecord, group: Group, phase: Phase) -> Table {
        let now = self.wall();
        Table {
            id,
            account: heard.account,
            name: heard.name.clone(),
            uuid: self.uuid(),
            created: now,
            phase,
            schema: heard.schema.clone(),
            attributes: heard.attributes.clone(),
            indexes: heard.indexes.clone(),
            billing: heard.billing,
            deletion_protection: false,
            class: heard.class,
            stream: heard.stream_view.clone().map(|view| Stream {
                view,
                enabled: true,
                label: iso_8601(now),
            }),
            tags: BTreeMap::new(),
            group: Some(group),
            settings: heard.settings,
            policy: None,
        }
    }

    fn activate(&self, group: &mut Group) {
        let site = self.config.site;
        if let Some(member) = group.entry(site).copied() {
            let stamp = self.issue(Some(member.stamp));
            group.advance(site, MemberPhase::Active, member.source, stamp);
        }
    }
}

/// The members of which `heard` says that they are in service since another moment than was known,
/// in one and the same membership. A site says that once; the second time it had lost its data,
/// and was taken for one that still joins by whoever brought it here again.
fn second_lives(group: &Group, heard: &Group) -> Vec<(SiteId, Version)> {
    let is_own_word = |site: SiteId, member: &Member| {
        member.phase == MemberPhase::Active && member.stamp.site == site
    };
    let mut found = Vec::new();
    for (site, known) in &group.members {
        if let Some(news) = heard.entry(*site)
            && is_own_word(*site, known)
            && is_own_word(*site, news)
            && news.joined == known.joined
            && news.stamp > known.stamp
        {
            found.push((*site, news.joined));
        }
    }
    found
}

/// May the items of a dropped table be purged? Not while this Region's last writes are still to
/// reach the other members: what one of them has, all must get.
pub(crate) fn may_purge(table: &Table, site: SiteId) -> bool {
    table
        .group
        .as_ref()
        .is_none_or(|group| group.member(site).is_none())
}

impl Table {
    /// Has it replicas in other Regions? (A group whose other members have all left is none.)
    pub(crate) fn is_global(&self, site: SiteId) -> bool {
        self.group
            .as_ref()
            .is_some_and(|group| group.others(site).next().is_some())
    }
}

impl TableRecord {
    /// Could this table exist, and has its sender to do with it?
    pub(super) fn check(&self, from: SiteId) -> Result<(), String> {
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte);
        if !limits::NAME.contains(&self.name.len()) || !self.name.bytes().all(allowed) {
            return Err("its name is no table's".to_owned());
        }
        if self.group.entry(from).is_none() {
            return Err("the sender is not in its group".to_owned());
        }
        if self.indexes.len() > limits::GLOBAL_INDEXES + limits::LOCAL_INDEXES {
            return Err("it has too many indexes".to_owned());
        }
        let ids: BTreeSet<_> = self.indexes.iter().map(|index| index.id).collect();
        if ids.len() != self.indexes.len() {
            return Err("two of its indexes have one number".to_owned());
        }
        Ok(())
    }
}
