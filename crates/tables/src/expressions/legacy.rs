//! The parameters that expressions replaced: `Expected`, `QueryFilter`, `ScanFilter`,
//! `KeyConditions`, `ConditionalOperator` and `AttributeUpdates`, made into the same trees.
//!
//! (`AttributesToGet` is [`super::Projection::of_attributes`].) It decides nothing about mixing
//! them with expressions: that is the operation's.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::{AttributeType, AttributeValue, Parsed, Path, SortCondition, ValueError, compare};

use super::condition::{Comparator, Condition, Operand, Test};
use super::key_condition::{KeyAttributes, KeyCondition, KeyConditionError};
use super::update::{Action, Change, Source, Update};

/// `ConditionalOperator`: how several conditions combine.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Deserialize)]
pub enum ConditionalOperator {
    /// All must hold.
    #[default]
    #[serde(rename = "AND")]
    And,
    /// One must hold.
    #[serde(rename = "OR")]
    Or,
}

/// An entry of `QueryFilter`, `ScanFilter` or `KeyConditions`.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct LegacyCondition {
    /// `EQ`, `NE`, `LE`, ….
    pub comparison_operator: Option<String>,
    /// What the attribute is compared with.
    pub attribute_value_list: Option<Vec<Parsed<AttributeValue>>>,
}

/// An entry of `Expected`.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct ExpectedAttribute {
    /// The value that the attribute must have.
    pub value: Option<Parsed<AttributeValue>>,
    /// Must the attribute exist?
    pub exists: Option<bool>,
    /// `EQ`, `NE`, `LE`, ….
    pub comparison_operator: Option<String>,
    /// What the attribute is compared with.
    pub attribute_value_list: Option<Vec<Parsed<AttributeValue>>>,
}

/// An entry of `AttributeUpdates`.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct AttributeUpdate {
    /// The value put, added or deleted.
    pub value: Option<Parsed<AttributeValue>>,
    /// `PUT` (also where there is none), `ADD` or `DELETE`.
    pub action: Option<String>,
}

/// Why legacy parameters are refused. `Display` is the service's text, of a
/// `ValidationException`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LegacyError {
    /// A value breaks a rule of the data model.
    #[error(transparent)]
    Value(#[from] ValueError),
    /// No such comparison operator, or none.
    #[error(
        "1 validation error detected: Value {value} at '{parameter}.{attribute}.member.\
         comparisonOperator' failed to satisfy constraint: {constraint}"
    )]
    Operator {
        /// The operator in quotes, or `null`.
        value: String,
        /// `expected`, `queryFilter`, `scanFilter` or `keyConditions`.
        parameter: &'static str,
        /// The attribute.
        attribute: String,
        /// What the operator must be.
        constraint: &'static str,
    },
    /// No such action.
    #[error(
        "1 validation error detected: Value '{action}' at 'attributeUpdates.{attribute}.member.\
         action' failed to satisfy constraint: Member must satisfy enum value set: [ADD, PUT, \
         DELETE]"
    )]
    Action {
        /// The action.
        action: String,
        /// The attribute.
        attribute: String,
    },
    /// A rule about which members can stand together.
    #[error("One or more parameter values were invalid: {rule} for Attribute: {attribute}")]
    Members {
        /// The rule, in the service's words.
        rule: String,
        /// The attribute.
        attribute: String,
    },
    /// Any other rule, in the service's words.
    #[error("One or more parameter values were invalid: {0}")]
    Invalid(String),
    /// `BETWEEN` with the greater bound first.
    #[error(
        "The BETWEEN condition was provided a range where the lower bound is greater than the \
         upper bound"
    )]
    BetweenOrder,
    /// Key conditions that don't fit the key.
    #[error(transparent)]
    Key(#[from] KeyConditionError),
}

const ENUM: &str = "Member must satisfy enum value set: [IN, NULL, BETWEEN, LT, NOT_CONTAINS, EQ, \
                    GT, NOT_NULL, NE, LE, BEGINS_WITH, GE, CONTAINS]";

