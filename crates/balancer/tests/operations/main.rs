//! The API of Elastic Load Balancing v2, asked as clients ask it: a form by the query protocol, an
//! answer in XML.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod access;
mod anything;
mod attributes;
mod balancers;
mod groups;
mod history;
mod listeners;
mod refusals;
mod rules;
mod support;
mod tags;
