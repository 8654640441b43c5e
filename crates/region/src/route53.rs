//! The Route 53 API of a Region: what `routing` asks of the nodes is answered from the Region's
//! steering. Global configuration has no home: every Region takes every request.

use std::sync::Arc;

use health::TargetPolicy;
use routing::{NodeView, Observation, Targets, TestAnswer, TestQuestion};
use steering::Steering;
use store::Engine;
use types::HealthCheckId;

/// The service's signing name.
pub(crate) const SERVICE: &str = "route53";

/// What its paths begin with, for requests that say no service.
pub(crate) const PATHS: &str = "/2013-04-01/";

/// What health checks may look at, for the service that makes them.
pub(crate) fn targets(policy: TargetPolicy) -> Targets {
    Targets {
        allows: Arc::new(move |address| policy.contains(address)),
        setting: "--health-targets".to_owned(),
    }
}

/// The nodes that answer DNS and check health, as this Region hears them.
pub(crate) struct Nodes<E: Engine>(pub(crate) Arc<Steering<E>>);

impl<E: Engine> NodeView for Nodes<E> {
    fn in_sync(&self, revision: u64) -> bool {
        self.0.is_in_sync(revision)
    }

    fn observations(&self, check: &HealthCheckId) -> Vec<Observation> {
        let failures = self.0.last_failures(check);
        let seen = self.0.observations(check).into_iter();
        let seen = seen.filter_map(|seen| {
            let failure = failures.iter().find(|failure| failure.site == seen.site);
            let place = self.0.place_of(seen.site)?;
            Some(Observation {
                region: place,
                address: self.0.address_of(seen.site),
                status: seen.observation.status,
                checked: seen.observation.checked,
                last_failure: failure.map(|failure| {
                    let failure = &failure.observation;
                    (failure.status.clone(), failure.checked)
                }),
            })
        });
        seen.collect()
    }

    fn test_answer(&self, question: &TestQuestion) -> TestAnswer {
        self.0.test_answer(question)
    }
}
