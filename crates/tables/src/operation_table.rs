//! Every operation of DynamoDB's published model (API version 2012-08-10), built or not.
//!
//! To build one more: its own file under `operations/`, its row here, its test.

use std::pin::Pin;

use aws::Operation;
use aws::access::{Access, Authorizer};
use bytes::Bytes;
use store::Engine;

use crate::access::{Execute, Resources, judge};
use crate::request::parse;
use crate::{Tables, TablesError, operations, resources};

/// What an operation is on its way to: the JSON of its response, or an error.
type Answer<'a> = Pin<Box<dyn Future<Output = Result<Bytes, TablesError>> + Send + 'a>>;

/// What reads a JSON body, has its caller judged by the row's access, and carries it out.
type Handler<E> =
    for<'a> fn(&'a Tables<E>, &'a dyn Authorizer, &'a Access<Resources<E>>, &'a [u8]) -> Answer<'a>;

fn run<'a, E: Engine, R: Execute<E>>(
    tables: &'a Tables<E>,
    caller: &'a dyn Authorizer,
    access: &'a Access<Resources<E>>,
    body: &'a [u8],
) -> Answer<'a> {
    Box::pin(async move {
        let request: R = parse(body)?;
        let allowed = judge(tables, caller, access, &request)?;
        request.execute(tables, &allowed).await
    })
}

macro_rules! built {
    ($name:literal, $module:ident, $resources:ident) => {
        Operation {
            name: $name,
            access: Access::Judged {
                action: concat!("dynamodb:", $name),
                resources: resources::$resources,
            },
            handler: Some(run::<E, operations::$module::Input>),
        }
    };
}

macro_rules! not_built {
    ($name:literal, $resources:ident) => {
        Operation {
            name: $name,
            access: Access::Judged {
                action: concat!("dynamodb:", $name),
                resources: resources::$resources,
            },
            handler: None,
        }
    };
}

impl<E: Engine> Tables<E> {
    const OPERATIONS: &'static [Operation<Handler<E>, Resources<E>>] = &[
        not_built!("BatchExecuteStatement", each_table),
        built!("BatchGetItem", batch_get_item, each_table),
        built!("BatchWriteItem", batch_write_item, each_table),
        not_built!("CreateBackup", table),
        built!(
            "CreateGlobalTable",
            create_global_table,
            global_table_and_tables
        ),
        built!("CreateTable", create_table, new_table),
        not_built!("DeleteBackup", arn),
        built!("DeleteItem", delete_item, table),
        built!(
            "DeleteResourcePolicy",
            delete_resource_policy,
            policy_to_delete
        ),
        built!("DeleteTable", delete_table, table),
        not_built!("DescribeBackup", arn),
        built!(
            "DescribeContinuousBackups",
            describe_continuous_backups,
            table
        ),
        not_built!("DescribeContributorInsights", table_or_index),
        built!("DescribeEndpoints", describe_endpoints, everything),
        not_built!("DescribeExport", arn),
        built!("DescribeGlobalTable", describe_global_table, global_table),
        built!(
            "DescribeGlobalTableSettings",
            describe_global_table_settings,
            global_table
        ),
        not_built!("DescribeImport", arn),
        not_built!("DescribeKinesisStreamingDestination", table),
        not_built!("DescribeLimits", everything),
        built!("DescribeTable", describe_table, table),
        not_built!("DescribeTableReplicaAutoScaling", table),
        built!("DescribeTimeToLive", describe_time_to_live, table),
        not_built!("DisableKinesisStreamingDestination", table),
        not_built!("EnableKinesisStreamingDestination", table),
        not_built!("ExecuteStatement", each_table),
        not_built!("ExecuteTransaction", each_table),
        not_built!("ExportTableToPointInTime", arn),
        built!("GetItem", get_item, table),
        built!("GetResourcePolicy", get_resource_policy, arn),
        not_built!("ImportTable", new_table),
        not_built!("ListBackups", everything),
        not_built!("ListContributorInsights", everything),
        not_built!("ListExports", everything),
        built!("ListGlobalTables", list_global_tables, everything),
        not_built!("ListImports", everything),
        built!("ListTables", list_tables, everything),
        built!("ListTagsOfResource", list_tags_of_resource, arn),
        built!("PutItem", put_item, table),
        built!("PutResourcePolicy", put_resource_policy, arn),
        built!("Query", query, table_or_index),
        not_built!("RestoreTableFromBackup", table),
        not_built!("RestoreTableToPointInTime", table),
        built!("Scan", scan, table_or_index),
        built!("TagResource", tag_resource, arn),
        not_built!("TransactGetItems", each_table),
        not_built!("TransactWriteItems", each_table),
        built!("UntagResource", untag_resource, arn),
        built!("UpdateContinuousBackups", update_continuous_backups, table),
        not_built!("UpdateContributorInsights", table_or_index),
        built!(
            "UpdateGlobalTable",
            update_global_table,
            global_table_and_tables
        ),
        built!(
            "UpdateGlobalTableSettings",
            update_global_table_settings,
            global_table_and_tables
        ),
        built!("UpdateItem", update_item, table),
        not_built!("UpdateKinesisStreamingDestination", table),
        built!("UpdateTable", update_table, table_and_replicas),
        not_built!("UpdateTableReplicaAutoScaling", table),
        not_built!("UpdateTimeToLive", table),
    ];

    /// Every operation of the service's model, and whether it is built.
    pub fn operations() -> impl Iterator<Item = (&'static str, bool)> {
        let rows = Self::OPERATIONS.iter();
        rows.map(|row| (row.name, row.handler.is_some()))
    }

    pub(crate) async fn dispatch(
        &self,
        caller: &dyn Authorizer,
        name: &str,
        body: &[u8],
    ) -> Result<Bytes, TablesError> {
        let row = aws::find(Self::OPERATIONS, name)
            .ok_or_else(|| TablesError::UnknownOperation(name.to_owned()))?;
        let handler = row.handler.ok_or(TablesError::NotBuilt(row.name))?;
        handler(self, caller, &row.access, body).await
    }
}
