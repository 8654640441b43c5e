//! The Condition element: which operators there are, what their values must look like, and
//! whether a request fulfils them. Several keys must all hold; of several values one is enough,
//! and none of a negated operator's (IAM User Guide, "Condition operators", "Conditions with
//! multiple context keys or values", "Single-valued vs. multivalued context keys"). What a plain
//! operator says to a key of several values AWS leaves open: here it allows only if each of them
//! passes, and denies if one does.

use std::cmp::Ordering;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::error::Flaw;
use super::pattern::{Match, Pattern, Reading};
use super::request::{KeySource, Values};
use super::value::{Instant, Network, compare_numbers, instant, is_number};

/// One key of one operator with its values.
#[derive(Debug)]
pub(super) struct Condition {
    operator: Operator,
    pub(super) key: Box<str>,
    values: Operands,
}

/// An operator by the parts of its name.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Operator {
    /// Its name, without what is before and behind it.
    base: &'static str,
    set: Option<Set>,
    test: Test,
    negated: bool,
    if_exists: bool,
}

/// How an operator takes a key with several values.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Set {
    /// `ForAllValues:`: each value of the request passes; also if there is none.
    All,
    /// `ForAnyValue:`: one of them passes.
    Any,
}

/// What an operator compares.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Test {
    Text,
    TextAnyCase,
    Like,
    Number(Comparison),
    Date(Comparison),
    Bool,
    Binary,
    Address,
    Arn,
    Null,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Comparison {
    Equal,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

impl Comparison {
    fn holds(self, order: Ordering) -> bool {
        match self {
            Comparison::Equal => order == Ordering::Equal,
            Comparison::Less => order == Ordering::Less,
            Comparison::LessOrEqual => order != Ordering::Greater,
            Comparison::Greater => order == Ordering::Greater,
            Comparison::GreaterOrEqual => order != Ordering::Less,
        }
    }
}

/// Every operator's name without `ForAllValues:`, `ForAnyValue:` and `IfExists`.
const OPERATORS: [(&str, Test, bool); 27] = [
    ("StringEquals", Test::Text, false),
    ("StringNotEquals", Test::Text, true),
    ("StringEqualsIgnoreCase", Test::TextAnyCase, false),
    ("StringNotEqualsIgnoreCase", Test::TextAnyCase, true),
    ("StringLike", Test::Like, false),
    ("StringNotLike", Test::Like, true),
    ("NumericEquals", Test::Number(Comparison::Equal), false),
    ("NumericNotEquals", Test::Number(Comparison::Equal), true),
    ("NumericLessThan", Test::Number(Comparison::Less), false),
    (
        "NumericLessThanEquals",
        Test::Number(Comparison::LessOrEqual),
        false,
    ),
    (
        "NumericGreaterThan",
        Test::Number(Comparison::Greater),
        false,
    ),
    (
        "NumericGreaterThanEquals",
        Test::Number(Comparison::GreaterOrEqual),
        false,
    ),
    ("DateEquals", Test::Date(Comparison::Equal), false),
    ("DateNotEquals", Test::Date(Comparison::Equal), true),
    ("DateLessThan", Test::Date(Comparison::Less), false),
    (
        "DateLessThanEquals",
        Test::Date(Comparison::LessOrEqual),
        false,
    ),
    ("DateGreaterThan", Test::Date(Comparison::Greater), false),
    (
        "DateGreaterThanEquals",
        Test::Date(Comparison::GreaterOrEqual),
        false,
    ),
    ("Bool", Test::Bool, false),
    ("BinaryEquals", Test::Binary, false),
    ("IpAddress", Test::Address, false),
    ("NotIpAddress", Test::Address, true),
    ("ArnEquals", Test::Arn, false),
    ("ArnLike", Test::Arn, false),
    ("ArnNotEquals", Test::Arn, true),
    ("ArnNotLike", Test::Arn, true),
    ("Null", Test::Null, false),
];

impl Operator {
    /// The operator of that name; `None` if there is none.
    pub(super) fn parse(name: &str) -> Option<Operator> {
        let (set, rest) = match name.split_once(':') {
            None => (None, name),
            Some(("ForAllValues", rest)) => (Some(Set::All), rest),
            Some(("ForAnyValue", rest)) => (Some(Set::Any), rest),
            Some(_) => return None,
        };
        let (base, if_exists) = match rest.strip_suffix("IfExists") {
            Some(base) => (base, true),
            None => (rest, false),
        };
        let found = OPERATORS.iter().find(|(name, _, _)| *name == base);
        let (base, test, negated) = *found?;
        // Null asks for existence itself.
        let sensible = test != Test::Null || !if_exists && set.is_none();
        sensible.then_some(Operator {
            base,
            set,
            test,
            negated,
            if_exists,
        })
    }

    /// Its name, as the policy has it.
    pub(super) fn name(self) -> String {
        let set = match self.set {
            None => "",
            Some(Set::All) => "ForAllValues:",
            Some(Set::Any) => "ForAnyValue:",
        };
        let end = if self.if_exists { "IfExists" } else { "" };
        format!("{set}{}{end}", self.base)
    }
}

/// An operator's values, compiled.
#[derive(Debug)]
enum Operands {
    Patterns(Box<[Pattern]>),
    Numbers(Box<[Box<str>]>),
    Dates(Box<[Instant]>),
    Binary(Box<[Box<str>]>),
    Networks(Box<[Network]>),
    /// Must the key be absent?
    Absent(Box<[bool]>),
}

/// A value as the document has it, and where.
pub(super) struct Given {
    pub(super) text: String,
    pub(super) at: usize,
}

impl Condition {
    /// Compiles one key of an operator.
    pub(super) fn new(
        operator: Operator,
        key: &str,
        given: &[Given],
        variables: bool,
    ) -> Result<Condition, Flaw> {
        let patterns = |wildcards| {
            let reading = Reading {
                wildcards,
                variables,
            };
            let compiled = given
                .iter()
                .map(|value| Pattern::new(&value.text, value.at, reading));
            Ok(Operands::Patterns(compiled.collect::<Result<_, Flaw>>()?))
        };
        let values = match operator.test {
            Test::Text | Test::TextAnyCase => patterns(false)?,
            Test::Like | Test::Arn => patterns(true)?,
            Test::Bool => {
                let is_bool = |text: &str| {
                    let variable = variables && text.contains("${");
                    (variable || truth(text).is_some()).then_some(())
                };
                each(given, "true or false", is_bool)?;
                patterns(false)?
            }
            Test::Number(_) => Operands::Numbers(each(given, "a number", |text| {
                is_number(text).then(|| text.into())
            })?),
            Test::Date(_) => Operands::Dates(each(given, "a date", instant)?),
            Test::Binary => Operands::Binary(each(given, "base64", |text| {
                let decoded = STANDARD.decode(text).ok()?;
                Some(STANDARD.encode(decoded).into())
            })?),
            Test::Address => {
                Operands::Networks(each(given, "an address or network", Network::parse)?)
            }
            Test::Null => Operands::Absent(each(given, "true or false", truth)?),
        };
        Ok(Condition {
            operator,
            key: key.into(),
            values,
        })
    }

    /// Does the request fulfil it? `cautious`: it is part of an Allow, which a variable without
    /// a value must not help; in a Deny it doesn't hinder.
    pub(super) fn holds(&self, keys: &dyn KeySource, cautious: bool) -> bool {
        let values = keys.get(&self.key);
        let is_null = values
            .as_ref()
            .is_none_or(|values| values.iter().all(str::is_empty));
        if let Operands::Absent(absent) = &self.values {
            return absent.contains(&is_null);
        }
        let Some(values) = values.filter(|values| !values.is_empty()) else {
            return match (self.operator.if_exists, self.operator.set) {
                (true, _) | (_, Some(Set::All)) => true,
                (_, Some(Set::Any)) => false,
                (_, None) => self.operator.negated,
            };
        };
        self.values_hold(&values, is_null, keys, cautious)
    }

    /// The same of values of which there is one at least. `is_null`: all are empty texts, which
    /// to the set operators are no values.
    fn values_hold(
        &self,
        values: &Values<'_>,
        is_null: bool,
        keys: &dyn KeySource,
        cautious: bool,
    ) -> bool {
        let passes = |value: &str| match (self.operator.negated, self.matches(value, keys)) {
            (false, matched) => matched == Match::Yes,
            (true, Match::Unknown) => !cautious,
            (true, matched) => matched == Match::No,
        };
        match self.operator.set {
            Some(Set::All) => is_null || values.iter().all(passes),
            Some(Set::Any) => !is_null && values.iter().any(passes),
            None if cautious => values.iter().all(passes),
            None => values.iter().any(passes),
        }
    }

    /// Does a value of the request match one of the policy's? Unknown if none does and one of
    /// them has a variable without a value.
    fn matches(&self, value: &str, keys: &dyn KeySource) -> Match {
        match &self.values {
            Operands::Patterns(patterns) => {
                let mut found = Match::No;
                for pattern in patterns {
                    match self.matches_pattern(pattern, value, keys) {
                        Match::Yes => return Match::Yes,
                        Match::Unknown => found = Match::Unknown,
                        Match::No => {}
                    }
                }
                found
            }
            Operands::Numbers(numbers) => {
                let Test::Number(comparison) = self.operator.test else {
                    return Match::No;
                };
                let mut orders = numbers.iter().filter_map(|own| compare_numbers(value, own));
                orders.any(|order| comparison.holds(order)).into()
            }
            Operands::Dates(dates) => {
                let (Test::Date(comparison), Some(at)) = (self.operator.test, instant(value))
                else {
                    return Match::No;
                };
                let mut orders = dates.iter().map(|own| at.cmp(own));
                orders.any(|order| comparison.holds(order)).into()
            }
            Operands::Binary(binary) => {
                let bare = value.trim_end_matches('=');
                let mut own = binary.iter().map(|own| own.trim_end_matches('='));
                own.any(|own| own == bare).into()
            }
            Operands::Networks(networks) => {
                let mut networks = networks.iter();
                networks.any(|network| network.contains(value)).into()
            }
            Operands::Absent(_) => Match::No,
        }
    }

    fn matches_pattern(&self, pattern: &Pattern, value: &str, keys: &dyn KeySource) -> Match {
        match self.operator.test {
            Test::TextAnyCase => pattern.matches_any_case(value, keys),
            Test::Arn => pattern.matches_arn(value, keys),
            // A value that is neither is no reason to hold.
            Test::Bool if truth(value).is_none() => Match::No,
            Test::Bool => pattern.matches_any_case(value, keys),
            _ => pattern.matches(value, keys),
        }
    }

    pub(super) fn operator(&self) -> Operator {
        self.operator
    }

    /// The condition keys that it and its values' variables name.
    pub(super) fn keys(&self) -> impl Iterator<Item = &str> {
        let patterns: &[Pattern] = match &self.values {
            Operands::Patterns(patterns) => patterns,
            _ => &[],
        };
        std::iter::once(&*self.key).chain(patterns.iter().flat_map(Pattern::variables))
    }
}

/// Each value as what it must be.
fn each<T>(
    given: &[Given],
    expected: &str,
    read: impl Fn(&str) -> Option<T>,
) -> Result<Box<[T]>, Flaw> {
    let values = given.iter().map(|value| {
        read(&value.text).ok_or_else(|| Flaw::legacy(value.at, format!("{expected} is expected")))
    });
    values.collect()
}

fn truth(text: &str) -> Option<bool> {
    let is = |word: &str| text.eq_ignore_ascii_case(word);
    if is("true") {
        Some(true)
    } else {
        is("false").then_some(false)
    }
}
