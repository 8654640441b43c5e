//! Databases as they are configured: instances, snapshots, and the groups that they name. Each is a
//! row of its Region's own configuration; what servers really do is observed, never written here
//! but for what nobody could observe again.

mod backup;
mod cluster;
mod decision;
mod endpoint;
mod event;
mod forced;
mod global;
mod groups;
mod instance;
mod lsn;
mod snapshot;
mod standby;

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

pub use backup::{PointInTime, RetainedBackup};
pub use cluster::{Cluster, Deposed, Handed, Handover, Headship, Joined, Leading};
pub use decision::Decision;
pub use endpoint::{ClusterEndpoint, EndpointKind};
pub use event::{Event, SourceType};
pub use forced::{Forced, ForcedStanding};
pub(crate) use global::MAX_FORKS;
pub use global::{Fork, GLOBAL_DOMAIN, GlobalCluster, Head, Member, Move, MoveKind, Phase};
pub use groups::{Applied, OptionGroup, ParameterGroup, SubnetGroup};
pub use instance::{
    Cause, Deletion, Farewell, Instance, Master, Origin, Pending, Power, Promotion, Replica,
    Source, StorageType,
};
pub use lsn::{ForkPoint, InvalidLsn, Lsn};
pub use snapshot::{CopyOf, Snapshot, SnapshotState};
pub use standby::Standby;

/// Tags: keys and values.
pub type Tags = BTreeMap<String, String>;

/// Settings of a server: PostgreSQL's names and its values.
pub type Parameters = BTreeMap<String, String>;

macro_rules! ids {
    ($( $(#[$outer:meta])* $name:ident; )+) => {$(
        $(#[$outer])*
        #[derive(
            Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize,
        )]
        #[serde(transparent)]
        pub struct $name(pub String);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    )+};
}

ids! {
    /// An instance's `DbiResourceId`: `db-` and 26 letters or digits of A to Z and 2 to 7. It never
    /// changes and is never used again: the name of the instance's home.
    ResourceId;
    /// What tells a snapshot from one that had its name before: `snapshot-` and 16 hexadecimal
    /// digits. The name of the folder that holds it.
    SnapshotId;
    /// A cluster's `DbClusterResourceId`: `cluster-` and 26 letters or digits of A to Z and 2 to 7.
    /// It never changes and is never used again.
    ClusterId;
    /// A custom endpoint's `DBClusterEndpointResourceIdentifier`: `cluster-endpoint-` and 26
    /// letters or digits of A to Z and 2 to 7.
    EndpointId;
    /// A global cluster's `GlobalClusterResourceId`: `cluster-` and 16 hexadecimal digits. It never
    /// changes and is never used again.
    GlobalClusterId;
}

/// A password's SCRAM-SHA-256 verifier, as PostgreSQL keeps it. Whoever has it can't log in with
/// it, but could try passwords; it isn't printed.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Verifier(pub String);

impl fmt::Debug for Verifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Verifier(..)")
    }
}