impl Condition {
    /// The condition that `Expected` states.
    ///
    /// # Errors
    /// When an entry is none.
    pub fn of_expected(
        expected: BTreeMap<String, ExpectedAttribute>,
        operator: ConditionalOperator,
    ) -> Result<Condition, LegacyError> {
        let tests = expected
            .into_iter()
            .map(|(name, entry)| Ok((expected_test(&name, entry)?, name)));
        combined(tests, operator)
    }

    /// The filter that `QueryFilter` (`parameter` is `queryFilter`) or `ScanFilter` states.
    ///
    /// # Errors
    /// When an entry is none.
    pub fn of_filter(
        parameter: &'static str,
        filter: BTreeMap<String, LegacyCondition>,
        operator: ConditionalOperator,
    ) -> Result<Condition, LegacyError> {
        let tests = filter.into_iter().map(|(name, entry)| {
            let comparison = entry.comparison(parameter, &name)?;
            Ok((comparison.test(&name), name))
        });
        combined(tests, operator)
    }
}

impl KeyCondition {
    /// The key condition that `KeyConditions` states.
    ///
    /// # Errors
    /// When an entry is none, or they don't fit the key.
    pub fn of_key_conditions(
        conditions: BTreeMap<String, LegacyCondition>,
        attributes: KeyAttributes<'_>,
    ) -> Result<KeyCondition, LegacyError> {
        let mut on_key = BTreeMap::new();
        for (name, entry) in conditions {
            let comparison = entry.comparison("keyConditions", &name)?;
            let condition = comparison.on_key().ok_or(KeyConditionError::NotIndexable)?;
            on_key.insert(name, condition);
        }
        Ok(KeyCondition::of_conditions(on_key, attributes)?)
    }
}

impl Update {
    /// The update that `AttributeUpdates` states.
    ///
    /// # Errors
    /// When an entry is none.
    pub fn of_attribute_updates(
        updates: BTreeMap<String, AttributeUpdate>,
    ) -> Result<Update, LegacyError> {
        let mut actions = Vec::new();
        for (name, entry) in updates {
            let change = entry.change(&name)?;
            let path = Path::of_attribute(name);
            actions.push(Action { path, change });
        }
        let paths = actions.iter().map(|one| one.path.clone()).collect();
        Ok(Update {
            actions,
            paths,
            read: Vec::new(),
        })
    }
}

impl AttributeUpdate {
    fn change(self, name: &str) -> Result<Change, LegacyError> {
        use AttributeType::{BinarySet, List, Number, NumberSet, StringSet};
        let action = self.action.as_deref().unwrap_or("PUT");
        let value = self.value.map(|Parsed(value)| value).transpose()?;
        let invalid = |text: String| Err(LegacyError::Invalid(text));
        match (action, value) {
            ("PUT", Some(value)) => Ok(Change::Set(Source::Literal(value))),
            ("DELETE", None) => Ok(Change::Remove),
            ("PUT" | "ADD", None) => invalid(
                "Only DELETE action is allowed when no attribute value is specified".to_owned(),
            ),
            ("DELETE", Some(value)) => match value.attribute_type() {
                StringSet | NumberSet | BinarySet => Ok(Change::Delete(value)),
                other => invalid(format!(
                    "DELETE action with value is not supported for the type {other}"
                )),
            },
            ("ADD", Some(value)) => match value.attribute_type() {
                Number | StringSet | NumberSet | BinarySet => Ok(Change::Add(value)),
                List => {
                    let empty = Source::Literal(AttributeValue::List(Vec::new()));
                    let current = Source::IfNotExists(Path::of_attribute(name), Box::new(empty));
                    let added = Box::new(Source::Literal(value));
                    Ok(Change::Set(Source::ListAppend(Box::new(current), added)))
                }
                other => invalid(format!("ADD action is not supported for the type {other}")),
            },
            _ => Err(LegacyError::Action {
                action: action.to_owned(),
                attribute: name.to_owned(),
            }),
        }
    }
}

/// A checked comparison: an operator with as many values, of such types, as it takes.
struct Comparison {
    operator: String,
    values: Vec<AttributeValue>,
}

