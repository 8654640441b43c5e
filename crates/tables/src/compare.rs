//! How values compare: the meaning of `=`, `<`, `begins_with` and `contains`, shared by conditions
//! and key conditions.
//!
//! It never converts between types: values of different types are unequal and have no order.

use std::cmp::Ordering;

use crate::AttributeValue;

/// The order of two strings (by UTF-8 bytes), numbers, or binaries (by unsigned bytes); `None`
/// for other types and between types.
pub fn compare(left: &AttributeValue, right: &AttributeValue) -> Option<Ordering> {
    match (left, right) {
        (AttributeValue::String(left), AttributeValue::String(right)) => Some(left.cmp(right)),
        (AttributeValue::Number(left), AttributeValue::Number(right)) => Some(left.cmp(right)),
        (AttributeValue::Binary(left), AttributeValue::Binary(right)) => Some(left.cmp(right)),
        _ => None,
    }
}

/// Is `start` a string or binary that `value` begins with?
pub fn begins_with(value: &AttributeValue, start: &AttributeValue) -> bool {
    match (value, start) {
        (AttributeValue::String(value), AttributeValue::String(start)) => value.starts_with(start),
        (AttributeValue::Binary(value), AttributeValue::Binary(start)) => value.starts_with(start),
        _ => false,
    }
}

/// Is `part` a substring of a string or binary, a member of a set, or an element of a list?
pub fn contains(value: &AttributeValue, part: &AttributeValue) -> bool {
    match (value, part) {
        (AttributeValue::String(value), AttributeValue::String(part)) => value.contains(part),
        (AttributeValue::Binary(value), AttributeValue::Binary(part)) => {
            part.is_empty() || value.windows(part.len()).any(|window| window == part)
        }
        (AttributeValue::StringSet(members), AttributeValue::String(part)) => {
            members.binary_search(part).is_ok()
        }
        (AttributeValue::NumberSet(members), AttributeValue::Number(part)) => {
            members.binary_search(part).is_ok()
        }
        (AttributeValue::BinarySet(members), AttributeValue::Binary(part)) => {
            members.binary_search(part).is_ok()
        }
        (AttributeValue::List(elements), part) => elements.contains(part),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Parsed;

    fn value(text: &str) -> AttributeValue {
        serde_json::from_str::<Parsed<AttributeValue>>(text)
            .unwrap()
            .0
            .unwrap()
    }

    #[test]
    fn types_never_mix() {
        let (text, number) = (value(r#"{"S":"1"}"#), value(r#"{"N":"1"}"#));
        assert_eq!(compare(&text, &number), None);
        assert_eq!(
            compare(&value(r#"{"BOOL":true}"#), &value(r#"{"BOOL":true}"#)),
            None
        );
        assert!(!begins_with(&text, &number));
        assert!(!contains(&text, &number));
        assert!(!contains(&value(r#"{"SS":["1"]}"#), &number));
    }

    #[test]
    fn containment() {
        for (whole, part, expected) in [
            (r#"{"S":"abc"}"#, r#"{"S":"bc"}"#, true),
            (r#"{"S":"abc"}"#, r#"{"S":""}"#, true),
            (r#"{"S":"abc"}"#, r#"{"S":"ac"}"#, false),
            (r#"{"B":"AAEC"}"#, r#"{"B":"AQI="}"#, true),
            (r#"{"B":"AAEC"}"#, r#"{"B":""}"#, true),
            (r#"{"B":"AA=="}"#, r#"{"B":"AAEC"}"#, false),
            (r#"{"SS":["a","b"]}"#, r#"{"S":"b"}"#, true),
            (r#"{"NS":["1","2"]}"#, r#"{"N":"2.0"}"#, true),
            (r#"{"NS":["1","2"]}"#, r#"{"N":"3"}"#, false),
            (r#"{"BS":["AA=="]}"#, r#"{"B":"AA=="}"#, true),
            (r#"{"L":[{"S":"a"},{"N":"1"}]}"#, r#"{"N":"1"}"#, true),
            (r#"{"L":[{"L":[]}]}"#, r#"{"L":[]}"#, true),
            (r#"{"M":{"a":{"S":"a"}}}"#, r#"{"S":"a"}"#, false),
            (r#"{"N":"12"}"#, r#"{"N":"1"}"#, false),
        ] {
            assert_eq!(
                contains(&value(whole), &value(part)),
                expected,
                "{whole} {part}"
            );
        }
    }
}
