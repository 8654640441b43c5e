//! Automated backups: to describe them, and to delete those of an instance that is deleted.

use aws::query::Reply;
use aws::xml::XmlWriter;
use types::{ConfigurationView, Timestamp, network};

use crate::arn::InstanceArn;
use crate::backups::{self, keeps_backups};
use crate::catalogue;
use crate::engine::POSTGRES;
use crate::error::{DatabasesError, Refusal};
use crate::keys;
use crate::model::{Instance, ResourceId};
use crate::request::{DatabasesRequest, Filters, Paging, shown};
use crate::service::Service;
use crate::shapes::{self, LICENCE};
use crate::tags;
use crate::view::Archived;

/// How many letters of a resource id are not its prefix.
const PREFIX: &str = "db-";

/// The ARN of an instance's automated backups: its letters are the resource id's.
pub(crate) fn arn(instance: &Instance) -> String {
    let (region, account) = (instance.arn.region, instance.arn.account);
    let letters = instance.resource_id.0.trim_start_matches(PREFIX);
    let letters = letters.to_ascii_lowercase();
    format!("arn:aws:rds:{region}:{account}:auto-backup:ab-{letters}")
}

/// The backups that a request asks for, and since when their instance is gone.
type Found = (Instance, Option<Timestamp>);

/// All of the caller's.
fn all(
    service: &Service,
    view: &dyn ConfigurationView,
    request: &DatabasesRequest<'_>,
) -> Result<Vec<Found>, DatabasesError> {
    let live = catalogue::instances_of(view, request.account())?;
    let live = live.into_iter().map(|(_, instance)| (instance, None));
    let live = live.filter(|(instance, _)| keeps_backups(instance));
    let retained = backups::retained_backups(view)?.into_iter();
    let retained = retained.filter(|(_, row)| {
        row.instance.arn.account == request.account() && row.until > service.now()
    });
    let retained = retained.map(|(_, row)| (row.instance, Some(row.deleted)));
    Ok(live.chain(retained).collect())
}

fn not_found(name: &str) -> DatabasesError {
    let text = format!("DBInstanceAutomatedBackup {} not found.", shown(name));
    DatabasesError::refused(Refusal::DbInstanceAutomatedBackupNotFound, text)
}

/// The instance, as it is or was, of the backups that a request names by a resource id or an ARN,
/// in those parameters.
pub(crate) fn named(
    view: &dyn ConfigurationView,
    request: &DatabasesRequest<'_>,
    (by_id, by_arn): (&str, &str),
) -> Result<Instance, DatabasesError> {
    let (name, id) = match (request.text(by_id), request.text(by_arn)) {
        (Some(id), _) => (id, Some(id.to_owned())),
        (None, Some(arn)) => {
            let letters = arn
                .rsplit_once(":auto-backup:ab-")
                .map(|(_, letters)| letters);
            (
                arn,
                letters.map(|it| format!("{PREFIX}{}", it.to_ascii_uppercase())),
            )
        }
        (None, None) => {
            let text = format!("The request must contain the parameter {by_id}.");
            return Err(DatabasesError::refused(Refusal::MissingParameter, text));
        }
    };
    let id = ResourceId(id.ok_or_else(|| not_found(name))?);
    let live = catalogue::instance(view, &id)?.map(|(_, instance)| instance);
    let found = match live {
        Some(instance) => Some(instance),
        None => backups::retained_backup(view, &id)?.map(|(_, row)| row.instance),
    };
    let own = found.filter(|it| it.arn.account == request.account());
    let own = own.filter(|it| request.text(by_id).is_some() || arn(it) == name);
    own.ok_or_else(|| not_found(name))
}

