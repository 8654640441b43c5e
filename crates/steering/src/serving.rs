//! Which revision of the configuration each edge serves: edges say it to every Region, at once
//! when it changes and in a steady rhythm, and a Region knows from it when a change is answered
//! everywhere. Nothing is waited out that wasn't heard.

use std::sync::Arc;

use bytes::Bytes;
use futures_util::future::select;
use link::Service;
use routing::Serving;
use store::Engine;
use types::{Monotonic, SiteId, SiteName, Span};

use crate::checking::lock;
use crate::steering::Steering;

/// The tag of serving notes on envelopes.
pub const SERVING: Service = Service(3);

/// How often an edge says what it serves, though nothing has changed.
pub const SERVING_EVERY: Span = Span::milliseconds(500);

/// For how long an edge counts as living after it was last heard: two of its turns may be late,
/// or its word be on its way for a while.
pub const SERVING_FRESHNESS: Span = Span::milliseconds(1_500);

/// What is known of an edge.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Heard {
    revision: u64,
    at: Monotonic,
}

/// What an edge serves, as a Region heard it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct EdgeServing {
    /// The edge.
    pub edge: SiteName,
    /// The revision of the configuration that its answers follow in every zone, as last heard.
    pub revision: u64,
    /// It was heard within [`SERVING_FRESHNESS`], over a link that is still there.
    pub is_fresh: bool,
}

impl<E: Engine> Steering<E> {
    /// Is that revision served by every edge that lives, as this site hears them? Of a deployment
    /// with edges one at least must live: what nobody serves is in sync nowhere. In one without
    /// edges there is nobody to wait for but this site.
    pub fn is_in_sync(&self, revision: u64) -> bool {
        if !self.has_edges() {
            return self.served_through() >= revision;
        }
        let mut living = self.edges_serving();
        living.retain(|edge| edge.is_fresh);
        !living.is_empty() && living.iter().all(|edge| edge.revision >= revision)
    }

    /// What the edges have said that they serve; none of those never heard.
    pub fn edges_serving(&self) -> Vec<EdgeServing> {
        let now = self.environment.now().monotonic;
        let heard = lock(&self.served);
        let served = heard.iter().filter_map(|(site, heard)| {
            let edge = self.deployment.site(*site)?.name;
            let connected = self
                .ports
                .get(site)
                .is_some_and(|port| port.is_connected(link::Lane::Health));
            Some(EdgeServing {
                edge,
                revision: heard.revision,
                is_fresh: connected && now - heard.at <= SERVING_FRESHNESS,
            })
        });
        served.collect()
    }

    /// An edge says what it serves.
    pub(crate) fn heard_serving(&self, from: SiteId, payload: &Bytes) {
        let at = self.environment.now().monotonic;
        match Serving::decode(payload) {
            Ok(Serving { revision }) => {
                lock(&self.served).insert(from, Heard { revision, at });
            }
            Err(error) => tracing::warn!(site = from.0, %error, "a serving note was refused"),
        }
    }

    /// Says to every Region what this edge serves, until the process ends.
    pub(crate) async fn announce(self: Arc<Self>) {
        loop {
            let changed = self.swapped.listen();
            let connected = self.links_changed.listen();
            let note = Serving {
                revision: self.served_through(),
            };
            let note = note.encode();
            for (region, _) in self.deployment.regions() {
                self.send(region, SERVING, note.clone());
            }
            let now = self.environment.now().monotonic;
            let turn = self.environment.sleep_until(now + SERVING_EVERY);
            select(select(changed, connected), turn).await;
        }
    }

    fn has_edges(&self) -> bool {
        let sites = &self.deployment.sites;
        sites.iter().any(|site| site.name.region().is_none())
    }
}
