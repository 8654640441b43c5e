//! `GetHealthCheckLastFailureReason`: what each checker saw when a probe last failed; nothing of
//! those that never saw one fail.

use crate::access::Allowed;
use crate::request::{Reply, Request, document};
use crate::{RoutingError, Service, check, ids};

pub(crate) async fn execute(
    service: &Service,
    request: &Request<'_>,
    allowed: &Allowed,
) -> Result<Reply, RoutingError> {
    let id = request.health_check();
    check::find(&*service.view(), allowed.account(), &id)?;
    let mut writer = document("GetHealthCheckLastFailureReasonResponse");
    writer.open("HealthCheckObservations");
    for seen in service.config.nodes.observations(&id) {
        let Some((status, checked)) = &seen.last_failure else {
            continue;
        };
        writer
            .open("HealthCheckObservation")
            .value("Region", seen.region)
            .value("IPAddress", seen.address)
            .open("StatusReport")
            .value("Status", status)
            .value("CheckedTime", ids::time(*checked))
            .close()
            .close();
    }
    Ok(Reply::ok(writer))
}
