//! The operations, one file each. Each reads its request from JSON, judges it as the service does,
//! and writes its response as JSON.

pub(crate) mod batch_get_item;
pub(crate) mod batch_write_item;
pub(crate) mod create_global_table;
pub(crate) mod create_table;
pub(crate) mod delete_item;
pub(crate) mod delete_resource_policy;
pub(crate) mod delete_table;
pub(crate) mod describe_continuous_backups;
pub(crate) mod describe_endpoints;
pub(crate) mod describe_global_table;
pub(crate) mod describe_global_table_settings;
pub(crate) mod describe_table;
pub(crate) mod describe_time_to_live;
pub(crate) mod get_item;
pub(crate) mod get_resource_policy;
pub(crate) mod list_global_tables;
pub(crate) mod list_tables;
pub(crate) mod list_tags_of_resource;
pub(crate) mod put_item;
pub(crate) mod put_resource_policy;
pub(crate) mod query;
pub(crate) mod scan;
pub(crate) mod tag_resource;
pub(crate) mod untag_resource;
pub(crate) mod update_continuous_backups;
pub(crate) mod update_global_table;
pub(crate) mod update_global_table_settings;
pub(crate) mod update_item;
pub(crate) mod update_table;

use serde::Deserialize;

use crate::TablesError;
use crate::access::Subject;
use crate::request::Constraints;

/// The input of operations that take a table's name and nothing else.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct TableNameInput {
    table_name: Option<String>,
}

impl TableNameInput {
    /// What it names.
    pub(crate) fn subject(&self) -> Subject<'_> {
        Subject {
            table: self.table_name.as_deref(),
            ..Subject::default()
        }
    }

    /// The name (or ARN), once it is found to be one.
    pub(crate) fn name(&self) -> Result<&str, TablesError> {
        let mut constraints = Constraints::default();
        constraints.table(self.table_name.as_deref());
        constraints.check()?;
        Ok(self.table_name.as_deref().unwrap_or_default())
    }
}

/// The input of operations on a global table of version 2017.11.29.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct GlobalTableInput {
    global_table_name: Option<String>,
    replication_group: Option<Vec<ReplicaInput>>,
    replica_updates: Option<Vec<ReplicaUpdateInput>>,
}

/// `Replica`, and the actions of a `ReplicaUpdate`.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ReplicaInput {
    region_name: Option<String>,
}

/// `ReplicaUpdate`.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ReplicaUpdateInput {
    create: Option<ReplicaInput>,
    delete: Option<ReplicaInput>,
}

impl GlobalTableInput {
    /// What it names.
    pub(crate) fn subject(&self) -> Subject<'_> {
        let updates = || self.replica_updates.iter().flatten();
        let group = self.replication_group.iter().flatten();
        let joining = group.chain(updates().filter_map(|update| update.create.as_ref()));
        let leaving = updates().filter_map(|update| update.delete.as_ref());
        Subject {
            global_table: self.global_table_name.as_deref(),
            joining: joining
                .filter_map(|replica| replica.region_name.as_deref())
                .collect(),
            leaving: leaving
                .filter_map(|replica| replica.region_name.as_deref())
                .collect(),
            ..Subject::default()
        }
    }

    /// The name, once it is found to be one.
    pub(crate) fn name(&self) -> Result<&str, TablesError> {
        let mut constraints = Constraints::default();
        constraints.name("globalTableName", self.global_table_name.as_deref());
        constraints.check()?;
        Ok(self.global_table_name.as_deref().unwrap_or_default())
    }
}
