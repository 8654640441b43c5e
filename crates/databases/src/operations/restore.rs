//! `RestoreDBInstanceFromDBSnapshot`.

use aws::query::Reply;
use types::ConfigurationView;

use super::common::{self, Inherited};
use super::{instances, snapshots};
use crate::engine::Engine;
use crate::error::{DatabasesError, Refusal};
use crate::model::{Instance, Master, Origin, Snapshot, SnapshotState, Tags};
use crate::request::DatabasesRequest;
use crate::service::Service;

/// `RestoreDBInstanceFromDBSnapshot`: a new instance with a snapshot's data, users and passwords.
pub(crate) async fn restore(
    service: &Service,
    request: &DatabasesRequest<'_>,
) -> Result<Reply, DatabasesError> {
    request.required("DBInstanceIdentifier")?;
    request.required("DBSnapshotIdentifier")?;
    common::refuse_unbuilt_besides(request, &["MultiAZ"])?;
    // Of PostgreSQL a snapshot's databases keep their names.
    request.refuse_unbuilt(&["DBName", "AllocatedStorage"])?;
    if let Some(name) = request.text("Engine") {
        instances::check_engine(name)?;
    }
    let made = service.change(|view: &dyn ConfigurationView| {
        let (_, snapshot) = snapshots::named(view, request)?;
        let mut instance = read(service, request, &snapshot)?;
        let edits = common::create(service, view, &mut instance)?;
        Ok((edits, instance))
    });
    let instance = made.await?;
    service.look_at(&instance.resource_id);
    common::reply(service, request, &instance)
}

fn read(
    service: &Service,
    request: &DatabasesRequest<'_>,
    snapshot: &Snapshot,
) -> Result<Instance, DatabasesError> {
    if snapshot.state != SnapshotState::Available {
        let text = format!(
            "Snapshot {} is not in available state.",
            snapshot.arn.identifier
        );
        return Err(DatabasesError::refused(
            Refusal::InvalidDbSnapshotState,
            text,
        ));
    }
    let engine = common::engine(service)?;
    let major = Engine::new(&snapshot.engine_version).map(|engine| engine.major().to_owned());
    if major.as_deref() != Ok(engine.major()) {
        return Err(DatabasesError::combination(format!(
            "The snapshot is of PostgreSQL {}, and installed here is {}",
            snapshot.engine_version,
            engine.version()
        )));
    }
    common::new_instance(
        service,
        request,
        Inherited {
            origin: Origin::Snapshot(snapshot.id.clone()),
            engine_version: engine.version().to_owned(),
            class: Some(snapshot.class.clone()),
            allocated_storage: snapshot.allocated_storage,
            storage_type: snapshot.storage_type,
            port: snapshot.port,
            master: Master {
                username: snapshot.master_username.clone(),
                verifier: None,
                asked: 0,
                applied: 0,
            },
            database: snapshot.database.clone(),
            backup_retention: 1,
            parameter_group: None,
            tags: Tags::new(),
        },
    )
}
