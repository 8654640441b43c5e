//! `UpdateGlobalTableSettings`: of the dead version 2017.11.29, of which there are no tables.

use bytes::Bytes;
use store::Engine;

use super::GlobalTableNameInput;
use crate::request::parse;
use crate::{Tables, TablesError};

/// Says that there is none.
pub(crate) async fn execute<E: Engine>(
    _tables: &Tables<E>,
    body: &[u8],
) -> Result<Bytes, TablesError> {
    let input: GlobalTableNameInput = parse(body)?;
    let name = input.name()?;
    Err(TablesError::NoSuchGlobalTable(format!(
        "Global table with name: '{name}' does not exist."
    )))
}
