//! Attribute values: the data model of items, and the rules every value obeys.

use std::collections::BTreeMap;
use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;

use crate::{Number, NumberError};

/// The longest name of an attribute or of an entry of a map, in bytes of UTF-8. Source: AWS,
/// "Quotas in Amazon DynamoDB", 2026; the service's text speaks of less than 65,536.
pub const MAX_NAME_SIZE: usize = 65_535;

/// Levels that a value can have, the attribute itself being the first (developer guide,
/// "Service quotas"; that the attribute counts was measured by others against the service).
pub const MAX_LEVELS: usize = 32;

/// The value of an attribute, of any of DynamoDB's types (API reference, `AttributeValue`).
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum AttributeValue {
    /// `S`.
    String(String),
    /// `N`.
    Number(Number),
    /// `B`.
    Binary(Bytes),
    /// `SS`: not empty, no duplicates, in byte order.
    StringSet(Vec<String>),
    /// `NS`: not empty, no duplicates, in numeric order.
    NumberSet(Vec<Number>),
    /// `BS`: not empty, no duplicates, in byte order.
    BinarySet(Vec<Bytes>),
    /// `BOOL`.
    Bool(bool),
    /// `NULL`.
    Null,
    /// `L`.
    List(Vec<AttributeValue>),
    /// `M`.
    Map(BTreeMap<String, AttributeValue>),
}

/// An item: attributes by name.
pub type Item = BTreeMap<String, AttributeValue>;

/// The type of a value. `Display` is its tag on the wire.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum AttributeType {
    /// `S`.
    String,
    /// `N`.
    Number,
    /// `B`.
    Binary,
    /// `SS`.
    StringSet,
    /// `NS`.
    NumberSet,
    /// `BS`.
    BinarySet,
    /// `BOOL`.
    Bool,
    /// `NULL`.
    Null,
    /// `L`.
    List,
    /// `M`.
    Map,
}

/// Why a value is refused. `Display` is the service's text, of a `ValidationException`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ValueError {
    /// No type tag.
    #[error(
        "Supplied AttributeValue is empty, must contain exactly one of the supported datatypes"
    )]
    Empty,
    /// Several type tags.
    #[error(
        "Supplied AttributeValue has more than one datatypes set, must contain exactly one of the \
         supported datatypes"
    )]
    SeveralTypes,
    /// A number that is none.
    #[error(transparent)]
    Number(#[from] NumberError),
    /// `NULL` with another value than `true`.
    #[error(
        "One or more parameter values were invalid: Null attribute value types must have the \
         value of true"
    )]
    NullNotTrue,
    /// `SS` without members.
    #[error("One or more parameter values were invalid: An string set  may not be empty")]
    EmptyStringSet,
    /// `NS` without members.
    #[error("One or more parameter values were invalid: An number set  may not be empty")]
    EmptyNumberSet,
    /// `BS` without members.
    #[error("One or more parameter values were invalid: Binary sets should not be empty")]
    EmptyBinarySet,
    /// `SS` with a member twice; the members as given.
    #[error(
        "One or more parameter values were invalid: Input collection [{0}] contains duplicates."
    )]
    DuplicateStrings(String),
    /// `NS` with a member twice.
    #[error("Input collection contains duplicates")]
    DuplicateNumbers,
    /// `BS` with a member twice; the members as given, in Base64.
    #[error(
        "One or more parameter values were invalid: Input collection [{0}]of type BS contains \
         duplicates."
    )]
    DuplicateBinaries(String),
    /// `null` as the member of a set.
    #[error(
        "One or more parameter values were invalid: An set may not have a null value as a member"
    )]
    NullMember,
    /// An attribute, or an entry of a map, without a name.
    #[error("Empty attribute name")]
    EmptyName,
    /// A name longer than [`MAX_NAME_SIZE`].
    #[error("Attribute name is too large, must be less than 65536 bytes")]
    LongName,
    /// Deeper than [`MAX_LEVELS`].
    #[error(
        "Nesting Levels have exceeded supported limits: Attributes in the item have nested levels \
         beyond supported limit"
    )]
    TooDeep,
}

