//! Requests as HTTP has them, to S3 over objects in memory: what is answered, in status, headers
//! and documents, and what is left of it. Signatures, sockets and other Regions aren't here.

#![allow(
    clippy::unwrap_used,
    reason = "a test that meets the unexpected shall panic; the helpers are tests too"
)]

mod access;
mod buckets;
mod faults;
mod fuzz;
mod judge;
mod keys;
mod listing;
mod posts;
mod races;
mod sharing;
mod support;
mod uploads;
mod versions;
mod whole;
