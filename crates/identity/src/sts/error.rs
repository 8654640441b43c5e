//! What can go wrong in an operation of STS, and the one table from that to its errors.

use aws::ServiceError;
use aws::access::Denied;
use aws::query::QueryFault;

/// Why an operation failed. It prints as the service's text.
#[derive(Clone, PartialEq, Debug, thiserror::Error)]
pub(super) enum StsError {
    /// A parameter is against the rules.
    #[error("1 validation error detected: {0}")]
    Invalid(String),
    /// The form isn't readable.
    #[error("{0}")]
    Form(QueryFault),
    /// The caller may not.
    #[error("{0}")]
    Denied(Denied),
    /// The access key is of no account here.
    #[error("The access key ID provided does not exist in our records.")]
    NoSuchKey,
}

impl StsError {
    /// Of a parameter: which rule it breaks. Its value is not repeated.
    pub(super) fn invalid(member: &str, rule: &str) -> StsError {
        StsError::Invalid(format!(
            "Value at '{member}' failed to satisfy constraint: {rule}"
        ))
    }
}

impl From<Denied> for StsError {
    fn from(denied: Denied) -> StsError {
        StsError::Denied(denied)
    }
}

impl From<QueryFault> for StsError {
    fn from(fault: QueryFault) -> StsError {
        StsError::Form(fault)
    }
}

/// Codes and statuses as the API's model has them.
impl From<StsError> for ServiceError {
    fn from(error: StsError) -> ServiceError {
        let message = error.to_string();
        let with_status = |status: u16, code: &'static str| ServiceError {
            status,
            ..ServiceError::caller(code, message.clone())
        };
        match error {
            StsError::Invalid(_) => with_status(400, "ValidationError"),
            StsError::Form(fault) => fault.into(),
            StsError::Denied(denied) => denied.in_xml(),
            StsError::NoSuchKey => with_status(404, "NoSuchEntity"),
        }
    }
}
