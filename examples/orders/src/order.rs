//! An order: a JSON object with an `id`, and as an item of the table. Whatever else it has is kept
//! as it is, if it is a string, a number or true or false; anything deeper is refused.

use std::collections::HashMap;

use aws_sdk_dynamodb::types::AttributeValue;
use serde_json::{Map, Number, Value};

/// Members of an order, at most.
const MAX_MEMBERS: usize = 100;

/// One order; it has an `id`.
pub struct Order(Map<String, Value>);

impl Order {
    /// Reads an order that someone sent and notes who took it. The error is for the sender.
    pub fn parse(body: &[u8], region: &str) -> Result<Self, String> {
        let parsed = serde_json::from_slice(body).map_err(|error| format!("not JSON: {error}"))?;
        let Value::Object(mut members) = parsed else {
            return Err("an order is a JSON object".to_owned());
        };
        match members.get("id") {
            Some(Value::String(id)) if is_id(id) => {}
            _ => return Err("`id` must be 1 to 255 letters, digits, `-`, `_` or `.`".to_owned()),
        }
        if members.len() > MAX_MEMBERS {
            return Err(format!("an order has at most {MAX_MEMBERS} members"));
        }
        if let Some((name, _)) = members
            .iter()
            .find(|(_, value)| to_attribute(value).is_none())
        {
            return Err(format!(
                "`{name}` must be a string, a number, true or false"
            ));
        }
        members.insert("region".to_owned(), region.into());
        Ok(Self(members))
    }

    /// Its id.
    pub fn id(&self) -> &str {
        self.0.get("id").and_then(Value::as_str).unwrap_or_default()
    }

    /// As the table stores it.
    pub fn to_item(&self) -> HashMap<String, AttributeValue> {
        let attribute =
            |(name, value): (&String, &Value)| Some((name.clone(), to_attribute(value)?));
        self.0.iter().filter_map(attribute).collect()
    }

    /// From the table. Attributes of types that an order hasn't are left out.
    pub fn from_item(item: HashMap<String, AttributeValue>) -> Self {
        let member = |(name, value)| Some((name, from_attribute(value)?));
        Self(item.into_iter().filter_map(member).collect())
    }

    /// From an object of the bucket.
    pub fn from_json(text: &[u8]) -> anyhow::Result<Self> {
        Ok(Self(serde_json::from_slice(text)?))
    }

    /// One of which no more is known than its id.
    pub fn of_id(id: &str) -> Self {
        Self([("id".to_owned(), id.into())].into_iter().collect())
    }

    /// As it is sent.
    pub fn into_json(self) -> Value {
        Value::Object(self.0)
    }
}

/// Is that an order's id? It stands in a URL as it is.
pub fn is_id(text: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    (1..=255).contains(&text.len()) && text.bytes().all(allowed)
}

fn to_attribute(value: &Value) -> Option<AttributeValue> {
    match value {
        Value::String(text) => Some(AttributeValue::S(text.clone())),
        Value::Number(number) => Some(AttributeValue::N(number.to_string())),
        Value::Bool(truth) => Some(AttributeValue::Bool(*truth)),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}

fn from_attribute(value: AttributeValue) -> Option<Value> {
    match value {
        AttributeValue::S(text) => Some(Value::String(text)),
        AttributeValue::N(digits) => digits.parse::<Number>().ok().map(Value::Number),
        AttributeValue::Bool(truth) => Some(Value::Bool(truth)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_order_comes_back_as_it_went() {
        let sent = br#"{"id": "a-1", "version": 3, "price": 9.5, "paid": true}"#;
        let order = Order::parse(sent, "eu-west-1").unwrap();
        assert_eq!(order.id(), "a-1");
        let back = Order::from_item(order.to_item()).into_json();
        let wanted = serde_json::json!({
            "id": "a-1", "version": 3, "price": 9.5, "paid": true, "region": "eu-west-1",
        });
        assert_eq!(back, wanted);
    }

    #[test]
    fn what_is_no_order_is_refused_with_a_reason() {
        for (sent, reason) in [
            ("{", "not JSON"),
            ("[]", "an order is a JSON object"),
            ("{}", "`id` must be"),
            (r#"{"id": ""}"#, "`id` must be"),
            (r#"{"id": 1}"#, "`id` must be"),
            (r#"{"id": "a/b"}"#, "`id` must be"),
            (r#"{"id": "a", "lines": []}"#, "`lines` must be"),
        ] {
            let error = Order::parse(sent.as_bytes(), "us-east-1").err().unwrap();
            assert!(error.contains(reason), "{sent}: {error}");
        }
    }
}
