//! `GetItem`. Every read is of the newest committed state, consistent or not; `ConsistentRead`
//! only changes what it is counted as.

use std::collections::BTreeMap;

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use store::Engine;

use crate::access::{About, Allowed, Execute, Request, Subject};
use crate::capacity::{Consumed, Wanted};
use crate::condition_keys::{Attributes, ConditionKey, leading_keys, select, word};
use crate::parameters::Shown;
use crate::primary_key::key_of_request;
use crate::request::{Constraints, respond};
use crate::write::read_state;
use crate::{Item, Parsed, Substitutions, Tables, TablesError, item_size};

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Input {
    table_name: Option<String>,
    key: Option<Parsed<Item>>,
    consistent_read: Option<bool>,
    projection_expression: Option<String>,
    expression_attribute_names: Option<BTreeMap<String, String>>,
    return_consumed_capacity: Option<String>,
    attributes_to_get: Option<Vec<String>>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Output {
    #[serde(skip_serializing_if = "Option::is_none")]
    item: Option<Item>,
    #[serde(skip_serializing_if = "Option::is_none")]
    consumed_capacity: Option<Value>,
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
            ConditionKey::Attributes => {
                Attributes::new(self.expression_attribute_names.as_ref(), None)
                    .item(self.key.as_ref())
                    .named(self.attributes_to_get.iter().flatten())
                    .projection(self.projection_expression.as_deref())
                    .values()
            }
            ConditionKey::Select => select(
                None,
                self.projection_expression.is_some() || self.attributes_to_get.is_some(),
                false,
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
        let mut constraints = Constraints::default();
        constraints.table(input.table_name.as_deref());
        constraints.present("key", input.key.as_ref());
        let capacity = input.return_consumed_capacity.as_deref();
        Wanted::constrain(capacity, &mut constraints);
        constraints.check()?;
        let capacity = Wanted::of(capacity);
        let key = input
            .key
            .take()
            .map_or_else(|| Ok(Item::new()), |key| key.0)?;
        let mut substitutions = Substitutions::for_request(
            input.expression_attribute_names.take(),
            None,
            &[(
                "ProjectionExpression",
                input.projection_expression.as_deref(),
            )],
        )?;
        let shown = Shown::judge(
            input.projection_expression.as_deref(),
            input.attributes_to_get.take(),
            &mut substitutions,
        )?;
        substitutions.finish()?;
        let table = tables.data_table(allowed, input.table_name.as_deref())?;
        let key = key_of_request(&table, &key)?;

        let state = read_state(&tables.engine.snapshot(), &key).await?;
        let item = state.and_then(|state| state.content.into_item());
        let consumed = (capacity != Wanted::None).then(|| {
            let consistent = input.consistent_read.unwrap_or(false);
            let consumed = Consumed::read(None, item.as_ref().map_or(0, item_size), consistent);
            consumed.describe(&table, capacity)
        });
        Ok(respond(&Output {
            item: item.map(|item| shown.of(item)),
            consumed_capacity: consumed.flatten(),
        }))
    }
}
