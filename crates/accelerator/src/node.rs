//! What the API asks of the site it runs in: whether the edges serve a revision, how endpoints
//! are, and which addresses may be used for what. It finds none of it out itself.

use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;

use types::{AccountId, BalancerDirectory};

use crate::model::{AcceleratorId, EndpointGroupId, EndpointTarget, HealthState};

/// What the API asks of the edges and of the checkers. The site implements it.
pub trait NodeView: Send + Sync + 'static {
    /// Does every living edge serve that revision of the configuration, or a later one?
    fn in_sync(&self, revision: u64) -> bool;

    /// How an endpoint is, as this site has it.
    fn health(
        &self,
        accelerator: &AcceleratorId,
        group: &EndpointGroupId,
        target: &EndpointTarget,
    ) -> EndpointHealth;

    /// What this site knows of the load balancers of all Regions.
    fn balancers(&self) -> Arc<BalancerDirectory>;
}

/// How an endpoint is, and why.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct EndpointHealth {
    /// How it is.
    pub state: HealthState,
    /// Why, in words; none: there is nothing to say.
    pub reason: Option<String>,
}

/// Which addresses the operator allows as endpoints. It is asked when an endpoint is added; who
/// connects to it asks again.
#[derive(Clone)]
pub struct Targets {
    /// May this address be an endpoint?
    pub allows: Arc<dyn Fn(IpAddr) -> bool + Send + Sync>,
    /// The setting that says so, as the operator writes it.
    pub setting: String,
}

/// Why logs can't be delivered into a bucket.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum LogRefusal {
    /// There is no such bucket.
    NoBucket,
    /// Its policy doesn't let the delivery write there.
    Denied,
    /// Its Region can't be asked now.
    Unreachable,
}

/// What is said of a bucket, on its way.
pub type LogAnswer<'a> = Pin<Box<dyn Future<Output = Result<(), LogRefusal>> + Send + 'a>>;

/// What the API asks of buckets that logs are to be delivered into. The site implements it.
pub trait LogBuckets: Send + Sync + 'static {
    /// May logs of that account be delivered into the bucket, wherever it is, under keys that begin
    /// with `directory`?
    fn may_deliver<'a>(
        &'a self,
        account: AccountId,
        bucket: &'a str,
        directory: &'a str,
    ) -> LogAnswer<'a>;
}
