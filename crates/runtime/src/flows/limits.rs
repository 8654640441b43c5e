//! How much flows may take of a process, and how long they may wait. What isn't here has no limit
//! of its own: bytes and flows are bounded by these.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

/// How many endpoints a flow is offered to, at most: as many as an endpoint group may have (Global
/// Accelerator's quota "Endpoints per endpoint group").
pub const MAX_ATTEMPTS: usize = 10;

/// How many addresses and ports may be listened on, at most, of both protocols together.
pub const MAX_LISTENERS: usize = 4096;

/// What moves a flow's bytes, and what isn't sent on at once waits in, in bytes.
pub(super) const BUFFER: usize = 64 * 1024;

/// How flows run.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct FlowOptions {
    /// Threads, 1 to 64.
    pub threads: usize,
    /// What they may take.
    pub limits: FlowLimits,
}

/// What flows may take, all threads together.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct FlowLimits {
    /// TCP flows at a time. With so many, connections wait until one ends.
    pub tcp_flows: usize,
    /// UDP flows at a time. With so many, datagrams of new ones are dropped, unless there are
    /// flows that no endpoint has answered and that were silent for a second: those go first.
    pub udp_flows: usize,
    /// Descriptors, which are also bound by what the process may open: a TCP flow has 2, a UDP
    /// flow 1, and while it moves much, a TCP flow has 2 or 4 more.
    pub descriptors: usize,
    /// Buffers of 64 KiB for what a slow reader hasn't taken. With so many in use, the bytes of
    /// others that are slow stay where they are, in the kernel, at the price of copying twice.
    pub buffers: usize,
    /// How long an endpoint may take to accept, while there is another to try ...
    pub connect: Duration,
    /// ... and, counted from the flow's beginning, if there is none.
    pub patience: Duration,
    /// How long a TCP flow may be silent (Global Accelerator: 340 s).
    pub tcp_idle: Duration,
    /// How long a UDP flow may be silent (Global Accelerator: 30 s).
    pub udp_idle: Duration,
    /// Bytes under way in one direction of a delayed TCP flow.
    pub in_flight: usize,
    /// Bytes under way in a thread, of all that is delayed there.
    pub thread_in_flight: usize,
    /// How long a window of a flow that is recorded is, at most (Global Accelerator: a minute).
    pub window: Duration,
}

impl FlowLimits {
    /// What suits an edge of a few GiB; idle times are Global Accelerator's.
    pub const USUAL: FlowLimits = FlowLimits {
        tcp_flows: 100_000,
        udp_flows: 50_000,
        descriptors: usize::MAX,
        buffers: 4096,
        connect: Duration::from_millis(500),
        patience: Duration::from_secs(5),
        tcp_idle: Duration::from_secs(340),
        udp_idle: Duration::from_secs(30),
        in_flight: 1024 * 1024,
        thread_in_flight: 64 * 1024 * 1024,
        window: Duration::from_secs(60),
    };
}

/// What is left of the limits that all threads share.
#[derive(Debug)]
pub(super) struct Budget {
    pub(super) tcp_flows: Stock,
    pub(super) udp_flows: Stock,
    pub(super) descriptors: Stock,
    pub(super) buffers: Stock,
}

/// Things of which there are only so many.
#[derive(Debug)]
pub(super) struct Stock(AtomicUsize);

impl Stock {
    pub(super) fn new(count: usize) -> Stock {
        Stock(AtomicUsize::new(count))
    }

    /// Takes so many, or none.
    pub(super) fn take(&self, count: usize) -> bool {
        self.0
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| {
                left.checked_sub(count)
            })
            .is_ok()
    }

    /// Gives so many back.
    pub(super) fn give(&self, count: usize) {
        self.0.fetch_add(count, Ordering::Relaxed);
    }

    /// How many there are.
    pub(super) fn left(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }
}

impl Budget {
    /// `open_files`: how many descriptors the flows may have of what the process may open.
    pub(super) fn new(limits: &FlowLimits, open_files: usize) -> Budget {
        Budget {
            tcp_flows: Stock::new(limits.tcp_flows),
            udp_flows: Stock::new(limits.udp_flows),
            descriptors: Stock::new(limits.descriptors.min(open_files)),
            buffers: Stock::new(limits.buffers),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stock_gives_what_it_has_and_no_more() {
        let stock = Stock::new(3);
        assert!(stock.take(2));
        assert!(!stock.take(2));
        assert!(stock.take(1));
        stock.give(2);
        assert!(stock.take(2));
        assert_eq!(stock.left(), 0);
    }
}
