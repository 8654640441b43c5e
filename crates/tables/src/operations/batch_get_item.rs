//! `BatchGetItem`. What doesn't fit into a response's 16 MB comes back as `UnprocessedKeys`.

use std::collections::{BTreeMap, BTreeSet};

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
use crate::{Item, Parsed, Substitutions, Tables, TablesError, item_size, limits};

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Input {
    request_items: Option<BTreeMap<String, Keys>>,
    return_consumed_capacity: Option<String>,
}

/// `KeysAndAttributes`.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Keys {
    keys: Option<Vec<Parsed<Item>>>,
    consistent_read: Option<bool>,
    projection_expression: Option<String>,
    expression_attribute_names: Option<BTreeMap<String, String>>,
    attributes_to_get: Option<Vec<String>>,
}

/// The same, on its way back.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Unprocessed {
    keys: Vec<Item>,
    #[serde(skip_serializing_if = "Option::is_none")]
    consistent_read: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    projection_expression: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    expression_attribute_names: Option<BTreeMap<String, String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    attributes_to_get: Option<Vec<String>>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Output {
    responses: BTreeMap<String, Vec<Item>>,
    unprocessed_keys: BTreeMap<String, Unprocessed>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    consumed_capacity: Vec<Value>,
}

impl Request for Input {
    fn subject(&self) -> Subject<'_> {
        let tables = self.request_items.iter().flatten();
        Subject {
            tables: tables.map(|(name, _)| name.as_str()).collect(),
            ..Subject::default()
        }
    }

    fn values(&self, key: &ConditionKey<'_>, about: About<'_>) -> Option<Vec<String>> {
        let mut parts = self.request_items.iter().flatten();
        let (_, part) = parts.nth(about.part?)?;
        let projection = part.projection_expression.as_deref();
        match key {
            ConditionKey::LeadingKeys => {
                leading_keys(&about.table?.schema, part.keys.iter().flatten())
            }
            ConditionKey::Attributes => {
                let names = part.expression_attribute_names.as_ref();
                let keys = part.keys.iter().flatten();
                keys.fold(Attributes::new(names, None), |all, key| all.item(Some(key)))
                    .named(part.attributes_to_get.iter().flatten())
                    .projection(projection)
                    .values()
            }
            ConditionKey::Select => {
                let projects = projection.is_some() || part.attributes_to_get.is_some();
                select(None, projects, false)
            }
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
        let input = self;
        input.constrain()?;
        let capacity = Wanted::of(input.return_consumed_capacity.as_deref());
        let snapshot = tables.engine.snapshot();
        let mut output = Output {
            responses: BTreeMap::new(),
            unprocessed_keys: BTreeMap::new(),
            consumed_capacity: Vec::new(),
        };
        let mut plans = Vec::new();
        for (name, request) in input.request_items.into_iter().flatten() {
            plans.push(Plan::judge(tables, allowed, name, request)?);
        }
        let mut room = limits::BATCH_GET_SIZE;
        for mut plan in plans {
            let mut items = Vec::new();
            let mut consumed = Consumed::default();
            let consistent = plan.rest.consistent_read.unwrap_or(false);
            for (place, key) in std::mem::take(&mut plan.keys) {
                if room == 0 {
                    plan.rest.keys.push(key);
                    continue;
                }
                let state = read_state(&snapshot, &place).await?;
                let item = state.and_then(|state| state.content.into_item());
                let size = item.as_ref().map_or(0, item_size);
                if size > room {
                    room = 0;
                    plan.rest.keys.push(key);
                    continue;
                }
                room -= size;
                consumed.add_read(None, size, consistent);
                items.extend(item.map(|item| plan.shown.of(item)));
            }
            output
                .consumed_capacity
                .extend(consumed.describe(&plan.table, capacity));
            output.responses.insert(plan.name.clone(), items);
            if !plan.rest.keys.is_empty() {
                output.unprocessed_keys.insert(plan.name, plan.rest);
            }
        }
        Ok(respond(&output))
    }
}

/// One table's part of the request.
struct Plan {
    /// As the request names it.
    name: String,
    table: std::sync::Arc<crate::Table>,
    keys: Vec<(Vec<u8>, Item)>,
    shown: Shown,
    /// What goes back if not all keys fit.
    rest: Unprocessed,
}

impl Plan {
    fn judge<E: Engine>(
        tables: &Tables<E>,
        allowed: &Allowed<'_>,
        name: String,
        request: Keys,
    ) -> Result<Plan, TablesError> {
        let mut substitutions = Substitutions::for_request(
            request.expression_attribute_names.clone(),
            None,
            &[(
                "ProjectionExpression",
                request.projection_expression.as_deref(),
            )],
        )?;
        let shown = Shown::judge(
            request.projection_expression.as_deref(),
            request.attributes_to_get.clone(),
            &mut substitutions,
        )?;
        substitutions.finish()?;
        let table = tables.data_table(allowed, Some(&name))?;
        let mut keys = Vec::new();
        let mut places = BTreeSet::new();
        for key in request.keys.into_iter().flatten() {
            let key = key.0?;
            let place = key_of_request(&table, &key)?;
            if !places.insert(place.clone()) {
                return Err(TablesError::validation(
                    "Provided list of item keys contains duplicates",
                ));
            }
            keys.push((place, key));
        }
        Ok(Plan {
            name,
            table,
            keys,
            shown,
            rest: Unprocessed {
                keys: Vec::new(),
                consistent_read: request.consistent_read,
                projection_expression: request.projection_expression,
                expression_attribute_names: request.expression_attribute_names,
                attributes_to_get: request.attributes_to_get,
            },
        })
    }
}

impl Input {
    fn constrain(&self) -> Result<(), TablesError> {
        let mut constraints = Constraints::default();
        let tables = self.request_items.as_ref();
        constraints.present("requestItems", tables);
        if let Some(tables) = tables {
            constraints.length(
                "requestItems",
                "{}",
                tables.len(),
                1,
                limits::BATCH_GET_KEYS,
            );
        }
        for (name, request) in tables.into_iter().flatten() {
            let at = format!("requestItems.{name}.member.keys");
            constraints.present(&at, request.keys.as_ref());
            if let Some(keys) = &request.keys {
                constraints.length(&at, "[...]", keys.len(), 1, limits::BATCH_GET_KEYS);
            }
        }
        Wanted::constrain(self.return_consumed_capacity.as_deref(), &mut constraints);
        constraints.check()?;
        for name in tables.into_iter().flat_map(BTreeMap::keys) {
            let mut constraints = Constraints::default();
            constraints.table(Some(name));
            constraints.check()?;
        }
        let requests = tables.into_iter().flat_map(BTreeMap::values);
        let keys = requests.map(|request| request.keys.as_ref().map_or(0, Vec::len));
        if keys.sum::<usize>() > limits::BATCH_GET_KEYS {
            return Err(TablesError::validation(
                "Too many items requested for the BatchGetItem call",
            ));
        }
        Ok(())
    }
}
