//! The condition keys of DynamoDB that policies may name, and their values in a request (Service
//! Authorization Reference, "Condition keys for Amazon DynamoDB"). They are found only when a
//! policy asks, from what the operation will be carried out with.
//!
//! A request that says nothing of what to return has the values that then hold: a policy that
//! admits `SPECIFIC_ATTRIBUTES` alone isn't passed by leaving `Select` away.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::OnceLock;

use aws::access::LazyKeys;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::access::{About, Request};
use crate::table::KeySchema;
use crate::{
    AttributeValue, Condition, ExpressionKind, Item, Parsed, Path, Projection, Substitutions,
    Update,
};

/// A condition key that a request can have values of.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum ConditionKey<'a> {
    /// `dynamodb:LeadingKeys`: the partition keys of the items.
    LeadingKeys,
    /// `dynamodb:Attributes`: the top-level attributes that the request names.
    Attributes,
    /// `dynamodb:Select`.
    Select,
    /// `dynamodb:ReturnValues`.
    ReturnValues,
    /// `dynamodb:ReturnConsumedCapacity`.
    ReturnConsumedCapacity,
    /// `aws:TagKeys`: the keys of the tags that the request names.
    TagKeys,
    /// `aws:RequestTag/…`: the value that the request gives that tag.
    RequestTag(&'a str),
}

impl<'a> ConditionKey<'a> {
    fn of(name: &'a str) -> Option<ConditionKey<'a>> {
        const PLAIN: [(&str, ConditionKey<'_>); 6] = [
            ("dynamodb:LeadingKeys", ConditionKey::LeadingKeys),
            ("dynamodb:Attributes", ConditionKey::Attributes),
            ("dynamodb:Select", ConditionKey::Select),
            ("dynamodb:ReturnValues", ConditionKey::ReturnValues),
            (
                "dynamodb:ReturnConsumedCapacity",
                ConditionKey::ReturnConsumedCapacity,
            ),
            ("aws:TagKeys", ConditionKey::TagKeys),
        ];
        let mut plain = PLAIN.iter();
        match plain.find(|(known, _)| known.eq_ignore_ascii_case(name)) {
            Some((_, key)) => Some(*key),
            None => after(name, "aws:RequestTag/").map(ConditionKey::RequestTag),
        }
    }
}

/// The keys of a request, or of its part about one table. Those that take a look into items and
/// expressions are found once, however many statements name them.
pub(crate) struct RequestKeys<'a, R> {
    request: &'a R,
    about: About<'a>,
    leading_keys: OnceLock<Option<Vec<String>>>,
    attributes: OnceLock<Option<Vec<String>>>,
}

impl<'a, R: Request> RequestKeys<'a, R> {
    /// The keys of that part of the request.
    pub(crate) fn new(request: &'a R, about: About<'a>) -> Self {
        RequestKeys {
            request,
            about,
            leading_keys: OnceLock::new(),
            attributes: OnceLock::new(),
        }
    }
}

impl<R: Request> LazyKeys for RequestKeys<'_, R> {
    fn values(&self, name: &str) -> Option<Vec<String>> {
        if let Some(tag) = after(name, "aws:ResourceTag/") {
            // Tables from before have tags of several spellings: none is hidden.
            let tags = self.about.table?.tags.iter();
            let found = tags.filter(|(key, _)| key.eq_ignore_ascii_case(tag));
            let values: Vec<String> = found.map(|(_, value)| value.clone()).collect();
            return (!values.is_empty()).then_some(values);
        }
        let key = ConditionKey::of(name)?;
        let find = || self.request.values(&key, self.about);
        match key {
            ConditionKey::LeadingKeys => self.leading_keys.get_or_init(find).clone(),
            ConditionKey::Attributes => self.attributes.get_or_init(find).clone(),
            _ => find(),
        }
    }
}

/// What follows a prefix, by any case of it.
fn after<'a>(name: &'a str, prefix: &str) -> Option<&'a str> {
    let (start, rest) = name.split_at_checked(prefix.len())?;
    start.eq_ignore_ascii_case(prefix).then_some(rest)
}

/// The values of a key that has a word: the one given, or the one that holds else.
pub(crate) fn word(given: Option<&str>, otherwise: &str) -> Option<Vec<String>> {
    Some(vec![given.unwrap_or(otherwise).to_owned()])
}

/// `dynamodb:Select` of a read: the one given, or what holds without.
pub(crate) fn select(given: Option<&str>, projects: bool, index: bool) -> Option<Vec<String>> {
    let otherwise = match (projects, index) {
        (true, _) => "SPECIFIC_ATTRIBUTES",
        (false, true) => "ALL_PROJECTED_ATTRIBUTES",
        (false, false) => "ALL_ATTRIBUTES",
    };
    word(given, otherwise)
}

