//! Global clusters: to make, describe, change and delete them, to part with members, and to have
//! another member write. Each is one edit of the council's row, so any Region that hears a majority
//! takes it; what follows of it, the heads' plans carry out.

use aws::query::Reply;
use aws::xml::XmlWriter;
use types::ConfigurationView;

use super::{clusters, common, in_step, source_clusters};
use crate::arn::ClusterArn;
use crate::catalogue::{self, Row};
use crate::engine::Engine;
use crate::error::{DatabasesError, Refusal};
use crate::input::names;
use crate::limits::MAX_GLOBAL_CLUSTERS;
use crate::model::{GlobalCluster, MoveKind, Phase, Tags};
use crate::request::{DatabasesRequest, Filters, Paging, shown};
use crate::service::Service;
use crate::{automatic, ids, keys, shapes, tags};

/// What `EngineLifecycleSupport` can say; nothing follows from it.
pub(super) const LIFECYCLES: &[&str] = &[
    "open-source-rds-extended-support",
    "open-source-rds-extended-support-disabled",
];

/// The parameter that names the member which is to write.
const TARGET: &str = "TargetDbClusterIdentifier";

/// Why a move is called off that a request takes away, or overrides with another.
const CALLED_OFF: &str = "another request has called it off";

fn state(text: impl Into<String>) -> DatabasesError {
    DatabasesError::refused(Refusal::InvalidGlobalClusterState, text)
}

fn cluster_state(text: impl Into<String>) -> DatabasesError {
    DatabasesError::refused(Refusal::InvalidDbClusterState, text)
}

/// The global cluster of that name.
pub(super) fn named(
    view: &dyn ConfigurationView,
    request: &DatabasesRequest<'_>,
    name: &str,
) -> Result<Row<GlobalCluster>, DatabasesError> {
    let own = own_name(name)?;
    let found = catalogue::global_cluster(view, request.account(), &own)?;
    found.ok_or_else(|| missing(name))
}

/// Refuses a name that no global cluster can have: whether there is one, nobody need be asked.
pub(super) fn check_name(name: &str) -> Result<(), DatabasesError> {
    own_name(name).map(drop)
}

fn own_name(name: &str) -> Result<String, DatabasesError> {
    names::instance("GlobalClusterIdentifier", name).map_err(|_| missing(name))
}

fn missing(name: &str) -> DatabasesError {
    let text = format!("Global cluster {} not found", shown(name));
    DatabasesError::refused(Refusal::GlobalClusterNotFound, text)
}

/// Changes the global cluster that a request names, and answers with it.
async fn change(
    service: &Service,
    request: &DatabasesRequest<'_>,
    mut amend: impl FnMut(&mut GlobalCluster) -> Result<(), DatabasesError>,
) -> Result<Reply, DatabasesError> {
    let name = request.required("GlobalClusterIdentifier")?;
    check_name(name)?;
    let made = service.change_global_confirmed(|view: &dyn ConfigurationView| {
        let (revision, mut row) = named(view, request, name)?;
        let before = row.clone();
        amend(&mut row)?;
        let edits = match row == before {
            true => Vec::new(),
            false => vec![catalogue::replace(
                catalogue::global_key(&row),
                revision,
                &row,
            )],
        };
        Ok((edits, (before, row)))
    });
    let ((before, row), _) = made.await?;
    wake(service, &row)?;
    service.tell_of_move((&before, &row), CALLED_OFF).await;
    reply(service, request, &row)
}

/// Has heads of this Region looked at; others' Regions see the council's configuration change.
fn wake(service: &Service, row: &GlobalCluster) -> Result<(), DatabasesError> {
    for member in row.members.values() {
        if let Some((_, cluster)) = catalogue::cluster(&*service.view(), &member.resource_id)?
            && let Some(head) = &cluster.head
        {
            service.look_at(head);
        }
    }
    Ok(())
}

fn reply(
    service: &Service,
    request: &DatabasesRequest<'_>,
    row: &GlobalCluster,
) -> Result<Reply, DatabasesError> {
    let forced = service.forced_of(&*service.view(), row)?;
    let mut reply = request.reply();
    let writer: &mut XmlWriter = reply.writer();
    writer.open("GlobalCluster");
    shapes::global_cluster(writer, row, forced.as_ref());
    writer.close();
    Ok(reply)
}

