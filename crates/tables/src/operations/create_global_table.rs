//! `CreateGlobalTable`: of the dead version 2017.11.29, which the service itself refuses.

use bytes::Bytes;
use serde::Deserialize;
use store::Engine;

use super::GlobalTableInput;
use crate::access::{Allowed, Execute, Request, Subject};
use crate::{Tables, TablesError};

#[derive(Deserialize)]
#[serde(transparent)]
pub(crate) struct Input(GlobalTableInput);

impl Request for Input {
    fn subject(&self) -> Subject<'_> {
        self.0.subject()
    }
}

impl<E: Engine> Execute<E> for Input {
    async fn execute(
        self,
        _tables: &Tables<E>,
        _allowed: &Allowed<'_>,
    ) -> Result<Bytes, TablesError> {
        Err(TablesError::invalid(
            "DynamoDB global tables version 2017.11.29 is not supported. We recommend using DynamoDB \
         global tables version 2019.11.21, instead of version 2017.11.29 (Legacy).",
        ))
    }
}
