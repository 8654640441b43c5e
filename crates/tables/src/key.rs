//! Keys of items and of index entries: order-preserving, self-delimiting bytes, and the ranges
//! that sort conditions select among them.
//!
//! The encoding of a value begins with its type and ends where it says, so no two keys collide
//! and none is another's prefix. Within a type, byte order is the service's order: text and
//! binary by unsigned bytes, numbers by value. It knows no table: which attributes make a key is
//! the caller's to say.

use std::ops::Bound;

use bytes::Bytes;
use sha2::{Digest, Sha256};

use crate::{AttributeType, AttributeValue, Number};

/// The greatest partition key in bytes (developer guide, "Service quotas").
pub const MAX_PARTITION_KEY_SIZE: usize = 2048;
/// The greatest sort key in bytes (developer guide, "Service quotas").
pub const MAX_SORT_KEY_SIZE: usize = 1024;

const NUMBER: u8 = 0x10;
const STRING: u8 = 0x20;
const BINARY: u8 = 0x30;

/// A zero byte inside text is followed by this, the end by [`END`]: so an end sorts before every
/// continuation.
const ESCAPED: u8 = 0xff;
const END: u8 = 0x00;

/// Why a value or bytes are no key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// Only strings, numbers and binaries can be keys.
    #[error("a value of type {0} can't be part of a key")]
    Type(AttributeType),
    /// The bytes are not a key's.
    #[error("not the encoding of a key")]
    Malformed,
}

/// A decoded key of an item.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ItemKey {
    /// The table's number.
    pub table: u64,
    /// The partition key's value.
    pub partition: AttributeValue,
    /// The sort key's value, where the table has one.
    pub sort: Option<AttributeValue>,
}

/// A decoded key of an index entry.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct IndexKey {
    /// The table's number.
    pub table: u64,
    /// The index's number.
    pub index: u32,
    /// The values: the index's partition key, its sort key where it has one, then the item's
    /// partition key, and its sort key where the table has one.
    pub values: Vec<AttributeValue>,
}

/// A range of keys: where it starts and where it ends.
pub type KeyRange = (Bound<Vec<u8>>, Bound<Vec<u8>>);

/// A condition on a sort key. Its values are of the key's type.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum SortCondition {
    /// `=`.
    Equal(AttributeValue),
    /// `<`.
    Less(AttributeValue),
    /// `<=`.
    LessOrEqual(AttributeValue),
    /// `>`.
    Greater(AttributeValue),
    /// `>=`.
    GreaterOrEqual(AttributeValue),
    /// `BETWEEN … AND …`, both included.
    Between(AttributeValue, AttributeValue),
    /// `begins_with`, of a string or a binary.
    BeginsWith(AttributeValue),
}

/// Appends the encoding of a key attribute's value.
///
/// # Errors
/// When the value is of a type that keys can't have.
pub fn encode_key_value(value: &AttributeValue, out: &mut Vec<u8>) -> Result<(), KeyError> {
    match value {
        AttributeValue::Number(number) => {
            out.push(NUMBER);
            number.encode(out);
            return Ok(());
        }
        _ => encode_prefix(value, out)?,
    }
    out.extend_from_slice(&[0, END]);
    Ok(())
}

/// Reads a key attribute's value from the front of `bytes`; gives it and what follows it.
///
/// # Errors
/// When the bytes are not what [`encode_key_value`] writes.
pub fn decode_key_value(bytes: &[u8]) -> Result<(AttributeValue, &[u8]), KeyError> {
    let (tag, rest) = bytes.split_first().ok_or(KeyError::Malformed)?;
    match *tag {
        NUMBER => {
            let (number, rest) = Number::decode(rest).map_err(|_| KeyError::Malformed)?;
            Ok((AttributeValue::Number(number), rest))
        }
        STRING => {
            let (text, rest) = unescape(rest)?;
            let text = String::from_utf8(text).map_err(|_| KeyError::Malformed)?;
            Ok((AttributeValue::String(text), rest))
        }
        BINARY => {
            let (binary, rest) = unescape(rest)?;
            Ok((AttributeValue::Binary(Bytes::from(binary)), rest))
        }
        _ => Err(KeyError::Malformed),
    }
}