impl LegacyCondition {
    fn comparison(
        self,
        parameter: &'static str,
        attribute: &str,
    ) -> Result<Comparison, LegacyError> {
        let refused = |value: String, constraint| LegacyError::Operator {
            value,
            parameter,
            attribute: attribute.to_owned(),
            constraint,
        };
        let operator = self
            .comparison_operator
            .ok_or_else(|| refused("null".to_owned(), "Member must not be null"))?;
        let values = values_of(self.attribute_value_list.unwrap_or_default())?;
        let Some((fewest, most)) = counts(&operator) else {
            return Err(refused(format!("'{operator}'"), ENUM));
        };
        if !(fewest..=most).contains(&values.len()) {
            return Err(LegacyError::Invalid(format!(
                "Invalid number of argument(s) for the {operator} ComparisonOperator"
            )));
        }
        let types: Vec<AttributeType> = values.iter().map(AttributeValue::attribute_type).collect();
        if types.windows(2).any(|pair| pair[0] != pair[1]) {
            return Err(LegacyError::Invalid(
                "AttributeValues inside AttributeValueList must be of same type".to_owned(),
            ));
        }
        if let Some(wrong) = types.iter().find(|one| !takes(&operator, **one)) {
            return Err(LegacyError::Invalid(format!(
                "ComparisonOperator {operator} is not valid for {wrong} AttributeValue type"
            )));
        }
        if let ("BETWEEN", [low, high]) = (operator.as_str(), values.as_slice())
            && compare(low, high).is_some_and(|order| order.is_gt())
        {
            return Err(LegacyError::BetweenOrder);
        }
        Ok(Comparison { operator, values })
    }
}

fn values_of(list: Vec<Parsed<AttributeValue>>) -> Result<Vec<AttributeValue>, LegacyError> {
    let values: Result<Vec<_>, ValueError> = list.into_iter().map(|Parsed(value)| value).collect();
    Ok(values?)
}

/// The least and the greatest number of values that an operator takes.
fn counts(operator: &str) -> Option<(usize, usize)> {
    Some(match operator {
        "NULL" | "NOT_NULL" => (0, 0),
        "EQ" | "NE" | "LE" | "LT" | "GE" | "GT" | "CONTAINS" | "NOT_CONTAINS" | "BEGINS_WITH" => {
            (1, 1)
        }
        "IN" => (1, usize::MAX),
        "BETWEEN" => (2, 2),
        _ => return None,
    })
}

/// Does an operator take values of a type?
fn takes(operator: &str, value: AttributeType) -> bool {
    match operator {
        "EQ" | "NE" => true,
        "BEGINS_WITH" => matches!(value, AttributeType::String | AttributeType::Binary),
        _ => value.is_key_type(),
    }
}

impl Comparison {
    fn test(self, name: &str) -> Test {
        let attribute = || Operand::Path(Path::of_attribute(name));
        let mut values = self.values.into_iter().map(Operand::Literal);
        let comparator = match self.operator.as_str() {
            "NULL" => return Test::NotExists(Path::of_attribute(name)),
            "NOT_NULL" => return Test::Exists(Path::of_attribute(name)),
            "IN" => return Test::In(attribute(), values.collect()),
            "NE" => Comparator::NotEqual,
            "LE" => Comparator::LessOrEqual,
            "LT" => Comparator::Less,
            "GE" => Comparator::GreaterOrEqual,
            "GT" => Comparator::Greater,
            _ => Comparator::Equal,
        };
        let first = values.next().expect("the count was checked");
        match self.operator.as_str() {
            "CONTAINS" => Test::Contains(attribute(), first),
            "NOT_CONTAINS" => Test::Not(Box::new(Test::Contains(attribute(), first))),
            "BEGINS_WITH" => Test::BeginsWith(attribute(), first),
            "BETWEEN" => {
                let second = values.next().expect("the count was checked");
                Test::Between(attribute(), first, second)
            }
            _ => Test::Compare(comparator, attribute(), first),
        }
    }

    /// The condition on a key attribute, where keys have that operator.
    fn on_key(self) -> Option<SortCondition> {
        let mut values = self.values.into_iter();
        let first = values.next()?;
        Some(match self.operator.as_str() {
            "EQ" => SortCondition::Equal(first),
            "LE" => SortCondition::LessOrEqual(first),
            "LT" => SortCondition::Less(first),
            "GE" => SortCondition::GreaterOrEqual(first),
            "GT" => SortCondition::Greater(first),
            "BEGINS_WITH" => SortCondition::BeginsWith(first),
            "BETWEEN" => SortCondition::Between(first, values.next()?),
            _ => return None,
        })
    }
}

