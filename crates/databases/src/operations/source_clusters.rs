//! A global cluster that is made of a cluster which is there (`SourceDBClusterIdentifier`): that
//! becomes its first member and its writer, with all that it holds.
//!
//! Three edits of two configurations, in this order: a row of the council's with a member and
//! without a writer, which changes nothing for the cluster yet; the cluster's own row and its
//! instances', by which its data are epoch 1, and its endpoints close; the council's row again,
//! with the writer. Whoever of the cluster's Region goes by an older row of the council's serves
//! nobody: the cluster's says which one made it a member. Where the third edit fails the Region
//! makes it once the council is heard again; the same request goes on from wherever it was, and
//! `RemoveFromGlobalCluster` gives up.

use types::ConfigurationView;

use super::{clusters, common, global_clusters};
use crate::catalogue::{self, Row};
use crate::error::{DatabasesError, Refusal};
use crate::membership;
use crate::model::{Cluster, GlobalCluster, Instance, Joined, Leading};
use crate::progress::ProgressError;
use crate::request::DatabasesRequest;
use crate::service::Service;
use crate::status::Status;

/// What the writer of a first epoch is recorded to lead, as of one made in a global cluster.
const FIRST: Leading = Leading {
    epoch: 1,
    number: 0,
};

/// What the source says, and a request may not (CreateGlobalCluster, "SourceDBClusterIdentifier"),
/// with the words of RDS for it.
const INHERITED: [(&str, &str); 3] = [
    ("Engine", "engineName"),
    ("EngineVersion", "engineVersion"),
    ("DatabaseName", "databaseName"),
];

fn state(text: impl Into<String>) -> DatabasesError {
    DatabasesError::refused(Refusal::InvalidDbClusterState, text)
}

/// Makes the global cluster of that row, but for what it gets of the source, and gives it as it is
/// then.
pub(super) async fn create(
    service: &Service,
    request: &DatabasesRequest<'_>,
    source: &str,
    row: GlobalCluster,
) -> Result<GlobalCluster, DatabasesError> {
    let given = INHERITED.iter().find(|(it, _)| request.text(it).is_some());
    if let Some((_, word)) = given {
        return Err(DatabasesError::combination(format!(
            "When creating global cluster from existing db cluster, value for {word} should not be \
             specified since it will be inherited from source cluster"
        )));
    }
    let source = || clusters::named_by(&*service.view(), request, source);
    let take_in = |(_, cluster)| take_in(service, cluster, &row);
    let (_alone, (cluster, joined)) = service.alone(source, take_in).await?;
    let made = service.change(|view: &dyn ConfigurationView| lead(view, &cluster, &joined));
    if let Err(error) = made.await {
        undo(service, &joined).await;
        return Err(error);
    }
    let made = service.change_global(|view: &dyn ConfigurationView| write(view, &cluster, &joined));
    Ok(made.await?.0)
}

/// The council's row, with the cluster as a member and nobody who writes. The same request may have
/// made it before.
async fn take_in(
    service: &Service,
    cluster: Cluster,
    row: &GlobalCluster,
) -> Result<(Cluster, Joined), DatabasesError> {
    let made = service.change_global(|view: &dyn ConfigurationView| {
        if let Some((_, held)) = catalogue::global_of(view, &cluster.arn, &cluster.resource_id)? {
            let is_begun = held.writer.is_none() && held.identifier == row.identifier;
            return match is_begun {
                true => Ok((Vec::new(), held.resource_id)),
                false => Err(state(format!(
                    "DB cluster {} is already a member of the global cluster {}.",
                    cluster.arn.identifier, held.identifier
                ))),
            };
        }
        global_clusters::check_new(view, row)?;
        let own = service.view();
        if let Some(head) = check(&*own, &cluster)? {
            common::demand(
                service,
                &*own,
                &head,
                &[Status::Available, Status::Creating],
            )?;
        }
        let mut made = row.clone();
        made.engine_version = cluster.engine_version.clone();
        made.database = cluster.database.clone();
        made.master_username = Some(cluster.master.username.clone());
        made.add_member(&cluster);
        let edit = catalogue::create(catalogue::global_key(&made), &made);
        Ok((vec![edit], made.resource_id))
    });
    let (id, revision) = made.await?;
    // Of one that was made before, this process knows already.
    let revision = revision.unwrap_or_else(|| service.global_view().revision());
    Ok((cluster, Joined { id, revision }))
}

