//! The API of RDS, asked as clients ask it: a form by the query protocol, an answer in XML; and the
//! plans of what was asked, carried out by hand.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod access;
mod addresses;
mod anything;
mod automatic;
mod backups;
mod cluster_endpoints;
mod cluster_groups;
mod clusters;
mod copies;
mod dead_heads;
mod descriptions;
mod failover;
mod forced;
mod forwarding;
mod groups;
mod instances;
mod late;
mod moves;
mod multi_az;
mod readers;
mod refusals;
mod replicas;
mod snapshots;
mod source_clusters;
mod succession;
mod support;
mod troubles;
