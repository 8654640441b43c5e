//! DB clusters: to make, describe, change and delete them. One that joins a global cluster becomes
//! a member first, by the council; then its own row is made. If this process dies between the two,
//! making it again takes the member's place, and `RemoveFromGlobalCluster` takes it away.

use aws::query::Reply;
use aws::xml::XmlWriter;
use types::{ConfigurationView, network};

use super::{
    addresses, cluster_parameter_groups, common, first_user, forwarding, global_clusters, members,
};
use crate::catalogue::{self, Row};
use crate::engine::{AURORA, Engine, OTHER_ENGINES, POSTGRES};
use crate::error::{DatabasesError, Refusal};
use crate::input::{names, password, place, windows};
use crate::limits::{MAX_CLUSTERS, MAX_RETENTION, PORTS};
use crate::model::{Cluster, GlobalCluster, Tags, Verifier};
use crate::request::{DatabasesRequest, Filters, Paging, list, shown};
use crate::service::Service;
use crate::{ids, membership, shapes, tags};

/// PostgreSQL's port.
const DEFAULT_PORT: u16 = 5432;

/// Parameters of clusters that mean something which isn't built.
const UNBUILT: &[&str] = &[
    "AllocatedStorage",
    "AllowEngineModeChange",
    "AllowMajorVersionUpgrade",
    "AutoMinorVersionUpgrade",
    "AwsBackupRecoveryPointArn",
    "BacktrackWindow",
    "CACertificateIdentifier",
    "CharacterSetName",
    "CloudwatchLogsExportConfiguration",
    "ClusterScalabilityType",
    "DBClusterInstanceClass",
    "DBInstanceParameterGroupName",
    "DBSystemId",
    "Domain",
    "DomainIAMRoleName",
    "EnableCloudwatchLogsExports",
    "EnableHttpEndpoint",
    "EnableIAMDatabaseAuthentication",
    "EnableLimitlessDatabase",
    "EnableLocalWriteForwarding",
    "EnablePerformanceInsights",
    "Iops",
    "KmsKeyId",
    "ManageMasterUserPassword",
    "MasterUserSecretKmsKeyId",
    "MonitoringRoleArn",
    "NewDBClusterIdentifier",
    "OptionGroupName",
    "PerformanceInsightsKMSKeyId",
    "PerformanceInsightsRetentionPeriod",
    "PubliclyAccessible",
    "RdsCustomClusterConfiguration",
    "ReplicationSourceIdentifier",
    "RotateMasterUserPassword",
    "ScalingConfiguration",
    "ServerlessV2ScalingConfiguration",
    "StorageEncrypted",
    "TagSpecifications",
    "WithExpressConfiguration",
];

/// Parameters of which one value is what every cluster here has.
const FIXED: &[(&str, &[&str])] = &[
    ("DatabaseInsightsMode", &["standard"]),
    ("EngineLifecycleSupport", global_clusters::LIFECYCLES),
    ("EngineMode", &["provisioned"]),
    ("MasterUserAuthenticationType", &["password"]),
    ("MonitoringInterval", &["0"]),
    ("NetworkType", &["IPV4"]),
    ("StorageType", &["aurora"]),
];

fn refuse_unbuilt(request: &DatabasesRequest<'_>) -> Result<(), DatabasesError> {
    request.refuse_unbuilt(UNBUILT)?;
    for (name, allowed) in FIXED {
        if let Some(value) = request.text(name).filter(|value| !allowed.contains(value)) {
            let part = format!("{name} '{}'", shown(value));
            return Err(DatabasesError::not_built(&part));
        }
    }
    Ok(())
}

/// Is it the engine that clusters have?
pub(super) fn check_engine(name: &str) -> Result<(), DatabasesError> {
    if name == AURORA {
        return Ok(());
    }
    if name == POSTGRES || OTHER_ENGINES.contains(&name) {
        let part = format!("The engine {name} of a DB cluster");
        return Err(DatabasesError::not_built(&part));
    }
    let text = format!("Invalid DB engine: {}", shown(name));
    Err(DatabasesError::value(text))
}

