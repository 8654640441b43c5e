//! DB instances: to make, describe and delete them.

use aws::query::Reply;
use types::ConfigurationView;

use super::common::{self, Inherited};
use super::{heads, snapshots};
use crate::catalogue;
use crate::engine::{AURORA, Engine, OTHER_ENGINES, POSTGRES};
use crate::error::{DatabasesError, Refusal};
use crate::events;
use crate::input::{names, password};
use crate::limits::STORAGE;
use crate::model::{Deletion, Instance, Master, Origin, StorageType, Tags};
use crate::request::{DatabasesRequest, Filters, Paging, shown};
use crate::service::Service;
use crate::shapes;
use crate::status::Status;

/// PostgreSQL's port.
const DEFAULT_PORT: u16 = 5432;

/// `CreateDBInstance`.
pub(crate) async fn create(
    service: &Service,
    request: &DatabasesRequest<'_>,
) -> Result<Reply, DatabasesError> {
    if request.text("DBClusterIdentifier").is_some() {
        let made = heads::create(service, request).await?;
        service.look_at(&made.resource_id);
        return common::reply(service, request, &made);
    }
    let wanted = read(service, request)?;
    let made = service.change(|view: &dyn ConfigurationView| {
        let mut made = wanted.clone();
        let edits = common::create(service, view, &mut made)?;
        Ok((edits, made))
    });
    let made = made.await?;
    service.look_at(&made.resource_id);
    common::reply(service, request, &made)
}

/// A parameter that RDS demands of an engine such as this.
fn provided<'a>(
    request: &DatabasesRequest<'a>,
    name: &'static str,
) -> Result<&'a str, DatabasesError> {
    request.text(name).ok_or_else(|| {
        let text = format!("The parameter {name} must be provided and must not be blank.");
        DatabasesError::value(text)
    })
}

/// The instance that a request asks for.
fn read(service: &Service, request: &DatabasesRequest<'_>) -> Result<Instance, DatabasesError> {
    request.required("DBInstanceIdentifier")?;
    request.required("DBInstanceClass")?;
    check_engine(request.required("Engine")?)?;
    common::refuse_unbuilt_besides(request, &["MultiAZ"])?;
    let engine = common::engine(service)?;
    let username = names::master(provided(request, "MasterUsername")?)?;
    let given = provided(request, "MasterUserPassword")?;
    let verifier = password::verifier(given, service.environment())?;
    let database = request.text("DBName").map(names::database).transpose()?;
    let storage = provided(request, "AllocatedStorage")?;
    let kind = common::storage_type(request)?.unwrap_or(StorageType::Gp2);
    let (least, most) = STORAGE;
    let size = storage
        .parse()
        .ok()
        .filter(|size| (least..=most).contains(size));
    let size = size.ok_or_else(|| {
        let storage = shown(storage);
        DatabasesError::value(format!(
            "Invalid storage size for engine name {POSTGRES} and storage type {kind}: {storage}"
        ))
    })?;
    common::new_instance(
        service,
        request,
        Inherited {
            origin: Origin::New,
            engine_version: check_version(request, engine)?,
            class: None,
            allocated_storage: size,
            storage_type: kind,
            port: DEFAULT_PORT,
            master: Master {
                username,
                verifier: Some(verifier),
                asked: 0,
                applied: 0,
            },
            database: database.flatten(),
            backup_retention: 1,
            parameter_group: None,
            tags: Tags::new(),
        },
    )
}

/// Is it the engine that there is?
pub(super) fn check_engine(name: &str) -> Result<(), DatabasesError> {
    if name == POSTGRES {
        return Ok(());
    }
    if name == AURORA {
        let text = "The parameter DBClusterIdentifier must be provided and must not be blank.";
        return Err(DatabasesError::value(text));
    }
    if OTHER_ENGINES.contains(&name) {
        return Err(DatabasesError::not_built(&format!("The engine {name}")));
    }
    let text = format!("Invalid DB engine: {}", shown(name));
    Err(DatabasesError::value(text))
}

/// The version that a request asks for, if it is the installed one.
pub(super) fn check_version(
    request: &DatabasesRequest<'_>,
    engine: &Engine,
) -> Result<String, DatabasesError> {
    match request
        .text("EngineVersion")
        .filter(|asked| !engine.is(asked))
    {
        None => Ok(engine.version().to_owned()),
        Some(asked) => Err(DatabasesError::combination(format!(
            "Cannot find version {} for {POSTGRES}: installed here is {}",
            shown(asked),
            engine.version()
        ))),
    }
}

