//! Drives the site's health monitor: hands it what arrives and the time, has its probes made,
//! sends its messages, and sets the bits that answers read. It judges nothing.

use std::collections::{BTreeMap, VecDeque};
use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use accelerator::checks::is_accelerators;
use bytes::Bytes;
use event_listener::Event;
use futures_util::future::{Either, pending, select};
use futures_util::stream::{FuturesUnordered, StreamExt};
use health::{Input, Monitor, Output, ProbeRequest, SiteObservation, Tally};
use link::Service;
use store::{Batch, Engine, Space};
use types::{ConfigurationView, HealthCheck, HealthCheckId, Now, SiteId, Span};

use crate::balancers::is_balancers;
use crate::steering::{Steering, generation};

/// The tag of health reports on envelopes.
pub const HEALTH: Service = Service(2);

/// Where in `Space::Meta` the last known statuses are kept.
pub(crate) const KEPT: &str = "health/statuses";

/// Messages of other sites that wait for the monitor; one more is dropped, as the link may, and
/// its sender repeats everything within `health::limits::REFRESH_EVERY`.
const MAX_WAITING: usize = 1_024;

/// How long it is waited after the disk refused the last known statuses.
const KEEP_AGAIN: Span = Span::seconds(1);

/// The monitor, and what waits for it or was left by it.
pub(crate) struct Checking {
    monitor: Mutex<Monitor>,
    waiting: Mutex<VecDeque<Input>>,
    /// Probes that were asked for elsewhere than in the task that makes them.
    requests: Mutex<Vec<ProbeRequest>>,
    /// Rings when something waits, or a link may have changed.
    bell: Event,
    /// Has the configuration a health check? Where there is none, nobody has anything to say.
    has_checks: AtomicBool,
    /// The last known statuses, not yet on disk.
    unkept: Mutex<Option<Bytes>>,
    kept_bell: Event,
}

/// A probe, or the search for a name's addresses, under way.
type Errand = Pin<Box<dyn Future<Output = Input> + Send>>;

impl Checking {
    pub(crate) fn new(monitor: Monitor) -> Checking {
        Checking {
            monitor: Mutex::new(monitor),
            waiting: Mutex::default(),
            requests: Mutex::default(),
            bell: Event::new(),
            has_checks: AtomicBool::new(false),
            unkept: Mutex::default(),
            kept_bell: Event::new(),
        }
    }

    /// Something about a link may have changed.
    pub(crate) fn ring(&self) {
        self.bell.notify(usize::MAX);
    }

    /// Hands an input to the monitor, in its turn.
    pub(crate) fn hand(&self, input: Input) {
        let mut waiting = lock(&self.waiting);
        if waiting.len() >= MAX_WAITING && matches!(input, Input::Received(..)) {
            tracing::debug!("a health report was dropped: too many wait");
            return;
        }
        waiting.push_back(input);
        drop(waiting);
        self.ring();
    }

    pub(crate) fn monitor(&self) -> MutexGuard<'_, Monitor> {
        lock(&self.monitor)
    }
}

impl<E: Engine> Steering<E> {
    /// How that check's status comes about here; none if it isn't configured.
    pub fn tally(&self, check: &HealthCheckId) -> Option<Tally> {
        let now = self.environment.now().monotonic;
        self.checking.monitor().tally(now, check)
    }

    /// What each checker that is heard saw last of that check.
    pub fn observations(&self, check: &HealthCheckId) -> Vec<SiteObservation> {
        let now = self.environment.now().monotonic;
        self.checking.monitor().observations(now, check)
    }

    /// The last failure that each checker that is heard saw of that check.
    pub fn last_failures(&self, check: &HealthCheckId) -> Vec<SiteObservation> {
        let now = self.environment.now().monotonic;
        self.checking.monitor().last_failures(now, check)
    }

    /// Is a checker, until the process ends.
    pub(crate) async fn check(self: Arc<Self>) {
        let mut errands = FuturesUnordered::new();
        let mut links = BTreeMap::new();
        loop {
            let bell = self.checking.bell.listen();
            // Taken before links are looked at, and put after them: what arrived over a link that
            // has just come counts only once the monitor knows of the link.
            let waiting = std::mem::take(&mut *lock(&self.checking.waiting));
            for input in self.note_links(&mut links) {
                self.step(input, &mut errands);
            }
            for request in std::mem::take(&mut *lock(&self.checking.requests)) {
                errands.push(self.errand(request));
            }
            for input in waiting.into_iter().chain([Input::Tick]) {
                self.step(input, &mut errands);
            }
            let wake = self.checking.monitor().wake();
            let rings = select(bell, self.environment.sleep_until(wake));
            let found = match select(rings, pin!(finished(&mut errands))).await {
                Either::Left(_) => None,
                Either::Right((input, _)) => Some(input),
            };
            if let Some(input) = found {
                self.step(input, &mut errands);
            }
        }
    }