/// `CreateDBCluster`.
pub(crate) async fn create(
    service: &Service,
    request: &DatabasesRequest<'_>,
) -> Result<Reply, DatabasesError> {
    let name = request.required("DBClusterIdentifier")?;
    let name = names::instance("DBClusterIdentifier", name)?;
    check_engine(request.required("Engine")?)?;
    refuse_unbuilt(request)?;
    let asked = read(service, request, &name)?;
    let check = || check_name(&*service.view(), &asked);
    let (_alone, wanted) = match request.text("GlobalClusterIdentifier") {
        // Until it is made no other cluster that is to be a member is.
        Some(global) => {
            global_clusters::check_name(global)?;
            let join = |()| members::join(service, request, global, &asked);
            let (alone, joined) = service.alone(check, join).await?;
            (Some(alone), joined)
        }
        None => {
            check()?;
            (None, asked)
        }
    };
    let made = service.change(|view: &dyn ConfigurationView| {
        let mut made = wanted.clone();
        check_name(view, &made)?;
        draw_addresses(service, view, &mut made)?;
        Ok((catalogue::create_cluster(&made), made))
    });
    match (made.await, &wanted.joined) {
        (Ok(made), _) => reply(service, request, &made),
        (Err(error), None) => Err(error),
        (Err(error), Some(_)) => {
            members::leave(service, &wanted).await;
            Err(error)
        }
    }
}

/// The cluster that a request asks for, as far as no global cluster is needed to read it.
fn read(
    service: &Service,
    request: &DatabasesRequest<'_>,
    name: &str,
) -> Result<Cluster, DatabasesError> {
    let environment = service.environment();
    let engine = common::engine(service)?;
    let view = service.view();
    let subnets = request.text("DBSubnetGroupName");
    let subnets = subnets.unwrap_or(place::DEFAULT_SUBNET_GROUP);
    let subnets = place::subnet_group(&*view, request, subnets)?;
    check_zones(request)?;
    let (backup_window, maintenance_window) = windows::read_new(request, environment.random())?;
    let port = request.number("Port", PORTS)?;
    let retention = request.number("BackupRetentionPeriod", (1, MAX_RETENTION))?;
    let default = || vec![network::default_security_group(request.region())];
    let is_member = request.text("GlobalClusterIdentifier").is_some();
    let database = request.text("DatabaseName");
    let database = database.map(names::database).transpose()?;
    let mut held = Tags::new();
    tags::add(&mut held, &tags::read(&request.members())?)?;
    Ok(Cluster {
        resource_id: ids::cluster(environment),
        arn: request.cluster_arn(name),
        engine_version: super::instances::check_version(request, engine)?,
        created: service.now(),
        master: first_user::read(service, request, is_member)?,
        database: database.flatten(),
        port: port
            .and_then(|port| u16::try_from(port).ok())
            .unwrap_or(DEFAULT_PORT),
        writer_address: std::net::Ipv4Addr::UNSPECIFIED,
        reader_address: std::net::Ipv4Addr::UNSPECIFIED,
        subnet_group: subnets.arn.name,
        security_groups: place::security_groups(service, request)?.unwrap_or_else(default),
        backup_retention: retention
            .and_then(|days| u8::try_from(days).ok())
            .unwrap_or(1),
        backup_window,
        maintenance_window,
        copy_tags_to_snapshot: request.flag("CopyTagsToSnapshot")?.unwrap_or(false),
        deletion_protection: request.flag("DeletionProtection")?.unwrap_or(false),
        tags: held,
        joined: None,
        parameter_group: cluster_parameter_groups::of_request(service, &*view, request)?,
        write_forwarding: forwarding::asked(request, is_member)?.unwrap_or(false),
        head: None,
        readers: Default::default(),
        handovers: 0,
        handover: None,
        handed: None,
        forcings: 0,
        forced: None,
        deposed: Default::default(),
    })
}

/// Zones are described only: where the head is, is said when it is made.
fn check_zones(request: &DatabasesRequest<'_>) -> Result<(), DatabasesError> {
    for zone in list(&request.members(), "AvailabilityZones", "AvailabilityZone")? {
        let read = zone.parse::<types::AvailabilityZone>().ok();
        if read.is_none_or(|read| read.region != request.region()) {
            let text = format!("{} is not a valid availability zone", shown(zone));
            return Err(DatabasesError::value(text));
        }
    }
    Ok(())
}

/// Is the name of a new cluster free, and is there room for it?
fn check_name(view: &dyn ConfigurationView, cluster: &Cluster) -> Result<(), DatabasesError> {
    if catalogue::cluster_named(view, &cluster.arn)?.is_some() {
        let text = "DB Cluster already exists";
        return Err(DatabasesError::refused(
            Refusal::DbClusterAlreadyExists,
            text,
        ));
    }
    let mut all = catalogue::clusters(view)?;
    all.retain(|(_, held)| held.arn.account == cluster.arn.account);
    if all.len() >= MAX_CLUSTERS {
        let text = format!("Cluster quota exceeded: {MAX_CLUSTERS} DB clusters");
        return Err(DatabasesError::refused(
            Refusal::DbClusterQuotaExceeded,
            text,
        ));
    }
    Ok(())
}

