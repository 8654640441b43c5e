//! What peers' streams lead to: a replica's Region gets the server that its replica follows, a
//! copy's Region the snapshot that it is of, a secondary's that forwards writes the endpoint of the
//! writer, and nobody anything else of this Region.

use std::path::PathBuf;
use std::sync::Arc;

use databases::model::{ResourceId, SnapshotId};
use region::Region;
use runtime::{StreamDirectory, TargetPlace};
use store::EmbeddedEngine;
use types::SiteId;

use super::copies::Offers;
use super::pair::primary_home;
use super::servers::Servers;

/// What a target begins with that takes a secondary's writes.
pub(super) const WRITES: &str = "write-";

/// The directory of streams.
pub(super) struct Peers {
    pub(super) region: Arc<Region<EmbeddedEngine>>,
    pub(super) servers: Arc<Servers>,
    pub(super) offers: Arc<Offers>,
}

impl StreamDirectory for Peers {
    /// A target is the resource id of the source, or the id of a snapshot; or, of writes that are
    /// forwarded, the resource id of the head that writes behind [`WRITES`].
    fn target(&self, peer: SiteId, target: &str) -> Option<TargetPlace> {
        if let Some(writer) = target.strip_prefix(WRITES) {
            let address = self
                .region
                .forwarded_to(peer, &ResourceId(writer.to_owned()));
            return address.map(TargetPlace::Address);
        }
        self.socket(peer, target).map(TargetPlace::Socket)
    }
}

impl Peers {
    fn socket(&self, peer: SiteId, target: &str) -> Option<PathBuf> {
        if target.starts_with("snapshot-") {
            let id = SnapshotId(target.to_owned());
            let is_offered = self.region.offers_snapshot(peer, &id);
            return is_offered.then(|| self.offers.socket(&id)).flatten();
        }
        let source = ResourceId(target.to_owned());
        if !self.region.has_replica_at(peer, &source) {
            return None;
        }
        let home = primary_home(&*self.region.regional_view(), &source);
        let seen = self.servers.find(&home)?;
        Some(seen.socket())
    }
}
