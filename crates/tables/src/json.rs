//! Attribute values and items as JSON 1.0 carries them (`{"S": "text"}`), straight through serde.
//!
//! What has the wrong JSON type is a serde error, which is the service's
//! `SerializationException`. What has the right type and breaks a rule of the data model is a
//! [`ValueError`] inside [`Parsed`], which is a `ValidationException`: the service looks at the
//! whole body for the former before it reports the latter. It repairs nothing.

mod scalars;

use std::collections::BTreeMap;
use std::fmt;

use base64::engine::general_purpose::STANDARD;
use serde::de::{DeserializeSeed, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde::ser::SerializeMap;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::value::{MAX_LEVELS, check_name};
use crate::{AttributeValue, Item, Number, ValueError};

use scalars::{BlobSeed, BooleanVisitor, TextVisitor};

/// What a well-typed body holds in some place: a value, or the first rule that it breaks.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Parsed<T>(pub Result<T, ValueError>);

/// The service's text for a body that serde refused: without a position, and `None` where the
/// body isn't JSON at all (the service sends no message then).
pub fn serialization_message(error: &serde_json::Error) -> Option<String> {
    if error.classify() != serde_json::error::Category::Data {
        return None;
    }
    let text = error.to_string();
    let position = format!(" at line {} column {}", error.line(), error.column());
    Some(text.strip_suffix(&position).unwrap_or(&text).to_owned())
}

impl Serialize for AttributeValue {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(1))?;
        let tag = self.attribute_type().tag();
        match self {
            AttributeValue::String(text) => map.serialize_entry(tag, text)?,
            AttributeValue::Number(number) => map.serialize_entry(tag, number)?,
            AttributeValue::Binary(bytes) => map.serialize_entry(tag, &Base64(bytes))?,
            AttributeValue::StringSet(members) => map.serialize_entry(tag, members)?,
            AttributeValue::NumberSet(members) => map.serialize_entry(tag, members)?,
            AttributeValue::BinarySet(members) => {
                let members: Vec<_> = members.iter().map(|one| Base64(one)).collect();
                map.serialize_entry(tag, &members)?;
            }
            AttributeValue::Bool(value) => map.serialize_entry(tag, value)?,
            AttributeValue::Null => map.serialize_entry(tag, &true)?,
            AttributeValue::List(elements) => map.serialize_entry(tag, elements)?,
            AttributeValue::Map(entries) => map.serialize_entry(tag, entries)?,
        }
        map.end()
    }
}

impl Serialize for Number {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

struct Base64<'a>(&'a [u8]);

impl Serialize for Base64<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&base64::display::Base64Display::new(self.0, &STANDARD))
    }
}

impl<'de> Deserialize<'de> for Parsed<AttributeValue> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        ValueSeed { level: 1 }.deserialize(deserializer).map(Parsed)
    }
}

impl<'de> Deserialize<'de> for Parsed<Item> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let entries = deserializer.deserialize_any(EntriesVisitor { level: 1 })?;
        Ok(Parsed(entries.unwrap_or_else(|| Ok(BTreeMap::new()))))
    }
}

/// One attribute value at a level, the attribute's own being 1.
struct ValueSeed {
    level: usize,
}

type Outcome<T> = Result<T, ValueError>;

impl<'de> DeserializeSeed<'de> for ValueSeed {
    type Value = Outcome<AttributeValue>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for ValueSeed {
    type Value = Outcome<AttributeValue>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an AttributeValue")
    }

    fn visit_bool<E: Error>(self, _: bool) -> Result<Self::Value, E> {
        Err(E::custom("Unexpected value type in payload"))
    }

    fn visit_i64<E: Error>(self, _: i64) -> Result<Self::Value, E> {
        Err(E::custom("Unexpected value type in payload"))
    }

    fn visit_u64<E: Error>(self, _: u64) -> Result<Self::Value, E> {
        Err(E::custom("Unexpected value type in payload"))
    }

    fn visit_f64<E: Error>(self, _: f64) -> Result<Self::Value, E> {
        Err(E::custom("Unexpected value type in payload"))
    }

    fn visit_str<E: Error>(self, _: &str) -> Result<Self::Value, E> {
        Err(E::custom("Unexpected value type in payload"))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, _: A) -> Result<Self::Value, A::Error> {
        Err(A::Error::custom(
            "Unrecognized collection type class com.amazonaws.dynamodb.v20120810.AttributeValue",
        ))
    }

