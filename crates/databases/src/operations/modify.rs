//! `ModifyDBInstance`: what is changed at once, what needs the server to start anew, and what waits
//! for the maintenance window.

use aws::query::Reply;
use types::ConfigurationView;

use super::instances::{CHANGEABLE, check_engine};
use super::{common, heads, multi_az};
use crate::catalogue;
use crate::engine::{AURORA, Engine};
use crate::error::DatabasesError;
use crate::events::{self, Category, Telling};
use crate::input::{password, place, windows};
use crate::limits::{MAX_RETENTION, PORTS};
use crate::memory;
use crate::model::{Cause, Instance, Verifier};
use crate::request::{DatabasesRequest, shown};
use crate::service::Service;

/// Parameters of this operation alone that mean something which isn't built.
const UNBUILT: &[&str] = &[
    "AutomationMode",
    "AwsBackupRecoveryPointArn",
    "CertificateRotationRestart",
    "CloudwatchLogsExportConfiguration",
    "DBSubnetGroupName",
    "DisableDomain",
    "NewDBInstanceIdentifier",
    "ResumeFullAutomationModeMinutes",
    "RotateMasterUserPassword",
    "UseDefaultProcessorFeatures",
];

/// What a request asks for, as far as no view is needed to read it.
struct Asked {
    is_immediate: bool,
    verifier: Option<Verifier>,
    class: Option<String>,
    port: Option<u16>,
    retention: Option<u8>,
    security_groups: Option<Vec<String>>,
}

/// `ModifyDBInstance`.
pub(crate) async fn modify(
    service: &Service,
    request: &DatabasesRequest<'_>,
) -> Result<Reply, DatabasesError> {
    request.required("DBInstanceIdentifier")?;
    common::refuse_unbuilt_besides(request, &["MultiAZ", "PromotionTier"])?;
    request.refuse_unbuilt(UNBUILT)?;
    if let Some(name) = request.text("Engine").filter(|name| *name != AURORA) {
        check_engine(name)?;
    }
    let asked = read(service, request)?;
    let made = service.change(|view: &dyn ConfigurationView| {
        let row = common::named(view, request)?;
        common::demand(service, view, &row.1, CHANGEABLE)?;
        let mut instance = row.1.clone();
        check_held(request, &instance)?;
        heads::refuse_changes(request, &instance)?;
        heads::set_tier(request, &mut instance)?;
        let mut told = Vec::new();
        settings(request, &asked, &mut instance)?;
        groups(service, view, request, &mut instance)?;
        master(&asked, &mut instance)?;
        server(&asked, &mut instance, &mut told)?;
        let at_once = asked.is_immediate;
        told.extend(multi_az::modify(
            service,
            view,
            request,
            at_once,
            &mut instance,
        )?);
        if instance.generation != row.1.generation {
            heads::refuse_amid_move(service, view, &row.1)?;
        }
        if instance == row.1 {
            return Ok((Vec::new(), instance));
        }
        if memory::of(&instance) > memory::of(&row.1) {
            memory::check(view, &instance, service.config.memory)?;
        }
        let mut edits = vec![catalogue::replace_instance(row.0, &instance)];
        edits.extend(events::edits(view, service.now(), told));
        Ok((edits, instance))
    });
    let instance = made.await?;
    service.look_at(&instance.resource_id);
    common::reply(service, request, &instance)
}

fn read(service: &Service, request: &DatabasesRequest<'_>) -> Result<Asked, DatabasesError> {
    let environment = service.environment();
    let given = request.text("MasterUserPassword");
    let verifier = given.map(|given| password::verifier(given, environment));
    let port = request.number("DBPortNumber", PORTS)?;
    let retention = request.number("BackupRetentionPeriod", (0, MAX_RETENTION))?;
    Ok(Asked {
        is_immediate: request.flag("ApplyImmediately")?.unwrap_or(false),
        verifier: verifier.transpose()?,
        class: common::class(request)?,
        port: port.and_then(|port| u16::try_from(port).ok()),
        retention: retention.and_then(|days| u8::try_from(days).ok()),
        security_groups: place::security_groups(service, request)?,
    })
}

