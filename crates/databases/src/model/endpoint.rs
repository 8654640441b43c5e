//! A custom endpoint of a DB cluster: which of its instances it leads to.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;

use serde::{Deserialize, Serialize};
use types::Timestamp;

use super::{ClusterId, EndpointId, Tags};
use crate::arn::{ClusterArn, EndpointArn};
use crate::words::words;

words! {
    /// A `CustomEndpointType`.
    pub enum EndpointKind {
        /// It leads to readers alone.
        Reader = "READER",
        /// It leads to any instance.
        Any = "ANY",
    }
}

/// A custom endpoint: one row of its Region's configuration.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct ClusterEndpoint {
    /// Its `DBClusterEndpointResourceIdentifier`.
    pub resource_id: EndpointId,
    /// Its name, Region and account.
    pub arn: EndpointArn,
    /// Its cluster's resource id.
    pub cluster: ClusterId,
    /// Its cluster's name.
    pub cluster_arn: ClusterArn,
    /// What it leads to.
    pub kind: EndpointKind,
    /// The names of the instances that it leads to; empty: all but those that are excluded.
    pub static_members: BTreeSet<String>,
    /// The names of the instances that it doesn't lead to.
    pub excluded_members: BTreeSet<String>,
    /// Its address; its port is its cluster's.
    pub address: Ipv4Addr,
    /// When it was asked for.
    pub created: Timestamp,
    /// Its tags.
    pub tags: Tags,
}

impl ClusterEndpoint {
    /// May it lead to the instance of that name, which is its cluster's head or one of its readers?
    pub fn leads_to(&self, identifier: &str, is_head: bool) -> bool {
        let is_listed = match self.static_members.is_empty() {
            true => !self.excluded_members.contains(identifier),
            false => self.static_members.contains(identifier),
        };
        is_listed && (self.kind == EndpointKind::Any || !is_head)
    }
}
