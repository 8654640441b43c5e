//! `Scan`, whole or by segments.

use std::collections::BTreeMap;

use bytes::Bytes;
use serde::Deserialize;
use store::{Direction, Engine, KeyRange};

use crate::access::{About, Allowed, Execute, Request, Subject};
use crate::capacity::Wanted;
use crate::condition_keys::{Attributes, ConditionKey, select, word};
use crate::page::{Selection, constrain_select};
use crate::parameters::{ConditionInput, Shown, constrain_operator, refuse_mix};
use crate::primary_key::start_key;
use crate::read::{Extent, Source};
use crate::request::{Constraints, respond};
use crate::{
    AttributeValue, ExpressionKind, Item, LegacyCondition, Parsed, Substitutions, Tables,
    TablesError,
};

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Input {
    table_name: Option<String>,
    index_name: Option<String>,
    select: Option<String>,
    limit: Option<i64>,
    segment: Option<i64>,
    total_segments: Option<i64>,
    exclusive_start_key: Option<Parsed<Item>>,
    filter_expression: Option<String>,
    projection_expression: Option<String>,
    expression_attribute_names: Option<BTreeMap<String, String>>,
    expression_attribute_values: Option<BTreeMap<String, Parsed<AttributeValue>>>,
    consistent_read: Option<bool>,
    return_consumed_capacity: Option<String>,
    attributes_to_get: Option<Vec<String>>,
    scan_filter: Option<BTreeMap<String, LegacyCondition>>,
    conditional_operator: Option<String>,
}

impl Request for Input {
    fn subject(&self) -> Subject<'_> {
        Subject {
            table: self.table_name.as_deref(),
            index: self.index_name.as_deref(),
            ..Subject::default()
        }
    }

    fn values(&self, key: &ConditionKey<'_>, _about: About<'_>) -> Option<Vec<String>> {
        match key {
            ConditionKey::Attributes => Attributes::new(
                self.expression_attribute_names.as_ref(),
                self.expression_attribute_values.as_ref(),
            )
            .named(self.attributes_to_get.iter().flatten())
            .named(self.scan_filter.iter().flatten().map(|(name, _)| name))
            .condition(ExpressionKind::Filter, self.filter_expression.as_deref())
            .projection(self.projection_expression.as_deref())
            .values(),
            ConditionKey::Select => select(
                self.select.as_deref(),
                self.projection_expression.is_some() || self.attributes_to_get.is_some(),
                self.index_name.is_some(),
            ),
            ConditionKey::ReturnConsumedCapacity => {
                word(self.return_consumed_capacity.as_deref(), "NONE")
            }
            _ => None,
        }
    }
}

impl<E: Engine> Execute<E> for Input {
    async fn execute(
        self,
        tables: &Tables<E>,
        allowed: &Allowed<'_>,
    ) -> Result<Bytes, TablesError> {
        let mut input = self;
        input.constrain()?;
        let segment = input.judge_segment()?;
        let start = input.exclusive_start_key.take();
        let start = start.map(|start| start.0).transpose().map_err(|error| {
            TablesError::Validation(format!("The provided starting key is invalid: {error}"))
        })?;
        let selection = input.judge_selection()?;
        let table = tables.data_table(allowed, input.table_name.as_deref())?;
        let source = Source::of(&table, input.index_name.as_deref())?;
        let consistent = input.consistent_read.unwrap_or(false);
        selection.check(source, consistent)?;

        let range = match segment {
            None => KeyRange::prefix(&source.prefix()),
            Some((segment, total)) => source.segment(segment, total),
        };
        let mut extent = Extent {
            range,
            direction: Direction::Forward,
            limit: input.limit.and_then(|limit| usize::try_from(limit).ok()),
        };
        if let Some(start) = start {
            let key = start_key(&table, source.index, &start)?;
            if let (false, Some((segment, total))) = (extent.contains(&key), segment) {
                return Err(TablesError::Validation(format!(
                    "The provided starting key is invalid: Invalid ExclusiveStartKey. Please use \
                 ExclusiveStartKey with correct Segment. TotalSegments: {total} Segment: {segment}"
                )));
            }
            extent.after(key);
        }
        let counted = (
            Wanted::of(input.return_consumed_capacity.as_deref()),
            consistent,
        );
        let output = tables.select_page(&table, source, extent, &selection, counted);
        Ok(respond(&output.await?))
    }
}

impl Input {
    fn constrain(&self) -> Result<(), TablesError> {
        let mut constraints = Constraints::default();
        constraints.table(self.table_name.as_deref());
        if self.index_name.is_some() {
            constraints.name("indexName", self.index_name.as_deref());
        }
        constrain_select(self.select.as_deref(), &mut constraints);
        constraints.range("limit", self.limit, 1, i64::MAX);
        constraints.range("segment", self.segment, 0, 999_999);
        constraints.range("totalSegments", self.total_segments, 1, 1_000_000);
        Wanted::constrain(self.return_consumed_capacity.as_deref(), &mut constraints);
        constrain_operator(self.conditional_operator.as_deref(), &mut constraints);
        constraints.check()?;
        refuse_mix(
            &[
                ("AttributesToGet", self.attributes_to_get.is_some()),
                ("ScanFilter", self.scan_filter.is_some()),
                ("ConditionalOperator", self.conditional_operator.is_some()),
            ],
            &[
                ("ProjectionExpression", self.projection_expression.is_some()),
                ("FilterExpression", self.filter_expression.is_some()),
            ],
        )
    }

    fn judge_segment(&self) -> Result<Option<(u32, u32)>, TablesError> {
        let (segment, total) = match (self.segment, self.total_segments) {
            (None, None) => return Ok(None),
            (Some(segment), Some(total)) => (segment, total),
            (Some(_), None) => {
                return Err(TablesError::validation(
                    "The TotalSegments parameter is required but was not present in the request \
                     when Segment parameter is present",
                ));
            }
            (None, Some(_)) => {
                return Err(TablesError::validation(
                    "The Segment parameter is required but was not present in the request when \
                     parameter TotalSegments is present",
                ));
            }
        };
        if segment >= total {
            return Err(TablesError::Validation(format!(
                "The Segment parameter is zero-based and must be less than parameter \
                 TotalSegments: Segment: {segment} is not less than TotalSegments: {total}"
            )));
        }
        let number = |value: i64| u32::try_from(value).expect("0 to a million");
        Ok(Some((number(segment), number(total))))
    }

    fn judge_selection(&mut self) -> Result<Selection, TablesError> {
        let mut substitutions = Substitutions::for_request(
            self.expression_attribute_names.take(),
            self.expression_attribute_values.take(),
            &[
                ("FilterExpression", self.filter_expression.as_deref()),
                (
                    "ProjectionExpression",
                    self.projection_expression.as_deref(),
                ),
            ],
        )?;
        let filter = ConditionInput {
            text: self.filter_expression.as_deref(),
            legacy: self.scan_filter.take(),
            operator: self.conditional_operator.as_deref(),
        };
        let filter = filter.filter("scanFilter", &mut substitutions)?;
        let attributes = self.attributes_to_get.take();
        let projection = self.projection_expression.as_deref();
        let shown = Shown::judge(projection, attributes, &mut substitutions)?;
        substitutions.finish()?;
        let has_index = self.index_name.is_some();
        Selection::judge(self.select.as_deref(), shown, filter, has_index)
    }
}
