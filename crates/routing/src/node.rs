//! The state of a site that answers: the snapshot that is swapped whole when the configuration
//! changes, the board that verdicts are set on, and the locator. It draws nothing by itself: a
//! site tells it when there is something new.

use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwap;
use types::{ConfigurationView, HealthCheckId};

use crate::answer::{AnswerContext, Reply, Request, Transport};
use crate::board::HealthBoard;
use crate::keys;
use crate::locate::Locator;
use crate::outside::OutsideNames;
use crate::random::SmallRandom;
use crate::snapshot::Snapshot;

/// A site's answers.
#[derive(Debug)]
pub struct Node {
    snapshot: ArcSwap<Snapshot>,
    board: HealthBoard,
    locator: Locator,
    /// Held while a snapshot is made, so that none is overtaken by an older one.
    refreshing: Mutex<()>,
}

impl Node {
    /// A node without zones; everything is healthy.
    pub fn new(locator: Locator) -> Node {
        Node {
            snapshot: ArcSwap::from_pointee(Snapshot::default()),
            board: HealthBoard::new(),
            locator,
            refreshing: Mutex::new(()),
        }
    }

    /// Answers by that configuration from now on, where no other service has a name. False if it
    /// is older than what is served.
    pub fn refresh(&self, view: &dyn ConfigurationView) -> bool {
        self.refresh_with(view, &Arc::default())
    }

    /// Answers by that configuration and by the names that other services have by it, from now on.
    /// False if it is older than what is served.
    pub fn refresh_with(&self, view: &dyn ConfigurationView, outside: &Arc<OutsideNames>) -> bool {
        let _alone = self
            .refreshing
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let served = self.snapshot.load_full();
        if view.revision() < served.revision() {
            return false;
        }
        let snapshot = Snapshot::compile(view, Some(&served), &self.board, outside);
        let known = served.faults();
        for fault in snapshot
            .faults()
            .iter()
            .filter(|fault| !known.contains(fault))
        {
            tracing::warn!(fault, "a part of the routing configuration isn't served");
        }
        let used: std::collections::BTreeSet<HealthCheckId> = snapshot.checks().cloned().collect();
        self.snapshot.store(Arc::new(snapshot));
        self.board
            .retain(|check| used.contains(check) || view.get(&keys::check(check)).is_some());
        true
    }

    /// What is served now.
    pub fn snapshot(&self) -> Arc<Snapshot> {
        self.snapshot.load_full()
    }

    /// Where verdicts are set.
    pub fn board(&self) -> &HealthBoard {
        &self.board
    }

    /// Where clients are.
    pub fn locator(&self) -> &Locator {
        &self.locator
    }

    /// Answers a packet as a server's thread has it: the length of the reply in `out`, or `None`
    /// for silence. `is_tcp`: it came over a connection.
    pub fn reply(
        &self,
        (packet, source, is_tcp): (&[u8], IpAddr, bool),
        random: &mut SmallRandom,
        out: &mut [u8],
    ) -> Option<usize> {
        let transport = match is_tcp {
            true => Transport::Tcp,
            false => Transport::Udp,
        };
        let request = Request {
            packet,
            source,
            transport,
        };
        match self.answer(&request, random, out) {
            Reply::Send(length) => Some(length),
            Reply::Silence => None,
        }
    }

    /// Answers a request into `out`; see [`Snapshot::answer`].
    pub fn answer(&self, request: &Request<'_>, random: &mut SmallRandom, out: &mut [u8]) -> Reply {
        let snapshot = self.snapshot.load();
        let context = AnswerContext {
            board: &self.board,
            locator: &self.locator,
        };
        snapshot.answer(request, &context, random, out)
    }
}
