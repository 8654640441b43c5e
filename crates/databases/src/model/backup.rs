//! Automated backups: what an instance is restored to, and what stays of one that is deleted.

use serde::{Deserialize, Serialize};
use types::Timestamp;

use super::{Instance, ResourceId, SnapshotId};

/// A moment of an instance, and what it is restored from.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct PointInTime {
    /// Whose log is replayed.
    pub source: ResourceId,
    /// The snapshot that it is replayed on.
    pub snapshot: SnapshotId,
    /// Up to when, by the source's server's clock.
    pub moment: Timestamp,
}

/// The automated backups of an instance that is deleted: a row until nothing is left of them.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct RetainedBackup {
    /// The instance, as it was.
    pub instance: Instance,
    /// When it was gone.
    pub deleted: Timestamp,
    /// When the last of its backups goes; not later than it was gone: at once.
    pub until: Timestamp,
}
