//! Conditions and filters: the tree that is evaluated against an item.
//!
//! Evaluation never fails: what can't be compared makes a comparison false.

use std::borrow::Cow;
use std::cmp::Ordering;

use crate::{AttributeType, AttributeValue, Item, Number, Path, begins_with, compare, contains};

use super::condition_parser::parse;
use super::{ExpressionError, ExpressionKind, Substitutions};

/// A parsed `ConditionExpression` or `FilterExpression`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Condition {
    pub(super) test: Test,
    pub(super) paths: Vec<Path>,
}

/// A node that is true or false. The depth is bounded by the number of operators.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Test {
    All(Vec<Test>),
    Any(Vec<Test>),
    Not(Box<Test>),
    Compare(Comparator, Operand, Operand),
    Between(Operand, Operand, Operand),
    In(Operand, Vec<Operand>),
    Exists(Path),
    NotExists(Path),
    HasType(Operand, AttributeType),
    BeginsWith(Operand, Operand),
    Contains(Operand, Operand),
}

/// A node that has a value, or none where an attribute is missing.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Operand {
    Path(Path),
    Literal(AttributeValue),
    /// `size(…)` of a path or a literal.
    Size(Box<Operand>),
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Comparator {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

impl Condition {
    /// Parses a condition or a filter.
    ///
    /// # Errors
    /// When it isn't one; what the text says is the service's.
    pub fn parse(
        kind: ExpressionKind,
        text: &str,
        substitutions: &mut Substitutions,
    ) -> Result<Condition, ExpressionError> {
        parse(kind, text, substitutions)
    }

    /// Does it hold for an item? An absent item is an empty one.
    pub fn holds(&self, item: &Item) -> bool {
        self.test.holds(item)
    }

    /// Every path in it, in the order of the text.
    pub fn paths(&self) -> &[Path] {
        &self.paths
    }
}

impl Comparator {
    pub(super) fn of_symbol(symbol: &str) -> Option<Comparator> {
        Some(match symbol {
            "=" => Comparator::Equal,
            "<>" => Comparator::NotEqual,
            "<" => Comparator::Less,
            "<=" => Comparator::LessOrEqual,
            ">" => Comparator::Greater,
            ">=" => Comparator::GreaterOrEqual,
            _ => return None,
        })
    }

    pub(super) const fn symbol(self) -> &'static str {
        match self {
            Comparator::Equal => "=",
            Comparator::NotEqual => "<>",
            Comparator::Less => "<",
            Comparator::LessOrEqual => "<=",
            Comparator::Greater => ">",
            Comparator::GreaterOrEqual => ">=",
        }
    }

    /// Does it hold? A missing operand is unequal to everything, even to another missing one.
    fn holds(self, left: Option<&AttributeValue>, right: Option<&AttributeValue>) -> bool {
        let (Some(left), Some(right)) = (left, right) else {
            return self == Comparator::NotEqual;
        };
        let ordered = |test: fn(Ordering) -> bool| compare(left, right).is_some_and(test);
        match self {
            Comparator::Equal => left == right,
            Comparator::NotEqual => left != right,
            Comparator::Less => ordered(Ordering::is_lt),
            Comparator::LessOrEqual => ordered(Ordering::is_le),
            Comparator::Greater => ordered(Ordering::is_gt),
            Comparator::GreaterOrEqual => ordered(Ordering::is_ge),
        }
    }
}

impl Operand {
    pub(super) fn path(&self) -> Option<&Path> {
        match self {
            Operand::Path(path) => Some(path),
            _ => None,
        }
    }

    /// The type that its value has whatever the item is.
    pub(super) fn known_type(&self) -> Option<AttributeType> {
        match self {
            Operand::Path(_) => None,
            Operand::Literal(value) => Some(value.attribute_type()),
            Operand::Size(_) => Some(AttributeType::Number),
        }
    }

