//! Rows as they stand in the configuration: JSON with a version. What a newer program wrote is
//! refused, never guessed at.

use bytes::Bytes;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::model::{
    Cluster, ClusterEndpoint, Decision, Event, Farewell, GlobalCluster, Instance, OptionGroup,
    ParameterGroup, RetainedBackup, Snapshot, SubnetGroup,
};

/// What is kept in a row.
pub trait Stored: Serialize + DeserializeOwned {
    /// What errors call it.
    const NOUN: &'static str;

    /// The version that this code writes, and the newest that it reads.
    const FORMAT: u32 = 1;
}

impl Stored for Instance {
    const NOUN: &'static str = "DB instance";

    /// Since 2 it may be a cluster's head, of which an older program would make a server of its
    /// own. Since 3 it may have a standby in another zone, without which an older program would let
    /// its primary acknowledge. Since 4 a head may hold what it was forced to write, which an older
    /// program would throw away.
    const FORMAT: u32 = 4;
}

impl Stored for Cluster {
    const NOUN: &'static str = "DB cluster";

    /// Since 2 it may have readers, each of which an older program would take for a head. Since 3
    /// it may be a writer by force, whom an older program would have follow. Since 4 one may take
    /// over from a head that is dead, whose log an older program would take for a part of its
    /// successor's.
    const FORMAT: u32 = 4;
}

impl Stored for ClusterEndpoint {
    const NOUN: &'static str = "custom endpoint of a DB cluster";
}

impl Stored for GlobalCluster {
    const NOUN: &'static str = "global cluster";

    /// Since 2 its members' heads have addresses, and since 3 its forks have the moves that made
    /// them, which an older program would take away again.
    const FORMAT: u32 = 3;
}

impl Stored for Decision {
    const NOUN: &'static str = "decision of a failover";
}

impl Stored for Snapshot {
    const NOUN: &'static str = "DB snapshot";

    /// Since 2 it may be a copy, which an older program would have its instance's server make.
    const FORMAT: u32 = 2;
}

impl Stored for RetainedBackup {
    const NOUN: &'static str = "retained backup";

    /// Since 2 the instance in it is of format 4.
    const FORMAT: u32 = 2;
}

impl Stored for SubnetGroup {
    const NOUN: &'static str = "DB subnet group";
}

impl Stored for ParameterGroup {
    const NOUN: &'static str = "DB parameter group";
}

impl Stored for OptionGroup {
    const NOUN: &'static str = "option group";
}

impl Stored for Event {
    const NOUN: &'static str = "event";
}

impl Stored for Farewell {
    const NOUN: &'static str = "farewell to a source";
}

/// Bytes that are no such row.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum CodecError {
    /// A newer program wrote it.
    #[error(
        "a {0} is stored in format {1}, and this program reads up to format {2}: \
         it is too old for this deployment"
    )]
    Newer(&'static str, u32, u32),
    /// It isn't what any program wrote.
    #[error("a {0} can't be read: {1}")]
    Malformed(&'static str, String),
}

/// What every version has.
#[derive(Deserialize)]
struct Version {
    format: u32,
}

#[derive(Serialize)]
struct Written<'a, T> {
    format: u32,
    row: &'a T,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Read<T> {
    #[serde(rename = "format")]
    _format: u32,
    row: T,
}

/// The bytes of a row.
pub fn encode<T: Stored>(row: &T) -> Bytes {
    let written = Written {
        format: T::FORMAT,
        row,
    };
    let bytes = serde_json::to_vec(&written);
    bytes
        .expect("rows are texts and numbers with string keys")
        .into()
}

/// Reads a row back.
///
/// # Errors
///
/// [`CodecError`]: the bytes are not what [`encode`] writes.
pub fn decode<T: Stored>(bytes: &[u8]) -> Result<T, CodecError> {
    let malformed = |error: serde_json::Error| CodecError::Malformed(T::NOUN, error.to_string());
    let version: Version = serde_json::from_slice(bytes).map_err(malformed)?;
    if version.format > T::FORMAT {
        return Err(CodecError::Newer(T::NOUN, version.format, T::FORMAT));
    }
    if version.format == 0 {
        let text = "it has format 0".to_owned();
        return Err(CodecError::Malformed(T::NOUN, text));
    }
    let read: Read<T> = serde_json::from_slice(bytes).map_err(malformed)?;
    Ok(read.row)
}

#[cfg(test)]
#[path = "codec/tests.rs"]
mod tests;
