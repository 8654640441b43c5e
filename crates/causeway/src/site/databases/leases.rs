//! The Region's lease, by which its writers of global clusters serve, and the news of the council's
//! configuration for those who keep such clusters' servers. It is renewed as long as a member is
//! here. Whether it is held is judged by `databases`; here is the time that passes.

use std::sync::{Arc, Mutex, OnceLock};

use databases::automatic::{Hearing, Known};
use databases::lease::{self, Lease, RENEW_EVERY, Renewal};
use databases::silence::{LeaseRow, LeaseSeen, LeasesSeen};
use databases::{catalogue, keys};
use tokio::sync::{Notify, Semaphore, watch};
use types::{ConfigurationError, ConfigurationView, Environment, Monotonic, Region, Span};

use super::Around;
use super::servers::lock;

/// Renewals that are under way at once: one that is lost on its way is repeated by the council, and
/// a later one may be decided before. Each has a place there, whatever else this Region proposes.
const UNDER_WAY: usize = council::KEPT_PLACES;

/// After a renewal that was refused, the next one comes as soon: while there is no majority that is
/// known here, and costs nobody anything.
const AGAIN: Span = Span::milliseconds(100);

/// What couldn't be told is told again so much later.
const TELL_AGAIN: Span = Span::seconds(5);

/// The lease of this process.
pub(super) struct Leases {
    lease: Mutex<Lease>,
    /// The revision that decided something which this process asked for.
    confirmed: OnceLock<u64>,
    /// Rings when a renewal was refused.
    refused: Notify,
    /// Counts what those who serve by it are to know: renewals, and changes of global clusters.
    news: watch::Sender<u64>,
    /// Counts changes of global clusters alone.
    changes: watch::Sender<u64>,
    places: Arc<Semaphore>,
    /// What was seen of all Regions' leases.
    seen: Mutex<LeasesSeen>,
    /// How the council is heard.
    hearing: Mutex<Hearing>,
}

impl Default for Leases {
    /// It isn't held.
    fn default() -> Leases {
        Leases {
            lease: Mutex::new(Lease::default()),
            confirmed: OnceLock::new(),
            refused: Notify::new(),
            news: watch::Sender::new(0),
            changes: watch::Sender::new(0),
            places: Arc::new(Semaphore::new(UNDER_WAY)),
            seen: Mutex::new(LeasesSeen::new()),
            hearing: Mutex::default(),
        }
    }
}

impl Leases {
    /// What is held.
    pub(super) fn lease(&self) -> Lease {
        *lock(&self.lease)
    }

    /// A Region's lease as it was seen last, and since when it is so.
    pub(super) fn seen(&self, region: Region) -> Option<LeaseSeen> {
        lock(&self.seen).of(region).cloned()
    }

    /// All Regions' leases as they were seen last.
    pub(super) fn all_seen(&self) -> LeasesSeen {
        lock(&self.seen).clone()
    }

    /// How this process hears the council.
    pub(super) fn hearing(&self) -> Hearing {
        *lock(&self.hearing)
    }

