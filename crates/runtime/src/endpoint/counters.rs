//! What an endpoint has done, counted.

use std::sync::atomic::{AtomicU64, Ordering};

/// What has been counted at an endpoint since it was opened.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct EndpointCounts {
    /// Sessions that the server took.
    pub sessions: u64,
    /// Of these, the ones that are open.
    pub open: u64,
    /// Sessions that were refused for what they asked, or since there were too many.
    pub refused: u64,
    /// Sessions that found no server.
    pub away: u64,
    /// Requests to cancel that were passed on.
    pub cancels: u64,
    /// Connections that ended before they asked for anything that is understood, or took too long.
    pub broken: u64,
    /// Connections that were closed from here.
    pub ended: u64,
    /// Bytes that clients sent in sessions.
    pub to_server: u64,
    /// Bytes that servers sent in sessions.
    pub to_clients: u64,
}

/// The counters themselves.
#[derive(Default, Debug)]
pub(super) struct Counters {
    pub(super) sessions: Counter,
    pub(super) closed: Counter,
    pub(super) refused: Counter,
    pub(super) away: Counter,
    pub(super) cancels: Counter,
    pub(super) broken: Counter,
    pub(super) ended: Counter,
    pub(super) to_server: Counter,
    pub(super) to_clients: Counter,
}

/// A number that grows.
#[derive(Default, Debug)]
pub(super) struct Counter(AtomicU64);

impl Counter {
    pub(super) fn count(&self) {
        self.add(1);
    }

    pub(super) fn add(&self, more: u64) {
        self.0.fetch_add(more, Ordering::Relaxed);
    }

    fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

impl Counters {
    pub(super) fn read(&self) -> EndpointCounts {
        let closed = self.closed.get();
        let sessions = self.sessions.get();
        EndpointCounts {
            sessions,
            open: sessions.saturating_sub(closed),
            refused: self.refused.get(),
            away: self.away.get(),
            cancels: self.cancels.get(),
            broken: self.broken.get(),
            ended: self.ended.get(),
            to_server: self.to_server.get(),
            to_clients: self.to_clients.get(),
        }
    }
}
