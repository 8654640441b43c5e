//! What is the same for everybody: engine versions, what can be ordered, quotas, certificates and
//! maintenance.

use aws::query::Reply;
use aws::xml::XmlWriter;
use types::AvailabilityZone;

use crate::arn::Kind;
use crate::catalogue::{self, Row};
use crate::classes::{CLASSES, Class};
use crate::engine::{Engine, POSTGRES};
use crate::error::{DatabasesError, Refusal};
use crate::limits::{
    MAX_INSTANCES, MAX_OPTION_GROUPS, MAX_PARAMETER_GROUPS, MAX_REPLICAS, MAX_SNAPSHOTS,
    MAX_SUBNET_GROUPS, MAX_SUBNETS, STORAGE,
};
use crate::model::{OptionGroup, ParameterGroup, StorageType, SubnetGroup};
use crate::request::{DatabasesRequest, Filters, Paging, shown};
use crate::service::Service;
use crate::shapes;

/// `DescribeDBEngineVersions`: the installed one, if it is asked for; none if none is installed.
pub(crate) async fn engine_versions(
    service: &Service,
    request: &DatabasesRequest<'_>,
) -> Result<Reply, DatabasesError> {
    let known = [
        "db-parameter-group-family",
        "engine",
        "engine-mode",
        "engine-version",
        "status",
    ];
    let filters = Filters::of(request, &known)?;
    let paging = Paging::of(request)?;
    for name in [
        "DefaultOnly",
        "ListSupportedCharacterSets",
        "ListSupportedTimezones",
        "IncludeAll",
    ] {
        request.flag(name)?;
    }
    let is_asked = |engine: &&Engine| {
        let family = engine.family();
        request.text("Engine").is_none_or(|name| name == POSTGRES)
            && request
                .text("EngineVersion")
                .is_none_or(|version| engine.is(version))
            && request
                .text("DBParameterGroupFamily")
                .is_none_or(|name| name == family)
            && filters.pass(&[
                ("db-parameter-group-family", &family),
                ("engine", POSTGRES),
                ("engine-mode", "provisioned"),
                ("engine-version", engine.version()),
                ("engine-version", engine.major()),
                ("status", "available"),
            ])
    };
    let found = service.config.engine.iter().filter(is_asked);
    let keyed = found.map(|engine| (engine.version().to_owned(), engine));
    let mut reply = request.reply();
    let list = ("DBEngineVersions", "DBEngineVersion");
    paging.write(reply.writer(), list, keyed.collect(), engine_version);
    Ok(reply)
}

fn engine_version(writer: &mut XmlWriter, engine: &Engine) {
    writer
        .value("Engine", POSTGRES)
        .value("MajorEngineVersion", engine.major())
        .value("EngineVersion", engine.version())
        .value("DBParameterGroupFamily", engine.family())
        .value("DBEngineDescription", "PostgreSQL")
        .value(
            "DBEngineVersionDescription",
            format!("PostgreSQL {}", engine.version()),
        )
        .open("ValidUpgradeTarget")
        .close()
        .open("ExportableLogTypes")
        .close()
        .value("SupportsLogExportsToCloudwatchLogs", false)
        .value("SupportsReadReplica", true);
    shapes::texts(writer, "SupportedEngineModes", "member", ["provisioned"]);
    writer
        .open("SupportedFeatureNames")
        .close()
        .value("Status", "available")
        .value("SupportsParallelQuery", false)
        .value("SupportsGlobalDatabases", false)
        .value("SupportsBabelfish", false)
        .value("SupportsLimitlessDatabase", false)
        .value("SupportsLocalWriteForwarding", false)
        .value("SupportsIntegrations", false);
}

/// `DescribeOrderableDBInstanceOptions`: every class with every kind of storage.
pub(crate) async fn orderable(
    service: &Service,
    request: &DatabasesRequest<'_>,
) -> Result<Reply, DatabasesError> {
    Filters::of(request, &[])?;
    let paging = Paging::of(request)?;
    let engine = request.required("Engine")?;
    let is_vpc = request.flag("Vpc")?.unwrap_or(true);
    let zones = request.text("AvailabilityZoneGroup");
    let licence = request.text("LicenseModel");
    let is_offered = engine == POSTGRES
        && is_vpc
        && zones.is_none_or(|zones| zones == request.region().name())
        && licence.is_none_or(|licence| licence == shapes::LICENCE);
    let class = request.text("DBInstanceClass");
    let mut keyed = Vec::new();
    let installed = service.config.engine.iter().filter(|engine| {
        is_offered
            && request
                .text("EngineVersion")
                .is_none_or(|version| engine.is(version))
    });
    for engine in installed {
        let asked = CLASSES
            .iter()
            .filter(|it| class.is_none_or(|name| name == it.name));
        for class in asked {
            for storage in StorageType::ALL {
                keyed.push((
                    format!("{}/{storage}", class.name),
                    (engine, class, *storage),
                ));
            }
        }
    }
    let mut reply = request.reply();
    let list = ("OrderableDBInstanceOptions", "OrderableDBInstanceOption");
    paging.write(
        reply.writer(),
        list,
        keyed,
        |writer, (engine, class, storage)| {
            option(writer, request, engine, class, storage);
        },
    );
    Ok(reply)
}

