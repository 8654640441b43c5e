//! IAM's operations from request to answer, over a configuration in memory.

#![allow(
    clippy::unwrap_used,
    reason = "a test that meets the unexpected shall panic; the helpers are tests too"
)]

mod access_keys;
mod account;
mod authorization_details;
mod callers;
mod conflicts;
mod fixtures;
mod fuzz;
mod groups;
mod instance_profiles;
mod integrity;
mod managed_policies;
mod questions;
mod roles;
mod server_certificates;
mod simulations;
mod support;
mod table;
mod users;
