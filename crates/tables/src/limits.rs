//! The limits of operations, in one place; those of items, keys and expressions stand where
//! those are built. Source: AWS, "Quotas in Amazon DynamoDB", 2026.

/// Bytes of items that one page of `Query` or `Scan` reads.
pub(crate) const PAGE_SIZE: usize = 1024 * 1024;
/// Keys of one `BatchGetItem`.
pub(crate) const BATCH_GET_KEYS: usize = 100;
/// Bytes that one `BatchGetItem` returns.
pub(crate) const BATCH_GET_SIZE: usize = 16 * 1024 * 1024;
/// Requests of one `BatchWriteItem`.
pub(crate) const BATCH_WRITE_ITEMS: usize = 25;
/// Tables of an account in a Region.
pub(crate) const TABLES: usize = 2500;
/// Global secondary indexes of a table.
pub(crate) const GLOBAL_INDEXES: usize = 20;
/// Local secondary indexes of a table.
pub(crate) const LOCAL_INDEXES: usize = 5;
/// Attributes that the indexes of a table include, all `INCLUDE` projections together.
pub(crate) const PROJECTED_ATTRIBUTES: usize = 100;
/// Attributes that one index includes.
pub(crate) const INCLUDED_ATTRIBUTES: i64 = 20;
/// Names that one `ListTables` returns.
pub(crate) const LIST_TABLES: i64 = 100;
/// Bytes of a resource policy, white space counted.
pub(crate) const RESOURCE_POLICY: usize = 20 * 1024;
/// Tags of a table.
pub(crate) const TAGS: usize = 50;
/// Tags that one `ListTagsOfResource` returns.
pub(crate) const LIST_TAGS: usize = 10;
/// The greatest provisioned capacity that can be named.
pub(crate) const THROUGHPUT: i64 = 1_000_000_000_000;
/// Characters of a table's or an index's name.
pub(crate) const NAME: std::ops::RangeInclusive<usize> = 3..=255;
