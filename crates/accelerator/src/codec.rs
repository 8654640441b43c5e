//! An accelerator as it stands in the configuration: JSON with a version. What a newer program
//! wrote is refused, never guessed at.

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::model::Accelerator;

/// The version that this code writes, and the newest that it reads.
pub const FORMAT: u32 = 1;

/// Bytes that are no accelerator.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum CodecError {
    /// A newer program wrote it.
    #[error(
        "an accelerator is stored in format {0}, and this program reads up to format {FORMAT}: \
         it is too old for this deployment"
    )]
    Newer(u32),
    /// It isn't what any program wrote.
    #[error("an accelerator can't be read: {0}")]
    Malformed(String),
}

/// What every version has.
#[derive(Deserialize)]
struct Version {
    format: u32,
}

#[derive(Serialize)]
struct Written<'a> {
    format: u32,
    accelerator: &'a Accelerator,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Read {
    #[serde(rename = "format")]
    _format: u32,
    accelerator: Accelerator,
}

/// The bytes of an accelerator.
pub fn encode(accelerator: &Accelerator) -> Bytes {
    let written = Written {
        format: FORMAT,
        accelerator,
    };
    let bytes = serde_json::to_vec(&written);
    bytes
        .expect("an accelerator is texts and numbers with string keys")
        .into()
}

/// Reads an accelerator back.
///
/// # Errors
///
/// [`CodecError`]: the bytes are not what [`encode`] writes.
pub fn decode(bytes: &[u8]) -> Result<Accelerator, CodecError> {
    let malformed = |error: serde_json::Error| CodecError::Malformed(error.to_string());
    let version: Version = serde_json::from_slice(bytes).map_err(malformed)?;
    if version.format > FORMAT {
        return Err(CodecError::Newer(version.format));
    }
    if version.format == 0 {
        return Err(CodecError::Malformed("it has format 0".to_owned()));
    }
    let read: Read = serde_json::from_slice(bytes).map_err(malformed)?;
    Ok(read.accelerator)
}
