//! DB snapshots: to make manual ones, to describe all, to delete manual ones. Shares and exports of
//! them aren't built; copies are in `copy`, and what is taken by itself in `crate::backups`.

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
use crate::model::{Instance, Snapshot, SnapshotState, Tags};
use crate::request::{DatabasesRequest, Filters, Paging, shown};
use crate::service::Service;
use crate::status::Status;
use crate::{backups, ids, keys, shapes, tags};

/// What the names of snapshots begin with that were taken by themselves.
pub(crate) const AUTOMATED: &str = "rds:";

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
    reply(service, request, &snapshot)
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
    check_new(view, &arn)?;
    Ok(of_instance(service, instance, arn))
}

/// Is the name of a new manual snapshot free, and is there room for one more?
pub(super) fn check_new(
    view: &dyn ConfigurationView,
    arn: &SnapshotArn,
) -> Result<(), DatabasesError> {
    if view.get(&keys::snapshot(arn)).is_some() {
        let text = format!(
            "Cannot create the snapshot because a snapshot with the identifier {} already exists.",
            arn.identifier
        );
        return Err(DatabasesError::refused(
            Refusal::DbSnapshotAlreadyExists,
            text,
        ));
    }
    let all = catalogue::snapshots_of(view, arn.account)?;
    let manual = all.iter().filter(|(_, snapshot)| !snapshot.automated);
    if manual.count() >= MAX_SNAPSHOTS {
        let text = format!("Cannot create more than {MAX_SNAPSHOTS} manual snapshots");
        return Err(DatabasesError::refused(
            Refusal::SnapshotQuotaExceeded,
            text,
        ));
    }
    Ok(())
}

/// A manual snapshot that is to be taken of an instance.
pub(crate) fn of_instance(service: &Service, instance: &Instance, arn: SnapshotArn) -> Snapshot {
    let tags = match instance.copy_tags_to_snapshot {
        true => instance.tags.clone(),
        false => Tags::new(),
    };
    Snapshot {
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
        copy_of: None,
        automated: false,
    }
}

/// The edit that makes a snapshot's row.
pub(crate) fn made(snapshot: &Snapshot) -> ConfigurationEdit {
    catalogue::create(keys::snapshot(&snapshot.arn), snapshot)
}

/// The snapshot that a request names by `DBSnapshotIdentifier`, or by its ARN.
pub(super) fn named(
    view: &dyn ConfigurationView,
    request: &DatabasesRequest<'_>,
) -> Result<Row<Snapshot>, DatabasesError> {
    let name = request.required("DBSnapshotIdentifier")?;
    let own = arn_of(request, name);
    let own = own.filter(|arn| arn.account == request.account() && arn.region == request.region());
    let found = match own {
        Some(arn) => catalogue::snapshot(view, &arn)?,
        None => None,
    };
    found.ok_or_else(|| not_found(name))
}

/// What a snapshot is called there, if that is a name of one: its own, or its ARN. That of one
/// which was taken by itself begins with `rds:`.
pub(super) fn arn_of(request: &DatabasesRequest<'_>, name: &str) -> Option<SnapshotArn> {
    if let Ok(arn) = name.parse() {
        return Some(arn);
    }
    let (prefix, rest) = match name.strip_prefix(AUTOMATED) {
        Some(rest) => (AUTOMATED, rest),
        None => ("", name),
    };
    let rest = names::long("DBSnapshotIdentifier", rest).ok()?;
    Some(request.snapshot_arn(&format!("{prefix}{rest}")))
}

/// What is said if there is no such snapshot.
pub(super) fn not_found(name: &str) -> DatabasesError {
    let text = format!("DBSnapshot not found: {}", shown(name));
    DatabasesError::refused(Refusal::DbSnapshotNotFound, text)
}

/// The answer of an operation on one snapshot.
pub(super) fn reply(
    service: &Service,
    request: &DatabasesRequest<'_>,
    snapshot: &Snapshot,
) -> Result<Reply, DatabasesError> {
    let copied = service.config.servers.copied(&snapshot.id.0);
    let mut reply = request.reply();
    let writer = reply.writer();
    writer.open("DBSnapshot");
    shapes::snapshot(writer, snapshot, copied);
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
    let asked_kind = match request.text("SnapshotType") {
        // There are none of the others.
        kind @ (None | Some("manual" | "automated" | "shared" | "public" | "awsbackup")) => kind,
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
        asked_kind.is_none_or(|kind| kind == snapshot.kind())
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
                ("snapshot-type", snapshot.kind()),
            ])
    });
    let keyed = found
        .into_iter()
        .map(|(_, row)| (row.arn.identifier.clone(), row));
    let mut reply = request.reply();
    let list = ("DBSnapshots", "DBSnapshot");
    paging.write(reply.writer(), list, keyed.collect(), |writer, snapshot| {
        let copied = service.config.servers.copied(&snapshot.id.0);
        shapes::snapshot(writer, &snapshot, copied);
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
        if snapshot.automated {
            return refuse(format!("Snapshot {name} is not a manual snapshot."));
        }
        if ![SnapshotState::Available, SnapshotState::Failed].contains(&snapshot.state) {
            return refuse(format!("Snapshot {name} is not in available state."));
        }
        if backups::in_use(view, request.account())?.contains(&snapshot.id) {
            return refuse(format!(
                "Snapshot {name} is in use: an instance is restored from it."
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
    reply(service, request, &snapshot)
}