/// Judges the name of an attribute or of an entry of a map.
///
/// # Errors
/// `EmptyName`, `LongName`.
pub(crate) fn check_name(name: &str) -> Result<(), ValueError> {
    match name.len() {
        0 => Err(ValueError::EmptyName),
        length if length > MAX_NAME_SIZE => Err(ValueError::LongName),
        _ => Ok(()),
    }
}

impl AttributeValue {
    /// Its type.
    pub const fn attribute_type(&self) -> AttributeType {
        match self {
            AttributeValue::String(_) => AttributeType::String,
            AttributeValue::Number(_) => AttributeType::Number,
            AttributeValue::Binary(_) => AttributeType::Binary,
            AttributeValue::StringSet(_) => AttributeType::StringSet,
            AttributeValue::NumberSet(_) => AttributeType::NumberSet,
            AttributeValue::BinarySet(_) => AttributeType::BinarySet,
            AttributeValue::Bool(_) => AttributeType::Bool,
            AttributeValue::Null => AttributeType::Null,
            AttributeValue::List(_) => AttributeType::List,
            AttributeValue::Map(_) => AttributeType::Map,
        }
    }

    /// A set of strings.
    ///
    /// # Errors
    /// When there are no members, or one twice.
    pub fn string_set(mut members: Vec<String>) -> Result<AttributeValue, ValueError> {
        if members.is_empty() {
            return Err(ValueError::EmptyStringSet);
        }
        if !sorted_distinct(&members) {
            let given = members.clone();
            members.sort_unstable();
            if !sorted_distinct(&members) {
                return Err(ValueError::DuplicateStrings(given.join(", ")));
            }
        }
        Ok(AttributeValue::StringSet(members))
    }

    /// A set of numbers. Equal numbers are duplicates however they were written.
    ///
    /// # Errors
    /// When there are no members, or one twice.
    pub fn number_set(mut members: Vec<Number>) -> Result<AttributeValue, ValueError> {
        if members.is_empty() {
            return Err(ValueError::EmptyNumberSet);
        }
        members.sort_unstable();
        if !sorted_distinct(&members) {
            return Err(ValueError::DuplicateNumbers);
        }
        Ok(AttributeValue::NumberSet(members))
    }

    /// A set of binaries.
    ///
    /// # Errors
    /// When there are no members, or one twice.
    pub fn binary_set(mut members: Vec<Bytes>) -> Result<AttributeValue, ValueError> {
        if members.is_empty() {
            return Err(ValueError::EmptyBinarySet);
        }
        if !sorted_distinct(&members) {
            let given = members.clone();
            members.sort_unstable();
            if !sorted_distinct(&members) {
                let texts: Vec<String> = given.iter().map(|one| STANDARD.encode(one)).collect();
                return Err(ValueError::DuplicateBinaries(texts.join(", ")));
            }
        }
        Ok(AttributeValue::BinarySet(members))
    }

    /// How many levels it has: one for a scalar, a set, and an empty list or map.
    ///
    /// The recursion is bounded: wire values have at most [`MAX_LEVELS`], an update adds at most
    /// as many as its path has, and what has too many is never stored.
    pub fn levels(&self) -> usize {
        let deepest = match self {
            AttributeValue::List(elements) => elements.iter().map(AttributeValue::levels).max(),
            AttributeValue::Map(entries) => entries.values().map(AttributeValue::levels).max(),
            _ => None,
        };
        1 + deepest.unwrap_or(0)
    }
}

