//! The service's limits (Amazon RDS User Guide, "Quotas and constraints", and the API's model).
//! Each is a number with a name; what is refused beyond it is said where it is met.

/// Instances of an account in a Region.
pub(crate) const MAX_INSTANCES: usize = 40;

/// Clusters of an account in a Region.
pub(crate) const MAX_CLUSTERS: usize = 40;

/// Custom endpoints of a cluster.
pub(crate) const MAX_CLUSTER_ENDPOINTS: usize = 5;

/// Global clusters of an account: 5 at AWS unless it is asked for more.
pub(crate) const MAX_GLOBAL_CLUSTERS: usize = 5;

/// Members of a global cluster: a primary and ten secondaries.
pub(crate) const MAX_MEMBERS: usize = 11;

/// Replicas of an instance.
pub(crate) const MAX_REPLICAS: usize = 15;

/// Readers of a cluster, beside its head.
pub(crate) const MAX_READERS: usize = 15;

/// Manual snapshots of an account in a Region.
pub(crate) const MAX_SNAPSHOTS: usize = 100;

/// Subnet groups of an account in a Region.
pub(crate) const MAX_SUBNET_GROUPS: usize = 50;

/// Parameter groups of an account in a Region.
pub(crate) const MAX_PARAMETER_GROUPS: usize = 50;

/// Option groups of an account in a Region.
pub(crate) const MAX_OPTION_GROUPS: usize = 20;

/// Parameters of one `ModifyDBParameterGroup`.
pub(crate) const MAX_PARAMETERS: usize = 20;

/// Security groups of an instance.
pub(crate) const MAX_SECURITY_GROUPS: usize = 5;

/// Subnets of a subnet group.
pub(crate) const MAX_SUBNETS: usize = 20;

/// Tags of a resource.
pub(crate) const MAX_TAGS: usize = 50;

/// Characters of a tag's key.
pub(crate) const MAX_TAG_KEY: usize = 128;

/// Characters of a tag's value.
pub(crate) const MAX_TAG_VALUE: usize = 256;

/// Filters of one request, and values of one filter. The model has no bound; ours.
pub(crate) const MAX_FILTERS: usize = 100;

/// The most that a page holds, and what it holds if nothing is said.
pub(crate) const MAX_PAGE: u32 = 100;

/// The least that a page can be asked to hold.
pub(crate) const MIN_PAGE: u32 = 20;

/// Events that a Region remembers.
pub(crate) const MAX_EVENTS: usize = 1000;

/// For how many days an event is shown.
pub(crate) const EVENT_DAYS: u64 = 14;

/// Storage of an instance, in GiB: the least and the most.
pub(crate) const STORAGE: (u32, u32) = (20, 65_536);

/// Ports of endpoints: the least and the most.
pub(crate) const PORTS: (u32, u32) = (1150, 65_535);

/// Days that backups are kept, at most.
pub(crate) const MAX_RETENTION: u32 = 35;
