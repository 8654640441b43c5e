//! Keys of items and index entries as a table's schema says them, with the service's texts for
//! keys that are not.

use crate::table::{Index, KeyAttribute, KeySchema, ScalarType, Table};
use crate::{
    AttributeType, AttributeValue, Item, MAX_PARTITION_KEY_SIZE, MAX_SORT_KEY_SIZE, TablesError,
    index_key, item_key, value_size,
};

/// The type of a key attribute as the type of a value.
pub(crate) fn wanted(kind: ScalarType) -> AttributeType {
    match kind {
        ScalarType::String => AttributeType::String,
        ScalarType::Number => AttributeType::Number,
        ScalarType::Binary => AttributeType::Binary,
    }
}

/// Where an item that is to be put is kept. Judges its key attributes, those of indexes too.
pub(crate) fn key_in_item(table: &Table, item: &Item) -> Result<Vec<u8>, TablesError> {
    for attribute in table.schema.attributes() {
        let name = &attribute.name;
        let value = item
            .get(name)
            .ok_or_else(|| TablesError::invalid(format!("Missing the key {name} in the item")))?;
        let (expected, actual) = (wanted(attribute.kind), value.attribute_type());
        if expected != actual {
            return Err(TablesError::invalid(format!(
                "Type mismatch for key {name} expected: {expected} actual: {actual}"
            )));
        }
    }
    let key = encode(table, item)?;
    check_index_keys(table, item)?;
    Ok(key)
}

/// Where the item that a request's `Key` names is kept.
pub(crate) fn key_of_request(table: &Table, key: &Item) -> Result<Vec<u8>, TablesError> {
    if !is_key(&table.schema, key, key.len()) {
        return Err(TablesError::validation(
            "The provided key element does not match the schema",
        ));
    }
    encode(table, key)
}

/// Does the item have the attributes of that key, of their types, and `count` attributes in all?
fn is_key(schema: &KeySchema, item: &Item, count: usize) -> bool {
    let fits = |attribute: &KeyAttribute| {
        let value = item.get(&attribute.name);
        value.is_some_and(|value| value.attribute_type() == wanted(attribute.kind))
    };
    schema.attributes().count() == count && schema.attributes().all(fits)
}

fn encode(table: &Table, item: &Item) -> Result<Vec<u8>, TablesError> {
    let (partition, sort) = values(&table.schema, item).ok_or_else(|| {
        TablesError::validation("The provided key element does not match the schema")
    })?;
    check_size(&table.schema, partition, sort)?;
    item_key(table.id.0, partition, sort)
        .map_err(|error| TablesError::Validation(error.to_string()))
}

/// Neither empty nor too long.
fn check_size(
    schema: &KeySchema,
    partition: &AttributeValue,
    sort: Option<&AttributeValue>,
) -> Result<(), TablesError> {
    for (attribute, value) in schema.attributes().zip([Some(partition), sort]) {
        if let Some(kind) = value.and_then(empty) {
            return Err(TablesError::Validation(format!(
                "One or more parameter values are not valid. The AttributeValue for a key \
                 attribute cannot contain an empty {kind} value. Key: {}",
                attribute.name
            )));
        }
    }
    if value_size(partition) > MAX_PARTITION_KEY_SIZE {
        return Err(TablesError::invalid(format!(
            "Size of hashkey has exceeded the maximum size limit of{MAX_PARTITION_KEY_SIZE} bytes"
        )));
    }
    if sort.is_some_and(|sort| value_size(sort) > MAX_SORT_KEY_SIZE) {
        return Err(TablesError::invalid(format!(
            "Aggregated size of all range keys has exceeded the size limit of \
             {MAX_SORT_KEY_SIZE} bytes"
        )));
    }
    Ok(())
}

/// What an empty key value is called, if it is one.
pub(crate) fn empty(value: &AttributeValue) -> Option<&'static str> {
    match value {
        AttributeValue::String(text) if text.is_empty() => Some("string"),
        AttributeValue::Binary(bytes) if bytes.is_empty() => Some("binary"),
        _ => None,
    }
}

