//! `UpdateItem`. An item that isn't there begins as its key.

use std::collections::BTreeMap;

use bytes::Bytes;
use serde::Deserialize;
use store::Engine;

use super::put_item::Output;
use crate::access::{About, Allowed, Execute, Request, Subject};
use crate::capacity::Consumed;
use crate::condition_keys::{Attributes, ConditionKey, leading_keys, word};
use crate::parameters::{
    ConditionInput, ReturnValues, WriteTexts, constrain_operator, holds, refuse_mix,
};
use crate::primary_key::{check_updated_index_keys, key_of_request};
use crate::request::{Constraints, respond};
use crate::{
    AttributeUpdate, AttributeValue, ExpectedAttribute, ExpressionKind, Item, MAX_ITEM_SIZE,
    Parsed, Path, Substitutions, Table, Tables, TablesError, Update, item_size,
};

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Input {
    table_name: Option<String>,
    key: Option<Parsed<Item>>,
    update_expression: Option<String>,
    condition_expression: Option<String>,
    expression_attribute_names: Option<BTreeMap<String, String>>,
    expression_attribute_values: Option<BTreeMap<String, Parsed<AttributeValue>>>,
    return_values: Option<String>,
    return_values_on_condition_check_failure: Option<String>,
    return_consumed_capacity: Option<String>,
    return_item_collection_metrics: Option<String>,
    attribute_updates: Option<BTreeMap<String, AttributeUpdate>>,
    expected: Option<BTreeMap<String, ExpectedAttribute>>,
    conditional_operator: Option<String>,
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
            ConditionKey::LeadingKeys => leading_keys(&about.table?.schema, &self.key),
            ConditionKey::Attributes => Attributes::new(
                self.expression_attribute_names.as_ref(),
                self.expression_attribute_values.as_ref(),
            )
            .item(self.key.as_ref())
            .named(self.expected.iter().flatten().map(|(name, _)| name))
            .named(
                self.attribute_updates
                    .iter()
                    .flatten()
                    .map(|(name, _)| name),
            )
            .condition(
                ExpressionKind::Condition,
                self.condition_expression.as_deref(),
            )
            .update(self.update_expression.as_deref())
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
        input.constrain()?;
        let parameters = input.texts().judge();
        let key = input
            .key
            .take()
            .map_or_else(|| Ok(Item::new()), |key| key.0)?;
        let mut substitutions = Substitutions::for_request(
            input.expression_attribute_names.take(),
            input.expression_attribute_values.take(),
            &[
                ("UpdateExpression", input.update_expression.as_deref()),
                ("ConditionExpression", input.condition_expression.as_deref()),
            ],
        )?;
        let update = input.update(&mut substitutions)?;
        let condition = ConditionInput {
            text: input.condition_expression.as_deref(),
            legacy: input.expected.take(),
            operator: input.conditional_operator.as_deref(),
        };
        let condition = condition.condition(&mut substitutions)?;
        substitutions.finish()?;
        let table = tables.data_table(allowed, input.table_name.as_deref())?;
        let place = key_of_request(&table, &key)?;
        if let Some(update) = &update {
            check_no_key(&table, update)?;
        }

        let decide = |old: Option<&Item>| {
            if !holds(condition.as_ref(), old) {
                return Err(parameters.failed(old));
            }
            let before = old.cloned().unwrap_or(key);
            let after = match &update {
                None => before,
                Some(update) => update.apply(&before)?,
            };
            if item_size(&after) > MAX_ITEM_SIZE {
                return Err(TablesError::validation(
                    "Item size to update has exceeded the maximum allowed size",
                ));
            }
            check_updated_index_keys(&table, &after)?;
            Ok(Some(after))
        };
        let written = tables.write_item(table.id, place, decide).await?;
        let touched = |item: Option<&Item>| {
            let touched = update.as_ref()?.touched(item?);
            (!touched.is_empty()).then_some(touched)
        };
        let attributes = match parameters.returned {
            ReturnValues::None => None,
            ReturnValues::AllOld => written.old.clone(),
            ReturnValues::AllNew => written.new.clone(),
            ReturnValues::UpdatedOld => touched(written.old.as_ref()),
            ReturnValues::UpdatedNew => touched(written.new.as_ref()),
        };
        Ok(respond(&Output {
            attributes: attributes.as_ref(),
            consumed_capacity: Consumed::describe_write(&table, &written, parameters.capacity),
        }))
    }
}

/// An update never changes a key.
fn check_no_key(table: &Table, update: &Update) -> Result<(), TablesError> {
    let mut updated = update.paths().iter().map(Path::attribute);
    match updated.find(|attribute| table.schema.names(attribute)) {
        Some(attribute) => Err(TablesError::invalid(format!(
            "Cannot update attribute {attribute}. This attribute is part of the key"
        ))),
        None => Ok(()),
    }
}

impl Input {
    /// What is to be changed, said in either way; `None` where neither is there.
    fn update(&mut self, substitutions: &mut Substitutions) -> Result<Option<Update>, TablesError> {
        let updates = self.attribute_updates.take();
        Ok(match (self.update_expression.as_deref(), updates) {
            (Some(text), _) => Some(Update::parse(text, substitutions)?),
            (None, Some(updates)) => Some(Update::of_attribute_updates(updates)?),
            (None, None) => None,
        })
    }

    fn constrain(&self) -> Result<(), TablesError> {
        let mut constraints = Constraints::default();
        constraints.table(self.table_name.as_deref());
        constraints.present("key", self.key.as_ref());
        self.texts().constrain(&mut constraints);
        constrain_operator(self.conditional_operator.as_deref(), &mut constraints);
        constraints.check()?;
        refuse_mix(
            &[
                ("AttributeUpdates", self.attribute_updates.is_some()),
                ("Expected", self.expected.is_some()),
                ("ConditionalOperator", self.conditional_operator.is_some()),
            ],
            &[
                ("UpdateExpression", self.update_expression.is_some()),
                ("ConditionExpression", self.condition_expression.is_some()),
            ],
        )
    }

    fn texts(&self) -> WriteTexts<'_> {
        WriteTexts {
            return_values: self.return_values.as_deref(),
            return_consumed_capacity: self.return_consumed_capacity.as_deref(),
            return_item_collection_metrics: self.return_item_collection_metrics.as_deref(),
            on_failure: self.return_values_on_condition_check_failure.as_deref(),
        }
    }
}