fn expected_test(name: &str, entry: ExpectedAttribute) -> Result<Test, LegacyError> {
    let members = |rule: String| {
        Err(LegacyError::Members {
            rule,
            attribute: name.to_owned(),
        })
    };
    if entry.attribute_value_list.is_some() && entry.value.is_some() {
        return members("Value and AttributeValueList cannot be used together".to_owned());
    }
    if let Some(operator) = entry.comparison_operator {
        if entry.exists.is_some() {
            return members("Exists and ComparisonOperator cannot be used together".to_owned());
        }
        let none = entry.attribute_value_list.is_none() && entry.value.is_none();
        if none && counts(&operator).is_some_and(|(fewest, _)| fewest > 0) {
            return members(format!(
                "Value or AttributeValueList must be used with ComparisonOperator: {operator}"
            ));
        }
        let condition = LegacyCondition {
            comparison_operator: Some(operator),
            attribute_value_list: entry
                .attribute_value_list
                .or_else(|| entry.value.map(|value| vec![value])),
        };
        return Ok(condition.comparison("expected", name)?.test(name));
    }
    if entry.attribute_value_list.is_some() {
        return members("AttributeValueList can only be used with a ComparisonOperator".to_owned());
    }
    let value = entry.value.map(|Parsed(value)| value).transpose()?;
    let path = Path::of_attribute(name);
    match (entry.exists, value) {
        (None | Some(true), Some(value)) => {
            let (attribute, value) = (Operand::Path(path), Operand::Literal(value));
            Ok(Test::Compare(Comparator::Equal, attribute, value))
        }
        (Some(false), None) => Ok(Test::NotExists(path)),
        (Some(false), Some(_)) => members("Value cannot be used when Exists is false".to_owned()),
        (exists, None) => {
            let exists = exists.map_or_else(|| "null".to_owned(), |exists| exists.to_string());
            members(format!("Value must be provided when Exists is {exists}"))
        }
    }
}

fn combined(
    tests: impl Iterator<Item = Result<(Test, String), LegacyError>>,
    operator: ConditionalOperator,
) -> Result<Condition, LegacyError> {
    let parts: Result<Vec<(Test, String)>, LegacyError> = tests.collect();
    let (tests, names): (Vec<Test>, Vec<String>) = parts?.into_iter().unzip();
    let test = match operator {
        ConditionalOperator::And => Test::All(tests),
        ConditionalOperator::Or => Test::Any(tests),
    };
    Ok(Condition {
        test,
        paths: names.into_iter().map(Path::of_attribute).collect(),
    })
}

#[cfg(test)]
mod tests {
    use super::super::tests::item;
    use super::*;
    use crate::Item;

