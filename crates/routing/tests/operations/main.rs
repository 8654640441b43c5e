//! The operations of Route 53, XML in and XML out, over a configuration in memory.

#![allow(
    clippy::unwrap_used,
    reason = "a test that meets the unexpected shall panic; the helpers are tests too"
)]

mod model;
#[allow(
    dead_code,
    reason = "the tests of records, tags and health checks use the rest"
)]
mod support;
mod zones;
