//! What happened to an instance, a cluster, a snapshot or a group, as `DescribeEvents` tells it.

use serde::{Deserialize, Serialize};
use types::{AccountId, Timestamp};

use crate::words::words;

words! {
    /// What an event is about.
    pub enum SourceType {
        /// A DB instance.
        Instance = "db-instance",
        /// A DB cluster.
        Cluster = "db-cluster",
        /// A DB parameter group.
        ParameterGroup = "db-parameter-group",
        /// A DB snapshot.
        Snapshot = "db-snapshot",
    }
}

/// An event: one row.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Event {
    /// Whose.
    pub account: AccountId,
    /// When.
    pub date: Timestamp,
    /// What it is about.
    pub source_type: SourceType,
    /// The name of what it is about.
    pub source: String,
    /// The ARN of what it is about.
    pub source_arn: String,
    /// In RDS's words.
    pub message: String,
    /// RDS's categories of it.
    pub categories: Vec<String>,
}
