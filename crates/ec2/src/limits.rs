//! The limits of EC2's part: AWS's quotas where it has some (Amazon VPC User Guide, "Amazon VPC
//! quotas"; EC2 User Guide, "Tag your Amazon EC2 resources"), ours where it hasn't.

/// Security groups of an account in a Region.
pub(crate) const GROUPS: usize = 2_500;

/// Rules of a security group, each way.
pub(crate) const RULES: usize = 60;

/// Tags of a resource.
pub(crate) const TAGS: usize = 50;

/// The longest key of a tag, in characters.
pub(crate) const TAG_KEY: usize = 128;

/// The longest value of a tag, in characters.
pub(crate) const TAG_VALUE: usize = 256;

/// The longest name and description of a security group, and of a rule's description, in
/// characters.
pub(crate) const TEXT: usize = 255;

/// Filters of a request, and values of one filter.
pub(crate) const FILTERS: usize = 50;

/// Values of all filters of a request together (EC2 API Reference, "Filter").
pub(crate) const FILTER_VALUES: usize = 200;

/// Ids that a request may name.
pub(crate) const IDS: usize = 1_000;

/// The fewest results of a page that may be asked for, and the most.
pub(crate) const PAGE: std::ops::RangeInclusive<usize> = 5..=1_000;
