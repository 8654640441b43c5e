//! `DescribeGlobalTableSettings`: of the dead version 2017.11.29, of which there are no tables.

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
        let input = self;
        let name = input.0.name()?;
        Err(TablesError::NoSuchGlobalTable(format!(
            "Global table with name: '{name}' does not exist."
        )))
    }
}
