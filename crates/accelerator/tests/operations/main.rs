//! The API, driven through its one door on a configuration in memory.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod accelerators;
mod access;
mod dual_stack;
mod endpoints;
mod groups;
mod listeners;
mod model;
mod refusals;
mod support;
mod tags;
