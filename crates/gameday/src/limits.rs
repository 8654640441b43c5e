//! How large a game day may be. Everything a scenario can ask for is bounded here, so that `check`
//! refuses what would not fit instead of a run that swells.

use types::Span;

/// The longest scenario file, in bytes.
pub const FILE_BYTES: usize = 256 * 1024;

/// Regions of a lab.
pub const REGIONS: usize = 8;

/// Edges of a lab, as `causeway up` allows.
pub const EDGES: u16 = 16;

/// Tables, zones, health checks, records (those of steps included), loads, steps, expectations
/// and variables of a scenario.
pub const TABLES: usize = 16;
/// Global clusters: each is a PostgreSQL server a Region.
pub const GLOBAL_CLUSTERS: usize = 4;
/// Zones.
pub const ZONES: usize = 16;
/// Accelerators, as the service's quota has it.
pub const ACCELERATORS: usize = 20;
/// Variables of the application's environment.
pub const ENVIRONMENT: usize = 32;
/// Health checks.
pub const HEALTH_CHECKS: usize = 64;
/// Records, and changes of records in one step.
pub const RECORDS: usize = 256;
/// Values of one record.
pub const VALUES: usize = 100;
/// Loads.
pub const LOADS: usize = 32;
/// Steps.
pub const STEPS: usize = 100;
/// Expectations.
pub const EXPECTATIONS: usize = 100;
/// Variables.
pub const VARIABLES: usize = 100;

/// Requests a second of one load, at least and at most.
pub const RATE: (f64, f64) = (0.1, 2_000.0);

/// Requests of all loads together: each is remembered until the report is written, in less than
/// 64 bytes.
pub const REQUESTS: u64 = 1_000_000;

/// How long a load runs, at least and at most.
pub const LENGTH: (Span, Span) = (Span::seconds(1), Span::seconds(6 * 3600));

/// How long a request may take before it counts as failed.
pub const TIMEOUT: (Span, Span) = (Span::milliseconds(10), Span::seconds(60));

/// How long a client may hold an answer.
pub const HOLD: (Span, Span) = (Span::milliseconds(100), Span::seconds(24 * 3600));

/// How long to wait for the lab to be ready, and for replicas to agree after the load.
pub const WAIT: (Span, Span) = (Span::seconds(1), Span::seconds(3600));

/// For how long a client must succeed before it has recovered.
pub const SUSTAINED: (Span, Span) = (Span::milliseconds(100), Span::seconds(600));

/// How often the DNS answers are looked at.
pub const LOOK: (Span, Span) = (Span::milliseconds(20), Span::seconds(10));

/// The interval of health checks in a lab: 200 ms is the least that probes are built for.
pub const HEALTH_INTERVAL: (Span, Span) = (Span::milliseconds(200), Span::seconds(30));

/// What a link's delay may be raised by.
pub const DELAY: (Span, Span) = (Span::milliseconds(1), Span::seconds(600));

/// How far a clock may be set off, either way.
pub const CLOCK: Span = Span::seconds(24 * 3600);

/// The lease of a fault.
pub const LEASE: (Span, Span) = (Span::milliseconds(20), Span::seconds(24 * 3600));

/// From one beginning of a fault that comes again to the next.
pub const EVERY: (Span, Span) = (Span::milliseconds(50), Span::seconds(3600));

/// How often a fault comes again.
pub const TIMES: (i64, i64) = (2, 10_000);

/// The time to live of a record, in seconds: RFC 2181, section 8.
pub const TTL: (Span, Span) = (Span::ZERO, Span::seconds(2_147_483_647));

/// Bytes a second that a link may be limited to.
pub const LINK_RATE: (i64, i64) = (1, 1_000_000_000_000);

/// Orders that a load updates in turn.
pub const SHARED_ORDERS: (i64, i64) = (1, 10_000);

/// Problems of a scenario that are told at once; the rest is counted.
pub const PROBLEMS: usize = 20;

/// Problems that are looked into; beyond them they are only counted.
pub const NOTED_PROBLEMS: usize = 200;

/// Lost orders that a report lists by id; the rest is counted.
pub const LISTED_ORDERS: usize = 1_000;