/// The hash of a partition key's encoding, which spreads partitions over the key space: the
/// first four bytes of SHA-256. Part of the format of keys.
pub fn partition_hash(encoded: &[u8]) -> u32 {
    let digest = Sha256::digest(encoded);
    u32::from_be_bytes([digest[0], digest[1], digest[2], digest[3]])
}

/// What all keys of a table's items begin with.
pub fn table_prefix(table: u64) -> Vec<u8> {
    table.to_be_bytes().to_vec()
}

/// What all keys of one partition of a table begin with.
///
/// # Errors
/// When the value is of a type that keys can't have.
pub fn partition_prefix(table: u64, partition: &AttributeValue) -> Result<Vec<u8>, KeyError> {
    let mut key = table_prefix(table);
    put_partition(partition, &mut key)?;
    Ok(key)
}

/// The key of an item.
///
/// # Errors
/// When a value is of a type that keys can't have.
pub fn item_key(
    table: u64,
    partition: &AttributeValue,
    sort: Option<&AttributeValue>,
) -> Result<Vec<u8>, KeyError> {
    let mut key = partition_prefix(table, partition)?;
    if let Some(sort) = sort {
        encode_key_value(sort, &mut key)?;
    }
    Ok(key)
}

/// Reads the key of an item.
///
/// # Errors
/// When the bytes are not what [`item_key`] gives.
pub fn decode_item_key(bytes: &[u8]) -> Result<ItemKey, KeyError> {
    let (table, rest) = take(bytes).map(|(bytes, rest)| (u64::from_be_bytes(bytes), rest))?;
    let (partition, rest) = take_partition(rest)?;
    let sort = match rest {
        [] => None,
        rest => match decode_key_value(rest)? {
            (sort, []) => Some(sort),
            _ => return Err(KeyError::Malformed),
        },
    };
    Ok(ItemKey {
        table,
        partition,
        sort,
    })
}

/// What all keys of an index's entries begin with.
pub fn index_prefix(table: u64, index: u32) -> Vec<u8> {
    let mut key = table_prefix(table);
    key.extend_from_slice(&index.to_be_bytes());
    key
}

/// What all keys of one partition of an index begin with.
///
/// # Errors
/// When the value is of a type that keys can't have.
pub fn index_partition_prefix(
    table: u64,
    index: u32,
    partition: &AttributeValue,
) -> Result<Vec<u8>, KeyError> {
    let mut key = index_prefix(table, index);
    put_partition(partition, &mut key)?;
    Ok(key)
}

/// The key of an index entry: the index's key, then the item's own, so that items that are equal
/// in the index have entries of their own.
///
/// # Errors
/// When a value is of a type that keys can't have.
pub fn index_key(
    table: u64,
    index: u32,
    index_key: (&AttributeValue, Option<&AttributeValue>),
    item_key: (&AttributeValue, Option<&AttributeValue>),
) -> Result<Vec<u8>, KeyError> {
    let mut key = index_partition_prefix(table, index, index_key.0)?;
    for value in index_key
        .1
        .into_iter()
        .chain([item_key.0])
        .chain(item_key.1)
    {
        encode_key_value(value, &mut key)?;
    }
    Ok(key)
}

/// Reads the key of an index entry.
///
/// # Errors
/// When the bytes are not what [`index_key`] gives.
pub fn decode_index_key(bytes: &[u8]) -> Result<IndexKey, KeyError> {
    let (table, rest) = take(bytes).map(|(bytes, rest)| (u64::from_be_bytes(bytes), rest))?;
    let (index, rest) = take(rest).map(|(bytes, rest)| (u32::from_be_bytes(bytes), rest))?;
    let (partition, mut rest) = take_partition(rest)?;
    let mut values = vec![partition];
    while !rest.is_empty() {
        if values.len() == 4 {
            return Err(KeyError::Malformed);
        }
        let (value, after) = decode_key_value(rest)?;
        values.push(value);
        rest = after;
    }
    if values.len() < 2 {
        return Err(KeyError::Malformed);
    }
    Ok(IndexKey {
        table,
        index,
        values,
    })
}

