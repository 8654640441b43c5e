//! `DescribeTable`: the one operation that a replica answers while it is being filled.

use bytes::Bytes;
use serde_json::json;
use store::Engine;

use super::TableNameInput;
use crate::request::{parse, respond};
use crate::{Tables, TablesError};

/// Carries it out.
pub(crate) async fn execute<E: Engine>(
    tables: &Tables<E>,
    body: &[u8],
) -> Result<Bytes, TablesError> {
    let input: TableNameInput = parse(body)?;
    let table = tables.control_table(input.name()?)?;
    Ok(respond(&json!({"Table": tables.describe(&table)})))
}
