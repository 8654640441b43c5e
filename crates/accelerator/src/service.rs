//! The Global Accelerator API of one site: takes a request whose signature was verified, and
//! carries its operation out on the global configuration. It owns no socket, no clock and no
//! thread, and steers no flow.
//!
//! A change is optimistic: it reads a view, judges the request against it, and proposes edits
//! that hold only of what it read. If another change came first it reads again, a bounded number
//! of times. So every Region can take every request.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use async_lock::{Mutex, MutexGuard};
use aws::ServiceError;
use aws::access::Authorizer;
use aws::json::GLOBAL_ACCELERATOR;
use bytes::Bytes;
use types::{Configuration, ConfigurationEdit, ConfigurationView, Environment, Timestamp};

use crate::arn::AcceleratorArn;
use crate::catalogue;
use crate::error::AcceleratorError;
use crate::model::Accelerator;
use crate::node::{LogBuckets, NodeView, Targets};
use crate::pools::Pools;

/// Locks of changes; accelerators share them by hash.
const LOCKS: usize = 16;

/// What the service is told when it is made.
#[derive(Clone)]
pub struct ServiceConfig {
    /// The clocks and the randomness of the place it runs in.
    pub environment: Arc<dyn Environment>,
    /// The global configuration.
    pub configuration: Arc<dyn Configuration>,
    /// The site's view of the edges and of the checkers.
    pub nodes: Arc<dyn NodeView>,
    /// What static addresses are drawn from; or why this deployment has none, as whoever makes an
    /// accelerator is told.
    pub pools: Result<Pools, String>,
    /// Which addresses may be endpoints.
    pub targets: Targets,
    /// Which buckets take logs of flows.
    pub log_buckets: Arc<dyn LogBuckets>,
}

/// The Global Accelerator API of one site.
pub struct Service {
    pub(crate) config: ServiceConfig,
    /// Changes of one accelerator wait for each other here, rather than fail each other's
    /// proposals.
    locks: [Mutex<()>; LOCKS],
}

/// An accelerator as a change left it, the revision it has since, and what the change says.
pub(crate) struct Amended<T> {
    pub(crate) accelerator: Accelerator,
    pub(crate) revision: u64,
    pub(crate) outcome: T,
}

impl Service {
    /// The service with that configuration.
    pub fn new(config: ServiceConfig) -> Service {
        Service {
            config,
            locks: std::array::from_fn(|_| Mutex::new(())),
        }
    }

    /// Carries out an operation (`CreateAccelerator`) on a JSON body if the caller may, and
    /// returns the JSON response; of operations that answer nothing it is empty. Must be polled
    /// to its end: a change that was proposed may be made.
    ///
    /// # Errors
    ///
    /// The service's own, of which the first that applies: the body is larger than
    /// [`GLOBAL_ACCELERATOR`]'s limit, the operation is unknown or not built,
    /// the body isn't of its shape, the caller may not, or the request can't be carried out.
    pub async fn execute(
        &self,
        caller: &dyn Authorizer,
        operation: &str,
        body: &[u8],
    ) -> Result<Bytes, ServiceError> {
        if body.len() as u64 > GLOBAL_ACCELERATOR.request_limit.0 {
            return Err(aws::json::request_too_large(&GLOBAL_ACCELERATOR));
        }
        Ok(self.dispatch(caller, operation, body).await?)
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
    /// came first. Returns what it said beside them, and the revision that made them; no edits:
    /// nothing is proposed.
    pub(crate) async fn change<T>(
        &self,
        subject: &str,
        attempt: impl FnMut(
            &dyn ConfigurationView,
        ) -> Result<(Vec<ConfigurationEdit>, T), AcceleratorError>,
    ) -> Result<(T, Option<u64>), AcceleratorError> {
        let _alone = self.lock(subject).await;
        let configuration = &*self.config.configuration;
        types::propose(configuration, AcceleratorError::from, attempt).await
    }

    /// Changes an accelerator, or what is below it, as `amend` does to a copy. What it leaves as
    /// it was isn't written.
    ///
    /// # Errors
    ///
    /// `missing` if there is no such accelerator, and what `amend` says.
    pub(crate) async fn amend<T>(
        &self,
        arn: &AcceleratorArn,
        missing: AcceleratorError,
        mut amend: impl FnMut(&mut Accelerator) -> Result<T, AcceleratorError>,
    ) -> Result<Amended<T>, AcceleratorError> {
        let amend = |_: &dyn ConfigurationView, found: &mut Accelerator| amend(found);
        self.amend_within(arn, missing, amend).await
    }

    /// The same, where `amend` also looks at what else is configured. Static addresses that it
    /// gives the accelerator are taken, those that it takes from it are free again.
    pub(crate) async fn amend_within<T, F>(
        &self,
        arn: &AcceleratorArn,
        missing: AcceleratorError,
        mut amend: F,
    ) -> Result<Amended<T>, AcceleratorError>
    where
        F: FnMut(&dyn ConfigurationView, &mut Accelerator) -> Result<T, AcceleratorError>,
    {
        let attempt = |view: &dyn ConfigurationView| {
            let found = catalogue::find(view, arn)?;
            let (revision, before) = found.ok_or_else(|| missing.clone())?;
            let mut after = before.clone();
            let outcome = amend(view, &mut after)?;
            let mut edits = Vec::new();
            if after != before {
                after.modified = self.now();
                edits = catalogue::replace((revision, &before), &after);
            }
            Ok((edits, (after, revision, outcome)))
        };
        let change = self.change(&arn.accelerator.0, attempt).await?;
        let ((accelerator, read, outcome), made) = change;
        Ok(Amended {
            accelerator,
            revision: made.unwrap_or(read),
            outcome,
        })
    }

    async fn lock(&self, subject: &str) -> MutexGuard<'_, ()> {
        let mut hasher = DefaultHasher::new();
        subject.hash(&mut hasher);
        let lock = usize::try_from(hasher.finish() % LOCKS as u64).unwrap_or(0);
        self.locks[lock].lock().await
    }
}
