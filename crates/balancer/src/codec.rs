//! Load balancers and target groups as they stand in the configuration: JSON with a version. What
//! a newer program wrote is refused, never guessed at.

use bytes::Bytes;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::model::{LoadBalancer, TargetGroup};

/// The version that this code writes, and the newest that it reads.
pub const FORMAT: u32 = 1;

/// What is kept in a row.
pub trait Stored: Serialize + DeserializeOwned {
    /// What errors call it.
    const NOUN: &'static str;
}

impl Stored for LoadBalancer {
    const NOUN: &'static str = "load balancer";
}

impl Stored for TargetGroup {
    const NOUN: &'static str = "target group";
}

/// Bytes that are no such row.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum CodecError {
    /// A newer program wrote it.
    #[error(
        "a {0} is stored in format {1}, and this program reads up to format {FORMAT}: \
         it is too old for this deployment"
    )]
    Newer(&'static str, u32),
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
        format: FORMAT,
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
    if version.format > FORMAT {
        return Err(CodecError::Newer(T::NOUN, version.format));
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
