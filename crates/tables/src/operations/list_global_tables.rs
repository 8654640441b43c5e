//! `ListGlobalTables`: of the dead version 2017.11.29, of which there are no tables.

use bytes::Bytes;
use serde::Deserialize;
use serde_json::json;
use store::Engine;

use crate::access::{Allowed, Execute, Request, Subject};
use crate::request::respond;
use crate::{Tables, TablesError};

#[derive(Deserialize)]
pub(crate) struct Input {}

impl Request for Input {
    fn subject(&self) -> Subject<'_> {
        Subject::default()
    }
}

impl<E: Engine> Execute<E> for Input {
    async fn execute(
        self,
        _tables: &Tables<E>,
        _allowed: &Allowed<'_>,
    ) -> Result<Bytes, TablesError> {
        Ok(respond(&json!({"GlobalTables": []})))
    }
}
