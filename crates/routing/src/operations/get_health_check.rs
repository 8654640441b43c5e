//! `GetHealthCheck`.

use crate::access::Allowed;
use crate::request::{Reply, Request, document};
use crate::{RoutingError, Service, check};

pub(crate) async fn execute(
    service: &Service,
    request: &Request<'_>,
    allowed: &Allowed,
) -> Result<Reply, RoutingError> {
    let id = request.health_check();
    let (_, check) = check::find(&*service.view(), allowed.account(), &id)?;
    let mut writer = document("GetHealthCheckResponse");
    check.shape(&mut writer, &id);
    Ok(Reply::ok(writer))
}
