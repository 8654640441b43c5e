//! What flows have done, counted so cheaply that every byte can be: each thread has counters of
//! its own for each listener, which no other thread writes.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// What has been counted at a listener since it was opened. Flows that are no longer there count
/// until the listener is closed, even those that live on after it.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct FlowCounts {
    /// Flows that came.
    pub came: u64,
    /// Flows that reached an endpoint.
    pub connected: u64,
    /// Of these, the ones that have ended.
    pub ended: u64,
    /// Of the ended ones, those that were silent for too long.
    pub idle: u64,
    /// Attempts to reach an endpoint that failed.
    pub failed_attempts: u64,
    /// Flows that ended before they began: there was no endpoint for them.
    pub no_endpoint: u64,
    /// Flows that ended before they began: every endpoint that was tried failed.
    pub all_failed: u64,
    /// Flows that ended before they began, for want of room, ports or descriptors here.
    pub no_room: u64,
    /// Bytes from clients that were sent to endpoints.
    pub to_endpoint: u64,
    /// Bytes from endpoints that were sent to clients.
    pub to_client: u64,
    /// Datagrams from clients that were sent to endpoints.
    pub datagrams_to_endpoint: u64,
    /// Datagrams from endpoints that were sent to clients.
    pub datagrams_to_client: u64,
    /// Datagrams that were dropped, of either direction.
    pub dropped: u64,
}

impl FlowCounts {
    /// Flows that are at an endpoint now.
    pub fn live(&self) -> u64 {
        self.connected.saturating_sub(self.ended)
    }
}

/// What has been counted of all listeners together.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct FlowTotals {
    /// How often a thread let connections wait because as many flows were there as may be, or no
    /// descriptor was left.
    pub pauses: u64,
    /// How often the system had no descriptor for a flow.
    pub no_descriptors: u64,
    /// How often the system had no port for a connection to an endpoint.
    pub no_ports: u64,
    /// Panics, each of which ended the flows of a thread or one choice. None is expected.
    pub lost: u64,
}

/// One number of one thread.
#[derive(Default, Debug)]
pub(super) struct Counter(AtomicU64);

impl Counter {
    /// Adds to it. Only one thread may.
    pub(super) fn add(&self, count: u64) {
        let before = self.0.load(Ordering::Relaxed);
        self.0.store(before.wrapping_add(count), Ordering::Relaxed);
    }

    fn read(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// The counters of one thread at one listener, on cache lines that no other thread writes.
#[repr(align(128))]
#[derive(Default, Debug)]
pub(super) struct Counters {
    pub(super) came: Counter,
    pub(super) connected: Counter,
    pub(super) ended: Counter,
    pub(super) idle: Counter,
    pub(super) failed_attempts: Counter,
    pub(super) no_endpoint: Counter,
    pub(super) all_failed: Counter,
    pub(super) no_room: Counter,
    pub(super) to_endpoint: Counter,
    pub(super) to_client: Counter,
    pub(super) datagrams_to_endpoint: Counter,
    pub(super) datagrams_to_client: Counter,
    pub(super) dropped: Counter,
    /// Are flows recorded here? It is hardly ever written.
    recorded: AtomicBool,
}

impl Counters {
    /// Are flows recorded here?
    pub(super) fn is_recorded(&self) -> bool {
        self.recorded.load(Ordering::Relaxed)
    }

    /// From now on they are, or aren't.
    pub(super) fn set_recorded(&self, recorded: bool) {
        self.recorded.store(recorded, Ordering::Relaxed);
    }

    /// Adds what they stand at to these counts.
    pub(super) fn add_to(&self, counts: &mut FlowCounts) {
        let pairs = [
            (&self.came, &mut counts.came),
            (&self.connected, &mut counts.connected),
            (&self.ended, &mut counts.ended),
            (&self.idle, &mut counts.idle),
            (&self.failed_attempts, &mut counts.failed_attempts),
            (&self.no_endpoint, &mut counts.no_endpoint),
            (&self.all_failed, &mut counts.all_failed),
            (&self.no_room, &mut counts.no_room),
            (&self.to_endpoint, &mut counts.to_endpoint),
            (&self.to_client, &mut counts.to_client),
            (
                &self.datagrams_to_endpoint,
                &mut counts.datagrams_to_endpoint,
            ),
            (&self.datagrams_to_client, &mut counts.datagrams_to_client),
            (&self.dropped, &mut counts.dropped),
        ];
        for (counter, count) in pairs {
            *count += counter.read();
        }
    }
}

/// The counters of one thread that belong to no listener.
#[repr(align(128))]
#[derive(Default, Debug)]
pub(super) struct ThreadCounters {
    pub(super) pauses: Counter,
    pub(super) no_descriptors: Counter,
    pub(super) no_ports: Counter,
    pub(super) lost: Counter,
}

impl ThreadCounters {
    /// Adds what they stand at to these totals.
    pub(super) fn add_to(&self, totals: &mut FlowTotals) {
        totals.pauses += self.pauses.read();
        totals.no_descriptors += self.no_descriptors.read();
        totals.no_ports += self.no_ports.read();
        totals.lost += self.lost.read();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn threads_counters_add_up() {
        let threads = [Counters::default(), Counters::default()];
        threads[0].connected.add(3);
        threads[1].connected.add(2);
        threads[1].ended.add(1);
        threads[0].to_client.add(1 << 40);
        let mut counts = FlowCounts::default();
        threads.iter().for_each(|thread| thread.add_to(&mut counts));
        assert_eq!((counts.connected, counts.live()), (5, 4));
        assert_eq!(counts.to_client, 1 << 40);
    }
}
