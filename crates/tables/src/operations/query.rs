//! `Query`: one partition of a table or an index, in the order of its sort key.

use std::collections::BTreeMap;

use bytes::Bytes;
use serde::Deserialize;
use store::{Direction, Engine, KeyRange};

use crate::access::{About, Allowed, Execute, Request, Subject};
use crate::capacity::Wanted;
use crate::condition_keys::{Attributes, ConditionKey, leading_key, select, word};
use crate::page::{Selection, constrain_select};
use crate::parameters::{ConditionInput, Shown, constrain_operator, refuse_mix};
use crate::primary_key::{start_key, wanted};
use crate::read::{Extent, Source};
use crate::request::{Constraints, respond};
use crate::table::{KeyAttribute, KeySchema};
use crate::{
    AttributeType, AttributeValue, Condition, ExpressionKind, Item, KeyAttributes, KeyCondition,
    LegacyCondition, Parsed, Path, Substitutions, Table, Tables, TablesError,
    index_partition_prefix, partition_prefix,
};

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Input {
    table_name: Option<String>,
    index_name: Option<String>,
    select: Option<String>,
    limit: Option<i64>,
    scan_index_forward: Option<bool>,
    exclusive_start_key: Option<Parsed<Item>>,
    key_condition_expression: Option<String>,
    filter_expression: Option<String>,
    projection_expression: Option<String>,
    expression_attribute_names: Option<BTreeMap<String, String>>,
    expression_attribute_values: Option<BTreeMap<String, Parsed<AttributeValue>>>,
    consistent_read: Option<bool>,
    return_consumed_capacity: Option<String>,
    attributes_to_get: Option<Vec<String>>,
    key_conditions: Option<BTreeMap<String, LegacyCondition>>,
    query_filter: Option<BTreeMap<String, LegacyCondition>>,
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

    fn values(&self, key: &ConditionKey<'_>, about: About<'_>) -> Option<Vec<String>> {
        match key {
            ConditionKey::LeadingKeys => self.leading_key(about.table?),
            ConditionKey::Attributes => self.attributes(about.table),
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
        let start = input.exclusive_start_key.take();
        let start = start.map(|start| start.0).transpose().map_err(|error| {
            TablesError::Validation(format!("The provided starting key is invalid: {error}"))
        })?;
        let mut substitutions = Substitutions::for_request(
            input.expression_attribute_names.take(),
            input.expression_attribute_values.take(),
            &[
                ("FilterExpression", input.filter_expression.as_deref()),
                (
                    "KeyConditionExpression",
                    input.key_condition_expression.as_deref(),
                ),
                (
                    "ProjectionExpression",
                    input.projection_expression.as_deref(),
                ),
            ],
        )?;
        let selection = input.judge_selection(&mut substitutions)?;
        let table = tables.data_table(allowed, input.table_name.as_deref())?;
        let source = Source::of(&table, input.index_name.as_deref())?;
        let schema = source.index.map_or(&table.schema, |index| &index.schema);
        let condition = input.judge_keys(schema, &mut substitutions)?;
        substitutions.finish()?;
        let consistent = input.consistent_read.unwrap_or(false);
        selection.check(source, consistent)?;
        check_filter(selection.filter.as_ref(), schema)?;

        let mut extent = extent(source, &condition)?;
        if input.scan_index_forward == Some(false) {
            extent.direction = Direction::Backward;
        }
        extent.limit = input.limit.and_then(|limit| usize::try_from(limit).ok());
        if let Some(start) = start {
            let key = start_key(&table, source.index, &start)?;
            check_start(&start, schema, &condition)?;
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

fn key_attributes(schema: &KeySchema) -> KeyAttributes<'_> {
    KeyAttributes {
        partition: typed(&schema.partition),
        sort: schema.sort.as_ref().map(typed),
    }
}

fn typed(key: &KeyAttribute) -> (&str, AttributeType) {
    (&key.name, wanted(key.kind))
}

/// The keys of the partition that the condition wants, from the first to the last sort key.
fn extent(source: Source<'_>, wanted: &KeyCondition) -> Result<Extent, TablesError> {
    let table = source.table.id.0;
    let prefix = match source.index {
        None => partition_prefix(table, &wanted.partition),
        Some(index) => index_partition_prefix(table, index.id.0, &wanted.partition),
    };
    let unkeyable = |error: crate::KeyError| TablesError::Validation(error.to_string());
    let prefix = prefix.map_err(unkeyable)?;
    let range = match &wanted.sort {
        None => KeyRange::prefix(&prefix),
        Some(sort) => {
            let (start, end) = sort.range(&prefix).map_err(unkeyable)?;
            KeyRange {
                start: start.map(Bytes::from),
                end: end.map(Bytes::from),
            }
        }
    };
    Ok(Extent {
        range,
        direction: Direction::Forward,
        limit: None,
    })
}

/// A page begins within what the condition wants.
fn check_start(start: &Item, schema: &KeySchema, wanted: &KeyCondition) -> Result<(), TablesError> {
    if start.get(&schema.partition.name) != Some(&wanted.partition) {
        return Err(TablesError::validation(
            "The provided starting key is outside query boundaries based on provided conditions",
        ));
    }
    let value = schema.sort.as_ref().and_then(|sort| start.get(&sort.name));
    match (&wanted.sort, value) {
        (Some(condition), Some(value)) if !condition.holds(value) => Err(TablesError::validation(
            "The provided starting key does not match the range key predicate",
        )),
        _ => Ok(()),
    }
}

/// Keys are the key condition's to select.
fn check_filter(filter: Option<&Condition>, schema: &KeySchema) -> Result<(), TablesError> {
    let paths = filter.into_iter().flat_map(Condition::paths);
    let mut names = paths.map(Path::attribute);
    match names.find(|name| schema.names(name)) {
        Some(name) => Err(TablesError::Validation(format!(
            "Filter Expression can only contain non-primary key attributes: Primary key \
             attribute: {name}"
        ))),
        None => Ok(()),
    }
}

impl Input {
    /// The partition that is asked for, as the operation will find it.
    fn condition(&self, table: &Table) -> Option<KeyCondition> {
        let source = Source::of(table, self.index_name.as_deref()).ok()?;
        let schema = source.index.map_or(&table.schema, |index| &index.schema);
        let keys = key_attributes(schema);
        let (names, values) = (
            self.expression_attribute_names.clone(),
            self.expression_attribute_values.clone(),
        );
        match (
            self.key_condition_expression.as_deref(),
            self.key_conditions.clone(),
        ) {
            (Some(text), _) => {
                let mut substitutions = Substitutions::new(names, values).ok()?;
                KeyCondition::parse(text, &mut substitutions, keys).ok()
            }
            (None, Some(conditions)) => KeyCondition::of_key_conditions(conditions, keys).ok(),
            (None, None) => None,
        }
    }

    fn leading_key(&self, table: &Table) -> Option<Vec<String>> {
        let condition = self.condition(table)?;
        Some(vec![leading_key(&condition.partition)])
    }

    fn attributes(&self, table: Option<&Table>) -> Option<Vec<String>> {
        let legacy = [&self.key_conditions, &self.query_filter];
        let legacy = legacy.into_iter().flatten().flatten();
        let mut keys = Vec::new();
        if let Some(table) = table
            && let Some(condition) = self.condition(table)
            && let Ok(source) = Source::of(table, self.index_name.as_deref())
        {
            let schema = source.index.map_or(&table.schema, |index| &index.schema);
            let named = 1 + usize::from(condition.sort.is_some());
            keys.extend(schema.attributes().take(named).map(|key| &key.name));
        }
        Attributes::new(
            self.expression_attribute_names.as_ref(),
            self.expression_attribute_values.as_ref(),
        )
        .named(keys)
        .named(legacy.map(|(name, _)| name))
        .named(self.attributes_to_get.iter().flatten())
        .condition(ExpressionKind::Filter, self.filter_expression.as_deref())
        .projection(self.projection_expression.as_deref())
        .values()
    }

    fn constrain(&self) -> Result<(), TablesError> {
        let mut constraints = Constraints::default();
        constraints.table(self.table_name.as_deref());
        if self.index_name.is_some() {
            constraints.name("indexName", self.index_name.as_deref());
        }
        constrain_select(self.select.as_deref(), &mut constraints);
        constraints.range("limit", self.limit, 1, i64::MAX);
        Wanted::constrain(self.return_consumed_capacity.as_deref(), &mut constraints);
        constrain_operator(self.conditional_operator.as_deref(), &mut constraints);
        constraints.check()?;
        refuse_mix(
            &[
                ("AttributesToGet", self.attributes_to_get.is_some()),
                ("QueryFilter", self.query_filter.is_some()),
                ("ConditionalOperator", self.conditional_operator.is_some()),
                ("KeyConditions", self.key_conditions.is_some()),
            ],
            &[
                ("ProjectionExpression", self.projection_expression.is_some()),
                ("FilterExpression", self.filter_expression.is_some()),
                (
                    "KeyConditionExpression",
                    self.key_condition_expression.is_some(),
                ),
            ],
        )
    }

    fn judge_keys(
        &mut self,
        schema: &KeySchema,
        substitutions: &mut Substitutions,
    ) -> Result<KeyCondition, TablesError> {
        let attributes = key_attributes(schema);
        match (
            self.key_condition_expression.as_deref(),
            self.key_conditions.take(),
        ) {
            (Some(text), _) => Ok(KeyCondition::parse(text, substitutions, attributes)?),
            (None, Some(conditions)) => {
                Ok(KeyCondition::of_key_conditions(conditions, attributes)?)
            }
            (None, None) => Err(TablesError::validation(
                "Either the KeyConditions or KeyConditionExpression parameter must be specified \
                 in the request.",
            )),
        }
    }

    fn judge_selection(
        &mut self,
        substitutions: &mut Substitutions,
    ) -> Result<Selection, TablesError> {
        let filter = ConditionInput {
            text: self.filter_expression.as_deref(),
            legacy: self.query_filter.take(),
            operator: self.conditional_operator.as_deref(),
        };
        let filter = filter.filter("queryFilter", substitutions)?;
        let attributes = self.attributes_to_get.take();
        let projection = self.projection_expression.as_deref();
        let shown = Shown::judge(projection, attributes, substitutions)?;
        let has_index = self.index_name.is_some();
        Selection::judge(self.select.as_deref(), shown, filter, has_index)
    }
}
