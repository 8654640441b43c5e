//! What the operations on instances have in common: finding one, judging its state, reading what
//! every new one is told, and showing one.

use std::collections::BTreeMap;

use aws::query::Reply;
use aws::xml::XmlWriter;
use types::{AvailabilityZone, ConfigurationEdit, ConfigurationView, network};

pub(super) use super::found::{named, named_by, no_cluster, no_instance};
use super::{addresses, multi_az};
use crate::arn::{InstanceArn, Kind};
use crate::catalogue::{self, Row};
use crate::classes;
use crate::engine::Engine;
use crate::error::{DatabasesError, Refusal};
use crate::input::{names, place, windows};
use crate::limits::{MAX_INSTANCES, MAX_RETENTION, PORTS};
use crate::model::{
    Cause, Instance, Master, OptionGroup, Origin, ParameterGroup, Pending, Power, Snapshot,
    StorageType, Tags,
};
use crate::parameters;
use crate::request::{DatabasesRequest, shown};
use crate::service::Service;
use crate::shapes::{self, Shown};
use crate::status::{Status, status};
use crate::{ids, memory, tags};

/// Parameters of new instances that mean something which isn't built.
pub(super) const UNBUILT: &[&str] = &[
    "AdditionalStorageVolumes",
    "CACertificateIdentifier",
    "CharacterSetName",
    "CustomIamInstanceProfile",
    "DBClusterIdentifier",
    "DBClusterSnapshotIdentifier",
    "DBSecurityGroups",
    "DBSystemId",
    "DedicatedLogVolume",
    "Domain",
    "DomainAuthSecretArn",
    "DomainDnsIps",
    "DomainFqdn",
    "DomainIAMRoleName",
    "DomainOu",
    "EnableCloudwatchLogsExports",
    "EnableCustomerOwnedIp",
    "EnableIAMDatabaseAuthentication",
    "EnablePerformanceInsights",
    "Iops",
    "ManageMasterUserPassword",
    "MasterUserSecretKmsKeyId",
    "MaxAllocatedStorage",
    "MonitoringRoleArn",
    "MultiAZ",
    "MultiTenant",
    "NcharCharacterSetName",
    "PerformanceInsightsKMSKeyId",
    "PerformanceInsightsRetentionPeriod",
    "ProcessorFeatures",
    "PromotionTier",
    "SourceDBClusterIdentifier",
    "StorageThroughput",
    "TagSpecifications",
    "TdeCredentialArn",
    "TdeCredentialPassword",
    "Timezone",
    "UpgradeStorageConfig",
];

/// Parameters of which one value is what everything here has; others aren't built.
const FIXED: &[(&str, &[&str])] = &[
    ("BackupTarget", &["region"]),
    ("DatabaseInsightsMode", &["standard"]),
    ("LicenseModel", &[shapes::LICENCE]),
    ("MasterUserAuthenticationType", &["password"]),
    ("MonitoringInterval", &["0"]),
    ("ReplicaMode", &["open-read-only"]),
];

/// Refuses by name what a request asks for and isn't built.
pub(super) fn refuse_unbuilt(request: &DatabasesRequest<'_>) -> Result<(), DatabasesError> {
    refuse_unbuilt_besides(request, &[])
}

/// Refuses by name what a request asks for and isn't built, but for those parameters.
pub(super) fn refuse_unbuilt_besides(
    request: &DatabasesRequest<'_>,
    built: &[&str],
) -> Result<(), DatabasesError> {
    if let Some(key) = request.text("KmsKeyId") {
        let text = format!(
            "The key {} is not accessible: storage encryption is not built yet in Causeway.",
            shown(key)
        );
        return Err(DatabasesError::refused(Refusal::KmsKeyNotAccessible, text));
    }
    if request.flag("StorageEncrypted")? == Some(true) {
        return Err(DatabasesError::not_built("StorageEncrypted"));
    }
    let unbuilt = UNBUILT.iter().copied();
    let unbuilt: Vec<&str> = unbuilt.filter(|name| !built.contains(name)).collect();
    request.refuse_unbuilt(&unbuilt)?;
    for (name, allowed) in FIXED {
        if let Some(value) = request.text(name).filter(|value| !allowed.contains(value)) {
            let part = format!("{name} '{}'", shown(value));
            return Err(DatabasesError::not_built(&part));
        }
    }
    match request.text("NetworkType") {
        None | Some("IPV4") => Ok(()),
        Some(other) => {
            let text = format!(
                "The network type {} is not built yet in Causeway.",
                shown(other)
            );
            Err(DatabasesError::refused(
                Refusal::NetworkTypeNotSupported,
                text,
            ))
        }
    }
}

