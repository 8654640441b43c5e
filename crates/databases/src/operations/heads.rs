//! A cluster's instances: to make its head and the readers that follow it, and what they are
//! refused beside what every instance is.

use types::ConfigurationView;

use super::common::{self, Inherited};
use super::{clusters, instances};
use crate::catalogue::{self, Row};
use crate::error::{DatabasesError, Refusal};
use crate::limits::MAX_READERS;
use crate::membership;
use crate::model::{Cluster, GlobalCluster, Headship, Instance, Master, Origin, StorageType, Tags};
use crate::request::DatabasesRequest;
use crate::service::Service;

/// The highest `PromotionTier`.
const MAX_TIER: u32 = 15;

/// What its storage is described as: Aurora's grows by itself.
const STORAGE: u32 = 1;

/// Parameters that are its cluster's.
const OF_CLUSTER: &[(&str, &str)] = &[
    ("AllocatedStorage", "allocated storage"),
    ("BackupRetentionPeriod", "backup retention period"),
    ("DBName", "database name"),
    ("DeletionProtection", "deletion protection"),
    ("MasterUserPassword", "master user password"),
    ("MasterUsername", "master user name"),
    ("Port", "port"),
    ("PreferredBackupWindow", "backup window"),
    ("StorageType", "storage type"),
    ("VpcSecurityGroupIds", "security groups"),
];

/// Makes an instance of the cluster that a request names: the first is its head.
pub(super) async fn create(
    service: &Service,
    request: &DatabasesRequest<'_>,
) -> Result<Instance, DatabasesError> {
    request.required("DBInstanceIdentifier")?;
    request.required("DBInstanceClass")?;
    clusters::check_engine(request.required("Engine")?)?;
    common::refuse_unbuilt_besides(request, &["DBClusterIdentifier", "PromotionTier"])?;
    refuse_of_cluster(request)?;
    let tier = tier(request)?.unwrap_or(1);
    let engine = common::engine(service)?;
    let version = instances::check_version(request, engine)?;
    // Not while its head, which it would follow, is being deleted.
    let _alone = service.joins.lock().await;
    let made = service.change(|view: &dyn ConfigurationView| {
        let (revision, mut cluster) = clusters::named(view, request)?;
        let head = membership::head_of(view, &cluster)?;
        let (origin, master) = match &head {
            Some(head) => reader(&cluster, head)?,
            None => origin(service, &mut cluster)?,
        };
        let mut made = common::new_instance(
            service,
            request,
            Inherited {
                origin,
                engine_version: version.clone(),
                class: None,
                allocated_storage: STORAGE,
                storage_type: StorageType::Gp3,
                port: cluster.port,
                master,
                database: cluster.database.clone(),
                backup_retention: cluster.backup_retention,
                parameter_group: None,
                tags: Tags::new(),
            },
        )?;
        made.subnet_group = cluster.subnet_group.clone();
        made.security_groups = cluster.security_groups.clone();
        made.backup_window = cluster.backup_window.clone();
        made.headship = Some(Headship {
            cluster: cluster.resource_id.clone(),
            cluster_arn: cluster.arn.clone(),
            promotion_tier: tier,
            epoch: 0,
            leads: None,
            forced: None,
        });
        match head {
            Some(_) => {
                cluster.readers.insert(made.resource_id.clone());
            }
            None => cluster.head = Some(made.resource_id.clone()),
        }
        let mut edits = common::create(service, view, &mut made)?;
        edits.push(catalogue::replace_cluster(revision, &cluster));
        Ok((edits, made))
    });
    let made: Instance = made.await?;
    // Its slot is kept by the head.
    if let Some(headship) = &made.headship
        && let Some((_, cluster)) = catalogue::cluster(&*service.view(), &headship.cluster)?
        && let Some(head) = &cluster.head
    {
        service.look_at(head);
    }
    Ok(made)
}

fn tier(request: &DatabasesRequest<'_>) -> Result<Option<u8>, DatabasesError> {
    let tier = request.number("PromotionTier", (0, MAX_TIER))?;
    Ok(tier.and_then(|tier| u8::try_from(tier).ok()))
}

