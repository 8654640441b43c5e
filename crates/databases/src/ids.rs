//! Identifiers drawn from the environment's randomness.

use types::Environment;

use crate::model::{ClusterId, EndpointId, GlobalClusterId, ResourceId, SnapshotId};

/// What resource ids are written with: Base32, which survives any file system.
const LETTERS: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";

/// Letters of a resource id, behind `db-`.
const LENGTH: u32 = 26;

/// A new resource id: `db-` and 26 letters of Base32, of 128 random bits.
pub(crate) fn resource(environment: &dyn Environment) -> ResourceId {
    ResourceId(format!("db-{}", letters(environment)))
}

/// A new cluster's resource id: `cluster-` and 26 letters of Base32, of 128 random bits.
pub(crate) fn cluster(environment: &dyn Environment) -> ClusterId {
    ClusterId(format!("cluster-{}", letters(environment)))
}

/// A new custom endpoint's resource id: `cluster-endpoint-` and 26 letters of Base32.
pub(crate) fn endpoint(environment: &dyn Environment) -> EndpointId {
    EndpointId(format!("cluster-endpoint-{}", letters(environment)))
}

/// A new global cluster's resource id.
pub(crate) fn global_cluster(environment: &dyn Environment) -> GlobalClusterId {
    GlobalClusterId(format!("cluster-{:016x}", environment.random()))
}

fn letters(environment: &dyn Environment) -> String {
    let bits = u128::from(environment.random()) << 64 | u128::from(environment.random());
    let letters = (0..LENGTH).map(|place| {
        let index = usize::try_from(bits >> (5 * place) & 31).unwrap_or_default();
        char::from(LETTERS[index])
    });
    letters.collect()
}

/// A new snapshot's id.
pub(crate) fn snapshot(environment: &dyn Environment) -> SnapshotId {
    SnapshotId(format!("snapshot-{:016x}", environment.random()))
}
