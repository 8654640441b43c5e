//! What can go wrong in an operation, and the one table from that to the service's errors.

use std::fmt;

use aws::ServiceError;
use aws::access::Denied;
use types::ConfigurationError;

use crate::codec::CodecError;
use crate::limits::MAX_ACCELERATORS;

/// Why an operation failed. It prints as the service's text: of its own errors the API's model has
/// a sentence each, which stands here where nothing more can be said.
#[derive(Clone, PartialEq, Debug, thiserror::Error)]
pub enum AcceleratorError {
    /// The body isn't JSON, or not of the operation's shape.
    #[error("{0}")]
    Serialization(String),
    /// The caller may not.
    #[error("{0}")]
    Denied(Denied),
    /// Logs are to go into a bucket whose policy doesn't let them.
    #[error(
        "Access denied for bucket: {0}. Its policy must allow delivery.logs.amazonaws.com \
         s3:GetBucketAcl on the bucket and s3:PutObject on arn:aws:s3:::{0}/{1}*."
    )]
    BucketDenied(String, String),
    /// Logs are to go into a bucket that isn't there.
    #[error("The S3 bucket {0} doesn't exist.")]
    NoBucket(String),
    /// Logs are to go into a bucket whose Region can't be asked now.
    #[error("Rate exceeded: the Region of the bucket {0} doesn't answer.")]
    BucketUnreachable(String),
    /// An argument is against the rules.
    #[error("{0}")]
    Invalid(String),
    /// Ports of a listener are against the rules.
    #[error("{0}")]
    PortRange(String),
    /// There would be more of something than there may be.
    #[error("{0}")]
    Limit(String),
    /// Two arguments exclude each other.
    #[error("{0}")]
    Contradiction(String),
    /// This deployment has no accelerators: why.
    #[error("{0}")]
    Refused(String),
    /// There is no such accelerator.
    #[error("The accelerator that you specified doesn't exist.")]
    NoAccelerator,
    /// There is no such listener.
    #[error("The listener that you specified doesn't exist.")]
    NoListener,
    /// There is no such endpoint group.
    #[error("The endpoint group that you specified doesn't exist.")]
    NoGroup,
    /// The listener has a group in that Region.
    #[error("The listener has an endpoint group in the Region {0} already.")]
    GroupExists(types::Region),
    /// The accelerator is to be deleted, and takes traffic.
    #[error("The accelerator must be disabled before you can delete it.")]
    NotDisabled,
    /// The accelerator is to be deleted, and has listeners.
    #[error(
        "The accelerator that you specified has a listener associated with it. You must remove \
         all dependent resources from an accelerator before you can delete it."
    )]
    HasListeners,
    /// The listener is to be deleted, and has groups.
    #[error(
        "The listener that you specified has an endpoint group associated with it. You must \
         remove all dependent resources from a listener before you can delete it."
    )]
    HasGroups,
    /// The token is none that a listing gave.
    #[error("The value of NextToken is none that this operation returned.")]
    NextToken,
    /// Others' changes came first again and again.
    #[error("There's already a transaction in progress. Another transaction can't be processed.")]
    Overtaken,
    /// Nothing can be changed now: no majority of sites is heard, nothing was decided in time, or
    /// too much is under way.
    #[error("Rate exceeded: {0}")]
    Throttled(ConfigurationError),
    /// The configuration is full.
    #[error(
        "This deployment's configuration is full: it holds as much as it may. Delete what isn't \
         used any more."
    )]
    Full,
    /// The accelerator would be larger than a row of the configuration may be.
    #[error("The accelerator, with everything below it, would be too large to be kept.")]
    TooLarge,
    /// The site is stopping.
    #[error("The site is stopping.")]
    Stopped,
    /// What is configured can't be read.
    #[error("{0}")]
    Unreadable(#[from] CodecError),
    /// The operation is in the service's model and not built; or a part of one, in words.
    #[error("{0} is not built yet in Causeway")]
    NotBuilt(String),
    /// The operation is not in the service's model.
    #[error("The operation {0} is not one of Global Accelerator's")]
    UnknownOperation(String),
}

