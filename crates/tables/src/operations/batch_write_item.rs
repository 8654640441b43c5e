//! `BatchWriteItem`. All of it is one commit, which the service does not promise and nobody
//! should rely on; so nothing is ever left unprocessed.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bytes::Bytes;
use serde::Deserialize;
use serde_json::{Value, json};
use store::{Batch, Engine};

use crate::access::{About, Allowed, Execute, Request, Subject};
use crate::capacity::{Consumed, Wanted};
use crate::condition_keys::{Attributes, ConditionKey, leading_keys, word};
use crate::primary_key::{key_in_item, key_of_request};
use crate::request::{Constraints, respond};
use crate::{
    Item, MAX_ITEM_SIZE, Parsed, Table, TableName, Tables, TablesError, item_size, limits,
};

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Input {
    request_items: Option<BTreeMap<String, Vec<WriteRequest>>>,
    return_consumed_capacity: Option<String>,
    return_item_collection_metrics: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct WriteRequest {
    put_request: Option<PutRequest>,
    delete_request: Option<DeleteRequest>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct PutRequest {
    item: Option<Parsed<Item>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct DeleteRequest {
    key: Option<Parsed<Item>>,
}

/// One write: where, and the item to leave there.
struct Plan {
    table: Arc<Table>,
    place: Vec<u8>,
    item: Option<Item>,
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
        let items = part.iter().flat_map(WriteRequest::attributes);
        match key {
            ConditionKey::LeadingKeys => leading_keys(&about.table?.schema, items),
            ConditionKey::Attributes => items
                .fold(Attributes::new(None, None), |all, item| {
                    all.item(Some(item))
                })
                .values(),
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
        let mut plans = Vec::new();
        let mut places = BTreeSet::new();
        for (name, requests) in input.request_items.into_iter().flatten() {
            let judged: Vec<(bool, Item)> = requests
                .into_iter()
                .map(WriteRequest::judge)
                .collect::<Result<_, _>>()?;
            let table = tables.data_table(allowed, Some(&name))?;
            for (put, attributes) in judged {
                let place = if put {
                    key_in_item(&table, &attributes)?
                } else {
                    key_of_request(&table, &attributes)?
                };
                if !places.insert(place.clone()) {
                    return Err(TablesError::validation(
                        "Provided list of item keys contains duplicates",
                    ));
                }
                plans.push(Plan {
                    table: table.clone(),
                    place,
                    item: put.then_some(attributes),
                });
            }
        }
        let consumed = tables.write_all(plans).await?;
        let consumed = consumed.values();
        let consumed = consumed.filter_map(|(table, consumed)| consumed.describe(table, capacity));
        let consumed: Vec<Value> = consumed.collect();
        let mut response = json!({"UnprocessedItems": {}});
        if !consumed.is_empty() {
            response["ConsumedCapacity"] = json!(consumed);
        }
        Ok(respond(&response))
    }
}

impl<E: Engine> Tables<E> {
    async fn write_all(
        &self,
        plans: Vec<Plan>,
    ) -> Result<BTreeMap<TableName, (Arc<Table>, Consumed)>, TablesError> {
        let keys = plans.iter().map(|plan| plan.place.as_slice());
        let _guard = self.locks.lock_all(keys).await;
        let snapshot = self.engine.snapshot();
        let mut batch = Batch::new();
        let mut consumed = BTreeMap::new();
        for plan in plans {
            let table = self.in_service(plan.table.id)?;
            let item = plan.item;
            let (place, decide) = (Bytes::from(plan.place), move |_: Option<&Item>| Ok(item));
            let written = self
                .stage_write(&snapshot, &table, place, decide, &mut batch)
                .await?;
            let entry = consumed.entry(table.full_name());
            let (_, consumed) = entry.or_insert_with(|| (table.clone(), Consumed::default()));
            consumed.add_write(&table, &written);
        }
        drop(snapshot);
        if !batch.is_empty() {
            self.engine.commit(batch).await?;
        }
        Ok(consumed)
    }
}

impl WriteRequest {
    /// The item to put and the key to delete, as they come.
    fn attributes(&self) -> impl Iterator<Item = &Parsed<Item>> {
        let put = self.put_request.iter().flat_map(|put| &put.item);
        let deleted = self.delete_request.iter().flat_map(|delete| &delete.key);
        put.chain(deleted)
    }

    /// The item to put (`true`) or the key to delete.
    fn judge(self) -> Result<(bool, Item), TablesError> {
        match (self.put_request, self.delete_request) {
            (Some(put), None) => {
                let item = put.item.map_or_else(|| Ok(Item::new()), |item| item.0)?;
                if item_size(&item) > MAX_ITEM_SIZE {
                    return Err(TablesError::validation(
                        "Item size has exceeded the maximum allowed size",
                    ));
                }
                Ok((true, item))
            }
            (None, Some(delete)) => {
                let key = delete.key.map_or_else(|| Ok(Item::new()), |key| key.0)?;
                Ok((false, key))
            }
            (Some(_), Some(_)) => Err(TablesError::validation(
                "Supplied AttributeValue has more than one datatypes set, must contain exactly \
                 one of the supported datatypes",
            )),
            (None, None) => Err(TablesError::validation(
                "Supplied AttributeValue is empty, must contain exactly one of the supported \
                 datatypes",
            )),
        }
    }
}

impl Input {
    fn constrain(&self) -> Result<(), TablesError> {
        let mut constraints = Constraints::default();
        let tables = self.request_items.as_ref();
        constraints.present("requestItems", tables);
        if let Some(tables) = tables {
            let most = limits::BATCH_WRITE_ITEMS;
            constraints.length("requestItems", "{}", tables.len(), 1, most);
        }
        for (name, requests) in tables.into_iter().flatten() {
            if requests.is_empty() {
                constraints.fail(
                    "requestItems",
                    format!("{{{name}=[]}}"),
                    "Map value must satisfy constraint: [Member must have length less than or \
                     equal to 25, Member must have length greater than or equal to 1]",
                );
            }
            for (index, request) in requests.iter().enumerate() {
                let at = format!("requestItems.{name}.member.{}.member", index + 1);
                if let Some(put) = &request.put_request {
                    constraints.present(&format!("{at}.putRequest.item"), put.item.as_ref());
                }
                if let Some(delete) = &request.delete_request {
                    constraints.present(&format!("{at}.deleteRequest.key"), delete.key.as_ref());
                }
            }
        }
        Wanted::constrain(self.return_consumed_capacity.as_deref(), &mut constraints);
        constraints.one_of(
            "returnItemCollectionMetrics",
            self.return_item_collection_metrics.as_deref(),
            &["SIZE", "NONE"],
        );
        constraints.check()?;
        for name in tables.into_iter().flat_map(BTreeMap::keys) {
            let mut constraints = Constraints::default();
            constraints.table(Some(name));
            constraints.check()?;
        }
        let requests = tables.into_iter().flat_map(BTreeMap::values).map(Vec::len);
        if requests.sum::<usize>() > limits::BATCH_WRITE_ITEMS {
            return Err(TablesError::validation(
                "Too many items requested for the BatchWriteItem call",
            ));
        }
        Ok(())
    }
}