    fn visit_unit<E: Error>(self) -> Result<Self::Value, E> {
        Ok(Err(ValueError::Empty))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        if self.level > MAX_LEVELS {
            while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
            return Ok(Err(ValueError::TooDeep));
        }
        let mut found: Option<(String, Outcome<AttributeValue>)> = None;
        let mut several = false;
        while let Some(tag) = map.next_key::<String>()? {
            let Some(value) = next_member(&mut map, &tag, self.level)? else {
                continue;
            };
            match &found {
                Some((other, _)) if *other != tag => several = true,
                _ => {}
            }
            if !matches!(found, Some((_, Err(_)))) {
                found = Some((tag, value));
            }
        }
        Ok(match found {
            None => Err(ValueError::Empty),
            Some((_, Err(error))) => Err(error),
            Some(_) if several => Err(ValueError::SeveralTypes),
            Some((_, Ok(value))) => Ok(value),
        })
    }
}

/// The member of that tag; `None` where it is null, or no type of the model.
fn next_member<'de, A: MapAccess<'de>>(
    map: &mut A,
    tag: &str,
    level: usize,
) -> Result<Option<Outcome<AttributeValue>>, A::Error> {
    let text = TextVisitor { class: "String" };
    Ok(match tag {
        "S" => map
            .next_value_seed(text)?
            .map(|text| Ok(AttributeValue::String(text))),
        "N" => map.next_value_seed(text)?.map(|text| {
            text.parse::<Number>()
                .map(AttributeValue::Number)
                .map_err(ValueError::from)
        }),
        "B" => map
            .next_value_seed(BlobSeed)?
            .map(|bytes| Ok(AttributeValue::Binary(bytes))),
        "BOOL" => map
            .next_value_seed(BooleanVisitor)?
            .map(|value| Ok(AttributeValue::Bool(value))),
        "NULL" => map.next_value_seed(BooleanVisitor)?.map(|value| {
            if value {
                Ok(AttributeValue::Null)
            } else {
                Err(ValueError::NullNotTrue)
            }
        }),
        "SS" => map
            .next_value_seed(ListVisitor(|| text))?
            .map(|members| AttributeValue::string_set(no_nulls(members)?)),
        "NS" => map.next_value_seed(ListVisitor(|| text))?.map(|members| {
            let numbers: Result<Vec<Number>, _> =
                no_nulls(members)?.iter().map(|one| one.parse()).collect();
            AttributeValue::number_set(numbers?)
        }),
        "BS" => map
            .next_value_seed(ListVisitor(|| BlobSeed))?
            .map(|members| AttributeValue::binary_set(no_nulls(members)?)),
        "L" => {
            let element = || ValueSeed { level: level + 1 };
            map.next_value_seed(ListVisitor(element))?.map(|elements| {
                let elements: Outcome<Vec<_>> = elements.into_iter().collect();
                elements.map(AttributeValue::List)
            })
        }
        "M" => map
            .next_value_seed(EntriesVisitor { level: level + 1 })?
            .map(|entries| entries.map(AttributeValue::Map)),
        _ => {
            map.next_value::<IgnoredAny>()?;
            None
        }
    })
}

fn no_nulls<T>(members: Vec<Option<T>>) -> Outcome<Vec<T>> {
    members
        .into_iter()
        .map(|member| member.ok_or(ValueError::NullMember))
        .collect()
}

/// A list of what the function's seeds read, or null.
struct ListVisitor<F>(F);

impl<'de, S: DeserializeSeed<'de>, F: Fn() -> S> DeserializeSeed<'de> for ListVisitor<F> {
    type Value = Option<Vec<S::Value>>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de, S: DeserializeSeed<'de>, F: Fn() -> S> Visitor<'de> for ListVisitor<F> {
    type Value = Option<Vec<S::Value>>;

    // What serde says of every other JSON type is prefixed to this.
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list")
    }

    fn visit_bool<E: Error>(self, _: bool) -> Result<Self::Value, E> {
        Err(E::custom("Unexpected field type"))
    }

    fn visit_i64<E: Error>(self, _: i64) -> Result<Self::Value, E> {
        Err(E::custom("Unexpected field type"))
    }

    fn visit_u64<E: Error>(self, _: u64) -> Result<Self::Value, E> {
        Err(E::custom("Unexpected field type"))
    }

    fn visit_f64<E: Error>(self, _: f64) -> Result<Self::Value, E> {
        Err(E::custom("Unexpected field type"))
    }

    fn visit_str<E: Error>(self, _: &str) -> Result<Self::Value, E> {
        Err(E::custom("Unexpected field type"))
    }

    fn visit_unit<E: Error>(self) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
        let mut elements = Vec::new();
        while let Some(element) = list.next_element_seed((self.0)())? {
            elements.push(element);
        }
        Ok(Some(elements))
    }

    fn visit_map<A: MapAccess<'de>>(self, _: A) -> Result<Self::Value, A::Error> {
        Err(unexpected_structure())
    }
}

