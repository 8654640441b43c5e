//! How a cluster becomes a member of a global cluster, and is none again if nothing comes of it.

use types::ConfigurationView;

use super::{first_user, global_clusters};
use crate::catalogue;
use crate::error::{DatabasesError, Refusal};
use crate::limits::MAX_MEMBERS;
use crate::model::{Cluster, GlobalCluster, Joined};
use crate::request::DatabasesRequest;
use crate::service::Service;

/// Makes a cluster that is still to be a member of a global cluster, and gives it as it is then:
/// its first is its writer. To be called with [`Service::joins`] held.
pub(super) async fn join(
    service: &Service,
    request: &DatabasesRequest<'_>,
    name: &str,
    asked: &Cluster,
) -> Result<Cluster, DatabasesError> {
    let made = service.change_global(|view: &dyn ConfigurationView| {
        let (revision, mut row) = global_clusters::named(view, request, name)?;
        let mut cluster = asked.clone();
        admit(&mut row, &mut cluster)?;
        let id = row.resource_id.clone();
        let edit = catalogue::replace(catalogue::global_key(&row), revision, &row);
        Ok((vec![edit], (id, cluster)))
    });
    let ((id, mut cluster), revision) = made.await?;
    let revision = revision.unwrap_or(u64::MAX);
    cluster.joined = Some(Joined { id, revision });
    Ok(cluster)
}

/// Has a global cluster take a member.
fn admit(row: &mut GlobalCluster, cluster: &mut Cluster) -> Result<(), DatabasesError> {
    let state = |text: String| DatabasesError::refused(Refusal::InvalidGlobalClusterState, text);
    if cluster.engine_version != row.engine_version {
        return Err(DatabasesError::combination(format!(
            "The engine version {} is not the global cluster's, {}",
            cluster.engine_version, row.engine_version
        )));
    }
    let others = row
        .members
        .values()
        .filter(|member| member.arn != cluster.arn);
    if others.clone().count() >= MAX_MEMBERS {
        let text = format!("Global cluster quota exceeded: {MAX_MEMBERS} clusters");
        return Err(DatabasesError::refused(
            Refusal::DbClusterQuotaExceeded,
            text,
        ));
    }
    let mut others = others;
    if others.any(|member| member.arn.region == cluster.arn.region) {
        let text = format!(
            "Global cluster {} already has a cluster in {}",
            row.identifier, cluster.arn.region
        );
        return Err(state(text));
    }
    if row
        .member(&cluster.arn)
        .is_some_and(|member| member.head.is_some())
    {
        let text = format!("{} is a member of {} already", cluster.arn, row.identifier);
        return Err(state(text));
    }
    if row.writer.is_none() && row.members.values().any(|member| member.arn != cluster.arn) {
        let text = format!("Global cluster {} is being created", row.identifier);
        return Err(state(text));
    }
    let is_first = row
        .writer
        .as_ref()
        .is_none_or(|writer| *writer == cluster.arn);
    if is_first {
        first(row, cluster)?;
    } else {
        if !cluster.master.username.is_empty() || cluster.master.verifier.is_some() {
            let text = "Cannot specify user name for cross region replication cluster";
            return Err(DatabasesError::combination(text));
        }
        if cluster.database.is_some() && cluster.database != row.database {
            let text = "Cannot specify database name for cross region replication cluster";
            return Err(DatabasesError::combination(text));
        }
        cluster.database = row.database.clone();
        cluster.master.username = row.master_username.clone().unwrap_or_default();
    }
    row.add_member(cluster);
    Ok(())
}

/// The first member writes.
fn first(row: &mut GlobalCluster, cluster: &mut Cluster) -> Result<(), DatabasesError> {
    let has_name = !cluster.master.username.is_empty();
    if !has_name || cluster.master.verifier.is_none() {
        return Err(first_user::missing(!has_name));
    }
    if let Some(database) = &row.database {
        if cluster.database.as_ref().is_some_and(|own| own != database) {
            let text = "DatabaseName is not the global cluster's";
            return Err(DatabasesError::combination(text));
        }
        cluster.database = Some(database.clone());
    }
    row.database = cluster.database.clone();
    row.master_username = Some(cluster.master.username.clone());
    row.writer = Some(cluster.arn.clone());
    row.epoch += 1;
    row.forks.clear();
    Ok(())
}

/// Takes a member away again that never was a cluster: nobody is a member that isn't there. If that
/// fails, it can be removed.
pub(super) async fn leave(service: &Service, cluster: &Cluster) {
    let made = service.change_global(|view: &dyn ConfigurationView| {
        let found = catalogue::global_of(view, &cluster.arn, &cluster.resource_id)?;
        let Some((revision, mut row)) = found else {
            return Ok((Vec::new(), ()));
        };
        global_clusters::part(&mut row, &cluster.arn);
        let edit = catalogue::replace(catalogue::global_key(&row), revision, &row);
        Ok((vec![edit], ()))
    });
    if let Err(cause) = made.await {
        tracing::warn!(cluster = %cluster.arn, %cause, "a member without a cluster stays");
    }
}
