//! A service's error as a client sees it.

use serde_json::{Map, Value};

/// An error in the service's own words: its code, HTTP status, message, and the further members
/// that its shape has (`Item` of a failed condition, say). One table per service makes these
/// from the small enums inside.
#[derive(Clone, PartialEq, Debug, thiserror::Error)]
#[error("{code}: {message}")]
pub struct ServiceError {
    /// The shape's name without namespace: `ValidationException`.
    pub code: &'static str,
    /// 400 where the caller is at fault, 500 where we are.
    pub status: u16,
    /// The text, as the service words it.
    pub message: String,
    /// Further members of the error's shape.
    pub members: Map<String, Value>,
}

impl ServiceError {
    /// An error that is the caller's: status 400.
    pub fn caller(code: &'static str, message: impl Into<String>) -> ServiceError {
        ServiceError {
            code,
            status: 400,
            message: message.into(),
            members: Map::new(),
        }
    }

    /// An error that is ours: status 500.
    pub fn server(code: &'static str, message: impl Into<String>) -> ServiceError {
        ServiceError {
            code,
            status: 500,
            message: message.into(),
            members: Map::new(),
        }
    }
}
