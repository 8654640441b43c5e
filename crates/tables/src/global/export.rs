//! From an announcement in the change log to the record that a peer gets, if it gets one.
//!
//! Shipped is the item's *current* state, and only if it was stamped here: a state that came
//! from a peer is shipped by its origin, so nothing echoes. A copy ships what there is, whoever
//! stamped it.

use bytes::Bytes;
use store::{Engine, ReadError, Snapshot, Space};
use types::{SiteId, Timestamp};

use super::group::{Group, MemberPhase};
use super::message::{Record, TableRecord, encode_item};
use crate::{Change, Phase, Table, TableId, Tables, decode_state_header, descriptor_key};

/// Length of a table's number, with which every item key begins.
pub(crate) const TABLE_PREFIX: usize = 8;

/// A record on its way to a peer.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Export {
    /// The table's name, with its account if that isn't the first: what the link meters by.
    pub resource: String,
    /// Of two records with one key the later replaces the earlier; `None`: never replaced.
    pub key: Option<Bytes>,
    /// The record.
    pub bytes: Bytes,
    /// When what it says was written, by the clock of whoever wrote it; `None`: it is no item.
    pub written: Option<Timestamp>,
}

impl<E: Engine> Tables<E> {
    /// The record that an announcement (without the service's tag) makes for a peer. `snapshot`
    /// must be at least as new as the announcement.
    ///
    /// # Errors
    /// When storage fails or what it holds makes no sense.
    pub async fn export(
        &self,
        snapshot: &E::Snapshot,
        peer: SiteId,
        announcement: &[u8],
    ) -> Result<Option<Export>, ReadError> {
        let change =
            Change::decode(announcement).map_err(|error| ReadError::Corrupt(error.to_string()))?;
        match change {
            Change::Item { table, key, .. } => {
                self.export_item(snapshot, peer, table, key, false).await
            }
            Change::Copy { table, key, to } if to == peer => {
                self.export_item(snapshot, peer, table, key, true).await
            }
            Change::CopyDone { table, to } if to == peer => {
                self.export_copy_done(snapshot, peer, table).await
            }
            Change::Copy { .. } | Change::CopyDone { .. } => Ok(None),
            Change::Table { table } => self.export_table(snapshot, peer, table).await,
        }
    }

    async fn export_item(
        &self,
        snapshot: &E::Snapshot,
        peer: SiteId,
        table: TableId,
        key: Bytes,
        copy: bool,
    ) -> Result<Option<Export>, ReadError> {
        // The catalogue may know less than the snapshot: a replica that was just added and not
        // yet published. What is left out then is written before the copy begins, and copied.
        let Some(table) = self.catalogue.table(table) else {
            return Ok(None);
        };
        let Some(group) = ships(&table, self.config.site, peer) else {
            return Ok(None);
        };
        let Some(state) = snapshot.get(Space::Items, &key).await? else {
            return Ok(None);
        };
        let (dot, _) = decode_state_header(&state)
            .map_err(|error| ReadError::Corrupt(format!("an item of {}: {error}", table.name)))?;
        if !copy && dot.site != self.config.site {
            return Ok(None);
        }
        let bytes = encode_item(group.id, &key[TABLE_PREFIX..], &state, copy);
        Ok(Some(Export {
            resource: table.full_name().resource(),
            key: Some(key),
            bytes,
            written: Some(dot.time.wall()),
        }))
    }

    async fn export_copy_done(
        &self,
        snapshot: &E::Snapshot,
        peer: SiteId,
        id: TableId,
    ) -> Result<Option<Export>, ReadError> {
        let Some(table) = stored(snapshot, id).await? else {
            return Ok(None);
        };
        let Some(group) = ships(&table, self.config.site, peer) else {
            return Ok(None);
        };
        // An announcement of an earlier membership must not end the copy of this one.
        let progress = super::copy::progress(snapshot, id, peer).await?;
        let joined = group.entry(peer).map(|member| member.joined);
        let Some(progress) = progress.filter(|p| p.done && Some(p.joined) == joined) else {
            return Ok(None);
        };
        let record = Record::CopyDone {
            group: group.id,
            joined: progress.joined,
        };
        Ok(Some(Export {
            resource: table.full_name().resource(),
            key: None,
            bytes: record.encode(),
            written: None,
        }))
    }

    async fn export_table(
        &self,
        snapshot: &E::Snapshot,
        peer: SiteId,
        id: TableId,
    ) -> Result<Option<Export>, ReadError> {
        // From the snapshot, not from the catalogue: a change that isn't told now is never told.
        let Some(table) = stored(snapshot, id).await? else {
            return Ok(None);
        };
        match &table.group {
            Some(group) if group.member(peer).is_some() => {}
            _ => return Ok(None),
        }
        let resource = table.full_name().resource();
        Ok(table_record(table).map(|record| Export {
            resource,
            key: None,
            bytes: Record::Table(Box::new(record)).encode(),
            written: None,
        }))
    }
}

/// The descriptor as of a snapshot.
async fn stored<S: Snapshot>(snapshot: &S, id: TableId) -> Result<Option<Table>, ReadError> {
    let stored = snapshot.get(Space::Meta, &descriptor_key(id)).await?;
    let table = stored.map(|bytes| Table::decode(&bytes)).transpose();
    table.map_err(|error| ReadError::Corrupt(error.to_string()))
}

/// The group, if this site ships the table's items to that peer. A member that is leaving still
/// ships its last writes.
fn ships(table: &Table, site: SiteId, peer: SiteId) -> Option<&Group> {
    let group = table.group.as_ref()?;
    let member = group.member(site)?;
    let filled = member.phase != MemberPhase::Creating && table.phase != Phase::Purged;
    (filled && group.receives(peer)).then_some(group)
}

/// What a peer must know of the table.
fn table_record(table: Table) -> Option<TableRecord> {
    Some(TableRecord {
        account: table.account,
        name: table.name,
        schema: table.schema,
        attributes: table.attributes,
        indexes: table.indexes,
        billing: table.billing,
        class: table.class,
        stream_view: table.stream.map(|stream| stream.view),
        settings: table.settings,
        group: table.group?,
    })
}
