//! The members of an attribute value that are one token: texts, base64 and Booleans. What is no
//! such token is refused in the service's words.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serde::Deserializer;
use serde::de::{DeserializeSeed, Error, MapAccess, SeqAccess, Visitor};

use super::unexpected_structure;

/// A string, or null. `class` is what the service's texts call the wanted type.
#[derive(Clone, Copy)]
pub(super) struct TextVisitor {
    pub(super) class: &'static str,
}

impl<'de> DeserializeSeed<'de> for TextVisitor {
    type Value = Option<String>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for TextVisitor {
    type Value = Option<String>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a string")
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Self::Value, E> {
        let token = if value { "TRUE_VALUE" } else { "FALSE_VALUE" };
        Err(cannot_be_converted(token, self.class))
    }

    fn visit_i64<E: Error>(self, _: i64) -> Result<Self::Value, E> {
        Err(cannot_be_converted("NUMBER_VALUE", self.class))
    }

    fn visit_u64<E: Error>(self, _: u64) -> Result<Self::Value, E> {
        Err(cannot_be_converted("NUMBER_VALUE", self.class))
    }

    fn visit_f64<E: Error>(self, _: f64) -> Result<Self::Value, E> {
        Err(cannot_be_converted("DECIMAL_VALUE", self.class))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Self::Value, E> {
        Ok(Some(text.to_owned()))
    }

    fn visit_string<E: Error>(self, text: String) -> Result<Self::Value, E> {
        Ok(Some(text))
    }

    fn visit_unit<E: Error>(self) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, _: A) -> Result<Self::Value, A::Error> {
        Err(unrecognized_collection("java.lang.String"))
    }

    fn visit_map<A: MapAccess<'de>>(self, _: A) -> Result<Self::Value, A::Error> {
        Err(unexpected_structure())
    }
}

/// Base64, or null.
#[derive(Clone, Copy)]
pub(super) struct BlobSeed;

impl<'de> DeserializeSeed<'de> for BlobSeed {
    type Value = Option<Bytes>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for BlobSeed {
    type Value = Option<Bytes>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("only base-64-encoded strings are convertible to bytes")
    }

    fn visit_bool<E: Error>(self, _: bool) -> Result<Self::Value, E> {
        Err(E::custom(&self as &dyn serde::de::Expected))
    }

    fn visit_i64<E: Error>(self, _: i64) -> Result<Self::Value, E> {
        Err(E::custom(&self as &dyn serde::de::Expected))
    }

    fn visit_u64<E: Error>(self, _: u64) -> Result<Self::Value, E> {
        Err(E::custom(&self as &dyn serde::de::Expected))
    }

    fn visit_f64<E: Error>(self, _: f64) -> Result<Self::Value, E> {
        Err(E::custom(&self as &dyn serde::de::Expected))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Self::Value, E> {
        if !text.len().is_multiple_of(4) {
            return Err(E::custom(format_args!(
                "Base64 encoded length is expected a multiple of 4 bytes but found: {}",
                text.len()
            )));
        }
        match STANDARD.decode(text) {
            Ok(bytes) => Ok(Some(bytes.into())),
            Err(base64::DecodeError::InvalidByte(_, byte)) => Err(E::custom(format_args!(
                "Invalid Base64 character: '{}'",
                char::from(byte)
            ))),
            // "dectected" is how the service writes it.
            Err(_) => Err(E::custom("Invalid last non-pad Base64 character dectected")),
        }
    }

    fn visit_unit<E: Error>(self) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, _: A) -> Result<Self::Value, A::Error> {
        Err(unrecognized_collection("java.nio.ByteBuffer"))
    }

    fn visit_map<A: MapAccess<'de>>(self, _: A) -> Result<Self::Value, A::Error> {
        Err(unexpected_structure())
    }
}

/// A Boolean, one of the words that the service takes for one, or null.
pub(super) struct BooleanVisitor;

impl<'de> DeserializeSeed<'de> for BooleanVisitor {
    type Value = Option<bool>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for BooleanVisitor {
    type Value = Option<bool>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a Boolean")
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Self::Value, E> {
        Ok(Some(value))
    }

    fn visit_i64<E: Error>(self, _: i64) -> Result<Self::Value, E> {
        Err(cannot_be_converted("NUMBER_VALUE", "Boolean"))
    }

    fn visit_u64<E: Error>(self, _: u64) -> Result<Self::Value, E> {
        Err(cannot_be_converted("NUMBER_VALUE", "Boolean"))
    }

    fn visit_f64<E: Error>(self, _: f64) -> Result<Self::Value, E> {
        Err(cannot_be_converted("DECIMAL_VALUE", "Boolean"))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Self::Value, E> {
        match text.to_ascii_lowercase().as_str() {
            "true" | "1" | "yes" => Ok(Some(true)),
            "false" | "0" | "no" => Ok(Some(false)),
            _ => Err(E::custom("Unexpected token received from parser")),
        }
    }

    fn visit_unit<E: Error>(self) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, _: A) -> Result<Self::Value, A::Error> {
        Err(unrecognized_collection("java.lang.Boolean"))
    }

    fn visit_map<A: MapAccess<'de>>(self, _: A) -> Result<Self::Value, A::Error> {
        Err(unexpected_structure())
    }
}

fn cannot_be_converted<E: Error>(token: &str, class: &str) -> E {
    E::custom(format_args!("{token} cannot be converted to {class}"))
}

fn unrecognized_collection<E: Error>(class: &str) -> E {
    E::custom(format_args!("Unrecognized collection type class {class}"))
}
