//! `CreateGlobalTable`: of the dead version 2017.11.29, which the service itself refuses.

use bytes::Bytes;
use store::Engine;

use crate::{Tables, TablesError};

/// Refuses it.
pub(crate) async fn execute<E: Engine>(
    _tables: &Tables<E>,
    _body: &[u8],
) -> Result<Bytes, TablesError> {
    Err(TablesError::invalid(
        "DynamoDB global tables version 2017.11.29 is not supported. We recommend using DynamoDB \
         global tables version 2019.11.21, instead of version 2017.11.29 (Legacy).",
    ))
}
