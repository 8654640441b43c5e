//! The Region's lease, by which its writers of global clusters serve, and the news of the council's
//! configuration for those who keep such clusters' servers. It is renewed as long as a member is
//! here. Whether it is held is judged by `databases`; here is the time that passes.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock};

use databases::lease::{self, Lease, RENEW_EVERY, Renewal};
use databases::{catalogue, keys};
use tokio::sync::{Semaphore, watch};
use types::{ConfigurationError, Environment, Monotonic, Span};

use super::Around;
use super::servers::lock;

/// Renewals that are under way at once: one that is lost on its way is repeated by the council, and
/// a later one may be decided before.
const UNDER_WAY: usize = 4;

/// After a renewal that was refused, the next one comes as soon.
const AGAIN: Span = Span::milliseconds(250);

/// The lease of this process.
pub(super) struct Leases {
    lease: Mutex<Lease>,
    /// The revision that decided something which this process asked for.
    confirmed: OnceLock<u64>,
    /// A renewal was refused.
    refused: AtomicBool,
    /// Counts what those who serve by it are to know: renewals, and changes of global clusters.
    news: watch::Sender<u64>,
    /// Counts changes of global clusters alone.
    changes: watch::Sender<u64>,
    places: Arc<Semaphore>,
}

impl Leases {
    /// It isn't held.
    pub(super) fn new() -> Leases {
        Leases {
            lease: Mutex::new(Lease::default()),
            confirmed: OnceLock::new(),
            refused: AtomicBool::new(false),
            news: watch::Sender::new(0),
            changes: watch::Sender::new(0),
            places: Arc::new(Semaphore::new(UNDER_WAY)),
        }
    }

    /// What is held.
    pub(super) fn lease(&self) -> Lease {
        *lock(&self.lease)
    }

    /// The revision that decided something which this process asked for since it began.
    pub(super) fn confirmed(&self) -> Option<u64> {
        self.confirmed.get().copied()
    }

    /// Changes whenever the lease was renewed, or a global cluster changed.
    pub(super) fn news(&self) -> watch::Receiver<u64> {
        self.news.subscribe()
    }

    /// Changes whenever a global cluster changed.
    pub(super) fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    fn tell(&self) {
        self.news.send_modify(|count| *count += 1);
    }

    /// A renewal was decided, or wasn't.
    fn settle(&self, renewal: Renewal, outcome: Result<u64, ConfigurationError>) {
        match outcome {
            Ok(revision) => {
                lock(&self.lease).committed(renewal, revision);
                // Any one will do: each is of this process's time.
                self.confirmed.get_or_init(|| revision);
                self.tell();
            }
            Err(cause) => {
                tracing::debug!(%cause, "a lease wasn't renewed");
                self.refused.store(true, Ordering::Release);
            }
        }
    }
}

/// Renews the lease as long as it is needed, until the process ends.
pub(super) async fn renew(around: Arc<Around>) {
    let environment = around.environment.clone();
    let mut next = Monotonic::default();
    loop {
        let view = around.region.global_view();
        let needed = catalogue::needs_lease(&*view, around.region.name());
        let is_needed = needed.unwrap_or_else(|cause| {
            tracing::error!(%cause, "nobody can tell whether a lease is needed");
            true
        });
        if !is_needed {
            around.region.global_view_after(view.revision()).await;
            continue;
        }
        let now = environment.now().monotonic;
        if around.leases.refused.swap(false, Ordering::AcqRel) {
            next = next.min(now + AGAIN);
        }
        if now >= next {
            begin(&around);
            next = now + RENEW_EVERY;
        }
        environment.sleep_until(next.min(now + AGAIN)).await;
    }
}

/// Begins a renewal, unless there are enough under way.
fn begin(around: &Arc<Around>) {
    let Ok(place) = around.leases.places.clone().try_acquire_owned() else {
        return;
    };
    let around = around.clone();
    // Before it is proposed: the lease counts from here on.
    let renewal = Lease::begin(around.environment.now().monotonic);
    runtime::spawn(async move {
        let _place = place;
        let number = around.environment.random();
        let edits = vec![lease::edit(around.region.name(), number)];
        let outcome = around.region.propose_globally(edits).await;
        around.leases.settle(renewal, outcome);
    });
}

/// Has keepers look whenever a global cluster has changed, and asks again what peers may have of
/// this Region's servers; until the process ends.
pub(super) async fn follow(around: Arc<Around>) {
    let mut seen = around.region.global_view().revision();
    loop {
        let view = around.region.global_view_after(seen).await;
        let mut has_changed = false;
        let is_known = view.visit_changes(keys::GLOBAL_CLUSTERS, seen, &mut |_, _| {
            has_changed = true;
        });
        seen = view.revision();
        if has_changed || !is_known {
            around.leases.tell();
            around.leases.changes.send_modify(|count| *count += 1);
            around.servers.wake_all();
            around.streams.ask_again();
        }
    }
}

#[cfg(test)]
mod tests {
    use databases::lease::LEASE;

    use super::*;

    #[test]
    fn a_renewal_counts_from_its_beginning_and_only_once_it_was_decided() {
        let leases = Leases::new();
        let news = leases.news();
        let began = Monotonic(1_000_000);
        let renewal = Lease::begin(began);
        let is_held = |at| leases.lease().is_held(at, 7);
        assert!(!is_held(began), "it was begun, no more");
        leases.settle(renewal, Err(ConfigurationError::NoMajority));
        assert!(!is_held(began) && leases.confirmed().is_none());
        assert!(!news.has_changed().unwrap());
        leases.settle(renewal, Ok(7));
        assert!(news.has_changed().unwrap());
        assert_eq!(leases.confirmed(), Some(7));
        let last = Monotonic(began.0 + LEASE.0 - 1);
        assert!(is_held(last) && !is_held(began + LEASE));
        assert!(
            !leases.lease().is_held(last, 6),
            "by an older configuration"
        );
    }
}
