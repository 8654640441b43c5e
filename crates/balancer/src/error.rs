//! What can go wrong in an operation, and the one table from that to the service's errors.

use aws::ServiceError;
use aws::access::Denied;
use aws::query::QueryFault;
use types::ConfigurationError;

use crate::attributes::AttributeFault;
use crate::codec::CodecError;
use crate::words::words;

words! {
    /// The service's own refusals: the codes of the API's model, and the common one.
    pub enum Refusal {
        /// A parameter is against the rules.
        ValidationError = "ValidationError",
        /// There is a listener on that port.
        DuplicateListener = "DuplicateListener",
        /// There is a load balancer of that name, which is another.
        DuplicateLoadBalancerName = "DuplicateLoadBalancerName",
        /// A key of a tag is there twice.
        DuplicateTagKeys = "DuplicateTagKeys",
        /// There is a target group of that name, which is another.
        DuplicateTargetGroupName = "DuplicateTargetGroupName",
        /// A protocol doesn't go with the rest.
        IncompatibleProtocols = "IncompatibleProtocols",
        /// What is asked for can't be configured.
        InvalidConfigurationRequest = "InvalidConfigurationRequest",
        /// An action is none that this listener can have.
        InvalidLoadBalancerAction = "InvalidLoadBalancerAction",
        /// There is no such security group.
        InvalidSecurityGroup = "InvalidSecurityGroup",
        /// A subnet has no address left.
        InvalidSubnet = "InvalidSubnet",
        /// There is no such target, or it may not be one.
        InvalidTarget = "InvalidTarget",
        /// There is no such ALPN policy.
        AlpnPolicyNotFound = "ALPNPolicyNotFound",
        /// There is no such certificate.
        CertificateNotFound = "CertificateNotFound",
        /// There is no such listener.
        ListenerNotFound = "ListenerNotFound",
        /// There is no such load balancer.
        LoadBalancerNotFound = "LoadBalancerNotFound",
        /// There is no such rule.
        RuleNotFound = "RuleNotFound",
        /// There is no such security policy.
        SslPolicyNotFound = "SSLPolicyNotFound",
        /// There is no such subnet.
        SubnetNotFound = "SubnetNotFound",
        /// There is no such target group.
        TargetGroupNotFound = "TargetGroupNotFound",
        /// It is protected, or can't be changed so.
        OperationNotPermitted = "OperationNotPermitted",
        /// Another rule has that priority.
        PriorityInUse = "PriorityInUse",
        /// Something uses it.
        ResourceInUse = "ResourceInUse",
        /// Another load balancer has the target group.
        TargetGroupAssociationLimit = "TargetGroupAssociationLimit",
        /// There would be too many actions.
        TooManyActions = "TooManyActions",
        /// There would be too many certificates.
        TooManyCertificates = "TooManyCertificates",
        /// There would be too many listeners.
        TooManyListeners = "TooManyListeners",
        /// There would be too many load balancers.
        TooManyLoadBalancers = "TooManyLoadBalancers",
        /// There would be too many rules.
        TooManyRules = "TooManyRules",
        /// There would be too many tags.
        TooManyTags = "TooManyTags",
        /// There would be too many target groups.
        TooManyTargetGroups = "TooManyTargetGroups",
        /// There would be too many targets.
        TooManyTargets = "TooManyTargets",
        /// There would be too many target groups at one load balancer.
        TooManyUniqueTargetGroups = "TooManyUniqueTargetGroupsPerLoadBalancer",
        /// The protocol isn't one that this kind of load balancer has.
        UnsupportedProtocol = "UnsupportedProtocol",
    }
}

