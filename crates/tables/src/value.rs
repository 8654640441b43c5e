//! Attribute values: the data model of items.

use std::collections::BTreeMap;

use bytes::Bytes;

use crate::Number;

/// The value of an attribute, of any of DynamoDB's types (API reference, `AttributeValue`).
#[derive(Clone, PartialEq, Debug)]
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
