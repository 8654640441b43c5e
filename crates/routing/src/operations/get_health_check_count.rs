//! `GetHealthCheckCount`.

use crate::access::Allowed;
use crate::request::{Reply, Request, document};
use crate::{RoutingError, Service, check};

pub(crate) async fn execute(
    service: &Service,
    _: &Request<'_>,
    allowed: &Allowed,
) -> Result<Reply, RoutingError> {
    let mut writer = document("GetHealthCheckCountResponse");
    writer.value(
        "HealthCheckCount",
        check::count(&*service.view(), allowed.account())?,
    );
    Ok(Reply::ok(writer))
}
