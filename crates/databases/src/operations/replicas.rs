//! Read replicas: to make and promote them. A source in another Region is asked there before
//! anything is made here, and told again if nothing was.

use aws::query::Reply;
use types::{ConfigurationExpected, ConfigurationView, Timestamp};

use super::common::{self, Inherited};
use crate::arn::{Arn, InstanceArn};
use crate::attach;
use crate::catalogue;
use crate::codec;
use crate::engine::{AURORA, Engine, POSTGRES};
use crate::error::{DatabasesError, Refusal};
use crate::input::{names, windows};
use crate::keys;
use crate::limits::MAX_RETENTION;
use crate::model::{Farewell, Instance, Master, Origin, Promotion, ResourceId, Source, Tags};
use crate::parameters;
use crate::request::DatabasesRequest;
use crate::service::Service;
use crate::source::{AttachRequest, SourceError, SourceFacts};
use crate::status::Status;

/// How long a source that took a replica is believed to be asked still, before it is told that
/// there is none: milliseconds.
const PATIENCE: u64 = 120_000;

/// The instance that a request wants to replicate: a name here, or an ARN anywhere.
fn source(request: &DatabasesRequest<'_>) -> Result<InstanceArn, DatabasesError> {
    request.refuse_unbuilt(&["SourceDBClusterIdentifier"])?;
    let text = request.required("SourceDBInstanceIdentifier")?;
    let missing = || common::no_instance(text);
    if !text.starts_with("arn:") {
        let name = names::instance("SourceDBInstanceIdentifier", text)?;
        return Ok(request.instance_arn(&name));
    }
    let arn: Arn = text.parse().map_err(|_| {
        let text = "The parameter SourceDBInstanceIdentifier is not a valid ARN of a DB instance.";
        DatabasesError::value(text)
    })?;
    // What is another account's is not there.
    let own = Some(arn).filter(|arn| arn.account == request.account());
    own.and_then(|arn| arn.try_into().ok()).ok_or_else(missing)
}

/// `CreateDBInstanceReadReplica`. `SourceRegion` and `PreSignedUrl`, by which other partitions find
/// the source, change nothing: its ARN names its Region.
pub(crate) async fn create(
    service: &Service,
    request: &DatabasesRequest<'_>,
) -> Result<Reply, DatabasesError> {
    let name = request.required("DBInstanceIdentifier")?;
    let name = names::instance("DBInstanceIdentifier", name)?;
    common::refuse_unbuilt(request)?;
    request.refuse_unbuilt(&["AllocatedStorage"])?;
    let asked = AttachRequest {
        source: source(request)?,
        replica: request.instance_arn(&name),
        replica_id: crate::ids::resource(service.environment()),
    };
    common::check_name(&*service.view(), &asked.replica)?;
    let instance = match asked.source.region == request.region() {
        true => beside(service, request, &asked).await?,
        false => across(service, request, &asked).await?,
    };
    service.look_at(&instance.resource_id);
    common::reply(service, request, &instance)
}

/// Makes a replica of an instance of this Region: both rows in one change.
async fn beside(
    service: &Service,
    request: &DatabasesRequest<'_>,
    asked: &AttachRequest,
) -> Result<Instance, DatabasesError> {
    let made = service.change(|view: &dyn ConfigurationView| {
        let (revision, mut source) = attach::found(view, asked).map_err(attach::refusal_error)?;
        common::demand(
            service,
            view,
            &source,
            &[Status::Available, Status::BackingUp],
        )?;
        let facts = attach::take(view, &mut source, asked).map_err(attach::refusal_error)?;
        let group = Some(source.parameter_group.clone());
        let mut replica = replica(service, request, asked, facts, group)?;
        let mut edits = common::create(service, view, &mut replica)?;
        edits.push(catalogue::replace_instance(revision, &source));
        Ok((edits, replica))
    });
    let replica = made.await?;
    if let Some(source) = &replica.source {
        service.look_at(&source.resource_id);
    }
    Ok(replica)
}

/// Makes a replica of an instance of another Region. Before that is asked, it is written down that
/// it will have to be told if no replica comes of it: this process may not live to tell it.
async fn across(
    service: &Service,
    request: &DatabasesRequest<'_>,
    asked: &AttachRequest,
) -> Result<Instance, DatabasesError> {
    let farewell = Farewell {
        source: asked.source.clone(),
        source_id: None,
        replica: asked.replica.clone(),
        replica_id: asked.replica_id.clone(),
        after: Timestamp(service.now().0.saturating_add(PATIENCE)),
    };
    let key = keys::farewell(&asked.replica_id);
    let written = service.change(|_: &dyn ConfigurationView| {
        let edits = vec![catalogue::create(key.clone(), &farewell)];
        Ok((edits, ()))
    });
    written.await?;
    let facts = match service.config.sources.attach(asked).await {
        // What it says of another replica is no answer.
        Ok(facts) if facts.slot != attach::slot(&asked.replica_id) => {
            return Err(unanswered(service, asked, SourceError::Unreachable).await);
        }
        Ok(facts) => facts,
        Err(error) => return Err(unanswered(service, asked, error).await),
    };
    let made = service.change(|view: &dyn ConfigurationView| {
        let mut replica = replica(service, request, asked, facts.clone(), None)?;
        let mut edits = common::create(service, view, &mut replica)?;
        edits.push(catalogue::edit(
            key.clone(),
            ConfigurationExpected::Any,
            None,
        ));
        Ok((edits, replica))
    });
    match made.await {
        Ok(replica) => Ok(replica),
        Err(error) => {
            // The source has taken a replica that isn't: it is told now.
            farewell_now(service, &asked.replica_id).await?;
            Err(error)
        }
    }
}

