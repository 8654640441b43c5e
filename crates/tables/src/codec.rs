//! The binary form of items and of the states that hold them: on disk, and between Regions.
//!
//! A form begins with a version byte; a newer one than this code writes is refused. Equal values
//! have equal bytes: names and set members stand in ascending order, and decoding refuses every
//! other order, so that bytes can be compared instead of values. Decoding bounds its recursion
//! and allocates no more than the input is long.

use bytes::Bytes;
use types::{Context, Hlc, SiteId, Version};

use crate::state::{Content, State};
use crate::value::sorted_distinct;
use crate::{AttributeValue, Item, Number};

/// The version of the forms that this code writes.
pub const FORMAT_VERSION: u8 = 1;

/// Levels that decoding follows. More than an item can have, so that a rule that changes doesn't
/// make stored items unreadable.
const MAX_DECODED_LEVELS: usize = 64;

/// Why bytes could not be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CodecError {
    /// Written by a newer version of the program.
    #[error(
        "the record has format version {found}; this program understands up to {FORMAT_VERSION}: \
         start the newer version of the program"
    )]
    Newer {
        /// The version byte.
        found: u8,
    },
    /// The record ends too early.
    #[error("the record ends too early")]
    Truncated,
    /// Bytes after the end.
    #[error("the record has bytes after its end")]
    Trailing,
    /// Something in it is not what encoding writes.
    #[error("the record is malformed: {0}")]
    Malformed(&'static str),
}

/// The binary form of an item.
pub fn encode_item(item: &Item) -> Vec<u8> {
    let mut out = vec![FORMAT_VERSION];
    put_entries(&mut out, item);
    out
}

/// Reads the binary form of an item.
///
/// # Errors
/// When the bytes are not what [`encode_item`] writes.
pub fn decode_item(bytes: &[u8]) -> Result<Item, CodecError> {
    let mut reader = Reader::versioned(bytes)?;
    let item = reader.entries(1)?;
    reader.finish()?;
    Ok(item)
}

/// The binary form of a state.
pub fn encode_state(state: &State) -> Vec<u8> {
    let mut out = vec![FORMAT_VERSION];
    put_version(&mut out, state.dot);
    put_length(&mut out, state.context.entries().len());
    for seen in state.context.entries() {
        put_version(&mut out, *seen);
    }
    match &state.content {
        Content::Tombstone => out.push(0),
        Content::Item(item) => {
            out.push(1);
            put_entries(&mut out, item);
        }
    }
    out
}

/// Reads the binary form of a state.
///
/// # Errors
/// When the bytes are not what [`encode_state`] writes.
pub fn decode_state(bytes: &[u8]) -> Result<State, CodecError> {
    let mut reader = Reader::versioned(bytes)?;
    let (dot, context) = reader.header()?;
    let content = match reader.byte()? {
        0 => Content::Tombstone,
        1 => Content::Item(reader.entries(1)?),
        _ => return Err(CodecError::Malformed("unknown kind of content")),
    };
    reader.finish()?;
    Ok(State {
        dot,
        context,
        content,
    })
}

/// Reads only the header of a state: what its version is and what it has seen.
///
/// # Errors
/// When the bytes don't begin as [`encode_state`] writes them.
pub fn decode_state_header(bytes: &[u8]) -> Result<(Version, Context), CodecError> {
    Reader::versioned(bytes)?.header()
}

/// A state's version, and the bytes of its content: equal for equal contents.
///
/// # Errors
/// When the bytes don't begin as [`encode_state`] writes them. The content is not looked at.
pub(crate) fn split_state(bytes: &[u8]) -> Result<(Version, &[u8]), CodecError> {
    let mut reader = Reader::versioned(bytes)?;
    let (dot, _) = reader.header()?;
    Ok((dot, reader.rest))
}

/// Appends a length in LEB128: seven bits a byte, least first.
fn put_length(out: &mut Vec<u8>, mut length: usize) {
    while length >= 0x80 {
        out.push((length & 0x7f) as u8 | 0x80);
        length >>= 7;
    }
    out.push(length as u8);
}

fn put_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    put_length(out, bytes.len());
    out.extend_from_slice(bytes);
}

fn put_version(out: &mut Vec<u8>, version: Version) {
    out.extend_from_slice(&version.time.0.to_be_bytes());
    out.extend_from_slice(&version.site.0.to_be_bytes());
}

fn put_entries(out: &mut Vec<u8>, entries: &Item) {
    put_length(out, entries.len());
    for (name, value) in entries {
        put_bytes(out, name.as_bytes());
        put_value(out, value);
    }
}

