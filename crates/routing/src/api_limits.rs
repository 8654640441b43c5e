//! Every bound of the API in one place. From Route 53's quotas and API reference unless a line
//! says that it is ours.

/// Hosted zones of an account.
pub const MAX_ZONES: usize = 500;

/// Record sets of a zone.
pub const MAX_RECORD_SETS: usize = 10_000;

/// Values of a record set.
pub const MAX_VALUES: usize = 400;

/// Characters of one value (`RData`).
pub const MAX_VALUE: usize = 4_000;

/// Record sets of one name and type.
pub const MAX_GROUP: usize = 100;

/// `ResourceRecord` elements of one batch. An UPSERT counts twice; an alias, which has none,
/// counts as one (ours), so that a batch fits one change of the configuration.
pub const MAX_BATCH_RECORDS: usize = 1_000;

/// Characters of all values of one batch. An UPSERT's count twice.
pub const MAX_BATCH_CHARACTERS: usize = 32_000;

/// Aliases one behind the other. Ours: the service names no limit.
pub const MAX_ALIAS_DEPTH: usize = 32;

/// Record sets in one page of a list.
pub const MAX_RECORD_PAGE: usize = 300;

/// Zones, health checks or places in one page of a list.
pub const MAX_PAGE: usize = 100;

/// Health checks of an account.
pub const MAX_HEALTH_CHECKS: usize = 200;

/// Tags of a zone or a health check.
pub const MAX_TAGS: usize = 10;

/// Resources in one `ListTagsForResources`.
pub const MAX_TAGGED: usize = 10;

/// Characters of a comment (`ResourceDescription`).
pub const MAX_COMMENT: usize = 256;

/// Characters of a caller reference of a zone (`Nonce`); that of a health check is shorter.
pub const MAX_REFERENCE: usize = 128;

/// Characters of a health check's caller reference (`HealthCheckNonce`).
pub const MAX_CHECK_REFERENCE: usize = 64;

/// Changes whose state `GetChange` knows: the newest. Ours.
pub const MAX_CHANGES: usize = 1_000;

/// Old changes forgotten by one new one, at most. Ours: a change's keys are bounded.
pub const MAX_FORGOTTEN: usize = 64;

/// Caller references of deleted health checks that are remembered: the newest. Ours; the service
/// forgets them after "a number of days".
pub const MAX_DELETED_REFERENCES: usize = 1_000;

// A batch of distinct names, the zone, the change and what is forgotten are one change of the
// configuration, which takes 1,100 keys.
const _: () = assert!(MAX_BATCH_RECORDS + MAX_FORGOTTEN + 2 <= 1_100);