/// `CreateGlobalCluster`: it has no members yet, but for the cluster that it is made of.
pub(crate) async fn create(
    service: &Service,
    request: &DatabasesRequest<'_>,
) -> Result<Reply, DatabasesError> {
    let name = request.required("GlobalClusterIdentifier")?;
    let name = names::instance("GlobalClusterIdentifier", name)?;
    request.refuse_unbuilt(&["StorageEncrypted"])?;
    if let Some(value) = request
        .text("EngineLifecycleSupport")
        .filter(|it| !LIFECYCLES.contains(it))
    {
        let text = format!("Invalid EngineLifecycleSupport: {}", shown(value));
        return Err(DatabasesError::value(text));
    }
    let source = request.text("SourceDBClusterIdentifier");
    if source.is_none() {
        let missing = "When creating standalone global cluster, value for engineName should be \
                       specified";
        let engine = request.text("Engine");
        clusters::check_engine(engine.ok_or_else(|| DatabasesError::combination(missing))?)?;
    }
    let database = request
        .text("DatabaseName")
        .map(names::database)
        .transpose()?;
    let mut held = Tags::new();
    tags::add(&mut held, &tags::read(&request.members())?)?;
    automatic::span_of(&held)?;
    let row = GlobalCluster {
        resource_id: ids::global_cluster(service.environment()),
        account: request.account(),
        identifier: name,
        engine_version: super::instances::check_version(request, common::engine(service)?)?,
        database: database.flatten(),
        deletion_protection: request.flag("DeletionProtection")?.unwrap_or(false),
        tags: held,
        created: service.now(),
        master_username: None,
        members: Default::default(),
        writer: None,
        epoch: 0,
        moves: 0,
        moving: None,
        forks: Vec::new(),
    };
    if let Some(source) = source {
        let row = source_clusters::create(service, request, source, row).await?;
        wake(service, &row)?;
        return reply(service, request, &row);
    }
    let made = service.change_global_confirmed(|view: &dyn ConfigurationView| {
        check_new(view, &row)?;
        let edit = catalogue::create(catalogue::global_key(&row), &row);
        Ok((vec![edit], ()))
    });
    made.await?;
    reply(service, request, &row)
}

/// Is there room for one more, and is its name free?
pub(super) fn check_new(
    view: &dyn ConfigurationView,
    row: &GlobalCluster,
) -> Result<(), DatabasesError> {
    let mut all = catalogue::global_clusters(view)?;
    all.retain(|(_, held)| held.account == row.account);
    if all
        .iter()
        .any(|(_, held)| held.identifier == row.identifier)
    {
        let text = format!("Global Cluster {} already exists", row.identifier);
        return Err(DatabasesError::refused(
            Refusal::GlobalClusterAlreadyExists,
            text,
        ));
    }
    if all.len() >= MAX_GLOBAL_CLUSTERS {
        let text = format!("Global cluster quota exceeded: {MAX_GLOBAL_CLUSTERS}");
        return Err(DatabasesError::refused(
            Refusal::GlobalClusterQuotaExceeded,
            text,
        ));
    }
    Ok(())
}

/// `DescribeGlobalClusters`: all, or one by its name, or those that have a member.
pub(crate) async fn describe(
    service: &Service,
    request: &DatabasesRequest<'_>,
) -> Result<Reply, DatabasesError> {
    let filters = Filters::of(request, &["db-cluster-id", "region"])?;
    let paging = Paging::of(request)?;
    let view = service.global_view();
    let mut found = match request.text("GlobalClusterIdentifier") {
        Some(name) => vec![named(&*view, request, name)?],
        None => catalogue::global_clusters(&*view)?,
    };
    found.retain(|(_, row)| {
        let mut has: Vec<(&str, String)> = Vec::new();
        for member in row.members.values() {
            has.push(("db-cluster-id", member.arn.to_string()));
            has.push(("db-cluster-id", member.arn.identifier.clone()));
            has.push(("region", member.arn.region.to_string()));
        }
        let has: Vec<(&str, &str)> = has.iter().map(|(name, it)| (*name, it.as_str())).collect();
        row.account == request.account() && filters.pass(&has)
    });
    let own = service.view();
    let mut keyed = Vec::new();
    for (_, row) in found {
        let forced = service.forced_of(&*own, &row)?;
        keyed.push((row.identifier.clone(), (row, forced)));
    }
    let mut reply = request.reply();
    let list = ("GlobalClusters", "GlobalClusterMember");
    paging.write(reply.writer(), list, keyed, |writer, (row, forced)| {
        shapes::global_cluster(writer, &row, forced.as_ref());
    });
    Ok(reply)
}

