//! What an edge tells the Regions: which revision of the configuration its answers follow. A
//! change is `INSYNC` when every living edge serves it.

use bytes::{BufMut, Bytes, BytesMut};

/// The version of the bytes that this code writes.
const VERSION: u8 = 1;

/// The revision that an edge serves.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Serving {
    /// The configuration's revision.
    pub revision: u64,
}

/// Bytes that are no such note, or one of a newer program.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("a serving note that this program doesn't understand")]
pub struct UnknownNote;

impl Serving {
    /// The note's bytes.
    pub fn encode(self) -> Bytes {
        let mut bytes = BytesMut::with_capacity(9);
        bytes.put_u8(VERSION);
        bytes.put_u64(self.revision);
        bytes.freeze()
    }

    /// Reads a note back.
    ///
    /// # Errors
    /// When the bytes are not what [`Serving::encode`] writes.
    pub fn decode(bytes: &[u8]) -> Result<Serving, UnknownNote> {
        match bytes.split_first() {
            Some((&VERSION, revision)) => {
                let revision = revision.try_into().map_err(|_| UnknownNote)?;
                let revision = u64::from_be_bytes(revision);
                Ok(Serving { revision })
            }
            _ => Err(UnknownNote),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_golden_bytes_of_a_note() {
        let note = Serving { revision: 0x0102 };
        let golden = [1, 0, 0, 0, 0, 0, 0, 1, 2];
        assert_eq!(note.encode().as_ref(), golden);
        assert_eq!(Serving::decode(&golden), Ok(note));
        for bad in [&[][..], &[1], &[2, 0, 0, 0, 0, 0, 0, 1, 2], &[1; 10]] {
            assert_eq!(Serving::decode(bad), Err(UnknownNote));
        }
    }
}