/// A value as the service's error texts show one: `N:5`.
pub(crate) fn render(value: &AttributeValue) -> String {
    let list = |members: Vec<String>| format!("[{}]", members.join(", "));
    let shown = match value {
        AttributeValue::String(text) => text.clone(),
        AttributeValue::Number(number) => number.to_string(),
        AttributeValue::Binary(bytes) => STANDARD.encode(bytes),
        AttributeValue::StringSet(members) => list(members.clone()),
        AttributeValue::NumberSet(members) => list(members.iter().map(Number::to_string).collect()),
        AttributeValue::BinarySet(members) => {
            list(members.iter().map(|one| STANDARD.encode(one)).collect())
        }
        AttributeValue::Bool(value) => value.to_string(),
        AttributeValue::Null => "true".to_owned(),
        AttributeValue::List(elements) => list(elements.iter().map(render).collect()),
        AttributeValue::Map(entries) => {
            let entry =
                |(name, value): (&String, &AttributeValue)| format!("{name}={{{}}}", render(value));
            format!(
                "{{{}}}",
                entries.iter().map(entry).collect::<Vec<_>>().join(", ")
            )
        }
    };
    format!("{}:{shown}", value.attribute_type())
}

/// Is each member greater than the one before it?
pub(crate) fn sorted_distinct<T: Ord>(members: &[T]) -> bool {
    members.windows(2).all(|pair| pair[0] < pair[1])
}

impl AttributeType {
    /// Every type, in the order of the API reference's documentation of `attribute_type`.
    pub const ALL: [AttributeType; 10] = [
        AttributeType::String,
        AttributeType::Number,
        AttributeType::Binary,
        AttributeType::StringSet,
        AttributeType::NumberSet,
        AttributeType::BinarySet,
        AttributeType::Bool,
        AttributeType::Null,
        AttributeType::List,
        AttributeType::Map,
    ];

    /// Its tag on the wire.
    pub const fn tag(self) -> &'static str {
        match self {
            AttributeType::String => "S",
            AttributeType::Number => "N",
            AttributeType::Binary => "B",
            AttributeType::StringSet => "SS",
            AttributeType::NumberSet => "NS",
            AttributeType::BinarySet => "BS",
            AttributeType::Bool => "BOOL",
            AttributeType::Null => "NULL",
            AttributeType::List => "L",
            AttributeType::Map => "M",
        }
    }

    /// The type of that tag.
    pub fn of_tag(tag: &str) -> Option<AttributeType> {
        AttributeType::ALL.into_iter().find(|one| one.tag() == tag)
    }

    /// Can a key attribute be of it?
    pub const fn is_key_type(self) -> bool {
        matches!(
            self,
            AttributeType::String | AttributeType::Number | AttributeType::Binary
        )
    }
}

impl fmt::Display for AttributeType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.tag())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sets_are_sorted_and_refuse_duplicates_with_the_services_texts() {
        let strings = |members: &[&str]| {
            AttributeValue::string_set(members.iter().map(|one| (*one).to_owned()).collect())
        };
        assert_eq!(
            strings(&["b", "a"]).unwrap(),
            AttributeValue::StringSet(vec!["a".to_owned(), "b".to_owned()])
        );
        assert_eq!(
            strings(&["b", "a", "b"]).unwrap_err().to_string(),
            "One or more parameter values were invalid: Input collection [b, a, b] contains \
             duplicates."
        );
        assert_eq!(
            strings(&[]).unwrap_err().to_string(),
            "One or more parameter values were invalid: An string set  may not be empty"
        );
        let twice = vec!["1".parse().unwrap(), "1.0".parse().unwrap()];
        assert_eq!(
            AttributeValue::number_set(twice).unwrap_err().to_string(),
            "Input collection contains duplicates"
        );
        let twice = vec![Bytes::from_static(b"b"), Bytes::from_static(b"b")];
        assert_eq!(
            AttributeValue::binary_set(twice).unwrap_err().to_string(),
            "One or more parameter values were invalid: Input collection [Yg==, Yg==]of type BS \
             contains duplicates."
        );
    }

    #[test]
    fn every_type_has_its_tag() {
        for one in AttributeType::ALL {
            assert_eq!(AttributeType::of_tag(one.tag()), Some(one));
        }
        assert_eq!(AttributeType::of_tag("s"), None);
    }
}
