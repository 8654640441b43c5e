//! Rows that list the parts of a version made of parts, in order: a version byte, then JSON.

use bytes::{BufMut, Bytes, BytesMut};

use crate::Extent;

/// The version of such a row's form.
const FORM: u8 = 1;

/// A row of `keys::kind::EXTENTS` for those parts.
pub fn encode_extents(extents: &[Extent]) -> Bytes {
    let mut row = BytesMut::with_capacity(1 + extents.len() * 256);
    row.put_u8(FORM);
    let mut writer = row.writer();
    serde_json::to_writer(&mut writer, extents).expect("extents are plain values");
    writer.into_inner().freeze()
}

/// The parts that such a row lists; none if it makes no sense.
pub fn decode_extents(row: &[u8]) -> Option<Vec<Extent>> {
    match row.split_first() {
        Some((&FORM, json)) => serde_json::from_slice(json).ok(),
        _ => None,
    }
}