/// Why an operation failed. It prints as the service's text.
#[derive(Clone, PartialEq, Debug, thiserror::Error)]
pub(crate) enum BalancerError {
    /// One of the service's own refusals, and its text.
    #[error("{1}")]
    Refused(Refusal, String),
    /// The caller may not.
    #[error("{0}")]
    Denied(Denied),
    /// The form isn't what the operation can be asked by.
    #[error("{0}")]
    Query(#[from] QueryFault),
    /// The configuration could not be changed.
    #[error("{}", configuration(.0))]
    Configuration(ConfigurationError),
    /// What is configured can't be read: nothing is done with it.
    #[error("{0}")]
    Unreadable(#[from] CodecError),
    /// A part of an operation, in words, that the service has and that isn't built.
    #[error("{0} is not built yet in Causeway.")]
    NotBuilt(String),
}

/// What can be wrong with a Region's own configuration, in words.
fn configuration(error: &ConfigurationError) -> &'static str {
    match error {
        ConfigurationError::Conflict => "Another change came first. Try again.",
        ConfigurationError::NoMajority
        | ConfigurationError::TimedOut
        | ConfigurationError::Busy => "Rate exceeded",
        ConfigurationError::Full => {
            "This Region's configuration is full: it holds as much as it may. Delete what isn't \
             used any more."
        }
        ConfigurationError::TooLarge => {
            "With everything below it, it would be too large to be kept."
        }
        ConfigurationError::Stopped => "The Region is stopping.",
    }
}

impl BalancerError {
    /// A `ValidationError` with that text.
    pub(crate) fn invalid(text: impl Into<String>) -> BalancerError {
        BalancerError::Refused(Refusal::ValidationError, text.into())
    }

    /// An `InvalidConfigurationRequest` with that text.
    pub(crate) fn configuration(text: impl Into<String>) -> BalancerError {
        BalancerError::Refused(Refusal::InvalidConfigurationRequest, text.into())
    }

    /// One of the service's own refusals.
    pub(crate) fn refused(refusal: Refusal, text: impl Into<String>) -> BalancerError {
        BalancerError::Refused(refusal, text.into())
    }

    /// A part of an operation isn't built.
    pub(crate) fn not_built(part: impl Into<String>) -> BalancerError {
        BalancerError::NotBuilt(part.into())
    }
}

impl From<Denied> for BalancerError {
    fn from(denied: Denied) -> BalancerError {
        BalancerError::Denied(denied)
    }
}

impl From<ConfigurationError> for BalancerError {
    fn from(error: ConfigurationError) -> BalancerError {
        BalancerError::Configuration(error)
    }
}

impl From<AttributeFault> for BalancerError {
    fn from(fault: AttributeFault) -> BalancerError {
        match fault {
            AttributeFault::Value { .. } => BalancerError::invalid(fault.to_string()),
            AttributeFault::NotBuilt { .. } => BalancerError::not_built(fault.to_string()),
        }
    }
}

/// Codes as the API's model has them. Of throttling and stopping it says nothing; those are AWS's
/// common ones, which clients take for a reason to try again.
impl From<BalancerError> for ServiceError {
    fn from(error: BalancerError) -> ServiceError {
        let message = error.to_string();
        match error {
            BalancerError::Refused(refusal, _) => ServiceError::caller(refusal.name(), message),
            BalancerError::Denied(denied) => denied.in_xml(),
            BalancerError::Query(fault) => fault.into(),
            BalancerError::NotBuilt(part) => aws::rest::part_not_built(&part),
            BalancerError::Unreadable(_) => ServiceError::server("InternalFailure", message),
            BalancerError::Configuration(error) => match error {
                ConfigurationError::Full | ConfigurationError::TooLarge => {
                    ServiceError::caller("LimitExceeded", message)
                }
                ConfigurationError::Stopped => ServiceError {
                    status: 503,
                    ..ServiceError::server("ServiceUnavailable", message)
                },
                ConfigurationError::Conflict
                | ConfigurationError::NoMajority
                | ConfigurationError::TimedOut
                | ConfigurationError::Busy => ServiceError::caller("Throttling", message),
            },
        }
    }
}