/// The installed PostgreSQL.
pub(super) fn engine(service: &Service) -> Result<&Engine, DatabasesError> {
    let engine = service.config.engine.as_ref();
    engine.map_err(|why| {
        DatabasesError::refused(Refusal::InsufficientDbInstanceCapacity, why.clone())
    })
}

/// The storage type that a request asks for.
pub(super) fn storage_type(
    request: &DatabasesRequest<'_>,
) -> Result<Option<StorageType>, DatabasesError> {
    let Some(text) = request.text("StorageType") else {
        return Ok(None);
    };
    let found = StorageType::of_name(text);
    found.map(Some).ok_or_else(|| {
        let text = match ["io1", "io2", "standard"].contains(&text) {
            true => format!("The storage type {text} is not built yet in Causeway."),
            false => format!("Invalid storage type: {}", shown(text)),
        };
        DatabasesError::refused(Refusal::StorageTypeNotSupported, text)
    })
}

/// The class that a request asks for.
pub(super) fn class(request: &DatabasesRequest<'_>) -> Result<Option<String>, DatabasesError> {
    let Some(name) = request.text("DBInstanceClass") else {
        return Ok(None);
    };
    match classes::find(name) {
        Some(class) => Ok(Some(class.name.to_owned())),
        None => Err(DatabasesError::value(format!(
            "Invalid DB Instance class: {}",
            shown(name)
        ))),
    }
}

/// The parameter group that a request names, if it is there and of the engine's family.
pub(super) fn parameter_group(
    view: &dyn ConfigurationView,
    request: &DatabasesRequest<'_>,
    engine: &Engine,
) -> Result<Option<String>, DatabasesError> {
    let Some(name) = request.text("DBParameterGroupName") else {
        return Ok(None);
    };
    let arn = request.group_arn(Kind::ParameterGroup, name);
    if arn.name == engine.default_parameter_group() {
        return Ok(Some(arn.name));
    }
    let Some((_, group)) = catalogue::group::<ParameterGroup>(view, &arn)? else {
        return Err(no_parameter_group(name));
    };
    if group.family != engine.family() {
        return Err(DatabasesError::combination(format!(
            "The parameter group {} with DBParameterGroupFamily {} can't be used for this \
             instance. Use a parameter group with DBParameterGroupFamily {}",
            group.arn.name,
            group.family,
            engine.family()
        )));
    }
    Ok(Some(group.arn.name))
}

/// What is said if there is no such parameter group.
pub(super) fn no_parameter_group(name: &str) -> DatabasesError {
    let text = format!("DBParameterGroup not found: {}", shown(name));
    DatabasesError::refused(Refusal::DbParameterGroupNotFound, text)
}

/// The option group that a request names, if it is there and of the engine's version.
pub(super) fn option_group(
    view: &dyn ConfigurationView,
    request: &DatabasesRequest<'_>,
    engine: &Engine,
) -> Result<Option<String>, DatabasesError> {
    let Some(name) = request.text("OptionGroupName") else {
        return Ok(None);
    };
    let arn = request.group_arn(Kind::OptionGroup, name);
    if arn.name == engine.default_option_group() {
        return Ok(Some(arn.name));
    }
    let Some((_, group)) = catalogue::group::<OptionGroup>(view, &arn)? else {
        return Err(no_option_group(name));
    };
    if group.major_version != engine.major() {
        let text = format!("The option group {} is of another engine version", arn.name);
        return Err(DatabasesError::combination(text));
    }
    Ok(Some(group.arn.name))
}

/// What is said if there is no such option group.
pub(super) fn no_option_group(name: &str) -> DatabasesError {
    let text = format!("Specified OptionGroupName: {} not found.", shown(name));
    DatabasesError::refused(Refusal::OptionGroupNotFound, text)
}

/// What a new instance takes from where it comes from, if its request says nothing else.
pub(super) struct Inherited {
    pub(super) origin: Origin,
    pub(super) engine_version: String,
    pub(super) class: Option<String>,
    pub(super) allocated_storage: u32,
    pub(super) storage_type: StorageType,
    pub(super) port: u16,
    pub(super) master: Master,
    pub(super) database: Option<String>,
    pub(super) backup_retention: u8,
    pub(super) parameter_group: Option<String>,
    pub(super) tags: Tags,
}

