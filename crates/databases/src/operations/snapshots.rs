//! Manual DB snapshots: to make, describe and delete them. Copies, shares and exports of them, and
//! automated ones, aren't built.

use aws::query::Reply;
use types::{ConfigurationEdit, ConfigurationView};

use super::common;
use crate::arn::{InstanceArn, SnapshotArn};
use crate::catalogue::{self, Row};
use crate::engine::POSTGRES;
use crate::error::{DatabasesError, Refusal};
use crate::events::{self, Category, Telling};
use crate::input::names;
use crate::limits::MAX_SNAPSHOTS;
use crate::model::{Instance, Origin, Snapshot, SnapshotState, Tags};
use crate::request::{DatabasesRequest, Filters, Paging, shown};
use crate::service::Service;
use crate::status::Status;
use crate::{ids, keys, shapes, tags};

/// `CreateDBSnapshot`.
pub(crate) async fn create(
    service: &Service,
    request: &DatabasesRequest<'_>,
) -> Result<Reply, DatabasesError> {
    let name = request.required("DBSnapshotIdentifier")?;
    let given = tags::read(&request.members())?;
    let made = service.change(|view: &dyn ConfigurationView| {
        let (_, instance) = common::named(view, request)?;
        if instance.source.is_some() {
            return Err(DatabasesError::not_built("A snapshot of a read replica"));
        }
        common::demand(service, view, &instance, &[Status::Available])?;
        let mut snapshot = new(service, view, request, &instance, name)?;
        tags::add(&mut snapshot.tags, &given)?;
        let mut edits = vec![made(&snapshot)];
        let text = "Creating manual snapshot";
        let told = Telling::of_snapshot(&snapshot, Category::Creation, text);
        let backup = Telling::of_instance(&instance, Category::Backup, "Backing up DB instance");
        edits.extend(events::edits(view, service.now(), vec![told, backup]));
        Ok((edits, snapshot))
    });
    let snapshot = made.await?;
    service.look_at(&snapshot.resource_id);
    reply(request, &snapshot)
}

/// A snapshot that is to be taken of an instance, if its name is free.
pub(super) fn new(
    service: &Service,
    view: &dyn ConfigurationView,
    request: &DatabasesRequest<'_>,
    instance: &Instance,
    name: &str,
) -> Result<Snapshot, DatabasesError> {
    if instance.headship.is_some() {
        let text = "The specified instance is a member of a cluster and a snapshot cannot be \
                    created directly. Please use the CreateDBClusterSnapshot API instead.";
        return Err(DatabasesError::value(text));
    }
    let name = names::long("DBSnapshotIdentifier", name)?;
    let arn = request.snapshot_arn(&name);
    if view.get(&keys::snapshot(&arn)).is_some() {
        let text = format!(
            "Cannot create the snapshot because a snapshot with the identifier {name} already exists."
        );
        return Err(DatabasesError::refused(
            Refusal::DbSnapshotAlreadyExists,
            text,
        ));
    }
    if catalogue::snapshots_of(view, request.account())?.len() >= MAX_SNAPSHOTS {
        let text = format!("Cannot create more than {MAX_SNAPSHOTS} manual snapshots");
        return Err(DatabasesError::refused(
            Refusal::SnapshotQuotaExceeded,
            text,
        ));
    }
    let tags = match instance.copy_tags_to_snapshot {
        true => instance.tags.clone(),
        false => Tags::new(),
    };
    Ok(Snapshot {
        id: ids::snapshot(service.environment()),
        arn,
        resource_id: instance.resource_id.clone(),
        instance: instance.arn.identifier.clone(),
        instance_created: instance.created,
        asked: service.now(),
        taken: None,
        state: SnapshotState::Creating,
        failure: None,
        bytes: 0,
        engine_version: instance.engine_version.clone(),
        class: instance.class.clone(),
        allocated_storage: instance.allocated_storage,
        storage_type: instance.storage_type,
        zone: instance.zone,
        port: instance.port,
        master_username: instance.master.username.clone(),
        database: instance.database.clone(),
        option_group: instance.option_group.clone(),
        parameter_group: instance.parameter_group.clone(),
        tags,
    })
}

/// The edit that makes a snapshot's row.
pub(super) fn made(snapshot: &Snapshot) -> ConfigurationEdit {
    catalogue::create(keys::snapshot(&snapshot.arn), snapshot)
}

