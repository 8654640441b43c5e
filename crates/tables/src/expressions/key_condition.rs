//! Key conditions: which part of a table or index a query reads.
//!
//! The text is a condition's; what it may say of a key is less, and is checked here.

use std::collections::BTreeMap;

use crate::primary_key::empty;
use crate::{AttributeType, AttributeValue, Path, SortCondition};

use super::condition::{Comparator, Operand, Test};
use super::condition_parser::parse;
use super::{ExpressionError, ExpressionKind, Substitutions};

/// The key attributes of the table or index that is queried.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct KeyAttributes<'a> {
    /// The partition key's name and type.
    pub partition: (&'a str, AttributeType),
    /// The sort key's name and type, where there is one.
    pub sort: Option<(&'a str, AttributeType)>,
}

/// A parsed `KeyConditionExpression`: one partition, and the sort keys wanted of it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct KeyCondition {
    /// The partition key's value.
    pub partition: AttributeValue,
    /// The condition on the sort key.
    pub sort: Option<SortCondition>,
}

/// Why a key condition is refused. `Display` is the service's text, of a `ValidationException`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeyConditionError {
    /// It isn't even a condition.
    #[error(transparent)]
    Expression(#[from] ExpressionError),
    /// An operator or function that keys don't have.
    #[error("Invalid operator used in KeyConditionExpression: {0}")]
    Operator(&'static str),
    /// `size`, or a comparison of anything but a key attribute and a value.
    #[error("KeyConditionExpressions cannot contain nested operations")]
    NestedOperation,
    /// A path into an attribute.
    #[error("KeyConditionExpressions cannot have conditions on nested attributes")]
    NestedAttribute,
    /// `BETWEEN` or `begins_with` without the attribute in front.
    #[error(
        "Invalid condition in KeyConditionExpression: {0} operator must have the key attribute as \
         its first operand"
    )]
    FirstOperand(&'static str),
    /// Two attributes compared.
    #[error(
        "Invalid condition in KeyConditionExpression: Multiple attribute names used in one \
         condition"
    )]
    SeveralAttributes,
    /// Two values compared.
    #[error("Invalid condition in KeyConditionExpression: No key attribute specified")]
    NoAttribute,
    /// An attribute in two conditions.
    #[error("KeyConditionExpressions must only contain one condition per key")]
    Repeated,
    /// More conditions than a key can have.
    #[error("Conditions can be of length 1 or 2 only")]
    Count,
    /// No condition on a key attribute that needs one.
    #[error("Query condition missed key schema element: {0}")]
    Missing(String),
    /// The partition key compared by other than `=`, or a second condition without a sort key.
    #[error("Query key condition not supported")]
    NotSupported,
    /// A value of another type than the key attribute's.
    #[error(
        "One or more parameter values were invalid: Condition parameter type does not match \
         schema type"
    )]
    Type,
    /// A comparison operator of `KeyConditions` that no key has.
    #[error("Attempted conditional constraint is not an indexable operation")]
    NotIndexable,
    /// A key is compared with an empty value.
    #[error(
        "One or more parameter values are not valid. The AttributeValue for a key attribute \
         cannot contain an empty {kind} value. Key: {name}"
    )]
    Empty {
        /// `string` or `binary`.
        kind: &'static str,
        /// The key attribute.
        name: String,
    },
}

impl KeyCondition {
    /// Parses a key condition.
    ///
    /// # Errors
    /// When it isn't one for these attributes; what the text says is the service's.
    pub fn parse(
        text: &str,
        substitutions: &mut Substitutions,
        attributes: KeyAttributes<'_>,
    ) -> Result<KeyCondition, KeyConditionError> {
        let condition = parse(ExpressionKind::KeyCondition, text, substitutions)?;
        let mut conditions = BTreeMap::new();
        let mut tests = vec![condition.test];
        while let Some(test) = tests.pop() {
            if let Test::All(inner) = test {
                tests.extend(inner.into_iter().rev());
                continue;
            }
            let (name, condition) = on_attribute(test)?;
            if conditions.insert(name, condition).is_some() {
                return Err(KeyConditionError::Repeated);
            }
        }
        KeyCondition::of_conditions(conditions, attributes)
    }