/// Can what the cluster holds, if anything, be a first epoch? Nobody took over from its head, and
/// it never was in a global cluster. Gives its head, if it has one by now.
fn check(
    view: &dyn ConfigurationView,
    cluster: &Cluster,
) -> Result<Option<Instance>, DatabasesError> {
    let name = &cluster.arn.identifier;
    if cluster.handover.is_some() {
        return Err(state(format!("DB cluster {name} is failing over.")));
    }
    let (head, readers) = membership::instances_of(view, cluster)?;
    let is_untouched = |instance: &Instance| {
        let headship = instance.headship.as_ref();
        headship.is_some_and(|it| it.epoch == 0 && it.leads.is_none())
    };
    let are_untouched = head.iter().chain(&readers).all(is_untouched);
    if cluster.joined.is_some() || cluster.handovers > 0 || !are_untouched {
        let part = "CreateGlobalCluster of a DB cluster that has failed over or was a member of a \
                    global cluster before";
        return Err(DatabasesError::not_built(part));
    }
    Ok(head)
}

/// The cluster's own rows: it is a member, and its data are epoch 1, which its head leads.
fn lead(
    view: &dyn ConfigurationView,
    cluster: &Cluster,
    joined: &Joined,
) -> crate::service::Attempt<()> {
    let found = catalogue::cluster(view, &cluster.resource_id)?;
    let (revision, mut now) = found.ok_or_else(|| gone(cluster))?;
    if now.joined.as_ref().is_some_and(|held| held.id == joined.id) {
        return Ok((Vec::new(), ()));
    }
    check(view, &now)?;
    now.joined = Some(joined.clone());
    let mut edits = vec![catalogue::replace_cluster(revision, &now)];
    for id in now.instances() {
        let leads = (now.head.as_ref() == Some(id)).then_some(FIRST);
        edits.extend(first_epoch(catalogue::instance(view, id)?, leads));
    }
    Ok((edits, ()))
}

fn first_epoch(
    found: Option<Row<Instance>>,
    leads: Option<Leading>,
) -> Option<types::ConfigurationEdit> {
    let (revision, mut instance) = found?;
    let headship = instance.headship.as_mut()?;
    headship.epoch = FIRST.epoch;
    headship.leads = leads;
    Some(catalogue::replace_instance(revision, &instance))
}

/// The council's row with the writer.
fn write(
    view: &dyn ConfigurationView,
    cluster: &Cluster,
    joined: &Joined,
) -> crate::service::Attempt<GlobalCluster> {
    let found = catalogue::global_of(view, &cluster.arn, &cluster.resource_id)?;
    let found = found.filter(|(_, row)| row.resource_id == joined.id);
    let Some((revision, mut row)) = found else {
        let text = "The cluster was removed from its global cluster meanwhile";
        return Err(state(text));
    };
    if row.writer.is_some() {
        return Ok((Vec::new(), row));
    }
    row.writer = Some(cluster.arn.clone());
    row.epoch = FIRST.epoch;
    let edit = catalogue::replace(catalogue::global_key(&row), revision, &row);
    Ok((vec![edit], row))
}

/// Takes the council's row away again: nobody writes by it. A cluster that knows of it stands on
/// its own then. If that fails, `RemoveFromGlobalCluster` and `DeleteGlobalCluster` do.
async fn undo(service: &Service, joined: &Joined) {
    let made = service.change_global(|view: &dyn ConfigurationView| {
        let mut all = catalogue::global_clusters(view)?;
        all.retain(|(_, row)| row.resource_id == joined.id && row.writer.is_none());
        let edits = all.into_iter();
        let edits =
            edits.map(|(revision, row)| catalogue::remove(catalogue::global_key(&row), revision));
        Ok((edits.collect(), ()))
    });
    if let Err(cause) = made.await {
        tracing::warn!(global = %joined.id.0, %cause, "a global cluster without a writer stays");
    }
}

impl Service {
    /// Makes what there is of this Region's clusters writers of the global clusters that are made
    /// of them, where a request was cut off half way. To be called whenever the council has decided
    /// something that this Region asked for.
    ///
    /// # Errors
    ///
    /// It is to be tried again.
    pub async fn finish_source_clusters(&self) -> Result<(), ProgressError> {
        let clusters = catalogue::clusters(&*self.view()).map_err(DatabasesError::from)?;
        for (_, cluster) in clusters {
            let Some(joined) = cluster.joined.clone() else {
                continue;
            };
            let view = self.global_view();
            let found = catalogue::global_of(&*view, &cluster.arn, &cluster.resource_id);
            let found = found.map_err(DatabasesError::from)?;
            let is_half_made =
                found.is_some_and(|(_, row)| row.resource_id == joined.id && row.writer.is_none());
            if is_half_made {
                // A request that is at it needs no help.
                let Some(_alone) = self.joins.try_lock() else {
                    continue;
                };
                let made = self
                    .change_global(|view: &dyn ConfigurationView| write(view, &cluster, &joined));
                made.await?;
            }
        }
        Ok(())
    }
}

fn gone(cluster: &Cluster) -> DatabasesError {
    common::no_cluster(&cluster.arn.identifier)
}
