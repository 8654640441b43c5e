//! The policy engine held against tables of cases that are written from IAM's documentation,
//! against documents mutated at random, and against an evaluator that is written separately and
//! slowly.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod equivalence;
mod fuzz;
mod keys;
mod oracle;
mod random;
mod table;
