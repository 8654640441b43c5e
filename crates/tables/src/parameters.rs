//! Parameters that several operations on items share: what to return of a write, what a failed
//! condition shows, and the old parameters from before expressions.

use std::collections::{BTreeMap, BTreeSet};

use crate::capacity::Wanted;
use crate::request::Constraints;
use crate::write::Written;
use crate::{
    AttributeValue, Condition, ConditionalOperator, ExpectedAttribute, ExpressionKind, Item,
    LegacyCondition, Parsed, Path, Projection, Substitutions, TablesError,
};

/// `ReturnValues`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum ReturnValues {
    None,
    AllOld,
    UpdatedOld,
    AllNew,
    UpdatedNew,
}

/// The parameters of a write as they come.
pub(crate) struct WriteTexts<'a> {
    pub(crate) return_values: Option<&'a str>,
    pub(crate) return_consumed_capacity: Option<&'a str>,
    pub(crate) return_item_collection_metrics: Option<&'a str>,
    pub(crate) on_failure: Option<&'a str>,
}

/// The same, understood.
#[derive(Clone, Copy)]
pub(crate) struct WriteParameters {
    pub(crate) returned: ReturnValues,
    pub(crate) capacity: Wanted,
    /// Does a failed condition show the item?
    pub(crate) show_on_failure: bool,
}

impl WriteTexts<'_> {
    pub(crate) fn constrain(&self, constraints: &mut Constraints) {
        Wanted::constrain(self.return_consumed_capacity, constraints);
        constraints.one_of(
            "returnItemCollectionMetrics",
            self.return_item_collection_metrics,
            &["SIZE", "NONE"],
        );
        constraints.one_of(
            "returnValues",
            self.return_values,
            &["ALL_NEW", "UPDATED_OLD", "ALL_OLD", "NONE", "UPDATED_NEW"],
        );
        constraints.one_of(
            "returnValuesOnConditionCheckFailure",
            self.on_failure,
            &["ALL_OLD", "NONE"],
        );
    }

    /// `dynamodb:ReturnValues`: what the write may show of the item. An item that a failed
    /// condition shows is shown as by `ALL_OLD`: AWS has no condition key for it.
    pub(crate) fn shown(&self) -> Option<Vec<String>> {
        let fails_with = self.on_failure.filter(|shown| *shown != "NONE");
        let returned = self.return_values.filter(|shown| *shown != "NONE");
        let fails_with = fails_with.filter(|shown| returned != Some(shown));
        let shown: Vec<String> = [returned, fails_with]
            .into_iter()
            .flatten()
            .map(str::to_owned)
            .collect();
        match shown.is_empty() {
            true => Some(vec!["NONE".to_owned()]),
            false => Some(shown),
        }
    }

    /// What they mean, once `constrain` found no fault.
    pub(crate) fn judge(&self) -> WriteParameters {
        WriteParameters {
            returned: match self.return_values {
                Some("ALL_OLD") => ReturnValues::AllOld,
                Some("UPDATED_OLD") => ReturnValues::UpdatedOld,
                Some("ALL_NEW") => ReturnValues::AllNew,
                Some("UPDATED_NEW") => ReturnValues::UpdatedNew,
                _ => ReturnValues::None,
            },
            capacity: Wanted::of(self.return_consumed_capacity),
            show_on_failure: self.on_failure == Some("ALL_OLD"),
        }
    }

    /// The same for operations that return an item as it was or nothing.
    pub(crate) fn judge_old_only(&self) -> Result<WriteParameters, TablesError> {
        let parameters = self.judge();
        match parameters.returned {
            ReturnValues::None | ReturnValues::AllOld => Ok(parameters),
            _ => Err(TablesError::validation(
                "ReturnValues can only be ALL_OLD or NONE",
            )),
        }
    }
}

impl WriteParameters {
    /// The error of a condition that did not hold.
    pub(crate) fn failed(self, found: Option<&Item>) -> TablesError {
        let shown = found.filter(|_| self.show_on_failure);
        TablesError::ConditionFailed(shown.map(|item| Box::new(item.clone())))
    }

    /// `Attributes` of an operation that returns an item as it was or nothing.
    pub(crate) fn old_only(self, written: &Written) -> Option<&Item> {
        match self.returned {
            ReturnValues::AllOld => written.old.as_ref(),
            _ => None,
        }
    }
}

/// Parameters of one request, each with its name and whether it is given.
pub(crate) type Given<'a> = &'a [(&'a str, bool)];

/// Refuses to mix parameters from before expressions with expressions, as the service does.
pub(crate) fn refuse_mix(legacy: Given<'_>, expressions: Given<'_>) -> Result<(), TablesError> {
    let (legacy, expressions) = (names(legacy), names(expressions));
    if legacy.is_empty() || expressions.is_empty() {
        return Ok(());
    }
    Err(TablesError::Validation(format!(
        "Can not use both expression and non-expression parameters in the same request: \
         Non-expression parameters: {{{}}} Expression parameters: {{{}}}",
        legacy.join(", "),
        expressions.join(", ")
    )))
}

/// The names of those that are given.
fn names<'a>(parameters: Given<'a>) -> Vec<&'a str> {
    let given = parameters.iter().filter(|(_, given)| *given);
    given.map(|(name, _)| *name).collect()
}

/// What a read shows of an item: `ProjectionExpression`, or `AttributesToGet` from before
/// expressions; everything if there is neither.
pub(crate) struct Shown {
    /// The parameter that says so.
    pub(crate) parameter: Option<&'static str>,
    projection: Option<Projection>,
}