    /// What the monitor is to know of links that came, went, or came anew.
    fn note_links(&self, known: &mut BTreeMap<SiteId, Option<u64>>) -> Vec<Input> {
        let mut inputs = Vec::new();
        for (site, port) in &self.ports {
            let now = generation(port);
            let before = known.insert(*site, now).flatten();
            if before != now {
                inputs.push(match now {
                    Some(_) => Input::Connected(*site),
                    None => Input::Disconnected(*site),
                });
                self.links_changed.notify(usize::MAX);
            }
        }
        inputs
    }

    fn step(&self, input: Input, errands: &mut FuturesUnordered<Errand>) {
        for request in self.put(input) {
            errands.push(self.errand(request));
        }
    }

    /// These are the health checks from now on. When this returns, the status of each is set.
    pub(crate) fn configure_checks(&self, view: &dyn ConfigurationView, nodes: Vec<HealthCheck>) {
        let mut checks = routing::health_checks(view);
        checks.extend(accelerator::health_checks(view));
        checks.extend(nodes);
        self.checking
            .has_checks
            .store(!checks.is_empty(), Ordering::Relaxed);
        let requests = self.put(Input::Configured(checks));
        lock(&self.checking.requests).extend(requests);
        self.checking.ring();
    }

    /// Puts an input to the monitor and does what it asks; gives the probes to be made.
    fn put(&self, input: Input) -> Vec<ProbeRequest> {
        let mut outputs = Vec::new();
        let now = self.environment.now();
        // Held to the end: of two statuses the later one is set last.
        let mut monitor = self.checking.monitor();
        if let Err(error) = monitor.step(now, input, &mut outputs) {
            tracing::warn!(%error, "a health report was refused");
        }
        self.carry_out(now, &monitor, outputs)
    }

    fn carry_out(&self, now: Now, monitor: &Monitor, outputs: Vec<Output>) -> Vec<ProbeRequest> {
        let mut requests = Vec::new();
        let mut endpoints = self.accelerators.look_at_unheard(now, monitor);
        endpoints |= self.balancers.endpoints.look_at_unheard(now, monitor);
        for output in outputs {
            match output {
                Output::Request(request) => requests.push(request),
                Output::Send(to, payload) => {
                    if self.checking.has_checks.load(Ordering::Relaxed) {
                        self.send(to, HEALTH, payload);
                    }
                }
                Output::Status(check, healthy) if is_accelerators(&check) => {
                    self.accelerators.found(now, monitor, check, healthy);
                    endpoints = true;
                }
                Output::Status(check, healthy) if is_balancers(&check) => {
                    endpoints |= self.balancers.endpoints.found(now, monitor, check, healthy);
                }
                // The boards let go of it with the endpoint.
                Output::Gone(check) if is_accelerators(&check) || is_balancers(&check) => {}
                Output::Status(check, healthy) => {
                    if self.node.board().set(&check, healthy) {
                        tracing::info!(%check, healthy, "a health check's status");
                    }
                }
                // Records may still name it. A check that isn't there is healthy at every site,
                // as it is at one that starts now.
                Output::Gone(check) => {
                    self.node.board().set(&check, true);
                }
                Output::Keep(statuses) => {
                    *lock(&self.checking.unkept) = Some(statuses);
                    self.checking.kept_bell.notify(usize::MAX);
                }
            }
        }
        if endpoints {
            self.tell_names();
        }
        requests
    }

    fn errand(&self, request: ProbeRequest) -> Errand {
        let prober = self.prober.clone();
        match request {
            ProbeRequest::Probe(ticket, order) => Box::pin(async move {
                let outcome = prober.probe(order).await;
                Input::Probed(ticket, outcome)
            }),
            ProbeRequest::Resolve(ticket, name) => {
                let addresses = self.addresses_of(&name);
                Box::pin(async move { Input::Resolved(ticket, addresses) })
            }
        }
    }

    /// Keeps the last known statuses on disk: what counts after a restart, until someone is heard.
    pub(crate) async fn keep_statuses(self: Arc<Self>) {
        loop {
            let bell = self.checking.kept_bell.listen();
            let unkept = lock(&self.checking.unkept).take();
            let Some(statuses) = unkept else {
                bell.await;
                continue;
            };
            let mut batch = Batch::new();
            batch.put(Space::Meta, KEPT, statuses.clone());
            if let Err(error) = self.engine.commit(batch).await {
                tracing::warn!(%error, "the last known health statuses were not kept");
                lock(&self.checking.unkept).get_or_insert(statuses);
                let again = self.environment.now().monotonic + KEEP_AGAIN;
                self.environment.sleep_until(again).await;
            }
        }
    }
}

/// The next errand's end; never, while none is under way.
async fn finished(errands: &mut FuturesUnordered<Errand>) -> Input {
    match errands.next().await {
        Some(input) => input,
        None => pending().await,
    }
}

/// A panic elsewhere while the lock was held leaves plain data: it is still good to use.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