/// A new instance, its address still to be drawn, and its groups to be looked for.
pub(super) fn new_instance(
    service: &Service,
    request: &DatabasesRequest<'_>,
    inherited: Inherited,
) -> Result<Instance, DatabasesError> {
    let environment = service.environment();
    let engine = engine(service)?;
    let view = service.view();
    let parameter = match inherited.origin {
        Origin::PointInTime(_) => "TargetDBInstanceIdentifier",
        _ => "DBInstanceIdentifier",
    };
    let identifier = names::instance(parameter, request.required(parameter)?)?;
    let class = class(request)?.or(inherited.class).ok_or_else(no_class)?;
    let subnets = request.text("DBSubnetGroupName");
    let subnets = subnets.unwrap_or(place::DEFAULT_SUBNET_GROUP);
    let subnets = place::subnet_group(&*view, request, subnets)?;
    let zone: AvailabilityZone = place::zone(request, &subnets, environment.random())?;
    let (backup_window, maintenance_window) = windows::read_new(request, environment.random())?;
    let (port, retention) = port_and_retention(request)?;
    let default = || vec![network::default_security_group(request.region())];
    let parameter_group = parameter_group(&*view, request, engine)?
        .or(inherited.parameter_group)
        .unwrap_or_else(|| engine.default_parameter_group());
    let mut held = inherited.tags;
    tags::add(&mut held, &tags::read(&request.members())?)?;
    Ok(Instance {
        resource_id: ids::resource(environment),
        arn: request.instance_arn(&identifier),
        engine_version: inherited.engine_version,
        class,
        allocated_storage: inherited.allocated_storage,
        storage_type: storage_type(request)?.unwrap_or(inherited.storage_type),
        created: service.now(),
        zone,
        address: std::net::Ipv4Addr::UNSPECIFIED,
        port: port.unwrap_or(inherited.port),
        master: inherited.master,
        database: inherited.database,
        subnet_group: subnets.arn.name.clone(),
        security_groups: place::security_groups(service, request)?.unwrap_or_else(default),
        parameter_group,
        parameter_group_since: 0,
        option_group: option_group(&*view, request, engine)?
            .unwrap_or_else(|| engine.default_option_group()),
        backup_retention: retention.unwrap_or(inherited.backup_retention),
        backup_window,
        maintenance_window,
        auto_minor_version_upgrade: request.flag("AutoMinorVersionUpgrade")?.unwrap_or(true),
        publicly_accessible: request.flag("PubliclyAccessible")?.unwrap_or(true),
        copy_tags_to_snapshot: request.flag("CopyTagsToSnapshot")?.unwrap_or(false),
        deletion_protection: request.flag("DeletionProtection")?.unwrap_or(false),
        tags: held,
        origin: inherited.origin,
        source: None,
        promotion: None,
        replicas: BTreeMap::new(),
        power: Power::Running,
        generation: 1,
        cause: Cause::Create,
        settled: 0,
        pending: Pending::default(),
        deletion: None,
        failure: None,
        headship: None,
        home: None,
        standby: multi_az::new(service, request, &subnets, zone)?,
    })
}

fn no_class() -> DatabasesError {
    let text = "The request must contain the parameter DBInstanceClass.";
    DatabasesError::refused(Refusal::MissingParameter, text)
}

/// The port and the retention of backups that a request gives.
fn port_and_retention(
    request: &DatabasesRequest<'_>,
) -> Result<(Option<u16>, Option<u8>), DatabasesError> {
    let port = request.number("Port", PORTS)?;
    let days = request.number("BackupRetentionPeriod", (0, MAX_RETENTION))?;
    Ok((
        port.and_then(|port| u16::try_from(port).ok()),
        days.and_then(|days| u8::try_from(days).ok()),
    ))
}

