//! `PutItem`.

use std::collections::BTreeMap;

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use store::Engine;

use crate::access::{About, Allowed, Execute, Request, Subject};
use crate::capacity::Consumed;
use crate::condition_keys::{Attributes, ConditionKey, leading_keys, word};
use crate::parameters::{ConditionInput, WriteTexts, constrain_operator, holds, refuse_mix};
use crate::primary_key::key_in_item;
use crate::request::{Constraints, respond};
use crate::{
    AttributeValue, ExpectedAttribute, ExpressionKind, Item, MAX_ITEM_SIZE, Parsed, Substitutions,
    Tables, TablesError, item_size,
};

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Input {
    table_name: Option<String>,
    item: Option<Parsed<Item>>,
    condition_expression: Option<String>,
    expression_attribute_names: Option<BTreeMap<String, String>>,
    expression_attribute_values: Option<BTreeMap<String, Parsed<AttributeValue>>>,
    return_values: Option<String>,
    return_values_on_condition_check_failure: Option<String>,
    return_consumed_capacity: Option<String>,
    return_item_collection_metrics: Option<String>,
    expected: Option<BTreeMap<String, ExpectedAttribute>>,
    conditional_operator: Option<String>,
}

/// What `PutItem`, `UpdateItem` and `DeleteItem` answer.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Output<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) attributes: Option<&'a Item>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) consumed_capacity: Option<Value>,
}

impl Request for Input {
    fn subject(&self) -> Subject<'_> {
        Subject {
            table: self.table_name.as_deref(),
            ..Subject::default()
        }
    }

    fn values(&self, key: &ConditionKey<'_>, about: About<'_>) -> Option<Vec<String>> {
        match key {
            ConditionKey::LeadingKeys => leading_keys(&about.table?.schema, &self.item),
            ConditionKey::Attributes => Attributes::new(
                self.expression_attribute_names.as_ref(),
                self.expression_attribute_values.as_ref(),
            )
            .item(self.item.as_ref())
            .named(self.expected.iter().flatten().map(|(name, _)| name))
            .condition(
                ExpressionKind::Condition,
                self.condition_expression.as_deref(),
            )
            .values(),
            ConditionKey::ReturnValues => self.texts().shown(),
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
        let mut constraints = Constraints::default();
        constraints.table(input.table_name.as_deref());
        constraints.present("item", input.item.as_ref());
        input.texts().constrain(&mut constraints);
        constrain_operator(input.conditional_operator.as_deref(), &mut constraints);
        constraints.check()?;
        let parameters = input.texts().judge_old_only()?;
        refuse_mix(
            &[
                ("Expected", input.expected.is_some()),
                ("ConditionalOperator", input.conditional_operator.is_some()),
            ],
            &[("ConditionExpression", input.condition_expression.is_some())],
        )?;
        let item = input
            .item
            .take()
            .map_or_else(|| Ok(Item::new()), |item| item.0)?;
        let mut substitutions = Substitutions::for_request(
            input.expression_attribute_names.take(),
            input.expression_attribute_values.take(),
            &[("ConditionExpression", input.condition_expression.as_deref())],
        )?;
        let condition = ConditionInput {
            text: input.condition_expression.as_deref(),
            legacy: input.expected.take(),
            operator: input.conditional_operator.as_deref(),
        };
        let condition = condition.condition(&mut substitutions)?;
        substitutions.finish()?;
        if item_size(&item) > MAX_ITEM_SIZE {
            return Err(TablesError::validation(
                "Item size has exceeded the maximum allowed size",
            ));
        }
        let table = tables.data_table(allowed, input.table_name.as_deref())?;
        let key = key_in_item(&table, &item)?;

        let decide = move |old: Option<&Item>| {
            if !holds(condition.as_ref(), old) {
                return Err(parameters.failed(old));
            }
            Ok(Some(item))
        };
        let written = tables.write_item(table.id, key, decide).await?;
        Ok(respond(&Output {
            attributes: parameters.old_only(&written),
            consumed_capacity: Consumed::describe_write(&table, &written, parameters.capacity),
        }))
    }
}

impl Input {
    fn texts(&self) -> WriteTexts<'_> {
        WriteTexts {
            return_values: self.return_values.as_deref(),
            return_consumed_capacity: self.return_consumed_capacity.as_deref(),
            return_item_collection_metrics: self.return_item_collection_metrics.as_deref(),
            on_failure: self.return_values_on_condition_check_failure.as_deref(),
        }
    }
}
