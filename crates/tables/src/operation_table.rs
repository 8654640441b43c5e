//! Every operation of DynamoDB's published model (API version 2012-08-10), built or not.
//!
//! To build one more: its own file under `operations/`, its row here, its test.

use std::pin::Pin;

use aws::Operation;
use aws::access::Access;
use bytes::Bytes;
use store::Engine;

use crate::{Tables, TablesError, operations};

/// What an operation is on its way to: the JSON of its response, or an error.
type Answer<'a> = Pin<Box<dyn Future<Output = Result<Bytes, TablesError>> + Send + 'a>>;

/// What carries an operation out on a JSON body.
type Handler<E> = for<'a> fn(&'a Tables<E>, &'a [u8]) -> Answer<'a>;

macro_rules! built {
    ($name:literal, $module:ident) => {
        Operation {
            name: $name,
            access: Access::Judged {
                action: concat!("dynamodb:", $name),
                resources: (),
            },
            handler: Some(|tables, body| Box::pin(operations::$module::execute(tables, body))),
        }
    };
}

macro_rules! not_built {
    ($name:literal) => {
        Operation {
            name: $name,
            access: Access::Judged {
                action: concat!("dynamodb:", $name),
                resources: (),
            },
            handler: None,
        }
    };
}

impl<E: Engine> Tables<E> {
    const OPERATIONS: &'static [Operation<Handler<E>, ()>] = &[
        not_built!("BatchExecuteStatement"),
        built!("BatchGetItem", batch_get_item),
        built!("BatchWriteItem", batch_write_item),
        not_built!("CreateBackup"),
        built!("CreateGlobalTable", create_global_table),
        built!("CreateTable", create_table),
        not_built!("DeleteBackup"),
        built!("DeleteItem", delete_item),
        not_built!("DeleteResourcePolicy"),
        built!("DeleteTable", delete_table),
        not_built!("DescribeBackup"),
        built!("DescribeContinuousBackups", describe_continuous_backups),
        not_built!("DescribeContributorInsights"),
        built!("DescribeEndpoints", describe_endpoints),
        not_built!("DescribeExport"),
        built!("DescribeGlobalTable", describe_global_table),
        built!(
            "DescribeGlobalTableSettings",
            describe_global_table_settings
        ),
        not_built!("DescribeImport"),
        not_built!("DescribeKinesisStreamingDestination"),
        not_built!("DescribeLimits"),
        built!("DescribeTable", describe_table),
        not_built!("DescribeTableReplicaAutoScaling"),
        built!("DescribeTimeToLive", describe_time_to_live),
        not_built!("DisableKinesisStreamingDestination"),
        not_built!("EnableKinesisStreamingDestination"),
        not_built!("ExecuteStatement"),
        not_built!("ExecuteTransaction"),
        not_built!("ExportTableToPointInTime"),
        built!("GetItem", get_item),
        not_built!("GetResourcePolicy"),
        not_built!("ImportTable"),
        not_built!("ListBackups"),
        not_built!("ListContributorInsights"),
        not_built!("ListExports"),
        built!("ListGlobalTables", list_global_tables),
        not_built!("ListImports"),
        built!("ListTables", list_tables),
        built!("ListTagsOfResource", list_tags_of_resource),
        built!("PutItem", put_item),
        not_built!("PutResourcePolicy"),
        built!("Query", query),
        not_built!("RestoreTableFromBackup"),
        not_built!("RestoreTableToPointInTime"),
        built!("Scan", scan),
        built!("TagResource", tag_resource),
        not_built!("TransactGetItems"),
        not_built!("TransactWriteItems"),
        built!("UntagResource", untag_resource),
        built!("UpdateContinuousBackups", update_continuous_backups),
        not_built!("UpdateContributorInsights"),
        built!("UpdateGlobalTable", update_global_table),
        built!("UpdateGlobalTableSettings", update_global_table_settings),
        built!("UpdateItem", update_item),
        not_built!("UpdateKinesisStreamingDestination"),
        built!("UpdateTable", update_table),
        not_built!("UpdateTableReplicaAutoScaling"),
        not_built!("UpdateTimeToLive"),
    ];

    /// Every operation of the service's model, and whether it is built.
    pub fn operations() -> impl Iterator<Item = (&'static str, bool)> {
        let rows = Self::OPERATIONS.iter();
        rows.map(|row| (row.name, row.handler.is_some()))
    }

    pub(crate) async fn dispatch(&self, name: &str, body: &[u8]) -> Result<Bytes, TablesError> {
        let row = aws::find(Self::OPERATIONS, name)
            .ok_or_else(|| TablesError::UnknownOperation(name.to_owned()))?;
        let handler = row.handler.ok_or(TablesError::NotBuilt(row.name))?;
        handler(self, body).await
    }
}
