//! The operations of DynamoDB, JSON in and JSON out, over the memory engine.

#![allow(
    clippy::unwrap_used,
    reason = "a test that meets the unexpected shall panic; the helpers are tests too"
)]

mod access;
mod batches;
mod control;
mod indexes;
mod items;
mod limits;
mod pages;
mod support;
