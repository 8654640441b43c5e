//! `DescribeContinuousBackups`: always disabled, since backups are not built.

use bytes::Bytes;
use serde::Deserialize;
use serde_json::json;
use store::Engine;

use super::TableNameInput;
use crate::access::{Allowed, Execute, Request, Subject};
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
        describe(tables, allowed, input.0.name()?)
    }
}

/// The description of the table of that name or ARN.
pub(crate) fn describe<E: Engine>(
    tables: &Tables<E>,
    allowed: &Allowed<'_>,
    name: &str,
) -> Result<Bytes, TablesError> {
    let name = tables.table_name(allowed.account(), name);
    if tables.judged_table(allowed, &name).is_none() {
        return Err(TablesError::TableNotFound(name.name));
    }
    Ok(respond(&json!({
        "ContinuousBackupsDescription": {
            "ContinuousBackupsStatus": "DISABLED",
            "PointInTimeRecoveryDescription": {"PointInTimeRecoveryStatus": "DISABLED"},
        },
    })))
}
