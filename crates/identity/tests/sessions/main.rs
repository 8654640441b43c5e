//! Callers end to end: keys, sessions and what they may, over a configuration in memory, with
//! requests that are signed and verified.

#![allow(
    clippy::unwrap_used,
    reason = "a helper's panic is the failure of the test that calls it"
)]

mod assuming;
mod callers;
mod explaining;
mod fuzz;
mod judging;
mod principals;
mod services;
mod support;
mod tokens;
