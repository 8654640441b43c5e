//! Reads a JSON body so that a structure is an object and nothing else. serde's derived readers
//! also take an array, its elements in the order of the fields, which no service does. It wraps
//! serde_json's reader and whatever that hands out, all the way down, and keeps no state.

use std::fmt;

use serde::de::{
    DeserializeOwned, DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor,
};

/// What the services say of an array where a structure belongs (seen of CloudWatch Logs and
/// CodeDeploy, whose protocol is the same).
const LIST: &str = "Start of list found where not expected";

/// What they say of a string, number or boolean there.
const SCALAR: &str = "Unexpected value type in payload";

/// Reads a whole body, which holds one JSON value.
///
/// # Errors
/// serde_json's: the body isn't JSON, or not of the shape of `T`.
pub fn read<T: DeserializeOwned>(body: &[u8]) -> serde_json::Result<T> {
    let mut reader = serde_json::Deserializer::from_slice(body);
    let value = T::deserialize(Structures(&mut reader))?;
    reader.end()?;
    Ok(value)
}

/// A reader, a visitor, a seed or an access to members, in whose depth structures are objects.
struct Structures<T>(T);

macro_rules! forward {
    ($($method:ident($($argument:ident: $type:ty),*))*) => {
        $(fn $method<V: Visitor<'de>>(
            self,
            $($argument: $type,)*
            visitor: V,
        ) -> Result<V::Value, Self::Error> {
            self.0.$method($($argument,)* Structures(visitor))
        })*
    };
}

impl<'de, D: Deserializer<'de>> Deserializer<'de> for Structures<D> {
    type Error = D::Error;

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, D::Error> {
        self.0.deserialize_any(Structure(visitor))
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, D::Error> {
        self.0.deserialize_any(Structure(visitor))
    }

    forward! {
        deserialize_any() deserialize_bool()
        deserialize_i8() deserialize_i16() deserialize_i32() deserialize_i64() deserialize_i128()
        deserialize_u8() deserialize_u16() deserialize_u32() deserialize_u64() deserialize_u128()
        deserialize_f32() deserialize_f64() deserialize_char() deserialize_str()
        deserialize_string() deserialize_bytes() deserialize_byte_buf() deserialize_option()
        deserialize_unit() deserialize_unit_struct(name: &'static str)
        deserialize_newtype_struct(name: &'static str) deserialize_seq()
        deserialize_tuple(length: usize)
        deserialize_tuple_struct(name: &'static str, length: usize)
        deserialize_enum(name: &'static str, variants: &'static [&'static str])
        deserialize_identifier() deserialize_ignored_any()
    }

    fn is_human_readable(&self) -> bool {
        self.0.is_human_readable()
    }
}

macro_rules! visit {
    ($($method:ident: $type:ty)*) => {
        $(fn $method<E: Error>(self, value: $type) -> Result<V::Value, E> {
            self.0.$method(value)
        })*
    };
}

impl<'de, V: Visitor<'de>> Visitor<'de> for Structures<V> {
    type Value = V::Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.expecting(f)
    }

    visit! {
        visit_bool: bool visit_i64: i64 visit_i128: i128 visit_u64: u64 visit_u128: u128
        visit_f64: f64 visit_str: &str visit_borrowed_str: &'de str visit_string: String
        visit_bytes: &[u8] visit_borrowed_bytes: &'de [u8] visit_byte_buf: Vec<u8>
    }

    fn visit_none<E: Error>(self) -> Result<V::Value, E> {
        self.0.visit_none()
    }

    fn visit_unit<E: Error>(self) -> Result<V::Value, E> {
        self.0.visit_unit()
    }

    fn visit_some<D: Deserializer<'de>>(self, value: D) -> Result<V::Value, D::Error> {
        self.0.visit_some(Structures(value))
    }

    fn visit_newtype_struct<D: Deserializer<'de>>(self, value: D) -> Result<V::Value, D::Error> {
        self.0.visit_newtype_struct(Structures(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, list: A) -> Result<V::Value, A::Error> {
        self.0.visit_seq(Structures(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<V::Value, A::Error> {
        self.0.visit_map(Structures(map))
    }
}

impl<'de, S: DeserializeSeed<'de>> DeserializeSeed<'de> for Structures<S> {
    type Value = S::Value;

    fn deserialize<D: Deserializer<'de>>(self, value: D) -> Result<S::Value, D::Error> {
        self.0.deserialize(Structures(value))
    }
}

impl<'de, A: SeqAccess<'de>> SeqAccess<'de> for Structures<A> {
    type Error = A::Error;

    fn next_element_seed<S: DeserializeSeed<'de>>(
        &mut self,
        seed: S,
    ) -> Result<Option<S::Value>, A::Error> {
        self.0.next_element_seed(Structures(seed))
    }
}

impl<'de, A: MapAccess<'de>> MapAccess<'de> for Structures<A> {
    type Error = A::Error;

    fn next_key_seed<S: DeserializeSeed<'de>>(
        &mut self,
        seed: S,
    ) -> Result<Option<S::Value>, A::Error> {
        self.0.next_key_seed(seed)
    }

    fn next_value_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<S::Value, A::Error> {
        self.0.next_value_seed(Structures(seed))
    }
}

