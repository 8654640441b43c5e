//! May a switchover go to a member? Its old writer stops before its new one is promoted, so one
//! that doesn't follow would have nobody write for a minute, and come to nothing. What is known
//! here may be late: whoever follows no more is found out by the plan, and calls the move off.

use types::Span;

use crate::arn::ClusterArn;
use crate::attach;
use crate::catalogue;
use crate::error::{DatabasesError, Refusal};
use crate::model::{GlobalCluster, ResourceId};
use crate::plan::Role;
use crate::service::Service;

/// One that is later than this doesn't stream, or not fast enough to come to an end in time.
const MOST_BEHIND: Span = Span::seconds(30);

/// Refuses a target that doesn't follow the latest writer, as far as that is known here: in every
/// Region by the row, in the target's by its server, in the writer's by how late it was last.
///
/// # Errors
///
/// `InvalidDBClusterStateFault`, with what is in the way.
pub(super) fn check(
    service: &Service,
    row: &GlobalCluster,
    to: &ClusterArn,
) -> Result<(), DatabasesError> {
    let refused = |why: &str| {
        let text = format!(
            "{to} can't take over in order: {why}. Try again once it follows, or use \
             FailoverGlobalCluster with AllowDataLoss."
        );
        let state = Refusal::InvalidDbClusterState;
        Err(DatabasesError::refused(state, text))
    };
    let head = row.member(to).and_then(|member| member.head.as_ref());
    let Some(head) = head.filter(|head| head.epoch == row.epoch) else {
        return refused("it doesn't follow the primary cluster's latest writer yet");
    };
    if to.region == service.config.region && !receives(service, &head.resource_id)? {
        return refused("it receives nothing from the primary cluster");
    }
    match lag(service, row, &head.resource_id)? {
        Some(lag) if lag > MOST_BEHIND => refused(&format!("it is {lag} behind")),
        _ => Ok(()),
    }
}

/// Does the server of a head of this Region receive, or is nothing known of it?
fn receives(service: &Service, head: &ResourceId) -> Result<bool, DatabasesError> {
    let found = catalogue::instance(&*service.view(), head)?;
    let standing = found.and_then(|(_, row)| service.config.servers.standing(&row.home().0));
    Ok(standing.is_none_or(|standing| {
        let server = standing.observed.server;
        server.is_some_and(|it| it.role == Some(Role::Standby) && it.receives)
    }))
}

/// How late a head is, if the writer's is of this Region.
fn lag(
    service: &Service,
    row: &GlobalCluster,
    head: &ResourceId,
) -> Result<Option<Span>, DatabasesError> {
    let Some(writer) = row.writing_head() else {
        return Ok(None);
    };
    let found = catalogue::instance(&*service.view(), &writer.resource_id)?;
    let slot = attach::slot(head);
    let lag = |(_, own): (u64, crate::model::Instance)| {
        service.config.servers.lag_of(&own.home().0, &slot)
    };
    Ok(found.and_then(lag))
}
