//! May a switchover go to a member? Its old writer stops before its new one is promoted, so one
//! that doesn't follow, or isn't heard, would have nobody write for a while, and come to nothing.
//! What is known here may be late: whoever follows no more is found out by the plan, and calls the
//! move off.

use types::Span;

use crate::arn::ClusterArn;
use crate::attach;
use crate::catalogue;
use crate::error::{DatabasesError, Refusal};
use crate::lease::LEASE;
use crate::model::{GlobalCluster, ResourceId};
use crate::plan::Role;
use crate::service::Service;

/// One that is later than this doesn't stream, or not fast enough to come to an end in time.
const MOST_BEHIND: Span = Span::seconds(30);

/// Refuses a target that doesn't follow the latest writer, as far as that is known here: in every
/// Region by the row, in the target's by its server, in the writer's by how late it was last. And
/// one whose Region is silent, in every Region that hears the council and has a member: it could
/// not be told to take over, nor say that it does.
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
    if let Some(silent) = silence(service, to).filter(|silent| *silent >= LEASE) {
        let seconds = silent.0 / 1_000_000;
        return refused(&format!(
            "nothing has been heard of its Region for {seconds} s"
        ));
    }
    match lag(service, row, &head.resource_id)? {
        Some(lag) if lag > MOST_BEHIND => refused(&format!("it is {lag} behind")),
        _ => Ok(()),
    }
}

/// For how long nothing was heard of a member's Region, as far as that is known here.
fn silence(service: &Service, to: &ClusterArn) -> Option<Span> {
    let now = service.environment().now().monotonic;
    let since = service.config.servers.silent_since(to.region, now)?;
    Some(now - since)
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