fn option(
    writer: &mut XmlWriter,
    request: &DatabasesRequest<'_>,
    engine: &Engine,
    class: &Class,
    storage: StorageType,
) {
    writer
        .value("Engine", POSTGRES)
        .value("EngineVersion", engine.version())
        .value("DBInstanceClass", class.name)
        .value("LicenseModel", shapes::LICENCE)
        .open("AvailabilityZones");
    for zone in AvailabilityZone::of(request.region()) {
        writer.open("AvailabilityZone").value("Name", zone).close();
    }
    writer
        .close()
        .value("MultiAZCapable", true)
        .value("ReadReplicaCapable", true)
        .value("Vpc", true)
        .value("SupportsStorageEncryption", false)
        .value("StorageType", storage)
        .value("SupportsIops", false)
        .value("SupportsStorageThroughput", false)
        .value("SupportsEnhancedMonitoring", false)
        .value("SupportsIAMDatabaseAuthentication", false)
        .value("SupportsPerformanceInsights", false)
        .value("MinStorageSize", STORAGE.0)
        .value("MaxStorageSize", STORAGE.1);
    shapes::texts(writer, "SupportedEngineModes", "member", ["provisioned"]);
    writer
        .value("SupportsStorageAutoscaling", false)
        .value("SupportsKerberosAuthentication", false)
        .value("OutpostCapable", false)
        .value("SupportsGlobalDatabases", false);
    shapes::texts(writer, "SupportedNetworkTypes", "member", ["IPV4"]);
    writer
        .value("SupportsClusters", false)
        .value("SupportsDedicatedLogVolume", false);
}

/// `DescribeAccountAttributes`: what an account has, and how much it may have.
pub(crate) async fn account_attributes(
    service: &Service,
    request: &DatabasesRequest<'_>,
) -> Result<Reply, DatabasesError> {
    let (view, account) = (service.view(), request.account());
    let instances = catalogue::instances_of(&*view, account)?;
    let snapshots = catalogue::snapshots_of(&*view, account)?;
    let parameters: Vec<Row<ParameterGroup>> = catalogue::groups_of(&*view, account)?;
    let subnets: Vec<Row<SubnetGroup>> = catalogue::groups_of(&*view, account)?;
    let options: Vec<Row<OptionGroup>> = catalogue::groups_of(&*view, account)?;
    let replicas = instances
        .iter()
        .map(|(_, instance)| instance.replicas.len())
        .max();
    let zones = subnets.iter().map(|(_, group)| group.zones.len()).max();
    let mut reply = request.reply();
    let writer = reply.writer();
    writer.open("AccountQuotas");
    for (name, used, most) in [
        ("DBInstances", instances.len(), MAX_INSTANCES),
        ("ManualSnapshots", snapshots.len(), MAX_SNAPSHOTS),
        ("DBParameterGroups", parameters.len(), MAX_PARAMETER_GROUPS),
        ("DBSubnetGroups", subnets.len(), MAX_SUBNET_GROUPS),
        ("OptionGroups", options.len(), MAX_OPTION_GROUPS),
        ("ReadReplicasPerMaster", replicas.unwrap_or(0), MAX_REPLICAS),
        ("SubnetsPerDBSubnetGroup", zones.unwrap_or(0), MAX_SUBNETS),
    ] {
        writer
            .open("AccountQuota")
            .value("AccountQuotaName", name)
            .value("Used", used)
            .value("Max", most)
            .close();
    }
    writer.close();
    Ok(reply)
}

/// `DescribeCertificates`: none of RDS's authorities certifies an endpoint here.
pub(crate) async fn certificates(
    _: &Service,
    request: &DatabasesRequest<'_>,
) -> Result<Reply, DatabasesError> {
    Filters::of(request, &[])?;
    Paging::of(request)?;
    if let Some(name) = request.text("CertificateIdentifier") {
        let text = format!("Certificate not found: {}", shown(name));
        return Err(DatabasesError::refused(Refusal::CertificateNotFound, text));
    }
    let mut reply = request.reply();
    reply.writer().open("Certificates").close();
    Ok(reply)
}

/// `DescribePendingMaintenanceActions`: nothing is ever maintained without being asked.
pub(crate) async fn pending_maintenance(
    service: &Service,
    request: &DatabasesRequest<'_>,
) -> Result<Reply, DatabasesError> {
    Filters::of(request, &["db-instance-id", "db-cluster-id"])?;
    Paging::of(request)?;
    if let Some(text) = request.text("ResourceIdentifier") {
        let arn = text.parse::<crate::arn::Arn>().ok();
        let own = arn.filter(|arn| {
            arn.kind == Kind::Instance
                && arn.account == request.account()
                && arn.region == request.region()
        });
        let found = match own.and_then(|arn| arn.try_into().ok()) {
            Some(name) => catalogue::instance_named(&*service.view(), &name)?,
            None => None,
        };
        if found.is_none() {
            let text = format!("The resource {} could not be found.", shown(text));
            return Err(DatabasesError::refused(Refusal::ResourceNotFound, text));
        }
    }
    let mut reply = request.reply();
    reply.writer().open("PendingMaintenanceActions").close();
    Ok(reply)
}
