//! `ListTables`.

use bytes::Bytes;
use serde::Deserialize;
use serde_json::json;
use store::Engine;

use crate::access::{Allowed, Execute, Request, Subject};
use crate::request::{Constraints, respond};
use crate::{Tables, TablesError, limits};

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Input {
    exclusive_start_table_name: Option<String>,
    limit: Option<i64>,
}

impl Request for Input {
    fn subject(&self) -> Subject<'_> {
        Subject::default()
    }
}

impl<E: Engine> Execute<E> for Input {
    async fn execute(
        self,
        tables: &Tables<E>,
        allowed: &Allowed<'_>,
    ) -> Result<Bytes, TablesError> {
        let input = self;
        let after = input.exclusive_start_table_name.as_deref();
        let mut constraints = Constraints::default();
        if after.is_some() {
            constraints.name("exclusiveStartTableName", after);
        }
        constraints.range("limit", input.limit, 1, limits::LIST_TABLES);
        constraints.check()?;
        let limit = input.limit.unwrap_or(limits::LIST_TABLES);
        let limit = usize::try_from(limit).expect("1 to 100");
        let (names, more) = tables.catalogue.names(allowed.account(), after, limit);
        let mut response = json!({"TableNames": names});
        if let (Some(last), true) = (names.last(), more) {
            response["LastEvaluatedTableName"] = json!(last);
        }
        Ok(respond(&response))
    }
}