/// The visitor of a structure or a map: takes an object, and says of anything else what the
/// services do.
struct Structure<V>(V);

macro_rules! no_scalars {
    ($($method:ident: $type:ty)*) => {
        $(fn $method<E: Error>(self, _: $type) -> Result<V::Value, E> {
            Err(E::custom(SCALAR))
        })*
    };
}

impl<'de, V: Visitor<'de>> Visitor<'de> for Structure<V> {
    type Value = V::Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a structure")
    }

    no_scalars! { visit_bool: bool visit_i64: i64 visit_u64: u64 visit_f64: f64 visit_str: &str }

    fn visit_unit<E: Error>(self) -> Result<V::Value, E> {
        Err(E::custom(SCALAR))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, _: A) -> Result<V::Value, A::Error> {
        Err(A::Error::custom(LIST))
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<V::Value, A::Error> {
        self.0.visit_map(Structures(map))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde::Deserialize;

    use super::*;

    #[derive(Deserialize, PartialEq, Debug, Default)]
    #[serde(rename_all = "PascalCase", default)]
    struct Outer {
        name: Option<String>,
        limit: Option<i64>,
        inner: Option<Inner>,
        list: Vec<Inner>,
        map: BTreeMap<String, Inner>,
    }

    #[derive(Deserialize, PartialEq, Debug, Default)]
    #[serde(rename_all = "PascalCase", default)]
    struct Inner {
        id: Option<u32>,
    }

    #[test]
    fn objects_are_read_as_ever() {
        let body = br#" {"Name": "a\n", "Limit": -3, "Inner": {"Id": 1}, "List": [{"Id": 2}, {}],
            "Map": {"x": {"Id": 3}}, "Unknown": [1, {"a": []}]} "#;
        let expected: Outer = serde_json::from_slice(body).unwrap();
        assert_eq!(read::<Outer>(body).unwrap(), expected);
        assert_eq!(expected.list.len(), 2);
        let nulls = br#"{"Name": null, "Inner": null}"#;
        assert_eq!(read::<Outer>(nulls).unwrap(), Outer::default());
    }

    #[test]
    fn an_array_is_no_structure_at_any_depth() {
        for body in [
            r#"["a"]"#,
            "[]",
            r#"{"Inner": [1]}"#,
            r#"{"List": [[1]]}"#,
            r#"{"Map": {"x": [1]}}"#,
            r#"{"Map": []}"#,
        ] {
            let error = read::<Outer>(body.as_bytes()).unwrap_err().to_string();
            assert!(error.starts_with(LIST), "{body}: {error}");
        }
        for body in [
            "1",
            "\"a\"",
            "null",
            r#"{"Inner": true}"#,
            r#"{"List": [1.5]}"#,
        ] {
            let error = read::<Outer>(body.as_bytes()).unwrap_err().to_string();
            assert!(error.starts_with(SCALAR), "{body}: {error}");
        }
    }

    #[test]
    fn what_follows_the_value_is_refused() {
        assert!(read::<Outer>(b"{} {}").is_err());
        assert!(read::<Outer>(b"").is_err());
    }
}