/// Changes its `PromotionTier`, which an instance of a cluster alone has.
pub(super) fn set_tier(
    request: &DatabasesRequest<'_>,
    instance: &mut Instance,
) -> Result<(), DatabasesError> {
    match (tier(request)?, &mut instance.headship) {
        (None, _) => Ok(()),
        (Some(tier), Some(headship)) => {
            headship.promotion_tier = tier;
            Ok(())
        }
        (Some(_), None) => Err(DatabasesError::combination(
            "PromotionTier can be set for an instance of a DB cluster only.",
        )),
    }
}

/// How a reader's home comes to be, and its first user: all that it has is its head's.
fn reader(cluster: &Cluster, head: &Instance) -> Result<(Origin, Master), DatabasesError> {
    if cluster.readers.len() >= MAX_READERS {
        let text = format!(
            "DB cluster {} already has {} instances",
            cluster.arn.identifier,
            MAX_READERS + 1
        );
        return Err(DatabasesError::refused(
            Refusal::InstanceQuotaExceeded,
            text,
        ));
    }
    if head.deletion.is_some() {
        let text = format!(
            "The instance {} that it would follow is being deleted",
            head.arn.identifier
        );
        return Err(DatabasesError::refused(
            Refusal::InvalidDbClusterState,
            text,
        ));
    }
    let master = Master {
        username: cluster.master.username.clone(),
        verifier: None,
        asked: 0,
        applied: 0,
    };
    Ok((Origin::Replica, master))
}

fn refuse_of_cluster(request: &DatabasesRequest<'_>) -> Result<(), DatabasesError> {
    let members = request.members();
    for (name, noun) in OF_CLUSTER {
        if request.text(name).is_some() || members.structure(name).is_some() {
            return Err(DatabasesError::combination(format!(
                "The requested DB Instance will be a member of a DB Cluster. Set {noun} for the \
                 DB Cluster."
            )));
        }
    }
    Ok(())
}

/// How its home comes to be, and its first user: the writer's is made anew, any other is a copy.
fn origin(service: &Service, cluster: &mut Cluster) -> Result<(Origin, Master), DatabasesError> {
    let global = service.global_view();
    let found = catalogue::global_of(&*global, &cluster.arn, &cluster.resource_id)?;
    let is_secondary = |row: &GlobalCluster| row.writer.as_ref() != Some(&cluster.arn);
    let mut master = Master {
        username: cluster.master.username.clone(),
        verifier: None,
        asked: 0,
        applied: 0,
    };
    if found.is_some_and(|(_, row)| is_secondary(&row)) {
        return Ok((Origin::Replica, master));
    }
    master.verifier = cluster.master.verifier.take();
    if master.verifier.is_none() {
        return Err(DatabasesError::refused(
            Refusal::InvalidDbClusterState,
            "The cluster's master user has no password any more: set one by ModifyDBCluster \
             first.",
        ));
    }
    Ok((Origin::New, master))
}

/// Is it a reader of its cluster, which nobody else knows of?
pub(super) fn is_reader(
    view: &dyn ConfigurationView,
    instance: &Instance,
) -> Result<bool, DatabasesError> {
    let Some(headship) = &instance.headship else {
        return Ok(false);
    };
    let found = catalogue::cluster(view, &headship.cluster)?;
    Ok(found.is_some_and(|(_, cluster)| cluster.has_reader(&instance.resource_id)))
}

/// Refuses to delete a head that others follow, and anyone of a cluster whose head changes.
pub(super) fn refuse_to_leave_readers(
    view: &dyn ConfigurationView,
    instance: &Instance,
) -> Result<(), DatabasesError> {
    let name = &instance.arn.identifier;
    let own = match &instance.headship {
        Some(headship) => catalogue::cluster(view, &headship.cluster)?,
        None => None,
    };
    let own = own.map(|(_, cluster)| cluster);
    let forced = own.as_ref().and_then(|cluster| cluster.forced.as_ref());
    // Of one that has failed nothing can be kept but by whoever mends it.
    let is_forced = forced.is_some_and(|forced| forced.head == instance.resource_id);
    let hands_over = own.as_ref().is_some_and(|it| it.handover.is_some());
    let text = if hands_over {
        format!("Cannot delete {name} while its DB cluster is failing over.")
    } else if is_forced && instance.failure.is_none() {
        format!(
            "Cannot delete {name}, which was made a writer by force: it may hold what nobody else \
             does. Wait until that is settled, or remove its DB cluster from the global cluster."
        )
    } else if membership::readers_of(view, instance)?.is_empty() {
        return Ok(());
    } else {
        format!(
            "Cannot delete {name}, which the other instances of its DB cluster follow: delete them \
             first, or have one of them take over by FailoverDBCluster."
        )
    };
    Err(DatabasesError::refused(
        Refusal::InvalidDbClusterState,
        text,
    ))
}

