//! What this Region's replicas hold and which changes they are made of, at one moment: what
//! `causeway verify` compares Regions by. It compares nothing itself.

use serde::{Deserialize, Serialize};
use store::{Direction, Engine, KeyRange, LogPosition, ReadError, Snapshot, Space};
use tables::{CatalogueError, TableDigest};
use types::{Region as Name, SiteId};

use crate::error::OpenError;
use crate::message::{LogId, cursor_key, decode_cursor};
use crate::peer::Peer;
use crate::region::Region;

/// A Region's replicas at one moment, and the changes they are made of.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Replicas {
    /// The Region.
    pub region: Name,
    /// Its log's identity. Another one after its data were lost.
    pub log: String,
    /// The newest position of its log.
    pub head: u64,
    /// What it has applied of each other Region's log.
    pub applied: Vec<Applied>,
    /// Its replicas.
    pub replicas: Vec<Replica>,
}

/// How much of another Region's log is applied.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Applied {
    /// The other Region.
    pub of: Name,
    /// Its log's identity; `None`: nothing of it was applied yet.
    pub log: Option<String>,
    /// Applied up to this position.
    pub position: u64,
    /// Why no more is applied at the moment, if there is a reason.
    pub trouble: Option<String>,
    /// It lost its place in this Region's log, and a new copy for it has not begun.
    pub needs_copy: bool,
}

/// One replica of a global table.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Replica {
    /// The global table's identity: 32 hexadecimal digits.
    pub group: String,
    /// Its name.
    pub table: String,
    /// Is it in service? (Else it is receiving its first copy.)
    pub active: bool,
    /// The other Regions that have a replica in service, as far as this one knows.
    pub others: Vec<Name>,
    /// Other Regions to which this one has still to announce items.
    pub copying_to: Vec<Name>,
    /// Items.
    pub items: u64,
    /// Tombstones.
    pub tombstones: u64,
    /// The digest of all states: 32 hexadecimal digits.
    pub digest: String,
}

impl<E: Engine> Region<E> {
    /// What every replica here holds, and which changes that takes in. All of it is read at one
    /// snapshot, so it is exact: a cursor is committed with the changes it covers. Reads all
    /// items of global tables.
    ///
    /// # Errors
    /// When the database can't be read, or what it holds makes no sense.
    pub async fn replicas(&self) -> Result<Replicas, OpenError> {
        let snapshot = self.engine.snapshot();
        let mut applied = Vec::new();
        for peer in self.peers.values() {
            if let Some(of) = peer.site.name.region() {
                applied.push(applied_of(&snapshot, peer, of).await?);
            }
        }
        let digests = self.tables.digests(&snapshot).await;
        let digests = digests.map_err(|error| match error {
            CatalogueError::Read(error) => OpenError::Read(error),
            other => OpenError::Tables(other),
        })?;
        let replicas = digests.into_iter().map(|digest| self.replica(digest));
        Ok(Replicas {
            region: self.name,
            log: log_name(self.log),
            head: head(&snapshot).await?.0,
            applied,
            replicas: replicas.collect(),
        })
    }

    fn replica(&self, digest: TableDigest) -> Replica {
        let names = |sites: Vec<SiteId>| {
            let names = sites.into_iter();
            let names = names.filter_map(|site| self.config.deployment.region_of(site));
            names.collect()
        };
        Replica {
            group: digest.group.to_string(),
            table: digest.table,
            active: digest.active,
            others: names(digest.others),
            copying_to: names(digest.copying_to),
            items: digest.digest.items,
            tombstones: digest.digest.tombstones,
            digest: format!("{:032x}", digest.digest.sum),
        }
    }
}

async fn applied_of<S: Snapshot>(
    snapshot: &S,
    peer: &Peer,
    of: Name,
) -> Result<Applied, OpenError> {
    let stored = snapshot.get(Space::Meta, &cursor_key(peer.site.id)).await?;
    let cursor = stored.map(decode_cursor).transpose()?;
    let measures = peer.measures.lock().expect("nothing panics inside");
    let parked = measures
        .parked_until
        .map(|until| format!("changes from ahead of this clock wait until {until}"));
    Ok(Applied {
        of,
        log: cursor.map(|(log, _)| log_name(log)),
        position: cursor.map_or(0, |(_, position)| position.0),
        trouble: measures.trouble.clone().or(parked),
        needs_copy: peer
            .resynchronize
            .load(std::sync::atomic::Ordering::Acquire),
    })
}

/// The newest position in the snapshot's log. (Trimming always leaves some.)
async fn head<S: Snapshot>(snapshot: &S) -> Result<LogPosition, ReadError> {
    let page = snapshot
        .scan(Space::Log, KeyRange::all(), Direction::Backward, 1)
        .await?;
    let Some(newest) = page.entries.first() else {
        return Ok(LogPosition(0));
    };
    LogPosition::from_key(&newest.key)
        .ok_or_else(|| ReadError::Corrupt("a key of the change log".to_owned()))
}

fn log_name(log: LogId) -> String {
    format!("{:016x}", log.0)
}
