//! `RestoreDBInstanceToPointInTime`: a new instance as another was at a moment, from its automated
//! backups.

use aws::query::Reply;
use types::{ConfigurationView, Timestamp};

use super::automated_backups;
use super::common::{self, Inherited};
use super::{events, instances};
use crate::catalogue;
use crate::engine::Engine;
use crate::error::{DatabasesError, Refusal};
use crate::model::{Instance, Master, Origin, PointInTime, SnapshotId, SnapshotState, Tags};
use crate::request::DatabasesRequest;
use crate::service::Service;
use crate::shapes;

/// The ways to name what is restored.
const SOURCES: [&str; 3] = [
    "SourceDBInstanceIdentifier",
    "SourceDbiResourceId",
    "SourceDBInstanceAutomatedBackupsArn",
];

/// `RestoreDBInstanceToPointInTime`: a new instance with another's data, users and passwords as
/// they were then.
pub(crate) async fn restore(
    service: &Service,
    request: &DatabasesRequest<'_>,
) -> Result<Reply, DatabasesError> {
    request.required("TargetDBInstanceIdentifier")?;
    common::refuse_unbuilt_besides(request, &["MultiAZ"])?;
    // Of PostgreSQL databases keep their names.
    request.refuse_unbuilt(&["DBName", "AllocatedStorage", "UseDefaultProcessorFeatures"])?;
    if let Some(name) = request.text("Engine") {
        instances::check_engine(name)?;
    }
    let moment = moment(request)?;
    let made = service.change(|view: &dyn ConfigurationView| {
        let source = source(view, request)?;
        let (snapshot, moment) = base(service, view, &source, moment)?;
        let mut instance = new(service, request, &source, snapshot, moment)?;
        let edits = common::create(service, view, &mut instance)?;
        Ok((edits, instance))
    });
    let instance = made.await?;
    service.look_at(&instance.resource_id);
    common::reply(service, request, &instance)
}

/// The moment that a request asks for; `None`: the latest.
fn moment(request: &DatabasesRequest<'_>) -> Result<Option<Timestamp>, DatabasesError> {
    let latest = request.flag("UseLatestRestorableTime")?.unwrap_or(false);
    let moment = events::time(request, "RestoreTime")?;
    match (moment, latest) {
        (Some(_), true) => Err(DatabasesError::combination(
            "RestoreTime can not be specified when UseLatestRestorableTime is true.",
        )),
        (None, false) => Err(DatabasesError::combination(
            "Either RestoreTime or UseLatestRestorableTime must be specified.",
        )),
        (moment, _) => Ok(moment),
    }
}

/// The instance whose backups are restored, as it is or was.
fn source(
    view: &dyn ConfigurationView,
    request: &DatabasesRequest<'_>,
) -> Result<Instance, DatabasesError> {
    let given = SOURCES.iter().filter(|name| request.text(name).is_some());
    if given.count() != 1 {
        let text = "Exactly one of SourceDBInstanceIdentifier, SourceDbiResourceId and \
                    SourceDBInstanceAutomatedBackupsArn must be specified.";
        return Err(DatabasesError::combination(text));
    }
    if let Some(name) = request.text(SOURCES[0]) {
        return Ok(common::named_by(view, request, SOURCES[0], name)?.1);
    }
    automated_backups::named(view, request, (SOURCES[1], SOURCES[2]))
}

/// The snapshot that the log is replayed on, and the moment up to which it is.
fn base(
    service: &Service,
    view: &dyn ConfigurationView,
    source: &Instance,
    moment: Option<Timestamp>,
) -> Result<(SnapshotId, Timestamp), DatabasesError> {
    let name = &source.arn.identifier;
    let refuse = |refusal, text| Err(DatabasesError::refused(refusal, text));
    if source.headship.is_some() {
        let part = format!("The restore of {name}, which is a DB cluster's");
        return Err(DatabasesError::not_built(&part));
    }
    if source.backup_retention == 0 || source.source.is_some() {
        return refuse(
            Refusal::PointInTimeRestoreNotEnabled,
            format!("Point in time restore is not enabled for DB instance {name}."),
        );
    }
    let archived = service.config.servers.archived(&source.resource_id.0);
    let mut window = archived.and_then(|it| Some((it.latest?, it.bases)));
    if let Some((_, bases)) = &mut window {
        // One may be about to be removed since that was looked at.
        let rows = catalogue::snapshots_of(view, source.arn.account)?;
        let is_whole = |id: &SnapshotId| {
            let mut rows = rows.iter().map(|(_, row)| row);
            rows.any(|row| row.id == *id && row.state == SnapshotState::Available)
        };
        bases.retain(|(id, _)| is_whole(id));
    }
    let Some((latest, bases)) = window.filter(|(_, bases)| !bases.is_empty()) else {
        return refuse(
            Refusal::InvalidRestore,
            format!("DB instance {name} has no restorable time yet."),
        );
    };
    let moment = moment.unwrap_or(latest);
    let before = bases.iter().filter(|(_, taken)| *taken <= moment);
    let last = before.max_by_key(|(_, taken)| *taken);
    match last.filter(|_| moment <= latest) {
        Some((snapshot, _)) => Ok((snapshot.clone(), moment)),
        None => {
            let earliest = bases.iter().map(|(_, taken)| *taken).min();
            let text = format!(
                "The specified time {} is not within the restore window of {name}: {} to {}.",
                shapes::time(moment),
                shapes::time(earliest.unwrap_or(latest)),
                shapes::time(latest)
            );
            refuse(Refusal::InvalidRestore, text)
        }
    }
}

fn new(
    service: &Service,
    request: &DatabasesRequest<'_>,
    source: &Instance,
    snapshot: SnapshotId,
    moment: Timestamp,
) -> Result<Instance, DatabasesError> {
    let engine = common::engine(service)?;
    let major = Engine::new(&source.engine_version).map(|engine| engine.major().to_owned());
    if major.as_deref() != Ok(engine.major()) {
        return Err(DatabasesError::combination(format!(
            "The backups are of PostgreSQL {}, and installed here is {}",
            source.engine_version,
            engine.version()
        )));
    }
    common::new_instance(
        service,
        request,
        Inherited {
            origin: Origin::PointInTime(PointInTime {
                source: source.resource_id.clone(),
                snapshot,
                moment,
            }),
            engine_version: engine.version().to_owned(),
            class: Some(source.class.clone()),
            allocated_storage: source.allocated_storage,
            storage_type: source.storage_type,
            port: source.port,
            master: Master {
                username: source.master.username.clone(),
                verifier: None,
                asked: 0,
                applied: 0,
            },
            database: source.database.clone(),
            backup_retention: source.backup_retention,
            parameter_group: None,
            tags: Tags::new(),
        },
    )
}
