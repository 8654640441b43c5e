//! The fields of messages about objects: big-endian numbers, and bytes with their length before
//! them. What ends early, or is longer than it may be, is refused.

use bytes::{Buf, BufMut, Bytes, BytesMut};

use super::message::{MAX_FIELDS, MessageError};

/// A message's kind and number.
pub(super) fn head(bytes: &mut BytesMut, kind: u8, task: u64) {
    bytes.put_u8(kind);
    bytes.put_u64(task);
}

/// A field with its length.
pub(super) fn put_bytes(bytes: &mut BytesMut, field: &[u8]) {
    let length = u32::try_from(field.len()).expect("fields are far below 4 GiB");
    bytes.put_u32(length);
    bytes.put_slice(field);
}

/// Bytes that are read field by field.
pub(super) struct Fields(pub Bytes);

impl Fields {
    /// Was everything read?
    pub fn is_at_end(&self) -> bool {
        self.0.is_empty()
    }

    pub fn byte(&mut self) -> Result<u8, MessageError> {
        self.0.try_get_u8().map_err(|_| MessageError::Malformed)
    }

    pub fn int(&mut self) -> Result<u32, MessageError> {
        self.0.try_get_u32().map_err(|_| MessageError::Malformed)
    }

    pub fn long(&mut self) -> Result<u64, MessageError> {
        self.0.try_get_u64().map_err(|_| MessageError::Malformed)
    }

    pub fn flag(&mut self) -> Result<bool, MessageError> {
        match self.byte()? {
            0 => Ok(false),
            1 => Ok(true),
            _ => Err(MessageError::Malformed),
        }
    }

    pub fn bytes(&mut self, most: usize) -> Result<Bytes, MessageError> {
        let length = self.int()? as usize;
        if length > most || length > self.0.len() {
            return Err(MessageError::Malformed);
        }
        Ok(self.0.split_to(length))
    }

    pub fn text(&mut self) -> Result<String, MessageError> {
        let bytes = self.bytes(MAX_FIELDS)?;
        String::from_utf8(bytes.to_vec()).map_err(|_| MessageError::Malformed)
    }
}
