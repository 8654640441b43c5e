//! `FailoverDBCluster`: a reader takes over from the head of its cluster, in the same Region. Of
//! the member that writes for a global cluster it isn't built: that makes a history of its own.

use aws::query::Reply;
use types::ConfigurationView;

use super::{clusters, common, dead_heads};
use crate::catalogue;
use crate::error::{DatabasesError, Refusal};
use crate::events::{self, Category, Telling};
use crate::handover;
use crate::input::names;
use crate::membership;
use crate::model::{Cluster, GlobalCluster, Instance};
use crate::plan::{Role, ServerSeen};
use crate::request::{DatabasesRequest, shown};
use crate::service::Service;
use crate::status::Status;

/// How many bytes of its head's log a reader may have yet to replay when it is to take over: nobody
/// writes until it has. Looks at the two are up to a second apart.
const NEAR: u64 = 64 << 20;

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
        let claim = match target(request)? {
            Some(target) if found.is_none() && cluster.forced.is_none() => {
                dead_heads::claim(service, view, (&cluster, &target))?
            }
            _ => None,
        };
        let is_changing = cluster.handover.is_some() || cluster.has_new_head();
        if claim.is_none() && (is_changing || cluster.forced.is_some()) {
            return Err(state(format!("DB cluster {name} is failing over already.")));
        }
        let Some(head) = membership::head_of(view, &cluster)? else {
            return Err(state(format!("DB cluster {name} has no DB instance.")));
        };
        let to = match claim {
            Some(dead_heads::Claim { by, is_unstartable }) => {
                handover::claimed(&mut cluster, &by, is_unstartable, service.now());
                by
            }
            None => {
                let to = in_order(service, request, view, (&cluster, &head))?;
                if let Some((_, row)) = &found {
                    refuse_out_of_line(row, &head)?;
                    refuse_out_of_line(row, &to)?;
                }
                handover::asked(&mut cluster, &to, service.now());
                to
            }
        };
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

/// The name of the instance that is to take over, if one is named.
fn target(request: &DatabasesRequest<'_>) -> Result<Option<String>, DatabasesError> {
    let name = request.text("TargetDBInstanceIdentifier");
    let own = name.map(|name| names::instance("TargetDBInstanceIdentifier", name));
    own.transpose()
}

/// Who takes over from a head that lives: the reader that is named, or of those that keep up the
/// one of the least `PromotionTier`, by name among those of one.
fn in_order(
    service: &Service,
    request: &DatabasesRequest<'_>,
    view: &dyn ConfigurationView,
    (cluster, head): (&Cluster, &Instance),
) -> Result<Instance, DatabasesError> {
    let able = [Status::Available, Status::ResettingMasterCredentials];
    common::demand(service, view, head, &able)?;
    let readers = membership::readers_in(view, cluster)?;
    let mut readers: Vec<Instance> = readers.into_iter().map(|(_, reader)| reader).collect();
    if let Some(own) = target(request)? {
        readers.retain(|reader| reader.arn.identifier == own);
        if readers.is_empty() {
            return Err(DatabasesError::state(format!(
                "{} is not a reader of DB cluster {}.",
                shown(&own),
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
        if is_available && keeps_up(service, &reader, head) {
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

/// Does it follow its head now, so closely that it soon has all of its log once that has stopped?
fn keeps_up(service: &Service, reader: &Instance, head: &Instance) -> bool {
    let server = |instance: &Instance| {
        let standing = service.config.servers.standing(&instance.resource_id.0);
        standing.and_then(|standing| standing.observed.server)
    };
    let follows = |it: &ServerSeen| it.role == Some(Role::Standby) && it.receives;
    let Some(own) = server(reader).filter(follows) else {
        return false;
    };
    let end = server(head).and_then(|it| it.log.written.or(it.log.received).or(it.log.replayed));
    let lacks = end.zip(own.log.replayed);
    lacks.is_none_or(|(end, replayed)| end.0.saturating_sub(replayed.0) <= NEAR)
}