/// The snapshot that a request names by `DBSnapshotIdentifier`, or by its ARN.
pub(super) fn named(
    view: &dyn ConfigurationView,
    request: &DatabasesRequest<'_>,
) -> Result<Row<Snapshot>, DatabasesError> {
    let name = request.required("DBSnapshotIdentifier")?;
    let arn = match name.parse::<SnapshotArn>() {
        Ok(arn) => Some(arn),
        Err(_) => names::long("DBSnapshotIdentifier", name)
            .ok()
            .map(|name| request.snapshot_arn(&name)),
    };
    let own = arn.filter(|arn| arn.account == request.account() && arn.region == request.region());
    let found = match own {
        Some(arn) => catalogue::snapshot(view, &arn)?,
        None => None,
    };
    found.ok_or_else(|| {
        let text = format!("DBSnapshot not found: {}", shown(name));
        DatabasesError::refused(Refusal::DbSnapshotNotFound, text)
    })
}

fn reply(request: &DatabasesRequest<'_>, snapshot: &Snapshot) -> Result<Reply, DatabasesError> {
    let mut reply = request.reply();
    let writer = reply.writer();
    writer.open("DBSnapshot");
    shapes::snapshot(writer, snapshot);
    writer.close();
    Ok(reply)
}

/// `DescribeDBSnapshots`: all, those of an instance, one by its name, or those that pass filters.
pub(crate) async fn describe(
    service: &Service,
    request: &DatabasesRequest<'_>,
) -> Result<Reply, DatabasesError> {
    let known = [
        "db-instance-id",
        "db-snapshot-id",
        "dbi-resource-id",
        "engine",
        "snapshot-type",
    ];
    let filters = Filters::of(request, &known)?;
    let paging = Paging::of(request)?;
    for name in ["IncludeShared", "IncludePublic"] {
        request.flag(name)?;
    }
    let is_manual = match request.text("SnapshotType") {
        None | Some("manual") => true,
        // There are none of those.
        Some("automated" | "shared" | "public" | "awsbackup") => false,
        Some(other) => {
            let text = format!("Invalid snapshotType: {}", shown(other));
            return Err(DatabasesError::value(text));
        }
    };
    let view = service.view();
    let mut found = match request.text("DBSnapshotIdentifier") {
        Some(_) => vec![named(&*view, request)?],
        None => catalogue::snapshots_of(&*view, request.account())?,
    };
    let instance = request.text("DBInstanceIdentifier").map(|text| {
        let arn = text.parse::<InstanceArn>();
        arn.map_or_else(|_| text.to_ascii_lowercase(), |arn| arn.identifier)
    });
    let resource = request.text("DbiResourceId");
    found.retain(|(_, snapshot)| {
        let arn = snapshot.arn.to_string();
        is_manual
            && instance
                .as_ref()
                .is_none_or(|name| snapshot.instance == *name)
            && resource.is_none_or(|id| snapshot.resource_id.0 == id)
            && filters.pass(&[
                ("db-instance-id", &snapshot.instance),
                ("db-snapshot-id", &snapshot.arn.identifier),
                ("db-snapshot-id", &arn),
                ("dbi-resource-id", &snapshot.resource_id.0),
                ("engine", POSTGRES),
                ("snapshot-type", "manual"),
            ])
    });
    let keyed = found
        .into_iter()
        .map(|(_, row)| (row.arn.identifier.clone(), row));
    let mut reply = request.reply();
    let list = ("DBSnapshots", "DBSnapshot");
    paging.write(reply.writer(), list, keyed.collect(), |writer, snapshot| {
        shapes::snapshot(writer, &snapshot);
    });
    Ok(reply)
}

/// `DeleteDBSnapshot`. What an instance is being restored from stays.
pub(crate) async fn delete(
    service: &Service,
    request: &DatabasesRequest<'_>,
) -> Result<Reply, DatabasesError> {
    let made = service.change(|view: &dyn ConfigurationView| {
        let (revision, mut snapshot) = named(view, request)?;
        let name = snapshot.arn.identifier.clone();
        let refuse = |text: String| {
            Err(DatabasesError::refused(
                Refusal::InvalidDbSnapshotState,
                text,
            ))
        };
        if ![SnapshotState::Available, SnapshotState::Failed].contains(&snapshot.state) {
            return refuse(format!("Snapshot {name} is not in available state."));
        }
        let instances = catalogue::instances_of(view, request.account())?;
        let uses = |instance: &Instance| {
            let is_made = instance.was_available() || instance.failure.is_some();
            !is_made && instance.origin == Origin::Snapshot(snapshot.id.clone())
        };
        if let Some((_, user)) = instances.iter().find(|(_, instance)| uses(instance)) {
            let user = &user.arn.identifier;
            return refuse(format!(
                "Snapshot {name} is in use: {user} is restored from it."
            ));
        }
        snapshot.state = SnapshotState::Deleting;
        let edits = vec![catalogue::replace(
            keys::snapshot(&snapshot.arn),
            revision,
            &snapshot,
        )];
        Ok((edits, snapshot))
    });
    let snapshot = made.await?;
    service.look_at(&snapshot.resource_id);
    reply(request, &snapshot)
}