    /// The key condition that conditions on attributes make.
    ///
    /// # Errors
    /// When they don't fit the attributes.
    pub(crate) fn of_conditions(
        mut conditions: BTreeMap<String, SortCondition>,
        attributes: KeyAttributes<'_>,
    ) -> Result<KeyCondition, KeyConditionError> {
        let count = conditions.len();
        if !(1..=2).contains(&count) {
            return Err(KeyConditionError::Count);
        }
        if attributes.sort.is_none() && count > 1 {
            return Err(KeyConditionError::NotSupported);
        }
        let (name, wanted) = attributes.partition;
        let missing = |name: &str| KeyConditionError::Missing(name.to_owned());
        let partition = conditions.remove(name).ok_or_else(|| missing(name))?;
        check_types(&partition, wanted)?;
        check_not_empty(&partition, name)?;
        let SortCondition::Equal(partition) = partition else {
            return Err(KeyConditionError::NotSupported);
        };
        let sort = match attributes.sort {
            Some((name, wanted)) if count == 2 => {
                let condition = conditions.remove(name).ok_or_else(|| missing(name))?;
                check_types(&condition, wanted)?;
                check_not_empty(&condition, name)?;
                Some(condition)
            }
            _ => None,
        };
        Ok(KeyCondition { partition, sort })
    }
}

fn check_types(condition: &SortCondition, wanted: AttributeType) -> Result<(), KeyConditionError> {
    let mut values = condition.values();
    if values.all(|value| value.attribute_type() == wanted) {
        Ok(())
    } else {
        Err(KeyConditionError::Type)
    }
}

/// No key is empty, so none is asked for either.
fn check_not_empty(condition: &SortCondition, name: &str) -> Result<(), KeyConditionError> {
    match condition.values().find_map(empty) {
        Some(kind) => Err(KeyConditionError::Empty {
            kind,
            name: name.to_owned(),
        }),
        None => Ok(()),
    }
}

impl SortCondition {
    /// What the key is compared with.
    fn values(&self) -> impl Iterator<Item = &AttributeValue> {
        let (first, second) = match self {
            SortCondition::Equal(value)
            | SortCondition::Less(value)
            | SortCondition::LessOrEqual(value)
            | SortCondition::Greater(value)
            | SortCondition::GreaterOrEqual(value)
            | SortCondition::BeginsWith(value) => (value, None),
            SortCondition::Between(low, high) => (low, Some(high)),
        };
        std::iter::once(first).chain(second)
    }
}

/// The attribute and the condition on it that a test is.
fn on_attribute(test: Test) -> Result<(String, SortCondition), KeyConditionError> {
    match test {
        Test::Compare(comparator, left, right) => comparison(comparator, left, right),
        Test::Between(value, low, high) => {
            let first = first_operand("BETWEEN", value)?;
            let name = key_name(&first, &[&low, &high])?;
            Ok((name, SortCondition::Between(literal(low)?, literal(high)?)))
        }
        Test::BeginsWith(value, start) => {
            let first = first_operand("begins_with", value)?;
            let name = key_name(&first, &[&start])?;
            Ok((name, SortCondition::BeginsWith(literal(start)?)))
        }
        Test::Any(_) => Err(KeyConditionError::Operator("OR")),
        Test::Not(_) => Err(KeyConditionError::Operator("NOT")),
        Test::In(..) => Err(KeyConditionError::Operator("IN")),
        Test::Exists(_) => Err(KeyConditionError::Operator("attribute_exists")),
        Test::NotExists(_) => Err(KeyConditionError::Operator("attribute_not_exists")),
        Test::HasType(..) => Err(KeyConditionError::Operator("attribute_type")),
        Test::Contains(..) => Err(KeyConditionError::Operator("contains")),
        Test::All(_) => unreachable!("conjunctions are taken apart before"),
    }
}

