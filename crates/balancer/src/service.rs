//! The API of Elastic Load Balancing v2 of one Region: takes a request whose signature was
//! verified, asks whether its caller may, and carries its operation out on the Region's own
//! configuration. It owns no socket, no clock and no thread, and moves no traffic.
//!
//! A change is optimistic: it reads a view, judges the request against it, and proposes edits that
//! hold only of what it read. Every change writes one key beside its own
//! ([`crate::keys::CHANGES`]), so no two are made that each were judged without the other; in one
//! process they wait for each other instead.

use std::sync::Arc;

use async_lock::Mutex;
use aws::ServiceError;
use aws::access::Authorizer;
use aws::query::{self, ELASTIC_LOAD_BALANCING, Form, Reply};
use bytes::Bytes;
use http::Response;
use http::request::Parts;
use types::{Configuration, ConfigurationEdit, ConfigurationView, Environment, Region, Timestamp};

use crate::arn::{LoadBalancerArn, TargetGroupArn};
use crate::catalogue;
use crate::error::{BalancerError, Refusal};
use crate::model::{LoadBalancer, TargetGroup};
use crate::node::{NodeView, Surroundings};
use crate::operation_table::OPERATIONS;
use crate::pools::NodePools;
use crate::request::BalancerRequest;

/// What the service is told when it is made.
#[derive(Clone)]
pub struct ServiceConfig {
    /// The clocks and the randomness of the place it runs in.
    pub environment: Arc<dyn Environment>,
    /// The Region's own configuration.
    pub configuration: Arc<dyn Configuration>,
    /// The Region.
    pub region: Region,
    /// The Region's nodes and their checks of targets.
    pub nodes: Arc<dyn NodeView>,
    /// What else is in the Region.
    pub surroundings: Arc<dyn Surroundings>,
    /// What nodes' addresses are drawn from; or why this deployment has none, as whoever makes a
    /// load balancer is told.
    pub pools: Result<NodePools, String>,
}

/// The API of one Region.
pub struct Service {
    pub(crate) config: ServiceConfig,
    changes: Mutex<()>,
}

/// A row as a change left it, and what the change says.
pub(crate) struct Amended<R, T> {
    pub(crate) row: R,
    pub(crate) outcome: T,
}

/// What a change asks for on a view: edits, and what it says beside them.
pub(crate) type Attempt<T> = Result<(Vec<ConfigurationEdit>, T), BalancerError>;

impl Service {
    /// The service with that configuration.
    pub fn new(config: ServiceConfig) -> Service {
        Service {
            config,
            changes: Mutex::new(()),
        }
    }

