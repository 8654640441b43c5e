//! What one checker thinks of one endpoint, and why.

use types::Timestamp;

/// What a probe found, as `GetHealthCheckStatus` shows it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Observation {
    /// The service's words, `Success: HTTP Status Code 200, OK`; at most
    /// [`limits::MAX_STATUS`](crate::limits::MAX_STATUS) bytes, printable.
    pub status: String,
    /// When the probe ended, by the checker's wall clock.
    pub checked: Timestamp,
}

/// One checker's verdict on one endpoint.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Verdict {
    /// What was probed: [`fingerprint`](crate::fingerprint). A verdict on the endpoint that a
    /// check had before it was changed says nothing about the one it has now.
    pub fingerprint: u64,
    /// Healthy or not, as the last so many probes in a row have found as the check's threshold
    /// asks for; `None` before, and when so many in a row could not be made.
    pub healthy: Option<bool>,
    /// Since when, by the checker's wall clock.
    pub since: Timestamp,
    /// What the last probe found.
    pub last: Option<Observation>,
    /// What the last failed probe found.
    pub failure: Option<Observation>,
}