/// `DescribeDBInstanceAutomatedBackups`: of instances that keep some, and of those that are deleted
/// and whose backups stay.
pub(crate) async fn describe(
    service: &Service,
    request: &DatabasesRequest<'_>,
) -> Result<Reply, DatabasesError> {
    let filters = Filters::of(request, &["status", "db-instance-id", "dbi-resource-id"])?;
    let paging = Paging::of(request)?;
    let view = service.view();
    let mut found = all(service, &*view, request)?;
    let (id, by_arn) = (
        request.text("DbiResourceId"),
        request.text("DBInstanceAutomatedBackupsArn"),
    );
    let name = request.text("DBInstanceIdentifier").map(|text| {
        let arn = text.parse::<InstanceArn>();
        arn.map_or_else(|_| text.to_ascii_lowercase(), |arn| arn.identifier)
    });
    found.retain(|(instance, deleted)| {
        let archived = service.config.servers.archived(&instance.resource_id.0);
        id.is_none_or(|id| instance.resource_id.0 == id)
            && by_arn.is_none_or(|name| arn(instance) == name)
            && name
                .as_ref()
                .is_none_or(|name| instance.arn.identifier == *name)
            && filters.pass(&[
                ("status", status(archived.as_ref(), *deleted)),
                ("db-instance-id", &instance.arn.identifier),
                ("db-instance-id", &instance.arn.to_string()),
                ("dbi-resource-id", &instance.resource_id.0),
            ])
    });
    let asked = id.or(by_arn).or(name.as_deref());
    if let Some(asked) = asked.filter(|_| found.is_empty()) {
        return Err(not_found(asked));
    }
    let keyed = found.into_iter();
    let keyed = keyed.map(|found| (found.0.resource_id.0.clone(), found));
    let mut reply = request.reply();
    let list = ("DBInstanceAutomatedBackups", "DBInstanceAutomatedBackup");
    paging.write(
        reply.writer(),
        list,
        keyed.collect(),
        |writer, (it, deleted)| {
            let archived = service.config.servers.archived(&it.resource_id.0);
            backup(writer, &it, archived.as_ref(), deleted);
        },
    );
    Ok(reply)
}

fn status(archived: Option<&Archived>, deleted: Option<Timestamp>) -> &'static str {
    match (deleted, archived) {
        (Some(_), _) => "retained",
        (None, Some(archived)) if !archived.bases.is_empty() => "active",
        (None, _) => "creating",
    }
}

/// Writes a `DBInstanceAutomatedBackup`'s members.
fn backup(
    writer: &mut XmlWriter,
    instance: &Instance,
    archived: Option<&Archived>,
    deleted: Option<Timestamp>,
) {
    writer
        .value("DBInstanceArn", &instance.arn)
        .value("DbiResourceId", &instance.resource_id)
        .value("Region", instance.arn.region)
        .value("DBInstanceIdentifier", &instance.arn.identifier);
    let window = archived.and_then(Archived::window);
    if let Some((earliest, latest)) = window {
        writer
            .open("RestoreWindow")
            .value("EarliestTime", shapes::time(earliest))
            .value("LatestTime", shapes::time(latest))
            .close();
    }
    writer
        .value("AllocatedStorage", instance.allocated_storage)
        .value("Status", status(archived, deleted))
        .value("Port", instance.port)
        .value("AvailabilityZone", instance.zone)
        .value("VpcId", network::default_vpc(instance.arn.region))
        .value("InstanceCreateTime", shapes::time(instance.created))
        .value("MasterUsername", &instance.master.username)
        .value("Engine", POSTGRES)
        .value("EngineVersion", &instance.engine_version)
        .value("LicenseModel", LICENCE)
        .value("OptionGroupName", &instance.option_group)
        .value("Encrypted", false)
        .value("StorageType", instance.storage_type)
        .value("IAMDatabaseAuthenticationEnabled", false)
        .value("BackupRetentionPeriod", instance.backup_retention)
        .value("PreferredBackupWindow", &instance.backup_window)
        .value("DBInstanceAutomatedBackupsArn", arn(instance))
        .value("BackupTarget", "region")
        .value("MultiTenant", false)
        .value("DedicatedLogVolume", false);
    tags::write(writer, &instance.tags);
}

/// `DeleteDBInstanceAutomatedBackup`: the backups of an instance that is deleted go.
pub(crate) async fn delete(
    service: &Service,
    request: &DatabasesRequest<'_>,
) -> Result<Reply, DatabasesError> {
    let parameters = ("DbiResourceId", "DBInstanceAutomatedBackupsArn");
    let made = service.change(|view: &dyn ConfigurationView| {
        let instance = named(view, request, parameters)?;
        let id = &instance.resource_id;
        let Some((revision, mut row)) = backups::retained_backup(view, id)? else {
            let name = &instance.arn.identifier;
            return Err(DatabasesError::refused(
                Refusal::InvalidDbInstanceAutomatedBackupState,
                format!("The automated backups of {name} are not retained ones."),
            ));
        };
        row.until = service.now();
        let edits = vec![catalogue::replace(
            keys::retained_backup(id),
            revision,
            &row,
        )];
        Ok((edits, row))
    });
    let row = made.await?;
    service.look_at(&row.instance.resource_id);
    let archived = service.config.servers.archived(&row.instance.resource_id.0);
    let mut reply = request.reply();
    reply.writer().open("DBInstanceAutomatedBackup");
    backup(
        reply.writer(),
        &row.instance,
        archived.as_ref(),
        Some(row.deleted),
    );
    reply.writer().close();
    Ok(reply)
}