    fn before() -> Item {
        item(r#"{"n":{"N":"5"},"s":{"S":"hello"},"ss":{"SS":["a","b"]},"l":{"L":[{"N":"1"}]}}"#)
    }

    fn expected(text: &str) -> Result<bool, String> {
        let entries = serde_json::from_str(text).unwrap();
        Condition::of_expected(entries, ConditionalOperator::And)
            .map(|condition| condition.holds(&before()))
            .map_err(|error| error.to_string())
    }

    #[test]
    fn every_comparison_operator() {
        for (entry, holds) in [
            (
                r#"{"n":{"ComparisonOperator":"EQ","AttributeValueList":[{"N":"5"}]}}"#,
                true,
            ),
            (
                r#"{"ss":{"ComparisonOperator":"EQ","AttributeValueList":[{"SS":["b","a"]}]}}"#,
                true,
            ),
            (
                r#"{"n":{"ComparisonOperator":"NE","AttributeValueList":[{"N":"5"}]}}"#,
                false,
            ),
            (
                r#"{"zz":{"ComparisonOperator":"NE","AttributeValueList":[{"N":"5"}]}}"#,
                true,
            ),
            (
                r#"{"n":{"ComparisonOperator":"LT","Value":{"N":"6"}}}"#,
                true,
            ),
            (
                r#"{"n":{"ComparisonOperator":"LE","Value":{"N":"4"}}}"#,
                false,
            ),
            (
                r#"{"n":{"ComparisonOperator":"GT","Value":{"N":"4"}}}"#,
                true,
            ),
            (
                r#"{"n":{"ComparisonOperator":"GE","Value":{"N":"6"}}}"#,
                false,
            ),
            (r#"{"n":{"ComparisonOperator":"NOT_NULL"}}"#, true),
            (r#"{"n":{"ComparisonOperator":"NULL"}}"#, false),
            (
                r#"{"s":{"ComparisonOperator":"CONTAINS","Value":{"S":"ell"}}}"#,
                true,
            ),
            (
                r#"{"ss":{"ComparisonOperator":"NOT_CONTAINS","Value":{"S":"a"}}}"#,
                false,
            ),
            (
                r#"{"s":{"ComparisonOperator":"BEGINS_WITH","Value":{"S":"he"}}}"#,
                true,
            ),
            (
                r#"{"n":{"ComparisonOperator":"IN","AttributeValueList":[{"N":"1"},{"N":"5"}]}}"#,
                true,
            ),
            (
                r#"{"n":{"ComparisonOperator":"BETWEEN","AttributeValueList":[{"N":"1"},{"N":"5"}]}}"#,
                true,
            ),
            (r#"{"n":{"Value":{"N":"5"}}}"#, true),
            (
                r#"{"n":{"Value":{"N":"5"},"Exists":true},"zz":{"Exists":false}}"#,
                true,
            ),
            (r#"{"n":{"Exists":false}}"#, false),
        ] {
            assert_eq!(expected(entry), Ok(holds), "{entry}");
        }
        let entries = r#"{"n":{"Value":{"N":"1"}},"s":{"Value":{"S":"hello"}}}"#;
        assert_eq!(expected(entries), Ok(false));
        let either = serde_json::from_str(entries).unwrap();
        let either = Condition::of_expected(either, ConditionalOperator::Or).unwrap();
        assert!(either.holds(&before()));
    }

    #[test]
    fn refuses_with_the_services_texts() {
        for (entry, message) in [
            (
                r#"{"a":{"Value":{"S":"x"},"AttributeValueList":[]}}"#,
                "One or more parameter values were invalid: Value and AttributeValueList cannot be used together for Attribute: a",
            ),
            (
                r#"{"a":{"Exists":true,"ComparisonOperator":"NULL"}}"#,
                "One or more parameter values were invalid: Exists and ComparisonOperator cannot be used together for Attribute: a",
            ),
            (
                r#"{"a":{"ComparisonOperator":"EQ"}}"#,
                "One or more parameter values were invalid: Value or AttributeValueList must be used with ComparisonOperator: EQ for Attribute: a",
            ),
            (
                r#"{"a":{"ComparisonOperator":"EQ","AttributeValueList":[]}}"#,
                "One or more parameter values were invalid: Invalid number of argument(s) for the EQ ComparisonOperator",
            ),
            (
                r#"{"a":{"ComparisonOperator":"IN","AttributeValueList":[{"S":"x"},{"N":"1"}]}}"#,
                "One or more parameter values were invalid: AttributeValues inside AttributeValueList must be of same type",
            ),
            (
                r#"{"a":{"ComparisonOperator":"LT","Value":{"BOOL":true}}}"#,
                "One or more parameter values were invalid: ComparisonOperator LT is not valid for BOOL AttributeValue type",
            ),
            (
                r#"{"a":{"ComparisonOperator":"BETWEEN","AttributeValueList":[{"N":"2"},{"N":"1"}]}}"#,
                "The BETWEEN condition was provided a range where the lower bound is greater than the upper bound",
            ),
            (
                r#"{"a":{"AttributeValueList":[{"S":"x"}]}}"#,
                "One or more parameter values were invalid: AttributeValueList can only be used with a ComparisonOperator for Attribute: a",
            ),
            (
                r#"{"a":{}}"#,
                "One or more parameter values were invalid: Value must be provided when Exists is null for Attribute: a",
            ),
            (
                r#"{"a":{"Exists":false,"Value":{"S":"x"}}}"#,
                "One or more parameter values were invalid: Value cannot be used when Exists is false for Attribute: a",
            ),
            (
                r#"{"a":{"Value":{"N":"x"}}}"#,
                "The parameter cannot be converted to a numeric value: x",
            ),
        ] {
            assert_eq!(expected(entry).unwrap_err(), message, "{entry}");
        }
        let unknown = expected(r#"{"a":{"ComparisonOperator":"LIKE","Value":{"S":"x"}}}"#);
        assert!(unknown.unwrap_err().starts_with(
            "1 validation error detected: Value 'LIKE' at 'expected.a.member.comparisonOperator'"
        ));
    }

    #[test]
    fn attribute_updates() {
        let update = |text: &str| {
            let entries = serde_json::from_str(text).unwrap();
            Update::of_attribute_updates(entries)
                .map(|update| update.apply(&before()).unwrap())
                .map_err(|error| error.to_string())
        };
        for (text, attribute, left) in [
            (r#"{"a":{"Value":{"S":"x"}}}"#, "a", Some(r#"{"S":"x"}"#)),
            (
                r#"{"n":{"Action":"ADD","Value":{"N":"2"}}}"#,
                "n",
                Some(r#"{"N":"7"}"#),
            ),
            (
                r#"{"l":{"Action":"ADD","Value":{"L":[{"N":"2"}]}}}"#,
                "l",
                Some(r#"{"L":[{"N":"1"},{"N":"2"}]}"#),
            ),
            (
                r#"{"zz":{"Action":"ADD","Value":{"L":[{"N":"2"}]}}}"#,
                "zz",
                Some(r#"{"L":[{"N":"2"}]}"#),
            ),
            (
                r#"{"ss":{"Action":"DELETE","Value":{"SS":["a"]}}}"#,
                "ss",
                Some(r#"{"SS":["b"]}"#),
            ),
            (r#"{"ss":{"Action":"DELETE"}}"#, "ss", None),
        ] {
            let new = update(text).unwrap();
            let shown = new
                .get(attribute)
                .map(|value| serde_json::to_string(value).unwrap());
            assert_eq!(shown.as_deref(), left, "{text}");
        }
        for (text, message) in [
            (
                r#"{"a":{"Action":"PUT"}}"#,
                "Only DELETE action is allowed when no attribute value is specified",
            ),
            (
                r#"{"a":{"Action":"ADD","Value":{"S":"x"}}}"#,
                "ADD action is not supported for the type S",
            ),
            (
                r#"{"a":{"Action":"DELETE","Value":{"N":"1"}}}"#,
                "DELETE action with value is not supported for the type N",
            ),
        ] {
            let expected = format!("One or more parameter values were invalid: {message}");
            assert_eq!(update(text), Err(expected), "{text}");
        }
    }

    #[test]
    fn key_conditions() {
        let attributes = KeyAttributes {
            partition: ("p", AttributeType::String),
            sort: Some(("c", AttributeType::Number)),
        };
        let key = |text: &str| {
            let entries = serde_json::from_str(text).unwrap();
            KeyCondition::of_key_conditions(entries, attributes).map_err(|error| error.to_string())
        };
        let both = r#"{"p":{"ComparisonOperator":"EQ","AttributeValueList":[{"S":"x"}]},
            "c":{"ComparisonOperator":"GE","AttributeValueList":[{"N":"1"}]}}"#;
        let condition = key(both).unwrap();
        assert_eq!(condition.partition, AttributeValue::String("x".to_owned()));
        assert!(matches!(
            condition.sort,
            Some(SortCondition::GreaterOrEqual(_))
        ));
        assert_eq!(
            key(r#"{"p":{"ComparisonOperator":"NE","AttributeValueList":[{"S":"x"}]}}"#),
            Err("Attempted conditional constraint is not an indexable operation".to_owned())
        );
        assert_eq!(
            key(r#"{"p":{"ComparisonOperator":"LT","AttributeValueList":[{"S":"x"}]}}"#),
            Err("Query key condition not supported".to_owned())
        );
        assert_eq!(
            key("{}"),
            Err("Conditions can be of length 1 or 2 only".to_owned())
        );
    }
}
