//! Identifiers drawn from the environment's randomness.

use types::Environment;

use crate::model::{ResourceId, SnapshotId};

/// What resource ids are written with: Base32, which survives any file system.
const LETTERS: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";

/// Letters of a resource id, behind `db-`.
const LENGTH: u32 = 26;

/// A new resource id: `db-` and 26 letters of Base32, of 128 random bits.
pub(crate) fn resource(environment: &dyn Environment) -> ResourceId {
    let bits = u128::from(environment.random()) << 64 | u128::from(environment.random());
    let letters = (0..LENGTH).map(|place| {
        let index = usize::try_from(bits >> (5 * place) & 31).unwrap_or_default();
        char::from(LETTERS[index])
    });
    ResourceId(format!("db-{}", letters.collect::<String>()))
}

/// A new snapshot's id.
pub(crate) fn snapshot(environment: &dyn Environment) -> SnapshotId {
    SnapshotId(format!("snapshot-{:016x}", environment.random()))
}
