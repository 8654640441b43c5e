//! The API of RDS, asked as clients ask it: a form by the query protocol, an answer in XML; and the
//! plans of what was asked, carried out by hand.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod access;
mod anything;
mod clusters;
mod descriptions;
mod groups;
mod instances;
mod moves;
mod refusals;
mod replicas;
mod snapshots;
mod support;
