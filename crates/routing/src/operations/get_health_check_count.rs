//! `GetHealthCheckCount`.

use crate::request::{Reply, Request, document};
use crate::{RoutingError, Service, check};

pub(crate) async fn execute(service: &Service, _: &Request<'_>) -> Result<Reply, RoutingError> {
    let mut writer = document("GetHealthCheckCountResponse");
    writer.value("HealthCheckCount", check::count(&*service.view()));
    Ok(Reply::ok(writer))
}
