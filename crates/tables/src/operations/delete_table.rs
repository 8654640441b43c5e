//! `DeleteTable`. The name is free when this returns; the items are purged in the background,
//! and a table made later under the name inherits nothing. The answer says `DELETING`.

use bytes::Bytes;
use serde::Deserialize;
use serde_json::json;
use store::Engine;

use super::TableNameInput;
use crate::access::{Allowed, Execute, Request, Subject};
use crate::description::status;
use crate::request::respond;
use crate::{Tables, TablesError};

#[derive(Deserialize)]
#[serde(transparent)]
pub(crate) struct Input(TableNameInput);

impl Request for Input {
    fn subject(&self) -> Subject<'_> {
        self.0.subject()
    }
}

impl<E: Engine> Execute<E> for Input {
    async fn execute(
        self,
        tables: &Tables<E>,
        allowed: &Allowed<'_>,
    ) -> Result<Bytes, TablesError> {
        let input = self;
        let name = input.0.name()?;
        let mut change = tables.catalogue.change().await;
        let table = tables.control_table(allowed, name)?;
        let arn = table.arn(tables.config.region);
        if table.deletion_protection {
            return Err(TablesError::Validation(format!(
                "Resource cannot be deleted as it is currently protected against deletion. Disable \
             deletion protection first. Resource: {arn}"
            )));
        }
        match status(&table, tables.config.site) {
            "CREATING" => {
                return Err(TablesError::InUse(format!(
                    "Attempt to change a resource which is still in use: Table is being created: {}",
                    table.name
                )));
            }
            "UPDATING" => {
                return Err(TablesError::InUse(format!(
                    "Attempt to change a resource which is still in use: Table is being updated: {}",
                    table.name
                )));
            }
            _ => {}
        }
        let mut batch = store::Batch::new();
        let dropped = tables.stage_drop(&change, &table, &mut batch);
        tables.engine.commit(batch).await?;
        change.publish(dropped);
        let description = tables.describe_as(&table, "DELETING");
        Ok(respond(&json!({"TableDescription": description})))
    }
}
