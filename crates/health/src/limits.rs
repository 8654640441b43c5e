//! Every number of health checking, in one place, and what must hold between them. The service's
//! own are from AWS, "Amazon Route 53 Developer Guide", 2026; the others are ours and say why.

use types::Span;

/// The shortest interval that a deployment may set.
pub const MINIMUM_INTERVAL: Span = Span::milliseconds(200);
/// The longest: the service's own default.
pub const MAXIMUM_INTERVAL: Span = Span::seconds(30);

/// Service: a TCP check's connection is made within 10 s.
pub const TCP_CONNECT_TIMEOUT: Span = Span::seconds(10);
/// Service: an HTTP check's connection is made within 4 s.
pub const HTTP_CONNECT_TIMEOUT: Span = Span::seconds(4);
/// Service: the status comes within 2 s of the connection.
pub const RESPONSE_TIMEOUT: Span = Span::seconds(2);
/// Service: the body, as far as it is searched, comes within a further 2 s.
pub const BODY_TIMEOUT: Span = Span::seconds(2);

/// With an interval set by the deployment, a step of a probe takes at most this fraction of it,
/// 3/2, and at least [`TIMEOUT_FLOOR`]: what is probed every 200 ms must be known to hang soon.
pub const TIMEOUT_PER_INTERVAL: (u64, u64) = (3, 2);
/// Below this a healthy endpoint on another continent would be taken for one that hangs.
pub const TIMEOUT_FLOOR: Span = Span::milliseconds(350);

/// First probes are spread over the interval, and over no more than this.
pub const FIRST_PROBE_SPREAD: Span = Span::seconds(2);
/// Probes under way at once at one site; more wait for their turn.
pub const MAX_CONCURRENT_PROBES: usize = 256;
/// A probe of which nothing is heard so long after its time-outs is given up.
pub const LOST_AFTER: Span = Span::seconds(5);

/// Each checker tells every site it is connected to that it lives, so often.
pub const ALIVE_EVERY: Span = Span::milliseconds(250);
/// A checker's verdicts count for so long after it was last heard.
pub const FRESHNESS: Span = Span::seconds(1);
/// Each checker repeats everything, so often: for what was observed since, and to mend whatever
/// a full queue has swallowed.
pub const REFRESH_EVERY: Span = Span::seconds(5);

/// Service: a check is healthy if more than this share of its checkers say so, in percent.
pub const HEALTHY_ABOVE_PERCENT: usize = 18;
/// Service: how many probes in a row change a verdict, at most.
pub const MAX_THRESHOLD: u8 = 10;

/// Health checks that are probed; the service's quota is 200 for an account.
pub const MAX_CHECKS: usize = 2_000;
/// Sites whose reports are held.
pub const MAX_SITES: usize = 256;
/// Bytes of a health check's id. Service: 64 characters.
pub const MAX_ID: usize = 64;
/// Bytes of a status text.
pub const MAX_STATUS: usize = types::ProbeOutcome::STATUS;
/// Verdicts of one message.
pub const MAX_VERDICTS: usize = 128;
/// Bytes of one message: 128 verdicts with two texts each fit.
pub const MAX_MESSAGE: usize = 96 * 1024;
/// Bytes of the kept statuses: each check's id and status.
pub const MAX_SNAPSHOT: usize = 16 + MAX_CHECKS * (2 + MAX_ID);
/// Networks that a deployment may allow.
pub const MAX_TARGETS: usize = 256;

/// A failed endpoint is unhealthy everywhere within this of the first failed probe, with probes
/// every 200 ms, a threshold of 3, and [`LINK_DELAY`].
pub const DETECTION_BUDGET: Span = Span::milliseconds(1_500);
/// The one-way delay between sites for which the budget is kept.
pub const LINK_DELAY: Span = Span::milliseconds(120);
/// The threshold for which the budget is kept: the service's default.
const THRESHOLD: u64 = 3;

/// An endpoint hangs. The last checker begins its first failing probe one interval after the
/// first one; each of its probes begins when the one before has timed out.
const _: () = assert!(
    MINIMUM_INTERVAL.0 + THRESHOLD * TIMEOUT_FLOOR.0 + LINK_DELAY.0 < DETECTION_BUDGET.0
        && TIMEOUT_FLOOR.0 >= MINIMUM_INTERVAL.0 * TIMEOUT_PER_INTERVAL.0 / TIMEOUT_PER_INTERVAL.1
);
/// A Region dies silently with its checker, whose last word may be on its way for a link's delay.
const _: () = assert!(LINK_DELAY.0 + FRESHNESS.0 < DETECTION_BUDGET.0);
/// Two signs of life may be late before a living checker is doubted.
const _: () = assert!(3 * ALIVE_EVERY.0 < FRESHNESS.0);
const _: () = assert!(FRESHNESS.0 < REFRESH_EVERY.0);
const _: () = assert!(MAX_VERDICTS * (32 + MAX_ID + 2 * (16 + MAX_STATUS)) < MAX_MESSAGE);
const _: () = assert!(MAX_ID < MAX_STATUS && MAX_STATUS <= u8::MAX as usize);
