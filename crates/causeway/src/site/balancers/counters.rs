//! What has been counted of load balancers since the Region's process started: by listener of a
//! node, and by target. The figures are those that CloudWatch has of load balancers.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use balancer::TargetGroupArn;

/// Targets that are counted apart; those beyond are counted together. Whoever has more has them in
/// several Regions.
const MAX_TARGETS: usize = 16 * 1024;

/// A count.
#[derive(Debug, Default)]
pub(super) struct Counter(AtomicU64);

impl Counter {
    /// Adds that many.
    pub(super) fn add(&self, count: u64) {
        self.0.fetch_add(count, Ordering::Relaxed);
    }

    /// Where it stands.
    pub(super) fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// What came to a listener of a node.
#[derive(Debug, Default)]
pub(super) struct ListenerCounters {
    /// Requests that were routed.
    pub(super) requests: Counter,
    /// Those that are over.
    pub(super) ended: Counter,
    /// Requests that were refused: malformed, too large, too slow.
    pub(super) refused: Counter,
    /// Answers of the load balancer's own, by the first digit of their status, from 1 on.
    pub(super) own: [Counter; 5],
    /// Answers of targets, by the first digit of their status, from 1 on.
    pub(super) targets: [Counter; 5],
    /// Attempts to reach a target that failed.
    pub(super) failed: Counter,
    /// Requests for which there was no target, or none that could be reached.
    pub(super) unserved: Counter,
    /// Bytes from clients.
    pub(super) received: Counter,
    /// Bytes to clients.
    pub(super) sent: Counter,
}

/// What went to a target.
#[derive(Debug, Default)]
pub(super) struct TargetCounters {
    /// Requests, or flows, that it was given.
    pub(super) requests: Counter,
    /// Attempts that failed.
    pub(super) failed: Counter,
    /// Flows that are over.
    pub(super) ended: Counter,
    /// Bytes to it, of flows.
    pub(super) received: Counter,
    /// Bytes from it, of flows.
    pub(super) sent: Counter,
}

/// All that is counted.
#[derive(Debug, Default)]
pub(super) struct Counters {
    listeners: RwLock<BTreeMap<SocketAddr, Arc<ListenerCounters>>>,
    targets: RwLock<Targets>,
}

/// Targets, each with a number.
#[derive(Debug, Default)]
struct Targets {
    numbers: BTreeMap<TargetGroupArn, BTreeMap<SocketAddr, u32>>,
    counters: Vec<Arc<TargetCounters>>,
}

impl Counters {
    /// Those of the listener of a node at that address.
    pub(super) fn listener(&self, address: SocketAddr) -> Arc<ListenerCounters> {
        let known = self
            .listeners
            .read()
            .unwrap_or_else(PoisonError::into_inner);
        if let Some(counters) = known.get(&address) {
            return counters.clone();
        }
        drop(known);
        let mut known = self
            .listeners
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        known.entry(address).or_default().clone()
    }

    /// Forgets what was counted where nobody listens any more.
    pub(super) fn retain(&self, addresses: &BTreeSet<SocketAddr>) {
        let mut known = self
            .listeners
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        known.retain(|address, _| addresses.contains(address));
    }

    /// The number of a target of a group.
    pub(super) fn target(&self, group: &TargetGroupArn, address: SocketAddr) -> u32 {
        let known = self.targets.read().unwrap_or_else(PoisonError::into_inner);
        let number = known.numbers.get(group).and_then(|of| of.get(&address));
        if let Some(number) = number {
            return *number;
        }
        drop(known);
        let mut known = self.targets.write().unwrap_or_else(PoisonError::into_inner);
        let number = known.counters.len().min(MAX_TARGETS - 1);
        let is_new = number == known.counters.len();
        let number = u32::try_from(number).expect("there are fewer");
        if is_new {
            known.counters.push(Arc::default());
            let of = known.numbers.entry(group.clone()).or_default();
            of.insert(address, number);
        }
        number
    }

    /// The counters of the target with that number.
    pub(super) fn of(&self, number: u32) -> Option<Arc<TargetCounters>> {
        let known = self.targets.read().unwrap_or_else(PoisonError::into_inner);
        known.counters.get(number as usize).cloned()
    }
}

/// Counts an answer's status in its class.
pub(super) fn class(classes: &[Counter; 5], status: u16) {
    let class = usize::from(status / 100).checked_sub(1);
    if let Some(counter) = class.and_then(|class| classes.get(class)) {
        counter.add(1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_target_has_a_number_of_its_own_and_keeps_it() {
        let counters = Counters::default();
        let arn = |name: &str| -> TargetGroupArn {
            let prefix = "arn:aws:elasticloadbalancing:us-east-1:111122223333:targetgroup";
            format!("{prefix}/{name}/73e2d6bc24d8a067").parse().unwrap()
        };
        let at = |last: u8| SocketAddr::from(([127, 1, 1, last], 80));
        let numbers = [
            counters.target(&arn("one"), at(1)),
            counters.target(&arn("one"), at(2)),
            counters.target(&arn("two"), at(1)),
        ];
        assert_eq!(numbers, [0, 1, 2]);
        assert_eq!(counters.target(&arn("one"), at(2)), 1);
        counters.of(1).unwrap().requests.add(3);
        assert_eq!(counters.of(1).unwrap().requests.get(), 3);
        assert!(counters.of(3).is_none());
    }

    #[test]
    fn what_nobody_listens_for_is_forgotten() {
        let counters = Counters::default();
        let at = |port| SocketAddr::from(([127, 32, 1, 1], port));
        counters.listener(at(1)).requests.add(1);
        counters.listener(at(2)).requests.add(2);
        counters.retain(&[at(2)].into());
        assert_eq!(counters.listener(at(1)).requests.get(), 0);
        assert_eq!(counters.listener(at(2)).requests.get(), 2);
    }

    #[test]
    fn statuses_are_counted_by_class() {
        let classes: [Counter; 5] = Default::default();
        for status in [100, 204, 299, 301, 404, 503, 0, 600, 999] {
            class(&classes, status);
        }
        let seen: Vec<u64> = classes.iter().map(Counter::get).collect();
        assert_eq!(seen, [1, 2, 1, 1, 1]);
    }
}
