//! The operations of Route 53, XML in and XML out, over a configuration in memory.

#![allow(
    clippy::unwrap_used,
    reason = "a test that meets the unexpected shall panic; the helpers are tests too"
)]

mod access;
mod atomicity;
mod batches;
mod checks;
mod fuzz;
mod model;
mod places;
mod records;
mod rules;
mod served;
mod support;
mod tags;
mod zones;
