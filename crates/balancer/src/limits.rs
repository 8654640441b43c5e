//! The service's limits (Application and Network Load Balancers User Guides, "Quotas", and the
//! API's model). Each is a number with a name; what is refused beyond it is said where it is met.

/// Load balancers of one kind, of an account in a Region.
pub(crate) const MAX_BALANCERS: usize = 50;

/// Target groups of an account in a Region.
pub(crate) const MAX_GROUPS: usize = 3000;

/// Listeners of a load balancer.
pub(crate) const MAX_LISTENERS: usize = 50;

/// Rules of a load balancer, those of all its listeners, without the default ones.
pub(crate) const MAX_RULES: usize = 100;

/// Certificates of a load balancer, without the default ones of its listeners.
pub(crate) const MAX_CERTIFICATES: usize = 25;

/// Targets of a target group.
pub(crate) const MAX_TARGETS: usize = 1000;

/// Target groups that a load balancer's actions name.
pub(crate) const MAX_GROUPS_PER_BALANCER: usize = 100;

/// Target groups of one action.
pub(crate) const MAX_GROUPS_PER_ACTION: usize = 5;

/// Values of all conditions of a rule.
pub(crate) const MAX_CONDITION_VALUES: usize = 5;

/// Wildcards in all conditions of a rule.
pub(crate) const MAX_WILDCARDS: usize = 5;

/// Characters of a condition's value.
pub(crate) const MAX_CONDITION_VALUE: usize = 128;

/// Characters of a header's name, and of a method.
pub(crate) const MAX_HEADER_NAME: usize = 40;

/// Security groups of a load balancer.
pub(crate) const MAX_SECURITY_GROUPS: usize = 5;

/// Tags of a resource.
pub(crate) const MAX_TAGS: usize = 50;

/// Characters of a tag's key.
pub(crate) const MAX_TAG_KEY: usize = 128;

/// Characters of a tag's value.
pub(crate) const MAX_TAG_VALUE: usize = 256;

/// Resources of one operation on tags.
pub(crate) const MAX_TAGGED: usize = 20;

/// The most that a page holds, and what it holds if nothing is said.
pub(crate) const MAX_PAGE: u32 = 400;

/// Attributes of one `ModifyLoadBalancerAttributes`.
pub(crate) const MAX_ATTRIBUTES: usize = 20;

/// The last priority of rules.
pub(crate) const MAX_PRIORITY: u32 = 50_000;

/// A target group's greatest weight in an action.
pub(crate) const MAX_WEIGHT: u32 = 999;

/// Seconds in a week: the longest that a client stays with a target group.
pub(crate) const WEEK: u32 = 604_800;

/// What `DescribeAccountLimits` says: the quotas by AWS's names.
pub(crate) const ACCOUNT_LIMITS: &[(&str, usize)] = &[
    ("application-load-balancers", MAX_BALANCERS),
    ("network-load-balancers", MAX_BALANCERS),
    ("target-groups", MAX_GROUPS),
    ("listeners-per-application-load-balancer", MAX_LISTENERS),
    ("listeners-per-network-load-balancer", MAX_LISTENERS),
    ("rules-per-application-load-balancer", MAX_RULES),
    (
        "certificates-per-application-load-balancer",
        MAX_CERTIFICATES,
    ),
    ("certificates-per-network-load-balancer", MAX_CERTIFICATES),
    ("targets-per-target-group", MAX_TARGETS),
    (
        "target-groups-per-application-load-balancer",
        MAX_GROUPS_PER_BALANCER,
    ),
    (
        "target-groups-per-action-on-application-load-balancer",
        MAX_GROUPS_PER_ACTION,
    ),
    ("condition-values-per-alb-rule", MAX_CONDITION_VALUES),
    ("condition-wildcards-per-alb-rule", MAX_WILDCARDS),
];
