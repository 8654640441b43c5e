//! What balancers have done, counted.

use std::sync::atomic::{AtomicU64, Ordering};

/// What has been counted at a listener since it was opened.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct BalancerCounts {
    /// Connections that came.
    pub connections: u64,
    /// Of these, the ones that are open.
    pub open: u64,
    /// Connections that were closed at once, since there were too many.
    pub turned_away: u64,
    /// TLS handshakes that came to nothing.
    pub handshakes_failed: u64,
    /// Requests with a head that could be read, and connections whose TLS was taken off.
    pub requests: u64,
    /// Requests that were refused by themselves.
    pub refused: u64,
    /// Attempts to reach a target that failed.
    pub failed_attempts: u64,
    /// Requests that a target answered.
    pub forwarded: u64,
}

/// The counters themselves.
#[derive(Default, Debug)]
pub(super) struct Counters {
    pub(super) connections: Counter,
    pub(super) closed: Counter,
    pub(super) turned_away: Counter,
    pub(super) handshakes_failed: Counter,
    pub(super) requests: Counter,
    pub(super) refused: Counter,
    pub(super) failed_attempts: Counter,
    pub(super) forwarded: Counter,
}

/// A number that grows.
#[derive(Default, Debug)]
pub(super) struct Counter(AtomicU64);

impl Counter {
    pub(super) fn count(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

impl Counters {
    pub(super) fn read(&self) -> BalancerCounts {
        let closed = self.closed.get();
        let connections = self.connections.get();
        BalancerCounts {
            connections,
            open: connections.saturating_sub(closed),
            turned_away: self.turned_away.get(),
            handshakes_failed: self.handshakes_failed.get(),
            requests: self.requests.get(),
            refused: self.refused.get(),
            failed_attempts: self.failed_attempts.get(),
            forwarded: self.forwarded.get(),
        }
    }
}