fn comparison(
    comparator: Comparator,
    left: Operand,
    right: Operand,
) -> Result<(String, SortCondition), KeyConditionError> {
    use Comparator::{Equal, Greater, GreaterOrEqual, Less, LessOrEqual, NotEqual};
    if comparator == NotEqual {
        return Err(KeyConditionError::Operator("<>"));
    }
    let (path, value, turned) = match (left, right) {
        (Operand::Path(path), other) => (path, other, false),
        (other, Operand::Path(path)) => (path, other, true),
        (Operand::Literal(_), Operand::Literal(_)) => return Err(KeyConditionError::NoAttribute),
        _ => return Err(KeyConditionError::NestedOperation),
    };
    let name = key_name(&path, &[&value])?;
    let value = literal(value)?;
    let condition = match (comparator, turned) {
        (Less, false) | (Greater, true) => SortCondition::Less(value),
        (LessOrEqual, false) | (GreaterOrEqual, true) => SortCondition::LessOrEqual(value),
        (Greater, false) | (Less, true) => SortCondition::Greater(value),
        (GreaterOrEqual, false) | (LessOrEqual, true) => SortCondition::GreaterOrEqual(value),
        (Equal | NotEqual, _) => SortCondition::Equal(value),
    };
    Ok((name, condition))
}

fn first_operand(operator: &'static str, operand: Operand) -> Result<Path, KeyConditionError> {
    match operand {
        Operand::Path(path) => Ok(path),
        Operand::Size(_) => Err(KeyConditionError::NestedOperation),
        Operand::Literal(_) => Err(KeyConditionError::FirstOperand(operator)),
    }
}

/// The attribute that a path is, where nothing else in the condition is one.
fn key_name(path: &Path, others: &[&Operand]) -> Result<String, KeyConditionError> {
    if path.is_nested() {
        return Err(KeyConditionError::NestedAttribute);
    }
    if others.iter().any(|other| other.path().is_some()) {
        return Err(KeyConditionError::SeveralAttributes);
    }
    Ok(path.attribute().to_owned())
}

