//! What can go wrong in an operation, and the one table from that to the service's errors.

use aws::ServiceError;
use aws::access::Denied;
use aws::query::QueryFault;
use types::ConfigurationError;

use crate::codec::CodecError;
use crate::words::words;

words! {
    /// The service's own refusals: the codes of the API's model, and the common ones.
    pub enum Refusal {
        /// A parameter's value can't be.
        InvalidParameterValue = "InvalidParameterValue",
        /// Parameters don't go with each other, or with what is there.
        InvalidParameterCombination = "InvalidParameterCombination",
        /// A parameter is missing.
        MissingParameter = "MissingParameter",
        /// A parameter is against the model.
        ValidationError = "ValidationError",
        /// There is no such certificate.
        CertificateNotFound = "CertificateNotFound",
        /// There is a cluster of that name.
        DbClusterAlreadyExists = "DBClusterAlreadyExistsFault",
        /// There is a custom endpoint of that name.
        DbClusterEndpointAlreadyExists = "DBClusterEndpointAlreadyExistsFault",
        /// There is no such custom endpoint.
        DbClusterEndpointNotFound = "DBClusterEndpointNotFoundFault",
        /// There would be too many custom endpoints.
        DbClusterEndpointQuotaExceeded = "DBClusterEndpointQuotaExceededFault",
        /// There is no such cluster.
        DbClusterNotFound = "DBClusterNotFoundFault",
        /// There is no such parameter group of clusters.
        DbClusterParameterGroupNotFound = "DBClusterParameterGroupNotFound",
        /// There would be too many clusters.
        DbClusterQuotaExceeded = "DBClusterQuotaExceededFault",
        /// There are no such automated backups.
        DbInstanceAutomatedBackupNotFound = "DBInstanceAutomatedBackupNotFound",
        /// There is an instance of that name.
        DbInstanceAlreadyExists = "DBInstanceAlreadyExists",
        /// There is no such instance.
        DbInstanceNotFound = "DBInstanceNotFound",
        /// There is a parameter group of that name.
        DbParameterGroupAlreadyExists = "DBParameterGroupAlreadyExists",
        /// There is no such parameter group.
        DbParameterGroupNotFound = "DBParameterGroupNotFound",
        /// There would be too many parameter groups.
        DbParameterGroupQuotaExceeded = "DBParameterGroupQuotaExceeded",
        /// There is no such security group.
        DbSecurityGroupNotFound = "DBSecurityGroupNotFound",
        /// There is a snapshot of that name.
        DbSnapshotAlreadyExists = "DBSnapshotAlreadyExists",
        /// There is no such snapshot.
        DbSnapshotNotFound = "DBSnapshotNotFound",
        /// There is a subnet group of that name.
        DbSubnetGroupAlreadyExists = "DBSubnetGroupAlreadyExists",
        /// The subnets are of too few zones.
        DbSubnetGroupDoesNotCoverEnoughAzs = "DBSubnetGroupDoesNotCoverEnoughAZs",
        /// There is no such subnet group.
        DbSubnetGroupNotFound = "DBSubnetGroupNotFoundFault",
        /// There would be too many subnet groups.
        DbSubnetGroupQuotaExceeded = "DBSubnetGroupQuotaExceeded",
        /// There is a global cluster of that name.
        GlobalClusterAlreadyExists = "GlobalClusterAlreadyExistsFault",
        /// There is no such global cluster.
        GlobalClusterNotFound = "GlobalClusterNotFoundFault",
        /// There would be too many global clusters, or members of one.
        GlobalClusterQuotaExceeded = "GlobalClusterQuotaExceededFault",
        /// There is no room for the instance here.
        InsufficientDbInstanceCapacity = "InsufficientDBInstanceCapacity",
        /// There would be too many instances.
        InstanceQuotaExceeded = "InstanceQuotaExceeded",
        /// The cluster isn't in a state for it.
        InvalidDbClusterState = "InvalidDBClusterStateFault",
        /// The global cluster isn't in a state for it.
        InvalidGlobalClusterState = "InvalidGlobalClusterStateFault",
        /// The automated backups aren't in a state for it.
        InvalidDbInstanceAutomatedBackupState = "InvalidDBInstanceAutomatedBackupState",
        /// The instance isn't in a state for it.
        InvalidDbInstanceState = "InvalidDBInstanceState",
        /// The parameter group is in use, or nobody may change it.
        InvalidDbParameterGroupState = "InvalidDBParameterGroupState",
        /// The snapshot isn't in a state for it.
        InvalidDbSnapshotState = "InvalidDBSnapshotState",
        /// The subnet group is in use, or nobody may change it.
        InvalidDbSubnetGroupState = "InvalidDBSubnetGroupStateFault",
        /// The option group is in use, or nobody may change it.
        InvalidOptionGroupState = "InvalidOptionGroupStateFault",
        /// It can't be restored to that moment.
        InvalidRestore = "InvalidRestoreFault",
        /// There is no such subnet.
        InvalidSubnet = "InvalidSubnet",
        /// There is no such key.
        KmsKeyNotAccessible = "KMSKeyNotAccessibleFault",
        /// It can't have such addresses.
        NetworkTypeNotSupported = "NetworkTypeNotSupported",
        /// There is an option group of that name.
        OptionGroupAlreadyExists = "OptionGroupAlreadyExistsFault",
        /// There is no such option group.
        OptionGroupNotFound = "OptionGroupNotFoundFault",
        /// There would be too many option groups.
        OptionGroupQuotaExceeded = "OptionGroupQuotaExceededFault",
        /// Nothing is kept that it could be restored from.
        PointInTimeRestoreNotEnabled = "PointInTimeRestoreNotEnabled",
        /// There is no such thing of this service.
        ResourceNotFound = "ResourceNotFoundFault",
        /// There would be too many snapshots.
        SnapshotQuotaExceeded = "SnapshotQuotaExceeded",
        /// An instance is in that subnet.
        SubnetAlreadyInUse = "SubnetAlreadyInUse",
        /// There is no such storage.
        StorageTypeNotSupported = "StorageTypeNotSupported",
    }
}

