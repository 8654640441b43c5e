//! IAM and STS at one site: takes requests whose callers are known, and carries their operations
//! out on the global configuration. It owns no socket, no clock and no thread.
//!
//! A change is optimistic: it reads a view, judges the request against it, and proposes edits
//! that hold only of what it read. If another change came first it reads again, a bounded number
//! of times. So every Region can take every request.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use async_lock::{Mutex, MutexGuard};
use aws::ServiceError;
use types::{
    Configuration, ConfigurationEdit, ConfigurationError, ConfigurationView, Environment, Timestamp,
};
use zeroize::Zeroizing;

use crate::entries::EntryError;
use crate::{Identity, Sealer, sealer};

/// Locks of changes; subjects share them by hash.
const LOCKS: usize = 64;

/// Who uses the server certificate of that ARN, as far as this site knows: the ARN of one.
pub type CertificateUser = dyn Fn(&str) -> Option<String> + Send + Sync;

/// What the service is told when it is made.
#[derive(Clone)]
pub struct ServiceConfig {
    /// The clocks and the randomness of the place it runs in.
    pub environment: Arc<dyn Environment>,
    /// The global configuration.
    pub configuration: Arc<dyn Configuration>,
    /// Seals new secrets and sessions.
    pub sealer: Arc<Sealer>,
    /// The identity in effect at this site.
    pub identity: Arc<dyn Fn() -> Arc<Identity> + Send + Sync>,
    /// Finds who uses a server certificate.
    pub certificate_user: Arc<CertificateUser>,
}

/// IAM and STS of one site.
pub struct Service {
    pub(crate) config: ServiceConfig,
    /// Changes of one subject wait for each other here, rather than fail each other's proposals.
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

    /// The configuration as this site knows it now.
    pub(crate) fn view(&self) -> Arc<dyn ConfigurationView> {
        self.config.configuration.view()
    }

    /// The identity in effect at this site.
    pub(crate) fn identity(&self) -> Arc<Identity> {
        (self.config.identity)()
    }

    /// The wall clock, now.
    pub(crate) fn now(&self) -> Timestamp {
        self.config.environment.now().wall
    }

    /// Random bytes, fit for secrets.
    pub(crate) fn random<const N: usize>(&self) -> Zeroizing<[u8; N]> {
        sealer::random(&*self.config.environment)
    }

    /// Has the edits made that `attempt` asks for on a view; on a fresh one when others' changes
    /// came first. Returns what it said beside them. No edits: nothing is proposed. Changes of
    /// one `subject` (a user's or a role's key, say) wait for each other at this site.
    ///
    /// # Errors
    ///
    /// What `attempt` says, or IAM's words for a change that could not be made.
    pub(crate) async fn change<T, E: From<ServiceError>>(
        &self,
        subject: &str,
        attempt: impl FnMut(&dyn ConfigurationView) -> Result<(Vec<ConfigurationEdit>, T), E>,
    ) -> Result<T, E> {
        let _alone = self.lock(subject).await;
        let configuration = &*self.config.configuration;
        let refuse = |error| not_changed(error).into();
        let (outcome, _) = types::propose(configuration, refuse, attempt).await?;
        Ok(outcome)
    }

    async fn lock(&self, subject: &str) -> MutexGuard<'_, ()> {
        let mut hasher = DefaultHasher::new();
        subject.hash(&mut hasher);
        let lock = usize::try_from(hasher.finish() % LOCKS as u64).unwrap_or(0);
        self.locks[lock].lock().await
    }
}

/// The one table from a configuration that was not changed to IAM's errors (API reference,
/// "Common Errors" and the errors of its operations).
pub(crate) fn not_changed(error: ConfigurationError) -> ServiceError {
    let with_status = |status: u16, code: &'static str, text: &str| ServiceError {
        status,
        ..ServiceError::caller(code, text)
    };
    match error {
        ConfigurationError::Conflict => with_status(
            409,
            "ConcurrentModification",
            "The request was rejected because multiple requests to change this object were \
             submitted simultaneously. Wait a few minutes and submit your request again.",
        ),
        // SDKs repeat it by its code; the cause is for those who read it.
        ConfigurationError::NoMajority
        | ConfigurationError::TimedOut
        | ConfigurationError::Busy => {
            with_status(400, "Throttling", &format!("Rate exceeded: {error}"))
        }
        ConfigurationError::Full => with_status(
            409,
            "LimitExceeded",
            "Cannot exceed what this deployment's configuration may hold. Delete what isn't used \
             any more.",
        ),
        ConfigurationError::TooLarge => with_status(
            409,
            "LimitExceeded",
            "Cannot exceed the size of one change of this deployment's configuration.",
        ),
        ConfigurationError::Stopped => with_status(
            503,
            "ServiceUnavailable",
            "The request has failed due to a temporary failure of the server.",
        ),
    }
}

/// What is configured can't be read: nothing is done with it, and it says which it is.
impl From<EntryError> for ServiceError {
    fn from(error: EntryError) -> ServiceError {
        ServiceError::server("ServiceFailure", error.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_failure_of_the_configuration_has_a_code_that_clients_know() {
        let codes = [
            (ConfigurationError::Conflict, "ConcurrentModification", 409),
            (ConfigurationError::NoMajority, "Throttling", 400),
            (ConfigurationError::TimedOut, "Throttling", 400),
            (ConfigurationError::Busy, "Throttling", 400),
            (ConfigurationError::Full, "LimitExceeded", 409),
            (ConfigurationError::TooLarge, "LimitExceeded", 409),
            (ConfigurationError::Stopped, "ServiceUnavailable", 503),
        ];
        for (error, code, status) in codes {
            let answer = not_changed(error);
            assert_eq!((answer.code, answer.status), (code, status), "{error:?}");
        }
    }
}
