//! `GetItem`. Every read is of the newest committed state, consistent or not; `ConsistentRead`
//! only changes what it is counted as.

use std::collections::BTreeMap;

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use store::Engine;

use crate::capacity::{Consumed, Wanted};
use crate::parameters::Shown;
use crate::primary_key::key_of_request;
use crate::request::{Constraints, parse, respond};
use crate::write::read_state;
use crate::{Item, Parsed, Substitutions, Tables, TablesError, item_size};

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Input {
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

/// Carries it out.
pub(crate) async fn execute<E: Engine>(
    tables: &Tables<E>,
    body: &[u8],
) -> Result<Bytes, TablesError> {
    let mut input: Input = parse(body)?;
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
    let table = tables.data_table(input.table_name.as_deref().unwrap_or_default())?;
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
