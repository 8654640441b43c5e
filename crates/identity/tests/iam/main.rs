//! IAM's operations from request to answer, over a configuration in memory.

#![allow(
    clippy::unwrap_used,
    reason = "a test that meets the unexpected shall panic; the helpers are tests too"
)]

#[allow(dead_code, reason = "its tests are being written")]
mod support;
mod table;