impl AcceleratorError {
    /// An `InvalidArgumentException` with that text.
    pub(crate) fn invalid(text: impl Into<String>) -> AcceleratorError {
        AcceleratorError::Invalid(text.into())
    }

    /// A part of an operation isn't built.
    pub(crate) fn not_built(part: impl Into<String>) -> AcceleratorError {
        AcceleratorError::NotBuilt(part.into())
    }

    /// A quota is met: so many of these.
    pub(crate) fn limit(limit: usize, what: &str) -> AcceleratorError {
        AcceleratorError::Limit(format!("The limit of {limit} {what} is reached."))
    }

    /// The account has as many accelerators as it may.
    pub(crate) fn too_many_accelerators() -> AcceleratorError {
        AcceleratorError::limit(MAX_ACCELERATORS, "accelerators for an account")
    }

    /// A pool has no address left.
    pub(crate) fn exhausted(pool: impl fmt::Display) -> AcceleratorError {
        AcceleratorError::Limit(format!(
            "No static address is left in this deployment's pool {pool}."
        ))
    }
}

impl From<ConfigurationError> for AcceleratorError {
    fn from(error: ConfigurationError) -> AcceleratorError {
        match error {
            ConfigurationError::Conflict => AcceleratorError::Overtaken,
            ConfigurationError::NoMajority
            | ConfigurationError::TimedOut
            | ConfigurationError::Busy => AcceleratorError::Throttled(error),
            ConfigurationError::Full => AcceleratorError::Full,
            ConfigurationError::TooLarge => AcceleratorError::TooLarge,
            ConfigurationError::Stopped => AcceleratorError::Stopped,
        }
    }
}

/// Codes as the API's model has them. Of throttling and stopping it says nothing; those are AWS's
/// common ones, which clients take for a reason to try again.
impl From<AcceleratorError> for ServiceError {
    fn from(error: AcceleratorError) -> ServiceError {
        let message = error.to_string();
        let code = match error {
            AcceleratorError::Denied(denied) => return denied.in_json(),
            AcceleratorError::NotBuilt(part) => return aws::json::not_built(&part),
            AcceleratorError::UnknownOperation(_) => "UnknownOperationException",
            AcceleratorError::Serialization(_) => "SerializationException",
            AcceleratorError::BucketDenied(..) => "AccessDeniedException",
            AcceleratorError::Invalid(_)
            | AcceleratorError::Refused(_)
            | AcceleratorError::NoBucket(_) => "InvalidArgumentException",
            AcceleratorError::PortRange(_) => "InvalidPortRangeException",
            AcceleratorError::Limit(_) | AcceleratorError::Full | AcceleratorError::TooLarge => {
                "LimitExceededException"
            }
            AcceleratorError::Contradiction(_) => "ConflictException",
            AcceleratorError::NoAccelerator => "AcceleratorNotFoundException",
            AcceleratorError::NoListener => "ListenerNotFoundException",
            AcceleratorError::NoGroup => "EndpointGroupNotFoundException",
            AcceleratorError::GroupExists(_) => "EndpointGroupAlreadyExistsException",
            AcceleratorError::NotDisabled => "AcceleratorNotDisabledException",
            AcceleratorError::HasListeners => "AssociatedListenerFoundException",
            AcceleratorError::HasGroups => "AssociatedEndpointGroupFoundException",
            AcceleratorError::NextToken => "InvalidNextTokenException",
            AcceleratorError::Overtaken => "TransactionInProgressException",
            AcceleratorError::Throttled(_) | AcceleratorError::BucketUnreachable(_) => {
                "ThrottlingException"
            }
            AcceleratorError::Stopped => {
                return ServiceError {
                    status: 503,
                    ..ServiceError::server("ServiceUnavailableException", message)
                };
            }
            AcceleratorError::Unreadable(_) => {
                return ServiceError::server("InternalServiceErrorException", message);
            }
        };
        ServiceError::caller(code, message)
    }
}
