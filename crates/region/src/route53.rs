//! The Route 53 API of a Region: requests signed for the service are handed to
//! `routing`, and what `routing` asks of the nodes is answered from the Region's steering. Global
//! configuration has no home: every Region takes every request.

use std::sync::{Arc, LazyLock};

use aws::rest;
use aws::signature::{self, Expected, Rules};
use bytes::Bytes;
use health::TargetPolicy;
use http::Response;
use http::request::Parts;
use routing::{NodeView, Observation, Targets, TestAnswer, TestQuestion};
use steering::Steering;
use store::Engine;
use types::HealthCheckId;

use crate::region::Region;

/// The service's signing name.
const SERVICE: &str = "route53";

/// The Regions that its signatures may name: any. AWS takes us-east-1 alone (AWS General Reference,
/// "Amazon Route 53 endpoints and quotas"), which SDKs know of its own endpoint; told another one, as
/// by `AWS_ENDPOINT_URL`, they name the Region that they work in.
static SCOPES: LazyLock<Vec<types::Region>> = LazyLock::new(|| types::Region::all().collect());

/// What its paths begin with, for requests that say no service.
const PATHS: &str = "/2013-04-01/";

/// Is the request one for Route 53? Signed for it, or unsigned and of its form.
pub(crate) fn is_addressed(parts: &Parts) -> bool {
    match signature::scope_of(parts) {
        Some(scope) => scope.service == SERVICE,
        None => parts.uri.path().starts_with(PATHS),
    }
}

/// What health checks may look at, for the service that makes them.
pub(crate) fn targets(policy: TargetPolicy) -> Targets {
    Targets {
        allows: Arc::new(move |address| policy.contains(address)),
        setting: "--health-targets".to_owned(),
    }
}

impl<E: Engine> Region<E> {
    /// Answers a request for Route 53.
    pub(crate) async fn route(
        &self,
        parts: &Parts,
        body: &Bytes,
        request_id: &str,
    ) -> Response<Bytes> {
        let expected = Expected {
            service: SERVICE,
            regions: &SCOPES,
            rules: Rules::REST,
        };
        match self.admit(parts, body, &expected) {
            Ok(caller) => {
                let answer = self.routing.execute(&caller, parts, body, request_id);
                answer.await
            }
            Err(refused) => rest::failure(request_id, &refused.in_xml()),
        }
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