/// Attribute values by name, each at that level, or null.
struct EntriesVisitor {
    level: usize,
}

impl<'de> DeserializeSeed<'de> for EntriesVisitor {
    type Value = Option<Outcome<Item>>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for EntriesVisitor {
    type Value = Option<Outcome<Item>>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a map of AttributeValue")
    }

    fn visit_bool<E: Error>(self, _: bool) -> Result<Self::Value, E> {
        Err(E::custom("Unexpected field type"))
    }

    fn visit_i64<E: Error>(self, _: i64) -> Result<Self::Value, E> {
        Err(E::custom("Unexpected field type"))
    }

    fn visit_u64<E: Error>(self, _: u64) -> Result<Self::Value, E> {
        Err(E::custom("Unexpected field type"))
    }

    fn visit_f64<E: Error>(self, _: f64) -> Result<Self::Value, E> {
        Err(E::custom("Unexpected field type"))
    }

    fn visit_str<E: Error>(self, _: &str) -> Result<Self::Value, E> {
        Err(E::custom("Unexpected field type"))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, _: A) -> Result<Self::Value, A::Error> {
        Err(A::Error::custom(
            "Unrecognized collection type java.util.Map<java.lang.String, \
             com.amazonaws.dynamodb.v20120810.AttributeValue>",
        ))
    }

    fn visit_unit<E: Error>(self) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut outcome = Ok(Item::new());
        while let Some(name) = map.next_key::<String>()? {
            let value = map.next_value_seed(ValueSeed { level: self.level })?;
            if let Ok(entries) = &mut outcome {
                match check_name(&name).and(value) {
                    Ok(value) => {
                        entries.insert(name, value);
                    }
                    Err(error) => outcome = Err(error),
                }
            }
        }
        Ok(Some(outcome))
    }
}