fn draw_addresses(
    service: &Service,
    view: &dyn ConfigurationView,
    cluster: &mut Cluster,
) -> Result<(), DatabasesError> {
    let writer = addresses::draw(service, view, cluster.port)?;
    cluster.writer_address = writer;
    cluster.reader_address = addresses::draw_besides(service, view, cluster.port, Some(writer))?;
    Ok(())
}

/// The cluster that a request names by `DBClusterIdentifier`.
pub(super) fn named(
    view: &dyn ConfigurationView,
    request: &DatabasesRequest<'_>,
) -> Result<Row<Cluster>, DatabasesError> {
    named_by(view, request, request.required("DBClusterIdentifier")?)
}

/// The cluster of that name, or of that ARN, of this Region.
pub(super) fn named_by(
    view: &dyn ConfigurationView,
    request: &DatabasesRequest<'_>,
    name: &str,
) -> Result<Row<Cluster>, DatabasesError> {
    let found = match name.parse::<crate::arn::ClusterArn>() {
        Ok(arn) if arn.account == request.account() && arn.region == request.region() => {
            catalogue::cluster_named(view, &arn)?
        }
        Ok(_) => None,
        Err(_) => match names::instance("DBClusterIdentifier", name) {
            Ok(name) => catalogue::cluster_named(view, &request.cluster_arn(&name))?,
            Err(_) => None,
        },
    };
    found.ok_or_else(|| common::no_cluster(name))
}

/// `DescribeDBClusters`: all, or one by its name, or those that pass filters.
pub(crate) async fn describe(
    service: &Service,
    request: &DatabasesRequest<'_>,
) -> Result<Reply, DatabasesError> {
    let known = [
        "db-cluster-id",
        "db-cluster-resource-id",
        "engine",
        "clone-group-id",
        "domain",
    ];
    let filters = Filters::of(request, &known)?;
    let paging = Paging::of(request)?;
    request.flag("IncludeShared")?;
    let view = service.view();
    let mut found = match request.text("DBClusterIdentifier") {
        Some(_) => vec![named(&*view, request)?],
        None => catalogue::clusters(&*view)?,
    };
    found.retain(|(_, cluster)| {
        let arn = cluster.arn.to_string();
        cluster.arn.account == request.account()
            && filters.pass(&[
                ("db-cluster-id", &cluster.arn.identifier),
                ("db-cluster-id", &arn),
                ("db-cluster-resource-id", &cluster.resource_id.0),
                ("engine", AURORA),
            ])
    });
    let keyed = found
        .into_iter()
        .map(|(_, row)| (row.arn.identifier.clone(), row));
    let mut outcome = Ok(());
    let mut reply = request.reply();
    let list = ("DBClusters", "DBCluster");
    paging.write(reply.writer(), list, keyed.collect(), |writer, cluster| {
        if let Err(error) = show(service, &*view, writer, &cluster) {
            outcome = Err(error);
        }
    });
    outcome.map(|()| reply)
}

fn show(
    service: &Service,
    view: &dyn ConfigurationView,
    writer: &mut XmlWriter,
    cluster: &Cluster,
) -> Result<(), DatabasesError> {
    let global = service.global_view();
    let found = catalogue::global_of(&*global, &cluster.arn, &cluster.resource_id)?;
    let global = found.map(|(_, row)| row);
    let (head, readers) = membership::instances_of(view, cluster)?;
    let custom = catalogue::endpoints_of(view, cluster)?;
    let instances = (head.as_ref(), &*readers);
    shapes::cluster(writer, cluster, global.as_ref(), instances, &custom);
    Ok(())
}

pub(super) fn reply(
    service: &Service,
    request: &DatabasesRequest<'_>,
    cluster: &Cluster,
) -> Result<Reply, DatabasesError> {
    let mut reply = request.reply();
    reply.writer().open("DBCluster");
    show(service, &*service.view(), reply.writer(), cluster)?;
    reply.writer().close();
    Ok(reply)
}

