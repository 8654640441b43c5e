//! What can go wrong in an operation of STS, and the one table from that to its errors.

use aws::access::Denied;
use aws::query::QueryFault;
use aws::{ServiceError, rest};

use crate::iam::IamError;

/// Why an operation failed. It prints as the service's text.
#[derive(Clone, PartialEq, Debug, thiserror::Error)]
pub(super) enum StsError {
    /// A parameter is against the model's rules.
    #[error("{0}")]
    Parameter(IamError),
    /// A parameter is against the rules that its model doesn't tell.
    #[error("{0}")]
    InvalidParameter(&'static str),
    /// The form isn't readable.
    #[error("{0}")]
    Form(QueryFault),
    /// The caller may not.
    #[error("{0}")]
    Denied(Denied),
    /// The root may not.
    #[error("Roles may not be assumed by root accounts.")]
    Root,
    /// The session would be longer than the role's may be.
    #[error("The requested DurationSeconds exceeds the MaxSessionDuration set for this role.")]
    TooLong,
    /// The session would be longer than one that a role's session asks for may be.
    #[error(
        "The requested DurationSeconds exceeds the 1 hour session limit for roles assumed by role \
         chaining."
    )]
    ChainedTooLong,
    /// A session policy is none.
    #[error("{0}")]
    MalformedPolicy(String),
    /// Policies and tags are more than a token holds.
    #[error("Packed policy consumes {0}% of allotted space, please use smaller policy.")]
    PackedTooLarge(usize),
    /// The access key is of no account here.
    #[error("The access key ID provided does not exist in our records.")]
    NoSuchKey,
    /// A part of an operation, in words, that isn't built.
    #[error("{0} is not built yet in Causeway")]
    NotBuilt(&'static str),
}

impl StsError {
    /// The caller may not, in those words.
    pub(super) fn denied(message: impl Into<String>) -> StsError {
        StsError::Denied(Denied {
            message: message.into(),
        })
    }
}

impl From<IamError> for StsError {
    fn from(error: IamError) -> StsError {
        StsError::Parameter(error)
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
            StsError::Parameter(error) => error.into(),
            StsError::InvalidParameter(_) => with_status(400, "InvalidParameterValue"),
            StsError::Form(fault) => fault.into(),
            StsError::Denied(denied) => denied.in_xml(),
            StsError::Root => with_status(403, "AccessDenied"),
            StsError::TooLong | StsError::ChainedTooLong => with_status(400, "ValidationError"),
            StsError::MalformedPolicy(_) => with_status(400, "MalformedPolicyDocument"),
            StsError::PackedTooLarge(_) => with_status(400, "PackedPolicyTooLarge"),
            StsError::NoSuchKey => with_status(404, "NoSuchEntity"),
            StsError::NotBuilt(what) => rest::part_not_built(what),
        }
    }
}
