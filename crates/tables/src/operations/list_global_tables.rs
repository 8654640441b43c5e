//! `ListGlobalTables`: of the dead version 2017.11.29, of which there are no tables.

use bytes::Bytes;
use serde_json::json;
use store::Engine;

use crate::request::respond;
use crate::{Tables, TablesError};

/// Lists none.
pub(crate) async fn execute<E: Engine>(
    _tables: &Tables<E>,
    _body: &[u8],
) -> Result<Bytes, TablesError> {
    Ok(respond(&json!({"GlobalTables": []})))
}
