//! What can go wrong in an operation of IAM, and the one table from that to the service's errors.

use aws::ServiceError;
use aws::access::Denied;
use aws::query::QueryFault;

use crate::entries::EntryError;
use crate::server_certificate::CertificateFault;

/// Why an operation failed. It prints as the service's text, and never repeats a secret.
#[derive(Clone, PartialEq, Debug, thiserror::Error)]
pub(crate) enum IamError {
    /// A parameter is against the model's rules.
    #[error("{0}")]
    Validation(String),
    /// A parameter is against other rules.
    #[error("{0}")]
    InvalidInput(String),
    /// There is no such thing.
    #[error("{0}")]
    NoSuchEntity(String),
    /// There is such a thing already.
    #[error("{0}")]
    EntityAlreadyExists(String),
    /// Something else must be taken away before.
    #[error("Cannot delete entity, must {0}.")]
    DeleteConflict(&'static str),
    /// A server certificate is used: its id, and the ARN of who uses it.
    #[error(
        "Certificate: {0} is currently in use by {1}. Please remove it first before deleting it \
         from IAM."
    )]
    CertificateInUse(String, String),
    /// A policy is used, or one of its versions is.
    #[error("{0}")]
    PolicyInUse(&'static str),
    /// There is as much as there may be.
    #[error("{0}")]
    LimitExceeded(String),
    /// A policy is no policy, and where.
    #[error("{0}")]
    MalformedPolicyDocument(String),
    /// A server certificate isn't what it should be.
    #[error("{0}")]
    Certificate(CertificateFault),
    /// The policy is none that can be attached to that.
    #[error("{0}")]
    PolicyNotAttachable(String),
    /// A thing that its service alone may change.
    #[error("{0}")]
    Unmodifiable(String),
    /// The caller may not.
    #[error("{0}")]
    Denied(Denied),
    /// The form isn't what the operation can be asked by.
    #[error("{0}")]
    Query(QueryFault),
    /// What is configured can't be read: nothing is done with it.
    #[error("{0}")]
    Unreadable(EntryError),
    /// A part of an operation, in words, that the service has and that isn't built.
    #[error("{0} is not built yet in Causeway.")]
    NotBuilt(&'static str),
    /// What the service as a whole says: the configuration could not be changed.
    #[error("{}", .0.message)]
    Service(ServiceError),
}

impl IamError {
    /// There is as much as that quota allows.
    pub(crate) fn quota(name: &str, most: usize) -> IamError {
        IamError::LimitExceeded(format!("Cannot exceed quota for {name}: {most}"))
    }
}

impl From<Denied> for IamError {
    fn from(denied: Denied) -> IamError {
        IamError::Denied(denied)
    }
}

impl From<CertificateFault> for IamError {
    fn from(fault: CertificateFault) -> IamError {
        IamError::Certificate(fault)
    }
}

impl From<QueryFault> for IamError {
    fn from(fault: QueryFault) -> IamError {
        IamError::Query(fault)
    }
}

impl From<EntryError> for IamError {
    fn from(error: EntryError) -> IamError {
        IamError::Unreadable(error)
    }
}

impl From<ServiceError> for IamError {
    fn from(error: ServiceError) -> IamError {
        IamError::Service(error)
    }
}

/// Codes and statuses as the API's model has them; `ValidationError` is of the common errors.
impl From<IamError> for ServiceError {
    fn from(error: IamError) -> ServiceError {
        let message = error.to_string();
        let with_status = |status: u16, code: &'static str| ServiceError {
            status,
            ..ServiceError::caller(code, message.clone())
        };
        match error {
            IamError::Validation(_) => with_status(400, "ValidationError"),
            IamError::InvalidInput(_) => with_status(400, "InvalidInput"),
            IamError::NoSuchEntity(_) => with_status(404, "NoSuchEntity"),
            IamError::EntityAlreadyExists(_) => with_status(409, "EntityAlreadyExists"),
            IamError::DeleteConflict(_)
            | IamError::CertificateInUse(..)
            | IamError::PolicyInUse(_) => with_status(409, "DeleteConflict"),
            IamError::LimitExceeded(_) => with_status(409, "LimitExceeded"),
            IamError::MalformedPolicyDocument(_) => with_status(400, "MalformedPolicyDocument"),
            IamError::Certificate(CertificateFault::Pair) => with_status(400, "KeyPairMismatch"),
            IamError::Certificate(_) => with_status(400, "MalformedCertificate"),
            IamError::PolicyNotAttachable(_) => with_status(400, "PolicyNotAttachable"),
            IamError::Unmodifiable(_) => with_status(400, "UnmodifiableEntity"),
            IamError::Denied(denied) => denied.in_xml(),
            IamError::Query(fault) => fault.into(),
            IamError::Unreadable(error) => error.into(),
            IamError::NotBuilt(part) => aws::rest::part_not_built(part),
            IamError::Service(error) => error,
        }
    }
}