/// Appends a type byte and the value.
fn put_value(out: &mut Vec<u8>, value: &AttributeValue) {
    match value {
        AttributeValue::String(text) => {
            out.push(1);
            put_bytes(out, text.as_bytes());
        }
        AttributeValue::Number(number) => {
            out.push(2);
            number.encode(out);
        }
        AttributeValue::Binary(bytes) => {
            out.push(3);
            put_bytes(out, bytes);
        }
        AttributeValue::StringSet(members) => {
            out.push(4);
            put_length(out, members.len());
            members
                .iter()
                .for_each(|one| put_bytes(out, one.as_bytes()));
        }
        AttributeValue::NumberSet(members) => {
            out.push(5);
            put_length(out, members.len());
            members.iter().for_each(|one| one.encode(out));
        }
        AttributeValue::BinarySet(members) => {
            out.push(6);
            put_length(out, members.len());
            members.iter().for_each(|one| put_bytes(out, one));
        }
        AttributeValue::Bool(false) => out.push(7),
        AttributeValue::Bool(true) => out.push(8),
        AttributeValue::Null => out.push(9),
        AttributeValue::List(elements) => {
            out.push(10);
            put_length(out, elements.len());
            elements.iter().for_each(|one| put_value(out, one));
        }
        AttributeValue::Map(entries) => {
            out.push(11);
            put_entries(out, entries);
        }
    }
}