fn literal(operand: Operand) -> Result<AttributeValue, KeyConditionError> {
    match operand {
        Operand::Literal(value) => Ok(value),
        Operand::Size(_) => Err(KeyConditionError::NestedOperation),
        Operand::Path(_) => Err(KeyConditionError::SeveralAttributes),
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::substitutions;
    use super::*;

    const WITH_SORT: KeyAttributes<'static> = KeyAttributes {
        partition: ("p", AttributeType::String),
        sort: Some(("c", AttributeType::String)),
    };
    const WITHOUT_SORT: KeyAttributes<'static> = KeyAttributes {
        partition: ("p", AttributeType::String),
        sort: None,
    };

    fn key(text: &str, attributes: KeyAttributes<'_>) -> Result<KeyCondition, String> {
        let mut substitutions = substitutions(
            r##"{"#p":"p","#c":"c"}"##,
            r#"{":p":{"S":"P"},":x":{"S":"x"},":y":{"S":"y"},":n":{"N":"1"},":nul":{"NULL":true}}"#,
        );
        KeyCondition::parse(text, &mut substitutions, attributes).map_err(|error| error.to_string())
    }

    fn text(value: &str) -> AttributeValue {
        AttributeValue::String(value.to_owned())
    }

    #[test]
    fn every_operator_in_either_order() {
        let (x, y) = (text("x"), text("y"));
        for (condition, sort) in [
            ("p = :p", None),
            ("(p = :p)", None),
            ("p = :p AND c = :x", Some(SortCondition::Equal(x.clone()))),
            ("c = :x AND p = :p", Some(SortCondition::Equal(x.clone()))),
            (":p = p AND :x < c", Some(SortCondition::Greater(x.clone()))),
            (
                ":p = p AND :x >= c",
                Some(SortCondition::LessOrEqual(x.clone())),
            ),
            ("p = :p and c < :x", Some(SortCondition::Less(x.clone()))),
            (
                "p = :p and c <= :x",
                Some(SortCondition::LessOrEqual(x.clone())),
            ),
            ("p = :p and c > :x", Some(SortCondition::Greater(x.clone()))),
            (
                "p = :p and c >= :x",
                Some(SortCondition::GreaterOrEqual(x.clone())),
            ),
            (
                "p = :p AnD c BeTwEeN :x aNd :y",
                Some(SortCondition::Between(x.clone(), y)),
            ),
            (
                "#p = :p AND begins_with(#c, :x)",
                Some(SortCondition::BeginsWith(x.clone())),
            ),
            ("((c=:x) AND (p=:p))", Some(SortCondition::Equal(x))),
        ] {
            let expected = KeyCondition {
                partition: text("P"),
                sort,
            };
            assert_eq!(key(condition, WITH_SORT), Ok(expected), "{condition}");
        }
        assert!(key("p = :p", WITHOUT_SORT).is_ok());
    }

    #[test]
    fn refuses_with_the_services_texts() {
        for (condition, message) in [
            (
                "",
                "Invalid KeyConditionExpression: The expression can not be empty;",
            ),
            (
                "p",
                "Invalid KeyConditionExpression: Syntax error; token: \"<EOF>\", near: \"p\"",
            ),
            (
                "p = :p AND c != :x",
                "Invalid KeyConditionExpression: Syntax error; token: \"!\", near: \"c !=\"",
            ),
            (
                "p = :p AND dog(c, :x)",
                "Invalid KeyConditionExpression: Invalid function name; function: dog",
            ),
            (
                "p = :p AND begins_with(c, :n)",
                "Invalid KeyConditionExpression: Incorrect operand type for operator or function; operator or function: begins_with, operand type: N",
            ),
            (
                "p = :p AND c BETWEEN :y AND :x",
                "Invalid KeyConditionExpression: The BETWEEN operator requires upper bound to be greater than or equal to lower bound; lower bound operand: AttributeValue: {S:y}, upper bound operand: AttributeValue: {S:x}",
            ),
            (
                "p = :p OR c = :x",
                "Invalid operator used in KeyConditionExpression: OR",
            ),
            (
                "NOT c = :x AND p = :p",
                "Invalid operator used in KeyConditionExpression: NOT",
            ),
            (
                "p = :p AND c <> :x",
                "Invalid operator used in KeyConditionExpression: <>",
            ),
            (
                "p = :p AND c IN (:x)",
                "Invalid operator used in KeyConditionExpression: IN",
            ),
            (
                "p = :p AND attribute_exists(c)",
                "Invalid operator used in KeyConditionExpression: attribute_exists",
            ),
            (
                "p = :p AND contains(c, :x)",
                "Invalid operator used in KeyConditionExpression: contains",
            ),
            (
                "p = :p AND size(c) = :n",
                "KeyConditionExpressions cannot contain nested operations",
            ),
            (
                "p = :p AND a.b < :x",
                "KeyConditionExpressions cannot have conditions on nested attributes",
            ),
            (
                "p = :p AND :y BETWEEN c AND :x",
                "Invalid condition in KeyConditionExpression: BETWEEN operator must have the key attribute as its first operand",
            ),
            (
                "p = :p AND begins_with(:x, c)",
                "Invalid condition in KeyConditionExpression: begins_with operator must have the key attribute as its first operand",
            ),
            (
                "p = c",
                "Invalid condition in KeyConditionExpression: Multiple attribute names used in one condition",
            ),
            (
                ":p = :x",
                "Invalid condition in KeyConditionExpression: No key attribute specified",
            ),
            (
                "p = :p AND p = :p",
                "KeyConditionExpressions must only contain one condition per key",
            ),
            (
                "p = :p AND c < :x AND a < :x",
                "Conditions can be of length 1 or 2 only",
            ),
            ("c = :x", "Query condition missed key schema element: p"),
            (
                "p = :p AND a < :x",
                "Query condition missed key schema element: c",
            ),
            ("p < :p", "Query key condition not supported"),
            (
                "p = :n",
                "One or more parameter values were invalid: Condition parameter type does not match schema type",
            ),
            (
                "p = :p AND c = :n",
                "One or more parameter values were invalid: Condition parameter type does not match schema type",
            ),
            (
                "p = :nul",
                "One or more parameter values were invalid: Condition parameter type does not match schema type",
            ),
        ] {
            assert_eq!(
                key(condition, WITH_SORT).unwrap_err(),
                message,
                "{condition}"
            );
        }
        assert_eq!(
            key("p = :p AND c = :x", WITHOUT_SORT).unwrap_err(),
            "Query key condition not supported"
        );
    }
}
