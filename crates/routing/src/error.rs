//! What can go wrong in an operation, and the one table from that to the service's errors.

use aws::ServiceError;
use aws::access::Denied;
use aws::xml::XmlFault;
use types::ConfigurationError;

use crate::codec::CodecError;

/// Why an operation failed. It prints as the service's text.
#[derive(Clone, PartialEq, Debug, thiserror::Error)]
pub enum RoutingError {
    /// The request's document isn't of the operation's form.
    #[error("{}", .0.text(None))]
    Document(XmlFault),
    /// A parameter is against the rules.
    #[error("{0}")]
    Invalid(String),
    /// The name is none that a zone can have.
    #[error("{0}")]
    InvalidDomainName(String),
    /// Every fault of a batch, each naming its record.
    #[error("[{}]", .0.join(", "))]
    ChangeBatch(Vec<String>),
    /// The caller may not.
    #[error("{0}")]
    Denied(Denied),
    /// Another account's zone answers for the name.
    #[error(
        "{0} belongs to a hosted zone of another account, which answers for it. Its owner can \
         hand the name over with an NS record, and then a zone can be made for it."
    )]
    ConflictingDomain(String),
    /// There is no such zone.
    #[error("No hosted zone found with ID: {0}")]
    NoSuchZone(String),
    /// There is no such health check.
    #[error("A health check with id {0} does not exist.")]
    NoSuchHealthCheck(String),
    /// There is no such change, or it is forgotten.
    #[error("Could not find resource with ID: {0}")]
    NoSuchChange(String),
    /// There is no such place.
    #[error("The specified geographic location is not supported: {0}")]
    NoSuchGeoLocation(String),
    /// There is no such delegation set: reusable ones aren't built.
    #[error("No delegation set found with ID: {0}")]
    NoSuchDelegationSet(String),
    /// A zone was created with that caller reference.
    #[error("A hosted zone has already been created with the specified caller reference.")]
    ZoneExists,
    /// The zone has records of its owner.
    #[error(
        "The specified hosted zone contains non-required resource record sets and so cannot be \
         deleted."
    )]
    ZoneNotEmpty,
    /// There are as many zones as there may be.
    #[error("Limits Exceeded: the account has reached its limit of {0} hosted zones.")]
    TooManyZones(usize),
    /// No four servers are left that no zone of a kindred name has.
    #[error("No name servers are left for another hosted zone of this name.")]
    DelegationSetNotAvailable,
    /// A health check was created with that caller reference, and other settings or since deleted.
    #[error(
        "A health check has already been created with the specified caller reference and \
         different settings, or has been deleted since."
    )]
    HealthCheckExists,
    /// The health check was changed meanwhile.
    #[error("The health check's version is {found}, not {expected}.")]
    VersionMismatch {
        /// The version it has.
        found: u64,
        /// The one the caller knows.
        expected: u64,
    },
    /// There are as many health checks as there may be.
    #[error("Limits Exceeded: the account has reached its limit of {0} health checks.")]
    TooManyHealthChecks(usize),
    /// Others' changes came first again and again.
    #[error("The request was rejected because Route 53 was still processing a prior request.")]
    PriorRequest,
    /// Nothing can be changed now: no majority of sites is heard, nothing was decided in time,
    /// or too much is under way.
    #[error("Rate exceeded: {0}")]
    Throttled(ConfigurationError),
    /// The configuration is full.
    #[error(
        "This deployment's configuration is full: zones, records and health checks together \
         hold as much as they may. Delete what isn't used any more."
    )]
    Full,
    /// The change alone is larger than one may be.
    #[error("The change is too large to be made at once. Make it in several requests.")]
    TooLarge,
    /// The site is stopping.
    #[error("The site is stopping.")]
    Stopped,
    /// What is configured can't be read.
    #[error("{0}")]
    Unreadable(String),
    /// A part of an operation, in words, that the service has and that isn't built.
    #[error("{0} is not built yet in Causeway")]
    NotBuilt(String),
}

impl RoutingError {
    /// An `InvalidInput` with that text.
    pub(crate) fn invalid(text: impl Into<String>) -> RoutingError {
        RoutingError::Invalid(text.into())
    }
}

impl From<XmlFault> for RoutingError {
    fn from(fault: XmlFault) -> RoutingError {
        RoutingError::Document(fault)
    }
}

impl From<CodecError> for RoutingError {
    fn from(error: CodecError) -> RoutingError {
        RoutingError::Unreadable(error.to_string())
    }
}

impl From<ConfigurationError> for RoutingError {
    fn from(error: ConfigurationError) -> RoutingError {
        match error {
            ConfigurationError::Conflict => RoutingError::PriorRequest,
            ConfigurationError::NoMajority
            | ConfigurationError::TimedOut
            | ConfigurationError::Busy => RoutingError::Throttled(error),
            ConfigurationError::Full => RoutingError::Full,
            ConfigurationError::TooLarge => RoutingError::TooLarge,
            ConfigurationError::Stopped => RoutingError::Stopped,
        }
    }
}

/// Codes and statuses as the API's model has them.
impl From<RoutingError> for ServiceError {
    fn from(error: RoutingError) -> ServiceError {
        let message = error.to_string();
        let with_status = |status: u16, code: &'static str| ServiceError {
            status,
            ..ServiceError::caller(code, message.clone())
        };
        match error {
            RoutingError::Document(_) | RoutingError::Invalid(_) => {
                with_status(400, "InvalidInput")
            }
            RoutingError::InvalidDomainName(_) => with_status(400, "InvalidDomainName"),
            RoutingError::ChangeBatch(_) => with_status(400, "InvalidChangeBatch"),
            RoutingError::Denied(denied) => denied.in_xml(),
            RoutingError::ConflictingDomain(_) => with_status(400, "ConflictingDomainExists"),
            RoutingError::NoSuchZone(_) => with_status(404, "NoSuchHostedZone"),
            RoutingError::NoSuchHealthCheck(_) => with_status(404, "NoSuchHealthCheck"),
            RoutingError::NoSuchChange(_) => with_status(404, "NoSuchChange"),
            RoutingError::NoSuchGeoLocation(_) => with_status(404, "NoSuchGeoLocation"),
            RoutingError::NoSuchDelegationSet(_) => with_status(400, "NoSuchDelegationSet"),
            RoutingError::ZoneExists => with_status(409, "HostedZoneAlreadyExists"),
            RoutingError::ZoneNotEmpty => with_status(400, "HostedZoneNotEmpty"),
            RoutingError::TooManyZones(_) => with_status(400, "TooManyHostedZones"),
            RoutingError::DelegationSetNotAvailable => {
                with_status(400, "DelegationSetNotAvailable")
            }
            RoutingError::HealthCheckExists => with_status(409, "HealthCheckAlreadyExists"),
            RoutingError::VersionMismatch { .. } => with_status(409, "HealthCheckVersionMismatch"),
            RoutingError::TooManyHealthChecks(_) => with_status(400, "TooManyHealthChecks"),
            RoutingError::PriorRequest => with_status(400, "PriorRequestNotComplete"),
            RoutingError::Throttled(_) => with_status(400, "Throttling"),
            RoutingError::Full => with_status(400, "LimitsExceeded"),
            RoutingError::TooLarge => with_status(400, "InvalidInput"),
            RoutingError::Stopped => with_status(503, "ServiceUnavailable"),
            RoutingError::Unreadable(_) => with_status(500, "InternalFailure"),
            RoutingError::NotBuilt(part) => aws::rest::part_not_built(&part),
        }
    }
}
