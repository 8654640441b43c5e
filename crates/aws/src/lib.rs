//! The AWS edge kit: the one Signature V4 verifier, the protocols, operation tables and errors.
//! Bytes in, bytes out: it opens no socket, reads no clock and knows no service.

mod error;
mod operation;

pub use error::ServiceError;
pub use operation::{Operation, find};