/// What is said if a source's Region doesn't take the replica.
async fn unanswered(
    service: &Service,
    asked: &AttachRequest,
    error: SourceError,
) -> DatabasesError {
    match error {
        SourceError::Refused(refusal) => {
            let forgotten = service.farewell_told(&asked.replica_id).await;
            if let Err(error) = forgotten {
                tracing::warn!(%error, "a source will be told of a replica that it never had");
            }
            attach::refusal_error(refusal)
        }
        SourceError::NoSuchRegion(_) => {
            let forgotten = service.farewell_told(&asked.replica_id).await;
            if let Err(error) = forgotten {
                tracing::warn!(%error, "a Region that isn't there is to be told of a replica");
            }
            DatabasesError::refused(Refusal::DbInstanceNotFound, error.to_string())
        }
        SourceError::Unreachable => DatabasesError::Unreachable(error.to_string()),
    }
}

/// Has a source told at once of a replica that there isn't.
async fn farewell_now(service: &Service, replica: &ResourceId) -> Result<(), DatabasesError> {
    let key = keys::farewell(replica);
    let changed = service.change(|view: &dyn ConfigurationView| {
        let Some((revision, bytes)) = view.get(&key) else {
            return Ok((Vec::new(), ()));
        };
        let mut farewell: Farewell = codec::decode(&bytes)?;
        farewell.after = service.now();
        let edits = vec![catalogue::replace(key.clone(), revision, &farewell)];
        Ok((edits, ()))
    });
    changed.await
}

/// The replica that a request asks for.
fn replica(
    service: &Service,
    request: &DatabasesRequest<'_>,
    asked: &AttachRequest,
    facts: SourceFacts,
    parameter_group: Option<String>,
) -> Result<Instance, DatabasesError> {
    let engine = common::engine(service)?;
    let major = |version: &str| Engine::new(version).map(|engine| engine.major().to_owned());
    if major(&facts.engine_version).as_deref() != Ok(engine.major()) {
        return Err(DatabasesError::combination(format!(
            "The source runs PostgreSQL {}, and installed here is {}: a replica has to be of the \
             same major version",
            facts.engine_version,
            engine.version()
        )));
    }
    let inherited = Inherited {
        origin: Origin::Replica,
        engine_version: engine.version().to_owned(),
        class: Some(facts.class),
        allocated_storage: facts.allocated_storage,
        storage_type: facts.storage_type,
        port: facts.port,
        master: Master {
            username: facts.master_username,
            verifier: None,
            asked: 0,
            applied: 0,
        },
        database: facts.database,
        backup_retention: 0,
        parameter_group,
        tags: Tags::new(),
    };
    let mut made = common::new_instance(service, request, inherited)?;
    made.resource_id = asked.replica_id.clone();
    made.source = Some(Source {
        arn: asked.source.clone(),
        resource_id: facts.resource_id,
        slot: facts.slot,
        floors: parameters::real_floors(facts.floors),
    });
    Ok(made)
}

/// `PromoteReadReplica`: it needs nobody's leave, least of all its source's, which may be gone.
/// What the source committed and didn't send stays there.
pub(crate) async fn promote(
    service: &Service,
    request: &DatabasesRequest<'_>,
) -> Result<Reply, DatabasesError> {
    request.refuse_unbuilt(&["TagSpecifications"])?;
    let retention = request.number("BackupRetentionPeriod", (0, MAX_RETENTION))?;
    let retention = retention.and_then(|days| u8::try_from(days).ok());
    let made = service.change(|view: &dyn ConfigurationView| {
        let (revision, mut instance) = common::named(view, request)?;
        if instance.source.is_none() {
            return Err(DatabasesError::state("DB Instance is not a read replica."));
        }
        common::demand(service, view, &instance, &[Status::Available])?;
        let held = (
            instance.backup_window.clone(),
            instance.maintenance_window.clone(),
        );
        (instance.backup_window, instance.maintenance_window) = windows::read(request, held)?;
        instance.backup_retention = retention.unwrap_or(instance.backup_retention.max(1));
        instance.promotion = Some(Promotion {
            asked: service.now(),
        });
        let edits = vec![catalogue::replace_instance(revision, &instance)];
        Ok((edits, instance))
    });
    let instance = made.await?;
    service.look_at(&instance.resource_id);
    common::reply(service, request, &instance)
}

/// `SwitchoverReadReplica`: RDS has it for Oracle's standbys alone ("Performing an Oracle Data
/// Guard switchover" in its User Guide), and no engine here is that. Nothing is changed.
pub(crate) async fn switch_over(
    service: &Service,
    request: &DatabasesRequest<'_>,
) -> Result<Reply, DatabasesError> {
    let view = service.view();
    let (_, instance) = common::named(&*view, request)?;
    let engine = match instance.headship {
        Some(_) => AURORA,
        None => POSTGRES,
    };
    Err(DatabasesError::state(format!(
        "DB instance {} runs the engine {engine}: only a read replica of Oracle can be switched \
         over. Promote it by PromoteReadReplica instead.",
        instance.arn.identifier
    )))
}
