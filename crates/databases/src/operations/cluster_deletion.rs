//! DB clusters that are deleted.

use aws::query::Reply;
use types::ConfigurationView;

use super::cluster_endpoints;
use super::clusters::{named, reply};
use crate::error::{DatabasesError, Refusal};
use crate::model::Cluster;
use crate::request::DatabasesRequest;
use crate::service::Service;
use crate::{catalogue, events};

/// Is it in a global cluster, as far as this site knows?
fn is_member(service: &Service, cluster: &Cluster) -> Result<bool, DatabasesError> {
    let global = service.global_view();
    let found = catalogue::global_of(&*global, &cluster.arn, &cluster.resource_id)?;
    Ok(found.is_some())
}

/// `DeleteDBCluster`: of one that has no instance and is in no global cluster.
pub(crate) async fn delete(
    service: &Service,
    request: &DatabasesRequest<'_>,
) -> Result<Reply, DatabasesError> {
    request.refuse_unbuilt(&["FinalDBSnapshotIdentifier"])?;
    request.flag("DeleteAutomatedBackups")?;
    if request.flag("SkipFinalSnapshot")? != Some(true) {
        let text = "FinalDBSnapshotIdentifier is required unless SkipFinalSnapshot is specified.";
        return Err(DatabasesError::combination(text));
    }
    // Another Region may have removed it from its global cluster a moment ago.
    let (_, cluster) = named(&*service.view(), request)?;
    if is_member(service, &cluster)? {
        service.catch_up().await?;
    }
    let made = service.change(|view: &dyn ConfigurationView| {
        let row = named(view, request)?;
        let cluster = &row.1;
        let state = |text: &str| {
            Err(DatabasesError::refused(
                Refusal::InvalidDbClusterState,
                text,
            ))
        };
        if is_member(service, cluster)? {
            return state(
                "This cluster is a part of a global cluster, please remove it from globalcluster \
                 first",
            );
        }
        if cluster.deletion_protection {
            let text = "Cannot delete protected Cluster, please disable deletion protection and \
                        try again.";
            return Err(DatabasesError::combination(text));
        }
        if cluster.head.is_some() {
            return state("Cluster cannot be deleted, it still contains DB instances.");
        }
        let mut edits = catalogue::remove_cluster(&row);
        edits.extend(cluster_endpoints::removed_with(view, cluster)?);
        edits.extend(events::edits(view, service.now(), Vec::new()));
        Ok((edits, row.1))
    });
    let cluster = made.await?;
    reply(service, request, &cluster)
}
