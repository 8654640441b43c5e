//! IAM's operations from request to answer, over a configuration in memory.

#[allow(dead_code, reason = "its tests are being written")]
mod support;
mod table;