/// `DescribeDBInstances`: all, or one by its name, or those that pass filters.
pub(crate) async fn describe(
    service: &Service,
    request: &DatabasesRequest<'_>,
) -> Result<Reply, DatabasesError> {
    let known = [
        "db-instance-id",
        "dbi-resource-id",
        "engine",
        "db-cluster-id",
        "domain",
    ];
    let filters = Filters::of(request, &known)?;
    let paging = Paging::of(request)?;
    let view = service.view();
    let mut found = match request.text("DBInstanceIdentifier") {
        Some(_) => vec![common::named(&*view, request)?],
        None => catalogue::instances_of(&*view, request.account())?,
    };
    found.retain(|(_, instance)| {
        let arn = instance.arn.to_string();
        let cluster = instance.headship.as_ref().map(|it| &it.cluster_arn);
        filters.pass(&[
            ("db-instance-id", &instance.arn.identifier),
            ("db-instance-id", &arn),
            ("dbi-resource-id", &instance.resource_id.0),
            ("engine", shapes::engine(instance)),
            ("db-cluster-id", cluster.map_or("", |arn| &arn.identifier)),
            (
                "db-cluster-id",
                &cluster.map(ToString::to_string).unwrap_or_default(),
            ),
        ])
    });
    let snapshots = catalogue::snapshots_of(&*view, request.account())?;
    let keyed = found
        .into_iter()
        .map(|(_, row)| (row.arn.identifier.clone(), row));
    let mut outcome = Ok(());
    let mut reply = request.reply();
    let list = ("DBInstances", "DBInstance");
    paging.write(reply.writer(), list, keyed.collect(), |writer, instance| {
        let written = common::show(service, &*view, request, writer, &instance, &snapshots);
        if let Err(error) = written {
            outcome = Err(error);
        }
    });
    outcome.map(|()| reply)
}

/// `DeleteDBInstance`: with a last snapshot, or by leave without one. Replicas in this Region stand
/// alone once it is gone, as at RDS; those elsewhere have a source no more.
pub(crate) async fn delete(
    service: &Service,
    request: &DatabasesRequest<'_>,
) -> Result<Reply, DatabasesError> {
    let skips = request.flag("SkipFinalSnapshot")?.unwrap_or(false);
    let keeps_backups = request.flag("DeleteAutomatedBackups")? == Some(false);
    let last = request.text("FinalDBSnapshotIdentifier");
    if skips && last.is_some() {
        let text = "FinalDBSnapshotIdentifier can not be specified when SkipFinalSnapshot is \
                    specified.";
        return Err(DatabasesError::combination(text));
    }
    let (_, named) = common::named(&*service.view(), request)?;
    check_deletable(&named, skips, last)?;
    // No reader comes to a head meanwhile: a deletion that is refused once the others know the head
    // no more would leave it with an epoch that isn't its own.
    let check = || heads::refuse_to_leave_readers(&*service.view(), &named);
    let _alone = match &named.headship {
        Some(_) => {
            // The others know it no more before it is deleted: nobody has it take over meanwhile.
            let part = |()| heads::part(service, &named);
            let (alone, ()) = service.alone(check, part).await?;
            Some(alone)
        }
        None => {
            check()?;
            None
        }
    };
    let made = service.change(|view: &dyn ConfigurationView| {
        let (revision, mut instance) = common::named(view, request)?;
        if instance.resource_id != named.resource_id {
            return Err(common::no_instance(&named.arn.identifier));
        }
        check_deletable(&instance, skips, last)?;
        heads::refuse_to_leave_readers(view, &instance)?;
        let mut edits = Vec::new();
        let mut final_snapshot = None;
        if let Some(name) = last {
            let snapshot = snapshots::new(service, view, request, &instance, name)?;
            final_snapshot = Some(snapshot.id.clone());
            edits.push(snapshots::made(&snapshot));
        }
        let asked = service.now();
        instance.deletion = Some(Deletion {
            asked,
            final_snapshot,
            keeps_backups,
        });
        edits.push(catalogue::replace_instance(revision, &instance));
        edits.extend(events::edits(view, asked, Vec::new()));
        Ok((edits, instance))
    });
    let instance = made.await?;
    service.look_at(&instance.resource_id);
    common::reply(service, request, &instance)
}

fn check_deletable(
    instance: &Instance,
    skips: bool,
    last: Option<&str>,
) -> Result<(), DatabasesError> {
    let name = &instance.arn.identifier;
    if instance.deletion.is_some() {
        let text = format!("Instance {name} is already being deleted.");
        return Err(DatabasesError::state(text));
    }
    if instance.deletion_protection {
        let text = "Cannot delete protected DB Instance, please disable deletion protection and \
                    try again.";
        return Err(DatabasesError::combination(text));
    }
    if last.is_some() {
        heads::refuse(instance, "a final snapshot of it alone can't be taken")?;
    }
    if instance.source.is_some() && last.is_some() {
        let text = "FinalDBSnapshotIdentifier can not be specified when deleting a replica \
                    instance";
        return Err(DatabasesError::combination(text));
    }
    // A replica's data are its source's: RDS asks for no snapshot of it.
    let is_own = instance.source.is_none() && instance.headship.is_none();
    if !skips && last.is_none() && is_own {
        let text = "FinalDBSnapshotIdentifier is required unless SkipFinalSnapshot is specified.";
        return Err(DatabasesError::combination(text));
    }
    // Of one that failed, what is on disk may be whole: if it isn't, the deletion is given up.
    if last.is_some() && !instance.was_available() {
        return Err(DatabasesError::refused(
            Refusal::InvalidDbInstanceState,
            format!("Instance {name} has no data that a final snapshot could be taken of."),
        ));
    }
    Ok(())
}

/// The states in which an instance takes changes.
pub(super) const CHANGEABLE: &[Status] = &[
    Status::Available,
    Status::StorageFull,
    Status::IncompatibleParameters,
];