/// `dynamodb:LeadingKeys` of items or keys of items; not there if there are none.
pub(crate) fn leading_keys<'a>(
    schema: &KeySchema,
    items: impl IntoIterator<Item = &'a Parsed<Item>>,
) -> Option<Vec<String>> {
    let items = items.into_iter().filter_map(|item| item.0.as_ref().ok());
    let values = items.filter_map(|item| item.get(&schema.partition.name));
    let texts: Vec<String> = values.map(leading_key).collect();
    (!texts.is_empty()).then_some(texts)
}

/// A partition key as policies compare it: numbers in decimal, bytes in base64.
pub(crate) fn leading_key(value: &AttributeValue) -> String {
    match value {
        AttributeValue::String(text) => text.clone(),
        AttributeValue::Number(number) => number.to_string(),
        AttributeValue::Binary(bytes) => STANDARD.encode(bytes),
        // No key is of another type: the operation refuses it.
        other => other.attribute_type().tag().to_owned(),
    }
}

/// Collects `dynamodb:Attributes`: the attributes that a request's parameters name.
pub(crate) struct Attributes {
    names: BTreeSet<String>,
    /// None if they break a rule: then the operation refuses the request, whatever is found here.
    substitutions: Option<Substitutions>,
}

impl Attributes {
    /// Of a request with these substitutions in its expressions.
    pub(crate) fn new(
        names: Option<&BTreeMap<String, String>>,
        values: Option<&BTreeMap<String, Parsed<AttributeValue>>>,
    ) -> Attributes {
        Attributes {
            names: BTreeSet::new(),
            substitutions: Substitutions::new(names.cloned(), values.cloned()).ok(),
        }
    }

    /// Those of an item or a key.
    pub(crate) fn item(mut self, item: Option<&Parsed<Item>>) -> Self {
        if let Some(Parsed(Ok(item))) = item {
            self.names.extend(item.keys().cloned());
        }
        self
    }

    /// Those named by themselves, as parameters from before expressions do.
    pub(crate) fn named<'a>(mut self, names: impl IntoIterator<Item = &'a String>) -> Self {
        self.names.extend(names.into_iter().cloned());
        self
    }

    /// Those of a condition or a filter.
    pub(crate) fn condition(self, kind: ExpressionKind, text: Option<&str>) -> Self {
        self.parsed(text, |text, substitutions| {
            let condition = Condition::parse(kind, text, substitutions).ok()?;
            Some(condition.paths().to_vec())
        })
    }

    /// Those of a projection.
    pub(crate) fn projection(self, text: Option<&str>) -> Self {
        self.parsed(text, |text, substitutions| {
            let projection = Projection::parse(text, substitutions).ok()?;
            Some(projection.paths().to_vec())
        })
    }

    /// Those of an update, changed or read.
    pub(crate) fn update(self, text: Option<&str>) -> Self {
        self.parsed(text, |text, substitutions| {
            let update = Update::parse(text, substitutions).ok()?;
            Some([update.paths(), update.read_paths()].concat())
        })
    }

    fn parsed(
        mut self,
        text: Option<&str>,
        parse: impl FnOnce(&str, &mut Substitutions) -> Option<Vec<Path>>,
    ) -> Self {
        if let (Some(text), Some(substitutions)) = (text, &mut self.substitutions) {
            let paths = parse(text, substitutions).unwrap_or_default();
            let names = paths.iter().map(|path| path.attribute().to_owned());
            self.names.extend(names);
        }
        self
    }

    /// The values; not there if no attribute is named.
    pub(crate) fn values(self) -> Option<Vec<String>> {
        (!self.names.is_empty()).then(|| self.names.into_iter().collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::operations::describe_table::Input;

    #[test]
    fn every_spelling_of_a_tag_that_is_kept_has_its_value() {
        let mut table = crate::table::tests::plain(7, "Orders");
        for (key, value) in [("Team", "blue"), ("team", "red"), ("other", "x")] {
            table.tags.insert(key.to_owned(), value.to_owned());
        }
        let request: Input = serde_json::from_str(r#"{"TableName": "Orders"}"#).unwrap();
        let about = About {
            part: None,
            table: Some(&table),
        };
        let keys = RequestKeys::new(&request, about);
        let values = keys.values("aws:ResourceTag/TEAM").unwrap();
        assert_eq!(values, ["blue", "red"]);
        assert_eq!(keys.values("aws:ResourceTag/none"), None);
    }
}
