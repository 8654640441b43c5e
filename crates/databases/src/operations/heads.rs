//! A cluster's instance, its head: to make it, and what it is refused beside what every instance
//! is. A cluster has one; a second is refused by name.

use types::ConfigurationView;

use super::common::{self, Inherited};
use super::{clusters, instances};
use crate::catalogue::{self, Row};
use crate::error::{DatabasesError, Refusal};
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

/// Makes the head of the cluster that a request names.
pub(super) async fn create(
    service: &Service,
    request: &DatabasesRequest<'_>,
) -> Result<Instance, DatabasesError> {
    request.required("DBInstanceIdentifier")?;
    request.required("DBInstanceClass")?;
    clusters::check_engine(request.required("Engine")?)?;
    common::refuse_unbuilt_besides(request, &["DBClusterIdentifier", "PromotionTier"])?;
    refuse_of_cluster(request)?;
    let tier = request.number("PromotionTier", (0, MAX_TIER))?;
    let tier = tier.and_then(|tier| u8::try_from(tier).ok()).unwrap_or(1);
    let engine = common::engine(service)?;
    let version = instances::check_version(request, engine)?;
    let made = service.change(|view: &dyn ConfigurationView| {
        let (revision, mut cluster) = clusters::named(view, request)?;
        if cluster.head.is_some() {
            return Err(DatabasesError::not_built(
                "A second instance of a DB cluster",
            ));
        }
        let (origin, master) = origin(service, &mut cluster)?;
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
        });
        cluster.head = Some(made.resource_id.clone());
        let mut edits = common::create(service, view, &mut made)?;
        edits.push(catalogue::replace_cluster(revision, &cluster));
        Ok((edits, made))
    });
    made.await
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

/// Takes a head that is to be deleted out of the row of its global cluster, if nobody needs it.
pub(super) async fn part(service: &Service, instance: &Instance) -> Result<(), DatabasesError> {
    let Some(headship) = &instance.headship else {
        return Ok(());
    };
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
            return state(
                "Cannot delete the last instance of the primary cluster while the global cluster \
                 has other clusters",
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

/// Refuses of a head what is its cluster's to do.
pub(super) fn refuse(instance: &Instance, what: &str) -> Result<(), DatabasesError> {
    match &instance.headship {
        None => Ok(()),
        Some(headship) => Err(DatabasesError::combination(format!(
            "The specified DB instance is a member of the DB cluster {}: {what}",
            headship.cluster_arn.identifier
        ))),
    }
}

/// Refuses to change of a head what its cluster has.
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