/// Refuses what can't be changed, unless the request says what is so already.
fn check_held(request: &DatabasesRequest<'_>, instance: &Instance) -> Result<(), DatabasesError> {
    let engine = Engine::new(&instance.engine_version);
    let version = request.text("EngineVersion");
    let is_held = |asked: &str| engine.as_ref().is_ok_and(|engine| engine.is(asked));
    if let Some(version) = version.filter(|version| !is_held(version)) {
        let part = format!("Another EngineVersion ({})", shown(version));
        return Err(DatabasesError::not_built(&part));
    }
    let held = instance.allocated_storage.to_string();
    let storage = request.text("AllocatedStorage");
    if storage.is_some_and(|storage| storage != held) {
        return Err(DatabasesError::not_built("Another AllocatedStorage"));
    }
    Ok(())
}

/// What is changed by being written down.
fn settings(
    request: &DatabasesRequest<'_>,
    asked: &Asked,
    instance: &mut Instance,
) -> Result<(), DatabasesError> {
    let held = (
        instance.backup_window.clone(),
        instance.maintenance_window.clone(),
    );
    (instance.backup_window, instance.maintenance_window) = windows::read(request, held)?;
    for (name, held) in [
        (
            "AutoMinorVersionUpgrade",
            &mut instance.auto_minor_version_upgrade,
        ),
        ("CopyTagsToSnapshot", &mut instance.copy_tags_to_snapshot),
        ("DeletionProtection", &mut instance.deletion_protection),
        ("PubliclyAccessible", &mut instance.publicly_accessible),
    ] {
        *held = request.flag(name)?.unwrap_or(*held);
    }
    if let Some(kind) = common::storage_type(request)? {
        instance.storage_type = kind;
    }
    if let Some(groups) = &asked.security_groups {
        instance.security_groups = groups.clone();
    }
    let Some(days) = asked.retention else {
        return Ok(());
    };
    if days == 0 && !instance.replicas.is_empty() {
        let text = "The backup retention period can't be set to 0 for a DB instance that has read \
                    replicas.";
        return Err(DatabasesError::combination(text));
    }
    // What begins or ends backups waits for the window, as at RDS.
    let is_switch = (days == 0) != (instance.backup_retention == 0);
    match is_switch && !asked.is_immediate {
        true => instance.pending.backup_retention = Some(days),
        false => {
            instance.backup_retention = days;
            instance.pending.backup_retention = None;
        }
    }
    Ok(())
}

/// The groups that it is given. Another parameter group is in force from the next reboot on.
fn groups(
    service: &Service,
    view: &dyn ConfigurationView,
    request: &DatabasesRequest<'_>,
    instance: &mut Instance,
) -> Result<(), DatabasesError> {
    let engine = common::engine(service)?;
    if let Some(name) = common::option_group(view, request, engine)? {
        instance.option_group = name;
    }
    let name = common::parameter_group(view, request, engine)?;
    if let Some(name) = name.filter(|name| *name != instance.parameter_group) {
        instance.parameter_group = name;
        instance.parameter_group_since = instance.generation;
    }
    Ok(())
}

fn master(asked: &Asked, instance: &mut Instance) -> Result<(), DatabasesError> {
    let Some(verifier) = &asked.verifier else {
        return Ok(());
    };
    if instance.source.is_some() {
        let text = "The master user password of a read replica is its source's: it can't be \
                    changed on the replica.";
        return Err(DatabasesError::combination(text));
    }
    instance.master.verifier = Some(verifier.clone());
    instance.master.asked += 1;
    Ok(())
}

/// What its server has to start anew for.
fn server(
    asked: &Asked,
    instance: &mut Instance,
    told: &mut Vec<Telling>,
) -> Result<(), DatabasesError> {
    let mut changes = false;
    match &asked.class {
        Some(class) if *class == instance.class => instance.pending.class = None,
        Some(class) if !asked.is_immediate => instance.pending.class = Some(class.clone()),
        Some(class) => {
            instance.class = class.clone();
            instance.pending.class = None;
            changes = true;
        }
        None => {}
    }
    // RDS changes a port at once, whatever is said of the rest.
    if let Some(port) = asked.port.filter(|port| *port != instance.port) {
        instance.port = port;
        changes = true;
    }
    if changes {
        instance.renew(Cause::Modify);
        let text = "Applying modification to DB instance";
        let category = Category::ConfigurationChange;
        told.push(Telling::of_instance(instance, category, text));
    }
    Ok(())
}
