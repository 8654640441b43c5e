//! What can be wrong with a request, and how EC2 words it (EC2 API Reference, "Error codes"; texts
//! as clients have met them). It decides nothing.

use aws::ServiceError;
use aws::access::Denied;
use aws::query::QueryFault;
use types::ConfigurationError;

/// Why an operation isn't carried out.
#[derive(Clone, PartialEq, Debug, thiserror::Error)]
pub(crate) enum Ec2Error {
    /// The form can't be understood.
    #[error(transparent)]
    Form(#[from] QueryFault),
    /// The caller may not.
    #[error("You are not authorized to perform this operation. {0}")]
    Unauthorized(String),
    /// It may, and asked for no more.
    #[error("Request would have succeeded, but DryRun flag is set.")]
    DryRun,
    /// A parameter isn't there.
    #[error("The request must contain the parameter {0}")]
    Missing(&'static str),
    /// A parameter's value is none that it can have.
    #[error("{0}")]
    Invalid(String),
    /// Parameters that don't go together.
    #[error("{0}")]
    Combination(String),
    /// An id isn't of its kind's form.
    #[error("Invalid id: \"{id}\" (expecting \"{expected}-...\")")]
    Malformed {
        /// EC2's code: `InvalidGroupId.Malformed`.
        code: &'static str,
        /// What was given.
        id: String,
        /// What ids of the kind begin with.
        expected: &'static str,
    },
    /// There is no such thing.
    #[error("The {kind} '{id}' does not exist")]
    NotFound {
        /// EC2's code: `InvalidVpcID.NotFound`.
        code: &'static str,
        /// What it would be: `vpc ID`.
        kind: &'static str,
        /// What was given.
        id: String,
    },
    /// A security group of that name is there.
    #[error("The security group '{name}' already exists for VPC '{vpc}'")]
    DuplicateGroup {
        /// Its name.
        name: String,
        /// Where.
        vpc: String,
    },
    /// A rule like that is there.
    #[error("the specified rule \"{0}\" already exists")]
    DuplicateRule(String),
    /// A rule to be revoked isn't there.
    #[error("The specified rule does not exist in this security group.")]
    NoSuchRule,
    /// The default group stays.
    #[error("the specified group: \"{0}\" name: \"default\" cannot be deleted by a user")]
    DefaultGroup(String),
    /// Something uses it.
    #[error("resource {0} has a dependent object")]
    Dependency(String),
    /// More than a quota allows.
    #[error("{message}")]
    Limit {
        /// EC2's code.
        code: &'static str,
        /// What is too many.
        message: String,
    },
    /// The Region's own configuration couldn't be changed.
    #[error("The request could not be carried out: {0}")]
    Unavailable(#[from] ConfigurationError),
    /// A row of it makes no sense.
    #[error("An internal error has occurred: {0}")]
    Internal(String),
}

impl From<Denied> for Ec2Error {
    fn from(denied: Denied) -> Ec2Error {
        Ec2Error::Unauthorized(denied.message)
    }
}

impl From<Ec2Error> for ServiceError {
    fn from(error: Ec2Error) -> ServiceError {
        let message = error.to_string();
        let (status, code) = match error {
            Ec2Error::Form(fault) => return fault.into(),
            Ec2Error::Unauthorized(_) => (403, "UnauthorizedOperation"),
            Ec2Error::DryRun => (412, "DryRunOperation"),
            Ec2Error::Missing(_) => (400, "MissingParameter"),
            Ec2Error::Invalid(_) => (400, "InvalidParameterValue"),
            Ec2Error::Combination(_) => (400, "InvalidParameterCombination"),
            Ec2Error::Malformed { code, .. }
            | Ec2Error::NotFound { code, .. }
            | Ec2Error::Limit { code, .. } => (400, code),
            Ec2Error::DuplicateGroup { .. } => (400, "InvalidGroup.Duplicate"),
            Ec2Error::DuplicateRule(_) => (400, "InvalidPermission.Duplicate"),
            Ec2Error::NoSuchRule => (400, "InvalidPermission.NotFound"),
            Ec2Error::DefaultGroup(_) => (400, "CannotDelete"),
            Ec2Error::Dependency(_) => (400, "DependencyViolation"),
            Ec2Error::Unavailable(_) => (503, "Unavailable"),
            Ec2Error::Internal(_) => (500, "InternalError"),
        };
        ServiceError {
            status,
            ..ServiceError::caller(code, message)
        }
    }
}