/// `ModifyDBCluster`: all at once, for nothing of it waits for a window.
pub(crate) async fn modify(
    service: &Service,
    request: &DatabasesRequest<'_>,
) -> Result<Reply, DatabasesError> {
    request.required("DBClusterIdentifier")?;
    refuse_unbuilt(request)?;
    request.refuse_unbuilt(&["Port"])?;
    request.flag("ApplyImmediately")?;
    let given = request.text("MasterUserPassword");
    let verifier = given.map(|given| password::verifier(given, service.environment()));
    let verifier = verifier.transpose()?;
    let security_groups = place::security_groups(service, request)?;
    let given = Given {
        verifier,
        security_groups,
    };
    // What is refused leaves the council's row as it is.
    modified(service, request, &*service.view(), &given)?;
    let forwards = forwarding::set(service, request).await?;
    let made = service.change(|view: &dyn ConfigurationView| {
        let (row, mut cluster, mut edits) = modified(service, request, view, &given)?;
        cluster.write_forwarding = forwards.unwrap_or(cluster.write_forwarding);
        if cluster != row.1 {
            edits.push(catalogue::replace_cluster(row.0, &cluster));
        }
        Ok((edits, cluster))
    });
    let cluster = made.await?;
    if let Some(head) = &cluster.head {
        service.look_at(head);
    }
    reply(service, request, &cluster)
}

/// What a modification gives that took more than its request to read.
struct Given {
    verifier: Option<Verifier>,
    security_groups: Option<Vec<String>>,
}

/// A cluster's row, what a modification makes of it but for write forwarding, and what else that
/// changes.
fn modified(
    service: &Service,
    request: &DatabasesRequest<'_>,
    view: &dyn ConfigurationView,
    given: &Given,
) -> Result<(Row<Cluster>, Cluster, Vec<types::ConfigurationEdit>), DatabasesError> {
    let row = named(view, request)?;
    let mut cluster = row.1.clone();
    check_version(request, &cluster)?;
    let held = (
        cluster.backup_window.clone(),
        cluster.maintenance_window.clone(),
    );
    (cluster.backup_window, cluster.maintenance_window) = windows::read(request, held)?;
    let retention = request.number("BackupRetentionPeriod", (1, MAX_RETENTION))?;
    if let Some(days) = retention.and_then(|days| u8::try_from(days).ok()) {
        cluster.backup_retention = days;
    }
    if let Some(groups) = &given.security_groups {
        cluster.security_groups = groups.clone();
    }
    if request.text("DBClusterParameterGroupName").is_some() {
        cluster.parameter_group = cluster_parameter_groups::of_request(service, view, request)?;
    }
    let copies = request.flag("CopyTagsToSnapshot")?;
    cluster.copy_tags_to_snapshot = copies.unwrap_or(cluster.copy_tags_to_snapshot);
    let protects = request.flag("DeletionProtection")?;
    cluster.deletion_protection = protects.unwrap_or(cluster.deletion_protection);
    let mut edits = Vec::new();
    if let Some(verifier) = &given.verifier {
        edits.extend(set_password(service, view, &mut cluster, verifier)?);
    }
    Ok((row, cluster, edits))
}

fn check_version(request: &DatabasesRequest<'_>, held: &Cluster) -> Result<(), DatabasesError> {
    let engine = Engine::new(&held.engine_version);
    let is_held = |asked: &str| engine.as_ref().is_ok_and(|engine| engine.is(asked));
    match request
        .text("EngineVersion")
        .filter(|asked| !is_held(asked))
    {
        None => Ok(()),
        Some(asked) => {
            let part = format!("Another EngineVersion ({})", shown(asked));
            Err(DatabasesError::not_built(&part))
        }
    }
}

/// Has the writer's head get a password; without a head, the cluster keeps it until it has one.
fn set_password(
    service: &Service,
    view: &dyn ConfigurationView,
    cluster: &mut Cluster,
    verifier: &Verifier,
) -> Result<Option<types::ConfigurationEdit>, DatabasesError> {
    let global = service.global_view();
    let found = catalogue::global_of(&*global, &cluster.arn, &cluster.resource_id)?;
    let is_other = |row: &GlobalCluster| row.writer.as_ref() != Some(&cluster.arn);
    if found.is_some_and(|(_, row)| is_other(&row)) {
        let text = "The master user password of a secondary cluster is its global cluster's \
                    writer's: it can't be changed here.";
        return Err(DatabasesError::combination(text));
    }
    let head = cluster
        .head
        .as_ref()
        .map(|id| catalogue::instance(view, id));
    let Some((revision, mut head)) = head.transpose()?.flatten() else {
        cluster.master.verifier = Some(verifier.clone());
        return Ok(None);
    };
    head.master.verifier = Some(verifier.clone());
    head.master.asked += 1;
    Ok(Some(catalogue::replace_instance(revision, &head)))
}
