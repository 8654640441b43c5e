//! What a replica's Region asks its source's Region: plain values, and the trait of whoever carries
//! them there. How a source answers is in `attach`; nothing here crosses to another Region by
//! itself.

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;

use serde::{Deserialize, Serialize};

use crate::arn::{InstanceArn, SnapshotArn};
use crate::model::{Farewell, ResourceId, Snapshot, StorageType};

/// A replica asks to be one of a source.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct AttachRequest {
    /// The source.
    pub source: InstanceArn,
    /// The replica that is to be.
    pub replica: InstanceArn,
    /// Its resource id.
    pub replica_id: ResourceId,
}

/// What a replica takes over from its source.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct SourceFacts {
    /// The source's resource id: what its stream is asked for by.
    pub resource_id: ResourceId,
    /// The slot that it keeps for this replica from now on.
    pub slot: String,
    /// Its version of PostgreSQL.
    pub engine_version: String,
    /// Its class.
    pub class: String,
    /// Its storage in GiB.
    pub allocated_storage: u32,
    /// What its storage is said to be.
    pub storage_type: StorageType,
    /// Its port.
    pub port: u16,
    /// Its first user.
    pub master_username: String,
    /// The database that it was made with.
    pub database: Option<String>,
    /// The least values of settings that a standby of it may have.
    pub floors: BTreeMap<String, u64>,
}

/// A snapshot asks to be a copy of another.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CopyRequest {
    /// The other.
    pub source: SnapshotArn,
    /// The copy that is to be.
    pub copy: SnapshotArn,
}

/// Why a source is none.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, thiserror::Error)]
pub enum AttachRefusal {
    /// There is no such instance.
    #[error("The source instance could not be found: {0}")]
    NotFound(String),
    /// It can't be replicated as it is: in RDS's words.
    #[error("{0}")]
    State(String),
    /// It has as many replicas as it may.
    #[error("{0}")]
    TooMany(String),
    /// What it says can't be understood, or it can't answer: in words.
    #[error("{0}")]
    Internal(String),
}

/// Why there is no answer of the source's Region.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum SourceError {
    /// It isn't a Region of this deployment.
    #[error("{0} is not a Region of this deployment")]
    NoSuchRegion(String),
    /// It didn't answer in time.
    #[error("the source's Region can't be reached")]
    Unreachable,
    /// It refused.
    #[error(transparent)]
    Refused(AttachRefusal),
}

/// The answer of a source's Region, in time.
pub type SourceAnswer<'a, T> = Pin<Box<dyn Future<Output = Result<T, SourceError>> + Send + 'a>>;

/// The way to sources in other Regions. It waits for a bounded time.
pub trait SourceView: Send + Sync + 'static {
    /// Asks the source's Region to take the replica; asked twice, it answers the same.
    fn attach<'a>(&'a self, request: &'a AttachRequest) -> SourceAnswer<'a, SourceFacts>;

    /// Tells the source's Region that the replica is none any more; told twice, nothing happens.
    fn detach<'a>(&'a self, farewell: &'a Farewell) -> SourceAnswer<'a, ()>;

    /// Asks the Region of a snapshot for leave to copy it, and what it is; asked twice, it answers
    /// the same.
    fn snapshot<'a>(&'a self, request: &'a CopyRequest) -> SourceAnswer<'a, Box<Snapshot>>;
}