/// Index key attributes may be absent, but not of another type, empty or too long.
fn check_index_keys(table: &Table, item: &Item) -> Result<(), TablesError> {
    for index in &table.indexes {
        for attribute in index.schema.attributes() {
            let Some(value) = item.get(&attribute.name) else {
                continue;
            };
            let (expected, actual) = (wanted(attribute.kind), value.attribute_type());
            if expected != actual {
                return Err(TablesError::invalid(format!(
                    "Type mismatch for Index Key {} Expected: {expected} Actual: {actual} \
                     IndexName: {}",
                    attribute.name, index.name
                )));
            }
            if let Some(kind) = empty(value) {
                return Err(TablesError::Validation(format!(
                    "One or more parameter values are not valid. A value specified for a \
                     secondary index key is not supported. The AttributeValue for a key attribute \
                     cannot contain an empty {kind} value. IndexName: {}, IndexKey: {}",
                    index.name, attribute.name
                )));
            }
        }
        if let Some((partition, sort)) = values(&index.schema, item) {
            check_size(&index.schema, partition, sort)?;
        }
    }
    Ok(())
}

/// The same for what an update made of an item, with the words the service has for that.
pub(crate) fn check_updated_index_keys(table: &Table, item: &Item) -> Result<(), TablesError> {
    for index in &table.indexes {
        for attribute in index.schema.attributes() {
            let Some(value) = item.get(&attribute.name) else {
                continue;
            };
            if value.attribute_type() != wanted(attribute.kind) {
                return Err(TablesError::validation(
                    "The update expression attempted to update the secondary index key to \
                     unsupported type",
                ));
            }
            if let Some(kind) = empty(value) {
                return Err(TablesError::Validation(format!(
                    "One or more parameter values are not valid. The update expression attempted \
                     to update a secondary index key to a value that is not supported. The \
                     AttributeValue for a key attribute cannot contain an empty {kind} value."
                )));
            }
        }
        if let Some((partition, sort)) = values(&index.schema, item) {
            check_size(&index.schema, partition, sort)?;
        }
    }
    Ok(())
}

/// The values that an item has for a key; none if it lacks one or has it of another type.
pub(crate) fn values<'a>(
    schema: &KeySchema,
    item: &'a Item,
) -> Option<(&'a AttributeValue, Option<&'a AttributeValue>)> {
    let value = |attribute: &KeyAttribute| {
        let value = item.get(&attribute.name)?;
        (value.attribute_type() == wanted(attribute.kind)).then_some(value)
    };
    let partition = value(&schema.partition)?;
    match &schema.sort {
        None => Some((partition, None)),
        Some(sort) => Some((partition, Some(value(sort)?))),
    }
}

/// Where an item's entry in an index is kept; none if the item is not in it.
pub(crate) fn entry_key(table: &Table, index: &Index, item: &Item) -> Option<Vec<u8>> {
    let entry = values(&index.schema, item)?;
    let own = values(&table.schema, item)?;
    index_key(table.id.0, index.id.0, entry, own).ok()
}

/// The key attributes of an item: of the table, and of the index that was read.
pub(crate) fn key_attributes(table: &Table, index: Option<&Index>, item: &Item) -> Item {
    let own = table.schema.attributes();
    let read = index
        .into_iter()
        .flat_map(|index| index.schema.attributes());
    own.chain(read)
        .filter_map(|key| Some((key.name.clone(), item.get(&key.name)?.clone())))
        .collect()
}

/// Where the page after the one that ended with this `LastEvaluatedKey` begins: the key of the
/// item, or of its entry in the index.
pub(crate) fn start_key(
    table: &Table,
    index: Option<&Index>,
    start: &Item,
) -> Result<Vec<u8>, TablesError> {
    let invalid = || TablesError::validation("The provided starting key is invalid");
    let mut names: Vec<&str> = table.schema.attributes().map(|a| a.name.as_str()).collect();
    let read = index
        .into_iter()
        .flat_map(|index| index.schema.attributes());
    names.extend(read.map(|attribute| attribute.name.as_str()));
    names.sort_unstable();
    names.dedup();
    let complete = start.len() == names.len() && names.iter().all(|name| start.contains_key(*name));
    if !complete {
        return Err(invalid());
    }
    let (partition, sort) = values(&table.schema, start).ok_or_else(invalid)?;
    check_size(&table.schema, partition, sort)?;
    match index {
        None => item_key(table.id.0, partition, sort).map_err(|_| invalid()),
        Some(index) => entry_key(table, index, start).ok_or_else(invalid),
    }
}