/// The least bytes that are greater than everything that begins with `prefix`; `None` where
/// there are none, because the prefix is empty or all ones.
pub fn after_prefix(prefix: &[u8]) -> Option<Vec<u8>> {
    let last = prefix.iter().rposition(|byte| *byte != 0xff)?;
    let mut after = prefix[..=last].to_vec();
    after[last] += 1;
    Some(after)
}

impl SortCondition {
    /// The range of keys that begin with `prefix` (an item's or an index's partition) and whose
    /// sort key meets the condition, whatever follows the sort key.
    ///
    /// # Errors
    /// When a value is of a type that keys can't have, or a number's in `begins_with`.
    pub fn range(&self, prefix: &[u8]) -> Result<KeyRange, KeyError> {
        let at = |value: &AttributeValue| {
            let mut key = prefix.to_vec();
            encode_key_value(value, &mut key).map(|()| key)
        };
        let after = |key: &[u8]| after_prefix(key).map_or(Bound::Unbounded, Bound::Excluded);
        // The first and the end of what has the prefix and a sort key of the value's type.
        let of_type = |value: &AttributeValue| {
            let mut key = prefix.to_vec();
            key.push(type_tag(value)?);
            Ok(key)
        };
        Ok(match self {
            SortCondition::Equal(value) => {
                let key = at(value)?;
                let end = after(&key);
                (Bound::Included(key), end)
            }
            SortCondition::Less(value) => (
                Bound::Included(of_type(value)?),
                Bound::Excluded(at(value)?),
            ),
            SortCondition::LessOrEqual(value) => {
                (Bound::Included(of_type(value)?), after(&at(value)?))
            }
            SortCondition::Greater(value) => {
                let start = after_prefix(&at(value)?).map_or(Bound::Unbounded, Bound::Included);
                (start, after(&of_type(value)?))
            }
            SortCondition::GreaterOrEqual(value) => {
                (Bound::Included(at(value)?), after(&of_type(value)?))
            }
            SortCondition::Between(low, high) => (Bound::Included(at(low)?), after(&at(high)?)),
            SortCondition::BeginsWith(start) => {
                let mut key = prefix.to_vec();
                encode_prefix(start, &mut key)?;
                let end = after(&key);
                (Bound::Included(key), end)
            }
        })
    }

    /// Does a sort key's value meet the condition?
    pub fn holds(&self, value: &AttributeValue) -> bool {
        use crate::compare::{begins_with, compare};
        let ordered = |other| compare(value, other);
        match self {
            SortCondition::Equal(other) => value == other,
            SortCondition::Less(other) => ordered(other).is_some_and(|order| order.is_lt()),
            SortCondition::LessOrEqual(other) => ordered(other).is_some_and(|order| order.is_le()),
            SortCondition::Greater(other) => ordered(other).is_some_and(|order| order.is_gt()),
            SortCondition::GreaterOrEqual(other) => {
                ordered(other).is_some_and(|order| order.is_ge())
            }
            SortCondition::Between(low, high) => {
                ordered(low).is_some_and(|order| order.is_ge())
                    && ordered(high).is_some_and(|order| order.is_le())
            }
            SortCondition::BeginsWith(start) => begins_with(value, start),
        }
    }
}

fn type_tag(value: &AttributeValue) -> Result<u8, KeyError> {
    match value {
        AttributeValue::Number(_) => Ok(NUMBER),
        AttributeValue::String(_) => Ok(STRING),
        AttributeValue::Binary(_) => Ok(BINARY),
        other => Err(KeyError::Type(other.attribute_type())),
    }
}

/// Appends the encoding of a text or binary without its end: what the encodings of all that
/// begin with it begin with.
fn encode_prefix(value: &AttributeValue, out: &mut Vec<u8>) -> Result<(), KeyError> {
    let bytes: &[u8] = match value {
        AttributeValue::String(text) => text.as_bytes(),
        AttributeValue::Binary(bytes) => bytes,
        other => return Err(KeyError::Type(other.attribute_type())),
    };
    out.push(type_tag(value)?);
    for byte in bytes {
        out.push(*byte);
        if *byte == 0 {
            out.push(ESCAPED);
        }
    }
    Ok(())
}

