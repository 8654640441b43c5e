//! What can go wrong in an operation, and the one table from that to the service's errors.

use aws::ServiceError;
use aws::access::Denied;
use serde_json::{Map, Value};
use store::{CommitError, ReadError};

use crate::{
    ExpressionError, Item, KeyConditionError, LegacyError, SubstitutionError, UpdateError,
    ValueError,
};

/// Why an operation failed.
#[derive(Clone, PartialEq, Debug, thiserror::Error)]
pub enum TablesError {
    /// The request breaks a rule of the API; the text is the service's.
    #[error("{0}")]
    Validation(String),
    /// The body isn't JSON, or not of the operation's shape.
    #[error("{0}")]
    Serialization(String),
    /// The caller may not.
    #[error("{0}")]
    Denied(Denied),
    /// A data operation names no table that is in service.
    #[error("Requested resource not found")]
    NoSuchResource,
    /// A control operation names no table.
    #[error("Requested resource not found: Table: {0} not found")]
    NoSuchTable(String),
    /// An operation names a resource that doesn't exist, in other words than the two above.
    #[error("{0}")]
    NotFound(String),
    /// A backup operation names no table.
    #[error("Table not found: {0}")]
    TableNotFound(String),
    /// A table has no resource policy, or none of the revision that is expected.
    #[error("Resource-based policy not found for the provided ResourceArn: {0}")]
    NoPolicy(String),
    /// The table is there already, or busy; the text is the service's.
    #[error("{0}")]
    InUse(String),
    /// The condition didn't hold. The item it was judged against, if the caller asked for it.
    #[error("The conditional request failed")]
    ConditionFailed(Option<Box<Item>>),
    /// `ThrottlingException`; the text is the service's.
    #[error("{0}")]
    Throttled(String),
    /// `LimitExceededException`; the text is the service's.
    #[error("{0}")]
    LimitExceeded(String),
    /// Global tables of the dead version 2017.11.29 never exist.
    #[error("{0}")]
    NoSuchGlobalTable(String),
    /// The operation is in the service's model and not built.
    #[error("{0} is not built yet in Causeway")]
    NotBuilt(&'static str),
    /// The operation is not in the service's model.
    #[error("The operation {0} is not one of DynamoDB's")]
    UnknownOperation(String),
    /// Storage failed to read.
    #[error("{0}")]
    Read(#[from] ReadError),
    /// Storage failed to write.
    #[error("{0}")]
    Commit(#[from] CommitError),
}

impl TablesError {
    /// A `ValidationException` whose text says which parameter values were invalid.
    pub fn invalid(detail: impl std::fmt::Display) -> TablesError {
        TablesError::Validation(format!(
            "One or more parameter values were invalid: {detail}"
        ))
    }

    /// A `PolicyNotFoundException` with that detail, or of that ARN.
    pub(crate) fn no_policy(detail: &str) -> TablesError {
        TablesError::NoPolicy(detail.to_owned())
    }

    /// A `ValidationException` with that text.
    pub fn validation(message: impl Into<String>) -> TablesError {
        TablesError::Validation(message.into())
    }
}

/// What breaks a rule of values or expressions has the service's text already.
macro_rules! validation {
    ($($error:ty),*) => {
        $(
            impl From<$error> for TablesError {
                fn from(error: $error) -> TablesError {
                    TablesError::Validation(error.to_string())
                }
            }
        )*
    };
}

validation!(
    ValueError,
    ExpressionError,
    KeyConditionError,
    LegacyError,
    SubstitutionError,
    UpdateError
);

impl From<TablesError> for ServiceError {
    fn from(error: TablesError) -> ServiceError {
        let message = error.to_string();
        match error {
            TablesError::Validation(_) => ServiceError::caller("ValidationException", message),
            TablesError::Serialization(_) => {
                ServiceError::caller("SerializationException", message)
            }
            TablesError::Denied(denied) => denied.in_json(),
            TablesError::NoSuchResource
            | TablesError::NoSuchTable(_)
            | TablesError::NotFound(_) => {
                ServiceError::caller("ResourceNotFoundException", message)
            }
            TablesError::TableNotFound(_) => {
                ServiceError::caller("TableNotFoundException", message)
            }
            TablesError::NoPolicy(_) => ServiceError::caller("PolicyNotFoundException", message),
            TablesError::InUse(_) => ServiceError::caller("ResourceInUseException", message),
            TablesError::ConditionFailed(item) => ServiceError {
                members: item_member(item.as_deref()),
                ..ServiceError::caller("ConditionalCheckFailedException", message)
            },
            TablesError::Throttled(_) => ServiceError::caller("ThrottlingException", message),
            TablesError::LimitExceeded(_) => {
                ServiceError::caller("LimitExceededException", message)
            }
            TablesError::NoSuchGlobalTable(_) => {
                ServiceError::caller("GlobalTableNotFoundException", message)
            }
            TablesError::NotBuilt(name) => aws::json::not_built(name),
            TablesError::UnknownOperation(_) => {
                ServiceError::caller("UnknownOperationException", message)
            }
            TablesError::Read(_) | TablesError::Commit(_) => {
                ServiceError::server("InternalServerError", message)
            }
        }
    }
}

fn item_member(item: Option<&Item>) -> Map<String, Value> {
    let mut members = Map::new();
    if let Some(item) = item {
        let item = serde_json::to_value(item).expect("an item has string keys only");
        members.insert("Item".to_owned(), item);
    }
    members
}
