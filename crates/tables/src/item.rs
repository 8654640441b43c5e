//! What an item weighs, by the service's rules, and how heavy it may be.
//!
//! It measures; whoever writes an item decides what to refuse.

use crate::{AttributeValue, Item};

/// The greatest size of an item, in bytes: 400 KB (developer guide, "Service quotas").
pub const MAX_ITEM_SIZE: usize = 400 * 1024;

/// The size of an item in bytes: names in UTF-8 and values (developer guide, "DynamoDB item
/// sizes and formats").
pub fn item_size(item: &Item) -> usize {
    item.iter()
        .map(|(name, value)| name.len() + value_size(value))
        .sum()
}

/// The size of a value in bytes: text in UTF-8, raw bytes, one for `BOOL` and `NULL`, numbers as
/// [`crate::Number::stored_size`] says, and for lists and maps three and one for each element.
pub fn value_size(value: &AttributeValue) -> usize {
    match value {
        AttributeValue::String(text) => text.len(),
        AttributeValue::Number(number) => number.stored_size(),
        AttributeValue::Binary(bytes) => bytes.len(),
        AttributeValue::StringSet(members) => members.iter().map(String::len).sum(),
        AttributeValue::NumberSet(members) => members.iter().map(|one| one.stored_size()).sum(),
        AttributeValue::BinarySet(members) => members.iter().map(|one| one.len()).sum(),
        AttributeValue::Bool(_) | AttributeValue::Null => 1,
        AttributeValue::List(elements) => {
            3 + elements
                .iter()
                .map(|one| 1 + value_size(one))
                .sum::<usize>()
        }
        AttributeValue::Map(entries) => 3 + entries.len() + item_size(entries),
    }
}

#[cfg(test)]
mod tests {
    use crate::Parsed;

    use super::*;

    #[test]
    fn sizes_follow_the_documented_rules() {
        for (text, size) in [
            (r#"{}"#, 0),
            (r#"{"id":{"S":"abc"}}"#, 5),
            (r#"{"ä":{"S":"ä"}}"#, 4),
            (r#"{"n":{"N":"123"}}"#, 1 + 3),
            (r#"{"n":{"N":"-0.5"}}"#, 1 + 3),
            (r#"{"b":{"B":"AAEC"}}"#, 4),
            (r#"{"t":{"BOOL":true}}"#, 2),
            (r#"{"z":{"NULL":true}}"#, 2),
            (r#"{"s":{"SS":["a","bb"]}}"#, 4),
            (r#"{"s":{"NS":["1","22"]}}"#, 1 + 2 + 2),
            (r#"{"s":{"BS":["AA==","AAA="]}}"#, 4),
            (r#"{"l":{"L":[]}}"#, 4),
            (r#"{"l":{"L":[{"S":"a"},{"BOOL":true}]}}"#, 1 + 3 + 2 + 2),
            (r#"{"m":{"M":{"k":{"S":"a"}}}}"#, 1 + 3 + 1 + 2),
        ] {
            let item = serde_json::from_str::<Parsed<Item>>(text)
                .unwrap()
                .0
                .unwrap();
            assert_eq!(item_size(&item), size, "{text}");
        }
    }
}
