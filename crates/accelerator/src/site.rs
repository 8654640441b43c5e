//! The state of a site that chooses: the snapshot that is swapped whole when the configuration
//! changes, and the board that endpoints' states are set on. It draws nothing by itself: a site
//! tells it when there is something new.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::{ArcSwap, Guard};
use types::{BalancerDirectory, ConfigurationView, HealthCheckId};

use crate::board::Board;
use crate::snapshot::Snapshot;

/// A site's accelerators.
#[derive(Debug)]
pub struct Node {
    snapshot: ArcSwap<Snapshot>,
    board: Board,
    /// Held while a snapshot is made, so that none is overtaken by an older one.
    refreshing: Mutex<()>,
}

impl Default for Node {
    fn default() -> Node {
        Node::new()
    }
}

impl Node {
    /// A node without accelerators; nothing is known of any endpoint.
    pub fn new() -> Node {
        Node {
            snapshot: ArcSwap::from_pointee(Snapshot::default()),
            board: Board::new(),
            refreshing: Mutex::new(()),
        }
    }

    /// Chooses by that configuration from now on, which has no load balancers. False if it is
    /// older than what is served.
    pub fn refresh(&self, view: &dyn ConfigurationView) -> bool {
        self.refresh_with(view, &BalancerDirectory::default(), &|_| {})
    }

    /// Chooses by that configuration from now on, with load balancers where that directory has
    /// them. `prepare` sets on the board, before the first choice, what is known of those that the
    /// snapshot has. False if the configuration is older than what is served.
    pub fn refresh_with(
        &self,
        view: &dyn ConfigurationView,
        directory: &BalancerDirectory,
        prepare: &dyn Fn(&Snapshot),
    ) -> bool {
        let _alone = self
            .refreshing
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let served = self.snapshot.load_full();
        if view.revision() < served.revision() {
            return false;
        }
        let snapshot = Snapshot::compile(view, Some(&served), &self.board, directory);
        prepare(&snapshot);
        let known = served.faults();
        let news = snapshot
            .faults()
            .iter()
            .filter(|fault| !known.contains(fault));
        for fault in news {
            tracing::warn!(
                fault,
                "a part of the accelerators' configuration isn't served"
            );
        }
        let used: BTreeSet<HealthCheckId> = snapshot.checks().cloned().collect();
        self.snapshot.store(Arc::new(snapshot));
        self.board.retain(|check| used.contains(check));
        true
    }

    /// What is served now.
    pub fn snapshot(&self) -> Arc<Snapshot> {
        self.snapshot.load_full()
    }

    /// What is served now, for one choice: cheaper, and not to be kept.
    pub fn load(&self) -> Guard<Arc<Snapshot>> {
        self.snapshot.load()
    }

    /// Where endpoints' states are set.
    pub fn board(&self) -> &Board {
        &self.board
    }
}
