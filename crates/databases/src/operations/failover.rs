//! `FailoverDBCluster`: a reader takes over from the head of its cluster, in the same Region. Of
//! the member that writes for a global cluster it isn't built: that makes a history of its own.

use aws::query::Reply;
use types::ConfigurationView;

use super::{clusters, common};
use crate::catalogue;
use crate::error::{DatabasesError, Refusal};
use crate::events::{self, Category, Telling};
use crate::handover;
use crate::input::names;
use crate::membership;
use crate::model::{Cluster, GlobalCluster, Handover, Instance};
use crate::plan::Role;
use crate::request::{DatabasesRequest, shown};
use crate::service::Service;
use crate::status::Status;

fn state(text: String) -> DatabasesError {
    DatabasesError::refused(Refusal::InvalidDbClusterState, text)
}

/// `FailoverDBCluster`.
pub(crate) async fn fail_over(
    service: &Service,
    request: &DatabasesRequest<'_>,
) -> Result<Reply, DatabasesError> {
    let made = service.change(|view: &dyn ConfigurationView| {
        let (revision, mut cluster) = clusters::named(view, request)?;
        let global = service.global_view();
        let found = catalogue::global_of(&*global, &cluster.arn, &cluster.resource_id)?;
        let name = &cluster.arn.identifier;
        // What is known of its membership may be older than that.
        let joins = cluster.joined.as_ref();
        if found.is_none() && joins.is_some_and(|joined| joined.revision > global.revision()) {
            return Err(state(format!(
                "DB cluster {name} is joining its global cluster."
            )));
        }
        if let Some((_, row)) = &found {
            refuse_of_member(row, &cluster)?;
        }
        let is_changing = cluster.handover.is_some() || cluster.has_new_head();
        if is_changing || cluster.forced.is_some() {
            return Err(state(format!("DB cluster {name} is failing over already.")));
        }
        let Some(head) = membership::head_of(view, &cluster)? else {
            return Err(state(format!("DB cluster {name} has no DB instance.")));
        };
        let able = [Status::Available, Status::ResettingMasterCredentials];
        common::demand(service, view, &head, &able)?;
        let to = taker(service, request, view, &cluster)?;
        if let Some((_, row)) = &found {
            refuse_out_of_line(row, &head)?;
            refuse_out_of_line(row, &to)?;
        }
        cluster.handovers += 1;
        cluster.handover = Some(Handover {
            number: cluster.handovers,
            to: to.resource_id.clone(),
            asked: service.now(),
            drained: None,
            is_claimed: false,
        });
        let text = handover::started(&head, &to);
        let told = Telling::of_cluster(&cluster.arn, Category::Failover, text);
        let mut edits = vec![catalogue::replace_cluster(revision, &cluster)];
        edits.extend(events::edits(view, service.now(), vec![told]));
        Ok((edits, cluster))
    });
    let cluster = made.await?;
    for id in cluster.instances() {
        service.look_at(id);
    }
    clusters::reply(service, request, &cluster)
}

/// Refuses of a member of a global cluster what isn't built, and what can't be now.
fn refuse_of_member(row: &GlobalCluster, cluster: &Cluster) -> Result<(), DatabasesError> {
    if row.writer.as_ref() == Some(&cluster.arn) {
        let part = "FailoverDBCluster of the primary cluster of a global cluster";
        return Err(DatabasesError::not_built(part));
    }
    match &row.moving {
        None => Ok(()),
        Some(_) => Err(state(format!(
            "Global cluster {} is failing over.",
            row.identifier
        ))),
    }
}

/// Refuses an instance of a member that isn't known to hold the latest history and nothing else.
fn refuse_out_of_line(row: &GlobalCluster, instance: &Instance) -> Result<(), DatabasesError> {
    let headship = instance.headship.as_ref();
    match headship.is_some_and(|it| it.leads.is_none() && it.epoch == row.epoch) {
        true => Ok(()),
        false => Err(state(format!(
            "DB instance {} doesn't follow the primary cluster of global cluster {} yet.",
            instance.arn.identifier, row.identifier
        ))),
    }
}

/// Who takes over: the reader that is named, or of those that follow the one of the least
/// `PromotionTier`, by name among those of one.
fn taker(
    service: &Service,
    request: &DatabasesRequest<'_>,
    view: &dyn ConfigurationView,
    cluster: &Cluster,
) -> Result<Instance, DatabasesError> {
    let readers = membership::readers_in(view, cluster)?;
    let mut readers: Vec<Instance> = readers.into_iter().map(|(_, reader)| reader).collect();
    if let Some(name) = request.text("TargetDBInstanceIdentifier") {
        let own = names::instance("TargetDBInstanceIdentifier", name)?;
        readers.retain(|reader| reader.arn.identifier == own);
        if readers.is_empty() {
            return Err(DatabasesError::state(format!(
                "{} is not a reader of DB cluster {}.",
                shown(name),
                cluster.arn.identifier
            )));
        }
    }
    let tier = |reader: &Instance| {
        reader
            .headship
            .as_ref()
            .map_or(u8::MAX, |it| it.promotion_tier)
    };
    let mut able = Vec::new();
    for reader in readers {
        let is_available = common::status_of(service, view, &reader)? == Status::Available;
        if is_available && follows(service, &reader) {
            able.push(reader);
        }
    }
    let first = able
        .into_iter()
        .min_by_key(|reader| (tier(reader), reader.arn.identifier.clone()));
    first.ok_or_else(|| {
        state(format!(
            "DB cluster {} has no reader that follows its head and could take over.",
            cluster.arn.identifier
        ))
    })
}

/// Does it follow its head now?
fn follows(service: &Service, reader: &Instance) -> bool {
    let standing = service.config.servers.standing(&reader.resource_id.0);
    let server = standing.and_then(|standing| standing.observed.server);
    server.is_some_and(|server| server.role == Some(Role::Standby) && server.receives)
}