/// The edits that make an instance, once its name is free and it has an address.
pub(super) fn create(
    service: &Service,
    view: &dyn ConfigurationView,
    instance: &mut Instance,
) -> Result<Vec<ConfigurationEdit>, DatabasesError> {
    check_name(view, &instance.arn)?;
    still_there(view, instance)?;
    if catalogue::instances_of(view, instance.arn.account)?.len() >= MAX_INSTANCES {
        let text = format!("Instance quota exceeded: {MAX_INSTANCES} DB instances");
        return Err(DatabasesError::refused(
            Refusal::InstanceQuotaExceeded,
            text,
        ));
    }
    memory::check(view, instance, service.config.memory)?;
    instance.address = addresses::draw(service, view, instance.port)?;
    Ok(catalogue::create_instance(instance))
}

/// Are the groups of a new instance there now, when it is made?
fn still_there(view: &dyn ConfigurationView, instance: &Instance) -> Result<(), DatabasesError> {
    let arn = |kind, name: &str| crate::arn::GroupArn {
        region: instance.arn.region,
        account: instance.arn.account,
        kind,
        name: name.to_owned(),
    };
    let name = &instance.subnet_group;
    let has = |kind, name: &str| view.get(&crate::keys::group(&arn(kind, name))).is_some();
    if name != place::DEFAULT_SUBNET_GROUP && !has(Kind::SubnetGroup, name) {
        return Err(place::no_subnet_group(name));
    }
    let name = &instance.parameter_group;
    if !name.starts_with("default.") && !has(Kind::ParameterGroup, name) {
        return Err(no_parameter_group(name));
    }
    let name = &instance.option_group;
    if !name.starts_with("default:") && !has(Kind::OptionGroup, name) {
        return Err(no_option_group(name));
    }
    Ok(())
}

/// Is the name of a new instance free?
pub(super) fn check_name(
    view: &dyn ConfigurationView,
    arn: &InstanceArn,
) -> Result<(), DatabasesError> {
    match view.get(&crate::keys::instance_name(arn)) {
        None => Ok(()),
        Some(_) => Err(DatabasesError::refused(
            Refusal::DbInstanceAlreadyExists,
            "DB instance already exists",
        )),
    }
}

/// The status of an instance now.
pub(super) fn status_of(
    service: &Service,
    view: &dyn ConfigurationView,
    instance: &Instance,
) -> Result<Status, DatabasesError> {
    let snapshots = catalogue::snapshots_of(view, instance.arn.account)?;
    let snapshots = snapshots.iter().map(|(_, snapshot)| snapshot);
    let standing = service.config.servers.standing(&instance.home().0);
    Ok(status(instance, standing.as_ref(), snapshots))
}

/// Refuses an instance that isn't in one of those states.
pub(super) fn demand(
    service: &Service,
    view: &dyn ConfigurationView,
    instance: &Instance,
    states: &[Status],
) -> Result<(), DatabasesError> {
    match states.contains(&status_of(service, view, instance)?) {
        true => Ok(()),
        false => Err(DatabasesError::state(format!(
            "Instance {} is not in available state.",
            instance.arn.identifier
        ))),
    }
}

/// Writes an instance as it is now.
pub(super) fn show(
    service: &Service,
    view: &dyn ConfigurationView,
    request: &DatabasesRequest<'_>,
    writer: &mut XmlWriter,
    instance: &Instance,
    snapshots: &[Row<Snapshot>],
) -> Result<(), DatabasesError> {
    let subnet_group = place::subnet_group(view, request, &instance.subnet_group)?;
    let group = catalogue::parameter_group_of(view, instance)?;
    let standing = service.config.servers.standing(&instance.home().0);
    let snapshots = snapshots.iter().map(|(_, snapshot)| snapshot);
    let archived = service.config.servers.archived(&instance.resource_id.0);
    let shown = Shown {
        instance,
        subnet_group: &subnet_group,
        parameters: &parameters::of_instance(instance, group.as_ref()),
        standing: standing.as_ref(),
        status: status(instance, standing.as_ref(), snapshots),
        latest_restorable: archived
            .and_then(|it| it.window())
            .map(|(_, latest)| latest),
    };
    shapes::instance(writer, &shown);
    Ok(())
}

/// The answer of an operation on one instance.
pub(super) fn reply(
    service: &Service,
    request: &DatabasesRequest<'_>,
    instance: &Instance,
) -> Result<Reply, DatabasesError> {
    let view = service.view();
    let snapshots = catalogue::snapshots_of(&*view, instance.arn.account)?;
    let mut reply = request.reply();
    reply.writer().open("DBInstance");
    let writer = reply.writer();
    show(service, &*view, request, writer, instance, &snapshots)?;
    reply.writer().close();
    Ok(reply)
}
