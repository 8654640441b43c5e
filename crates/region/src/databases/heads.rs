//! Who may follow a global cluster's writer: by the council's configuration, the heads of the other
//! members. It asks nobody; what it knows may be late, and then nobody gets anything.

use databases::model::{GlobalCluster, Head, ResourceId};
use databases::{catalogue, follower_slot};
use types::{ConfigurationView, Region};

use super::question::LeaveRequest;

/// Has that Region a head that follows the instance `writer`, which is a writer's head?
pub(super) fn follows_at(
    global: &dyn ConfigurationView,
    writer: &ResourceId,
    region: Region,
) -> bool {
    let mut found = false;
    visit_followers(global, writer, &mut |head| found |= head.arn.region == region);
    found
}

/// The slot that the writer's head keeps for the head that asks, if it follows it by what is known
/// here and is that Region's.
pub(super) fn slot_of(
    global: &dyn ConfigurationView,
    request: &LeaveRequest,
    peer: Region,
) -> Option<String> {
    let mut found = None;
    visit_followers(global, &request.source_id, &mut |head| {
        if head.resource_id == request.replica_id && head.arn.region == peer {
            found = Some(follower_slot(&head.resource_id));
        }
    });
    found
}

/// Visits the heads that follow that instance: it must be the head of the member that writes.
fn visit_followers(
    global: &dyn ConfigurationView,
    writer: &ResourceId,
    visitor: &mut dyn FnMut(&Head),
) {
    catalogue::visit_global_clusters(global, &mut |_, row| match row {
        Ok(row) if writes(&row, writer) => {
            let heads = row.members.values().filter_map(|it| it.head.as_ref());
            heads.filter(|head| head.resource_id != *writer).for_each(&mut *visitor);
        }
        Ok(_) => {}
        Err(cause) => tracing::error!(%cause, "a global cluster can't be read"),
    });
}

fn writes(row: &GlobalCluster, instance: &ResourceId) -> bool {
    row.writing_head().is_some_and(|head| head.resource_id == *instance)
}