    fn value<'a>(&'a self, item: &'a Item) -> Option<Cow<'a, AttributeValue>> {
        match self {
            Operand::Path(path) => path.get(item).map(Cow::Borrowed),
            Operand::Literal(value) => Some(Cow::Borrowed(value)),
            Operand::Size(operand) => {
                let size = size(operand.value(item)?.as_ref())?;
                let size = Number::from(u64::try_from(size).expect("a size fits 64 bits"));
                Some(Cow::Owned(AttributeValue::Number(size)))
            }
        }
    }
}

/// What `size` gives: bytes of a string or binary, members of a set, elements of a list or map.
fn size(value: &AttributeValue) -> Option<usize> {
    Some(match value {
        AttributeValue::String(text) => text.len(),
        AttributeValue::Binary(bytes) => bytes.len(),
        AttributeValue::StringSet(members) => members.len(),
        AttributeValue::NumberSet(members) => members.len(),
        AttributeValue::BinarySet(members) => members.len(),
        AttributeValue::List(elements) => elements.len(),
        AttributeValue::Map(entries) => entries.len(),
        AttributeValue::Number(_) | AttributeValue::Bool(_) | AttributeValue::Null => return None,
    })
}

impl Test {
    fn holds(&self, item: &Item) -> bool {
        let both = |left: &Operand, right: &Operand, test: fn(&_, &_) -> bool| {
            matches!((left.value(item), right.value(item)),
                (Some(left), Some(right)) if test(left.as_ref(), right.as_ref()))
        };
        match self {
            Test::All(tests) => tests.iter().all(|test| test.holds(item)),
            Test::Any(tests) => tests.iter().any(|test| test.holds(item)),
            Test::Not(test) => !test.holds(item),
            Test::Compare(comparator, left, right) => {
                comparator.holds(left.value(item).as_deref(), right.value(item).as_deref())
            }
            Test::Between(operand, low, high) => {
                let value = operand.value(item);
                let holds = |comparator: Comparator, bound: &Operand| {
                    comparator.holds(value.as_deref(), bound.value(item).as_deref())
                };
                holds(Comparator::GreaterOrEqual, low) && holds(Comparator::LessOrEqual, high)
            }
            Test::In(operand, list) => {
                let value = operand.value(item);
                let equals = |other: &Operand| {
                    Comparator::Equal.holds(value.as_deref(), other.value(item).as_deref())
                };
                list.iter().any(equals)
            }
            Test::Exists(path) => path.get(item).is_some(),
            Test::NotExists(path) => path.get(item).is_none(),
            Test::HasType(operand, wanted) => operand
                .value(item)
                .is_some_and(|value| value.attribute_type() == *wanted),
            Test::BeginsWith(value, start) => both(value, start, begins_with),
            Test::Contains(value, part) => both(value, part, contains),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{item, substitutions};
    use super::*;

    fn holds(text: &str) -> bool {
        let item = item(
            r#"{"s":{"S":"hello"},"e":{"S":""},"n":{"N":"5"},"m":{"N":"10"},"b":{"B":"AAH/"},
            "ss":{"SS":["a","b"]},"ns":{"NS":["1","2","3"]},"bs":{"BS":["AA=="]},
            "t":{"BOOL":true},"z":{"NULL":true},"l":{"L":[{"S":"x"},{"N":"5"}]},
            "mp":{"M":{"k":{"L":[{"M":{"deep":{"N":"1"}}}]},"j":{"S":"hello"}}}}"#,
        );
        let mut substitutions = substitutions(
            r##"{"#s":"s","#d":"deep"}"##,
            r#"{":five":{"N":"5.0"},":ten":{"N":"10"},":nine":{"N":"9"},":hello":{"S":"hello"},
            ":he":{"S":"he"},":a":{"S":"a"},":S":{"S":"S"},":N":{"S":"N"},":M":{"S":"M"},
            ":bin":{"B":"AAE="},":one":{"N":"1"},":set":{"SS":["b","a"]},":true":{"BOOL":true},
            ":null":{"NULL":true},":two":{"N":"2"},":three":{"N":"3"},":empty":{"S":""}}"#,
        );
        Condition::parse(ExpressionKind::Condition, text, &mut substitutions)
            .unwrap_or_else(|error| panic!("{text}: {error}"))
            .holds(&item)
    }

