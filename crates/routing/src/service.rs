//! The Route 53 API of one site: takes a request whose signature was verified, and carries its
//! operation out on the global configuration. It owns no socket, no clock and no thread, and
//! answers no DNS query itself.
//!
//! A change is optimistic: it reads a view, judges the request against it, and proposes edits
//! that hold only of what it read. If another change came first it reads again, a bounded number
//! of times. So every Region can take every request.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::net::IpAddr;
use std::sync::Arc;

use async_lock::{Mutex, MutexGuard};
use aws::access::Authorizer;
use aws::rest::{self, Query, ROUTE53};
use aws::{ServiceError, xml};
use bytes::Bytes;
use http::request::Parts;
use http::{Response, StatusCode};
use types::{
    Configuration, ConfigurationEdit, ConfigurationView, Environment, HealthCheckId, Place, Region,
    Timestamp,
};

use crate::access::judge;
use crate::operation_table;
use crate::request::{Reply, Request};
use crate::{Explanation, Inquiry, Name, OutsideNames, RecordKind, RoutingError, ZoneId};

/// Locks of changes; zones share them by hash.
const LOCKS: usize = 64;

/// Edits to be proposed, and what is said beside them.
type Attempted<T> = (Vec<ConfigurationEdit>, T);

/// What the service is told when it is made.
#[derive(Clone)]
pub struct ServiceConfig {
    /// The clocks and the randomness of the place it runs in.
    pub environment: Arc<dyn Environment>,
    /// The global configuration.
    pub configuration: Arc<dyn Configuration>,
    /// The site's view of the nodes that answer DNS and check health.
    pub nodes: Arc<dyn NodeView>,
    /// Which addresses a health check may be made of.
    pub targets: Targets,
    /// Which names other services have, for aliases to them.
    pub outside: OutsideOf,
}

/// Reads the names that other services have by a view of the configuration.
pub type OutsideOf = Arc<dyn Fn(&dyn ConfigurationView) -> OutsideNames + Send + Sync>;

/// Which addresses the operator allows health checks of. It is asked when a health check is
/// made; whoever probes asks again, of the address a name resolves to then.
#[derive(Clone)]
pub struct Targets {
    /// May this address be checked?
    pub allows: Arc<dyn Fn(IpAddr) -> bool + Send + Sync>,
    /// The setting that says so, as the operator writes it: `--health-targets`.
    pub setting: String,
}

/// What the API asks of the nodes that answer DNS and of the checkers. The site implements it.
pub trait NodeView: Send + Sync + 'static {
    /// Does every live DNS node serve that revision of the configuration, or a later one?
    fn in_sync(&self, revision: u64) -> bool;

    /// What each checker saw last of that health check, in the order of the sites.
    fn observations(&self, check: &HealthCheckId) -> Vec<Observation>;

    /// What a DNS node answers that question now.
    fn test_answer(&self, question: &TestQuestion) -> TestAnswer;
}

/// What one checker saw of a health check.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Observation {
    /// The Region it checks from.
    pub region: Region,
    /// Its own address.
    pub address: IpAddr,
    /// Its last probe, in the service's words: `Success: HTTP Status Code 200, OK`.
    pub status: String,
    /// When that probe ended.
    pub checked: Timestamp,
    /// Its last probe that failed, in those words, and when it ended.
    pub last_failure: Option<(String, Timestamp)>,
}

/// A question of `TestDNSAnswer`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TestQuestion {
    /// The zone that shall answer.
    pub zone: ZoneId,
    /// What is asked for.
    pub name: Name,
    /// And of which type.
    pub kind: RecordKind,
    /// The resolver that asks; `None`: one in us-east-1.
    pub resolver: Option<IpAddr>,
    /// The client's network, as the resolver passes it on (EDNS Client Subnet): address and bits.
    pub client_subnet: Option<(IpAddr, u8)>,
}

impl TestQuestion {
    /// The question to explain, of which [`TestAnswer::of`] makes the answer. Where no resolver
    /// is given it is one in us-east-1, by the lab's address of that place.
    pub fn inquiry(&self) -> Inquiry {
        let virginia = "us-east-1".parse().expect("us-east-1 is a Region");
        Inquiry {
            name: self.name.clone(),
            kind: self.kind,
            source: self
                .resolver
                .unwrap_or_else(|| Place(virginia).address(1).into()),
            subnet: self.client_subnet,
        }
    }
}

/// What a DNS node would answer.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TestAnswer {
    /// The values of the answer section, as the API writes them.
    pub values: Vec<String>,
    /// The response code's name: `NOERROR`.
    pub code: String,
    /// `UDP` or `TCP`.
    pub protocol: String,
}

