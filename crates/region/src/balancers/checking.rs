//! Drives the health checks of targets: hands them what is served and the time, and has their
//! probes made. It judges nothing.

use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex};

use balancer::Snapshot;
use balancer::health::{HealthChecks, HealthSettings, Input, Output, Ticket};
use event_listener::Event;
use futures_util::future::{Either, pending, select};
use futures_util::stream::{FuturesUnordered, StreamExt};
use health::TargetPolicy;
use types::{Environment, ProbeOutcome, Prober};

use super::lock;

/// A probe under way.
type Errand = Pin<Box<dyn Future<Output = (Ticket, ProbeOutcome)> + Send>>;

/// Health checks of targets.
pub(super) struct Checking {
    prober: Arc<dyn Prober>,
    settings: HealthSettings,
    policy: TargetPolicy,
    /// What is served and not yet checked by.
    served: Mutex<Option<Arc<Snapshot>>>,
    /// Rings when something is.
    bell: Event,
}

impl Checking {
    pub(super) fn new(
        settings: HealthSettings,
        prober: Arc<dyn Prober>,
        policy: TargetPolicy,
    ) -> Checking {
        Checking {
            policy,
            prober,
            settings,
            served: Mutex::default(),
            bell: Event::new(),
        }
    }

    /// The targets of that snapshot are checked from now on.
    pub(super) fn configure(&self, snapshot: &Arc<Snapshot>) {
        *lock(&self.served) = Some(snapshot.clone());
        self.bell.notify(usize::MAX);
    }

    /// Checks, until the process ends; rings `news` when a target's state is another.
    pub(super) async fn run(&self, environment: &dyn Environment, news: &Event) {
        let mut checks = HealthChecks::new(self.settings);
        let mut errands = FuturesUnordered::new();
        let mut input = Input::Tick;
        loop {
            let bell = self.bell.listen();
            let served = lock(&self.served).take();
            let inputs = served.map(Input::Serve).into_iter().chain([input]);
            for input in inputs {
                for output in checks.step(environment.now(), input) {
                    self.carry_out(output, &mut errands, news);
                }
            }
            let wake = checks.wake();
            let wake = pin!(async {
                match wake {
                    Some(at) => environment.sleep_until(at).await,
                    None => pending().await,
                }
            });
            let rings = select(bell, wake);
            input = match select(rings, pin!(finished(&mut errands))).await {
                Either::Left(_) => Input::Tick,
                Either::Right(((ticket, outcome), _)) => Input::Finished(ticket, outcome),
            };
        }
    }

    fn carry_out(&self, output: Output, errands: &mut FuturesUnordered<Errand>, news: &Event) {
        match output {
            Output::Probe(ticket, order) => {
                let prober = self.prober.clone();
                let is_allowed = self.policy.contains(order.endpoint.ip());
                errands.push(Box::pin(async move {
                    let outcome = match is_allowed {
                        true => prober.probe(order).await,
                        false => ProbeOutcome::Forbidden,
                    };
                    (ticket, outcome)
                }));
            }
            Output::Changed(group, target, health) => {
                let (id, port, state) = (&target.id, target.port, health.state.name());
                tracing::info!(%group, id, port, state, "a target's health");
                news.notify(usize::MAX);
            }
        }
    }
}

/// The next probe's end; never, while none is under way.
async fn finished(errands: &mut FuturesUnordered<Errand>) -> (Ticket, ProbeOutcome) {
    match errands.next().await {
        Some(outcome) => outcome,
        None => pending().await,
    }
}