fn unexpected_structure<E: Error>() -> E {
    E::custom("Start of structure or map found where not expected")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<AttributeValue, ValueError> {
        serde_json::from_str::<Parsed<AttributeValue>>(text)
            .unwrap()
            .0
    }

    fn refused(text: &str) -> Option<String> {
        let error = serde_json::from_str::<Parsed<Item>>(text).unwrap_err();
        serialization_message(&error)
    }

    #[test]
    fn every_type_round_trips() {
        for text in [
            r#"{"S":""}"#,
            r#"{"S":"täxt\u0000"}"#,
            r#"{"N":"-1.5"}"#,
            r#"{"B":""}"#,
            r#"{"B":"AP8="}"#,
            r#"{"SS":["","a","b"]}"#,
            r#"{"NS":["-1","2","10"]}"#,
            r#"{"BS":["","AA==","AP8="]}"#,
            r#"{"BOOL":false}"#,
            r#"{"NULL":true}"#,
            r#"{"L":[]}"#,
            r#"{"M":{}}"#,
            r#"{"M":{"a":{"L":[{"N":"1"},{"M":{"b":{"NULL":true}}}]}}}"#,
        ] {
            let value = parse(text).unwrap();
            let again = serde_json::to_string(&value).unwrap();
            assert_eq!(parse(&again), Ok(value));
            if !text.contains('\\') {
                assert_eq!(again, text);
            }
        }
        assert_eq!(
            parse(r#"{"N":"1e2"}"#).unwrap(),
            parse(r#"{"N":"100"}"#).unwrap()
        );
        assert_eq!(
            parse(r#"{"S":"a","N":null,"X":[1]}"#).unwrap(),
            AttributeValue::String("a".into())
        );
    }

    #[test]
    fn broken_rules_are_the_services_validation_texts() {
        for (text, message) in [
            (
                "{}",
                "Supplied AttributeValue is empty, must contain exactly one of the supported datatypes",
            ),
            (
                "null",
                "Supplied AttributeValue is empty, must contain exactly one of the supported datatypes",
            ),
            (
                r#"{"S":null}"#,
                "Supplied AttributeValue is empty, must contain exactly one of the supported datatypes",
            ),
            (
                r#"{"X":"a"}"#,
                "Supplied AttributeValue is empty, must contain exactly one of the supported datatypes",
            ),
            (
                r#"{"S":"a","N":"1"}"#,
                "Supplied AttributeValue has more than one datatypes set, must contain exactly one of the supported datatypes",
            ),
            (
                r#"{"N":"x"}"#,
                "The parameter cannot be converted to a numeric value: x",
            ),
            (
                r#"{"N":""}"#,
                "The parameter cannot be converted to a numeric value",
            ),
            (
                r#"{"NS":["1","x"]}"#,
                "The parameter cannot be converted to a numeric value: x",
            ),
            (
                r#"{"NULL":false}"#,
                "One or more parameter values were invalid: Null attribute value types must have the value of true",
            ),
            (
                r#"{"SS":[]}"#,
                "One or more parameter values were invalid: An string set  may not be empty",
            ),
            (
                r#"{"NS":[]}"#,
                "One or more parameter values were invalid: An number set  may not be empty",
            ),
            (
                r#"{"BS":[]}"#,
                "One or more parameter values were invalid: Binary sets should not be empty",
            ),
            (
                r#"{"SS":["a","a"]}"#,
                "One or more parameter values were invalid: Input collection [a, a] contains duplicates.",
            ),
            (
                r#"{"NS":["1","1.0"]}"#,
                "Input collection contains duplicates",
            ),
            (
                r#"{"L":[{"S":"a"},{}]}"#,
                "Supplied AttributeValue is empty, must contain exactly one of the supported datatypes",
            ),
            (
                r#"{"M":{"a":{"N":"y"}}}"#,
                "The parameter cannot be converted to a numeric value: y",
            ),
        ] {
            assert_eq!(parse(text).unwrap_err().to_string(), message, "{text}");
        }
    }

    #[test]
    fn wrong_json_types_are_serialization_errors() {
        for (text, message) in [
            (
                r#"{"a":{"S":1}}"#,
                "NUMBER_VALUE cannot be converted to String",
            ),
            (
                r#"{"a":{"S":1.5}}"#,
                "DECIMAL_VALUE cannot be converted to String",
            ),
            (
                r#"{"a":{"N":true}}"#,
                "TRUE_VALUE cannot be converted to String",
            ),
            (
                r#"{"a":{"S":{}}}"#,
                "Start of structure or map found where not expected",
            ),
            (
                r#"{"a":{"S":[]}}"#,
                "Unrecognized collection type class java.lang.String",
            ),
            (
                r#"{"a":{"B":1}}"#,
                "only base-64-encoded strings are convertible to bytes",
            ),
            (
                r#"{"a":{"B":"abc"}}"#,
                "Base64 encoded length is expected a multiple of 4 bytes but found: 3",
            ),
            (r#"{"a":{"B":"ab$="}}"#, "Invalid Base64 character: '$'"),
            (
                r#"{"a":{"B":"YR=="}}"#,
                "Invalid last non-pad Base64 character dectected",
            ),
            (
                r#"{"a":{"BOOL":"maybe"}}"#,
                "Unexpected token received from parser",
            ),
            (
                r#"{"a":{"BOOL":1}}"#,
                "NUMBER_VALUE cannot be converted to Boolean",
            ),
            (r#"{"a":{"SS":"x"}}"#, "Unexpected field type"),
            (
                r#"{"a":{"L":{}}}"#,
                "Start of structure or map found where not expected",
            ),
            (
                r#"{"a":{"M":[]}}"#,
                "Unrecognized collection type java.util.Map<java.lang.String, com.amazonaws.dynamodb.v20120810.AttributeValue>",
            ),
            (r#"{"a":"text"}"#, "Unexpected value type in payload"),
            (
                r#"{"a":[]}"#,
                "Unrecognized collection type class com.amazonaws.dynamodb.v20120810.AttributeValue",
            ),
            (r#""text""#, "Unexpected field type"),
        ] {
            assert_eq!(refused(text).as_deref(), Some(message), "{text}");
        }
        assert_eq!(refused("{"), None);
        assert_eq!(refused("{'a':1}"), None);
    }

    #[test]
    fn depth_is_bounded_by_the_service_limit_and_never_by_the_stack() {
        let nested = |wraps: usize| {
            let text = format!(
                r#"{}{{"S":"x"}}{}"#,
                r#"{"L":["#.repeat(wraps),
                "]}".repeat(wraps)
            );
            serde_json::from_str::<Parsed<AttributeValue>>(&text)
        };
        assert_eq!(nested(31).unwrap().0.unwrap().levels(), MAX_LEVELS);
        assert_eq!(nested(32).unwrap().0, Err(ValueError::TooDeep));
        assert_eq!(nested(50).unwrap().0, Err(ValueError::TooDeep));
        assert_eq!(nested(100_000).unwrap().0, Err(ValueError::TooDeep));
        let mut maps = r#"{"S":"x"}"#.to_owned();
        for _ in 0..32 {
            maps = format!(r#"{{"M":{{"n":{maps}}}}}"#);
        }
        assert_eq!(parse(&maps), Err(ValueError::TooDeep));
    }
}