    #[test]
    fn every_operator_and_function() {
        for (text, expected) in [
            ("s = :hello", true),
            ("#s = :hello", true),
            ("s = :he", false),
            ("s = mp.j", true),
            ("n = :five", true),
            ("n = :hello", false),
            ("n <> :hello", true),
            ("n < :ten", true),
            ("m < :nine", false),
            ("n <= :five", true),
            ("n > :five", false),
            ("n >= :five", true),
            (":ten > n", true),
            ("s > :he", true),
            ("s < n", false),
            ("s >= n", false),
            ("ss = :set", true),
            ("t = :true", true),
            ("z = :null", true),
            ("absent = :five", false),
            ("absent <> :five", true),
            ("absent = nowhere", false),
            ("absent <> nowhere", true),
            ("absent < :five", false),
            ("NOT absent < :five", true),
            ("n BETWEEN :five AND :ten", true),
            ("n between :nine and :ten", false),
            ("absent BETWEEN :five AND :ten", false),
            (":nine BETWEEN n AND m", true),
            ("n IN (:ten, :five)", true),
            ("n in (:ten)", false),
            ("absent IN (:ten)", false),
            ("attribute_exists(n)", true),
            ("attribute_exists(mp.k[0].#d)", true),
            ("attribute_exists(mp.k[1])", false),
            ("attribute_exists(n.x)", false),
            ("attribute_not_exists(absent)", true),
            ("attribute_not_exists(n)", false),
            ("attribute_type(s, :S)", true),
            ("attribute_type(s, :N)", false),
            ("attribute_type(mp, :M)", true),
            ("attribute_type(absent, :S)", false),
            ("begins_with(s, :he)", true),
            ("begins_with(s, :a)", false),
            ("begins_with(s, :empty)", true),
            ("begins_with(b, :bin)", true),
            ("begins_with(n, :he)", false),
            ("begins_with(absent, :he)", false),
            ("contains(s, :he)", true),
            ("contains(ss, :a)", true),
            ("contains(ns, :two)", true),
            ("contains(l, :five)", true),
            ("contains(l, :he)", false),
            ("contains(absent, :he)", false),
            ("size(s) = :five", true),
            ("size(e) < :one", true),
            ("size(b) = :three", true),
            ("size(ss) = :two", true),
            ("size(ns) = :three", true),
            ("size(bs) = :one", true),
            ("size(l) = :two", true),
            ("size(mp) = :two", true),
            ("size(n) = :one", false),
            ("size(absent) = :one", false),
            ("size(:hello) = :five", true),
            (":ten > size(s)", true),
            ("size(s) BETWEEN :one AND :five", true),
            ("size(s) IN (:one, :five)", true),
            ("n = :five AND s = :hello", true),
            ("n = :ten AND s = :hello", false),
            ("n = :ten OR s = :hello", true),
            ("NOT n = :ten", true),
            ("NOT NOT n = :ten", false),
            ("NOT n = :ten AND s = :he", false),
            ("NOT (n = :ten AND s = :he)", true),
            ("n = :five OR n = :ten AND s = :he", true),
            ("(n = :five OR n = :ten) AND s = :he", false),
            ("n BETWEEN :five AND :ten AND s = :hello", true),
            ("(n) = (:five)", true),
            ("(mp).k[0].deep = :one", true),
            ("(n = :five)", true),
            ("( (n = :five) AND (s = :hello) )", true),
            ("n=:five aNd nOt s=:he", true),
        ] {
            assert_eq!(holds(text), expected, "{text}");
        }
    }

    #[test]
    fn paths_are_listed_in_order() {
        let condition = Condition::parse(
            ExpressionKind::Filter,
            "a.b = c AND size(d) > e[0] OR attribute_exists(f)",
            &mut Substitutions::default(),
        )
        .unwrap();
        let paths: Vec<String> = condition.paths().iter().map(Path::to_string).collect();
        assert_eq!(paths, ["[a, b]", "[c]", "[d]", "[e, [0]]", "[f]"]);
    }
}
