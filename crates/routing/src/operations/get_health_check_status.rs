//! `GetHealthCheckStatus`: what each checker saw last.

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
    let mut writer = document("GetHealthCheckStatusResponse");
    writer.open("HealthCheckObservations");
    for seen in service.config.nodes.observations(&id) {
        writer
            .open("HealthCheckObservation")
            .value("Region", seen.region)
            .value("IPAddress", seen.address)
            .open("StatusReport")
            .value("Status", &seen.status)
            .value("CheckedTime", ids::time(seen.checked))
            .close()
            .close();
    }
    Ok(Reply::ok(writer))
}
