//! `ListTables`.

use bytes::Bytes;
use serde::Deserialize;
use serde_json::json;
use store::Engine;

use crate::request::{Constraints, parse, respond};
use crate::{Tables, TablesError, limits};

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Input {
    exclusive_start_table_name: Option<String>,
    limit: Option<i64>,
}

/// Carries it out.
pub(crate) async fn execute<E: Engine>(
    tables: &Tables<E>,
    body: &[u8],
) -> Result<Bytes, TablesError> {
    let input: Input = parse(body)?;
    let after = input.exclusive_start_table_name.as_deref();
    let mut constraints = Constraints::default();
    if after.is_some() {
        constraints.name("exclusiveStartTableName", after);
    }
    constraints.range("limit", input.limit, 1, limits::LIST_TABLES);
    constraints.check()?;
    let limit = input.limit.unwrap_or(limits::LIST_TABLES);
    let limit = usize::try_from(limit).expect("1 to 100");
    let (names, more) = tables.catalogue.names(after, limit);
    let mut response = json!({"TableNames": names});
    if let (Some(last), true) = (names.last(), more) {
        response["LastEvaluatedTableName"] = json!(last);
    }
    Ok(respond(&response))
}
