//! The service's limits (Developer Guide, "Quotas for AWS Global Accelerator", and the API's
//! model). Each is a number with a name; what is refused beyond it is said where it is met.

/// Accelerators of an account.
pub(crate) const MAX_ACCELERATORS: usize = 20;

/// Listeners of an accelerator.
pub(crate) const MAX_LISTENERS: usize = 10;

/// Endpoint groups of an accelerator, of all its listeners together.
pub(crate) const MAX_GROUPS: usize = 42;

/// Endpoints of a group.
pub(crate) const MAX_ENDPOINTS: usize = 10;

/// Port ranges of a listener.
pub(crate) const MAX_PORT_RANGES: usize = 10;

/// Port overrides of a group.
pub(crate) const MAX_OVERRIDES: usize = 10;

/// Tags of a resource.
pub(crate) const MAX_TAGS: usize = 50;

/// Keys of one `UntagResource`.
pub(crate) const MAX_TAG_KEYS: usize = 200;

/// Characters of a tag's key.
pub(crate) const MAX_TAG_KEY: usize = 128;

/// Characters of a tag's value.
pub(crate) const MAX_TAG_VALUE: usize = 256;

/// Characters of an accelerator's name.
pub(crate) const MAX_NAME: usize = 64;

/// Characters of the model's `GenericString` and of an idempotency token.
pub(crate) const MAX_STRING: usize = 255;

/// Characters of the ARN in operations on tags.
pub(crate) const MAX_RESOURCE_ARN: usize = 1011;

/// What a page holds at most.
pub(crate) const MAX_RESULTS: i64 = 100;
/// What a page holds if nothing is said.
pub(crate) const DEFAULT_RESULTS: i64 = 10;

/// An endpoint's weight, at most.
pub(crate) const MAX_WEIGHT: i64 = 255;
/// An endpoint's weight if nothing is said.
pub(crate) const DEFAULT_WEIGHT: u8 = 128;

/// Seconds between two checks, if nothing is said; the other that may be said is 10.
pub(crate) const DEFAULT_INTERVAL: u8 = 30;
/// The shorter of the two intervals.
pub(crate) const FAST_INTERVAL: u8 = 10;

/// How many checks in a row change a state, at most.
pub(crate) const MAX_THRESHOLD: i64 = 10;
/// How many checks in a row change a state, if nothing is said.
pub(crate) const DEFAULT_THRESHOLD: u8 = 3;