impl Shown {
    /// What the two parameters say, of which a request may have one.
    pub(crate) fn judge(
        projection: Option<&str>,
        attributes: Option<Vec<String>>,
        substitutions: &mut Substitutions,
    ) -> Result<Shown, TablesError> {
        refuse_mix(
            &[("AttributesToGet", attributes.is_some())],
            &[("ProjectionExpression", projection.is_some())],
        )?;
        Ok(match (projection, attributes) {
            (Some(text), _) => Shown {
                parameter: Some("ProjectionExpression"),
                projection: Some(Projection::parse(text, substitutions)?),
            },
            (None, Some(attributes)) => {
                refuse_twice(&attributes)?;
                Shown {
                    parameter: Some("AttributesToGet"),
                    projection: Some(Projection::of_attributes(attributes)),
                }
            }
            (None, None) => Shown {
                parameter: None,
                projection: None,
            },
        })
    }

    /// What is shown of an item.
    pub(crate) fn of(&self, item: Item) -> Item {
        match &self.projection {
            None => item,
            Some(projection) => projection.apply(&item),
        }
    }

    /// The names of the attributes that are asked for; none if all are.
    pub(crate) fn asked(&self) -> Vec<&str> {
        let paths = self.projection.iter().flat_map(Projection::paths);
        paths.map(Path::attribute).collect()
    }
}

fn refuse_twice(attributes: &[String]) -> Result<(), TablesError> {
    let mut seen = BTreeSet::new();
    match attributes.iter().find(|name| !seen.insert(*name)) {
        Some(twice) => Err(TablesError::invalid(format!(
            "Duplicate value in attribute name: {twice}"
        ))),
        None => Ok(()),
    }
}

/// A condition or filter as it comes: a text, or what came before texts.
pub(crate) struct ConditionInput<'a, T> {
    pub(crate) text: Option<&'a str>,
    pub(crate) legacy: Option<BTreeMap<String, T>>,
    /// `ConditionalOperator`.
    pub(crate) operator: Option<&'a str>,
}

impl<T> ConditionInput<'_, T> {
    /// How the entries of the map combine.
    fn combination(&self) -> Result<ConditionalOperator, TablesError> {
        let operator = match self.operator {
            None => return Ok(ConditionalOperator::And),
            Some("OR") => ConditionalOperator::Or,
            Some(_) => ConditionalOperator::And,
        };
        match self.legacy.as_ref().map_or(0, BTreeMap::len) {
            0 => Err(TablesError::validation(
                "ConditionalOperator cannot be used without Filter or Expected",
            )),
            1 => Err(TablesError::validation(
                "ConditionalOperator can only be used when Filter or Expected has two or more \
                 elements",
            )),
            _ => Ok(operator),
        }
    }
}

impl ConditionInput<'_, ExpectedAttribute> {
    /// The condition, if there is one.
    pub(crate) fn condition(
        self,
        substitutions: &mut Substitutions,
    ) -> Result<Option<Condition>, TablesError> {
        let operator = self.combination()?;
        let expected = self.legacy.filter(|expected| !expected.is_empty());
        Ok(match (self.text, expected) {
            (Some(text), _) => {
                let kind = ExpressionKind::Condition;
                Some(Condition::parse(kind, text, substitutions)?)
            }
            (None, Some(expected)) => Some(Condition::of_expected(expected, operator)?),
            (None, None) => None,
        })
    }
}

impl ConditionInput<'_, LegacyCondition> {
    /// The filter, if there is one. `parameter` is the map's name in errors.
    pub(crate) fn filter(
        self,
        parameter: &'static str,
        substitutions: &mut Substitutions,
    ) -> Result<Option<Condition>, TablesError> {
        let operator = self.combination()?;
        let filter = self.legacy.filter(|filter| !filter.is_empty());
        Ok(match (self.text, filter) {
            (Some(text), _) => {
                let kind = ExpressionKind::Filter;
                Some(Condition::parse(kind, text, substitutions)?)
            }
            (None, Some(filter)) => Some(Condition::of_filter(parameter, filter, operator)?),
            (None, None) => None,
        })
    }
}

/// `ConditionalOperator` must be a word of its set.
pub(crate) fn constrain_operator(operator: Option<&str>, constraints: &mut Constraints) {
    constraints.one_of("conditionalOperator", operator, &["OR", "AND"]);
}

impl Substitutions {
    /// A request's names and values; the service allows neither without an expression.
    pub(crate) fn for_request(
        names: Option<BTreeMap<String, String>>,
        values: Option<BTreeMap<String, Parsed<AttributeValue>>>,
        expressions: &[(&str, Option<&str>)],
    ) -> Result<Substitutions, TablesError> {
        if names.is_some() && expressions.iter().all(|(_, text)| text.is_none()) {
            return Err(TablesError::validation(
                "ExpressionAttributeNames can only be specified when using expressions",
            ));
        }
        // A projection has no values.
        let valued = expressions
            .iter()
            .filter(|(name, _)| *name != "ProjectionExpression");
        let valued: Vec<_> = valued.collect();
        if values.is_some() && valued.iter().all(|(_, text)| text.is_none()) {
            let names: Vec<&str> = valued.iter().map(|(name, _)| *name).collect();
            let are = if names.len() == 1 { "is" } else { "are" };
            return Err(TablesError::Validation(format!(
                "ExpressionAttributeValues can only be specified when using expressions: {} {are} \
                 null",
                names.join(" and ")
            )));
        }
        Ok(Substitutions::new(names, values)?)
    }
}

/// Does the condition hold for what is there, if there is a condition?
pub(crate) fn holds(condition: Option<&Condition>, item: Option<&Item>) -> bool {
    static ABSENT: Item = Item::new();
    condition.is_none_or(|condition| condition.holds(item.unwrap_or(&ABSENT)))
}