/// `ModifyGlobalCluster`: its protection.
pub(crate) async fn modify(
    service: &Service,
    request: &DatabasesRequest<'_>,
) -> Result<Reply, DatabasesError> {
    request.refuse_unbuilt(&["NewGlobalClusterIdentifier", "AllowMajorVersionUpgrade"])?;
    let protects = request.flag("DeletionProtection")?;
    change(service, request, |row| {
        let engine = Engine::new(&row.engine_version);
        let is_held = |asked: &str| engine.as_ref().is_ok_and(|engine| engine.is(asked));
        if let Some(asked) = request
            .text("EngineVersion")
            .filter(|asked| !is_held(asked))
        {
            let part = format!("Another EngineVersion ({})", shown(asked));
            return Err(DatabasesError::not_built(&part));
        }
        row.deletion_protection = protects.unwrap_or(row.deletion_protection);
        Ok(())
    })
    .await
}

/// `DeleteGlobalCluster`: of one that has no members.
pub(crate) async fn delete(
    service: &Service,
    request: &DatabasesRequest<'_>,
) -> Result<Reply, DatabasesError> {
    let name = request.required("GlobalClusterIdentifier")?;
    check_name(name)?;
    let made = service.change_global_confirmed(|view: &dyn ConfigurationView| {
        let (revision, row) = named(view, request, name)?;
        if row.deletion_protection {
            let text = "Cannot delete protected Global Cluster, please disable deletion \
                        protection and try again.";
            return Err(DatabasesError::combination(text));
        }
        if !row.members.is_empty() {
            let arn = shapes::global_arn(row.account, &row.identifier);
            return Err(state(format!("Global Cluster {arn} is not empty")));
        }
        let key = keys::global_cluster(row.account, &row.identifier);
        let mut edits = vec![catalogue::remove(key, revision)];
        if let Some((revision, _)) = catalogue::decision(view, &row.resource_id)? {
            edits.push(catalogue::remove(
                keys::decision(&row.resource_id),
                revision,
            ));
        }
        Ok((edits, row))
    });
    let (row, _) = made.await?;
    reply(service, request, &row)
}

/// The ARN by which a request names a member. What is no ARN is none's, whatever is known here.
fn asked_member(
    request: &DatabasesRequest<'_>,
    parameter: &str,
) -> Result<ClusterArn, DatabasesError> {
    let global = request.required("GlobalClusterIdentifier")?;
    let text = request.required(parameter)?;
    text.parse().map_err(|_| no_member(text, global))
}

/// Refuses what is no member.
fn check_member(row: &GlobalCluster, arn: &ClusterArn) -> Result<(), DatabasesError> {
    match row.member(arn) {
        Some(_) => Ok(()),
        None => Err(no_member(&arn.to_string(), &row.identifier)),
    }
}

fn no_member(arn: &str, global: &str) -> DatabasesError {
    let (arn, global) = (shown(arn), shown(global));
    let text = format!("DBCluster {arn} is not a member of the global cluster {global}");
    DatabasesError::refused(Refusal::DbClusterNotFound, text)
}

/// Takes a member out of a global cluster. The last one leaves no history behind.
pub(super) fn part(row: &mut GlobalCluster, member: &ClusterArn) {
    row.members.remove(&member.to_string());
    if row.writer.as_ref() == Some(member) {
        row.writer = None;
        row.forks.clear();
    }
}

/// `RemoveFromGlobalCluster`: the member stands on its own, and takes writes.
pub(crate) async fn remove(
    service: &Service,
    request: &DatabasesRequest<'_>,
) -> Result<Reply, DatabasesError> {
    let view = service.view();
    let member = asked_member(request, "DbClusterIdentifier")?;
    let answer = change(service, request, |row| {
        check_member(row, &member)?;
        if row.moving.is_some() {
            return Err(state(format!(
                "Global cluster {} is failing over",
                row.identifier
            )));
        }
        if row.writer.as_ref() == Some(&member) && row.members.len() > 1 {
            return Err(state(
                "The primary cluster can't be removed while the global cluster has others",
            ));
        }
        part(row, &member);
        Ok(())
    })
    .await?;
    // It is no member any more, so nobody else wakes its head.
    if let Some((_, cluster)) = catalogue::cluster_named(&*view, &member)?
        && let Some(head) = &cluster.head
    {
        service.look_at(head);
    }
    Ok(answer)
}

/// `SwitchoverGlobalCluster`: nothing is lost.
pub(crate) async fn switch_over(
    service: &Service,
    request: &DatabasesRequest<'_>,
) -> Result<Reply, DatabasesError> {
    let to = asked_member(request, TARGET)?;
    refuse_unheard(service)?;
    change(service, request, |row| {
        begin(service, row, &to, MoveKind::Switchover)
    })
    .await
}

