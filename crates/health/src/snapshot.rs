//! The last known status of each check, in the bytes that a site keeps on its disk: what counts
//! after a restart until the first checker is heard. Layout: format version (1), number of
//! checks (4, big-endian), and for each its id (length and bytes) and 0 unhealthy / 1 healthy.

use std::collections::BTreeMap;

use bytes::{Buf, BufMut, Bytes, BytesMut};
use types::HealthCheckId;

use crate::limits::{MAX_CHECKS, MAX_ID, MAX_SNAPSHOT};
use crate::message::{MessageError, byte, text};

const VERSION: u8 = 1;

/// Kept statuses couldn't be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SnapshotError {
    /// Written by a newer Causeway.
    #[error("kept health statuses have format version {0}; this binary understands up to 1")]
    Version(u8),
    /// They are cut short, overlong, or say what can't be.
    #[error("kept health statuses make no sense")]
    Malformed,
}

impl From<MessageError> for SnapshotError {
    fn from(_: MessageError) -> SnapshotError {
        SnapshotError::Malformed
    }
}

pub(crate) fn encode(statuses: &BTreeMap<HealthCheckId, bool>) -> Bytes {
    let mut out = BytesMut::with_capacity(5 + statuses.len() * 40);
    out.put_u8(VERSION);
    out.put_u32(u32::try_from(statuses.len()).expect("at most MAX_CHECKS are known"));
    for (id, healthy) in statuses {
        out.put_u8(u8::try_from(id.0.len()).expect("an id has at most MAX_ID bytes"));
        out.put_slice(id.0.as_bytes());
        out.put_u8(u8::from(*healthy));
    }
    out.freeze()
}

pub(crate) fn decode(mut bytes: &[u8]) -> Result<BTreeMap<HealthCheckId, bool>, SnapshotError> {
    if bytes.len() > MAX_SNAPSHOT {
        return Err(SnapshotError::Malformed);
    }
    let bytes = &mut bytes;
    let version = byte(bytes)?;
    if version != VERSION {
        return Err(SnapshotError::Version(version));
    }
    if bytes.remaining() < 4 {
        return Err(SnapshotError::Malformed);
    }
    let count = bytes.get_u32() as usize;
    if count > MAX_CHECKS {
        return Err(SnapshotError::Malformed);
    }
    let mut statuses = BTreeMap::new();
    for _ in 0..count {
        let id = HealthCheckId(text(bytes, MAX_ID)?);
        let healthy = match byte(bytes)? {
            0 => false,
            1 => true,
            _ => return Err(SnapshotError::Malformed),
        };
        if statuses
            .last_key_value()
            .is_some_and(|(last, _)| *last >= id)
        {
            return Err(SnapshotError::Malformed);
        }
        statuses.insert(id, healthy);
    }
    if bytes.is_empty() {
        Ok(statuses)
    } else {
        Err(SnapshotError::Malformed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> BTreeMap<HealthCheckId, bool> {
        let id = |id: &str| HealthCheckId(id.to_owned());
        BTreeMap::from([(id("a"), true), (id("bc"), false)])
    }

    #[test]
    fn golden_bytes() {
        let golden = [1, 0, 0, 0, 2, 1, b'a', 1, 2, b'b', b'c', 0];
        assert_eq!(encode(&sample()).as_ref(), golden);
        assert_eq!(decode(&golden), Ok(sample()));
    }

    #[test]
    fn truncations_extensions_and_changes_are_refused() {
        let bytes = encode(&sample());
        for length in 0..bytes.len() {
            assert!(decode(&bytes[..length]).is_err(), "cut to {length}");
        }
        assert!(decode(&[&bytes[..], &[0]].concat()).is_err());
        for at in 0..bytes.len() {
            for value in 0..=255 {
                let mut changed = bytes.to_vec();
                changed[at] = value;
                if let Ok(statuses) = decode(&changed) {
                    assert_eq!(encode(&statuses).as_ref(), changed);
                }
            }
        }
        assert_eq!(decode(&[2]), Err(SnapshotError::Version(2)));
    }

    #[test]
    fn the_most_that_is_kept_is_read_again() {
        let id = |number: usize| HealthCheckId(format!("{number:0MAX_ID$}"));
        let all: BTreeMap<HealthCheckId, bool> =
            (0..MAX_CHECKS).map(|number| (id(number), false)).collect();
        let bytes = encode(&all);
        assert!(bytes.len() <= MAX_SNAPSHOT);
        assert_eq!(decode(&bytes), Ok(all));
    }
}
