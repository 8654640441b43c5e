//! What peers' streams lead to: a replica's Region gets the server that its replica follows, and
//! nothing else of this Region.

use std::path::PathBuf;
use std::sync::Arc;

use databases::model::ResourceId;
use region::Region;
use runtime::StreamDirectory;
use store::EmbeddedEngine;
use types::SiteId;

use super::servers::Servers;

/// The directory of streams.
pub(super) struct Peers {
    pub(super) region: Arc<Region<EmbeddedEngine>>,
    pub(super) servers: Arc<Servers>,
}

impl StreamDirectory for Peers {
    /// A target is the resource id of the source.
    fn target(&self, peer: SiteId, target: &str) -> Option<PathBuf> {
        let source = ResourceId(target.to_owned());
        if !self.region.has_replica_at(peer, &source) {
            return None;
        }
        let seen = self.servers.find(&source)?;
        Some(seen.socket())
    }
}