/// Takes a head that is to be deleted out of the row of its global cluster, if nobody needs it.
pub(super) async fn part(service: &Service, instance: &Instance) -> Result<(), DatabasesError> {
    let Some(headship) = &instance.headship else {
        return Ok(());
    };
    if is_reader(&*service.view(), instance)? {
        return Ok(());
    }
    let state = |text: &str| {
        Err(DatabasesError::refused(
            Refusal::InvalidDbClusterState,
            text,
        ))
    };
    let made = service.change_global(|view: &dyn ConfigurationView| {
        let found = catalogue::global_of(view, &headship.cluster_arn, &headship.cluster)?;
        let Some(row) = found else {
            return Ok((Vec::new(), ()));
        };
        if row.1.moving.is_some() {
            return state("The global cluster is failing over");
        }
        let is_writing = row.1.writer.as_ref() == Some(&headship.cluster_arn);
        if is_writing && row.1.members.len() > 1 {
            // Terraform's provider tries again for as long as it reads "Delete the replica cluster
            // before deleting".
            return state(
                "Cannot delete the last instance of the master cluster. Delete the replica cluster \
                 before deleting the last master cluster instance.",
            );
        }
        Ok((forgotten(&row, instance), ()))
    });
    made.await.map(|_| ())
}

fn forgotten(row: &Row<GlobalCluster>, instance: &Instance) -> Vec<types::ConfigurationEdit> {
    let changed = crate::headway::without_head(row, &instance.resource_id);
    let edit = changed.map(|it| catalogue::replace(catalogue::global_key(&it), row.0, &it));
    edit.into_iter().collect()
}

/// Refuses to have a head's server start anew while the writer's role comes to its cluster or goes
/// from it: a target that loses its stream then can't have all that the old writer had.
pub(super) fn refuse_amid_move(
    service: &Service,
    view: &dyn ConfigurationView,
    instance: &Instance,
) -> Result<(), DatabasesError> {
    let Some(headship) = &instance.headship else {
        return Ok(());
    };
    let global = service.global_view();
    let found = catalogue::global_of(&*global, &headship.cluster_arn, &headship.cluster)?;
    let Some((_, row)) = found else {
        return Ok(());
    };
    let own = &headship.cluster_arn;
    let moving = row.moving.as_ref();
    let concerns = moving.is_some_and(|it| it.from == *own || it.to == *own);
    if !concerns || is_reader(view, instance)? {
        return Ok(());
    }
    Err(DatabasesError::state(format!(
        "Instance {} is not in available state: the writer's role of global cluster {} is on its \
         way to or from its DB cluster.",
        instance.arn.identifier, row.identifier
    )))
}

/// Refuses of a cluster's instance what is its cluster's to do.
pub(super) fn refuse(instance: &Instance, what: &str) -> Result<(), DatabasesError> {
    match &instance.headship {
        None => Ok(()),
        Some(headship) => Err(DatabasesError::combination(format!(
            "The specified DB instance is a member of the DB cluster {}: {what}",
            headship.cluster_arn.identifier
        ))),
    }
}

/// Refuses to change of a cluster's instance what its cluster has.
pub(super) fn refuse_changes(
    request: &DatabasesRequest<'_>,
    instance: &Instance,
) -> Result<(), DatabasesError> {
    let members = request.members();
    let names = OF_CLUSTER
        .iter()
        .map(|(name, _)| *name)
        .chain(["DBPortNumber"]);
    for name in names {
        if request.text(name).is_some() || members.structure(name).is_some() {
            refuse(instance, &format!("{name} is changed by ModifyDBCluster"))?;
        }
    }
    Ok(())
}
