//! `DescribeContinuousBackups`: always disabled, since backups are not built.

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
    describe(tables, input.name()?)
}

/// The description of the table of that name or ARN.
pub(crate) fn describe<E: Engine>(tables: &Tables<E>, name: &str) -> Result<Bytes, TablesError> {
    let name = tables.table_name(name);
    if tables.catalogue.named(name).is_none() {
        return Err(TablesError::TableNotFound(name.to_owned()));
    }
    Ok(respond(&json!({
        "ContinuousBackupsDescription": {
            "ContinuousBackupsStatus": "DISABLED",
            "PointInTimeRecoveryDescription": {"PointInTimeRecoveryStatus": "DISABLED"},
        },
    })))
}
