//! DB instances: to start, stop and reboot them.

use aws::query::Reply;
use types::ConfigurationView;

use super::{common, heads, instances, multi_az, snapshots};
use crate::catalogue;
use crate::error::DatabasesError;
use crate::events;
use crate::model::{Cause, Instance, Power};
use crate::progress::apply_pending;
use crate::request::DatabasesRequest;
use crate::service::{Attempt, Service};
use crate::status::Status;

/// `StartDBInstance`.
pub(crate) async fn start(
    service: &Service,
    request: &DatabasesRequest<'_>,
) -> Result<Reply, DatabasesError> {
    change(service, request, |view| {
        let (revision, mut instance) = common::named(view, request)?;
        let status = common::status_of(service, view, &instance)?;
        // RDS leaves that to its support: whoever has mended the disk here has nobody to ask.
        let is_mended = status == Status::Failed && instance.was_available();
        if !is_mended {
            heads::refuse(&instance, "it can't be started on its own")?;
        }
        if status != Status::Stopped && !is_mended {
            return Err(DatabasesError::state(format!(
                "Instance {} cannot be started as it is not in one of the following statuses: \
                 'stopped'.",
                instance.arn.identifier
            )));
        }
        instance.failure = None;
        instance.power = Power::Running;
        instance.renew(Cause::Start);
        let edits = vec![catalogue::replace_instance(revision, &instance)];
        Ok((edits, instance))
    })
    .await
}

/// `StopDBInstance`, perhaps with a snapshot first. It isn't started again after seven days.
pub(crate) async fn stop(
    service: &Service,
    request: &DatabasesRequest<'_>,
) -> Result<Reply, DatabasesError> {
    change(service, request, |view| {
        let (revision, mut instance) = common::named(view, request)?;
        heads::refuse(&instance, "it can't be stopped on its own")?;
        if instance.source.is_some() {
            let text = "Cannot stop or start a read replica instance";
            return Err(DatabasesError::state(text));
        }
        if !instance.replicas.is_empty() {
            let text = "Cannot stop or start an instance that has read replicas";
            return Err(DatabasesError::state(text));
        }
        common::demand(service, view, &instance, &[Status::Available])?;
        let mut edits = Vec::new();
        if let Some(name) = request.text("DBSnapshotIdentifier") {
            let snapshot = snapshots::new(service, view, request, &instance, name)?;
            edits.push(snapshots::made(&snapshot));
        }
        instance.power = Power::Stopped;
        instance.renew(Cause::Stop);
        edits.push(catalogue::replace_instance(revision, &instance));
        Ok((edits, instance))
    })
    .await
}

/// `RebootDBInstance`: what waited for the maintenance window is in force afterwards.
pub(crate) async fn reboot(
    service: &Service,
    request: &DatabasesRequest<'_>,
) -> Result<Reply, DatabasesError> {
    let is_forced = request.flag("ForceFailover")? == Some(true);
    change(service, request, |view| {
        let (revision, mut instance) = common::named(view, request)?;
        common::demand(service, view, &instance, instances::CHANGEABLE)?;
        heads::refuse_amid_move(service, view, &instance)?;
        let mut told = Vec::new();
        match is_forced {
            // The standby's server runs already, with all that it can have before its next start.
            true => multi_az::force(&mut instance)?,
            false => {
                told = apply_pending(view, service.environment(), &mut instance)?;
                instance.renew(Cause::Reboot);
            }
        }
        let mut edits = vec![catalogue::replace_instance(revision, &instance)];
        edits.extend(events::edits(view, service.now(), told));
        Ok((edits, instance))
    })
    .await
}

async fn change(
    service: &Service,
    request: &DatabasesRequest<'_>,
    attempt: impl FnMut(&dyn ConfigurationView) -> Attempt<Instance>,
) -> Result<Reply, DatabasesError> {
    let instance = service.change(attempt).await?;
    service.look_at(&instance.resource_id);
    common::reply(service, request, &instance)
}