/// `FailoverGlobalCluster`: by leave to lose what hadn't crossed yet, or else as a switchover.
pub(crate) async fn fail_over(
    service: &Service,
    request: &DatabasesRequest<'_>,
) -> Result<Reply, DatabasesError> {
    let (loses, switches) = (request.flag("AllowDataLoss")?, request.flag("Switchover")?);
    if loses.is_some() && switches.is_some() {
        let text = "AllowDataLoss and Switchover can't be specified together.";
        return Err(DatabasesError::combination(text));
    }
    let to = asked_member(request, TARGET)?;
    let kind = match loses {
        Some(true) if service.is_unheard() || takes_back(service, request, &to)? => {
            return force(service, request, &to).await;
        }
        Some(true) => MoveKind::Failover,
        _ => {
            refuse_unheard(service)?;
            MoveKind::Switchover
        }
    };
    change(service, request, |row| begin(service, row, &to, kind)).await
}

/// Without a majority nobody can say that nothing is lost.
fn refuse_unheard(service: &Service) -> Result<(), DatabasesError> {
    match service.is_unheard() {
        false => Ok(()),
        true => Err(state(
            "This Region hears no majority of the sites, without which no writer is changed in \
             order. Only FailoverGlobalCluster with AllowDataLoss goes on, asked for in the \
             target's own Region: then two clusters may write until a majority is heard, and one \
             of them loses what it wrote.",
        )),
    }
}

/// Has this Region's own member take over without a majority of the sites.
async fn force(
    service: &Service,
    request: &DatabasesRequest<'_>,
    to: &ClusterArn,
) -> Result<Reply, DatabasesError> {
    let view = service.global_view();
    let name = request.required("GlobalClusterIdentifier")?;
    let (_, row) = named(&*view, request, name)?;
    check_member(&row, to)?;
    service.force((&*view, &row), to, request.caller()).await?;
    reply(service, request, &row)
}

/// Does a request take back what was forced here, before the council was asked for it? A move that
/// carries it out is called off as any other is. Of what this site doesn't know nothing was forced
/// here.
fn takes_back(
    service: &Service,
    request: &DatabasesRequest<'_>,
    to: &ClusterArn,
) -> Result<bool, DatabasesError> {
    let view = service.global_view();
    let name = own_name(request.required("GlobalClusterIdentifier")?)?;
    let found = catalogue::global_cluster(&*view, request.account(), &name)?;
    let Some((_, row)) = found.filter(|(_, row)| row.member(to).is_some()) else {
        return Ok(false);
    };
    let forced = service.forced_of(&*service.view(), &row)?;
    let is_back = forced.is_some_and(|(_, forced)| forced.can_be_taken_back(to));
    Ok(is_back && row.moving.is_none())
}

/// Has the writer's role be on its way to the member that a request names; or, if that is the one
/// that it is taken from, has it stay there. Whichever the phase: a target that was promoted
/// meanwhile writes only once the row says so of this very move, and never served before.
fn begin(
    service: &Service,
    row: &mut GlobalCluster,
    to: &ClusterArn,
    kind: MoveKind,
) -> Result<(), DatabasesError> {
    check_member(row, to)?;
    if row.moving.take_if(|moving| moving.from == *to).is_some() {
        return Ok(());
    }
    let Some(from) = row.writer.clone().filter(|writer| writer != to) else {
        return Err(cluster_state(format!(
            "{to} is the primary cluster already"
        )));
    };
    let has_head = |arn| row.member(arn).is_some_and(|member| member.head.is_some());
    if !has_head(to) {
        return Err(cluster_state(format!(
            "{to} has no DB instance that could take over"
        )));
    }
    if !has_head(&from) {
        return Err(cluster_state(format!("{from} has no DB instance")));
    }
    if let Some(moving) = &row.moving {
        // A switchover or a failover that can't go on is overridden; one that only goes on isn't.
        let goes_on = moving.to == *to
            && (moving.kind == MoveKind::Failover || moving.phase == Phase::Promoting);
        if kind == MoveKind::Switchover || goes_on {
            let word = shapes::moving_word(moving.kind);
            return Err(state(format!(
                "Global cluster {} is {word}",
                row.identifier
            )));
        }
    }
    if kind == MoveKind::Switchover {
        in_step::check(service, row, to)?;
    }
    row.begin_move(kind, (from, to.clone()), service.now());
    Ok(())
}