impl Refusal {
    /// The status that the API's model has for it.
    pub(crate) fn status(self) -> u16 {
        match self {
            Refusal::CertificateNotFound
            | Refusal::DbClusterNotFound
            | Refusal::DbClusterParameterGroupNotFound
            | Refusal::DbInstanceAutomatedBackupNotFound
            | Refusal::DbInstanceNotFound
            | Refusal::GlobalClusterNotFound
            | Refusal::DbParameterGroupNotFound
            | Refusal::DbSecurityGroupNotFound
            | Refusal::DbSnapshotNotFound
            | Refusal::DbSubnetGroupNotFound
            | Refusal::OptionGroupNotFound
            | Refusal::ResourceNotFound => 404,
            Refusal::DbClusterQuotaExceeded | Refusal::DbClusterEndpointQuotaExceeded => 403,
            _ => 400,
        }
    }
}

/// Why an operation failed. It prints as the service's text.
#[derive(Clone, PartialEq, Debug, thiserror::Error)]
pub(crate) enum DatabasesError {
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
    /// A Region that had to be asked didn't answer.
    #[error("{0}")]
    Unreachable(String),
}

/// What can be wrong with a Region's own configuration, in words.
fn configuration(error: &ConfigurationError) -> &'static str {
    match error {
        ConfigurationError::Conflict => "Another change came first. Try again.",
        ConfigurationError::NoMajority => {
            "Rate exceeded: this Region hears no majority of the sites, without which nothing that \
             is global can be changed."
        }
        ConfigurationError::TimedOut | ConfigurationError::Busy => "Rate exceeded",
        ConfigurationError::Full => {
            "This Region's configuration is full: it holds as much as it may. Delete what isn't \
             used any more."
        }
        ConfigurationError::TooLarge => "It would be too large to be kept.",
        ConfigurationError::Stopped => "The Region is stopping.",
    }
}

impl DatabasesError {
    /// One of the service's own refusals.
    pub(crate) fn refused(refusal: Refusal, text: impl Into<String>) -> DatabasesError {
        DatabasesError::Refused(refusal, text.into())
    }

    /// An `InvalidParameterValue` with that text.
    pub(crate) fn value(text: impl Into<String>) -> DatabasesError {
        DatabasesError::Refused(Refusal::InvalidParameterValue, text.into())
    }

    /// An `InvalidParameterCombination` with that text.
    pub(crate) fn combination(text: impl Into<String>) -> DatabasesError {
        DatabasesError::Refused(Refusal::InvalidParameterCombination, text.into())
    }

    /// An `InvalidDBInstanceState` with that text.
    pub(crate) fn state(text: impl Into<String>) -> DatabasesError {
        DatabasesError::Refused(Refusal::InvalidDbInstanceState, text.into())
    }

    /// A part of an operation that RDS has and that isn't built: refused as RDS refuses what an
    /// engine or a class doesn't have.
    pub(crate) fn not_built(part: &str) -> DatabasesError {
        DatabasesError::combination(format!("{part} is not built yet in Causeway."))
    }
}

impl From<Denied> for DatabasesError {
    fn from(denied: Denied) -> DatabasesError {
        DatabasesError::Denied(denied)
    }
}

impl From<ConfigurationError> for DatabasesError {
    fn from(error: ConfigurationError) -> DatabasesError {
        DatabasesError::Configuration(error)
    }
}

/// Codes as the API's model has them. Of throttling and stopping it says nothing; those are AWS's
/// common ones, which clients take for a reason to try again.
impl From<DatabasesError> for ServiceError {
    fn from(error: DatabasesError) -> ServiceError {
        let message = error.to_string();
        let unavailable = |message| ServiceError {
            status: 503,
            ..ServiceError::server("ServiceUnavailable", message)
        };
        match error {
            DatabasesError::Refused(refusal, _) => ServiceError {
                status: refusal.status(),
                ..ServiceError::caller(refusal.name(), message)
            },
            DatabasesError::Denied(denied) => denied.in_xml(),
            DatabasesError::Query(fault) => fault.into(),
            DatabasesError::Unreadable(_) => ServiceError::server("InternalFailure", message),
            DatabasesError::Unreachable(_) => unavailable(message),
            DatabasesError::Configuration(error) => match error {
                ConfigurationError::Full | ConfigurationError::TooLarge => {
                    ServiceError::caller("LimitExceeded", message)
                }
                ConfigurationError::Stopped => unavailable(message),
                ConfigurationError::Conflict
                | ConfigurationError::NoMajority
                | ConfigurationError::TimedOut
                | ConfigurationError::Busy => ServiceError::caller("Throttling", message),
            },
        }
    }
}
