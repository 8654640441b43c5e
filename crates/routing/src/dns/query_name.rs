//! A name that is looked up: lowercase on the stack, its labels found, hashed label by label
//! from the root so that every suffix's hash falls out on the way.

use crate::name::{MAX_LABEL, MAX_LABELS, MAX_NAME};

/// A name in lowercase wire form.
#[derive(Clone)]
pub(crate) struct QueryName {
    wire: [u8; MAX_NAME],
    length: u8,
    labels: u8,
    starts: [u8; MAX_LABELS + 1],
}

/// The hash of the root.
pub(crate) const ROOT_HASH: u64 = 0x243f_6a88_85a3_08d3;

const MULTIPLIER: u64 = 0x9e37_79b9_7f4a_7c15;

/// The hash of the name that has `label` to the left of a name hashed to `hash`.
#[inline]
pub(crate) fn extend_hash(hash: u64, label: &[u8]) -> u64 {
    let mut hash = hash ^ (label.len() as u64).wrapping_mul(MULTIPLIER);
    let (chunks, rest) = label.as_chunks::<8>();
    for chunk in chunks {
        hash = mix(hash ^ u64::from_le_bytes(*chunk));
    }
    let mut last = 0;
    for octet in rest {
        last = last << 8 | u64::from(*octet);
    }
    mix(hash ^ last)
}

/// Folds a product of 128 bits.
#[inline]
fn mix(value: u64) -> u64 {
    let product = u128::from(value) * u128::from(MULTIPLIER);
    (product as u64) ^ (product >> 64) as u64
}

/// The hash of a whole name in wire form.
pub(crate) fn hash_name(wire: &[u8]) -> u64 {
    match QueryName::read(wire) {
        Some((name, _)) => (0..name.labels()).rev().fold(ROOT_HASH, |hash, label| {
            extend_hash(hash, name.label(label))
        }),
        None => ROOT_HASH,
    }
}

impl QueryName {
    /// Reads the name at the start of `bytes`, which must not be compressed, and says how long
    /// it is. `None` if none is there within the limits of RFC 1035.
    #[inline]
    pub(crate) fn read(bytes: &[u8]) -> Option<(QueryName, usize)> {
        let mut name = QueryName {
            wire: [0; MAX_NAME],
            length: 0,
            labels: 0,
            starts: [0; MAX_LABELS + 1],
        };
        let mut at = 0;
        loop {
            let length = usize::from(*bytes.get(at)?);
            let end = at + 1 + length;
            if length > MAX_LABEL || end > MAX_NAME {
                return None;
            }
            name.starts[usize::from(name.labels)] = u8::try_from(at).ok()?;
            if length == 0 {
                name.length = u8::try_from(end).ok()?;
                return Some((name, end));
            }
            let label = bytes.get(at..end)?;
            let copy = &mut name.wire[at..end];
            copy.copy_from_slice(label);
            // The length is at most 63, below the capitals.
            copy.make_ascii_lowercase();
            name.labels += 1;
            at = end;
        }
    }

    /// Labels, without the root's.
    #[inline]
    pub(crate) fn labels(&self) -> usize {
        usize::from(self.labels)
    }

    /// Where the label of that number from the left begins; the root's, for `labels()`.
    #[inline]
    pub(crate) fn start(&self, label: usize) -> usize {
        usize::from(self.starts[label])
    }

    /// The octets of a label.
    #[inline]
    pub(crate) fn label(&self, label: usize) -> &[u8] {
        &self.wire[self.start(label) + 1..self.start(label + 1)]
    }

    /// The name from that label on, in wire form.
    #[inline]
    pub(crate) fn suffix(&self, label: usize) -> &[u8] {
        &self.wire[self.start(label)..usize::from(self.length)]
    }

    /// The name in wire form.
    pub(crate) fn wire(&self) -> &[u8] {
        self.suffix(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Name;

    #[test]
    fn a_name_is_read_in_lowercase_label_by_label() {
        let (name, length) = QueryName::read(b"\x03WwW\x07example\x03cOm\x00rest").unwrap();
        assert_eq!(length, 17);
        assert_eq!(name.labels(), 3);
        assert_eq!(name.label(0), b"www");
        assert_eq!(name.suffix(1), b"\x07example\x03com\x00");
        assert_eq!(name.suffix(3), b"\x00");
        assert_eq!(name.wire(), Name::parse("www.example.com").unwrap().wire());
    }

    #[test]
    fn what_is_no_name_is_refused() {
        let too_long = [&b"\x3f"[..], &[b'a'; 63]].concat().repeat(4);
        for bad in [
            &b""[..],
            b"\x03ww",
            b"\x03www",
            b"\xc0\x0c",
            b"\x40a",
            &too_long,
        ] {
            assert!(QueryName::read(bad).is_none());
        }
        let longest = b"\x01a".repeat(127);
        let (name, length) = QueryName::read(&[&longest[..], &[0]].concat()).unwrap();
        assert_eq!((name.labels(), length), (127, 255));
    }

    #[test]
    fn suffixes_hash_as_the_names_they_are() {
        let whole = hash_name(b"\x01a\x0bexample-one\x03com\x00");
        let zone = hash_name(b"\x0bexample-one\x03com\x00");
        assert_eq!(extend_hash(zone, b"a"), whole);
        assert_ne!(hash_name(b"\x02ab\x00"), hash_name(b"\x01a\x01b\x00"));
    }
}
