//! The AWS edge kit: the one Signature V4 verifier, the protocols, operation tables and errors.
//! Bytes in, bytes out: it opens no socket, reads no clock and carries out no service; what
//! differs between services is given to it as rows of a table.

pub mod access;
mod date;
mod error;
pub mod json;
mod operation;
pub mod pattern;
pub mod query;
pub mod rest;
pub mod signature;
pub mod xml;

pub use date::http_date;
pub use error::ServiceError;
pub use operation::{Count, Operation, count, find};
