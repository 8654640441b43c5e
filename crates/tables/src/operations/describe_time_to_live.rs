//! `DescribeTimeToLive`: always disabled, since `UpdateTimeToLive` is not built.

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
        tables.control_table(allowed, input.0.name()?)?;
        Ok(respond(
            &json!({"TimeToLiveDescription": {"TimeToLiveStatus": "DISABLED"}}),
        ))
    }
}
