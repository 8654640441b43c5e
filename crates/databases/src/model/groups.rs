//! What instances name: groups of subnets, of parameters and of options.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use types::AvailabilityZone;

use super::Tags;
use crate::arn::GroupArn;
use crate::words::words;

words! {
    /// From when a parameter that was set is in force.
    pub enum Applied {
        /// At once.
        Immediate = "immediate",
        /// From the next reboot on.
        PendingReboot = "pending-reboot",
    }
}

/// A DB subnet group. Subnets here are the default ones of zones.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct SubnetGroup {
    /// Its name.
    pub arn: GroupArn,
    /// What it is for.
    pub description: String,
    /// The zones of its subnets.
    pub zones: BTreeSet<AvailabilityZone>,
    /// Its tags.
    pub tags: Tags,
}

/// A DB parameter group.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct ParameterGroup {
    /// Its name.
    pub arn: GroupArn,
    /// Of which engine: `postgres15`.
    pub family: String,
    /// What it is for.
    pub description: String,
    /// The parameters that were set, and from when they are in force.
    pub parameters: BTreeMap<String, (String, Applied)>,
    /// Its tags.
    pub tags: Tags,
}

/// An option group: PostgreSQL has no options.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct OptionGroup {
    /// Its name.
    pub arn: GroupArn,
    /// What it is for.
    pub description: String,
    /// The major version of the engine: `15`.
    pub major_version: String,
    /// Its tags.
    pub tags: Tags,
}