fn unescape(bytes: &[u8]) -> Result<(Vec<u8>, &[u8]), KeyError> {
    let mut text = Vec::new();
    let mut rest = bytes;
    loop {
        let zero = rest
            .iter()
            .position(|byte| *byte == 0)
            .ok_or(KeyError::Malformed)?;
        text.extend_from_slice(&rest[..zero]);
        match rest.get(zero + 1) {
            Some(&END) => return Ok((text, &rest[zero + 2..])),
            Some(&ESCAPED) => text.push(0),
            _ => return Err(KeyError::Malformed),
        }
        rest = &rest[zero + 2..];
    }
}

/// Appends the hash of a partition key and its encoding.
fn put_partition(partition: &AttributeValue, key: &mut Vec<u8>) -> Result<(), KeyError> {
    let start = key.len();
    key.extend_from_slice(&[0; 4]);
    encode_key_value(partition, key)?;
    let hash = partition_hash(&key[start + 4..]);
    key[start..start + 4].copy_from_slice(&hash.to_be_bytes());
    Ok(())
}

fn take_partition(bytes: &[u8]) -> Result<(AttributeValue, &[u8]), KeyError> {
    let (hash, rest) = take(bytes)?;
    let (partition, after) = decode_key_value(rest)?;
    let encoded = &rest[..rest.len() - after.len()];
    if partition_hash(encoded) != u32::from_be_bytes(hash) {
        return Err(KeyError::Malformed);
    }
    Ok((partition, after))
}

fn take<const N: usize>(bytes: &[u8]) -> Result<([u8; N], &[u8]), KeyError> {
    let (taken, rest) = bytes.split_first_chunk().ok_or(KeyError::Malformed)?;
    Ok((*taken, rest))
}

#[cfg(test)]
mod tests {
    use std::ops::RangeBounds;

    use proptest::prelude::*;

    use super::*;

    fn text(value: &str) -> AttributeValue {
        AttributeValue::String(value.to_owned())
    }

    fn number(value: &str) -> AttributeValue {
        AttributeValue::Number(value.parse().unwrap())
    }

    fn encoded(value: &AttributeValue) -> Vec<u8> {
        let mut out = Vec::new();
        encode_key_value(value, &mut out).unwrap();
        out
    }

    fn any_text() -> BoxedStrategy<AttributeValue> {
        "[\u{0}\u{1}a\u{ff}]{0,4}"
            .prop_map(AttributeValue::String)
            .boxed()
    }

    fn any_binary() -> BoxedStrategy<AttributeValue> {
        let byte = prop_oneof![Just(0u8), Just(1), Just(0xff), any::<u8>()];
        prop::collection::vec(byte, 0..5)
            .prop_map(|bytes| AttributeValue::Binary(bytes.into()))
            .boxed()
    }

    fn any_number() -> BoxedStrategy<AttributeValue> {
        (-99i32..99, -2i32..3)
            .prop_map(|(digits, exponent)| number(&format!("{digits}e{exponent}")))
            .boxed()
    }

    fn any_key_value() -> impl Strategy<Value = AttributeValue> {
        prop_oneof![any_text(), any_binary(), any_number()]
    }

    fn three_of_one_type() -> impl Strategy<Value = [AttributeValue; 3]> {
        let three = |one: BoxedStrategy<AttributeValue>| [one.clone(), one.clone(), one];
        prop_oneof![three(any_text()), three(any_binary()), three(any_number())]
    }

