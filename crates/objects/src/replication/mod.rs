//! Replication: what is to be told to other buckets is written in the batch of the change itself.

use store::{Batch, Engine};

use crate::Objects;
use crate::cause::{Change, What};

/// What a batch announces. It is to live until the batch's commit has returned, and to be told if
/// that has succeeded.
#[derive(Default)]
#[must_use = "it is to live until the commit has returned"]
pub(crate) struct Announced {}

impl Announced {
    /// The batch is committed.
    pub(crate) fn committed(self) {}
}

/// Adds to a change's batch what replication must do about it, and sets the version's outcomes.
/// Called with [`Objects::announcing`] held, which isn't released before the batch is on its way.
pub(crate) fn announce<E: Engine>(
    _objects: &Objects<E>,
    change: &mut Change<'_>,
    _batch: &mut Batch,
    _announced: &mut Announced,
) {
    let (key, cause, what) = (change.key, change.cause, &change.what);
    match what {
        What::Created { version, how } => {
            tracing::trace!(%key, ?cause, stamp = %version.stamp, ?how)
        }
        What::Amended {
            before,
            version,
            aspect,
        } => {
            debug_assert_eq!(before.stamp, version.stamp);
            tracing::trace!(%key, ?cause, stamp = %version.stamp, ?aspect);
        }
        What::Removed { version, replaced } => {
            tracing::trace!(%key, ?cause, stamp = %version.stamp, replaced);
        }
    }
}