/// What is left to read.
struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    fn versioned(bytes: &'a [u8]) -> Result<Reader<'a>, CodecError> {
        let mut reader = Reader { rest: bytes };
        match reader.byte()? {
            FORMAT_VERSION => Ok(reader),
            0 => Err(CodecError::Malformed("format version 0")),
            found => Err(CodecError::Newer { found }),
        }
    }

    fn finish(self) -> Result<(), CodecError> {
        if self.rest.is_empty() {
            Ok(())
        } else {
            Err(CodecError::Trailing)
        }
    }

    fn take(&mut self, count: usize) -> Result<&'a [u8], CodecError> {
        let (taken, rest) = self
            .rest
            .split_at_checked(count)
            .ok_or(CodecError::Truncated)?;
        self.rest = rest;
        Ok(taken)
    }

    fn byte(&mut self) -> Result<u8, CodecError> {
        Ok(self.take(1)?[0])
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], CodecError> {
        let taken = self.take(N)?;
        Ok(taken.try_into().expect("N bytes were taken"))
    }

    fn length(&mut self) -> Result<usize, CodecError> {
        let mut length = 0usize;
        for shift in (0..35).step_by(7) {
            let byte = self.byte()?;
            length |= usize::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                if byte == 0 && shift > 0 {
                    break;
                }
                return Ok(length);
            }
        }
        Err(CodecError::Malformed(
            "a length is not in its shortest form",
        ))
    }

    fn bytes(&mut self) -> Result<&'a [u8], CodecError> {
        let length = self.length()?;
        self.take(length)
    }

    fn text(&mut self) -> Result<String, CodecError> {
        std::str::from_utf8(self.bytes()?)
            .map(str::to_owned)
            .map_err(|_| CodecError::Malformed("a text is not UTF-8"))
    }

    fn number(&mut self) -> Result<Number, CodecError> {
        let (number, rest) =
            Number::decode(self.rest).map_err(|_| CodecError::Malformed("not a number"))?;
        self.rest = rest;
        Ok(number)
    }

    fn version(&mut self) -> Result<Version, CodecError> {
        Ok(Version {
            time: Hlc(u64::from_be_bytes(self.array()?)),
            site: SiteId(u16::from_be_bytes(self.array()?)),
        })
    }

    fn header(&mut self) -> Result<(Version, Context), CodecError> {
        let dot = self.version()?;
        let mut context = Context::EMPTY;
        let mut last = None;
        for _ in 0..self.length()? {
            let seen = self.version()?;
            if last.is_some_and(|last| last >= seen.site) {
                return Err(CodecError::Malformed("a context is not in order"));
            }
            last = Some(seen.site);
            context.insert(seen);
        }
        Ok((dot, context))
    }

    fn entries(&mut self, level: usize) -> Result<Item, CodecError> {
        let mut entries = Item::new();
        for _ in 0..self.length()? {
            let name = self.text()?;
            let in_order = entries
                .last_key_value()
                .is_none_or(|(last, _)| *last < name);
            if !in_order {
                return Err(CodecError::Malformed("names are not in order"));
            }
            let value = self.value(level)?;
            entries.insert(name, value);
        }
        Ok(entries)
    }

    fn list<T>(
        &mut self,
        read: impl Fn(&mut Self) -> Result<T, CodecError>,
    ) -> Result<Vec<T>, CodecError> {
        let count = self.length()?;
        // An element has a byte at least, so this bounds the allocation by the input's length.
        let mut elements = Vec::with_capacity(count.min(self.rest.len()));
        for _ in 0..count {
            elements.push(read(self)?);
        }
        Ok(elements)
    }

    fn set<T: Ord>(
        &mut self,
        read: impl Fn(&mut Self) -> Result<T, CodecError>,
    ) -> Result<Vec<T>, CodecError> {
        let members = self.list(read)?;
        if members.is_empty() || !sorted_distinct(&members) {
            return Err(CodecError::Malformed("a set is empty or not in order"));
        }
        Ok(members)
    }

    fn value(&mut self, level: usize) -> Result<AttributeValue, CodecError> {
        if level > MAX_DECODED_LEVELS {
            return Err(CodecError::Malformed("nested too deeply"));
        }
        let binary = |reader: &mut Self| reader.bytes().map(Bytes::copy_from_slice);
        Ok(match self.byte()? {
            1 => AttributeValue::String(self.text()?),
            2 => AttributeValue::Number(self.number()?),
            3 => AttributeValue::Binary(binary(self)?),
            4 => AttributeValue::StringSet(self.set(Self::text)?),
            5 => AttributeValue::NumberSet(self.set(Self::number)?),
            6 => AttributeValue::BinarySet(self.set(binary)?),
            7 => AttributeValue::Bool(false),
            8 => AttributeValue::Bool(true),
            9 => AttributeValue::Null,
            10 => AttributeValue::List(self.list(|reader| reader.value(level + 1))?),
            11 => AttributeValue::Map(self.entries(level + 1)?),
            _ => return Err(CodecError::Malformed("unknown type of value")),
        })
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use proptest::prelude::*;

    use super::*;

    fn any_number() -> impl Strategy<Value = Number> {
        (any::<i64>(), -100i32..100)
            .prop_map(|(digits, exponent)| format!("{digits}e{exponent}").parse().unwrap())
    }

    /// Any value of up to a few levels.
    pub(crate) fn any_value() -> impl Strategy<Value = AttributeValue> {
        let bytes = || prop::collection::vec(any::<u8>(), 0..6).prop_map(Bytes::from);
        let leaf = prop_oneof![
            ".{0,6}".prop_map(AttributeValue::String),
            any_number().prop_map(AttributeValue::Number),
            bytes().prop_map(AttributeValue::Binary),
            prop::collection::btree_set("[a-d]{0,2}", 1..4)
                .prop_map(|set| AttributeValue::StringSet(set.into_iter().collect())),
            prop::collection::btree_set(any_number(), 1..4)
                .prop_map(|set| AttributeValue::NumberSet(set.into_iter().collect())),
            prop::collection::btree_set(bytes(), 1..4)
                .prop_map(|set| AttributeValue::BinarySet(set.into_iter().collect())),
            any::<bool>().prop_map(AttributeValue::Bool),
            Just(AttributeValue::Null),
        ];
        leaf.prop_recursive(3, 16, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(AttributeValue::List),
                prop::collection::btree_map("[a-d]", inner, 0..4).prop_map(AttributeValue::Map),
            ]
        })
    }

    /// Any item of attributes `a` to `f`.
    pub(crate) fn any_item() -> impl Strategy<Value = Item> {
        prop::collection::btree_map("[a-f]", any_value(), 0..5)
    }

    fn any_state() -> impl Strategy<Value = State> {
        let version = (any::<u64>(), any::<u16>()).prop_map(|(time, site)| Version {
            time: Hlc(time),
            site: SiteId(site),
        });
        (
            version.clone(),
            prop::collection::vec(version, 0..4),
            prop::option::of(any_item()),
        )
            .prop_map(|(dot, seen, item)| {
                let mut context = Context::EMPTY;
                context.insert(dot);
                seen.into_iter().for_each(|one| context.insert(one));
                State {
                    dot,
                    context,
                    content: item.map_or(Content::Tombstone, Content::Item),
                }
            })
    }

    fn golden_state() -> State {
        let dot = Version {
            time: Hlc(0x0102_0304_0506_0708),
            site: SiteId(2),
        };
        let mut context = Context::EMPTY;
        context.insert(dot);
        context.insert(Version {
            time: Hlc(9),
            site: SiteId(1),
        });
        State {
            dot,
            context,
            content: Content::Tombstone,
        }
    }

    #[test]
    fn golden_bytes_of_an_item() {
        let text = r#"{"a":{"S":"x"},"b":{"N":"12"},"c":{"B":"AP8="},"d":{"SS":["p","q"]},
            "e":{"NS":["-1","2"]},"f":{"BS":["AA=="]},"g":{"BOOL":false},"h":{"BOOL":true},
            "i":{"NULL":true},"j":{"L":[{"NULL":true}]},"k":{"M":{"z":{"L":[]}}}}"#;
        let item = serde_json::from_str::<crate::Parsed<Item>>(text)
            .unwrap()
            .0
            .unwrap();
        let bytes = encode_item(&item);
        let expected: &[u8] = &[
            1, 11, //
            1, b'a', 1, 1, b'x', //
            1, b'b', 2, 3, 131, 13, 0, //
            1, b'c', 3, 2, 0, 255, //
            1, b'd', 4, 2, 1, b'p', 1, b'q', //
            1, b'e', 5, 2, 1, 125, 244, 255, 3, 130, 21, 0, //
            1, b'f', 6, 1, 1, 0, //
            1, b'g', 7, //
            1, b'h', 8, //
            1, b'i', 9, //
            1, b'j', 10, 1, 9, //
            1, b'k', 11, 1, 1, b'z', 10, 0,
        ];
        assert_eq!(bytes, expected);
        assert_eq!(decode_item(&bytes), Ok(item));
    }

    #[test]
    fn golden_bytes_of_a_state() {
        let bytes = encode_state(&golden_state());
        let expected: &[u8] = &[
            1, //
            1, 2, 3, 4, 5, 6, 7, 8, 0, 2, //
            2, //
            0, 0, 0, 0, 0, 0, 0, 9, 0, 1, //
            1, 2, 3, 4, 5, 6, 7, 8, 0, 2, //
            0,
        ];
        assert_eq!(bytes, expected);
    }

    #[test]
    fn refuses_what_encoding_does_not_write() {
        let malformed = |bytes: &[u8]| matches!(decode_item(bytes), Err(CodecError::Malformed(_)));
        assert_eq!(decode_item(&[]), Err(CodecError::Truncated));
        assert_eq!(decode_item(&[2, 0]), Err(CodecError::Newer { found: 2 }));
        assert_eq!(decode_item(&[1, 0, 0]), Err(CodecError::Trailing));
        assert_eq!(decode_item(&[1, 1, 1, b'a']), Err(CodecError::Truncated));
        assert_eq!(
            decode_item(&[1, 0xff, 0xff, 0xff, 0x7f]),
            Err(CodecError::Truncated)
        );
        assert!(malformed(&[0, 0]));
        assert!(malformed(&[1, 0x80, 0x00]), "overlong length");
        assert!(
            malformed(&[1, 0xff, 0xff, 0xff, 0xff, 0xff]),
            "endless length"
        );
        assert!(malformed(&[1, 1, 1, 0xff, 9]), "name not UTF-8");
        assert!(
            malformed(&[1, 2, 1, b'b', 9, 1, b'a', 9]),
            "names out of order"
        );
        assert!(
            malformed(&[1, 1, 1, b'a', 4, 2, 1, b'q', 1, b'p']),
            "set out of order"
        );
        assert!(malformed(&[1, 1, 1, b'a', 4, 0]), "empty set");
        assert!(malformed(&[1, 1, 1, b'a', 12]), "unknown type");
        let mut deep = vec![1, 1, 1, b'a'];
        deep.extend([10, 1].repeat(100_000));
        assert!(malformed(&deep), "nested too deeply");
    }

    proptest! {
        #[test]
        fn items_round_trip(item in any_item()) {
            prop_assert_eq!(decode_item(&encode_item(&item)), Ok(item));
        }

        #[test]
        fn states_round_trip(state in any_state()) {
            let bytes = encode_state(&state);
            prop_assert_eq!(decode_state_header(&bytes), Ok((state.dot, state.context.clone())));
            prop_assert_eq!(decode_state(&bytes), Ok(state));
        }

        #[test]
        fn decoding_never_panics_and_accepts_only_what_is_written(
            state in any_state(),
            place in any::<prop::sample::Index>(),
            byte in any::<u8>(),
            cut in any::<prop::sample::Index>(),
        ) {
            let mut bytes = encode_state(&state);
            let cut = cut.index(bytes.len());
            prop_assert!(decode_state(&bytes[..cut]).is_err());
            let place = place.index(bytes.len());
            bytes[place] = byte;
            if let Ok(other) = decode_state(&bytes) {
                prop_assert_eq!(encode_state(&other), bytes);
            }
        }
    }
}