    #[test]
    fn golden_bytes() {
        assert_eq!(encoded(&text("a\0b")), [0x20, b'a', 0, 0xff, b'b', 0, 0]);
        assert_eq!(encoded(&number("1")), [0x10, 3, 130, 11, 0]);
        assert_eq!(
            encoded(&AttributeValue::Binary(Bytes::from_static(&[0, 255]))),
            [0x30, 0, 0xff, 255, 0, 0]
        );
        let key = item_key(7, &text("p"), Some(&number("1"))).unwrap();
        let expected: &[u8] = &[
            0, 0, 0, 0, 0, 0, 0, 7, 0x67, 0x94, 0xef, 0x40, 0x20, b'p', 0, 0, 0x10, 3, 130, 11, 0,
        ];
        assert_eq!(key, expected);
    }

    #[test]
    fn only_key_types_are_taken() {
        for value in [
            AttributeValue::Null,
            AttributeValue::Bool(true),
            AttributeValue::List(vec![]),
        ] {
            let expected = Err(KeyError::Type(value.attribute_type()));
            assert_eq!(encode_key_value(&value, &mut Vec::new()), expected);
        }
        assert_eq!(
            SortCondition::BeginsWith(number("1")).range(&[]),
            Err(KeyError::Type(AttributeType::Number))
        );
    }

    #[test]
    fn what_follows_a_prefix() {
        assert_eq!(after_prefix(&[1, 2]), Some(vec![1, 3]));
        assert_eq!(after_prefix(&[1, 0xff, 0xff]), Some(vec![2]));
        assert_eq!(after_prefix(&[0xff]), None);
        assert_eq!(after_prefix(&[]), None);
    }

    proptest! {
        #[test]
        fn values_round_trip_whatever_follows(value in any_key_value(), rest in prop::collection::vec(any::<u8>(), 0..4)) {
            let mut bytes = encoded(&value);
            bytes.extend_from_slice(&rest);
            prop_assert_eq!(decode_key_value(&bytes), Ok((value, &rest[..])));
        }

        #[test]
        fn byte_order_is_the_order_of_the_values(a in any_key_value(), b in any_key_value()) {
            if let Some(order) = crate::compare::compare(&a, &b) {
                prop_assert_eq!(encoded(&a).cmp(&encoded(&b)), order);
            } else {
                prop_assert_ne!(encoded(&a), encoded(&b));
            }
        }

        #[test]
        fn keys_round_trip(
            table in any::<u64>(), index in any::<u32>(),
            a in any_key_value(), b in prop::option::of(any_key_value()),
            c in any_key_value(), d in prop::option::of(any_key_value()),
        ) {
            let key = item_key(table, &a, b.as_ref()).unwrap();
            prop_assert!(key.starts_with(&partition_prefix(table, &a).unwrap()));
            prop_assert_eq!(
                decode_item_key(&key),
                Ok(ItemKey { table, partition: a.clone(), sort: b.clone() })
            );
            let key = index_key(table, index, (&a, b.as_ref()), (&c, d.as_ref())).unwrap();
            let values = [Some(a), b, Some(c), d].into_iter().flatten().collect();
            prop_assert_eq!(decode_index_key(&key), Ok(IndexKey { table, index, values }));
        }

        #[test]
        fn decoding_never_panics(bytes in prop::collection::vec(any::<u8>(), 0..40)) {
            let _ = decode_item_key(&bytes);
            let _ = decode_index_key(&bytes);
        }

        #[test]
        fn ranges_select_what_the_condition_holds_for(
            [value, low, high] in three_of_one_type(), kind in 0..7, tail in prop::option::of(any_key_value()),
        ) {
            let condition = match kind {
                0 => SortCondition::Equal(low),
                1 => SortCondition::Less(low),
                2 => SortCondition::LessOrEqual(low),
                3 => SortCondition::Greater(low),
                4 => SortCondition::GreaterOrEqual(low),
                5 => SortCondition::Between(low, high),
                _ if matches!(low, AttributeValue::Number(_)) => SortCondition::Equal(low),
                _ => SortCondition::BeginsWith(low),
            };
            let prefix = b"prefix";
            let mut key = prefix.to_vec();
            encode_key_value(&value, &mut key).unwrap();
            if let Some(tail) = tail {
                encode_key_value(&tail, &mut key).unwrap();
            }
            let range = condition.range(prefix).unwrap();
            prop_assert_eq!(range.contains(&key), condition.holds(&value));
        }
    }
}