impl TestAnswer {
    /// The answer as explained: of a zone that isn't the one which answers for the name, it is
    /// refused.
    pub fn of(question: &TestQuestion, explanation: &Explanation) -> TestAnswer {
        let zone = explanation.zone.as_ref();
        let answers = zone.is_some_and(|zone| zone.id == question.zone);
        let values = explanation.answer.iter().filter(|_| answers);
        TestAnswer {
            values: values.map(|record| record.value.clone()).collect(),
            code: if answers {
                explanation.rcode
            } else {
                "REFUSED"
            }
            .to_owned(),
            protocol: "UDP".to_owned(),
        }
    }
}

/// The Route 53 API of one site.
pub struct Service {
    pub(crate) config: ServiceConfig,
    /// Changes of one zone wait for each other here, rather than fail each other's proposals.
    locks: [Mutex<()>; LOCKS],
}

impl Service {
    /// The service with that configuration.
    pub fn new(config: ServiceConfig) -> Service {
        Service {
            config,
            locks: std::array::from_fn(|_| Mutex::new(())),
        }
    }

    /// Every operation of the service's model, and whether it is built.
    pub fn operations() -> impl Iterator<Item = (&'static str, bool)> {
        let rows = operation_table::OPERATIONS.iter();
        rows.map(|row| (row.operation.name, row.operation.handler.is_some()))
    }

    /// How each operation of the service's model is asked for: its name, its method, and its path
    /// as the model has it: `/2013-04-01/hostedzone/{Id}`.
    pub fn paths() -> impl Iterator<Item = (&'static str, &'static str, &'static str)> {
        let rows = operation_table::OPERATIONS.iter();
        rows.map(|row| (row.operation.name, row.method, row.uri))
    }

    /// Carries out the operation that a request asks for, if its caller may. Must be polled to its
    /// end: a change that was proposed may be made.
    pub async fn execute(
        &self,
        caller: &dyn Authorizer,
        parts: &Parts,
        body: &Bytes,
        request_id: &str,
    ) -> Response<Bytes> {
        match self.serve(caller, parts, body).await {
            Ok(reply) => {
                let status = StatusCode::from_u16(reply.status).unwrap_or(StatusCode::OK);
                rest::success(
                    request_id,
                    status,
                    reply.location.as_deref(),
                    reply.document,
                )
            }
            Err(error) => rest::failure(request_id, &error),
        }
    }

    async fn serve(
        &self,
        caller: &dyn Authorizer,
        parts: &Parts,
        body: &Bytes,
    ) -> Result<Reply, ServiceError> {
        if body.len() as u64 > ROUTE53.request_limit.0 {
            return Err(rest::request_too_large(&ROUTE53));
        }
        let malformed = || RoutingError::invalid("The query string is not readable.");
        let query = Query::of(parts).ok_or_else(malformed)?;
        let Some((row, labels)) = rest::route(operation_table::OPERATIONS, parts, &query) else {
            return Err(rest::unknown_operation(parts));
        };
        let name = row.operation.name;
        let Some(handler) = row.operation.handler else {
            return Err(rest::not_built(name));
        };
        let document = (row.method == "POST" && !body.is_empty())
            .then(|| xml::read(body, ROUTE53.document))
            .transpose()
            .map_err(RoutingError::from)?;
        if let Some(root) = &document
            && root.name.strip_suffix("Request") != Some(name)
        {
            let text = format!(
                "Invalid XML ; cvc-elt.1: Cannot find the declaration of element '{}'. \
                 '{name}Request' is expected.",
                root.name
            );
            return Err(RoutingError::Invalid(text).into());
        }
        let request = Request {
            labels,
            query,
            body: document,
        };
        let allowed = judge(self, caller, &row.operation.access, &request)?;
        let answer = handler(self, &request, &allowed).await;
        answer.map_err(|error| match error {
            RoutingError::Document(fault) => {
                RoutingError::Invalid(fault.text(request.body.as_ref())).into()
            }
            other => ServiceError::from(other),
        })
    }

    /// The configuration as this site knows it now.
    pub(crate) fn view(&self) -> Arc<dyn ConfigurationView> {
        self.config.configuration.view()
    }

    /// The wall clock, now.
    pub(crate) fn now(&self) -> Timestamp {
        self.config.environment.now().wall
    }

    /// Has the edits made that `attempt` asks for on a view; on a fresh one when others' changes
    /// came first. Returns what it said beside them. No edits: nothing is proposed.
    pub(crate) async fn change<T>(
        &self,
        subject: &str,
        attempt: impl FnMut(&dyn ConfigurationView) -> Result<Attempted<T>, RoutingError>,
    ) -> Result<T, RoutingError> {
        let _alone = self.lock(subject).await;
        let configuration = &*self.config.configuration;
        let (outcome, _) = types::propose(configuration, RoutingError::from, attempt).await?;
        Ok(outcome)
    }

    async fn lock(&self, subject: &str) -> MutexGuard<'_, ()> {
        let mut hasher = DefaultHasher::new();
        subject.hash(&mut hasher);
        let lock = usize::try_from(hasher.finish() % LOCKS as u64).unwrap_or(0);
        self.locks[lock].lock().await
    }
}
