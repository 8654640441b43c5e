//! `ListHealthChecks`: in the order of their ids, from the marker on.

use crate::access::Allowed;
use crate::api_limits::MAX_PAGE;
use crate::request::{Reply, Request, document};
use crate::{RoutingError, Service, check};

pub(crate) async fn execute(
    service: &Service,
    request: &Request<'_>,
    allowed: &Allowed,
) -> Result<Reply, RoutingError> {
    let size = request.page_size(MAX_PAGE)?;
    let marker = request.parameter("marker").unwrap_or("");
    let mut checks = check::all(&*service.view(), allowed.account())?;
    checks.retain(|(id, _)| id.0.as_str() >= marker);
    let next = checks.get(size).map(|(id, _)| id.clone());
    checks.truncate(size);
    let mut writer = document("ListHealthChecksResponse");
    writer.open("HealthChecks");
    for (id, check) in &checks {
        check.shape(&mut writer, id);
    }
    writer
        .close()
        .value("Marker", marker)
        .value("IsTruncated", next.is_some())
        .optional("NextMarker", next)
        .value("MaxItems", size);
    Ok(Reply::ok(writer))
}
