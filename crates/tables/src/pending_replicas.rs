//! Until the global-table machine is merged: replicas can't be changed.

use std::sync::Arc;

use store::Engine;

use crate::operations::update_table::ReplicaRequest;
use crate::{Table, Tables, TablesError};

impl<E: Engine> Tables<E> {
    pub(crate) async fn update_replicas(
        &self,
        _table: &Arc<Table>,
        _request: ReplicaRequest,
    ) -> Result<(), TablesError> {
        Err(TablesError::NotBuilt("UpdateTable with ReplicaUpdates"))
    }
}