    /// Every operation of the service's model, and whether it is built.
    pub fn operations() -> impl Iterator<Item = (&'static str, bool)> {
        let rows = OPERATIONS.iter();
        rows.map(|row| (row.name, row.handler.is_some()))
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
            Ok(reply) => reply.finish(request_id),
            Err(error) => query::failure(request_id, &error),
        }
    }

    async fn serve(
        &self,
        caller: &dyn Authorizer,
        parts: &Parts,
        body: &Bytes,
    ) -> Result<Reply, ServiceError> {
        let form = Form::of(&ELASTIC_LOAD_BALANCING, parts, body)?;
        let name = form.action()?;
        let row = aws::find(OPERATIONS, name);
        let row = row.filter(|_| form.version() == Some(ELASTIC_LOAD_BALANCING.version));
        let row = row.ok_or_else(|| query::unknown_operation(&form))?;
        let handler = row.handler.ok_or_else(|| aws::rest::not_built(row.name))?;
        let request = BalancerRequest::new(row, &form, caller, self.config.region);
        request.authorize(&*self.view())?;
        Ok(handler(self, &request).await?)
    }

    /// The configuration as of now.
    pub(crate) fn view(&self) -> Arc<dyn ConfigurationView> {
        self.config.configuration.view()
    }

    /// The wall clock, now.
    pub(crate) fn now(&self) -> Timestamp {
        self.config.environment.now().wall
    }

    /// The clocks and the randomness.
    pub(crate) fn environment(&self) -> &dyn Environment {
        &*self.config.environment
    }

    /// Has the edits made that `attempt` asks for on a view; on a fresh one when others' changes
    /// came first. Returns what it said beside them, and the revision that made them; no edits:
    /// nothing is proposed.
    pub(crate) async fn change<T>(
        &self,
        mut attempt: impl FnMut(&dyn ConfigurationView) -> Attempt<T>,
    ) -> Result<(T, Option<u64>), BalancerError> {
        let _alone = self.changes.lock().await;
        let counted = |view: &dyn ConfigurationView| {
            let (mut edits, outcome) = attempt(view)?;
            if !edits.is_empty() {
                edits.push(catalogue::count_change(view));
            }
            Ok((edits, outcome))
        };
        let configuration = &*self.config.configuration;
        types::propose(configuration, BalancerError::from, counted).await
    }

    /// Changes a load balancer, or what is below it, as `amend` does to a copy. What it leaves as
    /// it was isn't written.
    ///
    /// # Errors
    ///
    /// There is none of that name, and what `amend` says.
    pub(crate) async fn amend_balancer<T, F>(
        &self,
        arn: &LoadBalancerArn,
        missing: impl Fn() -> BalancerError,
        mut amend: F,
    ) -> Result<Amended<LoadBalancer, T>, BalancerError>
    where
        F: FnMut(&dyn ConfigurationView, &mut LoadBalancer) -> Result<T, BalancerError>,
    {
        let attempt = |view: &dyn ConfigurationView| {
            let before = catalogue::balancer(view, arn)?.ok_or_else(&missing)?;
            let mut after = before.1.clone();
            let outcome = amend(view, &mut after)?;
            let edits = match after == before.1 {
                true => Vec::new(),
                false => catalogue::replace_balancer(&before, &after),
            };
            let row = after;
            Ok((edits, Amended { row, outcome }))
        };
        Ok(self.change(attempt).await?.0)
    }

    /// Changes a target group, or its targets, as `amend` does to a copy. What it leaves as it was
    /// isn't written.
    ///
    /// # Errors
    ///
    /// There is none of that name, and what `amend` says.
    pub(crate) async fn amend_group<T, F>(
        &self,
        arn: &TargetGroupArn,
        mut amend: F,
    ) -> Result<Amended<TargetGroup, T>, BalancerError>
    where
        F: FnMut(&dyn ConfigurationView, &mut TargetGroup) -> Result<T, BalancerError>,
    {
        let attempt = |view: &dyn ConfigurationView| {
            let before = catalogue::group(view, arn)?.ok_or_else(|| no_group(arn))?;
            let mut after = before.1.clone();
            let outcome = amend(view, &mut after)?;
            let edits = match after == before.1 {
                true => Vec::new(),
                false => vec![catalogue::replace_group(before.0, &after)],
            };
            let row = after;
            Ok((edits, Amended { row, outcome }))
        };
        Ok(self.change(attempt).await?.0)
    }
}

/// What is said if there is no such load balancer.
pub(crate) fn no_balancer(arn: &LoadBalancerArn) -> BalancerError {
    let text = format!("Load balancers '[{arn}]' not found");
    BalancerError::refused(Refusal::LoadBalancerNotFound, text)
}

/// What is said if there is no such target group.
pub(crate) fn no_group(arn: &TargetGroupArn) -> BalancerError {
    let text = format!("Target groups '{arn}' not found");
    BalancerError::refused(Refusal::TargetGroupNotFound, text)
}

/// What is said if there is no such listener.
pub(crate) fn no_listener() -> BalancerError {
    BalancerError::refused(Refusal::ListenerNotFound, "One or more listeners not found")
}

/// What is said if there is no such rule.
pub(crate) fn no_rule() -> BalancerError {
    BalancerError::refused(Refusal::RuleNotFound, "One or more rules not found")
}