    /// Since when nothing was heard of a Region, while the council was; `None`: nobody can tell.
    pub(super) fn silent_since(&self, region: Region, now: Monotonic) -> Option<Monotonic> {
        let leases = lock(&self.seen);
        let known = Known {
            leases: &leases,
            hearing: self.hearing(),
            now,
        };
        known.silent_since(region)
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

    /// A renewal was decided, or wasn't, as is known now. Gives whether it is the first thing that
    /// was decided for this process.
    fn settle(
        &self,
        renewal: Renewal,
        outcome: Result<u64, ConfigurationError>,
        now: Monotonic,
    ) -> bool {
        match outcome {
            Ok(revision) => {
                lock(&self.hearing).decided(now, revision);
                lock(&self.lease).committed(renewal, revision);
                // Any one will do: each is of this process's time.
                let is_first = self.confirmed.set(revision).is_ok();
                self.tell();
                is_first
            }
            Err(cause) => {
                tracing::debug!(%cause, "a lease wasn't renewed");
                self.refused.notify_one();
                false
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
            around.servers.unheard_since(None);
            around.region.global_view_after(view.revision()).await;
            continue;
        }
        let now = environment.now().monotonic;
        around.servers.asks_since(now);
        if now >= next {
            begin(&around);
            next = now + RENEW_EVERY;
        }
        tokio::select! {
            () = environment.sleep_until(next) => {}
            () = around.leases.refused.notified() => {
                next = next.min(environment.now().monotonic + AGAIN);
            }
        }
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
        let region = around.region.name();
        let last = LeaseRow::of(&*around.region.global_view(), region);
        let renewals = last.map_or(0, |row| row.renewals()) + 1;
        let edits = vec![lease::edit(region, number, renewals)];
        let outcome = around.region.propose_globally_first(edits).await;
        let now = around.environment.now().monotonic;
        if outcome.is_ok() {
            around.servers.unheard_since(Some(now));
        }
        if around.leases.settle(renewal, outcome, now) {
            // Who waited to know that what it goes by is no old configuration knows it now.
            around.servers.wake_all();
        }
    });
}

/// Has keepers look whenever a global cluster has changed, and asks again what peers may have of
/// this Region's servers; remembers since when each lease is as it is. Until the process ends.
pub(super) async fn follow(around: Arc<Around>) {
    let view = around.region.global_view();
    let mut seen = view.revision();
    around.look_at_leases(&*view);
    loop {
        let view = around.region.global_view_after(seen).await;
        around.look_at_leases(&*view);
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

/// Tells, in this Region's events, of failovers that nobody asked for, until the process ends: by
/// itself, for the disk that events are on may hold it up.
pub(super) async fn tell(around: Arc<Around>) {
    let environment = around.environment.clone();
    let mut seen = 0;
    loop {
        let view = around.region.global_view_after(seen).await;
        let mut was_decided = false;
        let is_known = view.visit_changes(keys::DECISIONS, seen, &mut |_, _| was_decided = true);
        if (was_decided || !is_known) && !around.tell_of_decisions().await {
            // Not with each renewal that is decided meanwhile.
            let later = environment.now().monotonic + TELL_AGAIN;
            environment.sleep_until(later).await;
            continue;
        }
        seen = view.revision();
    }
}

impl Around {
    /// Has this Region's events tell of failovers that nobody asked for; false: it is to be tried
    /// again.
    async fn tell_of_decisions(&self) -> bool {
        let told = self.region.database_service().tell_of_decisions().await;
        if let Err(cause) = &told {
            tracing::warn!(%cause, "a failover that was decided isn't told of yet");
        }
        told.is_ok()
    }

    /// Remembers what leases there are in a configuration.
    fn look_at_leases(&self, view: &dyn ConfigurationView) {
        // Read only now: what is there was decided before.
        let now = self.environment.now().monotonic;
        lock(&self.leases.seen).look(view, now);
    }
}

#[cfg(test)]
mod tests {
    use databases::lease::LEASE;

    use super::*;

    #[test]
    fn a_renewal_counts_from_its_beginning_and_only_once_it_was_decided() {
        let leases = Leases::default();
        let news = leases.news();
        let began = Monotonic(1_000_000);
        let renewal = Lease::begin(began);
        let is_held = |at| leases.lease().is_held(at, 7);
        assert!(!is_held(began), "it was begun, no more");
        assert!(!leases.settle(renewal, Err(ConfigurationError::NoMajority), began));
        assert!(!is_held(began) && leases.confirmed().is_none());
        assert!(!news.has_changed().unwrap());
        assert_eq!(leases.hearing().since(began), None);
        assert!(leases.settle(renewal, Ok(7), began));
        assert_eq!(leases.hearing().since(began), Some(began));
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
